"""Making the effects of a client's transaction happen: all of them, or none.

First everything that can be refused is checked, then registrations change, then the notifications are queued. With
immediate acknowledgement, and room in the queues, that is all, and nothing waits.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from twisted.internet.defer import Deferred, FirstError, gatherResults

from twistnotify.auth.rights import UserRights
from twistnotify.pubsub.outbox import Outbox
from twistnotify.server.database import Database
from twistnotify.session.actions import Effect
from twistnotify.session.execution import check_right_to_listen, may_listen
from twistnotify.session.failure import SqlError, error
from twistnotify.shard.commands import Unit
from twistnotify.shard.room import Place, WaitingRoom
from twistnotify.shard.service import ShardService
from twistnotify.sql.statements import Listen, Notify
from twistnotify.wire.errors import ErrorFields

CANCELED = ErrorFields("ERROR", "57014", "canceling statement due to user request")


@dataclass(slots=True)
class Committer:
    """A client, as far as its commits are concerned.

    `rights` are those of its user, None where it may use all channels; `place` is where it waits for room in a queue,
    if it does.
    """

    outbox: Outbox
    database: Database
    pid: int
    rights: UserRights | None = None
    place: tuple[WaitingRoom, Place] | None = None

    def commit(self, effects: tuple[Effect, ...], listen_ack: str, notify_ack: str) -> Deferred[None] | None:
        """Make effects happen; None where that is done, else a Deferred.

        Raises `SqlError`, or fails with it, where nothing has happened. Notifications still have to be sent
        (`ShardService.send`) where None is returned.
        """
        if self.rights is not None:
            self._check_rights(effects)
        if len(effects) == 1:
            effect = effects[0]
            if isinstance(effect, Notify) and notify_ack == "immediate":
                return self._commit_notify(effect)
            if isinstance(effect, Listen) and listen_ack == "immediate":
                self._commit_listen(effect.channel)
                return None
        waits = listen_ack != "immediate" or notify_ack != "immediate"
        units = self._units(effects)
        self._check_channels(effects)
        if waits or not all(shard.room.open for shard, _ in units):
            return Deferred.fromCoroutine(self._commit_patiently(effects, units, listen_ack, notify_ack))
        words = self._last_words(effects)
        self._listen(words)
        self._unlisten(_left(words))
        for shard, unit in units:
            shard.notify(unit)
        return None

    def enlist(self, channels: Iterable[str]) -> list[str]:
        """Register the client ahead of its commit, as far as there is room; return the channels new to it."""
        added = []
        for channel in channels:
            shard = self.database.shard_of(channel)
            if not may_listen(self.rights, channel):
                continue
            if channel not in shard.channels_of(self.outbox) and shard.has_room_for((channel,)):
                added += self._listen({channel: True})
        return added

    def _check_rights(self, effects: Iterable[Effect]) -> None:
        """Raise 42501 for a LISTEN that was allowed when it came, and is not any more."""
        for channel in _listened(effects):
            check_right_to_listen(self.rights, channel)

    def forbidden(self) -> list[str]:
        """Return what the client is registered for, maybe ahead of its commit, and must not listen to."""
        registered = (channel for shard in self.database.shards for channel in shard.channels_of(self.outbox))
        return [channel for channel in dict.fromkeys(registered) if not may_listen(self.rights, channel)]

    def withdraw(self, channels: Sequence[str]) -> None:
        """End registrations that no commit has followed."""
        self._unlisten(channels)

    def cancel(self) -> None:
        """End a wait for room, as the client's user wishes."""
        if self.place is not None:
            room, place = self.place
            room.leave(place)
            place.told(CANCELED)

    def _commit_notify(self, notify: Notify) -> Deferred[None] | None:
        """Commit the commonest transaction: one NOTIFY."""
        channel, payload = notify.channel, notify.payload
        shard = self.database.shard_of(channel)
        unit = Unit(((channel, payload),), self.pid, size=len(channel) + len(payload))
        if not shard.room.open:
            return Deferred.fromCoroutine(self._commit_patiently((notify,), [(shard, unit)], "immediate", "immediate"))
        shard.notify(unit)
        return None

    def _commit_listen(self, channel: str) -> None:
        """Commit the next most common one: one LISTEN."""
        for shard in self.database.shards_of(channel):
            self._check_room(shard, (channel,))
            shard.listen(self.outbox, channel)

    async def _commit_patiently(
        self,
        effects: tuple[Effect, ...],
        units: list[tuple[ShardService, Unit]],
        listen_ack: str,
        notify_ack: str,
    ) -> None:
        for shard, _ in units:
            # Once each: who has been let in at one shard does not queue there again.
            if not shard.room.open:
                await self._room(shard.room)
        if self.rights is not None:
            # They may be others by now.
            self._check_rights(effects)
        words = self._last_words(effects)
        added = self._listen(words)
        answers = [_answer(unit) for _, unit in units] if notify_ack == "committed" else []
        if listen_ack == "confirmed":
            answers += [self._confirmation(channel) for channel, listens in words.items() if listens]
        for shard, unit in units:
            shard.notify(unit)
        self.database.send()
        try:
            await gatherResults(answers, consumeErrors=True)
        except FirstError as first:
            self._unlisten(added)
            first.subFailure.raiseException()
        self._unlisten(_left(words))

    def _units(self, effects: Iterable[Effect]) -> list[tuple[ShardService, Unit]]:
        """Return what to notify on each shard concerned, in the order of the transaction."""
        gathered: dict[ShardService, list[tuple[str, str]]] = {}
        for effect in effects:
            if isinstance(effect, Notify):
                shard = self.database.shard_of(effect.channel)
                gathered.setdefault(shard, []).append((effect.channel, effect.payload))
        return [
            (shard, Unit(tuple(pairs), self.pid, size=sum(len(c) + len(p) for c, p in pairs)))
            for shard, pairs in gathered.items()
        ]

    def _check_channels(self, effects: Iterable[Effect]) -> None:
        gathered: dict[ShardService, set[str]] = {}
        for channel in _listened(effects):
            gathered.setdefault(self.database.shard_of(channel), set()).add(channel)
        for shard, channels in gathered.items():
            self._check_room(shard, channels)

    @staticmethod
    def _check_room(shard: ShardService, channels: Collection[str]) -> None:
        if not shard.has_room_for(channels):
            raise error("53400", f'too many channels on shard "{shard.name}"', "See max_channels.")

    def _last_words(self, effects: Iterable[Effect]) -> dict[str, bool]:
        """Return whether the client listens afterwards, for every channel that a transaction speaks of.

        The last word on a channel counts: what is left and listened to again keeps what is held for it.
        """
        listens: dict[str, bool] = {}
        for effect in effects:
            if isinstance(effect, Notify):
                continue
            if effect.channel is not None:
                listens[effect.channel] = isinstance(effect, Listen)
            else:
                left = (channel for shard in self.database.shards for channel in shard.channels_of(self.outbox))
                listens = {**dict.fromkeys(listens, False), **dict.fromkeys(left, False)}
        return listens

    def _listen(self, words: dict[str, bool]) -> list[str]:
        """Register the client where it listens afterwards; return the channels that are new to it."""
        added = []
        for channel in (channel for channel, listens in words.items() if listens):
            shards = self.database.shards_of(channel)
            if channel not in shards[0].channels_of(self.outbox):
                added.append(channel)
            for shard in shards:
                shard.listen(self.outbox, channel)
        return added

    def _unlisten(self, channels: Collection[str]) -> None:
        """End registrations, and drop what is held for them."""
        for channel in channels:
            for shard in self.database.shards_of(channel):
                shard.unlisten(self.outbox, channel)
        if channels and self.outbox.held:
            encoding = self.outbox.encoding or "utf-8"
            names = {channel.encode(encoding, "replace") for channel in channels}
            self.outbox.forget(lambda frames: _channel_of(frames) in names)

    def _room(self, room: WaitingRoom) -> Deferred[None]:
        waiting: Deferred[None] = Deferred(lambda _: self._step_out())
        self.place = (room, room.wait(lambda fields: self._admitted(waiting, fields)))
        return waiting

    def _admitted(self, waiting: Deferred[None], fields: ErrorFields | None) -> None:
        self.place = None
        _fire(waiting, fields)

    def _step_out(self) -> None:
        if self.place is not None:
            room, place = self.place
            self.place = None
            room.leave(place)

    def _confirmation(self, channel: str) -> Deferred[None]:
        waiting: Deferred[None] = Deferred()
        self.database.shard_of(channel).when_confirmed(channel, lambda fields: _fire(waiting, fields))
        return waiting


def _listened(effects: Iterable[Effect]) -> Sequence[str]:
    return [effect.channel for effect in effects if isinstance(effect, Listen)]


def _left(words: dict[str, bool]) -> list[str]:
    return [channel for channel, listens in words.items() if not listens]


def _channel_of(frames: bytes) -> bytes | None:
    """Return the channel of NotificationResponses: behind the header and the PID; None of other messages."""
    return frames[9 : frames.index(b"\0", 9)] if frames.startswith(b"A") else None


def _answer(unit: Unit) -> Deferred[None]:
    waiting: Deferred[None] = Deferred()
    unit.done = lambda fields: _fire(waiting, fields)
    return waiting


def _fire(waiting: Deferred[None], fields: ErrorFields | None) -> None:
    if waiting.called:
        return
    if fields is None:
        waiting.callback(None)
    else:
        waiting.errback(SqlError(fields))
