"""SELECT pg_notify($1, $2): types, formats, values."""

from parity.dialogue import Dialogues, Stage

DIALOGUES = Dialogues()

BOOL, BYTEA, INT8, INT2, INT4, TEXT, JSON, UNKNOWN, VARCHAR = 16, 17, 20, 21, 23, 25, 114, 705, 1043
PG_NOTIFY = "SELECT pg_notify($1, $2)"


@DIALOGUES
def parameters_in_text(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x").run(PG_NOTIFY, "x", "p").sync().run(PG_NOTIFY, "x", "").sync().run(PG_NOTIFY, "x", None).sync()
    a.run(PG_NOTIFY, "x", "it's \\ \n 日本語 😀; NOTIFY x").sync().run(PG_NOTIFY, "X", "another channel").sync()


@DIALOGUES
def parameters_in_binary(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x").parse(PG_NOTIFY, "s").describe_statement("s").sync()
    a.bind("x", "é", statement="s", formats=(1,), result_formats=(1,)).describe().execute().sync()
    a.bind("x", "mixed", statement="s", formats=(0, 1), result_formats=(1,)).execute().sync()
    a.bind("x", None, statement="s", formats=(1, 1)).describe().execute().sync()


@DIALOGUES
def parameters_refused_at_execute(stage: Stage) -> None:
    a = stage.connect("a")
    for channel, payload in (
        (None, "p"),
        ("", "p"),
        ("c" * 64, "p"),
        ("c" * 63, "p" * 8000),
        ("é" * 32, ""),
        ("x", "é" * 4000),
    ):
        a.run(PG_NOTIFY, channel, payload).sync()
    a.run(PG_NOTIFY, "c" * 63, "p" * 7999).sync()


@DIALOGUES
def parameters_that_are_not_utf8(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x").run(PG_NOTIFY, b"x", b"\xff").sync().run(PG_NOTIFY, b"\xe9", b"p").sync().run(
        PG_NOTIFY, b"x", b"a\0b"
    ).sync()
    a.parse(PG_NOTIFY, "s").bind(b"x", b"\xff", statement="s", formats=(1,)).sync()
    a.bind(b"x", b"a\0b", statement="s", formats=(1,)).execute().sync().bind(b"x", b"", statement="s").execute().sync()


@DIALOGUES
def declared_types(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x")
    for types in ((), (0, 0), (TEXT, TEXT), (VARCHAR, VARCHAR), (UNKNOWN, UNKNOWN), (TEXT,), (0, VARCHAR)):
        a.parse(PG_NOTIFY, types=types).describe_statement().bind("x", f"{types}").describe().execute().sync()


@DIALOGUES
def declared_types_that_nothing_uses(stage: Stage) -> None:
    a = stage.connect("a")
    a.parse("LISTEN x", types=(TEXT,)).describe_statement().bind("ignored").execute().sync()
    a.parse("LISTEN x", types=(TEXT,)).bind().sync().parse("LISTEN x", types=(0,)).sync()
    a.parse("NOTIFY x", types=(INT4, TEXT)).describe_statement().bind("1", None).execute().sync()


@DIALOGUES
def declared_types_that_pg_notify_does_not_take(stage: Stage) -> None:
    a = stage.connect("a")
    for types in ((INT4, TEXT), (TEXT, INT4), (BYTEA, 0), (0, JSON), (BOOL, BOOL), (INT8,), (INT2,)):
        a.parse(PG_NOTIFY, types=types).sync()


@DIALOGUES
def one_parameter(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x").run("SELECT pg_notify('x', $1)", "p").sync().run("SELECT pg_notify($1, 'p')", "x").sync()
    a.run("SELECT pg_notify($1, $1)", "x").sync().run(
        "SELECT pg_notify($1::text, $2::text) AS sent", "x", "cast"
    ).sync()


@DIALOGUES
def parameters_by_number(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x").run("SELECT pg_notify($2, $1)", "p", "x").sync().parse("SELECT pg_notify($1, $3)").sync()
    a.parse("SELECT pg_notify($2, $3)", types=(TEXT,)).describe_statement().bind("unused", "x", "p").execute().sync()


@DIALOGUES
def parameters_in_a_simple_query(stage: Stage) -> None:
    stage.connect("a").query("SELECT pg_notify($1, $2)").query("SELECT pg_notify('x', $1)").query("NOTIFY x, $1")
    stage.connect("b").query("BEGIN; SELECT pg_notify($1, 'x')").query("ROLLBACK")


@DIALOGUES
def a_named_statement_of_pg_notify_many_times(stage: Stage) -> None:
    a, b = stage.connect_many("a", "b")
    a.query("LISTEN x")
    b.parse(PG_NOTIFY, "s").sync()
    for number in range(10):
        b.bind("x", str(number), statement="s").execute().sync()
    a.hear(10)
