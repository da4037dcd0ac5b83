"""TLS in front of a client: it writes straight to the socket, and nothing is left of a client that has gone."""

from __future__ import annotations

from pathlib import Path

import pytest
from fakes.fixtures import MakeWorld
from fakes.tls import FakeTlsClient, server_tls, tls_world
from fakes.world import World

from twistnotify.server.encryption import Outside


@pytest.fixture
def secured(make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> World:
    return tls_world(make_world, server_tls(tmp_path), {})


def logged_in(world: World) -> FakeTlsClient:
    client = FakeTlsClient(world)
    client.secure()
    return client


def outside_of(client: FakeTlsClient) -> Outside:
    outside = client.protocol.transport.transport
    assert isinstance(outside, Outside)
    return outside


def test_what_is_gathered_is_one_write(secured: World) -> None:
    client = logged_in(secured)
    outside, kernel = outside_of(client), client.transport
    kernel.writes.clear()
    outside.gather()
    outside.write(b"a")
    outside.write(b"b")
    assert kernel.writes == []
    outside.send()
    assert kernel.writes == [2]
    outside.gather()
    outside.send()
    assert kernel.writes == [2]


def test_what_the_socket_does_not_take_is_written_behind_it_and_before_anything_else(secured: World) -> None:
    client = logged_in(secured)
    outside, kernel = outside_of(client), client.transport
    before = len(kernel.received)
    kernel.room = 3
    outside.write(b"abcde")
    outside.write(b"fg")
    kernel.room = None
    secured.reactor.settle()
    outside.write(b"h")
    assert kernel.received[before:] == b"abcdefgh"


def test_a_producer_that_comes_while_it_is_blocked_is_to_wait(secured: World) -> None:
    told: list[str] = []

    class Producer:
        def pauseProducing(self) -> None:
            told.append("pause")

        def resumeProducing(self) -> None:
            told.append("resume")

    client = logged_in(secured)
    outside, kernel = outside_of(client), client.transport
    outside.unregisterProducer()
    kernel.room = 0
    outside.write(b"abc")
    outside.registerProducer(Producer(), True)
    assert told == ["pause"]
    kernel.room = None
    secured.reactor.settle()
    assert told == ["pause", "resume"]


def test_a_client_that_goes_away_is_counted_and_leaves_nothing(secured: World) -> None:
    clients = [logged_in(secured) for _ in range(3)]
    clients[0].hang_up()
    clients[1].transport.broken = True
    clients[1].protocol.outbox.deliver(b"N\0\0\0\5\0")
    secured.flush_list.flush()
    clients[2].protocol.socket.abortConnection()
    secured.reactor.settle()

    assert all(client.gone for client in clients)
    assert sum(secured.factory.counters.disconnects.values()) == 3
    secured.assert_empty()
