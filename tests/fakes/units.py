"""Senders of notifications, as a shard sees them."""

from __future__ import annotations

from twistnotify.shard.commands import Unit
from twistnotify.shard.service import ShardService
from twistnotify.wire.errors import ErrorFields


class Sender:
    """Clients of a shard that notify; `told` holds the SQLSTATE of each unit settled, None for committed."""

    def __init__(self, shard: ShardService, pid: int = 5_000_000) -> None:
        self.shard = shard
        self.pid = pid
        self.told: list[tuple[str, str | None]] = []

    def notify(self, *payloads: str, channel: str = "c", waits: bool = False, sends: bool = True) -> Unit:
        """Queue one unit; `waits` is the committed mode, whose end is noted under the unit's first payload."""
        unit = Unit(tuple((channel, payload) for payload in payloads), self.pid, size=sum(map(len, payloads)))
        if waits:
            unit.done = lambda error: self._told(payloads[0], error)
        self.shard.notify(unit)
        if sends:
            self.shard.send()
        return unit

    def _told(self, payload: str, error: ErrorFields | None) -> None:
        self.told.append((payload, None if error is None else error.sqlstate))
