from __future__ import annotations

from typing import Any

import psycopg2
import pytest
from fakes.postgres import FakePostgres, Notify, server_error
from fakes.reactor import FakeReactor
from psycopg2.extensions import POLL_OK
from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure

from twistnotify.shard.connection import ConnectionLost, ShardConnection, error_fields, one_line


class Opened:
    """A connection to a fake server, and everything it says."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reactor = FakeReactor()
        self.postgres = FakePostgres().install(monkeypatch)
        self.events: list[Any] = []
        self.connection = ShardConnection(
            self.reactor,
            lambda notifies: self.events.append([(each.channel, each.payload) for each in notifies]),
            lambda: self.events.append("read"),
            lambda reason: self.events.append(("lost", str(reason))),
        )

    def open(self) -> Opened:
        """Log in, and LISTEN to c."""
        results = self.opening()
        self.reactor.settle()
        assert results == [self.connection]
        self.query('LISTEN "c"')
        self.reactor.settle()
        self.events.clear()
        return self

    def opening(self) -> list[Any]:
        results: list[Any] = []
        self.connection.open({"host": "/x"}).addBoth(results.append)
        return results

    def query(self, sql: str) -> list[Any]:
        results: list[Any] = []

        def answered(result: Any) -> None:
            results.append(result)
            self.events.append("answer")

        self.connection.query(sql).addBoth(answered)
        return results


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Opened:
    return Opened(monkeypatch)


@pytest.fixture
def opened(made: Opened) -> Opened:
    return made.open()


def test_logging_in_takes_the_reads_and_writes_that_libpq_asks_for(made: Opened) -> None:
    results = made.opening()
    assert made.reactor.getWriters() == [made.connection]

    made.reactor.settle()

    assert results == [made.connection]
    assert made.reactor.getReaders() == [made.connection]
    assert made.reactor.getWriters() == []
    assert made.connection.server_version == 150018
    assert made.connection.parameter("TimeZone") == "UTC"
    assert made.connection.parameter("no_such") is None


def test_a_server_that_refuses_fails_the_attempt(made: Opened) -> None:
    made.postgres.refuses = psycopg2.OperationalError("no route")

    (failure,) = made.opening()

    assert failure.check(psycopg2.OperationalError)


def test_a_log_in_that_fails_fails_the_attempt(made: Opened) -> None:
    made.postgres.log_in = [POLL_OK + 1, psycopg2.OperationalError("password authentication failed")]
    results = made.opening()

    made.reactor.settle()

    assert results[0].check(psycopg2.OperationalError)
    assert "lost" not in made.events


def test_a_query_gives_the_rows_of_its_last_result(opened: Opened) -> None:
    rows = opened.query("LISTEN d;SELECT pg_backend_pid()")
    opened.reactor.settle()

    assert rows == [[(1001,)]]
    assert opened.connection.running is None


def test_a_query_without_rows_gives_none(opened: Opened) -> None:
    rows = opened.query("LISTEN d")
    opened.reactor.settle()

    assert rows == [[]]


def test_a_query_finishes_in_the_read_that_brings_its_end(opened: Opened) -> None:
    rows = opened.query("LISTEN d")
    assert rows == []

    opened.connection.doRead()

    assert rows == [[]]
    assert opened.events == ["answer", "read"]
    assert opened.reactor.getDelayedCalls() == []


def test_the_connection_stays_a_reader_while_it_runs_a_query(opened: Opened) -> None:
    opened.postgres.holds = True
    opened.query("LISTEN d")

    assert opened.reactor.getReaders() == [opened.connection]


def test_a_long_query_is_sent_as_the_socket_takes_it(opened: Opened) -> None:
    opened.postgres.send_pieces = 4
    rows = opened.query("LISTEN d")
    assert opened.reactor.getWriters() == [opened.connection]

    opened.reactor.settle()

    assert rows == [[]]
    assert opened.reactor.getWriters() == []


def test_notifications_come_in_order_in_one_call_and_before_the_answer_they_came_with(opened: Opened) -> None:
    opened.query("NOTIFY c, '1'; NOTIFY c, '2'")
    opened.reactor.settle()

    assert opened.events == [[("c", "1"), ("c", "2")], "answer", "read"]


def test_notifications_behind_an_answer_in_the_same_read_are_not_left_lying(opened: Opened) -> None:
    opened.query("LISTEN d")
    opened.postgres.backend.kernel.append(Notify(7, "c", "behind"))

    opened.connection.doRead()

    assert opened.events == [[("c", "behind")], "answer", "read"]


def test_notifications_come_while_a_query_runs(opened: Opened) -> None:
    opened.postgres.holds = True
    opened.query("LISTEN d")
    opened.postgres.backend.kernel.append(Notify(7, "c", "meanwhile"))

    opened.reactor.settle()

    assert opened.events == [[("c", "meanwhile")], "read"]


def test_notifications_come_while_no_query_runs(opened: Opened) -> None:
    opened.postgres.notify("c", "1")
    opened.postgres.notify("c", "2")

    opened.reactor.settle()

    assert opened.events == [[("c", "1"), ("c", "2")], "read"]


def test_an_error_of_a_query_leaves_the_connection_as_it_is(opened: Opened) -> None:
    opened.postgres.fault = lambda channel, payload: server_error("22023", "not this one")
    results = opened.query("NOTIFY c, 'x'")
    opened.reactor.settle()

    assert error_fields(results[0].value).sqlstate == "22023"
    assert error_fields(results[0].value).message == "not this one"
    assert opened.connection.running is None
    assert opened.query("LISTEN d") == []
    opened.reactor.settle()
    assert opened.events == ["answer", "read", "answer", "read"]


def test_notifications_in_front_of_an_error_are_handed_on_first(opened: Opened) -> None:
    opened.postgres.holds = True
    opened.query("NOTIFY c, 'x'")
    opened.postgres.backend.kernel.append(Notify(7, "c", "1"))
    opened.postgres.refuse("54000")

    opened.reactor.settle()

    assert opened.events == [[("c", "1")], "answer", "read"]


def test_an_end_while_idle_is_told_once_on_one_line(opened: Opened) -> None:
    opened.postgres.lose()
    opened.reactor.settle()

    assert opened.events == [
        ("lost", "server closed the connection unexpectedly This probably means the server terminated abnormally"),
        "read",
    ]
    assert opened.reactor.getReaders() == []
    opened.connection.drop("again")
    assert len(opened.events) == 2


def test_an_end_fails_the_query_that_runs_before_it_is_told(opened: Opened) -> None:
    opened.postgres.holds = True
    results = opened.query("LISTEN d")
    opened.postgres.lose()

    opened.reactor.settle()

    assert results[0].check(ConnectionLost)
    assert opened.events[0] == "answer"
    assert opened.events[1][0] == "lost"
    assert opened.reactor.getReaders() == []


def test_what_arrived_before_the_end_is_handed_on(opened: Opened) -> None:
    opened.postgres.notify("c", "last words")
    opened.postgres.lose()

    opened.reactor.settle()

    assert [("c", "last words")] in opened.events


def test_a_dropped_connection_is_a_lost_one(opened: Opened) -> None:
    opened.postgres.holds = True
    results = opened.query("LISTEN d")

    opened.connection.drop("no answer")

    assert results[0].check(ConnectionLost)
    assert opened.events == ["answer", ("lost", "no answer")]
    assert opened.postgres.backends == []
    assert opened.reactor.getReaders() == []


def test_an_attempt_that_is_dropped_fails(made: Opened) -> None:
    made.postgres.hangs = True
    results = made.opening()

    made.connection.drop("no answer in time")

    assert isinstance(results[0], Failure)
    assert made.events == []
    assert made.reactor.getReaders() == []
    assert made.reactor.getWriters() == []


def test_the_reactor_may_be_the_first_to_know_of_the_end(opened: Opened) -> None:
    opened.connection.connectionLost(Failure(ConnectionDone()))

    assert opened.events == [("lost", "Connection was closed cleanly.")]


def test_the_reactor_may_be_the_first_to_know_while_logging_in(made: Opened) -> None:
    results = made.opening()
    made.postgres.log_in = []
    made.postgres.backend._log_in.clear()
    made.postgres.backend._log_in.append(psycopg2.OperationalError("gone"))

    made.connection.connectionLost(Failure(ConnectionDone()))
    made.reactor.settle()

    assert results[0].check(psycopg2.OperationalError)


def test_a_write_while_logging_in_is_libpqs(made: Opened) -> None:
    made.postgres.log_in = [1, 2, 1, 2, 0]
    results = made.opening()
    made.reactor.settle()

    assert results == [made.connection]


def test_an_error_without_a_code_is_the_connections() -> None:
    fields = error_fields(psycopg2.OperationalError("gone\n\tfor good\n"))

    assert (fields.sqlstate, fields.message) == ("08006", "gone for good")


def test_an_error_without_a_text_is_named_by_its_class() -> None:
    assert one_line(OSError()) == "OSError"


def test_an_answer_to_nobody_is_dropped(opened: Opened) -> None:
    opened.query("LISTEN d")
    cursor = opened.connection.running
    assert cursor is not None
    opened.reactor.settle()

    cursor._finish(None)

    assert opened.events == ["answer", "read"]
