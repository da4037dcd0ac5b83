"""What the statements do that end or begin no transaction.

LISTEN, UNLISTEN and NOTIFY only gather effects here: the commit makes them happen.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from twistnotify.auth.rights import UserRights
from twistnotify.pubsub.routing import GAP_CHANNEL
from twistnotify.session.encodings import to_server
from twistnotify.session.failure import SqlError, error
from twistnotify.session.results import BOOL, INT4, TEXT, VOID, Column, Result
from twistnotify.session.settings import NAMES
from twistnotify.sql.statements import (
    MAX_CHANNEL_BYTES,
    MAX_PAYLOAD_BYTES,
    AdvisoryUnlockAll,
    Argument,
    BackendPid,
    CallNotify,
    CloseAll,
    Constant,
    Deallocate,
    DeallocateAll,
    DiscardAll,
    DoBlock,
    Listen,
    ListeningChannels,
    Notify,
    Other,
    Parameter,
    ResetAll,
    SetAcknowledgement,
    SetParameter,
    ShowAcknowledgement,
    ShowParameter,
    SignalBackend,
    Statement,
    Unlisten,
)

if TYPE_CHECKING:
    from twistnotify.session.session import Session


MAX_LISTINGS = 100
"""Calls of pg_listening_channels() in one query: each answers with all of a client's channels."""

ACKNOWLEDGEMENTS = {"listen_ack": ("immediate", "confirmed"), "notify_ack": ("immediate", "committed")}

Arguments = Sequence[str | None]


def column_of(statement: Statement) -> Column | None:
    """Return the column of a statement that returns rows, else None."""
    match statement:
        case CallNotify(column=name) | AdvisoryUnlockAll(column=name):
            return Column(name, VOID)
        case ListeningChannels(column=name):
            return Column(name, TEXT)
        case BackendPid(column=name) | Constant(column=name):
            return Column(name, INT4)
        case ShowAcknowledgement(name=name):
            return Column(f"twistnotify.{name}", TEXT)
        case ShowParameter(name=name):
            return Column(NAMES[name], TEXT)
        case SignalBackend(column=name):
            return Column(name, BOOL)
    return None


def execute(session: Session, statement: Statement, arguments: Arguments, alone: bool, pipelined: bool) -> Result:
    """Carry out a statement; raises `SqlError`.

    `arguments` are the values of $1 and so on; `alone` tells that it is the only statement of its query string,
    `pipelined` that statements before it wait for the same commit.
    """
    if isinstance(statement, DiscardAll):
        return _discard_all(session, alone, pipelined)
    return EXECUTE[type(statement)](session, statement, arguments)


def check_notification(session: Session, channel: str, payload: str) -> None:
    """Refuse what PostgreSQL would refuse, so that no client can fail a transaction it shares with others."""
    if (
        channel.isascii()
        and payload.isascii()
        and 0 < len(channel) <= MAX_CHANNEL_BYTES
        and len(payload) <= MAX_PAYLOAD_BYTES
        and channel != GAP_CHANNEL
        and session.rights is None
    ):
        return
    if not channel:
        raise error("22023", "channel name cannot be empty")
    if _length(session, channel) > MAX_CHANNEL_BYTES:
        raise error("22023", "channel name too long")
    if _length(session, payload) > MAX_PAYLOAD_BYTES:
        raise error("22023", "payload string too long")
    if channel == GAP_CHANNEL:
        raise error("42501", f'permission denied to notify on channel "{GAP_CHANNEL}"')
    if session.rights is not None and not session.rights.may_notify(channel):
        raise denied(channel)


def refuse_parameters(statement: Statement) -> None:
    """Refuse parameters in a simple query, which has no values for them."""
    if isinstance(statement, CallNotify):
        for argument in (statement.channel, statement.payload):
            if isinstance(argument, Parameter):
                raise error("42P02", f"there is no parameter ${argument.number}")


def check_name(session: Session, channel: str) -> None:
    """Refuse to LISTEN to what the user has no right to, or the database's encoding cannot hold."""
    _length(session, channel)
    check_right_to_listen(session.rights, channel)


def check_right_to_listen(rights: UserRights | None, channel: str) -> None:
    """Raise 42501 where the configuration does not let the user LISTEN; what tells of losses is for everybody."""
    if not may_listen(rights, channel):
        raise denied(channel)


def may_listen(rights: UserRights | None, channel: str) -> bool:
    """Tell whether a user may LISTEN to a channel."""
    return rights is None or channel == GAP_CHANNEL or rights.may_listen(channel)


def denied(channel: str) -> SqlError:
    """Return the error for a channel that the user has no right to."""
    return error("42501", f'permission denied for channel "{channel}"')


def _length(session: Session, text: str) -> int:
    """Return the length in bytes, in the database's encoding."""
    if text.isascii():
        return len(text)
    return len(to_server(text, session.server_codec, session.server_encoding))


def _listen(session: Session, statement: Listen, _: Arguments) -> Result:
    check_name(session, statement.channel)
    session.transaction.add(statement)
    return Result("LISTEN")


def _unlisten(session: Session, statement: Unlisten, _: Arguments) -> Result:
    session.transaction.add(statement)
    return Result("UNLISTEN")


def _notify(session: Session, statement: Notify, _: Arguments) -> Result:
    check_notification(session, statement.channel, statement.payload)
    session.transaction.add(statement)
    return Result("NOTIFY")


