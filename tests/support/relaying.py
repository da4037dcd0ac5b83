"""What tests of the relay look at: backends, memory, and answers that are too large to be decoded."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from support.clients import eventually
from support.postgres import OBSERVER, PostgresServer
from support.process import TwistnotifyProcess
from support.raw import RawClient

from twistnotify.wire.catalog import BackendMessage
from twistnotify.wire.notification import NotificationResponse
from twistnotify.wire.session_status import ReadyForQuery
from twistnotify.wire.simple_query import DataRow

MB = 2**20
GROWTH = 64 * MB
"""Bytes by which the process may grow, whatever passes through it."""
READY = ReadyForQuery("I").encode()
_TAIL = 64
_RESET_PEAK = "5"


def upstreams(postgres: PostgresServer) -> list[int]:
    """Return the PIDs of all backends but the LISTEN connections and those of tests."""
    rows = postgres.fetch(
        "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend'"
        " AND application_name NOT LIKE 'twistnotify/%%' AND application_name <> %s ORDER BY 1",
        OBSERVER,
    )
    return [pid for (pid,) in rows]


def wait_for_upstreams(postgres: PostgresServer, count: int) -> list[int]:
    """Wait until there are so many; return their PIDs."""
    return eventually(lambda: upstreams(postgres), lambda pids: len(pids) == count)


def backend_of(client: RawClient) -> int:
    """Return the PID of a client's backend at PostgreSQL, which it gets by this if it has none."""
    (row,) = rows(client.query("SELECT 0 + pg_backend_pid()"))
    return int(row[0] or 0)


def wait_event(postgres: PostgresServer, pid: int) -> str | None:
    """Return what a backend waits for."""
    ((event,),) = postgres.fetch("SELECT wait_event FROM pg_stat_activity WHERE pid = %s", pid)
    return event if event is None else str(event)


def rows(messages: list[BackendMessage]) -> list[tuple[str | None, ...]]:
    """Return the rows among messages, whose values have to be text."""
    return [
        tuple([None if value is None else value.decode() for value in message.values])
        for message in messages
        if isinstance(message, DataRow)
    ]


def senders(messages: Iterable[BackendMessage]) -> list[int]:
    """Return the PIDs that the notifications among messages name."""
    return [message.pid for message in messages if isinstance(message, NotificationResponse)]


def pass_over(client: RawClient) -> tuple[int, int, bytes]:
    """Read up to ReadyForQuery without looking at it; return how many bytes came, their CRC, and the last of them."""
    size = checksum = 0
    tail = b""
    while not tail.endswith(READY):
        data = client.socket.recv(MB)
        assert data, f"the connection has ended behind {tail!r}"
        size += len(data)
        checksum = zlib.crc32(data, checksum)
        tail = (tail + data[-_TAIL:])[-_TAIL:]
    return size, checksum, tail


@contextmanager
def steady(server: TwistnotifyProcess, growth: int = GROWTH) -> Iterator[None]:
    """Fail if the process needs more memory meanwhile, in bytes, even for a moment."""
    with suppress(OSError):
        Path(f"/proc/{server.pid}/clear_refs").write_text(_RESET_PEAK)
    before = _memory(server, "VmHWM")
    yield
    grown = _memory(server, "VmHWM") - before
    assert grown <= growth, f"the process has grown by {grown / MB:.0f} MB"


def _memory(server: TwistnotifyProcess, field: str) -> int:
    """Return a field of the process's status, in bytes."""
    lines = Path(f"/proc/{server.pid}/status").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith(f"{field}:"))
    return 1024 * int(line.split()[1])
