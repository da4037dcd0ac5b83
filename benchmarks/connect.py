"""Making many connections at once, each up to the point where it can work."""

from __future__ import annotations

import select
import socket
import ssl
from collections.abc import Callable, Iterable

from benchmarks.certificate import client_context
from benchmarks.dialects import Dialect, Refused
from twistnotify.wire.startup import SSLRequest

PARALLEL = 100
SILENCE = 15.0
"""Seconds without anything happening after which it counts as lost."""

Address = tuple[str, int]
Step = tuple[bytes, Callable[[bytes], bool]]
"""What is said, and whether it is answered by what was heard."""


class Silence(Exception):
    """Nothing more comes, and not all is done."""


class Handshake:
    """A connection that says one thing after another, each when the one before is answered."""

    def __init__(self, address: Address, steps: list[Step], tls: bool) -> None:
        self.socket = socket.socket()
        self.socket.settimeout(SILENCE)
        self.socket.connect(address)
        if tls:
            self.socket = _encrypted(self.socket)
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._steps = iter(steps)
        self._heard = b""
        self._is_answered: Callable[[bytes], bool] | None = None
        self._say_next()

    def read(self) -> bool:
        """Take in what has come; tell whether everything is said and answered."""
        try:
            data = self.socket.recv(65536)
        except ssl.SSLWantReadError:
            return False
        if not data:
            raise Refused(f"the server hung up after {self._heard[:200]!r}")
        self._heard += data
        if self._is_answered is not None and self._is_answered(self._heard):
            self._say_next()
        return self._is_answered is None

    def _say_next(self) -> None:
        self._heard = b""
        said, self._is_answered = next(self._steps, (b"", None))
        if said:
            self.socket.sendall(said)


def _encrypted(connection: socket.socket) -> ssl.SSLSocket:
    """Ask PostgreSQL's way for TLS; one waits for the other here, how long it takes is for `logins` to measure."""
    connection.sendall(SSLRequest().encode())
    if (answer := connection.recv(1)) != b"S":
        connection.close()
        raise Refused(f"the server has no TLS: {answer!r}")
    return client_context().wrap_socket(connection)


def connect(address: Address, scripts: Iterable[list[Step]], tls: bool = False) -> list[socket.socket]:
    """Make a connection for each script, PARALLEL at a time; return them, non-blocking, in the scripts' order."""
    made: list[socket.socket] = []
    under_way: dict[int, Handshake] = {}
    pending = iter(scripts)
    with select.epoll() as poll:
        while True:
            while len(under_way) < PARALLEL and (steps := next(pending, None)) is not None:
                handshake = Handshake(address, steps, tls)
                made.append(handshake.socket)
                under_way[handshake.socket.fileno()] = handshake
                poll.register(handshake.socket, select.EPOLLIN)
            if not under_way:
                return made
            ready = poll.poll(SILENCE)
            if not ready:
                raise Silence(f"{len(made) - len(under_way)} clients logged in, then nothing more came")
            for fd, _ in ready:
                if under_way[fd].read():
                    poll.unregister(fd)
                    del under_way[fd]


def publisher_steps(dialect: Dialect) -> list[Step]:
    """Return how a client logs in."""
    return [(dialect.greeting, dialect.is_greeted)]


def listener_steps(dialect: Dialect, channel: str) -> list[Step]:
    """Return how a client logs in and listens."""
    wanted = dialect.listening(channel)

    def is_listening(heard: bytes) -> bool:
        if not wanted.startswith(heard):
            raise Refused(dialect.explain(heard))
        return heard == wanted

    return [*publisher_steps(dialect), (dialect.listen(channel), is_listening)]
