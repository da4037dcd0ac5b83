from __future__ import annotations

from fakes.reactor import FakeReactor
from fakes.units import Sender
from fakes.world import World

from twistnotify.server.fencing import FenceWait, gate, pending
from twistnotify.shard.fence import Fence

TIMEOUT = 1.0


class Waiting:
    """A client that waits at the fences of two shards."""

    def __init__(self) -> None:
        self.reactor = FakeReactor()
        self.fences = [Fence(), Fence()]
        self.passed = 0
        places = [(fence, fence.accept([("c", "x")], {"c"})) for fence in self.fences]
        self.wait = FenceWait(self.reactor, places, TIMEOUT, self.go_on)

    def go_on(self) -> None:
        self.passed += 1

    def assert_nothing_is_left(self) -> None:
        assert self.reactor.getDelayedCalls() == []
        assert all(fence._waits == [] for fence in self.fences)


def test_it_waits_for_all_fences() -> None:
    waiting = Waiting()

    waiting.fences[0].answer(1)
    assert waiting.passed == 0
    waiting.fences[1].answer(1)

    assert waiting.passed == 1
    waiting.assert_nothing_is_left()


def test_it_waits_no_longer_than_the_timeout() -> None:
    waiting = Waiting()
    waiting.fences[0].answer(1)
    waiting.reactor.wait(TIMEOUT - 0.1)
    assert waiting.passed == 0

    waiting.reactor.wait(0.1)

    assert waiting.passed == 1
    waiting.assert_nothing_is_left()
    waiting.fences[1].answer(1)
    assert waiting.passed == 1


def test_one_that_is_cancelled_is_never_passed() -> None:
    waiting = Waiting()

    waiting.wait.cancel()

    waiting.assert_nothing_is_left()
    waiting.fences[0].answer(1)
    waiting.fences[1].answer(1)
    assert waiting.passed == 0


def test_one_that_is_cancelled_at_the_last_moment_is_never_passed() -> None:
    waiting = Waiting()
    waiting.fences[0].answer(1)
    waiting.fences[1].wait(1, waiting.wait.cancel)
    waiting.fences[1]._waits.reverse()

    waiting.fences[1].answer(1)

    assert waiting.passed == 0
    waiting.assert_nothing_is_left()


# Where to wait


def test_a_gate_is_open_where_everything_has_been_answered(world: World) -> None:
    assert gate(None) == []
    assert gate(world.shard) == []


def test_it_is_behind_what_waits(world: World) -> None:
    world.postgres.holds = True
    Sender(world.shard).notify("x")

    assert gate(world.shard) == [(world.shard.fence, 2)]
    assert gate(world.shard) == [(world.shard.fence, 2)]
    world.shard.send()


def test_it_is_behind_what_the_relay_has_committed(world: World) -> None:
    world.shard.note_relayed()

    assert gate(world.shard) == [(world.shard.fence, 1)]
    world.shard.send()
    world.reactor.settle()
    assert gate(world.shard) == []


def test_it_is_open_while_the_shard_is_down(world: World) -> None:
    world.postgres.holds = True
    Sender(world.shard).notify("x")
    world.postgres.lose()
    world.reactor.turn()

    assert gate(world.shard) == []


def test_a_listener_waits_for_its_channels_only(world: World) -> None:
    listener, other, nobody = world.listener("c"), world.listener("d"), world.listener()
    world.postgres.holds = True
    Sender(world.shard).notify("x")

    assert pending([world.shard], listener.outbox) == [(world.shard.fence, 1)]
    assert pending([world.shard], other.outbox) == []
    assert pending([world.shard], nobody.outbox) == []


def test_every_listener_waits_for_what_the_relay_may_have_notified(world: World) -> None:
    listener, nobody = world.listener("c"), world.listener()
    world.shard.note_relayed()

    assert pending([world.shard], nobody.outbox) == []
    assert pending([world.shard], listener.outbox) == [(world.shard.fence, 1)]
    world.shard.send()
    world.reactor.settle()
    assert pending([world.shard], listener.outbox) == []
