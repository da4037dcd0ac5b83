"""A small PostgreSQL: when it answers, and with what kind of message. It knows few statements, and all the rules.

    SELECT 2, SELECT fails(), SELECT pg_notify($1, $2)   a row; an error when it runs; a call with values
    LISTEN, UNLISTEN, NOTIFY, and what stands for them   with their effects at the commit
    BEGIN, COMMIT, ROLLBACK, SAVEPOINT, RELEASE, ROLLBACK TO
    COPY t FROM STDIN, COPY t TO STDOUT

A text is a syntax error as a whole if one of its statements begins with "oops" or "twistnotify". The rules are those
of exec_simple_query and the functions beside it (src/backend/tcop/postgres.c), of COPY (commands/copyfromparse.c) and
of xact.c, as PostgreSQL 15 has them. Since 17, a query in an open pipeline does not end its transaction.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from twistnotify.wire import extended_query as extended
from twistnotify.wire.catalog import BackendMessage, decode_frontend
from twistnotify.wire.copying import CopyData, CopyDone, CopyFail, CopyInResponse, CopyOutResponse
from twistnotify.wire.errors import ErrorFields, ErrorResponse, NoticeResponse
from twistnotify.wire.framing import FrameBuffer
from twistnotify.wire.function_call import FunctionCall, FunctionCallResponse
from twistnotify.wire.session_status import ReadyForQuery
from twistnotify.wire.simple_query import (
    CommandComplete,
    DataRow,
    EmptyQueryResponse,
    Field,
    Query,
    RowDescription,
)

_EXITS = re.compile(r"COMMIT|ROLLBACK")
_CONTROL = re.compile(r"BEGIN|COMMIT|ROLLBACK|SAVEPOINT|RELEASE")
_CALL = re.compile(r"SELECT pg_notify\(\$1, ?\$2\)")
_NOT_SQL = re.compile("oops|twistnotify")
_ALIAS = re.compile(r' AS "?(\w+)"?$')
BAD = b"bad"
"""COPY data that cannot be taken; it shows at their end, so that a Sync among the data always counts as one of them."""
Values = tuple[bytes | None, ...]


class Refused(Exception):
    """An error, by its SQLSTATE."""


@dataclass
class Portal:
    """A bound statement; `sent` tells that its row has been fetched, `done` that it cannot run again."""

    sql: str
    values: Values = ()
    sent: bool = False
    done: bool = False


@dataclass
class Backend:
    """The state of one backend."""

    status: str = "I"
    channels: dict[str, None] = field(default_factory=dict)
    notified: Counter[tuple[str, str]] = field(default_factory=Counter)
    statements: dict[bytes, str] = field(default_factory=dict)
    portals: dict[bytes, Portal] = field(default_factory=dict)
    skipping: bool = False
    dead: bool = False

    def __post_init__(self) -> None:
        self._frames = FrameBuffer(1 << 24)
        self._out: list[BackendMessage] = []
        self._effects: list[tuple[str, str]] = []
        self._savepoints: list[tuple[str, int]] = []
        self._copying: Callable[[], None] | None = None
        self._bad = False
        self._extended = False

    def feed(self, data: bytes) -> list[BackendMessage]:
        """Take what a client sends, and return the answers."""
        self._frames.feed(data)
        while not self.dead and (frame := self._frames.next_frame()) is not None:
            self._take(decode_frontend(*frame))
        out, self._out = self._out, []
        return out

    # Messages

    def _take(self, message: object) -> None:
        if self._copying is not None:
            self._take_while_copying(message)
        elif isinstance(message, extended.Sync):
            self.skipping = self._extended = False
            self._finish()
            self._ready()
        elif self.skipping:
            return
        else:
            self._extended = not isinstance(message, Query | FunctionCall)
            try:
                self._react(message)
            except Refused as refused:
                self._fail(refused)

    def _take_while_copying(self, message: object) -> None:
        go_on = self._copying
        assert go_on is not None
        try:
            match message:
                case CopyData(data):
                    self._bad = self._bad or data == BAD
                case CopyFail():
                    raise Refused("57014")
                case CopyDone():
                    if self._bad:
                        raise Refused("22P04")
                    self._copying = None
                    go_on()
                case extended.Flush() | extended.Sync():
                    return
                case _:
                    self.dead = True
                    self._say(*(ErrorResponse(ErrorFields(severity, "08P01", "")) for severity in ("ERROR", "FATAL")))
        except Refused as refused:
            self._copying = None
            self._fail(refused)

    def _react(self, message: object) -> None:
        match message:
            case Query(sql):
                self._query(sql.decode())
            case extended.Parse(name, sql):
                self._parse(name, sql.decode())
            case extended.Bind(portal, statement, _, values):
                self._bind(portal, statement, values)
            case extended.Describe(kind, name):
                self._describe(kind, name)
            case extended.Execute(portal, rows):
                self._execute(portal, rows)
            case extended.Close(kind, name):
                held: dict[bytes, str] | dict[bytes, Portal]
                held = self.statements if kind == extended.STATEMENT else self.portals
                held.pop(name, None)
                self._say(extended.CloseComplete())
            case FunctionCall():
                if self.status == "E":
                    raise Refused("25P02")
                self._say(FunctionCallResponse(b""))
                self._finish()
                self._ready()

    def _query(self, text: str) -> None:
        self.statements.pop(b"", None)
        self.portals.pop(b"", None)
        statements = _split(text)
        if not statements:
            self._finish()
            self._say(EmptyQueryResponse())
        self._run_rest(statements)

    def _run_rest(self, statements: list[str]) -> None:
        """Run the statements of a string; after COPY it is called again with those that are left."""
        while statements:
            sql = statements.pop(0)
            self._refuse_where_failed(sql)
            if sql.startswith("SELECT"):
                self._say(_columns(sql))
            if sql.endswith("FROM STDIN"):
                self._copy_in(lambda: self._end_copy_of_query(statements))
                return
            tag = self._run(sql, (), 0)
            if not statements:
                self._finish()
            self._say(CommandComplete(tag))
        self._ready()

    def _end_copy_of_query(self, statements: list[str]) -> None:
        if not statements:
            self._finish()
        self._say(CommandComplete("COPY 0"))
        self._run_rest(statements)

    def _parse(self, name: bytes, text: str) -> None:
        if not name:
            self.statements.pop(b"", None)
        statements = _split(text)
        if len(statements) > 1:
            raise Refused("42601")
        sql = "".join(statements)
        if sql:
            self._refuse_where_failed(sql)
        if name in self.statements:
            raise Refused("42P05")
        self.statements[name] = sql
        self._say(extended.ParseComplete())

    def _bind(self, portal: bytes, name: bytes, values: Values) -> None:
        sql = self._statement(name)
        if len(values) != _parameters(sql):
            raise Refused("08P01")
        self._refuse_where_failed(sql)
        if portal and portal in self.portals:
            raise Refused("42P03")
        self.portals[portal] = Portal(sql, values)
        self._say(extended.BindComplete())

    def _describe(self, kind: bytes, name: bytes) -> None:
        sql = self._statement(name) if kind == extended.STATEMENT else self._portal(name).sql
        if sql.startswith("SELECT"):
            self._refuse_where_failed(sql)
        if kind == extended.STATEMENT:
            self._say(extended.ParameterDescription((25,) * _parameters(sql)))
        self._say(_columns(sql) if sql.startswith("SELECT") else extended.NoData())

    def _execute(self, name: bytes, rows: int) -> None:
        portal = self._portal(name)
        sql = portal.sql
        if not sql:
            self._say(EmptyQueryResponse())
            return
        self._refuse_where_failed(sql)
        if portal.done:
            raise Refused("55000")
        if portal.sent:
            self._say(CommandComplete("SELECT 0"))
            return
        portal.done = not sql.startswith("SELECT")
        if sql.endswith("FROM STDIN"):
            self._copy_in(lambda: self._say(CommandComplete("COPY 0")))
            return
        tag = self._run(sql, portal.values, rows)
        portal.sent = not portal.done
        if rows == 1 and portal.sent:
            self._say(extended.PortalSuspended())
        else:
            self._say(CommandComplete(tag))

    def _copy_in(self, then: Callable[[], None]) -> None:
        self._say(CopyInResponse(0, (0,)))
        self._copying, self._bad = then, False

    def _statement(self, name: bytes) -> str:
        if name not in self.statements:
            raise Refused("26000")
        return self.statements[name]

    def _portal(self, name: bytes) -> Portal:
        if name not in self.portals:
            raise Refused("34000")
        return self.portals[name]

    # Statements

    def _refuse_where_failed(self, sql: str) -> None:
        if self.status == "E" and not _EXITS.match(sql):
            raise Refused("25P02")

    def _run(self, sql: str, values: Values, rows: int) -> str:
        if _CONTROL.match(sql):
            return self._control(sql)
        if sql.startswith("SELECT"):
            return self._select(sql, values)
        if sql.endswith("TO STDOUT"):
            self._say(CopyOutResponse(0, (0,)), CopyData(b"x"), CopyDone())
            return "COPY 1"
        word, _, rest = sql.partition(" ")
        self._effects.append((word, rest.replace('"', "")))
        return word

    def _select(self, sql: str, values: Values) -> str:
        if sql == "SELECT fails()":
            raise Refused("22012")
        if _CALL.match(sql):
            channel, payload = (value.decode() for value in values if value is not None)
            self._effects.append(("NOTIFY", f"{channel}, '{payload}'"))
        self._say(DataRow((b"" if values else b"2",)))
        return "SELECT 1"

    def _control(self, sql: str) -> str:
        word, _, name = sql.replace('"', "").partition(" ")
        if sql == "BEGIN":
            self._warn_if(self.status == "T", "25001")
            self.status = "T"
        elif sql in ("COMMIT", "ROLLBACK"):
            self._warn_if(self.status == "I", "25P01")
            failed, self.status = self.status == "E", "I"
            if sql == "COMMIT" and not failed:
                self._commit()
            else:
                self._discard()
                return "ROLLBACK"
        elif self.status == "I":
            raise Refused("25P01")
        elif word == "SAVEPOINT":
            self._savepoints.append((name, len(self._effects)))
        else:
            self._back_to(word, name.removeprefix("TO "))
        return word

    def _back_to(self, word: str, name: str) -> None:
        names = [each for each, _ in self._savepoints]
        if name not in names:
            raise Refused("3B001")
        index = len(names) - 1 - names[::-1].index(name)
        if word == "RELEASE":
            del self._savepoints[index:]
        else:
            del self._savepoints[index + 1 :]
            del self._effects[self._savepoints[index][1] :]
            self.status = "T"

    # Transactions

    def _finish(self) -> None:
        """End an implicit transaction."""
        if self.status == "I":
            self._commit()

    def _commit(self) -> None:
        effects = self._effects
        self._discard()
        for word, rest in effects:
            if word == "LISTEN":
                self.channels[rest] = None
            elif rest == "*":
                self.channels.clear()
            elif word == "UNLISTEN":
                self.channels.pop(rest, None)
        self.notified.update({_notification(rest) for word, rest in effects if word == "NOTIFY"})

    def _discard(self) -> None:
        self._effects, self._savepoints = [], []
        self.portals.clear()

    def _fail(self, refused: Refused) -> None:
        self._say(ErrorResponse(ErrorFields("ERROR", str(refused), "")))
        if self.status == "I":
            self._discard()
        else:
            self.status = "E"
        for portal in self.portals.values():
            portal.done = True
        if self._extended:
            self.skipping = True
        else:
            self._ready()

    def _ready(self) -> None:
        self._say(ReadyForQuery(self.status))

    def _warn_if(self, wanted: bool, sqlstate: str) -> None:
        if wanted:
            self._say(NoticeResponse(ErrorFields("WARNING", sqlstate, "")))

    def _say(self, *messages: BackendMessage) -> None:
        self._out += messages


def _split(text: str) -> list[str]:
    statements = [each.strip() for each in text.split(";") if each.strip()]
    if any(_NOT_SQL.match(each) for each in statements):
        raise Refused("42601")
    return statements


def _columns(sql: str) -> RowDescription:
    alias = _ALIAS.search(sql)
    if alias or _CALL.match(sql):
        return RowDescription((Field(alias[1] if alias else "pg_notify", 0, 0, 2278, 4, -1, 0),))
    return RowDescription((Field("?column?", 0, 0, 23, 4, -1, 0),))


def _parameters(sql: str) -> int:
    return len(set(re.findall(r"\$\d", sql)))


def _notification(rest: str) -> tuple[str, str]:
    channel, _, payload = rest.partition(",")
    return channel.strip(), payload.strip(" '")
