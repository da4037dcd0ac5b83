"""The ways to one PostgreSQL that the relay is compared with: straight, through PgBouncer, through twistnotify."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psycopg2

from benchmarks import servers
from benchmarks.connect import Address

DIRECT, POOLER, OURS = "PostgreSQL", "PgBouncer", "twistnotify"
DATABASE = "twistnotify_benchmark"
"""Made for the benchmark, and dropped at its end."""
UNPRIVILEGED = "nobody"
"""Whom PgBouncer, and PostgreSQL of the system, run as where we are root, which they refuse to be."""
PGBOUNCER = """\
[databases]
{database} = {conninfo}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = session
default_pool_size = 100
max_client_conn = 500
ignore_startup_parameters = extra_float_digits
"""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where PostgreSQL is; `pid` is None where its processes cannot be looked at."""

    host: str
    port: int
    user: str
    maintenance: str = "postgres"
    pid: int | None = None

    def conninfo(self, database: str = DATABASE) -> str:
        """Return libpq's connection line."""
        return f"host={self.host} port={self.port} dbname={database} user={self.user}"

    def run(self, sql: str, database: str = DATABASE) -> Any:
        """Run a statement; return the first value of its first row, if it has rows."""
        with closing(psycopg2.connect(self.conninfo(database))) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(sql)
                row = cursor.fetchone() if cursor.description else None
                return None if row is None else row[0]


@dataclass(frozen=True, slots=True)
class Way:
    """A way to PostgreSQL: where clients connect, and the process in between, None where there is none."""

    name: str
    version: str
    address: Address
    database: str
    user: str
    pid: int | None
    behind: int | None
    """PostgreSQL's process, None where it cannot be looked at."""


@contextmanager
def private_origin(folder: Path) -> Iterator[Origin]:
    """Run a PostgreSQL of our own."""
    with servers.private_postgres(folder) as postgres:
        yield Origin(servers.HOST, postgres.port, "postgres", pid=postgres.pid)


@contextmanager
def all_ways(folder: Path, origin: Origin) -> Iterator[list[Way]]:
    """Make the database and open every way to it that there is."""
    with ExitStack() as stack:
        stack.enter_context(_database(origin))
        ways = [_straight(origin)]
        if (program := find_pgbouncer()) is not None:
            ways.append(stack.enter_context(_pgbouncer(folder, origin, program)))
        ways.append(stack.enter_context(_twistnotify(folder, origin)))
        yield ways


@contextmanager
def _database(origin: Origin) -> Iterator[None]:
    origin.run(f"DROP DATABASE IF EXISTS {DATABASE}", origin.maintenance)
    origin.run(f"CREATE DATABASE {DATABASE}", origin.maintenance)
    try:
        yield
    finally:
        origin.run(f"DROP DATABASE {DATABASE} WITH (FORCE)", origin.maintenance)


def _straight(origin: Origin) -> Way:
    version = str(origin.run("SHOW server_version")).partition(" ")[0]
    return Way(DIRECT, version, (origin.host, origin.port), DATABASE, origin.user, None, origin.pid)


@contextmanager
def _pgbouncer(folder: Path, origin: Origin, program: str) -> Iterator[Way]:
    # Whoever it runs as has to read its configuration.
    folder.chmod(0o755)
    port = servers.free_port()
    configuration = folder / "pgbouncer.ini"
    configuration.write_text(PGBOUNCER.format(database=DATABASE, conninfo=origin.conninfo(), port=port))
    way = Way(POOLER, pgbouncer_version(program), (servers.HOST, port), DATABASE, origin.user, None, origin.pid)
    log = folder / "pgbouncer.log"
    with servers.running([program, str(configuration)], log, signal.SIGTERM, **unprivileged()) as process:
        servers.wait_for(lambda: servers.accepts(lambda: _connect(way)), process, log)
        yield replace(way, pid=process.pid)


@contextmanager
def _twistnotify(folder: Path, origin: Origin) -> Iterator[Way]:
    with servers.twistnotify(folder, origin.conninfo()) as (port, pid):
        yield Way(OURS, "", (servers.HOST, port), "postgres", origin.user, pid, origin.pid)


def _connect(way: Way) -> Any:
    host, port = way.address
    return psycopg2.connect(f"host={host} port={port} dbname={way.database} user={way.user}")


def find_pgbouncer() -> str | None:
    """Return the program, None where it is not installed."""
    return shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


def pgbouncer_version(program: str) -> str:
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"PgBouncer (\S+)", said)
    return "" if found is None else found[1]


def unprivileged() -> dict[str, Any]:
    """Return as whom subprocess is to run a program that refuses to be root's."""
    if os.geteuid() != 0:
        return {}
    entry = pwd.getpwnam(UNPRIVILEGED)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
