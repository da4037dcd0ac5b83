"""A client of the wire protocol that does exactly what it is told, and nothing by itself."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Self

from support.process import TwistnotifyProcess

from twistnotify.wire.catalog import BackendMessage, FrontendMessage, decode_backend
from twistnotify.wire.errors import ErrorFields, ErrorResponse
from twistnotify.wire.framing import FrameBuffer
from twistnotify.wire.notification import NotificationResponse
from twistnotify.wire.session_status import ReadyForQuery
from twistnotify.wire.simple_query import Query
from twistnotify.wire.startup import PROTOCOL_3_0, BackendKeyData, CancelRequest, StartupMessage

DEADLINE = 60.0
"""Seconds that anything may take before a test fails for it: generous, since machines are shared."""
RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class ConnectionEnded(Exception):
    """The server has closed the connection."""


class RawClient:
    """A socket, and the messages on it; it has logged in unless `database` is None."""

    def __init__(self, port: int, database: str | None = "postgres", receive_buffer: int = 0, source: str = "") -> None:
        """Connect; `source` is the address to come from, if it matters."""
        self.socket = socket.socket()
        if source:
            self.socket.bind((source, 0))
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(DEADLINE)
        self.socket.connect(("127.0.0.1", port))
        self._buffer = FrameBuffer(2**30)
        self.pid = 0
        self.secret = b""
        if database is not None:
            self.log_in(database)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.socket.close()

    def log_in(self, database: str) -> None:
        """Log in as postgres; fails where the server refuses."""
        self.send_startup(database)
        answer = self.until_ready()
        assert isinstance(answer[-1], ReadyForQuery), answer
        key = next(message for message in answer if isinstance(message, BackendKeyData))
        self.pid, self.secret = key.pid, key.secret

    def send_startup(self, database: str, **parameters: str) -> None:
        """Ask to log in as postgres, with other start-up parameters as well."""
        asked = {"user": "postgres", "database": database, **parameters}
        self.socket.sendall(StartupMessage(PROTOCOL_3_0, asked).encode())

    def send(self, *messages: FrontendMessage | bytes) -> None:
        """Send messages in one write."""
        parts = [message if isinstance(message, bytes) else message.encode() for message in messages]
        self.socket.sendall(b"".join(parts))

    def read(self) -> BackendMessage:
        """Return the next message; raises `ConnectionEnded`."""
        while (frame := self._buffer.next_frame()) is None:
            try:
                data = self.socket.recv(65536)
            except ConnectionResetError:
                data = b""
            if not data:
                raise ConnectionEnded
            self._buffer.feed(data)
        return decode_backend(*frame)

    def until_ready(self) -> list[BackendMessage]:
        """Return all messages up to ReadyForQuery, or to the end of the connection."""
        messages: list[BackendMessage] = []
        try:
            while not messages or not isinstance(messages[-1], ReadyForQuery):
                messages.append(self.read())
        except ConnectionEnded:
            pass
        return messages

    def until_end(self) -> list[BackendMessage]:
        """Return all messages up to the end of the connection."""
        messages: list[BackendMessage] = []
        try:
            while True:
                messages.append(self.read())
        except ConnectionEnded:
            return messages

    def query(self, sql: str) -> list[BackendMessage]:
        """Run a simple query; return its answer."""
        self.send(Query(sql.encode()))
        return self.until_ready()

    def reset(self) -> None:
        """Vanish: the server gets an RST, and no Terminate."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        self.socket.close()


def request_cancel(port: int, pid: int, secret: bytes) -> None:
    """Ask to cancel what a client runs, and wait until the server has taken it in."""
    with RawClient(port, database=None) as client:
        client.send(CancelRequest(pid, secret).encode())
        assert client.until_end() == []


def is_admitted(server: TwistnotifyProcess, database: str = "postgres") -> bool:
    """Try to log in."""
    with RawClient(server.port, database=None) as client:
        client.send_startup(database)
        return isinstance(client.until_ready()[-1], ReadyForQuery)


def names(messages: Iterable[Any]) -> list[str]:
    """Return what messages say, in short: their names, and what matters of the commonest."""
    return [_name(message) for message in messages]


def error_of(messages: Iterable[BackendMessage]) -> ErrorFields:
    """Return the only error among messages."""
    (error,) = (message.fields for message in messages if isinstance(message, ErrorResponse))
    return error


def notifications(messages: Iterable[BackendMessage]) -> list[tuple[str, str]]:
    """Return the notifications among messages, as (channel, payload)."""
    return [(message.channel, message.payload) for message in messages if isinstance(message, NotificationResponse)]


def _name(message: Any) -> str:
    name = type(message).__name__
    match name:
        case "CommandComplete":
            return str(message.tag)
        case "ReadyForQuery":
            return f"ready {message.status}"
        case "ErrorResponse" | "NoticeResponse":
            return f"{message.fields.severity} {message.fields.sqlstate}"
        case "NotificationResponse":
            return f"{message.channel}: {message.payload}"
    return name
