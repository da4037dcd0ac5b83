"""Upstream sessions of real servers: PostgreSQL over TCP and a Unix socket, PgBouncer, and PostgreSQL over TLS."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
import pytest_twisted
from support.certificates import Certificate, authority, certificate
from support.pgbouncer import PgBouncer, is_installed
from support.postgres import PostgresServer, bin_folder, free_port
from twisted.internet import reactor
from twisted.internet.defer import Deferred, succeed
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import deferLater
from twisted.internet.tcp import BaseClient

from twistnotify.config.model import Settings
from twistnotify.relay.cancel import send_cancel
from twistnotify.relay.upstream import Relay, Upstream, UpstreamRefused
from twistnotify.session.actions import Replay
from twistnotify.wire.authentication import AuthenticationOk
from twistnotify.wire.catalog import BackendMessage, decode_backend
from twistnotify.wire.errors import ErrorFields, ErrorResponse
from twistnotify.wire.extended_query import Bind, Execute, Flush, Parse, Sync
from twistnotify.wire.framing import FrameBuffer
from twistnotify.wire.session_status import ReadyForQuery
from twistnotify.wire.simple_query import DataRow, Query
from twistnotify.wire.startup import BackendKeyData

STARTUP = (("user", "postgres"), ("database", "postgres"), ("application_name", "relayed"), ("DateStyle", "German"))
TIMEOUT = 60.0
PASSWORD = "pass word"
HBA = """\
local all all trust
hostssl all proven 127.0.0.1/32 cert
host all secret 127.0.0.1/32 scram-sha-256
host all all 127.0.0.1/32 trust
"""

Line = Callable[[PostgresServer], dict[str, str]]
LINES: dict[str, Line] = {
    "tcp": lambda postgres: {"host": "127.0.0.1", "port": str(postgres.port)},
    "name": lambda postgres: {"host": "localhost", "port": str(postgres.port)},
    "socket": lambda postgres: {"host": str(postgres.socket_dir), "port": str(postgres.port)},
    "list": lambda postgres: {"host": f"127.0.0.1,/nowhere,{postgres.socket_dir}", "port": f"1,2,{postgres.port}"},
}


class Client:
    """A client that has an upstream to itself."""

    def __init__(self, upstream: Upstream) -> None:
        self.upstream = upstream
        self.size = 0
        self.full = self.drained = int
        self.is_lost = False
        self._frames = FrameBuffer(2**30)
        self._read: list[BackendMessage] = []
        self._waiting: Deferred[None] | None = None
        upstream.use(self)

    def received(self, data: bytes) -> None:
        self.size += len(data)
        self._frames.feed(data)
        while (frame := self._frames.next_frame()) is not None:
            self._read.append(decode_backend(*frame))
        self._wake()

    def lost(self) -> None:
        assert not self.is_lost
        self.is_lost = True
        self._wake()

    async def read(self) -> list[BackendMessage]:
        """Return all messages up to ReadyForQuery, or to the end."""
        while not self.is_lost and not any(isinstance(message, ReadyForQuery) for message in self._read):
            self._waiting = Deferred()
            await self._waiting.addTimeout(TIMEOUT, reactor)
        read, self._read = self._read, []
        return read

    async def query(self, sql: str) -> list[BackendMessage]:
        """Run a query; return its answer."""
        self.upstream.write(Query(sql.encode()).encode())
        return await self.read()

    async def value(self, sql: str) -> str:
        """Return the only value of a query."""
        (value,) = (message.values[0] for message in await self.query(sql) if isinstance(message, DataRow))
        assert value is not None
        return value.decode()

    async def end(self) -> None:
        """Reset the connection, and wait until it is."""
        self.upstream.abort()
        await self.read()

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.callback(None)


def relay(**conninfo: str) -> Relay:
    return Relay(reactor, "app", lambda: succeed(dict(conninfo)), Settings(server_connect_timeout=TIMEOUT), os.urandom)


async def opened(replays: Sequence[Replay] = (), user: str = "postgres", **conninfo: str) -> Client:
    startup = (("user", user), *STARTUP[1:])
    return Client(await relay(**{"dbname": "postgres", **conninfo}).open(user, startup, replays))


async def refused(user: str = "postgres", **conninfo: str) -> ErrorFields:
    with pytest.raises(UpstreamRefused) as refusal:
        await opened(user=user, **conninfo)
    return refusal.value.fields


def error_of(messages: list[BackendMessage]) -> ErrorFields:
    (fields,) = (message.fields for message in messages if isinstance(message, ErrorResponse))
    return fields


async def until(true: Callable[[], bool]) -> None:
    """Wait until something is so; the reactor goes on meanwhile."""
    deadline = time.monotonic() + TIMEOUT
    while not true():
        assert time.monotonic() < deadline, "too late"
        await deferLater(reactor, 0.01, bool)


def backends(postgres: PostgresServer) -> int:
    ((count,),) = postgres.fetch("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'relayed'")
    return int(count)


@pytest.fixture(autouse=True)
def _nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have a home without certificates; at the end there may be no timer and no socket."""
    monkeypatch.setenv("HOME", str(tmp_path))
    yield
    pytest_twisted.blockon(deferLater(reactor, 0, bool))
    assert reactor.getDelayedCalls() == []
    assert not any(isinstance(each, BaseClient) for each in (*reactor.getReaders(), *reactor.getWriters()))


