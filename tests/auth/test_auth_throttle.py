"""Whoever fails too often has to wait, and cannot talk his way out of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twistnotify.auth import throttle as module
from twistnotify.auth.throttle import MAX_TRACKED, Throttle

KEY = ("192.0.2.1", "app")
OTHER = ("192.0.2.1", "web")


def throttle_of(limit: int = 3, window: float = 60, block: float = 300) -> Throttle:
    return Throttle(limit, window, block)


def blocked_at(now: float, *keys: object, limit: int = 3) -> Throttle:
    throttle = throttle_of(limit)
    for key in keys:
        for _ in range(limit):
            throttle.note_failure(key, now)
    return throttle


# A block


def test_the_last_failure_of_the_limit_begins_a_block() -> None:
    throttle = throttle_of(3)
    assert [throttle.note_failure(KEY, now) for now in (0, 1, 2)] == [False, False, True]
    assert throttle.is_blocked(KEY, 2)


def test_before_it_nobody_has_to_wait() -> None:
    throttle = throttle_of(3)
    throttle.note_failure(KEY, 0)
    throttle.note_failure(KEY, 0)
    assert not throttle.is_blocked(KEY, 0)


def test_a_limit_of_one_blocks_at_once() -> None:
    assert throttle_of(1).note_failure(KEY, 0)


def test_a_limit_of_zero_blocks_nobody_and_remembers_nothing() -> None:
    throttle = throttle_of(0)
    assert not any(throttle.note_failure(KEY, 0) for _ in range(100))
    assert not throttle.is_blocked(KEY, 0)
    assert len(throttle) == 0


def test_keys_do_not_count_for_each_other() -> None:
    throttle = throttle_of(2)
    assert not throttle.note_failure(KEY, 0)
    assert not throttle.note_failure(OTHER, 0)
    assert throttle.note_failure(KEY, 0)
    assert not throttle.is_blocked(OTHER, 0)


def test_a_block_ends() -> None:
    throttle = blocked_at(10, KEY)
    assert throttle.is_blocked(KEY, 309.9)
    assert not throttle.is_blocked(KEY, 310)


def test_failures_during_a_block_do_not_lengthen_it() -> None:
    throttle = blocked_at(0, KEY)
    assert not any(throttle.note_failure(KEY, 299) for _ in range(10))
    assert not throttle.is_blocked(KEY, 300)


def test_after_a_block_the_count_begins_anew() -> None:
    throttle = blocked_at(0, KEY)
    assert [throttle.note_failure(KEY, now) for now in (300, 301, 302)] == [False, False, True]
    assert throttle.is_blocked(KEY, 601.9)


# A window


def test_failures_of_different_windows_do_not_add_up() -> None:
    throttle = throttle_of(3)
    assert not any(throttle.note_failure(KEY, now) for now in (0, 59, 60, 61))


def test_a_window_begins_with_the_first_failure_whatever_comes_between() -> None:
    throttle = throttle_of(3)
    throttle.note_failure(KEY, 0)
    throttle.note_failure(OTHER, 30)
    throttle.note_failure(KEY, 59)
    assert not throttle.note_failure(KEY, 61)
    assert not throttle.note_failure(KEY, 62)
    assert throttle.note_failure(KEY, 63)


@given(st.lists(st.integers(0, 40), min_size=1, max_size=60), st.integers(1, 5))
def test_no_stretch_as_long_as_a_window_has_twice_the_limit(pauses: list[int], limit: int) -> None:
    throttle, now, failures = throttle_of(limit, 60, 60), 0, []
    for pause in pauses:
        now += pause
        if not throttle.is_blocked(KEY, now):
            throttle.note_failure(KEY, now)
            failures.append(now)
    assert all(sum(start <= failure < start + 60 for failure in failures) < 2 * limit for start in failures)


# Forgetting


def test_success_forgives() -> None:
    throttle = throttle_of(2)
    throttle.note_failure(KEY, 0)
    throttle.forgive(KEY)
    assert not throttle.note_failure(KEY, 0)
    assert throttle.note_failure(KEY, 0)
    throttle.forgive(KEY)
    assert not throttle.is_blocked(KEY, 0)
    assert len(throttle) == 0


def test_forgiving_a_stranger_is_nothing() -> None:
    throttle = throttle_of()
    throttle.forgive(KEY)
    assert len(throttle) == 0


def test_what_is_over_is_forgotten_with_the_next_failure() -> None:
    throttle = blocked_at(0, "a", "b")
    throttle.note_failure("c", 0)
    assert len(throttle) == 3
    throttle.note_failure("d", 60)
    assert len(throttle) == 3
    throttle.note_failure("e", 300)
    assert len(throttle) == 1


def test_made_up_keys_do_not_lift_a_block() -> None:
    throttle = blocked_at(0, KEY)
    for number in range(MAX_TRACKED + 10):
        throttle.note_failure(number, 1)
    assert throttle.is_blocked(KEY, 2)
    assert len(throttle) == MAX_TRACKED + 1


def test_the_oldest_count_is_the_first_to_be_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_TRACKED", 2)
    throttle = throttle_of(2)
    for key in ("a", "b", "c"):
        throttle.note_failure(key, 0)
    assert throttle.note_failure("c", 0)
    assert throttle.note_failure("b", 0)
    assert not throttle.note_failure("a", 0)


def test_the_oldest_block_is_the_first_to_be_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_TRACKED", 2)
    throttle = blocked_at(0, "a", "b", "c")
    assert [throttle.is_blocked(key, 0) for key in "abc"] == [False, True, True]


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 30)), max_size=80), st.integers(1, 3))
def test_it_does_what_a_plain_list_of_failures_says(steps: list[tuple[int, int]], limit: int) -> None:
    throttle, now = throttle_of(limit, 20, 50), 0
    starts: dict[int, list[int]] = {}
    until: dict[int, int] = {}
    for key, pause in steps:
        now += pause
        assert throttle.is_blocked(key, now) == (now < until.get(key, 0))
        counted = [] if not starts.get(key) or now >= starts[key][0] + 20 else starts[key]
        begins = now >= until.get(key, 0) and len(counted) + 1 == limit
        assert throttle.note_failure(key, now) == begins
        if begins:
            until[key], starts[key] = now + 50, []
        elif now >= until.get(key, 0):
            starts[key] = [*counted, now]
