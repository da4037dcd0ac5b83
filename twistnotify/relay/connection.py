"""The connection that an upstream session is: first a conversation, then bytes that pass.

Until somebody uses it, what arrives is kept, and cut into messages for whoever waits for one. From then on it is handed
on unparsed, and written bytes are not looked at either.

What is written goes straight to the socket as long as that takes it all, which saves a turn of the reactor and two
changes of what it waits for. What the kernel leaves is the transport's, and the upstream its pull producer until all of
it is gone. Over TLS, where one has to go through the transport, the upstream is its push producer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from typing import Protocol as TypingProtocol

from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IDelayedCall, IHandshakeListener, IPushProducer
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from typing_extensions import override
from zope.interface import implementer

from twistnotify.relay.places import Dialled, Place, tune
from twistnotify.relay.tls import ClientTls
from twistnotify.wire.errors import ErrorFields
from twistnotify.wire.framing import FrameBuffer
from twistnotify.wire.session_status import Terminate
from twistnotify.wire.startup import SSLRequest

MUCH = 65_536
"""Bytes that may wait for the server before the consumer is to stop: what Twisted's transports have, too."""
MAX_MESSAGE = 65_536
"""Bytes of the longest message that is taken in before an upstream is in use."""
CLOSE_TIMEOUT = 5.0
"""Seconds that a server has to take in what was written and close; then the connection is reset."""
PREFIX = "could not connect to the upstream server: "
CLOSED = "server closed the connection unexpectedly"
CONNECTION_FAILURE = "08006"
_HEADER_SIZE = 5


class UpstreamRefused(Exception):
    """There is no upstream session; `fields` are what the client is to be told.

    `elsewhere` tells that another place may do.
    """

    def __init__(self, fields: ErrorFields, elsewhere: bool = False) -> None:
        super().__init__(fields.sqlstate)
        self.fields = fields
        self.elsewhere = elsewhere


class HandshakeFailed(UpstreamRefused):
    """The server agreed to TLS, but it did not come about."""


def failed(reason: str, elsewhere: bool = False) -> UpstreamRefused:
    """Return the exception for a connection that could not be made."""
    return UpstreamRefused(ErrorFields("ERROR", CONNECTION_FAILURE, PREFIX + reason), elsewhere)


class Consumer(TypingProtocol):
    """Whom an upstream in use serves."""

    def received(self, data: bytes) -> None:
        """Take what has arrived."""

    def lost(self) -> None:
        """Go on without the upstream: its connection has ended."""

    def full(self) -> None:
        """Write no more for now."""

    def drained(self) -> None:
        """Go on writing."""


class _Nobody:
    """The consumer of an upstream that is not in use."""

    def received(self, data: bytes) -> None:
        pass

    def lost(self) -> None:
        pass

    def full(self) -> None:
        pass

    def drained(self) -> None:
        pass


_NOBODY = _Nobody()


def _nothing() -> None:
    pass


