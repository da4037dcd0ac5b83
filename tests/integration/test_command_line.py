"""twistd twistnotify: what cannot start says why, in one line, and ends."""

from __future__ import annotations

import socket
import subprocess
from pathlib import Path

from support.process import COMMAND, FORBIDDEN

DEADLINE = 60.0


def run(config: Path) -> subprocess.CompletedProcess[str]:
    """Run the server with a configuration that does not let it start."""
    done = subprocess.run([*COMMAND, str(config)], capture_output=True, text=True, timeout=DEADLINE, cwd=config.parent)
    assert done.returncode != 0
    for word in FORBIDDEN:
        assert word not in done.stdout + done.stderr
    return done


def test_a_missing_configuration_is_one_line(tmp_path: Path) -> None:
    done = run(tmp_path / "missing.ini")
    path = tmp_path / "missing.ini"
    assert (done.stdout + done.stderr) == f"twistnotify: cannot read {path}: No such file or directory\n"


def test_all_errors_of_a_configuration_are_told(tmp_path: Path) -> None:
    path = tmp_path / "bad.ini"
    path.write_text(
        "[twistnotify]\nauth_type = trust\nlisten_port = many\nlisten_prot = 1\n"
        "[databases]\na = host=x host=y\nb = shards=nope\n[unknown]\n"
    )
    done = run(path)
    told = [line for line in (done.stdout + done.stderr).splitlines() if line.startswith(f"{path}:")]
    assert [line.split(":")[1] for line in told] == ["3", "4", "6", "7", "8"]


def test_a_port_in_use_is_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        path = tmp_path / "used.ini"
        settings = f"auth_type = trust\nlisten_port = {port}"
        path.write_text(f"[twistnotify]\n{settings}\n[databases]\na = host=127.0.0.1 port=1\n")
        done = run(path)
    last = (done.stdout + done.stderr).splitlines()[-1]
    assert last.endswith(f"twistnotify: cannot listen on 127.0.0.1:{port}: Address already in use")