def _call_notify(session: Session, statement: CallNotify, arguments: Arguments) -> Result:
    channel = _value(statement.channel, arguments) or ""
    payload = _value(statement.payload, arguments) or ""
    check_notification(session, channel, payload)
    session.transaction.add(Notify(channel, payload))
    return Result(rows=("",))


def _value(argument: Argument, arguments: Arguments) -> str | None:
    return arguments[argument.number - 1] if isinstance(argument, Parameter) else argument


def _do_block(session: Session, statement: DoBlock, arguments: Arguments) -> Result:
    for inner in statement.statements:
        EXECUTE[type(inner)](session, inner, arguments)
    return Result("DO")


def refuse_many_listings(statements: Sequence[Statement]) -> None:
    """Refuse a query whose answer would be the client's channels over and over."""
    if sum(isinstance(statement, ListeningChannels) for statement in statements) > MAX_LISTINGS:
        raise error("54000", "too many calls of pg_listening_channels() in one query")


def _listening_channels(session: Session, _: ListeningChannels, __: Arguments) -> Result:
    return Result(rows=tuple(session.channels))


def _backend_pid(session: Session, _: BackendPid, __: Arguments) -> Result:
    return Result(rows=(session.pid,))


def _signal(session: Session, statement: SignalBackend, _: Arguments) -> Result:
    if session.relay is None or not session.relay.may_signal(session.user, statement.pid):
        raise _not_served("SELECT")
    return Result(rows=(1,))


def _constant(_: Session, statement: Constant, __: Arguments) -> Result:
    return Result(rows=(statement.value,))


def _advisory_unlock_all(_: Session, __: AdvisoryUnlockAll, ___: Arguments) -> Result:
    return Result(rows=("",))


def _discard_all(session: Session, alone: bool, pipelined: bool) -> Result:
    if session.in_block or not alone:
        raise error("25001", "DISCARD ALL cannot run inside a transaction block")
    if pipelined:
        raise error("25001", "DISCARD ALL cannot be executed within a pipeline")
    session.transaction.add(Unlisten(None))
    session.forget_prepared()
    session.reset_acknowledgements()
    if session.has_variables:
        session.transaction.add(ResetAll())
    return Result("DISCARD ALL")


def _reset_all(session: Session, statement: ResetAll, _: Arguments) -> Result:
    session.reset_acknowledgements()
    if session.has_variables:
        session.transaction.add(statement)
    return Result("RESET")


def _set_parameter(session: Session, statement: SetParameter, _: Arguments) -> Result:
    value = statement.value
    if value is not None:
        value = session.judge(statement.name, value)
        if value is None:
            raise _not_served("SET")
    session.transaction.add(SetParameter(statement.name, value, statement.local))
    return Result(statement.tag)


def _show_parameter(session: Session, statement: ShowParameter, _: Arguments) -> Result:
    value = session.show(statement.name)
    if value is None:
        raise _not_served("SHOW")
    return Result("SHOW", (value,))


def _close_all(session: Session, _: CloseAll, __: Arguments) -> Result:
    session.close_portals()
    return Result("CLOSE CURSOR ALL")


def _deallocate_all(session: Session, _: DeallocateAll, __: Arguments) -> Result:
    session.forget_prepared()
    return Result("DEALLOCATE ALL")


def _deallocate(session: Session, statement: Deallocate, _: Arguments) -> Result:
    if not session.deallocate(statement.name):
        raise error("26000", f'prepared statement "{statement.name}" does not exist')
    return Result("DEALLOCATE")


def _set_acknowledgement(session: Session, statement: SetAcknowledgement, _: Arguments) -> Result:
    allowed = ACKNOWLEDGEMENTS[statement.name]
    if statement.value is None:
        session.reset_acknowledgements(statement.name)
        return Result("SET")
    if statement.value not in allowed:
        name = f"twistnotify.{statement.name}"
        hint = f"Available values: {', '.join(allowed)}."
        raise error("22023", f'invalid value for parameter "{name}": "{statement.value}"', hint)
    setattr(session, statement.name, statement.value)
    return Result("SET")


def _show_acknowledgement(session: Session, statement: ShowAcknowledgement, _: Arguments) -> Result:
    return Result("SHOW", (getattr(session, statement.name),))


def _other(_: Session, statement: Other, __: Arguments) -> Result:
    raise _not_served(statement.word)


def _not_served(word: str) -> SqlError:
    return error(
        "0A000",
        f"{word} is not served here",
        "twistnotify serves LISTEN, UNLISTEN, NOTIFY, SELECT pg_notify() and transactions of these."
        " This database does not relay other SQL (relay = off): send it to PostgreSQL itself.",
    )


EXECUTE: dict[type, Callable[[Session, Any, Arguments], Result]] = {
    Listen: _listen,
    Unlisten: _unlisten,
    Notify: _notify,
    CallNotify: _call_notify,
    DoBlock: _do_block,
    ListeningChannels: _listening_channels,
    BackendPid: _backend_pid,
    SignalBackend: _signal,
    Constant: _constant,
    AdvisoryUnlockAll: _advisory_unlock_all,
    ResetAll: _reset_all,
    CloseAll: _close_all,
    DeallocateAll: _deallocate_all,
    Deallocate: _deallocate,
    SetAcknowledgement: _set_acknowledgement,
    ShowAcknowledgement: _show_acknowledgement,
    SetParameter: _set_parameter,
    ShowParameter: _show_parameter,
    Other: _other,
}
