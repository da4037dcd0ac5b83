"""Whatever the size of what passes, the process does not grow, and the slower side sets the pace."""

from __future__ import annotations

import select
from collections.abc import Iterator

import psycopg
import pytest
from support.clients import eventually, run
from support.postgres import PostgresServer
from support.process import TwistnotifyProcess
from support.raw import RawClient, error_of, names
from support.relaying import MB, backend_of, pass_over, rows, senders, steady, wait_event
from support.versions import one_version

from twistnotify.wire.catalog import BackendMessage
from twistnotify.wire.copying import CopyData, CopyDone
from twistnotify.wire.extended_query import Bind, Describe, Execute, Parse, Sync
from twistnotify.wire.session_status import ReadyForQuery
from twistnotify.wire.simple_query import CommandComplete, Query

KILOBYTE_ROWS = 1_000_000
A_GIGABYTE = f"SELECT repeat('x', 1000) FROM generate_series(1, {KILOBYTE_ROWS})"
LARGE = 200 * MB
COPY_CHUNK = CopyData((b"x" * 999 + b"\n") * 64).encode()
"""64 kB, as libpq sends them."""
BYTEA = (b"", b"SELECT octet_length($1)", (17,))
STALLED = 1.0
"""Seconds without room to send after which a sender counts as paused; if it is not, the test says less."""
ENOUGH = 64 * MB
"""Bytes that no buffer on the way may take: a sender whose reader stands still is stopped before."""


@pytest.fixture
def client(server: TwistnotifyProcess) -> Iterator[RawClient]:
    """A client that is attached: what the first statement costs does not count."""
    with RawClient(server.port) as raw:
        backend_of(raw)
        yield raw


def ended(tag: str) -> bytes:
    """Return how an answer ends."""
    return CommandComplete(tag).encode() + ReadyForQuery("I").encode()


def send_until_stalled(client: RawClient, chunk: bytes) -> int:
    """Send the same over and over until there is no room for more; return how many bytes have gone.

    What is left of the chunk that was last begun is then for the caller to send.
    """
    sent = 0
    client.socket.setblocking(False)
    while sent < 4 * ENOUGH and select.select([], [client.socket], [], STALLED)[1]:
        start = sent % len(chunk)
        try:
            sent += client.socket.send(chunk[start:])
        except BlockingIOError:
            continue
    client.socket.setblocking(True)
    return sent


@one_version
def test_a_result_of_a_gigabyte_costs_no_memory(server: TwistnotifyProcess, client: RawClient) -> None:
    with steady(server):
        client.send(Query(A_GIGABYTE.encode()))
        size, _, tail = pass_over(client)
    assert size > 1000 * KILOBYTE_ROWS
    assert tail.endswith(ended(f"SELECT {KILOBYTE_ROWS}"))


@one_version
def test_five_million_rows_pass_unchanged_and_cost_no_memory(
    server: TwistnotifyProcess, client: RawClient, postgres: PostgresServer
) -> None:
    query = Query(b"SELECT n FROM generate_series(1, 5000000) AS n")
    with steady(server):
        client.send(query)
        passed = pass_over(client)
    with RawClient(postgres.port) as direct:
        direct.send(query)
        assert pass_over(direct) == passed
    assert passed[2].endswith(ended("SELECT 5000000"))


@one_version
def test_copy_out_of_a_gigabyte_costs_no_memory(server: TwistnotifyProcess, client: RawClient) -> None:
    with steady(server):
        client.send(Query(f"COPY ({A_GIGABYTE}) TO STDOUT".encode()))
        size, _, tail = pass_over(client)
    assert size > 1000 * KILOBYTE_ROWS
    assert tail.endswith(ended(f"COPY {KILOBYTE_ROWS}"))


