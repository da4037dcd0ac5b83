"""What the statements that return rows return, in both formats."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from twistnotify.wire.simple_query import DataRow, Field, RowDescription

TEXT, INT4, VOID, BOOL = 25, 23, 2278, 16
_SIZES = {TEXT: -1, INT4: 4, VOID: 4, BOOL: 1}


@dataclass(frozen=True, slots=True)
class Column:
    """A result's only column: its name and its type's OID."""

    name: str
    type: int

    def describe(self, format_: int = 0) -> RowDescription:
        """Return the RowDescription; `format_` is 0 for text, 1 for binary."""
        return RowDescription((Field(self.name, 0, 0, self.type, _SIZES[self.type], -1, format_),))

    def row(self, value: str | int, format_: int, codec: str) -> DataRow:
        """Return a DataRow; a void value is an empty one in both formats, a boolean one is always true."""
        if self.type == BOOL:
            return DataRow((b"\x01" if format_ else b"t",))
        if format_ == 1 and isinstance(value, int):
            return DataRow((value.to_bytes(4, "big", signed=True),))
        return DataRow((str(value).encode(codec, "replace"),))


Rows = Sequence[str | int]


@dataclass(frozen=True, slots=True)
class Result:
    """A statement's outcome: its tag, or rows of one column, whose tag counts them."""

    tag: str = "SELECT"
    rows: Rows | None = None


def tag_of(tag: str, rows: int) -> str:
    """Return the tag of a statement that returned rows: SELECT counts them, SHOW does not."""
    return f"{tag} {rows}" if tag == "SELECT" else tag
