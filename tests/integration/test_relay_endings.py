"""A client and its backend end together, and an end of either is nobody else's."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from support.clients import eventually, run
from support.fixtures import StartServer
from support.postgres import PostgresServer
from support.process import TwistnotifyProcess
from support.raw import RawClient, error_of, names
from support.relaying import backend_of, rows, upstreams, wait_event, wait_for_upstreams

from twistnotify.wire.catalog import BackendMessage
from twistnotify.wire.copying import CopyData
from twistnotify.wire.errors import ErrorResponse
from twistnotify.wire.extended_query import Flush, Parse
from twistnotify.wire.session_status import Terminate
from twistnotify.wire.simple_query import Query

Leave = Callable[[RawClient], object]
Break = Callable[[PostgresServer, int], object]

SLEEP = Query(b"SELECT pg_sleep(600)")
ENDS = ("57P01", "57P02", "08006")
"""SQLSTATEs of a session that the server has ended: admin_shutdown, crash_shutdown, connection_failure."""
# Nobody has to be told of what was lost, and the LISTEN connection is soon back.
SETTINGS = {"listen_loss_policy": "notice", "server_login_retry_max": 0.2}


def fatal_of(messages: list[BackendMessage]) -> str:
    """Return the SQLSTATE of the FATAL error that a connection has ended with."""
    last = messages[-1]
    assert isinstance(last, ErrorResponse), messages
    assert last.fields.severity == "FATAL"
    return last.fields.sqlstate


def is_free(postgres: PostgresServer, table: str) -> bool:
    """Tell whether nobody holds a lock on a table."""
    ((count,),) = postgres.fetch("SELECT count(*) FROM pg_locks WHERE relation = %s::regclass", table)
    return bool(count == 0)


def wait_for_rows(postgres: PostgresServer, table: str, count: int) -> None:
    """Wait until a table has so many rows."""
    eventually(lambda: postgres.fetch(f"SELECT count(*) FROM {table}"), lambda found: found == [(count,)])


@pytest.mark.parametrize(
    "leave",
    [
        lambda client: client.send(Terminate()),
        lambda client: client.socket.close(),
        lambda client: client.reset(),
        lambda client: (client.send(Query(b"COMMIT").encode()[:-1]), client.socket.close()),
        lambda client: (client.send(Parse(b"", b"COMMIT", ()), Flush()), client.read(), client.reset()),
        lambda client: (client.query("LISTEN news"), client.query("NOTIFY news"), client.reset()),
        lambda client: (client.send(Query(b"COPY locked FROM STDIN"), CopyData(b"2\n")), client.read(), client.reset()),
    ],
    ids=["Terminate", "closed", "reset", "in a message", "in a pipeline", "behind LISTEN", "in COPY"],
)
def test_the_end_of_a_client_rolls_back_and_unlocks(
    server: TwistnotifyProcess, postgres: PostgresServer, leave: Leave
) -> None:
    run(postgres.connect(), "DROP TABLE IF EXISTS locked; CREATE TABLE locked (id int)")
    client = RawClient(server.port)
    client.query("BEGIN; LOCK TABLE locked; INSERT INTO locked VALUES (1)")
    assert not is_free(postgres, "locked")
    leave(client)
    eventually(lambda: is_free(postgres, "locked"))
    assert postgres.fetch("SELECT count(*) FROM locked") == [(0,)]
    client.socket.close()


def test_what_was_sent_before_terminate_is_carried_out(server: TwistnotifyProcess, postgres: PostgresServer) -> None:
    run(postgres.connect(), "DROP TABLE IF EXISTS sent; CREATE TABLE sent (id int)")
    for number, attached in enumerate((False, True), 1):
        with RawClient(server.port) as client:
            if attached:
                backend_of(client)
            client.send(Query(f"INSERT INTO sent VALUES ({number})".encode()), Terminate())
            client.until_end()
        wait_for_rows(postgres, "sent", number)


def test_a_client_that_goes_while_its_backend_does_not_read_is_noticed(
    server: TwistnotifyProcess, postgres: PostgresServer
) -> None:
    run(postgres.connect(), "DROP TABLE IF EXISTS held; CREATE TABLE held (line text UNIQUE)")
    holder = postgres.connect()
    run(holder, "BEGIN; INSERT INTO held VALUES ('0')")
    client = RawClient(server.port)
    pid = backend_of(client)
    # Rows are stored by the thousand.
    lines = "".join(f"{number}\n" for number in range(10_000))
    client.send(Query(b"COPY held FROM STDIN"), CopyData(lines.encode()))
    client.read()
    eventually(lambda: wait_event(postgres, pid), lambda event: event == "transactionid")
    client.reset()
    run(holder, "ROLLBACK")
    eventually(lambda: pid not in upstreams(postgres))
    assert postgres.fetch("SELECT count(*) FROM held") == [(0,)]


def test_a_client_that_reads_neither_rows_nor_notifications_is_ended_with_its_backend(
    start_server: StartServer, postgres: PostgresServer
) -> None:
    server = start_server(client_queue_hard_limit="64 kB", tcp_socket_buffer=16384)
    with RawClient(server.port, receive_buffer=4096) as slow, RawClient(server.port) as sender:
        slow.query("LISTEN flood")
        pid = backend_of(slow)
        slow.send(Query(b"SELECT repeat('x', 1000) FROM generate_series(1, 100000)"))
        # Rows that wait are their backend's, and count for nothing.
        eventually(lambda: wait_event(postgres, pid), lambda event: event == "ClientWrite")
        for number in range(100):
            sender.query(f"NOTIFY flood, '{number:01000}'")
        eventually(lambda: pid not in upstreams(postgres))
        # Nothing can be said in the middle of a row.
        assert "ready I" not in names(slow.until_end())
        assert rows(sender.query("SELECT 'goes on', count(*) FROM pg_class WHERE oid = 0")) == [("goes on", "0")]


@pytest.mark.parametrize("busy", [False, True], ids=["idle", "busy"])
def test_a_backend_that_is_terminated_tells_its_client(
    server: TwistnotifyProcess, postgres: PostgresServer, busy: bool
) -> None:
    with RawClient(server.port) as client, RawClient(server.port) as other:
        pid = backend_of(client)
        backend_of(other)
        if busy:
            client.send(SLEEP)
            eventually(lambda: wait_event(postgres, pid), lambda event: event == "PgSleep")
        postgres.fetch("SELECT pg_terminate_backend(%s)", pid)
        assert names(client.until_end())[-1] == "FATAL 57P01"
        assert rows(other.query("SELECT 'goes on'")) == [("goes on",)]


def test_a_backend_that_gives_up_by_itself_tells_its_client(server: TwistnotifyProcess) -> None:
    with RawClient(server.port) as client:
        client.query("SET idle_in_transaction_session_timeout = '100ms'")
        client.query("BEGIN; SELECT count(*) FROM pg_class")
        assert names(client.until_end()) == ["FATAL 25P03"]


def kill_backend(postgres: PostgresServer, backend: int) -> None:
    """Kill a client's backend; PostgreSQL ends all others then, and starts again."""
    os.kill(backend, signal.SIGKILL)


