"""The composition root: every long-lived object is built here."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from random import SystemRandom
from typing import Any
from weakref import WeakSet

from twisted.application.service import MultiService
from twisted.internet.defer import Deferred, gatherResults, maybeDeferred, succeed
from twisted.logger import Logger
from typing_extensions import override

from twistnotify.auth.secrets import PlainSecret
from twistnotify.config.model import Config, DatabaseConfig, RelayConfig, Settings, ShardConfig
from twistnotify.config.reload import needs_restart
from twistnotify.relay.lookup import UserLookup
from twistnotify.relay.lookup_session import auth_session
from twistnotify.relay.tls import SYSTEM
from twistnotify.relay.upstream import Relay
from twistnotify.server.authentication import Authenticator, Security
from twistnotify.server.database import Database
from twistnotify.server.derivations import Derivations
from twistnotify.server.factory import TERMINATED, ClientFactory
from twistnotify.server.flush import FlushList
from twistnotify.server.protocol import LAST_WORDS
from twistnotify.server.security import read_security
from twistnotify.server.warnings import warnings
from twistnotify.shard.embedded import EmbeddedPostgres
from twistnotify.shard.link import Conninfo
from twistnotify.shard.service import ShardService

MOCK_KEY_BYTES = 32
FILES = frozenset(("sslrootcert", "sslcert", "sslkey", "sslcrl", "passfile"))
"""Keywords whose value is a path."""


class Server(MultiService):
    """Everything that one process runs.

    `config_folder` is where relative folders of the configuration start, if it can be written to; `file` names the
    configuration in messages. After `startService`, `port` is the listening port. Raises EmbeddedMissing, and
    ConfigurationError for what is wrong with the files that the configuration names.
    """

    log = Logger()

    def __init__(self, reactor: Any, config: Config, config_folder: Path, file: str = "config.ini") -> None:
        super().__init__()
        self.config = self._started_with = config
        self.settings = config.settings
        self.port: Any = None
        self._unix_port: Any = None
        self._reactor = reactor
        self._file = file
        self._derivations = Derivations(reactor)
        self._mock_key = os.urandom(MOCK_KEY_BYTES)
        self._relays = {name: each.relay for name, each in config.databases.items() if each.relay is not None}
        self._lookups: dict[str, UserLookup] = {}
        self._old_lookups: WeakSet[UserLookup] = WeakSet()
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
        security = read_security(config, config_folder, file)
        self.factory = ClientFactory(
            reactor, self.settings, self.databases, flush_list, random, os.urandom, self._authenticator(security)
        )

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
        where = self.port.getHost()
        if settings.unix_socket_dir:
            self._listen_unix(where.port)
        super().startService()
        self.factory.authenticator.warm_up()
        self._warn()
        self.log.info("listening on {host}:{port}", host=where.host, port=where.port)

    def _listen_unix(self, port: int) -> None:
        """Bind the Unix socket that libpq looks for in a folder."""
        settings = self.settings
        path = str(self._config_folder / settings.unix_socket_dir / f".s.PGSQL.{port}")
        remove_stale_socket(path)
        mode = settings.unix_socket_mode
        self._unix_port = self._reactor.listenUNIX(path, self.factory, settings.listen_backlog, mode)
        self.log.info("listening on {path}", path=path)

    def _warn(self) -> None:
        """Say what of the configuration leaves something open."""
        for warning in warnings(self.config, self.factory.authenticator.security):
            self.log.warn("{warning}", warning=warning)

    def reload(self, config: Config) -> None:
        """Take on what another configuration says of log-ins and rights.

        Whatever else is different needs a restart, and the log says so. Raises ConfigurationError, and changes nothing.
        """
        security = read_security(config, self._config_folder, self._file)
        restart = needs_restart(self._started_with, config)
        self.config = config
        # Who is being looked up is answered; then nobody asks them any more.
        self._old_lookups.update(self._lookups.values())
        self._lookups.clear()
        self.factory.use(self._authenticator(security), config.settings)
        self._warn()
        self.log.info("configuration reloaded")
        if restart:
            self.log.warn("for what else has changed a restart is needed: {names}", names=", ".join(restart))

    @override
    def stopService(self) -> Deferred[Any]:
        """Take no more clients, tell those that are here, end the connections to the shards."""
        ports = [port for port in (self.port, self._unix_port) if port is not None]
        self.port = self._unix_port = None
        closed: Deferred[Any] = gatherResults([maybeDeferred(port.stopListening) for port in ports])
        for lookup in (*self._lookups.values(), *self._old_lookups):
            lookup.close()
        self.factory.terminate_all("shutdown", TERMINATED)
        closed.addCallback(lambda _: self.factory.when_empty(LAST_WORDS))
        return closed.addCallback(self._stop_shards)

    def _stop_shards(self, _: object) -> Deferred[Any]:
        self._derivations.stop()
        stopped: Deferred[Any] = super().stopService()
        return stopped

    def _relay(self, config: DatabaseConfig) -> Relay | None:
        if config.relay is None:
            return None
        return Relay(self._reactor, config.name, self._conninfo(config.relay), self.settings, os.urandom)

    def _authenticator(self, security: Security) -> Authenticator:
        return Authenticator(security, self._lookup, os.urandom, self._mock_key, self._derivations)

    def _lookup(self, database: str) -> UserLookup | None:
        """Return who asks for users that want a database, there or, if it cannot be asked, in another one."""
        settings = self.config.settings
        if not settings.auth_user or not self._relays:
            return None
        wanted = settings.auth_dbname or database
        name = wanted if wanted in self._relays else next(iter(self._relays))
        if name not in self._lookups:
            self._lookups[name] = self._new_lookup(name, self._relays[name])
        return self._lookups[name]

    def _new_lookup(self, name: str, config: RelayConfig) -> UserLookup:
        settings = self.config.settings
        conninfo = self._conninfo(config)

        def as_auth_user() -> Deferred[dict[str, str]]:
            return conninfo().addCallback(self._for_auth_user)

        relay = Relay(self._reactor, name, as_auth_user, settings, os.urandom)
        return UserLookup(
            self._reactor,
            lambda: auth_session(relay, settings.auth_user),
            settings.auth_query,
            settings.auth_query_cache_ttl,
            settings.auth_query_negative_ttl,
        )

    def _for_auth_user(self, keywords: dict[str, str]) -> dict[str, str]:
        """Return where to log in as auth_user, with the password that auth_file has."""
        user = self.config.settings.auth_user
        keywords = {name: value for name, value in keywords.items() if name not in ("user", "password")}
        secret = self.factory.authenticator.security.users.get(user)
        password = {"password": secret.password} if isinstance(secret, PlainSecret) else {}
        return {**keywords, "user": user, **password}

    def _conninfo(self, config: ShardConfig | RelayConfig) -> Conninfo:
        keywords = {word: self._located(word, value) for word, value in config.conninfo}
        if isinstance(config, RelayConfig):
            keywords |= {"ciphers": config.ciphers, "tls13_ciphers": config.tls13_ciphers}
        if config.embedded is None:
            return lambda: succeed(dict(keywords))
        embedded = self._embedded_in(self._folder(config.embedded))

        def conninfo() -> Deferred[dict[str, str]]:
            return embedded.conninfo().addCallback(lambda where: {**keywords, **where})

        return conninfo

    def _located(self, word: str, value: str) -> str:
        """Return the value of a keyword; a file is beside the configuration, wherever the process was started."""
        return str(self._config_folder / value) if word in FILES and value != SYSTEM else value

    def _folder(self, name: str) -> Path:
        start = self._config_folder if os.access(self._config_folder, os.W_OK) else Path.cwd()
        return (start / name).resolve()

    def _embedded_in(self, folder: Path) -> EmbeddedPostgres:
        if folder not in self._embedded:
            self._embedded[folder] = EmbeddedPostgres(folder)
            self._embedded[folder].setServiceParent(self)
        return self._embedded[folder]


def remove_stale_socket(path: str) -> None:
    """Remove the Unix socket of a process that was killed.

    Not by Twisted's lock file, which holds a process ID: in a container the next process often has the same one.
    """
    if not Path(path).is_socket():
        # Any other file would refuse to be connected to, too.
        return
    try:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.connect(path)
    except ConnectionRefusedError:
        os.unlink(path)
    except OSError:
        # It cannot be reached: to listen will fail, and say why.
        pass


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
