"""Where each statement of a text stands, for those that are sent on as they are.

Behind its last token a statement may have comments; to find that token only the lexer can be asked, but most texts
have no comment there, and most of those show it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from twistnotify.sql.grammar import split, tokens
from twistnotify.sql.parse import parse
from twistnotify.sql.statements import Statement

_BETWEEN = " \t\n\r\f\v;"
_OUTSIDE = re.compile(rf"[{_BETWEEN}]+|--[^\n\r]*+|/\*")
_IN_COMMENT = re.compile(r"/\*|\*/|[^/*]+|[/*]")
_DEPTH = {"/*": 1, "*/": -1}

# An escape for all beyond ASCII, and for the letter that begins it: different texts stay different.
_ESCAPED = re.compile(r"[Z\x80-\U0010ffff]")
_ESCAPE_LENGTH = 7


@dataclass(frozen=True, slots=True)
class Piece:
    """A statement and its place: text[start:end], from its first keyword to its last token, in characters."""

    start: int
    end: int
    statement: Statement


def pieces(text: str) -> tuple[Piece, ...]:
    """Read a text and return its statements with their places, in order; none for mere comments.

    Raises SqlSyntaxError where `twistnotify.sql.parse.parse` does, and nothing else.
    """
    statements = parse(text)
    sources = (text[_skip(text, 0) :],) if len(statements) == 1 else split(text)
    return tuple(_placed(text, sources, statements))


def _placed(text: str, sources: tuple[str, ...], statements: tuple[Statement, ...]) -> Iterator[Piece]:
    end = 0
    for source, statement in zip(sources, statements, strict=True):
        start = _skip(text, end)
        end = start + _length(source)
        yield Piece(start, end, statement)


def _skip(text: str, at: int) -> int:
    """Return where the blanks, semicolons and comments that begin at `at` are over; comments nest."""
    depth = 0
    while step := (_IN_COMMENT if depth else _OUTSIDE).match(text, at):
        at = step.end()
        depth += _DEPTH.get(step[0], 0)
    return at


def _length(source: str) -> int:
    """Return the length of a text's only statement, which begins it."""
    bare = source.rstrip(_BETWEEN)
    last_line = max(bare.rfind("\n"), bare.rfind("\r")) + 1
    if bare.find("--", last_line) < 0 and not bare.endswith("*/"):
        return len(bare)
    return _end_of_tokens(source) if source.isascii() else _end_beyond_ascii(source)


def _end_of_tokens(source: str) -> int:
    return max(int(token.end) + 1 for token in tokens(source) if token.name != "ASCII_59")


def _end_beyond_ascii(source: str) -> int:
    # To `tokens`, all letters beyond ASCII are one, and dollar quotes with different tags would end each other.
    escaped = _ESCAPED.sub(lambda letter: f"Z{ord(letter[0]):06x}", source)
    behind = len(escaped) - _end_of_tokens(escaped)
    end = len(source)
    while behind > 0:
        end -= 1
        behind -= _ESCAPE_LENGTH if _ESCAPED.match(source, end) else 1
    return end
