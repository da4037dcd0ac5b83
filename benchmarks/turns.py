"""One turn of a task on one way, and what the processes computed meanwhile."""

from __future__ import annotations

import time

from benchmarks import processes
from benchmarks.comparison import Sample
from benchmarks.tasks import Task
from benchmarks.ways import Way

PAUSE = 0.1
"""Seconds without computing after which processes are at rest: ten ticks of the clock in /proc."""
PATIENCE = 10.0
MICROSECONDS = 1e6

Times = tuple[float | None, float | None]


def measured(task: Task, way: Way) -> Sample:
    """Do a task once; what it leaves behind, such as backends that end, counts as its own."""
    before = _at_rest(way)
    outcome = task.do(way)
    after = _at_rest(way)
    between, behind = (
        None if start is None or end is None else (end - start) / outcome.operations * MICROSECONDS
        for start, end in zip(before, after, strict=True)
    )
    return Sample(outcome.figure, between, behind, outcome.operations, outcome.busy)


def _at_rest(way: Way) -> Times:
    deadline = time.monotonic() + PATIENCE
    before: Times | None = None
    while (now := _times(way)) != before and time.monotonic() < deadline:
        before = now
        time.sleep(PAUSE)
    return now


def _times(way: Way) -> Times:
    """Return the seconds that the process in between has computed, and PostgreSQL."""
    between, behind = (None if pid is None else processes.processor_time(pid) for pid in (way.pid, way.behind))
    return between, behind
