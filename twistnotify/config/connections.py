"""Read the lines of [databases] and [shards]: what each of them holds."""

from __future__ import annotations

from dataclasses import dataclass, field

from .keywords import Pairs, may_be_password, split_keywords
from .lines import Entry, Section
from .options import LIBPQ_KEYWORDS, OWN_KEYWORDS, REFUSED_KEYWORDS, Keyword
from .problems import NAME, Findings, suggestion

_LIBPQ_NAMES = frozenset(keyword.name for keyword in LIBPQ_KEYWORDS)
_OWN_NAMES = frozenset(keyword.name for keyword in OWN_KEYWORDS)


@dataclass(frozen=True, slots=True)
class Line:
    """Hold the known keywords of a connection line; `complete` if nothing is wrong with the line alone."""

    entry: Entry
    words: dict[str, str] = field(repr=False)
    complete: bool

    @property
    def shards(self) -> tuple[str, ...]:
        """Return the names that `shards=` lists, in their order."""
        listed = self.words.get("shards")
        return tuple(name.strip() for name in listed.split(",")) if listed else ()

    @property
    def conninfo(self) -> dict[str, str]:
        """Return libpq's keywords, in the order of the file."""
        return {keyword: value for keyword, value in self.words.items() if keyword in _LIBPQ_NAMES}

    @property
    def database_conninfo(self) -> tuple[tuple[str, str], ...]:
        """Return libpq's keywords of a database: its name is the default of dbname."""
        conninfo = self.conninfo
        conninfo.setdefault("dbname", self.entry.key)
        return tuple(conninfo.items())


Lines = dict[str, Line]


def read_lines(section: Section, keywords: tuple[Keyword, ...], findings: Findings) -> Lines:
    """Return the lines of a section by name, with the keywords that are known."""
    return {entry.key: _read_line(entry, keywords, findings) for entry in section.entries.values()}


def _read_line(entry: Entry, keywords: tuple[Keyword, ...], findings: Findings) -> Line:
    pairs, fault = split_keywords(entry.value)
    words, complaints = checked(pairs, keywords)
    if fault:
        complaints.append(fault)
    if not NAME.fullmatch(entry.key):
        complaints.append("a name is 1 to 63 letters, digits and characters of _ . $ -")
    for complaint in complaints:
        findings.add(entry.line, entry.section, entry.key, complaint)
    return Line(entry, words, complete=not complaints)


def checked(pairs: Pairs, keywords: tuple[Keyword, ...]) -> tuple[dict[str, str], list[str]]:
    """Return the known keywords and what is wrong with any; a value is never shown."""
    known = {keyword.name: keyword for keyword in keywords}
    words: dict[str, str] = {}
    complaints: list[str] = []
    behind_password = False
    for name, value in pairs:
        if name not in known:
            complaints.append(_unknown(name, known, behind_password))
        elif name in words:
            complaints.append(f"{name} is there twice")
        else:
            complaints += _complaint(known[name], value)
            words[name] = value
        behind_password = behind_password or may_be_password(name)
    return words, complaints


def _complaint(keyword: Keyword, value: str) -> list[str]:
    try:
        keyword.kind.parse(value)
    except ValueError as error:
        return [f"the value of {keyword.name} {error}"]
    return []


def _unknown(name: str, known: dict[str, Keyword], behind_password: bool) -> str:
    if name in REFUSED_KEYWORDS:
        return REFUSED_KEYWORDS[name]
    if name in _OWN_NAMES:
        return f"{name} belongs on a line of [databases]"
    if behind_password:
        # A password with blanks that lacks its quotes may look like keywords.
        return "unknown keyword behind a password (a value with blanks needs single quotes)"
    return f'unknown keyword "{name}"{suggestion(name, known)}'
