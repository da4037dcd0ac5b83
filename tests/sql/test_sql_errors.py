"""Syntax errors as PostgreSQL words and places them, and bounds."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twistnotify.sql.parse import MAX_STATEMENTS, parse
from twistnotify.sql.runs import LONGEST_RUN, has_long_run
from twistnotify.sql.statements import Listen, Notify, Other, SqlSyntaxError

# Message, SQLSTATE and position are those of a PostgreSQL 15 server, but for the last three rows.
ERRORS = [
    ("LISTEN", "syntax error at end of input", "42601", 7),
    ("NOTIFY ", "syntax error at end of input", "42601", 8),
    ("UNLISTEN;", 'syntax error at or near ";"', "42601", 9),
    ("LISTEN select", 'syntax error at or near "select"', "42601", 8),
    ('LISTEN ""', 'zero-length delimited identifier at or near """"', "42601", 8),
    ("LISTEN *", 'syntax error at or near "*"', "42601", 8),
    ("LISTEN a.b", 'syntax error at or near "."', "42601", 9),
    ("LISTEN 'a'", "syntax error at or near \"'a'\"", "42601", 8),
    ("NOTIFY a, 1", 'syntax error at or near "1"', "42601", 11),
    ("NOTIFY a, NULL", 'syntax error at or near "NULL"', "42601", 11),
    ("NOTIFY a, $1", 'syntax error at or near "$1"', "42601", 11),
    ("NOTIFY a, ('x')", 'syntax error at or near "("', "42601", 11),
    ("NOTIFY a, 'x'::text", 'syntax error at or near "::"', "42601", 14),
    ("NOTIFY a, N'x'", 'syntax error at or near "N"', "42601", 11),
    ("NOTIFY a, 'x' 'y'", "syntax error at or near \"'y'\"", "42601", 15),
    ("NOTIFY a, 'x", 'unterminated quoted string at or near "\'x"', "42601", 11),
    ("PREPARE p AS NOTIFY a", 'syntax error at or near "NOTIFY"', "42601", 14),
    ("SELECT 1; LISTEN table; SELECT", 'syntax error at or near "table"', "42601", 18),
    ("/* x", 'unterminated /* comment at or near "/* x"', "42601", 1),
    # Positions are characters, also behind and inside of characters of many bytes.
    ("select '\xe9' from from", 'syntax error at or near "from"', "42601", 17),
    ("/* \U0001f600 */ '\xe9", 'unterminated quoted string at or near "\'\xe9"', "42601", 9),
    ("\xe9 \xe9", 'syntax error at or near "\xe9"', "42601", 1),
    ("select '\xe9\u65e5\U0001f600' (", 'syntax error at or near "("', "42601", 14),
    ("select (\xe9 \n ", "syntax error at end of input", "42601", 13),
    (
        'LISTEN U&"\xe9" UESCAPE',
        "UESCAPE must be followed by a simple string literal at end of input",
        "42601",
        21,
    ),
    ("NOTIFY \xe9, U&'\xe9\\d800x'", "invalid Unicode surrogate pair", "42601", 20),
    ("NOTIFY \xe9, E'\\xff'", 'invalid byte sequence for encoding "UTF8": 0xff', "22021", None),
    ("NOTIFY \xe9, E'\\000'", 'invalid byte sequence for encoding "UTF8": 0x00', "22021", None),
    ("select '\xe9', 'a'::float(0)", "precision for type float must be at least 1 bit", "22023", 24),
    ("LISTEN a\xa0b\xa0 \xa0; SELECT 1", 'syntax error at or near "\xa0"', "42601", 13),
    # The message ends in the middle of a character.
    ("NOTIFY a, E'\\ud800\xe9'", 'invalid Unicode surrogate pair at or near "\ufffd"', "42601", None),
    # What UTF-8 and C strings cannot hold.
    ("NOTIFY a, 'x\ud800'", 'invalid byte sequence for encoding "UTF8": 0xed 0xa0 0x80', "22021", None),
    ("NOTIFY a, 'x\0'", 'invalid byte sequence for encoding "UTF8": 0x00', "22021", None),
]


@pytest.mark.parametrize(("text", "message", "sqlstate", "position"), ERRORS)
def test_an_error_has_postgresqls_words_and_place(text: str, message: str, sqlstate: str, position: int | None) -> None:
    with pytest.raises(SqlSyntaxError) as caught:
        parse(text)
    assert (caught.value.message, caught.value.sqlstate, caught.value.position) == (
        message,
        sqlstate,
        position,
    )
    assert str(caught.value) == message


@pytest.mark.parametrize("text", ["LISTEN a; LISTEN select", "LISTEN \xe9\xa0; LISTEN \xa0 \xa0", "SELECT 1; ("])
def test_an_error_is_placed_alike_in_a_long_text(text: str) -> None:
    with pytest.raises(SqlSyntaxError) as short:
        parse(text)
    comment = f"/*{'x' * 1_100}\xa0*/"
    with pytest.raises(SqlSyntaxError) as long:
        parse(comment + text)
    assert long.value.message == short.value.message
    assert long.value.position == (short.value.position or 0) + len(comment)


