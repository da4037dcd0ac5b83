"""A client has one PID, whether it has a backend or not, and can be told to stop by it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.clients import eventually, run
from support.postgres import PostgresServer
from support.process import TwistnotifyProcess
from support.raw import RawClient, error_of, names
from support.relaying import backend_of, rows, senders, upstreams, wait_event, wait_for_upstreams

from twistnotify.wire.extended_query import Bind, Execute, Parse, Sync
from twistnotify.wire.simple_query import Query

SLEEP = Query(b"SELECT pg_sleep(600)")


@pytest.fixture
def client(server: TwistnotifyProcess, postgres: PostgresServer) -> Iterator[RawClient]:
    """The only client that is attached."""
    wait_for_upstreams(postgres, 0)
    with RawClient(server.port) as raw:
        backend_of(raw)
        yield raw


@pytest.fixture(params=[False, True], ids=["by a detached one", "by an attached one"])
def killer(request: pytest.FixtureRequest, server: TwistnotifyProcess, client: RawClient) -> Iterator[RawClient]:
    """Another client that is not attached, and one that is."""
    with RawClient(server.port) as raw:
        if request.param:
            backend_of(raw)
        yield raw


def wait_for_sleep(postgres: PostgresServer, pid: int) -> None:
    """Wait until a backend sleeps."""
    eventually(lambda: wait_event(postgres, pid), lambda event: event == "PgSleep")


def test_the_pid_is_that_of_the_log_in_before_and_after_the_attachment(server: TwistnotifyProcess) -> None:
    with RawClient(server.port) as client:
        client.send(Parse(b"s", b"SELECT pg_backend_pid()", ()), Sync())
        client.until_ready()
        for _ in range(2):
            assert rows(client.query("SELECT pg_backend_pid()")) == [(str(client.pid),)]
            client.send(Bind(b"", b"s", (), (), ()), Execute(b"", 0), Sync())
            assert rows(client.until_ready()) == [(str(client.pid),)]
            assert backend_of(client) != client.pid


def test_notifications_name_the_pid_of_the_log_in(
    server: TwistnotifyProcess, client: RawClient, postgres: PostgresServer
) -> None:
    with RawClient(server.port) as detached:
        detached.query("LISTEN news")
        for sql in ("NOTIFY news", "SELECT count(pg_notify('news', n::text)) FROM generate_series(1, 2) AS n"):
            client.query(sql)
        assert senders(detached.read() for _ in range(3)) == [client.pid] * 3
        direct = postgres.connect()
        run(direct, "NOTIFY news, 'from elsewhere'")
        assert senders([detached.read()]) == [direct.get_backend_pid()]


def test_pg_cancel_backend_cancels_what_the_backend_runs(
    client: RawClient, killer: RawClient, postgres: PostgresServer
) -> None:
    pid = backend_of(client)
    client.send(SLEEP)
    wait_for_sleep(postgres, pid)
    assert rows(killer.query(f"SELECT pg_cancel_backend({client.pid})")) == [("t",)]
    assert error_of(client.until_ready()).sqlstate == "57014"
    assert backend_of(client) == pid


def test_pg_cancel_backend_of_an_idle_client_does_nothing(client: RawClient, killer: RawClient) -> None:
    assert rows(killer.query(f"SELECT pg_cancel_backend({client.pid})")) == [("t",)]
    assert rows(client.query("SELECT count(*) FROM pg_class WHERE oid = 0")) == [("0",)]


def test_pg_terminate_backend_ends_the_client_and_its_backend(
    client: RawClient, killer: RawClient, postgres: PostgresServer
) -> None:
    pid = backend_of(client)
    before = upstreams(postgres)
    assert rows(killer.query(f"SELECT pg_terminate_backend({client.pid})")) == [("t",)]
    assert names(client.until_end()) == ["FATAL 57P01"]
    assert wait_for_upstreams(postgres, len(before) - 1) == [other for other in before if other != pid]
    assert names(killer.query("SELECT 1"))[-1] == "ready I"


def test_pg_terminate_backend_ends_a_client_whose_backend_is_busy(
    client: RawClient, killer: RawClient, postgres: PostgresServer
) -> None:
    pid = backend_of(client)
    before = upstreams(postgres)
    client.send(SLEEP)
    wait_for_sleep(postgres, pid)
    killer.query(f"SELECT pg_terminate_backend({client.pid})")
    assert names(client.until_end()) == ["FATAL 57P01"]
    assert wait_for_upstreams(postgres, len(before) - 1) == [other for other in before if other != pid]


def test_a_client_may_terminate_itself(client: RawClient, postgres: PostgresServer) -> None:
    client.send(Query(f"SELECT pg_terminate_backend({client.pid})".encode()))
    assert names(client.until_end())[-1] == "FATAL 57P01"
    wait_for_upstreams(postgres, 0)


def test_the_pid_of_the_backend_ends_the_client_as_postgresql_would(
    client: RawClient, killer: RawClient, postgres: PostgresServer
) -> None:
    pid = backend_of(client)
    assert rows(killer.query(f"SELECT pg_terminate_backend({pid})")) == [("t",)]
    error = error_of(client.until_end())
    assert (error.severity, error.sqlstate) == ("FATAL", "57P01")
    assert error.message == "terminating connection due to administrator command"


def test_the_pid_of_nobody_is_postgresqls_to_judge(killer: RawClient) -> None:
    answer = killer.query(f"SELECT pg_terminate_backend({2**31 - 1})")
    assert "WARNING 01000" in names(answer)
    assert rows(answer) == [("f",)]


def test_a_client_of_another_user_is_postgresqls_to_judge(server: TwistnotifyProcess, client: RawClient) -> None:
    with RawClient(server.port, database=None) as other:
        other.send_startup("postgres", user="somebody")
        other.until_ready()
        answer = other.query(f"SELECT pg_terminate_backend({client.pid})")
        assert rows(answer) == [("f",)]
    assert rows(client.query("SELECT 'lives'")) == [("lives",)]
