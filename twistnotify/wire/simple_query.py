"""The messages of a simple Query and of every answer with rows or a tag (Protocol, section 'Simple Query').

It must not know SQL: the text of a Query stays the bytes that came, as its encoding is the session's concern.
"""

from dataclasses import dataclass
from struct import Struct
from typing import ClassVar, Self

from twistnotify.wire.body import BodyReader, EmptyMessage, frame, nullable_values, string
from twistnotify.wire.violations import ProtocolViolation

_COUNT = Struct(">H")
_FIELD = Struct(">IhIhih")


@dataclass(frozen=True, slots=True)
class Query:
    """Ask to run the statements in `sql`, in the encoding of the client and without the terminator."""

    type: ClassVar[int] = ord("Q")

    sql: bytes

    def encode(self) -> bytes:
        """Return the frame."""
        return frame(self.type, self.sql, b"\0")

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Return the message; raise ProtocolViolation unless the only NUL of the body is its last byte."""
        return cls(query_text(body))


def query_text(body: bytes) -> bytes:
    """Return a Query's text from its body; raise ProtocolViolation unless the only NUL is its last byte.

    What `Query.decode` does without making a message: there is one for every NOTIFY.
    """
    end = body.find(0)
    if end < 0 or end != len(body) - 1:
        raise ProtocolViolation("invalid string in message" if end < 0 else "invalid message format")
    return body[:end]


@dataclass(frozen=True, slots=True)
class EmptyQueryResponse(EmptyMessage):
    """Answer a query that holds no statement, in place of CommandComplete."""

    type: ClassVar[int] = ord("I")


@dataclass(frozen=True, slots=True)
class CommandComplete:
    """Tell that a statement is done; `tag` is as in "LISTEN" or "SELECT 1"."""

    type: ClassVar[int] = ord("C")

    tag: str

    def encode(self, encoding: str = "utf-8") -> bytes:
        """Return the frame."""
        return frame(self.type, string(self.tag, encoding, "replace"))

    @classmethod
    def decode(cls, body: bytes, encoding: str = "utf-8") -> Self:
        """Return the message; raise ProtocolViolation if the body is malformed."""
        reader = BodyReader(body)
        message = cls(reader.text(encoding))
        reader.end()
        return message


@dataclass(frozen=True, slots=True)
class Field:
    """Describe a column of the result.

    `table_oid` and `column` are 0 for an expression; `type_size` is in bytes, negative for a variable width;
    `modifier` is -1 for none; `format` is 0 for text, 1 for binary.
    """

    name: str
    table_oid: int
    column: int
    type_oid: int
    type_size: int
    modifier: int
    format: int

    def encode(self, encoding: str = "utf-8") -> bytes:
        """Return the field's part of a RowDescription; a name that cannot be encoded gets question marks."""
        numbers = (self.table_oid, self.column, self.type_oid, self.type_size, self.modifier, self.format)
        return string(self.name, encoding, "replace") + _FIELD.pack(*numbers)

    @classmethod
    def read(cls, reader: BodyReader, encoding: str = "utf-8") -> Self:
        """Return the next field of a RowDescription."""
        return cls(reader.text(encoding), *reader.unpack(_FIELD))


@dataclass(frozen=True, slots=True)
class RowDescription:
    """Describe the columns of the rows to come."""

    type: ClassVar[int] = ord("T")

    fields: tuple[Field, ...]

    def encode(self, encoding: str = "utf-8") -> bytes:
        """Return the frame; names that cannot be encoded get question marks."""
        fields = [field.encode(encoding) for field in self.fields]
        return frame(self.type, _COUNT.pack(len(fields)), *fields)

    @classmethod
    def decode(cls, body: bytes, encoding: str = "utf-8") -> Self:
        """Return the message; raise ProtocolViolation if the body is malformed."""
        reader = BodyReader(body)
        message = cls(tuple([Field.read(reader, encoding) for _ in range(reader.uint16())]))
        reader.end()
        return message


@dataclass(frozen=True, slots=True)
class DataRow:
    """Hold a row: the values as they go over the wire, None for NULL."""

    type: ClassVar[int] = ord("D")

    values: tuple[bytes | None, ...]

    def encode(self, encoding: str = "utf-8") -> bytes:
        """Return the frame."""
        return frame(self.type, nullable_values(self.values))

    @classmethod
    def decode(cls, body: bytes, encoding: str = "utf-8") -> Self:
        """Return the message; raise ProtocolViolation if the body is malformed."""
        reader = BodyReader(body)
        message = cls(reader.nullable_values())
        reader.end()
        return message
