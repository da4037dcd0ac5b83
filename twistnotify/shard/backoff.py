"""How long to wait before the next attempt."""

from __future__ import annotations

from random import Random


class Backoff:
    """Double a delay up to a limit, with full jitter: a uniform draw between nothing and the delay.

    Jitter keeps the instances of a fleet from coming back in step (AWS Architecture Blog, "Exponential Backoff And
    Jitter"). `first` and `limit` are seconds.
    """

    def __init__(self, first: float, limit: float, random: Random) -> None:
        self._first = first
        self._limit = limit
        self._random = random
        self._delay = first

    def reset(self) -> None:
        """Begin anew with the first delay."""
        self._delay = self._first

    def next_delay(self) -> float:
        """Return seconds to wait now, and double the range of the next draw."""
        delay = self._random.uniform(0, self._delay)
        self._delay = min(self._delay * 2, self._limit)
        return delay
