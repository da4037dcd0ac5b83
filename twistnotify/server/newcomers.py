"""Connections that have not logged in yet: how many there may be, and who makes room when there are more.

A newcomer is *silent* while it is waited for, and not while it waits for us: for a user to be looked up, or a key to be
derived. Who waits only for its database's shard to be up has proved who it is, and is none any more.

When there is no room, the one that has been silent for longest goes, if that is `PATIENCE`; a good client takes
milliseconds. If nobody has been, many come at a time. Then the oldest of the source goes that has most of them, so that
one machine cannot keep all others out; and if that is the newcomer's own, it is the newcomer who is refused.
"""

from __future__ import annotations

from typing import Protocol

PATIENCE = 1.0
"""Seconds after which a client that is waited for makes room for others, if there are too many."""


class Newcomer(Protocol):
    """A connection that has not logged in."""

    def make_room(self) -> None:
        """End, for the sake of others."""


class Newcomers:
    """Those that have not logged in, at most so many; sources are addresses, or networks."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._sources: dict[Newcomer, str] = {}
        self._counts: dict[str, int] = {}
        self._silent: dict[Newcomer, float] = {}

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._sources)

    def add(self, newcomer: Newcomer, source: str, now: float) -> bool:
        """Take in a newcomer that is waited for, maybe in the place of another one; False where there is no room."""
        if len(self._sources) >= self._most and not self._make_room(source, now):
            return False
        self._sources[newcomer] = source
        self._counts[source] = self._counts.get(source, 0) + 1
        self._silent[newcomer] = now
        return True

    @property
    def is_full(self) -> bool:
        """Tell whether one more needs another one to go."""
        return len(self._sources) >= self._most

    def wait_for(self, newcomer: Newcomer, now: float) -> None:
        """Note that a newcomer is to say something."""
        if newcomer in self._sources:
            self._silent.pop(newcomer, None)
            self._silent[newcomer] = now

    def work_for(self, newcomer: Newcomer) -> None:
        """Note that a newcomer waits for us."""
        self._silent.pop(newcomer, None)

    def remove(self, newcomer: Newcomer) -> None:
        """Forget one that is none any more."""
        source = self._sources.pop(newcomer, None)
        if source is None:
            return
        self._silent.pop(newcomer, None)
        count = self._counts[source] - 1
        if count:
            self._counts[source] = count
        else:
            del self._counts[source]

    def _make_room(self, source: str, now: float) -> bool:
        victim = self._slowest(now) or self._of_many(source)
        if victim is None:
            return False
        self.remove(victim)
        victim.make_room()
        return True

    def _slowest(self, now: float) -> Newcomer | None:
        newcomer, since = next(iter(self._silent.items()), (None, now))
        return newcomer if now - since >= PATIENCE else None

    def _of_many(self, source: str) -> Newcomer | None:
        """Return the oldest of the source that has most, unless the new one's has as many by then."""
        largest = max(self._counts, key=self._counts.__getitem__)
        if self._counts[largest] <= self._counts.get(source, 0) + 1:
            return None
        return next((newcomer for newcomer in self._silent if self._sources[newcomer] == largest), None)