# PostgreSQL


@pytest.mark.parametrize("line", LINES)
@pytest_twisted.ensureDeferred
async def test_a_session_is_the_clients_own(postgres: PostgresServer, line: str) -> None:
    client = await opened(**LINES[line](postgres))

    assert await client.value("SELECT pg_backend_pid()") == str(client.upstream.pid)
    assert await client.value("SELECT current_user || current_database()") == "postgrespostgres"
    assert await client.value("SELECT date '2001-02-03'") == "03.02.2001"
    assert client.upstream.parameters["application_name"] == "relayed"
    assert client.upstream.parameters["server_version"].startswith(str(postgres.version))
    await client.end()


@pytest_twisted.ensureDeferred
async def test_a_session_is_brought_to_where_the_client_is(postgres: PostgresServer) -> None:
    bind = Bind(b"", b"s", (), (b"Europe/Berlin",), ())
    extended = Parse(b"s", b"SELECT set_config('TimeZone', $1, false)", ()).encode() + bind.encode()
    replays = [
        Replay(Query(b"SET application_name = 'replayed'; SET DateStyle = 'ISO'").encode(), (b"Z",)),
        Replay(extended + Execute(b"", 0).encode() + Flush().encode(), (b"1", b"2", b"CIs")),
        Replay(Sync().encode(), (b"Z",)),
        Replay(Query(b"BEGIN").encode(), (b"Z",)),
        Replay(Query(b"no SQL").encode(), (b"Z",), fails=True),
    ]
    client = await opened(replays, **LINES["tcp"](postgres))

    assert client.upstream.parameters["application_name"] == "replayed"
    assert client.upstream.parameters["DateStyle"] == "ISO, DMY"
    assert client.upstream.parameters["TimeZone"] == "Europe/Berlin"
    assert error_of(await client.query("SELECT 1")).sqlstate == "25P02"
    await client.query("ROLLBACK")
    assert await client.value("EXECUTE s('UTC')") == "UTC"
    await client.end()


@pytest_twisted.ensureDeferred
async def test_a_replay_that_postgresql_refuses_is_told(postgres: PostgresServer) -> None:
    with pytest.raises(UpstreamRefused) as refusal:
        await opened([Replay(Query(b"SET ROLE nobody_knows").encode(), (b"Z",))], **LINES["socket"](postgres))
    fields = refusal.value.fields
    assert (fields.severity, fields.sqlstate) == ("ERROR", "22023")
    assert fields.message == 'role "nobody_knows" does not exist'
    await until(lambda: backends(postgres) == 0)


@pytest.mark.parametrize(
    ("wrong", "sqlstate", "message"),
    [
        ({"dbname": "nothing"}, "3D000", 'database "nothing" does not exist'),
        ({"user": "nobody"}, "28000", 'role "nobody" does not exist'),
    ],
)
@pytest_twisted.ensureDeferred
async def test_what_postgresql_refuses_is_told(
    postgres: PostgresServer, wrong: dict[str, str], sqlstate: str, message: str
) -> None:
    fields = await refused(**LINES["tcp"](postgres), **wrong)

    assert (fields.severity, fields.sqlstate, fields.message) == ("ERROR", sqlstate, message)


@pytest_twisted.ensureDeferred
async def test_a_server_that_is_not_there_is_told(tmp_path: Path) -> None:
    prefix = "could not connect to the upstream server: "
    port = str(free_port())

    assert await refused(host="127.0.0.1", port=port) == ErrorFields("ERROR", "08006", prefix + "Connection refused")
    nothing = await refused(host=str(tmp_path), port=port)
    assert nothing.message == prefix + "No such file or directory"
    unknown = await refused(host="nowhere.invalid", port=port)
    assert unknown.message == prefix + "could not translate host name to address"


