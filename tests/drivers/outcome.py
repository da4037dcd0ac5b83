"""Running a program, and what becomes of its steps."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from drivers.catalogue import Driver

PROGRAM_LIMIT = 300.0
"""Seconds that a program may take for all of its steps."""
LINE = re.compile(r"(ok|absent|FAILED) (\w+)(?:: (.*))?")


@dataclass(slots=True)
class Outcome:
    """What a driver's program has printed; `failed` and `absent` say why."""

    driver: Driver
    version: str = "-"
    toolchain: str = "-"
    passed: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    not_run: str | None = None
    backends: int = 0
    seconds: float = 0.0

    def read(self, output: str, ending: str) -> None:
        """Take the lines in; a step without a line has failed, whatever the program says at its end."""
        said = {step: (word, reason or "") for word, step, reason in LINE.findall(output)}
        for step in self.driver.steps:
            word, reason = said.get(step, ("FAILED", f"no line: {ending}"))
            if word == "ok":
                self.passed.append(step)
            else:
                (self.absent if word == "absent" else self.failed)[step] = reason


def run_program(command: list[str], folder: Path, environment: Mapping[str, str], typed: str = "") -> tuple[str, str]:
    """Run a program with a time limit; return what it has printed, and how it ended, in one line.

    `typed` is its standard input.
    """
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,
    )
    try:
        output, errors = process.communicate(typed, timeout=PROGRAM_LIMIT)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
        return output, f"no end after {PROGRAM_LIMIT:.0f} s"
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    last_words = errors.strip().splitlines()[-1:] or [""]
    return output, f"status {process.returncode}: {last_words[0]}"
