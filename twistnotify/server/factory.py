"""All clients of one server: who they are, how many there may be, and their PIDs."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from random import Random

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.internet.protocol import Factory
from twisted.logger import Logger
from typing_extensions import override

from twistnotify.config.model import Settings
from twistnotify.metrics.counters import ClientCounters
from twistnotify.server.database import Database
from twistnotify.server.flush import FlushList
from twistnotify.server.hangup import HangupWatch
from twistnotify.server.idle import IdleWatch
from twistnotify.server.protocol import ClientProtocol
from twistnotify.session.actions import Admit
from twistnotify.session.failure import fatal
from twistnotify.session.session import Limits
from twistnotify.shard.timer import Timer
from twistnotify.wire.errors import ErrorFields

FIRST_PID = 2**22 + 1
"""Above the PIDs that Linux gives to processes, so that no client's is a real backend's."""
LAST_PID = 2**31 - 1
"""PIDs are signed 32-bit numbers to many drivers."""
TERMINATED = ErrorFields("FATAL", "57P01", "terminating connection due to administrator command")


class ClientFactory(Factory):
    """Make the protocols, and keep what they share.

    `random_bytes(n)` gives the secrets; `random` the first PID.
    """

    noisy = False
    log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        settings: Settings,
        databases: Mapping[str, Database],
        flush_list: FlushList,
        random: Random,
        random_bytes: Callable[[int], bytes],
    ) -> None:
        self.clock = clock
        self.settings = settings
        self.limits = Limits(settings.max_listen_query_size, settings.max_channels_per_client, settings.max_packet_size)
        self.flush_list = flush_list
        self.counters = ClientCounters()
        self.clients: dict[int, ClientProtocol] = {}
        self.connections: dict[ClientProtocol, None] = {}
        # Half of the spare descriptors are for clients that are let in only to be refused politely, the other half is
        # for the shards' connections.
        self._max_connections = settings.max_client_conn + settings.fd_reserve // 2
        self._databases = databases
        for database in databases.values():
            database.clients = self.clients
        self._random_bytes = random_bytes
        self._next_pid = random.randint(FIRST_PID, LAST_PID)
        self._logging_in: dict[ClientProtocol, float] = {}
        self._login_due = Timer(clock, self._expire_logins)
        self.hangups = HangupWatch(clock)
        self.idle_watch = IdleWatch(clock)
        self._empty: Deferred[None] | None = None
        self._empty_due = Timer(clock, self._is_empty)

    @override
    def buildProtocol(self, addr: IAddress | None) -> ClientProtocol | None:
        """Make a client's protocol; None, which closes the connection, where there are far too many."""
        if len(self.connections) >= self._max_connections:
            self.counters.rejected += 1
            return None
        return ClientProtocol(self)

    @override
    def stopFactory(self) -> None:
        """Stop the timers."""
        self._login_due.stop()
        self.hangups.stop()
        self.idle_watch.stop()

    def connected(self, client: ClientProtocol) -> None:
        """Give a new client its time to log in."""
        self.connections[client] = None
        self._logging_in[client] = self.clock.seconds() + self.settings.client_login_timeout
        if not self._login_due.running:
            self._login_due.start(self.settings.client_login_timeout)

    def admit(self, client: ClientProtocol, action: Admit) -> Database:
        """Return the database a client wants; raises FATAL 53300 or 3D000."""
        if len(self.clients) >= self.settings.max_client_conn:
            self.counters.rejected += 1
            raise fatal("53300", "sorry, too many clients already")
        database = self._databases.get(action.database)
        if database is None:
            raise fatal("3D000", f'database "{action.database}" does not exist')
        return database

    def logged_in(self, client: ClientProtocol, key_length: int) -> tuple[int, bytes]:
        """Enter a client; return its PID and secret."""
        self._logging_in.pop(client, None)
        pid = self._free_pid()
        self.clients[pid] = client
        self.counters.logins += 1
        return pid, self._random_bytes(key_length)

    def disconnected(self, client: ClientProtocol, reason: str) -> None:
        """Forget a client."""
        self.connections.pop(client, None)
        self._logging_in.pop(client, None)
        self.hangups.forget(client)
        if client.committer is not None:
            self.clients.pop(client.committer.pid, None)
        self.counters.count_disconnect(reason)
        if self._empty is not None and not self.connections:
            self._is_empty()

    def cancel(self, pid: int, secret: bytes) -> None:
        """Cancel what a client waits for; nothing happens where the key is wrong."""
        client = self.clients.get(pid)
        if client is not None and hmac.compare_digest(client.secret, secret):
            client.cancel()

    def signal(self, function: str, pid: int) -> None:
        """Do to a client what pg_cancel_backend() or pg_terminate_backend() does to a backend."""
        client = self.clients.get(pid)
        if client is None:
            return
        if function == "pg_cancel_backend":
            client.cancel()
        else:
            # Not at once: it may be the very client whose command is being carried out.
            self.clock.callLater(0, client.terminate, "terminated", TERMINATED)

    def terminate_all(self, reason: str, fields: ErrorFields) -> None:
        """End all clients with a FATAL error."""
        for client in list(self.connections):
            client.terminate(reason, fields)

    def when_empty(self, timeout: float) -> Deferred[None]:
        """Return a Deferred that fires when all clients are gone, or after so many seconds."""
        self._empty = Deferred()
        self._empty_due.start(timeout if self.connections else 0)
        return self._empty

    def _is_empty(self) -> None:
        self._empty_due.stop()
        empty, self._empty = self._empty, None
        if empty is not None:
            empty.callback(None)

    def _free_pid(self) -> int:
        while self._next_pid in self.clients:
            self._advance_pid()
        pid = self._next_pid
        self._advance_pid()
        return pid

    def _advance_pid(self) -> None:
        self._next_pid = FIRST_PID if self._next_pid == LAST_PID else self._next_pid + 1

    def _expire_logins(self) -> None:
        """End the clients whose time is up: the dict is in the order of the deadlines."""
        now = self.clock.seconds()
        for client, deadline in list(self._logging_in.items()):
            if deadline > now:
                self._login_due.start(deadline - now)
                return
            del self._logging_in[client]
            client.login_expired()
