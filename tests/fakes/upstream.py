"""A PostgreSQL session at the other end of the relay: the test says what it answers, and sees what it gets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from support.letters import messages, requests
from twisted.internet.defer import Deferred

from twistnotify.auth.secrets import Credentials
from twistnotify.relay.places import Place
from twistnotify.relay.upstream import UpstreamRefused
from twistnotify.session.actions import Replay
from twistnotify.wire.errors import ErrorFields

REFUSED = ErrorFields("ERROR", "08001", "no upstream today")
PLACE = Place("db.example", 5432, "192.0.2.1")


class FakeUpstream:
    """A session; what it says while it is not read from is kept until it is.

    `sent` has what it has been sent since the last look, `end` and `abort` are noted in `state`.
    """

    def __init__(self, pid: int, parameters: dict[str, str]) -> None:
        self.place = PLACE
        self.parameters = parameters
        self.pid = pid
        self.secret = b"backend's"
        self.tls = None
        self.paused = False
        self.state = "open"
        self.consumer: Any = None
        self._unread = b""
        self._lost = False
        self._sent = b""

    # What an attachment does to it

    def use(self, consumer: Any) -> None:
        """Hand on what arrives from now on."""
        self.consumer = consumer
        self._hand_on()

    def write(self, data: bytes) -> None:
        """Take bytes."""
        assert self.state == "open", "written to after the end"
        self._sent += data

    def pause(self) -> None:
        """Hand nothing on."""
        assert not self.paused, "paused twice"
        self.paused = True

    def resume(self) -> None:
        """Hand on what has come meanwhile."""
        assert self.paused, "resumed without a pause"
        self.paused = False
        self._hand_on()

    def end(self) -> None:
        """End the session."""
        assert self.state == "open", "ended twice"
        self.state = "ended"

    def abort(self) -> None:
        """Reset the connection."""
        self.state = "aborted"

    # What a test does

    def say(self, short: str) -> None:
        """Answer."""
        self.say_bytes(b"".join(message.encode() for message in messages(short)))

    def say_bytes(self, data: bytes) -> None:
        """Answer."""
        self._unread += data
        self._hand_on()

    def lose(self) -> None:
        """End the connection from the other side."""
        self._lost = True
        self._hand_on()

    @property
    def sent(self) -> list[str]:
        """What it has been sent since the last look, in short."""
        sent, self._sent = self._sent, b""
        return requests(sent)

    def _hand_on(self) -> None:
        if self.paused or self.state != "open" or self.consumer is None:
            return
        data, self._unread = self._unread, b""
        if data:
            self.consumer.received(data)
        if self._lost and not self.paused and self.state == "open":
            self.consumer.lost()


class FakeRelay:
    """What opens sessions: at once, or, where it `holds`, when a test says `open_one` or `refuse_one`."""

    def __init__(self) -> None:
        self.holds = False
        self.refuses: ErrorFields | None = None
        self.parameters: dict[str, str] = {}
        self.upstreams: list[FakeUpstream] = []
        self.asked: list[tuple[str, tuple[tuple[str, str], ...], tuple[Replay, ...]]] = []
        self.opening: list[Deferred[Any]] = []
        self.credentials: list[Credentials | None] = []
        self.cancelled = 0

    def open(
        self,
        user: str,
        startup: Sequence[tuple[str, str]],
        replays: Sequence[Replay],
        credentials: Credentials | None = None,
    ) -> Deferred[FakeUpstream]:
        """Open a session."""
        self.credentials.append(credentials)
        self.asked.append((user, tuple(startup), tuple(replays)))
        opening: Deferred[FakeUpstream] = Deferred(self._note_cancelled)
        self.opening.append(opening)
        if not self.holds:
            self.open_one()
        return opening

    def open_one(self) -> None:
        """Open the session that was asked for first, or refuse it where `refuses` says why."""
        opening = self.opening.pop(0)
        if self.refuses is not None:
            opening.errback(UpstreamRefused(self.refuses))
            return
        self.upstreams.append(FakeUpstream(9000 + len(self.asked), dict(self.parameters)))
        opening.callback(self.upstreams[-1])

    @property
    def upstream(self) -> FakeUpstream:
        """The session opened last."""
        return self.upstreams[-1]

    def _note_cancelled(self, opening: Deferred[Any]) -> None:
        self.cancelled += 1
        self.opening.remove(opening)
