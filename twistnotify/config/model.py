"""The configuration as frozen values, as the rest of the server sees it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .kinds import Network
from .options import default_of


def _default(name: str) -> Any:
    """Return a setting's default; typed Any, since one signature serves every field."""
    return default_of(name)


@dataclass(frozen=True, slots=True)
class Settings:
    """Hold the section [twistnotify]: one field a row of `options.OPTIONS`, times in seconds, sizes in bytes.

    `Settings()` is every setting at its default. What is "" was not given: there is no such file, user or folder.
    Versions of TLS are in PgBouncer's spelling, the oldest first. Ciphers are in OpenSSL's notation, or "default".
    """

    listen_addr: str = _default("listen_addr")
    listen_port: int = _default("listen_port")
    listen_backlog: int = _default("listen_backlog")
    unix_socket_dir: str = _default("unix_socket_dir")
    unix_socket_mode: int = _default("unix_socket_mode")
    proxy_protocol: bool = _default("proxy_protocol")
    proxy_protocol_from: tuple[Network, ...] = _default("proxy_protocol_from")
    max_client_conn: int = _default("max_client_conn")
    max_login_conn: int = _default("max_login_conn")
    fd_reserve: int = _default("fd_reserve")
    max_db_connections: int = _default("max_db_connections")
    client_login_timeout: float = _default("client_login_timeout")
    auth_type: str = _default("auth_type")
    auth_trust_ack: bool = _default("auth_trust_ack")
    auth_file: str = _default("auth_file")
    auth_hba_file: str = _default("auth_hba_file")
    auth_user: str = _default("auth_user")
    auth_query: str = _default("auth_query")
    auth_dbname: str = _default("auth_dbname")
    auth_query_cache_ttl: float = _default("auth_query_cache_ttl")
    auth_query_negative_ttl: float = _default("auth_query_negative_ttl")
    auth_fail_limit: int = _default("auth_fail_limit")
    auth_fail_window: float = _default("auth_fail_window")
    auth_fail_block: float = _default("auth_fail_block")
    scram_iterations: int = _default("scram_iterations")
    client_tls_sslmode: str = _default("client_tls_sslmode")
    client_tls_key_file: str = _default("client_tls_key_file")
    client_tls_cert_file: str = _default("client_tls_cert_file")
    client_tls_ca_file: str = _default("client_tls_ca_file")
    client_tls_protocols: tuple[str, ...] = _default("client_tls_protocols")
    client_tls_ciphers: str = _default("client_tls_ciphers")
    client_tls13_ciphers: str = _default("client_tls13_ciphers")
    server_tls_sslmode: str = _default("server_tls_sslmode")
    server_tls_key_file: str = _default("server_tls_key_file")
    server_tls_cert_file: str = _default("server_tls_cert_file")
    server_tls_ca_file: str = _default("server_tls_ca_file")
    server_tls_protocols: tuple[str, ...] = _default("server_tls_protocols")
    server_tls_ciphers: str = _default("server_tls_ciphers")
    server_tls13_ciphers: str = _default("server_tls13_ciphers")
    acl_default: str = _default("acl_default")
    max_listen_query_size: int = _default("max_listen_query_size")
    max_packet_size: int = _default("max_packet_size")
    server_connect_timeout: float = _default("server_connect_timeout")
    server_login_retry: float = _default("server_login_retry")
    server_login_retry_max: float = _default("server_login_retry_max")
    listen_check_interval: float = _default("listen_check_interval")
    listen_check_timeout: float = _default("listen_check_timeout")
    listen_loss_policy: str = _default("listen_loss_policy")
    listen_ack: str = _default("listen_ack")
    notify_ack: str = _default("notify_ack")
    fence_timeout: float = _default("fence_timeout")
    shard_queue_size: int = _default("shard_queue_size")
    query_wait_timeout: float = _default("query_wait_timeout")
    unlisten_delay: float = _default("unlisten_delay")
    max_channels: int = _default("max_channels")
    max_channels_per_client: int = _default("max_channels_per_client")
    client_queue_hard_limit: int = _default("client_queue_hard_limit")
    fanout_slice: float = _default("fanout_slice")
    tcp_keepalive: bool = _default("tcp_keepalive")
    tcp_keepidle: int = _default("tcp_keepidle")
    tcp_keepintvl: int = _default("tcp_keepintvl")
    tcp_keepcnt: int = _default("tcp_keepcnt")
    tcp_socket_buffer: int = _default("tcp_socket_buffer")


@dataclass(frozen=True, slots=True)
class ShardConfig:
    """Say how one LISTEN connection is made: libpq keywords, or the folder of an embedded PostgreSQL.

    `conninfo` is in the order of the file, and has behind that what the settings say of TLS; its password is not in
    `repr()`.
    """

    name: str
    conninfo: tuple[tuple[str, str], ...]
    embedded: str | None

    def __repr__(self) -> str:
        shown = _without_password(self.conninfo)
        return f"ShardConfig(name={self.name!r}, conninfo={shown!r}, embedded={self.embedded!r})"


@dataclass(frozen=True, slots=True)
class RelayConfig:
    """Say how an upstream session of the relay is made: libpq keywords, or the folder of an embedded PostgreSQL.

    `shard` names the shard of the database whose PostgreSQL this is, as far as that is known. A session is given back
    after `idle_timeout` seconds, 0 is never. Ciphers are as in `Settings`. `conninfo` is in the order of the file, and
    has behind that what the settings say of TLS; its password is not in `repr()`.
    """

    conninfo: tuple[tuple[str, str], ...]
    embedded: str | None
    shard: str | None
    idle_timeout: float
    ciphers: str = "default"
    tls13_ciphers: str = "default"

    def __repr__(self) -> str:
        shown = _without_password(self.conninfo)
        where = f"conninfo={shown!r}, embedded={self.embedded!r}, shard={self.shard!r}"
        ciphers = f"ciphers={self.ciphers!r}, tls13_ciphers={self.tls13_ciphers!r}"
        return f"RelayConfig({where}, idle_timeout={self.idle_timeout!r}, {ciphers})"


def _without_password(conninfo: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    return tuple((word, "***" if word == "password" else value) for word, value in conninfo)


@dataclass(frozen=True, slots=True)
class DatabaseConfig:
    """Describe what clients connect to; a channel's shard is `shards[router(channel)]`.

    `relay` says where other SQL goes; None refuses it.
    """

    name: str
    shards: tuple[ShardConfig, ...]
    listen_ack: str
    notify_ack: str
    relay: RelayConfig | None = None


@dataclass(frozen=True, slots=True)
class ChannelConfig:
    """Say who may LISTEN and NOTIFY on the channels of a pattern: a name, or how names begin and `*`.

    Groups are resolved to their users; None is everyone, () nobody.
    """

    pattern: str
    listen: tuple[str, ...] | None
    notify: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class Config:
    """Hold a whole configuration; both mappings are read-only.

    `shards` has every LISTEN connection there is to be, by name: those of [shards], and the databases that
    are their own single shard. A shard of several databases is the same object in all of them.
    The first of `channels` that matches a channel decides; if none does, `settings.acl_default`.
    """

    settings: Settings
    databases: Mapping[str, DatabaseConfig]
    shards: Mapping[str, ShardConfig]
    channels: tuple[ChannelConfig, ...] = ()
