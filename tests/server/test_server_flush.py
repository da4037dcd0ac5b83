from __future__ import annotations

from fakes.reactor import FakeReactor

from twistnotify.pubsub.outbox import Outbox
from twistnotify.server.flush import CLOCK_INTERVAL, FlushList

SLICE = 0.005


class Owner:
    """An owner of an outbox whose flush takes some time."""

    def __init__(self, clients: Clients, takes: float) -> None:
        self.clients = clients
        self.takes = takes
        self.outbox = Outbox(self, clients.flush_list)

    def flush(self) -> None:
        self.outbox.dirty = False
        self.outbox.take()
        self.clients.flushed.append(self)
        self.clients.reactor.rightNow += self.takes


class Clients:
    """Clients who all have something to write."""

    def __init__(self, count: int, takes: float = 0.0) -> None:
        self.reactor = FakeReactor()
        self.flush_list = FlushList(self.reactor, SLICE)
        self.flushed: list[Owner] = []
        self.owners = [Owner(self, takes) for _ in range(count)]
        for owner in self.owners:
            owner.outbox.deliver(b"x")


def test_an_outbox_is_on_the_list_once_however_much_it_takes() -> None:
    clients = Clients(1)
    clients.owners[0].outbox.deliver(b"more")

    assert len(clients.flush_list) == 1


def test_all_are_flushed_in_the_order_in_which_they_took_something() -> None:
    clients = Clients(50)

    clients.flush_list.flush()

    assert clients.flushed == clients.owners
    assert clients.reactor.getDelayedCalls() == []


def test_an_empty_list_is_no_work() -> None:
    clients = Clients(0)

    clients.flush_list.flush()

    assert clients.reactor.getDelayedCalls() == []


def test_who_comes_after_the_slice_is_flushed_in_a_later_turn() -> None:
    clients = Clients(4 * CLOCK_INTERVAL, takes=SLICE / CLOCK_INTERVAL)

    clients.flush_list.flush()
    assert len(clients.flushed) == CLOCK_INTERVAL
    clients.flush_list.flush()
    assert len(clients.flushed) == CLOCK_INTERVAL
    clients.reactor.turn()
    assert len(clients.flushed) == 2 * CLOCK_INTERVAL
    clients.reactor.settle()

    assert clients.flushed == clients.owners
    assert clients.reactor.getDelayedCalls() == []


def test_who_takes_something_while_the_list_is_walked_is_flushed_too() -> None:
    clients = Clients(1)
    late = Owner(clients, 0)
    clients.owners[0].flush = lambda: late.outbox.deliver(b"x")  # type: ignore[method-assign]

    clients.flush_list.flush()

    assert clients.flushed == [late]
