"""Clients that wait for room in a shard's queue."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime

from twistnotify.shard.timer import Timer
from twistnotify.wire.errors import ErrorFields

REFUSED = ErrorFields(
    "ERROR",
    "57P03",
    "cannot queue the notification: the shard is not available and its queue is full",
    hint="Try again when the database is back.",
)


class Place:
    """A client's place in the line; `told` is called once: with None when there is room, else with an error."""

    __slots__ = ("told", "waited_too_long")

    def __init__(
        self,
        told: Callable[[ErrorFields | None], None],
        clock: IReactorTime,
        expired: Callable[[Place], None],
    ):
        self.told = told
        self.waited_too_long = Timer(clock, lambda: expired(self))


class WaitingRoom:
    """The line in front of a full queue: who came first goes on first.

    `full` and `up` tell of the queue and the shard. While the shard is up, nobody is refused however long it takes;
    while it is down, a client that has waited for `timeout` seconds is.
    """

    def __init__(self, clock: IReactorTime, timeout: float, full: Callable[[], bool], up: Callable[[], bool]) -> None:
        self._clock = clock
        self._timeout = timeout
        self._full = full
        self._up = up
        self._line: deque[Place] = deque()
        self._admitting = False

    def __len__(self) -> int:
        return len(self._line)

    @property
    def open(self) -> bool:
        """Tell whether a newcomer may go on without waiting.

        While others go on it may: who is at the counter does not join the line between two of its NOTIFYs.
        """
        return (self._admitting or not self._line) and not self._full()

    def wait(self, told: Callable[[ErrorFields | None], None]) -> Place:
        """Join the line."""
        place = Place(told, self._clock, self._expired)
        place.waited_too_long.start(self._timeout)
        self._line.append(place)
        return place

    def leave(self, place: Place) -> None:
        """Step out of the line."""
        place.waited_too_long.stop()
        if place in self._line:
            self._line.remove(place)

    def admit(self) -> None:
        """Let clients go on, one after the other, each with all it has sent, as long as there is room."""
        if self._admitting:
            return
        self._admitting = True
        try:
            while self._line and not self._full():
                place = self._line.popleft()
                place.waited_too_long.stop()
                place.told(None)
        finally:
            self._admitting = False

    def _expired(self, place: Place) -> None:
        if self._up():
            place.waited_too_long.start(self._timeout)
        else:
            self.leave(place)
            place.told(REFUSED)
