"""SQL text to statements. PostgreSQL's grammar (pglast) is the judge; a lane and a memory spare it work."""

from __future__ import annotations

import re
from functools import lru_cache

from twistnotify.sql import grammar
from twistnotify.sql.grammar import SHORT, check, count_tokens, first_word, refuse_many, split, trees
from twistnotify.sql.lane import lane
from twistnotify.sql.recognize import recognize
from twistnotify.sql.statements import Other, Statement

MAX_STATEMENTS = grammar.MAX_STATEMENTS
"""Statements in one text or one DO block, at most."""

REMEMBERED_TEXTS = 1_024
"""Texts whose statements are remembered: what pools and drivers send over and over."""

REMEMBERED_LENGTH = 200
"""Characters of a remembered text, fewer than this; asyncpg's reset query has 104."""

_FEW_TOKENS = 64
_LONGEST_SELECT = 32_768  # 7,999 bytes of payload, each escaped

# Their grammar does not nest, so that any length is safe for a tree.
_FLAT = frozenset(
    (
        "ABORT",
        "BEGIN",
        "CLOSE",
        "COMMIT",
        "DEALLOCATE",
        "DISCARD",
        "DO",
        "END",
        "LISTEN",
        "NOTIFY",
        "RELEASE",
        "RESET",
        "ROLLBACK",
        "SAVEPOINT",
        "SET",
        "SHOW",
        "START",
        "UNLISTEN",
    )
)
_NESTING = frozenset(("PREPARE", "SELECT"))
_DOLLAR_QUOTE = re.compile(r"\$(?!\d)").search


def parse(text: str) -> tuple[Statement, ...]:
    """Read a text and return its statements in order; none for an empty text or mere comments.

    Raises SqlSyntaxError, also for more than MAX_STATEMENTS (54000), and nothing else.
    """
    if plain := lane(text):
        return (plain,)
    # Payloads must not stay in memory: a text with a literal in it is not remembered.
    if len(text) < REMEMBERED_LENGTH and "'" not in text and not ("$" in text and _DOLLAR_QUOTE(text)):
        return _remembered(text)
    return _read(text)


def _read(text: str) -> tuple[Statement, ...]:
    check(text)
    if len(text) <= SHORT:
        found = trees(text)
        if len(found) < 2:
            return tuple(recognize(tree.stmt, text[tree.stmt_location :]) for tree in found)
    pieces = split(text)
    refuse_many(len(pieces))
    return tuple(map(_statement, pieces))


_remembered = lru_cache(REMEMBERED_TEXTS)(_read)


def _statement(piece: str) -> Statement:
    """Read one statement of a text that splits."""
    if plain := lane(piece):
        return plain
    word = first_word(piece)
    if not _may_have_tree(piece, word):
        return Other(word)
    (tree,) = trees(piece)
    return recognize(tree.stmt, piece)


def _may_have_tree(piece: str, word: str) -> bool:
    if len(piece) <= SHORT or word in _FLAT:
        return True
    return word in _NESTING and len(piece) <= _LONGEST_SELECT and count_tokens(piece) <= _FEW_TOKENS
