"""SET, SHOW and RESET: before the first statement that needs a database, behind it, in transactions."""

from parity.dialogue import Dialogues, Stage

DIALOGUES = Dialogues()

VALUES = (
    ("application_name", "'parity'"),
    ("client_encoding", "'UTF8'"),
    ("DateStyle", "'SQL, DMY'"),
    ("IntervalStyle", "iso_8601"),
    ("TimeZone", "'UTC'"),
    ("extra_float_digits", "0"),
    ("search_path", "pg_temp, public"),
    ("statement_timeout", "'90s'"),
    ("lock_timeout", "60000"),
    ("idle_in_transaction_session_timeout", "'1h'"),
    ("client_min_messages", "warning"),
    ("bytea_output", "'escape'"),
    ("standard_conforming_strings", "on"),
)
REAL_WORK = "SELECT timestamptz '2024-02-29 12:00+00', interval '1 day', 0.1::float4, '\\x00ff'::bytea"


@DIALOGUES
def set_and_show(stage: Stage) -> None:
    a = stage.connect("a")
    for name, value in VALUES:
        a.query(f"SET {name} TO {value}").query(f"SHOW {name}")
    a.query("NOTIFY x").query(REAL_WORK)
    for name, _ in VALUES:
        a.query(f"SHOW {name}").query(f"SELECT current_setting('{name}')")


