"""The conversation before the first command (manual, "Start-up").

SSLRequest and GSSENCRequest are declined, each once; then comes the StartupMessage. What the client may not do ends
the connection with a FATAL error, or, where it does not speak the protocol at all, without a word.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from twistnotify.session.actions import Action, Admit, Cancel
from twistnotify.session.encodings import client_encoding
from twistnotify.session.failure import SqlError, fatal
from twistnotify.session.states import Step
from twistnotify.wire.authentication import AuthenticationOk
from twistnotify.wire.session_status import ParameterStatus
from twistnotify.wire.startup import (
    PROTOCOL_3_0,
    BackendKeyData,
    CancelRequest,
    GSSENCRequest,
    NegotiateProtocolVersion,
    SSLRequest,
    StartupMessage,
    decode_startup,
)
from twistnotify.wire.violations import ProtocolViolation

if TYPE_CHECKING:
    from twistnotify.session.session import Session

DECLINED = b"N"


@dataclass(frozen=True, slots=True)
class Admission:
    """What the world answers to `Admit`.

    `parameters` are the ParameterStatus values of the log-in; `pid` and `secret` are the client's key to cancel with;
    `server_encoding` is the database's, in PostgreSQL's spelling; `acknowledgements` are its listen_ack and notify_ack.
    """

    parameters: dict[str, str]
    pid: int
    secret: bytes
    server_encoding: str
    acknowledgements: tuple[str, str]


class AncientProtocol(Exception):
    """A client older than 2003: it has been answered in its own way."""


Login = Generator[Action, None, None]


def log_in(session: Session) -> Login:
    """Speak the start-up part of the protocol until the client is in, or out."""
    try:
        message = yield from _negotiate(session)
        if isinstance(message, CancelRequest):
            yield Cancel(message.pid, message.secret)
            yield session.end("cancel request")
            return
        yield from _identify(session, message)
    except ProtocolViolation as violation:
        yield from session.die(fatal(violation.sqlstate, violation.message))
    except SqlError as failure:
        yield from session.die(failure)
    except AncientProtocol:
        yield session.end("protocol")


def _negotiate(session: Session) -> Generator[Action, None, StartupMessage | CancelRequest]:
    declined: set[type] = set()
    while True:
        packet = yield from session.startup_packet()
        message = decode_startup(packet)
        if not isinstance(message, SSLRequest | GSSENCRequest):
            return message
        if type(message) in declined:
            version = "1234.5679" if isinstance(message, SSLRequest) else "1234.5680"
            raise fatal("0A000", f"unsupported frontend protocol {version}: server supports 3.0 to 3.0")
        declined.add(type(message))
        session.replies.append(DECLINED)
        if session.buffered:
            name = "SSL" if isinstance(message, SSLRequest) else "GSSAPI encryption"
            raise fatal("08P01", f"received unencrypted data after {name} request")


def _identify(session: Session, message: StartupMessage) -> Login:
    _negotiate_version(session, message)
    parameters = {name: value for name, value in message.parameters.items() if not name.startswith("_pq_.")}
    user = parameters.get("user", "")
    if not user:
        raise fatal("28000", "no PostgreSQL user name specified in startup packet")
    if parameters.get("replication", "off").lower() not in ("off", "false", "no", "0"):
        raise fatal("0A000", "replication connections are not supported")
    session.encoding = client_encoding(parameters.get("client_encoding", "UTF8"))
    session.startup_parameters = parameters
    session.move(Step.IDENTIFIED)
    yield Admit(parameters.get("database") or user, user)
    _welcome(session)


def _negotiate_version(session: Session, message: StartupMessage) -> None:
    if message.major < 3:
        # The error format of protocols 1 and 2 is a string.
        session.replies.append(b"E" + _unsupported(message).encode() + b"\n\0")
        raise AncientProtocol
    if message.major > 3:
        raise fatal("0A000", _unsupported(message))
    options = tuple(name for name in message.parameters if name.startswith("_pq_."))
    if message.minor > 0 or options:
        session.replies.append(NegotiateProtocolVersion(PROTOCOL_3_0, options).encode())


def _unsupported(message: StartupMessage) -> str:
    return f"unsupported frontend protocol {message.major}.{message.minor}: server supports 3.0 to 3.0"


def _welcome(session: Session) -> None:
    admission = session.admission
    assert admission is not None
    codec = session.encoding.codec
    session.replies.append(AuthenticationOk().encode())
    for name, value in admission.parameters.items():
        session.replies.append(ParameterStatus(name, value).encode(codec))
    session.replies.append(BackendKeyData(admission.pid, admission.secret).encode())
    session.welcome(admission)
