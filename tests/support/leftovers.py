"""What an upstream answers when it is asked about leftovers (`twistnotify.sql.leftovers`)."""

from __future__ import annotations

from collections.abc import Iterable

from support.letters import COLUMN

from twistnotify.sql.leftovers import NO_SEQUENCE
from twistnotify.wire.catalog import BackendMessage
from twistnotify.wire.errors import ErrorFields, NoticeResponse
from twistnotify.wire.session_status import ReadyForQuery
from twistnotify.wire.simple_query import CommandComplete, DataRow, RowDescription

Row = tuple[str | None, ...]
UNUSED = NoticeResponse(ErrorFields("INFO", "00000", NO_SEQUENCE))
TIME_ZONE: Row = ("TimeZone", "UTC", "UTC", "configuration file")
"""The row of a setting that is at its default."""


def answer(
    settings: Iterable[Row] = (TIME_ZONE,), has_nothing: str = "t", no_sequence: bool = True
) -> list[BackendMessage]:
    """Return the messages of an answer; by default there is nothing left."""
    return [
        RowDescription((COLUMN,)),
        DataRow((has_nothing.encode(),)),
        CommandComplete("SELECT 1"),
        RowDescription((COLUMN,)),
        *(DataRow(tuple([None if value is None else value.encode() for value in row])) for row in settings),
        CommandComplete("SELECT 2"),
        *([UNUSED] if no_sequence else []),
        CommandComplete("DO"),
        ReadyForQuery("I"),
    ]


def encoded(messages: Iterable[BackendMessage]) -> bytes:
    """Return messages as they go over the wire."""
    return b"".join(message.encode() for message in messages)
