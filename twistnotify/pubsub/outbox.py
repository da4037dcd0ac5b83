"""What waits to be written to one client: replies and notifications, in one order.

A client that is idle gets notifications at once; one that is in a transaction or in the middle of a command gets
them before its next ReadyForQuery (PostgreSQL manual, "Asynchronous Operations"). So an outbox has two lists: what
is ready for the socket, and what is held until the client is idle again.

Frames are opaque bytes here, and whole: whatever is taken out ends at a frame boundary.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

PIECE = 262_144
"""Bytes taken out for one write: one system call's worth, and the most that leaves the outbox's own count."""


class DirtyList(Protocol):
    """Where an outbox puts itself when it has something to flush."""

    def append(self, outbox: Outbox, /) -> None: ...


class Owner(Protocol):
    """The client an outbox belongs to."""

    def flush(self) -> None:
        """Write what is ready, as far as the socket takes it."""


class Outbox:
    """Keep the frames of one client in order, and count them.

    `unsent` is the number of notification bytes not handed on yet: the figure that limits for slow clients look at.
    Replies do not count: whoever asks for them and does not read is kept from asking.
    """

    __slots__ = ("_dirty_list", "_size", "dirty", "encoding", "held", "idle", "owner", "ready", "unsent")

    def __init__(self, owner: Owner, dirty_list: DirtyList) -> None:
        self.owner = owner
        self.ready: list[bytes] = []
        self.held: list[bytes] = []
        self.idle = True
        self.dirty = False
        self.encoding: str | None = None
        self.unsent = 0
        self._size = 0
        self._dirty_list = dirty_list

    def reply(self, frames: bytes) -> None:
        """Add whole reply frames; the caller flushes."""
        self.ready.append(frames)
        self._size += len(frames)

    def deliver(self, frames: bytes) -> None:
        """Add whole notification frames and see to it that they are flushed."""
        (self.ready if self.idle else self.held).append(frames)
        self._size += len(frames)
        self.unsent += len(frames)
        if not self.dirty:
            self.dirty = True
            self._dirty_list.append(self)

    def release(self) -> None:
        """Let what was held go out, in its order, before what comes next."""
        if self.held:
            self.ready += self.held
            self.held.clear()

    def forget(self, unwanted: Callable[[bytes], bool]) -> None:
        """Drop held frames: a client that ends a LISTEN loses what it has not been given yet."""
        self._drop(self.held, [frames for frames in self.held if not unwanted(frames)])

    def convert(self, converted: Callable[[bytes], bytes]) -> None:
        """Replace held frames by others, those of another encoding."""
        before = sum(map(len, self.held))
        self.held[:] = map(converted, self.held)
        grown = sum(map(len, self.held)) - before
        self._size += grown
        self.unsent = max(0, self.unsent + grown)

    def take(self) -> bytes:
        """Take out at most about `PIECE` bytes that are ready, as one string of whole frames."""
        ready = self.ready
        if len(ready) == 1:
            data = ready.pop()
        elif self._size <= PIECE:
            data = b"".join(ready)
            ready.clear()
        else:
            data = self._take_piece()
        self._size -= len(data)
        if self._size < self.unsent:
            self.unsent = self._size
        return data

    def discard(self) -> None:
        """Drop everything: the client is being ended."""
        self.ready.clear()
        self.held.clear()
        self.unsent = self._size = 0

    def __len__(self) -> int:
        """Return the number of bytes that wait, replies and notifications."""
        return self._size

    def _take_piece(self) -> bytes:
        size = count = 0
        while count < len(self.ready) and size < PIECE:
            size += len(self.ready[count])
            count += 1
        data = b"".join(self.ready[:count])
        del self.ready[:count]
        return data

    def _drop(self, frames: list[bytes], kept: Iterable[bytes]) -> None:
        before = sum(map(len, frames))
        frames[:] = kept
        dropped = before - sum(map(len, frames))
        self._size -= dropped
        self.unsent -= min(dropped, self.unsent)
