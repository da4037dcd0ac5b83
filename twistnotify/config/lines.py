"""Read the lines of an INI file, with their numbers.

The standard library's configparser forgets line numbers, stops at the first error and has comments and
interpolation that a password can fall victim to. Here a comment is a whole line, and a value is everything
behind the first `=`.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field

from .problems import Findings, quoted, suggestion


@dataclass(frozen=True, slots=True)
class Entry:
    """Hold one `key = value`; the value is not in `repr()`, since it may hold a password."""

    line: int
    section: str
    key: str
    value: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Section:
    """Hold the entries of a section by key, and the number of its first line."""

    name: str
    line: int
    entries: dict[str, Entry] = field(default_factory=dict)


def read_sections(text: str, known: tuple[str, ...], findings: Findings) -> dict[str, Section]:
    """Return the known sections; one that is not in the text is there without entries, at the last line."""
    found: dict[str, Section] = {}
    current: Section | None = None
    for number, line in _lines(text, findings):
        if line.startswith("["):
            current = _open(number, line, known, found, findings)
        elif current is None:
            findings.add(number, None, None, "this line stands in front of the first section")
        elif current.name in known:
            _read_entry(number, line, current, findings)
    last = text.count("\n") + 1
    return {name: found.get(name) or Section(name, last) for name in known}


def _lines(text: str, findings: Findings) -> Iterator[tuple[int, str]]:
    """Yield the lines that say something, stripped of blanks."""
    # Not splitlines(), which also splits where no editor counts a line (form feeds, U+2028 ...).
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), start=1):
        stripped = line.strip()
        if not stripped or stripped[0] in ";#":
            continue
        if any(unicodedata.category(c) in ("Cc", "Cs") for c in stripped.replace("\t", " ")):
            findings.add(number, None, None, "the line holds a control character or is not valid UTF-8")
            continue
        yield number, stripped


def _open(number: int, line: str, known: tuple[str, ...], found: dict[str, Section], findings: Findings) -> Section:
    """Return the section that a header opens; what an unknown one holds is not looked at."""
    name = line[1:-1].strip()
    if not line.endswith("]"):
        findings.add(number, None, None, "a section's header is not closed by ]")
        return Section("", number)
    if name not in known:
        findings.add(number, None, None, f"unknown section {quoted(f'[{name}]')}{suggestion(name, known)}")
        return Section("", number)
    if name in found:
        findings.add(number, name, None, f"the section is there twice, first in line {found[name].line}")
    return found.setdefault(name, Section(name, number))


def _read_entry(number: int, line: str, section: Section, findings: Findings) -> None:
    key, equals, value = (part.strip() for part in line.partition("="))
    if not equals or not key:
        findings.add(number, section.name, None, "the line is not key = value")
    elif key in section.entries:
        first = section.entries[key].line
        findings.add(number, section.name, key, f"this key is there twice, first in line {first}")
    else:
        section.entries[key] = Entry(number, section.name, key, value)
