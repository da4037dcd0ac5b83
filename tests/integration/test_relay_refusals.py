"""A session that PostgreSQL does not give is an error of the statement that asked for it, and of nothing more."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.clients import eventually, run
from support.configuration import config_for
from support.fake_upstream import Caller, FakeUpstream
from support.fixtures import StartServer
from support.postgres import PostgresServer, free_port
from support.process import TwistnotifyProcess
from support.raw import RawClient, error_of, names
from support.relaying import backend_of, rows, wait_for_upstreams
from support.versions import one_version

from twistnotify.wire.authentication import AuthenticationCleartextPassword
from twistnotify.wire.errors import ErrorFields, ErrorResponse
from twistnotify.wire.extended_query import Bind, Execute, Parse, Sync
from twistnotify.wire.session_status import Terminate

Crowded = tuple[TwistnotifyProcess, RawClient]
OTHER_SQL = "SELECT count(*) FROM pg_class WHERE oid = 0"


@pytest.fixture(scope="module")
def server_of_module(
    postgres_of_session: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TwistnotifyProcess]:
    """A server whose clients may have one backend between them."""
    postgres = postgres_of_session
    run(postgres.connect(), "DROP ROLE IF EXISTS lonely; CREATE ROLE lonely LOGIN CONNECTION LIMIT 1")
    line = f"host=127.0.0.1 port={postgres.port} user=lonely dbname=postgres shards=postgres"
    process = TwistnotifyProcess(config_for(postgres, databases={"postgres": line}), tmp_path_factory.mktemp("server"))
    process.start()
    process.wait_until_up()
    yield process
    process.stop()


@pytest.fixture
def crowded(server: TwistnotifyProcess, postgres: PostgresServer) -> Iterator[Crowded]:
    """The server, and the client that has its backend."""
    wait_for_upstreams(postgres, 0)
    with RawClient(server.port) as first:
        backend_of(first)
        yield server, first


def test_too_many_connections_are_an_error_and_the_client_stays(crowded: Crowded, postgres: PostgresServer) -> None:
    with RawClient(crowded[0].port) as client:
        client.query("LISTEN news")
        for _ in range(2):
            answer = client.query(OTHER_SQL)
            assert names(answer) == ["ERROR 53300", "ready I"]
            assert error_of(answer).message == 'too many connections for role "lonely"'
        assert names(client.query("NOTIFY news, 'x'")) == ["NOTIFY", "news: x", "ready I"]
        run(postgres.connect(), "ALTER ROLE lonely CONNECTION LIMIT 2")
        assert rows(client.query(OTHER_SQL)) == [("0",)]
        assert names(client.query("NOTIFY news, 'y'")) == ["NOTIFY", "news: y", "ready I"]
        run(postgres.connect(), "ALTER ROLE lonely CONNECTION LIMIT 1")


def test_who_was_refused_is_served_when_another_one_has_left(crowded: Crowded) -> None:
    server, first = crowded
    with RawClient(server.port) as client:
        assert error_of(client.query(OTHER_SQL)).sqlstate == "53300"
        first.send(Terminate())
        eventually(lambda: names(client.query(OTHER_SQL)), lambda answer: "ERROR 53300" not in answer)
        assert rows(client.query(OTHER_SQL)) == [("0",)]


def test_a_refusal_fails_the_transaction(crowded: Crowded) -> None:
    with RawClient(crowded[0].port) as client:
        client.query("BEGIN")
        client.query("LISTEN never")
        assert names(client.query(OTHER_SQL)) == ["ERROR 53300", "ready E"]
        assert names(client.query(OTHER_SQL)) == ["ERROR 25P02", "ready E"]
        assert names(client.query("COMMIT")) == ["ROLLBACK", "ready I"]
        assert rows(client.query("SELECT * FROM pg_listening_channels()")) == []


def test_a_refusal_in_a_pipeline_skips_to_sync(crowded: Crowded) -> None:
    with RawClient(crowded[0].port) as client:
        for sql in ("NOTIFY news, 'never'", OTHER_SQL, "LISTEN never"):
            client.send(Parse(b"", sql.encode(), ()), Bind(b"", b"", (), (), ()), Execute(b"", 0))
        client.send(Sync())
        expected = ["ParseComplete", "BindComplete", "NOTIFY", "ERROR 53300", "ready I"]
        assert names(client.until_ready()) == expected
        assert rows(client.query("SELECT * FROM pg_listening_channels()")) == []


@pytest.mark.parametrize(
    ("place", "sqlstate"),
    [
        ("port={port} user=postgres dbname=nowhere", "3D000"),
        ("port={port} user=nobody_of_this_name dbname=postgres", "28000"),
        ("port={free} user=postgres dbname=postgres", "08006"),
        ("port={port} user=postgres dbname=postgres sslmode=require", "08006"),
    ],
    ids=["no such database", "no such role", "nobody there", "no TLS"],
)
def test_a_line_that_leads_nowhere_is_an_error_of_each_statement(
    start_server: StartServer, postgres: PostgresServer, place: str, sqlstate: str
) -> None:
    line = place.format(port=postgres.port, free=free_port())
    server = start_server(databases={"postgres": f"host=127.0.0.1 {line} shards=postgres"})
    with RawClient(server.port) as client:
        client.query("LISTEN news")
        for _ in range(2):
            assert names(client.query(OTHER_SQL)) == [f"ERROR {sqlstate}", "ready I"]
        assert names(client.query("NOTIFY news, 'x'")) == ["NOTIFY", "news: x", "ready I"]
    assert len([line for line in server.log().splitlines() if "no upstream session" in line]) == 2


@one_version
@pytest.mark.parametrize("password", ["", "password=secret-of-the-line"])
def test_a_password_that_is_missing_or_wrong_is_an_error_and_not_shown(
    start_server: StartServer, password: str
) -> None:
    given: list[bytes] = []

    def ask(caller: Caller) -> None:
        caller.startup_packet()
        caller.send(AuthenticationCleartextPassword())
        given.append(caller.message()[1])
        caller.send(ErrorResponse(ErrorFields("FATAL", "28P01", "password authentication failed")))

    with FakeUpstream(ask) as fake:
        server = start_server(databases={"postgres": f"{fake.dsn} {password} shards=postgres"})
        with RawClient(server.port) as client:
            answer = client.query(OTHER_SQL)
            assert names(answer) == ["ERROR 28P01", "ready I"]
            assert names(client.query("SELECT 1"))[-1] == "ready I"
        assert given == ([b"secret-of-the-line\0"] if password else [])
        assert "secret" not in repr(answer) + server.log()


@one_version
def test_without_the_relay_other_sql_is_not_served(start_server: StartServer, postgres: PostgresServer) -> None:
    server = start_server(databases={"postgres": f"{postgres.dsn()} relay=off"})
    with RawClient(server.port) as client:
        client.query("LISTEN news")
        for sql in (OTHER_SQL, "CREATE TABLE never (id int)", "COPY t FROM STDIN"):
            answer = client.query(sql)
            assert names(answer) == ["ERROR 0A000", "ready I"]
            assert error_of(answer).hint
        assert names(client.query("NOTIFY news, 'x'")) == ["NOTIFY", "news: x", "ready I"]
    with RawClient(server.port, database=None) as client:
        # What PostgreSQL would have to judge is left aside.
        client.send_startup("postgres", work_mem="much")
        assert names(client.until_ready())[-1] == "ready I"


@pytest.mark.parametrize("value", ["true", "database", "on"])
def test_a_replication_connection_is_refused(server: TwistnotifyProcess, value: str) -> None:
    with RawClient(server.port, database=None) as client:
        client.send_startup("postgres", replication=value)
        error = error_of(client.until_end())
        assert (error.severity, error.sqlstate) == ("FATAL", "0A000")


def test_a_start_up_parameter_that_postgresql_refuses_is_fatal(server: TwistnotifyProcess) -> None:
    with RawClient(server.port, database=None) as client:
        client.send_startup("postgres", work_mem="much")
        error = error_of(client.until_end())
        assert (error.severity, error.sqlstate) == ("FATAL", "22023")


def test_a_start_up_parameter_that_postgresql_takes_is_in_effect(server: TwistnotifyProcess) -> None:
    with RawClient(server.port, database=None) as client:
        client.send_startup("postgres", work_mem="1234kB", options="-c geqo=off")
        assert names(client.until_ready())[-1] == "ready I"
        assert rows(client.query("SELECT current_setting('work_mem'), current_setting('geqo')")) == [("1234kB", "off")]
