"""The servers that the programs meet: a PostgreSQL of one's own, and twistnotify in front of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from support.configuration import config_for
from support.postgres import PostgresServer, bin_folder
from support.process import TwistnotifyProcess

VERSIONS = (18, 15)
CLIENTS = """SELECT count(*) FROM pg_stat_activity
    WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() AND application_name NOT LIKE 'twistnotify/%%'"""
PAUSE = 0.02
"""Seconds between two counts of backends."""
LEFT_LIMIT = 15.0
"""Seconds that backends may outlive a program."""


@contextmanager
def postgres_server(version: int | None) -> Iterator[PostgresServer]:
    """Start a PostgreSQL, the newest one that is installed unless a version is named."""
    for number in (version,) if version else VERSIONS:
        folder = bin_folder(number)
        if folder is not None:
            break
    else:
        raise SystemExit(f"PostgreSQL {version or ' or '.join(map(str, VERSIONS))} is not installed")
    postgres = PostgresServer(folder, number)
    try:
        postgres.start()
        yield postgres
    finally:
        postgres.destroy()


@contextmanager
def twistnotify_server(postgres: PostgresServer, folder: Path) -> Iterator[TwistnotifyProcess]:
    """Start a twistnotify in front; AssertionError at the end if it has logged a programming error."""
    server = TwistnotifyProcess(config_for(postgres), folder)
    try:
        server.start()
        server.wait_until_up()
        yield server
        server.stop()
    finally:
        server.kill()


class BackendCount:
    """Count the backends of PostgreSQL that work for clients, while a program runs."""

    def __init__(self, postgres: PostgresServer) -> None:
        self.most = 0
        self._connection = postgres.connect()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> BackendCount:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        self._connection.close()

    def left(self) -> int:
        """Wait until the program's backends are gone; return how many are not."""
        deadline = time.monotonic() + LEFT_LIMIT
        while (count := self._count()) and time.monotonic() < deadline:
            time.sleep(PAUSE)
        return count

    def _watch(self) -> None:
        while not self._ended.wait(PAUSE):
            self.most = max(self.most, self._count())

    def _count(self) -> int:
        with self._connection.cursor() as cursor:
            cursor.execute(CLIENTS)
            row: Any = cursor.fetchone()
        return int(row[0])
