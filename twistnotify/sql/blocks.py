"""DO blocks that do nothing but LISTEN, UNLISTEN and NOTIFY.

Drivers of job queues send their LISTENs so, to have many in one round trip. The frame (BEGIN, semicolons,
END) is read from the lexer's tokens, each statement by the grammar.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from twistnotify.sql.channels import channel_statement
from twistnotify.sql.grammar import refuse_many, tokens, trees
from twistnotify.sql.lane import lane
from twistnotify.sql.statements import DoBlock, Listen, Notify, SqlSyntaxError, Unlisten

_FIRST_WORDS = frozenset(("LISTEN", "UNLISTEN", "NOTIFY"))


def do_block(tree: Any) -> DoBlock | None:
    """Return the statements of a DoStmt, or None for one that does anything else or does not compile.

    Raises SqlSyntaxError (54000) for too many of them.
    """
    options = {option.defname: option.arg.sval for option in tree.args}
    # An option given twice is PostgreSQL's to refuse.
    if len(options) != len(tree.args) or options.get("language", "plpgsql") != "plpgsql":
        return None
    try:
        statements = tuple(_statements(options.get("as", "")))
    except (SqlSyntaxError, _ForeignBlockError):
        return None
    refuse_many(len(statements))
    return DoBlock(statements) if statements else None


class _ForeignBlockError(Exception):
    """The block does something else."""


def _statements(body: str) -> Iterator[Listen | Unlisten | Notify]:
    start: int | None = None
    for token in _inside(tokens(body)):
        if start is None:
            # Nothing that nests may reach the grammar (see twistnotify.sql.grammar).
            if token.name not in _FIRST_WORDS:
                raise _ForeignBlockError
            start = token.start
        elif token.name == "ASCII_59":
            yield _statement(body[start : token.start])
            start = None
    if start is not None:
        raise _ForeignBlockError


def _inside(found: list[Any]) -> list[Any]:
    """Return the tokens between BEGIN and END; one semicolon may follow."""
    if found and found[-1].name == "ASCII_59":
        found = found[:-1]
    if len(found) < 2 or (found[0].name, found[-1].name) != ("BEGIN_P", "END_P"):
        raise _ForeignBlockError
    return found[1:-1]


def _statement(source: str) -> Listen | Unlisten | Notify:
    if plain := lane(source):
        return plain
    (tree,) = trees(source)
    return channel_statement(tree.stmt, source)
