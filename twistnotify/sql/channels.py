"""LISTEN, UNLISTEN and NOTIFY out of pglast's trees, with the name in full where it was truncated."""

from __future__ import annotations

from typing import Any

from pglast import ast

from twistnotify.sql.grammar import tokens, trees
from twistnotify.sql.quoting import quote_literal
from twistnotify.sql.statements import Listen, Notify, Unlisten

_SHORTEST_TRUNCATED = 60
"""Bytes: PostgreSQL keeps 63 and drops what is left of a character of up to four."""

_UPPER = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_FOLDED = str.maketrans(_UPPER, _UPPER.lower())


def channel_statement(tree: Any, source: str) -> Listen | Unlisten | Notify:
    """Return what one of the three trees says; `source` is the text of that statement alone."""
    name = tree.conditionname
    if isinstance(tree, ast.UnlistenStmt):
        return Unlisten(name, truncated_name(source, name) if name is not None else None)
    if isinstance(tree, ast.NotifyStmt):
        return Notify(name, tree.payload or "", truncated_name(source, name))
    return Listen(name, truncated_name(source, name))


def truncated_name(source: str, kept: str) -> str | None:
    """Return the full name that PostgreSQL cut to `kept`, or None where it kept all of it.

    `source` is a whole statement whose second token is the name.
    """
    if not _SHORTEST_TRUNCATED <= len(kept.encode()) <= 63:
        return None
    full = _name_in_full(source)
    return None if full == kept else full


def _name_in_full(source: str) -> str:
    name, *rest = tokens(source)[1:4]
    written = source[name.start : name.end + 1]
    if name.name == "UIDENT":
        return _unescaped(written, source[rest[1].start : rest[1].end + 1] if _has_uescape(rest) else "'\\'")
    if written.startswith('"'):
        return written[1:-1].replace('""', '"')
    # PostgreSQL folds ASCII only in UTF-8.
    return written.translate(_FOLDED)


def _has_uescape(rest: list[Any]) -> bool:
    return bool(rest) and rest[0].name == "UESCAPE"


def _unescaped(written: str, escape: str) -> str:
    """Have PostgreSQL's grammar unescape U&"...", as the string constant that means the same."""
    literal = quote_literal(written[3:-1].replace('""', '"'))
    (statement,) = trees(f"NOTIFY a, U&{literal} UESCAPE {escape}")
    return str(statement.stmt.payload)
