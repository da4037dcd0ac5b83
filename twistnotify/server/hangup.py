"""Noticing that a client has hung up while nobody reads from it.

A socket that is not read from is not in the reactor either, so its end would go unnoticed for as long as the pause
lasts. One poll(2) a second over all of them finds those whose peer has closed.

A client that sends its last commands and closes at once has hung up too, in this sense, and is still entitled to have
them carried out. It is given at least a second's pause before it is taken to be gone.
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

    stalls: int
    """How often it has been stopped from sending: tells one pause from the next."""

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
        self._watched: dict[Watched, int] = {}
        self._look = Timer(clock, self._poll)

    def __len__(self) -> int:
        return len(self._watched)

    def watch(self, client: Watched) -> None:
        """Begin to look after a client."""
        self._watched[client] = 0
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
        """Look at those who have been in the same pause since the last look."""
        poll = select.poll()
        paused: dict[int, Watched] = {}
        for client, stalls in list(self._watched.items()):
            if not client.stalled:
                del self._watched[client]
            elif stalls == client.stalls and client.fileno() >= 0:
                paused[client.fileno()] = client
                poll.register(client.fileno(), select.POLLRDHUP)
            else:
                self._watched[client] = client.stalls
        for descriptor, _ in poll.poll(0):
            paused[descriptor].hung_up()
        if self._watched:
            self._look.start(INTERVAL)
