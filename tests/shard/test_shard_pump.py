from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from fakes.reactor import FakeReactor
from fakes.world import FakeListener

from twistnotify.pubsub import hub as hub_module
from twistnotify.pubsub.hub import Hub
from twistnotify.server.flush import FlushList
from twistnotify.shard.pump import Pump
from twistnotify.wire.notification import notification_frame

SLICE = 0.005


class Line:
    """A pump with one listener on channel c, whose every step takes `step` seconds."""

    def __init__(self, step: float = 0.0) -> None:
        self.reactor = FakeReactor()
        self.flushes = 0
        self.flush_list = FlushList(self.reactor, 1.0)
        self.hub = Hub(lambda frame, encoding: frame, lambda outbox, error: None)
        self.listener = FakeListener(self.flush_list)
        self.hub.subscribe(self.listener.outbox, "c")
        self.pump = Pump(self.reactor, self.hub, self.flush, SLICE)
        self.step = step
        self.called: list[Any] = []

    def flush(self) -> None:
        self.flushes += 1
        self.flush_list.flush()

    def batch(self, *payloads: str) -> None:
        self.pump.put([("c", notification_frame(1, "c", payload)) for payload in payloads])

    def call(self, name: object) -> None:
        self.pump.call_behind(self.taking_time(lambda: self.called.append(name)))

    def taking_time(self, function: Callable[[], None]) -> Callable[[], None]:
        def call() -> None:
            function()
            self.reactor.rightNow += self.step

        return call

    def heard(self) -> list[str]:
        return [payload for _, payload in self.listener.heard()]


def test_nothing_moves_until_it_is_run() -> None:
    line = Line()
    line.batch("1")
    line.call("behind")
    assert line.heard() == []

    line.pump.run()

    assert line.heard() == ["1"]
    assert line.called == ["behind"]


def test_running_an_empty_line_flushes_nothing() -> None:
    line = Line()

    line.pump.run()

    assert line.flushes == 0


def test_batches_reach_the_clients_in_the_order_of_their_arrival() -> None:
    line = Line()
    line.batch("1", "2")
    line.batch("3")

    line.pump.run()

    assert line.heard() == ["1", "2", "3"]
    assert line.flushes == 1


def test_what_was_queued_behind_a_batch_is_called_when_the_batch_is_in_the_outboxes() -> None:
    line = Line()
    seen: list[int] = []
    line.batch("1", "2")
    line.pump.call_behind(lambda: seen.append(len(line.listener.outbox)))
    line.batch("3")
    line.pump.call_behind(lambda: seen.append(len(line.listener.outbox)))

    line.pump.run()

    size = len(notification_frame(1, "c", "1"))
    assert seen == [2 * size, 3 * size]


def test_what_is_put_while_it_runs_comes_behind_and_in_the_same_run() -> None:
    line = Line()

    def more() -> None:
        line.batch("2")
        line.call("last")
        line.pump.run()
        assert line.heard() == []

    line.batch("1")
    line.pump.call_behind(more)
    line.call("before")
    line.pump.run()

    assert line.heard() == ["1", "2"]
    assert line.called == ["before", "last"]


def test_a_slice_that_is_used_up_leaves_the_rest_to_the_next_turn() -> None:
    line = Line(step=SLICE / 2)
    for number in range(6):
        line.call(number)

    line.pump.run()
    assert line.called == [0, 1]
    assert line.flushes == 1
    line.pump.run()
    assert line.called == [0, 1]
    line.reactor.advance(0)
    assert line.called == [0, 1, 2, 3]
    line.reactor.advance(0)
    assert line.called == [0, 1, 2, 3, 4, 5]
    assert line.reactor.getDelayedCalls() == []


def test_a_large_batch_goes_on_where_it_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    line = Line()
    others = [FakeListener(line.flush_list) for _ in range(3)]
    for other in others:
        # Listeners of two channels are given frame by frame.
        line.hub.subscribe(other.outbox, "c")
        line.hub.subscribe(other.outbox, "d")
    monkeypatch.setattr(hub_module, "DISPATCH_BUDGET", 2)
    monkeypatch.setattr(line.hub, "dispatch", _slow(line))
    payloads = [str(number) for number in range(10)]
    line.batch(*payloads)
    line.call("behind")

    line.pump.run()
    assert line.called == []
    assert 0 < len(others[0].heard()) < 10
    line.reactor.settle()

    assert line.called == ["behind"]
    assert line.heard() == payloads


def _slow(line: Line) -> Callable[..., int]:
    dispatch = line.hub.dispatch

    def slow(batch: Any, start: int) -> int:
        line.reactor.rightNow += SLICE
        return dispatch(batch, start)

    return slow


def test_a_batch_for_nobody_is_gone_through_all_the_same() -> None:
    line = Line()
    line.pump.put([("nobody", b"x")])
    line.call("behind")

    line.pump.run()

    assert line.called == ["behind"]
