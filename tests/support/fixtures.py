"""The fixtures of the integration tests: a real PostgreSQL, and twistnotify in front of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from psycopg2.extensions import set_wait_callback
from support.clients import wait_patiently
from support.configuration import config_for
from support.postgres import PostgresServer, bin_folder
from support.process import TwistnotifyProcess
from support.versions import VERSIONS

SHARDS = 3

StartServer = Callable[..., TwistnotifyProcess]


@pytest.fixture(scope="session", params=VERSIONS, ids=[f"pg{version}" for version in VERSIONS])
def postgres_of_session(request: pytest.FixtureRequest) -> Iterator[PostgresServer]:
    """A PostgreSQL of each version."""
    folder = bin_folder(request.param)
    if folder is None:
        pytest.skip(f"PostgreSQL {request.param} is not installed")
    set_wait_callback(wait_patiently)
    postgres = PostgresServer(folder, request.param)
    try:
        postgres.start()
        yield postgres
    finally:
        postgres.destroy()
        set_wait_callback(None)


@pytest.fixture
def postgres(postgres_of_session: PostgresServer) -> Iterator[PostgresServer]:
    """A running PostgreSQL of each version; a test may stop it."""
    if not postgres_of_session.running:
        postgres_of_session.start()
    yield postgres_of_session
    postgres_of_session.close_connections()


@pytest.fixture
def start_server(postgres: PostgresServer, tmp_path: Path) -> Iterator[StartServer]:
    """Start servers with settings of one's own: `start_server(shards=1, databases=None, **settings)`.

    Where PostgreSQL runs, they are connected to it. `databases` are lines of the configuration (`config_for`).
    """
    started: list[TwistnotifyProcess] = []

    def start(shards: int = 1, databases: Mapping[str, str] | None = None, **settings: object) -> TwistnotifyProcess:
        if shards > 1 and postgres.running:
            _create_shards(postgres, shards)
        folder = tmp_path / f"server{len(started)}"
        folder.mkdir()
        process = TwistnotifyProcess(config_for(postgres, shards, databases, **settings), folder)
        started.append(process)
        process.start()
        if postgres.running:
            process.wait_until_up(shards)
        return process

    yield start
    _stop_all(started)


@pytest.fixture(scope="module")
def server_of_module(
    postgres_of_session: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TwistnotifyProcess]:
    """The process behind `server`."""
    process = TwistnotifyProcess(config_for(postgres_of_session), tmp_path_factory.mktemp("server"))
    process.start()
    process.wait_until_up()
    yield process
    process.stop()


@pytest.fixture
def server(postgres: PostgresServer, server_of_module: TwistnotifyProcess) -> Iterator[TwistnotifyProcess]:
    """A server with all settings at their defaults and the database `postgres`, shared by a module's tests."""
    yield server_of_module
    server_of_module.close_connections()


@pytest.fixture(scope="module")
def sharded_server_of_module(
    postgres_of_session: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TwistnotifyProcess]:
    """The process behind `sharded_server`."""
    _create_shards(postgres_of_session, SHARDS)
    process = TwistnotifyProcess(config_for(postgres_of_session, SHARDS), tmp_path_factory.mktemp("sharded"))
    process.start()
    process.wait_until_up(SHARDS)
    yield process
    process.stop()


@pytest.fixture
def sharded_server(
    postgres: PostgresServer, sharded_server_of_module: TwistnotifyProcess
) -> Iterator[TwistnotifyProcess]:
    """A server with the database `app` on three shards, shared by a module's tests."""
    yield sharded_server_of_module
    sharded_server_of_module.close_connections()


def _create_shards(postgres: PostgresServer, count: int) -> None:
    """Create the databases that are shards of `app`."""
    for number in range(count):
        postgres.create_database(f"app{number}")


def _stop_all(processes: list[TwistnotifyProcess]) -> None:
    """Stop processes; all of them, whatever the first says."""
    failures = []
    for process in processes:
        try:
            process.stop()
        except AssertionError as failure:
            failures.append(failure)
    if failures:
        raise failures[0]
