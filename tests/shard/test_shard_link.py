from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

import psycopg2
import pytest
from fakes.postgres import FakePostgres, server_error
from fakes.reactor import FakeReactor
from twisted.internet.defer import Deferred, succeed
from twisted.logger import globalLogPublisher

from twistnotify.config.model import Settings
from twistnotify.shard.link import BATCH_TIMEOUT, Link
from twistnotify.shard.setup import PROBE

SETTINGS = Settings()


class Served:
    """Whom the link serves: notes what it is told."""

    def __init__(self) -> None:
        self.channels: list[str] = []
        self.events: list[Any] = []
        self.listened: set[str] = set()

    def wanted_channels(self) -> list[str]:
        return self.channels

    def received(self, notifies: Sequence[Any]) -> None:
        self.events.append([each.payload for each in notifies])

    def read_done(self) -> None:
        pass

    def link_up(self, channels: set[str]) -> None:
        self.listened = channels
        self.events.append("up")

    def listened_count(self) -> int:
        return len(self.listened)

    def link_down(self) -> None:
        self.events.append("down")


class Linked:
    """A link to a fake server."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, settings: Settings = SETTINGS) -> None:
        self.reactor = FakeReactor()
        self.postgres = FakePostgres().install(monkeypatch)
        self.served = Served()
        self.asked: list[Deferred[dict[str, str]]] = []
        self.conninfo: Any = lambda: succeed({"host": "/run", "user": "u"})
        self.link = Link(self.reactor, "app", lambda: self.conninfo(), settings, Random(3), self.served)

    def start(self) -> Linked:
        self.link.start()
        self.reactor.settle()
        return self

    def ends_clean(self) -> None:
        """Stop; nothing may be left."""
        self.link.stop()
        self.reactor.settle()
        assert self.reactor.getDelayedCalls() == []
        assert self.reactor.getReaders() == []
        assert self.reactor.getWriters() == []
        assert self.link.connection is None
        assert not self.link.free


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Linked:
    return Linked(monkeypatch)


@pytest.fixture
def linked(made: Linked) -> Linked:
    return made.start()


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Everything that is logged, as text."""
    events: list[str] = []

    def observe(event: Any) -> None:
        events.append((event.get("log_format") or "").format_map(event))

    globalLogPublisher.addObserver(observe)
    yield events
    globalLogPublisher.removeObserver(observe)


def test_it_connects_sets_up_and_listens_before_it_is_up(made: Linked) -> None:
    made.served.channels = ["b", "a"]
    made.start()

    setup, listens = made.postgres.backend.queries
    assert setup.endswith("SELECT pg_backend_pid()")
    assert listens == 'LISTEN "a";LISTEN "b"'
    assert made.served.events == ["up"]
    assert made.served.listened == {"a", "b"}
    assert made.link.backend_pid == 1001
    assert made.link.free
    made.ends_clean()


def test_it_tells_postgresql_who_it_is(linked: Linked) -> None:
    (keywords,) = linked.postgres.attempts

    assert keywords["application_name"] == "twistnotify/app"
    assert keywords["client_encoding"] == "UTF8"
    assert (keywords["host"], keywords["user"]) == ("/run", "u")


def test_the_configuration_may_set_the_socket_options(made: Linked) -> None:
    made.conninfo = lambda: succeed({"host": "/run", "keepalives_idle": "7"})
    made.start()

    assert made.postgres.attempts[0]["keepalives_idle"] == "7"
    assert made.postgres.attempts[0]["keepalives_count"] == "4"


def test_no_query_is_possible_before_it_is_up(made: Linked) -> None:
    assert not made.link.free
    made.postgres.hangs = True
    made.start()
    assert not made.link.free
    made.ends_clean()


def test_it_is_not_free_while_a_query_runs(linked: Linked) -> None:
    linked.postgres.holds = True
    answers: list[Any] = []
    linked.link.query("LISTEN x").addCallback(answers.append)

    assert not linked.link.free
    linked.postgres.answer()
    linked.reactor.settle()
    assert linked.link.free
    assert answers == [[]]
    linked.ends_clean()


@pytest.mark.parametrize(
    "error", [psycopg2.OperationalError("refused"), OSError("no such folder"), psycopg2.ProgrammingError("bad option")]
)
def test_a_failed_attempt_is_followed_by_another_for_ever(made: Linked, error: Exception) -> None:
    made.postgres.refuses = error
    made.start()

    made.reactor.wait(300)

    assert len(made.postgres.attempts) > 300 / SETTINGS.server_login_retry_max
    made.postgres.refuses = None
    made.reactor.wait(SETTINGS.server_login_retry_max)
    assert made.served.events == ["up"]
    made.ends_clean()


