"""One client's conversation: bytes in, replies and actions out, no I/O.

The caller feeds what arrives (`receive_data`) and asks for the next action until there is none (`next_action`); it
carries each out before it asks again, and throws back what failed (`fail`). What is to be written gathers in
`replies`.

Each message that is more than a line of work is a *script*, a generator that yields actions: a query that has to
wait in its middle reads from top to bottom. Every error ends up in `_failed`, and every end of a command in `_ready`.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from twistnotify.auth.rights import UserRights
from twistnotify.auth.secrets import Credentials
from twistnotify.session import attaching, extended
from twistnotify.session.actions import Action, Change, Close, Commit, Effect, GiveUp, Ready, Recode, Reserve, Signal
from twistnotify.session.attached import Attached, Relay
from twistnotify.session.authentication import MAX_AUTHENTICATION_MESSAGE
from twistnotify.session.encodings import Encoding, client_encoding, decode, server_codec
from twistnotify.session.execution import (
    ACKNOWLEDGEMENTS,
    MAX_LISTINGS,
    Arguments,
    check_name,
    check_notification,
    column_of,
    execute,
    may_listen,
    refuse_many_listings,
    refuse_parameters,
)
from twistnotify.session.failure import SqlError, error, fatal
from twistnotify.session.lane import MORE_DATA, Script
from twistnotify.session.login import Admission, log_in
from twistnotify.session.prepared import Portal, Prepared
from twistnotify.session.results import Result, tag_of
from twistnotify.session.settings import judge
from twistnotify.session.states import CONNECTION, Event, Fate, Phase, Status, Step
from twistnotify.session.transaction import Transaction
from twistnotify.session.variables import Variables
from twistnotify.sql.grammar import first_word
from twistnotify.sql.parse import parse
from twistnotify.sql.statements import (
    Begin,
    Listen,
    Notify,
    PrepareTransaction,
    Release,
    Rollback,
    RollbackTo,
    Savepoint,
    SignalBackend,
    SqlSyntaxError,
    Statement,
    Unlisten,
)
from twistnotify.sql.statements import (
    Commit as CommitStatement,
)
from twistnotify.wire.body import frame
from twistnotify.wire.errors import ErrorFields, ErrorResponse, NoticeResponse
from twistnotify.wire.framing import FrameBuffer
from twistnotify.wire.session_status import ReadyForQuery
from twistnotify.wire.simple_query import CommandComplete, EmptyQueryResponse, query_text
from twistnotify.wire.violations import MessageTooLong, ProtocolViolation

Outcome = Generator[Action, None, Result]

TransactionStatement = Begin | CommitStatement | Rollback | Savepoint | Release | RollbackTo | PrepareTransaction

_NONE: Mapping[str, str] = MappingProxyType({})
READY = Ready()
QUERY = ord("Q")
_NAMING = (Listen, Unlisten, Notify)
_ANSWERED_BY_READY = frozenset(b"QF")
_NEVER_SKIPPED = frozenset(b"SX")
_OURS = frozenset(("LISTEN", "NOTIFY", "UNLISTEN"))
"""First words of statements whose syntax errors are ours to tell; of others, the upstream's."""
_READY_FOR_QUERY: dict[Status, bytes] = {
    status: ReadyForQuery(status.value).encode() for status in (Status.IDLE, Status.BLOCK, Status.FAILED)
}
_LISTENING = CommandComplete("LISTEN").encode()
_NOTIFIED = CommandComplete("NOTIFY").encode()
_NOTIFIED_AND_READY = _NOTIFIED + _READY_FOR_QUERY[Status.IDLE]
"""The answer to the commonest command."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The bounds of a session.

    Bytes of one message that is read, channels a client may listen to, bytes of one message that passes.
    """

    message: int
    channels: int
    packet: int = 1 << 30


