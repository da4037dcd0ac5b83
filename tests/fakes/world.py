"""A whole server in one process, with fakes on its outside only: the clock, PostgreSQL, and the clients' sockets."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from fakes.client import FakeClient
from fakes.postgres import FakePostgres
from fakes.reactor import FakeReactor
from fakes.threads import FakePool
from fakes.upstream import FakeRelay, FakeUpstream
from twisted.internet.defer import succeed

from twistnotify.config.model import DatabaseConfig, RelayConfig, Settings, ShardConfig
from twistnotify.pubsub.outbox import Outbox
from twistnotify.server.attachment import SENDER_REMEMBERED
from twistnotify.server.authentication import Authenticator, Security
from twistnotify.server.database import Database
from twistnotify.server.derivations import Derivations
from twistnotify.server.factory import ClientFactory
from twistnotify.server.flush import FlushList
from twistnotify.shard.connection import ShardConnection
from twistnotify.shard.service import DRAIN_TIMEOUT, ShardService
from twistnotify.wire.catalog import decode_backend
from twistnotify.wire.errors import ErrorFields
from twistnotify.wire.framing import FrameBuffer
from twistnotify.wire.notification import NotificationResponse


class FakeListener:
    """The owner of an outbox, as the shards see a client."""

    def __init__(self, dirty_list: Any) -> None:
        self.outbox = Outbox(self, dirty_list)
        self.data = b""
        self.terminated: list[tuple[str, str]] = []
        self.warned: list[str] = []
        self.unconvertible: list[UnicodeEncodeError] = []

    def flush(self) -> None:
        """Take what is ready."""
        self.outbox.dirty = False
        while self.outbox.ready:
            self.data += self.outbox.take()

    def terminate(self, reason: str, fields: ErrorFields) -> None:
        """Note an end."""
        self.terminated.append((reason, fields.sqlstate))

    def warn(self, fields: ErrorFields) -> None:
        """Note a warning."""
        self.warned.append(fields.sqlstate)

    def cannot_convert(self, error: UnicodeEncodeError) -> None:
        """Note an encoding that cannot hold a notification."""
        self.unconvertible.append(error)

    def frames(self) -> list[NotificationResponse]:
        """Return the notifications received so far, and forget them."""
        buffer = FrameBuffer(1_000_000)
        buffer.feed(self.data)
        self.data = b""
        frames = []
        while (frame := buffer.next_frame()) is not None:
            message = decode_backend(*frame, self.outbox.encoding or "utf-8")
            assert isinstance(message, NotificationResponse)
            frames.append(message)
        return frames

    def heard(self) -> list[tuple[str, str]]:
        """Return channel and payload of the notifications received so far, and forget them."""
        return [(frame.channel, frame.payload) for frame in self.frames()]


class World:
    """Shards named `shards`, one database `app` over all of them, and clients.

    Each shard has a PostgreSQL of its own, `servers[name]`; `postgres` is the first's. Where the database `relays`,
    other SQL goes to the sessions that `relay` opens, on the server of `relay_shard`.
    """

    def __init__(
        self,
        monkeypatch: pytest.MonkeyPatch,
        shards: tuple[str, ...] = ("app",),
        relays: bool = False,
        relay_shard: str | None = "app",
        security: Security | None = None,
        **settings: Any,
    ) -> None:
        acknowledgements = {name: settings.pop(name, "immediate") for name in ("listen_ack", "notify_ack")}
        self.listeners: list[FakeListener] = []
        self.lookup: Any = None
        self.reactor = FakeReactor()
        self.reactor.advance(1_700_000_000)
        self.settings = Settings(**settings)
        self.servers = {name: FakePostgres() for name in shards}
        monkeypatch.setattr(ShardConnection, "connectionFactory", staticmethod(self._connect))
        self.postgres = self.servers[shards[0]]
        self.flush_list = FlushList(self.reactor, self.settings.fanout_slice)
        configs = tuple(ShardConfig(name, (("host", "/" + name),), None) for name in shards)
        self.shards = {config.name: self._shard(config) for config in configs}
        self.shard = self.shards[shards[0]]
        self.relay = FakeRelay()
        relay_config = RelayConfig((), None, relay_shard, 0.0) if relays else None
        config = DatabaseConfig("app", configs, **acknowledgements, relay=relay_config)
        relay: Any = self.relay if relays else None
        self.database = Database(config, list(self.shards.values()), relay)
        self.factory = ClientFactory(
            self.reactor,
            self.settings,
            {"app": self.database},
            self.flush_list,
            Random(1),
            lambda n: b"\7" * n,
            self.authenticator(security or Security()),
        )

    def authenticator(self, security: Security) -> Authenticator:
        """Return who lets clients in; users are looked up by `lookup`, if there is one."""
        derivations = Derivations(self.reactor, FakePool())
        return Authenticator(security, lambda _: self.lookup, lambda n: b"\7" * n, b"mock key", derivations)

    def start(self) -> World:
        """Start the shards, and let them connect."""
        for shard in self.shards.values():
            shard.startService()
        self.reactor.settle()
        return self

    def stop(self) -> None:
        """Stop everything; nothing may be left on the clock, in the reactor or in the hubs."""
        for connection in list(self.factory.connections):
            connection.socket.abortConnection()
        for postgres in self.servers.values():
            postgres.holds = postgres.hangs = False
            while postgres.held:
                postgres.answer()
        for listener in self.listeners:
            self.database.leave(listener.outbox)
        self.reactor.settle()
        for shard in self.shards.values():
            shard.stopService()
        self.reactor.wait(max(DRAIN_TIMEOUT, SENDER_REMEMBERED, self.factory.settings.server_connect_timeout))
        self.factory.stopFactory()
        self.reactor.settle()
        assert self.reactor.getDelayedCalls() == []
        assert self.reactor.getReaders() == []
        assert self.reactor.getWriters() == []
        self.assert_empty()

    def assert_empty(self) -> None:
        """Nothing is left of clients that have gone."""
        assert not self.factory.connections
        assert not self.factory.clients
        assert not self.factory._logging_in
        assert not len(self.factory.newcomers)
        assert not len(self.factory.hangups)
        for shard in self.shards.values():
            assert list(shard.hub.listeners()) == []
            assert list(shard.hub.channels()) == []
            assert not shard._joining
            assert not len(shard.room)
            assert not shard.fence._waits
            # The database's own is there until the shard is up for the first time.
            assert len(shard._when_known) <= (shard.parameters is None)
            assert not shard._losses._concerned
            assert not shard.relayed
        assert all(upstream.state != "open" for upstream in self.relay.upstreams)
        assert not self.relay.opening

    @property
    def upstream(self) -> FakeUpstream:
        """The session that the relay has opened last."""
        return self.relay.upstream

    def connect(self) -> FakeClient:
        """Connect a client that has not said a word yet."""
        return FakeClient(self.reactor, self.factory.buildProtocol(None))

    def client(self, *listens: str, **parameters: str) -> FakeClient:
        """Connect a client, log it in, and have it LISTEN."""
        client = self.connect()
        client.log_in(**parameters)
        for channel in listens:
            client.query(f'LISTEN "{channel}"')
        return client

    def listener(self, *channels: str, encoding: str | None = None) -> FakeListener:
        """Register somebody with the shards without a client."""
        listener = FakeListener(self.flush_list)
        listener.outbox.encoding = encoding
        self.listeners.append(listener)
        for channel in channels:
            for shard in self.database.shards_of(channel):
                shard.listen(listener.outbox, channel)
                shard.send()
        self.reactor.settle()
        return listener

    def _shard(self, config: ShardConfig) -> ShardService:
        conninfo = dict(config.conninfo)
        return ShardService(
            self.reactor, config, self.settings, lambda: succeed(dict(conninfo)), self.flush_list.flush, Random(2)
        )

    def _connect(self, **keywords: Any) -> Any:
        return self.servers[keywords["host"][1:]].connect(**keywords)
