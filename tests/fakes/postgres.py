"""A PostgreSQL of one's own: what psycopg2 shows of it on an asynchronous connection, and what SQL does to it.

It knows the statements that a shard sends, read by PostgreSQL's own grammar, and their transactions: LISTEN, UNLISTEN
and NOTIFY take effect at the commit, repeats within a transaction are dropped, and notifications are read from the
queue when a backend is idle, that is at the end of a whole query string.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import psycopg2
import psycopg2.errors
import pytest
from pglast import ast, parse_sql
from pglast.enums import TransactionStmtKind, VariableSetKind
from psycopg2.extensions import POLL_OK, POLL_READ, POLL_WRITE

from twistnotify.shard.connection import ShardConnection

PARAMETERS = {
    "server_version": "15.18",
    "server_encoding": "UTF8",
    "client_encoding": "UTF8",
    "application_name": "twistnotify/app",
    "is_superuser": "on",
    "session_authorization": "postgres",
    "DateStyle": "ISO, MDY",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "integer_datetimes": "on",
    "standard_conforming_strings": "on",
}
DESCRIPTOR = os.open(os.devnull, os.O_RDONLY)
GONE = "server closed the connection unexpectedly\n\tThis probably means the server terminated abnormally\n"


def server_error(sqlstate: str, message: str) -> psycopg2.Error:
    """Return the error that psycopg2 raises for an ErrorResponse."""
    error = psycopg2.errors.lookup(sqlstate)(message)
    error.__setstate__({"pgcode": sqlstate, "pgerror": message})
    return error


@dataclass(frozen=True)
class Notify:
    """A notification as psycopg2 gives it."""

    pid: int
    channel: str
    payload: str


@dataclass(frozen=True)
class Answer:
    """The end of an answer: the rows of the last result, or an error."""

    rows: list[tuple[Any, ...]] | None
    error: psycopg2.Error | None = None


class End:
    """The end of a connection."""


class FakeInfo:
    """What libpq knows of a connection."""

    def __init__(self, parameters: dict[str, str], server_version: int) -> None:
        self.parameter_status = parameters.get
        self.server_version = server_version


class FakeCursor:
    """psycopg2's cursor."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def execute(self, sql: str, params: None = None) -> None:
        """Send a query string."""
        self._backend.execute(sql)

    @property
    def description(self) -> object:
        """Tell whether the last result has columns."""
        return None if self._backend.rows is None else ()

    def fetchall(self) -> list[tuple[Any, ...]]:
        """Return the rows of the last result."""
        return list(self._backend.rows or [])


