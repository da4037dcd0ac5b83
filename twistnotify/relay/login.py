"""Logging in to PostgreSQL as a client does (Protocol, section 'Start-up'), as a conversation without I/O.

The server is PostgreSQL of any version that speaks protocol 3.0, or a pooler in front of one. It asks for at most one
proof of the password, and it is believed only after AuthenticationOk; in a SCRAM exchange this counts only once the
server has proved that it knows the password too.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias, TypeVar

from twistnotify.auth.password import md5_answer, raw
from twistnotify.auth.scram import MECHANISM, ClientFirst, ScramFault
from twistnotify.wire.authentication import (
    AuthenticationCleartextPassword,
    AuthenticationMD5Password,
    AuthenticationOk,
    AuthenticationSASL,
    AuthenticationSASLContinue,
    AuthenticationSASLFinal,
    PasswordMessage,
    SASLInitialResponse,
    SASLResponse,
)
from twistnotify.wire.catalog import BackendMessage, decode_backend
from twistnotify.wire.errors import ErrorFields, ErrorResponse, NoticeResponse
from twistnotify.wire.session_status import MAX_PARAMETERS, ParameterStatus, ReadyForQuery
from twistnotify.wire.startup import PROTOCOL_3_0, BackendKeyData, NegotiateProtocolVersion, StartupMessage
from twistnotify.wire.violations import ProtocolViolation

UNSUPPORTED = "0A000"
"""PostgreSQL's SQLSTATE feature_not_supported."""

Message = TypeVar("Message")
Returned = TypeVar("Returned")

Frame: TypeAlias = tuple[int, bytes]
Conversation: TypeAlias = Generator[bytes, Frame, Returned]


@dataclass(frozen=True, slots=True)
class UpstreamSession:
    """What a server has told of the session that was logged in to.

    `parameters` are the settings it reports (ParameterStatus), bytes that are not UTF-8 as lone surrogates; `pid` and
    `secret` are the key to cancel with, 0 and empty where the server gave none.
    """

    parameters: dict[str, str]
    pid: int
    secret: bytes = field(repr=False)


class LoginRefused(Exception):
    """Report that there will be no session; `fields` say why, in the server's words where it has spoken."""

    def __init__(self, fields: ErrorFields) -> None:
        super().__init__(f"{fields.severity} {fields.sqlstate}: {fields.message}")
        self.fields = fields


def log_in(parameters: Mapping[str, str], password: str | None, nonce: str) -> Conversation[UpstreamSession]:
    """Log in: yields bytes to send, empty where only more is to be read, and is sent one frame each time.

    `parameters` are those of the StartupMessage, "user" among them; `nonce` is drawn for this log-in alone, printable
    ASCII without a comma. Raises `LoginRefused`, and ProtocolViolation for what is not the protocol.
    """
    request = yield from _ask(StartupMessage(PROTOCOL_3_0, dict(parameters)).encode())
    while isinstance(request, NegotiateProtocolVersion):
        _check_version(request)
        request = yield from _ask()
    if not isinstance(request, AuthenticationOk):
        yield from _prove(request, parameters["user"], password, nonce)
    return (yield from _greeting())


def _ask(frames: bytes = b"") -> Conversation[BackendMessage]:
    """Send frames; return the next message that is no notice, raise `LoginRefused` for an error."""
    while True:
        match _decoded((yield frames)):
            case ErrorResponse(fields):
                raise LoginRefused(fields)
            case NoticeResponse():
                frames = b""
            case message:
                return message


def _expect(kind: type[Message], frames: bytes = b"") -> Conversation[Message]:
    """Send frames; return the next message, which has to be of one kind."""
    message = yield from _ask(frames)
    if not isinstance(message, kind):
        raise _unexpected(message)
    return message


def _decoded(frame: Frame) -> BackendMessage:
    try:
        return decode_backend(*frame)
    except ProtocolViolation as violation:
        if violation.sqlstate == UNSUPPORTED:
            raise _refusal(UNSUPPORTED, violation.message) from None
        raise


def _check_version(negotiation: NegotiateProtocolVersion) -> None:
    # That options are not known to it is for the server to say, and for nobody to mind.
    if negotiation.version != PROTOCOL_3_0:
        raise ProtocolViolation(f"server offers protocol version {negotiation.version}, 3.0 was asked for")


def _prove(request: BackendMessage, user: str, password: str | None, nonce: str) -> Conversation[None]:
    """Answer the request for a password, and wait for AuthenticationOk."""
    answer = b""
    match request:
        case AuthenticationCleartextPassword():
            answer = PasswordMessage(raw(_required(password))).encode()
        case AuthenticationMD5Password(salt):
            answer = PasswordMessage(md5_answer(_required(password), user, salt)).encode()
        case AuthenticationSASL(mechanisms):
            yield from _exchange_scram(mechanisms, _required(password), nonce)
        case _:
            raise _unexpected(request)
    yield from _expect(AuthenticationOk, answer)


def _exchange_scram(mechanisms: tuple[str, ...], password: str, nonce: str) -> Conversation[None]:
    # The mechanism with channel binding may be offered too; without TLS there is nothing to bind to.
    if MECHANISM not in mechanisms:
        raise _refusal(UNSUPPORTED, f"unsupported SASL mechanisms: {', '.join(mechanisms)}")
    first = ClientFirst(nonce)
    chosen = SASLInitialResponse(MECHANISM.encode(), first.message)
    challenge = yield from _expect(AuthenticationSASLContinue, chosen.encode())
    try:
        final = first.answer(challenge.data, password)
        verdict = yield from _expect(AuthenticationSASLFinal, SASLResponse(final.message).encode())
        final.verify(verdict.data)
    except ScramFault as fault:
        raise _refusal(fault.sqlstate, fault.message) from fault


def _greeting() -> Conversation[UpstreamSession]:
    """Gather what the server tells about the session until it is ready."""
    parameters: dict[str, str] = {}
    pid, secret = 0, b""
    while True:
        match (yield from _ask()):
            case ParameterStatus(name, value):
                parameters[name] = value
                if len(parameters) > MAX_PARAMETERS:
                    raise ProtocolViolation("too many settings reported in the log-in")
            case BackendKeyData(pid, secret):
                pass
            case ReadyForQuery("I"):
                return UpstreamSession(parameters, pid, secret)
            case message:
                raise _unexpected(message)


def _required(password: str | None) -> str:
    if not password:
        raise _refusal("28P01", "no password supplied, and the server asks for one")
    return password


def _refusal(sqlstate: str, message: str) -> LoginRefused:
    return LoginRefused(ErrorFields("FATAL", sqlstate, message))


def _unexpected(message: BackendMessage) -> ProtocolViolation:
    return ProtocolViolation(f"unexpected {type(message).__name__} in the log-in")
