from __future__ import annotations

from random import Random

from twistnotify.shard.backoff import Backoff


class Largest(Random):
    """Draws the upper end of every range."""

    def uniform(self, a: float, b: float) -> float:
        assert a == 0
        return b


def test_the_range_doubles_up_to_the_limit() -> None:
    backoff = Backoff(0.2, 5.0, Largest())

    assert [backoff.next_delay() for _ in range(7)] == [0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]


def test_it_begins_anew_after_a_reset() -> None:
    backoff = Backoff(0.2, 5.0, Largest())
    for _ in range(4):
        backoff.next_delay()

    backoff.reset()

    assert backoff.next_delay() == 0.2


def test_the_delays_are_drawn_from_the_whole_range() -> None:
    backoff = Backoff(1.0, 1.0, Random(1))

    delays = [backoff.next_delay() for _ in range(1000)]

    assert all(0 <= delay <= 1 for delay in delays)
    assert min(delays) < 0.02
    assert max(delays) > 0.98
