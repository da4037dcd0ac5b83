"""A twistnotify server as a process of its own, as a user would run it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import psycopg2
from support.secrets import shown_in

DEADLINE = 60.0
"""Seconds that anything may take before a test fails for it: generous, since machines are shared."""
COMMAND = [
    sys.executable,
    "-c",
    "from twisted.scripts.twistd import run; run()",
    "-n",
    "--pidfile=",
    "twistnotify",
    "--config",
]
FORBIDDEN = ("Traceback", "Unhandled")
CLEAN_STATUSES = (0, -signal.SIGTERM)
"""Twisted ends a process by the signal that it has shut down for."""


class TwistnotifyProcess:
    """Run `twistd -n twistnotify` with a configuration, whose listen_port should be 0."""

    def __init__(self, config_text: str, folder: Path) -> None:
        self.port = 0
        self._config = folder / "config.ini"
        self._config.write_text(config_text, encoding="utf-8")
        self._folder = folder
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None
        self._lines: list[str] = []
        self._grown = threading.Condition()
        self._connections: list[Any] = []

    @property
    def pid(self) -> int:
        """Return the process id."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start, and wait until it listens."""
        self._process = subprocess.Popen(
            [*COMMAND, str(self._config)],
            cwd=self._folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        try:
            self.port = int(self.wait_for_log(r"listening on \S+:(\d+)")[1])
        except BaseException:
            self.kill()
            raise

    def stop(self) -> None:
        """End it as an administrator would; nothing in its log may be a programming error."""
        process = self._process
        if process is None:
            return
        self.close_connections()
        process.send_signal(signal.SIGTERM)
        try:
            status = process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"twistnotify did not stop:\n{self.log()}") from None
        self._release()
        assert status in CLEAN_STATUSES, f"twistnotify ended with status {status}:\n{self.log()}"
        for word in FORBIDDEN:
            assert word not in self.log(), self.log()
        self._keeps_secrets()

    def reload(self, config_text: str | None = None, says: str = "configuration reloaded") -> None:
        """Have it read its configuration again, another one if there is one, and wait until the log says so."""
        if config_text is not None:
            self._config.write_text(config_text, encoding="utf-8")
        before = self.log().count(says)
        assert self._process is not None
        self._process.send_signal(signal.SIGHUP)
        self.wait_for_log(re.escape(says), before + 1)

    def kill(self) -> None:
        """End it at once."""
        if self._process is None:
            return
        self.close_connections()
        self._process.kill()
        self._process.wait(DEADLINE)
        self._release()
        self._keeps_secrets()

    def _keeps_secrets(self) -> None:
        assert shown_in(self.log()) == []

    def log(self) -> str:
        """Return what it has logged."""
        with self._grown:
            return "".join(self._lines)

    def wait_for_log(self, pattern: str, count: int = 1) -> re.Match[str]:
        """Wait until a pattern stands in the log `count` times; return the last match."""
        deadline = time.monotonic() + DEADLINE
        with self._grown:
            while True:
                matches = list(re.finditer(pattern, "".join(self._lines)))
                if len(matches) >= count:
                    return matches[count - 1]
                ended = self._reader is None or not self._reader.is_alive()
                left = deadline - time.monotonic()
                if ended or left <= 0 or (not self._grown.wait(min(left, 1.0)) and left <= 1.0):
                    raise AssertionError(f"no {pattern!r} in the log:\n{''.join(self._lines)}")

    def wait_until_up(self, count: int = 1) -> None:
        """Wait until LISTEN connections have been made `count` times."""
        self.wait_for_log(r"shard \w+: up, ", count)

    def dsn(self, dbname: str = "postgres") -> str:
        """Return libpq's connection string."""
        return f"host=127.0.0.1 port={self.port} user=postgres dbname={dbname}"

    def connect(self, dbname: str = "postgres", **keywords: Any) -> Any:
        """Return an autocommit psycopg2 connection, closed with the process at the latest."""
        connection = psycopg2.connect(self.dsn(dbname), **keywords)
        connection.autocommit = True
        self._connections.append(connection)
        return connection

    def close_connections(self) -> None:
        """Close what `connect` has opened."""
        connections, self._connections = self._connections, []
        for connection in connections:
            connection.close()

    def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._grown:
                self._lines.append(line)
                self._grown.notify_all()
        with self._grown:
            self._grown.notify_all()

    def _release(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        assert self._reader is not None
        self._reader.join(DEADLINE)
        self._process.stdout.close()
        self._process = None
