"""The SELECTs that are served without a database behind them."""

from parity.dialogue import Dialogues, Stage

DIALOGUES = Dialogues()


@DIALOGUES
def pg_notify_by_simple_query(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x").query("SELECT pg_notify('x', 'p')").query("select PG_NOTIFY('x', 'q') ;")
    a.query("SELECT pg_catalog.pg_notify('x', 'r')").query("SELECT 1")


@DIALOGUES
def pg_notify_with_an_alias(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x").query("SELECT pg_notify('x', '1') AS sent").query("SELECT pg_notify('x', '2') SENT")
    a.query("""SELECT pg_notify('x', '3') AS "Sent It" """).query("SELECT pg_notify('x', '4') \"pg_notify\"")


@DIALOGUES
def pg_notify_with_nulls(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x").query("SELECT pg_notify('x', NULL)").query("SELECT pg_notify(NULL, 'p')")
    a.query("SELECT pg_notify(NULL, NULL)").query("SELECT pg_notify('', '')")


@DIALOGUES
def pg_notify_with_casts(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x").query("SELECT pg_notify('x'::text, 'p'::varchar)")
    a.query("SELECT pg_notify(CAST('x' AS text), NULL::text)").query("SELECT pg_notify('x'::pg_catalog.text, '')")


@DIALOGUES
def pg_notify_neither_folds_nor_trims(stage: Stage) -> None:
    a = stage.connect("a")
    a.query('LISTEN Foo; LISTEN "Foo"; LISTEN " foo "')
    for channel in ("foo", "Foo", "FOO", " foo ", " foo"):
        a.query(f"SELECT pg_notify('{channel}', 'to {channel}')")


@DIALOGUES
def several_pg_notify_in_one_query(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x").query("SELECT pg_notify('x', '1'); SELECT pg_notify('x', '2') AS two; NOTIFY x, '3'")


@DIALOGUES
def listening_channels_in_the_order_of_listening(stage: Stage) -> None:
    a = stage.connect("a")
    channels = "SELECT pg_listening_channels()"
    a.query(channels).query("LISTEN b").query("LISTEN a").query('LISTEN "C c"').query(channels)
    a.query("UNLISTEN b").query("LISTEN b").query(channels).query("LISTEN a").query(channels)
    a.query("SELECT * FROM pg_listening_channels()").query("SELECT pg_listening_channels() AS channel")
    a.query("UNLISTEN *").query(channels)


@DIALOGUES
def listening_channels_are_those_committed(stage: Stage) -> None:
    a = stage.connect("a")
    channels = "SELECT pg_listening_channels()"
    a.query("LISTEN a").query("BEGIN").query("LISTEN b").query("UNLISTEN a").query(channels).query("COMMIT")
    a.query(channels).query(f"LISTEN c; {channels}; UNLISTEN b; {channels}").query(channels)


@DIALOGUES
def constants(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("SELECT 1").query("select 42 AS answer").query("SELECT -7").query("SELECT -2147483648 lowest")
    a.query("/* keep-alive */ SELECT 1;").query("SELECT 1; SELECT 2")


@DIALOGUES
def backend_pid_is_that_of_the_key(stage: Stage) -> None:
    a, b = stage.connect_many("a", "b")
    a.query("SELECT pg_backend_pid()").query("SELECT pg_backend_pid() AS pid")
    b.query("SELECT pg_backend_pid()").parse("SELECT pg_backend_pid()").bind(result_formats=(1,))
    b.describe().execute().sync()


@DIALOGUES
def advisory_unlock_all(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("SELECT pg_advisory_unlock_all()").run("SELECT pg_advisory_unlock_all()").sync()


@DIALOGUES
def selects_in_a_failed_transaction(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("BEGIN").query("SELECT pg_notify('', '')").query("SELECT 1").query("SELECT pg_listening_channels()")
    a.query("SELECT pg_backend_pid()").query("SELECT pg_notify('x', 'y')").query("ROLLBACK")