def test_a_text_has_a_bound_of_statements() -> None:
    assert parse("SELECT 1;" * MAX_STATEMENTS)[-1] != Other("SELECT")
    with pytest.raises(SqlSyntaxError, match="at most 10000 statements") as caught:
        parse("SELECT 1;" * (MAX_STATEMENTS + 1))
    assert caught.value.sqlstate == "54000"
    assert caught.value.position is None


@pytest.mark.parametrize("text", ["(" * 100_000, "SELECT " + "NOT " * 100_000, "SELECT " + "f(" * 100_000])
def test_open_ends_without_end_are_refused(text: str) -> None:
    with pytest.raises(SqlSyntaxError, match="memory exhausted") as caught:
        parse(text)
    assert caught.value.sqlstate == "42601"


@pytest.mark.parametrize(
    "text",
    [
        "SELECT " + "1+" * 100_000 + "1",
        "SELECT 1" + "::text" * 100_000,
        "SELECT 1" + " UNION SELECT 1" * 100_000,
        "SELECT 1 FROM a" + " JOIN b ON true" * 100_000,
        "SELECT " + "(" * 4_900 + "1" + ")" * 4_900,
        "PREPARE p AS SELECT " + "1+" * 100_000 + "1",
        "PREPARE p AS SELECT " + "1+" * 10_000 + "1",
        # Unlike dollar tags must not hide what lies between them.
        "SELECT pg_notify('a', $\xe9$ $\xe0$ $\xe9$" + "||'x'" * 6_000 + "||$\xe0$ $\xe0$)",
    ],
)
def test_a_deep_statement_neither_crashes_nor_takes_long(text: str) -> None:
    assert parse(text) == (Other(text.split()[0]),)
    assert parse(f"BEGIN; {text}")[1] == Other(text.split()[0])


@pytest.mark.parametrize(
    "text",
    [
        "/*" * 500_000,
        "SELECT " + "+" * 500_000 + "1",
        "/* ' */" + "SELECT " + "+" * 500_000 + "/* ' */",
        "/" + "*" * 500_000 + "/",
        "/* /* ' */ */ SELECT 1 " + "/*" * 500_000,
        "SELECT e'\\'', $a$'$a$, \"'\", $1, a$b$" + "-+" * 500_000,
        "/* " + "/*" * 500_000,
    ],
)
def test_a_run_of_operators_is_refused_before_it_takes_long(text: str) -> None:
    started = time.perf_counter()
    with pytest.raises(SqlSyntaxError, match="too many operator characters") as caught:
        parse(text)
    assert caught.value.sqlstate == "54001"
    assert time.perf_counter() - started < 5


RUN = "/" * 200_000


@pytest.mark.parametrize(
    "text",
    [
        f"INSERT INTO t VALUES ('{RUN}')",
        f"INSERT INTO t VALUES (E'\\'{RUN}')",
        f"INSERT INTO t VALUES ('a''{RUN}''', 1, $1, a$b)",
        f"INSERT INTO t VALUES ($${RUN}$$, \xe9, $\xe9$' {RUN}$\xe9$)",
        f'INSERT INTO "{RUN}" VALUES (1)',
        f"--{RUN}\nINSERT INTO t VALUES (1)",
        f"/* ' /* */ $$ */ INSERT INTO t VALUES (1 + 2, '{RUN}')",
        "INSERT INTO t VALUES (1) /*" + "=" * 900 + "*/ --" + RUN,
    ],
)
def test_a_run_of_operators_in_a_literal_costs_nothing_and_is_allowed(text: str) -> None:
    assert parse(text) == (Other("INSERT"),)


@pytest.mark.parametrize("opening", ["'", "E'", '"', "$a$", "/* ' "])
def test_a_run_in_an_unterminated_literal_is_the_grammars_to_refuse(opening: str) -> None:
    with pytest.raises(SqlSyntaxError, match="unterminated"):
        parse(f"SELECT {opening} {'=' * 2_000}")


def test_a_run_may_be_exactly_as_long_as_the_bound() -> None:
    assert not has_long_run("SELECT 1 " + "+" * LONGEST_RUN)
    assert has_long_run("SELECT 1 " + "+" * (LONGEST_RUN + 1))


PIECES = st.sampled_from(
    [
        *("LISTEN ", "notify ", "UNLISTEN", "SELECT ", "pg_notify", "DO ", "BEGIN ", "END", "UESCAPE "),
        *("SET twistnotify.listen_ack ", "a", "\xe9", "\xa0", "\ue000", "\ud800", "1", "$1", "x" * 60),
        *(
            '"',
            "'",
            "$$",
            "$\xe9$",
            "E'",
            "U&'",
            'U&"',
            "\\",
            "\\d800",
            "\\xff",
            "(",
            ")",
            ",",
            ";",
            "::text",
        ),
        *("*", "/*", "*/", "--", " ", "\n", "\f", "\v", "\x1c", "+" * 1_100, " " * 1_100),
    ]
)


@settings(deadline=None, max_examples=400)
@given(st.lists(PIECES, max_size=12).map("".join) | st.text(max_size=50))
def test_garbage_gives_statements_or_a_syntax_error_and_nothing_else(text: str) -> None:
    caught = None
    try:
        statements = parse(text)
    except SqlSyntaxError as error:
        statements, caught = (), error
    assert all(s.channel for s in statements if isinstance(s, Listen | Notify))
    if caught:
        assert caught.position is None or 1 <= caught.position <= len(text) + 1
        assert len(caught.sqlstate) == 5
