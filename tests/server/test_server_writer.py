from __future__ import annotations

import pytest
from fakes.reactor import FakeReactor
from fakes.transport import FakeTransport
from typing_extensions import override

from twistnotify.pubsub.outbox import PIECE
from twistnotify.server.flush import FlushList
from twistnotify.server.writer import OutboxProtocol


class Client(OutboxProtocol):
    """A protocol that has nothing to say of its own."""

    limit = 1000

    def __init__(self) -> None:
        self.reactor = FakeReactor()
        super().__init__(FlushList(self.reactor, 1.0))
        self.overflows = 0
        self.backed: list[bool] = []
        self.makeConnection(FakeTransport(self.reactor, self))

    @override
    def overflowed(self) -> None:
        self.overflows += 1

    @override
    def backed_up(self, full: bool) -> None:
        self.backed.append(full)

    @property
    def kernel(self) -> FakeTransport:
        assert isinstance(self.transport, FakeTransport)
        return self.transport

    def deliver(self, *frames: bytes) -> None:
        for frame in frames:
            self.outbox.deliver(frame)
        self.flush()

    def drain(self, room: int | None = None) -> None:
        """Have the kernel take more, and the reactor notice."""
        self.kernel.room = room
        self.reactor.settle()


@pytest.fixture
def client() -> Client:
    return Client()


def test_an_idle_socket_is_written_to_at_once_in_one_piece(client: Client) -> None:
    client.deliver(b"one", b"two")

    assert client.kernel.received == b"onetwo"
    assert client.kernel.writes == [6]
    assert client.reactor.getWriters() == []
    assert client.kernel.producer is None


def test_nothing_to_write_is_no_write(client: Client) -> None:
    client.flush()

    assert client.kernel.writes == []


def test_what_the_kernel_does_not_take_goes_out_later_and_in_order(client: Client) -> None:
    client.kernel.room = 4
    client.deliver(b"onetwo")
    client.deliver(b"three")
    client.deliver(b"four")
    assert client.kernel.received == b"onet"

    client.drain()

    assert client.kernel.received == b"onetwothreefour"
    assert client.kernel.producer is None
    assert client.reactor.getWriters() == []


def test_a_socket_that_takes_byte_by_byte_gets_everything(client: Client) -> None:
    client.kernel.room = 1
    client.deliver(b"one", b"two")
    client.deliver(b"three")
    for _ in range(20):
        client.drain(1)

    assert client.kernel.received == b"onetwothree"
    assert client.kernel.producer is None


def test_while_it_is_blocked_the_outbox_keeps_what_comes(client: Client) -> None:
    client.kernel.room = 0
    client.deliver(b"one")
    client.deliver(b"two", b"three")

    assert client.kernel.buffered == 3
    assert len(client.outbox) == 8


def test_a_large_outbox_goes_out_in_pieces(client: Client) -> None:
    client.limit = 10 * PIECE
    client.kernel.room = 0
    client.deliver(b"first")
    frames = [bytes([65 + number]) * (PIECE // 2) for number in range(6)]
    client.deliver(*frames)

    client.drain()

    assert client.kernel.received == b"first" + b"".join(frames)
    assert max(client.kernel.writes) <= PIECE


def test_a_client_that_does_not_take_its_data_is_not_read_from(client: Client) -> None:
    client.kernel.room = 0
    client.deliver(b"one")
    assert not client.kernel.reading

    client.drain()

    assert client.kernel.reading


def test_reading_goes_on_only_when_nothing_stands_against_it(client: Client) -> None:
    client.kernel.room = 0
    client.deliver(b"one")
    client.stall(True)
    client.drain()
    assert not client.kernel.reading
    client.kernel.room = 0
    client.deliver(b"two")
    client.stall(False)
    assert not client.kernel.reading

    client.drain()

    assert client.kernel.reading


def test_stalls_are_counted(client: Client) -> None:
    client.stall(True)
    client.stall(False)
    client.stall(True)

    assert client.stalls == 2


def test_a_client_over_the_limit_overflows(client: Client) -> None:
    client.kernel.room = 0
    client.deliver(b"x")
    client.deliver(b"y" * client.limit)
    assert client.overflows == 0

    client.deliver(b"z")

    assert client.overflows == 1


def test_what_is_held_counts_for_the_limit_too(client: Client) -> None:
    client.outbox.idle = False
    client.deliver(b"x" * (client.limit + 1))

    assert client.overflows == 1


def test_replies_do_not_count_for_the_limit(client: Client) -> None:
    client.kernel.room = 0
    client.outbox.reply(b"x" * 10 * client.limit)
    client.flush()

    assert client.overflows == 0


def test_a_write_that_fails_leaves_the_end_to_the_transport(client: Client) -> None:
    client.kernel.broken = True
    client.deliver(b"one")

    client.reactor.settle()

    assert client.kernel.lost is not None
    assert client.kernel.producer is None


def test_a_socket_that_ends_while_it_is_blocked_is_no_trouble(client: Client) -> None:
    client.kernel.room = 0
    client.deliver(b"one")
    client.kernel.broken = True
    client.drain()

    assert client.kernel.lost is not None
    assert client.reactor.getWriters() == []


def test_a_released_transport_is_nobodys_and_the_outbox_empty(client: Client) -> None:
    client.kernel.room = 0
    client.deliver(b"first")
    client.deliver(b"second")

    client.release_transport()
    client.socket.write(b"FATAL")
    client.drain()

    assert client.kernel.received == b"firstFATAL"
    assert client.kernel.producer is None


def test_an_unblocked_transport_can_be_released_too(client: Client) -> None:
    client.release_transport()
    client.resumeProducing()

    assert client.kernel.received == b""


def test_a_protocol_has_to_say_what_an_overflow_means() -> None:
    with pytest.raises(NotImplementedError):
        OutboxProtocol(FlushList(FakeReactor(), 1.0)).overflowed()


def test_whoever_feeds_a_client_is_told_when_it_takes_nothing_and_when_it_has_caught_up(client: Client) -> None:
    client.kernel.room = 2
    client.deliver(b"one")
    assert client.backed == [True]
    client.deliver(b"two")
    assert client.backed == [True]

    client.drain()

    assert client.backed == [True, False]
    client.deliver(b"three")
    assert client.backed == [True, False]
