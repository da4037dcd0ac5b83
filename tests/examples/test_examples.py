"""The examples, run as a reader would run them."""

from __future__ import annotations

import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.postgres import PostgresServer
from support.process import TwistnotifyProcess

pytestmark = pytest.mark.integration

EXAMPLES = Path(__file__).parents[2] / "examples"
DEADLINE = 60.0
"""Seconds that anything may take before a test fails for it: generous, since machines are shared."""


class Listener:
    """A listening example as a process, and the lines that it prints."""

    def __init__(self, script: str, dsn: str, *channels: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, EXAMPLES / script, "--dsn", dsn, *channels],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            # What runs in the background ignores Ctrl-C, and hands that on.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def line(self) -> str:
        """Wait for the next line."""
        return self._lines.get(timeout=DEADLINE)

    def until(self, wanted: str) -> list[str]:
        """Wait for a line; return those before it."""
        return list(iter(self.line, wanted))

    def stop(self) -> int:
        """End it with Ctrl-C; return its status."""
        self._process.send_signal(signal.SIGINT)
        try:
            return self._process.wait(DEADLINE)
        finally:
            self._process.kill()
            self._process.wait()
            self._reader.join()
            assert self._process.stdout is not None
            self._process.stdout.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line.removesuffix("\n"))


Listen = Callable[..., Listener]


@pytest.fixture(params=["listen.py", "asyncpg_listen.py"])
def listen(request: pytest.FixtureRequest, server: TwistnotifyProcess) -> Iterator[Listen]:
    """Start a listening example on channels."""
    started: list[Listener] = []

    def start(*channels: str) -> Listener:
        url = f"postgresql://postgres@127.0.0.1:{server.port}/postgres"
        started.append(Listener(request.param, url, *channels))
        return started[-1]

    yield start
    assert [listener.stop() for listener in started] == [0] * len(started)


def notify(server: TwistnotifyProcess, *arguments: str) -> None:
    """Run examples/notify.py."""
    subprocess.run(
        [sys.executable, EXAMPLES / "notify.py", "--dsn", server.dsn(), *arguments], check=True, timeout=DEADLINE
    )


def test_what_is_notified_is_printed(server: TwistnotifyProcess, listen: Listen) -> None:
    listener = listen("jobs", 'It\'s "Häßlich"')
    assert listener.line() == 'listening to jobs, It\'s "Häßlich"'
    notify(server, "jobs", "42; it's 'quoted'")
    assert listener.line() == "jobs: 42; it's 'quoted'"
    notify(server, 'It\'s "Häßlich"')
    assert listener.line() == 'It\'s "Häßlich": '


def test_a_loss_is_told_and_survived(postgres: PostgresServer, server: TwistnotifyProcess, listen: Listen) -> None:
    listener = listen("jobs")
    listener.until("listening to jobs")
    notify(server, "jobs", "in effect")
    listener.until("jobs: in effect")
    postgres.terminate_listen_backend("postgres")
    told = listener.until("listening to jobs")
    assert any("notifications may have been lost" in line for line in told), told
    notify(server, "jobs", "after")
    assert listener.line() == "jobs: after"
