"""A request to cancel reaches what the client's backend is at, and nothing else."""

from __future__ import annotations

import asyncio
import os
import pty
import select
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import asyncpg
import psycopg
import psycopg2.errors
import pytest
import pytest_twisted
from support.certificates import authority, certificate
from support.clients import DEADLINE, eventually, run
from support.fake_upstream import Caller, FakeUpstream
from support.fixtures import StartServer
from support.postgres import PostgresServer, bin_folder
from support.process import TwistnotifyProcess
from support.raw import RawClient, error_of, names, request_cancel
from support.relaying import backend_of, rows, upstreams, wait_event, wait_for_upstreams
from twisted.internet import reactor
from twisted.internet.defer import succeed
from twisted.internet.task import LoopingCall
from twisted.protocols.portforward import ProxyFactory, ProxyServer

from twistnotify.config.model import Settings
from twistnotify.relay.cancel import send_cancel
from twistnotify.relay.places import Place
from twistnotify.relay.tls import MISMATCH, ClientTls
from twistnotify.relay.upstream import Relay
from twistnotify.wire.copying import CopyData
from twistnotify.wire.extended_query import Bind, Execute, Parse, Sync
from twistnotify.wire.simple_query import Query
from twistnotify.wire.startup import CancelRequest, SSLRequest

TLS_HANDSHAKE = 22
"""The first byte of TLS."""
SLEEP = "SELECT pg_sleep(600)"


@pytest.fixture
def client(server: TwistnotifyProcess, postgres: PostgresServer) -> Iterator[RawClient]:
    """The only client that is attached."""
    wait_for_upstreams(postgres, 0)
    with RawClient(server.port) as raw:
        backend_of(raw)
        yield raw


def wait_for_sleep(postgres: PostgresServer) -> None:
    """Wait until the only client that is attached sleeps."""
    (pid,) = wait_for_upstreams(postgres, 1)
    eventually(lambda: wait_event(postgres, pid), lambda event: event == "PgSleep")


def cancel(server: TwistnotifyProcess, client: RawClient) -> None:
    """Ask to cancel what a client runs."""
    request_cancel(server.port, client.pid, client.secret)


@contextmanager
def asleep(postgres: PostgresServer, work: Callable[[], object]) -> Iterator[threading.Thread]:
    """Do in a thread what is to sleep, and be awakened."""
    thread = threading.Thread(target=work)
    thread.start()
    try:
        wait_for_sleep(postgres)
        yield thread
    finally:
        thread.join(DEADLINE)
        assert not thread.is_alive()


def test_a_query_is_canceled_and_the_session_goes_on(
    server: TwistnotifyProcess, client: RawClient, postgres: PostgresServer
) -> None:
    client.send(Query(SLEEP.encode()))
    wait_for_sleep(postgres)
    cancel(server, client)
    answer = client.until_ready()
    assert (error_of(answer).sqlstate, names(answer)[-1]) == ("57014", "ready I")
    assert rows(client.query("SELECT 'goes on'")) == [("goes on",)]


def test_a_request_does_not_strike_what_is_sent_behind_its_answer(
    server: TwistnotifyProcess, client: RawClient, postgres: PostgresServer
) -> None:
    pid = backend_of(client)
    for _ in range(50):
        client.send(Query(SLEEP.encode()))
        # Nothing that is sent from now on is to be hit.
        eventually(lambda: answered(client) or wait_event(postgres, pid), lambda seen: seen in (True, "PgSleep"))
        assert not answered(client)
        cancel(server, client)
        assert error_of(client.until_ready()).sqlstate == "57014"


def answered(client: RawClient, seconds: float = 0.0) -> bool:
    """Tell whether there is something to read, or comes before long."""
    return bool(select.select([client.socket], [], [], seconds)[0])


def test_a_canceled_pipeline_is_skipped_up_to_sync(
    server: TwistnotifyProcess, client: RawClient, postgres: PostgresServer
) -> None:
    for sql in ("LISTEN never", SLEEP, "LISTEN nor_this"):
        client.send(Parse(b"", sql.encode(), ()), Bind(b"", b"", (), (), ()), Execute(b"", 0))
    client.send(Sync(), Query(b"SELECT * FROM pg_listening_channels()"))
    wait_for_sleep(postgres)
    cancel(server, client)
    assert names(client.until_ready())[-2:] == ["ERROR 57014", "ready I"]
    assert rows(client.until_ready()) == []


