"""Check whether the lines of [databases] and [shards] fit each other, and make values of them."""

from __future__ import annotations

from types import MappingProxyType

from .connections import Line, Lines
from .lines import Section
from .model import ChannelConfig, Config, DatabaseConfig, Settings, ShardConfig
from .options import RESERVED_DATABASES
from .problems import NAME, Findings, suggestion
from .relay import relay_complaints, relay_of
from .upstream_tls import with_tls

_NOT_WITH_EMBEDDED = ("host", "hostaddr", "port", "shards")


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
        + relay_complaints(line)
    )


def _shard_complaints(databases: Lines, shards: Lines) -> dict[str, str]:
    used = {name for line in databases.values() for name in line.shards}
    # Where a database's line is broken, what it would use is not known.
    unused = shards.keys() - used if all(line.complete for line in databases.values()) else set()
    own = {name for name, line in databases.items() if not line.shards}
    return dict.fromkeys(unused, "no database uses this shard") | dict.fromkeys(
        own & shards.keys(), "a database of this name without shards= is already a shard of this name"
    )


def build(settings: Settings, databases: Lines, shards: Lines, channels: tuple[ChannelConfig, ...]) -> Config:
    """Make the configuration of lines that have no problems."""
    named = {name: _shard(name, line, settings) for name, line in shards.items()}
    named |= {name: _own_shard(name, line, settings) for name, line in databases.items() if not line.shards}
    configured = {name: _database(name, line, named, settings) for name, line in databases.items()}
    return Config(settings, MappingProxyType(configured), MappingProxyType(named), channels)


def _shard(name: str, line: Line, settings: Settings) -> ShardConfig:
    return ShardConfig(name, with_tls(tuple(line.conninfo.items()), settings), None)


def _own_shard(name: str, line: Line, settings: Settings) -> ShardConfig:
    embedded, conninfo = line.words.get("embedded"), line.database_conninfo
    return ShardConfig(name, conninfo if embedded else with_tls(conninfo, settings), embedded)


def _database(name: str, line: Line, shards: dict[str, ShardConfig], settings: Settings) -> DatabaseConfig:
    own = tuple(shards[shard] for shard in line.shards or (name,))
    return DatabaseConfig(
        name=name,
        shards=own,
        listen_ack=line.words.get("listen_ack", settings.listen_ack),
        notify_ack=line.words.get("notify_ack", settings.notify_ack),
        relay=relay_of(line, own, settings),
    )
