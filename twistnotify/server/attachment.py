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
from twistnotify.server.fencing import FenceWait, Place, behind_upstream, gate, pending
from twistnotify.session.actions import (
    Action,
    Close,
    Commit,
    Effect,
    Enlist,
    Fence,
    Gate,
    GiveUp,
    Recode,
    Signal,
    Withdraw,
)
from twistnotify.session.attached import Attached
from twistnotify.session.failure import SqlError
from twistnotify.session.lane import Lane
from twistnotify.wire.errors import ErrorFields

if TYPE_CHECKING:
    from twistnotify.server.protocol import ClientProtocol


class Direction:
    """One lane at work; `moved` is called when it goes on after a wait."""

    def __init__(self, lane: Lane, moved: Callable[[], None]) -> None:
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
            self._moved()

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
        self._lost = False
        self._ended = False

    def begin(self) -> None:
        """Have the upstream's backend known, and go on with what the client has sent."""
        shard = self._committer.database.relay_shard
        if shard is not None:
            shard.relayed[self.upstream.pid] = self._committer.pid
        self.upstream.use(self)
        self._move()

    def end(self) -> None:
        """End the upstream session: what is open there is rolled back."""
        if self._ended:
            return
        self._ended = True
        shard = self._committer.database.relay_shard
        if shard is not None:
            shard.relayed.pop(self.upstream.pid, None)
        self._requests.stop()
        self._answers.stop()
        self.upstream.end()

    def cancel(self) -> None:
        """Have the upstream cancel what it is at, if it is at anything."""
        if self.attached.expected:
            client, upstream = self._client, self.upstream
            timeout = client.factory.settings.server_connect_timeout
            send_cancel(client.factory.clock, upstream.place, upstream.pid, upstream.secret, timeout)

    @property
    def at_boundary(self) -> bool:
        """Tell whether a message of ours could follow what the client has been sent."""
        return self.attached.answers.stream.between_frames and not len(self._client.outbox)

    # The client's side

    def client_sent(self, data: bytes) -> None:
        """Take in what the client has sent."""
        self.attached.requests.stream.feed(data)
        self._move()

    def client_full(self, full: bool) -> None:
        """Stop reading from the upstream while the client does not keep up, or go on."""
        self._client_full = full
        self._update_upstream()

    # The upstream's side

    def received(self, data: bytes) -> None:
        """Take in what the upstream has sent."""
        self.attached.answers.stream.feed(data)
        self._move()

    def lost(self) -> None:
        """End the client behind what the upstream has said last."""
        self._lost = True
        self._move()

    def full(self) -> None:
        """Stop reading from the client: the upstream does not keep up."""
        self._upstream_full = True
        self._update_client()

    def drained(self) -> None:
        """Read from the client again."""
        self._upstream_full = False
        self._update_client()

    # Both

    def _move(self) -> None:
        if self._ended:
            return
        client = self._client
        # What one direction brings may have notifications come at once: they must not overtake the replies.
        client.outbox.idle = False
        self._requests.run(self._perform)
        self._forward()
        self._answers.run(self._perform)
        if self._lost and not self._answers.waiting:
            self._lose()
        self._hand_over()

    def _lose(self) -> None:
        if not self._ended:
            for action in self.attached.lose():
                self._perform(self._answers, action)

    def _hand_over(self) -> None:
        if not self._ended:
            self._client.hand_over(self.attached.idle and not self._requests.waiting)
            self._update_client()
            self._update_upstream()

    def _forward(self) -> None:
        forwarded = self.attached.forwarded
        if forwarded:
            self.upstream.write(b"".join(forwarded))
            forwarded.clear()

    def _update_client(self) -> None:
        if not self._ended:
            self._client.stall_for_upstream(self._upstream_full or self._requests.waiting)

    def _update_upstream(self) -> None:
        if self._ended or self._lost:
            return
        if self._client_full or self._answers.waiting:
            self.upstream.pause()
        else:
            self.upstream.resume()

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
                return self._await(direction, lambda: gate(self._committer.database.relay_shard), lambda: None)
            case Fence():
                return self._await(direction, self._fences, self._client.release_held)
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
        for shard in self._committer.database.shards:
            shard.send()
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

    def _fences(self) -> list[Place]:
        database, outbox = self._committer.database, self._client.outbox
        fences = pending(database.shards, outbox)
        behind = behind_upstream(database.relay_shard, outbox)
        if behind is not None:
            fences = [fence for fence in fences if fence[0] is not behind[0]] + [behind]
        return fences

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
        for shard in self._committer.database.shards:
            shard.send()
        return direction.wait is None
