"""What is sent to the upstream in the place of a statement that is served here.

An upstream session is PostgreSQL's own: order, errors, transactions, what is skipped after an error. So a statement
that is served here still takes its part in it, by a stand-in that has the same kind of answer and no effect:

    LISTEN                          UNLISTEN of a channel that nobody can listen to
    NOTIFY of another shard         the same
    pg_notify() of another shard    a SELECT that calls it only for what it would refuse
    what is known here only         a SELECT of the value
    what is refused here            a DO block that raises the error

The tag of the answer is put right where it passes. A NOTIFY to a channel of the upstream's own shard needs no
stand-in: there it is atomic with its transaction.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twistnotify.pubsub.routing import GAP_CHANNEL
from twistnotify.session.execution import ACKNOWLEDGEMENTS, check_notification, check_right_to_listen, denied
from twistnotify.session.failure import SqlError, error
from twistnotify.session.states import Status
from twistnotify.sql import standins
from twistnotify.sql.statements import (
    BackendPid,
    CallNotify,
    DoBlock,
    Listen,
    ListeningChannels,
    Notify,
    PrepareTransaction,
    SetAcknowledgement,
    ShowAcknowledgement,
    SignalBackend,
    Statement,
)

if TYPE_CHECKING:
    from twistnotify.session.attached import Attached

STAND_IN = standins.unlisten_statement(GAP_CHANNEL)
"""Nobody LISTENs to this channel at PostgreSQL. UNLISTEN is refused where LISTEN and NOTIFY are: in failed blocks."""


def substitute(attached: Attached, statement: Statement) -> str | None:
    """Return what goes upstream in a statement's place, None for the statement as it is."""
    try:
        return _stand_in(attached, statement)
    except SqlError as failure:
        fields = failure.fields
        return standins.raise_error(fields.sqlstate, fields.message, fields.hint)


def _stand_in(attached: Attached, statement: Statement) -> str | None:
    row = _ROWS.get(type(statement))
    return None if row is None else row(attached, statement)


def _listen(attached: Attached, statement: Listen) -> str:
    check_right_to_listen(attached.session.rights, statement.channel)
    attached.refuse_more_channels(statement.channel)
    return STAND_IN


def _notify(attached: Attached, statement: Notify) -> str | None:
    _check_right_to_notify(attached, statement.channel)
    if attached.relays(statement.channel) or _is_refused(attached, statement):
        return None
    return STAND_IN


def _check_right_to_notify(attached: Attached, channel: str) -> None:
    """Refuse what is for us to refuse; what is wrong with a name is for the upstream to tell."""
    rights = attached.session.rights
    if channel == GAP_CHANNEL:
        check_notification(attached.session, channel, "")
    elif rights is not None and not rights.may_notify(channel):
        raise denied(channel)


def _is_refused(attached: Attached, statement: Notify) -> bool:
    """Tell whether PostgreSQL refuses a NOTIFY: then it may as well do so."""
    try:
        check_notification(attached.session, statement.channel, statement.payload)
    except SqlError:
        return True
    return False


def _call_notify(attached: Attached, statement: CallNotify) -> str | None:
    channel = statement.channel if isinstance(statement.channel, str) else None
    if channel:
        _check_right_to_notify(attached, channel)
    if attached.relays(channel):
        return None
    return standins.select_checked_notify(statement.channel, statement.payload, statement.column)


def _do_block(attached: Attached, statement: DoBlock) -> str | None:
    pairs = [(each, _stand_in(attached, each)) for each in statement.statements]
    return standins.do_statements(pairs) if any(stand_in for _, stand_in in pairs) else None


def _backend_pid(attached: Attached, statement: BackendPid) -> str:
    return standins.select_int4(attached.session.pid, statement.column)


def _listening_channels(attached: Attached, statement: ListeningChannels) -> str:
    return standins.select_texts(attached.session.channels, statement.column)


def _signal(attached: Attached, statement: SignalBackend) -> str | None:
    return standins.select_true(statement.column) if attached.may_signal(statement.pid) else None


def _set_acknowledgement(_: Attached, statement: SetAcknowledgement) -> str:
    allowed = ACKNOWLEDGEMENTS[statement.name]
    if statement.value is not None and statement.value not in allowed:
        raise error(
            "22023",
            f'invalid value for parameter "twistnotify.{statement.name}": "{statement.value}"',
            f"Available values: {', '.join(allowed)}.",
        )
    return STAND_IN


def _show_acknowledgement(attached: Attached, statement: ShowAcknowledgement) -> str:
    return standins.select_text(getattr(attached.session, statement.name), f"twistnotify.{statement.name}")


def _prepare_transaction(attached: Attached, _: PrepareTransaction) -> None:
    failed = attached.session.transaction.status is Status.FAILED
    if attached.has_pubsub and not failed:
        raise error("0A000", "cannot PREPARE a transaction that has executed LISTEN, UNLISTEN, or NOTIFY")


_ROWS: dict[type, Callable[[Attached, Any], str | None]] = {
    Listen: _listen,
    Notify: _notify,
    CallNotify: _call_notify,
    DoBlock: _do_block,
    BackendPid: _backend_pid,
    ListeningChannels: _listening_channels,
    SignalBackend: _signal,
    SetAcknowledgement: _set_acknowledgement,
    ShowAcknowledgement: _show_acknowledgement,
    PrepareTransaction: _prepare_transaction,
}