def kill_postmaster(postgres: PostgresServer, backend: int) -> None:
    """Kill PostgreSQL itself, and wait until all that it leaves has gone."""
    status = Path(f"/proc/{backend}/status").read_text()
    (parent,) = (int(line.split()[1]) for line in status.splitlines() if line.startswith("PPid:"))
    os.kill(parent, signal.SIGKILL)
    eventually(lambda: not postgres.running and not Path(f"/proc/{backend}").exists())


@pytest.mark.parametrize(
    "break_",
    [
        kill_backend,
        kill_postmaster,
        lambda postgres, _: postgres.stop("immediate"),
        lambda postgres, _: postgres.stop("fast"),
    ],
    ids=["kill -9 of a backend", "kill -9 of PostgreSQL", "immediate shutdown", "fast shutdown"],
)
def test_the_end_of_postgresql_ends_all_that_are_attached_and_nobody_else(
    start_server: StartServer, postgres: PostgresServer, break_: Break
) -> None:
    server = start_server(**SETTINGS)
    idle, busy, detached = (RawClient(server.port) for _ in range(3))
    with idle, busy, detached:
        detached.query("LISTEN news")
        backend_of(busy)
        victim = backend_of(idle)
        busy.send(SLEEP)
        break_(postgres, victim)
        assert fatal_of(idle.until_end()) in ENDS
        assert fatal_of(busy.until_end()) in ENDS
        assert names(detached.query("SET application_name TO 'goes on'"))[-1] == "ready I"
        if not postgres.running:
            postgres.start()
        server.wait_until_up(2)
        eventually(lambda: upstreams(postgres) == [])
        # A loss is told as soon as it may be: with the next answer at the latest.
        detached.query("SELECT 1")
        answer = detached.query("SELECT count(*) FROM pg_class WHERE oid = 0; NOTIFY news, 'again'")
        assert rows(answer) == [("0",)]
        assert names(answer)[-2:] == ["news: again", "ready I"]


def test_while_postgresql_is_down_other_sql_fails_and_pubsub_goes_on(
    start_server: StartServer, postgres: PostgresServer
) -> None:
    server = start_server(**SETTINGS)
    with RawClient(server.port) as client, RawClient(server.port) as listener:
        listener.query("LISTEN news")
        assert names(listener.query("NOTIFY news, 'in effect'")) == ["NOTIFY", "news: in effect", "ready I"]
        postgres.stop()
        server.wait_for_log("shard postgres: lost")
        for _ in range(2):
            answer = client.query("SELECT count(*) FROM pg_class WHERE oid = 0")
            assert names(answer) == ["ERROR 08006", "ready I"]
            assert error_of(answer).message.startswith("could not connect to the upstream server: ")
        assert names(client.query("NOTIFY news, 'kept'")) == ["NOTIFY", "ready I"]
        postgres.start()
        assert names([listener.read(), listener.read()]) == ["WARNING 01000", "news: kept"]
        assert rows(client.query("SELECT count(*) FROM pg_class WHERE oid = 0")) == [("0",)]


def test_a_restart_of_twistnotify_ends_the_attached_and_their_backends(
    start_server: StartServer, postgres: PostgresServer
) -> None:
    server = start_server()
    with RawClient(server.port) as client:
        client.query("BEGIN; CREATE TABLE never (id int)")
        server.stop()
        assert fatal_of(client.until_end()) == "57P01"
    wait_for_upstreams(postgres, 0)
    assert postgres.fetch("SELECT to_regclass('never')") == [(None,)]