@pytest_twisted.ensureDeferred
async def test_a_session_that_takes_no_writes_is_not_taken_for_the_primarys(postgres: PostgresServer) -> None:
    line = LINES["tcp"](postgres)
    startup = (*STARTUP, ("default_transaction_read_only", "on"))
    for wanted, taken in (("primary", True), ("read-write", False)):
        opening = relay(**line, target_session_attrs=wanted).open("postgres", startup, ())
        if taken:
            await Client(await opening).end()
        else:
            with pytest.raises(UpstreamRefused, match="08006"):
                await opening


@pytest.mark.parametrize("line", ["tcp", "socket"])
@pytest_twisted.ensureDeferred
async def test_a_command_is_cancelled_where_it_runs(postgres: PostgresServer, line: str) -> None:
    client = await opened(**LINES[line](postgres))
    upstream = client.upstream
    upstream.write(Query(b"SELECT 1; SELECT pg_sleep(3600)").encode())
    activity = "SELECT count(*) FROM pg_stat_activity WHERE pid = %s AND wait_event = 'PgSleep'"
    await until(lambda: postgres.fetch(activity, upstream.pid) == [(1,)])
    await send_cancel(reactor, upstream.place, upstream.pid, upstream.secret, TIMEOUT)

    assert error_of(await client.read()).sqlstate == "57014"
    assert await client.value("SELECT 7") == "7"
    await send_cancel(reactor, upstream.place, upstream.pid, b"none", TIMEOUT)
    await client.end()


@pytest_twisted.ensureDeferred
async def test_a_session_that_is_ended_leaves_no_backend(postgres: PostgresServer) -> None:
    client = await opened(**LINES["tcp"](postgres))
    assert backends(postgres) == 1
    client.upstream.write(Query(b"SELECT 1").encode())
    client.upstream.end()
    await until(lambda: reactor.getDelayedCalls() == [])

    await until(lambda: backends(postgres) == 0)
    assert not client.is_lost
    assert "unexpected EOF" not in postgres.log()


@pytest_twisted.ensureDeferred
async def test_a_session_that_the_server_ends_is_told_behind_its_last_words(postgres: PostgresServer) -> None:
    client = await opened(**LINES["tcp"](postgres))
    postgres.fetch("SELECT pg_terminate_backend(%s)", client.upstream.pid)

    assert error_of(await client.read()).sqlstate == "57P01"
    while not client.is_lost:
        assert await client.read() == []


@pytest_twisted.ensureDeferred
async def test_an_attempt_that_is_called_off_leaves_no_backend(postgres: PostgresServer) -> None:
    before = backends(postgres)
    line = relay(**LINES["tcp"](postgres))
    slow = [Replay(Query(b"SELECT pg_sleep(3600)").encode(), (b"Z",))]
    for pause in (0, 0.001, 0.003, 0.01, 0.1):
        opening = line.open("postgres", STARTUP, slow)
        opening.addErrback(lambda _: None)
        await deferLater(reactor, pause, bool)
        opening.cancel()

    def over() -> bool:
        # PostgreSQL does not notice that nobody waits for an answer.
        postgres.fetch(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE wait_event = 'PgSleep' AND application_name = 'relayed'"
        )
        return backends(postgres) == before

    await until(over)


async def exchange(client: Client, size: int) -> None:
    """Send and receive so many bytes, with pauses of reading in between."""
    await client.query("CREATE TEMP TABLE text (value text)")
    client.upstream.write(Query(f"INSERT INTO text VALUES ('{'x' * size}')".encode()).encode())
    assert isinstance((await client.read())[-1], ReadyForQuery)
    before = client.size
    client.upstream.write(Query(b"SELECT value FROM text").encode())
    for _ in range(10):
        client.upstream.pause()
        at_rest = client.size
        await deferLater(reactor, 0, bool)
        assert client.size == at_rest
        client.upstream.resume()
        await deferLater(reactor, 0, bool)
    (row,) = (message for message in await client.read() if isinstance(message, DataRow))
    assert row.values == (b"x" * size,)
    assert client.size - before > size


