"""What is said to PostgreSQL (protocol v3) and to Redis (RESP 2), and what must be answered, to the byte.

Only trust authentication. It must not know sockets.
"""

from __future__ import annotations

from typing import Protocol

from benchmarks.tape import PAYLOAD_SIZE, Envelope
from twistnotify.sql.quoting import notify_statement, quote_identifier
from twistnotify.wire.authentication import AuthenticationOk
from twistnotify.wire.errors import ErrorFields, ErrorResponse, NoticeResponse
from twistnotify.wire.framing import FrameBuffer
from twistnotify.wire.notification import NotificationResponse
from twistnotify.wire.session_status import ReadyForQuery
from twistnotify.wire.simple_query import CommandComplete, Query
from twistnotify.wire.startup import PROTOCOL_3_0, StartupMessage
from twistnotify.wire.violations import ProtocolViolation

MAX_MESSAGE = 2**20


class Refused(Exception):
    """The server answered something else than it should."""


class Dialect(Protocol):
    """What a client says."""

    @property
    def greeting(self) -> bytes:
        """Return what a client says first."""
        ...

    def is_greeted(self, heard: bytes) -> bool:
        """Tell whether the greeting is answered completely; raises Refused."""
        ...

    def listen(self, channel: str) -> bytes:
        """Return the request for a channel."""
        ...

    def listening(self, channel: str) -> bytes:
        """Return the whole answer to `listen`."""
        ...

    def publish(self, channel: str, payload: bytes) -> bytes:
        """Return a message to a channel; as long for every payload of PAYLOAD_SIZE."""
        ...

    def published(self, listeners: int) -> bytes:
        """Return the whole answer to `publish` where a channel has that many listeners."""
        ...

    def envelope(self, channel: str) -> Envelope:
        """Return what stands around a payload of PAYLOAD_SIZE when it is delivered."""
        ...

    def explain(self, heard: bytes) -> str:
        """Say in a line what it was that should not have come."""
        ...


class PostgresDialect:
    """PostgreSQL's protocol."""

    _ready = ReadyForQuery("I").encode()
    _let_in = AuthenticationOk().encode()

    def __init__(self, database: str, user: str = "postgres") -> None:
        parameters = {"user": user, "database": database, "application_name": "benchmark"}
        self.greeting = StartupMessage(PROTOCOL_3_0, parameters).encode()

    def is_greeted(self, heard: bytes) -> bool:
        """Tell whether the session is ready."""
        if not self._let_in.startswith(heard[: len(self._let_in)]):
            raise Refused(self.explain(heard))
        return heard.endswith(self._ready)

    def listen(self, channel: str) -> bytes:
        """Return a LISTEN."""
        return Query(f"LISTEN {quote_identifier(channel)}".encode()).encode()

    def listening(self, channel: str) -> bytes:
        """Return CommandComplete and ReadyForQuery."""
        return CommandComplete("LISTEN").encode() + self._ready

    def publish(self, channel: str, payload: bytes) -> bytes:
        """Return a NOTIFY."""
        return Query(notify_statement(channel, payload.decode()).encode()).encode()

    def published(self, listeners: int) -> bytes:
        """Return CommandComplete and ReadyForQuery."""
        return CommandComplete("NOTIFY").encode() + self._ready

    def envelope(self, channel: str) -> Envelope:
        """Return the parts of a NotificationResponse: type and length, the pid as a gap, the channel."""
        whole = NotificationResponse(0, channel, "x" * PAYLOAD_SIZE).encode()
        return Envelope(whole[:5], 4, whole[9 : -PAYLOAD_SIZE - 1], whole[-1:])

    def explain(self, heard: bytes) -> str:
        """Return the first error or notice, or the bytes themselves."""
        frames = FrameBuffer(MAX_MESSAGE)
        frames.feed(heard)
        try:
            while (found := frames.next_frame()) is not None:
                if found[0] in (ErrorResponse.type, NoticeResponse.type):
                    fields = ErrorFields.decode(found[1])
                    return f"{fields.severity} {fields.sqlstate}: {fields.message}"
        except ProtocolViolation:
            pass
        return repr(heard[:200])


class RespDialect:
    """The protocol of Redis."""

    greeting = b"PING\r\n"

    def is_greeted(self, heard: bytes) -> bool:
        """Tell whether the PONG is there."""
        if not b"+PONG\r\n".startswith(heard):
            raise Refused(self.explain(heard))
        return heard == b"+PONG\r\n"

    def listen(self, channel: str) -> bytes:
        """Return a SUBSCRIBE."""
        return _array(b"SUBSCRIBE", channel.encode())

    def listening(self, channel: str) -> bytes:
        """Return what confirms a client's first subscription."""
        return b"*3\r\n" + _bulk(b"subscribe") + _bulk(channel.encode()) + b":1\r\n"

    def publish(self, channel: str, payload: bytes) -> bytes:
        """Return a PUBLISH."""
        return _array(b"PUBLISH", channel.encode(), payload)

    def published(self, listeners: int) -> bytes:
        """Return how many it went to."""
        return b":%d\r\n" % listeners

    def envelope(self, channel: str) -> Envelope:
        """Return the parts of a message."""
        start = b"*3\r\n" + _bulk(b"message")
        return Envelope(start, 0, _bulk(channel.encode()) + b"$%d\r\n" % PAYLOAD_SIZE, b"\r\n")

    def explain(self, heard: bytes) -> str:
        """Return the bytes themselves: errors of Redis can be read."""
        return repr(heard[:200])


def _array(*words: bytes) -> bytes:
    return b"*%d\r\n" % len(words) + b"".join(map(_bulk, words))


def _bulk(word: bytes) -> bytes:
    return b"$%d\r\n%b\r\n" % (len(word), word)
