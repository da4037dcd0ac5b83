"""What waits to be sent to one shard, and how it is gathered into one query string.

While one query runs, commands gather; what has gathered is the next query (group commit: each transaction that
notifies takes a cluster-wide lock at its commit, so a hundred in one cost little more than one). The order of the
commands is kept. Three rules decide where a transaction ends and the next begins:

* PostgreSQL drops a notification that repeats one of the same transaction, so a repeat begins a new transaction;
* what one client sent in one transaction stays in one;
* LISTEN, UNLISTEN and NOTIFY do not share a transaction: a NOTIFY would otherwise reach a LISTEN that came after it.

PostgreSQL reads its queue of notifications at the end of the whole string, so a LISTEN does not even share that with
an earlier NOTIFY to its channel.

A string of several transactions stops at the first error, and psycopg2 shows the last result only. So each of them
sets `twistnotify.seq`, which is transactional: after ROLLBACK it names the last transaction that committed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from twistnotify.sql.quoting import notify_statement, quote_identifier, quote_literal
from twistnotify.wire.errors import ErrorFields

MAX_BATCH_ANSWER = 8000
"""Bytes of PostgreSQL's answer to one query string, notifications apart. It sends an answer of less than 8,192 bytes
in one piece, at the end. A longer one arrives in pieces, and psycopg2 waits for the rest of it without letting the
reactor run: all clients would wait for a commit that waits for a lock."""
STATEMENT_ANSWER = 14
"""The most that one of our statements contributes to it."""
TRANSACTION_ANSWER = 3 * STATEMENT_ANSWER
"""BEGIN, SET and COMMIT."""
MAX_BATCH_BYTES = 4 * 1024 * 1024
"""Payload bytes in one query string: what libpq, PostgreSQL and the process hold at a time."""
MAX_SEPARATE_STATEMENTS = 200
"""NOTIFY statements for one client's transaction; a larger one becomes one SELECT, with one answer."""
MAX_UNIT_ANSWER = STATEMENT_ANSWER * MAX_SEPARATE_STATEMENTS + TRANSACTION_ANSWER
"""The most that one unit contributes to an answer."""
MAX_LISTENS = (MAX_BATCH_ANSWER - TRANSACTION_ANSWER) // STATEMENT_ANSWER
"""LISTENs in one query string on a new connection."""
MAX_QUEUE_BYTES = 64 * 1024 * 1024
"""Payload bytes that wait for one shard before clients that send more are made to wait."""

SEQUENCE_SETTING = "twistnotify.seq"
ROUND_TRIP = "SELECT 1"
"""What goes out for units that notify nothing: PostgreSQL sends what it has for us before it answers."""


@dataclass(slots=True, eq=False)
class Unit:
    """What one client's transaction notifies on one shard: pairs of channel and payload, in order, no pair twice.

    One without any is a probe: its answer comes behind all that PostgreSQL had committed when it went out.
    One that is `alone` shares its query string with nothing: something in one that it was in has been refused.
    `done`, where given, is called once: with None after the commit, else with the error.
    """

    notifications: tuple[tuple[str, str], ...]
    pid: int
    done: Callable[[ErrorFields | None], None] | None = None
    sequence: int = 0
    size: int = 0
    alone: bool = False

    def finish(self, error: ErrorFields | None) -> None:
        """Tell the sender, if it waits."""
        if self.done is not None:
            self.done(error)


@dataclass(slots=True, eq=False)
class Listen:
    """Make the shard connection LISTEN."""

    channel: str


@dataclass(slots=True, eq=False)
class Unlisten:
    """Make the shard connection UNLISTEN."""

    channel: str


@dataclass(slots=True, eq=False)
class Barrier:
    """Call `passed` when everything queued before has been answered, and before anything queued after is sent."""

    passed: Callable[[], None]


Command = Unit | Listen | Unlisten | Barrier


@dataclass(slots=True)
class Transaction:
    """Commands that commit together: units, or LISTENs, or UNLISTENs."""

    commands: list[Unit] | list[Listen] | list[Unlisten]
    statements: list[str] = field(default_factory=list)

    def units(self) -> Iterator[Unit]:
        """Iterate over the units among the commands."""
        return (command for command in self.commands if isinstance(command, Unit))


@dataclass(slots=True)
class Batch:
    """Transactions that go out in one query string, numbered from `first`."""

    transactions: list[Transaction]
    first: int

    def sql(self) -> str:
        """Return the query string: one implicit transaction, or several explicit ones."""
        if len(self.transactions) == 1:
            return ";".join(self.transactions[0].statements) or ROUND_TRIP
        return "".join(
            f"BEGIN;SET {SEQUENCE_SETTING}={number};{';'.join(transaction.statements)};COMMIT;"
            for number, transaction in enumerate(self.transactions, self.first)
        )

    def units(self) -> Iterator[Unit]:
        """Iterate over all units, in order."""
        return (unit for transaction in self.transactions for unit in transaction.units())

    def last_sequence(self) -> int:
        """Return the highest number of a unit, or 0."""
        return max((unit.sequence for unit in self.units()), default=0)


