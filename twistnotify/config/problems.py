"""What can be wrong in a configuration file, and where.

A message never shows what could be part of a password: values of connection lines are not shown at all, names
only where they look like names.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass

# Databases, shards, sections and keys. 63 bytes is PostgreSQL's limit for a database's name (NAMEDATALEN -
# 1).
NAME = re.compile(r"[\w.$-]{1,63}")
# A value that holds one of these may be a connection line that slipped into the wrong section.
_SECRET = re.compile(r"pas\w*\s*=|://", re.IGNORECASE)
_SHOWN_CHARACTERS = 60


@dataclass(frozen=True, slots=True)
class Problem:
    """Say what is wrong in one place of a file; `str()` gives the line for the log.

    `line` is 0 where it is not known.
    """

    file: str
    line: int
    section: str | None
    key: str | None
    message: str

    def __str__(self) -> str:
        section = f" [{self.section}]" if self.section else ""
        key = f" {self.key}:" if self.key else ":" if section else ""
        line = f":{self.line}" if self.line else ""
        return f"{self.file}{line}:{section}{key} {self.message}"


class ConfigurationError(Exception):
    """Report everything that is wrong in a file: `problems`, in the order of lines."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__(problems)
        self.problems = problems

    def __str__(self) -> str:
        return "\n".join(map(str, self.problems))


class Findings:
    """Gather the problems of one file, so that its author sees all of them at once."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._problems: list[Problem] = []

    def add(self, line: int, section: str | None, key: str | None, message: str) -> None:
        """Note a problem; a section or key that does not look like a name is left out."""
        self._problems.append(Problem(self._file, line, _as_name(section), _as_name(key), message))

    def raise_if_any(self) -> None:
        """Raise ConfigurationError if there was any problem."""
        if self._problems:
            raise ConfigurationError(tuple(sorted(self._problems, key=lambda problem: problem.line)))


def quoted(text: str) -> str:
    """Show a text in a message: in double quotes, printable, cut at 60 characters, without secrets."""
    if _SECRET.search(text):
        return '"..."'
    shown = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text[:_SHOWN_CHARACTERS])
    return f'"{shown}..."' if len(text) > _SHOWN_CHARACTERS else f'"{shown}"'


def suggestion(name: str, known: Iterable[str]) -> str:
    """Give the end of a message that names the nearest known name, or nothing if none is near."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return f'; did you mean "{near[0]}"?' if near else ""


def _as_name(text: str | None) -> str | None:
    return text if text and NAME.fullmatch(text) else None
