"""One work on one server, and what is read off the server meanwhile."""

from __future__ import annotations

import time
from dataclasses import dataclass

from benchmarks import processes
from benchmarks.servers import Postgres, Target, processor_times
from benchmarks.workers import BenchmarkFailed, Outcome, Workers
from benchmarks.works import SETUP, Work

REST = 0.05
"""Seconds without computing after which a server is at rest: five ticks of the clock in /proc."""
PATIENCE = 20.0
MICROSECONDS = 1e6


@dataclass(frozen=True, slots=True)
class Result:
    """Hold a measurement: `login` and `load`, the server's seconds of computing, bytes and backends."""

    work: Work
    login: Outcome
    load: Outcome
    cpu: float
    cpu_behind: float
    memory: int | None
    backends: int | None

    @property
    def logins_per_second(self) -> float:
        """Return how many clients a second logged in and listened."""
        return self.work.listeners / self.login.seconds

    @property
    def per_second(self) -> float:
        """Return deliveries a second."""
        return self.load.deliveries / self.load.seconds

    @property
    def cpu_per_delivery(self) -> float:
        """Return the server's microseconds of computing for each delivery."""
        return self.cpu / self.load.deliveries * MICROSECONDS

    @property
    def cpu_behind_per_delivery(self) -> float:
        """Return the same of the server behind it."""
        return self.cpu_behind / self.load.deliveries * MICROSECONDS

    def latency(self, quantile: float) -> float:
        """Return a quantile of the latencies, in microseconds."""
        latencies = sorted(self.load.latencies)
        return latencies[min(int(len(latencies) * quantile), len(latencies) - 1)] / 1000

    def as_json(self) -> dict[str, object]:
        """Return what can be compared with another run's."""
        described: dict[str, object] = {
            "listeners": self.work.listeners,
            "logins_per_second": self.logins_per_second,
            "expected": self.work.deliveries,
            "delivered": self.load.deliveries,
            "published": self.load.published,
            "seconds": self.load.seconds,
            "server_cpu_seconds": self.cpu,
            "generator_busy": self.load.busy,
            "memory_per_listener": self.memory,
            "backends": self.backends,
        }
        if self.load.latencies:
            described |= {"latencies": len(self.load.latencies), "p50": self.latency(0.5), "p99": self.latency(0.99)}
        return described


def measure(work: Work, target: Target, postgres: Postgres, workers: int) -> Result:
    """Do a work on a target; raises BenchmarkFailed unless everything arrives once and in order."""
    work = work.bearable(target.max_listeners, target.is_slow).on(target.name[0].lower())
    memory = _memory(work, target)
    try:
        with Workers(work, target.address, target.dialect, workers, target.tls) as crew:
            login = crew.connect()
            _wait_for_rest(target)
            grown = _memory(work, target) - memory
            backends = None if target.database is None else postgres.backends(target.database)
            before = processor_times(target)
            load = crew.run()
            after = processor_times(target)
    except BenchmarkFailed as failure:
        raise BenchmarkFailed(f"{target.name}, {work.name}: {failure}") from None
    if (load.deliveries, load.published) != (work.deliveries, work.published):
        raise BenchmarkFailed(f"{target.name}, {work.name}: {load.deliveries} deliveries of {work.deliveries}")
    _wait_for_rest(target)
    return Result(
        work,
        login,
        load,
        after[0] - before[0],
        after[1] - before[1],
        grown // work.listeners if work.name.startswith(SETUP) else None,
        backends,
    )


def _memory(work: Work, target: Target) -> int:
    """Return the target's memory where the work is to be about it: to find it out takes a while."""
    return processes.memory(target.pid) if work.name.startswith(SETUP) else 0


def _wait_for_rest(target: Target) -> None:
    """Wait until a server has got over what its clients did last."""
    deadline = time.monotonic() + PATIENCE
    before = None
    while (now := processor_times(target)) != before and time.monotonic() < deadline:
        before = now
        time.sleep(REST)
