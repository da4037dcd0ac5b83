"""Measure delivery over TLS: `python -m benchmarks.tls [--quick] [--workers N] [--rounds N] [--json FILE]`.

One twistnotify delivers the same without TLS and with it, both in turn: as fast as it goes, and one message now and
then to all listeners.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from benchmarks import machine, servers
from benchmarks.certificate import make_certificate
from benchmarks.command import parser, run
from benchmarks.comparison import BETWEEN, Row, Sample, Samples, as_json, table
from benchmarks.dialects import PostgresDialect
from benchmarks.measure import Result, measure
from benchmarks.servers import HOST, Postgres, Target
from benchmarks.works import BURST, ONE_TO_ALL, Work

ROUNDS = 5
PLAIN, SECURED = "plain", "TLS"
FULL = (
    Work(BURST, listeners=1000, publishers=1, messages=10_000, window=64),
    Work(ONE_TO_ALL, listeners=1000, publishers=1, messages=100, rate=20),
)
QUICK = (
    Work(BURST, listeners=50, publishers=1, messages=200, window=64),
    Work(ONE_TO_ALL, listeners=50, publishers=1, messages=10, rate=50),
)
MORE_IS_BETTER = (Row(BURST, "deliveries/s, one channel, burst"),)
LESS_IS_BETTER = (
    Row(ONE_TO_ALL, "one message to all listeners, p50, us"),
    Row(BURST, "server CPU a delivery, burst, us", BETWEEN, 3),
    Row(ONE_TO_ALL, "server CPU a delivery, one message to all, us", BETWEEN, 2),
)


def main() -> int:
    """Run; return the exit status, 1 where something was lost, disordered or doubled."""
    options = _options()
    machine.raise_file_limit()
    about = machine.about(options.workers)

    def measure_all(folder: Path) -> tuple[str, object]:
        samples = _measure(folder, options)
        return f"{about}\n\n{tls_table(samples)}", as_json(samples)

    return run(measure_all, options.json)


def _options() -> argparse.Namespace:
    options = parser("benchmarks.tls", "Measure delivery over TLS.")
    options.add_argument(
        "--workers", type=int, default=machine.default_workers(), help="processes of the load generator"
    )
    options.add_argument("--rounds", type=int, default=ROUNDS)
    return options.parse_args()


def _measure(folder: Path, options: argparse.Namespace) -> Samples:
    """Do every work in turn, without TLS and with it, and all of it again."""
    samples: dict[tuple[str, str], list[Sample]] = defaultdict(list)
    with _targets(folder) as (postgres, targets):
        for work in QUICK if options.quick else FULL:
            sys.stderr.write(f"{work.name}\n")
            for _ in range(1 if options.quick else options.rounds):
                for target in targets:
                    result = measure(work, target, postgres, options.workers)
                    samples[work.name, target.name].append(sample_of(result))
    return dict(samples)


@contextmanager
def _targets(folder: Path) -> Iterator[tuple[Postgres, list[Target]]]:
    """Run one twistnotify that leaves TLS to its clients; yield it as two targets."""
    certificate, key = make_certificate().write(folder)
    settings = {
        "client_tls_sslmode": "allow",
        "client_tls_cert_file": str(certificate),
        "client_tls_key_file": str(key),
    }
    with servers.private_postgres(folder) as postgres:
        conninfo = f"host={HOST} port={postgres.port} dbname=postgres user=postgres"
        with servers.twistnotify(folder, conninfo, **settings) as (port, pid):
            plain = Target(PLAIN, "", (HOST, port), PostgresDialect("postgres"), pid, behind=postgres.pid)
            yield postgres, [plain, replace(plain, name=SECURED, tls=True)]


def sample_of(result: Result) -> Sample:
    """Return a work's figure, of latency where that was measured, and the server's computing for each delivery."""
    figure = result.latency(0.5) if result.load.latencies else result.per_second
    # A generator that waits for the next message to be due is no limit.
    busy = None if result.work.rate else result.load.busy
    return Sample(figure, result.cpu_per_delivery, result.cpu_behind_per_delivery, result.load.deliveries, busy)


def tls_table(samples: Samples) -> str:
    """Return the table and how to read it."""
    notes = [
        f"Medians of {len(samples[BURST, SECURED])} rounds, in which both took turns. The last column is TLS / plain,"
        " each round compared by itself.",
        "Every message arrived everywhere, once and in order. TLS 1.3, the cipher that both sides prefer.",
        "CPU is user and system time of twistnotify.",
    ]
    return table(samples, [(PLAIN, ""), (SECURED, "")], MORE_IS_BETTER, LESS_IS_BETTER, notes, ours=SECURED)


if __name__ == "__main__":
    sys.exit(main())
