"""A client and its upstream session: what passes between them, and what either direction asks for.

Both directions are lanes that stand still on their own: a gate holds up what the client sends, a fence what the
upstream answers. Whoever is faster than the other side takes is not read from until that has caught up.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from twistnotify.relay.cancel import send_cancel
from twistnotify.relay.upstream import Upstream
from twistnotify.server.commit import Committer
from twistnotify.server.detachment import Detachment
from twistnotify.server.fencing import FenceWait, Place, gate, pending
from twistnotify.session.actions import (
    Action,
    Close,
    Commit,
    Effect,
    Enlist,
    Gate,
    GiveUp,
    Ready,
    Recode,
    Signal,
    Turn,
    Withdraw,
)
from twistnotify.session.attached import Attached
from twistnotify.session.failure import SqlError
from twistnotify.session.lane import Lane
from twistnotify.wire.errors import ErrorFields

if TYPE_CHECKING:
    from twistnotify.server.protocol import ClientProtocol


SENDER_REMEMBERED = 5.0
"""Seconds for which a backend's PID still means its client when the upstream session has ended."""


class Direction:
    """One lane at work; `moved` is called when it goes on after a wait."""

    def __init__(self, lane: Lane, moved: Callable[[Direction], None]) -> None:
        self.lane = lane
        self.wait: FenceWait | Deferred[None] | None = None
        self.waiting = False
        self._moved = moved

    def run(self, perform: Callable[[Direction, Action], bool]) -> None:
        """Go on until something has to be waited for, or until more has come."""
        while not self.waiting and (action := self.lane.next_action()) is not None:
            self.waiting = not perform(self, action)

    def resume(self, failure: ErrorFields | None = None) -> None:
        """Go on after a wait; one that ends before it is waited for is none."""
        self.wait = None
        if failure is not None:
            self.lane.fail(failure)
        if self.waiting:
            self.waiting = False
            self._moved(self)

    def stop(self) -> None:
        """Leave what is under way."""
        self.lane.abandon()
        wait, self.wait = self.wait, None
        self.waiting = False
        if wait is not None:
            wait.cancel()


