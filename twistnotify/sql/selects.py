"""The few SELECTs that the server answers by itself, each standing alone.

PostgreSQL evaluates pg_notify only for rows that are fetched, and so on: only forms without any clause
that could change that are taken.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pglast import ast

from twistnotify.sql.statements import (
    AdvisoryUnlockAll,
    Argument,
    BackendPid,
    CallNotify,
    Constant,
    ListeningChannels,
    Parameter,
    SignalBackend,
    Statement,
)

_CLAUSES = (
    "distinctClause",
    "intoClause",
    "whereClause",
    "groupClause",
    "havingClause",
    "windowClause",
    "valuesLists",
    "sortClause",
    "limitOffset",
    "limitCount",
    "lockingClause",
    "withClause",
    "larg",
)
_MODIFIERS = (
    "agg_order",
    "agg_filter",
    "agg_within_group",
    "agg_star",
    "agg_distinct",
    "func_variadic",
    "over",
)
_SOURCE_FLAGS = ("lateral", "ordinality", "is_rowsfrom", "alias", "coldeflist")
_TEXT_TYPES = frozenset((("text",), ("varchar",), ("pg_catalog", "text"), ("pg_catalog", "varchar")))
_LEAST_INT4 = "-2147483648"

_WITHOUT_ARGUMENTS: dict[str, Callable[[str], Statement]] = {
    "pg_advisory_unlock_all": AdvisoryUnlockAll,
    "pg_backend_pid": BackendPid,
    "pg_listening_channels": ListeningChannels,
}
_SIGNALS = frozenset(("pg_cancel_backend", "pg_terminate_backend"))


class _NotPlainError(Exception):
    """The expression is not one of ours."""


def select(tree: Any) -> Statement | None:
    """Return what a SelectStmt asks of us, or None."""
    if any(getattr(tree, clause) is not None for clause in _CLAUSES) or len(tree.targetList or ()) != 1:
        return None
    (target,) = tree.targetList
    if tree.fromClause is not None:
        return _from_function(target, tree.fromClause)
    if isinstance(target.val, ast.A_Const):
        return _constant(target.val.val, target.name or "?column?")
    return _call(target.val, target.name)


def _from_function(target: Any, sources: tuple[Any, ...]) -> Statement | None:
    """Recognise SELECT * FROM pg_listening_channels()."""
    is_star = isinstance(target.val, ast.ColumnRef) and target.val.fields == (ast.A_Star(),)
    if not is_star or len(sources) != 1 or not isinstance(sources[0], ast.RangeFunction):
        return None
    source: Any = sources[0]
    if any(getattr(source, flag) for flag in _SOURCE_FLAGS):
        return None
    ((call, _),) = source.functions
    return _call(call, None) if _name(call) == "pg_listening_channels" else None


def _call(call: Any, alias: str | None) -> Statement | None:
    if (name := _name(call)) is None:
        return None
    arguments: tuple[Any, ...] = call.args or ()
    if name == "pg_notify" and len(arguments) == 2:
        try:
            channel, payload = map(_argument, arguments)
        except _NotPlainError:
            return None
        return CallNotify(channel, payload, alias or name)
    if name in _WITHOUT_ARGUMENTS and not arguments:
        return _WITHOUT_ARGUMENTS[name](alias or name)
    if name in _SIGNALS and len(arguments) == 1:
        return _signal(name, arguments[0], alias or name)
    return None


def _signal(function: str, argument: Any, column: str) -> Statement | None:
    if not isinstance(argument, ast.A_Const) or not isinstance(argument.val, ast.Integer):
        return None
    pid = argument.val.ival or 0
    return SignalBackend(function, pid, column) if pid > 0 else None


def _name(call: Any) -> str | None:
    """Return the name of a function of pg_catalog that is called in the plainest way."""
    if not isinstance(call, ast.FuncCall) or any(getattr(call, flag) for flag in _MODIFIERS):
        return None
    # A bare name is looked up in pg_catalog first.
    *schema, name = _words(call.funcname)
    return name if schema in ([], ["pg_catalog"]) else None


def _argument(node: Any) -> Argument:
    if isinstance(node, ast.TypeCast) and _is_text(node.typeName):
        return _argument(node.arg)
    if isinstance(node, ast.A_Const) and node.isnull:
        return None
    if isinstance(node, ast.A_Const) and isinstance(node.val, ast.String):
        return node.val.sval
    if isinstance(node, ast.ParamRef) and node.number:
        return Parameter(node.number)
    raise _NotPlainError


def _is_text(name: Any) -> bool:
    bare = name.typmods is None and name.arrayBounds is None and not name.setof and not name.pct_type
    return bare and tuple(_words(name.names)) in _TEXT_TYPES


def _words(names: Any) -> list[str]:
    return [part.sval for part in names]


def _constant(value: Any, column: str) -> Statement | None:
    if isinstance(value, ast.Integer):
        return Constant(value.ival or 0, column)
    if isinstance(value, ast.Float) and value.fval == _LEAST_INT4:
        # Its digits alone are beyond int4, so the lexer calls it a float; PostgreSQL makes it an int4.
        return Constant(int(_LEAST_INT4), column)
    return None
