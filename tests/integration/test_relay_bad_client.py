"""Whatever an attached client sends, it gets PostgreSQL's answer or a clear end, and nobody else notices."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from contextlib import suppress

import pytest
from support.clients import hear, listen, run
from support.fixtures import StartServer
from support.postgres import PostgresServer
from support.process import TwistnotifyProcess
from support.raw import RawClient, error_of, names
from support.relaying import MB, backend_of, rows, steady, wait_for_upstreams

from twistnotify.wire.catalog import BackendMessage
from twistnotify.wire.errors import ErrorResponse
from twistnotify.wire.extended_query import Bind, Close, Describe, Execute, Parse, Sync
from twistnotify.wire.simple_query import Query

SEED = 20_261_122
GOES_ON = Query(b"SELECT 'goes on'")
NOTIFIER = Parse(b"n", b"SELECT pg_notify($1, $2)", (25, 25))


def message(type_: str, body: bytes, length: int | None = None) -> bytes:
    """Return a message with the length that it announces."""
    return type_.encode() + struct.pack(">I", len(body) + 4 if length is None else length) + body


@pytest.fixture(autouse=True)
def _undisturbed(server: TwistnotifyProcess) -> Iterator[None]:
    """A listener and an attached client that have to be there, and to hear, when the test is over."""
    listener = listen(server.connect(), "undisturbed")
    with RawClient(server.port) as attached:
        pid = backend_of(attached)
        yield
        assert backend_of(attached) == pid
        attached.query("NOTIFY undisturbed, 'x'")
    assert hear(listener) == [("undisturbed", "x")]


@pytest.fixture(params=["attached", "with statements"])
def client(request: pytest.FixtureRequest, server: TwistnotifyProcess) -> Iterator[RawClient]:
    """A client, and one whose messages are read closely, since it has statements that are served here."""
    with RawClient(server.port) as raw:
        backend_of(raw)
        if request.param == "with statements":
            raw.send(Parse(b"l", b"LISTEN news", ()), Sync())
            raw.until_ready()
        yield raw


def told(messages: list[BackendMessage]) -> list[object]:
    """Return what an answer says, without where in PostgreSQL's source it was said."""
    return [
        (each.fields.severity, each.fields.sqlstate, each.fields.message) if isinstance(each, ErrorResponse) else name
        for each, name in zip(messages, names(messages), strict=True)
    ]


@pytest.mark.parametrize(
    "malformed",
    [
        message("B", b""),
        message("B", b"\0\0"),
        message("B", b"\0n\0\0\0\0\1\0\0\0\1"),
        message("B", b"\0n\0\0\0\0\2\0\0\0\1"),
        message("B", b"\0n\0\0\0\0\2\0\0\0\1a\x7f\xff\xff\xffb\0\0"),
        message("B", b"\0n\0\0\0\xff\xff"),
        message("P", b""),
        message("P", b"name"),
        message("P", b"name\0SELECT 2"),
        message("P", b"name\0SELECT 2\0\0\1"),
        message("P", b"name\0LISTEN news\0\xff\xff"),
        message("P", b"name\0LISTEN news\0\0\0more"),
        message("D", b""),
        message("D", b"S"),
        message("D", b"Xname\0"),
        message("D", b"Pnothing\0"),
        message("D", b"Snothing\0"),
        message("E", b""),
        message("E", b"nothing\0\0\0\0\0"),
        message("E", b"nothing\0"),
        message("C", b"Xname\0"),
        message("C", b"S"),
        Bind(b"", b"nothing", (), (), ()).encode(),
        Bind(b"nothing", b"", (), (), ()).encode(),
        Close(b"P", b"nothing").encode(),
        Parse(b"", b"SELEC 2", ()).encode(),
        Parse(b"", b"LISTEN news; SELECT 2", ()).encode(),
        Parse(b"", b"SELECT '\xff'", ()).encode(),
        message("H", b"more"),
        message("S", b"more"),
        message("F", b"\0\0"),
        message("F", b"\0\0\0\1\0\0\0\0\0\0"),
    ],
    ids=repr,
)
def test_a_malformed_message_is_answered_as_by_postgresql(
    client: RawClient, postgres: PostgresServer, malformed: bytes
) -> None:
    with RawClient(postgres.port) as direct:
        for raw in (client, direct):
            raw.send(NOTIFIER, Sync())
            raw.until_ready()
            raw.send(malformed, Sync(), GOES_ON)
        ours, theirs = answers_of(client), answers_of(direct)
        assert ours == theirs


def answers_of(client: RawClient) -> list[object]:
    """Return all answers up to the row that says that it goes on."""
    messages: list[BackendMessage] = []
    while rows(messages) != [("goes on",)]:
        messages += client.until_ready()
    return told(messages)


@pytest.mark.parametrize("type_", ["?", "p", "\0", "A", "W"])
def test_an_unknown_message_is_fatal(client: RawClient, type_: str) -> None:
    client.send(message(type_, b"body"))
    error = error_of(client.until_end())
    assert (error.severity, error.sqlstate) == ("FATAL", "08P01")
    assert error.message == f"invalid frontend message type {ord(type_)}"


