"""The parts of a message body: numbers, strings, counted values, and the frame around them.

What the manual calls Int16, Int32, String and Byten (Protocol, section 'Message Data Types'). It must not
know any message.
"""

from dataclasses import dataclass
from struct import Struct
from typing import Any, ClassVar, Self

from twistnotify.wire.violations import ProtocolViolation

_HEADER = Struct(">BI")
_UINT8 = Struct(">B")
_UINT16 = Struct(">H")
_INT32 = Struct(">i")
_UINT32 = Struct(">I")


def frame(type: int, *parts: bytes) -> bytes:
    """Put the type byte and the length (Int32, itself included) in front of the parts of a body."""
    body = b"".join(parts)
    return _HEADER.pack(type, len(body) + 4) + body


def string(text: str, encoding: str = "utf-8", errors: str = "strict") -> bytes:
    """Encode a String with its terminator.

    A NUL would end the string early: it becomes a question mark where `errors` is "replace", else it raises
    ValueError. Raises UnicodeEncodeError as `str.encode` does.
    """
    raw = text.encode(encoding, errors)
    if b"\0" in raw:
        if errors != "replace":
            raise ValueError("a string of the protocol cannot hold a NUL")
        raw = raw.replace(b"\0", b"?")
    return raw + b"\0"


def int32(value: int) -> bytes:
    """Encode a signed Int32."""
    return _INT32.pack(value)


def numbers(code: str, values: tuple[int, ...]) -> bytes:
    """Encode an Int16 count and that many numbers of one struct code ("h" formats, "I" type oids)."""
    return Struct(f">H{len(values)}{code}").pack(len(values), *values)


def nullable_values(values: tuple[bytes | None, ...]) -> bytes:
    """Encode an Int16 count and that many values, each with its Int32 length, -1 for NULL."""
    parts = [_UINT16.pack(len(values))]
    for value in values:
        parts.append(_INT32.pack(-1) if value is None else _UINT32.pack(len(value)) + value)
    return b"".join(parts)


class BodyReader:
    """Read a message body from front to back.

    Every method raises ProtocolViolation, worded as in PostgreSQL's pqformat.c, where the body does not hold
    what is asked for.
    """

    __slots__ = ("_body", "_offset")

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._offset = 0

    def take(self, size: int) -> bytes:
        """Return the next `size` bytes."""
        start = self._offset
        end = start + size
        if size < 0 or end > len(self._body):
            raise ProtocolViolation("insufficient data left in message")
        self._offset = end
        return self._body[start:end]

    def unpack(self, layout: Struct) -> tuple[Any, ...]:
        """Return the next numbers, laid out as in `layout` (Any is `struct`'s word for them)."""
        return layout.unpack(self.take(layout.size))

    def uint8(self) -> int:
        """Return the next byte as a number."""
        return int(self.unpack(_UINT8)[0])

    def uint16(self) -> int:
        """Return the next Int16 as PostgreSQL reads its counts: 0 to 65535."""
        return int(self.unpack(_UINT16)[0])

    def int32(self) -> int:
        """Return the next signed Int32."""
        return int(self.unpack(_INT32)[0])

    def uint32(self) -> int:
        """Return the next Int32 without a sign: an oid or a protocol version."""
        return int(self.unpack(_UINT32)[0])

    def string(self) -> bytes:
        """Return the next String without its terminator, undecoded."""
        end = self._body.find(b"\0", self._offset)
        if end < 0:
            raise ProtocolViolation("invalid string in message")
        start, self._offset = self._offset, end + 1
        return self._body[start:end]

    def text(self, encoding: str) -> str:
        """Return the next String decoded; bytes that are not of the encoding become lone surrogates."""
        try:
            return self.string().decode(encoding, "surrogateescape")
        except UnicodeDecodeError as error:
            # Lone surrogates stand for bytes above 127 only; no client encoding of PostgreSQL needs more.
            raise ProtocolViolation(f'invalid byte sequence for encoding "{encoding}"', "22021") from error

    def numbers(self, code: str) -> tuple[int, ...]:
        """Return an Int16 count's worth of numbers of one struct code ("h" formats, "I" type oids)."""
        return self.unpack(Struct(f">{self.uint16()}{code}"))

    def nullable_values(self) -> tuple[bytes | None, ...]:
        """Return an Int16 count's worth of values, each with its Int32 length, -1 for NULL."""
        return tuple([self._nullable_value() for _ in range(self.uint16())])

    def _nullable_value(self) -> bytes | None:
        size = self.int32()
        return None if size == -1 else self.take(size)

    def rest(self) -> bytes:
        """Return all that is left."""
        start, self._offset = self._offset, len(self._body)
        return self._body[start:]

    def end(self) -> None:
        """Check that nothing is left."""
        if self._offset != len(self._body):
            raise ProtocolViolation("invalid message format")


@dataclass(frozen=True, slots=True)
class EmptyMessage:
    """Be the base of the messages that are a type byte and nothing else."""

    type: ClassVar[int]

    def encode(self, encoding: str = "utf-8") -> bytes:
        """Return the frame."""
        return frame(self.type)

    @classmethod
    def decode(cls, body: bytes, encoding: str = "utf-8") -> Self:
        """Return the message; raise ProtocolViolation if the body is not empty."""
        BodyReader(body).end()
        return cls()
