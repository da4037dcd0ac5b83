"""The names an upstream knows: prepared statements and portals, as far as they are of concern here.

Kept by what it has answered, so that they are right whatever was refused, or passed over behind an error.
"""

from __future__ import annotations

from twistnotify.session.encodings import Encoding, decode
from twistnotify.session.expected import Expected, Run
from twistnotify.session.failure import SqlError
from twistnotify.sql.statements import CallNotify, Statement
from twistnotify.wire.extended_query import STATEMENT, Bind, Close
from twistnotify.wire.framing import HEADER_SIZE

MAX_VALUE = 32_768
"""Bytes of an argument of pg_notify() that is kept; a payload has at most 7,999, in any encoding no more than this."""


class Names:
    """What the names stand for."""

    def __init__(self) -> None:
        self.statements: dict[bytes, Statement] = {}
        self.portals: dict[bytes, Run] = {}

    def parsed(self, entry: Expected) -> None:
        """Take in that a Parse has been answered."""
        assert entry.name is not None
        (run,) = entry.runs
        if run is None:
            self.statements.pop(entry.name, None)
        else:
            self.statements[entry.name] = run.statement

    def bound(self, entry: Expected, encoding: Encoding) -> None:
        """Take in that a Bind has been answered."""
        assert entry.name is not None
        self.portals.pop(entry.name, None)
        if entry.frame:
            message = Bind.decode(entry.frame[HEADER_SIZE:])
            statement = self.statements.get(message.statement)
            if statement is not None:
                self.portals[entry.name] = Run(statement, _arguments(statement, message, encoding))

    def closed(self, entry: Expected) -> None:
        """Take in that a Close has been answered."""
        message = Close.decode(entry.frame[HEADER_SIZE:])
        held: dict[bytes, Statement] | dict[bytes, Run]
        held = self.statements if message.kind == STATEMENT else self.portals
        held.pop(message.name, None)

    def drop_unnamed(self) -> None:
        """Forget what has no name, as a simple query has come."""
        self.statements.pop(b"", None)
        self.portals.pop(b"", None)

    def drop_named_statements(self) -> None:
        """Forget all prepared statements that have a name."""
        self.statements = {name: statement for name, statement in self.statements.items() if not name}


def _arguments(statement: Statement, message: Bind, encoding: Encoding) -> tuple[str | None, ...]:
    """Return the values that pg_notify() is called with; none where they cannot be read."""
    if not isinstance(statement, CallNotify):
        return ()
    if any(value is not None and len(value) > MAX_VALUE for value in message.parameters):
        # The upstream refuses it when it runs.
        return ()
    try:
        return tuple([None if value is None else decode(value, encoding) for value in message.parameters])
    except SqlError:
        return ()
