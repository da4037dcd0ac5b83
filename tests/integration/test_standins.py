"""A stand-in answers as the statement whose place it takes, of which PostgreSQL itself is the judge."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.postgres import PostgresServer
from support.raw import RawClient

from twistnotify.sql import standins
from twistnotify.sql.statements import Argument, Listen, Notify, Parameter, Unlisten
from twistnotify.wire.catalog import BackendMessage
from twistnotify.wire.errors import ErrorFields, ErrorResponse
from twistnotify.wire.extended_query import STATEMENT, Bind, Describe, Execute, ParameterDescription, Parse, Sync
from twistnotify.wire.notification import NotificationResponse
from twistnotify.wire.simple_query import CommandComplete, RowDescription

STAND_IN = standins.unlisten_statement("twistnotify_gap")
TEXT, VARCHAR, INT4 = 25, 1043, 23
LONG_CHANNEL, LONG_PAYLOAD = "x" * 64, "x" * 8000
EDGE_CHANNEL, EDGE_PAYLOAD = "x" * 63, "x" * 7999
ARGUMENTS: list[tuple[str | None, str | None]] = [
    ("a", "b"),
    ("a", None),
    ("a", ""),
    (EDGE_CHANNEL, EDGE_PAYLOAD),
    ("it's; \"", "it's; --"),
    ("", "b"),
    (None, "b"),
    (LONG_CHANNEL, "b"),
    ("é" * 32, "b"),
    ("a", LONG_PAYLOAD),
    ("a", "é" * 4000),
    (None, LONG_PAYLOAD),
    (LONG_CHANNEL, LONG_PAYLOAD),
]


@pytest.fixture
def client(postgres: PostgresServer) -> Iterator[RawClient]:
    """A client of PostgreSQL itself."""
    with RawClient(postgres.port) as client:
        yield client


def kind_of(message: BackendMessage) -> object:
    """Return what of a message has to be the same: not what it says in words, but what drivers look at."""
    match message:
        case CommandComplete(tag):
            return ("tag", "command" if tag in ("LISTEN", "UNLISTEN", "NOTIFY") else tag)
        case ErrorResponse(ErrorFields(severity, sqlstate, text)):
            return severity, sqlstate, text
        case NotificationResponse():
            return None
    return message


def kinds(messages: list[BackendMessage]) -> list[object]:
    return [kind for kind in map(kind_of, messages) if kind is not None]


def prepared(client: RawClient, sql: str, values: tuple[bytes | None, ...], types: tuple[int, ...]) -> list[object]:
    """Run a statement from Parse to Sync, described on the way; return the kinds of all answers."""
    client.send(
        Parse(b"", sql.encode(), types),
        Describe(STATEMENT, b""),
        Bind(b"", b"", (), values, ()),
        Execute(b"", 0),
        Sync(),
    )
    return kinds(client.until_ready())


def literal(text: str | None) -> str:
    return "NULL" if text is None else "'" + text.replace("'", "''") + "'"


# LISTEN and NOTIFY


@pytest.mark.parametrize("sql", ["LISTEN a", "NOTIFY a, 'b'", "UNLISTEN a"])
def test_unlisten_stands_for_what_has_no_rows(client: RawClient, sql: str) -> None:
    assert kinds(client.query(STAND_IN)) == kinds(client.query(sql))
    assert prepared(client, STAND_IN, (), ()) == prepared(client, sql, (), ())


@pytest.mark.parametrize("sql", ["LISTEN a", "NOTIFY a, 'b'"])
def test_in_a_failed_block_both_are_refused(client: RawClient, sql: str) -> None:
    client.query("BEGIN; SELECT 1/0")
    assert kinds(client.query(STAND_IN)) == kinds(client.query(sql))
    client.query("ROLLBACK")


def test_a_transaction_with_a_stand_in_cannot_be_prepared_either(client: RawClient) -> None:
    answers = [client.query(f"BEGIN; {sql}; PREPARE TRANSACTION 'x'") for sql in ("LISTEN a", STAND_IN)]
    client.query("ROLLBACK")
    assert kinds(answers[0])[-2:] == kinds(answers[1])[-2:]


# pg_notify()


@pytest.mark.parametrize(("channel", "payload"), ARGUMENTS)
def test_a_checked_pg_notify_answers_as_pg_notify_does(
    client: RawClient, channel: str | None, payload: str | None
) -> None:
    original = f"SELECT pg_notify({literal(channel)}, {literal(payload)}) AS done"
    stand_in = standins.select_checked_notify(channel, payload, "done")
    assert kinds(client.query(stand_in)) == kinds(client.query(original))


@pytest.mark.parametrize(("channel", "payload"), ARGUMENTS)
@pytest.mark.parametrize("types", [(), (TEXT, TEXT), (VARCHAR, 0)])
def test_so_it_does_with_parameters(
    client: RawClient, channel: str | None, payload: str | None, types: tuple[int, ...]
) -> None:
    stand_in = standins.select_checked_notify(Parameter(1), Parameter(2), "pg_notify")
    values = tuple(None if each is None else each.encode() for each in (channel, payload))
    assert prepared(client, stand_in, values, types) == prepared(client, "SELECT pg_notify($1, $2)", values, types)


@pytest.mark.parametrize(
    ("arguments", "original"),
    [
        ((Parameter(2), Parameter(1)), "SELECT pg_notify($2, $1)"),
        ((Parameter(1), Parameter(1)), "SELECT pg_notify($1, $1)"),
        (("a", Parameter(1)), "SELECT pg_notify('a', $1)"),
        ((Parameter(1), None), "SELECT pg_notify($1, NULL)"),
    ],
)
def test_parameters_may_stand_anywhere(client: RawClient, arguments: tuple[Argument, Argument], original: str) -> None:
    values = (b"x",) * len({each for each in arguments if isinstance(each, Parameter)})
    stand_in = standins.select_checked_notify(*arguments, "pg_notify")
    assert prepared(client, stand_in, values, ()) == prepared(client, original, values, ())


@pytest.mark.parametrize("types", [(INT4, TEXT), (TEXT, INT4)])
def test_parameters_of_other_types_are_refused_alike(client: RawClient, types: tuple[int, ...]) -> None:
    stand_in = standins.select_checked_notify(Parameter(1), Parameter(2), "pg_notify")
    refusals = [prepared(client, sql, (b"1", b"2"), types) for sql in (stand_in, "SELECT pg_notify($1, $2)")]
    # The name that is not found has its schema in the one and not in the other.
    assert [repr(each).replace("pg_catalog.", "") for each in refusals] == [repr(refusals[1])] * 2


def test_a_checked_pg_notify_notifies_nobody(client: RawClient) -> None:
    client.query("LISTEN a")
    answer = client.query(standins.select_checked_notify("a", "b", "c"))
    assert not any(isinstance(message, NotificationResponse) for message in answer)


# Values


@pytest.mark.parametrize(
    ("stand_in", "original"),
    [
        (standins.select_int4(2**31 - 1, "pid"), "SELECT 2147483647 AS pid"),
        (standins.select_true("done"), "SELECT pg_cancel_backend(pg_backend_pid()) IS NOT NULL AS done"),
        (standins.select_texts([], "pg_listening_channels"), "SELECT pg_listening_channels()"),
        (standins.select_texts(["a", "it's"], "c"), "SELECT pg_listening_channels() AS c"),
        (standins.select_text("UTC", "TimeZone"), "SHOW TimeZone"),
    ],
)
def test_a_select_of_a_value_is_described_as_what_it_stands_for(
    client: RawClient, stand_in: str, original: str
) -> None:
    client.query("SET TimeZone = 'UTC'; SET statement_timeout = 0")
    described = [message for sql in (stand_in, original) for message in described_as(client, sql)]
    assert described[: len(described) // 2] == described[len(described) // 2 :]


def described_as(client: RawClient, sql: str) -> list[BackendMessage]:
    client.send(Parse(b"", sql.encode(), ()), Describe(STATEMENT, b""), Sync())
    wanted = (RowDescription, ParameterDescription)
    found = [message for message in client.until_ready() if isinstance(message, wanted)]
    assert len(found) == 2
    return found


def test_texts_come_one_a_row_in_their_order(client: RawClient) -> None:
    client.query('LISTEN a; LISTEN "it\'s"; LISTEN "日本"')
    stand_in = standins.select_texts(["a", "it's", "日本"], "pg_listening_channels")
    assert sorted(map(repr, kinds(client.query(stand_in)))) == sorted(
        map(repr, kinds(client.query("SELECT pg_listening_channels()")))
    )


# Errors and blocks


@pytest.mark.parametrize("sqlstate", ["42501", "0A000", "53400", "22023"])
def test_an_error_is_raised_with_its_fields(client: RawClient, sqlstate: str) -> None:
    answer = client.query(standins.raise_error(sqlstate, "it's 100% so", "hint's"))
    (error,) = (message.fields for message in answer if isinstance(message, ErrorResponse))
    assert (error.severity, error.sqlstate, error.message, error.hint) == ("ERROR", sqlstate, "it's 100% so", "hint's")
    assert error.position is None


def test_an_error_without_a_hint_has_none(client: RawClient) -> None:
    (error, _) = client.query(standins.raise_error("53400", "no"))
    assert isinstance(error, ErrorResponse)
    assert error.fields.hint is None


def test_a_block_does_what_is_not_stood_for(client: RawClient) -> None:
    client.query('LISTEN b; LISTEN "it\'s"')
    inner: list[tuple[Listen | Unlisten | Notify, str | None]] = [
        (Listen("a"), STAND_IN),
        (Notify("it's", "x'"), None),
        (Notify("b", "y"), STAND_IN),
        (Unlisten("b"), None),
    ]
    answer = client.query(standins.do_statements(inner))
    assert [kind for kind in kinds(answer) if isinstance(kind, tuple)] == [("tag", "DO")]
    heard = [(each.channel, each.payload) for each in answer if isinstance(each, NotificationResponse)]
    assert heard == [("it's", "x'")]
    assert (
        kinds(client.query("SELECT pg_listening_channels()"))[1:-2]
        == kinds(client.query(standins.select_texts(["it's"], "pg_listening_channels")))[1:-2]
    )


def test_nobody_can_put_other_functions_in_the_place_of_these(client: RawClient) -> None:
    client.query(
        "CREATE SCHEMA IF NOT EXISTS evil; CREATE OR REPLACE FUNCTION evil.octet_length(text) RETURNS int"
        " LANGUAGE sql AS 'SELECT 0'; SET search_path = evil, pg_catalog"
    )
    answer = client.query(standins.select_checked_notify("a", "b", "c"))
    client.query("RESET search_path; DROP SCHEMA evil CASCADE")
    assert ("tag", "SELECT 1") in kinds(answer)
