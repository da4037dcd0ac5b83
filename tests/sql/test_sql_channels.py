"""LISTEN, UNLISTEN and NOTIFY in all their costumes."""

import pytest

from twistnotify.sql.parse import parse
from twistnotify.sql.statements import Listen, Notify, SqlSyntaxError, Unlisten

E_ACUTE = "\N{LATIN SMALL LETTER E WITH ACUTE}"

LISTENS = [
    ("LISTEN a", "a"),
    ("listen A", "a"),
    ("LiStEn A_b1", "a_b1"),
    ("LISTEN a$b", "a$b"),
    ('LISTEN "A b;c"', "A b;c"),
    ('LISTEN"a"', "a"),
    ('LISTEN "a""b"', 'a"b'),
    ('LISTEN "a\nb"', "a\nb"),
    ('LISTEN "select"', "select"),
    ('LISTEN "*"', "*"),
    ("LISTEN/**/a", "a"),
    ("LISTEN -- b\n a -- c", "a"),
    ("/* x /* y */ z */ LISTEN a;", "a"),
    (" \t\r\n\fLISTEN\f\n\ta\r ; ", "a"),
    ("LISTEN a;;;", "a"),
    (";;LISTEN a", "a"),
    ("LISTEN \xc9", "\xc9"),
    ("LISTEN a\xa0", "a\xa0"),
    ("LISTEN \u65e5\u672c\u8a9e", "\u65e5\u672c\u8a9e"),
    ('LISTEN U&"d\\0061t\\+000061"', "data"),
    ("LISTEN u&\"d!0061ta!!\" UESCAPE '!'", "data!"),
    ('LISTEN U&"\\D83D\\DE00"', "\U0001f600"),
    ("LISTEN notify", "notify"),
    ("LISTEN listen", "listen"),
    ("LISTEN int", "int"),
    ("LISTEN values", "values"),
    ("LISTEN between", "between"),
    ("LISTEN public", "public"),
    ("LISTEN none", "none"),
    ("LISTEN json", "json"),
]


@pytest.mark.parametrize(("text", "channel"), LISTENS)
def test_listen_names_its_channel(text: str, channel: str) -> None:
    assert parse(text) == (Listen(channel),)


@pytest.mark.parametrize(("text", "channel"), LISTENS)
def test_unlisten_names_its_channel_the_same_way(text: str, channel: str) -> None:
    text = text.replace("LISTEN", "UNLISTEN", 1).replace("listen", "UNLISTEN", 1).replace("LiStEn", "UNLISTEN")
    if channel == "listen":
        text = "UNLISTEN listen"
    assert parse(text) == (Unlisten(channel),)


@pytest.mark.parametrize("text", ["UNLISTEN *", "unlisten*;", "UNLISTEN /* all */ *"])
def test_unlisten_star_means_all(text: str) -> None:
    assert parse(text) == (Unlisten(None),)


@pytest.mark.parametrize(
    ("text", "channel", "payload"),
    [
        ("NOTIFY a", "a", ""),
        ("NOTIFY a, ''", "a", ""),
        ("notify A , 'x' ;", "a", "x"),
        ("NOTIFY\na,\n'x'", "a", "x"),
        ("NOTIFY a,'it''s'", "a", "it's"),
        ("NOTIFY a, 'back\\slash'", "a", "back\\slash"),
        (r"NOTIFY a, E'l\n\x41\u00e9\'q'", "a", "l\nA\xe9'q"),
        (r"NOTIFY a, U&'\0061!\+000062'", "a", "a!b"),
        ("NOTIFY a, U&'!0061' UESCAPE '!'", "a", "a"),
        ("NOTIFY a, $$it's$$", "a", "it's"),
        ("NOTIFY a, $tag$a $$ b$tag$", "a", "a $$ b"),
        ("NOTIFY a, $\xe9$x$\xe9$", "a", "x"),
        ("NOTIFY a, 'x'\n  'y'", "a", "xy"),
        ("NOTIFY a, 'x' -- c\n 'y'", "a", "xy"),
        ("NOTIFY a, '\n;--/*'", "a", "\n;--/*"),
        ("NOTIFY a, '\xe9\u65e5\U0001f600\xa0'", "a", "\xe9\u65e5\U0001f600\xa0"),
        ("NOTIFY \"a.B\", 'x'", "a.B", "x"),
        ("/* c */ NOTIFY a /* d */, /* e */ 'x' -- f", "a", "x"),
    ],
)
def test_notify_has_a_channel_and_a_payload(text: str, channel: str, payload: str) -> None:
    assert parse(text) == (Notify(channel, payload),)


