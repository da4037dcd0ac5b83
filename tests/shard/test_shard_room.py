from __future__ import annotations

from typing import Any

from fakes.reactor import FakeReactor

from twistnotify.shard.room import REFUSED, Place, WaitingRoom

TIMEOUT = 120.0


class Counter:
    """A waiting room in front of a queue that takes a given number of clients."""

    def __init__(self) -> None:
        self.reactor = FakeReactor()
        self.space = 0
        self.up = True
        self.room = WaitingRoom(self.reactor, TIMEOUT, lambda: self.space == 0, lambda: self.up)
        self.told: list[tuple[str, Any]] = []

    def wait(self, name: str) -> Place:
        return self.room.wait(lambda fields: self.go_on(name, fields))

    def go_on(self, name: str, fields: Any) -> None:
        self.told.append((name, fields))
        self.space -= fields is None


def test_a_newcomer_goes_on_where_there_is_room_and_nobody_waits() -> None:
    counter = Counter()
    assert not counter.room.open
    counter.space = 1
    assert counter.room.open
    counter.wait("first")

    assert not counter.room.open


def test_who_came_first_goes_on_first() -> None:
    counter = Counter()
    for name in ("first", "second", "third"):
        counter.wait(name)

    counter.room.admit()
    assert counter.told == []
    counter.space = 2
    counter.room.admit()

    assert counter.told == [("first", None), ("second", None)]
    assert len(counter.room) == 1
    counter.space = 1
    counter.room.admit()
    assert counter.told[2:] == [("third", None)]
    assert counter.reactor.getDelayedCalls() == []


def test_letting_nobody_in_is_no_trouble() -> None:
    counter = Counter()
    counter.space = 1

    counter.room.admit()

    assert counter.told == []


def test_who_is_at_the_counter_does_not_join_the_line_between_two_notifies() -> None:
    counter = Counter()
    seen: list[bool] = []
    counter.room.wait(lambda _: seen.append(counter.room.open))
    counter.wait("second")
    counter.space = 5

    counter.room.admit()

    assert seen == [True]
    assert counter.told == [("second", None)]


def test_one_that_joins_while_others_go_on_stands_behind_those_who_stay() -> None:
    counter = Counter()

    def take_all(_: object) -> None:
        counter.space = 0
        counter.wait("again")

    counter.room.wait(take_all)
    counter.wait("second")
    counter.space = 3
    counter.room.admit()
    counter.space = 2
    counter.room.admit()

    assert [name for name, _ in counter.told] == ["second", "again"]


def test_nobody_is_refused_while_the_shard_is_up_however_long_it_takes() -> None:
    counter = Counter()
    counter.wait("patient")

    counter.reactor.wait(10 * TIMEOUT)

    assert counter.told == []
    assert len(counter.room) == 1


def test_who_has_waited_for_the_timeout_is_refused_while_the_shard_is_down() -> None:
    counter = Counter()
    counter.up = False
    counter.wait("first")
    counter.reactor.wait(TIMEOUT / 2)
    counter.wait("second")

    counter.reactor.wait(TIMEOUT / 2 - 1)
    assert counter.told == []
    counter.reactor.wait(1)
    assert counter.told == [("first", REFUSED)]
    counter.reactor.wait(TIMEOUT / 2)

    assert counter.told == [("first", REFUSED), ("second", REFUSED)]
    assert len(counter.room) == 0
    assert counter.reactor.getDelayedCalls() == []


def test_who_leaves_is_told_nothing() -> None:
    counter = Counter()
    first, _ = counter.wait("first"), counter.wait("second")

    counter.room.leave(first)
    counter.room.leave(first)
    counter.space = 2
    counter.room.admit()

    assert counter.told == [("second", None)]
    assert counter.reactor.getDelayedCalls() == []


def test_one_that_leaves_while_others_go_on_is_told_nothing() -> None:
    counter = Counter()
    places: list[Place] = []
    counter.room.wait(lambda _: counter.room.leave(places[0]))
    places.append(counter.wait("second"))
    counter.wait("third")
    counter.space = 3

    counter.room.admit()

    assert counter.told == [("third", None)]
    assert len(counter.room) == 0
    assert counter.reactor.getDelayedCalls() == []


def test_letting_in_while_letting_in_keeps_the_order() -> None:
    counter = Counter()
    counter.room.wait(lambda _: (counter.told.append(("first", None)), counter.room.admit()))
    counter.wait("second")
    counter.space = 2

    counter.room.admit()

    assert [name for name, _ in counter.told] == ["first", "second"]