@DIALOGUES
def set_and_show_behind_real_work(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x").query(REAL_WORK)
    for name, value in VALUES:
        a.query(f"SET SESSION {name} = {value}").query(f"SHOW {name}").query(f"SELECT current_setting('{name}')")
    a.query(REAL_WORK).query("NOTIFY x")


@DIALOGUES
def reset_one_by_one(stage: Stage) -> None:
    a = stage.connect("a", application_name="start", DateStyle="German")
    for name, value in VALUES:
        a.query(f"SET {name} TO {value}")
    for name, _ in VALUES:
        a.query(f"RESET {name}").query(f"SHOW {name}")
    for name, value in VALUES:
        a.query(f"SET {name} TO {value}")
    a.query(REAL_WORK)
    for name, _ in VALUES:
        a.query(f"SET {name} TO DEFAULT").query(f"SHOW {name}").query(f"SELECT current_setting('{name}')")


@DIALOGUES
def reset_all(stage: Stage) -> None:
    a = stage.connect("a", application_name="start", TimeZone="Europe/Berlin")
    for real_work in ("SELECT 1", REAL_WORK):
        a.query("LISTEN x").query("SET application_name TO 'other'; SET TimeZone TO 'UTC'; SET bytea_output TO escape")
        a.query(real_work).query("RESET ALL").query("SHOW application_name").query("SHOW TimeZone").query(
            "SHOW bytea_output"
        )
        a.query("NOTIFY x").query("SET application_name TO 'third'").query("DISCARD ALL").query("SHOW application_name")
        a.query("NOTIFY x")


@DIALOGUES
def refused_values(stage: Stage) -> None:
    a = stage.connect("a")
    for real_work in ("NOTIFY x", REAL_WORK):
        a.query(real_work)
        for name, value in (
            ("client_encoding", "'KLINGON'"),
            ("DateStyle", "'ISO, German'"),
            ("DateStyle", "nonsense"),
            ("IntervalStyle", "'perhaps'"),
            ("TimeZone", "'Nowhere/Land'"),
            ("extra_float_digits", "4"),
            ("extra_float_digits", "'x'"),
            ("search_path", "1.5.2"),
            ("statement_timeout", "-1"),
            ("statement_timeout", "'1 fortnight'"),
            ("lock_timeout", "2147483648"),
            ("client_min_messages", "loud"),
            ("bytea_output", "binary"),
            ("standard_conforming_strings", "maybe"),
            ("no_such_setting", "1"),
            ("server_version", "'1'"),
            ("max_connections", "1"),
            ("a b", "1"),
        ):
            a.query(f"SET {name} TO {value}")
        a.query("SHOW DateStyle").query("SHOW no_such_setting").query("RESET no_such_setting").query(
            "SHOW statement_timeout"
        )


@DIALOGUES
def odd_spellings(stage: Stage) -> None:
    a = stage.connect("a")
    for sql in (
        'SET "DateStyle" TO "german"',
        "SET datestyle = iso , mdy",
        "SET DateStyle TO 'ISO', 'YMD'",
        "set extra_float_digits=+2",
        "SET EXTRA_FLOAT_DIGITS TO -3",
        "SET statement_timeout TO ' 90 s '",
        "SET statement_timeout TO 90000.4",
        "SET lock_timeout TO '1500us'",
        "SET application_name TO unquoted",
        "SET application_name TO 'ünïcode'",
        "SET application_name TO ''",
        f"SET application_name TO '{'n' * 70}'",
        "SET standard_conforming_strings TO yes",
        "SET standard_conforming_strings TO 1",
        "SET client_encoding TO 'unicode'",
        "SET NAMES 'utf8'",
        "SET search_path TO 'a b', \"C d\", e",
        "SET search_path TO ''",
        "SET TIME ZONE 'Europe/Berlin'",
        "SET TIME ZONE -3.5",
        "SET TIME ZONE INTERVAL '+02:30' HOUR TO MINUTE",
        "SET TIME ZONE LOCAL",
        "SET TimeZone TO 'utc'",
        "SET client_min_messages TO DEBUG",
        "SET IntervalStyle TO POSTGRES_VERBOSE",
        "SET my.own TO 'value'",
    ):
        a.query(sql)
    for name in (
        "DateStyle",
        "extra_float_digits",
        "statement_timeout",
        "lock_timeout",
        "application_name",
        "search_path",
    ):
        a.query(f"SHOW {name}")
    for name in (
        "TIME ZONE",
        "client_min_messages",
        "IntervalStyle",
        "my.own",
        "transaction isolation level",
        '"TimeZone"',
    ):
        a.query(f"SHOW {name}")
    a.query("SELECT current_setting('DateStyle'), current_setting('search_path'), current_setting('TimeZone')")


@DIALOGUES
def set_then_rollback(stage: Stage) -> None:
    a = stage.connect("a")
    for real_work in ("NOTIFY x", REAL_WORK):
        a.query("LISTEN x").query("SET DateStyle TO German").query("BEGIN").query("SET DateStyle TO SQL").query(
            "SET lock_timeout TO 7"
        )
        a.query(real_work).query("SET TimeZone TO 'Asia/Tokyo'").query("SHOW DateStyle").query("ROLLBACK").query(
            "SHOW DateStyle"
        )
        a.query("SHOW TimeZone").query("SHOW lock_timeout").query("BEGIN").query("SET DateStyle TO SQL").query(
            real_work
        )
        a.query("COMMIT").query("SHOW DateStyle").query("RESET DateStyle").query(REAL_WORK)


@DIALOGUES
def set_in_a_block_that_fails(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("BEGIN").query("SET application_name TO 'lost'").query("NOTIFY").query("SHOW application_name").query(
        "COMMIT"
    )
    a.query("SHOW application_name").query("BEGIN").query("SET application_name TO 'lost'").query("SELECT 1 / 0")
    a.query("SET application_name TO 'refused'").query("COMMIT").query("SHOW application_name")
    a.query("BEGIN").query("SET DateStyle TO nonsense").query("SET DateStyle TO German").query("ROLLBACK").query(
        "SHOW DateStyle"
    )


@DIALOGUES
def set_and_savepoints(stage: Stage) -> None:
    a = stage.connect("a")
    for real_work in ("NOTIFY x", REAL_WORK):
        a.query("BEGIN").query("SET application_name TO 'one'").query("SAVEPOINT s").query(
            "SET application_name TO 'two'"
        )
        a.query(real_work).query("SAVEPOINT t").query("SET LOCAL application_name TO 'three'").query(
            "SHOW application_name"
        )
        a.query("ROLLBACK TO t").query("SHOW application_name").query("ROLLBACK TO s").query("SHOW application_name")
        a.query("RELEASE s").query("COMMIT").query("SHOW application_name").query(REAL_WORK)


@DIALOGUES
def set_local(stage: Stage) -> None:
    a = stage.connect("a")
    for real_work in ("NOTIFY x", REAL_WORK):
        a.query("SET LOCAL DateStyle TO German").query("SHOW DateStyle").query("BEGIN").query(
            "SET LOCAL DateStyle TO German"
        )
        a.query("SET LOCAL statement_timeout TO '70s'").query(real_work).query("SHOW DateStyle").query(
            "SHOW statement_timeout"
        )
        a.query("SET DateStyle TO SQL").query("SHOW DateStyle").query("SET LOCAL DateStyle TO 'Postgres'").query(
            "COMMIT"
        )
        a.query("SHOW DateStyle").query("SHOW statement_timeout").query("RESET DateStyle")


@DIALOGUES
def set_then_chain(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("BEGIN").query("SET LOCAL TimeZone TO 'Asia/Tokyo'").query("SET application_name TO 'kept'").query(
        "COMMIT AND CHAIN"
    )
    a.query("SHOW TimeZone").query("SET application_name TO 'lost'").query("ROLLBACK AND CHAIN").query(REAL_WORK)
    a.query("SHOW application_name").query("COMMIT")


@DIALOGUES
def statuses_and_notifications_stand_before_ready(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x").query("SET application_name TO 'one'; NOTIFY x, '1'").query(
        "SELECT 2 + 2; NOTIFY x, '2'; SET DateStyle TO SQL"
    )
    a.query("BEGIN; SET TimeZone TO 'Asia/Tokyo'; NOTIFY x, '3'").query("SET IntervalStyle TO sql_standard").query(
        "COMMIT"
    )
    a.run("SET application_name TO 'two'").run("NOTIFY x, '4'").sync().run("RESET application_name").run(
        "SELECT oops"
    ).sync()


@DIALOGUES
def a_status_for_a_change_that_is_none(stage: Stage) -> None:
    a = stage.connect("a", application_name="same")
    a.query("SET application_name TO 'same'").query("SET application_name TO 'other'; SET application_name TO 'same'")
    a.query("SELECT 2 + 2").query("SET application_name TO 'same'").query("SET DateStyle TO SQL; RESET DateStyle")
    a.query("BEGIN").query("SET application_name TO 'other'").query("ROLLBACK").query("SET client_encoding TO 'utf8'")


@DIALOGUES
def settings_by_function(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x").query("SET application_name TO 'by SET'").query(
        "SELECT set_config('application_name', 'by call', false)"
    )
    a.query("SHOW application_name").query("SELECT set_config('DateStyle', 'German', true); SHOW DateStyle").query(
        "SHOW DateStyle"
    )
    a.query("BEGIN").query("SELECT set_config('TimeZone', 'Asia/Tokyo', false)").query("SHOW TimeZone").query(
        "ROLLBACK"
    ).query("SHOW TimeZone")
    a.query("UPDATE pg_settings SET setting = 'updated' WHERE name = 'application_name'").query("SHOW application_name")


@DIALOGUES
def settings_that_functions_change(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("SET DateStyle TO SQL").query(
        "CREATE FUNCTION pg_temp.shown() RETURNS text LANGUAGE sql SET DateStyle TO German"
        " AS $$SELECT 'it is ' || date '2024-02-29'$$"
    )
    a.query("SELECT pg_temp.shown(), date '2024-02-29'").query("SHOW DateStyle")
    a.query("DO $$BEGIN SET application_name TO 'within'; END$$").query("SHOW application_name").query("RESET ALL")


@DIALOGUES
def settings_in_the_extended_protocol(stage: Stage) -> None:
    a = stage.connect("a")
    a.run("SET application_name TO 'one'").sync().run("SHOW application_name").sync().run(
        "SET DateStyle TO nonsense"
    ).sync()
    a.run("LISTEN x").run("SET TimeZone TO 'Asia/Tokyo'").run("SHOW TimeZone").run("SELECT oops").sync().run(
        "SHOW TimeZone"
    ).sync()
    a.parse("SHOW application_name", "s").describe_statement("s").bind(
        statement="s", result_formats=(1,)
    ).describe().execute().sync()
    a.run("SELECT 2 + 2").sync().bind(statement="s").execute().sync().run("SET application_name TO 'two'").sync()
    a.bind(statement="s").execute().run("RESET application_name").run("NOTIFY x").sync().bind(
        statement="s"
    ).execute().sync()
    a.run("BEGIN").run("SET LOCAL DateStyle TO German").run("SHOW DateStyle").sync().run("COMMIT").run(
        "SHOW DateStyle"
    ).sync()


@DIALOGUES
def show_all_and_others(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("SHOW server_version_num").query("SHOW transaction_isolation").query("SHOW is_superuser").query(
        "SHOW server_encoding"
    )
    a.query("SELECT name FROM pg_settings WHERE name LIKE 'array%'").query("SHOW integer_datetimes").query("SHOW")


@DIALOGUES
def a_search_path_is_searched(stage: Stage) -> None:
    stage.set_up(
        "DROP SCHEMA IF EXISTS parity_path CASCADE",
        "CREATE SCHEMA parity_path",
        "CREATE TABLE parity_path.found (n int)",
    )
    a = stage.connect("a")
    a.query("SET search_path TO parity_path").query("NOTIFY x").query("TABLE found").query("RESET search_path").query(
        "TABLE found"
    )
    a.query("BEGIN").query("SET LOCAL search_path TO parity_path, public").query("TABLE found").query("ROLLBACK").query(
        "TABLE found"
    )


@DIALOGUES
def roles(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x").query("SET ROLE pg_monitor").query("SHOW role").query("SELECT current_user").query("NOTIFY x")
    a.query("SHOW is_superuser").query("SET SESSION AUTHORIZATION DEFAULT").query("RESET ROLE").query(
        "SET ROLE nobody_at_all"
    )
    a.query("DISCARD ALL").query("SELECT current_user, session_user")
