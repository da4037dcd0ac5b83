"""The PostgreSQL connection of one shard: txpostgres, and psycopg2 below it, are known in this file only.

What is changed of txpostgres, and why:

* Its observers run in a Cooperator, one task a read, so notifications of two reads come out interleaved. Here
  `checkForNotifies` takes everything psycopg2 has, in order, and hands it on in one call.
* It takes the socket out of the reactor and puts it back around every read and every query, and finishes a query
  one reactor turn late. Here the connection stays a reader from log-in to the end, and a query finishes in the read
  that brought its last byte: three system calls and one turn less for each NOTIFY.
* A read that finds the server gone raises into the reactor, which logs a traceback. Here it is an event.
* libpq closes its descriptor in the read that finds the server gone, when epoll(7) can forget it no longer (EBADF).
  Here the reactor watches a duplicate, which lives until it has been taken out of the reactor.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import psycopg2
import psycopg2.extensions
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure
from txpostgres import txpostgres
from typing_extensions import override

from twistnotify.wire.errors import ErrorFields


class Notify(Protocol):
    """A notification as psycopg2 gives it."""

    pid: int
    channel: str
    payload: str


class ConnectionLost(Exception):
    """The connection ended; the text is libpq's, on one line."""


def error_fields(error: BaseException) -> ErrorFields:
    """Return what a psycopg2 error says, as fields of an ErrorResponse.

    An error that came without an SQLSTATE is the connection's: 08006, connection_failure.
    """
    sqlstate = getattr(error, "pgcode", None)
    diag = getattr(error, "diag", None)
    if sqlstate is None or diag is None:
        return ErrorFields("ERROR", "08006", one_line(error))
    return ErrorFields(
        "ERROR",
        sqlstate,
        diag.message_primary or one_line(error),
        diag.message_detail,
        diag.message_hint,
    )


def one_line(error: BaseException | None) -> str:
    """Return an error's text with its line breaks made spaces, for the log."""
    return " ".join(str(error).split()) or type(error).__name__


class ShardCursor(txpostgres.Cursor):  # type: ignore[misc]
    """A cursor that finishes in the read that brings the end of its answer."""

    @override
    def continuePolling(self, swallowErrors: bool = False) -> None:
        """Move on; after the answer's notifications, finish."""
        connection: ShardConnection = self._connection
        try:
            state = self.pollable().poll()
            if state == psycopg2.extensions.POLL_OK:
                # psycopg2 leaves in libpq what arrived behind the last result until it is asked again.
                self.pollable().poll()
        except psycopg2.Error as error:
            connection.checkForNotifies()
            self._fail(error)
            return
        connection.checkForNotifies()
        if state == psycopg2.extensions.POLL_OK:
            self._finish(self)
        elif state == psycopg2.extensions.POLL_WRITE:
            self.reactor.addWriter(connection)

    @override
    def connectionLost(self, reason: Failure) -> None:
        """Leave it to the connection to fail the query: it knows why."""

    @override
    def _handleCancellation(self, f: Failure) -> Failure:
        """Leave a query that was cancelled in PostgreSQL (57014) the error that it is."""
        return f

    def _fail(self, error: psycopg2.Error) -> None:
        """Tell an error of the query from the end of the connection."""
        if self.pollable().closed or error.pgcode is None:
            self._connection.drop(one_line(error))
        else:
            self._finish(Failure(error))

    def _finish(self, result: object) -> None:
        waiting: Deferred[object] | None = self._pollingD
        self._pollingD: Deferred[object] | None = None
        if waiting is not None:
            waiting.callback(result)


