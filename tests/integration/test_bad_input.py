"""Whatever a client sends, it gets PostgreSQL's answer, and nobody else notices."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator

import psycopg2
import psycopg2.errors
import pytest
from support.clients import eventually, hear, listen, run
from support.fixtures import StartServer
from support.postgres import PostgresServer
from support.process import TwistnotifyProcess
from support.raw import RawClient, error_of, is_admitted, names

from twistnotify.wire.extended_query import Bind, Execute, Parse, Sync
from twistnotify.wire.simple_query import Query

SEED = 20_240_901


@pytest.fixture
def undisturbed(server: TwistnotifyProcess) -> Iterator[None]:
    """A listener that has to be there, and to hear, when the test is over."""
    listener = listen(server.connect(), "undisturbed")
    yield
    run(server.connect(), "NOTIFY undisturbed, 'x'")
    assert hear(listener) == [("undisturbed", "x")]


@pytest.mark.parametrize(
    "first",
    [
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64),
        b"\0\0\0\0",
        b"\0\0\0\x04",
        b"\xff\xff\xff\xff",
        struct.pack(">II", 10_001, 196_608) + bytes(9_993),
        b"\0" * 100,
    ],
    ids=["HTTP", "TLS", "length 0", "length 4", "length -1", "oversized", "zeroes"],
)
@pytest.mark.usefixtures("undisturbed")
def test_a_first_packet_that_is_garbage_ends_the_connection_without_a_word(
    server: TwistnotifyProcess, first: bytes
) -> None:
    with RawClient(server.port, database=None) as client:
        client.send(first)
        assert client.until_end() == []


@pytest.mark.usefixtures("undisturbed")
def test_a_startup_message_without_a_user_is_refused(server: TwistnotifyProcess) -> None:
    with RawClient(server.port, database=None) as client:
        client.send(struct.pack(">II", 9, 196_608) + b"\0")
        assert error_of(client.until_end()).sqlstate == "28000"


@pytest.mark.usefixtures("undisturbed")
def test_an_unknown_message_type_is_fatal(server: TwistnotifyProcess) -> None:
    with RawClient(server.port) as client:
        client.send(b"?\0\0\0\x04")
        error = error_of(client.until_end())
        assert (error.severity, error.sqlstate) == ("FATAL", "08P01")
        assert error.message == "invalid frontend message type 63"


@pytest.mark.parametrize("message", [b"Q\0\0\0\x03", b"Q\xff\xff\xff\xff", b"S\0\0\0\0"])
@pytest.mark.usefixtures("undisturbed")
def test_an_impossible_length_ends_the_connection(server: TwistnotifyProcess, message: bytes) -> None:
    with RawClient(server.port) as client:
        client.send(message)
        client.until_end()


def test_an_unknown_database_does_not_exist(server: TwistnotifyProcess) -> None:
    with pytest.raises(psycopg2.OperationalError, match='FATAL:  database "nowhere" does not exist'):
        server.connect("nowhere")
    with RawClient(server.port, database=None) as client:
        client.send_startup("nowhere")
        assert error_of(client.until_end()).sqlstate == "3D000"


def test_there_are_no_more_clients_than_allowed(start_server: StartServer) -> None:
    server = start_server(max_client_conn=2)
    first, second = RawClient(server.port), RawClient(server.port)
    with RawClient(server.port, database=None) as third:
        third.send_startup("postgres")
        error = error_of(third.until_end())
        assert (error.severity, error.sqlstate) == ("FATAL", "53300")
    assert not is_admitted(server)
    first.socket.close()
    eventually(lambda: is_admitted(server))
    assert names(second.query("SELECT 1"))[-1] == "ready I"
    second.socket.close()


@pytest.mark.usefixtures("undisturbed")
def test_a_payload_has_less_than_8000_bytes(server: TwistnotifyProcess) -> None:
    with RawClient(server.port) as client:
        for payload in ("x" * 8000, "é" * 4000):
            for sql in (f"NOTIFY long, '{payload}'", f"SELECT pg_notify('long', '{payload}')"):
                answer = client.query(sql)
                assert error_of(answer).sqlstate == "22023"
                assert error_of(answer).message == "payload string too long"
                assert names(answer)[-1] == "ready I"


@pytest.mark.usefixtures("undisturbed")
def test_a_channel_has_a_name(server: TwistnotifyProcess) -> None:
    with RawClient(server.port) as client:
        for sql in ("SELECT pg_notify('', 'x')", "SELECT pg_notify(NULL, 'x')"):
            error = error_of(client.query(sql))
            assert (error.sqlstate, error.message) == ("22023", "channel name cannot be empty")
        for sql in ('LISTEN ""', 'NOTIFY ""', "LISTEN", "NOTIFY"):
            assert error_of(client.query(sql)).sqlstate == "42601"


@pytest.mark.usefixtures("undisturbed")
def test_a_name_of_more_than_63_bytes_is_cut_at_a_character(server: TwistnotifyProcess) -> None:
    with RawClient(server.port) as client:
        long, cut = "c" * 62 + "éx", "c" * 62
        assert names(client.query(f'LISTEN "{long}"')) == ["NOTICE 42622", "LISTEN", "ready I"]
        answer = client.query(f"NOTIFY \"{long}\", 'x'")
        assert names(answer) == ["NOTICE 42622", "NOTIFY", f"{cut}: x", "ready I"]
        assert answer[0].fields.message == f'identifier "{long}" will be truncated to "{cut}"'
        error = error_of(client.query(f"SELECT pg_notify('{long}', 'x')"))
        assert (error.sqlstate, error.message) == ("22023", "channel name too long")


OTHER_SQL = (
    "CREATE TABLE t (id int)",
    "SELECT * FROM pg_class",
    "INSERT INTO t VALUES (1)",
    "COPY t FROM STDIN",
    "SELECT pg_notify('a', 'x'), 1",
    "WITH n AS (SELECT pg_notify('a', 'x')) SELECT 1",
    "DO $$BEGIN PERFORM pg_notify('a', 'x'); END$$",
    "SET work_mem = '1MB'",
    "SET statement_timeout = 'often'",
    "SHOW work_mem",
)


def test_without_a_relay_other_sql_is_refused_and_the_session_goes_on(
    postgres: PostgresServer, start_server: StartServer
) -> None:
    server = start_server(databases={"postgres": f"{postgres.dsn()} relay=off"})
    with RawClient(server.port) as client:
        client.query("LISTEN a")
        for sql in OTHER_SQL:
            answer = client.query(sql)
            assert error_of(answer).sqlstate == "0A000", sql
            assert error_of(answer).hint
            assert names(answer)[-1] == "ready I"
            client.send(Parse(b"", sql.encode(), ()), Bind(b"", b"", (), (), ()), Execute(b"", 0), Sync())
            assert error_of(client.until_ready()).sqlstate == "0A000", sql
            assert names(client.query("NOTIFY a, 'y'")) == ["NOTIFY", "a: y", "ready I"]


@pytest.mark.usefixtures("undisturbed")
def test_bytes_that_are_no_utf8_are_an_error(server: TwistnotifyProcess) -> None:
    with RawClient(server.port) as client:
        client.send(Query(b"NOTIFY a, '\xff'"))
        answer = client.until_ready()
        assert error_of(answer).sqlstate == "22021"
        client.send(Query(b"NOTIFY a, 'fine'"))
        assert names(client.until_ready()) == ["NOTIFY", "ready I"]


def test_without_a_relay_a_message_over_the_limit_is_an_error_and_the_next_is_served(
    postgres: PostgresServer, start_server: StartServer
) -> None:
    server = start_server(max_listen_query_size="16 kB", databases={"postgres": f"{postgres.dsn()} relay=off"})
    with RawClient(server.port) as client:
        client.send(Query(b"NOTIFY a, '" + b"x" * 100_000 + b"'"), Query(b"SELECT 1"))
        assert error_of(client.until_ready()).sqlstate == "54000"
        assert names(client.until_ready())[-1] == "ready I"


def test_a_message_over_the_limit_is_relayed_unread_and_the_next_is_served(start_server: StartServer) -> None:
    server = start_server(max_listen_query_size="16 kB")
    with RawClient(server.port) as client:
        client.send(Query(b"NOTIFY a, '" + b"x" * 100_000 + b"'"), Query(b"SELECT 1"))
        assert error_of(client.until_ready()).sqlstate == "22023"
        assert names(client.until_ready())[-1] == "ready I"


@pytest.mark.usefixtures("undisturbed")
def test_random_bytes_do_no_harm(server: TwistnotifyProcess) -> None:
    source = random.Random(SEED)
    types = b"QPBDECHSXFdcfp?\0\xff"
    for _ in range(300):
        body = source.randbytes(source.randrange(40))
        message = bytes([source.choice(types)]) + struct.pack(">I", len(body) + 4) + body
        logged_in = source.random() < 0.7
        with RawClient(server.port, "postgres" if logged_in else None) as client:
            client.send(message if logged_in else message[1:], source.randbytes(source.randrange(20)))
