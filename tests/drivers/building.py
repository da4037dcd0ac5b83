"""Building the programs, outside of the checkout, in a folder that survives."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from drivers.catalogue import HERE, Command, Toolchain

BUILD_LIMIT = 600.0
"""Seconds that one command of a build may take, downloads included."""


class BuildFailed(Exception):
    """A command of a build did not succeed; the message says which, and its last words."""


def default_cache() -> Path:
    """Return the folder for downloads and builds, unless the user names another one."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "twistnotify-drivers"


@contextmanager
def locked(cache: Path) -> Iterator[None]:
    """Wait until no other run uses the folder, and make it if need be."""
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


class Workshop:
    """Where the programs of one toolchain are built and run."""

    def __init__(self, toolchain: Toolchain, cache: Path) -> None:
        self._toolchain = toolchain
        self._places = {"python": sys.executable, "cache": str(cache), "made": str(cache / toolchain.folder)}
        self._sources = cache / "sources"
        self.folder = self._sources / toolchain.folder

    @property
    def missing(self) -> str | None:
        """Return the first program that is not installed."""
        return next((name for name in self._toolchain.needs if shutil.which(name) is None), None)

    @property
    def environment(self) -> dict[str, str]:
        """Return the caller's environment without PostgreSQL's variables, and with the toolchain's own."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        own = {name: self._fill(value) for name, value in self._toolchain.environment.items()}
        return {**kept, **own, "PYTHONPATH": str(self._sources / "python")}

    def version(self) -> str:
        """Ask the toolchain for its version."""
        done = subprocess.run(self.command(self._toolchain.version), capture_output=True, text=True, check=True)
        found = re.search(r"\d+(\.\d+)+", done.stdout)
        assert found, f"no version in {done.stdout!r}"
        return found[0]

    def build(self) -> None:
        """Copy the sources, and run the commands of the build: BuildFailed."""
        for folder in {"python", self._toolchain.folder}:
            shutil.rmtree(self._sources / folder, ignore_errors=True)
            shutil.copytree(HERE / folder, self._sources / folder, ignore=shutil.ignore_patterns("__pycache__"))
        for command in self._toolchain.builds:
            self._run(command)

    def command(self, command: Command) -> list[str]:
        """Return a command with its places filled in, to run when nobody else wants the processor."""
        return ["nice", *(self._fill(word) for word in command)]

    def _run(self, command: Command) -> None:
        try:
            done = subprocess.run(
                self.command(command),
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=BUILD_LIMIT,
            )
        except subprocess.TimeoutExpired:
            raise BuildFailed(f"{command[0]}: no end after {BUILD_LIMIT:.0f} s") from None
        if done.returncode:
            sys.stderr.write(done.stdout)
            raise BuildFailed(f"{command[0]}: {(done.stdout.strip() or 'no output').splitlines()[-1]}")

    def _fill(self, word: str) -> str:
        return word.format(**self._places)
