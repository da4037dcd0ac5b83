"""Start-up parameters that only a database can judge, and clients that do not speak UTF-8."""

from parity.dialogue import Dialogues, Stage

DIALOGUES = Dialogues()

WHO = {"user": "postgres", "database": "postgres"}


@DIALOGUES
def settings_at_the_start(stage: Stage) -> None:
    settings = {
        "application_name": "parity",
        "DateStyle": "German",
        "TimeZone": "Asia/Tokyo",
        "IntervalStyle": "iso_8601",
    }
    a = stage.open("a").start_up(parameters={**WHO, **settings})
    a.query("LISTEN x").query("SHOW DateStyle").query("SELECT timestamptz '2024-02-29 12:00+00', interval '1 day'")
    a.query("SELECT current_setting('application_name'), current_setting('TimeZone')").query("NOTIFY x, 'p'").query(
        "RESET ALL"
    )
    a.query("SHOW DateStyle").query("SHOW TimeZone")


@DIALOGUES
def settings_that_are_not_reported(stage: Stage) -> None:
    settings = {
        "search_path": "pg_catalog",
        "extra_float_digits": "0",
        "statement_timeout": "70s",
        "bytea_output": "escape",
    }
    a = stage.open("a").start_up(parameters={**WHO, **settings, "work_mem": "128", "lock_timeout": "60s"})
    a.query("NOTIFY x").query("SHOW statement_timeout").query("SHOW extra_float_digits").query(
        "SHOW lock_timeout"
    ).query("SHOW search_path")
    a.query("SELECT '\\x00'::bytea, 0.1::float4, current_setting('work_mem')").query("DISCARD ALL").query(
        "SHOW statement_timeout"
    )


@DIALOGUES
def spellings_of_settings_at_the_start(stage: Stage) -> None:
    a = stage.open("a").start_up(
        parameters={**WHO, "datestyle": "german", "TIMEZONE": "utc", "Extra_Float_Digits": "3"}
    )
    a.query("SHOW datestyle").query("SHOW timezone").query("SELECT current_setting('extra_float_digits')")


@DIALOGUES
def options_at_the_start(stage: Stage) -> None:
    options = "-c work_mem=256 -c DateStyle=German --statement_timeout=80s -c application_name=a\\ b"
    a = stage.open("a").start_up(parameters={**WHO, "options": options})
    a.query("LISTEN x").query("SHOW work_mem").query("SHOW DateStyle").query("SHOW statement_timeout").query(
        "NOTIFY x"
    ).query("SHOW application_name")
    stage.open("b").start_up(parameters={**WHO, "options": "", "application_name": ""}).query("SELECT 2 + 2")
    stage.open("c").start_up(parameters={**WHO, "options": "-c work_mem=256", "work_mem": "512"}).query("SHOW work_mem")


@DIALOGUES
def refused_settings_at_the_start(stage: Stage) -> None:
    for number, (name, value) in enumerate(
        (
            ("no_such_setting", "1"),
            ("DateStyle", "nonsense"),
            ("TimeZone", "Nowhere/Land"),
            ("extra_float_digits", "99"),
            ("statement_timeout", "soon"),
            ("server_version", "1"),
            ("max_connections", "7"),
            ("client_min_messages", "loud"),
            ("options", "-c no_such_setting=1"),
            ("options", "-c work_mem=x"),
            ("options", "--nonsense"),
            ("search_path", "a,,b"),
        )
    ):
        stage.open(f"a{number}").start_up(parameters={**WHO, name: value})


@DIALOGUES
def settings_of_ones_own_at_the_start(stage: Stage) -> None:
    a = stage.open("a").start_up(parameters={**WHO, "my.own": "value"})
    a.query("SHOW my.own").query("LISTEN x").query("NOTIFY x").query("RESET my.own").query("SHOW my.own")


@DIALOGUES
def latin1_with_real_work(stage: Stage) -> None:
    a = stage.connect("a", client_encoding="LATIN1")
    a.query("LISTEN café").query("SELECT 'crème' AS \"brûlée\", length('é')").query("NOTIFY café, 'ü'").query(
        "SELECT pg_notify('café', lower('É')) WHERE true"
    )
    a.query("SELECT 'é', oops").query("NOTIFY café, 'ß'; SELECT 'é'; SELECT nope('é')").query(
        "SELECT U&'\\65E5'"
    ).query("LISTEN é; SELECT 2 + 2; NOTIFY é, 'ÿ'")
    a.run("SELECT $1::text || 'ö', octet_length($1)", "é").sync().query("SELECT pg_listening_channels()").query(
        "DO $$BEGIN RAISE NOTICE 'é'; END$$"
    )


@DIALOGUES
def latin1_and_utf8_with_real_work(stage: Stage) -> None:
    a = stage.connect("a", client_encoding="latin1")
    b = stage.connect("b")
    a.query("LISTEN é").query("SELECT 'ä'")
    b.query("LISTEN é").query("SELECT pg_notify('é', 'of b: ü') WHERE true")
    a.hear().query("SELECT 2 + 2; NOTIFY é, 'of a: ß'; SELECT 'ß'")
    b.hear()


@DIALOGUES
def the_encoding_changes_on_the_way(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x").query("SET client_encoding TO 'LATIN1'").query("NOTIFY x, 'é'").query(
        "SELECT 'ü', octet_length('ü')"
    ).query("NOTIFY x, 'ö'")
    a.query("SET NAMES 'UTF8'").query("NOTIFY x, 'é日'").query("SELECT '日'").query(
        "SET client_encoding TO 'LATIN1'"
    ).query("SELECT U&'\\65E5'")
    a.query("RESET client_encoding").query("SELECT '日'").query("BEGIN").query("SET client_encoding TO 'LATIN1'").query(
        "SELECT 'é'"
    ).query("NOTIFY x, 'ß'").query("ROLLBACK")
    a.query("NOTIFY x, '本'")


@DIALOGUES
def the_encoding_changes_within_one_query(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x").query("NOTIFY x, 'é'; SET client_encoding TO 'LATIN1'; SELECT U&'\\00E9'").query(
        "SELECT 'é'; SET client_encoding TO 'UTF8'; NOTIFY x, 'p'"
    )
    a.query("SELECT 'é'")


@DIALOGUES
def an_encoding_that_cannot_hold_an_answer(stage: Stage) -> None:
    a = stage.connect("a", client_encoding="LATIN1")
    a.query("LISTEN x").query("SELECT U&'\\65E5' AS n; NOTIFY x, 'lost'").query("NOTIFY x, 'p'").query(
        "DO $$BEGIN RAISE NOTICE E'\\u65E5'; END$$"
    ).query("SELECT 2 + 2")


@DIALOGUES
def sql_ascii_with_real_work(stage: Stage) -> None:
    a = stage.connect("a", client_encoding="SQL_ASCII")
    a.query("LISTEN é").query("SELECT '日本', length('日本')").query("NOTIFY é, '日'; SELECT 'é', oops").query(
        b"SELECT '\xff'"
    )


@DIALOGUES
def multibyte_encodings_with_real_work(stage: Stage) -> None:
    a = stage.connect("a", client_encoding="EUC_JP")
    a.query("LISTEN x").query("SELECT length('日本'), '日本'".encode("euc_jp")).query(
        "NOTIFY x, 'p'; SELECT '日', oops".encode("euc_jp")
    )
    b = stage.connect("b", client_encoding="SJIS")
    b.query("LISTEN x").query("SELECT '表', length('ソ'); NOTIFY x, 'p'".encode("shift_jis")).query(
        "SELECT 'ソ' ; SELECT oops".encode("shift_jis")
    )
