"""Where the statements of a text stand."""

from __future__ import annotations

import re
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twistnotify.sql import statements as sql
from twistnotify.sql.parse import MAX_STATEMENTS, parse
from twistnotify.sql.pieces import Piece, pieces
from twistnotify.sql.statements import Other, SqlSyntaxError


def shown(text: str) -> list[str]:
    return [text[piece.start : piece.end] for piece in pieces(text)]


@pytest.mark.parametrize(
    "text",
    [
        "NOTIFY a, 'x'",
        'LISTEN "a b"',
        "SELECT ';' -- ;\n, 1",
        "SELECT 1 /* a /* b */ */ + 2",
        "(SELECT 1)",
        "SELECT $$ -- $$",
        "SELECT '/* */'",
        "SELECT '\xe9 -- \u65e5 */'",
        'SELECT 1 AS "-- x */"',
        "SELECT $\xe9$ $\xe0$ -- $\xe9$",
        "SELECT $\xe9$ $Z0000e9$ $\xe9$, 'Z' -- ' Z\n, $Z$ \xe9 */ $Z$",
        "SELECT E'\\\xe9--' AS \xe9E",
        "NOTIFY \ue000, 'x--'",
        "NOTIFY a\xa0",
        "SELECT '--\r--'",
        "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT 2; END",
        "CREATE RULE r AS ON INSERT TO t DO ALSO (NOTIFY b; NOTIFY c)",
        "INSERT INTO t VALUES ('" + "\xe9--" * 1_000 + "')",
    ],
)
@pytest.mark.parametrize(
    ("before", "behind"),
    [
        ("", ""),
        (" \t\r\n\f", " ;"),
        (";; ;", ";\n;"),
        ("/*;*/", "-- x"),
        ("--';\n", " /* x -- */;"),
        ("/*/*/ */\xe9*/--*/\r", "--/*"),
        ("/* NOTIFY a, 'x' */", " /* x /* ' */ \xe9 */ -- \U0001f600Z\x1c"),
        ("/***//**/;", "; /* x */ ; -- ;\xa0"),
    ],
)
def test_a_statement_stands_between_what_is_none(text: str, before: str, behind: str) -> None:
    assert shown(before + text + behind) == [text]
    assert shown(f"LISTEN \xe9{behind}\n;{before}{text}{behind}\n;{before}COMMIT{behind}") == [
        "LISTEN \xe9",
        text,
        "COMMIT",
    ]


def test_a_piece_says_what_its_statement_is() -> None:
    assert pieces("/* \xe9 */ LISTEN \xe9; SELECT now() ;COMMIT") == (
        Piece(8, 16, sql.Listen("\xe9")),
        Piece(18, 30, Other("SELECT")),
        Piece(32, 38, sql.Commit(False)),
    )


@pytest.mark.parametrize("text", ["", " \t", ";;", "-- x", "/* /* ; */ */;", "--" + "x" * 2_000])
def test_a_text_without_statements_has_no_pieces(text: str) -> None:
    assert pieces(text) == ()


@pytest.mark.parametrize(
    "text", ["LISTEN", "BEGIN; LISTEN 'a'", "/* x", "NOTIFY a, 'x\0'", "SELECT '\ud800'", ";" + "SELECT " * 10]
)
def test_what_does_not_parse_has_no_pieces(text: str) -> None:
    with pytest.raises(SqlSyntaxError) as parsed:
        parse(text)
    with pytest.raises(SqlSyntaxError) as pieced:
        pieces(text)
    assert pieced.value.args == parsed.value.args


def test_pieces_have_the_bound_of_statements() -> None:
    assert pieces("SELECT 1;" * MAX_STATEMENTS)[-1].end == 9 * MAX_STATEMENTS - 1
    with pytest.raises(SqlSyntaxError, match="at most 10000 statements"):
        pieces("SELECT 1;" * (MAX_STATEMENTS + 1))


def test_a_deep_statement_has_its_place_too() -> None:
    deep = "SELECT " + "1+" * 100_000 + "1"
    assert shown(f"BEGIN; {deep} /* x */; END") == ["BEGIN", deep, "END"]


STATEMENTS = st.sampled_from(
    [
        *("BEGIN", "COMMIT AND CHAIN", "LISTEN a", "NOTIFY \"\xe9\", '--;'", "SELECT now()", "NOTIFY a\xa0"),
        *("SELECT '\u65e5' /* ; */ , $$;$$", "SET TIME ZONE 'UTC'", "DO $\xe9$BEGIN NOTIFY a; END$\xe9$"),
        *("SELECT $\xe9$'$\xe9$ --;\n, 1", "INSERT INTO t VALUES (E'\\'--', '*/')", "SELECT '" + "\xe9" * 1_000 + "'"),
    ]
)
BLANKS = st.sampled_from(["", " ", "\n", "\t\r\f", "  "])
COMMENTS = st.sampled_from(
    ["/**/", "/* ' ; */", "/*/* \xe9 */-- */", "--\n", "-- \u65e5;'\r", "/* LISTEN a */", "--\x1f\n"]
)
FILLERS = st.lists(BLANKS | COMMENTS, max_size=4).map("".join)
SEMICOLONS = st.lists(FILLERS.map(lambda filler: f"{filler};"), min_size=1, max_size=3).map("".join)
NOTHING = re.compile(r"(?:[ \t\r\n\f;]|--[^\r\n]*[\r\n]|/\*/\*.*?\*/.*?\*/|/\*.*?\*/)*", re.DOTALL)


@settings(deadline=None, max_examples=500)
@given(st.lists(st.tuples(FILLERS, STATEMENTS, FILLERS, SEMICOLONS), max_size=5), FILLERS)
def test_pieces_are_the_statements_and_between_them_is_nothing(rows: list[tuple[str, ...]], end: str) -> None:
    text = "".join(map("".join, rows)) + end
    found = pieces(text)
    assert [text[piece.start : piece.end] for piece in found] == [row[1] for row in rows]
    assert tuple(piece.statement for piece in found) == parse(text)
    edges = [0, *(edge for piece in found for edge in (piece.start, piece.end)), len(text)]
    for start, stop in zip(edges[::2], edges[1::2], strict=True):
        assert NOTHING.fullmatch(text[start:stop])


TOKENS = st.sampled_from(
    [
        *("SELECT ", "LISTEN a", "BEGIN", "1", "+", "'", "E'", "\\", '"', "$$", "$\xe9$", "$Z$", "\xe9", "Z", "\xa0"),
        *(";", "/*", "*/", "--", "\n", "\r", " ", "\v", "\x1c", ",", "(", ")", "U&'", "NOTIFY b", "*", "/"),
    ]
)


@settings(deadline=None, max_examples=1_000)
@given(st.lists(TOKENS, max_size=14).map("".join))
def test_each_piece_of_any_text_is_its_statement_alone(text: str) -> None:
    with suppress(SqlSyntaxError):
        statements = parse(text)
        found = pieces(text)
        assert tuple(piece.statement for piece in found) == statements
        for piece in found:
            assert pieces(text[piece.start : piece.end]) == (Piece(0, piece.end - piece.start, piece.statement),)
