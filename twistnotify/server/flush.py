"""Writing what has gathered, once a round, for as many clients as a slice of time allows.

An outbox that takes something puts itself on the list. A round walks the list; what is left when the time is up is
walked in the next turn of the reactor, so that ten thousand listeners never block a log-in. The further a client is
behind, the more its frames gather, and the fewer system calls it costs.
"""

from __future__ import annotations

from collections import deque

from twisted.internet.interfaces import IReactorTime

from twistnotify.pubsub.outbox import Outbox

CLOCK_INTERVAL = 16
"""Outboxes flushed between two looks at the clock."""


class FlushList:
    """The outboxes with something to write; `slice_` is in seconds."""

    def __init__(self, clock: IReactorTime, slice_: float) -> None:
        self._clock = clock
        self._slice = slice_
        self._dirty: deque[Outbox] = deque()
        self._scheduled = False
        self.append = self._dirty.append

    def __len__(self) -> int:
        return len(self._dirty)

    def flush(self) -> None:
        """Walk the list, unless a later turn is going to."""
        if self._dirty and not self._scheduled:
            self._walk()

    def _walk(self) -> None:
        end = self._clock.seconds() + self._slice
        dirty = self._dirty
        self._scheduled = False
        while dirty:
            for _ in range(min(CLOCK_INTERVAL, len(dirty))):
                dirty.popleft().owner.flush()
            if self._clock.seconds() >= end:
                break
        if dirty:
            self._scheduled = True
            self._clock.callLater(0, self._walk)
