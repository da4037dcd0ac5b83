"""The conversation before the first command (manual, "Start-up").

SSLRequest is agreed to where there is TLS, GSSENCRequest is declined, each once; then comes the StartupMessage, and the
client proves who it is (`authentication`). What the client may not do ends the connection with a FATAL error, or, where
it does not speak the protocol at all, without a word.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

from twistnotify.auth.password import raw
from twistnotify.auth.rights import UserRights
from twistnotify.session.actions import Action, Admit, Cancel, StartTls
from twistnotify.session.attached import Relay
from twistnotify.session.attaching import attach_for_log_in, needs_judge
from twistnotify.session.authentication import authenticate
from twistnotify.session.encodings import Encoding, client_encoding
from twistnotify.session.failure import SqlError, fatal
from twistnotify.session.parameters import USUAL_PARAMETERS, Parameters, are_usual
from twistnotify.session.states import Step
from twistnotify.session.variables import Variables
from twistnotify.wire.authentication import AuthenticationOk
from twistnotify.wire.session_status import ParameterStatus
from twistnotify.wire.startup import (
    CANCEL_REQUEST,
    GSSENC_REQUEST,
    PROTOCOL_3_0,
    PROTOCOL_3_2,
    SSL_REQUEST,
    BackendKeyData,
    CancelRequest,
    NegotiateProtocolVersion,
    StartupMessage,
)
from twistnotify.wire.violations import ProtocolViolation

if TYPE_CHECKING:
    from twistnotify.session.session import Session

DECLINED = b"N"
NEWEST_MINOR = PROTOCOL_3_2 - PROTOCOL_3_0
MAX_NAME = 63
"""Bytes of a name (NAMEDATALEN - 1)."""
SHORT_KEY, LONG_KEY = 4, 32
"""Bytes of a key to cancel with: before protocol 3.2, and since."""
_CANCEL = CANCEL_REQUEST.to_bytes(4, "big")
_SSL = SSL_REQUEST.to_bytes(4, "big")
_ENCRYPTION = {_SSL: "SSL", GSSENC_REQUEST.to_bytes(4, "big"): "GSSAPI encryption"}
_AUTHENTICATION_OK = AuthenticationOk().encode()


@dataclass(frozen=True, slots=True)
class Admission:
    """What the world answers to `Admit`.

    `status` are the ParameterStatus frames of the log-in; `pid` and `secret` are the client's key to cancel with;
    `server_encoding` is the database's, in PostgreSQL's spelling; `acknowledgements` are its listen_ack and notify_ack;
    `relay` tells of the upstream session that the client may have, None where it may have none; `rights` of the
    channels it may use, None where it may use all.
    """

    status: bytes
    pid: int
    secret: bytes
    server_encoding: str
    acknowledgements: tuple[str, str]
    relay: Relay | None = None
    rights: UserRights | None = None


class AncientProtocol(Exception):
    """A client of before 2003, which has to be answered in its own way."""


class NotPostgres(Exception):
    """A client of another protocol, TLS or HTTP perhaps: an answer would mean nothing to it."""


Login = Generator[Action, None, None]


def log_in(session: Session) -> Login:
    """Speak the start-up part of the protocol until the client is in, or out."""
    try:
        packet = yield from _negotiate(session)
        if packet.startswith(_CANCEL):
            request = CancelRequest.decode(packet)
            yield Cancel(request.pid, request.secret)
            yield session.end("cancel request")
        else:
            yield from _identify(session, packet)
    except ProtocolViolation as violation:
        yield from session.die(fatal(violation.sqlstate, violation.message))
    except SqlError as failure:
        yield from session.die(failure)
    except AncientProtocol as failure:
        # The error format of protocols 1 and 2 is a string.
        session.replies.append(b"EFATAL:  " + str(failure).encode() + b"\n\0")
        yield session.end("protocol")
    except NotPostgres:
        yield session.end("protocol")


def _negotiate(session: Session) -> Generator[Action, None, bytes]:
    """Agree to TLS or decline it; return the packet that comes then."""
    done: set[bytes] = set()
    while True:
        try:
            packet = yield from session.startup_packet()
        except ProtocolViolation as violation:
            raise NotPostgres from violation
        code = packet[:4]
        if code not in _ENCRYPTION:
            return packet
        if code in done:
            version = f"1234.{int.from_bytes(code[2:], 'big')}"
            raise fatal("0A000", f"unsupported frontend protocol {version}: server supports 3.0 to 3.2")
        done.add(code)
        if code == _SSL and (yield from _start_tls(session)):
            done.update(_ENCRYPTION)
            continue
        session.replies.append(DECLINED)
        if session.buffered:
            raise fatal("08P01", f"received unencrypted data after {_ENCRYPTION[code]} request")


def _start_tls(session: Session) -> Generator[Action, None, bool]:
    """Have TLS started if it can be; False if not.

    It is not where more has been sent unencrypted behind the request: that may be an attacker's.
    """
    if session.buffered:
        return False
    yield StartTls()
    agreed: bool = session.take_answer()
    return agreed


def _identify(session: Session, packet: bytes) -> Login:
    identity = identify(packet)
    session.replies += identity.replies
    session.encoding = identity.encoding
    session.startup_parameters = identity.parameters
    session.user = identity.user
    session.move(Step.IDENTIFIED)
    yield from authenticate(session, identity.database)
    yield Admit(identity.database, identity.user, identity.key_length)
    admission = session.admission
    assert admission is not None
    session.replies.append(_AUTHENTICATION_OK)
    session.relay = admission.relay
    if admission.relay is not None and is_beyond_us(identity.parameters, admission.status, admission.server_encoding):
        try:
            yield from attach_for_log_in(session, admission.relay)
        except SqlError as failure:
            raise SqlError(replace(failure.fields, severity="FATAL")) from None
        admission = replace(admission, status=_status(session))
    _welcome(session, admission)


def _status(session: Session) -> bytes:
    """Return what the upstream reports as ParameterStatus frames."""
    codec = session.encoding.codec
    return b"".join(ParameterStatus(*pair).encode(codec) for pair in session.upstream_parameters.items())


def is_beyond_us(parameters: Parameters, status: bytes, server_encoding: str) -> bool:
    """Tell whether PostgreSQL has to judge the start-up parameters; remembered as `identify` is."""
    judged = _judged_before if are_usual(parameters) else _judged
    return judged(parameters, status, server_encoding)


def _judged(parameters: Parameters, status: bytes, server_encoding: str) -> bool:
    return needs_judge(parameters, Variables(status, ()).told, server_encoding)


_judged_before = lru_cache(1024)(_judged)


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a client says it is, and what is answered to that before anything else."""

    database: str
    user: str
    encoding: Encoding
    parameters: tuple[tuple[str, str], ...]
    replies: tuple[bytes, ...]
    key_length: int


