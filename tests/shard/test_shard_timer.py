from __future__ import annotations

from twisted.internet.task import Clock

from twistnotify.shard.timer import Timer


def test_it_calls_once_after_the_delay() -> None:
    clock, calls = Clock(), []
    timer = Timer(clock, lambda: calls.append(clock.seconds()))

    timer.start(3)
    assert timer.running
    clock.advance(2.9)
    assert calls == []
    clock.advance(0.1)
    clock.advance(10)

    assert calls == [3.0]
    assert not timer.running


def test_a_start_sets_the_time_anew() -> None:
    clock, calls = Clock(), []
    timer = Timer(clock, lambda: calls.append(clock.seconds()))

    timer.start(3)
    clock.advance(2)
    timer.start(3)
    clock.advance(2)
    assert calls == []
    clock.advance(1)

    assert calls == [5.0]


def test_a_stop_leaves_nothing_on_the_clock() -> None:
    clock = Clock()
    timer = Timer(clock, lambda: None)

    timer.stop()
    timer.start(3)
    timer.stop()

    assert clock.getDelayedCalls() == []
    assert not timer.running


def test_it_may_start_itself_again() -> None:
    clock, calls = Clock(), []

    def again() -> None:
        calls.append(clock.seconds())
        timer.start(1)

    timer = Timer(clock, again)
    timer.start(1)
    clock.pump([1, 1, 1])

    assert calls == [1.0, 2.0, 3.0]
