"""A client with an upstream session of its own: two directions, and what they share.

    client -- Requests --> upstream        frames, stand-ins for what is served here
    client <-- Answers --- upstream        frames, tags put right, notifications before ReadyForQuery

PostgreSQL is the judge of everything from here on, of the state of the transaction too. Each direction is a lane of
its own: a gate holds up what the client sends, a fence what the upstream answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from twistnotify.session.actions import Close
from twistnotify.session.answers import Answers
from twistnotify.session.expected import Expectations
from twistnotify.session.failure import error
from twistnotify.session.lane import Lane, Script
from twistnotify.session.names import Names
from twistnotify.session.requests import Requests
from twistnotify.session.states import Status
from twistnotify.session.witness import Witness
from twistnotify.sql.statements import Listen, Notify, Unlisten
from twistnotify.wire.errors import ErrorFields, ErrorResponse
from twistnotify.wire.violations import ProtocolViolation

if TYPE_CHECKING:
    from twistnotify.session.session import Session

LONGEST_ANSWER = (1 << 31) - 5
"""Bytes of one message of the upstream, at most: as many as its length can say."""
LOST = ErrorFields("FATAL", "08006", "the upstream server closed the connection unexpectedly")


class Relay(Protocol):
    """What a session asks of the database whose upstream it may open."""

    def relays(self, channel: str | None) -> bool:
        """Tell whether the upstream is the shard of this channel; None asks for all channels."""

    def may_signal(self, user: str, pid: int) -> bool:
        """Tell whether a PID is that of a client of this user here."""

    def note_end(self) -> None:
        """Note that an upstream has ended a transaction, which may have notified."""

    def client_pid(self, pid: int) -> int:
        """Return the PID of the client whose upstream this backend is, or the backend's own."""


class Attached:
    """The state of an attached client's conversation."""

    def __init__(self, session: Session, relay: Relay) -> None:
        self.session = session
        self.expected = Expectations()
        self.names = Names()
        self.forwarded: list[bytes] = []
        """What is to be written to the upstream."""
        self.in_pipeline = False
        """Whether messages of the extended protocol have been sent, and no Sync."""
        self.standard_strings = True
        self.parameters: dict[str, str] = {}
        """What the client has been told of the upstream's settings."""
        self.witness: Witness | None = None
        self._relay = relay
        limits = session.limits
        self.requests = Requests(self, limits.message, limits.packet)
        self.answers = Answers(self, LONGEST_ANSWER)
        self.request_lane = Lane(self.requests.script())
        self.answer_lane = Lane(self.answers.script())

    def note_parameters(self, parameters: Mapping[str, str]) -> None:
        """Take in what the upstream reports of its settings."""
        self.parameters = dict(parameters)
        self.standard_strings = parameters.get("standard_conforming_strings", "on") == "on"

    @property
    def listens(self) -> bool:
        """Tell whether the client listens to anything, or will when what it has sent is carried out."""
        return bool(self.session.channels or self.requests.foreseen or self.answers.enlisted)

    @property
    def is_clients_turn(self) -> bool:
        """Tell whether no ReadyForQuery is due, or the upstream takes COPY data first."""
        return self.expected.copying or not self.expected.ends_pending

    @property
    def idle(self) -> bool:
        """Tell whether notifications may be sent at any time."""
        return (
            not self.expected
            and not self.in_pipeline
            and self.session.transaction.status is Status.IDLE
            and self.answers.stream.between_frames
        )

    def watch(self) -> None:
        """Look at all that is sent, so that the upstream can be given back when it is idle."""
        unnamed = self.session.prepared.get(b"")
        self.witness = Witness(self, None if unnamed is None else unnamed.message)

    @property
    def may_detach(self) -> bool:
        """Tell whether nothing is under way, and nothing that was sent can have left anything at the upstream."""
        witness, answers, requests = self.witness, self.answers, self.requests
        if witness is None or not witness.clears or not self.idle:
            return False
        return requests.stream.between_frames and not (len(requests.stream) or len(answers.stream) or answers.defers)

    @property
    def has_pubsub(self) -> bool:
        """Tell whether the open transaction has LISTENed, UNLISTENed, or notified another shard."""
        gathered = self.session.transaction.effects
        return bool(self.requests.foreseen) or any(isinstance(each, Listen | Unlisten | Notify) for each in gathered)

    def relays(self, channel: str | None) -> bool:
        """Tell whether the upstream is the shard of this channel; None asks for all channels."""
        return self._relay.relays(channel)

    def client_pid(self, pid: int) -> int:
        """Return the PID of the client whose upstream this backend is, or the backend's own."""
        return self._relay.client_pid(pid)

    def note_end(self) -> None:
        """Note that the upstream has ended a transaction, which may have notified."""
        self._relay.note_end()

    def may_signal(self, pid: int) -> bool:
        """Tell whether a PID is that of a client whom this one may cancel or terminate."""
        return self._relay.may_signal(self.session.user, pid)

    def refuse_more_channels(self, channel: str) -> None:
        """Raise 53400 where one more channel would be too many for one client."""
        if not self._has_room_for(channel):
            raise error("53400", "too many channels for one client", "See max_channels_per_client.")

    def foresee(self, channel: str) -> None:
        """Note that the client will listen to a channel, unless that is refused or does not change anything."""
        if channel not in self.session.channels and self._has_room_for(channel):
            self.requests.foreseen[channel] = None

    def _has_room_for(self, channel: str) -> bool:
        channels, foreseen = self.session.channels, self.requests.foreseen
        known = channel in channels or channel in foreseen
        return known or len(channels) + len(foreseen) < self.session.limits.channels

    def die(self, violation: ProtocolViolation) -> Script:
        """End a conversation that has lost its form."""
        return self.end_fatally(ErrorFields("FATAL", violation.sqlstate, violation.message))

    def end_fatally(self, fields: ErrorFields) -> Script:
        """Tell the client of a FATAL error, unless it is in the middle of a message, and end."""
        if self.answers.stream.between_frames:
            self.session.replies.append(ErrorResponse(fields).encode(self.session.encoding.codec))
        yield Close("protocol" if fields.sqlstate == "08P01" else "relay")

    def lose(self) -> Script:
        """End a client whose upstream is gone; a server that could has said why."""
        if self.answers.fatal:
            yield Close("relay")
        else:
            yield from self.end_fatally(LOST)
