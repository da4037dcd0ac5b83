"""PostgreSQL's end of connections that are made by a reactor which only moves when a test says so."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable, Sequence
from typing import Any

from fakes.reactor import FakeReactor
from fakes.transport import FakeTransport
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.error import UserError, getConnectError
from twisted.python.failure import Failure

from twistnotify.wire.authentication import AuthenticationOk
from twistnotify.wire.errors import ErrorFields, ErrorResponse
from twistnotify.wire.framing import FrameBuffer
from twistnotify.wire.session_status import ParameterStatus, ReadyForQuery
from twistnotify.wire.startup import (
    BackendKeyData,
    CancelRequest,
    GSSENCRequest,
    SSLRequest,
    StartupMessage,
    decode_startup,
)

PID, SECRET = 4711, b"\x01\x02\x03\x04"
IDLE = ReadyForQuery("I").encode()
Address = tuple[str, int] | str


def greeting(**parameters: str) -> bytes:
    """Return what a server says to who may come in without a password."""
    told = [ParameterStatus(name, value).encode() for name, value in parameters.items()]
    return b"".join([AuthenticationOk().encode(), *told, BackendKeyData(PID, SECRET).encode(), IDLE])


def error(sqlstate: str, message: str = "no", severity: str = "FATAL", **details: Any) -> bytes:
    """Return an ErrorResponse."""
    return ErrorResponse(ErrorFields(severity, sqlstate, message, **details)).encode()


class Options:
    """A socket, as far as its options go."""

    def __init__(self) -> None:
        self.set: dict[tuple[int, int], int] = {}

    def setsockopt(self, level: int, option: int, value: int) -> None:
        """Set an option."""
        self.set[level, option] = value


class ClientTransport(FakeTransport):
    """The client's end; `options` has what was set, `tls` what TLS was begun with."""

    def __init__(self, reactor: DialReactor, protocol: Any) -> None:
        super().__init__(reactor, protocol)
        self.options = Options()
        self.tls: Any = None
        self.fails_tls: Exception | None = None

    def setTcpNoDelay(self, on: bool) -> None:  # noqa: N802
        """Set TCP_NODELAY."""
        self.options.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, int(on))

    def getHandle(self) -> Options:  # noqa: N802
        """Return the socket."""
        return self.options

    def startTLS(self, tls: Any) -> None:  # noqa: N802
        """Begin TLS."""
        self.tls = tls


class Server:
    """The server's end of one connection."""

    def __init__(self, reactor: DialReactor, address: Address, protocol: Any) -> None:
        self.address = address
        self.protocol = protocol
        self.transport = ClientTransport(reactor, protocol)
        self._reactor = reactor
        self._read = 0
        protocol.makeConnection(self.transport)

    def heard(self) -> bytes:
        """Return what has come since the last look."""
        self._reactor.settle()
        data = self.transport.received[self._read :]
        self._read = len(self.transport.received)
        return data

    def packet(self) -> StartupMessage | SSLRequest | GSSENCRequest | CancelRequest:
        """Return the start-up packet that has come, and nothing else."""
        frames = FrameBuffer(0)
        frames.feed(self.heard())
        packet = frames.next_startup_packet()
        assert packet is not None
        assert not len(frames)
        return decode_startup(packet)

    def startup(self) -> StartupMessage:
        """Return the StartupMessage that has come."""
        packet = self.packet()
        assert isinstance(packet, StartupMessage)
        return packet

    def say(self, *data: bytes) -> None:
        """Send each piece so that it arrives by itself."""
        self.transport.arrived += data
        self._reactor.settle()

    def close(self) -> None:
        """Close."""
        self.transport.peer_closed = True
        self._reactor.settle()

    def decline_tls(self) -> None:
        """Take the SSLRequest and say no."""
        assert self.packet() == SSLRequest()
        self.say(b"N")

    def let_in(self, **parameters: str) -> StartupMessage:
        """Let the client in without a password."""
        packet = self.startup()
        self.say(greeting(**parameters))
        return packet

    @property
    def gone(self) -> bool:
        """Tell whether the client has closed, or been closed upon."""
        return self.transport.lost is not None


class FakeConnector:
    """An attempt to connect, which is decided in the next turn."""

    def __init__(self, reactor: DialReactor, address: Address, factory: Any) -> None:
        self._reactor = reactor
        self._address = address
        self._factory = factory
        self.connecting = True
        self._decision: Any = None
        if address not in reactor.silent:
            self._decision = reactor.callLater(0, self._decide)

    def stopConnecting(self) -> None:  # noqa: N802
        """Give up."""
        assert self.connecting
        self.connecting = False
        if self._decision is not None:
            self._decision.cancel()
        self._factory.clientConnectionFailed(self, Failure(UserError()))

    def _decide(self) -> None:
        self.connecting = False
        number = self._reactor.broken.get(self._address)
        if number is not None:
            reason = Failure(getConnectError((number, os.strerror(number))))
            self._factory.clientConnectionFailed(self, reason)
        else:
            protocol = self._factory.buildProtocol(None)
            self._reactor.servers.append(Server(self._reactor, self._address, protocol))


class DialReactor(FakeReactor):
    """A reactor that connects, too.

    There is a server at every address but those that are `broken`, with their errno, and those that are `silent`.
    `names` has the addresses of names; a look-up of one that `hangs` is answered by `answer`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.servers: list[Server] = []
        self.connectors: list[FakeConnector] = []
        self.broken: dict[Address, int] = {}
        self.silent: set[Address] = set()
        self.names: dict[str, Sequence[str]] = {}
        self.hangs = False
        self.answers: list[Callable[[], None]] = []

    @property
    def nameResolver(self) -> DialReactor:  # noqa: N802
        """The resolver."""
        return self

    @property
    def server(self) -> Server:
        """The connection that was made last."""
        self.settle()
        return self.servers[-1]

    def refuse(self, *addresses: Address) -> None:
        """Have nobody listen there."""
        self.broken |= dict.fromkeys(addresses, errno.ECONNREFUSED)

    def connectTCP(self, host: str, port: int, factory: Any, timeout: float | None = 30) -> FakeConnector:  # noqa: N802
        """Connect."""
        return self._connect((host, port), factory, timeout)

    def connectUNIX(self, path: str, factory: Any, timeout: float | None = 30) -> FakeConnector:  # noqa: N802
        """Connect."""
        return self._connect(path, factory, timeout)

    def _connect(self, address: Address, factory: Any, timeout: float | None) -> FakeConnector:
        assert timeout is None, "there would be two timers"
        self.connectors.append(FakeConnector(self, address, factory))
        return self.connectors[-1]

    def resolveHostName(self, receiver: Any, name: str, port: int) -> None:  # noqa: N802
        """Look a name up."""
        receiver.resolutionBegan(None)

        def answer() -> None:
            for address in self.names.get(name, ()):
                kind = IPv6Address if ":" in address else IPv4Address
                receiver.addressResolved(kind("TCP", address, port))
            receiver.resolutionComplete()

        self.answers.append(answer)
        if not self.hangs:
            answer()

    def assert_clean(self) -> None:
        """Nothing is left: no timer, no socket, no attempt."""
        self.settle()
        assert self.getDelayedCalls() == []
        assert self.getReaders() == []
        assert self.getWriters() == []
        assert all(server.gone for server in self.servers)
        assert not any(connector.connecting for connector in self.connectors)
