"""A private PgBouncer in front of a PostgreSQL under test."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import psycopg2
from support.postgres import DEADLINE, PostgresServer, free_port

PROGRAM = Path("/usr/sbin/pgbouncer")
USER = "postgres"
"""Whom to run as, where root would be refused; Debian's package has made it."""
IGNORED = "extra_float_digits,options,search_path,statement_timeout,lock_timeout,bytea_output,IntervalStyle"
"""Start-up parameters that PgBouncer does not pass on, and refuses unless it is told to ignore them."""
CONFIGURATION = """\
[databases]
* = host=127.0.0.1 port={postgres_port} user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = {pool_mode}
max_client_conn = 200
default_pool_size = 50
ignore_startup_parameters = {ignored}
"""


def is_installed() -> bool:
    """Tell whether there is a PgBouncer to run."""
    return PROGRAM.exists()


class PgBouncer:
    """One pooler in a temporary folder, reached by TCP on 127.0.0.1 as any user, without a password.

    It has every database of its PostgreSQL; `pool_mode` is "session" or "transaction".
    """

    def __init__(self, postgres: PostgresServer, pool_mode: str) -> None:
        self.port = 0
        self.pool_mode = pool_mode
        self._postgres = postgres
        self._folder = Path(tempfile.mkdtemp(prefix="tn-pgbouncer-", dir="/tmp"))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start, and wait until it passes clients on."""
        self._folder.chmod(0o755)
        for _ in range(20):
            port = free_port()
            if self._try_start(port):
                self.port = port
                return
        raise AssertionError(f"PgBouncer did not start:\n{self.log()}")

    def destroy(self) -> None:
        """Stop at once and remove the folder."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(DEADLINE)
        shutil.rmtree(self._folder, ignore_errors=True)

    def dsn(self, dbname: str = "postgres") -> str:
        """Return libpq's connection string."""
        return f"host=127.0.0.1 port={self.port} user=postgres dbname={dbname}"

    def log(self) -> str:
        """Return what it has logged."""
        path = self._folder / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    def _try_start(self, port: int) -> bool:
        configuration = self._folder / "pgbouncer.ini"
        values = {"port": port, "postgres_port": self._postgres.port, "pool_mode": self.pool_mode, "ignored": IGNORED}
        configuration.write_text(CONFIGURATION.format(**values))
        with (self._folder / "log").open("ab") as log:
            process = subprocess.Popen(
                [PROGRAM, configuration],
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                **_as_user(),
            )
        self._process = process
        return self._wait_until_up(process, port)

    def _wait_until_up(self, process: subprocess.Popen[bytes], port: int) -> bool:
        """Wait until a client is passed on; tell whether the process has lived to do so."""
        deadline = time.monotonic() + DEADLINE
        while process.poll() is None:
            try:
                psycopg2.connect(f"host=127.0.0.1 port={port} user=postgres dbname=postgres").close()
            except psycopg2.OperationalError as error:
                if time.monotonic() > deadline:
                    raise AssertionError(f"PgBouncer did not start: {error}\n{self.log()}") from None
                time.sleep(0.02)
            else:
                return True
        return False


def _as_user() -> dict[str, Any]:
    """Return whom a program runs as: PgBouncer refuses to run as root."""
    if os.geteuid() != 0:
        return {}
    entry = pwd.getpwnam(USER)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
