"""Where a database's other SQL goes: the keywords of the relay on a line of [databases]."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from .connections import Line
from .kinds import Boolean
from .model import RelayConfig, Settings, ShardConfig
from .options import RELAY_IDLE_TIMEOUT
from .problems import suggestion
from .upstream_tls import with_tls

_PLACES = ("host", "hostaddr", "embedded")
_DETAILS = ("relay_shard", "relay_idle_timeout")
_ADDRESS = ("host", "hostaddr", "port", "dbname")
_LIBPQ_PORT = "5432"


def relay_complaints(line: Line) -> list[str]:
    """Say what is wrong with the keywords of the relay, where the line is right by itself."""
    if not line.complete:
        return []
    if not _is_on(line):
        return [f"{word} has no effect where relay is off" for word in _DETAILS if word in line.words]
    if not _has_place(line):
        said = [word for word in ("relay", *_DETAILS) if word in line.words]
        return [f"{word} has no effect: beside shards, host or hostaddr says where to relay to" for word in said]
    return _stranger(line)


def has_relay(line: Line) -> bool:
    """Tell whether a line that is right by itself has other SQL relayed."""
    return _is_on(line) and _has_place(line)


def relay_of(line: Line, shards: Sequence[ShardConfig], settings: Settings) -> RelayConfig | None:
    """Make the relay of a database that has these shards; None if it has no relay."""
    if not has_relay(line):
        return None
    relay = RelayConfig(
        conninfo=line.database_conninfo,
        embedded=line.words.get("embedded"),
        shard=_shard_behind(line, shards),
        idle_timeout=RELAY_IDLE_TIMEOUT.parse(line.words.get("relay_idle_timeout", "0")),
    )
    return relay if relay.embedded else _with_tls(relay, settings)


def _with_tls(relay: RelayConfig, settings: Settings) -> RelayConfig:
    return replace(
        relay,
        conninfo=with_tls(relay.conninfo, settings),
        ciphers=settings.server_tls_ciphers,
        tls13_ciphers=settings.server_tls13_ciphers,
    )


def _is_on(line: Line) -> bool:
    return Boolean().parse(line.words.get("relay", "on"))


def _has_place(line: Line) -> bool:
    """Tell whether a line says where to relay to; without shards libpq's defaults do, too."""
    return not line.shards or any(word in line.words for word in _PLACES)


def _stranger(line: Line) -> list[str]:
    """Complain if relay_shard is another database's; its value is not shown, as no other of the line is."""
    own = line.shards or (line.entry.key,)
    named = line.words.get("relay_shard", own[0])
    return [] if named in own else [f"relay_shard is not a shard of this database{suggestion(named, own)}"]


def _shard_behind(line: Line, shards: Sequence[ShardConfig]) -> str | None:
    if not line.shards:
        return line.entry.key
    same = (shard.name for shard in shards if _address(shard.conninfo) == _address(line.database_conninfo))
    return line.words.get("relay_shard") or next(same, None)


def _address(conninfo: tuple[tuple[str, str], ...]) -> tuple[str | None, ...]:
    """Return what is compared: as written, since what a name resolves to is not known here."""
    words = {"port": _LIBPQ_PORT} | dict(conninfo)
    return tuple(words.get(word) for word in _ADDRESS)
