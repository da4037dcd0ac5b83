"""What is said before a session is one: start-up packets, protocol negotiation, the key to cancel with.

The packets have no type byte (Protocol, sections 'Start-up' and 'Message Formats'). It must not know which
versions and parameters the server takes.
"""

from dataclasses import dataclass
from typing import ClassVar, Self

from twistnotify.wire.body import BodyReader, frame, int32, string
from twistnotify.wire.violations import ProtocolViolation

PROTOCOL_3_0 = 0x00030000
PROTOCOL_3_2 = 0x00030002

# The requests are protocol versions of major 1234, which no protocol will ever have.
CANCEL_REQUEST = 80877102
SSL_REQUEST = 80877103
GSSENC_REQUEST = 80877104

# "The maximum key length is 256 bytes"; before 3.2 it always was 4 (Protocol, 'BackendKeyData').
MIN_CANCEL_KEY = 4
MAX_CANCEL_KEY = 256


def _packet(code: int, rest: bytes = b"") -> bytes:
    return int32(8 + len(rest)) + code.to_bytes(4, "big") + rest


@dataclass(frozen=True, slots=True)
class StartupMessage:
    """Ask for a session: the protocol version as it was sent, and the parameters in the order they came.

    Names and values are UTF-8; other bytes are lone surrogates (`surrogateescape`), so nothing is lost.
    """

    version: int
    parameters: dict[str, str]

    @property
    def major(self) -> int:
        """Return the major protocol version."""
        return self.version >> 16

    @property
    def minor(self) -> int:
        """Return the minor protocol version."""
        return self.version & 0xFFFF

    def encode(self) -> bytes:
        """Return the packet with its length."""
        words = [word for parameter in self.parameters.items() for word in parameter]
        return _packet(self.version, b"".join(string(w, errors="surrogateescape") for w in words) + b"\0")

    @classmethod
    def decode(cls, packet: bytes) -> Self:
        """Return the message; the parameters of another major version are not looked at.

        Raises ProtocolViolation unless the packet is pairs of strings, a terminator, and nothing more.
        """
        reader = BodyReader(packet)
        message = cls(reader.uint32(), {})
        if message.major == 3:
            message.parameters.update(_parameters(reader.rest()))
        return message


def _parameters(pairs: bytes) -> dict[str, str]:
    words = pairs.split(b"\0")
    names, values = words[:-2:2], words[1:-2:2]
    # The terminator is an empty name; it makes an even number of words, of which the last two are empty.
    if len(words) % 2 or words[-2:] != [b"", b""] or b"" in names:
        raise ProtocolViolation("invalid startup packet layout: expected terminator as last byte")
    return {_escaped(name): _escaped(value) for name, value in zip(names, values, strict=True)}


def _escaped(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


@dataclass(frozen=True, slots=True)
class SSLRequest:
    """Ask for TLS on this connection."""

    def encode(self) -> bytes:
        """Return the packet with its length."""
        return _packet(SSL_REQUEST)


@dataclass(frozen=True, slots=True)
class GSSENCRequest:
    """Ask for GSSAPI encryption on this connection."""

    def encode(self) -> bytes:
        """Return the packet with its length."""
        return _packet(GSSENC_REQUEST)


@dataclass(frozen=True, slots=True)
class CancelRequest:
    """Ask that the session of `pid` stop its command; `secret` is the key that session was given."""

    pid: int
    secret: bytes

    def encode(self) -> bytes:
        """Return the packet with its length."""
        return _packet(CANCEL_REQUEST, int32(self.pid) + self.secret)

    @classmethod
    def decode(cls, packet: bytes) -> Self:
        """Return the request; raise ProtocolViolation for a key that is not 4 to 256 bytes."""
        reader = BodyReader(packet[4:])
        request = cls(reader.int32(), reader.rest())
        if not MIN_CANCEL_KEY <= len(request.secret) <= MAX_CANCEL_KEY:
            raise ProtocolViolation("invalid length of cancel key in cancel request packet")
        return request


def decode_startup(packet: bytes) -> StartupMessage | SSLRequest | GSSENCRequest | CancelRequest:
    """Return what a packet of `FrameBuffer.next_startup_packet` asks for.

    As PostgreSQL, looks no further than the code of an SSLRequest or GSSENCRequest. Raises ProtocolViolation.
    """
    code = BodyReader(packet).uint32()
    if code == SSL_REQUEST:
        return SSLRequest()
    if code == GSSENC_REQUEST:
        return GSSENCRequest()
    if code == CANCEL_REQUEST:
        return CancelRequest.decode(packet)
    return StartupMessage.decode(packet)


@dataclass(frozen=True, slots=True)
class NegotiateProtocolVersion:
    """Tell the client the newest version spoken here, and which of its `_pq_.` options are not known.

    `version` is the full version number, major included, as every server sends it; the manual says "minor".
    """

    type: ClassVar[int] = ord("v")

    version: int
    options: tuple[str, ...]

    def encode(self, encoding: str = "utf-8") -> bytes:
        """Return the frame; the options go out in the bytes they came in."""
        options = [string(option, encoding, "surrogateescape") for option in self.options]
        return frame(self.type, int32(self.version), int32(len(options)), *options)

    @classmethod
    def decode(cls, body: bytes, encoding: str = "utf-8") -> Self:
        """Return the message; raise ProtocolViolation if the body is malformed."""
        reader = BodyReader(body)
        version = reader.int32()
        # A count too large ends at the first string that is missing.
        message = cls(version, tuple([reader.text(encoding) for _ in range(reader.uint32())]))
        reader.end()
        return message


@dataclass(frozen=True, slots=True)
class BackendKeyData:
    """Tell the client its pid and the key to cancel with: 4 bytes, or up to 256 from protocol 3.2 on."""

    type: ClassVar[int] = ord("K")

    pid: int
    secret: bytes

    def encode(self, encoding: str = "utf-8") -> bytes:
        """Return the frame."""
        return frame(self.type, int32(self.pid), self.secret)

    @classmethod
    def decode(cls, body: bytes, encoding: str = "utf-8") -> Self:
        """Return the message; raise ProtocolViolation if the body is too short for a pid."""
        reader = BodyReader(body)
        return cls(reader.int32(), reader.rest())
