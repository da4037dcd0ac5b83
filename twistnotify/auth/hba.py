"""Find the line of a pg_hba.conf for a client.

What the lines mean: PostgreSQL manual, 'The pg_hba.conf File', in the subset that PgBouncer has as well. How they are
written is not known here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import TypeAlias

from twistnotify.auth.origin import Origin

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class Names:
    """The databases or the users of a line: everyone, one's own (`sameuser`), or by name."""

    everyone: bool = False
    own: bool = False
    names: frozenset[str] = frozenset()

    def cover(self, name: str, user: str) -> bool:
        """Tell whether a name is among them, for a user."""
        return self.everyone or name in self.names or (self.own and name == user)


@dataclass(frozen=True, slots=True)
class HbaRule:
    """A line: who it is for, and the method that is asked of them; `network` is None for all addresses."""

    line: int
    kind: str
    databases: Names
    users: Names
    network: Network | None
    method: str

    def matches(self, origin: Origin, database: str, user: str) -> bool:
        """Tell whether the line is for a client."""
        return self._covers(origin) and self.databases.cover(database, user) and self.users.cover(user, user)

    def _covers(self, origin: Origin) -> bool:
        if origin.address is None or self.kind == "local":
            return origin.address is None and self.kind == "local"
        if self.kind == ("hostnossl" if origin.tls else "hostssl"):
            return False
        return self.network is None or _plain(origin.address) in self.network


def _plain(address: Address) -> Address:
    """Return the IPv4 address of a client that has come to a socket for both."""
    return (address.ipv4_mapped if isinstance(address, IPv6Address) else None) or address


def method_for(rules: Sequence[HbaRule], origin: Origin, database: str, user: str) -> str | None:
    """Return the method of the first line that matches, None if none does."""
    return next((rule.method for rule in rules if rule.matches(origin, database, user)), None)


def trusts_strangers(rule: HbaRule) -> bool:
    """Tell whether a line lets clients of other machines in without any proof."""
    return rule.method == "trust" and rule.kind != "local" and not (rule.network and rule.network.is_loopback)
