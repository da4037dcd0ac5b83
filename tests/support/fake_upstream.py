"""A server at the other end of the relay that does what a test says, and nothing by itself."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from support.raw import DEADLINE

from twistnotify.wire.authentication import AuthenticationOk
from twistnotify.wire.catalog import BackendMessage
from twistnotify.wire.framing import FrameBuffer
from twistnotify.wire.session_status import ParameterStatus, ReadyForQuery
from twistnotify.wire.startup import CANCEL_REQUEST, SSL_REQUEST, BackendKeyData

PID, SECRET = 4711, b"fake"
SETTINGS = {"client_encoding": "UTF8", "standard_conforming_strings": "on"}


class Caller:
    """A connection that has been made to the fake."""

    def __init__(self, connection: socket.socket, closing: threading.Event) -> None:
        self.socket = connection
        self.socket.settimeout(DEADLINE)
        self._buffer = FrameBuffer(2**30)
        self._closing = closing

    def startup_packet(self) -> bytes:
        """Return the first packet that asks for no encryption, without its length."""
        while True:
            while (packet := self._buffer.next_startup_packet()) is None:
                self._buffer.feed(self._received())
            if packet != SSL_REQUEST.to_bytes(4, "big"):
                return packet
            self.socket.sendall(b"N")

    def log_in(self) -> None:
        """Let the caller in."""
        self.startup_packet()
        settings = [ParameterStatus(*pair) for pair in SETTINGS.items()]
        self.send(AuthenticationOk(), *settings, BackendKeyData(PID, SECRET), ReadyForQuery("I"))

    def message(self) -> tuple[int, bytes]:
        """Return the next message: its type byte and its body."""
        while (frame := self._buffer.next_frame()) is None:
            self._buffer.feed(self._received())
        return frame

    def send(self, *messages: BackendMessage | bytes) -> None:
        """Send messages in one write."""
        parts = [message if isinstance(message, bytes) else message.encode() for message in messages]
        self.socket.sendall(b"".join(parts))

    def wait_for_end(self) -> None:
        """Read and do nothing, until the other side closes."""
        with suppress(EOFError):
            while True:
                self._received()

    def hang(self) -> None:
        """Do not even read, until the test is over."""
        self._closing.wait(DEADLINE)

    def _received(self) -> bytes:
        data = self.socket.recv(65536)
        if not data:
            raise EOFError
        return data


class FakeUpstream:
    """Listen on a port of the system's choice; `converse` is run for each connection, which is closed behind it.

    It may be changed between two connections. `ended` is released when a conversation is over; `cancels` are the
    requests to cancel, which are not conversed with.
    """

    def __init__(self, converse: Callable[[Caller], object]) -> None:
        self.ended = threading.Semaphore(0)
        self.cancels: list[bytes] = []
        self.converse = converse
        self._closing = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []

    @property
    def port(self) -> int:
        """Return the port it listens on."""
        return int(self._listener.getsockname()[1])

    @property
    def dsn(self) -> str:
        """Return libpq's connection string."""
        return f"host=127.0.0.1 port={self.port} user=postgres dbname=postgres"

    def __enter__(self) -> Self:
        self._run(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        for each in (self._listener, *self._sockets):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        for thread in self._threads:
            thread.join(DEADLINE)

    def _run(self, target: Callable[..., None], *arguments: Any) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self._sockets.append(connection)
                self._run(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        with connection, suppress(OSError, EOFError):
            begun = connection.recv(8, socket.MSG_PEEK)
            if begun[4:] == CANCEL_REQUEST.to_bytes(4, "big"):
                self.cancels.append(connection.recv(64))
            else:
                self.converse(Caller(connection, self._closing))
        self.ended.release()