def test_a_copy_that_waits_for_the_client_is_canceled(
    server: TwistnotifyProcess, client: RawClient, postgres: PostgresServer
) -> None:
    pid = backend_of(client)
    client.query("CREATE TEMP TABLE t (line text)")
    client.send(Query(b"COPY t FROM STDIN"))
    assert names([client.read()]) == ["CopyInResponse"]
    eventually(lambda: wait_event(postgres, pid), lambda event: event == "ClientRead")
    cancel(server, client)
    # A backend that waits for data looks at the request when a row has come.
    while not answered(client, 0.02):
        client.send(CopyData(b"row\n"))
    assert names(client.until_ready()) == ["ERROR 57014", "ready I"]
    assert rows(client.query("SELECT count(*) FROM t")) == [("0",)]


def test_the_transaction_that_is_canceled_has_failed(
    server: TwistnotifyProcess, client: RawClient, postgres: PostgresServer
) -> None:
    client.query("BEGIN; LISTEN never; NOTIFY never")
    client.send(Query(SLEEP.encode()))
    wait_for_sleep(postgres)
    cancel(server, client)
    assert names(client.until_ready())[-2:] == ["ERROR 57014", "ready E"]
    assert names(client.query("COMMIT")) == ["ROLLBACK", "ready I"]
    assert rows(client.query("SELECT * FROM pg_listening_channels()")) == []


def test_a_request_while_nothing_runs_does_nothing(server: TwistnotifyProcess, client: RawClient) -> None:
    for _ in range(20):
        cancel(server, client)
        assert rows(client.query("SELECT count(*) FROM pg_class WHERE oid = 0")) == [("0",)]
        client.query("BEGIN")
        cancel(server, client)
        assert names(client.query("ROLLBACK")) == ["ROLLBACK", "ready I"]


def test_a_request_with_a_wrong_key_does_nothing(
    server: TwistnotifyProcess, client: RawClient, postgres: PostgresServer
) -> None:
    client.send(Query(SLEEP.encode()))
    wait_for_sleep(postgres)
    with RawClient(server.port) as other:
        for pid, secret in (
            (client.pid, bytes(4)),
            (client.pid, client.secret + b"\0"),
            (client.pid, other.secret),
            (other.pid, client.secret),
            (upstreams(postgres)[0], client.secret),
        ):
            request_cancel(server.port, pid, secret)
    wait_for_sleep(postgres)
    cancel(server, client)
    assert error_of(client.until_ready()).sqlstate == "57014"


def test_a_client_cannot_be_canceled_behind_its_back(
    server: TwistnotifyProcess, client: RawClient, postgres: PostgresServer
) -> None:
    client.send(Query(SLEEP.encode()))
    wait_for_sleep(postgres)
    # The key of the backend is nobody's to know: the client has one of its own.
    request_cancel(postgres.port, client.pid, client.secret)
    wait_for_sleep(postgres)
    cancel(server, client)
    assert error_of(client.until_ready()).sqlstate == "57014"


def test_a_request_while_the_client_is_being_attached_fails_the_statement(
    start_server: StartServer, postgres: PostgresServer
) -> None:
    called = threading.Event()

    def never_answer(caller: Caller) -> None:
        caller.startup_packet()
        called.set()
        caller.wait_for_end()

    with FakeUpstream(never_answer) as fake:
        server = start_server(
            databases={"postgres": f"{fake.dsn} shards=postgres"}, server_connect_timeout=3 * DEADLINE
        )
        with RawClient(server.port) as client:
            client.query("LISTEN news")
            client.send(Query(b"SELECT count(*) FROM pg_class"))
            assert called.wait(DEADLINE)
            cancel(server, client)
            assert names(client.until_ready()) == ["ERROR 57014", "ready I"]
            assert fake.ended.acquire(timeout=DEADLINE)
            assert names(client.query("NOTIFY news, 'x'")) == ["NOTIFY", "news: x", "ready I"]


