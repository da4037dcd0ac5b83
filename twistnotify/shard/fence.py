"""Who waits for NOTIFYs that this instance has accepted and PostgreSQL has not yet answered.

Every unit has a number; they are answered in the order of the numbers. A channel is *pending* up to the number of
the last unit that names it. Only channels that the shard LISTENs to are kept track of: nobody waits for others.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass


@dataclass(slots=True, eq=False)
class Wait:
    """A client that waits for a unit's answer; `passed` is called once, unless the wait is given up."""

    sequence: int
    passed: Callable[[], None]


class Fence:
    """Numbers of units accepted and answered, and who waits for which."""

    def __init__(self) -> None:
        self.accepted = 0
        self.answered = 0
        self._pending: dict[str, int] = {}
        self._forgotten: set[str] = set()
        self._waits: list[Wait] = []

    def accept(self, notifications: Iterable[tuple[str, str]], listened: Container[str]) -> int:
        """Number a unit with these pairs of channel and payload; return its number."""
        self.accepted = number = self.accepted + 1
        for channel, _ in notifications:
            if channel in listened:
                self._pending[channel] = number
        return number

    def answer(self, sequence: int) -> None:
        """Note that all units up to this number have been answered, and let go who waited for them."""
        self.answered = max(self.answered, sequence)
        if self.answered == self.accepted:
            self._pending.clear()
            self._forgotten.clear()
        elif self._forgotten:
            self._drop_forgotten()
        self._let_go(self.answered)

    def pending(self, channels: Iterable[str]) -> int:
        """Return the number of the last unanswered unit that names one of the channels, or 0."""
        if self.answered == self.accepted:
            return 0
        latest = max((self._pending.get(channel, 0) for channel in channels), default=0)
        return latest if latest > self.answered else 0

    def wait(self, sequence: int, passed: Callable[[], None]) -> Wait:
        """Have a function called when the unit of this number has been answered."""
        wait = Wait(sequence, passed)
        self._waits.append(wait)
        return wait

    def give_up(self, wait: Wait) -> None:
        """Forget a wait."""
        if wait in self._waits:
            self._waits.remove(wait)

    def open(self) -> None:
        """Let everybody go: the shard is down, and nobody knows for how long."""
        self._let_go(self.accepted)

    def forget(self, channel: str) -> None:
        """Stop keeping track of a channel that the shard no longer LISTENs to, as soon as it is not pending."""
        if channel in self._pending:
            self._forgotten.add(channel)
            self._drop_forgotten()

    def _drop_forgotten(self) -> None:
        for channel in [each for each in self._forgotten if self._pending.get(each, 0) <= self.answered]:
            self._forgotten.discard(channel)
            self._pending.pop(channel, None)

    def _let_go(self, sequence: int) -> None:
        passed = [wait for wait in self._waits if wait.sequence <= sequence]
        self._waits = [wait for wait in self._waits if wait.sequence > sequence]
        for wait in passed:
            wait.passed()
