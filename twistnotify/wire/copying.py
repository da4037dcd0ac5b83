"""The messages of COPY (Protocol, section 'COPY Operations').

CopyData and CopyDone go both ways. It must not know what the data means: a message may hold a row, or a piece of one.
"""

from dataclasses import dataclass
from typing import ClassVar, Self

from twistnotify.wire.body import BodyReader, EmptyMessage, frame, numbers


@dataclass(frozen=True, slots=True)
class CopyData:
    """Send a piece of the data."""

    type: ClassVar[int] = ord("d")

    data: bytes

    def encode(self, encoding: str = "utf-8") -> bytes:
        """Return the frame."""
        return frame(self.type, self.data)

    @classmethod
    def decode(cls, body: bytes, encoding: str = "utf-8") -> Self:
        """Return the message: the body is all there is."""
        return cls(body)


@dataclass(frozen=True, slots=True)
class CopyDone(EmptyMessage):
    """Tell that this was all the data."""

    type: ClassVar[int] = ord("c")


@dataclass(frozen=True, slots=True)
class CopyFail:
    """Give up sending data; `message` becomes part of the error, in the encoding of the client."""

    type: ClassVar[int] = ord("f")

    message: bytes

    def encode(self) -> bytes:
        """Return the frame."""
        return frame(self.type, self.message, b"\0")

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Return the message; raise ProtocolViolation unless the only NUL of the body is its last byte."""
        reader = BodyReader(body)
        message = cls(reader.string())
        reader.end()
        return message


@dataclass(frozen=True, slots=True)
class _CopyResponse:
    type: ClassVar[int]

    format: int
    column_formats: tuple[int, ...]

    def encode(self, encoding: str = "utf-8") -> bytes:
        """Return the frame."""
        return frame(self.type, bytes((self.format,)), numbers("h", self.column_formats))

    @classmethod
    def decode(cls, body: bytes, encoding: str = "utf-8") -> Self:
        """Return the message; raise ProtocolViolation if the body is malformed."""
        reader = BodyReader(body)
        message = cls(reader.uint8(), reader.numbers("h"))
        reader.end()
        return message


@dataclass(frozen=True, slots=True)
class CopyInResponse(_CopyResponse):
    """Ask the client for data; formats are 0 for text, 1 for binary, of the whole and of each column."""

    type: ClassVar[int] = ord("G")


@dataclass(frozen=True, slots=True)
class CopyOutResponse(_CopyResponse):
    """Tell that data is coming; formats as in CopyInResponse."""

    type: ClassVar[int] = ord("H")


@dataclass(frozen=True, slots=True)
class CopyBothResponse(_CopyResponse):
    """Begin the streaming of replication, both ways at once; formats as in CopyInResponse."""

    type: ClassVar[int] = ord("W")
