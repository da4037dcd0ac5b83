"""The exception for what is answered with an ErrorResponse."""

from __future__ import annotations

from twistnotify.wire.errors import ErrorFields


class SqlError(Exception):
    """An error that the client is told of; the session goes on unless its severity is FATAL."""

    def __init__(self, fields: ErrorFields) -> None:
        super().__init__(fields.sqlstate)
        self.fields = fields


def error(sqlstate: str, message: str, hint: str | None = None, position: int | None = None) -> SqlError:
    """Return an ERROR to raise."""
    return SqlError(ErrorFields("ERROR", sqlstate, message, hint=hint, position=position))


def fatal(sqlstate: str, message: str, hint: str | None = None) -> SqlError:
    """Return a FATAL error to raise: the client is told, and the connection ends."""
    return SqlError(ErrorFields("FATAL", sqlstate, message, hint=hint))
