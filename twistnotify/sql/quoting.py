"""Names and texts as SQL: the only place where SQL text is quoted.

For standard_conforming_strings = on, which every PostgreSQL connection of ours keeps. What is said on a client's
own session (`set_statement`, `quote_anyhow`) holds for off as well, since a client may turn it off there.
"""

import re

from pglast.keywords import COL_NAME_KEYWORDS, RESERVED_KEYWORDS, TYPE_FUNC_NAME_KEYWORDS

_QUOTED_KEYWORDS = frozenset(RESERVED_KEYWORDS) | frozenset(TYPE_FUNC_NAME_KEYWORDS) | frozenset(COL_NAME_KEYWORDS)
_PLAIN_NAME = re.compile(r"[a-z_][a-z0-9_]*").fullmatch
_LISTED_NAME = re.compile(r'"((?:[^"]|"")*)"|([a-z0-9_]+)')


def quote_identifier(name: str) -> str:
    """Quote a name so that PostgreSQL reads exactly it, up to its limit of 63 bytes.

    Raises ValueError for NUL, which no SQL text can hold. An empty name stays one: PostgreSQL refuses it.
    """
    _refuse_nul(name)
    return '"' + name.replace('"', '""') + '"'


def quote_literal(text: str) -> str:
    """Quote a text as a string constant; raises ValueError for NUL."""
    _refuse_nul(text)
    return "'" + text.replace("'", "''") + "'"


def _refuse_nul(text: str) -> None:
    if "\0" in text:
        raise ValueError("SQL text cannot hold a NUL character")


def notify_statement(channel: str, payload: str) -> str:
    """Return a NOTIFY statement; raise ValueError for NUL.

    `quote_identifier` and `quote_literal` in one: there is one for every notification that goes out.
    """
    if "\0" in channel or "\0" in payload:
        raise ValueError("SQL text cannot hold NUL")
    return 'NOTIFY "' + channel.replace('"', '""') + "\",'" + payload.replace("'", "''") + "'"


def quote_where_needed(name: str) -> str:
    """Return a name as PostgreSQL writes it in a list: quoted where it needs to be; raise ValueError for NUL."""
    return name if _PLAIN_NAME(name) and name not in _QUOTED_KEYWORDS else quote_identifier(name)


def set_statement(name: str, value: str, local: bool = False) -> str:
    """Return the statement after which SHOW `name` shows exactly `value`; raise ValueError for NUL.

    It is a SET wherever that can say it. pg_catalog.set_config could say it always, but is a query: it takes the
    transaction's snapshot, and SET TRANSACTION ISOLATION LEVEL would be refused behind it. SET turns what it is
    given for search_path into names and back, so a search_path in another form than PostgreSQL's own (the empty one,
    for one) does take set_config, whose answer has a row.
    """
    if name.lower() != "search_path":
        return _set(name, quote_anyhow(value), local)
    names = [quoted.replace('""', '"') + plain for quoted, plain in _LISTED_NAME.findall(value)]
    if value and ", ".join(map(quote_where_needed, names)) == value:
        return _set(name, ", ".join(map(quote_anyhow, names)), local)
    return f"SELECT pg_catalog.set_config({quote_anyhow(name)}, {quote_anyhow(value)}, {str(local).lower()})"


def reset_statement(name: str) -> str:
    """Return the statement that resets a setting to the session's default; raise ValueError for NUL."""
    return f"RESET {quote_identifier(name)}"


def _set(name: str, quoted: str, local: bool) -> str:
    return f"SET {'LOCAL ' if local else ''}{quote_identifier(name)} TO {quoted}"


def notify_anyhow(channel: str, payload: str) -> str:
    """Return a NOTIFY statement that means the same whatever standard_conforming_strings is."""
    return f"NOTIFY {quote_identifier(channel)},{quote_anyhow(payload)}"


def quote_anyhow(text: str) -> str:
    """Quote a text as a constant that means the same whatever standard_conforming_strings is."""
    escaped = text.replace("\\", "\\\\")
    return quote_literal(text) if escaped == text else f"E{quote_literal(escaped)}"
