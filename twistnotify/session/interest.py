"""Whether a text that goes upstream has to be read here.

Most have not. Whoever asks needs an answer in a microsecond: a few searches for words, so that text may be read in
vain, but none that matters passes unread.
"""

from __future__ import annotations

from functools import lru_cache

LONGEST_REMEMBERED = 256
"""Bytes of a text whose answer is remembered."""
REMEMBERED = 4096

_ANYWHERE = (
    b"listen",
    b"notify",
    b"discard",
    b"deallocate",
    b"pg_backend_pid",
    b"pg_terminate_backend",
    b"pg_cancel_backend",
)
_FIRST = (b"begin", b"start", b"commit", b"end", b"rollback", b"abort", b"savepoint", b"release", b"prepare", b"reset")
"""Words that such a statement begins with; among several statements they may stand anywhere."""
_BLANKS = b" \t\r\n\f\v;"


def is_of_interest(sql: bytes) -> bool:
    """Tell whether a text may speak of pub/sub, transactions or what is known here only."""
    # Values must not stay in memory: a text with a literal in it is not remembered.
    if len(sql) <= LONGEST_REMEMBERED and b"'" not in sql and b"$" not in sql:
        return _remembered(sql)
    return _search(sql)


def _search(sql: bytes) -> bool:
    text = sql.lower()
    if any(word in text for word in _ANYWHERE):
        return True
    bare = text.strip(_BLANKS)
    if bare.startswith(_FIRST):
        return True
    # Behind a comment, or among several statements.
    hides = b";" in bare or bare.startswith((b"--", b"/*"))
    return hides and any(word in bare for word in _FIRST)


_remembered = lru_cache(REMEMBERED)(_search)
