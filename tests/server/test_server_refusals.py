"""Failed log-ins: who has to wait, and what the log says."""

from __future__ import annotations

from typing import Any

import pytest
from fakes.reactor import FakeReactor
from twisted.logger import Logger, LogLevel, formatEvent

from twistnotify.server.refusals import LOG_WINDOW, LOGGED, Key, Refusals

ALICE: Key = ("192.0.2.1", "alice")
WRONG = "password authentication failed"
LIMIT, WINDOW, BLOCK = 3, 60.0, 30.0


class Noted:
    """Refusals, and what they have logged."""

    def __init__(self, limit: int = LIMIT) -> None:
        self.reactor = FakeReactor()
        self.refusals = Refusals(self.reactor, limit, WINDOW, BLOCK)
        self._events: list[Any] = []
        self.refusals.log = Logger(observer=self._events.append)  # type: ignore[misc]

    @property
    def lines(self) -> list[str]:
        """What has been logged since the last look."""
        events, self._events[:] = list(self._events), []
        assert all(event["log_level"] is LogLevel.warn for event in events)
        return [formatEvent(event) for event in events]

    def fail(self, times: int = 1, key: Key = ALICE) -> None:
        for _ in range(times):
            self.refusals.count(key, key[0], "app", WRONG)

    def end(self) -> None:
        self.refusals.stop()
        assert self.reactor.getDelayedCalls() == []


@pytest.fixture
def noted() -> Noted:
    return Noted()


# Who has to wait


def test_who_fails_too_often_is_blocked_for_a_while(noted: Noted) -> None:
    noted.fail(LIMIT - 1)
    assert not noted.refusals.is_blocked(ALICE)
    noted.fail()

    assert noted.refusals.is_blocked(ALICE)
    noted.reactor.advance(BLOCK)
    assert not noted.refusals.is_blocked(ALICE)


@pytest.mark.parametrize("other", [("192.0.2.2", "alice"), ("192.0.2.1", "bob")])
def test_nobody_else_is(noted: Noted, other: Key) -> None:
    noted.fail(LIMIT)

    assert not noted.refusals.is_blocked(other)


def test_failures_of_long_ago_do_not_count(noted: Noted) -> None:
    noted.fail(LIMIT - 1)
    noted.reactor.advance(WINDOW)
    noted.fail(LIMIT - 1)

    assert not noted.refusals.is_blocked(ALICE)


def test_who_logs_in_is_forgiven(noted: Noted) -> None:
    noted.fail(LIMIT - 1)
    noted.refusals.forgive(ALICE)
    noted.fail(LIMIT - 1)

    assert not noted.refusals.is_blocked(ALICE)


def test_without_a_limit_nobody_is_blocked() -> None:
    noted = Noted(limit=0)
    noted.fail(1000)

    assert not noted.refusals.is_blocked(ALICE)


def test_other_bounds_begin_to_count_anew(noted: Noted) -> None:
    noted.fail(LIMIT)
    noted.refusals.limit(LIMIT, WINDOW, BLOCK)
    assert noted.refusals.is_blocked(ALICE)

    noted.refusals.limit(1, WINDOW, BLOCK)

    assert not noted.refusals.is_blocked(ALICE)
    noted.fail()
    assert noted.refusals.is_blocked(ALICE)


# What the log says


def test_a_failure_is_logged_with_who_it_was(noted: Noted) -> None:
    noted.fail()

    assert noted.lines == [f'log-in refused: {WRONG} (user "alice", database "app", from 192.0.2.1)']


def test_the_one_that_blocks_says_so(noted: Noted) -> None:
    noted.fail(LIMIT)

    assert [line.partition(" (user")[0] for line in noted.lines] == [
        *[f"log-in refused: {WRONG}"] * (LIMIT - 1),
        f"log-in refused: {WRONG}; too many, refused for a while",
    ]


@pytest.mark.parametrize("evil", ["a\nb", "a\r\x1b[2J", "a\u2028b", "a\u202eb", "\udcff", "{key}"])
def test_a_line_is_one_line_whatever_clients_send(noted: Noted, evil: str) -> None:
    noted.refusals.note("192.0.2.1", evil, evil, f"no such {evil}")

    (line,) = noted.lines
    assert line.isprintable()


def test_names_are_cut(noted: Noted) -> None:
    noted.refusals.note("192.0.2.1", "u" * 10_000, "d" * 10_000, "r" * 10_000)

    (line,) = noted.lines
    assert (line.count("u" * 128), line.count("d" * 128), line.count("r" * 256)) == (1, 1, 1)
    assert len(line) < 700


def test_a_flood_is_summed_up(noted: Noted) -> None:
    for number in range(LOGGED + 5):
        noted.fail(key=("192.0.2.1", f"user{number}"))
    assert len(noted.lines) == LOGGED

    noted.reactor.wait(LOG_WINDOW)

    assert noted.lines == [f"5 more log-ins refused in the last {LOG_WINDOW:g} s"]
    noted.fail()
    assert len(noted.lines) == 1
    noted.end()


def test_nothing_more_is_not_worth_a_line(noted: Noted) -> None:
    noted.fail()
    noted.reactor.wait(LOG_WINDOW)

    assert len(noted.lines) == 1
    assert noted.reactor.getDelayedCalls() == []


def test_those_who_are_not_asked_are_only_counted(noted: Noted) -> None:
    for _ in range(1000):
        noted.refusals.note_blocked()
    assert noted.lines == []

    noted.reactor.wait(LOG_WINDOW)

    assert noted.lines == [f"1000 more log-ins refused in the last {LOG_WINDOW:g} s"]


def test_a_stop_sums_up_what_is_left(noted: Noted) -> None:
    noted.refusals.note_blocked()

    noted.end()

    assert noted.lines == [f"1 more log-ins refused in the last {LOG_WINDOW:g} s"]
