"""The extended protocol: statements, portals, Describe, and what goes wrong with them."""

from parity.dialogue import Dialogues, Stage

DIALOGUES = Dialogues()


@DIALOGUES
def listen_notify_unlisten(stage: Stage) -> None:
    a = stage.connect("a")
    a.run("LISTEN x").sync().run("NOTIFY x, 'p'").sync().run("UNLISTEN x").sync().run("NOTIFY x").sync()


@DIALOGUES
def describe_a_statement(stage: Stage) -> None:
    a = stage.connect("a")
    for sql in (
        "LISTEN x",
        "NOTIFY x",
        "UNLISTEN *",
        "BEGIN",
        "ROLLBACK",
        "SELECT pg_notify($1, $2)",
        "SELECT pg_notify('x', $1) AS y",
        "SELECT pg_listening_channels()",
        "SELECT 1",
        "DO $$BEGIN LISTEN x; END$$",
        "DISCARD ALL",
        "SAVEPOINT s",
        "",
    ):
        a.parse(sql).describe_statement().sync()


@DIALOGUES
def describe_a_portal(stage: Stage) -> None:
    a = stage.connect("a")
    for sql in ("LISTEN x", "SELECT 1", "SELECT pg_listening_channels()", "SELECT pg_backend_pid()", "COMMIT", ""):
        a.parse(sql).bind().describe().sync().parse(sql).bind(result_formats=(1,)).describe().sync()


@DIALOGUES
def named_statements(stage: Stage) -> None:
    a = stage.connect("a")
    a.parse("LISTEN x", "l").parse("NOTIFY x, 'again'", "n").sync().bind(statement="l").execute().sync()
    a.bind(statement="n").execute().sync().bind(statement="n").execute().sync()
    a.describe_statement("n").sync().close_statement("n").sync().bind(statement="n").execute().sync()


@DIALOGUES
def a_statement_name_in_use(stage: Stage) -> None:
    a = stage.connect("a")
    a.parse("LISTEN x", "s").parse("LISTEN y", "s").sync().close_statement("s").parse("NOTIFY x", "s").sync()
    a.parse("LISTEN x", "name with 'quotes' é").sync().parse("LISTEN x", "name with 'quotes' é").sync()


@DIALOGUES
def the_unnamed_statement_is_replaced(stage: Stage) -> None:
    a = stage.connect("a")
    a.parse("LISTEN x").parse("LISTEN y").bind().execute().sync().query("SELECT pg_listening_channels()")
    a.parse("LISTEN z").sync().query("SELECT 1").bind().execute().sync()
    a.parse("LISTEN z").sync().query("").bind().sync().parse("LISTEN z").sync().query("NOTIFY").bind().sync()


@DIALOGUES
def a_failed_parse_ends_the_unnamed_statement(stage: Stage) -> None:
    a = stage.connect("a")
    a.parse("LISTEN x").sync().parse("LISTEN").sync().bind().execute().sync()
    a.parse("LISTEN x").sync().parse("SELECT 1; SELECT 2").sync().bind().execute().sync()


@DIALOGUES
def unknown_statements_and_portals(stage: Stage) -> None:
    a = stage.connect("a")
    a.bind().sync().bind(statement="s").sync().describe_statement().sync().describe_statement("s").sync()
    a.describe().sync().describe("p").sync().execute().sync().execute("p").sync()
    a.close_statement("s").close_portal("p").close_statement().close_portal().sync()


@DIALOGUES
def close_a_statement_and_a_portal(stage: Stage) -> None:
    a = stage.connect("a")
    a.parse("SELECT 1", "s").bind(portal="p", statement="s").close_portal("p").execute("p").sync()
    a.bind(portal="p", statement="s").close_statement("s").execute("p").sync().bind(statement="s").sync()


