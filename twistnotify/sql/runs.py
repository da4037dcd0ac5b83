"""Long runs of operator characters, which PostgreSQL's lexer reads in quadratic time.

At each `/*` or `+` the lexer looks at the whole run of operator characters before it takes one or two of
them. A server process of PostgreSQL can be cancelled while it does; our one thread cannot, and a megabyte
of `/*/*/*` would hold it for a quarter of an hour. Runs inside literals (base64, rulers of dashes) cost
nothing and stay allowed.
"""

from __future__ import annotations

import re

LONGEST_RUN = 1_000
"""Operator characters in a row outside of literals, at most. Runs of this length throughout cost about
2 s for a megabyte; PostgreSQL's own operators have at most 63 characters."""

_OPERATOR = r"[~!@#^&|`?+\-*/%<>=]"
_RUN = re.compile(rf"{_OPERATOR}+")
_LONG_RUN = re.compile(rf"(?<!{_OPERATOR}){_OPERATOR}{{{LONGEST_RUN + 1},}}")
_COMMENT_EDGE = re.compile(r"/\*|\*/")
_WORD = r"A-Za-z0-9_\x80-\U0010ffff"

# An unterminated literal or line comment takes all the rest, as it does in PostgreSQL.
_STEP = re.compile(
    rf"""
    [eE]'(?:[^'\\]|\\.|'')*+(?:'|\Z)
    | '[^']*+(?:'|\Z)
    | "[^"]*+(?:"|\Z)
    | \$(?P<tag>(?:(?!\d)[{_WORD}]+)?)\$(?:.*?\$(?P=tag)\$|.*)
    | --[^\n\r]*+
    | [{_WORD}][{_WORD}$]*+
    | (?P<comment>/\*)
    | (?P<run>{_OPERATOR}+)
    | .
    """,
    re.VERBOSE | re.DOTALL,
)


def has_long_run(text: str) -> bool:
    """Tell whether a run over LONGEST_RUN stands outside of literals. Linear in the text's length."""
    if _LONG_RUN.search(text) is None:
        return False
    at = 0
    while step := _STEP.match(text, at):
        at = step.end()
        if step["comment"] is not None:
            at = _comment_end(text, step.start())
        if at < 0 or len(step["run"] or "") > LONGEST_RUN:
            return True
    return False


def _comment_end(text: str, start: int) -> int:
    """Return where the (nested) comment at `start` ends, or -1 where it begins with a long run."""
    depth = 0
    for edge in _COMMENT_EDGE.finditer(text, start):
        if edge[0] == "/*":
            depth += 1
            if _is_long(text, edge.start()):
                return -1
        else:
            depth -= 1
        if depth == 0:
            return edge.end()
    return len(text)


def _is_long(text: str, start: int) -> bool:
    run = _RUN.match(text, start, start + LONGEST_RUN + 1)
    return run is not None and run.end() - start > LONGEST_RUN