def test_psycopg2_cancels(server: TwistnotifyProcess, postgres: PostgresServer) -> None:
    wait_for_upstreams(postgres, 0)
    connection = server.connect()

    def work() -> None:
        with pytest.raises(psycopg2.errors.QueryCanceled):
            run(connection, SLEEP)

    with asleep(postgres, work):
        connection.cancel()
    assert run(connection, "SELECT 2") == [(2,)]


@pytest.mark.parametrize("version", ["3.0", "3.2"])
def test_psycopg3_cancels_with_keys_of_both_lengths(
    server: TwistnotifyProcess, postgres: PostgresServer, version: str
) -> None:
    wait_for_upstreams(postgres, 0)
    if version != "3.0" and psycopg.pq.version() < 180_000:
        pytest.skip("this libpq knows only protocol 3.0")
    dsn = server.dsn() if version == "3.0" else f"{server.dsn()} min_protocol_version=3.2 max_protocol_version=3.2"
    with psycopg.connect(dsn, autocommit=True) as connection:

        def work() -> None:
            with pytest.raises(psycopg.errors.QueryCanceled):
                connection.execute(SLEEP)

        with asleep(postgres, work):
            connection.cancel_safe(timeout=DEADLINE)
        assert connection.execute("SELECT 2").fetchall() == [(2,)]


def test_asyncpg_cancels_what_takes_too_long(server: TwistnotifyProcess) -> None:
    async def main() -> None:
        connection: Any = await asyncpg.connect(
            host="127.0.0.1", port=server.port, user="postgres", database="postgres", timeout=DEADLINE
        )
        try:
            with pytest.raises(TimeoutError):
                await connection.execute(SLEEP, timeout=0.2)
            assert await connection.fetchval("SELECT 1 + $1::int", 1, timeout=DEADLINE) == 2
        finally:
            connection.terminate()

    asyncio.run(main())


@pytest.fixture
def psql(postgres: PostgresServer) -> Path:
    """The program psql of the same version as the server."""
    folder = bin_folder(postgres.version)
    assert folder is not None
    return folder / "psql"


def test_psql_cancels_when_it_is_interrupted(psql: Path, server: TwistnotifyProcess, postgres: PostgresServer) -> None:
    wait_for_upstreams(postgres, 0)
    with subprocess.Popen([psql, "-X", server.dsn(), "-c", SLEEP], stderr=subprocess.PIPE, text=True) as process:
        wait_for_sleep(postgres)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=DEADLINE)
    assert "ERROR:  canceling statement due to user request" in errors


def test_ctrl_c_in_psql_cancels_and_the_prompt_comes_back(
    psql: Path, server: TwistnotifyProcess, postgres: PostgresServer
) -> None:
    wait_for_upstreams(postgres, 0)
    with Terminal([psql, "-X", "-n", "-P", "pager=off", server.dsn()]) as terminal:
        terminal.read_until("=# ")
        terminal.write(f"{SLEEP};\n")
        wait_for_sleep(postgres)
        terminal.interrupt()
        assert "canceling statement due to user request" in terminal.read_until("=# ")
        terminal.write("SELECT 'goes' || ' on';\n")
        assert "goes on" in terminal.read_until("=# ")


class Terminal:
    """A program on a terminal, which ends with the test."""

    def __init__(self, command: list[Path | str]) -> None:
        self._master, slave = pty.openpty()
        self._process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, start_new_session=True)
        os.close(slave)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait(DEADLINE)
        os.close(self._master)

    def write(self, text: str) -> None:
        """Type."""
        os.write(self._master, text.encode())

    def interrupt(self) -> None:
        """Do what Ctrl-C does."""
        self._process.send_signal(signal.SIGINT)

    def read_until(self, end: str) -> str:
        """Read until something has been shown; return it with what came before."""
        shown = ""
        while end not in shown:
            assert select.select([self._master], [], [], DEADLINE)[0], f"shown only {shown!r}"
            shown += os.read(self._master, 4096).decode()
        return shown


# TLS


class Recorded(ProxyServer):
    """A connection on its way to PostgreSQL; its factory has what the client has sent, a piece for each connection."""

    def connectionMade(self) -> None:
        self.heard = bytearray()
        self.factory.heard.append(self.heard)  # type: ignore[attr-defined]
        super().connectionMade()

    def dataReceived(self, data: bytes) -> None:
        self.heard += data
        super().dataReceived(data)


