"""Whoever fails too often has to wait.

A key (an address, or an address and a user) that has failed for the first time opens a window of its own, with a fixed
length. Another window begins with the first failure after its end. With `limit` failures in one window a block begins,
and the count begins anew when it ends. So a key is two numbers, and fewer than 2 * limit failures fit into any stretch
of time as long as a window.

Windows and blocks are kept apart, each with a bound of its own and the oldest forgotten first. So nobody gets rid of
his block by making up keys that fail: he would have to get MAX_TRACKED other keys blocked, with `limit` failures each.
What he can drive out is counts, his own among them: MAX_TRACKED failures for `limit - 1` attempts.

As each kind lives for the same time, they end in the order in which they began, if the clock never goes back.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable

# Keys with a window, and as many with a block: some 300 bytes each, so about 20 MB in all under attack.
MAX_TRACKED = 32_768


class Throttle:
    """Count failures by key; `limit` failures within `window` seconds block a key for `block` seconds.

    A limit of 0 blocks nobody. `now` is always seconds of one clock that does not go back.
    """

    __slots__ = ("_block", "_blocked", "_failed", "_limit", "_window")

    def __init__(self, limit: int, window: float, block: float) -> None:
        self._limit = limit
        self._window = window
        self._block = block
        self._failed: OrderedDict[Hashable, tuple[float, int]] = OrderedDict()
        self._blocked: OrderedDict[Hashable, float] = OrderedDict()

    def __len__(self) -> int:
        """Return how many keys are remembered."""
        return len(self._failed) + len(self._blocked)

    def is_blocked(self, key: Hashable, now: float) -> bool:
        """Tell whether a key has to wait."""
        until = self._blocked.get(key)
        return until is not None and now < until

    def note_failure(self, key: Hashable, now: float) -> bool:
        """Count a failed attempt; tell whether a block begins with it. One during a block changes nothing."""
        self._forget_what_is_over(now)
        if not self._limit or key in self._blocked:
            return False
        end, failures = self._failed.get(key, (now + self._window, 0))
        if failures + 1 < self._limit:
            self._failed[key] = end, failures + 1
            _forget_oldest(self._failed)
            return False
        self._failed.pop(key, None)
        self._blocked[key] = now + self._block
        _forget_oldest(self._blocked)
        return True

    def forgive(self, key: Hashable) -> None:
        """Forget a key's failures, and its block."""
        self._failed.pop(key, None)
        self._blocked.pop(key, None)

    def _forget_what_is_over(self, now: float) -> None:
        while self._failed and next(iter(self._failed.values()))[0] <= now:
            self._failed.popitem(last=False)
        while self._blocked and next(iter(self._blocked.values())) <= now:
            self._blocked.popitem(last=False)


def _forget_oldest(keys: OrderedDict[Hashable, tuple[float, int]] | OrderedDict[Hashable, float]) -> None:
    if len(keys) > MAX_TRACKED:
        keys.popitem(last=False)
