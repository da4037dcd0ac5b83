"""What is refused, in whose words, and what it leaves behind."""

from parity.dialogue import Dialogues, Stage

DIALOGUES = Dialogues()


@DIALOGUES
def payloads_too_long(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x")
    for payload in ("p" * 8000, "é" * 4000, "日" * 2667):
        a.query(f"NOTIFY x, '{payload}'").query(f"SELECT pg_notify('x', '{payload}')")


@DIALOGUES
def pg_notify_checks_in_an_order(stage: Stage) -> None:
    a = stage.connect("a")
    long = "p" * 8000
    a.query(f"SELECT pg_notify('', '{long}')").query(f"SELECT pg_notify(NULL, '{long}')")
    a.query(f"SELECT pg_notify('{'c' * 64}', '{long}')").query(f"SELECT pg_notify('{'c' * 64}', 'p')")
    a.query(f"SELECT pg_notify('{'é' * 32}', 'p')")


@DIALOGUES
def syntax_errors_of_notify(stage: Stage) -> None:
    a = stage.connect("a")
    for rest in (
        "a, 1",
        "a, NULL",
        "a, $1",
        "a, ('x')",
        "a, 'x'::text",
        "a, B'1'",
        "a, X'1F'",
        "a, N'x'",
        "'a'",
        "a, 'x' 'y'",
        "a.b",
        "a, ",
        "a 'x'",
        "a,, 'x'",
        "1a",
        "*",
        "",
        "a, 'x', 'y'",
        "a;;; b",
    ):
        a.query(f"NOTIFY {rest}")


@DIALOGUES
def syntax_errors_of_listen_and_unlisten(stage: Stage) -> None:
    a = stage.connect("a")
    for rest in ("", "a.b", "*", "'a'", "a, b", "1", "$1", '""', "a b", 'U&""', "a;LISTEN", "é ü"):
        a.query(f"LISTEN {rest}").query(f"UNLISTEN {rest}") if rest != "*" else a.query("LISTEN *")


@DIALOGUES
def unterminated_literals(stage: Stage) -> None:
    a = stage.connect("a")
    for sql in ("NOTIFY a, 'x", 'LISTEN "x', "NOTIFY a, $$x", "LISTEN x /* y", "NOTIFY a, E'\\", "NOTIFY a, U&'x"):
        a.query(sql)


@DIALOGUES
def positions_count_characters(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("/* éé😀 */ LISTEN é; NOTIFY 日, 1").query("\n\n  LISTEN 'x'").query("LISTEN x;\nLISTEN y;\nLISTEN").query(
        "x"
    )
    a.query("NOTIFY x, '日本語' oops").query("-- ü\nLISTEN $$ü$$")


@DIALOGUES
def a_syntax_error_anywhere_runs_nothing(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x").query("NOTIFY x, 'lost'; UNLISTEN x; NOTIFY").query("NOTIFY x").query("BEGIN; LISTEN")
    a.query("SELECT 1")


@DIALOGUES
def a_failing_statement_takes_back_those_before_it(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x").query("NOTIFY x, 'lost'; LISTEN y; SELECT pg_notify('', 'z'); NOTIFY x, 'not run'")
    a.query("NOTIFY x; NOTIFY y").query("SELECT pg_listening_channels()")


@DIALOGUES
def errors_in_a_block(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x").query("BEGIN").query("NOTIFY x, 'lost'").query("NOTIFY").query("NOTIFY x").query("LISTEN")
    a.query("").query("SAVEPOINT s").query("BEGIN").query("COMMIT").query("SELECT 1")


@DIALOGUES
def a_block_that_fails_within_one_query(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x").query("BEGIN; NOTIFY x; SELECT pg_notify('', ''); COMMIT").query("NOTIFY x").query("COMMIT")
    a.query("NOTIFY x")


@DIALOGUES
def deallocate_of_what_is_not_there(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("DEALLOCATE nothing").query('DEALLOCATE PREPARE "No Such"').query("BEGIN; DEALLOCATE nothing").query(
        "ABORT"
    )


@DIALOGUES
def what_is_not_utf8(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x")
    for raw in (
        rb"NOTIFY x, '\xff'",
        b"NOTIFY x, '\xff'",
        b"NOTIFY x, '\xe9t\xe9'",
        b"LISTEN \xc3",
        b"NOTIFY x, '\xed\xa0\x80'",
    ):
        a.query(raw)
    a.query(b"NOTIFY x, '\xf0\x9f\x98'").query(b"NOTIFY x, '\xc0\x80'").query(b"NOTIFY x, '\xf8\x88\x80\x80\x80'")
    a.query(rb"NOTIFY x, E'\xff'").query(rb"NOTIFY x, E'\0'").query(rb"NOTIFY x, E'\xc3\xa9'")
    a.query(rb"NOTIFY x, E'\u0000'").query(rb"NOTIFY x, E'\ud83d'").query(rb"NOTIFY x, E'\ud83d\ude00'")


@DIALOGUES
def an_unknown_message_type(stage: Stage) -> None:
    stage.connect("a").query("LISTEN x").raw(b"?\0\0\0\4").read_to_the_end()


@DIALOGUES
def an_impossible_length(stage: Stage) -> None:
    stage.connect("a").query("LISTEN x").raw(b"Q\0\0\0\3").read_to_the_end()


@DIALOGUES
def malformed_messages(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x").raw_query(b"Q\0\0\0\x0dNOTIFY x\0\0")
    a.raw_query(b"Q\0\0\0\x0cNOTIFY x").query("NOTIFY x")
    a.raw(b"P\0\0\0\4").sync().raw(b"E\0\0\0\5\0").sync().raw(b"D\0\0\0\6X\0").sync().raw(b"C\0\0\0\6X\0").sync()
    a.query("NOTIFY x, 'alive'")
