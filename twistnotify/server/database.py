"""A database as clients see it: its shards, and which channel lives where."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from twistnotify.config.model import DatabaseConfig
from twistnotify.pubsub.outbox import Outbox
from twistnotify.pubsub.routing import GAP_CHANNEL, Router
from twistnotify.relay.upstream import Relay
from twistnotify.session.encodings import server_codec
from twistnotify.shard.service import ShardService


class Peer(Protocol):
    """A client, as another one knows it."""

    @property
    def user(self) -> str:
        """Return the user it has logged in as."""


class Database:
    """The shards of one database, in the order of the configuration: the order that numbers them.

    `relay` opens upstream sessions, where other SQL is relayed. `clients` are those of all databases, by PID.
    """

    def __init__(self, config: DatabaseConfig, shards: Sequence[ShardService], relay: Relay | None = None) -> None:
        self.name = config.name
        self.acknowledgements = (config.listen_ack, config.notify_ack)
        self.shards = tuple(shards)
        self.relay = relay
        self.idle_timeout = config.relay.idle_timeout if config.relay is not None else 0.0
        self.relay_shard = _relay_shard(config, self.shards) if relay is not None else None
        self.clients: Mapping[int, Peer] = {}
        self._only = self.shards[0] if len(self.shards) == 1 else None
        self._router = Router(len(self.shards))
        self.shards[0].when_known(self._use_encoding)

    @property
    def parameters(self) -> tuple[tuple[str, str], ...] | None:
        """What the first shard's server reports of its settings; None as long as it was never reached."""
        return self.shards[0].parameters

    @property
    def encoding(self) -> str:
        """The first shard's server_encoding."""
        return self._reported("server_encoding")

    @property
    def superuser(self) -> str:
        """The user as whom the first shard is LISTENed to."""
        return self._reported("session_authorization")

    def _reported(self, wanted: str) -> str:
        return self.shards[0].reported.get(wanted, "")

    def when_known(self, told: Callable[[], None]) -> Callable[[], None]:
        """Call back once `parameters` are known; return a function that calls it off."""
        return self.shards[0].when_known(told)

    def _use_encoding(self) -> None:
        """Hash channels in the database's encoding: nobody has logged in before it is known."""
        self._router = Router(len(self.shards), server_codec(self.encoding))

    def shard_of(self, channel: str) -> ShardService:
        """Return the shard a channel belongs to, by PostgreSQL's partition hash."""
        return self._only or self.shards[self._router.shard(channel)]

    def shards_of(self, channel: str) -> tuple[ShardService, ...]:
        """Return the shards that a LISTEN concerns: one, but for the channel on which all announce losses."""
        return self.shards if channel == GAP_CHANNEL else (self.shard_of(channel),)

    def send(self) -> None:
        """Send what waits on any shard."""
        for shard in self.shards:
            shard.send()

    def relays(self, channel: str | None) -> bool:
        """Tell whether an upstream session is on the shard of this channel; None asks for all channels."""
        if self.relay_shard is None:
            return False
        if self._only is not None:
            return True
        return channel is not None and self.shard_of(channel) is self.relay_shard

    def may_signal(self, user: str, pid: int) -> bool:
        """Tell whether a PID is that of a client of this user here."""
        client = self.clients.get(pid)
        return client is not None and client.user == user

    def note_end(self) -> None:
        """Note that an upstream session has ended a transaction, which may have notified."""
        if self.relay_shard is not None:
            self.relay_shard.note_relayed()

    def client_pid(self, pid: int) -> int:
        """Return the PID of the client whose upstream this backend is, or the backend's own."""
        return self.relay_shard.relayed.get(pid, pid) if self.relay_shard is not None else pid

    def leave(self, outbox: Outbox) -> None:
        """End all registrations of a client that goes away."""
        for shard in self.shards:
            shard.leave(outbox)


def _relay_shard(config: DatabaseConfig, shards: Sequence[ShardService]) -> ShardService | None:
    wanted = config.relay.shard if config.relay is not None else None
    return next((shard for shard in shards if shard.name == wanted), None)
