"""What pgbench prints is read, and a query is timed up to the very end of its answer."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from benchmarks.dialects import PostgresDialect, Refused
from benchmarks.tasks import READY, Outcome, Session, read_pgbench
from benchmarks.workers import BenchmarkFailed
from twistnotify.wire.authentication import AuthenticationOk
from twistnotify.wire.errors import ErrorFields, ErrorResponse
from twistnotify.wire.simple_query import CommandComplete, DataRow, Query

PRINTED = """\
pgbench (15.18)
transaction type: <builtin: select only>
number of clients: 20
number of transactions actually processed: 60423
number of failed transactions: 0 (0.000%)
latency average = 1.654 ms
initial connection time = 19.400 ms
tps = 12091.428394 (without initial connection time)
"""
ANSWER = DataRow((b"1",)).encode() + CommandComplete("SELECT 1").encode() + READY
LOG_IN = AuthenticationOk().encode() + READY


@pytest.fixture
def ends() -> Iterator[tuple[Session, socket.socket]]:
    """The client, and the server's end of its connection."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield Session(ours, PostgresDialect("postgres")), theirs


def test_what_pgbench_prints_is_read() -> None:
    assert read_pgbench(PRINTED) == Outcome(12091.428394, 60423)


@pytest.mark.parametrize(
    "text",
    [
        "",
        PRINTED.replace("tps", "tpx"),
        PRINTED.replace("number of transactions", "some transactions"),
        PRINTED.replace("60423", "0"),
    ],
)
def test_pgbench_that_has_measured_nothing_is_a_failure(text: str) -> None:
    with pytest.raises(BenchmarkFailed, match="measured nothing"):
        read_pgbench(text)


def test_a_client_logs_in_and_asks(ends: tuple[Session, socket.socket]) -> None:
    session, server = ends
    server.sendall(LOG_IN)
    session.greet()
    server.sendall(ANSWER)
    assert session.ask("SELECT 1") > 0
    assert session.received == len(ANSWER)
    assert server.recv(65536) == PostgresDialect("postgres").greeting + Query(b"SELECT 1").encode()


def test_a_client_that_is_not_let_in_says_why(ends: tuple[Session, socket.socket]) -> None:
    session, server = ends
    server.sendall(ErrorResponse(ErrorFields("FATAL", "3D000", "no such database")).encode())
    with pytest.raises(Refused, match="3D000"):
        session.greet()


def test_the_last_answer_alone_is_counted(ends: tuple[Session, socket.socket]) -> None:
    session, server = ends
    for answer in (ANSWER, READY):
        server.sendall(answer)
        session.ask("SELECT 1")
        assert session.received == len(answer)


def test_an_answer_is_at_its_end_however_it_is_cut(
    ends: tuple[Session, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmarks.tasks.BUFFER_SIZE", 4)
    session, server = Session(ends[0]._socket, PostgresDialect("postgres")), ends[1]
    server.sendall(ANSWER)
    session.ask("SELECT 1")
    assert session.received == len(ANSWER)


def test_an_error_is_no_answer(ends: tuple[Session, socket.socket]) -> None:
    session, server = ends
    server.sendall(ErrorResponse(ErrorFields("ERROR", "0A000", "not served")).encode() + READY)
    with pytest.raises(BenchmarkFailed, match="0A000"):
        session.ask("SELECT 1")


def test_a_server_that_hangs_up_is_a_failure(ends: tuple[Session, socket.socket]) -> None:
    session, server = ends
    server.sendall(ANSWER[:5])
    server.shutdown(socket.SHUT_WR)
    with pytest.raises(BenchmarkFailed, match="hung up"):
        session.ask("SELECT 1")