@pytest.mark.parametrize("type_", ["Q", "P", "B", "S", "d"])
@pytest.mark.parametrize("length", [0, 3, 2**30 + 5, 2**31 - 1, 2**32 - 1])
def test_an_impossible_length_is_fatal_at_once(
    server: TwistnotifyProcess, client: RawClient, type_: str, length: int
) -> None:
    with steady(server, 16 * MB):
        client.send(message(type_, b"", length))
        assert names(client.until_end()) == ["FATAL 08P01"]


def test_a_message_over_max_packet_size_is_fatal(start_server: StartServer) -> None:
    server = start_server(max_packet_size="1 MB")
    for attached in (False, True):
        with RawClient(server.port) as client:
            if attached:
                backend_of(client)
            text = f"SELECT length('{'x' * (MB - 100)}')"
            assert rows(client.query(text)) == [(str(MB - 100),)]
            client.send(message("Q", b"", MB + 5))
            assert names(client.until_end()) == ["FATAL 08P01"]


@pytest.mark.parametrize(
    "body",
    [b"SELECT 2", b"", b"SELECT 2\0SELECT 3\0", b"LISTEN news", b"LISTEN news\0\0", b"SELECT '\xff'\0", b"\0\0"],
    ids=repr,
)
def test_a_malformed_query_is_answered_as_by_postgresql(
    client: RawClient, postgres: PostgresServer, body: bytes
) -> None:
    with RawClient(postgres.port) as direct:
        for raw in (client, direct):
            raw.send(message("Q", body), GOES_ON)
        assert answers_of(client) == answers_of(direct)


def test_copy_data_without_copy_is_passed_over(client: RawClient, postgres: PostgresServer) -> None:
    with RawClient(postgres.port) as direct:
        for raw in (client, direct):
            raw.send(message("d", b"data"), message("c", b""), message("f", b"why\0"), GOES_ON)
        assert answers_of(client) == answers_of(direct)


def test_garbage_in_the_middle_of_a_pipeline_is_fatal_and_rolls_back(
    server: TwistnotifyProcess, postgres: PostgresServer
) -> None:
    run(postgres.connect(), "DROP TABLE IF EXISTS spoilt; CREATE TABLE spoilt (id int)")
    listener = listen(server.connect(), "spoilt")
    with RawClient(server.port) as client:
        backend_of(client)
        for sql in (b"INSERT INTO spoilt VALUES (1)", b"NOTIFY spoilt, 'never'", b"LISTEN spoilt"):
            client.send(Parse(b"", sql, ()), Bind(b"", b"", (), (), ()), Execute(b"", 0))
        client.send(b"\xde\xad\xbe\xef\xde\xad\xbe\xef", Sync())
        assert names(client.until_end())[-1] == "FATAL 08P01"
    # Its backend, and with it the transaction, has ended.
    wait_for_upstreams(postgres, 1)
    assert postgres.fetch("SELECT count(*) FROM spoilt") == [(0,)]
    run(server.connect(), "NOTIFY spoilt, 'end'")
    assert hear(listener) == [("spoilt", "end")]


def test_garbage_in_the_middle_of_copy_is_answered_as_by_postgresql(
    server: TwistnotifyProcess, postgres: PostgresServer
) -> None:
    with RawClient(server.port) as client, RawClient(postgres.port) as direct:
        for raw in (client, direct):
            raw.query("CREATE TEMP TABLE t (line text)")
            raw.send(Query(b"COPY t FROM STDIN"), message("d", b"1\n"), Query(b"SELECT 2"))
        assert told(client.until_end()) == told(direct.until_end())


def test_random_bytes_do_no_harm_and_cost_no_memory(server: TwistnotifyProcess, postgres: PostgresServer) -> None:
    print(f"seed {SEED}")
    source = random.Random(SEED)
    types = "QPBDECHSFdcfX?"
    with steady(server, 16 * MB):
        for _ in range(100):
            # It may be ended before it has sent everything.
            with RawClient(server.port) as client, suppress(ConnectionError):
                backend_of(client)
                for _ in range(source.randrange(5)):
                    body = source.randbytes(source.randrange(40))
                    client.send(message(source.choice(types), body))
                client.send(source.randbytes(source.randrange(20)))


def test_a_statement_may_be_described_before_and_closed_behind_its_end(client: RawClient) -> None:
    client.send(Parse(b"late", b"SELECT $1::int", ()), Describe(b"S", b"late"), Close(b"S", b"late"), Sync())
    expected = ["ParseComplete", "ParameterDescription", "RowDescription", "CloseComplete", "ready I"]
    assert names(client.until_ready()) == expected
    client.send(Bind(b"", b"late", (), (b"1",), ()), Sync(), GOES_ON)
    assert names(client.until_ready()) == ["ERROR 26000", "ready I"]
