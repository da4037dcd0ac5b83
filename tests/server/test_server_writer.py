from __future__ import annotations

from pathlib import Path

import pytest
from fakes.client import ready, sqlstates
from fakes.fixtures import MakeWorld
from fakes.reactor import FakeReactor
from fakes.tls import FakeTlsClient, server_tls, tls_world
from fakes.transport import FakeTransport
from fakes.world import World
from typing_extensions import override

from twistnotify.pubsub.outbox import PIECE
from twistnotify.server.factory import TERMINATED
from twistnotify.server.flush import FlushList
from twistnotify.server.protocol import LAST_WORDS
from twistnotify.server.writer import OutboxProtocol
from twistnotify.wire.notification import NotificationResponse
from twistnotify.wire.simple_query import Query


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


# Over TLS


class Secure:
    """A client over TLS, and frames for it that say in which order they were handed on."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.client = FakeTlsClient(world)
        assert ready(self.client.secure())
        self.kernel = self.client.transport
        self.protocol = self.client.protocol
        self.kernel.writes.clear()
        self.handed_on = 0

    def deliver(self, count: int = 1, size: int = 10) -> None:
        for _ in range(count):
            payload = f"{self.handed_on} ".ljust(size, "x")
            self.protocol.outbox.deliver(NotificationResponse(1, "c", payload).encode())
            self.handed_on += 1
        self.protocol.flush()

    def drain(self, room: int | None = None) -> None:
        """Have the kernel take more, and the reactor notice."""
        self.kernel.room = room
        self.world.reactor.settle()

    def in_order(self) -> int:
        """Return how many frames have come; they came in order, with nothing between them."""
        numbers = [int(payload.partition(" ")[0]) for _, payload in self.client.heard()]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers))) if numbers else True
        return len(numbers)

    @property
    def waiting(self) -> int:
        """Bytes that wait anywhere for the kernel."""
        return len(self.protocol.outbox) + self.kernel.buffered


LIMIT = 2 * PIECE


@pytest.fixture
def secure(make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Secure:
    return Secure(tls_world(make_world, server_tls(tmp_path), {}, client_queue_hard_limit=LIMIT))


def test_over_tls_a_burst_is_one_write(secure: Secure) -> None:
    secure.deliver(1000)
    secure.world.reactor.settle()

    assert len(secure.kernel.writes) == 1
    assert secure.in_order() == 1000


def test_over_tls_no_turn_is_waited_for(secure: Secure) -> None:
    for _ in range(10):
        secure.deliver(10)

    assert len(secure.kernel.writes) == 10
    assert secure.in_order() == 100


def test_over_tls_nothing_goes_out_in_clear(secure: Secure) -> None:
    secure.deliver(10)
    secure.world.reactor.settle()

    assert b"xxx" not in secure.kernel.received


def test_over_tls_a_client_that_takes_nothing_is_written_no_more_and_not_read_from(secure: Secure) -> None:
    secure.kernel.room = 0
    secure.deliver(20, 20_000)
    secure.world.reactor.settle()
    buffered = secure.kernel.buffered
    assert not secure.kernel.reading
    for _ in range(10):
        secure.deliver(1, 20_000)
        secure.world.reactor.settle()

    assert secure.kernel.buffered == buffered < 2 * PIECE
    secure.drain()
    assert secure.in_order() == 30
    assert secure.kernel.reading
    assert secure.waiting == 0


def test_over_tls_a_client_that_takes_little_gets_everything_in_order(secure: Secure) -> None:
    secure.kernel.room = 0
    secure.deliver(10, 40_000)
    secure.world.reactor.settle()
    secure.deliver(10, 30_000)
    heard = turns = 0
    while secure.waiting:
        secure.drain(50_000)
        heard += secure.in_order()
        turns += 1

    assert heard == 20
    assert turns > 10
    assert secure.kernel.reading


def test_over_tls_one_that_catches_up_may_fall_behind_again(secure: Secure) -> None:
    for _ in range(3):
        secure.kernel.room = 0
        secure.deliver(10, 40_000)
        secure.world.reactor.settle()
        assert not secure.kernel.reading
        secure.drain()
        assert secure.in_order() == 10
        assert secure.kernel.reading


def test_over_tls_whoever_feeds_a_client_is_told_likewise(secure: Secure, monkeypatch: pytest.MonkeyPatch) -> None:
    backed: list[bool] = []
    monkeypatch.setattr(secure.protocol, "backed_up", backed.append)
    secure.kernel.room = 0
    secure.deliver(10, 40_000)
    secure.world.reactor.settle()
    secure.deliver(10, 10_000)
    assert backed == [True]

    secure.drain(1_000_000)

    assert backed[-1] is False
    assert secure.in_order() == 20


def test_over_tls_it_does_not_matter_how_often_it_is_told_to_write_no_more(secure: Secure) -> None:
    secure.protocol.pauseProducing()
    secure.protocol.pauseProducing()
    secure.deliver(1)
    secure.protocol.resumeProducing()
    secure.world.reactor.settle()

    assert secure.in_order() == 1
    assert secure.kernel.reading


def test_over_tls_reading_goes_on_only_when_nothing_stands_against_it(secure: Secure) -> None:
    secure.kernel.room = 0
    secure.deliver(10, 40_000)
    secure.protocol.stall(True)
    secure.drain()
    assert not secure.kernel.reading

    secure.protocol.stall(False)

    assert secure.kernel.reading


def test_over_tls_a_client_over_the_limit_is_ended_behind_the_last_whole_frame(secure: Secure) -> None:
    secure.kernel.room = 100
    while secure.client.protocol._end_reason is None:
        secure.deliver(1, 20_000)
        secure.world.reactor.settle()
        assert secure.waiting < LIMIT + 2 * PIECE
    assert secure.world.factory.counters.disconnects == {}

    secure.drain()

    messages = secure.client.hear()
    assert sqlstates(messages[-1:]) == ["53400"]
    assert len(messages) < secure.handed_on
    secure.client.hang_up()
    secure.world.reactor.wait(LAST_WORDS)
    assert secure.client.gone
    assert secure.world.factory.counters.disconnects == {"slow_hard": 1}


def test_over_tls_one_that_never_reads_why_is_ended_all_the_same(secure: Secure) -> None:
    secure.kernel.room = 0
    while secure.client.protocol._end_reason is None:
        secure.deliver(1, 20_000)
        secure.world.reactor.settle()
    secure.world.reactor.wait(LAST_WORDS)

    assert secure.client.gone


def test_over_tls_an_end_is_told_and_answered(secure: Secure) -> None:
    secure.deliver(1)
    secure.protocol.terminate("test", TERMINATED)
    secure.world.reactor.settle()

    notification, error = secure.client.hear()
    assert isinstance(notification, NotificationResponse)
    assert sqlstates([error]) == ["57P01"]
    assert secure.client.alert == "closed"
    secure.client.hang_up()
    secure.world.reactor.settle()
    assert secure.client.gone


def test_over_tls_an_end_is_not_waited_for_for_ever(secure: Secure) -> None:
    secure.protocol.terminate("test", TERMINATED)
    secure.world.reactor.wait(LAST_WORDS - 0.1)
    assert not secure.client.gone

    secure.world.reactor.wait(0.1)

    assert secure.client.gone


@pytest.mark.parametrize("size", [10, 30_000])
def test_over_tls_a_connection_closes_behind_everything_that_waits(secure: Secure, size: int) -> None:
    secure.kernel.room = 0
    secure.deliver(10, 40_000)
    secure.world.reactor.settle()
    secure.deliver(8, size)
    secure.protocol.close_behind()
    secure.drain()

    assert secure.in_order() == 18
    assert secure.client.alert == "closed"
    secure.client.hang_up()
    secure.world.reactor.settle()
    assert secure.client.gone


def test_over_tls_replies_and_the_reason_come_before_the_end(secure: Secure) -> None:
    secure.kernel.room = 0
    packets = Query(b"SELECT 1").encode() * 1370 + b"\0\0\0\0\4"
    secure.client.send(packets)
    secure.kernel.arrived[:] = [b"".join(secure.kernel.arrived)]
    secure.world.reactor.settle()
    secure.drain()

    messages = secure.client.hear()
    assert len(messages) == 1370 * 4 + 1
    assert sqlstates(messages) == ["08P01"]


def test_over_tls_a_connection_that_is_lost_while_it_is_blocked_is_no_trouble(secure: Secure) -> None:
    secure.kernel.room = 0
    secure.deliver(10, 40_000)
    secure.kernel.broken = True
    secure.drain()

    assert secure.client.gone
    secure.world.assert_empty()


def test_over_tls_nothing_to_resume_is_nothing(secure: Secure) -> None:
    secure.protocol.resumeProducing()
    secure.world.reactor.settle()

    assert secure.kernel.writes == []
