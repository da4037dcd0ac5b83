"""Where an upstream may be: libpq's keywords as a list of places, and a connection to one of them.

The rules are those of libpq (manual, "Specifying Multiple Hosts"). Names are looked up by the reactor's resolver, never
in a way that blocks; each of a name's addresses is a place of its own, since a request to cancel has to go to the very
server that it is meant for.
"""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.internet.error import ConnectError
from twisted.internet.interfaces import IAddress, IConnector, IHostResolution, IResolutionReceiver
from twisted.internet.protocol import ClientFactory, Protocol
from twisted.python.failure import Failure
from typing_extensions import override
from zope.interface import implementer

DEFAULT_PORT = 5432
SOCKET_FOLDERS = ("/var/run/postgresql", "/tmp")
"""Where PostgreSQL's socket is looked for if no host is named: Debian's folder, and PostgreSQL's own."""
LOCALHOST = "localhost"
MAX_PATH = 107
"""Bytes of the longest path of a Unix socket on Linux."""


class Unreachable(Exception):
    """Nothing can be connected to; the text says why, as libpq would, and does not say where."""


@dataclass(frozen=True, slots=True)
class Place:
    """A server: `host` as it was named, a socket's folder or what a certificate is for, and the port.

    `address` is what the name stands for, empty as long as it was not looked up.
    """

    host: str
    port: int
    address: str = ""

    @property
    def path(self) -> str | None:
        """The path of the Unix socket; None if it is TCP. In an abstract one, NUL stands for the @."""
        if not self.host.startswith(("/", "@")):
            return None
        folder = "\0" + self.host[1:] if self.host[0] == "@" else self.host
        return f"{folder}/.s.PGSQL.{self.port}"

    @property
    def is_name(self) -> bool:
        """Tell whether the host has to be looked up."""
        return self.path is None and not self.address

    def __str__(self) -> str:
        address = f" ({self.address})" if self.address not in ("", self.host) else ""
        return f"{self.host}{address}, port {self.port}"


def places(conninfo: Mapping[str, str], folders: Sequence[str] = SOCKET_FOLDERS) -> list[Place]:
    """Return the places that libpq's keywords name, in the order in which they are to be tried.

    `folders` are those where a socket is looked for if there is no host. Raises Unreachable if the lists of hosts,
    addresses and ports do not go together, and for an address that is none.
    """
    hosts, addresses, ports = (_listed(conninfo, keyword) for keyword in ("host", "hostaddr", "port"))
    count = len(addresses or hosts or [""])
    columns = (
        _column(hosts, count, "host names"),
        _column(addresses, count, "addresses"),
        _column(ports * count if len(ports) == 1 else ports, count, "port numbers"),
    )
    return [_place(host, address, port, folders) for host, address, port in zip(*columns, strict=True)]


def _column(values: list[str], count: int, what: str) -> list[str]:
    if values and len(values) != count:
        raise Unreachable(f"could not match {len(values)} {what} to {count} hosts")
    return values or [""] * count


def _place(host: str, address: str, port: str, folders: Sequence[str]) -> Place:
    number = int(port or DEFAULT_PORT)
    if address and not is_address(address):
        raise Unreachable("could not parse network address")
    if address:
        return Place(host or address, number, address)
    host = host or _default_host(number, folders)
    return Place(host, number, host if is_address(host) else "")


def _default_host(port: int, folders: Sequence[str]) -> str:
    found = (folder for folder in folders if os.path.exists(f"{folder}/.s.PGSQL.{port}"))
    return next(found, LOCALHOST)


