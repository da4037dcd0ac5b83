"""Who may have missed something, and how they are told.

When a connection ends, PostgreSQL forgets what it listened to; what is notified until LISTEN is back is lost. Those
concerned are the clients that were registered at the end of the connection, on channels that were in effect.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from datetime import UTC, datetime

from twistnotify.pubsub.outbox import Outbox
from twistnotify.wire.errors import ErrorFields

TERMINATED = ErrorFields(
    "FATAL",
    "57P01",
    "terminating connection because notifications may have been lost",
    hint="The connection to PostgreSQL that LISTENs for all clients was lost and is back. Reconnect, LISTEN again,"
    " and look for what happened meanwhile.",
)
WARNED = ErrorFields(
    "WARNING",
    "01000",
    "notifications may have been lost",
    hint="The connection to PostgreSQL that LISTENs for all clients was lost and is back."
    " Look for what happened meanwhile.",
)


class Losses:
    """The clients to tell when the shard is back; times are seconds since the epoch."""

    def __init__(self, shard: str) -> None:
        self._shard = shard
        self._concerned: dict[Outbox, None] = {}
        self._lost_at: float | None = None

    def note(self, concerned: Iterable[Outbox], now: float) -> int:
        """Remember whom the end of a connection concerns; return how many there are."""
        self._concerned.update(dict.fromkeys(concerned))
        if self._lost_at is None:
            self._lost_at = now
        return len(self._concerned)

    def forget(self, outbox: Outbox) -> None:
        """Leave out a client that has gone."""
        self._concerned.pop(outbox, None)

    def tell(self, now: float, told: Callable[[Outbox], None]) -> str | None:
        """Tell everybody concerned; return the announcement for the gap channel, or None where nothing was lost."""
        if self._lost_at is None:
            return None
        announcement = {"shard": self._shard, "lost_at": _iso(self._lost_at), "back_at": _iso(now)}
        concerned, self._concerned = self._concerned, {}
        self._lost_at = None
        for outbox in concerned:
            told(outbox)
        return json.dumps(announcement)


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
