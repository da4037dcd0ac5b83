"""The messages by which a server asks who the client is, and what the client answers.

All requests share a type byte and differ by a code; all answers share one too, and only the conversation tells which
of them is meant (Protocol, section 'Message Formats'). What could help a stranger to get in is left out of every repr.
It must not know how an answer is worked out.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import ClassVar, Self, TypeAlias

from twistnotify.wire.body import BodyReader, frame, int32, string
from twistnotify.wire.violations import ProtocolViolation

AUTHENTICATION_REQUEST = ord("R")
AUTHENTICATION_RESPONSE = ord("p")

_SALT_SIZE = 4


def _unsupported(code: int) -> ProtocolViolation:
    # Not 08P01: it may well be the protocol (GSSAPI, SSPI), only no part of it that is spoken here.
    return ProtocolViolation(f"unsupported authentication request {code}", "0A000")


@dataclass(frozen=True, slots=True)
class _Request:
    type: ClassVar[int] = AUTHENTICATION_REQUEST
    code: ClassVar[int]

    def encode(self, encoding: str = "utf-8") -> bytes:
        """Return the frame."""
        return frame(self.type, int32(self.code), self._rest())

    @classmethod
    def decode(cls, body: bytes, encoding: str = "utf-8") -> Self:
        """Return the message; raise ProtocolViolation as `authentication_request` does, or if it is malformed."""
        reader = BodyReader(body)
        code = reader.int32()
        if code != cls.code:
            raise _unsupported(code)
        message = cls._read(reader)
        reader.end()
        return message

    def _rest(self) -> bytes:
        return b""

    @classmethod
    def _read(cls, reader: BodyReader) -> Self:
        return cls()


@dataclass(frozen=True, slots=True)
class AuthenticationOk(_Request):
    """Tell the client that it is let in."""

    code: ClassVar[int] = 0


@dataclass(frozen=True, slots=True)
class AuthenticationCleartextPassword(_Request):
    """Ask for the password as it is."""

    code: ClassVar[int] = 3


@dataclass(frozen=True, slots=True)
class AuthenticationMD5Password(_Request):
    """Ask for the password's MD5 digest with `salt`, which is 4 bytes."""

    code: ClassVar[int] = 5

    salt: bytes = field(repr=False)

    def _rest(self) -> bytes:
        return self.salt

    @classmethod
    def _read(cls, reader: BodyReader) -> Self:
        return cls(reader.take(_SALT_SIZE))


@dataclass(frozen=True, slots=True)
class AuthenticationSASL(_Request):
    """Ask to choose one of these SASL mechanisms, the server's favourite first."""

    code: ClassVar[int] = 10

    mechanisms: tuple[str, ...]

    def _rest(self) -> bytes:
        return b"".join(string(name, "ascii", "surrogateescape") for name in self.mechanisms) + b"\0"

    @classmethod
    def _read(cls, reader: BodyReader) -> Self:
        names = []
        while name := reader.text("ascii"):
            names.append(name)
        return cls(tuple(names))


@dataclass(frozen=True, slots=True)
class _SASLRequest(_Request):
    data: bytes = field(repr=False)

    def _rest(self) -> bytes:
        return self.data

    @classmethod
    def _read(cls, reader: BodyReader) -> Self:
        return cls(reader.rest())


@dataclass(frozen=True, slots=True)
class AuthenticationSASLContinue(_SASLRequest):
    """Send the mechanism's challenge."""

    code: ClassVar[int] = 11


@dataclass(frozen=True, slots=True)
class AuthenticationSASLFinal(_SASLRequest):
    """Send the mechanism's outcome; AuthenticationOk follows."""

    code: ClassVar[int] = 12


AuthenticationRequest: TypeAlias = (
    AuthenticationOk
    | AuthenticationCleartextPassword
    | AuthenticationMD5Password
    | AuthenticationSASL
    | AuthenticationSASLContinue
    | AuthenticationSASLFinal
)

AUTHENTICATION_REQUESTS: tuple[type[AuthenticationRequest], ...] = (
    AuthenticationOk,
    AuthenticationCleartextPassword,
    AuthenticationMD5Password,
    AuthenticationSASL,
    AuthenticationSASLContinue,
    AuthenticationSASLFinal,
)

_BY_CODE: Mapping[int, type[AuthenticationRequest]] = MappingProxyType({m.code: m for m in AUTHENTICATION_REQUESTS})


def authentication_request(body: bytes) -> type[AuthenticationRequest]:
    """Return which request a body holds; raise ProtocolViolation (0A000) for another one, naming its code."""
    code = BodyReader(body).int32()
    message = _BY_CODE.get(code)
    if message is None:
        raise _unsupported(code)
    return message


@dataclass(frozen=True, slots=True)
class PasswordMessage:
    """Answer with a password, or its MD5 digest, without the terminator."""

    type: ClassVar[int] = AUTHENTICATION_RESPONSE

    password: bytes = field(repr=False)

    def encode(self) -> bytes:
        """Return the frame."""
        return frame(self.type, self.password, b"\0")

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Return the message; raise ProtocolViolation unless the only NUL of the body is its last byte."""
        reader = BodyReader(body)
        message = cls(reader.string())
        reader.end()
        return message


@dataclass(frozen=True, slots=True)
class SASLInitialResponse:
    """Choose a SASL mechanism; `data` is its first message, None if it has none to begin with."""

    type: ClassVar[int] = AUTHENTICATION_RESPONSE

    mechanism: bytes
    data: bytes | None = field(repr=False)

    def encode(self) -> bytes:
        """Return the frame."""
        size = -1 if self.data is None else len(self.data)
        return frame(self.type, self.mechanism, b"\0", int32(size), self.data or b"")

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Return the message; raise ProtocolViolation if the body is malformed."""
        reader = BodyReader(body)
        mechanism, size = reader.string(), reader.int32()
        message = cls(mechanism, None if size == -1 else reader.take(size))
        reader.end()
        return message


@dataclass(frozen=True, slots=True)
class SASLResponse:
    """Send a further message of the SASL mechanism."""

    type: ClassVar[int] = AUTHENTICATION_RESPONSE

    data: bytes = field(repr=False)

    def encode(self) -> bytes:
        """Return the frame."""
        return frame(self.type, self.data)

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Return the message: the body is all there is."""
        return cls(body)


AuthenticationResponse: TypeAlias = PasswordMessage | SASLInitialResponse | SASLResponse
