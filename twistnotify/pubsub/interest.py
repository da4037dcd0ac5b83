"""Who listens to one channel.

A client that listens to this channel and no other can be given a whole batch's frames of the channel in one piece:
there is nothing they could come out of order with. A client with more channels, or with another encoding, is given
frame by frame, in the order of the batch. Most listeners of most applications are of the first kind.
"""

from __future__ import annotations

from collections.abc import Iterator

from twistnotify.pubsub.outbox import Outbox


class Interest:
    """The listeners of one channel, each in one of two places."""

    __slots__ = ("ordered", "reservations", "single")

    def __init__(self) -> None:
        self.single: dict[Outbox, None] = {}
        self.ordered: dict[Outbox, None] = {}
        self.reservations = 0

    def add(self, outbox: Outbox, alone: bool) -> None:
        """Add a listener; `alone`: this is its only channel."""
        (self.single if alone else self.ordered)[outbox] = None

    def remove(self, outbox: Outbox) -> None:
        """Remove a listener from wherever it stands."""
        self.single.pop(outbox, None)
        self.ordered.pop(outbox, None)

    def __contains__(self, outbox: Outbox) -> bool:
        return outbox in self.single or outbox in self.ordered

    def __iter__(self) -> Iterator[Outbox]:
        yield from self.single
        yield from self.ordered

    def __len__(self) -> int:
        return len(self.single) + len(self.ordered)

    def __bool__(self) -> bool:
        """Tell whether the channel has to stay: a listener, or a transaction that may become one."""
        return bool(self.single or self.ordered or self.reservations)
