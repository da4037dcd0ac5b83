"""Take a connection line apart: `host=db.example port=5432 password='it''s'`.

The grammar is libpq's (manual, "Keyword/Value Connection Strings"): blanks around `=` are skipped, a
backslash takes the next character as it is, and a value with blanks stands in single quotes. A quote in
quotes may also be doubled, which is PgBouncer's way.
"""

from __future__ import annotations

import re

# Blanks are ASCII's: any other character may be part of a password.
_KEYWORD = re.compile(r"\s*([A-Za-z_][A-Za-z_0-9]*)\s*=\s*", re.ASCII)
_QUOTED = re.compile(r"'((?:[^'\\]|\\.|'')*)'(?=\s|\Z)", re.ASCII | re.DOTALL)
# A quote is an ordinary character in a value that does not begin with one.
_PLAIN = re.compile(r"(?!')((?:[^\s\\]|\\.|\\\Z)*)", re.ASCII | re.DOTALL)
_ESCAPED_IN_QUOTES = re.compile(r"\\(.)|'(')", re.DOTALL)
_ESCAPED = re.compile(r"\\(.?)", re.DOTALL)
_URI = re.compile(r"\s*postgres(?:ql)?://", re.IGNORECASE)

Pairs = list[tuple[str, str]]


def split_keywords(text: str) -> tuple[Pairs, str | None]:
    """Split a line into (keyword, value) pairs, up to the first fault, and say what the fault is.

    The description never shows a part of the line other than a keyword in front of a value.
    """
    if _URI.match(text):
        return [], "a connection URI is not taken here: write keyword=value"
    pairs: Pairs = []
    position = 0
    while text[position:].strip():
        keyword = _KEYWORD.match(text, position)
        if not keyword:
            return pairs, _not_a_pair(pairs)
        value = _value_at(text, keyword.end())
        if value is None:
            return pairs, "a value is not quoted as it should be: 'it''s' or 'it\\'s', and a blank behind it"
        pairs.append((keyword[1], value[0]))
        position = value[1]
    return pairs, None


def _value_at(text: str, position: int) -> tuple[str, int] | None:
    """Return the value that starts at a position and the place behind it."""
    if match := _QUOTED.match(text, position):
        return _ESCAPED_IN_QUOTES.sub(lambda escaped: escaped[1] or escaped[2], match[1]), match.end()
    if match := _PLAIN.match(text, position):
        return _ESCAPED.sub(r"\1", match[1]), match.end()
    return None


def _not_a_pair(pairs: Pairs) -> str:
    """Describe the place by the keyword in front of it, unless that may be a piece of a password."""
    place = f"what follows the value of {pairs[-1][0]}" if pairs else "the line"
    if any(may_be_password(keyword) for keyword, _ in pairs):
        place = "what follows the password"
    return f"{place} is not keyword=value (a value with blanks needs single quotes)"


def may_be_password(keyword: str) -> bool:
    """Tell whether a keyword is `password`, or was perhaps meant to be."""
    return keyword.lower().startswith("pas")
