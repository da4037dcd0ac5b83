"""Clients that take for ever to log in keep nobody else out, cost little, and are gone when their time is up."""

from __future__ import annotations

import resource
import selectors
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from support.clients import DEADLINE, eventually, run
from support.postgres import PostgresServer
from support.process import TwistnotifyProcess
from support.raw import RawClient
from support.relaying import MB, steady
from support.security import SCRAM, running, tls_settings, write_certificates, write_userlist
from support.versions import one_version

from twistnotify.wire.authentication import AuthenticationSASL, SASLInitialResponse
from twistnotify.wire.startup import PROTOCOL_3_0, SSLRequest, StartupMessage

pytestmark = one_version

SLOW = 5_000
TIMEOUT = 6.0
"""Seconds (client_login_timeout) for the slow ones, of which there are more than can connect in one."""
SHORT = 1.0
"""Seconds for those that just stop."""
MARGIN = 10.0
"""Seconds that a busy machine may add before everything is over."""
SOON = 5.0
"""Seconds that a good log-in may take meanwhile: it takes some milliseconds, but the slow ones are ours, too."""
EACH = 16 * 1024
"""Bytes that a slow client may cost."""
STARTUP = StartupMessage(PROTOCOL_3_0, {"user": SCRAM.name, "database": "postgres"}).encode()
CLIENT_HELLO = bytes.fromhex("16030100c8010000c40303")
"""How a handshake of TLS begins (RFC 8446, section 4.1.2)."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the servers' files."""
    folder = tmp_path_factory.mktemp("slow")
    write_certificates(folder)
    write_userlist(folder, {SCRAM.name: SCRAM.password})
    return folder


@pytest.fixture
def many_files() -> Iterator[None]:
    """Allow as many open files as the slow clients are, on our side."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = SLOW + 1000
    if hard != resource.RLIM_INFINITY and hard < wanted:
        pytest.skip(f"only {hard} files can be open")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class SlowClients:
    """Connections that send a byte of a start-up packet each second, until they are closed; none closes by itself.

    `closed` is how many the server has closed, `connected` is set when all have connected.
    """

    def __init__(self, port: int, count: int) -> None:
        self.connected = threading.Event()
        self.closed = 0
        self.began = time.monotonic()
        self._port = port
        self._count = count
        self._selector = selectors.EpollSelector()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, daemon=True)

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Begin, and end in any case."""
        self._thread.start()
        try:
            yield
        finally:
            self._stopping = True
            self._thread.join(DEADLINE)

    def _run(self) -> None:
        sockets: set[socket.socket] = set()
        try:
            for _ in range(self._count):
                each = socket.create_connection(("127.0.0.1", self._port), timeout=DEADLINE)
                each.setblocking(False)
                self._selector.register(each, selectors.EVENT_READ)
                sockets.add(each)
            self.connected.set()
            for byte in STARTUP:
                self._send(sockets, bytes([byte]))
                self._wait(sockets, time.monotonic() + 1.0)
            self._wait(sockets, time.monotonic() + DEADLINE)
        finally:
            for each in sockets:
                each.close()
            self._selector.close()

    def _send(self, sockets: set[socket.socket], data: bytes) -> None:
        for each in list(sockets):
            try:
                each.send(data)
            except OSError:
                self._forget(sockets, each)

    def _wait(self, sockets: set[socket.socket], until: float) -> None:
        """Take note of what is closed, for a while."""
        while sockets and not self._stopping and (left := until - time.monotonic()) > 0:
            for key, _ in self._selector.select(min(left, 0.1)):
                each = key.fileobj
                assert isinstance(each, socket.socket)
                self._forget(sockets, each)

    def _forget(self, sockets: set[socket.socket], each: socket.socket) -> None:
        self._selector.unregister(each)
        each.close()
        sockets.discard(each)
        self.closed += 1


def time_of_log_in(server: TwistnotifyProcess, **keywords: str) -> float:
    """Return how many seconds a log-in with a password takes, with a LISTEN behind it."""
    began = time.monotonic()
    with closing(server.connect(user=SCRAM.name, password=SCRAM.password, **keywords)) as client:
        run(client, "LISTEN good")
    return time.monotonic() - began


def is_let_in(server: TwistnotifyProcess) -> bool:
    """Tell whether there is room for a log-in."""
    try:
        time_of_log_in(server)
    except psycopg2.OperationalError:
        return False
    return True


