"""A client's socket: Twisted's own buffering and producing, over a peer that takes a given number of bytes."""

from __future__ import annotations

import os
import socket
import struct
from typing import Any

from fakes.reactor import FakeReactor
from twisted.internet import abstract, main, tcp
from twisted.internet.address import IPv4Address
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure


class _Handle:
    def setsockopt(self, *option: int) -> None:
        """Set an option of the socket that there is not."""

    def getsockopt(self, *option: int) -> bytes:
        """Return the credentials of a peer: process, user and group."""
        return struct.pack("3i", 1, os.getuid(), os.getgid())


class FakeTransport(tcp._AbortingMixin, abstract.FileDescriptor):
    """A connected TCP transport.

    `room` is the number of bytes the kernel takes from now on (None: any number); `received` is what it has taken,
    `arrived` what the peer has sent and nobody has read.
    """

    def __init__(self, reactor: FakeReactor, protocol: Protocol) -> None:
        abstract.FileDescriptor.__init__(self, reactor)
        self.protocol = protocol
        self.connected = 1
        self.room: int | None = None
        self.received = b""
        self.arrived: list[bytes] = []
        self.broken = False
        self.peer_closed = False
        self.lost: Failure | None = None
        self.writes: list[int] = []
        self.pair: tuple[socket.socket, socket.socket] | None = None
        self.peer: object = IPv4Address("TCP", "192.0.2.1", 50_000)
        self.startReading()

    @property
    def readable(self) -> bool:
        """Tell whether a read would bring something."""
        return bool(self.arrived) or self.peer_closed

    @property
    def writable(self) -> bool:
        """Tell whether a write would take something."""
        return self.room != 0

    @property
    def reading(self) -> bool:
        """Tell whether the reactor reads."""
        return self in self.reactor.getReaders()

    @property
    def buffered(self) -> int:
        """Bytes that Twisted keeps."""
        return len(self.dataBuffer) - self.offset + self._tempDataLen

    def writeSomeData(self, data: bytes) -> int | BaseException:  # noqa: N802
        """Give the kernel what it takes."""
        if self.broken:
            return main.CONNECTION_LOST
        size = len(data) if self.room is None else min(self.room, len(data))
        if self.room is not None:
            self.room -= size
        self.received += bytes(data[:size])
        self.writes.append(size)
        return size

    def doRead(self) -> Failure | None:
        """Read what has arrived, then the end."""
        if self.arrived:
            self.protocol.dataReceived(self.arrived.pop(0))
        else:
            self.connectionLost(Failure(main.CONNECTION_DONE))

    def doWrite(self) -> None:
        """Write, and do what the reactor does with the outcome."""
        outcome = super().doWrite()
        if outcome:
            self.connectionLost(Failure(outcome))

    def writeConnectionLost(self, reason: Failure) -> None:  # noqa: N802
        """End, as everything has been written."""
        self.connectionLost(reason)

    def connectionLost(self, reason: Failure) -> None:
        """End."""
        if self.lost is None:
            self.lost = reason
            abstract.FileDescriptor.connectionLost(self, reason)
            self.protocol.connectionLost(reason)

    def getPeer(self) -> object:  # noqa: N802
        """Return where the client comes from."""
        return self.peer

    def setTcpNoDelay(self, enabled: bool) -> None:  # noqa: N802
        """Set an option of the socket that there is not."""

    def getHandle(self) -> Any:  # noqa: N802
        """Return what options are set on."""
        return _Handle()

    def fileno(self) -> int:
        """Return the descriptor of a real socket, where a test wants one."""
        return -1 if self.pair is None else self.pair[0].fileno()

    def use_socket(self) -> socket.socket:
        """Have a real descriptor; return the peer's end."""
        self.pair = socket.socketpair()
        return self.pair[1]

    def close_pair(self) -> None:
        """Close the real sockets."""
        for each in self.pair or ():
            each.close()
