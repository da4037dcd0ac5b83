"""TLS between a client's socket and its protocol, by Twisted's own `TLSMemoryBIOProtocol`.

Not by `startTLS`, which gathers small writes for a turn of the reactor, and has the transport write in yet another one.
The outbox gathers already, so what TLS makes of a piece goes straight to the socket, in one write, as without TLS; only
what the kernel does not take is the transport's, until that has written all of it. Both together make delivery several
times cheaper (docs/performance.md).
"""

from __future__ import annotations

from typing import Any, Protocol

from twisted.internet.interfaces import IHandshakeListener, IOpenSSLServerConnectionCreator, IPullProducer
from twisted.internet.protocol import Factory, connectionDone
from twisted.internet.protocol import Protocol as TwistedProtocol
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from typing_extensions import override
from zope.interface import implementer


class Client(Protocol):
    """A protocol that goes on over TLS."""

    transport: Any

    def dataReceived(self, data: bytes, /) -> None:
        """Take what has arrived and was decrypted."""

    def connectionLost(self, reason: Failure = ..., /) -> None:
        """Take note of the end."""

    def handshakeCompleted(self) -> None:  # noqa: N802
        """Go on."""


class Encryption:
    """Put TLS in front of clients, with the connections that `creator` makes."""

    def __init__(self, creator: IOpenSSLServerConnectionCreator) -> None:
        self._factory = TLSMemoryBIOFactory(creator, False, Factory())

    def begin(self, client: Client) -> TLSMemoryBIOProtocol:
        """Have a client go on over TLS; its transport is TLS from now on, and the socket's protocol is returned."""
        transport = client.transport
        tls = TLSMemoryBIOProtocol(self._factory, _Inside(client))
        transport.protocol = tls
        tls.makeConnection(Outside(transport))
        return tls


@implementer(IHandshakeListener)
class _Inside(TwistedProtocol):
    """The client as TLS sees it: it has been connected before."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.dataReceived = client.dataReceived  # type: ignore[method-assign, assignment]
        self.handshakeCompleted = client.handshakeCompleted

    @override
    def makeConnection(self, transport: Any) -> None:
        """Give the client another transport."""
        self._client.transport = transport

    @override
    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Tell the client."""
        self._client.connectionLost(reason)


class Outside:
    """The socket's transport as TLS sees it: an idle one is written to at once."""

    def __init__(self, transport: Any) -> None:
        self._transport = transport
        self._rest = _Rest(self)
        self._producer: Any = None
        self._blocked = False
        self._gathered: list[bytes] | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Write, as far as the socket takes it; the producer is to stop where it does not."""
        if self._gathered is not None:
            self._gathered.append(data)
            return
        transport = self._transport
        # TLS has last words for a connection that is gone.
        if self._blocked or not transport.connected:
            transport.write(data)
            return
        sent = transport.writeSomeData(data)
        if sent != len(data):
            self._block(data[sent:] if isinstance(sent, int) else data)

    def gather(self) -> None:
        """Keep what is written, as TLS cuts everything into records of 16 kB at most."""
        self._gathered = []

    def send(self) -> None:
        """Write what was kept."""
        gathered, self._gathered = self._gathered, None
        if gathered:
            self.write(b"".join(gathered))

    def registerProducer(self, producer: Any, streaming: bool) -> None:  # noqa: N802
        """Have a push producer, which is TLS's own."""
        self._producer = producer
        if self._blocked:
            producer.pauseProducing()

    def unregisterProducer(self) -> None:  # noqa: N802
        """Have none."""
        self._producer = None

    def _block(self, rest: bytes) -> None:
        self._transport.write(rest)
        # A pull producer is called as it registers: too early here, `rest` is not written.
        self._transport.registerProducer(self._rest, False)
        self._blocked = True
        if self._producer is not None:
            self._producer.pauseProducing()

    def unblock(self) -> None:
        """Go on: the transport has written everything it had."""
        if self._blocked:
            self._blocked = False
            self._transport.unregisterProducer()
            if self._producer is not None:
                self._producer.resumeProducing()


@implementer(IPullProducer)
class _Rest:
    """What the transport asks for more when it has written what was left to it."""

    def __init__(self, outside: Outside) -> None:
        self._outside = outside

    def resumeProducing(self) -> None:
        """Go on."""
        self._outside.unblock()

    def stopProducing(self) -> None:
        """Stop: the connection is gone; `connectionLost` sees to the rest."""
