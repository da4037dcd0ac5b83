"""Listening with psycopg2, and waiting for what cannot be listened to."""

from __future__ import annotations

import select
import time
from collections.abc import Callable
from contextlib import closing
from typing import Any, TypeVar

from psycopg2.extensions import POLL_OK, POLL_READ, POLL_WRITE

DEADLINE = 60.0
"""Seconds that anything may take before a test fails for it: generous, since machines are shared."""
END = "the end"
"""A payload that marks the end of what a test sends: what has not come before it will not come."""

_EVENTS = {POLL_READ: select.POLLIN, POLL_WRITE: select.POLLOUT}

Heard = tuple[str, str]
Value = TypeVar("Value")


def wait_patiently(connection: Any) -> None:
    """Wait for an answer in Python, for a limited time: psycopg2's own waiting is deaf to timeouts and signals.

    To be given to `psycopg2.extensions.set_wait_callback`.
    """
    deadline = time.monotonic() + DEADLINE
    while (state := connection.poll()) != POLL_OK:
        # Not select(2), which knows no descriptor above 1023.
        waiting = select.poll()
        waiting.register(connection, _EVENTS[state])
        assert waiting.poll(1000 * max(0.0, deadline - time.monotonic())), "no answer in time"


def run(connection: Any, sql: str, *args: object) -> list[tuple[Any, ...]]:
    """Run a query; return its rows."""
    with closing(connection.cursor()) as cursor:
        cursor.execute(sql, args or None)
        return list(cursor.fetchall()) if cursor.description else []


def listen(connection: Any, *channels: str) -> Any:
    """LISTEN to channels, whose names are quoted here; return the connection."""
    run(connection, ";".join("LISTEN {}".format('"' + name.replace('"', '""') + '"') for name in channels))
    return connection


def heard(connection: Any) -> list[Heard]:
    """Take what a connection has got so far, without reading more."""
    notifies = [(notify.channel, notify.payload) for notify in connection.notifies]
    connection.notifies.clear()
    return notifies


def wait_for_notifies(connection: Any, count: int = 1) -> None:
    """Wait until a connection has got so many notifications that nobody has taken."""
    _read_until(connection, lambda: len(connection.notifies) >= count)


def hear(connection: Any, count: int = 1) -> list[Heard]:
    """Wait for at least `count` notifications; return what has come, as (channel, payload)."""
    wait_for_notifies(connection, count)
    return heard(connection)


def hear_until(connection: Any, last: str = END) -> list[Heard]:
    """Wait for the notification with the payload `last`; return what came before it."""
    _read_until(connection, lambda: bool(connection.notifies) and connection.notifies[-1].payload == last)
    return heard(connection)[:-1]


def eventually(look: Callable[[], Value], wanted: Callable[[Value], object] = bool) -> Value:
    """Look until what is seen is as wanted; return it. For what gives no event to wait for."""
    deadline = time.monotonic() + DEADLINE
    while not wanted(value := look()):
        assert time.monotonic() < deadline, f"still {value!r}"
        time.sleep(0.02)
    return value


def _read_until(connection: Any, done: Callable[[], bool]) -> None:
    """Read from a connection until something is there; raises what the connection's end raises."""
    deadline = time.monotonic() + DEADLINE
    while not done():
        left = deadline - time.monotonic()
        readable, _, _ = select.select([connection], [], [], max(0.0, left))
        assert readable, f"heard only {heard(connection)[-5:]}"
        connection.poll()
