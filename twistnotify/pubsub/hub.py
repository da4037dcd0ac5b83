"""Who listens to what on one shard, and how a batch of notifications reaches them.

Two dicts: channel -> its listeners, and listener -> its channels. The last one to leave a channel leaves it
*lingering*: it stays LISTENed upstream for a while, so that clients that come and go do not make the shard LISTEN
and UNLISTEN all the time. Clients and frames are opaque; the time is an argument.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from twistnotify.pubsub.interest import Interest
from twistnotify.pubsub.outbox import Outbox

DISPATCH_BUDGET = 20_000
"""Deliveries made before the caller gets a chance to look at the clock: some milliseconds' worth."""

Transcode = Callable[[bytes, str], bytes]


class Hub:
    """The registrations of one shard's channels.

    `transcode(frame, encoding)` gives a frame in another encoding, or raises UnicodeEncodeError; `unconvertible`
    is told of a listener whose encoding has no equivalent for a notification.
    """

    def __init__(self, transcode: Transcode, unconvertible: Callable[[Outbox, UnicodeEncodeError], None]) -> None:
        self._interest: dict[str, Interest] = {}
        self._channels: dict[Outbox, str | dict[str, None]] = {}
        self._lingering: dict[str, float] = {}
        self._transcode = transcode
        self._unconvertible = unconvertible
        self.delivered = 0

    def __contains__(self, channel: object) -> bool:
        """Tell whether the shard has this channel LISTENed, or will have."""
        return channel in self._interest

    def __len__(self) -> int:
        """Return the number of channels, lingering ones included."""
        return len(self._interest)

    def __iter__(self) -> Iterator[str]:
        """Iterate over the channels, lingering ones included."""
        return iter(self._interest)

    def listeners(self) -> Iterator[Outbox]:
        """Iterate over the clients that listen to anything here."""
        return iter(self._channels)

    def channels(self) -> Iterator[str]:
        """Iterate over the channels that somebody wants, lingering ones not among them."""
        return (channel for channel in self._interest if channel not in self._lingering)

    def channels_of(self, outbox: Outbox) -> Iterable[str]:
        """Return the channels one client listens to here, in the order of its LISTENs."""
        channels = self._channels.get(outbox, ())
        return (channels,) if isinstance(channels, str) else channels

    def listens(self, outbox: Outbox, channel: str) -> bool:
        """Tell whether a client listens to a channel."""
        interest = self._interest.get(channel)
        return interest is not None and outbox in interest

    def subscribe(self, outbox: Outbox, channel: str) -> bool:
        """Register a client for a channel; return True where the shard has to LISTEN for it."""
        new = self._want(channel)
        if not self.listens(outbox, channel):
            self._note(outbox, channel)
        return new

    def unsubscribe(self, outbox: Outbox, channel: str, deadline: float) -> None:
        """End one registration; a channel that nobody wants any more lingers until `deadline`."""
        if self.listens(outbox, channel):
            self._strike(outbox, channel)
            self._interest[channel].remove(outbox)
            self._release(channel, deadline)

    def recode(self, outbox: Outbox) -> None:
        """Take notice that a client's encoding has changed."""
        channels = tuple(self.channels_of(outbox))
        for channel in channels:
            self._place(outbox, channel, alone=len(channels) == 1)

    def leave(self, outbox: Outbox, deadline: float) -> None:
        """End all registrations of a client."""
        for channel in tuple(self.channels_of(outbox)):
            self.unsubscribe(outbox, channel, deadline)

    def reserve(self, channel: str) -> bool:
        """Keep a channel for an open transaction's LISTEN; return True where the shard has to LISTEN."""
        new = self._want(channel)
        self._interest[channel].reservations += 1
        return new

    def unreserve(self, channel: str, deadline: float) -> None:
        """Give up a reservation; a channel that nobody wants any more lingers until `deadline`."""
        self._interest[channel].reservations -= 1
        self._release(channel, deadline)

    def expire(self, now: float) -> list[str]:
        """Forget the channels that have lingered long enough, and return them: the shard UNLISTENs them."""
        expired = [channel for channel, deadline in self._lingering.items() if deadline <= now]
        for channel in expired:
            del self._lingering[channel], self._interest[channel]
        return expired

    def next_deadline(self) -> float | None:
        """Return when the next lingering channel is due, or None."""
        return min(self._lingering.values(), default=None)

    def dispatch(self, batch: Sequence[tuple[str, bytes]], start: int = 0) -> int:
        """Give notifications, pairs of channel and frame, to whoever listens, in their order.

        Return the index to go on from: the batch's length, or less where `DISPATCH_BUDGET` is used up.
        """
        gathered: dict[str, list[bytes]] = {}
        spent = 0
        index = start
        while index < len(batch) and spent <= DISPATCH_BUDGET:
            channel, frame = batch[index]
            index += 1
            interest = self._interest.get(channel)
            if interest is None:
                continue
            if channel in gathered:
                gathered[channel].append(frame)
            else:
                gathered[channel] = [frame]
                spent += len(interest.single)
            if interest.ordered:
                spent += len(interest.ordered)
                self._deliver_in_order(interest, frame)
        for channel, frames in gathered.items():
            self._deliver_together(self._interest[channel], frames)
        return index

    def _deliver_together(self, interest: Interest, frames: list[bytes]) -> None:
        data = b"".join(frames)
        for outbox in interest.single:
            outbox.deliver(data)
        self.delivered += len(interest.single) * len(frames)

    def _deliver_in_order(self, interest: Interest, frame: bytes) -> None:
        others: dict[str, list[Outbox]] = {}
        for outbox in interest.ordered:
            if outbox.encoding is None:
                outbox.deliver(frame)
            else:
                others.setdefault(outbox.encoding, []).append(outbox)
        self.delivered += len(interest.ordered)
        for encoding, outboxes in others.items():
            self._deliver_transcoded(frame, encoding, outboxes)

    def _deliver_transcoded(self, frame: bytes, encoding: str, outboxes: list[Outbox]) -> None:
        try:
            converted = self._transcode(frame, encoding)
        except UnicodeEncodeError as error:
            for outbox in outboxes:
                self._unconvertible(outbox, error)
        else:
            for outbox in outboxes:
                outbox.deliver(converted)

    def _want(self, channel: str) -> bool:
        self._lingering.pop(channel, None)
        if channel in self._interest:
            return False
        self._interest[channel] = Interest()
        return True

    def _release(self, channel: str, deadline: float) -> None:
        if not self._interest[channel]:
            self._lingering[channel] = deadline

    def _note(self, outbox: Outbox, channel: str) -> None:
        """Enter a registration in both dicts; a listener's only channel stands bare, without a dict of its own."""
        channels = self._channels.get(outbox)
        if channels is None:
            self._channels[outbox] = channel
        elif isinstance(channels, str):
            self._channels[outbox] = {channels: None, channel: None}
            self._place(outbox, channels, alone=False)
        else:
            channels[channel] = None
        self._place(outbox, channel, alone=channels is None)

    def _strike(self, outbox: Outbox, channel: str) -> None:
        channels = self._channels[outbox]
        if isinstance(channels, str):
            del self._channels[outbox]
            return
        del channels[channel]
        if len(channels) == 1:
            (last,) = channels
            self._channels[outbox] = last
            self._place(outbox, last, alone=True)

    def _place(self, outbox: Outbox, channel: str, alone: bool) -> None:
        interest = self._interest[channel]
        interest.remove(outbox)
        interest.add(outbox, alone and outbox.encoding is None)
