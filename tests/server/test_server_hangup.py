from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from fakes.reactor import FakeReactor

from twistnotify.server.hangup import INTERVAL, HangupWatch


class Paused:
    """A client that is not read from, on a real socket."""

    def __init__(self) -> None:
        self.here, self.peer = socket.socketpair()
        self.stalled = True
        self.stalls = 1
        self.hung = 0

    def fileno(self) -> int:
        return self.here.fileno()

    def hung_up(self) -> None:
        self.hung += 1


@pytest.fixture
def client() -> Iterator[Paused]:
    paused = Paused()
    yield paused
    paused.here.close()
    paused.peer.close()


@pytest.fixture
def reactor() -> FakeReactor:
    return FakeReactor()


@pytest.fixture
def watch(reactor: FakeReactor) -> HangupWatch:
    return HangupWatch(reactor)


def test_one_that_closes_is_noticed(reactor: FakeReactor, watch: HangupWatch, client: Paused) -> None:
    watch.watch(client)
    reactor.wait(3 * INTERVAL)
    assert client.hung == 0

    client.peer.close()
    reactor.wait(INTERVAL)

    assert client.hung == 1


def test_one_that_only_closes_its_side_is_noticed_too(reactor: FakeReactor, watch: HangupWatch, client: Paused) -> None:
    watch.watch(client)
    client.peer.shutdown(socket.SHUT_WR)
    reactor.wait(2 * INTERVAL)

    assert client.hung == 1


def test_unread_data_is_not_an_end(reactor: FakeReactor, watch: HangupWatch, client: Paused) -> None:
    watch.watch(client)
    client.peer.send(b"unread")
    reactor.wait(5 * INTERVAL)

    assert client.hung == 0


def test_one_that_goes_from_pause_to_pause_is_given_time(
    reactor: FakeReactor, watch: HangupWatch, client: Paused
) -> None:
    client.peer.close()
    watch.watch(client)
    for _ in range(5):
        reactor.wait(INTERVAL)
        client.stalls += 1
    assert client.hung == 0

    reactor.wait(2 * INTERVAL)

    assert client.hung > 0


def test_one_that_goes_on_is_no_longer_looked_after(reactor: FakeReactor, watch: HangupWatch, client: Paused) -> None:
    watch.watch(client)
    client.stalled = False
    client.peer.close()
    reactor.wait(2 * INTERVAL)

    assert client.hung == 0
    assert len(watch) == 0
    assert reactor.getDelayedCalls() == []


def test_one_that_is_forgotten_is_no_longer_looked_after(
    reactor: FakeReactor, watch: HangupWatch, client: Paused
) -> None:
    watch.watch(client)
    watch.forget(client)
    watch.forget(client)
    client.peer.close()
    reactor.wait(2 * INTERVAL)

    assert client.hung == 0
    assert reactor.getDelayedCalls() == []


def test_a_closed_descriptor_is_passed_over(reactor: FakeReactor, watch: HangupWatch, client: Paused) -> None:
    watch.watch(client)
    client.here.close()
    reactor.wait(3 * INTERVAL)

    assert client.hung == 0
    watch.stop()
    assert reactor.getDelayedCalls() == []
    assert len(watch) == 0
