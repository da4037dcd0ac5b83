"""One timer tells everybody who has been idle for long, in time and once."""

from __future__ import annotations

from dataclasses import dataclass, field

from twisted.internet.task import Clock

from twistnotify.server.idle import IdleWatch


@dataclass(eq=False)
class Sleeper:
    """Somebody idle; `at` are the times at which it was called back."""

    clock: Clock
    at: list[float] = field(default_factory=list)

    def rested(self) -> None:
        self.at.append(self.clock.seconds())


def test_who_is_idle_for_long_is_called_back_once() -> None:
    clock = Clock()
    watch, sleeper = IdleWatch(clock), Sleeper(clock)
    watch.rest(sleeper, 5.0)
    clock.pump([4.9, 0.1, 10.0])
    assert sleeper.at == [5.0]
    assert clock.getDelayedCalls() == []


def test_who_wakes_up_is_not() -> None:
    clock = Clock()
    watch, sleeper = IdleWatch(clock), Sleeper(clock)
    watch.rest(sleeper, 5.0)
    watch.wake(sleeper)
    watch.wake(sleeper)
    clock.advance(10.0)
    assert sleeper.at == []
    assert clock.getDelayedCalls() == []


def test_the_time_begins_anew_without_another_timer() -> None:
    clock = Clock()
    watch, sleeper = IdleWatch(clock), Sleeper(clock)
    watch.rest(sleeper, 5.0)
    clock.advance(3.0)
    watch.rest(sleeper, 5.0)
    assert [call.getTime() for call in clock.getDelayedCalls()] == [5.0]
    clock.pump([2.0, 2.9, 0.1])
    assert sleeper.at == [8.0]


def test_each_has_its_own_time() -> None:
    clock = Clock()
    watch = IdleWatch(clock)
    long, short, middle = (Sleeper(clock) for _ in range(3))
    watch.rest(long, 9.0)
    watch.rest(short, 2.0)
    watch.rest(middle, 5.0)
    assert len(watch) == 3
    clock.pump([1.0] * 10)
    assert (long.at, short.at, middle.at) == ([9.0], [2.0], [5.0])
    assert len(watch) == 0


def test_who_is_called_back_may_rest_again() -> None:
    clock = Clock()
    watch, sleeper = IdleWatch(clock), Sleeper(clock)
    watch.rest(sleeper, 5.0)
    clock.advance(5.0)
    watch.rest(sleeper, 5.0)
    clock.advance(5.0)
    assert sleeper.at == [5.0, 10.0]


def test_nobody_is_called_back_after_the_end() -> None:
    clock = Clock()
    watch, sleeper = IdleWatch(clock), Sleeper(clock)
    watch.rest(sleeper, 5.0)
    watch.stop()
    assert clock.getDelayedCalls() == []
    assert len(watch) == 0
