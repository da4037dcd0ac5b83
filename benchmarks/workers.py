"""The worker processes: each has a share of a work's listeners and publishers."""

from __future__ import annotations

import gc
import multiprocessing
import resource
import select
import signal
import socket
import time
from array import array
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Self

from benchmarks.connect import Address, Silence, connect, listener_steps, publisher_steps
from benchmarks.dialects import Dialect, Refused
from benchmarks.load import Listener, PacedPublisher, Publisher, TimedListener, listen_for_more, run
from benchmarks.tape import Tape, WrongDelivery
from benchmarks.works import Work

NANOSECONDS = 1e9


class BenchmarkFailed(Exception):
    """A server did not do what it should, or a worker ended."""


@dataclass(frozen=True, slots=True)
class Share:
    """Say which part of a work a worker does: every `count`-th, beginning with `index`."""

    work: Work
    address: Address
    dialect: Dialect
    index: int
    count: int
    tls: bool = False


@dataclass(slots=True)
class Outcome:
    """Hold what was measured: times in nanoseconds of the monotonic clock, `cpu` in seconds."""

    start: int
    end: int
    cpu: float = 0.0
    deliveries: int = 0
    published: int = 0
    latencies: array[int] = field(default_factory=lambda: array("q"))

    @property
    def seconds(self) -> float:
        """Return how long it took."""
        return (self.end - self.start) / NANOSECONDS

    @property
    def busy(self) -> float:
        """Return the generator's share of a core; 1 where it was the limit."""
        return self.cpu / self.seconds if self.seconds else 0.0


class Workers:
    """Do one work on one server: `connect`, then `run`; the connections last until the end of the `with`."""

    def __init__(self, work: Work, address: Address, dialect: Dialect, count: int, tls: bool = False) -> None:
        context = multiprocessing.get_context("fork")
        self._pipes: list[Connection] = []
        self._processes = []
        for index in range(count):
            ours, theirs = context.Pipe()
            share = Share(work, address, dialect, index, count, tls)
            self._pipes.append(ours)
            process = context.Process(target=_worker, args=(share, theirs, self._pipes), daemon=True)
            process.start()
            theirs.close()
            self._processes.append(process)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for pipe in self._pipes:
            pipe.close()
        for process in self._processes:
            process.join(5)
            if process.is_alive():
                process.kill()
                process.join()

    def connect(self) -> Outcome:
        """Log everyone in; return how long the listeners took."""
        return self._all("connect")

    def run(self) -> Outcome:
        """Do the work."""
        return self._all("run")

    def _all(self, order: str) -> Outcome:
        for pipe in self._pipes:
            pipe.send(order)
        return _joined([_answer(pipe) for pipe in self._pipes])


def _answer(pipe: Connection) -> Outcome:
    try:
        answer = pipe.recv()
    except EOFError:
        raise BenchmarkFailed("a worker process ended") from None
    if isinstance(answer, Outcome):
        return answer
    raise BenchmarkFailed(answer)


def _joined(outcomes: list[Outcome]) -> Outcome:
    """Return one outcome of several; the processor time is that of the busiest, since each has a core."""
    latencies = array("q")
    for outcome in outcomes:
        latencies.extend(outcome.latencies)
    return Outcome(
        start=min(outcome.start for outcome in outcomes),
        end=max(outcome.end for outcome in outcomes),
        cpu=max(outcome.cpu for outcome in outcomes),
        deliveries=sum(outcome.deliveries for outcome in outcomes),
        published=sum(outcome.published for outcome in outcomes),
        latencies=latencies,
    )


def _worker(share: Share, pipe: Connection, inherited: list[Connection]) -> None:
    """Be a worker process: do what is ordered, and answer; ends with the pipe.

    The other ends of pipes, inherited by the fork, would keep it from ever ending.
    """
    for each in inherited:
        each.close()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.disable()
    worker = Worker(share)
    while True:
        try:
            order = pipe.recv()
        except EOFError:
            return
        try:
            pipe.send(worker.connect() if order == "connect" else worker.run())
        except (WrongDelivery, Refused, Silence, OSError) as error:
            pipe.send(f"{type(error).__name__}: {error}")


class Worker:
    """One process's share of a work."""

    def __init__(self, share: Share) -> None:
        self._share = share
        self._poll = select.epoll()
        self._listeners: list[Listener] = []
        self._publishers: list[Publisher] = []
        self._latencies = array("q")

    def connect(self) -> Outcome:
        """Log in everyone; time the listeners."""
        share = self._share
        work = share.work
        indexes = range(share.index, work.listeners, share.count)
        channels = [index % work.channels for index in indexes]
        outcome = _clock()
        steps = [listener_steps(share.dialect, work.channel(each)) for each in channels]
        sockets = connect(share.address, steps, share.tls)
        _stop(outcome)
        tapes = [self._tape(channel) for channel in range(work.channels)]
        for connection, channel in zip(sockets, channels, strict=True):
            self._listeners.append(self._listener(connection, tapes[channel]))
        indexes = range(share.index, work.publishers, share.count)
        sockets = connect(share.address, [publisher_steps(share.dialect) for _ in indexes], share.tls)
        for connection, index in zip(sockets, indexes, strict=True):
            self._publishers.append(self._publisher(connection, index))
        for party in (*self._listeners, *self._publishers):
            self._poll.register(party.socket, select.EPOLLIN)
        return outcome

    def run(self) -> Outcome:
        """Do the work, and wait whether more comes than should."""
        gc.freeze()
        outcome = _clock()
        run(self._listeners, self._publishers, self._poll)
        _stop(outcome)
        listen_for_more(self._poll)
        outcome.deliveries = sum(listener.tape.messages for listener in self._listeners)
        outcome.published = sum(publisher.answered for publisher in self._publishers)
        outcome.latencies = self._latencies
        return outcome

    def _tape(self, channel: int) -> Tape:
        work = self._share.work
        name = work.channel(channel)
        return Tape(name, self._share.dialect.envelope(name), work.messages_of(channel), timed=work.rate > 0)

    def _listener(self, connection: socket.socket, tape: Tape) -> Listener:
        if self._share.work.rate:
            return TimedListener(connection, self._share.dialect, tape, self._latencies)
        return Listener(connection, self._share.dialect, tape)

    def _publisher(self, connection: socket.socket, index: int) -> Publisher:
        kind = PacedPublisher if self._share.work.rate else Publisher
        return kind(connection, self._share.dialect, self._share.work, index, self._poll)


def _clock() -> Outcome:
    """Return an outcome that begins now."""
    now = time.monotonic_ns()
    return Outcome(now, now, -_processor_time())


def _stop(outcome: Outcome) -> None:
    outcome.end = time.monotonic_ns()
    outcome.cpu += _processor_time()


def _processor_time() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime
