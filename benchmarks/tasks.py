"""What is done on each way to PostgreSQL: pgbench, single queries, and large results."""

from __future__ import annotations

import re
import socket
import statistics
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from benchmarks.connect import SILENCE, Address
from benchmarks.dialects import PostgresDialect
from benchmarks.ways import Way
from benchmarks.workers import BenchmarkFailed
from twistnotify.wire.session_status import ReadyForQuery
from twistnotify.wire.simple_query import Query

BUFFER_SIZE = 262_144
WARM_UP = 100
"""Queries that are not measured."""
CHANNEL = "benchmark"
ERROR = ord("E")
READY = ReadyForQuery("I").encode()
POINT_QUERY = "SELECT abalance FROM pgbench_accounts WHERE aid = 1"
MEGABYTE = 1e6
NANOSECONDS_A_MICROSECOND = 1000
_TRANSACTIONS = re.compile(r"^number of transactions actually processed: (\d+)", re.MULTILINE)
_RATE = re.compile(r"^tps = ([\d.]+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Outcome:
    """Hold a figure, and what it was of: transactions, queries, megabytes or log-ins.

    `busy` is the share of a core that the load itself took, None where that is not known.
    """

    figure: float
    operations: float
    busy: float | None = None


class Task(Protocol):
    """Something that is done on each way in turn; `name` is unique."""

    @property
    def name(self) -> str:
        """Return what it is called."""
        ...

    def do(self, way: Way) -> Outcome:
        """Do it once; raises BenchmarkFailed."""
        ...


@dataclass(frozen=True, slots=True)
class Pgbench:
    """Run pgbench's SELECTs by key: the figure is transactions a second, connecting left out."""

    name: str
    program: Path
    protocol: str
    clients: int
    seconds: int

    def do(self, way: Way) -> Outcome:
        """Run it; raises BenchmarkFailed where a client ended early."""
        host, port = way.address
        where = ["-h", host, "-p", str(port), "-U", way.user, way.database]
        what = ["-n", "-S", "-M", self.protocol, "-c", str(self.clients), "-T", str(self.seconds)]
        run = subprocess.run([self.program, *what, *where], capture_output=True, text=True)
        if run.returncode:
            raise BenchmarkFailed(f"{way.name}, {self.name}: {run.stderr.strip()}")
        return read_pgbench(run.stdout)


def read_pgbench(text: str) -> Outcome:
    """Return what pgbench has printed as figures; raises BenchmarkFailed where they are not there."""
    transactions, rate = _TRANSACTIONS.search(text), _RATE.search(text)
    if transactions is None or rate is None or not int(transactions[1]):
        raise BenchmarkFailed(f"pgbench has measured nothing: {text!r}")
    return Outcome(float(rate[1]), float(transactions[1]))


def make_tables(program: Path, way: Way, scale: int) -> None:
    """Make pgbench's tables."""
    host, port = way.address
    where = ["-h", host, "-p", str(port), "-U", way.user, way.database]
    run = subprocess.run([program, "-i", "-q", "-s", str(scale), *where], capture_output=True, text=True)
    if run.returncode:
        raise BenchmarkFailed(f"pgbench made no tables: {run.stderr.strip()}")


@dataclass(frozen=True, slots=True)
class SingleQueries:
    """Have one client ask again and again, perhaps one that listens: the figure is the median in microseconds."""

    name: str
    queries: int
    listens: bool

    def do(self, way: Way) -> Outcome:
        """Ask; the first answers do not count."""
        with _session(way) as session:
            if self.listens:
                session.ask(f"LISTEN {CHANNEL}")
            times = [session.ask(POINT_QUERY) for _ in range(WARM_UP + self.queries)]
        return Outcome(statistics.median(times[WARM_UP:]) / NANOSECONDS_A_MICROSECOND, len(times))


@dataclass(frozen=True, slots=True)
class LargeResult:
    """Read a large result: the figure is megabytes a second."""

    name: str
    sql: str

    def do(self, way: Way) -> Outcome:
        """Read all of it."""
        with _session(way) as session:
            session.ask("SELECT 1")
            nanoseconds = session.ask(self.sql)
            megabytes = session.received / MEGABYTE
        return Outcome(megabytes / nanoseconds * 1e9, megabytes)


class Session:
    """A client that waits for each answer; `received` is how long the last one was, in bytes."""

    def __init__(self, connection: socket.socket, dialect: PostgresDialect) -> None:
        self.received = 0
        self._socket = connection
        self._dialect = dialect
        self._buffer = memoryview(bytearray(BUFFER_SIZE))

    def greet(self) -> None:
        """Log in; raises Refused."""
        self._socket.sendall(self._dialect.greeting)
        heard = b""
        while not self._dialect.is_greeted(heard):
            heard += self._socket.recv(BUFFER_SIZE)

    def ask(self, sql: str) -> int:
        """Send a query and wait for the end of its answer; return the nanoseconds; raises BenchmarkFailed."""
        start = time.perf_counter_ns()
        self._socket.sendall(Query(sql.encode()).encode())
        self.received = 0
        end = b""
        while end != READY:
            end = self._read(end)
        return time.perf_counter_ns() - start

    def _read(self, end: bytes) -> bytes:
        """Return the last bytes of what has come so far."""
        size = self._socket.recv_into(self._buffer)
        if not size:
            raise BenchmarkFailed("a server hung up")
        if not self.received and self._buffer[0] == ERROR:
            raise BenchmarkFailed(self._dialect.explain(bytes(self._buffer[:size])))
        self.received += size
        return (end + bytes(self._buffer[max(0, size - len(READY)) : size]))[-len(READY) :]


@contextmanager
def _session(way: Way) -> Iterator[Session]:
    with _connected(way.address) as connection:
        session = Session(connection, PostgresDialect(way.database, way.user))
        session.greet()
        yield session


def _connected(address: Address) -> socket.socket:
    connection = socket.create_connection(address, SILENCE)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection
