"""What is counted, as plain integers that are raised where the event happens."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class ShardCounters:
    """Figures of one shard since the start."""

    received: int = 0
    """Notifications that PostgreSQL sent."""
    notified: int = 0
    """Clients' transactions with NOTIFY that have committed."""
    refused: int = 0
    """Clients' transactions with NOTIFY that PostgreSQL refused for good."""
    uncertain: int = 0
    """Clients' transactions with NOTIFY that were on their way when the connection was lost."""
    connects: int = 0
    """Times that LISTEN came into effect on a new connection."""
    losses: int = 0
    """Times that a connection with listeners was lost."""


@dataclass(slots=True)
class ClientCounters:
    """Figures of all clients since the start."""

    logins: int = 0
    """Clients that have logged in."""
    rejected: int = 0
    """Connections refused because there were too many."""
    disconnects: dict[str, int] = field(default_factory=dict)
    """Ends of connections by reason."""

    def count_disconnect(self, reason: str) -> None:
        """Count one end of a connection."""
        self.disconnects[reason] = self.disconnects.get(reason, 0) + 1
