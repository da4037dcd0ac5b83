"""What arrived from PostgreSQL and is not yet with the clients.

Batches of notifications go to the hub in the order of their arrival, for at most a slice of time before the reactor
gets its turn; what must come behind them (the end of a query whose notifications they are) waits in the same line.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from twisted.internet.interfaces import IReactorTime

from twistnotify.pubsub.hub import Hub

Batch = Sequence[tuple[str, bytes]]


class Pump:
    """Hand batches to a hub, and call what was queued behind them.

    Nothing moves until `run` is called. `flush` is called after each round; `slice_` is in seconds.
    """

    def __init__(self, clock: IReactorTime, hub: Hub, flush: Callable[[], None], slice_: float) -> None:
        self._clock = clock
        self._hub = hub
        self._flush = flush
        self._slice = slice_
        self._line: deque[Batch | Callable[[], None]] = deque()
        self._dispatched = 0
        self._running = False

    def put(self, batch: Batch) -> None:
        """Add a batch of pairs of channel and frame."""
        self._line.append(batch)

    def call_behind(self, function: Callable[[], None]) -> None:
        """Call a function when all batches added so far are with the clients' outboxes."""
        self._line.append(function)

    def run(self) -> None:
        """Work off the line, now for a slice of time and then turn by turn, unless that is going on already."""
        if self._line and not self._running:
            self._run()

    def _run(self) -> None:
        self._running = True
        end = self._clock.seconds() + self._slice
        while self._line:
            self._step()
            if self._clock.seconds() >= end:
                break
        self._flush()
        self._running = bool(self._line)
        if self._running:
            self._clock.callLater(0, self._run)

    def _step(self) -> None:
        item = self._line[0]
        if callable(item):
            self._line.popleft()
            item()
            return
        self._dispatched = self._hub.dispatch(item, self._dispatched)
        if self._dispatched >= len(item):
            self._line.popleft()
            self._dispatched = 0
