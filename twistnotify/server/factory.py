"""All clients of one server: who they are, how many there may be, and their PIDs."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Hashable, Mapping
from random import Random

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.internet.protocol import Factory
from twisted.logger import Logger
from typing_extensions import override

from twistnotify.auth.rights import UserRights
from twistnotify.auth.throttle import Throttle
from twistnotify.config.model import Settings
from twistnotify.metrics.counters import ClientCounters
from twistnotify.server.arrival import Arrival
from twistnotify.server.authentication import Authenticator
from twistnotify.server.database import Database
from twistnotify.server.flush import FlushList
from twistnotify.server.hangup import HangupWatch
from twistnotify.server.idle import IdleWatch
from twistnotify.server.newcomers import Newcomers
from twistnotify.server.protocol import ClientProtocol
from twistnotify.server.refusals import Refusals
from twistnotify.session.actions import Admit
from twistnotify.session.failure import fatal
from twistnotify.session.session import Limits
from twistnotify.shard.timer import Timer
from twistnotify.wire.errors import ErrorFields

FIRST_PID = 2**22 + 1
"""Above the PIDs that Linux gives to processes, so that no client's is a real backend's."""
LAST_PID = 2**31 - 1
"""PIDs are signed 32-bit numbers to many drivers."""
MAX_WRONG_KEYS = 100
"""Requests to cancel with a wrong key that one address may send within `WRONG_KEYS_WINDOW`. Honest ones come from
clients whose session has just ended; a key of 4 bytes, which most clients have, is guessed in 2**31 tries or so."""
WRONG_KEYS_WINDOW = 60.0
"""Seconds; for as long, too, requests of that address are not looked at."""
NOBODYS_KEY = bytes(32)
TOO_MANY_LOGINS = ErrorFields("FATAL", "53300", "sorry, too many clients are logging in", hint="See max_login_conn.")
TERMINATED = ErrorFields("FATAL", "57P01", "terminating connection due to administrator command")


class ClientFactory(Factory):
    """Make the protocols, and keep what they share.

    `random_bytes(n)` gives the secrets; `random` the first PID. `authenticator` may be replaced (`use`).
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
        authenticator: Authenticator,
    ) -> None:
        self.clock = clock
        self.authenticator = authenticator
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
        self.refusals = Refusals(clock, *_limits(settings))
        self._cancels = Throttle(MAX_WRONG_KEYS, WRONG_KEYS_WINDOW, WRONG_KEYS_WINDOW)
        self._proxies = settings.proxy_protocol_from if settings.proxy_protocol else ()
        self._logging_in: dict[ClientProtocol, float] = {}
        self.newcomers = Newcomers(settings.max_login_conn)
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
        self.refusals.stop()
        self.hangups.stop()
        self.idle_watch.stop()

    def connected(self, client: ClientProtocol) -> Arrival:
        """Give a new client its time to log in; it is refused at once where too many are at it."""
        now = self.clock.seconds()
        self.connections[client] = None
        # Either it is refused, or another one is.
        self.counters.rejected += self.newcomers.is_full
        if self.newcomers.add(client, client.source, now):
            self._logging_in[client] = now + self.settings.client_login_timeout
            if not self._login_due.running:
                self._login_due.start(self.settings.client_login_timeout)
        else:
            client.terminate("login_room", TOO_MANY_LOGINS)
        return Arrival(client, self.authenticator.security.tls, self._is_proxy(client))

    def _is_proxy(self, client: ClientProtocol) -> bool:
        if not self._proxies:
            return False
        address = client.address
        return address is not None and any(address in network for network in self._proxies)

    def _forget_log_in(self, client: ClientProtocol) -> None:
        self._logging_in.pop(client, None)
        self.newcomers.remove(client)

    def use(self, authenticator: Authenticator, settings: Settings) -> None:
        """Let clients in by other rules from now on; those that are in get the rights they have by these.

        Failures are counted anew where `settings` has other limits for them.
        """
        self.authenticator.is_over = True
        self.authenticator = authenticator
        authenticator.warm_up()
        self.refusals.limit(*_limits(settings))
        for client in list(self.clients.values()):
            client.take_rights(self.rights_of(client.user))

    def rights_of(self, user: str) -> UserRights | None:
        """Return a user's rights to channels; None where it may use all."""
        return self.authenticator.security.rights.of(user)

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
        self._forget_log_in(client)
        pid = self._free_pid()
        self.clients[pid] = client
        self.counters.logins += 1
        return pid, self._random_bytes(key_length)

    def disconnected(self, client: ClientProtocol, reason: str) -> None:
        """Forget a client."""
        self.connections.pop(client, None)
        self._forget_log_in(client)
        self.hangups.forget(client)
        if client.committer is not None:
            self.clients.pop(client.committer.pid, None)
        self.counters.count_disconnect(reason)
        if self._empty is not None and not self.connections:
            self._is_empty()

    def cancel(self, pid: int, secret: bytes, address: Hashable = None) -> None:
        """Cancel what a client waits for; nothing happens where the key is wrong, or many were from this address."""
        now = self.clock.seconds()
        if self._cancels.is_blocked(address, now):
            return
        client = self.clients.get(pid)
        if hmac.compare_digest(NOBODYS_KEY if client is None else client.secret, secret) and client is not None:
            client.cancel()
        else:
            self._cancels.note_failure(address, now)

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
            self._forget_log_in(client)
            client.login_expired()


def _limits(settings: Settings) -> tuple[int, float, float]:
    return settings.auth_fail_limit, settings.auth_fail_window, settings.auth_fail_block
