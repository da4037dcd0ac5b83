"""max_db_connections bounds the backends of each database, and no more than that."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.clients import eventually
from support.configuration import config_for
from support.postgres import PostgresServer
from support.process import TwistnotifyProcess
from support.raw import RawClient, error_of, names
from support.relaying import backend_of, rows, upstreams, wait_for_upstreams
from support.versions import one_version

from twistnotify.wire.errors import ErrorFields

LIMIT = 2
REFUSED = ErrorFields(
    "ERROR",
    "53300",
    'sorry, too many upstream sessions for database "postgres"',
    hint="See max_db_connections.",
)


@pytest.fixture(scope="module")
def server_of_module(
    postgres_of_session: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TwistnotifyProcess]:
    """A server of two databases, which are one, with two backends each."""
    postgres = postgres_of_session
    lines = {"postgres": postgres.dsn(), "other": postgres.dsn()}
    process = TwistnotifyProcess(
        config_for(postgres, 1, lines, max_db_connections=LIMIT), tmp_path_factory.mktemp("limit")
    )
    process.start()
    process.wait_until_up()
    yield process
    process.stop()


@pytest.fixture
def full(server: TwistnotifyProcess, postgres: PostgresServer) -> Iterator[list[RawClient]]:
    """The clients of all backends that there may be."""
    wait_for_upstreams(postgres, 0)
    clients = [RawClient(server.port) for _ in range(LIMIT)]
    for client in clients:
        backend_of(client)
    yield clients
    for client in clients:
        client.socket.close()


@one_version
def test_a_client_too_many_is_refused_and_may_try_again(
    full: list[RawClient], server: TwistnotifyProcess, postgres: PostgresServer
) -> None:
    with RawClient(server.port) as late:
        late.query("LISTEN a")
        assert error_of(late.query("SELECT count(*) FROM pg_class")) == REFUSED
        assert names(late.query("NOTIFY a")) == ["NOTIFY", "a: ", "ready I"]
        assert len(upstreams(postgres)) == LIMIT

        full[0].reset()
        wait_for_upstreams(postgres, LIMIT - 1)
        answer = eventually(lambda: rows(late.query("SELECT count(*) FROM pg_class WHERE oid = 0")))
        assert answer == [("0",)]


@one_version
def test_the_transaction_that_needed_it_fails(full: list[RawClient], server: TwistnotifyProcess) -> None:
    with RawClient(server.port) as late:
        late.query("BEGIN")
        assert error_of(late.query("SELECT count(*) FROM pg_class")) == REFUSED
        assert names(late.query("SELECT 1")) == ["ERROR 25P02", "ready E"]
        assert names(late.query("COMMIT")) == ["ROLLBACK", "ready I"]


@one_version
def test_another_database_has_its_own(full: list[RawClient], server: TwistnotifyProcess) -> None:
    with RawClient(server.port, "other") as client:
        assert backend_of(client)