def identify(packet: bytes) -> Identity:
    """Return who a StartupMessage speaks of; raises `SqlError`, ProtocolViolation or `AncientProtocol`.

    Remembered, because most clients log in alike, and by the thousand after a restart; but not what strangers may have
    made to be large.
    """
    return _identified_before(packet) if len(packet) <= USUAL_PARAMETERS else _identity(packet)


def clipped(name: str) -> str:
    """Return a name of a user or a database as PostgreSQL takes it: of a longer one, the first 63 bytes."""
    return raw(name)[:MAX_NAME].decode("utf-8", "surrogateescape")


def _identity(packet: bytes) -> Identity:
    message = StartupMessage.decode(packet)
    options = tuple(name for name in message.parameters if name.startswith("_pq_."))
    replies = _negotiate_version(message.major, message.minor, options)
    parameters = {name: value for name, value in message.parameters.items() if name not in options}
    user = clipped(parameters.get("user", ""))
    if not user:
        raise fatal("28000", "no PostgreSQL user name specified in startup packet")
    if parameters.get("replication", "off").lower() not in ("off", "false", "no", "0"):
        raise fatal("0A000", "replication connections are not supported")
    # The name of a setting, unlike "user" and "database", may be in any case.
    asked = [value for name, value in parameters.items() if name.lower() == "client_encoding"]
    encoding = client_encoding(asked[-1] if asked else "UTF8")
    key_length = SHORT_KEY if message.minor < 2 else LONG_KEY
    database = clipped(parameters.get("database") or user)
    told = tuple({**parameters, "user": user}.items())
    return Identity(database, user, encoding, told, replies, key_length)


_identified_before = lru_cache(1024)(_identity)


def _negotiate_version(major: int, minor: int, options: tuple[str, ...]) -> tuple[bytes, ...]:
    unsupported = f"unsupported frontend protocol {major}.{minor}: server supports 3.0 to 3.2"
    if major < 3:
        raise AncientProtocol(unsupported)
    if major > 3:
        raise fatal("0A000", unsupported)
    version = min(PROTOCOL_3_0 + minor, PROTOCOL_3_2)
    return (NegotiateProtocolVersion(version, options).encode(),) if minor > NEWEST_MINOR or options else ()


def _welcome(session: Session, admission: Admission) -> None:
    key = BackendKeyData(admission.pid, admission.secret)
    session.replies += (admission.status, key.encode())
    session.welcome(admission)
