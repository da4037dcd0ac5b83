"""One client's transaction: what it has gathered, and its savepoints.

LISTEN, UNLISTEN and NOTIFY are gathered as effects; the table in `states` says when they are committed or thrown
away. A savepoint is a mark in the list of effects.
"""

from __future__ import annotations

from twistnotify.session.actions import Effect
from twistnotify.session.failure import SqlError, error
from twistnotify.session.states import TRANSACTION, Event, Fate, Status, Transition
from twistnotify.sql.statements import Notify

MAX_GATHERED_BYTES = 16 * 1024 * 1024
"""Bytes, about, that one transaction may gather before its COMMIT: channels, payloads, and `OVERHEAD` each."""
OVERHEAD = 64
"""What an effect costs beside its texts."""
MAX_SAVEPOINTS = 1000
"""Savepoints open at a time in one transaction."""


class Transaction:
    """The state of one client's transaction."""

    __slots__ = ("_effects", "_savepoints", "_size", "status")

    def __init__(self) -> None:
        self.status = Status.IDLE
        self._effects: list[Effect] = []
        # A tuple, and empty in nearly every transaction: it costs a client nothing.
        self._savepoints: tuple[tuple[str, int, int], ...] = ()
        self._size = 0

    def happen(self, event: Event) -> Transition:
        """Go on by the table; raises `SqlError` where the event is refused.

        The caller tends to the effects: `take` where they are to be committed.
        """
        transition = TRANSACTION[self.status, event]
        self.status = transition.status
        if transition.told is not None and transition.told.severity == "ERROR":
            raise SqlError(transition.told)
        if transition.fate is Fate.DISCARD:
            self.take()
        return transition

    def add(self, effect: Effect) -> None:
        """Gather an effect; raises 53400 over `MAX_GATHERED_BYTES`."""
        self._size += OVERHEAD
        if isinstance(effect, Notify):
            self._size += len(effect.channel) + len(effect.payload)
        if self._size > MAX_GATHERED_BYTES:
            raise error("53400", "the transaction has gathered too many notifications")
        self._effects.append(effect)

    def take(self) -> tuple[Effect, ...]:
        """Take out what was gathered, without repeated notifications: the first of its kind keeps its place."""
        effects, self._effects = self._effects, []
        self._savepoints = ()
        self._size = 0
        return tuple(_distinct(effects))

    @property
    def effects(self) -> list[Effect]:
        """What has been gathered so far."""
        return self._effects

    def savepoint(self, name: str) -> None:
        """Set a mark."""
        if len(self._savepoints) >= MAX_SAVEPOINTS:
            raise error("53400", "too many savepoints in one transaction")
        self._savepoints = (*self._savepoints, (name, len(self._effects), self._size))

    def release(self, name: str) -> None:
        """Forget a mark and those set after it; raises 3B001 for an unknown one."""
        self._savepoints = self._savepoints[: self._find(name)]

    def rollback_to(self, name: str) -> None:
        """Throw away what was gathered since a mark, and keep the mark; raises 3B001 for an unknown one."""
        index = self._find(name)
        self._savepoints = self._savepoints[: index + 1]
        _, count, self._size = self._savepoints[index]
        del self._effects[count:]

    def _find(self, name: str) -> int:
        for index in range(len(self._savepoints) - 1, -1, -1):
            if self._savepoints[index][0] == name:
                return index
        raise error("3B001", f'savepoint "{name}" does not exist')


def _distinct(effects: list[Effect]) -> list[Effect]:
    seen: set[tuple[str, str]] = set()
    kept = []
    for effect in effects:
        if isinstance(effect, Notify):
            pair = (effect.channel, effect.payload)
            if pair in seen:
                continue
            seen.add(pair)
        kept.append(effect)
    return kept
