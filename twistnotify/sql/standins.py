"""SQL that takes a statement's place in a PostgreSQL session: the same kind of answer, and another effect or none.

Names of functions and types are qualified, so that nobody's search_path can put others in their place.
"""

from __future__ import annotations

from collections.abc import Iterable

from twistnotify.sql.quoting import notify_anyhow, quote_anyhow, quote_identifier
from twistnotify.sql.statements import (
    MAX_CHANNEL_BYTES,
    MAX_PAYLOAD_BYTES,
    Argument,
    Listen,
    Notify,
    Parameter,
    Unlisten,
)


def unlisten_statement(channel: str | None) -> str:
    """Return an UNLISTEN; None is all channels."""
    return "UNLISTEN *" if channel is None else f"UNLISTEN {quote_identifier(channel)}"


def select_int4(value: int, column: str) -> str:
    """Return a SELECT of one int4."""
    return f"SELECT {value} AS {quote_identifier(column)}"


def select_true(column: str) -> str:
    """Return a SELECT of true."""
    return f"SELECT true AS {quote_identifier(column)}"


def select_text(value: str, column: str) -> str:
    """Return a SELECT of one text."""
    return f"SELECT {quote_anyhow(value)}::pg_catalog.text AS {quote_identifier(column)}"


def select_texts(values: Iterable[str], column: str) -> str:
    """Return a SELECT of texts, one row each."""
    array = ",".join(map(quote_anyhow, values))
    return f"SELECT pg_catalog.unnest(ARRAY[{array}]::pg_catalog.text[]) AS {quote_identifier(column)}"


def select_checked_notify(channel: Argument, payload: Argument, column: str) -> str:
    """Return a SELECT that answers as pg_notify() does, but calls it only for what it refuses."""
    name, text = _argument(channel), _argument(payload)
    bad_name = f"coalesce(pg_catalog.octet_length({name}::pg_catalog.text),0) NOT BETWEEN 1 AND {MAX_CHANNEL_BYTES}"
    bad_text = f"pg_catalog.octet_length({text}::pg_catalog.text)>{MAX_PAYLOAD_BYTES}"
    call = f"pg_catalog.pg_notify({name},{text})"
    answer = f"CASE WHEN {bad_name} OR {bad_text} THEN {call} ELSE ''::pg_catalog.void END"
    return f"SELECT {answer} AS {quote_identifier(column)}"


def raise_error(sqlstate: str, message: str, hint: str | None = None) -> str:
    """Return a DO block that fails."""
    given = {"ERRCODE": sqlstate, "MESSAGE": message, **({} if hint is None else {"HINT": hint})}
    options = ",".join(f"{option}={quote_anyhow(text)}" for option, text in given.items())
    return _do(f"RAISE EXCEPTION USING {options};")


def do_statements(statements: Iterable[tuple[Listen | Unlisten | Notify, str | None]]) -> str:
    """Return a DO block of these, each with its stand-in, None for the statement itself."""
    return _do("".join(f"{stand_in or _text(statement)};" for statement, stand_in in statements))


def _text(statement: Listen | Unlisten | Notify) -> str:
    match statement:
        case Notify(channel, payload):
            return notify_anyhow(channel, payload)
        case Listen(channel):
            return f"LISTEN {quote_identifier(channel)}"
    return unlisten_statement(statement.channel)


def _do(body: str) -> str:
    return f"DO {quote_anyhow(f'BEGIN {body} END')}"


def _argument(argument: Argument) -> str:
    match argument:
        case None:
            return "NULL"
        case Parameter(number):
            return f"${number}"
        case _:
            return quote_anyhow(argument)
