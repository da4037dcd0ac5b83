"""Who sent what comes back.

PostgreSQL gives every notification of ours the shard connection's PID. What this instance sent comes back in the
order in which it was sent, before the answer to the query that carried it; so a line of what is expected names the
client for each, and a notification then carries the PID that the client knows as its own.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Container, Iterable


class Senders:
    """The notifications of the query that is running, as (channel, payload, client's PID)."""

    def __init__(self) -> None:
        self._expected: deque[tuple[str, str, int]] = deque()

    def expect(self, notifications: Iterable[tuple[str, str]], pid: int, listened: Container[str]) -> None:
        """Add what one client's transaction sends, as far as the shard connection LISTENs to it."""
        for channel, payload in notifications:
            if channel in listened:
                self._expected.append((channel, payload, pid))

    def pid_of(self, channel: str, payload: str) -> int | None:
        """Return the PID of the client that sent this notification, the next of ours; None where it is unknown."""
        expected = self._expected
        if expected and expected[0][0] == channel and expected[0][1] == payload:
            return expected.popleft()[2]
        # What was expected in between never came: PostgreSQL does not say why, and nobody waits for it.
        for passed, (name, text, pid) in enumerate(expected):
            if name == channel and text == payload:
                for _ in range(passed + 1):
                    expected.popleft()
                return pid
        return None

    def clear(self) -> None:
        """Expect nothing more: the query has been answered, or its connection is gone."""
        self._expected.clear()
