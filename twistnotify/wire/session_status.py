"""The messages about the state of the session itself: settings, readiness, its end.

It must not know what a transaction is; the status of ReadyForQuery is a letter here.
"""

from dataclasses import dataclass
from typing import ClassVar, Self

from twistnotify.wire.body import BodyReader, EmptyMessage, frame, string
from twistnotify.wire.violations import ProtocolViolation

MAX_PARAMETERS = 256
"""Settings that a server may report; PostgreSQL 18 reports 15, and extensions some more."""
_STATUSES = (b"I", b"T", b"E")


@dataclass(frozen=True, slots=True)
class ParameterStatus:
    """Tell the client the value of a setting, at the start and when it changes."""

    type: ClassVar[int] = ord("S")

    name: str
    value: str

    def encode(self, encoding: str = "utf-8") -> bytes:
        """Return the frame, what cannot be encoded as question marks: a report must not end the session."""
        name, value = string(self.name, encoding, "replace"), string(self.value, encoding, "replace")
        return frame(self.type, name, value)

    @classmethod
    def decode(cls, body: bytes, encoding: str = "utf-8") -> Self:
        """Return the message; raise ProtocolViolation if the body is malformed."""
        reader = BodyReader(body)
        message = cls(reader.text(encoding), reader.text(encoding))
        reader.end()
        return message


@dataclass(frozen=True, slots=True)
class ReadyForQuery:
    """Tell the client it may go on: `status` is "I" idle, "T" in a transaction, "E" in a failed one."""

    type: ClassVar[int] = ord("Z")

    status: str

    def encode(self, encoding: str = "utf-8") -> bytes:
        """Return the frame."""
        return frame(self.type, self.status.encode("ascii"))

    @classmethod
    def decode(cls, body: bytes, encoding: str = "utf-8") -> Self:
        """Return the message; raise ProtocolViolation if the body is not one of the three letters."""
        if body not in _STATUSES:
            raise ProtocolViolation("invalid message format")
        return cls(body.decode("ascii"))


@dataclass(frozen=True, slots=True)
class Terminate(EmptyMessage):
    """End the session."""

    type: ClassVar[int] = ord("X")
