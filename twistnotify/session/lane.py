"""A script that works off a stream, and stops where something has to be done or waited for."""

from __future__ import annotations

from collections.abc import Generator

from twistnotify.session.actions import Action, Ready
from twistnotify.session.failure import SqlError
from twistnotify.wire.errors import ErrorFields

Script = Generator[Action, None, None]

MORE_DATA = Ready()
"""What a script yields where it needs more data: never seen by the caller."""


class Lane:
    """One direction of a conversation."""

    __slots__ = ("_script", "_thrown")

    def __init__(self, script: Script) -> None:
        self._script: Script | None = script
        self._thrown: SqlError | None = None

    def next_action(self) -> Action | None:
        """Go on until something is to be done; None where more data is needed, or nothing will ever come."""
        if self._script is None:
            return None
        thrown, self._thrown = self._thrown, None
        try:
            action = next(self._script) if thrown is None else self._script.throw(thrown)
        except StopIteration:
            self._script = None
            return None
        return None if action is MORE_DATA else action

    def fail(self, fields: ErrorFields) -> None:
        """Have the action that was asked for last fail."""
        self._thrown = SqlError(fields)

    def abandon(self) -> None:
        """Leave what is under way unfinished."""
        self._script = None