def test_a_long_payload_is_not_judged_here() -> None:
    assert parse("NOTIFY a, '" + "x" * 9_000 + "'") == (Notify("a", "x" * 9_000),)
    assert parse("NOTIFY a, '" + "''" * 9_000 + "'") == (Notify("a", "'" * 9_000),)


@pytest.mark.parametrize(
    ("written", "full", "kept"),
    [
        ("a" * 64, "a" * 64, "a" * 63),
        ("A" * 70, "a" * 70, "a" * 63),
        ('"' + "A" * 64 + '"', "A" * 64, "A" * 63),
        ('"' + '""' * 64 + '"', '"' * 64, '"' * 63),
        ("/* b */" + "a" * 64 + "-- c\n", "a" * 64, "a" * 63),
        # Cut at the boundary of a character of two, three and four bytes.
        (E_ACUTE * 32, E_ACUTE * 32, E_ACUTE * 31),
        ("A" + E_ACUTE * 31 + "B", "a" + E_ACUTE * 31 + "b", "a" + E_ACUTE * 31),
        ("\u65e5" * 22, "\u65e5" * 22, "\u65e5" * 21),
        ("\U0001f600" * 16, "\U0001f600" * 16, "\U0001f600" * 15),
        ('U&"\\0041' + "b" * 63 + '"', "A" + "b" * 63, "A" + "b" * 62),
        (
            'U&"!00e9' + "b'" * 31 + '!!""" /* c */ UESCAPE /* d */ \'!\'',
            "\xe9" + "b'" * 31 + '!"',
            "\xe9" + "b'" * 30 + "b",
        ),
    ],
)
def test_a_name_over_63_bytes_is_truncated_and_kept_in_full(written: str, full: str, kept: str) -> None:
    assert parse(f"LISTEN {written}") == (Listen(kept, full),)
    assert parse(f"UNLISTEN {written};") == (Unlisten(kept, full),)
    assert parse(f"NOTIFY {written}, 'x'") == (Notify(kept, "x", full),)
    assert parse(f"BEGIN; LISTEN {written}")[1] == Listen(kept, full)


@pytest.mark.parametrize(
    "name",
    ["a" * 60, "a" * 63, "a" + E_ACUTE * 31, "\u65e5" * 21, "\U0001f600" * 15, "a" * 62 + '"', " " * 63],
)
def test_a_name_of_up_to_63_bytes_is_whole(name: str) -> None:
    quoted = name.replace('"', '""')
    assert parse(f'LISTEN "{quoted}"') == (Listen(name),)
    assert parse(f'UNLISTEN U&"{quoted}"') == (Unlisten(name),)


@pytest.mark.parametrize("verb", ["LISTEN", "UNLISTEN", "NOTIFY"])
@pytest.mark.parametrize(
    "word",
    [
        *("select", "table", "user", "order", "all", "default", "system_user"),
        *("left", "is", "like", "collation", "concurrently", "verbose", "binary", "freeze", "notnull"),
    ],
)
def test_a_reserved_word_is_no_channel(verb: str, word: str) -> None:
    with pytest.raises(SqlSyntaxError) as caught:
        parse(f"{verb} {word.upper()}")
    assert caught.value.message == f'syntax error at or near "{word.upper()}"'
    assert caught.value.position == len(verb) + 2
