"""Measure, and print the table: `python -m benchmarks [--quick] [--workers N] [--json FILE]`."""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import machine
from benchmarks.measure import Result, measure
from benchmarks.report import Results, report
from benchmarks.servers import Target, all_targets
from benchmarks.workers import BenchmarkFailed
from benchmarks.works import FULL, QUICK, Work


def main() -> int:
    """Run; return the exit status, 1 where something was lost, disordered or doubled."""
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    machine.raise_file_limit()
    about = machine.about(options.workers)
    folder = Path(tempfile.mkdtemp(prefix="twistnotify-bench-"))
    try:
        results, targets = _measure_all(folder, QUICK if options.quick else FULL, options.workers)
    except BenchmarkFailed as failure:
        sys.stderr.write(f"FAILED: {failure}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    sys.stdout.write(report(results, targets, about))
    if options.json is not None:
        options.json.write_text(json.dumps(_as_json(results), indent=1) + "\n")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure twistnotify.")
    parser.add_argument("--quick", action="store_true", help="a few seconds, to see whether it works; not for figures")
    parser.add_argument(
        "--workers", type=int, default=machine.default_workers(), help="processes of the load generator"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to a file as well")
    return parser.parse_args()


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
