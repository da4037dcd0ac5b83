"""The composition root: every long-lived object is built here."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from random import SystemRandom
from typing import Any

from twisted.application.service import MultiService
from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.logger import Logger
from typing_extensions import override

from twistnotify.config.model import Config, DatabaseConfig, RelayConfig, Settings, ShardConfig
from twistnotify.relay.upstream import Relay
from twistnotify.server.database import Database
from twistnotify.server.factory import TERMINATED, ClientFactory
from twistnotify.server.flush import FlushList
from twistnotify.server.protocol import LAST_WORDS
from twistnotify.shard.embedded import EmbeddedPostgres
from twistnotify.shard.link import Conninfo
from twistnotify.shard.service import ShardService


class Server(MultiService):
    """Everything that one process runs.

    `config_folder` is where relative folders of the configuration start, if it can be written to. After
    `startService`, `port` is the listening port. Raises EmbeddedMissing.
    """

    log = Logger()

    def __init__(self, reactor: Any, config: Config, config_folder: Path) -> None:
        super().__init__()
        self.settings = config.settings
        self.port: Any = None
        self._reactor = reactor
        self._config_folder = config_folder
        self._embedded: dict[Path, EmbeddedPostgres] = {}
        random = SystemRandom()
        flush_list = FlushList(reactor, self.settings.fanout_slice)
        self.shards: dict[str, ShardService] = {}
        for name, shard_config in config.shards.items():
            conninfo = self._conninfo(shard_config)
            shard = ShardService(reactor, shard_config, self.settings, conninfo, flush_list.flush, random)
            shard.setServiceParent(self)
            self.shards[name] = shard
        self.databases = {
            name: Database(database, [self.shards[shard.name] for shard in database.shards], self._relay(database))
            for name, database in config.databases.items()
        }
        self.factory = ClientFactory(reactor, self.settings, self.databases, flush_list, random, os.urandom)

    @override
    def startService(self) -> None:
        """Bind the port, then connect to the shards; raises CannotListenError."""
        settings = self.settings
        self.port = self._reactor.listenTCP(
            settings.listen_port,
            self.factory,
            backlog=settings.listen_backlog,
            interface=settings.listen_addr,
        )
        _tune(self.port.socket, settings)
        super().startService()
        where = self.port.getHost()
        self.log.info("listening on {host}:{port}", host=where.host, port=where.port)

    @override
    def stopService(self) -> Deferred[Any]:
        """Take no more clients, tell those that are here, end the connections to the shards."""
        port, self.port = self.port, None
        closed: Deferred[Any] = succeed(None) if port is None else maybeDeferred(port.stopListening)
        self.factory.terminate_all("shutdown", TERMINATED)
        closed.addCallback(lambda _: self.factory.when_empty(LAST_WORDS))
        return closed.addCallback(self._stop_shards)

    def _stop_shards(self, _: object) -> Deferred[Any]:
        stopped: Deferred[Any] = super().stopService()
        return stopped

    def _relay(self, config: DatabaseConfig) -> Relay | None:
        if config.relay is None:
            return None
        return Relay(self._reactor, config.name, self._conninfo(config.relay), self.settings, os.urandom)

    def _conninfo(self, config: ShardConfig | RelayConfig) -> Conninfo:
        keywords = dict(config.conninfo)
        if config.embedded is None:
            return lambda: succeed(dict(keywords))
        embedded = self._embedded_in(self._folder(config.embedded))

        def conninfo() -> Deferred[dict[str, str]]:
            return embedded.conninfo().addCallback(lambda where: {**keywords, **where})

        return conninfo

    def _folder(self, name: str) -> Path:
        start = self._config_folder if os.access(self._config_folder, os.W_OK) else Path.cwd()
        return (start / name).resolve()

    def _embedded_in(self, folder: Path) -> EmbeddedPostgres:
        if folder not in self._embedded:
            self._embedded[folder] = EmbeddedPostgres(folder)
            self._embedded[folder].setServiceParent(self)
        return self._embedded[folder]


def _tune(listener: socket.socket, settings: Settings) -> None:
    """Set socket options where they are inherited from: on Linux the accepted sockets have the listener's."""
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if settings.tcp_socket_buffer:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, settings.tcp_socket_buffer)
    if settings.tcp_keepalive:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in (
            (socket.TCP_KEEPIDLE, settings.tcp_keepidle),
            (socket.TCP_KEEPINTVL, settings.tcp_keepintvl),
            (socket.TCP_KEEPCNT, settings.tcp_keepcnt),
        ):
            if value:
                listener.setsockopt(socket.IPPROTO_TCP, option, value)
