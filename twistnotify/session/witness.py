"""What an attached client has had its upstream do, as far as texts tell: whether it could do without it again.

Only there where an idle upstream is to be given back. What cannot be read for sure counts as harm.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twistnotify.session.encodings import decode
from twistnotify.session.expected import CALL, CLOSE, PARSE, QUERY
from twistnotify.session.failure import SqlError
from twistnotify.sql.harmless import is_harmless
from twistnotify.wire.extended_query import STATEMENT
from twistnotify.wire.framing import HEADER_SIZE
from twistnotify.wire.stream import LONG

if TYPE_CHECKING:
    from twistnotify.session.attached import Attached


class Witness:
    """See every message that goes upstream.

    `unnamed` is the body of the Parse of the unnamed statement, if there is one: it outlives its transaction, so a
    client that is detached keeps it.
    """

    __slots__ = ("_attached", "_harmless", "_sure", "unnamed")

    def __init__(self, attached: Attached, unnamed: bytes | None) -> None:
        self._attached = attached
        self._harmless = True
        self._sure = True
        self.unnamed = unnamed

    @property
    def clears(self) -> bool:
        """Tell whether nothing that was sent can have left anything behind but the unnamed statement."""
        return self._harmless and self._sure

    def see(self, type_: int, frame: bytes) -> None:
        """Take in a message that is about to be sent."""
        kind, long = type_ & ~LONG, type_ >= LONG
        if kind == QUERY:
            self._note_unnamed(None)
            self._judge(long, frame[HEADER_SIZE:-1])
        elif kind == PARSE:
            name, _, rest = frame[HEADER_SIZE:].partition(b"\0")
            self._note_unnamed(frame[HEADER_SIZE:])
            self._judge(long or bool(name), rest.partition(b"\0")[0])
        elif kind == CALL:
            self._harmless = False
        elif kind == CLOSE and frame[HEADER_SIZE:-1] == STATEMENT:
            self._note_unnamed(None)

    def see_failure(self) -> None:
        """Take in that the upstream passes over what was sent: what is unnamed may be another, or none."""
        self._sure = False

    def _note_unnamed(self, message: bytes | None) -> None:
        self.unnamed = message
        self._sure = not self._attached.expected.skipping

    def _judge(self, unread: bool, sql: bytes) -> None:
        if self._harmless:
            self._harmless = not unread and self._is_harmless(sql)

    def _is_harmless(self, sql: bytes) -> bool:
        attached = self._attached
        # How these are read depends on settings, and a SET may be on its way.
        if (b"\\" in sql or not sql.isascii()) and (attached.expected or not attached.standard_strings):
            return False
        try:
            return is_harmless(decode(sql, attached.session.encoding))
        except SqlError:
            return False