def test_thousands_of_slow_clients_keep_nobody_out(postgres: PostgresServer, folder: Path, many_files: None) -> None:
    settings: dict[str, Any] = {
        "auth_type": "scram-sha-256",
        "auth_file": "userlist.txt",
        "client_login_timeout": TIMEOUT,
        "max_login_conn": SLOW + 100,
        **tls_settings(),
    }
    with running(postgres, folder, **settings) as server, steady(server, SLOW * EACH):
        slow = SlowClients(server.port, SLOW)
        with slow.at_work():
            assert slow.connected.wait(DEADLINE)
            times = [time_of_log_in(server)]
            while not slow.closed:
                times.append(time_of_log_in(server, sslmode="disable"))
                times.append(time_of_log_in(server, sslmode="require"))
            assert max(times) < SOON
            eventually(lambda: slow.closed, lambda closed: closed == SLOW)
            assert time.monotonic() - slow.began < TIMEOUT + MARGIN
        assert time_of_log_in(server) < SOON


def test_slow_clients_beyond_the_limit_make_room(postgres: PostgresServer, folder: Path, many_files: None) -> None:
    """Here with more time than anybody else would wait for."""
    settings: dict[str, Any] = {
        "auth_type": "scram-sha-256",
        "auth_file": "userlist.txt",
        "client_login_timeout": 2 * DEADLINE,
        "max_login_conn": 500,
    }
    with running(postgres, folder, **settings) as server:
        slow = SlowClients(server.port, SLOW)
        with slow.at_work():
            assert slow.connected.wait(DEADLINE)
            eventually(lambda: slow.closed, lambda closed: closed >= SLOW - 500)
            # They are ended for others as soon as they have been waited for a second.
            eventually(lambda: is_let_in(server))
            times = [time_of_log_in(server) for _ in range(20)]
            assert max(times) < SOON
            assert slow.closed < SLOW


def wait_until_closed(client: RawClient) -> None:
    """Wait until the server closes."""
    with suppress(ConnectionResetError):
        while client.socket.recv(65536):
            pass


def nothing(_: RawClient) -> None:
    """Stop at once."""


def after_a_byte(client: RawClient) -> None:
    client.send(b"\0")


def after_the_request_for_tls(client: RawClient) -> None:
    client.send(SSLRequest().encode())
    assert client.socket.recv(1) == b"S"


def in_the_handshake(client: RawClient) -> None:
    after_the_request_for_tls(client)
    client.send(CLIENT_HELLO)


def in_a_handshake_without_a_request(client: RawClient) -> None:
    client.send(CLIENT_HELLO)


def in_the_startup_packet(client: RawClient) -> None:
    client.send(STARTUP[:-1])


def before_the_first_message_of_scram(client: RawClient) -> None:
    client.send(STARTUP)
    assert isinstance(client.read(), AuthenticationSASL)


def before_the_proof(client: RawClient) -> None:
    before_the_first_message_of_scram(client)
    client.send(SASLInitialResponse(b"SCRAM-SHA-256", b"n,,n=,r=nonce"))
    client.read()


def within_the_proof(client: RawClient) -> None:
    before_the_proof(client)
    client.send(b"p\0\0\1\0c=biws")


def at_the_header(header: bytes) -> Callable[[RawClient], None]:
    return lambda client: client.send(header)


LOCAL, PROXY = "127.0.0.1", "127.0.0.2"
PLACES: list[tuple[str, Callable[[RawClient], None]]] = [
    (LOCAL, nothing),
    (LOCAL, after_a_byte),
    (LOCAL, after_the_request_for_tls),
    (LOCAL, in_the_handshake),
    (LOCAL, in_a_handshake_without_a_request),
    (LOCAL, in_the_startup_packet),
    (LOCAL, before_the_first_message_of_scram),
    (LOCAL, before_the_proof),
    (LOCAL, within_the_proof),
    (PROXY, nothing),
    (PROXY, at_the_header(b"PROXY TCP4 10.")),
    (PROXY, at_the_header(b"\r\n\r\n\0\r\nQUIT\n!\x11\0\x0c")),
]


def test_clients_that_stop_anywhere_are_gone_in_time(postgres: PostgresServer, folder: Path) -> None:
    settings: dict[str, Any] = {
        "auth_type": "scram-sha-256",
        "auth_file": "userlist.txt",
        "client_login_timeout": SHORT,
        "proxy_protocol": 1,
        "proxy_protocol_from": PROXY,
        **tls_settings(),
    }
    with running(postgres, folder, **settings) as server, steady(server, 16 * MB), ExitStack() as stack:
        stopped = []
        for source, stop in PLACES:
            began = time.monotonic()
            client = stack.enter_context(RawClient(server.port, database=None, source=source))
            stop(client)
            stopped.append((source, stop, client, began))
        for source, stop, client, began in stopped:
            wait_until_closed(client)
            assert SHORT * 0.9 <= time.monotonic() - began < SHORT + MARGIN, (source, stop)
        assert time_of_log_in(server) < SOON