class CommandQueue:
    """Commands in the order in which clients sent them.

    Only units count for the limits: LISTEN and UNLISTEN are bounded by the channels, and must never wait for room.
    `full` tells that a client which sends another NOTIFY has to wait. A queue that was full stays so until half of it
    is gone: clients then go on with all that they have sent meanwhile, and not with one NOTIFY each.
    """

    def __init__(self, max_units: int, max_bytes: int = MAX_QUEUE_BYTES) -> None:
        self._commands: deque[Command] = deque()
        self._max_units = max_units
        self._max_bytes = max_bytes
        self._sequence = 1
        self.full = False
        self.units = 0
        self.bytes = 0

    def __bool__(self) -> bool:
        return bool(self._commands)

    def __len__(self) -> int:
        return len(self._commands)

    @property
    def waiting_probe(self) -> Unit | None:
        """The last command, if it is a probe."""
        last = self._commands[-1] if self._commands else None
        return last if isinstance(last, Unit) and not last.notifications else None

    def append(self, command: Listen | Unlisten | Barrier) -> None:
        """Add a command at the end."""
        self._commands.append(command)

    def append_unit(self, unit: Unit) -> None:
        """Add a unit at the end."""
        self.units += 1
        self.bytes += unit.size
        if self.units >= self._max_units or self.bytes >= self._max_bytes:
            self.full = True
        self._commands.append(unit)

    def put_back(self, commands: Iterable[Command]) -> None:
        """Put commands that were not carried out back at the front, in their order."""
        for command in reversed(list(commands)):
            if isinstance(command, Unit):
                self.units += 1
                self.bytes += command.size
            self._commands.appendleft(command)

    def drop_listens(self) -> None:
        """Forget LISTEN and UNLISTEN: after a reconnect the hub says what to LISTEN to."""
        self._commands = deque(command for command in self._commands if not isinstance(command, Listen | Unlisten))

    def take_barriers(self) -> list[Barrier]:
        """Take out the barriers that stand at the front."""
        barriers = []
        while self._commands and isinstance(barrier := self._commands[0], Barrier):
            barriers.append(barrier)
            self._commands.popleft()
        return barriers

    def take(self) -> Batch | None:
        """Take the next batch out, up to the next barrier; None where nothing waits."""
        gathering = _Gathering()
        while self._commands and gathering.has_room():
            command = self._commands[0]
            if isinstance(command, Unit):
                if command.alone and gathering.transactions:
                    break
                gathering.add_unit(command)
                self.units -= 1
                self.bytes -= command.size
                if command.alone:
                    self._commands.popleft()
                    break
            elif isinstance(command, Barrier) or (isinstance(command, Listen) and gathering.notifies(command.channel)):
                break
            else:
                gathering.add_listen(command)
            self._commands.popleft()
        if self.units <= self._max_units // 2 and self.bytes <= self._max_bytes // 2:
            self.full = False
        return self._numbered(gathering.transactions)

    def _numbered(self, transactions: list[Transaction]) -> Batch | None:
        if not transactions:
            return None
        batch = Batch(transactions, self._sequence)
        self._sequence += len(transactions)
        return batch


class _Gathering:
    """A batch in the making."""

    def __init__(self) -> None:
        self.transactions: list[Transaction] = []
        self._seen: set[tuple[str, str]] = set()
        self._open: list[Unit] | None = None
        self._statements: list[str] = []
        self._notified: set[str] | None = None
        self._answer = self._bytes = 0

    def has_room(self) -> bool:
        return self._answer < MAX_BATCH_ANSWER - MAX_UNIT_ANSWER and self._bytes < MAX_BATCH_BYTES

    def add_unit(self, unit: Unit) -> None:
        notifications = unit.notifications
        if self._open is None or not self._seen.isdisjoint(notifications):
            self._begin()
        assert self._open is not None
        self._open.append(unit)
        self._seen.update(notifications)
        if len(notifications) > MAX_SEPARATE_STATEMENTS:
            self._statements.append(_notify_all(notifications))
            self._answer += MAX_UNIT_ANSWER
        else:
            for channel, payload in notifications:
                self._statements.append(notify_statement(channel, payload))
            self._answer += STATEMENT_ANSWER * len(notifications)
        self._bytes += unit.size
        self._notified = None

    def notifies(self, channel: str) -> bool:
        """Tell whether a unit so far names this channel."""
        if self._notified is None:
            units = (unit for transaction in self.transactions for unit in transaction.units())
            self._notified = {name for unit in units for name, _ in unit.notifications}
        return channel in self._notified

    def add_listen(self, command: Listen | Unlisten) -> None:
        """Add a LISTEN or UNLISTEN to a transaction of its own kind."""
        last = self.transactions[-1] if self.transactions else None
        if last is None or type(last.commands[0]) is not type(command):
            last = Transaction([])
            self.transactions.append(last)
            self._answer += TRANSACTION_ANSWER
        last.commands.append(command)  # type: ignore[arg-type]
        word = "LISTEN" if isinstance(command, Listen) else "UNLISTEN"
        last.statements.append(f"{word} {quote_identifier(command.channel)}")
        self._open = None
        self._answer += STATEMENT_ANSWER

    def _begin(self) -> None:
        transaction = Transaction([])
        self.transactions.append(transaction)
        self._open = transaction.commands  # type: ignore[assignment]
        self._statements = transaction.statements
        self._seen.clear()
        self._answer += TRANSACTION_ANSWER


def _notify_all(notifications: tuple[tuple[str, str], ...]) -> str:
    """Return one statement for many notifications; a VALUES list is evaluated in its order."""
    rows = ",".join(f"({quote_literal(channel)},{quote_literal(payload)})" for channel, payload in notifications)
    return f"SELECT count(pg_notify(c,p)) FROM (VALUES {rows}) AS n(c,p)"
