"""How one client's outbox gets to its socket.

An idle transport is written to at once (`writeSomeData`), which saves a turn of the reactor and two changes of what
it waits for; only what the kernel does not take goes to `transport.write`. From then on the protocol is the
transport's pull producer: it is asked for more when the transport's own buffer is empty. Whatever is handed on ends
at a frame boundary, so a FATAL error can always follow it.

Over TLS the outbox is written through TLS, once a round, which writes in the same way (`server/encryption.py`); the
protocol is its push producer all along.

A client that is written to faster than it reads is not read from either: it cannot ask for more replies.
"""

from __future__ import annotations

from typing import Any, cast
from typing import Protocol as TypingProtocol

from twisted.internet.interfaces import IPushProducer
from twisted.internet.protocol import Protocol
from zope.interface import implementer

from twistnotify.pubsub.outbox import DirtyList, Outbox
from twistnotify.server.encryption import Outside


class Socket(TypingProtocol):
    """What is asked of a Twisted TCP transport."""

    def write(self, data: bytes) -> None: ...

    def writeSomeData(self, data: bytes) -> int | BaseException: ...  # noqa: N802

    def registerProducer(self, producer: object, streaming: bool) -> None: ...  # noqa: N802

    def unregisterProducer(self) -> None: ...  # noqa: N802

    def pauseProducing(self) -> None: ...

    def resumeProducing(self) -> None: ...

    def loseConnection(self) -> None: ...  # noqa: N802

    def abortConnection(self) -> None: ...  # noqa: N802

    def fileno(self) -> int: ...

    def getPeer(self) -> object: ...  # noqa: N802

    def getHandle(self) -> Any: ...  # noqa: N802


@implementer(IPushProducer)
class OutboxProtocol(Protocol):
    """A protocol that writes through an outbox, and reads only while both sides keep up.

    `limit` is the most notification bytes that may wait for the client; over it, `overflowed` is called.
    """

    limit: int
    _secured = False
    """Whether TLS is between the outbox and the socket."""
    _closing = False
    _outside: Outside

    def __init__(self, dirty_list: DirtyList) -> None:
        self.outbox = Outbox(self, dirty_list)
        self._blocked = False
        self._stalled = False
        self.stalls = 0
        self._reading = True

    @property
    def socket(self) -> Socket:
        """The transport, as this module needs it."""
        return cast(Socket, self.transport)

    def flush(self) -> None:
        """Write what is ready, as far as the socket takes it."""
        outbox = self.outbox
        outbox.dirty = False
        if self._secured:
            self._flush_secured()
            return
        while outbox.ready and not self._blocked:
            data = outbox.take()
            sent = self.transport.writeSomeData(data)  # type: ignore[union-attr]
            if sent != len(data):
                self._block(data[sent:] if isinstance(sent, int) else data)
        if outbox.unsent > self.limit:
            self.overflowed()

    def _flush_secured(self) -> None:
        """Write what is ready through TLS, until it has enough."""
        outbox, outside = self.outbox, self._outside
        while outbox.ready and not self._blocked:
            outside.gather()
            self.socket.write(outbox.take())
            outside.send()
        if outbox.unsent > self.limit:
            self.overflowed()

    def secure(self, outside: Outside) -> None:
        """Write through TLS from now on, which writes to `outside`."""
        self._secured = True
        self._outside = outside
        self.socket.registerProducer(self, True)

    def overflowed(self) -> None:
        """React to a client that does not read what it is sent."""
        raise NotImplementedError

    def backed_up(self, full: bool) -> None:
        """React to a client that has stopped to take what it is sent, or has caught up."""

    def stall(self, stalled: bool) -> None:
        """Stop reading, or go on."""
        self._stalled = stalled
        self.stalls += stalled
        self._update_reading()

    def release_transport(self) -> None:
        """Be the transport's producer no longer: nothing more will come from the outbox."""
        self.outbox.discard()
        if self._blocked or self._secured:
            self._blocked = False
            self.socket.unregisterProducer()

    def close_behind(self) -> None:
        """Close the connection behind everything that is ready."""
        self._closing = True
        if self._secured and not self._blocked:
            self.socket.unregisterProducer()
        self.socket.loseConnection()

    def pauseProducing(self) -> None:
        """Write no more for now: TLS has more than the socket takes."""
        if not self._blocked:
            self._blocked = True
            self._update_reading()
            self.backed_up(True)

    def resumeProducing(self) -> None:
        """Hand on more, now that the transport has written everything it had."""
        if not self._blocked:
            return
        if self._secured:
            self._resume_secured()
        elif self.outbox.ready:
            self.socket.write(self.outbox.take())
        else:
            self._blocked = False
            self.socket.unregisterProducer()
            self._update_reading()
            self.backed_up(False)

    def _resume_secured(self) -> None:
        self._blocked = False
        self.flush()
        if self._blocked:
            return
        if self._closing:
            self.socket.unregisterProducer()
        self._update_reading()
        self.backed_up(False)

    def stopProducing(self) -> None:
        """Stop: the connection is gone; `connectionLost` sees to the rest."""

    def _block(self, rest: bytes) -> None:
        self.socket.write(rest)
        # A pull producer is called as it registers: too early here, `rest` is not written.
        self.socket.registerProducer(self, False)
        self._blocked = True
        self._update_reading()
        self.backed_up(True)

    def _update_reading(self) -> None:
        reading = not (self._blocked or self._stalled)
        if reading != self._reading:
            self._reading = reading
            if reading:
                self.socket.resumeProducing()
            else:
                self.socket.pauseProducing()