def is_address(host: str) -> bool:
    """Tell whether a host is an address rather than a name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _listed(conninfo: Mapping[str, str], keyword: str) -> list[str]:
    """Return a list with commas; libpq allows no blanks around them."""
    return conninfo[keyword].split(",") if conninfo.get(keyword) else []


def look_up(reactor: Any, place: Place) -> Deferred[list[Place]]:
    """Return one place for each address of a name, in the resolver's order; fails with Unreachable if it has none."""
    looking_up = _LookUp(place)
    try:
        # In the resolver's thread it would be an error that nobody is told of.
        place.host.encode("idna")
    except UnicodeError:
        return fail(Unreachable(looking_up.fault))
    reactor.nameResolver.resolveHostName(looking_up, place.host, place.port)
    return looking_up.done


@implementer(IResolutionReceiver)
class _LookUp:
    """Gather what the resolver finds. It cannot be called off: what comes too late is not looked at."""

    fault = "could not translate host name to address"

    def __init__(self, place: Place) -> None:
        self.done: Deferred[list[Place]] = Deferred()
        self._place = place
        self._found: list[Place] = []

    def resolutionBegan(self, resolutionInProgress: IHostResolution) -> None:  # noqa: N802, N803
        """Begin."""

    def addressResolved(self, address: IAddress) -> None:  # noqa: N802
        """Take an address."""
        found = Place(self._place.host, self._place.port, address.host)  # type: ignore[attr-defined]
        if found not in self._found:
            self._found.append(found)

    def resolutionComplete(self) -> None:  # noqa: N802
        """Tell whoever still waits."""
        if self.done.called:
            return
        if self._found:
            self.done.callback(self._found)
        else:
            self.done.errback(Unreachable(self.fault))


class Dialled(Protocol):
    """A protocol that `connect` can connect."""

    dialled: Deferred[None]

    @override
    def connectionMade(self) -> None:
        """Tell `connect`."""
        self.dialled.callback(None)


def connect(reactor: Any, place: Place, protocol: Dialled) -> Deferred[None]:
    """Connect a protocol to a place, without a limit of time; fails with Unreachable.

    Who cancels the Deferred stops the attempt.
    """
    dialling = _Dialling(protocol)
    path = place.path
    if path is None:
        dialling.connector = reactor.connectTCP(place.address or place.host, place.port, dialling, timeout=None)
    elif len(os.fsencode(path)) <= MAX_PATH:
        dialling.connector = reactor.connectUNIX(path, dialling, timeout=None)
    else:
        # Twisted would raise it into the reactor.
        return fail(Unreachable(f"Unix-domain socket path is too long (maximum {MAX_PATH} bytes)"))
    return protocol.dialled


class _Dialling(ClientFactory):
    """An attempt to connect."""

    noisy = False
    connector: IConnector

    def __init__(self, protocol: Dialled) -> None:
        self._made = protocol
        protocol.dialled = Deferred(self._cancel)

    @override
    def buildProtocol(self, addr: IAddress | None) -> Dialled:
        """Use the one protocol there is."""
        return self._made

    @override
    def clientConnectionFailed(self, connector: IConnector, reason: Failure) -> None:
        """Tell why, unless it was called off."""
        if not self._made.dialled.called:
            self._made.dialled.errback(Unreachable(reason_of(reason)))

    def _cancel(self, dialled: Deferred[None]) -> None:
        dialled.errback(CancelledError())
        self.connector.stopConnecting()


def reason_of(failure: Failure) -> str:
    """Return why a connection could not be made: the system's words, without Twisted's around them."""
    error = failure.value
    number = error.osError if isinstance(error, ConnectError) else None
    return os.strerror(number) if isinstance(number, int) else "the connection could not be made"


KEEPALIVE = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 60),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 15),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 4),
)
"""How a dead server is noticed, in seconds, as on the connections of shards. But no TCP_USER_TIMEOUT: it would end a
session whose server lives and reads nothing for a while, as one does that waits for a lock."""


def tune(transport: Any) -> None:
    """Set the options of a TCP connection: no waiting for more to send, and signs of life."""
    transport.setTcpNoDelay(True)
    for level, option, value in KEEPALIVE:
        transport.getHandle().setsockopt(level, option, value)
