"""Work of many rounds: in threads, no more than can be done, and none that nobody waits for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from fakes.reactor import FakeReactor
from twisted.internet.defer import CancelledError, Deferred

from twistnotify.auth.scram_keys import QUICK_ITERATIONS
from twistnotify.server.derivations import MAX_WAITING, Derivations, TooManyDerivations

SLOW = QUICK_ITERATIONS + 1


class Pool:
    """A pool whose work is done when a test says so."""

    def __init__(self) -> None:
        self.work: list[Callable[[], None]] = []
        self.state = ""

    def start(self) -> None:
        self.state += "start "

    def stop(self) -> None:
        self.state += "stop"

    def callInThreadWithCallback(self, told: Any, function: Callable[[], Any]) -> None:  # noqa: N802
        self.work.append(lambda: told(True, function()))


@pytest.fixture
def pool() -> Pool:
    return Pool()


@pytest.fixture
def derivations(pool: Pool) -> Derivations:
    return Derivations(FakeReactor(), pool)


def outcomes(*waiting: Deferred[Any]) -> list[Any]:
    found: list[Any] = []
    for each in waiting:
        each.addCallbacks(found.append, lambda failure: found.append(failure.type))
    return found


def test_what_is_quick_is_done_at_once(derivations: Derivations, pool: Pool) -> None:
    assert outcomes(derivations.do(QUICK_ITERATIONS, lambda: "done")) == ["done"]
    assert (pool.work, pool.state) == ([], "")


def test_what_is_not_is_done_in_a_thread(derivations: Derivations, pool: Pool) -> None:
    found = outcomes(derivations.do(SLOW, lambda: "done"), derivations.do_aside(lambda: "aside"))
    assert (found, derivations.waiting) == ([], 2)
    for work in pool.work:
        work()
    assert (found, derivations.waiting) == (["done", "aside"], 0)
    assert pool.state == "start "


def test_no_more_wait_than_the_bound(derivations: Derivations, pool: Pool) -> None:
    waiting = [derivations.do(SLOW, lambda: "done") for _ in range(MAX_WAITING)]
    assert outcomes(derivations.do(SLOW, lambda: "done")) == [TooManyDerivations]
    assert outcomes(derivations.do(1, lambda: "quick")) == ["quick"]
    for work in pool.work:
        work()
    assert outcomes(*waiting) == ["done"] * MAX_WAITING


def test_what_nobody_waits_for_is_not_begun(derivations: Derivations, pool: Pool) -> None:
    begun: list[str] = []
    waiting = derivations.do(SLOW, lambda: begun.append("begun"))
    found = outcomes(waiting)
    waiting.cancel()
    pool.work[0]()
    assert (found, begun, derivations.waiting) == ([CancelledError], [], 0)


def test_nothing_is_begun_after_the_end(derivations: Derivations, pool: Pool) -> None:
    derivations.do_aside(lambda: "done")
    derivations.stop()
    assert outcomes(derivations.do(SLOW, lambda: "done")) == [TooManyDerivations]
    assert pool.state == "start stop"


def test_threads_that_were_never_needed_need_no_end(derivations: Derivations, pool: Pool) -> None:
    derivations.stop()
    assert pool.state == ""
