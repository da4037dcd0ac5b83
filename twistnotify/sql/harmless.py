"""Whether a text can be told to leave nothing behind in its session: what is in doubt counts as leaving something.

Text alone cannot tell of what a trigger, a view, a rule, an operator or a type does; for that PostgreSQL is asked
(`leftovers`). But not all can be seen there either, so this side is strict.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

from pglast import ast

from twistnotify.sql.grammar import SHORT, check, trees
from twistnotify.sql.recognize import recognize
from twistnotify.sql.statements import PARAMETERS, ResetAll, SetAcknowledgement, SqlSyntaxError

_FUNCTIONS = """
    abs age array_agg array_append array_cat array_length array_position array_positions array_prepend array_remove
    array_replace array_to_string ascii avg bit_length bool_and bool_or btrim cardinality ceil ceiling char_length
    character_length chr clock_timestamp concat concat_ws count cume_dist current_database current_schema
    current_schemas current_setting date_bin date_part date_trunc decode dense_rank div encode every exp extract
    first_value floor format format_type gen_random_uuid generate_series generate_subscripts initcap is_normalized
    isfinite json_agg json_array_elements json_array_elements_text json_array_length json_build_array json_build_object
    json_each json_each_text json_object_agg json_object_keys json_typeof jsonb_agg jsonb_array_elements
    jsonb_array_elements_text jsonb_array_length jsonb_build_array jsonb_build_object jsonb_each jsonb_each_text
    jsonb_insert jsonb_object_agg jsonb_object_keys jsonb_path_exists jsonb_path_match jsonb_path_query
    jsonb_path_query_array jsonb_path_query_first jsonb_pretty jsonb_set jsonb_strip_nulls jsonb_typeof lag last_value
    lead left length like_escape ln log lower lpad ltrim make_date make_interval make_time make_timestamp
    make_timestamptz max md5 min mod normalize now nth_value ntile octet_length overlaps overlay percent_rank
    percentile_cont percentile_disc pg_advisory_unlock_all pg_advisory_xact_lock pg_advisory_xact_lock_shared
    pg_backend_pid pg_is_in_recovery pg_listening_channels pg_notify pg_sleep pg_try_advisory_xact_lock
    pg_try_advisory_xact_lock_shared pg_typeof phraseto_tsquery plainto_tsquery position power quote_ident quote_literal
    quote_nullable random rank regexp_match regexp_matches regexp_replace regexp_split_to_array regexp_split_to_table
    repeat replace reverse right round row_number row_to_json rpad rtrim sha256 sign similar_to_escape split_part sqrt
    starts_with statement_timestamp stddev string_agg string_to_array strpos substr substring sum timezone to_char
    to_date to_json to_jsonb to_number to_regclass to_timestamp to_tsquery to_tsvector transaction_timestamp translate
    trim trunc ts_headline ts_rank ts_rank_cd unnest upper variance version websearch_to_tsquery width_bucket
"""
HARMLESS_FUNCTIONS = frozenset(_FUNCTIONS.split())
"""Functions of pg_catalog that read their arguments, the database or the clock, and keep nothing in the session.

`pg_advisory_xact_lock` and its like hold until the transaction's end only, `pg_advisory_unlock_all` lets go. Not here,
on purpose: whatever takes a lock of the session, sets a setting, moves a sequence or seeds `random`. A name that is
missing costs no more than a backend that is kept.
"""

REMEMBERED = 1_024
"""Texts of which the answer is remembered."""

_SETTINGS = frozenset(name.lower() for name in PARAMETERS) | {"transaction"}
"""Those that are asked for before a session is given up; SET TRANSACTION is over with its transaction."""
_CATALOG = ("pg_catalog",)
# What is said with it may be a payload or a password, which must not stay in memory.
_LITERAL = re.compile(r"'|\$(?!\d)").search


def is_harmless(text: str) -> bool:
    """Tell whether a text is short enough to be read, and leaves nothing behind, as far as it shows that."""
    if len(text) > SHORT:
        return False
    return _judge(text) if _LITERAL(text) else _remembered(text)


def _judge(text: str) -> bool:
    try:
        check(text)
        return all(_leaves_nothing(tree.stmt) for tree in trees(text))
    except SqlSyntaxError:
        return False


_remembered = lru_cache(REMEMBERED)(_judge)


def _leaves_nothing(statement: Any) -> bool:
    judge = _STATEMENTS.get(type(statement))
    return judge is not None and judge(statement)


def _query(statement: Any) -> bool:
    return all(map(_is_harmless_node, _nodes(statement)))


def _setting(statement: Any) -> bool:
    if (statement.name or "").lower() in _SETTINGS:
        return True
    return isinstance(recognize(statement, ""), SetAcknowledgement | ResetAll)


def _always(_: Any) -> bool:
    return True


def _is_harmless_node(node: Any) -> bool:
    if isinstance(node, ast.FuncCall):
        parts: Any = node.funcname
        *schema, name = (part.sval for part in parts)
        return name in HARMLESS_FUNCTIONS and tuple(schema) in ((), _CATALOG)
    return not isinstance(node, ast.IntoClause)


def _nodes(root: Any) -> Iterator[Any]:
    """Iterate over all nodes of a tree; its depth costs no stack."""
    waiting = [root]
    while waiting:
        each = waiting.pop()
        if isinstance(each, tuple):
            waiting += each
        elif isinstance(each, ast.Node):
            yield each
            waiting += [getattr(each, member) for member in each]


_STATEMENTS: dict[type, Callable[[Any], bool]] = {
    ast.SelectStmt: _query,
    ast.InsertStmt: _query,
    ast.UpdateStmt: _query,
    ast.DeleteStmt: _query,
    ast.VariableSetStmt: _setting,
    # These live in their transaction, are served here, or only take away.
    ast.TransactionStmt: _always,
    ast.VariableShowStmt: _always,
    ast.ListenStmt: _always,
    ast.NotifyStmt: _always,
    ast.UnlistenStmt: _always,
    ast.ClosePortalStmt: _always,
    ast.DeallocateStmt: _always,
    ast.DiscardStmt: _always,
}