def test_an_error_that_nobody_thought_of_is_logged_and_tried_again(made: Linked, log: list[str]) -> None:
    made.postgres.refuses = ZeroDivisionError("odd")
    made.start()

    assert "shard app: connecting failed" in log
    made.postgres.refuses = None
    made.reactor.wait(SETTINGS.server_login_retry)
    assert made.served.events == ["up"]


def test_the_delays_grow_with_jitter_and_begin_anew_after_a_success(made: Linked) -> None:
    made.postgres.refuses = psycopg2.OperationalError("refused")
    made.start()
    delays = []
    for _ in range(12):
        (call,) = made.reactor.getDelayedCalls()
        delays.append(call.getTime() - made.reactor.seconds())
        made.reactor.wait(delays[-1])

    limits = [min(SETTINGS.server_login_retry * 2**n, SETTINGS.server_login_retry_max) for n in range(12)]
    assert all(0 <= delay <= limit for delay, limit in zip(delays, limits, strict=True))
    assert max(delays) > 1
    assert len(set(delays)) == 12
    made.postgres.refuses = None
    made.reactor.wait(SETTINGS.server_login_retry_max)
    made.postgres.lose()
    made.reactor.turn()
    assert made.link._retry._call.getTime() - made.reactor.seconds() <= SETTINGS.server_login_retry


def test_one_deadline_covers_the_name_the_log_in_and_the_listens(made: Linked) -> None:
    made.served.channels = ["a"]
    made.postgres.hangs = True
    made.start()
    made.reactor.wait(SETTINGS.server_connect_timeout / 2)
    made.postgres.hangs = False
    made.postgres.holds = True
    made.reactor.settle()
    made.postgres.answer()
    made.reactor.settle()
    assert made.postgres.backend.running == 'LISTEN "a"'

    made.reactor.wait(SETTINGS.server_connect_timeout / 2 - 0.1)
    assert len(made.postgres.attempts) == 1
    made.postgres.holds = False
    made.reactor.wait(0.1 + SETTINGS.server_login_retry)

    assert len(made.postgres.attempts) == 2
    assert made.served.events == ["up"]
    assert len(made.postgres.backends) == 1
    made.ends_clean()


def test_an_address_that_does_not_come_is_not_waited_for_longer_than_the_deadline(made: Linked) -> None:
    waiting: list[Deferred[dict[str, str]]] = []

    def conninfo() -> Deferred[dict[str, str]]:
        waiting.append(Deferred())
        return waiting[-1]

    made.conninfo = conninfo
    made.start()
    made.reactor.wait(SETTINGS.server_connect_timeout + SETTINGS.server_login_retry)

    assert len(waiting) == 2
    made.ends_clean()


def test_an_error_while_setting_up_ends_the_connection(made: Linked) -> None:
    made.postgres.holds = True
    made.start()
    made.postgres.refuse("42501", "permission denied")
    made.reactor.settle()

    assert made.postgres.backends == []
    assert made.served.events == []
    made.postgres.holds = False
    made.reactor.wait(SETTINGS.server_login_retry)
    assert made.served.events == ["up"]
    made.ends_clean()


def test_an_end_while_setting_up_is_an_attempt_that_failed(made: Linked) -> None:
    made.postgres.holds = True
    made.start()
    made.postgres.lose()
    made.reactor.settle()

    assert made.served.events == []
    made.postgres.holds = False
    made.reactor.wait(SETTINGS.server_login_retry)
    assert made.served.events == ["up"]
    made.ends_clean()


def test_a_lost_connection_is_told_and_made_again(linked: Linked) -> None:
    linked.served.channels = ["a"]
    linked.postgres.lose()
    linked.reactor.turn()

    assert linked.served.events == ["up", "down"]
    assert not linked.link.free
    linked.reactor.wait(SETTINGS.server_login_retry)
    assert linked.served.events == ["up", "down", "up"]
    assert linked.link.backend_pid == 1002
    linked.ends_clean()


def test_it_is_asked_what_it_listens_to_at_intervals(linked: Linked) -> None:
    linked.reactor.wait(3 * SETTINGS.listen_check_interval)

    assert linked.postgres.queries == [PROBE] * 3
    assert linked.served.events == ["up"]
    linked.ends_clean()


@pytest.mark.parametrize("off", [-1, 1])
def test_a_connection_that_listens_to_other_channels_than_it_should_is_made_anew(
    made: Linked, log: list[str], off: int
) -> None:
    made.served.channels = ["a", "b"]
    made.start()
    made.postgres.miscounts = off
    made.reactor.wait(SETTINGS.listen_check_interval)
    made.postgres.miscounts = 0

    assert made.served.events[:2] == ["up", "down"]
    assert any(f"listens to {2 + off} channels instead of 2" in line for line in log)
    made.reactor.wait(SETTINGS.server_login_retry)
    assert made.served.events == ["up", "down", "up"]
    made.ends_clean()


