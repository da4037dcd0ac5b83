"""Logging in to PostgreSQL as a client does (Protocol, section 'Start-up'), as a conversation without I/O.

The server is PostgreSQL of any version that speaks protocol 3.0, or a pooler in front of one. It asks for at most one
proof of the password, and it is believed only after AuthenticationOk; in a SCRAM exchange this counts only once the
server has proved that it knows the password too.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar

from twistnotify.auth.password import md5_answer, prepared, raw
from twistnotify.auth.scram_client import Challenge, ClientFinal, ClientFirst
from twistnotify.auth.scram_keys import MECHANISM, QUICK_ITERATIONS, ScramFault, client_key, salted_password, server_key
from twistnotify.auth.secrets import Credentials, Md5Secret, PlainSecret, ScramKeys, digest_of
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

INVALID_PASSWORD = "28P01"
"""PostgreSQL's SQLSTATE invalid_password."""

Message = TypeVar("Message")
Returned = TypeVar("Returned")

Frame: TypeAlias = tuple[int, bytes]


@dataclass(frozen=True, slots=True)
class Derivation:
    """Ask for `scram_keys.salted_password` of these, which takes long."""

    password: bytes = field(repr=False)
    salt: bytes = field(repr=False)
    iterations: int


Conversation: TypeAlias = Generator[bytes | Derivation, Any, Returned]
"""Sends bytes and is sent one `Frame` each time; for a `Derivation` it is sent the salted password, which is bytes."""


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


def log_in(parameters: Mapping[str, str], credentials: Credentials | None, nonce: str) -> Conversation[UpstreamSession]:
    """Log in: yields bytes to send, empty where only more is to be read, and is sent one frame each time.

    A `Derivation` is yielded where SCRAM asks for much work, and its result sent. `parameters` are those of the
    StartupMessage, "user" among them; `nonce` is drawn for this log-in alone, printable ASCII without a comma. Raises
    `LoginRefused`, and ProtocolViolation for what is not the protocol.
    """
    request = yield from _ask(StartupMessage(PROTOCOL_3_0, dict(parameters)).encode())
    while isinstance(request, NegotiateProtocolVersion):
        _check_version(request)
        request = yield from _ask()
    if not isinstance(request, AuthenticationOk):
        yield from _prove(request, parameters["user"], credentials, nonce)
    return (yield from _greeting())


def _ask(frames: bytes = b"") -> Conversation[BackendMessage]:
    """Send frames; return the next message that is no notice, raise `LoginRefused` for an error."""
    while True:
        frame: Frame = yield frames
        match _decoded(frame):
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


def _prove(request: BackendMessage, user: str, credentials: Credentials | None, nonce: str) -> Conversation[None]:
    """Answer the request for a password, and wait for AuthenticationOk."""
    answer = b""
    match request:
        case AuthenticationCleartextPassword():
            answer = PasswordMessage(_password(credentials)).encode()
        case AuthenticationMD5Password(salt):
            answer = PasswordMessage(md5_answer(_digest(credentials, user), salt)).encode()
        case AuthenticationSASL(mechanisms):
            yield from _exchange_scram(mechanisms, _scram(credentials), nonce)
        case _:
            raise _unexpected(request)
    yield from _expect(AuthenticationOk, answer)


def _password(credentials: Credentials | None) -> bytes:
    known = _required(credentials)
    if not isinstance(known, PlainSecret):
        raise _refusal(INVALID_PASSWORD, "the server asks for the password itself, which is not known here")
    return raw(known.password)


def _digest(credentials: Credentials | None, user: str) -> bytes:
    known = _required(credentials)
    if isinstance(known, ScramKeys):
        raise _refusal(INVALID_PASSWORD, "the server asks for an MD5 digest, and only SCRAM keys are known here")
    return digest_of(known, user)


def _scram(credentials: Credentials | None) -> PlainSecret | ScramKeys:
    known = _required(credentials)
    if isinstance(known, Md5Secret):
        raise _refusal(INVALID_PASSWORD, "the server asks for SCRAM, and only an MD5 digest is known here")
    return known


def _exchange_scram(
    mechanisms: tuple[str, ...], credentials: PlainSecret | ScramKeys, nonce: str
) -> Conversation[None]:
    # The mechanism with channel binding may be offered too; nothing is bound here.
    if MECHANISM not in mechanisms:
        raise _refusal(UNSUPPORTED, f"unsupported SASL mechanisms: {', '.join(mechanisms)}")
    first = ClientFirst(nonce)
    chosen = SASLInitialResponse(MECHANISM.encode(), first.message)
    challenge = yield from _expect(AuthenticationSASLContinue, chosen.encode())
    try:
        final = yield from _scram_answer(first, first.read(challenge.data), credentials)
        verdict = yield from _expect(AuthenticationSASLFinal, SASLResponse(final.message).encode())
        final.verify(verdict.data)
    except ScramFault as fault:
        raise _refusal(fault.sqlstate, fault.message) from fault


def _scram_answer(
    first: ClientFirst, challenge: Challenge, credentials: PlainSecret | ScramKeys
) -> Conversation[ClientFinal]:
    if isinstance(credentials, ScramKeys):
        if (credentials.salt, credentials.iterations) != (challenge.salt, challenge.iterations):
            raise _refusal(INVALID_PASSWORD, "the SCRAM secrets of the user differ here and at the server")
        return first.answer(challenge, credentials.client_key, credentials.server_key)
    salted = yield from _salted(prepared(credentials.password), challenge)
    return first.answer(challenge, client_key(salted), server_key(salted))


def _salted(password: bytes, challenge: Challenge) -> Conversation[bytes]:
    if challenge.iterations <= QUICK_ITERATIONS:
        return salted_password(password, challenge.salt, challenge.iterations)
    derived: bytes = yield Derivation(password, challenge.salt, challenge.iterations)
    return derived


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


def _required(credentials: Credentials | None) -> Credentials:
    if credentials is None or credentials == PlainSecret(""):
        raise _refusal(INVALID_PASSWORD, "no password supplied, and the server asks for one")
    return credentials


def _refusal(sqlstate: str, message: str) -> LoginRefused:
    return LoginRefused(ErrorFields("FATAL", sqlstate, message))


def _unexpected(message: BackendMessage) -> ProtocolViolation:
    return ProtocolViolation(f"unexpected {type(message).__name__} in the log-in")
