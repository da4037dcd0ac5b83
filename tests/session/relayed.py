"""A session whose client may have an upstream: the test plays both of them, and all that passes is lines to read.

As in `conversation`, with one more kind of line: what goes to the upstream, in short, behind an arrow. What the
upstream says is written in the same way (`support.letters`).

    conversation.query("SELECT 2")               # attach
                                                 # -> Q(SELECT 2)
    conversation.answer("T D(2) C(SELECT 1) Z")  # T(?column?:23), D(b'2'), C(SELECT 1), Z(I)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from conversation import (
    ADMISSION,
    LIMITS,
    PID,
    SECRET,
    Conversation,
    shown_action,
)
from support.letters import messages, requests, requests_in

from twistnotify.session.actions import Action, Attach, Commit, Effect, Enlist, Replay, Turn, Withdraw
from twistnotify.session.attached import Attached
from twistnotify.session.lane import Lane
from twistnotify.session.login import Admission
from twistnotify.session.session import Limits
from twistnotify.sql.statements import Listen, Unlisten
from twistnotify.wire.catalog import BackendMessage
from twistnotify.wire.errors import ErrorFields
from twistnotify.wire.framing import FrameBuffer
from twistnotify.wire.function_call import FunctionCall

__all__ = ["FakeRelay", "Relayed", "asked", "attached", "forwarded", "messages", "relayed", "requests", "told"]

UPSTREAM = {"TimeZone": "UTC"}
"""What the upstream reports at its log-in, and the client has been told."""
REFUSED = ErrorFields("ERROR", "08001", "no upstream today")
CALL = FunctionCall(1, (), (), 0)


@dataclass
class FakeRelay:
    """A database whose upstream is the shard of some channels, with clients to signal."""

    own: frozenset[str] | None = frozenset()
    """Channels of the upstream's shard; None where there is one shard only."""
    pids: frozenset[int] = frozenset()
    backends: dict[int, int] = field(default_factory=dict)
    """Clients' PIDs by those of their backends."""
    ended: int = 0
    """Transactions that upstreams have ended."""

    def note_end(self) -> None:
        self.ended += 1

    def client_pid(self, pid: int) -> int:
        return self.backends.get(pid, pid)

    def relays(self, channel: str | None) -> bool:
        return self.own is None or channel in self.own

    def may_signal(self, user: str, pid: int) -> bool:
        return user == "alice" and pid in self.pids


