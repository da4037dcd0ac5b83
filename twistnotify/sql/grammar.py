"""PostgreSQL's grammar behind a fence: the only module that calls pglast's parser.

pglast builds its tree by recursion on the C stack and dies of a segmentation fault on a deep one, such as
`SELECT 1+1+...` 30,000 times. So a tree is built only for a text that is too short for a deep tree, has
few tokens, or begins a statement that cannot nest; splitting, which builds no tree, may see any text.
"""

from __future__ import annotations

import re
from typing import Any

from pglast.parser import ParseError, parse_sql, scan
from pglast.parser import split as split_sql

from twistnotify.sql.runs import has_long_run
from twistnotify.sql.statements import SqlSyntaxError

SHORT = 1_000
"""Characters of a text that cannot be deep. A stack of 1 MB bears 3,000 levels, of 2 characters at least."""

MAX_STATEMENTS = 10_000
"""Statements in one text or one DO block, at most: a driver's batch has some hundreds."""

_SQLSTATES = (
    ("invalid byte sequence for encoding", "22021"),
    ("CHECK constraints cannot be marked", "0A000"),
    ("precision for type float", "22023"),
)
_COMMENTS = frozenset(("SQL_COMMENT", "C_COMMENT"))
_WORD = re.compile(r"[A-Za-z_]+")
_NOT_ASCII = re.compile(r"[^\x00-\x7f]")
_UNICODE_SPACE = re.compile(r"[\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]")
_PRIVATE_USE = range(0xE000, 0xF900)


def check(text: str) -> None:
    """Raise SqlSyntaxError for what the grammar must not see: NUL, lone surrogates, runaway operators."""
    if "\0" in text:
        raise SqlSyntaxError('invalid byte sequence for encoding "UTF8": 0x00', "22021")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        code = text[error.start].encode("utf-8", "surrogatepass")
        shown = " ".join(f"0x{byte:02x}" for byte in code)
        raise SqlSyntaxError(f'invalid byte sequence for encoding "UTF8": {shown}', "22021") from None
    if len(text) > SHORT and has_long_run(text):
        raise SqlSyntaxError("too many operator characters in a row", "54001")


def trees(text: str) -> tuple[Any, ...]:
    """Return pglast's RawStmt of each statement. For texts that cannot be deep only (see SHORT).

    Raises SqlSyntaxError.
    """
    try:
        return tuple(parse_sql(text))
    except (ParseError, UnicodeDecodeError) as error:
        raise _translated(error, text) from None


def split(text: str) -> tuple[str, ...]:
    """Split a text of any length into its statements, without the comments before them.

    Raises SqlSyntaxError.
    """
    masked, unmask = _mask_spaces(text)
    try:
        return tuple(piece.translate(unmask) for piece in split_sql(masked))
    except (ParseError, UnicodeDecodeError) as error:
        translated = _translated(error, text)
        translated.message = translated.message.translate(unmask)
        raise translated from None


def refuse_many(count: int) -> None:
    """Raise SqlSyntaxError (54000) for more statements than MAX_STATEMENTS."""
    if count > MAX_STATEMENTS:
        raise SqlSyntaxError(f"a query may hold at most {MAX_STATEMENTS} statements", "54000")


def tokens(text: str) -> list[Any]:
    """Return pglast's tokens (name; start and end in characters, inclusive), comments left out.

    Raises SqlSyntaxError.
    """
    # pglast finds the place of each token among all letters beyond ASCII, one by one. To the lexer
    # an underscore is as good a letter, and takes one byte.
    ascii_text = text if text.isascii() else _NOT_ASCII.sub("_", text)
    return _scan(ascii_text)


def count_tokens(text: str) -> int:
    """Count the tokens of a text that splits."""
    # Dollar quotes with different tags must stay different here, or text would hide in them.
    distinct = _NOT_ASCII.sub(lambda letter: f"_{ord(letter[0]):x}_", text)
    return len(_scan(distinct))


def first_word(text: str) -> str:
    """Return the first keyword of a statement without leading comments, in upper case."""
    word = _WORD.search(text)
    return word[0].upper() if word else ""


def _scan(text: str) -> list[Any]:
    try:
        return [token for token in scan(text) if token.name not in _COMMENTS]
    except (ParseError, UnicodeDecodeError) as error:
        raise _translated(error, text) from None


def _mask_spaces(text: str) -> tuple[str, dict[int, int]]:
    """Hide what str.strip takes for white space and PostgreSQL for letters: pglast strips statements."""
    spaces = set(_UNICODE_SPACE.findall(text))
    if not spaces:
        return text, {}
    free = (code for code in _PRIVATE_USE if chr(code) not in text)
    mask = dict(zip(map(ord, spaces), free, strict=False))
    return text.translate(mask), {hidden: space for space, hidden in mask.items()}


def _translated(error: ParseError | UnicodeDecodeError, text: str) -> SqlSyntaxError:
    if isinstance(error, UnicodeDecodeError):
        # The message quotes the text up to the middle of a character.
        return SqlSyntaxError(error.object.decode("utf-8", "replace"))
    message, index = error.args
    sqlstate = next((state for start, state in _SQLSTATES if message.startswith(start)), "42601")
    if message.endswith("at end of input"):
        index = len(text)
    return SqlSyntaxError(message, sqlstate, None if index is None else index + 1)
