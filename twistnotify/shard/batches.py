"""Sending what waits: one query string at a time, settled by PostgreSQL's answer.

A unit (what one client's transaction notifies) is sent at most once: one whose transaction may have reached
PostgreSQL when the connection was lost is given up, and its sender is told if it waits. One that PostgreSQL has
certainly not committed is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import psycopg2
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from twistnotify.metrics.counters import ShardCounters
from twistnotify.shard.commands import (
    SEQUENCE_SETTING,
    Batch,
    Command,
    CommandQueue,
    Listen,
    Transaction,
    Unit,
    Unlisten,
)
from twistnotify.shard.connection import ConnectionLost, error_fields
from twistnotify.shard.fence import Fence
from twistnotify.shard.link import Link
from twistnotify.shard.senders import Senders
from twistnotify.wire.errors import ErrorFields

DATA_EXCEPTION = "22"
"""The class of SQLSTATEs that say that a unit is wrong in itself: the same would happen again."""

UNCERTAIN = ErrorFields(
    "ERROR",
    "08007",
    "connection to the shard was lost while the notifications were being committed",
    "They may or may not have been delivered.",
)


class BatchSender:
    """Send the commands of a queue over one connection after the other.

    `behind(f)` calls `f` when all notifications that have arrived so far are with the clients: what an answer settles
    is settled there, while the next query is already running. `settled` is called after every answer, and when there
    will be none; `refused` when PostgreSQL would not carry out a transaction and it was not the transaction's own
    fault: the caller calls `send` when it is time to try again.
    """

    log = Logger()

    def __init__(
        self,
        link: Link,
        queue: CommandQueue,
        fence: Fence,
        counters: ShardCounters,
        behind: Callable[[Callable[[], None]], None],
        settled: Callable[[], None],
        refused: Callable[[ErrorFields], None],
    ) -> None:
        self.queue = queue
        self.senders = Senders()
        self.confirmed: set[str] = set()
        self._link = link
        self._fence = fence
        self._counters = counters
        self._behind = behind
        self._settled = settled
        self._refused = refused
        self._listened: set[str] = set()
        self._recovering = False
        self._confirmations: dict[str, list[Callable[[ErrorFields | None], None]]] = {}

    def begin(self, channels: set[str]) -> None:
        """Go on with a new connection that LISTENs to these channels."""
        self._listened = set(channels)
        self.confirmed = channels
        for channel in channels & self._confirmations.keys():
            self._confirm(channel, None)

    def end(self) -> None:
        """Do without a connection; LISTENs that wait are the next connection's first business."""
        self.confirmed = set()
        self._listened = set()
        self.senders.clear()
        self.queue.drop_listens()

    @property
    def listened_count(self) -> int:
        """The number of channels that the connection listens to, when it has answered."""
        return len(self._listened)

    def when_confirmed(self, channel: str, told: Callable[[ErrorFields | None], None]) -> None:
        """Call back once PostgreSQL has confirmed the LISTEN, or refused it; not at all where it is unlistened."""
        if channel in self.confirmed:
            told(None)
        else:
            self._confirmations.setdefault(channel, []).append(told)

    def send(self) -> None:
        """Send what waits, unless a query is running or there is no connection."""
        if not self._link.free or self._recovering:
            return
        for barrier in self.queue.take_barriers():
            self._behind(barrier.passed)
        batch = self.queue.take()
        if batch is None:
            return
        self._expect(batch)
        answer = self._link.query(batch.sql())
        answer.addCallbacks(lambda _: self._answered(batch), lambda failure: self._failed(batch, failure.value))
        answer.addErrback(lambda failure: self.log.failure("settling a batch failed", failure))

    def _expect(self, batch: Batch) -> None:
        listened = self._listened
        for transaction in batch.transactions:
            for command in transaction.commands:
                if isinstance(command, Unit):
                    self.senders.expect(command.notifications, command.pid, listened)
                elif isinstance(command, Listen):
                    listened.add(command.channel)
                else:
                    listened.discard(command.channel)

    def _unexpect(self, transactions: list[Transaction]) -> None:
        for transaction in transactions:
            for command in transaction.commands:
                if isinstance(command, Listen):
                    self._listened.discard(command.channel)
                elif isinstance(command, Unlisten):
                    self._listened.add(command.channel)

    def _answered(self, batch: Batch) -> None:
        self.senders.clear()
        self._behind(lambda: self._settle(batch))
        self.send()

    def _settle(self, batch: Batch) -> None:
        """Tell everybody concerned that a batch has been committed."""
        for transaction in batch.transactions:
            self._committed(transaction)
        self._fence.answer(batch.last_sequence())
        self._settled()

    def _failed(self, batch: Batch, error: BaseException) -> Deferred[None] | None:
        if isinstance(error, psycopg2.Error):
            return Deferred.fromCoroutine(self._refused_by_server(batch, error_fields(error)))
        if not isinstance(error, ConnectionLost):
            raise error
        self._lost(batch)
        return None

    def _lost(self, batch: Batch) -> None:
        units = list(batch.units())
        self._counters.uncertain += len(units)
        self._behind(lambda: self._give_up(units, UNCERTAIN, batch.last_sequence()))
        self._behind(self._settled)

    def _give_up(self, units: list[Unit], error: ErrorFields, answered: int) -> None:
        """Tell the senders of units that are not sent again."""
        for unit in units:
            unit.finish(error)
        self._fence.answer(answered)

    async def _refused_by_server(self, batch: Batch, error: ErrorFields) -> None:
        """Find out how far the query came, drop or keep what failed, and keep what was never tried."""
        self._recovering = True
        try:
            committed = await self._count_committed(batch)
        except (psycopg2.Error, ConnectionLost):
            self._lost(batch)
            return
        finally:
            self._recovering = False
        failed, *untried = batch.transactions[committed:]
        self._unexpect([failed, *untried])
        self.senders.clear()
        units = list(batch.units())
        bad_data = error.sqlstate.startswith(DATA_EXCEPTION) and bool(units)
        if committed or bad_data:
            self._behind(lambda: self._settle(Batch(batch.transactions[:committed], batch.first)))
        if bad_data and not committed and len(batch.transactions) > 1:
            # The string may have been refused as a whole, before any of it ran: any unit can be the cause.
            kept = _separated(units, failed.commands)
        else:
            kept = self._kept(failed, error)
        self.queue.put_back([*kept, *(command for each in untried for command in each.commands)])
        if bad_data:
            self.send()
        else:
            self._refused(error)

    async def _count_committed(self, batch: Batch) -> int:
        if len(batch.transactions) == 1:
            return 0
        ((last,),) = await self._link.query(f"ROLLBACK;SHOW {SEQUENCE_SETTING}")
        return max(0, int(last) - batch.first + 1)

    def _kept(self, failed: Transaction, error: ErrorFields) -> Sequence[Command]:
        """Return what to try again of a transaction that PostgreSQL rolled back."""
        units = list(failed.units())
        if not units:
            for command in failed.commands:
                if isinstance(command, Listen):
                    self._confirm(command.channel, error)
            return failed.commands
        if not error.sqlstate.startswith(DATA_EXCEPTION):
            return self._without_waiting(units, error)
        if len(units) > 1:
            return _separated(units, units)
        self.log.warn("notifications of client {pid} refused: {sqlstate}", sqlstate=error.sqlstate, pid=units[0].pid)
        self._refuse(units[0], error, units[0].sequence)
        return []

    def _without_waiting(self, units: list[Unit], error: ErrorFields) -> list[Unit]:
        """Return the units whose senders do not wait; the others are told of the error instead."""
        kept: list[Unit] = []
        for unit in units:
            if unit.done is None:
                kept.append(unit)
            elif kept:
                # Answers come in the order of the numbers: this one's comes with that of the unit before it.
                kept[-1].sequence = unit.sequence
                self._refuse(unit, error, 0)
            else:
                self._refuse(unit, error, unit.sequence)
        return kept

    def _refuse(self, unit: Unit, error: ErrorFields, answered: int) -> None:
        self._counters.refused += 1
        self._behind(lambda: self._give_up([unit], error, answered))

    def _committed(self, transaction: Transaction) -> None:
        for command in transaction.commands:
            if isinstance(command, Unit):
                self._counters.notified += 1
                command.finish(None)
            elif isinstance(command, Listen):
                self.confirmed.add(command.channel)
                self._confirm(command.channel, None)
            else:
                self.confirmed.discard(command.channel)

    def _confirm(self, channel: str, error: ErrorFields | None) -> None:
        for told in self._confirmations.pop(channel, ()):
            told(error)


def _separated(units: Iterable[Unit], commands: Sequence[Command]) -> Sequence[Command]:
    """Return commands to try again, of which each of these units goes out by itself."""
    for unit in units:
        unit.alone = True
    return commands
