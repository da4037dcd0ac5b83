"""A client until it has logged in: where it comes from, whether it is encrypted, and what it has to prove.

Before the first byte of PostgreSQL's protocol there may be the header of a proxy that is trusted to say who is behind
it, and, where TLS is on, a TLS handshake that begins without having been asked for (byte 0x16). What follows is the
session's. Nothing of this is kept once the client is in, but the address.
"""

from __future__ import annotations

import pwd
import socket
import struct
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import TYPE_CHECKING, Any, TypeAlias

from twisted.internet.address import IPv4Address as IPv4Peer
from twisted.internet.address import IPv6Address as IPv6Peer
from twisted.internet.address import UNIXAddress
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from twistnotify.auth.demands import Demand, NoProof
from twistnotify.auth.origin import Origin
from twistnotify.server.authentication import Authenticator
from twistnotify.server.tls import Secured, ServerTls, secured
from twistnotify.session.actions import Action, Derive, Identify, Judge, Refuse, StartTls
from twistnotify.session.failure import SqlError, fatal
from twistnotify.wire.proxy_header import read_header

if TYPE_CHECKING:
    from twistnotify.server.protocol import ClientProtocol

HANDSHAKE = 0x16
"""The first byte of a TLS handshake (RFC 8446, section 5.1), and of no start-up packet that is short enough."""
Address: TypeAlias = IPv4Address | IPv6Address
AGREED = b"S"
NO_PROOF = NoProof()
BLOCKED = "too many failed log-ins"
UNIX = "the Unix socket"
"""What stands for the address of those who have none."""
_CREDENTIALS = struct.Struct("3i")


