"""From a session with an upstream of its own back to one that answers by itself: the way of `attaching` in reverse.

What the client has SET is kept, and said again at the next attach. Before that, PostgreSQL is asked whether there is
anything that could not be said again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from twistnotify.session.attaching import is_served
from twistnotify.session.encodings import Encoding, decode
from twistnotify.session.failure import SqlError
from twistnotify.session.prepared import Prepared, prepare
from twistnotify.session.settings import NAMES, judge
from twistnotify.sql.leftovers import NO_SEQUENCE, QUESTION, SESSION
from twistnotify.wire.body import frame
from twistnotify.wire.errors import ErrorResponse, NoticeResponse
from twistnotify.wire.extended_query import Parse
from twistnotify.wire.simple_query import DataRow, Query
from twistnotify.wire.violations import ProtocolViolation

if TYPE_CHECKING:
    from twistnotify.session.attached import Attached
    from twistnotify.session.session import Session

INQUIRY = Query(QUESTION.encode()).encode()
"""What is sent to the upstream."""
_ANSWERS = 3
_FATAL = ("FATAL", "PANIC")
_TIMEOUTS = frozenset(("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"))


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting as SHOW shows it, what RESET would make of it (without a unit), and whether it was SET."""

    value: str
    reset: str
    is_set: bool


class Inquiry:
    """Read the answer to `INQUIRY`, frame by frame.

    `asides` are the frames that have come in between and are no part of it. `settings` are by lower-case name.
    """

    def __init__(self, encoding: Encoding) -> None:
        self.asides: list[bytes] = []
        self.settings: dict[str, Setting] = {}
        self._encoding = encoding
        self._completed = 0
        self._has_nothing = False
        self._no_sequence = False
        self._failed = False

    @property
    def clears(self) -> bool:
        """Tell whether nothing would be lost with the upstream but what is known here."""
        known = {name for name, setting in self.settings.items() if setting.is_set} <= NAMES.keys()
        answered = self._completed == _ANSWERS and not self._failed
        return answered and known and self._has_nothing and self._no_sequence

    def read(self, type_: int, body: bytes) -> bool:
        """Take in the next message; True at the end of the answer. Raises ProtocolViolation."""
        read = _READ.get(type_)
        if read is None:
            raise ProtocolViolation("unexpected message from the upstream server")
        read(self, type_, body)
        return type_ == _READY

    def _row(self, _: int, body: bytes) -> None:
        try:
            values = [decode(value, self._encoding) for value in DataRow.decode(body).values if value is not None]
        except SqlError:
            values = []
        match values:
            case [answer]:
                self._has_nothing = answer == "t"
            case [name, value, reset, source]:
                self.settings[name.lower()] = Setting(value, reset, source == SESSION)
            case _:
                self._failed = True

    def _complete(self, _: int, __: bytes) -> None:
        self._completed += 1

    def _notice(self, type_: int, body: bytes) -> None:
        if NoticeResponse.decode(body, self._encoding.codec).fields.message == NO_SEQUENCE:
            self._no_sequence = True
        else:
            self._aside(type_, body)

    def _error(self, type_: int, body: bytes) -> None:
        self._failed = True
        if ErrorResponse.decode(body, self._encoding.codec).fields.severity in _FATAL:
            self._aside(type_, body)

    def _aside(self, type_: int, body: bytes) -> None:
        self.asides.append(frame(type_, body))

    def _nothing(self, _: int, __: bytes) -> None:
        """Nothing that is not known."""


_READY = ord("Z")
_READ: dict[int, Callable[[Inquiry, int, bytes], None]] = {
    ord("D"): Inquiry._row,
    ord("C"): Inquiry._complete,
    ord("N"): Inquiry._notice,
    ord("E"): Inquiry._error,
    ord("S"): Inquiry._aside,
    ord("A"): Inquiry._aside,
    ord("T"): Inquiry._nothing,
    _READY: Inquiry._nothing,
}


def detach(session: Session, inquiry: Inquiry) -> bool:
    """Have a session answer by itself, as after this answer it can; False where it cannot."""
    attached = session.attached
    assert attached is not None
    try:
        prepared = _prepared(session, attached)
    except SqlError:
        return False
    values = {name: setting.value for name, setting in inquiry.settings.items() if setting.is_set}
    defaults = {name: _default(name, setting) for name, setting in inquiry.settings.items()}
    session.variables.take_over(attached.parameters, values, defaults)
    session.detach(prepared)
    return True


def _default(name: str, setting: Setting) -> str | None:
    """Return what SHOW would show after RESET; None where only PostgreSQL can tell."""
    if not setting.is_set:
        return setting.value
    return judge(name, setting.reset, "") if name in _TIMEOUTS else setting.reset


def _prepared(session: Session, attached: Attached) -> dict[bytes, Prepared]:
    """Return the unnamed statement, all that is left of those that were prepared."""
    body = None if attached.witness is None else attached.witness.unnamed
    if body is None:
        return {}
    message, statement = Parse.decode(body), attached.names.statements.get(b"")
    if statement is not None and is_served(session, statement):
        return {b"": prepare(statement, message, body)}
    return {b"": Prepared(statement, message.parameter_types, body, is_relayed=True)}
