"""A connection to one shard, kept for ever.

    down --delay--> connecting --log-in, LISTEN again--> up --(end, or no answer)--> down

One deadline covers connecting, logging in and the first LISTENs. The delays double with jitter and begin anew after
each success. While the link is up it is asked at intervals what it listens to: a connection can be dead without the
kernel knowing, and a transaction pooler in between would quietly listen on another backend.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from random import Random
from typing import Any, Protocol

import psycopg2
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionClosed
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from twistnotify.config.model import Settings
from twistnotify.shard.backoff import Backoff
from twistnotify.shard.connection import ConnectionLost, Notify, ShardConnection, ShardCursor, one_line
from twistnotify.shard.resolve import resolve, rotated
from twistnotify.shard.setup import PROBE, SOCKET_OPTIONS, listen_batches, setup_sql
from twistnotify.shard.timer import Timer

BATCH_TIMEOUT = 60.0
"""Seconds for the answer to one query. A commit elsewhere may hold the cluster's NOTIFY lock while its disk syncs,
so this is generous; a connection that is silent for longer is taken for dead."""

Conninfo = Callable[[], Deferred[dict[str, str]]]


class Served(Protocol):
    """Whom a link serves."""

    def wanted_channels(self) -> Iterable[str]:
        """Return what to LISTEN to on a new connection."""

    def received(self, notifies: Sequence[Notify]) -> None:
        """Take what has arrived."""

    def read_done(self) -> None:
        """Go on: a read of the socket has been worked off."""

    def link_up(self, channels: set[str]) -> None:
        """Begin to serve over a connection that LISTENs to these channels."""

    def listened_count(self) -> int:
        """Return the number of channels that the connection should be listening to."""

    def link_down(self) -> None:
        """Serve without a connection."""


class Link:
    """Keep one connection to a shard; `connection` is None while there is none that can be used."""

    log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        name: str,
        conninfo: Conninfo,
        settings: Settings,
        random: Random,
        served: Served,
    ) -> None:
        self.name = name
        self.connection: ShardConnection | None = None
        self.backend_pid = 0
        self._clock = clock
        self._conninfo = conninfo
        self._settings = settings
        self._served = served
        self._backoff = Backoff(settings.server_login_retry, settings.server_login_retry_max, random)
        self._identity = {"application_name": f"twistnotify/{name}", "client_encoding": "UTF8"}
        self._retry = Timer(clock, self._connect)
        self._deadline = Timer(clock, self._expired)
        self._next_check = Timer(clock, self._check)
        self._opening: ShardConnection | None = None
        self._attempt: Deferred[None] | None = None
        self._stopped = True
        self._watched: ShardCursor | None = None
        self._unanswered = 0.0
        self._failures = 0

    def start(self) -> None:
        """Connect, and connect again whenever the connection ends."""
        self._stopped = False
        self._connect()

    def stop(self) -> None:
        """End the connection and connect no more."""
        self._stopped = True
        for timer in (self._retry, self._deadline, self._next_check):
            timer.stop()
        self._abandon("shutting down")

    @property
    def free(self) -> bool:
        """Tell whether there is a connection that runs no query."""
        return self.connection is not None and self.connection.running is None

    def query(self, sql: str) -> Deferred[list[tuple[Any, ...]]]:
        """Run a query on the connection, which has to be `free`."""
        assert self.connection is not None
        return self.connection.query(sql)

    def _connect(self) -> None:
        self._deadline.start(self._settings.server_connect_timeout)
        self._attempt = Deferred.fromCoroutine(self._open())
        self._attempt.addErrback(self._connect_failed)

    async def _open(self) -> None:
        conninfo = rotated(await resolve(self._clock, await self._conninfo()), self._failures)
        connection = ShardConnection(self._clock, self._served.received, self._served.read_done, self._lost)
        self._opening = connection
        await connection.open({**SOCKET_OPTIONS, **conninfo, **self._identity})
        ((pid,),) = await connection.query(setup_sql(connection.server_version))
        channels = set(self._served.wanted_channels())
        for sql in listen_batches(sorted(channels)):
            await connection.query(sql)
        self._up(connection, int(pid), channels)

    def _up(self, connection: ShardConnection, backend_pid: int, channels: set[str]) -> None:
        self._opening, self.connection = None, connection
        self._attempt = None
        self.backend_pid = backend_pid
        self._deadline.stop()
        self._backoff.reset()
        self._failures = 0
        self._next_check.start(self._settings.listen_check_interval)
        self.log.info(
            "shard {shard}: up, backend {pid}, {channels} channels",
            shard=self.name,
            pid=backend_pid,
            channels=len(channels),
        )
        self._served.link_up(channels)

    def _connect_failed(self, failure: Failure) -> None:
        self._attempt = None
        self._deadline.stop()
        if self._stopped:
            return
        self._failures += 1
        opening, self._opening = self._opening, None
        if opening is not None:
            opening.drop("could not be used")
        if failure.check(psycopg2.Error, ConnectionLost, ConnectionClosed, CancelledError, OSError) is None:
            self.log.failure("shard {shard}: connecting failed", failure, shard=self.name)
        self._try_again("cannot connect", one_line(failure.value))

    def _lost(self, reason: ConnectionLost) -> None:
        """Note the end of a connection that had logged in; a query that was running has failed already."""
        if self.connection is None:
            return
        self.connection = None
        self._deadline.stop()
        self._next_check.stop()
        self._served.link_down()
        if not self._stopped:
            self._try_again("lost", one_line(reason))

    def _try_again(self, what: str, reason: str) -> None:
        delay = self._backoff.next_delay()
        self.log.warn(
            "shard {shard}: {what}: {reason}; next attempt in {delay:.2f} s",
            shard=self.name,
            what=what,
            reason=reason,
            delay=delay,
        )
        self._retry.start(delay)

    def _expired(self) -> None:
        self._abandon("no answer in time")

    def _abandon(self, reason: str) -> None:
        """End the connection, or the attempt at one."""
        connection = self.connection or self._opening
        if connection is not None:
            connection.drop(reason)
        elif self._attempt is not None:
            self._attempt.cancel()

    def _check(self) -> None:
        """Ask the connection what it listens to, unless a query is running: its answer tells as much."""
        self._next_check.start(self._settings.listen_check_interval)
        if self.free:
            self._unanswered = 0.0
            self._deadline.start(self._settings.listen_check_timeout)
            expected = self._served.listened_count()
            answer = self.query(PROBE)
            answer.addCallbacks(lambda rows: self._checked(rows[0][0], expected), lambda _: self._deadline.stop())
        else:
            self._watch_running_query()

    def _watch_running_query(self) -> None:
        """Count how long the same query has been running, check by check."""
        running = self.connection.running if self.connection is not None else None
        self._unanswered = self._unanswered + self._settings.listen_check_interval if running is self._watched else 0.0
        self._watched = running
        if self._unanswered >= BATCH_TIMEOUT:
            self._abandon("a query was not answered in time")

    def _checked(self, count: int, expected: int) -> None:
        self._deadline.stop()
        if count == expected:
            return
        self.log.error(
            "shard {shard}: PostgreSQL listens to {count} channels instead of {expected};"
            " is there a transaction pooler in between?",
            shard=self.name,
            count=count,
            expected=expected,
        )
        self._abandon("listens to the wrong channels")
