"""A client's wait at the fence: its ReadyForQuery comes after what it is due to hear.

An acknowledged NOTIFY must look as if it had been committed, as far as one instance can tell: whoever listens to its
channel gets it before the end of the next command.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from twisted.internet.interfaces import IReactorTime

from twistnotify.pubsub.outbox import Outbox
from twistnotify.shard.fence import Fence, Wait
from twistnotify.shard.service import ShardService
from twistnotify.shard.timer import Timer

Place = tuple[Fence, int]
"""A fence, and the number of the unit to wait for."""


def gate(shard: ShardService | None) -> list[Place]:
    """Return where to wait until PostgreSQL has carried out all that was accepted here before."""
    if shard is None or not shard.up or (shard.settled and not shard.behind_relay()):
        return []
    return [(shard.fence, shard.probe())]


def pending(shards: Sequence[ShardService], outbox: Outbox) -> list[Place]:
    """Return the fences a client has to wait at, each with the number of the unit to wait for."""
    return [(shard.fence, number) for shard in shards if shard.up and (number := _number(shard, outbox))]


def _number(shard: ShardService, outbox: Outbox) -> int:
    channels = shard.channels_of(outbox)
    if not channels:
        return 0
    fence = shard.fence
    accepted = fence.pending(channels) if fence.accepted != fence.answered else 0
    return max(accepted, shard.behind_relay())


class FenceWait:
    """Wait at all fences, for `timeout` seconds at the most; `passed` is called once."""

    def __init__(self, clock: IReactorTime, fences: list[Place], timeout: float, passed: Callable[[], None]) -> None:
        self._passed: Callable[[], None] | None = passed
        self._remaining = len(fences)
        self._waits: list[tuple[Fence, Wait]] = [(fence, fence.wait(number, self._one)) for fence, number in fences]
        self._timeout = Timer(clock, self._all)
        self._timeout.start(timeout)

    def cancel(self) -> None:
        """Forget it: the client is gone."""
        self._passed = None
        self._end()

    def _one(self) -> None:
        self._remaining -= 1
        if not self._remaining:
            self._all()

    def _all(self) -> None:
        self._end()
        passed, self._passed = self._passed, None
        if passed is not None:
            passed()

    def _end(self) -> None:
        self._timeout.stop()
        for fence, wait in self._waits:
            fence.give_up(wait)
