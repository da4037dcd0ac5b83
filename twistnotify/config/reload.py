"""What a new configuration changes while the server runs, and what it does not.

Clients that are logged in keep what they logged in with. Rights, [channels] and [groups], and all of the settings named
here are put in the place of the old ones; all else is built into what already listens and is connected.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace

from .model import Config, DatabaseConfig, Settings, ShardConfig
from .options import OPTIONS

_PREFIXES = ("auth_", "client_tls_")
_NAMES = ("scram_iterations", "acl_default")

RELOADABLE: frozenset[str] = frozenset(
    option.name for option in OPTIONS if option.name.startswith(_PREFIXES) or option.name in _NAMES
)
"""The settings that a reload changes; [channels] and [groups] are always among what it changes."""


def needs_restart(old: Config, new: Config) -> tuple[str, ...]:
    """Return the names of settings and sections that differ and that a reload leaves as they are; never values.

    A section differs as well where a setting does that its lines take defaults from.
    """
    names = [field.name for field in fields(Settings) if field.name not in RELOADABLE]
    differ = [name for name in names if getattr(old.settings, name) != getattr(new.settings, name)]
    if _databases(old) != _databases(new):
        differ.append("[databases]")
    if _shards(old) != _shards(new):
        differ.append("[shards]")
    return tuple(differ)


def _databases(config: Config) -> Mapping[str, tuple[DatabaseConfig, list[ShardConfig | str]]]:
    """Return what [databases] says: of shards that are not the database itself only the names."""
    return {
        name: (replace(database, shards=()), [shard if shard.name == name else shard.name for shard in database.shards])
        for name, database in config.databases.items()
    }


def _shards(config: Config) -> Mapping[str, ShardConfig]:
    return {name: shard for name, shard in config.shards.items() if name not in config.databases}