@dataclass
class Relayed(Conversation):
    """A conversation with two more sides: the upstream's, and that of the server that connects the two."""

    upstream_parameters: dict[str, str] = field(default_factory=lambda: dict(UPSTREAM))
    refused_attach: ErrorFields | None = None
    replays: tuple[Replay, ...] = ()
    """What the last attach was to begin with."""
    held: set[type[Action]] = field(default_factory=set)
    """Actions that a direction has to wait for, until `release`."""
    listening: set[str] = field(default_factory=set)
    """Channels that the client is registered for."""
    passed: bytes = b""
    """All that has gone to the upstream."""

    def __post_init__(self) -> None:
        self._to_upstream = FrameBuffer(1 << 24)
        self._waiting: set[Lane] = set()
        self._turn_awaited = False
        super().__post_init__()

    @property
    def attached(self) -> Attached:
        """The session's upstream side."""
        assert self.session.attached is not None
        return self.session.attached

    def receive(self, data: bytes) -> list[str]:
        """Send bytes as the client, and return what comes of them."""
        if self.session.attached is None:
            return super().receive(data)
        return self._after(lambda: self.attached.requests.stream.feed(data))

    def answer(self, short: str) -> list[str]:
        """Send messages as the upstream, and return what comes of them."""
        return self.upstream(*messages(short))

    def upstream(self, *sent: BackendMessage | bytes) -> list[str]:
        """Send messages or bytes as the upstream, and return what comes of them."""
        data = b"".join(each if isinstance(each, bytes) else each.encode(self.codec) for each in sent)
        return self._after(lambda: self.attached.answers.stream.feed(data))

    def release(self, failure: ErrorFields | None = None) -> list[str]:
        """Have done what the directions wait for, or have it failed; return what comes of it."""
        for lane in self._waiting:
            if failure is not None:
                lane.fail(failure)
        self._waiting.clear()
        self.held.clear()
        return self._after(lambda: None)

    def _after(self, happens: Callable[[], None]) -> list[str]:
        before = len(self.lines)
        happens()
        self.go_on()
        return self.lines[before:]

    def go_on(self) -> None:
        """Carry out what is asked for until nothing is asked for."""
        super().go_on()
        if self.session.attached is not None:
            self._run(self.attached.request_lane)
            self._run(self.attached.answer_lane)
            self._note()
            if self._turn_has_come():
                self._turn_awaited = False
                self._waiting.discard(self.attached.request_lane)
                self.go_on()

    def _turn_has_come(self) -> bool:
        attached = self.attached
        return self._turn_awaited and attached.is_clients_turn and attached.answer_lane not in self._waiting

    def _run(self, lane: Lane) -> None:
        while lane not in self._waiting and not self.closed and (action := lane.next_action()) is not None:
            self._note()
            self.lines.append(shown_action(action))
            self._perform(lane, action)

    def _perform(self, lane: Lane, action: Action) -> None:
        if type(action) in self.held:
            self._waiting.add(lane)
            return
        match action:
            case Turn():
                self._turn_awaited = True
                self._waiting.add(lane)
            case Enlist(channels):
                self.attached.answers.enlisted.update(set(channels) - self.listening)
                self.listening.update(channels)
            case Withdraw(channels):
                self.listening.difference_update(channels)
            case Commit() if self.refusals and self.refusals[0] is not None:
                lane.fail(self.refusals[0])
                del self.refusals[0]
            case _:
                self._carry_out(action)

    def _carry_out(self, action: Action) -> None:
        if isinstance(action, Attach):
            self._attach(action.replays)
            return
        if isinstance(action, Commit) and not (self.refusals and self.refusals[0]):
            self._register(action.effects)
        super()._carry_out(action)

    def _attach(self, replays: tuple[Replay, ...]) -> None:
        self.replays = replays
        if self.refused_attach is None:
            self.session.attach(self.upstream_parameters)
        else:
            self.session.fail(self.refused_attach)

    def _register(self, effects: tuple[Effect, ...]) -> None:
        for effect in effects:
            match effect:
                case Listen(channel):
                    self.listening.add(channel)
                case Unlisten(None):
                    self.listening.clear()
                case Unlisten(str(channel)):
                    self.listening.discard(channel)

    def _note(self) -> None:
        self._note_forwarded()
        self._note_replies()

    def _note_replies(self) -> None:
        if self.session.attached is None:
            super()._note_replies()
            return
        for data in self.session.replies:
            assert not self.closed, "a reply after the end"
            # Rows pass as they come, whole or not.
            self._cut(data)
        self.session.replies.clear()

    def _note_forwarded(self) -> None:
        forwarded = b"".join(self.attached.forwarded)
        self.attached.forwarded.clear()
        self.passed += forwarded
        self._to_upstream.feed(forwarded)
        self.lines += [f"-> {each}" for each in requests_in(self._to_upstream)]


def relayed(relay: FakeRelay | None = None, limits: Limits = LIMITS, **parameters: str) -> Relayed:
    """Return a conversation past its log-in, of a database that relays, which has answered nothing so far."""
    admission = Admission(
        ADMISSION.status, PID, SECRET, "UTF8", ADMISSION.acknowledgements, FakeRelay() if relay is None else relay
    )
    return Relayed(limits, admission, parameters=parameters)


def attached(relay: FakeRelay | None = None, limits: Limits = LIMITS, *listens: str, **parameters: str) -> Relayed:
    """Return a conversation that has an upstream, which waits for a command."""
    conversation = relayed(relay, limits, **parameters)
    for channel in listens:
        conversation.query(f"LISTEN {channel}")
    conversation.query("SELECT now()")
    conversation.answer("C(SELECT 1) Z")
    conversation.lines.clear()
    conversation.passed = b""
    return conversation


# What comes of it, as lines


def forwarded(lines: Iterable[str]) -> list[str]:
    """Return what the upstream gets of it."""
    return [line.removeprefix("-> ") for line in lines if line.startswith("-> ")]


def told(lines: Iterable[str]) -> list[str]:
    """Return what the client gets of it."""
    return [line for line in lines if line[0].isupper()]


def asked(lines: Iterable[str]) -> list[str]:
    """Return what the session asked for."""
    return [line for line in lines if line[0].islower()]