class Recorder(ProxyFactory):
    """What passes connections on and keeps what clients say."""

    noisy = False
    protocol = Recorded

    def __init__(self, port: int) -> None:
        super().__init__("127.0.0.1", port)
        self.heard: list[bytearray] = []


@pytest.fixture(scope="module")
def secured() -> Iterator[tuple[PostgresServer, Path]]:
    """A PostgreSQL 15 with TLS, and the certificate of who has signed its own: the one inside the wheel has no TLS."""
    folder = bin_folder(15)
    if folder is None:
        pytest.skip("PostgreSQL 15 is not installed")
    postgres = PostgresServer(folder, 15)
    try:
        root = authority()
        trusted, _ = root.write(postgres.folder, "root")
        shown, key = certificate(root, "db", ["db.example"]).write(postgres.folder, "server")
        owner = postgres.folder.stat()
        os.chown(key, owner.st_uid, owner.st_gid)
        postgres.start()
        postgres.restart_with(ssl="on", ssl_cert_file=str(shown), ssl_key_file=str(key))
        yield postgres, trusted
    finally:
        postgres.destroy()


class Sink:
    """A client that only keeps what its upstream says."""

    def __init__(self) -> None:
        self.data = b""
        self.is_lost = False

    def received(self, data: bytes) -> None:
        self.data += data

    def lost(self) -> None:
        self.is_lost = True

    def full(self) -> None:
        pass

    def drained(self) -> None:
        pass


async def until(true: Callable[[], object]) -> None:
    """Wait until something is so; the reactor goes on meanwhile."""
    waiting = LoopingCall(lambda: true() and waiting.stop())
    await waiting.start(0.01).addTimeout(DEADLINE, reactor)


@pytest.mark.parametrize("mode", ["verify-full", "prefer", "disable"])
@pytest_twisted.ensureDeferred
async def test_the_request_is_as_safe_as_the_session(secured: tuple[PostgresServer, Path], mode: str) -> None:
    postgres, trusted = secured
    recorder = Recorder(postgres.port)
    port = reactor.listenTCP(0, recorder, interface="127.0.0.1")
    line = {"host": "db.example", "hostaddr": "127.0.0.1", "port": str(port.getHost().port), "dbname": "postgres"}
    keywords = {**line, "sslmode": mode} | ({} if mode == "disable" else {"sslrootcert": str(trusted)})
    relay = Relay(reactor, "app", lambda: succeed(keywords), Settings(), os.urandom)
    try:
        upstream = await relay.open("postgres", (("user", "postgres"),), ())
        sink = Sink()
        upstream.use(sink)
        upstream.write(Query(SLEEP.encode()).encode())
        await until(lambda: wait_event(postgres, upstream.pid) == "PgSleep")
        await send_cancel(reactor, upstream.place, upstream.pid, upstream.secret, DEADLINE, upstream.tls)
        await until(lambda: b"57014" in sink.data)
        upstream.abort()
        await until(lambda: sink.is_lost)
    finally:
        await port.stopListening()

    _, request = recorder.heard
    if mode == "disable":
        assert bytes(request) == CancelRequest(upstream.pid, upstream.secret).encode()
    else:
        asked = SSLRequest().encode()
        assert request.startswith(asked + bytes([TLS_HANDSHAKE]))
        assert upstream.secret not in request


@pytest_twisted.ensureDeferred
async def test_a_request_is_not_sent_to_a_server_that_is_not_the_sessions(secured: tuple[PostgresServer, Path]) -> None:
    postgres, trusted = secured
    recorder = Recorder(postgres.port)
    port = reactor.listenTCP(0, recorder, interface="127.0.0.1")
    place = Place("other.example", port.getHost().port, "127.0.0.1")
    tls = ClientTls({"sslmode": "verify-full", "sslrootcert": str(trusted)}, place.host)
    try:
        await send_cancel(reactor, place, 4711, b"the secret", DEADLINE, tls)
    finally:
        await port.stopListening()

    assert tls.fault == MISMATCH
    (request,) = recorder.heard
    assert request.startswith(SSLRequest().encode())
    assert b"the secret" not in request
