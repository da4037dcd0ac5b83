"""A client: what it sends, and what it is sent, as messages."""

from __future__ import annotations

from typing import Any

from fakes.reactor import FakeReactor
from fakes.transport import FakeTransport
from twisted.internet.protocol import Protocol

from twistnotify.wire.catalog import BackendMessage, decode_backend
from twistnotify.wire.errors import ErrorFields, ErrorResponse
from twistnotify.wire.framing import FrameBuffer
from twistnotify.wire.notification import NotificationResponse
from twistnotify.wire.session_status import ReadyForQuery
from twistnotify.wire.simple_query import Query
from twistnotify.wire.startup import BackendKeyData, StartupMessage

PROTOCOL_3 = 196608


def startup(user: str = "alice", database: str = "app", **parameters: str) -> bytes:
    """Return a StartupMessage."""
    return StartupMessage(PROTOCOL_3, {"user": user, "database": database, **parameters}).encode()


class FakeClient:
    """One connection to a factory. `said` holds the messages received and not yet looked at by `hear`."""

    def __init__(self, reactor: FakeReactor, protocol: Any) -> None:
        assert isinstance(protocol, Protocol)
        self.protocol: Any = protocol
        self.reactor = reactor
        self.transport = FakeTransport(reactor, protocol)
        self.codec = "utf-8"
        self._frames = FrameBuffer(64 * 1024 * 1024)
        self._read = 0
        self.key: BackendKeyData | None = None
        protocol.makeConnection(self.transport)

    def send(self, data: bytes) -> None:
        """Send bytes, without waiting for what comes of them."""
        self.transport.arrived.append(data)

    def ask(self, sql: str) -> None:
        """Send a simple query."""
        self.send(Query(sql.encode(self.codec)).encode())

    def query(self, sql: str) -> list[BackendMessage]:
        """Send a simple query; return what has been received when everything has come to rest."""
        self.ask(sql)
        self.reactor.settle()
        return self.hear()

    def log_in(self, **parameters: str) -> list[BackendMessage]:
        """Log in."""
        self.send(startup(**parameters))
        self.reactor.settle()
        messages = self.hear()
        self.key = next((message for message in messages if isinstance(message, BackendKeyData)), None)
        return messages

    def hear(self) -> list[BackendMessage]:
        """Return the messages received since the last look."""
        received = self.transport.received
        self._frames.feed(received[self._read :])
        self._read = len(received)
        messages = []
        while (frame := self._frames.next_frame()) is not None:
            messages.append(decode_backend(*frame, self.codec))
        return messages

    def heard(self) -> list[tuple[str, str]]:
        """Return channel and payload of the notifications received since the last look, and nothing else."""
        return [(m.channel, m.payload) for m in self.hear() if isinstance(m, NotificationResponse)]

    def hang_up(self) -> None:
        """Close."""
        self.transport.peer_closed = True

    @property
    def pid(self) -> int:
        """The client's PID."""
        assert self.key is not None
        return self.key.pid

    @property
    def gone(self) -> bool:
        """Tell whether the connection has ended."""
        return self.transport.lost is not None


def errors(messages: list[BackendMessage]) -> list[ErrorFields]:
    """Return what the ErrorResponses say."""
    return [message.fields for message in messages if isinstance(message, ErrorResponse)]


def sqlstates(messages: list[BackendMessage]) -> list[str]:
    """Return the SQLSTATEs of the ErrorResponses."""
    return [fields.sqlstate for fields in errors(messages)]


def notifications(messages: list[BackendMessage]) -> list[tuple[str, str]]:
    """Return channel and payload of the notifications."""
    return [(m.channel, m.payload) for m in messages if isinstance(m, NotificationResponse)]


def ready(messages: list[BackendMessage]) -> bool:
    """Tell whether the last message is ReadyForQuery."""
    return bool(messages) and isinstance(messages[-1], ReadyForQuery)
