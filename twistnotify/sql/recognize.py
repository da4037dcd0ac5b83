"""From one tree of pglast to the statement it means: one row a kind of tree."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pglast import ast
from pglast.enums import DiscardMode, TransactionStmtKind, VariableSetKind

from twistnotify.sql import statements as sql
from twistnotify.sql.blocks import do_block
from twistnotify.sql.channels import channel_statement
from twistnotify.sql.grammar import first_word, tokens
from twistnotify.sql.quoting import quote_where_needed
from twistnotify.sql.selects import select
from twistnotify.sql.statements import Statement

_ACKNOWLEDGEMENTS = {
    "twistnotify.listen_ack": "listen_ack",
    "twistnotify.notify_ack": "notify_ack",
}
_PARAMETERS = frozenset(name.lower() for name in sql.PARAMETERS)
_LISTS = frozenset(("datestyle", "search_path"))
_RESETTING = (VariableSetKind.VAR_SET_DEFAULT, VariableSetKind.VAR_RESET)

_BEGINNING = {
    TransactionStmtKind.TRANS_STMT_BEGIN: "BEGIN",
    TransactionStmtKind.TRANS_STMT_START: "START TRANSACTION",
}
_TRANSACTION: dict[Any, Callable[[Any], Statement]] = {
    TransactionStmtKind.TRANS_STMT_COMMIT: lambda tree: sql.Commit(tree.chain),
    TransactionStmtKind.TRANS_STMT_ROLLBACK: lambda tree: sql.Rollback(tree.chain),
    TransactionStmtKind.TRANS_STMT_SAVEPOINT: lambda tree: sql.Savepoint(tree.savepoint_name),
    TransactionStmtKind.TRANS_STMT_RELEASE: lambda tree: sql.Release(tree.savepoint_name),
    TransactionStmtKind.TRANS_STMT_ROLLBACK_TO: lambda tree: sql.RollbackTo(tree.savepoint_name),
    TransactionStmtKind.TRANS_STMT_PREPARE: lambda tree: sql.PrepareTransaction(tree.gid),
}


def recognize(tree: Any, source: str) -> Statement:
    """Return the statement that a pglast tree means; `source` is its text, without leading comments."""
    row = _ROWS.get(type(tree))
    return (row(tree, source) if row else None) or sql.Other(first_word(source))


def _transaction(tree: Any, source: str) -> Statement | None:
    if tag := _BEGINNING.get(tree.kind):
        words = [token for token in tokens(source) if token.name != "ASCII_59"]
        return sql.Begin(tag, source[words[0].start : words[-1].end + 1])
    row = _TRANSACTION.get(tree.kind)
    return row(tree) if row else None


def _deallocate(tree: Any, source: str) -> Statement | None:
    return sql.DeallocateAll() if tree.isall else sql.Deallocate(tree.name)


def _close(tree: Any, source: str) -> Statement | None:
    return sql.CloseAll() if tree.portalname is None else None


def _discard(tree: Any, source: str) -> Statement | None:
    return sql.DiscardAll() if tree.target == DiscardMode.DISCARD_ALL else None


def _set(tree: Any, source: str) -> Statement | None:
    if tree.kind == VariableSetKind.VAR_RESET_ALL:
        return sql.ResetAll()
    # PostgreSQL compares the names of settings without regard to case, quoted or not.
    name = (tree.name or "").lower()
    if name in _ACKNOWLEDGEMENTS:
        return _set_acknowledgement(tree, _ACKNOWLEDGEMENTS[name])
    return _set_parameter(tree, name) if name in _PARAMETERS else None


def _set_acknowledgement(tree: Any, name: str) -> Statement | None:
    if tree.is_local:
        return None
    if tree.kind in _RESETTING:
        return sql.SetAcknowledgement(name, None)
    values = _constants(tree)
    if len(values) == len(tree.args or ()) == 1 and isinstance(values[0], ast.String):
        return sql.SetAcknowledgement(name, str(values[0].sval).lower())
    return None


def _set_parameter(tree: Any, name: str) -> Statement | None:
    if tree.kind in _RESETTING:
        tag = "RESET" if tree.kind == VariableSetKind.VAR_RESET else "SET"
        return sql.SetParameter(name, None, tree.is_local, tag)
    values = _constants(tree)
    # FROM CURRENT has no arguments, an INTERVAL is no plain constant.
    if not values or len(values) != len(tree.args) or (len(values) > 1 and name not in _LISTS):
        return None
    if name == "timezone" and not isinstance(values[0], ast.String):
        return None
    quote = quote_where_needed if name == "search_path" else str
    return sql.SetParameter(name, ", ".join(_text(value, quote) for value in values), tree.is_local)


def _constants(tree: Any) -> list[Any]:
    return [const.val for const in tree.args or () if isinstance(const, ast.A_Const)]


def _text(value: Any, quote: Callable[[str], str]) -> str:
    """Return a constant's text as flatten_set_variable_args in PostgreSQL does (guc_funcs.c)."""
    if isinstance(value, ast.Integer):
        return str(value.ival or 0)
    return str(value.fval) if isinstance(value, ast.Float) else quote(value.sval)


def _show(tree: Any, source: str) -> Statement | None:
    name = tree.name.lower()
    if name in _PARAMETERS:
        return sql.ShowParameter(name)
    return sql.ShowAcknowledgement(_ACKNOWLEDGEMENTS[name]) if name in _ACKNOWLEDGEMENTS else None


_ROWS: dict[type, Callable[[Any, str], Statement | None]] = {
    ast.ListenStmt: channel_statement,
    ast.UnlistenStmt: channel_statement,
    ast.NotifyStmt: channel_statement,
    ast.TransactionStmt: _transaction,
    ast.SelectStmt: lambda tree, source: select(tree),
    ast.DoStmt: lambda tree, source: do_block(tree),
    ast.DeallocateStmt: _deallocate,
    ast.ClosePortalStmt: _close,
    ast.DiscardStmt: _discard,
    ast.VariableSetStmt: _set,
    ast.VariableShowStmt: _show,
}
