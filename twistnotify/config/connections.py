"""Read the lines of [databases] and [shards]: what they hold, and whether they fit each other."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType

from .keywords import Pairs, may_be_password, split_keywords
from .lines import Entry, Section
from .model import Config, DatabaseConfig, Settings, ShardConfig
from .options import LIBPQ_KEYWORDS, OWN_KEYWORDS, REFUSED_KEYWORDS, RESERVED_DATABASES, Keyword
from .problems import NAME, Findings, suggestion

_LIBPQ_NAMES = frozenset(keyword.name for keyword in LIBPQ_KEYWORDS)
_OWN_NAMES = frozenset(keyword.name for keyword in OWN_KEYWORDS)
_NOT_WITH_EMBEDDED = ("host", "hostaddr", "port", "shards")


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


Lines = dict[str, Line]


def read_lines(section: Section, keywords: tuple[Keyword, ...], findings: Findings) -> Lines:
    """Return the lines of a section by name, with the keywords that are known."""
    return {entry.key: _read_line(entry, keywords, findings) for entry in section.entries.values()}


def _read_line(entry: Entry, keywords: tuple[Keyword, ...], findings: Findings) -> Line:
    pairs, fault = split_keywords(entry.value)
    words, complaints = _checked(pairs, {keyword.name: keyword for keyword in keywords})
    if fault:
        complaints.append(fault)
    if not NAME.fullmatch(entry.key):
        complaints.append("a name is 1 to 63 letters, digits and characters of _ . $ -")
    for complaint in complaints:
        findings.add(entry.line, entry.section, entry.key, complaint)
    return Line(entry, words, complete=not complaints)


def _checked(pairs: Pairs, known: dict[str, Keyword]) -> tuple[dict[str, str], list[str]]:
    """Return the known keywords and what is wrong with any; a value is never shown."""
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


def check_lines(section: Section, databases: Lines, shards: Lines, findings: Findings) -> None:
    """Find what is wrong between lines that may each be right; `section` is [databases]."""
    if not databases:
        findings.add(section.line, section.name, None, "there has to be at least one database")
    for line in databases.values():
        for complaint in _database_complaints(line, shards):
            findings.add(line.entry.line, line.entry.section, line.entry.key, complaint)
    for name, complaint in _shard_complaints(databases, shards).items():
        findings.add(shards[name].entry.line, shards[name].entry.section, name, complaint)


def _database_complaints(line: Line, shards: Lines) -> list[str]:
    name = line.entry.key
    reserved = [f"{name} is the name of the console"] if name in RESERVED_DATABASES else []
    excluded = [word for word in _NOT_WITH_EMBEDDED if "embedded" in line.words and word in line.words]
    missing = [shard for shard in line.shards if NAME.fullmatch(shard) and shard not in shards]
    return (
        reserved
        + [f"embedded and {word} exclude each other" for word in excluded]
        + [f'shard "{shard}" is not in [shards]{suggestion(shard, shards)}' for shard in missing]
    )


def _shard_complaints(databases: Lines, shards: Lines) -> dict[str, str]:
    used = {name for line in databases.values() for name in line.shards}
    # Where a database's line is broken, what it would use is not known.
    unused = shards.keys() - used if all(line.complete for line in databases.values()) else set()
    own = {name for name, line in databases.items() if not line.shards}
    return dict.fromkeys(unused, "no database uses this shard") | dict.fromkeys(
        own & shards.keys(), "a database of this name without shards= is already a shard of this name"
    )


def build(settings: Settings, databases: Lines, shards: Lines) -> Config:
    """Make the configuration of lines that have no problems."""
    named = {name: ShardConfig(name, tuple(line.conninfo.items()), None) for name, line in shards.items()}
    named |= {name: _own_shard(name, line) for name, line in databases.items() if not line.shards}
    configured = {name: _database(name, line, named, settings) for name, line in databases.items()}
    return Config(settings, MappingProxyType(configured), MappingProxyType(named))


def _own_shard(name: str, line: Line) -> ShardConfig:
    conninfo = line.conninfo
    conninfo.setdefault("dbname", name)
    return ShardConfig(name, tuple(conninfo.items()), line.words.get("embedded"))


def _database(name: str, line: Line, shards: dict[str, ShardConfig], settings: Settings) -> DatabaseConfig:
    return DatabaseConfig(
        name=name,
        shards=tuple(shards[shard] for shard in line.shards or (name,)),
        listen_ack=line.words.get("listen_ack", settings.listen_ack),
        notify_ack=line.words.get("notify_ack", settings.notify_ack),
    )