@implementer(IPushProducer, IHandshakeListener)
class Upstream(Dialled):
    """A connection to PostgreSQL that belongs to one client.

    `parameters` are the settings that the server has reported, `pid` and `secret` its key to cancel with, `place` is
    where it is, `tls` what it was secured by, None without TLS. What arrives is kept until somebody uses it.
    """

    transport: Any

    def __init__(self, reactor: Any, place: Place) -> None:
        self.place = place
        self.parameters: dict[str, str] = {}
        self.pid = 0
        self.secret = b""
        self._reactor = reactor
        self._consumer: Consumer = _NOBODY
        self._paused = True
        self._full = False
        self._direct = False
        self._left = 0
        self._unread = bytearray()
        self._frames = FrameBuffer(MAX_MESSAGE)
        self._waiting: Deferred[None] | None = None
        self.tls: ClientTls | None = None
        self._secured = False
        self._end: UpstreamRefused | None = None
        self._closing: IDelayedCall | None = None
        self._when_ended: Callable[[], object] = _nothing

    def when_ended(self, told: Callable[[], object]) -> None:
        """Call back once the connection has ended, whoever uses it; at once if it has."""
        self._when_ended = told
        if self._end is not None:
            told()

    # In use

    def use(self, consumer: Consumer) -> None:
        """Hand everything that arrives to a consumer from now on; what is there already at once.

        If the connection has ended meanwhile, the consumer is told at once, too.
        """
        self._consumer = consumer
        self._frames = FrameBuffer(MAX_MESSAGE)
        self._direct = self._end is None and self.tls is None
        if self._end is None and not self._direct:
            self.transport.registerProducer(self, True)
        self.resume()

    def write(self, data: bytes) -> None:
        """Send bytes."""
        if not self._direct:
            self.transport.write(data)
        elif self._left:
            self._leave(data)
        else:
            sent = self.transport.writeSomeData(data)
            if sent != len(data):
                self._leave(data[sent:] if isinstance(sent, int) else data)

    def _leave(self, data: bytes) -> None:
        """Leave to the transport what the kernel does not take."""
        self.transport.write(data)
        if not self._left:
            # A pull producer is called as it registers: too early here, nothing is written.
            self.transport.registerProducer(self, False)
        self._left += len(data)
        if self._left > MUCH:
            self.pauseProducing()

    def pause(self) -> None:
        """Hand nothing on, and read no more."""
        self._paused = True
        self.transport.pauseProducing()

    def resume(self) -> None:
        """Read again; what has come meanwhile is handed on at once."""
        self._paused = False
        self._hand_on()
        if not self._paused:
            self.transport.resumeProducing()

    def end(self) -> None:
        """End the session in the way of the protocol; the consumer hears nothing more."""
        self._forget(_NOBODY)
        if self._end is not None or self._closing is not None:
            return
        self.transport.unregisterProducer()
        self.transport.resumeProducing()
        self.transport.write(Terminate().encode())
        self.transport.loseConnection()
        self._closing = self._reactor.callLater(CLOSE_TIMEOUT, self.transport.abortConnection)

    def abort(self) -> None:
        """Reset the connection; unless `end` came before, the consumer is told when it has ended, or that it had."""
        self._forget(self._consumer)
        self.transport.abortConnection()
        if self._end is not None:
            self._hand_on()

    def _forget(self, consumer: Consumer) -> None:
        """Drop what nobody will read."""
        self._consumer = consumer
        self._unread.clear()
        self._paused = False

    def _hand_on(self) -> None:
        if self._unread:
            data, self._unread = bytes(self._unread), bytearray()
            self._consumer.received(data)
        if self._end is not None and not self._paused:
            consumer, self._consumer = self._consumer, _NOBODY
            consumer.lost()

    # Before it is in use

    async def secure(self, prepare: Callable[[], ClientTls]) -> bool:
        """Ask for TLS and wait for it; False if the server does not speak it. Raises `UpstreamRefused`."""
        self.write(SSLRequest().encode())
        while not self._unread:
            await self._more()
        answer = bytes(self._unread)
        self._unread.clear()
        if answer == b"N":
            return False
        _check_agreement(answer)
        self.tls = prepare()
        self.transport.startTLS(self.tls)
        while not self._secured:
            await self._more()
        return True

    async def frame(self) -> tuple[int, bytes]:
        """Return the next message, type byte and body; raises ProtocolViolation and `UpstreamRefused`."""
        frames = self._frames
        while True:
            # What lies in `frames` is the beginning of what is unread.
            frames.feed(bytes(self._unread[len(frames) :]))
            frame = frames.next_frame()
            if frame is not None:
                del self._unread[: _HEADER_SIZE + len(frame[1])]
                return frame
            await self._more()

    def _more(self) -> Deferred[None]:
        """Wait until something has happened; fails with `UpstreamRefused` once the connection has ended."""
        if self._end is not None:
            return fail(self._end)
        self._waiting = Deferred()
        return self._waiting

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is None or waiting.called:
            return
        if self._end is None:
            waiting.callback(None)
        else:
            waiting.errback(self._end)

    def _why(self, reason: Failure) -> UpstreamRefused:
        if self.tls is None or self._secured:
            return failed(CLOSED, elsewhere=True)
        return HandshakeFailed(failed(f"SSL error: {self.tls.reason_of(reason.value)}").fields)

    # What the transport calls

    @override
    def connectionMade(self) -> None:
        """Begin."""
        if self.place.path is None:
            tune(self.transport)
        super().connectionMade()

    def handshakeCompleted(self) -> None:  # noqa: N802
        """Go on over TLS."""
        self._secured = True
        self._wake()

    @override
    def dataReceived(self, data: bytes) -> None:
        """Hand on what has arrived, or keep it."""
        if self._paused:
            self._unread += data
            self._wake()
        else:
            self._consumer.received(data)

    @override
    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Tell whoever is concerned, behind what has arrived."""
        self._end = self._why(reason)
        self._direct = False
        if self._closing is not None and self._closing.active():
            self._closing.cancel()
        self._when_ended()
        self._wake()
        if not self._paused:
            self._hand_on()

    def pauseProducing(self) -> None:
        """Have the consumer write no more: the server does not keep up."""
        if not self._full:
            self._full = True
            self._consumer.full()

    def resumeProducing(self) -> None:
        """Have the consumer go on writing; of what was left to the transport, nothing is left."""
        if self._left:
            self._left = 0
            self.transport.unregisterProducer()
        if self._full:
            self._full = False
            self._consumer.drained()

    def stopProducing(self) -> None:
        """Stop: the connection is gone; `connectionLost` sees to the rest."""


def _check_agreement(answer: bytes) -> None:
    if answer[:1] == b"E":
        # Not shown, since anybody may have sent it.
        raise failed("server sent an error response during SSL exchange", elsewhere=True)
    if answer[:1] != b"S":
        raise failed("received invalid response to SSL negotiation")
    if len(answer) > 1:
        raise failed("received unencrypted data after SSL response")
