"""A PgBouncer between the relay and PostgreSQL, with the LISTEN connection past it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.clients import eventually, run
from support.configuration import config_for
from support.fixtures import StartServer
from support.pgbouncer import PgBouncer, is_installed
from support.postgres import PostgresServer
from support.process import TwistnotifyProcess
from support.raw import RawClient, error_of, names, request_cancel
from support.relaying import backend_of, rows, wait_event
from support.versions import one_version

from twistnotify.wire.extended_query import Bind, Execute, Parse, Sync
from twistnotify.wire.simple_query import Query

pytestmark = [one_version, pytest.mark.skipif(not is_installed(), reason="PgBouncer is not installed")]

OTHER_SQL = "SELECT count(*) FROM pg_class WHERE oid = 0"


@pytest.fixture(scope="module", params=["session", "transaction"])
def pgbouncer(request: pytest.FixtureRequest, postgres_of_session: PostgresServer) -> Iterator[PgBouncer]:
    """A PgBouncer in each of its modes."""
    pooler = PgBouncer(postgres_of_session, request.param)
    try:
        pooler.start()
        yield pooler
    finally:
        pooler.destroy()


@pytest.fixture(scope="module")
def server_of_module(
    postgres_of_session: PostgresServer, pgbouncer: PgBouncer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TwistnotifyProcess]:
    """A server whose relay goes through PgBouncer."""
    line = f"{pgbouncer.dsn()} shards=postgres relay_shard=postgres"
    process = TwistnotifyProcess(
        config_for(postgres_of_session, databases={"postgres": line}), tmp_path_factory.mktemp("server")
    )
    process.start()
    process.wait_until_up()
    yield process
    process.stop()


@pytest.fixture
def client(server: TwistnotifyProcess) -> Iterator[RawClient]:
    """An attached client."""
    with RawClient(server.port) as raw:
        backend_of(raw)
        yield raw


def test_a_transaction_with_notify_is_atomic(client: RawClient, postgres: PostgresServer) -> None:
    run(postgres.connect(), "DROP TABLE IF EXISTS pooled; CREATE TABLE pooled (id int)")
    client.query("LISTEN news")
    client.query("BEGIN; INSERT INTO pooled VALUES (1); NOTIFY news, 'never'; ROLLBACK")
    client.query("BEGIN")
    client.query("INSERT INTO pooled VALUES (2)")
    client.query("NOTIFY news, 'x'")
    assert names(client.query("COMMIT")) == ["COMMIT", "news: x", "ready I"]
    assert rows(client.query("SELECT id FROM pooled")) == [("2",)]


def test_listen_and_notify_of_one_transaction_hear_each_other(client: RawClient) -> None:
    for number in range(50):
        for sql in ("BEGIN", f"LISTEN own{number}", OTHER_SQL, f"NOTIFY own{number}, 'x'"):
            client.query(sql)
        assert names(client.query("COMMIT")) == ["COMMIT", f"own{number}: x", "ready I"]


def test_prepared_statements_work(client: RawClient) -> None:
    client.query("LISTEN news")
    client.send(Parse(b"n", b"SELECT pg_notify('news', $1)", (25,)), Parse(b"s", b"SELECT $1::int + 1", ()), Sync())
    assert names(client.until_ready()) == ["ParseComplete", "ParseComplete", "ready I"]
    for _ in range(3):
        client.send(
            Bind(b"", b"n", (), (b"x",), ()), Execute(b"", 0), Bind(b"", b"s", (), (b"1",), ()), Execute(b"", 0)
        )
        client.send(Sync())
        answer = client.until_ready()
        assert names(answer)[-2:] == ["news: x", "ready I"]
        assert rows(answer)[1:] == [("2",)]


def test_a_query_is_canceled(server: TwistnotifyProcess, client: RawClient, postgres: PostgresServer) -> None:
    client.query("BEGIN")
    pid = backend_of(client)
    client.send(Query(b"SELECT pg_sleep(600)"))
    eventually(lambda: wait_event(postgres, pid), lambda event: event == "PgSleep")
    request_cancel(server.port, client.pid, client.secret)
    assert error_of(client.until_ready()).sqlstate == "57014"
    assert names(client.query("ROLLBACK")) == ["ROLLBACK", "ready I"]


def test_the_end_of_a_client_rolls_back(server: TwistnotifyProcess, postgres: PostgresServer) -> None:
    run(postgres.connect(), "DROP TABLE IF EXISTS pooled; CREATE TABLE pooled (id int)")
    with RawClient(server.port) as client:
        client.query("BEGIN; LOCK TABLE pooled; INSERT INTO pooled VALUES (1)")
        client.reset()
    locks = "SELECT count(*) FROM pg_locks WHERE relation = 'pooled'::regclass"
    eventually(lambda: postgres.fetch(locks), lambda found: found == [(0,)])
    assert postgres.fetch("SELECT count(*) FROM pooled") == [(0,)]


def test_a_pgbouncer_that_dies_ends_the_attached_and_nobody_else(
    start_server: StartServer, postgres: PostgresServer
) -> None:
    pooler = PgBouncer(postgres, "session")
    try:
        pooler.start()
        server = start_server(databases={"postgres": f"{pooler.dsn()} shards=postgres relay_shard=postgres"})
        with RawClient(server.port) as client, RawClient(server.port) as other:
            backend_of(client)
            pooler.destroy()
            assert names(client.until_end()) == ["FATAL 08006"]
            other.query("LISTEN news")
            assert names(other.query(OTHER_SQL)) == ["ERROR 08006", "ready I"]
            assert names(other.query("NOTIFY news, 'x'")) == ["NOTIFY", "news: x", "ready I"]
    finally:
        pooler.destroy()
