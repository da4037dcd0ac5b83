"""What of a configuration leaves something open that an operator may not have meant to."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address

from twistnotify.auth.hba import trusts_strangers
from twistnotify.config.model import Config
from twistnotify.server.authentication import Security

VERIFIED = "verify-full"


def warnings(config: Config, security: Security) -> Iterator[str]:
    """Yield one line for each thing that is open."""
    if security.auth_type == "trust":
        yield "auth_type is trust: whoever reaches the port is believed to be whom it says"
    if any(map(trusts_strangers, security.rules)):
        yield "auth_hba_file has a line that trusts other machines"
    if security.tls is not None and security.tls.binding is None:
        yield "the certificate of client_tls_cert_file has no signature hash: SCRAM cannot be bound to it"
    for name in sorted(_unverified(config)):
        yield f"{name}: the server's certificate is not checked for its name (sslmode is not verify-full)"


def _unverified(config: Config) -> set[str]:
    """Return the lines whose servers are elsewhere, and may be anybody."""
    lines = [(f"shard {name}", shard.conninfo, shard.embedded) for name, shard in config.shards.items()]
    lines += [
        (f"database {name}", database.relay.conninfo, database.relay.embedded)
        for name, database in config.databases.items()
        if database.relay is not None
    ]
    return {name for name, conninfo, embedded in lines if embedded is None and _is_open(dict(conninfo))}


def _is_open(conninfo: dict[str, str]) -> bool:
    hosts = (conninfo.get("hostaddr") or conninfo.get("host") or "").split(",")
    return conninfo.get("sslmode") != VERIFIED and not all(map(_is_here, hosts))


def _is_here(host: str) -> bool:
    if host in ("", "localhost") or host.startswith(("/", "@")):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