class Session:
    """The state of one client's conversation."""

    __slots__ = (
        "_acknowledgements",
        "_answer",
        "_buffer",
        "_script",
        "_status",
        "_thrown",
        "_variables",
        "admission",
        "attached",
        "channels",
        "credentials",
        "encoding",
        "in_cycle",
        "limits",
        "listen_ack",
        "notify_ack",
        "phase",
        "pid",
        "portals",
        "prepared",
        "relay",
        "replies",
        "reserved",
        "rights",
        "server_codec",
        "server_encoding",
        "startup_parameters",
        "transaction",
        "upstream_parameters",
        "user",
    )

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._buffer = FrameBuffer(MAX_AUTHENTICATION_MESSAGE)
        self._script: Script | None = log_in(self)
        self._thrown: SqlError | None = None
        self.reserved = False
        self._status = b""
        self._variables: Variables | None = None
        self.in_cycle = False
        self.relay: Relay | None = None
        self.attached: Attached | None = None
        self.upstream_parameters: Mapping[str, str] = _NONE
        self.user = ""
        self.credentials: Credentials | None = None
        self.rights: UserRights | None = None
        self._answer: Any = None
        self.phase = Phase.STARTUP
        self.transaction = Transaction()
        self.replies: list[bytes] = []
        self.channels: dict[str, None] = {}
        self.prepared: dict[bytes, Prepared] = {}
        self.portals: dict[bytes, Portal] = {}
        self.encoding = Encoding("UTF8", "utf-8")
        self.server_encoding, self.server_codec = "UTF8", "utf-8"
        self.startup_parameters: tuple[tuple[str, str], ...] = ()
        self.admission: Admission | None = None
        self.pid = 0
        self._acknowledgements = ("immediate", "immediate")
        self.listen_ack, self.notify_ack = self._acknowledgements

    # The caller's side

    def receive_data(self, data: bytes) -> None:
        """Take in what has arrived."""
        if self.phase is not Phase.CLOSED:
            self._buffer.feed(data)

    def next_action(self) -> Action | None:
        """Go on until something is to be done; None where more data is needed, or nothing will ever come."""
        while True:
            script, thrown = self._script, self._thrown
            if script is None:
                if not self._next_message():
                    return None
                continue
            self._thrown = None
            try:
                action = next(script) if thrown is None else script.throw(thrown)
            except StopIteration:
                self._script = None
            else:
                return None if action is MORE_DATA else action

    def fail(self, fields: ErrorFields) -> None:
        """Have the action that was asked for last fail."""
        self._thrown = SqlError(fields)

    def admit(self, admission: Admission) -> None:
        """Answer `Admit`."""
        self.admission = admission
        self.rights = admission.rights

    def answer_with(self, answer: object) -> None:
        """Answer an action that says so of itself."""
        self._answer = answer

    def revoke(self, rights: UserRights | None) -> None:
        """Take on other rights: what the client must not listen to any more it does not."""
        self.rights = rights
        self.listen_to(self.channels)

    def listen_to(self, channels: dict[str, None]) -> None:
        """Note what the client listens to now; rights may have changed while a commit was waited for."""
        if self.rights is not None:
            channels = {name: None for name in channels if may_listen(self.rights, name)}
        self.channels = channels

    def attach(self, parameters: Mapping[str, str]) -> None:
        """Answer `Attach` with what the upstream reports of its settings."""
        self.upstream_parameters = parameters

    def detach(self, prepared: dict[bytes, Prepared]) -> None:
        """Answer by itself again: of the upstream session nothing is worth keeping but these prepared statements."""
        self.attached = None
        self.prepared, self.portals = prepared, {}
        self.move(Step.DETACHED)

    def abandon(self) -> None:
        """Look at nothing more that arrives, and leave what is under way unfinished: the connection is ended."""
        self.move(Step.ENDED)
        self._script = None

    @property
    def idle(self) -> bool:
        """Tell whether notifications may be sent at any time: no transaction, and no command under way."""
        return (
            self._script is None
            and not self.in_cycle
            and self.phase is Phase.COMMANDS
            and self.transaction.status is Status.IDLE
        )

    @property
    def buffered(self) -> int:
        """Bytes that have arrived and are not worked off."""
        return len(self._buffer)

    # What the scripts share

    @property
    def in_block(self) -> bool:
        """Tell whether the client has begun a transaction."""
        return self.transaction.status in (Status.BLOCK, Status.FAILED)

    def move(self, step: Step) -> None:
        """Go on to the next phase by the table."""
        self.phase = CONNECTION[self.phase, step]

    def take_answer(self) -> Any:
        """Return what the action that was asked for last has been answered with, once."""
        answer, self._answer = self._answer, None
        return answer

    def frame(self) -> Generator[Action, None, tuple[int, bytes]]:
        """Wait for a frame; raises MessageTooLong and ProtocolViolation."""
        while (frame := self._buffer.next_frame()) is None:
            yield MORE_DATA
        return frame

    def startup_packet(self) -> Generator[Action, None, bytes]:
        """Wait for a start-up packet."""
        while (packet := self._buffer.next_startup_packet()) is None:
            yield MORE_DATA
        return packet

    def welcome(self, admission: Admission) -> None:
        """Begin to take commands."""
        self.admission = None
        self.pid = admission.pid
        self._status = admission.status
        self.server_encoding = admission.server_encoding
        self.server_codec = server_codec(admission.server_encoding)
        self._acknowledgements = admission.acknowledgements
        self.reset_acknowledgements()
        if self.relay is None:
            self.credentials = None
        self._buffer.bound(self.limits.message)
        self._buffer.skips = self.relay is None
        self.move(Step.ADMITTED if self.attached is None else Step.ATTACHED)
        if self.attached is not None:
            self.attached.requests.stream.feed(self.take_buffered())
        self.replies.append(_READY_FOR_QUERY[Status.IDLE])

    def reset_acknowledgements(self, *names: str) -> None:
        """Set the ways of acknowledgement, or those named, to what is configured."""
        for name, value in zip(ACKNOWLEDGEMENTS, self._acknowledgements, strict=True):
            if not names or name in names:
                setattr(self, name, value)

    def read_or_relay(self, sql: bytes) -> tuple[Statement, ...] | None:
        """Return the statements of a text, and tell of names that are cut; None where the upstream is to have it.

        Raises `SqlError`.
        """
        text = decode(sql, self.encoding)
        try:
            statements = parse(text)
        except SqlSyntaxError as failure:
            if self._may_attach and first_word(text) not in _OURS:
                return None
            raise error(failure.sqlstate, failure.message, position=failure.position) from None
        if len(statements) == 1 and type(statements[0]) is Notify and statements[0].truncated is None:
            return statements
        if self.relay is not None and self._exceeds(statements):
            return None
        for statement in statements:
            if isinstance(statement, _NAMING):
                self.tell_truncated(statement)
        return statements

    def _exceeds(self, statements: tuple[Statement, ...]) -> bool:
        """Tell whether statements need an upstream."""
        if self.transaction.status is Status.FAILED and not (
            len(statements) > 1 and isinstance(statements[0], TransactionStatement)
        ):
            return False
        return not attaching.are_served(self, statements)

    @property
    def _may_attach(self) -> bool:
        """Tell whether a statement could go to an upstream: in a failed transaction it is refused right here."""
        return self.relay is not None and self.transaction.status is not Status.FAILED

    def attach_for(self, type_: int, body: bytes) -> Script:
        """Attach for a message that ReadyForQuery answers, and go on there."""
        try:
            yield from self._attach(frame(type_, body))
        except SqlError as failure:
            yield from self.fail_query(failure)

    def attach_in_pipeline(self, type_: int, body: bytes) -> Script:
        """Attach for a message of the extended protocol, and go on there."""
        try:
            yield from self._attach(frame(type_, body))
        except SqlError as failure:
            yield from self.fail_pipeline(failure)

    def _attach(self, message: bytes) -> Script:
        assert self.relay is not None
        return attaching.attach(self, self.relay, message)

    def take_buffered(self) -> bytes:
        """Take out everything that has arrived and is not worked off."""
        return self._buffer.take()

    # Settings

    @property
    def variables(self) -> Variables:
        """The session's settings; most clients never ask for them."""
        if self._variables is None:
            self._variables = Variables(self._status, self.startup_parameters)
        return self._variables

    @property
    def has_variables(self) -> bool:
        """Tell whether the session's settings have ever been asked for."""
        return self._variables is not None

    def show(self, name: str) -> str | None:
        """Return what SHOW shows; None where only PostgreSQL knows."""
        return self.variables.show(name, self.transaction.effects)

    def judge(self, name: str, value: str) -> str | None:
        """Return what SHOW shows after a SET; None where only PostgreSQL can tell."""
        return judge(name, value, self.show(name) or "", self.server_encoding)

    def _report_settings(self) -> Script:
        """Tell the client of settings that have changed."""
        failed = self.transaction.status is Status.FAILED
        for status in self.variables.news(() if failed else self.transaction.effects):
            if status.name == "client_encoding":
                self.encoding = client_encoding(status.value)
                yield Recode()
            self.replies.append(status.encode(self.encoding.codec))

    def tell_truncated(self, statement: Listen | Unlisten | Notify) -> None:
        """Tell of a name that is cut, if it is."""
        if statement.truncated is not None:
            cut = f'identifier "{statement.truncated}" will be truncated to "{statement.channel}"'
            self.notice(ErrorFields("NOTICE", "42622", cut))

    def notice(self, fields: ErrorFields) -> None:
        """Send a NoticeResponse."""
        self.replies.append(NoticeResponse(fields).encode(self.encoding.codec))

    def forget_prepared(self) -> None:
        """Forget all prepared statements that have a name."""
        self.prepared = {name: prepared for name, prepared in self.prepared.items() if not name}

    def close_portals(self) -> None:
        """Close all portals."""
        self.portals = {}

    def deallocate(self, name: str) -> bool:
        """Forget a prepared statement; False where there is none of this name."""
        return self.prepared.pop(name.encode(self.encoding.codec, "replace"), None) is not None

    def begin_cycle(self) -> None:
        """Note that a message of the extended protocol has come: nothing is sent in between until Sync."""
        self.in_cycle = True

    def die(self, failure: SqlError) -> Script:
        """Tell the client of a FATAL error and end the connection."""
        self.replies.append(ErrorResponse(failure.fields).encode(self.encoding.codec))
        yield self.end("protocol" if failure.fields.sqlstate == "08P01" else "login")

    def end(self, reason: str) -> Close:
        """Look at nothing more that arrives."""
        self.move(Step.ENDED)
        return Close(reason)

    # One message

    def _next_message(self) -> bool:
        """Begin with the next message; False where there is none yet."""
        if self.phase is Phase.CLOSED:
            return False
        try:
            frame = self._buffer.next_frame()
            if frame is None:
                return False
            type_, body = frame
            if self.phase is Phase.COMMANDS:
                self._script = self._query(body) if type_ == QUERY else self._react(type_, body)
            elif type_ in _NEVER_SKIPPED or type_ not in _KNOWN:
                self._script = self._react(type_, body)
        except MessageTooLong as violation:
            self._script = self._too_long(violation)
        except ProtocolViolation as violation:
            self._script = self.die(fatal(violation.sqlstate, violation.message))
        return True

    def _react(self, type_: int, body: bytes) -> Script | None:
        react = _REACTIONS.get(type_)
        if react is None:
            raise ProtocolViolation(f"invalid frontend message type {type_}")
        try:
            return react(self, body)
        except ProtocolViolation as violation:
            return self.fail_pipeline(error(violation.sqlstate, violation.message))
        except SqlError as failure:
            return self.fail_pipeline(failure)

    def _too_long(self, violation: MessageTooLong) -> Script | None:
        if violation.type not in _KNOWN:
            return self.die(fatal(violation.sqlstate, f"invalid frontend message type {violation.type}"))
        if not self._buffer.skips:
            if self.phase is Phase.COMMANDS and self._may_attach:
                return self._relay_too_long(violation)
            self._buffer.skip_frame()
        if self.phase is Phase.SKIPPING:
            return None
        failure = error("54000", f"message of {violation.length} bytes is longer than max_listen_query_size")
        if violation.type in _ANSWERED_BY_READY:
            return self.fail_query(failure)
        return self.fail_pipeline(failure)

    def _relay_too_long(self, violation: MessageTooLong) -> Script:
        """Attach for a message that is too long to be read, and leave it where it is."""
        try:
            yield from self._attach(b"")
        except SqlError as failure:
            self._buffer.skip_frame()
            failed = self.fail_query if violation.type in _ANSWERED_BY_READY else self.fail_pipeline
            yield from failed(failure)

    # Simple query

    def _query(self, body: bytes) -> Script:
        """Begin a simple query; the commonest needs no more than its commit."""
        self.prepared.pop(b"", None)
        try:
            statements = self.read_or_relay(query_text(body))
        except ProtocolViolation as violation:
            return self.fail_query(error(violation.sqlstate, violation.message))
        except SqlError as failure:
            return self.fail_query(failure)
        if statements is None:
            return self.attach_for(QUERY, body)
        if len(statements) > MAX_LISTINGS:
            try:
                refuse_many_listings(statements)
            except SqlError as failure:
                return self.fail_query(failure)
        if len(statements) == 1 and self.idle:
            statement = statements[0]
            if isinstance(statement, Notify):
                return self._notify_alone(statement)
            if isinstance(statement, Listen):
                return self._listen_alone(statement)
        return self._run_query(statements)

    def _notify_alone(self, notify: Notify) -> Script:
        """NOTIFY on its own, outside a transaction: `_run_query` cut down to what is left of it."""
        try:
            check_notification(self, notify.channel, notify.payload)
            yield Commit((notify,))
        except SqlError as failure:
            yield from self.fail_query(failure)
            return
        if self.channels:
            self.replies.append(_NOTIFIED)
            yield from self._ready()
        else:
            self.replies.append(_NOTIFIED_AND_READY)

    def _listen_alone(self, listen: Listen) -> Script:
        """LISTEN on its own, likewise."""
        try:
            check_name(self, listen.channel)
            channels = self.channels_after((listen,))
            yield Commit((listen,))
            self.listen_to(channels)
        except SqlError as failure:
            yield from self.fail_query(failure)
            return
        self.replies.append(_LISTENING)
        yield from self._ready()

    def _run_query(self, statements: tuple[Statement, ...]) -> Script:
        try:
            if not statements:
                yield from self.end_transaction()
                self.replies.append(EmptyQueryResponse().encode())
            else:
                # Each runs in the unnamed portal.
                self.portals.pop(b"", None)
            for number, statement in enumerate(statements, 1):
                yield from self._run_statement(statement, len(statements), number)
        except SqlError as failure:
            yield from self._failed(failure)
        self.in_cycle = False
        yield from self._ready()

    def _run_statement(self, statement: Statement, count: int, number: int) -> Script:
        """Run one statement of a query string; the last one's tag waits for the commit."""
        column = column_of(statement)
        if column is not None and self.transaction.status is not Status.FAILED:
            refuse_parameters(statement)
            self.replies.append(column.describe().encode(self.encoding.codec))
        result = yield from self.perform(statement, (), alone=count == 1)
        tag = result.tag
        if column is not None and result.rows is not None:
            rows = [column.row(value, 0, self.encoding.codec).encode() for value in result.rows]
            self.replies += rows
            tag = tag_of(result.tag, len(rows))
        if number == count:
            yield from self.end_transaction()
        self.replies.append(CommandComplete(tag).encode())

    def fail_query(self, failure: SqlError) -> Script:
        """Fail a message that ReadyForQuery answers."""
        yield from self._failed(failure)
        self.in_cycle = False
        yield from self._ready()

    def _ready(self) -> Script:
        """End a command: what is due to the client comes before ReadyForQuery."""
        status = self.transaction.status
        if self._variables is not None:
            yield from self._report_settings()
        if self.channels and status is Status.IDLE:
            yield READY
        self.replies.append(_READY_FOR_QUERY[status])

    # Statements and transactions

    def perform(self, statement: Statement, arguments: Arguments, alone: bool) -> Outcome:
        """Carry out a statement; raises `SqlError`."""
        if isinstance(statement, TransactionStatement):
            return (yield from self._control(statement))
        pipelined = self.transaction.status is Status.IMPLICIT
        self.transaction.happen(Event.STATEMENT)
        before = len(self.transaction.effects)
        result = execute(self, statement, arguments, alone, pipelined)
        if isinstance(statement, SignalBackend):
            yield Signal(statement.function, statement.pid)
        if self.transaction.status is Status.BLOCK:
            for effect in self.transaction.effects[before:]:
                if isinstance(effect, Listen):
                    self.reserved = True
                    yield Reserve(effect.channel)
        return result

    def _control(self, statement: TransactionStatement) -> Outcome:
        event, tag = _event_of(statement)
        transition = self.transaction.happen(event)
        match statement:
            case Begin(_, text) if transition.told is None:
                self.transaction.begin(text)
            case CommitStatement(True) | Rollback(True):
                self.transaction.chain()
            case Savepoint(name):
                self.transaction.savepoint(name)
            case Release(name):
                self.transaction.release(name)
            case RollbackTo(name):
                self.transaction.rollback_to(name)
        if transition.told is not None:
            self.notice(transition.told)
        yield from self._meet(transition.fate)
        return Result(transition.tag or tag)

    def end_transaction(self) -> Script:
        """End an implicit transaction: commit what was gathered."""
        yield from self._meet(self.transaction.happen(Event.END).fate)

    def _meet(self, fate: Fate) -> Script:
        if fate is not Fate.KEEP:
            self.close_portals()
        if fate is Fate.COMMIT:
            changes = self.transaction.take()
            if changes:
                yield from self._commit(changes)
        if fate is not Fate.KEEP and self.reserved:
            self.reserved = False
            yield GiveUp()

    def _commit(self, changes: tuple[Change, ...]) -> Script:
        effects = tuple([change for change in changes if isinstance(change, _NAMING)])
        try:
            if effects:
                channels = self.channels_after(effects)
                self.reserved = False
                yield Commit(effects)
                self.listen_to(channels)
        except SqlError:
            self.transaction.happen(Event.COMMIT_FAILED)
            raise
        if self._variables is not None:
            self._variables.commit(changes)

    def channels_after(self, effects: tuple[Effect, ...]) -> dict[str, None]:
        """Return what the client will listen to; raises 53400 for too much."""
        if all(isinstance(effect, Notify) for effect in effects):
            return self.channels
        channels = dict(self.channels)
        for effect in effects:
            if isinstance(effect, Listen):
                channels[effect.channel] = None
            elif isinstance(effect, Unlisten):
                _unlisten(channels, effect.channel)
        if len(channels) > self.limits.channels:
            raise error("53400", "too many channels for one client", "See max_channels_per_client.")
        return channels

    def fail_pipeline(self, failure: SqlError) -> Script:
        """Fail a message of the extended protocol: what follows is skipped up to Sync."""
        yield from self._failed(failure)
        self.move(Step.FAILED_IN_PIPELINE)

    def _failed(self, failure: SqlError) -> Script:
        self.replies.append(ErrorResponse(failure.fields).encode(self.encoding.codec))
        for portal in self.portals.values():
            portal.fail()
        yield from self._meet(self.transaction.happen(Event.ERROR).fate)

    def synchronize(self) -> Script:
        """Answer Sync: commit, and take up where an error left off."""
        self.move(Step.SYNC)
        try:
            yield from self.end_transaction()
        except SqlError as failure:
            yield from self._failed(failure)
        self.in_cycle = False
        yield from self._ready()

    def terminate(self) -> Script:
        """End the connection as the client wishes."""
        yield self.end("client")


def _unlisten(channels: dict[str, None], channel: str | None) -> None:
    if channel is None:
        channels.clear()
    else:
        channels.pop(channel, None)


def _event_of(statement: TransactionStatement) -> tuple[Event, str]:
    """Return the event a transaction statement is, and its tag."""
    match statement:
        case Begin(tag):
            return Event.BEGIN, tag
        case CommitStatement(chain):
            return (Event.COMMIT_AND_CHAIN if chain else Event.COMMIT), "COMMIT"
        case Rollback(chain):
            return (Event.ROLLBACK_AND_CHAIN if chain else Event.ROLLBACK), "ROLLBACK"
        case Savepoint():
            return Event.SAVEPOINT, "SAVEPOINT"
        case Release():
            return Event.RELEASE, "RELEASE"
        case PrepareTransaction():
            return Event.PREPARE, "PREPARE TRANSACTION"
    return Event.ROLLBACK_TO, "ROLLBACK"


_REACTIONS: dict[int, Callable[[Session, bytes], Script | None]] = extended.REACTIONS
_KNOWN = frozenset((QUERY, *_REACTIONS))
