"""Types of parameters, values of parameters, and what Bind refuses, in PostgreSQL's words."""

import pytest
from conversation import (
    SYNC,
    FrontendPacket,
    bind,
    describe_statement,
    execute,
    logged_in,
    parse,
    replies,
    with_encoding,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from twistnotify.session.encodings import client_encoding
from twistnotify.session.failure import SqlError
from twistnotify.session.prepared import UNKNOWN, VARCHAR, Portal, Prepared, parameter_types
from twistnotify.session.results import TEXT
from twistnotify.sql.statements import CallNotify, Listen, Parameter
from twistnotify.wire.extended_query import Bind, Parse

BOTH = "SELECT pg_notify($1, $2)"
INTEGER, BIGINT, BOOLEAN, BYTEA, POINT = 23, 20, 16, 17, 600


def answer(*messages: FrontendPacket) -> list[str]:
    """Return what a new client is told, up to Sync."""
    lines = replies(logged_in().say(*messages, SYNC))
    assert lines[-1] == "Z(I)"
    return lines[:-1]


def types_of(sql: str, *declared: int) -> str:
    return answer(parse(sql, types=declared), describe_statement())[1].removeprefix("ParameterDescription")


def refusal(sql: str, *declared: int) -> str:
    (line,) = answer(parse(sql, types=declared))
    return line


# Types


@pytest.mark.parametrize(
    ("sql", "declared", "types"),
    [
        (BOTH, (), "(25, 25)"),
        (BOTH, (0, 0), "(25, 25)"),
        (BOTH, (UNKNOWN, TEXT), "(25, 25)"),
        (BOTH, (TEXT, VARCHAR), "(25, 1043)"),
        (BOTH, (VARCHAR,), "(1043, 25)"),
        (BOTH, (0, 0, INTEGER), "(25, 25, 23)"),
        ("SELECT pg_notify('a', $1)", (), "(25,)"),
        ("SELECT pg_notify($1, $1)", (), "(25,)"),
        ("LISTEN a", (TEXT,), "(25,)"),
        ("SELECT 1", (INTEGER, POINT), "(23, 600)"),
        ("", (0,), "(0,)"),
    ],
)
def test_parameters_are_of_the_declared_type_or_text(sql: str, declared: tuple[int, ...], types: str) -> None:
    assert types_of(sql, *declared) == types


@pytest.mark.parametrize(
    ("sql", "declared", "number"),
    [("LISTEN a", (0,), 1), ("SELECT pg_notify($1, $3)", (), 2), (BOTH, (0, 0, UNKNOWN), 3)],
)
def test_a_parameter_without_a_type_that_nothing_uses_is_refused(
    sql: str, declared: tuple[int, ...], number: int
) -> None:
    assert refusal(sql, *declared) == f"ERROR 42P18 could not determine data type of parameter ${number}"


def test_a_parameter_of_a_huge_number_costs_nothing() -> None:
    assert refusal("SELECT pg_notify('a', $2000000000)").startswith("ERROR 42P18")


@pytest.mark.parametrize(
    ("sql", "declared", "given"),
    [
        (BOTH, (INTEGER,), "integer, unknown"),
        (BOTH, (INTEGER, TEXT), "integer, text"),
        (BOTH, (VARCHAR, BIGINT), "character varying, bigint"),
        (BOTH, (BOOLEAN, BYTEA), "boolean, bytea"),
        ("SELECT pg_notify($1, 'p')", (INTEGER,), "integer, unknown"),
        ("SELECT pg_notify(NULL, $1)", (POINT,), "unknown, type 600"),
    ],
)
def test_pg_notify_takes_text_only(sql: str, declared: tuple[int, ...], given: str) -> None:
    assert refusal(sql, *declared) == f"ERROR 42883 function pg_notify({given}) does not exist"


declarations = st.lists(st.sampled_from([0, TEXT, VARCHAR, INTEGER, UNKNOWN]), max_size=4)


@settings(deadline=None)
@given(declarations, st.integers(1, 4), st.integers(1, 4))
def test_types_are_found_for_all_parameters_or_for_none(declared: list[int], first: int, second: int) -> None:
    statement = CallNotify(Parameter(first), Parameter(second), "pg_notify")
    given_up = None
    try:
        types = parameter_types(statement, tuple(declared))
    except SqlError as failure:
        given_up = failure.fields.sqlstate
    if given_up is None:
        assert len(types) == max(len(declared), first, second)
        assert {types[first - 1], types[second - 1]} <= {TEXT, VARCHAR}
        assert 0 not in types
    else:
        assert given_up in ("42P18", "42883")


# Numbers and formats


@pytest.mark.parametrize(
    ("message", "error"),
    [
        (bind("a"), 'supplies 1 parameters, but prepared statement "" requires 2'),
        (bind("a", "b", "c"), 'supplies 3 parameters, but prepared statement "" requires 2'),
        (bind("a", "b", formats=(0, 0, 0)), "has 3 parameter formats but 2 parameters"),
        (bind("a", "b", results=(0, 1)), "has 2 result formats but query has 1 columns"),
    ],
)
def test_numbers_that_do_not_fit_are_refused(message: FrontendPacket, error: str) -> None:
    assert answer(parse(BOTH), message) == ["ParseComplete", f"ERROR 08P01 bind message {error}"]


def test_a_mismatch_names_the_statement_in_the_clients_encoding() -> None:
    conversation = with_encoding("LATIN1", "latin-1")
    conversation.say(Parse(b"\xe9", b"LISTEN a", ()))
    assert conversation.say(Bind(b"", b"\xe9", (), (b"a",), ())) == [
        'ERROR 08P01 bind message supplies 1 parameters, but prepared statement "é" requires 0'
    ]


@pytest.mark.parametrize(
    "message", [bind("a", "b", formats=(2,)), bind(None, None, formats=(0, -1)), bind("a", "b", results=(2,))]
)
def test_formats_are_text_and_binary(message: FrontendPacket) -> None:
    assert answer(parse(BOTH), message)[1].startswith("ERROR 22023 unsupported format code: ")


def test_formats_of_what_is_not_there_are_not_looked_at() -> None:
    message = bind(formats=(2,), results=(7, 8))
    assert answer(parse("LISTEN a"), message, execute()) == ["ParseComplete", "BindComplete", "C(LISTEN)"]


# Values


@pytest.mark.parametrize("formats", [(), (0,), (1,), (0, 1), (1, 0)])
@pytest.mark.parametrize("declared", [(), (VARCHAR, VARCHAR)])
def test_text_is_the_same_in_both_formats(formats: tuple[int, ...], declared: tuple[int, ...]) -> None:
    conversation = logged_in()
    conversation.say(parse(BOTH, types=declared), bind("a b", "it's é", formats=formats), execute())
    assert "commit NOTIFY a b it's é" in conversation.say(SYNC)


def test_null_is_an_empty_text_to_pg_notify() -> None:
    conversation = logged_in()
    conversation.say(parse(BOTH), bind("a", None), execute())
    assert conversation.say(SYNC)[0] == "commit NOTIFY a"
    assert "ERROR 22023 channel name cannot be empty" in answer(parse(BOTH), bind(None, "p"), execute())


def test_one_parameter_may_stand_in_both_places() -> None:
    conversation = logged_in()
    conversation.say(parse("SELECT pg_notify($1, $1)"), bind("x"), execute())
    assert conversation.say(SYNC)[0] == "commit NOTIFY x x"


@pytest.mark.parametrize("formats", [(), (1,)])
@pytest.mark.parametrize(("value", "shown"), [(b"a\xff", "0xff"), (b"\xc3", "0xc3"), (b"a\0b", "0x00")])
def test_values_that_are_not_in_the_clients_encoding_are_refused(
    formats: tuple[int, ...], value: bytes, shown: str
) -> None:
    assert answer(parse(BOTH), bind(value, "p", formats=formats))[1] == (
        f'ERROR 22021 invalid byte sequence for encoding "UTF8": {shown}'
    )


def test_values_are_read_in_the_clients_encoding() -> None:
    conversation = with_encoding("LATIN1", "latin-1")
    conversation.say(parse(BOTH), bind(b"a", b"\xe9"), execute())
    assert conversation.say(SYNC)[0] == "commit NOTIFY a é"


def test_values_of_declared_types_that_nothing_uses_are_not_read() -> None:
    message = bind(b"\xff\0", b"\xff")
    assert answer(parse("LISTEN a", types=(INTEGER, BYTEA)), message)[1] == "BindComplete"


def test_values_of_a_statement_without_a_use_for_them_are_read_where_they_are_text() -> None:
    assert answer(parse("LISTEN a", types=(TEXT,)), bind(b"\xff"))[1].startswith("ERROR 22021")


# The values themselves


def test_a_portal_that_has_failed_has_run_and_has_nothing_to_return() -> None:
    portal = Portal(Prepared(Listen("a"), ()), (), 0, rows=(1, 2))
    portal.fail()
    assert (portal.has_run, portal.rows) == (True, None)


def test_an_empty_statement_has_no_column() -> None:
    assert Prepared(None, ()).column is None


def test_encodings_are_shared() -> None:
    assert client_encoding("UTF8") is client_encoding("UTF8")