class Attachment:
    """Carry what passes between a client and its upstream."""

    log = Logger()

    def __init__(self, client: ClientProtocol, attached: Attached, committer: Committer, upstream: Upstream) -> None:
        self.attached = attached
        self.upstream = upstream
        self._client = client
        self._committer = committer
        self._requests = Direction(attached.request_lane, self._move)
        self._answers = Direction(attached.answer_lane, self._move)
        self._upstream_full = False
        self._client_full = False
        self._reading = True
        self._turn_awaited = False
        self._cancels = 0
        self._lost = False
        self._ended = False
        self.asking: Detachment | None = None
        """Whom the upstream is answering, so that nothing passes."""
        idle_timeout = committer.database.idle_timeout
        self._detachment = Detachment(self, client, idle_timeout) if idle_timeout else None

    def begin(self) -> None:
        """Have the upstream's backend known, and go on with what the client has sent."""
        shard = self._committer.database.relay_shard
        if shard is not None:
            shard.relayed[self.upstream.pid] = self._committer.pid
        self.upstream.use(self)
        # The client's own NOTIFYs, acknowledged before it was attached, are not to be overtaken by what it sends now.
        self._requests.waiting = not self._pass_gate(self._requests)
        self._move(self._requests)

    def end(self) -> None:
        """End the upstream session: what is open there is rolled back."""
        if self._ended:
            return
        self._ended = True
        shard, pid = self._committer.database.relay_shard, self.upstream.pid
        if shard is not None:
            # What it has committed last may not have arrived yet.
            self._client.factory.clock.callLater(SENDER_REMEMBERED, shard.forget_relayed, pid, self._committer.pid)
        self._requests.stop()
        self._answers.stop()
        if self._detachment is not None:
            self._detachment.stop()
        self.upstream.end()

    def cancel(self) -> None:
        """Have the upstream cancel what it is at, if it is at anything.

        Until the server has taken the request in, nothing is sent: it may strike whatever runs by then.
        """
        if self.attached.expected:
            client, upstream = self._client, self.upstream
            timeout = client.factory.settings.server_connect_timeout
            self._cancels += 1
            key = (upstream.place, upstream.pid, upstream.secret)
            sending = send_cancel(client.factory.clock, *key, timeout, upstream.tls)
            sending.addCallback(self._canceled)

    def _canceled(self, _: None) -> None:
        self._cancels -= 1
        self._move(self._requests)

    @property
    def at_boundary(self) -> bool:
        """Tell whether a message of ours could follow what the client has been sent."""
        return self.attached.answers.stream.between_frames and not self._client.outbox.ready

    # The client's side

    def client_sent(self, data: bytes) -> None:
        """Take in what the client has sent."""
        self.attached.requests.stream.feed(data)
        self._move(self._requests)

    def client_full(self, full: bool) -> None:
        """Stop reading from the upstream while the client does not keep up, or go on."""
        self._client_full = full
        self._update_upstream()

    # The upstream's side

    def received(self, data: bytes) -> None:
        """Take in what the upstream has sent."""
        if self.asking is not None:
            self.asking.received(data)
            return
        self.attached.answers.stream.feed(data)
        self._move(self._answers)

    def lost(self) -> None:
        """End the client behind what the upstream has said last."""
        if self.asking is not None:
            self.attached.answers.stream.feed(self.asking.give_up())
        self._lost = True
        self._move(self._answers)

    def full(self) -> None:
        """Stop reading from the client: the upstream does not keep up."""
        self._upstream_full = True
        self._update_client()

    def drained(self) -> None:
        """Read from the client again."""
        self._upstream_full = False
        self._update_client()

    # Both

    @property
    def may_detach(self) -> bool:
        """Tell whether nothing is under way, and nothing that was sent can have left anything at the upstream."""
        waits = self._requests.waiting or self._answers.waiting or self._client_full or self._upstream_full
        return not (waits or self._cancels or self._lost or self._ended) and self.attached.may_detach

    def take_up(self, data: bytes) -> None:
        """Go on behind a question to the upstream: with what has come in between, and what the client has sent."""
        self.attached.answers.stream.feed(data)
        self._move(self._answers)
        self._move(self._requests)

    def _move(self, direction: Direction) -> None:
        """Let a direction go on, and write what has come of it; neither goes on for what the other does."""
        if self._ended or self.asking is not None:
            return
        # What a direction brings may have notifications come at once: they must not overtake the replies.
        self._client.outbox.idle = False
        if not (self._cancels and direction is self._requests):
            direction.run(self._perform)
        self._forward()
        if self._lost and not self._answers.waiting:
            self._lose()
        self._hand_over()
        if self._turn_awaited and not self._answers.waiting and self.attached.is_clients_turn:
            self._turn_awaited = False
            self._requests.resume()

    def _lose(self) -> None:
        if not self._ended:
            for action in self.attached.lose():
                self._perform(self._answers, action)

    def _hand_over(self) -> None:
        if not self._ended:
            self._client.hand_over(self.attached.idle and not self._requests.waiting)
            self._update_client()
            self._update_upstream()
            if self._detachment is not None:
                self._detachment.note()

    def _forward(self) -> None:
        forwarded = self.attached.forwarded
        if forwarded:
            self.upstream.write(b"".join(forwarded))
            forwarded.clear()

    def _update_client(self) -> None:
        if not self._ended:
            waits = self._upstream_full or self._requests.waiting or self._cancels > 0
            self._client.stall_for_upstream(waits or self.asking is not None)

    def _update_upstream(self) -> None:
        reading = not (self._client_full or self._answers.waiting)
        if reading == self._reading or self._ended or self._lost or self.asking is not None:
            return
        self._reading = reading
        if reading:
            self.upstream.resume()
        else:
            self.upstream.pause()

    def _perform(self, direction: Direction, action: Action) -> bool:
        """Carry out what a direction asks for; False where it has to wait."""
        match action:
            case Commit(effects):
                return self._commit(direction, effects)
            case Enlist(channels):
                self.attached.answers.enlisted.update(self._committer.enlist(channels))
            case Withdraw(channels):
                self._committer.withdraw(channels)
            case Gate():
                return self._pass_gate(direction)
            case Turn():
                self._turn_awaited = True
                return False
            case Ready():
                client, shards = self._client, self._committer.database.shards
                return self._await(direction, lambda: pending(shards, client.outbox), client.release_held)
            case GiveUp():
                self._client.give_up_reservations()
            case Signal(function, pid):
                self._client.factory.signal(function, pid)
            case Recode():
                self._client.recode()
            case Close(reason):
                self._forward()
                self._client.end(reason)
        return True

    def _commit(self, direction: Direction, effects: tuple[Effect, ...]) -> bool:
        session = self._client.session
        try:
            done = self._committer.commit(effects, session.listen_ack, session.notify_ack)
        except SqlError as failure:
            direction.lane.fail(failure.fields)
            return True
        self._committer.database.send()
        if done is None:
            return True
        direction.wait = done
        done.addCallbacks(lambda _: direction.resume(), lambda failure: self._not_committed(direction, failure))
        done.addErrback(lambda failure: self.log.failure("a commit failed", failure))
        return direction.wait is None

    def _not_committed(self, direction: Direction, failure: Failure) -> None:
        if failure.check(CancelledError) is None:
            error = failure.value
            assert isinstance(error, SqlError), error
            direction.resume(error.fields)

    def _pass_gate(self, direction: Direction) -> bool:
        return self._await(direction, lambda: gate(self._committer.database.relay_shard), lambda: None)

    def _await(self, direction: Direction, where: Callable[[], list[Place]], passed: Callable[[], None]) -> bool:
        timeout = self._client.factory.settings.fence_timeout
        # To look is to have a probe queued, which nobody would send.
        fences = where() if timeout else []
        if not fences:
            passed()
            return True

        def go_on() -> None:
            passed()
            direction.resume()

        direction.wait = FenceWait(self._client.factory.clock, fences, timeout, go_on)
        self._committer.database.send()
        return direction.wait is None