@dataclass(eq=False)
class Backend:
    """A connection, seen from both of its ends.

    What the server has sent is in `kernel` until a poll takes it into `libpq`: only the former makes the socket
    readable. `send_pieces` polls find a query not sent in full yet.
    """

    server: FakePostgres
    pid: int
    keywords: dict[str, Any]
    notifies: list[Notify] = field(default_factory=list)
    closed: int = 0
    rows: list[tuple[Any, ...]] | None = None
    queries: list[str] = field(default_factory=list)
    running: str | None = None
    send_pieces: int = 0
    channels: set[str] = field(default_factory=set)
    settings: dict[str, str] = field(default_factory=dict)
    kernel: deque[Notify | Answer | End] = field(default_factory=deque)
    libpq: deque[Notify | Answer | End] = field(default_factory=deque)
    sent: bool = False

    def __post_init__(self) -> None:
        self._log_in = deque(self.server.log_in)
        self.info = FakeInfo(self.server.parameters, self.server.server_version)
        self._block = ""
        self._actions: list[tuple[str, str | None]] = []
        self._pending: dict[tuple[str, str], None] = {}
        self._set: dict[str, str] = {}
        self._unread: list[Notify] = []

    # psycopg2's side

    @property
    def readable(self) -> bool:
        """Tell whether the socket is readable."""
        return bool(self.kernel) or (self.logging_in and not self.server.hangs)

    @property
    def writable(self) -> bool:
        """Tell whether the socket is writable."""
        return not self.server.hangs

    @property
    def logging_in(self) -> bool:
        """Tell whether the log-in goes on."""
        return bool(self._log_in)

    def fileno(self) -> int:
        """Return a descriptor that can be duplicated."""
        return -1 if self.closed else DESCRIPTOR

    def cursor(self) -> FakeCursor:
        """Return a cursor."""
        return FakeCursor(self)

    def close(self) -> None:
        """Close this end: PostgreSQL rolls back what was open."""
        self.closed = 1
        self.server.forget(self)

    def execute(self, sql: str) -> None:
        """Send a query string."""
        if self.closed:
            raise psycopg2.InterfaceError("connection already closed")
        assert self.running is None, "psycopg2 would refuse a second query"
        self.running = sql
        self.queries.append(sql)
        self.rows = None
        self.send_pieces = self.server.send_pieces
        self.sent = False
        if not self.send_pieces:
            self.server.take(self)

    def poll(self) -> int:
        """Do what can be done without waiting."""
        if self.closed:
            raise psycopg2.InterfaceError("connection already closed")
        if self._log_in:
            return self._poll_log_in()
        if self.running is not None and not self.sent:
            return self._poll_send()
        while self.kernel and not (self.libpq and isinstance(self.kernel[0], End)):
            self.libpq.append(self.kernel.popleft())
        return self._poll_libpq()

    def _poll_send(self) -> int:
        """Flush the query; the first poll never reads."""
        if self.send_pieces:
            self.send_pieces -= 1
            if self.send_pieces:
                return POLL_WRITE
            self.server.take(self)
        self.sent = True
        return POLL_READ

    def _poll_log_in(self) -> int:
        state = self._log_in[0]
        if isinstance(state, psycopg2.Error):
            self.closed = 2
            raise state
        return self._log_in.popleft()

    def _poll_libpq(self) -> int:
        while self.libpq:
            item = self.libpq.popleft()
            if isinstance(item, Notify):
                self.notifies.append(item)
            elif isinstance(item, End):
                self.closed = 2
                self.server.forget(self)
                raise psycopg2.OperationalError(GONE)
            else:
                self.running = None
                self.rows = item.rows
                if item.error is not None:
                    raise item.error
                return POLL_OK
        return POLL_OK if self.running is None else POLL_READ

    # PostgreSQL's side

    def end(self) -> None:
        """End the connection, as a killed backend does."""
        self.kernel.append(End())
        self.server.forget(self)

    def run(self, sql: str) -> Answer:
        """Carry out a query string; return its answer."""
        rows: list[tuple[Any, ...]] | None = None
        if (refusal := self.server.text_fault(sql)) is not None:
            return Answer(None, refusal)
        try:
            for raw in parse_sql(sql):
                rows = self._statement(raw.stmt)
            if not self._block:
                self._commit()
        except psycopg2.Error as error:
            self._abort()
            return Answer(None, error)
        return Answer(rows)

    def idle(self) -> None:
        """Send what is in the queue of notifications, unless a transaction is open."""
        if not self._block:
            unread, self._unread = self._unread, []
            sent = [notify for notify in unread if notify.channel in self.channels]
            self.kernel.extend(sent)
            self.server.sent += sent

    def hear(self, notify: Notify) -> None:
        """Have a committed notification in the queue."""
        if self.channels:
            self._unread.append(notify)

    def _statement(self, tree: Any) -> list[tuple[Any, ...]] | None:
        if isinstance(tree, ast.TransactionStmt):
            self._control(tree.kind)
            return None
        if self._block == "failed":
            raise server_error("25P02", "current transaction is aborted, commands ignored until end of transaction")
        match tree:
            case ast.ListenStmt():
                self._actions.append(("listen", tree.conditionname))
            case ast.UnlistenStmt():
                self._actions.append(("unlisten", tree.conditionname))
            case ast.NotifyStmt():
                self._notify(tree.conditionname, tree.payload or "")
            case ast.VariableSetStmt():
                assert tree.kind == VariableSetKind.VAR_SET_VALUE
                (value,) = tree.args
                inner = value.val
                self._set[tree.name] = str(getattr(inner, "ival", None) if hasattr(inner, "ival") else inner.sval)
            case ast.VariableShowStmt():
                return [((self.settings | self._set)[tree.name],)]
            case ast.SelectStmt():
                return self._select(tree)
            case _:
                raise AssertionError(f"a shard has no business with {tree}")
        return None

    def _select(self, tree: Any) -> list[tuple[Any, ...]]:
        value = tree.targetList[0].val
        if isinstance(value, ast.A_Const):
            return [(value.val.ival,)]
        name = value.funcname[-1].sval
        if name == "pg_backend_pid":
            return [(self.pid,)]
        source = tree.fromClause[0]
        if isinstance(source, ast.RangeFunction):
            assert name == "count"
            return [(len(self.channels) + self.server.miscounts,)]
        rows = source.subquery.valuesLists
        for channel, payload in rows:
            self._notify(channel.val.sval, payload.val.sval)
        return [(len(rows),)]

    def _notify(self, channel: str, payload: str) -> None:
        if not channel or len(channel.encode()) > 63:
            raise server_error("22023", "channel name is empty or too long")
        if len(payload.encode()) > 7999:
            raise server_error("22023", "payload string too long")
        error = self.server.fault(channel, payload)
        if error is not None:
            raise error
        self._pending[channel, payload] = None

    def _control(self, kind: int) -> None:
        if kind == TransactionStmtKind.TRANS_STMT_BEGIN:
            assert not self._block, "a transaction within a transaction"
            self._block = "open"
        elif kind == TransactionStmtKind.TRANS_STMT_COMMIT and self._block == "open":
            self._block = ""
            self._commit()
        else:
            self._block = ""
            self._roll_back()

    def _commit(self) -> None:
        if self._pending and self.server.commit_fault is not None:
            raise self.server.commit_fault
        for action, channel in self._actions:
            if action == "listen" and channel is not None:
                self.channels.add(channel)
            elif channel is None:
                self.channels.clear()
            else:
                self.channels.discard(channel)
        self.settings |= self._set
        notified = [Notify(self.pid, channel, payload) for channel, payload in self._pending]
        self._roll_back()
        self.server.committed(notified, self)

    def _abort(self) -> None:
        if self._block:
            self._block = "failed"
        self._roll_back()

    def _roll_back(self) -> None:
        self._actions, self._pending, self._set = [], {}, {}


