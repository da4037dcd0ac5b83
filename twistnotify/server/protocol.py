"""One client on a socket: what its session asks for is carried out here."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IHandshakeListener
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from typing_extensions import override
from zope.interface import implementer

from twistnotify.auth.rights import UserRights
from twistnotify.relay.upstream import Upstream, UpstreamRefused
from twistnotify.server.arrival import Address, Arrival, address_of, source_of
from twistnotify.server.attachment import Attachment
from twistnotify.server.commit import CANCELED, Committer
from twistnotify.server.fencing import FenceWait, pending
from twistnotify.server.writer import OutboxProtocol
from twistnotify.session.actions import (
    Action,
    Admit,
    Attach,
    Cancel,
    Close,
    Commit,
    Derive,
    GiveUp,
    Identify,
    Judge,
    Ready,
    Recode,
    Refuse,
    Reserve,
    Signal,
    StartTls,
)
from twistnotify.session.encodings import no_equivalent
from twistnotify.session.failure import SqlError, fatal
from twistnotify.session.login import Admission
from twistnotify.session.parameters import status_frames
from twistnotify.session.session import Session
from twistnotify.shard.service import ShardService
from twistnotify.wire.errors import ErrorFields, ErrorResponse, NoticeResponse
from twistnotify.wire.transcode import transcoded
from twistnotify.wire.violations import ProtocolViolation

if TYPE_CHECKING:
    from twistnotify.server.factory import ClientFactory

TOO_SLOW = ErrorFields(
    "FATAL",
    "53400",
    "terminating connection because it does not read its notifications",
    hint="See client_queue_hard_limit.",
)
LAST_WORDS = 5.0
"""Seconds that a client has to read why it is ended."""
REVOKED = 'permission for channel "{}" was revoked: the client does not listen to it any more'


@implementer(IHandshakeListener)
class ClientProtocol(OutboxProtocol):
    """Feed a session, carry out its actions, and write what comes of it."""

    log = Logger()
    proxied: Address | None = None
    """What a proxy has said of where it comes from."""

    def __init__(self, factory: ClientFactory) -> None:
        super().__init__(factory.flush_list)
        self.factory = factory
        self.limit = factory.settings.client_queue_hard_limit
        self.session = Session(factory.limits)
        self.committer: Committer | None = None
        self.secret = b""
        self.attachment: Attachment | None = None
        self._reserved: tuple[tuple[ShardService, str], ...] = ()
        self._wait: FenceWait | Deferred[None] | Deferred[Upstream] | None = None
        self._call_off: Callable[[], None] | None = None
        self._attaching: Deferred[Upstream] | None = None
        self._upstream: Upstream | None = None
        self.arrival: Arrival | None = None
        self._waiting = False
        self._end_reason: str | None = None
        self._last_words: IDelayedCall | None = None

    @override
    def connectionMade(self) -> None:
        """Expect a log-in before long."""
        self.arrival = self.factory.connected(self)

    @override
    def dataReceived(self, data: bytes) -> None:
        """Take in what arrived; a client that sends while it waits is not read from until it goes on."""
        if self.attachment is not None:
            self.attachment.client_sent(data)
            return
        if self.arrival is not None:
            data = self._arrived(self.arrival, data)
        self.session.receive_data(data)
        if self._waiting:
            self.stall(True)
            self.factory.hangups.watch(self)
        else:
            self._advance()

    def _arrived(self, arrival: Arrival, data: bytes) -> bytes:
        """Return what of it is for the session; what is nobody's ends the connection without a word."""
        try:
            return arrival.received(data)
        except ProtocolViolation:
            self._abort("protocol")
            return b""

    def handshakeCompleted(self) -> None:  # noqa: N802
        """Go on over TLS."""
        arrival = self.arrival
        if arrival is None or self._end_reason is not None:
            return
        if not arrival.handshake_completed():
            # Without a word, as PostgreSQL does: it would be the word of a server for another protocol.
            self.session.abandon()
            self._close("protocol")
            return
        self.secure(self.transport.transport)  # type: ignore[union-attr]
        if not arrival.is_direct:
            self._answer(True)

    @override
    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Leave nothing behind."""
        self._stop_waiting()
        if self._last_words is not None and self._last_words.active():
            self._last_words.cancel()
        self._leave()
        self.outbox.discard()
        self.factory.disconnected(self, self._end_reason or "client")

    # What the shards and the factory ask of a client

    def terminate(self, reason: str, fields: ErrorFields) -> None:
        """End the client with a FATAL error, behind what has already been handed to the transport."""
        if self._end_reason is not None:
            return
        can_follow = self.attachment is None or self.attachment.at_boundary
        if self.attachment is not None:
            # Nobody waits for what its upstream is at, which would not notice for as long as that takes.
            self.attachment.cancel()
        self.session.abandon()
        self._stop_waiting()
        self._leave()
        self.release_transport()
        if not can_follow:
            self._end_reason = reason
            self.socket.abortConnection()
            return
        self.socket.write(ErrorResponse(fields).encode(self.session.encoding.codec))
        self._close(reason)

    def warn(self, fields: ErrorFields) -> None:
        """Send a NoticeResponse as soon as the client is between two commands."""
        self.outbox.deliver(NoticeResponse(fields).encode(self.session.encoding.codec))

    def cannot_convert(self, error: UnicodeEncodeError) -> None:
        """End a client whose encoding has no equivalent for a notification, as PostgreSQL does."""
        self.terminate("encoding", no_equivalent(error, self.session.encoding.name, "FATAL").fields)

    @override
    def overflowed(self) -> None:
        """End a client that does not read what it is sent."""
        self.terminate("slow_hard", TOO_SLOW)

    def cancel(self) -> None:
        """End what the client waits for, where that can still be undone."""
        if self.committer is not None:
            self.committer.cancel()
        if self.attachment is not None:
            self.attachment.cancel()
        elif self._attaching is not None:
            self._attaching.cancel()

    @property
    def user(self) -> str:
        """Return the user it has logged in as."""
        return self.session.user

    @property
    def stalled(self) -> bool:
        """Tell whether the client is not read from because it has to wait."""
        return self._stalled

    @property
    def source(self) -> str:
        """What many connections from the same place have in common."""
        return source_of(self.socket.getPeer())

    @property
    def address(self) -> Address | None:
        """Where it comes from, by the word of a proxy that is trusted; None for the Unix socket."""
        return self.proxied or address_of(self.socket.getPeer())

    def fileno(self) -> int:
        """Return the socket's descriptor, -1 when it is closed."""
        return self.socket.fileno()

    def hung_up(self) -> None:
        """End a client that closed its side while it had to wait: nobody wants the answer."""
        self._abort("client")

    def _abort(self, reason: str) -> None:
        self._end_reason = self._end_reason or reason
        self.socket.abortConnection()

    def make_room(self) -> None:
        """End a client that is slow to log in, for the sake of others: it would not read why."""
        self._abort("login_room")

    def login_expired(self) -> None:
        """End a client that has not logged in in time."""
        if self._call_off is not None:
            self.terminate("login_timeout", fatal("57P03", "the database system is not available").fields)
        else:
            self._abort("login_timeout")

    # Carrying out what the session asks for

    def _advance(self) -> None:
        session = self.session
        # Sending can bring notifications at once: they must not overtake the replies.
        self.outbox.idle = False
        sends = False
        while (action := session.next_action()) is not None:
            sends = sends or type(action) is not Ready
            if not _PERFORM[type(action)](self, action):
                self._waiting = True
                break
        self._hand_over()
        if sends:
            self._send()
        if self._upstream is not None and not self._waiting:
            self._begin_attachment()

    def _resume(self, failure: ErrorFields | None = None) -> None:
        """Go on after a wait; one that ends before it is waited for is none, and `_advance` goes on by itself."""
        self._wait = None
        if failure is not None:
            self.session.fail(failure)
        if not self._waiting:
            return
        self._waiting = False
        self._advance()
        if not self._waiting and self._stalled:
            self.stall(False)

    def _hand_over(self) -> None:
        """Give the replies to the outbox, say whether notifications may follow them, and write."""
        self.hand_over(self.session.idle)

    def _send(self) -> None:
        if self.committer is not None:
            self.committer.database.send()

    def _arrive(self, action: Action) -> bool:
        assert self.arrival is not None
        return self.arrival.perform(action)

    def await_answer(self, answer: Deferred[Any]) -> bool:
        """Wait for what the session is to be answered with, or failed with."""
        self._wait = answer
        answer.addCallbacks(self._answer, self._not_answered)
        answer.addErrback(lambda failure: self.log.failure("a log-in failed", failure))
        return self._wait is None

    def _answer(self, answer: object) -> None:
        self.session.answer_with(answer)
        self._resume()

    def _not_answered(self, failure: Failure) -> None:
        if failure.check(CancelledError) is None:
            error = failure.value
            assert isinstance(error, SqlError), error
            self._resume(error.fields)

    def _admit(self, action: Admit) -> bool:
        try:
            database = self.factory.admit(self, action)
        except SqlError as failure:
            self.session.fail(failure.fields)
            return True
        self.factory.newcomers.remove(self)
        parameters = database.parameters
        if parameters is None:
            self._call_off = database.when_known(lambda: self._known(action))
            return False
        pid, self.secret = self.factory.logged_in(self, action.key_length)
        if self.arrival is not None:
            self.arrival.let_in(action.user)
            self.arrival = None
        session = self.session
        codec = session.encoding.codec
        self.outbox.encoding = None if codec == "utf-8" else codec
        rights = self.factory.rights_of(action.user)
        self.committer = Committer(self.outbox, database, pid, rights)
        status = status_frames(parameters, session.startup_parameters, session.encoding, database.superuser)
        relay = database if database.relay is not None else None
        session.admit(Admission(status, pid, self.secret, database.encoding, database.acknowledgements, relay, rights))
        return True

    def _known(self, action: Admit) -> None:
        self._call_off = None
        if self._admit(action):
            self._resume()

    def _commit(self, action: Commit) -> bool:
        session, committer = self.session, self.committer
        assert committer is not None
        try:
            done = committer.commit(action.effects, session.listen_ack, session.notify_ack)
        except SqlError as failure:
            session.fail(failure.fields)
            done = None
        if done is None:
            if self._reserved:
                self._give_up_reservations()
            return True
        self._wait = done
        done.addCallbacks(self._committed, self._not_committed)
        done.addErrback(lambda failure: self.log.failure("a commit failed", failure))
        return self._wait is None

    def _committed(self, _: object) -> None:
        self._give_up_reservations()
        self._resume()

    def _not_committed(self, failure: Failure) -> None:
        self._give_up_reservations()
        if failure.check(CancelledError) is None:
            error = failure.value
            assert isinstance(error, SqlError), error
            self._resume(error.fields)

    def _attach(self, action: Attach) -> bool:
        assert self.committer is not None
        relay = self.committer.database.relay
        assert relay is not None
        session = self.session
        startup = session.startup_parameters
        self._attaching = opening = relay.open(session.user, startup, action.replays, session.credentials)
        self._wait = opening
        opening.addCallbacks(self._attached, self._not_attached)
        opening.addErrback(lambda failure: self.log.failure("a client could not be attached", failure))
        return self._wait is None

    def _attached(self, upstream: Upstream) -> None:
        self._attaching = None
        self.session.attach(upstream.parameters)
        self._upstream = upstream
        self._resume()

    def _begin_attachment(self) -> None:
        """Let the upstream and the client speak to each other."""
        attached, committer, upstream = self.session.attached, self.committer, self._upstream
        assert committer is not None
        assert upstream is not None
        self._upstream = None
        if attached is None:
            upstream.abort()
            return
        self.attachment = Attachment(self, attached, committer, upstream)
        self.attachment.begin()
        self.attachment.client_full(self._blocked)

    def _not_attached(self, failure: Failure) -> None:
        attaching, self._attaching = self._attaching, None
        if failure.check(CancelledError) is not None:
            if attaching is not None:
                self._resume(CANCELED)
            return
        error = failure.value
        assert isinstance(error, UpstreamRefused), error
        self._resume(error.fields)

    def _signal(self, action: Signal) -> bool:
        self.factory.signal(action.function, action.pid)
        return True

    def _recode(self, _: Recode) -> bool:
        self.recode()
        return True

    def take_rights(self, rights: UserRights | None) -> None:
        """Have other rights from now on; what the client must not listen to any more it does not, and is told."""
        if self.committer is None or self._end_reason is not None:
            return
        self.committer.rights = rights
        self.session.revoke(rights)
        lost = self.committer.forbidden()
        self.committer.withdraw(lost)
        for channel in lost:
            self.warn(ErrorFields("WARNING", "42501", REVOKED.format(channel)))
        self.factory.flush_list.flush()

    # What an attachment asks of its client

    @override
    def backed_up(self, full: bool) -> None:
        """Have the upstream stop while the client does not keep up."""
        if self.attachment is not None:
            self.attachment.client_full(full)

    def detached(self) -> None:
        """Have the session answer by itself again."""
        self.attachment = None
        self.hand_over(self.session.idle)

    def stall_for_upstream(self, stalled: bool) -> None:
        """Stop reading while the upstream does not keep up, or go on."""
        if stalled != self._stalled:
            self.stall(stalled)
            if stalled:
                self.factory.hangups.watch(self)

    def recode(self) -> None:
        """Encode notifications in what is the session's encoding now."""
        outbox, codec = self.outbox, self.session.encoding.codec
        before, outbox.encoding = outbox.encoding or "utf-8", None if codec == "utf-8" else codec
        try:
            outbox.convert(lambda frames: transcoded(frames, before, codec))
        except UnicodeEncodeError as error:
            self.cannot_convert(error)
            return
        if self.committer is not None:
            for shard in self.committer.database.shards:
                shard.hub.recode(self.outbox)

    def hand_over(self, idle: bool) -> None:
        """Give the replies to the outbox, say whether notifications may follow them, and write."""
        outbox, replies = self.outbox, self.session.replies
        if replies:
            outbox.reply(b"".join(replies))
            replies.clear()
        outbox.idle = idle
        if idle:
            outbox.release()
        self.flush()

    def release_held(self) -> None:
        """Put the notifications that are due between the replies so far and ReadyForQuery."""
        self._release()

    def give_up_reservations(self) -> None:
        """End the reservations of a transaction that is over."""
        self._give_up_reservations()

    def end(self, reason: str) -> None:
        """End the connection behind the replies."""
        self._end(Close(reason))

    def _ready(self, _: Ready) -> bool:
        committer = self.committer
        assert committer is not None
        fences = pending(committer.database.shards, self.outbox)
        timeout = self.factory.settings.fence_timeout
        if not fences or not timeout:
            self._release()
            return True
        self._wait = FenceWait(self.factory.clock, fences, timeout, self._passed)
        self._send()
        return self._wait is None

    def _passed(self) -> None:
        self._release()
        self._resume()

    def _release(self) -> None:
        """Put the notifications that are due between the replies so far and ReadyForQuery."""
        outbox = self.outbox
        if outbox.held:
            outbox.reply(b"".join(self.session.replies))
            self.session.replies.clear()
            outbox.release()

    def _reserve(self, action: Reserve) -> bool:
        assert self.committer is not None
        for shard in self.committer.database.shards_of(action.channel):
            if shard.has_room_for((action.channel,)):
                shard.reserve(action.channel)
                self._reserved += ((shard, action.channel),)
        return True

    def _give_up(self, _: GiveUp) -> bool:
        self._give_up_reservations()
        return True

    def _give_up_reservations(self) -> None:
        reserved, self._reserved = self._reserved, ()
        for shard, channel in reserved:
            shard.unreserve(channel)

    def _cancel(self, action: Cancel) -> bool:
        self.factory.cancel(action.pid, action.secret, self.address)
        return True

    def _end(self, action: Close) -> bool:
        self._leave()
        self._hand_over()
        self._close(action.reason)
        return True

    def _close(self, reason: str) -> None:
        self._end_reason = reason
        self.close_behind()
        self._last_words = self.factory.clock.callLater(LAST_WORDS, self.socket.abortConnection)

    def _leave(self) -> None:
        """End all registrations and reservations."""
        self._give_up_reservations()
        if self.attachment is not None:
            self.attachment.end()
        if self.committer is not None:
            self.committer.database.leave(self.outbox)

    def _stop_waiting(self) -> None:
        wait, self._wait = self._wait, None
        self._attaching = None
        if wait is not None:
            wait.cancel()
        if self._call_off is not None:
            self._call_off()
            self._call_off = None
        self._waiting = False


_PERFORM: dict[type[Action], Callable[..., bool]] = {
    StartTls: ClientProtocol._arrive,
    Identify: ClientProtocol._arrive,
    Judge: ClientProtocol._arrive,
    Derive: ClientProtocol._arrive,
    Refuse: ClientProtocol._arrive,
    Admit: ClientProtocol._admit,
    Commit: ClientProtocol._commit,
    Reserve: ClientProtocol._reserve,
    GiveUp: ClientProtocol._give_up,
    Ready: ClientProtocol._ready,
    Cancel: ClientProtocol._cancel,
    Attach: ClientProtocol._attach,
    Signal: ClientProtocol._signal,
    Recode: ClientProtocol._recode,
    Close: ClientProtocol._end,
}