@pytest_twisted.ensureDeferred
async def test_much_passes_both_ways(postgres: PostgresServer) -> None:
    client = await opened(**LINES["tcp"](postgres))
    told: list[str] = []
    client.full = lambda: told.append("full")  # type: ignore[assignment, return-value]
    client.drained = lambda: told.append("drained")  # type: ignore[assignment, return-value]
    await exchange(client, 20_000_000)

    assert told[:2] == ["full", "drained"]
    await client.end()


# PgBouncer


@pytest_twisted.ensureDeferred
async def test_a_pooler_of_sessions_will_do(postgres: PostgresServer) -> None:
    if not is_installed():
        pytest.skip("PgBouncer is not installed")
    pooler = PgBouncer(postgres, "session")
    try:
        pooler.start()
        line = {"host": "127.0.0.1", "port": str(pooler.port)}
        replays = [Replay(Query(b"SET TimeZone = 'Europe/Berlin'").encode(), (b"Z",))]
        client = await opened(replays, **line)
        assert await client.value("SHOW TimeZone") == "Europe/Berlin"
        assert client.upstream.parameters["TimeZone"] == "Europe/Berlin"

        upstream = client.upstream
        upstream.write(Query(b"SELECT pg_sleep(3600)").encode())
        activity = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
        await until(lambda: postgres.fetch(activity) == [(1,)])
        await send_cancel(reactor, upstream.place, upstream.pid, upstream.secret, TIMEOUT)
        assert error_of(await client.read()).sqlstate == "57014"
        await client.end()

        unknown = await refused(**line, dbname="nothing")
        assert unknown.severity == "ERROR"
        assert "nothing" in unknown.message
    finally:
        pooler.destroy()


# TLS


class Secured:
    """A PostgreSQL with a certificate for localhost, and the files to trust it by."""

    def __init__(self, folder: Path, postgres: PostgresServer) -> None:
        self.postgres = postgres
        self.root = authority()
        self._folder = folder
        self.root_file = self.write(self.root, "root")["sslcert"]
        self.other_root_file = self.write(authority("another authority"), "other")["sslcert"]

    def write(self, made: Certificate, name: str) -> dict[str, str]:
        """Write a certificate and its key; return the keywords."""
        shown, key = made.write(self._folder, name)
        return {"sslcert": str(shown), "sslkey": str(key)}

    @property
    def line(self) -> dict[str, str]:
        """Where it is."""
        return {"host": "localhost", "hostaddr": "127.0.0.1", "port": str(self.postgres.port)}

    def start(self) -> None:
        """Start with TLS."""
        server = self.write(certificate(self.root, "unrelated", ["localhost"]), "server")
        hba = self._folder / "hba"
        hba.write_text(HBA)
        # The server runs as another user, and a key that others can read is refused.
        owner = self.postgres.folder.stat()
        for path in self._folder.iterdir():
            os.chown(path, owner.st_uid, owner.st_gid)
        self.postgres.start()
        self.postgres.restart_with(
            ssl="on",
            ssl_cert_file=server["sslcert"],
            ssl_key_file=server["sslkey"],
            ssl_ca_file=self.root_file,
            hba_file=str(hba),
        )
        self.postgres.fetch(f"CREATE ROLE secret LOGIN PASSWORD '{PASSWORD}'")
        self.postgres.fetch("CREATE ROLE proven LOGIN")


@pytest.fixture(scope="module")
def secured() -> Iterator[Secured]:
    """A PostgreSQL 15 with TLS: the one inside the wheel has none."""
    folder = bin_folder(15)
    if folder is None:
        pytest.skip("PostgreSQL 15 is not installed")
    postgres = PostgresServer(folder, 15)
    files = postgres.folder / "tls"
    files.mkdir()
    files.chmod(0o755)
    try:
        made = Secured(files, postgres)
        made.start()
        yield made
    finally:
        postgres.destroy()


IS_SECURE = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"


