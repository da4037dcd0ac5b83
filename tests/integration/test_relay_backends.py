"""A client costs PostgreSQL a backend from its first statement that needs one to its end, and no other client does."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from support.postgres import PostgresServer
from support.process import TwistnotifyProcess
from support.raw import RawClient, names
from support.relaying import backend_of, rows, upstreams, wait_for_upstreams
from support.versions import one_version

from twistnotify.wire.extended_query import Bind, Describe, Execute, Flush, Parse, Sync
from twistnotify.wire.session_status import Terminate
from twistnotify.wire.simple_query import Query

LISTENERS = 5_000
ATTACHED = 50

SETTINGS = ("application_name", "statement_timeout", "lock_timeout", "transaction_isolation")

Leave = Callable[[RawClient], object]


@pytest.fixture(autouse=True)
def _nobody_attached(postgres: PostgresServer) -> None:
    """Wait until the clients of the test before have left."""
    wait_for_upstreams(postgres, 0)


@pytest.mark.parametrize(
    "statements",
    [
        ["LISTEN a", "NOTIFY a, 'x'", "SELECT pg_notify('a', 'y')", "UNLISTEN a"],
        ["BEGIN", "LISTEN a", "SAVEPOINT s", "NOTIFY a", "ROLLBACK TO s", "RELEASE s", "COMMIT"],
        ["START TRANSACTION ISOLATION LEVEL SERIALIZABLE READ ONLY", "NOTIFY a", "ROLLBACK AND CHAIN", "END"],
        ["BEGIN", "NOTIFY a", "LISTEN 'nonsense'", "SELECT count(*) FROM pg_class", "ROLLBACK"],
        ["DO $$BEGIN NOTIFY a, 'x'; LISTEN b; END$$"],
        ["SELECT pg_backend_pid()", "SELECT * FROM pg_listening_channels()"],
        ["SELECT 1", "", ";", "-- nothing"],
        ["DISCARD ALL", "RESET ALL", "CLOSE ALL", "DEALLOCATE ALL", "UNLISTEN *", "SELECT pg_advisory_unlock_all()"],
        ["SET application_name TO 'worker'", "SET search_path TO a, public", "SHOW search_path", "RESET search_path"],
        [
            "SET statement_timeout = '5s'",
            "SHOW statement_timeout",
            "SET TimeZone TO 'UTC'",
            "SET DateStyle TO ISO, MDY",
        ],
        ["SET client_encoding TO 'LATIN1'", "SHOW client_encoding", "SET extra_float_digits = 3"],
        ["SET client_min_messages TO warning", "SET standard_conforming_strings = on", "SET bytea_output TO hex"],
        ["SET twistnotify.notify_ack = committed", "NOTIFY a", "SHOW twistnotify.notify_ack"],
    ],
    ids=lambda statements: "; ".join(statements)[:40],
)
def test_what_is_served_here_costs_no_backend(
    server: TwistnotifyProcess, postgres: PostgresServer, statements: list[str]
) -> None:
    with RawClient(server.port) as client:
        for sql in statements:
            client.query(sql)
            assert upstreams(postgres) == []


def test_a_prepared_statement_that_is_served_here_costs_no_backend(
    server: TwistnotifyProcess, postgres: PostgresServer
) -> None:
    with RawClient(server.port) as client:
        client.send(Parse(b"s", b"SELECT pg_notify($1, $2)", (25, 25)), Describe(b"S", b"s"), Sync())
        client.until_ready()
        client.send(Bind(b"", b"s", (), (b"a", b"x"), ()), Execute(b"", 0), Flush(), Sync())
        assert names(client.until_ready()) == ["BindComplete", "DataRow", "SELECT 1", "ready I"]
        assert upstreams(postgres) == []


def test_the_first_other_statement_costs_one_and_all_further_ones_none(
    server: TwistnotifyProcess, postgres: PostgresServer
) -> None:
    with RawClient(server.port) as client:
        assert upstreams(postgres) == []
        pid = backend_of(client)
        assert upstreams(postgres) == [pid]
        client.query("SELECT count(*) FROM pg_class")
        client.query("DISCARD ALL")
        assert backend_of(client) == pid
        assert upstreams(postgres) == [pid]


def test_a_preparation_alone_costs_one(server: TwistnotifyProcess, postgres: PostgresServer) -> None:
    with RawClient(server.port) as client:
        client.send(Parse(b"s", b"SELECT oid FROM pg_class WHERE relname = $1", ()), Sync())
        assert names(client.until_ready()) == ["ParseComplete", "ready I"]
        wait_for_upstreams(postgres, 1)


@pytest.mark.parametrize(
    "leave",
    [
        lambda client: client.send(Terminate()),
        lambda client: client.socket.close(),
        lambda client: client.reset(),
        lambda client: (client.send(Query(b"SELECT 2").encode()[:-3]), client.socket.close()),
        lambda client: (client.query("BEGIN"), client.query("CREATE TABLE never (id int)"), client.reset()),
        lambda client: (client.send(Parse(b"", b"SELECT 2", ()), Flush()), client.read(), client.socket.close()),
    ],
    ids=["Terminate", "closed", "reset", "in a message", "in a transaction", "in a pipeline"],
)
def test_the_end_of_a_client_gives_its_backend_back(
    server: TwistnotifyProcess, postgres: PostgresServer, leave: Leave
) -> None:
    with RawClient(server.port) as stays, RawClient(server.port) as goes:
        pid = backend_of(stays)
        backend_of(goes)
        leave(goes)
        assert wait_for_upstreams(postgres, 1) == [pid]


def test_the_state_before_is_the_state_after(server: TwistnotifyProcess, postgres: PostgresServer) -> None:
    with RawClient(server.port) as client:
        client.query("SET application_name TO 'told before'; SET statement_timeout = '1h'")
        client.query("BEGIN ISOLATION LEVEL SERIALIZABLE")
        client.query("SET LOCAL lock_timeout TO '1min'")
        client.query("LISTEN a")
        shown = "SELECT " + ", ".join(f"current_setting('{name}')" for name in SETTINGS)
        assert upstreams(postgres) == []
        assert rows(client.query(shown)) == [("told before", "1h", "1min", "serializable")]
        client.query("NOTIFY a, 'x'")
        assert names(client.query("COMMIT")) == ["COMMIT", "a: x", "ready I"]
        assert rows(client.query(shown)) == [("told before", "1h", "0", "read committed")]


@one_version
def test_five_thousand_listeners_and_fifty_attached_clients_cost_51_backends(
    server: TwistnotifyProcess, postgres: PostgresServer
) -> None:
    listeners = [RawClient(server.port) for _ in range(LISTENERS)]
    attached = [RawClient(server.port) for _ in range(ATTACHED)]
    try:
        for client in (*listeners, *attached):
            client.send(Query(b"LISTEN crowd"))
        for client in (*listeners, *attached):
            assert names(client.until_ready()) == ["LISTEN", "ready I"]
        for client in attached:
            client.send(Query(b"SELECT count(*) FROM pg_class WHERE oid = 0"))
        for client in attached:
            assert rows(client.until_ready()) == [("0",)]
        assert len(upstreams(postgres)) == ATTACHED
        assert postgres.listen_backends() == ["twistnotify/postgres"]
        attached[0].query("BEGIN; NOTIFY crowd, 'x'; SELECT count(*) FROM pg_class WHERE oid = 0; COMMIT")
        for client in (*listeners, *attached[1:]):
            assert names([client.read()]) == ["crowd: x"]
        assert len(upstreams(postgres)) == ATTACHED
    finally:
        for client in (*listeners, *attached):
            client.socket.close()
    wait_for_upstreams(postgres, 0)