@one_version
def test_copy_in_of_a_gigabyte_costs_no_memory(server: TwistnotifyProcess, client: RawClient) -> None:
    client.query("CREATE TEMP TABLE taken (line text)")
    with steady(server):
        # The rows are read, and not kept: they would only fill the disk.
        client.send(Query(b"COPY taken FROM STDIN WHERE false"))
        assert names([client.read()]) == ["CopyInResponse"]
        for _ in range(KILOBYTE_ROWS // 64):
            client.socket.sendall(COPY_CHUNK)
        client.send(CopyDone())
        assert names(client.until_ready()) == ["COPY 0", "ready I"]


def test_what_is_copied_in_is_what_is_copied_out(server: TwistnotifyProcess) -> None:
    lines = [f"{number}\t{'é' * (number % 500)}\n" for number in range(20_000)]
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        connection.execute("CREATE TEMP TABLE kept (number int, line text)")
        with connection.cursor().copy("COPY kept FROM STDIN") as copy:
            for line in lines:
                copy.write(line)
        with connection.cursor().copy("COPY (TABLE kept ORDER BY number) TO STDOUT") as copy:
            copied = b"".join(bytes(part) for part in copy)
    assert copied == "".join(lines).encode()


@one_version
def test_a_row_of_200_megabytes_costs_no_memory(server: TwistnotifyProcess, client: RawClient) -> None:
    with steady(server):
        client.send(Query(f"SELECT repeat('x', {LARGE})".encode()))
        size, _, tail = pass_over(client)
    assert size > LARGE
    assert tail.endswith(ended("SELECT 1"))


@one_version
def test_a_parameter_of_200_megabytes_costs_no_memory(server: TwistnotifyProcess, client: RawClient) -> None:
    bind = Bind(b"", b"", (1,), (bytes(LARGE),), ()).encode()
    with steady(server):
        client.send(Parse(*BYTEA), bind, Describe(b"P", b""), Execute(b"", 0), Sync())
        answer = client.until_ready()
    assert rows(answer) == [(str(LARGE),)]


@one_version
def test_a_client_that_is_not_attached_may_begin_with_200_megabytes(server: TwistnotifyProcess) -> None:
    with RawClient(server.port) as client, steady(server):
        client.send(Parse(*BYTEA), Bind(b"", b"", (1,), (bytes(LARGE),), ()), Execute(b"", 0), Sync())
        assert rows(client.until_ready()) == [(str(LARGE),)]
        assert names(client.query("SELECT 2")) == ["RowDescription", "DataRow", "SELECT 1", "ready I"]


@pytest.mark.parametrize("attached", [False, True], ids=["as the first", "attached"])
def test_a_query_of_20_megabytes_costs_no_memory(server: TwistnotifyProcess, attached: bool) -> None:
    size = 20 * MB
    with RawClient(server.port) as client:
        if attached:
            backend_of(client)
        with steady(server):
            answer = client.query(f"SELECT length('{'x' * size}')")
        assert rows(answer) == [(str(size),)]


def test_a_message_over_the_limit_of_what_is_examined_is_relayed_unexamined(server: TwistnotifyProcess) -> None:
    with RawClient(server.port) as client:
        # 1 MB of a comment, so that the NOTIFY of it is PostgreSQL's.
        answer = client.query(f"LISTEN long; NOTIFY long, 'x' /* {'-' * MB} */")
        assert names(answer)[:2] == ["LISTEN", "NOTIFY"]
        assert rows(client.query("SELECT 'still in step'")) == [("still in step",)]
        assert senders(answer) == [client.pid]


def test_a_client_that_does_not_read_pauses_its_backend_and_nobody_else(
    server: TwistnotifyProcess, postgres: PostgresServer
) -> None:
    query = Query(b"SELECT n, repeat('x', 1000) FROM generate_series(1, 100000) AS n")
    with RawClient(server.port, receive_buffer=4096) as slow, RawClient(server.port) as other:
        pid = backend_of(slow)
        with steady(server):
            slow.send(query)
            eventually(lambda: wait_event(postgres, pid), lambda event: event == "ClientWrite")
            assert rows(other.query("SELECT 'goes on', count(*) FROM pg_class WHERE oid = 0")) == [("goes on", "0")]
            other.query("LISTEN meanwhile")
            assert names(other.query("NOTIFY meanwhile, 'x'")) == ["NOTIFY", "meanwhile: x", "ready I"]
            eventually(lambda: wait_event(postgres, pid), lambda event: event == "ClientWrite")
            passed = pass_over(slow)
        with RawClient(postgres.port) as direct:
            direct.send(query)
            assert pass_over(direct) == passed


def test_a_backend_that_does_not_read_pauses_its_client_and_nobody_else(
    server: TwistnotifyProcess, postgres: PostgresServer
) -> None:
    run(server.connect(), "DROP TABLE IF EXISTS held; CREATE TABLE held (line text UNIQUE)")
    holder = postgres.connect()
    run(holder, "BEGIN; INSERT INTO held VALUES (repeat('x', 999))")
    with RawClient(server.port) as client, RawClient(server.port) as other:
        pid = backend_of(client)
        client.send(Query(b"COPY held FROM STDIN"))
        assert names([client.read()]) == ["CopyInResponse"]
        with steady(server):
            # The first row waits for what becomes of the one that is in its way.
            sent = send_until_stalled(client, COPY_CHUNK)
            assert len(COPY_CHUNK) < sent < ENOUGH
            assert wait_event(postgres, pid) == "transactionid"
            assert rows(other.query("SELECT count(*) FROM held")) == [("0",)]
            run(holder, "ROLLBACK")
            client.send(COPY_CHUNK[sent % len(COPY_CHUNK) :], CopyDone())
            # The second row is in the way of nobody but itself.
            answer = client.until_ready()
        assert error_of(answer).sqlstate == "23505"
        assert names(answer) == ["ERROR 23505", "ready I"]
        assert rows(client.query("SELECT count(*) FROM held")) == [("0",)]


def test_a_client_may_send_everything_before_it_reads_anything(server: TwistnotifyProcess) -> None:
    count = 20_000
    text = b"SELECT $1 || repeat('x', 100)"
    with RawClient(server.port, receive_buffer=4096) as client:
        client.send(Parse(b"s", text, (25,)))
        runs = [(Bind(b"", b"s", (), (str(number).encode(),), ()), Execute(b"", 0)) for number in range(count)]
        client.send(*[message for run_ in runs for message in run_], Sync())
        answer: list[BackendMessage] = client.until_ready()
        assert [value for (value,) in rows(answer)] == [f"{number}{'x' * 100}" for number in range(count)]
