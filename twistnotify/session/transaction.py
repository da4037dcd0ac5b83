"""One client's transaction: what it has gathered, and its savepoints.

LISTEN, UNLISTEN and NOTIFY are gathered as effects; the table in `states` says when they are committed or thrown
away. A savepoint is a mark in the list of effects.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from twistnotify.session.actions import Change
from twistnotify.session.failure import SqlError, error
from twistnotify.session.states import TRANSACTION, Event, Fate, Status, Transition
from twistnotify.sql.statements import Notify

MAX_GATHERED_BYTES = 16 * 1024 * 1024
"""Bytes, about, that one transaction may gather before its COMMIT: channels, payloads, and `OVERHEAD` each."""
CHAIN = "COMMIT AND CHAIN"
OVERHEAD = 64
"""What an effect costs beside its texts."""
MAX_SAVEPOINTS = 1000
"""Savepoints open at a time in one transaction."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A savepoint, or several of the same name with nothing between them: what had been gathered by then."""

    name: str
    effects: int
    size: int
    times: int = 1


class Transaction:
    """The state of one client's transaction."""

    __slots__ = ("_effects", "_savepoints", "_size", "begun", "status")

    def __init__(self) -> None:
        self.status = Status.IDLE
        self.begun = "BEGIN"
        """The statement that has begun the block, as the client wrote it, and what has chained it."""
        self._effects: list[Change] = []
        # A tuple, and empty in nearly every transaction: it costs a client nothing.
        self._savepoints: tuple[Mark, ...] = ()
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

    def begin(self, text: str) -> None:
        """Note with which statement the block has begun."""
        self.begun = text or "BEGIN"

    def chain(self) -> None:
        """Note that the block has the characteristics of the one before it, and not by its own statement."""
        if not self.begun.endswith(CHAIN):
            self.begun += f";{CHAIN}"

    def add(self, effect: Change) -> None:
        """Gather an effect; raises 53400 over `MAX_GATHERED_BYTES`."""
        self._size += OVERHEAD
        if isinstance(effect, Notify):
            self._size += len(effect.channel) + len(effect.payload)
        if self._size > MAX_GATHERED_BYTES:
            raise error("53400", "the transaction has gathered too many notifications")
        self._effects.append(effect)

    def take(self) -> tuple[Change, ...]:
        """Take out what was gathered, without repeated notifications: the first of its kind keeps its place."""
        effects, self._effects = self._effects, []
        self._savepoints = ()
        self._size = 0
        return tuple(_distinct(effects))

    @property
    def effects(self) -> list[Change]:
        """What has been gathered so far."""
        return self._effects

    def story(self) -> Iterator[Change | str]:
        """Iterate over what has happened since the beginning: effects, and the names of savepoints, in their order."""
        done = 0
        for mark in self._savepoints:
            yield from self._effects[done : mark.effects]
            yield from (mark.name,) * mark.times
            done = mark.effects
        yield from self._effects[done:]

    def savepoint(self, name: str) -> None:
        """Set a mark."""
        mark = Mark(name, len(self._effects), self._size)
        last = self._savepoints[-1] if self._savepoints else None
        if last is not None and (last.name, last.effects, last.size) == (mark.name, mark.effects, mark.size):
            # Drivers that set one before each statement use the same name over and over.
            self._savepoints = (*self._savepoints[:-1], replace(last, times=last.times + 1))
            return
        if len(self._savepoints) >= MAX_SAVEPOINTS:
            raise error("53400", "too many savepoints in one transaction")
        self._savepoints = (*self._savepoints, mark)

    def release(self, name: str) -> None:
        """Forget a mark and those set after it; raises 3B001 for an unknown one."""
        index = self._find(name)
        mark = self._savepoints[index]
        rest = (replace(mark, times=mark.times - 1),) if mark.times > 1 else ()
        self._savepoints = (*self._savepoints[:index], *rest)

    def rollback_to(self, name: str) -> None:
        """Throw away what was gathered since a mark, and keep the mark; raises 3B001 for an unknown one."""
        index = self._find(name)
        self._savepoints = self._savepoints[: index + 1]
        mark = self._savepoints[index]
        self._size = mark.size
        del self._effects[mark.effects :]

    def rollback_to_last(self) -> None:
        """Throw away what was gathered since the last mark: one that was not kept is meant."""
        mark = self._savepoints[-1] if self._savepoints else Mark("", 0, 0)
        self._size = mark.size
        del self._effects[mark.effects :]

    def _find(self, name: str) -> int:
        for index in range(len(self._savepoints) - 1, -1, -1):
            if self._savepoints[index].name == name:
                return index
        raise error("3B001", f'savepoint "{name}" does not exist')


def _distinct(effects: list[Change]) -> list[Change]:
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