@DIALOGUES
def closing_a_statement_closes_its_portals(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("BEGIN").parse("NOTIFY x", "s").bind(portal="p", statement="s").close_statement("s").sync().execute(
        "p"
    ).sync()
    a.query("ROLLBACK").parse("SELECT 1").bind(portal="q").close_statement().execute("q").sync()


@DIALOGUES
def named_portals_end_with_the_transaction(stage: Stage) -> None:
    a = stage.connect("a")
    a.parse("NOTIFY x", "s").bind(portal="p", statement="s").sync().execute("p").sync()
    a.query("BEGIN").bind(portal="p", statement="s").sync().execute("p").sync().query("COMMIT").execute("p").sync()


@DIALOGUES
def a_portal_name_in_use(stage: Stage) -> None:
    a = stage.connect("a")
    a.parse("NOTIFY x", "s").bind(portal="p", statement="s").bind(portal="p", statement="s").sync()
    a.bind(statement="s").bind(statement="s").execute().sync()


@DIALOGUES
def a_portal_that_has_run(stage: Stage) -> None:
    a = stage.connect("a")
    a.parse("LISTEN x").bind().execute().execute().sync().run("NOTIFY x").execute().sync()
    a.query("BEGIN").parse("NOTIFY x").bind(portal="p").execute("p").sync().execute("p").sync().query("ROLLBACK")


@DIALOGUES
def a_finished_select_portal_runs_empty(stage: Stage) -> None:
    a = stage.connect("a")
    a.run("SELECT 1").execute().sync().run("SELECT pg_listening_channels()").execute().sync()
    a.query("LISTEN x").run("SELECT pg_notify('x', 'once')").execute().sync()


@DIALOGUES
def a_wrong_number_of_parameters(stage: Stage) -> None:
    a = stage.connect("a")
    a.parse("LISTEN x").bind("1").sync().parse("SELECT pg_notify($1, $2)", "s").bind("x", statement="s").sync()
    a.bind("x", "y", "z", statement="s").sync().bind(statement="s").sync()
    a.bind("x", "y", statement="s", formats=(0, 0, 0)).sync().bind(statement="s", formats=(0, 1)).sync()


@DIALOGUES
def wrong_formats(stage: Stage) -> None:
    a = stage.connect("a")
    a.parse("SELECT pg_notify($1, $2)", "s").bind("x", "y", statement="s", formats=(2,)).sync()
    a.bind("x", "y", statement="s", result_formats=(0, 0)).sync().bind(
        "x", "y", statement="s", result_formats=(7,)
    ).sync()
    a.parse("LISTEN x").bind(result_formats=(1, 1, 0)).execute().sync().bind(result_formats=(9,)).sync()


@DIALOGUES
def several_statements_in_one_parse(stage: Stage) -> None:
    a = stage.connect("a")
    a.parse("LISTEN x; NOTIFY x").sync().parse("LISTEN x;").bind().execute().sync().parse(
        ";;NOTIFY x;;"
    ).bind().execute().sync()


@DIALOGUES
def syntax_errors_at_parse(stage: Stage) -> None:
    a = stage.connect("a")
    a.parse("LISTEN").bind().execute().sync().parse("NOTIFY x, $1").sync().parse("NOTIFY x, 1", "named").sync()
    a.parse("/* é */ LISTEN 'x'").sync().bind(statement="named").sync()


@DIALOGUES
def empty_statements(stage: Stage) -> None:
    a = stage.connect("a")
    for sql in ("", ";", "-- nothing", "  /* x */ ; "):
        a.parse(sql).bind().describe().execute().sync()
    a.parse("", "e").describe_statement("e").bind(statement="e").execute(max_rows=1).execute().sync()
    a.query("BEGIN").query("NOTIFY").run("").sync().query("ROLLBACK")


@DIALOGUES
def row_limits(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN a; LISTEN b; LISTEN c").query("BEGIN")
    a.parse("SELECT pg_listening_channels()").bind(portal="p").execute("p", 2).sync().execute("p", 2).execute(
        "p", 2
    ).sync()
    a.parse("SELECT * FROM pg_listening_channels()").bind().execute(max_rows=3).execute(max_rows=1).sync()
    a.parse("SELECT pg_listening_channels()").bind().execute(max_rows=-1).sync().query("COMMIT")


@DIALOGUES
def row_limits_of_one_row_and_of_none(stage: Stage) -> None:
    a = stage.connect("a")
    a.parse("LISTEN x").bind().execute(max_rows=1).sync().parse("NOTIFY x").bind().execute(max_rows=5).sync()
    a.parse("SELECT 1").bind().execute(max_rows=1).execute(max_rows=1).sync().parse("SELECT 1").bind().execute(
        max_rows=2
    ).sync()
    a.parse("SELECT pg_notify('x', 'p')").bind().execute(max_rows=1).sync()
    a.parse("SELECT pg_notify('x', 'p')").bind().execute(max_rows=1).execute(max_rows=1).sync()


@DIALOGUES
def an_error_at_execute_of_pg_notify(stage: Stage) -> None:
    a = stage.connect("a")
    a.run("SELECT pg_notify('', 'x')").run("SELECT 1").sync().parse(
        "SELECT pg_notify('', 'x')"
    ).describe_statement().sync()
    a.parse("NOTIFY x, '" + "p" * 8000 + "'").bind().describe().execute().sync()


@DIALOGUES
def transactions_in_the_extended_protocol(stage: Stage) -> None:
    a = stage.connect("a")
    a.run("LISTEN x").sync().run("BEGIN").sync().run("NOTIFY x, '1'").sync().run("SAVEPOINT s").sync()
    a.run("NOTIFY x, '2'").sync().run("ROLLBACK TO SAVEPOINT s").sync().run("RELEASE s").sync().run("COMMIT").sync()
    a.run("COMMIT").sync().run("ROLLBACK").sync().run("START TRANSACTION").sync().run("BEGIN").sync().run(
        "COMMIT AND CHAIN"
    ).sync()
    a.run("ABORT").sync()


@DIALOGUES
def a_failed_transaction_refuses_at_parse(stage: Stage) -> None:
    a = stage.connect("a")
    a.parse("NOTIFY x", "n").parse("COMMIT", "c").parse("SELECT 1", "s").sync()
    a.query("BEGIN").query("NOTIFY").parse("LISTEN x").bind().execute().sync().bind(statement="n").sync()
    a.describe_statement("n").sync().describe_statement("s").sync().describe_statement("c").sync().bind(
        statement="s"
    ).sync()
    a.parse("LISTEN").sync().parse("BEGIN").sync().parse("SAVEPOINT s").sync().parse("LISTEN x; NOTIFY x").sync()
    a.bind(statement="c").describe().execute().sync()


@DIALOGUES
def rollback_to_in_a_failed_transaction(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("BEGIN; SAVEPOINT s").run("NOTIFY").sync().run("ROLLBACK TO s").sync().run("NOTIFY x").sync().run(
        "COMMIT"
    ).sync()


@DIALOGUES
def discard_all_forgets_statements(stage: Stage) -> None:
    a = stage.connect("a")
    a.parse("LISTEN x", "s").sync().bind(statement="s").execute().sync().query("DISCARD ALL").bind(statement="s").sync()
    a.query("NOTIFY x").parse("DISCARD ALL").bind().execute().sync()
    a.query("BEGIN").run("DISCARD ALL").sync().query("ROLLBACK")


@DIALOGUES
def deallocate_reaches_named_statements(stage: Stage) -> None:
    a = stage.connect("a")
    a.parse("LISTEN x", "s").parse("LISTEN y", "T t").sync().query("DEALLOCATE s").bind(statement="s").sync()
    a.query('DEALLOCATE PREPARE "T t"').describe_statement("T t").sync()
    a.parse("LISTEN x", "s").sync().query("DEALLOCATE ALL").bind(statement="s").sync()


@DIALOGUES
def a_simple_query_within_a_pipeline(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x").run("NOTIFY x, 'p'").query("SELECT 1")
    a.sync()


@DIALOGUES
def do_blocks_and_resets_in_the_extended_protocol(stage: Stage) -> None:
    a = stage.connect("a")
    a.run('DO $$BEGIN LISTEN "a"; NOTIFY "a", \'x\'; END$$').sync().run("RESET ALL").sync().run("CLOSE ALL").sync()
    a.run("DEALLOCATE ALL").sync().run("UNLISTEN *").sync().run("DISCARD ALL").sync()


@DIALOGUES
def close_all_closes_no_portal_that_runs_it(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("BEGIN").parse("SELECT 1", "s").bind(portal="p", statement="s").run("CLOSE ALL").execute("p").sync().query(
        "END"
    )
