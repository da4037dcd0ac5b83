"""The messages of the extended query protocol (Protocol, section 'Extended Query').

Names and SQL stay the bytes that came, without the terminator. It must not know which statements and portals
there are.
"""

from dataclasses import dataclass
from typing import ClassVar, Self

from twistnotify.wire.body import BodyReader, EmptyMessage, frame, int32, nullable_values, numbers
from twistnotify.wire.violations import ProtocolViolation

# What Describe and Close name.
STATEMENT = b"S"
PORTAL = b"P"


@dataclass(frozen=True, slots=True)
class Parse:
    """Ask to prepare `sql` under `name`; `parameter_types` are oids, 0 for one left to the server."""

    type: ClassVar[int] = ord("P")

    name: bytes
    sql: bytes
    parameter_types: tuple[int, ...]

    def encode(self) -> bytes:
        """Return the frame."""
        return frame(self.type, self.name, b"\0", self.sql, b"\0", numbers("I", self.parameter_types))

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Return the message; raise ProtocolViolation if the body is malformed."""
        reader = BodyReader(body)
        message = cls(reader.string(), reader.string(), reader.numbers("I"))
        reader.end()
        return message


@dataclass(frozen=True, slots=True)
class Bind:
    """Ask to make `portal` of `statement` and parameter values, None for NULL.

    Formats are 0 for text, 1 for binary: none at all, one for all, or one each; that they fit is not checked.
    """

    type: ClassVar[int] = ord("B")

    portal: bytes
    statement: bytes
    parameter_formats: tuple[int, ...]
    parameters: tuple[bytes | None, ...]
    result_formats: tuple[int, ...]

    def encode(self) -> bytes:
        """Return the frame."""
        return frame(
            self.type,
            self.portal + b"\0" + self.statement + b"\0",
            numbers("h", self.parameter_formats),
            nullable_values(self.parameters),
            numbers("h", self.result_formats),
        )

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Return the message; raise ProtocolViolation if the body is malformed."""
        reader = BodyReader(body)
        names = reader.string(), reader.string()
        message = cls(*names, reader.numbers("h"), reader.nullable_values(), reader.numbers("h"))
        reader.end()
        return message


@dataclass(frozen=True, slots=True)
class _NamingMessage:
    type: ClassVar[int]
    _verb: ClassVar[str]

    kind: bytes
    name: bytes

    def encode(self) -> bytes:
        """Return the frame."""
        return frame(self.type, self.kind, self.name, b"\0")

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Return the message; raise ProtocolViolation for a malformed body or a kind that is not S or P."""
        reader = BodyReader(body)
        message = cls(reader.take(1), reader.string())
        reader.end()
        if message.kind not in (STATEMENT, PORTAL):
            raise ProtocolViolation(f"invalid {cls._verb} message subtype {message.kind[0]}")
        return message


@dataclass(frozen=True, slots=True)
class Describe(_NamingMessage):
    """Ask for the columns of a portal (kind b"P"), or the parameters and columns of a statement (b"S")."""

    type: ClassVar[int] = ord("D")
    _verb: ClassVar[str] = "DESCRIBE"


@dataclass(frozen=True, slots=True)
class Close(_NamingMessage):
    """Ask to forget a portal (kind b"P") or a statement (b"S")."""

    type: ClassVar[int] = ord("C")
    _verb: ClassVar[str] = "CLOSE"


@dataclass(frozen=True, slots=True)
class Execute:
    """Ask to run a portal for `max_rows` rows, 0 for all."""

    type: ClassVar[int] = ord("E")

    portal: bytes
    max_rows: int

    def encode(self) -> bytes:
        """Return the frame."""
        return frame(self.type, self.portal, b"\0", int32(self.max_rows))

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Return the message; raise ProtocolViolation if the body is malformed."""
        reader = BodyReader(body)
        message = cls(reader.string(), reader.int32())
        reader.end()
        return message


@dataclass(frozen=True, slots=True)
class Flush(EmptyMessage):
    """Ask for all answers there are, now."""

    type: ClassVar[int] = ord("H")


@dataclass(frozen=True, slots=True)
class Sync(EmptyMessage):
    """End a pipeline: commit, or stop skipping after an error, and ask for ReadyForQuery."""

    type: ClassVar[int] = ord("S")


@dataclass(frozen=True, slots=True)
class ParseComplete(EmptyMessage):
    """Answer a Parse."""

    type: ClassVar[int] = ord("1")


@dataclass(frozen=True, slots=True)
class BindComplete(EmptyMessage):
    """Answer a Bind."""

    type: ClassVar[int] = ord("2")


@dataclass(frozen=True, slots=True)
class CloseComplete(EmptyMessage):
    """Answer a Close, also of what there was not."""

    type: ClassVar[int] = ord("3")


@dataclass(frozen=True, slots=True)
class ParameterDescription:
    """Answer the Describe of a statement, before its columns: the type oids of its parameters."""

    type: ClassVar[int] = ord("t")

    types: tuple[int, ...]

    def encode(self, encoding: str = "utf-8") -> bytes:
        """Return the frame."""
        return frame(self.type, numbers("I", self.types))

    @classmethod
    def decode(cls, body: bytes, encoding: str = "utf-8") -> Self:
        """Return the message; raise ProtocolViolation if the body is malformed."""
        reader = BodyReader(body)
        message = cls(reader.numbers("I"))
        reader.end()
        return message


@dataclass(frozen=True, slots=True)
class NoData(EmptyMessage):
    """Answer the Describe of what returns no rows."""

    type: ClassVar[int] = ord("n")


@dataclass(frozen=True, slots=True)
class PortalSuspended(EmptyMessage):
    """Answer an Execute that stopped at its `max_rows`."""

    type: ClassVar[int] = ord("s")
