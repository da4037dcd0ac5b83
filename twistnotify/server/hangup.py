"""Noticing that a client has hung up while nobody reads from it.

A socket that is not read from is not in the reactor either, so its end would go unnoticed for as long as the pause
lasts. One poll(2) a second over all of them finds those whose peer has closed.
"""

from __future__ import annotations

import select
from typing import Protocol

from twisted.internet.interfaces import IReactorTime

from twistnotify.shard.timer import Timer

INTERVAL = 1.0
"""Seconds between two looks."""


class Watched(Protocol):
    """A client that may have hung up."""

    @property
    def stalled(self) -> bool:
        """Tell whether it is still not read from."""

    def fileno(self) -> int:
        """Return its socket's descriptor, -1 when it is closed."""

    def hung_up(self) -> None:
        """Learn that the peer has closed."""


class HangupWatch:
    """Look after clients for as long as they are not read from."""

    def __init__(self, clock: IReactorTime) -> None:
        self._watched: dict[Watched, None] = {}
        self._look = Timer(clock, self._poll)

    def __len__(self) -> int:
        return len(self._watched)

    def watch(self, client: Watched) -> None:
        """Begin to look after a client."""
        self._watched[client] = None
        if not self._look.running:
            self._look.start(INTERVAL)

    def forget(self, client: Watched) -> None:
        """Stop looking after a client."""
        self._watched.pop(client, None)

    def stop(self) -> None:
        """Look no more."""
        self._watched.clear()
        self._look.stop()

    def _poll(self) -> None:
        poll = select.poll()
        stalled = {client.fileno(): client for client in self._watched if client.stalled and client.fileno() >= 0}
        self._watched = dict.fromkeys(stalled.values())
        for descriptor in stalled:
            poll.register(descriptor, select.POLLRDHUP)
        for descriptor, _ in poll.poll(0):
            stalled[descriptor].hung_up()
        if self._watched:
            self._look.start(INTERVAL)
