"""What an attached client sends, on its way to the upstream.

Frames go on as they are, but for statements that are served here, which stand-ins take the place of. What is read is
remembered with the answer that is expected (`expected`), and comes to effect when that has come (`answers`).

Before what may commit a LISTEN or a NOTIFY goes on, the client is registered, and the shard has to have heard all
LISTENs that were accepted before (a gate): so a transaction hears itself, and its NOTIFY overtakes nobody's LISTEN.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from twistnotify.session.actions import Close, Enlist, Gate, Turn
from twistnotify.session.encodings import decode
from twistnotify.session.expected import BIND, CALL, CLOSE, DESCRIBE, EXECUTE, PARSE, PLAIN, QUERY, SYNC, Expected, Run
from twistnotify.session.failure import SqlError
from twistnotify.session.interest import is_of_interest
from twistnotify.session.lane import MORE_DATA, Script
from twistnotify.session.prepared import MAX_KEPT_BYTES
from twistnotify.session.substitution import substitute
from twistnotify.sql.pieces import Piece, pieces
from twistnotify.sql.standins import raise_error
from twistnotify.sql.statements import (
    Begin,
    CallNotify,
    Commit,
    Deallocate,
    DeallocateAll,
    DiscardAll,
    DoBlock,
    Listen,
    Notify,
    Other,
    PrepareTransaction,
    Rollback,
    SqlSyntaxError,
    Statement,
)
from twistnotify.wire.body import frame as new_frame
from twistnotify.wire.extended_query import STATEMENT
from twistnotify.wire.framing import HEADER_SIZE
from twistnotify.wire.simple_query import Query
from twistnotify.wire.stream import LONG, PASSED, FrameStream
from twistnotify.wire.violations import ProtocolViolation

if TYPE_CHECKING:
    from twistnotify.session.attached import Attached

PASSING = b"d"
"""COPY data: the only messages of a client that come in masses."""
MAX_NOTED = 1_000
"""Named statements of one client that are remembered because they are of concern here."""
MAX_GROWTH = 4 * 1024 * 1024
"""Characters by which stand-ins may make a query longer."""
_TEXTS = frozenset(b"QP")
_IN_TURN = frozenset(b"QFPBDECHS")


class Requests:
    """The direction from the client to the upstream."""

    def __init__(self, attached: Attached, limit: int, longest: int) -> None:
        self.stream = FrameStream(PASSING, limit, longest)
        self.statements: dict[bytes, Statement | None] = {}
        """What names of concern will stand for if nothing is refused; None for what is of none."""
        self.portals: dict[bytes, Statement | None] = {}
        self._guessed = True
        self.foreseen: dict[str, None] = {}
        """Channels that the open transaction LISTENs to, as far as it has been sent."""
        self.spoken = False
        """Whether it has used LISTEN or NOTIFY."""
        self.in_block = attached.session.in_block
        self._attached = attached

    def script(self) -> Script:
        """Work off what arrives."""
        stream, forwarded = self.stream, self._attached.forwarded
        try:
            while True:
                piece = stream.next_piece()
                if piece is None:
                    yield MORE_DATA
                    continue
                type_, data = piece
                if type_ == PASSED:
                    forwarded.append(data)
                    continue
                if (self._attached.listens and type_ & ~LONG in _IN_TURN) or self._is_unsure(type_, data):
                    yield from self._take_turn()
                if self._attached.witness is not None:
                    self._attached.witness.see(type_, data)
                react = _REACTIONS.get(type_ & ~LONG)
                if react is None:
                    raise ProtocolViolation(f"invalid frontend message type {type_ & ~LONG}")
                script = react(self, data, type_ >= LONG)
                if script is not None:
                    yield from script
        except ProtocolViolation as violation:
            yield from self._attached.die(violation)

    def _take_turn(self) -> Script:
        """Send nothing more before ReadyForQuery: what is due to a listener there must not be due to later commands."""
        if not self._attached.is_clients_turn:
            yield Turn()

    def _is_unsure(self, type_: int, frame: bytes) -> bool:
        """Tell whether how a text is read depends on a SET that may be on its way."""
        if type_ not in _TEXTS or not self._attached.expected.ends_pending:
            return False
        return (b"\\" in frame or not frame[HEADER_SIZE:].isascii()) and is_of_interest(frame[HEADER_SIZE:])

    def _send(self, frame: bytes, entry: Expected) -> None:
        self._attached.forwarded.append(frame)
        self._attached.expected.add(entry)

    def _send_end(self, frame: bytes, entry: Expected) -> Script:
        """Send what may end a transaction in which LISTEN or NOTIFY was used."""
        yield from self._prepare_end()
        self._send(frame, entry)

    def _send_last(self, frame: bytes, entry: Expected) -> Script | None:
        """Send what ReadyForQuery answers: outside of a block it ends a transaction."""
        if self.spoken and not self.in_block:
            return self._send_end(frame, entry)
        self._send(frame, entry)
        return None

    def _prepare_end(self) -> Script:
        if not self.spoken:
            return
        self.spoken = False
        if self.foreseen:
            # A ReadyForQuery that is still due would take it for a registration that no COMMIT has followed.
            yield from self._take_turn()
            channels, self.foreseen = tuple(self.foreseen), {}
            yield Enlist(channels)
        yield Gate()

    def _catch_up(self) -> None:
        """Know for sure where the transaction stands, as nothing is on its way."""
        if not self._attached.expected:
            self.in_block = self._attached.answers.in_block
            if not self.in_block and not self._attached.in_pipeline:
                self.foreseen, self.spoken = {}, False
            self._catch_up_with_names()

    def _catch_up_with_names(self) -> None:
        names = self._attached.names
        if self._guessed:
            self._guessed = False
            self.statements = dict(names.statements)
        if self.portals or names.portals:
            self.portals = {name: run.statement for name, run in names.portals.items()}

    def _guess(self, name: bytes, statement: Statement | None) -> None:
        self._guessed = True
        self.statements[name] = statement

    def _read(self, sql: bytes) -> tuple[Piece, ...]:
        """Return the statements of a text where one of them is of concern here."""
        if not is_of_interest(sql) or (b"\\" in sql and not self._attached.standard_strings):
            return ()
        try:
            found = pieces(decode(sql, self._attached.session.encoding))
        except (SqlSyntaxError, SqlError):
            # The upstream is the judge of it.
            return ()
        return found if any(type(piece.statement) is not Other for piece in found) else ()

    # Simple query

    def _query(self, frame: bytes, long: bool) -> Script | None:
        self._catch_up()
        self._attached.in_pipeline = False
        self._drop_unnamed()
        found = () if long else self._read(_text(frame))
        return self._read_query(frame, found) if found else self._send_last(frame, PLAIN[QUERY])

    def _read_query(self, frame: bytes, found: tuple[Piece, ...]) -> Script:
        encoding = self._attached.session.encoding
        text = decode(frame[HEADER_SIZE:-1], encoding)
        parts: list[str] = []
        shifts: list[tuple[int, int]] = []
        ends = False
        at = grown = 0
        for piece in found:
            stand_in = substitute(self._attached, piece.statement)
            ends = self._foresee(piece.statement) or ends
            if stand_in is None:
                continue
            if grown > MAX_GROWTH:
                stand_in = raise_error("54000", "the query is too long with what stands for its statements")
            # As long as what it stands for, so that the places of errors behind it are right; or else put right.
            stand_in = stand_in.ljust(piece.end - piece.start)
            parts += (text[at : piece.start], stand_in)
            at = piece.end
            if growth := len(stand_in) - (piece.end - piece.start):
                grown += growth
                shifts.append((piece.end + grown, growth))
        if parts:
            frame = Query(("".join(parts) + text[at:]).encode(encoding.codec, "replace")).encode()
        runs = tuple([Run(piece.statement) for piece in found])
        entry = Expected(QUERY, runs, shifts=tuple(shifts))
        if ends or not self.in_block:
            yield from self._send_end(frame, entry)
        else:
            self._send(frame, entry)

    def _foresee(self, statement: Statement) -> bool:
        """Note what a statement will have done; tell whether it ends a transaction."""
        match statement:
            case Listen(channel):
                self._attached.foresee(channel)
                self.spoken = True
            case Notify() | CallNotify():
                self.spoken = True
            case DoBlock(inner):
                for each in inner:
                    self._foresee(each)
            case Begin():
                self.in_block = True
            case Commit(chain):
                self.in_block = chain
                return True
            case Rollback(chain):
                self.in_block = chain
                self.foreseen, self.spoken = {}, False
            case PrepareTransaction():
                self.in_block = False
            case DiscardAll() | DeallocateAll():
                for name in filter(None, self.statements):
                    self._guess(name, None)
            case Deallocate(name):
                self._forget(name.encode(self._attached.session.encoding.codec, "replace"))
        return False

    def _forget(self, name: bytes) -> None:
        if name in self.statements:
            self._guess(name, None)

    def _drop_unnamed(self) -> None:
        self._forget(b"")
        self.portals.pop(b"", None)

    # Extended query

    def _parse(self, frame: bytes, long: bool) -> None:
        self._catch_up()
        self._attached.in_pipeline = True
        name, sql = _names(frame)
        found = () if long else self._read(sql)
        if len(found) == 1:
            statement = found[0].statement
            frame = self._prepared(name, statement, frame, sql)
            self._guess(name, statement)
            self._send(frame, Expected(PARSE, (Run(statement),), name))
        elif name in self.statements:
            self._guess(name, None)
            self._send(frame, Expected(PARSE, (None,), name))
        else:
            self._send(frame, PLAIN[PARSE])

    def _prepared(self, name: bytes, statement: Statement, frame: bytes, sql: bytes) -> bytes:
        """Return the Parse of a statement, or of its stand-in."""
        stand_in = substitute(self._attached, statement)
        if name not in self.statements and len(self.statements) >= MAX_NOTED:
            stand_in = raise_error("53400", "too many prepared statements")
        elif name and len(frame) > MAX_KEPT_BYTES:
            stand_in = raise_error("53400", "prepared statement is too long to be kept")
        if stand_in is None:
            return frame
        text = stand_in.encode(self._attached.session.encoding.codec, "replace")
        types = frame[HEADER_SIZE + len(name) + 1 + len(sql) :]
        return new_frame(PARSE, name, b"\0", text, types)

    def _bind(self, frame: bytes, long: bool) -> None:
        self._catch_up()
        self._attached.in_pipeline = True
        if not self.statements and not self.portals:
            self._send(frame, PLAIN[BIND])
            return
        portal, name = _names(frame)
        if name not in self.statements and portal not in self.portals:
            self._send(frame, PLAIN[BIND])
            return
        # One that is too long to be read fits none of the statements that are of concern.
        self.portals[portal] = None if long else self.statements.get(name)
        self._send(frame, Expected(BIND, name=portal, frame=b"" if long else frame))

    def _describe(self, frame: bytes, _: bool) -> None:
        self._attached.in_pipeline = True
        self._send(frame, PLAIN[DESCRIBE])

    def _execute(self, frame: bytes, _: bool) -> Script | None:
        self._attached.in_pipeline = True
        portal = _names(frame)[0]
        if portal not in self.portals:
            self._send(frame, PLAIN[EXECUTE])
            return None
        statement, self.portals[portal] = self.portals[portal], None
        entry = Expected(EXECUTE, name=portal)
        if statement is not None and self._foresee(statement):
            return self._send_end(frame, entry)
        self._send(frame, entry)
        return None

    def _close(self, frame: bytes, _: bool) -> None:
        self._attached.in_pipeline = True
        kind, name = frame[HEADER_SIZE : HEADER_SIZE + 1], frame[HEADER_SIZE + 1 : -1]
        if name not in (self.statements if kind == STATEMENT else self.portals):
            self._send(frame, PLAIN[CLOSE])
            return
        if kind == STATEMENT:
            self._guess(name, None)
        else:
            self.portals[name] = None
        self._send(frame, Expected(CLOSE, frame=frame))

    def _flush(self, frame: bytes, _: bool) -> None:
        self._attached.forwarded.append(frame)

    def _sync(self, frame: bytes, _: bool) -> Script | None:
        self._attached.in_pipeline = False
        return self._send_last(frame, PLAIN[SYNC])

    # The rest

    def _call(self, frame: bytes, _: bool) -> Script | None:
        self._attached.in_pipeline = False
        return self._send_last(frame, PLAIN[CALL])

    def _end_copy(self, frame: bytes, _: bool) -> None:
        self._attached.forwarded.append(frame)
        self._attached.expected.end_copy()

    def _terminate(self, frame: bytes, _: bool) -> Script:
        self._attached.forwarded.append(frame)
        yield Close("client")


def _text(frame: bytes) -> bytes:
    """Return the text of a Query; what is malformed has none, and is the upstream's to refuse."""
    return frame[HEADER_SIZE:-1] if frame.find(b"\0", HEADER_SIZE) == len(frame) - 1 else b""


def _names(frame: bytes) -> tuple[bytes, bytes]:
    """Return the first two strings of a frame; what is malformed has no names, and is the upstream's to refuse."""
    first, _, rest = frame[HEADER_SIZE:].partition(b"\0")
    return first, rest.partition(b"\0")[0]


_REACTIONS: dict[int, Callable[[Requests, bytes, bool], Script | None]] = {
    ord("Q"): Requests._query,
    ord("P"): Requests._parse,
    ord("B"): Requests._bind,
    ord("D"): Requests._describe,
    ord("E"): Requests._execute,
    ord("C"): Requests._close,
    ord("H"): Requests._flush,
    ord("S"): Requests._sync,
    ord("F"): Requests._call,
    ord("c"): Requests._end_copy,
    ord("f"): Requests._end_copy,
    ord("X"): Requests._terminate,
}
