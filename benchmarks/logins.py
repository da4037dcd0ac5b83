"""Measure log-ins: `python -m benchmarks.logins [--quick] [--workers N] [--rounds N] [--json FILE]`.

The same users log in to PostgreSQL itself, to PgBouncer (where it is installed) and to twistnotify: without a proof and
by SCRAM-SHA-256, without TLS and with it. All take turns, so that they meet the same machine.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Sequence
from multiprocessing.pool import Pool
from pathlib import Path

import psycopg2

from benchmarks import machine
from benchmarks.certificate import make_certificate
from benchmarks.command import parser, run
from benchmarks.comparison import BETWEEN, Row, Sample, Samples, as_json, table
from benchmarks.crowd import Crowd, LogIns, generator
from benchmarks.login_ways import CASES, Case, Origin, login_origin, login_ways
from benchmarks.turns import measured
from benchmarks.ways import DIRECT, OURS, POOLER
from benchmarks.workers import BenchmarkFailed

ROUNDS = 5
CLIENTS = (8, 64)
SECONDS = 2.0
QUICK_SECONDS = 0.1
NOWHERE = ("", 0)
"""The address of a crowd that has not been told where to go."""

Versions = dict[str, str]


def main() -> int:
    """Run; return the exit status."""
    options = _options()
    about = machine.about(options.workers)

    def measure(folder: Path) -> tuple[str, object]:
        samples, versions = _measure(folder, options)
        return f"{about}\n\n{login_table(samples, versions)}", as_json(samples)

    return run(measure, options.json, (BenchmarkFailed, OSError, psycopg2.Error))


def _options() -> argparse.Namespace:
    options = parser("benchmarks.logins", "Measure log-ins.")
    options.add_argument(
        "--workers", type=int, default=machine.default_workers(), help="processes of the load generator"
    )
    options.add_argument("--rounds", type=int, default=ROUNDS)
    return options.parse_args()


def _measure(folder: Path, options: argparse.Namespace) -> tuple[Samples, Versions]:
    """Do every case, one after the other."""
    samples: dict[tuple[str, str], list[Sample]] = defaultdict(list)
    versions: Versions = {}
    with generator(options.workers) as pool, login_origin(folder, make_certificate()) as origin:
        for case in CASES:
            sys.stderr.write(f"{case.name}\n")
            versions |= _take_turns(folder / case.name, origin, case, log_ins(case, pool, options), options, samples)
    return dict(samples), versions


def log_ins(case: Case, pool: Pool, options: argparse.Namespace) -> list[LogIns]:
    """Return what is to be done for a case."""
    seconds = QUICK_SECONDS if options.quick else SECONDS
    return [
        LogIns(
            task_name(case, clients), Crowd(NOWHERE, case.account, case.tls, clients, seconds), pool, options.workers
        )
        for clients in CLIENTS
    ]


def task_name(case: Case, clients: int) -> str:
    """Return the name of a task."""
    return f"{case.name}_{clients}"


def _take_turns(
    folder: Path,
    origin: Origin,
    case: Case,
    tasks: Sequence[LogIns],
    options: argparse.Namespace,
    samples: dict[tuple[str, str], list[Sample]],
) -> Versions:
    with login_ways(folder, origin, case) as ways:
        for task in tasks:
            for _ in range(1 if options.quick else options.rounds):
                for way in ways:
                    samples[task.name, way.name].append(measured(task, way))
        return {way.name: way.version for way in ways}


def login_table(samples: Samples, versions: Versions) -> str:
    """Return the table and how to read it."""
    columns = [(name, versions[name]) for name in (DIRECT, POOLER, OURS) if name in versions]
    more = [
        Row(task_name(case, clients), f"{case.label}, {clients} clients, log-ins/s")
        for case in CASES
        for clients in CLIENTS
    ]
    less = [Row(task_name(case, CLIENTS[-1]), f"{case.label}, CPU a log-in, us", BETWEEN) for case in CASES]
    return table(samples, columns, more, less, _notes(samples, versions))


def _notes(samples: Samples, versions: Versions) -> list[str]:
    rounds = len(samples[task_name(CASES[0], CLIENTS[0]), OURS])
    notes = [
        f"Medians of {rounds} rounds, in which all took turns. The last columns are twistnotify / the other, each round"
        " compared by itself.",
        "Each log-in is a new connection, up to ReadyForQuery. CPU is user and system time of the server, PostgreSQL's"
        " backends included, with the most clients.",
        "SCRAM by password: auth_file has the password itself, in the other cases what PostgreSQL keeps of it.",
    ]
    if all((task_name(case, CLIENTS[0]), DIRECT) not in samples for case in CASES if case.tls):
        notes.append("PostgreSQL has no TLS here.")
    if POOLER not in versions:
        notes.append("PgBouncer is not installed.")
    return notes


if __name__ == "__main__":
    sys.exit(main())
