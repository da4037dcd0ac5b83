"""Measure, and print the table: `python -m benchmarks [--quick] [--workers N] [--json FILE]`."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from benchmarks import machine
from benchmarks.command import parser, run
from benchmarks.measure import Result, measure
from benchmarks.report import Results, report
from benchmarks.servers import Target, all_targets
from benchmarks.works import FULL, QUICK, Work


def main() -> int:
    """Run; return the exit status, 1 where something was lost, disordered or doubled."""
    options = _options()
    machine.raise_file_limit()
    about = machine.about(options.workers)

    def measure_all(folder: Path) -> tuple[str, object]:
        results, targets = _measure_all(folder, QUICK if options.quick else FULL, options.workers)
        return report(results, targets, about), _as_json(results)

    return run(measure_all, options.json)


def _options() -> argparse.Namespace:
    options = parser("benchmarks", "Measure twistnotify.")
    options.add_argument(
        "--workers", type=int, default=machine.default_workers(), help="processes of the load generator"
    )
    return options.parse_args()


def _measure_all(folder: Path, works: tuple[Work, ...], workers: int) -> tuple[Results, list[Target]]:
    """Do every work on every server, one right after the other, so that all meet the same machine."""
    results: dict[tuple[str, str], Result] = {}
    with all_targets(folder) as (postgres, targets):
        for work in works:
            for target in targets:
                started = time.monotonic()
                results[work.name, target.name] = measure(work, target, postgres, workers)
                sys.stderr.write(f"{work.name}, {target.name}: {time.monotonic() - started:.1f} s\n")
        return results, targets


def _as_json(results: Results) -> dict[str, dict[str, object]]:
    described: dict[str, dict[str, object]] = {}
    for (work, target), result in results.items():
        described.setdefault(target, {})[work] = result.as_json()
    return described


if __name__ == "__main__":
    sys.exit(main())
