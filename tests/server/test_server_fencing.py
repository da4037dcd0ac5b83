from __future__ import annotations

from fakes.reactor import FakeReactor

from twistnotify.server.fencing import FenceWait
from twistnotify.shard.fence import Fence

TIMEOUT = 1.0


class Waiting:
    """A client that waits at the fences of two shards."""

    def __init__(self) -> None:
        self.reactor = FakeReactor()
        self.fences = [Fence(), Fence()]
        self.passed = 0
        places = [(fence, fence.accept([("c", "x")], {"c"})) for fence in self.fences]
        self.wait = FenceWait(self.reactor, places, TIMEOUT, self.go_on)

    def go_on(self) -> None:
        self.passed += 1

    def assert_nothing_is_left(self) -> None:
        assert self.reactor.getDelayedCalls() == []
        assert all(fence._waits == [] for fence in self.fences)


def test_it_waits_for_all_fences() -> None:
    waiting = Waiting()

    waiting.fences[0].answer(1)
    assert waiting.passed == 0
    waiting.fences[1].answer(1)

    assert waiting.passed == 1
    waiting.assert_nothing_is_left()


def test_it_waits_no_longer_than_the_timeout() -> None:
    waiting = Waiting()
    waiting.fences[0].answer(1)
    waiting.reactor.wait(TIMEOUT - 0.1)
    assert waiting.passed == 0

    waiting.reactor.wait(0.1)

    assert waiting.passed == 1
    waiting.assert_nothing_is_left()
    waiting.fences[1].answer(1)
    assert waiting.passed == 1


def test_one_that_is_cancelled_is_never_passed() -> None:
    waiting = Waiting()

    waiting.wait.cancel()

    waiting.assert_nothing_is_left()
    waiting.fences[0].answer(1)
    waiting.fences[1].answer(1)
    assert waiting.passed == 0


def test_one_that_is_cancelled_at_the_last_moment_is_never_passed() -> None:
    waiting = Waiting()
    waiting.fences[0].answer(1)
    waiting.fences[1].wait(1, waiting.wait.cancel)
    waiting.fences[1]._waits.reverse()

    waiting.fences[1].answer(1)

    assert waiting.passed == 0
    waiting.assert_nothing_is_left()