def test_a_check_that_is_not_answered_in_time_ends_the_connection(linked: Linked) -> None:
    linked.postgres.holds = True
    linked.reactor.wait(SETTINGS.listen_check_interval + SETTINGS.listen_check_timeout - 0.1)
    assert linked.served.events == ["up"]
    linked.postgres.holds = False
    linked.reactor.wait(0.1 + SETTINGS.server_login_retry)

    assert linked.served.events == ["up", "down", "up"]
    linked.ends_clean()


def test_a_check_that_fails_is_no_trouble(linked: Linked) -> None:
    linked.postgres.holds = True
    linked.reactor.wait(SETTINGS.listen_check_interval)
    linked.postgres.refuse("57014")
    linked.postgres.holds = False
    linked.reactor.wait(SETTINGS.listen_check_timeout)

    assert linked.served.events == ["up"]
    linked.ends_clean()


def test_a_query_that_runs_is_not_disturbed_by_a_check(linked: Linked) -> None:
    linked.postgres.holds = True
    linked.link.query("LISTEN x")

    linked.reactor.wait(3 * SETTINGS.listen_check_interval)

    assert linked.postgres.queries == ["LISTEN x"]
    assert linked.served.events == ["up"]
    linked.ends_clean()


def test_queries_that_are_answered_may_go_on_for_ever(linked: Linked) -> None:
    linked.postgres.holds = True
    for _ in range(20):
        linked.link.query("LISTEN x")
        linked.reactor.wait(SETTINGS.listen_check_interval)
        linked.postgres.answer()
        linked.reactor.settle()

    assert linked.served.events == ["up"]
    linked.ends_clean()


def test_a_query_that_is_never_answered_ends_the_connection(linked: Linked) -> None:
    linked.postgres.holds = True
    failures: list[Any] = []
    linked.link.query("LISTEN x").addErrback(failures.append)
    linked.reactor.wait(BATCH_TIMEOUT - SETTINGS.listen_check_interval)
    assert linked.served.events == ["up"]

    linked.postgres.holds = False
    linked.reactor.wait(3 * SETTINGS.listen_check_interval)

    assert failures
    assert linked.served.events == ["up", "down", "up"]
    linked.ends_clean()


def test_a_stop_before_the_start_is_no_trouble(made: Linked) -> None:
    made.ends_clean()


def test_a_stop_while_waiting_for_the_address_leaves_nothing(made: Linked) -> None:
    made.conninfo = Deferred
    made.start()

    made.ends_clean()


def test_a_stop_while_logging_in_leaves_nothing(made: Linked) -> None:
    made.postgres.hangs = True
    made.start()

    made.ends_clean()
    assert made.postgres.backends == []


def test_a_stop_while_setting_up_leaves_nothing(made: Linked) -> None:
    made.postgres.holds = True
    made.start()

    made.ends_clean()
    assert made.served.events == []


def test_a_stop_while_listening_leaves_nothing(made: Linked) -> None:
    made.served.channels = ["a"]
    made.postgres.holds = True
    made.start()
    made.postgres.answer()
    made.reactor.settle()

    made.ends_clean()
    assert made.postgres.backends == []


def test_a_stop_while_up_leaves_nothing(linked: Linked) -> None:
    linked.ends_clean()
    assert linked.served.events == ["up", "down"]
    assert linked.postgres.backends == []


def test_a_stop_while_a_check_runs_leaves_nothing(linked: Linked) -> None:
    linked.postgres.holds = True
    linked.reactor.wait(SETTINGS.listen_check_interval)

    linked.ends_clean()


def test_a_stop_while_a_query_runs_leaves_nothing(linked: Linked) -> None:
    linked.postgres.holds = True
    failures: list[Any] = []
    linked.link.query("LISTEN x").addErrback(failures.append)

    linked.ends_clean()
    assert len(failures) == 1


def test_a_stop_between_two_attempts_leaves_nothing(made: Linked) -> None:
    made.postgres.refuses = psycopg2.OperationalError("refused")
    made.start()

    made.ends_clean()


def test_it_can_be_started_again(linked: Linked) -> None:
    linked.ends_clean()
    linked.start()

    assert linked.served.events == ["up", "down", "up"]
    linked.ends_clean()


def test_an_error_of_postgresql_says_so_in_the_log(made: Linked, log: list[str]) -> None:
    made.postgres.log_in = [server_error("28P01", "password\nauthentication failed")]
    made.start()

    assert any("cannot connect: password authentication failed; next attempt in" in line for line in log)
    made.ends_clean()
