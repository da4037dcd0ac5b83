"""What all measurements have in common: options, a folder of their own, and how they end."""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.workers import BenchmarkFailed


def parser(program: str, description: str) -> argparse.ArgumentParser:
    """Return a parser with the options that every measurement has."""
    made = argparse.ArgumentParser(prog=f"python -m {program}", description=description)
    made.add_argument("--quick", action="store_true", help="a few seconds, to see whether it works; not for figures")
    made.add_argument("--json", type=Path, metavar="FILE", help="write the figures to a file as well")
    return made


def run(
    measure: Callable[[Path], tuple[str, object]],
    json_file: Path | None,
    failures: tuple[type[Exception], ...] = (BenchmarkFailed,),
) -> int:
    """Measure, and print what came of it; return the exit status, 1 where the measurement has failed.

    `measure` is given a folder that is there as long as it measures, and returns the text and the figures for JSON.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    folder = Path(tempfile.mkdtemp(prefix="twistnotify-bench-"))
    try:
        text, figures = measure(folder)
    except failures as failure:
        sys.stderr.write(f"FAILED: {failure}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    sys.stdout.write(text)
    if json_file is not None:
        json_file.write_text(json.dumps(figures, indent=1) + "\n")
    return 0
