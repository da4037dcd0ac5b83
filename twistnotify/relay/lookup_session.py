"""A session on which users' secrets are asked for, one at a time.

The answer to a question is its rows, however many there are: that there has to be a single one, of the user asked for,
is judged here, whatever the query is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred, fail

from twistnotify.relay.connection import Upstream
from twistnotify.session.actions import Replay
from twistnotify.wire.catalog import decode_backend
from twistnotify.wire.errors import ErrorFields, ErrorResponse, NoticeResponse
from twistnotify.wire.extended_query import (
    Bind,
    BindComplete,
    Execute,
    Parse,
    ParseComplete,
    PortalSuspended,
    Sync,
)
from twistnotify.wire.framing import FrameBuffer
from twistnotify.wire.notification import NotificationResponse
from twistnotify.wire.session_status import ParameterStatus, ReadyForQuery
from twistnotify.wire.simple_query import CommandComplete, DataRow, EmptyQueryResponse, Query
from twistnotify.wire.violations import ProtocolViolation

if TYPE_CHECKING:
    from twistnotify.relay.upstream import Relay

MAX_MESSAGE = 65_536
"""Bytes of the longest message of an answer."""
MAX_ROWS = 2
"""Rows that are asked for: one more than there may be."""
APPLICATION_NAME = "twistnotify auth_query"
SEARCH_PATH = Replay(Query(b"SET search_path = pg_catalog").encode(), (b"Z",))
"""What is said first on each connection (CVE-2025-12819, CVE-2025-2291)."""
TOLD = ("08", "28", "3D", "42", "53", "57")
"""The classes of SQLSTATEs whose messages can be logged: others, of data exceptions say, may quote a value."""
LOST = "the connection was lost"
_TEXT = 25


class LookupFailed(Exception):
    """A user could not be looked up; the text says why, without a secret."""


class Lost(LookupFailed):
    """The connection was lost before anything was answered."""


def text_of(fields: ErrorFields) -> str:
    """Return what may be logged of an error."""
    return f"{fields.sqlstate}: {fields.message}" if fields.sqlstate[:2] in TOLD else f"{fields.sqlstate}"


def auth_session(relay: Relay, user: str) -> Deferred[Upstream]:
    """Open a session to look users up on, as `user` unless the relay's line says as whom."""
    startup = (("user", user), ("client_encoding", "UTF8"), ("application_name", APPLICATION_NAME))
    return relay.open(user, startup, (SEARCH_PATH,))


class Answer:
    """The answer of the server about one user, message by message."""

    def __init__(self, user: bytes) -> None:
        self.begun = False
        self._user = user
        self._rows: list[tuple[bytes | None, ...]] = []
        self._error: ErrorFields | None = None

    def read(self, type_: int, body: bytes) -> bool:
        """Take a message; tell whether it was the last one. Raises ProtocolViolation."""
        match decode_backend(type_, body):
            case ReadyForQuery("I"):
                return True
            case DataRow(values) if len(self._rows) < MAX_ROWS:
                self._rows.append(values)
            case ErrorResponse(fields):
                self._error = fields
            case ParseComplete() | BindComplete() | CommandComplete() | PortalSuspended() | EmptyQueryResponse():
                self.begun = True
            case NoticeResponse() | ParameterStatus() | NotificationResponse():
                pass
            case message:
                raise ProtocolViolation(f"unexpected {type(message).__name__}")
        return False

    def secret(self) -> str | None:
        """Return the secret; raises `LookupFailed`."""
        if self._error is not None:
            raise LookupFailed(text_of(self._error))
        if any(len(row) < 2 for row in self._rows):
            raise LookupFailed("the query returns fewer than two columns")
        if len(self._rows) != 1 or self._rows[0][0] != self._user or self._rows[0][1] is None:
            return None
        try:
            return self._rows[0][1].decode()
        except UnicodeDecodeError:
            raise LookupFailed("the secret is not UTF-8") from None


class LookupSession:
    """A connection that is asked for one user at a time; `over` is called once it has ended, or is not to be used."""

    def __init__(self, upstream: Upstream, query: bytes, over: Callable[[LookupSession], None]) -> None:
        self.is_over = False
        self._upstream = upstream
        self._query = query
        self._over = over
        self._frames = FrameBuffer(MAX_MESSAGE)
        self._answer: Answer | None = None
        self._asked: Deferred[str | None] = Deferred()
        upstream.use(self)

    def ask(self, user: str) -> Deferred[str | None]:
        """Ask for a user's secret; who cancels the Deferred resets the connection."""
        if self.is_over:
            return fail(Lost(LOST))
        name = user.encode()
        self._answer = Answer(name)
        self._asked = Deferred(lambda _: self._reset())
        parse, bind = Parse(b"", self._query, (_TEXT,)), Bind(b"", b"", (), (name,), ())
        self._upstream.write(b"".join(message.encode() for message in (parse, bind, Execute(b"", MAX_ROWS), Sync())))
        return self._asked

    def end(self) -> None:
        """End the session in the way of the protocol."""
        self.is_over = True
        self._upstream.end()

    def received(self, data: bytes) -> None:
        """Take what has arrived."""
        self._frames.feed(data)
        try:
            while (frame := self._frames.next_frame()) is not None:
                if self._answer is not None and self._answer.read(*frame):
                    self._conclude(self._answer)
        except ProtocolViolation as violation:
            self._reset(LookupFailed(f"the server broke the protocol: {violation.message}"))

    def _conclude(self, answer: Answer) -> None:
        self._answer = None
        try:
            self._asked.callback(answer.secret())
        except LookupFailed as failure:
            self._asked.errback(failure)

    def _reset(self, failure: LookupFailed | None = None) -> None:
        """Leave the connection, since nobody knows what comes next on it."""
        answer, self._answer = self._answer, None
        if not self.is_over:
            self._upstream.abort()
            self._end()
        if answer is not None and failure is not None:
            self._asked.errback(failure)

    def _end(self) -> None:
        self.is_over = True
        self._over(self)

    def lost(self) -> None:
        """Have what was asked for asked elsewhere, unless an answer has begun."""
        answer, self._answer = self._answer, None
        if not self.is_over:
            self._end()
        if answer is not None:
            self._asked.errback(LookupFailed(LOST) if answer.begun else Lost(LOST))

    def full(self) -> None:
        """Write no more than one question: it is on its way."""

    def drained(self) -> None:
        """Go on."""