class ShardConnection(txpostgres.Connection):  # type: ignore[misc]
    """One connection that LISTENs and NOTIFYs.

    `received` is called with each batch of notifications, `read_done` after each read has been worked off, and
    `lost` once when a connection that had logged in ends.
    """

    cursorFactory = ShardCursor

    def __init__(
        self,
        reactor: IReactorTime,
        received: Callable[[Sequence[Notify]], None],
        read_done: Callable[[], None],
        lost: Callable[[ConnectionLost], None],
    ) -> None:
        super().__init__(reactor)
        self._received = received
        self._read_done = read_done
        self._lost: Callable[[ConnectionLost], None] | None = lost
        self.running: ShardCursor | None = None
        self._established = False
        self._descriptor: int | None = None

    def open(self, conninfo: dict[str, str]) -> Deferred[ShardConnection]:
        """Connect and log in; `conninfo` holds libpq's keywords. Fails with psycopg2.Error."""
        connecting: Deferred[ShardConnection] = self.connect(**conninfo)
        return connecting.addCallback(self._connected)

    def query(self, sql: str) -> Deferred[list[tuple[Any, ...]]]:
        """Run a query string, one at a time; gives the rows of its last result, or none.

        The Deferred fires after the notifications that came with the answer have been handed on. Fails with
        psycopg2.Error, or `ConnectionLost`.
        """
        cursor = self.cursor()
        done: Deferred[Any] = cursor.execute(sql)
        return done.addCallback(_rows)

    def parameter(self, name: str) -> str | None:
        """Return what the server reported of a setting (ParameterStatus), or None."""
        value: str | None = self._connection.info.parameter_status(name)
        return value

    @property
    def server_version(self) -> int:
        """The server's version as libpq counts it: 150018 is 15.18."""
        version: int = self._connection.info.server_version
        return version

    def drop(self, reason: str) -> None:
        """End the connection now, as if it had been lost; an attempt to open it fails."""
        if self._established:
            self._end(ConnectionLost(reason))
        elif self._connection is not None:
            # There is none where libpq refused at once, as it does a socket's folder without a socket.
            self.close()

    @override
    def fileno(self) -> int:
        """Return the descriptor that the reactor watches."""
        if self._descriptor is not None:
            return self._descriptor
        descriptor: int = super().fileno()
        return descriptor

    @override
    def close(self) -> None:
        """Close the connection, and the reactor's descriptor behind it."""
        super().close()
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    @override
    def cursorRunning(self, cursor: ShardCursor) -> None:
        """Remember whose answer is being read; the connection goes on being the reader."""
        self._cursors.add(cursor)
        self.running = cursor

    @override
    def cursorFinished(self, cursor: ShardCursor) -> None:
        """Let the next query run, unless the connection has ended: it is never free again."""
        self._cursors.discard(cursor)
        if self._lost is not None:
            self.running = None

    @override
    def checkForNotifies(self) -> None:
        """Take all notifications psycopg2 holds, in order, and hand them on in one call."""
        notifies = self._connection.notifies
        if notifies:
            self._connection.notifies = []
            self._received(notifies)

    @override
    def doRead(self) -> None:
        """Read what is there; an end of the connection is an event, not an error of the reactor's."""
        if self._established:
            self._advance()
        else:
            # Not txpostgres's own, which goes on reading even where the log-in has failed and there is no socket.
            super(txpostgres.Connection, self).doRead()

    @override
    def doWrite(self) -> None:
        """Go on sending a long query."""
        if self._established:
            self.reactor.removeWriter(self)
            self._advance()
        else:
            super().doWrite()

    @override
    def connectionLost(self, reason: Failure) -> None:
        """Take the reactor's word for it that the socket is gone."""
        if self._established:
            self._end(ConnectionLost(reason.getErrorMessage()))
        else:
            super().connectionLost(reason)

    def _connected(self, _: object) -> ShardConnection:
        self._established = True
        self.reactor.removeReader(self)
        self._descriptor = os.dup(super().fileno())
        self.reactor.addReader(self)
        return self

    def _advance(self) -> None:
        if self.running is not None:
            self.running.continuePolling()
        else:
            self._poll_idle()
        self._read_done()

    def _poll_idle(self) -> None:
        try:
            self._connection.poll()
        except psycopg2.Error as error:
            self._end(ConnectionLost(one_line(error)))
        else:
            self.checkForNotifies()

    def _end(self, reason: ConnectionLost) -> None:
        lost, self._lost = self._lost, None
        if lost is None:
            return
        self.close()
        if self.running is not None:
            self.running._finish(Failure(reason))
        lost(reason)


def _rows(cursor: ShardCursor) -> list[tuple[Any, ...]]:
    if cursor.description is None:
        return []
    rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows
