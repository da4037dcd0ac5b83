"""Noticing that somebody has been idle for long, with one timer for all.

Who is idle says so at every end of a command; the timer is not set anew for that, but looks again when it was due.
"""

from __future__ import annotations

from typing import Protocol

from twisted.internet.interfaces import IReactorTime

from twistnotify.shard.timer import Timer


class Idler(Protocol):
    """Somebody who may be idle for long."""

    def rested(self) -> None:
        """Learn that the time is over."""


class IdleWatch:
    """Call back those who have been idle for a time."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._deadlines: dict[Idler, float] = {}
        self._due = 0.0
        self._look = Timer(clock, self._poll)

    def __len__(self) -> int:
        return len(self._deadlines)

    def rest(self, idler: Idler, seconds: float) -> None:
        """Begin to count somebody's time, or begin anew."""
        deadline = self._clock.seconds() + seconds
        self._deadlines[idler] = deadline
        if not self._look.running or deadline < self._due:
            self._start(deadline)

    def wake(self, idler: Idler) -> None:
        """Count no more."""
        self._deadlines.pop(idler, None)

    def stop(self) -> None:
        """Call nobody back any more."""
        self._deadlines.clear()
        self._look.stop()

    def _start(self, deadline: float) -> None:
        self._due = deadline
        self._look.start(max(0.0, deadline - self._clock.seconds()))

    def _poll(self) -> None:
        now = self._clock.seconds()
        due = [idler for idler, deadline in self._deadlines.items() if deadline <= now]
        for idler in due:
            del self._deadlines[idler]
        if self._deadlines:
            self._start(min(self._deadlines.values()))
        for idler in due:
            idler.rested()
