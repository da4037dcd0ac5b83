"""One shard: the registrations and the commands that outlive each of its connections.

While the shard is not up, LISTEN and NOTIFY are taken and kept. When it comes back, it LISTENs to everything, then
tells those who may have missed something, then goes on with what waits.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from random import Random
from typing import Protocol, cast

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from typing_extensions import override

from twistnotify.config.model import Settings, ShardConfig
from twistnotify.metrics.counters import ShardCounters
from twistnotify.pubsub.hub import Hub
from twistnotify.pubsub.outbox import Outbox
from twistnotify.pubsub.routing import GAP_CHANNEL
from twistnotify.shard.backoff import Backoff
from twistnotify.shard.batches import BatchSender
from twistnotify.shard.commands import Barrier, CommandQueue, Listen, Unit, Unlisten
from twistnotify.shard.connection import Notify
from twistnotify.shard.fence import Fence
from twistnotify.shard.link import Conninfo, Link
from twistnotify.shard.loss import TERMINATED, WARNED, Losses
from twistnotify.shard.pump import Pump
from twistnotify.shard.room import WaitingRoom
from twistnotify.shard.setup import REPORTED_PARAMETERS
from twistnotify.shard.timer import Timer
from twistnotify.wire.errors import ErrorFields
from twistnotify.wire.notification import NotificationResponse, notification_frame

DRAIN_TIMEOUT = 5.0
"""Seconds that a stopping shard has to send the notifications it has acknowledged."""


class Registered(Protocol):
    """What a shard asks of the client that owns an outbox."""

    def terminate(self, reason: str, fields: ErrorFields) -> None:
        """End the client with a FATAL error, and count the reason."""

    def warn(self, fields: ErrorFields) -> None:
        """Send a NoticeResponse between two commands."""

    def cannot_convert(self, error: UnicodeEncodeError) -> None:
        """End a client whose encoding has no equivalent for a notification."""


class ShardService(Service):
    """Serve the channels of one shard.

    `conninfo` gives libpq's keywords each time a connection is made; `flush` writes out the outboxes that took
    something.
    """

    log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        config: ShardConfig,
        settings: Settings,
        conninfo: Conninfo,
        flush: Callable[[], None],
        random: Random,
    ) -> None:
        self.name = config.name
        self.counters = ShardCounters()
        self.fence = Fence()
        self.hub = Hub(_transcode, _cannot_convert)
        self.parameters: tuple[tuple[str, str], ...] | None = None
        self.reported: dict[str, str] = {}
        self.up = False
        self._clock = clock
        self._settings = settings
        self._link = Link(clock, config.name, conninfo, settings, random, self)
        self._pump = Pump(clock, self.hub, flush, settings.fanout_slice)
        self._queue = CommandQueue(settings.shard_queue_size)
        self._sender = BatchSender(
            self._link,
            self._queue,
            self.fence,
            self.counters,
            self._pump.call_behind,
            self._settled,
            self._refused,
        )
        self.room = WaitingRoom(clock, settings.query_wait_timeout, lambda: self._queue.full, lambda: self.up)
        self._backoff = Backoff(settings.server_login_retry, settings.server_login_retry_max, random)
        self._send_again = Timer(clock, self.send)
        self._unlisten_due = Timer(clock, self._unlisten_lingering)
        self._drain_due = Timer(clock, self._end_drain)
        self._drained: Deferred[None] | None = None
        self._losses = Losses(config.name)
        self._joining: dict[Outbox, dict[str, Barrier]] = {}
        self._when_known: list[Callable[[], None]] = []
        self.relayed: dict[int, int] = {}
        """PIDs of backends that clients have through the relay: the client's own PID by the backend's."""
        self._relay_noted = False
        self._relay_mark = 0

    @override
    def startService(self) -> None:
        """Connect, and stay connected."""
        super().startService()
        self._link.start()

    @override
    def stopService(self) -> Deferred[None]:
        """Send what was acknowledged, if that can be done at once, then end the connection and all timers."""
        super().stopService()
        self._drain_due.start(DRAIN_TIMEOUT)
        self._drained = drained = Deferred[None]()
        self._settled()
        return drained.addCallback(self._stop)

    def _stop(self, _: object) -> None:
        for timer in (self._drain_due, self._send_again, self._unlisten_due):
            timer.stop()
        self._link.stop()

    def _end_drain(self) -> None:
        drained, self._drained = self._drained, None
        if drained is not None:
            drained.callback(None)

    # What clients ask for

    def listen(self, outbox: Outbox, channel: str) -> None:
        """Register a client, behind the NOTIFYs for this channel that were accepted or relayed before."""
        if channel in self._joining.get(outbox, ()):
            return
        if not self.hub.listens(outbox, channel) and self._may_hear_too_much(channel):
            barrier = Barrier(lambda: self._join(outbox, channel, barrier))
            self._joining.setdefault(outbox, {})[channel] = barrier
            self.reserve(channel)
            self._queue.append(barrier)
        else:
            self._listen_upstream(channel, self.hub.subscribe(outbox, channel))

    def _may_hear_too_much(self, channel: str) -> bool:
        """Tell whether what was notified before, here or through the relay, may still be on its way."""
        return bool(self.fence.pending((channel,)) or (channel in self.hub and self.behind_relay()))

    def unlisten(self, outbox: Outbox, channel: str) -> None:
        """End a registration at once; the channel lingers when it was the last."""
        self._joining.get(outbox, {}).pop(channel, None)
        self.hub.unsubscribe(outbox, channel, self._linger_deadline())
        self._watch_lingering()

    def leave(self, outbox: Outbox) -> None:
        """End all registrations of a client that goes away."""
        self._losses.forget(outbox)
        self._joining.pop(outbox, None)
        self.hub.leave(outbox, self._linger_deadline())
        self._watch_lingering()

    def channels_of(self, outbox: Outbox) -> Iterable[str]:
        """Return the channels one client listens to here, those included for which it is not registered yet."""
        channels = self.hub.channels_of(outbox)
        return (*channels, *self._joining[outbox]) if outbox in self._joining else channels

    def reserve(self, channel: str) -> None:
        """LISTEN for a transaction that may yet commit."""
        self._listen_upstream(channel, self.hub.reserve(channel))

    def unreserve(self, channel: str) -> None:
        """End a reservation: the transaction has ended."""
        self.hub.unreserve(channel, self._linger_deadline())
        self._watch_lingering()

    def has_room_for(self, channels: Collection[str]) -> bool:
        """Tell whether the shard may LISTEN to these as well (`max_channels`)."""
        room = self._settings.max_channels - len(self.hub)
        return len(channels) <= room or sum(channel not in self.hub for channel in channels) <= max(room, 0)

    def notify(self, unit: Unit) -> None:
        """Queue what a client's transaction notifies; `send` sends it."""
        unit.sequence = self.fence.accept(unit.notifications, self.hub)
        self._queue.append_unit(unit)

    @property
    def settled(self) -> bool:
        """Tell whether PostgreSQL has answered everything that was accepted here."""
        return self._link.free and not self._queue

    def probe(self) -> int:
        """Queue a round trip, unless one waits already; return its number at the fence. `send` sends it."""
        unit = self._queue.waiting_probe
        if unit is None:
            unit = Unit((), 0)
            self.notify(unit)
        return unit.sequence

    def forget_relayed(self, backend: int, pid: int) -> None:
        """Forget a backend that a client has had, unless another one has it now."""
        if self.relayed.get(backend) == pid:
            del self.relayed[backend]

    def note_relayed(self) -> None:
        """Note that an upstream session of the relay has ended a transaction, which may have notified."""
        self._relay_noted = True

    def behind_relay(self) -> int:
        """Return the number at the fence behind which all is heard that the relay has seen committed; 0 for no wait.

        No queue of ours knows of it, but PostgreSQL hands it out before it answers what is sent from now on.
        """
        if not self.up:
            return 0
        if self._relay_noted:
            self._relay_noted = False
            self._relay_mark = self.probe()
        return self._relay_mark if self._relay_mark > self.fence.answered else 0

    def send(self) -> None:
        """Send what waits, if the connection is free."""
        if not self._send_again.running:
            self._sender.send()
        self._pump.run()

    def when_confirmed(self, channel: str, told: Callable[[ErrorFields | None], None]) -> None:
        """Call back once PostgreSQL has confirmed the LISTEN of a channel, or refused it."""
        if channel == GAP_CHANNEL:
            told(None)
        else:
            self._sender.when_confirmed(channel, told)

    def when_known(self, told: Callable[[], None]) -> Callable[[], None]:
        """Call back once `parameters` are known; return a function that calls it off."""
        self._when_known.append(told)
        return lambda: self._when_known.remove(told) if told in self._when_known else None

    # What the link asks and tells

    def wanted_channels(self) -> Iterator[str]:
        """Return what to LISTEN to on a new connection.

        Lingering channels too: who comes back to one in time relies on it.
        """
        return (channel for channel in self.hub if channel != GAP_CHANNEL)

    def listened_count(self) -> int:
        """Return the number of channels the connection listens to."""
        return self._sender.listened_count

    def received(self, notifies: Sequence[Notify]) -> None:
        """Encode a batch of notifications, each once, with the PID that its sender knows as its own."""
        self.counters.received += len(notifies)
        own, pid_of, relayed = self._link.backend_pid, self._sender.senders.pid_of, self.relayed
        batch = []
        for notify in notifies:
            pid, channel, payload = notify.pid, notify.channel, notify.payload
            if pid == own:
                pid = pid_of(channel, payload) or own
            elif pid in relayed:
                pid = relayed[pid]
            batch.append((channel, notification_frame(pid, channel, payload)))
        self._pump.put(batch)

    def read_done(self) -> None:
        """Let what has arrived reach the clients, and send what waits."""
        if self.up:
            self.send()

    def link_up(self, channels: set[str]) -> None:
        """Tell of a loss, then go on with what waits."""
        self.up = True
        self.counters.connects += 1
        self._remember_parameters()
        self._tell_loss()
        self._sender.begin(channels)
        self._catch_up(channels)
        told, self._when_known = self._when_known, []
        for known in told:
            known()
        self.send()

    def link_down(self) -> None:
        """Remember whom it concerns, and keep nobody waiting for what cannot come."""
        self.up = False
        confirmed = self._sender.confirmed
        concerned = [
            outbox
            for outbox in self.hub.listeners()
            if any(channel in confirmed for channel in self.hub.channels_of(outbox))
        ]
        if self._losses.note(concerned, self._clock.seconds()):
            self.counters.losses += 1
        self._sender.end()
        self._send_again.stop()
        self._pump.call_behind(self.fence.open)
        self._pump.run()

    def _remember_parameters(self) -> None:
        connection = self._link.connection
        assert connection is not None
        values = ((name, connection.parameter(name)) for name in REPORTED_PARAMETERS)
        self.parameters = tuple((name, value) for name, value in values if value is not None)
        self.reported = dict(self.parameters)

    def _catch_up(self, channels: set[str]) -> None:
        """Catch up with what clients asked for while the new connection was being prepared.

        In front of the NOTIFYs that wait: some of them may have come behind these LISTENs.
        """
        wanted = set(self.wanted_channels())
        missing = [Listen(channel) for channel in sorted(wanted - channels)]
        self._queue.put_back([*missing, *map(Unlisten, sorted(channels - wanted))])

    def _tell_loss(self) -> None:
        notice = self._settings.listen_loss_policy == "notice"
        announcement = self._losses.tell(self._clock.seconds(), _warn if notice else _terminate)
        if announcement is not None and notice:
            frame = notification_frame(self._link.backend_pid, GAP_CHANNEL, announcement)
            self._pump.put([(GAP_CHANNEL, frame)])

    def _settled(self) -> None:
        self._backoff.reset()
        self.room.admit()
        if self._drained is not None and (not self.up or (self._link.free and not self._queue)):
            self._end_drain()

    def _refused(self, error: ErrorFields) -> None:
        delay = self._backoff.next_delay()
        self.log.warn(
            "shard {shard}: refused: {sqlstate} {reason}; next attempt in {delay:.2f} s",
            shard=self.name,
            sqlstate=error.sqlstate,
            reason=error.message,
            delay=delay,
        )
        self._send_again.start(delay)
        self._pump.call_behind(self.room.admit)

    def _listen_upstream(self, channel: str, new: bool) -> None:
        if new and self.up and channel != GAP_CHANNEL:
            self._queue.append(Listen(channel))

    def _join(self, outbox: Outbox, channel: str, barrier: Barrier) -> None:
        """Register a client at last, unless it has left meanwhile, or left and come again behind another barrier."""
        self.unreserve(channel)
        joining = self._joining.get(outbox, {})
        if joining.get(channel) is barrier:
            del joining[channel]
            self._listen_upstream(channel, self.hub.subscribe(outbox, channel))
        if not joining:
            self._joining.pop(outbox, None)

    def _linger_deadline(self) -> float:
        return self._clock.seconds() + self._settings.unlisten_delay

    def _watch_lingering(self) -> None:
        if not self._unlisten_due.running and (deadline := self.hub.next_deadline()) is not None:
            self._unlisten_due.start(max(0.0, deadline - self._clock.seconds()))

    def _unlisten_lingering(self) -> None:
        for channel in self.hub.expire(self._clock.seconds()):
            self.fence.forget(channel)
            if self.up and channel != GAP_CHANNEL:
                self._sender.confirmed.discard(channel)
                self._queue.append(Unlisten(channel))
        self._watch_lingering()
        self.send()


def _transcode(frame: bytes, encoding: str) -> bytes:
    """Return a notification in another encoding; raises UnicodeEncodeError."""
    notification = NotificationResponse.decode(frame[5:])
    return notification_frame(notification.pid, notification.channel, notification.payload, encoding)


def _owner(outbox: Outbox) -> Registered:
    return cast(Registered, outbox.owner)


def _cannot_convert(outbox: Outbox, error: UnicodeEncodeError) -> None:
    _owner(outbox).cannot_convert(error)


def _warn(outbox: Outbox) -> None:
    _owner(outbox).warn(WARNED)


def _terminate(outbox: Outbox) -> None:
    _owner(outbox).terminate("loss", TERMINATED)
