"""pg8000: every message of the extended protocol in a round trip of its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pg8000.native
import pytest
from support.process import TwistnotifyProcess

DEADLINE = 60


@pytest.fixture
def connect(server: TwistnotifyProcess) -> Iterator[Any]:
    opened: list[Any] = []

    def connect() -> Any:
        connection = pg8000.native.Connection(
            "postgres", host="127.0.0.1", port=server.port, database="postgres", timeout=DEADLINE
        )
        opened.append(connection)
        return connection

    yield connect
    for connection in opened:
        connection.close()


def test_notifications_come_with_the_next_answer(connect: Any) -> None:
    listener, sender = connect(), connect()
    listener.run("LISTEN eight")
    sender.run("NOTIFY eight, 'text'")
    sender.run("SELECT pg_notify(:channel, :payload)", channel="eight", payload="it's")
    listener.run("SELECT 1")
    assert [(channel, payload) for _, channel, payload in listener.notifications] == [
        ("eight", "text"),
        ("eight", "it's"),
    ]


def test_own_notifications_come_with_the_notify(connect: Any) -> None:
    connection = connect()
    connection.run("LISTEN eight")
    connection.run("SELECT pg_notify(:channel, :payload)", channel="eight", payload="own")
    ((pid, channel, payload),) = connection.notifications
    assert (channel, payload) == ("eight", "own")
    assert [[pid]] == connection.run("SELECT pg_backend_pid()")


def test_prepared_statements_and_transactions(connect: Any) -> None:
    connection = connect()
    connection.run("LISTEN eight")
    statement = connection.prepare("SELECT pg_notify('eight', :payload)")
    for payload, end in (("1", "COMMIT"), ("2", "ROLLBACK"), ("3", "COMMIT")):
        connection.run("START TRANSACTION")
        statement.run(payload=payload)
        assert not connection.notifications
        connection.run(end)
        assert [n[2] for n in connection.notifications] == ([payload] if end == "COMMIT" else [])
        connection.notifications.clear()
    statement.close()
