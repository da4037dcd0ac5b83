"""The extended protocol's messages: what each does to a session (manual, "Extended Query").

What raises `SqlError` here fails the pipeline: the session answers it and skips to Sync.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING

from twistnotify.session.actions import Action
from twistnotify.session.expected import BIND, CALL, DESCRIBE, PARSE
from twistnotify.session.failure import SqlError, error
from twistnotify.session.prepared import MAX_PREPARED, Portal, Prepared, bind, check_counts, check_length, prepare
from twistnotify.session.results import tag_of
from twistnotify.session.states import ABORTED, Status
from twistnotify.sql.statements import Commit, DiscardAll, PrepareTransaction, Rollback, RollbackTo, Statement
from twistnotify.wire.extended_query import (
    STATEMENT,
    Bind,
    BindComplete,
    Close,
    CloseComplete,
    Describe,
    Execute,
    NoData,
    ParameterDescription,
    Parse,
    ParseComplete,
    PortalSuspended,
)
from twistnotify.wire.simple_query import CommandComplete, EmptyQueryResponse

if TYPE_CHECKING:
    from twistnotify.session.session import Session

Script = Generator[Action, None, None]

_ENDS_A_FAILED_BLOCK = (Commit, Rollback, RollbackTo, PrepareTransaction)


def _parse(session: Session, body: bytes) -> Script | None:
    session.begin_cycle()
    message = Parse.decode(body)
    check_length(message.name, body)
    if not message.name:
        session.prepared.pop(b"", None)
    statements = session.read_or_relay(message.sql)
    if statements is None:
        return session.attach_in_pipeline(PARSE, body)
    if len(statements) > 1:
        raise error("42601", "cannot insert multiple commands into a prepared statement")
    for statement in statements:
        _refuse_in_failed_block(session, statement)
    prepared = prepare(statements[0] if statements else None, message, body)
    if message.name in session.prepared:
        raise error("42P05", f'prepared statement "{_shown(session, message.name)}" already exists')
    if len(session.prepared) >= MAX_PREPARED:
        raise error("53400", "too many prepared statements")
    session.prepared[message.name] = prepared
    session.replies.append(ParseComplete().encode())
    return None


def _bind(session: Session, body: bytes) -> Script | None:
    session.begin_cycle()
    message = Bind.decode(body)
    check_length(message.portal, body)
    prepared = _prepared(session, message.statement)
    if prepared.is_relayed:
        return _go_on_upstream(session, prepared, BIND, body)
    check_counts(prepared, message, session.encoding)
    _refuse_in_failed_block(session, prepared.statement)
    if message.portal and message.portal in session.portals:
        raise error("42P03", f'cursor "{_shown(session, message.portal)}" already exists')
    if len(session.portals) >= MAX_PREPARED:
        raise error("53400", "too many portals")
    portal = bind(prepared, message, session.encoding)
    portal.message = body
    session.portals[message.portal] = portal
    session.replies.append(BindComplete().encode())
    return None


def _describe(session: Session, body: bytes) -> Script | None:
    session.begin_cycle()
    message = Describe.decode(body)
    format_ = 0
    if message.kind == STATEMENT:
        prepared = _prepared(session, message.name)
        if prepared.is_relayed:
            return _go_on_upstream(session, prepared, DESCRIBE, body)
    else:
        portal = _portal(session, message.name)
        prepared, format_ = portal.prepared, portal.format
    column = prepared.column
    if column is not None:
        _refuse_in_failed_block(session, prepared.statement)
    if message.kind == STATEMENT:
        session.replies.append(ParameterDescription(prepared.types).encode())
    described = NoData() if column is None else column.describe(format_)
    session.replies.append(described.encode(session.encoding.codec))
    return None


def _go_on_upstream(session: Session, prepared: Prepared, type_: int, body: bytes) -> Script:
    _refuse_in_failed_block(session, prepared.statement)
    return session.attach_in_pipeline(type_, body)


def _execute(session: Session, body: bytes) -> Script | None:
    session.begin_cycle()
    message = Execute.decode(body)
    portal = _portal(session, message.portal)
    if portal.prepared.statement is None:
        session.replies.append(EmptyQueryResponse().encode())
        return None
    _refuse_in_failed_block(session, portal.prepared.statement)
    if portal.has_run and portal.rows is None:
        raise error("55000", f'portal "{_shown(session, message.portal)}" cannot be run')
    return _run(session, portal, message.max_rows)


def _run(session: Session, portal: Portal, max_rows: int) -> Script:
    assert portal.prepared.statement is not None
    try:
        if not portal.has_run:
            portal.has_run = True
            result = yield from session.perform(portal.prepared.statement, portal.arguments, alone=True)
            portal.rows, portal.tag = result.rows, result.tag
            if isinstance(portal.prepared.statement, DiscardAll):
                # As PostgreSQL does: it is done, whatever comes before Sync.
                yield from session.end_transaction()
    except SqlError as failure:
        yield from session.fail_pipeline(failure)
        return
    _answer(session, portal, max_rows)


def _answer(session: Session, portal: Portal, max_rows: int) -> None:
    column, rows = portal.prepared.column, portal.rows
    if column is None or rows is None:
        session.replies.append(CommandComplete(portal.tag).encode())
        return
    sent = rows if max_rows <= 0 else rows[:max_rows]
    portal.rows = rows[len(sent) :]
    session.replies += [column.row(value, portal.format, session.encoding.codec).encode() for value in sent]
    if 0 < max_rows == len(sent):
        session.replies.append(PortalSuspended().encode())
    else:
        session.replies.append(CommandComplete(tag_of(portal.tag, len(sent))).encode())


def _close(session: Session, body: bytes) -> None:
    session.begin_cycle()
    message = Close.decode(body)
    held: dict[bytes, Prepared] | dict[bytes, Portal]
    held = session.prepared if message.kind == STATEMENT else session.portals
    held.pop(message.name, None)
    session.replies.append(CloseComplete().encode())


def _flush(_: Session, __: bytes) -> None:
    """Replies never wait here."""


def _sync(session: Session, _: bytes) -> Script:
    return session.synchronize()


def _terminate(session: Session, _: bytes) -> Script:
    return session.terminate()


def _copy(_: Session, __: bytes) -> None:
    """COPY messages outside COPY are passed over: a client may have sent them before it heard of an error."""


def _function_call(session: Session, body: bytes) -> Script:
    if session.relay is not None:
        failed = session.transaction.status is Status.FAILED
        return session.fail_query(SqlError(ABORTED)) if failed else session.attach_for(CALL, body)
    return session.fail_query(
        error("0A000", "the function call protocol is not served here", "Use SELECT pg_notify().")
    )


def _prepared(session: Session, name: bytes) -> Prepared:
    prepared = session.prepared.get(name)
    if prepared is None:
        shown = f'prepared statement "{_shown(session, name)}"' if name else "unnamed prepared statement"
        raise error("26000", f"{shown} does not exist")
    return prepared


def _portal(session: Session, name: bytes) -> Portal:
    portal = session.portals.get(name)
    if portal is None:
        raise error("34000", f'portal "{_shown(session, name)}" does not exist')
    return portal


def _refuse_in_failed_block(session: Session, statement: Statement | None) -> None:
    if session.transaction.status is Status.FAILED and not isinstance(statement, _ENDS_A_FAILED_BLOCK):
        raise SqlError(ABORTED)


def _shown(session: Session, name: bytes) -> str:
    return name.decode(session.encoding.codec, "replace")


REACTIONS: dict[int, Callable[[Session, bytes], Script | None]] = {
    ord("P"): _parse,
    ord("B"): _bind,
    ord("D"): _describe,
    ord("E"): _execute,
    ord("C"): _close,
    ord("H"): _flush,
    ord("S"): _sync,
    ord("X"): _terminate,
    ord("F"): _function_call,
    ord("d"): _copy,
    ord("c"): _copy,
    ord("f"): _copy,
}