class Arrival:
    """What happens to a client on its way in.

    `received` is given what arrives, and returns what of it is for the session.
    """

    __slots__ = ("_client", "_direct", "_fresh", "_proxied", "_secured", "_tls", "_unread")

    def __init__(self, client: ClientProtocol, tls: ServerTls | None, proxied: bool) -> None:
        self._client = client
        self._tls = tls
        self._fresh = True
        self._direct = False
        self._proxied = proxied
        self._unread = b""
        self._secured: Secured | None = None

    @property
    def is_local(self) -> bool:
        """Tell whether it came by the Unix socket, whatever a proxy says."""
        return isinstance(self._client.socket.getPeer(), UNIXAddress)

    def origin(self) -> Origin:
        """Return where the client comes from."""
        return Origin(self._client.address, self._secured is not None)

    @property
    def secured(self) -> Secured | None:
        """What TLS has told; None without TLS."""
        return self._secured

    def peer_user(self) -> str | None:
        """Return the system's user at the other end of the Unix socket (unix(7), SO_PEERCRED), None without a name."""
        try:
            return pwd.getpwuid(self._peer_id()).pw_name
        except KeyError:
            return None

    def _peer_id(self) -> int:
        handle = self._client.socket.getHandle()
        credentials = handle.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        uid: int = _CREDENTIALS.unpack(credentials)[1]
        return uid

    # What comes before the session

    def received(self, data: bytes) -> bytes:
        """Work off what is not for the session; raises ProtocolViolation for what can be neither."""
        if not self._fresh:
            return data
        if self._proxied:
            data = self._read_header(data)
        if not data:
            return b""
        self._fresh = False
        if data[0] == HANDSHAKE and self._can_start:
            self._direct = True
            self._start(data)
            return b""
        return data

    def _read_header(self, data: bytes) -> bytes:
        """Return what is behind the proxy's header, nothing as long as it is not whole."""
        self._unread += data
        found = read_header(self._unread)
        if found is None:
            return b""
        header, size = found
        data, self._unread = self._unread[size:], b""
        self._proxied = False
        if header.address is not None:
            self._client.proxied = _unmapped(header.address)
        return data

    @property
    def _can_start(self) -> bool:
        return self._tls is not None and self._secured is None and not self._direct and not self.is_local

    # TLS

    def _start_tls(self) -> bool:
        """Agree to TLS that was asked for and begin; False where there is none, or there is already."""
        client = self._client
        if not self._can_start:
            client.session.answer_with(False)
            return False
        client.hand_over(False)
        client.socket.write(AGREED)
        self._start(b"")
        return True

    def _start(self, data: bytes) -> None:
        """Put TLS between the socket and the client; `data` has come already."""
        assert self._tls is not None
        tls = self._tls.encryption.begin(self._client)
        if data:
            tls.dataReceived(data)

    def handshake_completed(self) -> bool:
        """Note what TLS has told; False for a client that has named no protocol where it has to (direct TLS)."""
        assert self._tls is not None
        transport: Any = self._client.socket
        self._secured = secured(self._tls, transport.getHandle())
        return self._secured.named or not self._direct

    @property
    def is_direct(self) -> bool:
        """Tell whether TLS began without having been asked for."""
        return self._direct

    # What the session asks for

    def perform(self, action: Action) -> bool:
        """Carry out an action; False where it has to be waited for."""
        match action:
            case StartTls():
                return not self._start_tls()
            case Identify():
                return self._identify(action)
            case Judge():
                self._judge(action)
            case Derive():
                self._client.factory.newcomers.work_for(self._client)
                return self._client.await_answer(self._derived(action))
            case Refuse():
                if action.reason != BLOCKED:
                    refusals = self._client.factory.refusals
                    refusals.count(self._key(action.user), self._where, action.database, action.reason)
        return True

    def _identify(self, action: Identify) -> bool:
        client = self._client
        client.factory.newcomers.work_for(client)
        try:
            demand = self._demand(action)
        except SqlError as failure:
            client.session.fail(failure.fields)
            return True
        if isinstance(demand, Deferred):
            return client.await_answer(demand.addCallback(self._ask))
        client.session.answer_with(self._ask(demand))
        return True

    def _ask(self, demand: Demand) -> Demand:
        """Note whether the client is to say something now."""
        if type(demand) is not NoProof:
            factory = self._client.factory
            factory.newcomers.wait_for(self._client, factory.clock.seconds())
        return demand

    def _judge(self, action: Judge) -> None:
        """Refuse to look at a proof if others have failed meanwhile: who opens many exchanges has no more tries."""
        try:
            self.check_failures(action.user)
        except SqlError as failure:
            self._client.session.fail(failure.fields)

    def check_failures(self, user: str) -> None:
        """Raise FATAL 28000 where a user has failed too often from here."""
        refusals = self._client.factory.refusals
        if refusals.is_blocked(self._key(user)):
            refusals.note_blocked()
            raise fatal("28000", BLOCKED, "Try again later.")

    def _demand(self, action: Identify) -> Demand | Deferred[Demand]:
        """Return what the client has to prove; raises `SqlError`, or fails with it."""
        factory = self._client.factory
        if factory.authenticator.trusts_everyone:
            return NO_PROOF
        try:
            demand: Demand | Deferred[Demand] = factory.authenticator.demand(self, action.database, action.user)
        except SqlError as failure:
            if failure.fields.message != BLOCKED:
                factory.refusals.note(self._where, action.user, action.database, failure.fields.message)
            raise
        return demand.addErrback(self._not_asked, action) if isinstance(demand, Deferred) else demand

    def _not_asked(self, failure: Failure, action: Identify) -> Failure:
        """Log why what the client has to prove could not be found out; the client itself is not told."""
        error = failure.value
        if isinstance(error, SqlError):
            reason = f"{error.fields.message}: {error.__cause__}"
            self._client.factory.refusals.note(self._where, action.user, action.database, reason)
        return failure

    def let_in(self, user: str) -> None:
        """Forget earlier failures."""
        factory = self._client.factory
        if not factory.authenticator.trusts_everyone:
            factory.refusals.forgive(self._key(user))

    def _key(self, user: str) -> tuple[str, str]:
        address = self._client.address
        return self._where if address is None else _group(address), user

    @property
    def _where(self) -> str:
        address = self._client.address
        return f"{UNIX}, user {self._peer_id()}" if address is None else str(address)

    def _derived(self, action: Derive) -> Deferred[bytes]:
        """Return the key of a password."""
        authenticator: Authenticator = self._client.factory.authenticator
        return authenticator.derive(action.password, action.salt, action.iterations)


def source_of(peer: object) -> str:
    """Return what many connections of a peer have in common: an IPv4 address, or a network of IPv6."""
    if isinstance(peer, IPv4Peer):
        return peer.host
    return _group(_unmapped(peer.host)) if isinstance(peer, IPv6Peer) else UNIX


def _group(address: Address) -> str:
    """Return the address, of IPv6 the network of 64 bits: whoever has one address of it has all of them."""
    return str(address if isinstance(address, IPv4Address) else IPv6Network((int(address) >> 64 << 64, 64)))


def address_of(peer: object) -> Address | None:
    """Return the address of a transport's peer; None for a Unix socket's."""
    return _unmapped(peer.host) if isinstance(peer, IPv4Peer | IPv6Peer) else None


def _unmapped(address: str) -> Address:
    """Return an address; an IPv4 address in the form of IPv6 (RFC 4291, section 2.5.5.2) as the former."""
    parsed = ip_address(address.partition("%")[0])
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is not None:
        return parsed.ipv4_mapped
    return parsed
