"""What an upstream still has to answer: one entry a message, in the order in which they were sent.

Every message but Flush, Terminate and those of COPY has exactly one that ends its answer (manual, "Message Flow");
after an error in the extended protocol, everything up to Sync has none. So the entries always tell which message an
answer belongs to.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from twistnotify.sql.statements import Statement

QUERY, CALL, SYNC = ord("Q"), ord("F"), ord("S")
PARSE, BIND, DESCRIBE, EXECUTE, CLOSE = b"PBDEC"
COPY_END = ord("c")
"""CopyDone or CopyFail, whichever: behind it, Sync is Sync again."""

READY = ord("Z")
ENDS: dict[int, bytes] = {
    QUERY: b"Z",
    CALL: b"Z",
    SYNC: b"Z",
    PARSE: b"1",
    BIND: b"2",
    CLOSE: b"3",
    DESCRIBE: b"Tn",
    EXECUTE: b"CIs",
}
"""By message: the types of which one ends its answer."""


@dataclass(frozen=True, slots=True)
class Run:
    """A statement that is of concern here, with the values of its parameters."""

    statement: Statement
    arguments: tuple[str | None, ...] = ()


@dataclass(slots=True, eq=False)
class Expected:
    """A message whose answer is to come.

    `runs` has what is known of the statements it runs or prepares, None for those that are of no concern. `name` is
    the statement's or portal's that it makes or runs, `frame` a Bind or Close, where these may be of concern. `shifts`
    are places in the text that was sent (characters) behind which it is longer than the client's, each with how much.
    """

    kind: int
    runs: tuple[Run | None, ...] = ()
    name: bytes | None = None
    frame: bytes = b""
    shifts: tuple[tuple[int, int], ...] = ()
    completed: int = 0

    def next_run(self) -> Run | None:
        """Return what is known of the statement that has just been completed."""
        index = self.completed
        if index >= len(self.runs):
            return None
        self.completed += 1
        return self.runs[index]


_ANSWERED_BY_READY = frozenset((QUERY, CALL, SYNC))
PLAIN: dict[int, Expected] = {kind: Expected(kind) for kind in ENDS}
"""The entries of messages of which nothing is to be remembered."""


class Expectations:
    """The entries, first in, first out."""

    __slots__ = ("_due", "_entries", "_passed_over", "copying", "skipping")

    def __init__(self) -> None:
        self._entries: deque[Expected] = deque()
        self._due = 0
        self._passed_over = 0
        self.copying = False
        """Whether the upstream takes COPY data, and passes over Sync."""
        self.skipping = False
        """Whether the upstream passes over everything up to Sync."""

    def __bool__(self) -> bool:
        return bool(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def ends_pending(self) -> bool:
        """Tell whether a ReadyForQuery is due."""
        return self._due > 0

    @property
    def head(self) -> Expected | None:
        """The message that is being answered."""
        return self._entries[0] if self._entries else None

    def add(self, entry: Expected) -> None:
        """Note that a message has been sent."""
        if entry.kind == SYNC:
            if self.copying:
                return
            self.skipping = False
        if not self.skipping:
            self._entries.append(entry)
            self._due += entry.kind in _ANSWERED_BY_READY

    def end_copy(self) -> None:
        """Note that the client has ended its COPY data, perhaps before it was asked for any."""
        if self.copying:
            self.copying = False
        elif self._entries:
            self._entries.append(Expected(COPY_END))

    def begin_copy(self) -> None:
        """Note that the upstream takes COPY data: it passes over every Sync up to their end."""
        head = self._entries.popleft()
        while self._entries and self._entries[0].kind == SYNC:
            self._entries.popleft()
            self._due -= 1
            self._passed_over += 1
        self.copying = not (self._entries and self._entries[0].kind == COPY_END)
        if not self.copying:
            # This COPY's own: the next one of the same query string has another.
            self._entries.popleft()
        self._entries.appendleft(head)

    def pop(self) -> Expected:
        """Take out the message whose answer has ended."""
        entries = self._entries
        entry = entries.popleft()
        if entry.kind in _ANSWERED_BY_READY:
            self._due -= 1
        else:
            self._passed_over = 0
        while entries and entries[0].kind == COPY_END:
            entries.popleft()
        return entry

    def skip(self) -> None:
        """Take out everything up to Sync, which an error has the upstream pass over."""
        self.copying = False
        while self._entries and self._entries[0].kind != SYNC:
            self._due -= self._entries.popleft().kind in _ANSWERED_BY_READY
        self.skipping = not self._entries

    def take_surplus(self) -> bool:
        """Tell whether a ReadyForQuery may answer a Sync that was taken to be passed over, and count it.

        A COPY that fails before the upstream has read on has it answer the Sync that came right behind it.
        """
        if not self._passed_over:
            return False
        self._passed_over -= 1
        self.skipping = False
        return True