class FakePostgres:
    """A server. Queries are answered at once, or, where `holds`, when a test says `answer` or another word."""

    def __init__(self, parameters: dict[str, str] | None = None) -> None:
        self.parameters = PARAMETERS if parameters is None else parameters
        self.server_version = 150018
        self.log_in: list[Any] = [POLL_WRITE, POLL_READ, POLL_OK]
        self.refuses: Exception | None = None
        self.hangs = False
        self.holds = False
        self.send_pieces = 0
        self.miscounts = 0
        self.commit_fault: psycopg2.Error | None = None
        self.fault: Callable[[str, str], psycopg2.Error | None] = lambda channel, payload: None
        self.text_fault: Callable[[str], psycopg2.Error | None] = lambda sql: None
        self.backends: list[Backend] = []
        self.attempts: list[dict[str, Any]] = []
        self.held: deque[Backend] = deque()
        self.log: list[tuple[str, str]] = []
        self.sent: list[Notify] = []

    def install(self, monkeypatch: pytest.MonkeyPatch) -> FakePostgres:
        """Have all shards connect to this server."""
        monkeypatch.setattr(ShardConnection, "connectionFactory", staticmethod(self.connect))
        return self

    def connect(self, **keywords: Any) -> Backend:
        """Begin a connection, as psycopg2.connect does."""
        self.attempts.append(keywords)
        if self.refuses is not None:
            raise self.refuses
        backend = Backend(self, 1000 + len(self.attempts), keywords)
        self.backends.append(backend)
        return backend

    @property
    def backend(self) -> Backend:
        """The only connection."""
        (backend,) = self.backends
        return backend

    @property
    def queries(self) -> list[str]:
        """What the only connection has been sent since it was set up."""
        return [sql for sql in self.backend.queries if "pg_backend_pid" not in sql]

    @property
    def commands(self) -> list[str]:
        """The same without the checks of what it listens to."""
        return [sql for sql in self.queries if "pg_listening_channels" not in sql]

    def take(self, backend: Backend) -> None:
        """Take a query string in."""
        if self.holds:
            self.held.append(backend)
        else:
            self._finish(backend)

    def answer(self) -> None:
        """Carry out the query string that has been held longest."""
        self._finish(self.held.popleft())

    def refuse(self, sqlstate: str, message: str = "no") -> None:
        """Refuse that query string as a whole, as a syntax error does."""
        backend = self.held.popleft()
        backend.kernel.append(Answer(None, server_error(sqlstate, message)))

    def lose(self, committed: bool = False) -> None:
        """End all connections; `committed` tells whether their running query strings were carried out before."""
        for backend in list(self.backends):
            if committed and backend in self.held and backend.running is not None:
                backend.run(backend.running)
            backend.end()
        self.held.clear()

    def notify(self, channel: str, payload: str, pid: int = 77) -> None:
        """Commit a notification of somebody else's."""
        self.committed([Notify(pid, channel, payload)])
        for backend in self.backends:
            if backend.running is None:
                backend.idle()

    def committed(self, notified: list[Notify], sender: Backend | None = None) -> None:
        """Put notifications into everybody's queue."""
        for notify in notified:
            self.log.append((notify.channel, notify.payload))
            for backend in self.backends:
                backend.hear(notify)
        for backend in self.backends:
            if backend is not sender and backend.running is None:
                backend.idle()

    def forget(self, backend: Backend) -> None:
        """Forget a backend that has ended."""
        if backend in self.backends:
            self.backends.remove(backend)
        if backend in self.held:
            self.held.remove(backend)

    def _finish(self, backend: Backend) -> None:
        assert backend.running is not None
        answer = backend.run(backend.running)
        backend.idle()
        backend.kernel.append(answer)
