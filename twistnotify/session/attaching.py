"""From a session that answers by itself to one with an upstream of its own.

The first statement that needs a database attaches. What the client did so far is said again to the upstream, so that
it stands where the client does: settings, prepared statements, the open transaction with what it has gathered, the
portals of an open pipeline.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from twistnotify.session.actions import Attach, Change, Replay
from twistnotify.session.attached import Attached, Relay
from twistnotify.session.expected import Run
from twistnotify.session.failure import SqlError
from twistnotify.session.lane import Script
from twistnotify.session.settings import NAMES, judge
from twistnotify.session.states import Status, Step
from twistnotify.session.substitution import substitute
from twistnotify.sql.quoting import notify_anyhow, quote_identifier, reset_statement, set_statement
from twistnotify.sql.statements import (
    Listen,
    Notify,
    Other,
    PrepareTransaction,
    ResetAll,
    SetParameter,
    ShowParameter,
    SignalBackend,
    Statement,
)
from twistnotify.wire.extended_query import STATEMENT, Bind, Close, Execute, Flush, Parse, Sync
from twistnotify.wire.session_status import ParameterStatus
from twistnotify.wire.simple_query import Query

if TYPE_CHECKING:
    from twistnotify.session.prepared import Portal, Prepared
    from twistnotify.session.session import Session

_SYNC = (b"Z",)
_RUN = (b"1", b"2", b"CIs")
_NOT_SETTINGS = frozenset(("user", "database", "replication"))
_DEPEND = frozenset((Other, PrepareTransaction, SetParameter, ShowParameter, SignalBackend))


def are_served(session: Session, statements: tuple[Statement, ...]) -> bool:
    """Tell whether statements can all be answered without an upstream."""
    return all(type(statement) not in _DEPEND or is_served(session, statement) for statement in statements)


def is_served(session: Session, statement: Statement) -> bool:
    """Tell whether a statement can be answered without an upstream."""
    match statement:
        case Other() | PrepareTransaction():
            return False
        case SetParameter(name, value, local):
            return not (local and not session.in_block) and (value is None or session.judge(name, value) is not None)
        case ShowParameter(name):
            return session.show(name) is not None
        case SignalBackend(_, pid):
            return session.relay is not None and session.relay.may_signal(session.user, pid)
    return True


def needs_judge(parameters: tuple[tuple[str, str], ...], told: dict[str, str], server_encoding: str) -> bool:
    """Tell whether one of the start-up parameters is beyond what we can judge."""
    for name, value in parameters:
        known = name.lower()
        if known in _NOT_SETTINGS or (known == "client_encoding" and server_encoding == "UTF8"):
            continue
        if known not in NAMES or judge(known, value, told.get(NAMES[known], ""), server_encoding) is None:
            return True
    return False


def attach(session: Session, relay: Relay, message: bytes) -> Script:
    """Attach, and go on with a message there; raises `SqlError` where that fails."""
    attached = Attached(session, relay)
    try:
        yield Attach(tuple(_replays(session, attached)))
    except SqlError:
        _forget_relayed(session)
        raise
    _report_differences(session, attached)
    _begin(session, attached, message)


def _forget_relayed(session: Session) -> None:
    """Forget a statement that an upstream may have refused: all that comes later would be refused with it."""
    unnamed = session.prepared.get(b"")
    if unnamed is not None and unnamed.is_relayed:
        del session.prepared[b""]


def attach_for_log_in(session: Session, relay: Relay) -> Script:
    """Attach while the client logs in: PostgreSQL is the judge of what it asks for there."""
    attached = Attached(session, relay)
    yield Attach(())
    attached.note_parameters(session.upstream_parameters)
    session.attached = attached


def _begin(session: Session, attached: Attached, message: bytes) -> None:
    session.attached = attached
    session.move(Step.ATTACHED)
    attached.in_pipeline, session.in_cycle = session.in_cycle, False
    attached.requests.stream.feed(message + session.take_buffered())


def _report_differences(session: Session, attached: Attached) -> None:
    """Tell the client of settings that the upstream has otherwise than it was told at its log-in."""
    told = session.variables.told
    for name, value in session.upstream_parameters.items():
        if told.get(name) != value:
            session.replies.append(ParameterStatus(name, value).encode(session.encoding.codec))
    attached.note_parameters(session.upstream_parameters)


def _replays(session: Session, attached: Attached) -> Iterator[Replay]:
    values = session.variables.values if session.has_variables else {}
    if values:
        yield _query(session, *(set_statement(name, value) for name, value in values.items()))
    yield from _named_statements(session, attached)
    transaction = session.transaction
    if transaction.status is Status.IMPLICIT:
        yield from (_pipelined(session, text) for text in _story(session, attached))
    elif transaction.status is not Status.IDLE:
        yield _query(session, transaction.begun, *_story(session, attached))
        if transaction.status is Status.FAILED:
            # A syntax error fails whatever the client has, a savepoint of any name for one.
            yield Replay(Query(b"twistnotify: failed before").encode(), _SYNC, fails=True)
    yield from _portals(session, attached)


def _query(session: Session, *statements: str) -> Replay:
    return Replay(Query(";\n".join(statements).encode(session.encoding.codec)).encode(), _SYNC)


def _pipelined(session: Session, text: str) -> Replay:
    frames = (Parse(b"", text.encode(session.encoding.codec), ()), Bind(b"", b"", (), (), ()), Execute(b"", 0), Flush())
    return Replay(b"".join(message.encode() for message in frames), _RUN)


def _story(session: Session, attached: Attached) -> Iterator[str]:
    """Iterate over what the open transaction has done so far, as far as the upstream has to know."""
    for step in session.transaction.story():
        if isinstance(step, str):
            yield f"SAVEPOINT {quote_identifier(step)}"
        else:
            text = _change(attached, step)
            if text is not None:
                yield text


def _change(attached: Attached, change: Change) -> str | None:
    match change:
        case SetParameter(name, None):
            return reset_statement(name)
        case SetParameter(name, value, local):
            return set_statement(name, value or "", local)
        case ResetAll():
            return "RESET ALL"
        case Notify(channel, payload) if attached.relays(channel):
            attached.requests.spoken = True
            attached.answers.replayed[id(change)] = change
            return notify_anyhow(channel, payload)
        case Listen(channel):
            attached.foresee(channel)
            attached.requests.spoken = True
    return None


def _named_statements(session: Session, attached: Attached) -> Iterator[Replay]:
    named = {name: prepared for name, prepared in session.prepared.items() if name}
    if named:
        frames = [_parse(session, attached, name, prepared) for name, prepared in named.items()]
        yield Replay(b"".join(frames) + Sync().encode(), (b"1",) * len(frames) + _SYNC)


def _portals(session: Session, attached: Attached) -> Iterator[Replay]:
    """Iterate over what of a pipeline is open: the portals that have not run, and the unnamed statement."""
    frames: list[bytes] = []
    ends: list[bytes] = []
    for name, portal in session.portals.items():
        if not portal.has_run:
            # The statement it was made of may be gone by now.
            frames += (_parse(session, attached, b"", portal.prepared), _bind(name, portal))
            ends += (b"1", b"2")
            if portal.prepared.statement is not None:
                attached.names.portals[name] = Run(portal.prepared.statement, portal.arguments)
    unnamed = session.prepared.get(b"")
    if unnamed is not None and session.transaction.status is not Status.FAILED:
        frames.append(_parse(session, attached, b"", unnamed))
        ends.append(b"1")
    elif frames:
        attached.names.statements.pop(b"", None)
        frames.append(Close(STATEMENT, b"").encode())
        ends.append(b"3")
    if frames:
        yield Replay(b"".join(frames) + Flush().encode(), tuple(ends))


def _bind(name: bytes, portal: Portal) -> bytes:
    """Return the Bind of a portal, from the unnamed statement."""
    return replace(Bind.decode(portal.message), portal=name, statement=b"").encode()


def _parse(session: Session, attached: Attached, name: bytes, prepared: Prepared) -> bytes:
    """Return the Parse of a statement, or of its stand-in, and have the statement remembered."""
    message, statement = Parse.decode(prepared.message), prepared.statement
    attached.names.statements.pop(name, None)
    sql = message.sql
    if statement is not None:
        attached.names.statements[name] = statement
        stand_in = substitute(attached, statement)
        sql = sql if stand_in is None else stand_in.encode(session.encoding.codec, "replace")
    return replace(message, name=name, sql=sql).encode()
