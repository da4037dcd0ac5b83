"""What the upstream answers, on its way to an attached client.

Frames go on as they are, but for the tags of stand-ins. The end of each answer is told by its type, and what a
statement did that is of concern here takes effect as it is answered: a transaction's LISTENs and UNLISTENs when the
upstream has said COMMIT. What is due to the client comes before ReadyForQuery, as PostgreSQL has it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from twistnotify.session.actions import Commit, Effect, GiveUp, Ready, Recode, Signal, Withdraw
from twistnotify.session.encodings import client_encoding
from twistnotify.session.expected import BIND, CALL, ENDS, EXECUTE, PARSE, PLAIN, QUERY, SYNC, Expected, Run
from twistnotify.session.failure import SqlError, error
from twistnotify.session.lane import MORE_DATA, Script
from twistnotify.session.states import Status
from twistnotify.sql import statements as sql
from twistnotify.wire.body import frame as new_frame
from twistnotify.wire.errors import ErrorFields, ErrorResponse
from twistnotify.wire.framing import HEADER_SIZE
from twistnotify.wire.session_status import MAX_PARAMETERS, ParameterStatus
from twistnotify.wire.simple_query import CommandComplete
from twistnotify.wire.stream import LONG, PASSED, FrameStream
from twistnotify.wire.violations import ProtocolViolation

if TYPE_CHECKING:
    from twistnotify.session.attached import Attached

PASSING = b"DdtNVWHc"
"""Rows, COPY data and what else says nothing of where the conversation stands."""
LONGEST_READ = 1 << 20
"""Bytes of an answer that is read; a longer one (an error with a huge detail) passes unread."""
_FATAL = (b"\0VFATAL\0", b"\0VPANIC\0")
_COMPLETE = ord("C")
_STATUSES = {b"I": Status.IDLE, b"T": Status.BLOCK, b"E": Status.FAILED}
_BEGUN = frozenset(CommandComplete(tag).encode() for tag in ("BEGIN", "START TRANSACTION"))
_COMMITTED = CommandComplete("COMMIT").encode()
_ROLLED_BACK = CommandComplete("ROLLBACK").encode()


class Answers:
    """The direction from the upstream to the client."""

    def __init__(self, attached: Attached, longest: int) -> None:
        self.stream = FrameStream(PASSING, LONGEST_READ, longest)
        self.in_block = attached.session.in_block
        self.fatal = False
        """Whether the upstream has said why it ends."""
        self.enlisted: set[str] = set()
        """Channels the client is registered for ahead of a COMMIT."""
        self.replayed: dict[int, sql.Notify] = {}
        """By identity, notifications of the open transaction that the upstream was told of as it was attached."""
        self._attached = attached
        self._replies = attached.session.replies
        self._committed: list[Effect] = []
        self._undone = False
        self._deferred: dict[str, bytes] = {}

    @property
    def defers(self) -> bool:
        """Tell whether there is something that the client is to be told at its next query."""
        return bool(self._deferred)

    def script(self) -> Script:
        """Work off what arrives."""
        stream, replies = self.stream, self._replies
        try:
            while True:
                piece = stream.next_piece()
                if piece is None:
                    yield MORE_DATA
                    continue
                type_, data = piece
                if type_ == PASSED:
                    replies.append(data)
                    continue
                react = _REACTIONS.get(type_ & ~LONG)
                if react is None:
                    raise ProtocolViolation("invalid message from the upstream server")
                script = react(self, data)
                if script is not None:
                    yield from script
        except ProtocolViolation as violation:
            yield from self._attached.die(violation)

    # The parts of an answer

    def _progress(self, frame: bytes) -> Script | None:
        expected, names, type_ = self._attached.expected, self._attached.names, frame[0]
        head = expected.head
        if head is None:
            raise ProtocolViolation("unexpected message from the upstream server")
        if head.kind == QUERY:
            if type_ == _COMPLETE:
                return self._complete(head.next_run(), frame)
            self._replies.append(frame)
            return None
        if type_ not in ENDS[head.kind]:
            raise ProtocolViolation("unexpected message from the upstream server")
        expected.pop()
        if head.kind == EXECUTE:
            return self._complete(None if head.name is None else names.portals.pop(head.name, None), frame)
        if head is not PLAIN[head.kind]:
            self._note(head)
        self._replies.append(frame)
        return None

    def _note(self, entry: Expected) -> None:
        """Have a name known for what it stands for now."""
        names = self._attached.names
        if entry.kind == PARSE:
            names.parsed(entry)
        elif entry.kind == BIND:
            names.bound(entry, self._attached.session.encoding)
        else:
            names.closed(entry)

    def _complete(self, run: Run | None, frame: bytes) -> Script | None:
        """Have a statement that the upstream has carried out take effect."""
        row = None if run is None else _COMPLETED.get(type(run.statement))
        if row is None or run is None:
            self._see_tag(frame)
            self._replies.append(frame)
            return None
        return self._run(row, run, frame)

    def _run(self, row: _Completion, run: Run, frame: bytes) -> Script:
        try:
            tag = row(self, run.statement, run, frame)
        except SqlError as failure:
            # Bounds of what one transaction may gather: the upstream's knows nothing of them.
            yield from self._attached.end_fatally(replace(failure.fields, severity="FATAL"))
            return
        if isinstance(run.statement, sql.SignalBackend) and self._attached.may_signal(run.statement.pid):
            yield Signal(run.statement.function, run.statement.pid)
        self._replies.append(frame if tag is None or frame[0] != _COMPLETE else tag)

    def _see_tag(self, frame: bytes) -> None:
        """Follow the transaction by the tags of statements that were not read."""
        if frame in _BEGUN:
            self.in_block = True
        elif frame == _COMMITTED:
            self._commit(False)
        elif frame == _ROLLED_BACK:
            # Of a savepoint, perhaps: ReadyForQuery will tell.
            self._undone = True

    def _copy_in(self, frame: bytes) -> None:
        if self._attached.expected.head is None:
            raise ProtocolViolation("unexpected message from the upstream server")
        self._attached.expected.begin_copy()
        self._replies.append(frame)

    def _error(self, frame: bytes) -> None:
        self._replies.append(frame)
        if any(mark in frame for mark in _FATAL):
            self.fatal = True
            return
        expected = self._attached.expected
        head = expected.head
        if head is None:
            return
        if head.kind in (QUERY, CALL):
            expected.copying = False
            if head.shifts:
                self._replies[-1] = shifted(frame, head.shifts)
        elif head.kind != SYNC:
            if head.kind == PARSE and head.name == b"":
                # What had no name is gone all the same.
                self._attached.names.statements.pop(b"", None)
            expected.skip()
            if self._attached.witness is not None:
                self._attached.witness.see_failure()
        if not self.in_block:
            self._attached.session.transaction.take()

    # The end of an answer

    def _ready(self, frame: bytes) -> Script | None:
        attached = self._attached
        head = attached.expected.head
        status = _STATUSES.get(frame[HEADER_SIZE:])
        if status is None:
            raise ProtocolViolation("unexpected message from the upstream server")
        if head is not None and head.kind in (QUERY, CALL, SYNC):
            attached.expected.pop()
        elif not attached.expected.take_surplus():
            raise ProtocolViolation("unexpected message from the upstream server")
        if head is not None and head.kind == QUERY:
            attached.names.drop_unnamed()
        if status is Status.IDLE:
            attached.names.portals.clear()
        self._replies += self._deferred.values()
        self._deferred.clear()
        transaction = attached.session.transaction
        undone, self._undone = self._undone, False
        if status is Status.IDLE:
            if self.in_block or undone:
                transaction.take()
            elif transaction.effects:
                self._commit(False)
        transaction.status = status
        self.in_block = status is not Status.IDLE
        if not self.in_block:
            attached.note_end()
        session = attached.session
        if self._committed or self.enlisted or session.reserved or (status is Status.IDLE and session.channels):
            return self._settle(frame, status)
        self._replies.append(frame)
        return None

    def _settle(self, frame: bytes, status: Status) -> Script:
        """Have what was committed take effect, and let what is due come first."""
        session = self._attached.session
        effects, self._committed = tuple(self._committed), []
        if effects:
            try:
                channels = session.channels_after(effects)
                yield Commit(effects)
                session.listen_to(channels)
            except SqlError as failure:
                self._replies.append(ErrorResponse(failure.fields).encode(session.encoding.codec))
        if self.enlisted and not self._attached.expected:
            missed = tuple([channel for channel in self.enlisted if channel not in session.channels])
            self.enlisted.clear()
            if missed:
                yield Withdraw(missed)
        if session.reserved and status is Status.IDLE:
            session.reserved = False
            yield GiveUp()
        if status is Status.IDLE and session.channels:
            yield Ready()
        self._replies.append(frame)

    def _commit(self, chain: bool) -> None:
        for change in self._attached.session.transaction.take():
            # The upstream itself has seen to settings.
            if isinstance(change, sql.Listen | sql.Unlisten | sql.Notify) and id(change) not in self.replayed:
                self._committed.append(change)
        self.replayed.clear()
        self.in_block = chain

    def _roll_back(self, chain: bool) -> None:
        self._attached.session.transaction.take()
        self.in_block = chain

    # What comes at any time

    def _status(self, frame: bytes) -> Script | None:
        attached = self._attached
        status = ParameterStatus.decode(frame[HEADER_SIZE:], attached.session.encoding.codec)
        if attached.expected:
            self._replies.append(frame)
        else:
            # Drivers do not expect it between two queries.
            self._deferred[status.name] = frame
        attached.parameters[status.name] = status.value
        if len(attached.parameters) > MAX_PARAMETERS:
            raise ProtocolViolation("too many settings reported by the upstream server")
        if status.name == "standard_conforming_strings":
            attached.standard_strings = status.value == "on"
        elif status.name == "client_encoding":
            return self._recode(status.value)
        return None

    def _recode(self, name: str) -> Script:
        try:
            self._attached.session.encoding = client_encoding(name)
        except SqlError:
            unsupported = ErrorFields("FATAL", "0A000", f'client encoding "{name}" is not supported here')
            yield from self._attached.end_fatally(unsupported)
        else:
            yield Recode()

    def _notification(self, frame: bytes) -> None:
        """Pass on what came from a LISTEN hidden in a function, unless the client hears it anyway, or must not."""
        session = self._attached.session
        head, body = frame[:HEADER_SIZE], frame[HEADER_SIZE:]
        channel = body[4:].partition(b"\0")[0].decode(session.encoding.codec, "replace")
        allowed = session.rights is None or session.rights.may_listen(channel)
        if allowed and channel not in session.channels:
            pid = self._attached.client_pid(int.from_bytes(body[:4], "big"))
            self._replies.append(head + pid.to_bytes(4, "big") + body[4:])

    # What completed statements do; each returns the tag in place of a stand-in's

    def _listen(self, statement: sql.Listen, _: Run, __: bytes) -> bytes:
        self._attached.session.tell_truncated(statement)
        self._attached.session.transaction.add(statement)
        return _LISTENED

    def _unlisten(self, statement: sql.Unlisten, _: Run, __: bytes) -> None:
        self._attached.session.transaction.add(statement)

    def _notify(self, statement: sql.Notify, _: Run, __: bytes) -> bytes:
        if not self._attached.relays(statement.channel):
            self._attached.session.tell_truncated(statement)
            self._attached.session.transaction.add(statement)
        return _NOTIFIED

    def _call_notify(self, statement: sql.CallNotify, run: Run, _: bytes) -> None:
        if not self._attached.relays(None if isinstance(statement.channel, sql.Parameter) else statement.channel):
            channel, payload = _value(statement.channel, run) or "", _value(statement.payload, run) or ""
            self._attached.session.transaction.add(sql.Notify(channel, payload))

    def _do_block(self, statement: sql.DoBlock, run: Run, frame: bytes) -> None:
        for inner in statement.statements:
            _COMPLETED[type(inner)](self, inner, run, frame)

    def _begin(self, _: sql.Begin, __: Run, ___: bytes) -> None:
        self.in_block = True

    def _commit_statement(self, statement: sql.Commit, _: Run, frame: bytes) -> None:
        if frame == _COMMITTED:
            self._commit(statement.chain)
        else:
            self._roll_back(statement.chain)

    def _rollback(self, statement: sql.Rollback, _: Run, __: bytes) -> None:
        self._roll_back(statement.chain)

    def _prepare(self, _: sql.PrepareTransaction, __: Run, ___: bytes) -> None:
        self._roll_back(False)

    def _savepoint(self, statement: sql.Savepoint, _: Run, __: bytes) -> None:
        # Too many to be remembered: the upstream knows no such limit.
        with suppress(SqlError):
            self._attached.session.transaction.savepoint(statement.name)

    def _release(self, statement: sql.Release, _: Run, __: bytes) -> None:
        with suppress(SqlError):
            self._attached.session.transaction.release(statement.name)

    def _rollback_to(self, statement: sql.RollbackTo, _: Run, __: bytes) -> None:
        transaction = self._attached.session.transaction
        try:
            transaction.rollback_to(statement.name)
        except SqlError:
            transaction.rollback_to_last()

    def _deallocate(self, statement: sql.Deallocate, _: Run, __: bytes) -> None:
        codec = self._attached.session.encoding.codec
        self._attached.names.statements.pop(statement.name.encode(codec, "replace"), None)

    def _deallocate_all(self, _: sql.DeallocateAll, __: Run, ___: bytes) -> None:
        self._attached.names.drop_named_statements()

    def _discard_all(self, _: sql.DiscardAll, __: Run, ___: bytes) -> None:
        self._attached.names.drop_named_statements()
        self._attached.session.transaction.add(sql.Unlisten(None))
        self._attached.session.reset_acknowledgements()

    def _reset_all(self, _: sql.ResetAll, __: Run, ___: bytes) -> None:
        self._attached.session.reset_acknowledgements()

    def _set_acknowledgement(self, statement: sql.SetAcknowledgement, _: Run, __: bytes) -> bytes:
        session = self._attached.session
        if statement.value is None:
            session.reset_acknowledgements(statement.name)
        else:
            setattr(session, statement.name, statement.value)
        return _SET

    def _show_acknowledgement(self, _: sql.ShowAcknowledgement, __: Run, ___: bytes) -> bytes:
        return _SHOWN

    def _signal(self, _: sql.SignalBackend, __: Run, ___: bytes) -> None:
        """Nothing yet: `_run` asks for it."""


def _value(argument: sql.Argument, run: Run) -> str | None:
    """Return an argument of pg_notify(); raises 22021 for what the upstream could read and we cannot."""
    if not isinstance(argument, sql.Parameter):
        return argument
    if argument.number > len(run.arguments):
        raise error("22021", "a parameter of pg_notify() cannot be read here")
    return run.arguments[argument.number - 1]


def shifted(frame: bytes, shifts: tuple[tuple[int, int], ...]) -> bytes:
    """Return an ErrorResponse with its position put right, where stand-ins made the text longer before it.

    One that is too long to be read, so that this is its beginning only, stays as it is.
    """
    if len(frame) != 1 + int.from_bytes(frame[1:HEADER_SIZE], "big"):
        return frame
    fields = frame[HEADER_SIZE:].split(b"\0")
    for index, field in enumerate(fields):
        if field.startswith(b"P") and field[1:].isdigit():
            place = int(field[1:])
            moved = sum(growth for behind, growth in shifts if place > behind)
            fields[index] = b"P%d" % (place - moved)
    return new_frame(frame[0], b"\0".join(fields))


_LISTENED = CommandComplete("LISTEN").encode()
_NOTIFIED = CommandComplete("NOTIFY").encode()
_SET = CommandComplete("SET").encode()
_SHOWN = CommandComplete("SHOW").encode()

_Completion = Callable[[Answers, Any, Run, bytes], bytes | None]
_COMPLETED: dict[type, _Completion] = {
    sql.Listen: Answers._listen,
    sql.Unlisten: Answers._unlisten,
    sql.Notify: Answers._notify,
    sql.CallNotify: Answers._call_notify,
    sql.DoBlock: Answers._do_block,
    sql.Begin: Answers._begin,
    sql.Commit: Answers._commit_statement,
    sql.Rollback: Answers._rollback,
    sql.PrepareTransaction: Answers._prepare,
    sql.Savepoint: Answers._savepoint,
    sql.Release: Answers._release,
    sql.RollbackTo: Answers._rollback_to,
    sql.Deallocate: Answers._deallocate,
    sql.DeallocateAll: Answers._deallocate_all,
    sql.DiscardAll: Answers._discard_all,
    sql.ResetAll: Answers._reset_all,
    sql.SetAcknowledgement: Answers._set_acknowledgement,
    sql.ShowAcknowledgement: Answers._show_acknowledgement,
    sql.SignalBackend: Answers._signal,
}

_REACTIONS: dict[int, Callable[[Answers, bytes], Script | None]] = {
    **dict.fromkeys(b"123CITns", Answers._progress),
    ord("E"): Answers._error,
    ord("Z"): Answers._ready,
    ord("G"): Answers._copy_in,
    ord("S"): Answers._status,
    ord("A"): Answers._notification,
}
