"""Where a client comes from."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address


@dataclass(frozen=True, slots=True)
class Origin:
    """Say which address a client has, None on a Unix socket, and whether its connection is encrypted."""

    address: IPv4Address | IPv6Address | None
    tls: bool
