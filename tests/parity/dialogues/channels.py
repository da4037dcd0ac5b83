"""Names of channels and literals of payloads."""

from parity.dialogue import Dialogues, Stage

DIALOGUES = Dialogues()


@DIALOGUES
def folding_of_names(stage: Stage) -> None:
    a = stage.connect("a")
    a.query('LISTEN Abc; LISTEN "Abc"; LISTEN É; LISTEN "é"; LISTEN İx; LISTEN \uff21B')
    a.query("SELECT pg_listening_channels()")
    for channel in ("abc", "ABC", '"Abc"', '"ABC"', "É", "é", "İX", "\uff21B", "\uff21b"):
        a.query(f"NOTIFY {channel}, '{channel}'")


@DIALOGUES
def quoted_names(stage: Stage) -> None:
    a = stage.connect("a")
    names = (
        '"a b"',
        '"semi;colon"',
        '"quote""d"',
        '"line\nbreak"',
        '"it\'s"',
        '"$$"',
        '" "',
        '"ünï"',
        '"日本語"',
        '"😀"',
    )
    for name in names:
        a.query(f"LISTEN {name}").query(f"NOTIFY {name}, 'p'")
    a.query("SELECT pg_listening_channels()")


@DIALOGUES
def names_with_unicode_escapes(stage: Stage) -> None:
    a = stage.connect("a")
    a.query(r'LISTEN U&"d\0061t\+000061"').query("NOTIFY data")
    a.query("LISTEN U&\"d!0061T!+01F600\" UESCAPE '!'").query('NOTIFY "daT😀"')
    a.query(r'LISTEN U&"\D83D\DE00"').query('NOTIFY "😀"').query(r'LISTEN U&"back\\slash"').query(
        r'NOTIFY "back\slash"'
    )


@DIALOGUES
def bad_unicode_escapes(stage: Stage) -> None:
    a = stage.connect("a")
    a.query(r'LISTEN U&"\00"').query(r'LISTEN U&"\D83D"').query(r'LISTEN U&"\DE00"').query(r'LISTEN U&"\0000"')
    a.query("LISTEN U&\"x\" UESCAPE 'ab'").query("LISTEN U&\"x\" UESCAPE '+'").query(r"NOTIFY x, U&'\zzzz'")


@DIALOGUES
def keywords_that_name_channels(stage: Stage) -> None:
    a = stage.connect("a")
    for word in ("notify", "listen", "int", "values", "row", "between", "begin", "public", "none", "json", "unlisten"):
        a.query(f"LISTEN {word}; NOTIFY {word}")
    a.query("SELECT pg_listening_channels()")


@DIALOGUES
def keywords_that_name_no_channel(stage: Stage) -> None:
    a = stage.connect("a")
    words = "select table user order all left only default is like collation concurrently verbose binary freeze notnull"
    for word in words.split():
        a.query(f"LISTEN {word}").query(f"NOTIFY {word}, 'p'").query(f"UNLISTEN {word}")


@DIALOGUES
def odd_letters_in_names(stage: Stage) -> None:
    a = stage.connect("a")
    for name in ("_x", "x$1", "x1_", "a\u00a0b", "\u3000", "e\u0301", "\u00e9", "ab\ufeff", "k\u212a"):
        a.query(f"LISTEN {name}").query(f"NOTIFY {name}")
    a.query("SELECT pg_listening_channels()")


@DIALOGUES
def longest_names(stage: Stage) -> None:
    a = stage.connect("a")
    for name in ("n" * 63, "é" * 31 + "x", "日" * 21):
        a.query(f"LISTEN {name}").query(f"SELECT pg_notify('{name}', 'p')").query(f'NOTIFY "{name}"')


@DIALOGUES
def names_too_long_are_cut_with_a_notice(stage: Stage) -> None:
    a = stage.connect("a")
    for name in (
        "N" * 64,
        "n" * 200,
        "é" * 32,
        "x" + "é" * 31 + "y",
        "日" * 22,
        "😀" * 16,
        f'"{"Q" * 70}"',
        f'"q""{"q" * 70}"',
    ):
        a.query(f"LISTEN {name}").query(f"NOTIFY {name}, 'p'").query(f"UNLISTEN {name}")
    a.query(f"LISTEN {'m' * 64}; NOTIFY {'m' * 65}; NOTIFY {'m' * 63}")


@DIALOGUES
def names_too_long_in_the_extended_protocol(stage: Stage) -> None:
    a = stage.connect("a")
    a.run(f"LISTEN {'n' * 64}").sync().run(f"NOTIFY {'n' * 70}, 'p'").sync()
    a.query("BEGIN").query(f"LISTEN {'k' * 64}").query("ROLLBACK")


@DIALOGUES
def long_names_with_unicode_escapes_are_cut_with_a_notice(stage: Stage) -> None:
    a = stage.connect("a")
    a.query('LISTEN U&"' + r"\0061" * 64 + '"').query('LISTEN U&"' + "!00e9" * 40 + "\" UESCAPE '!'")
    a.query(f'LISTEN U&"{"b" * 64}" ; NOTIFY {"b" * 63}')


@DIALOGUES
def payload_literals(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x")
    for literal in (
        "''",
        "'it''s'",
        "'back\\slash'",
        "'new\nline'",
        r"E'tab\tnew\nquote\'\\ \x41 \101 \u00e9 \U0001F600'",
        r"e'lower'",
        r"U&'d\0061t\+01F600'",
        "U&'d!0061' UESCAPE '!'",
        "$$dollar 'quoted'$$",
        "$tag$with $$ in it$tag$",
        "$ü$x$ü$",
        "'joined'\n  ' lines'",
        "'joined' -- comment\n ' over a comment'",
        "'😀 日本語'",
        "'; NOTIFY x, ''injected'''",
    ):
        a.query(f"NOTIFY x, {literal}").query(f"SELECT pg_notify('x', {literal})")


@DIALOGUES
def longest_payloads(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x")
    for payload in ("p" * 7999, "é" * 3999 + "p", "日" * 2666):
        a.query(f"NOTIFY x, '{payload}'").query(f"SELECT pg_notify('x', '{payload}')")