@pytest.mark.parametrize(
    ("keywords", "secure"),
    [
        ({}, "t"),
        ({"sslmode": "disable"}, "f"),
        ({"sslmode": "allow"}, "t"),
        ({"sslmode": "prefer"}, "t"),
        ({"sslmode": "require"}, "t"),
        ({"sslmode": "require", "sslrootcert": "root"}, "t"),
        ({"sslmode": "verify-ca", "sslrootcert": "root"}, "t"),
        ({"sslmode": "verify-full", "sslrootcert": "root"}, "t"),
        ({"sslmode": "verify-ca", "sslrootcert": "root", "host": "another.example"}, "t"),
        ({"sslmode": "prefer", "sslrootcert": "other"}, "f"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_tls_is_used_as_the_line_says(secured: Secured, keywords: dict[str, str], secure: str) -> None:
    files = {"root": secured.root_file, "other": secured.other_root_file}
    keywords = {keyword: files.get(value, value) for keyword, value in keywords.items()}
    client = await opened(**{**secured.line, **keywords})

    assert await client.value(IS_SECURE) == secure
    await client.end()


@pytest.mark.parametrize(
    ("keywords", "reason"),
    [
        ({"sslmode": "require", "sslrootcert": "other"}, "SSL error: certificate verify failed"),
        ({"sslmode": "verify-full", "sslrootcert": "other"}, "SSL error: certificate verify failed"),
        (
            {"sslmode": "verify-full", "sslrootcert": "root", "host": "another.example"},
            "SSL error: server certificate does not match the host name",
        ),
        ({"sslmode": "verify-full"}, "sslmode=verify-full needs sslrootcert"),
        ({"sslrootcert": "missing"}, "sslrootcert cannot be used: No such file or directory"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_a_server_that_is_not_to_be_trusted_is_not_logged_in_to(
    secured: Secured, keywords: dict[str, str], reason: str
) -> None:
    files = {"root": secured.root_file, "other": secured.other_root_file}
    keywords = {keyword: files.get(value, value) for keyword, value in keywords.items()}

    fields = await refused(**{**secured.line, **keywords})
    assert fields == ErrorFields("ERROR", "08006", f"could not connect to the upstream server: {reason}")


@pytest_twisted.ensureDeferred
async def test_a_password_and_much_else_passes_over_tls(secured: Secured) -> None:
    line = {**secured.line, "sslmode": "verify-full", "sslrootcert": secured.root_file}
    client = await opened(user="secret", **line, password=PASSWORD, require_auth="scram-sha-256")
    await exchange(client, 10_000_000)
    client.upstream.end()
    await until(lambda: reactor.getDelayedCalls() == [])

    assert (await refused(user="secret", **line, password="wrong")).sqlstate == "28P01"
    assert "require_auth" in (await refused(**line, require_auth="scram-sha-256")).message


@pytest_twisted.ensureDeferred
async def test_a_client_proves_itself_by_its_certificate(secured: Secured) -> None:
    mine = secured.write(certificate(secured.root, "proven"), "proven")
    client = await opened(user="proven", **secured.line, sslmode="require", **mine)
    assert await client.value("SELECT current_user") == "proven"
    await client.end()

    assert (await refused(user="proven", **secured.line, sslmode="require")).sqlstate == "28000"


@pytest_twisted.ensureDeferred
async def test_a_server_with_tls_takes_a_request_to_cancel_without_it(secured: Secured) -> None:
    client = await opened(**secured.line, sslmode="require")
    client.upstream.write(Query(b"SELECT pg_sleep(3600)").encode())
    activity = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
    await until(lambda: secured.postgres.fetch(activity) == [(1,)])
    await send_cancel(reactor, client.upstream.place, client.upstream.pid, client.upstream.secret, TIMEOUT)

    assert error_of(await client.read()).sqlstate == "57014"
    await client.end()


class Strange(Protocol):
    """A server that says S to the first client and then something that is no TLS; the second one is let in."""

    greeted = 0

    def dataReceived(self, data: bytes) -> None:
        if data[4:] == b"\x04\xd2\x16\x2f":
            self.transport.write(b"S")  # type: ignore[union-attr]
        elif data[0] == 22:
            self.transport.write(b"no TLS" * 10)  # type: ignore[union-attr]
        else:
            greeting = AuthenticationOk().encode() + BackendKeyData(7, b"key!").encode() + ReadyForQuery("I").encode()
            self.transport.write(greeting)  # type: ignore[union-attr]


@pytest.mark.parametrize("mode", ["prefer", "require"])
@pytest_twisted.ensureDeferred
async def test_a_handshake_that_fails_is_followed_by_plain_text_only_where_that_is_allowed(mode: str) -> None:
    port = reactor.listenTCP(0, Factory.forProtocol(Strange), interface="127.0.0.1")
    try:
        line = {"host": "127.0.0.1", "port": str(port.getHost().port), "sslmode": mode}
        if mode == "prefer":
            # What says S again would never be asked: the second connection is a plain one from the start.
            client = await opened(**line)
            assert client.upstream.pid == 7
            await client.end()
        else:
            assert (await refused(**line)).message.endswith("SSL error: wrong version number")
    finally:
        await port.stopListening()
