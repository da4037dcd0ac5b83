from __future__ import annotations

import json
from typing import Any

import psycopg2
import pytest
from fakes.fixtures import MakeWorld
from fakes.units import Sender
from fakes.world import FakeListener, World

from twistnotify.pubsub.routing import GAP_CHANNEL
from twistnotify.shard.service import DRAIN_TIMEOUT

UNLISTEN_DELAY = 5.0


def lose(world: World) -> None:
    """Have the connection end and be noticed, but not be made again yet."""
    world.postgres.lose()
    world.reactor.turn()
    assert not world.shard.up


def back(world: World) -> None:
    world.reactor.wait_until(lambda: world.shard.up)


def test_only_the_first_listener_of_a_channel_makes_the_shard_listen(world: World) -> None:
    world.listener("news")
    world.listener("news")

    assert world.postgres.commands == ['LISTEN "news"']


def test_listens_that_wait_together_go_out_together(world: World) -> None:
    world.postgres.holds = True
    world.listener("a")
    world.listener("b", "c")
    world.postgres.answer()
    world.reactor.settle()

    assert world.postgres.commands == ['LISTEN "a"', 'LISTEN "b";LISTEN "c"']


def test_a_notification_reaches_every_listener_once(world: World) -> None:
    first, second = world.listener("news", "news"), world.listener("news")
    world.postgres.notify("news", "hello")
    world.reactor.settle()

    assert first.heard() == second.heard() == [("news", "hello")]
    assert world.shard.counters.received == 1


def test_a_listener_without_utf8_gets_its_own_encoding(world: World) -> None:
    listener = world.listener("news", encoding="latin-1")
    world.postgres.notify("news", "grün")
    world.reactor.settle()

    assert "grün".encode("latin-1") in listener.data


def test_a_listener_whose_encoding_has_no_equivalent_is_told(world: World) -> None:
    listener, other = world.listener("news", encoding="latin-1"), world.listener("news")
    world.postgres.notify("news", "☃")
    world.reactor.settle()

    assert len(listener.unconvertible) == 1
    assert other.heard() == [("news", "☃")]


def test_the_last_to_leave_leaves_the_channel_lingering(world: World) -> None:
    first, second = world.listener("news"), world.listener("news")
    world.shard.unlisten(first.outbox, "news")
    world.reactor.wait(UNLISTEN_DELAY + 1)
    assert world.postgres.commands == ['LISTEN "news"']

    world.shard.leave(second.outbox)
    world.reactor.wait(UNLISTEN_DELAY - 0.1)
    assert world.postgres.commands == ['LISTEN "news"']
    world.reactor.wait(0.2)

    assert world.postgres.commands == ['LISTEN "news"', 'UNLISTEN "news"']
    assert len(world.shard.hub) == 0


def test_one_that_comes_back_in_time_costs_postgresql_nothing(world: World) -> None:
    first = world.listener("news")
    world.shard.leave(first.outbox)
    world.reactor.wait(UNLISTEN_DELAY / 2)
    world.listener("news")
    world.reactor.wait(2 * UNLISTEN_DELAY - 1)

    assert world.postgres.commands == ['LISTEN "news"']


def test_channels_that_linger_go_one_after_the_other(world: World) -> None:
    first, second = world.listener("a"), world.listener("b")
    world.shard.leave(first.outbox)
    world.reactor.wait(2)
    world.shard.leave(second.outbox)
    world.reactor.wait(UNLISTEN_DELAY - 2)
    assert world.postgres.backend.channels == {"b"}
    world.reactor.wait(2)

    assert world.postgres.backend.channels == set()


def test_a_reservation_listens_and_lingers_when_it_is_given_up(world: World) -> None:
    world.shard.reserve("news")
    world.shard.send()
    world.reactor.settle()
    assert world.postgres.backend.channels == {"news"}

    world.shard.unreserve("news")
    world.reactor.wait(UNLISTEN_DELAY)

    assert world.postgres.backend.channels == set()


def test_the_number_of_channels_is_bounded(make_world: MakeWorld) -> None:
    world = make_world(max_channels=3).start()
    world.listener("a", "b")

    assert world.shard.has_room_for(["c"])
    assert world.shard.has_room_for(["a", "b", "c"])
    assert not world.shard.has_room_for(["c", "d"])
    world.listener("c", "d")
    assert world.shard.has_room_for(["a"])
    assert not world.shard.has_room_for(["e"])


def test_a_listener_does_not_hear_what_was_notified_before_it_came(world: World) -> None:
    early = world.listener("news")
    sender = Sender(world.shard)
    world.postgres.holds = True
    sender.notify("before", channel="news")
    late = FakeListener(world.flush_list)
    world.listeners.append(late)
    world.shard.listen(late.outbox, "news")
    assert list(world.shard.channels_of(late.outbox)) == ["news"]
    sender.notify("after", channel="news")
    world.postgres.holds = False
    world.postgres.answer()
    world.reactor.settle()

    assert early.heard() == [("news", "before"), ("news", "after")]
    assert late.heard() == [("news", "after")]


def test_a_listener_does_not_hear_what_was_notified_before_anybody_listened(world: World) -> None:
    world.listener("other")
    sender = Sender(world.shard)
    world.postgres.holds = True
    sender.notify("running", channel="other")
    sender.notify("before", channel="news")
    late = FakeListener(world.flush_list)
    world.listeners.append(late)
    world.shard.listen(late.outbox, "news")
    sender.notify("after", channel="news")
    world.postgres.holds = False
    world.postgres.answer()
    world.reactor.settle()

    assert late.heard() == [("news", "after")]


@pytest.mark.parametrize("how", ["unlisten", "leave"])
def test_one_that_goes_before_it_is_registered_is_not(world: World, how: str) -> None:
    world.listener("news")
    sender = Sender(world.shard)
    world.postgres.holds = True
    sender.notify("before", channel="news")
    late = FakeListener(world.flush_list)
    world.shard.listen(late.outbox, "news")
    world.shard.listen(late.outbox, "news")
    if how == "leave":
        world.shard.leave(late.outbox)
    else:
        world.shard.unlisten(late.outbox, "other")
        world.shard.unlisten(late.outbox, "news")
    sender.notify("after", channel="news")
    world.postgres.holds = False
    world.postgres.answer()
    world.reactor.settle()

    assert late.heard() == []
    assert list(world.shard.channels_of(late.outbox)) == []


def test_one_that_waits_to_be_registered_is_when_the_connection_is_lost(world: World) -> None:
    world.listener("news")
    sender = Sender(world.shard)
    world.postgres.holds = True
    sender.notify("before", channel="news")
    late = FakeListener(world.flush_list)
    world.listeners.append(late)
    world.shard.listen(late.outbox, "news")
    lose(world)
    world.postgres.holds = False
    back(world)
    sender.notify("after", channel="news")
    world.reactor.settle()

    assert late.heard() == [("news", "after")]
    assert late.terminated == []


def test_listens_of_while_it_was_down_come_with_the_new_connection(make_world: MakeWorld) -> None:
    world = make_world()
    listener = world.listener("news")
    assert world.postgres.backends == []

    world.start()
    world.postgres.notify("news", "hello")
    world.reactor.settle()

    assert listener.heard() == [("news", "hello")]
    assert world.postgres.commands == ['LISTEN "news"']


def test_it_catches_up_with_what_changed_while_it_connected(world: World) -> None:
    staying, leaving = world.listener("stays"), world.listener("leaves")
    lose(world)
    world.postgres.holds = True
    world.reactor.wait(0.2)
    world.postgres.answer()
    world.reactor.settle()
    assert world.postgres.backend.running == 'LISTEN "leaves";LISTEN "stays"'
    world.listener("new")
    world.shard.leave(leaving.outbox)
    world.reactor.wait(UNLISTEN_DELAY)
    world.postgres.holds = False
    world.postgres.answer()
    world.reactor.settle()

    assert world.postgres.backend.channels == {"stays", "new"}
    assert staying.terminated == [("loss", "57P01")]
    world.reactor.wait(30)
    assert world.shard.counters.connects == 2


def test_listeners_of_a_lost_connection_are_ended_when_it_is_back(world: World) -> None:
    listener = world.listener("news")
    lose(world)
    assert listener.terminated == []

    back(world)

    assert listener.terminated == [("loss", "57P01")]
    assert world.shard.counters.losses == 1
    assert world.shard.counters.connects == 2


def test_who_came_while_it_was_down_has_lost_nothing(world: World) -> None:
    world.listener("news")
    lose(world)
    late = world.listener("news")
    back(world)

    assert late.terminated == []


def test_who_was_not_confirmed_yet_has_lost_nothing(world: World) -> None:
    world.postgres.holds = True
    early = world.listener("news")
    lose(world)
    world.postgres.holds = False
    back(world)

    assert early.terminated == []
    assert world.shard.counters.losses == 0


def test_who_left_while_it_was_down_is_told_nothing(world: World) -> None:
    listener = world.listener("news")
    lose(world)
    world.shard.leave(listener.outbox)
    back(world)

    assert listener.terminated == []


def test_with_notices_listeners_are_warned_and_the_gap_is_announced(make_world: MakeWorld) -> None:
    world = make_world(listen_loss_policy="notice").start()
    listener, gap, both = world.listener("news"), world.listener(GAP_CHANNEL), world.listener("news", GAP_CHANNEL)
    lose(world)
    back(world)
    world.reactor.settle()

    assert (listener.warned, gap.warned, both.warned) == (["01000"], [], ["01000"])
    assert listener.terminated == both.terminated == []
    ((channel, payload),) = gap.heard()
    assert channel == GAP_CHANNEL
    assert json.loads(payload)["shard"] == "app"
    assert both.heard() == [(channel, payload)]
    assert listener.heard() == []


def test_the_gap_channel_never_reaches_postgresql(make_world: MakeWorld) -> None:
    world = make_world(listen_loss_policy="notice").start()
    told: list[object] = []
    listener = world.listener(GAP_CHANNEL)
    world.shard.when_confirmed(GAP_CHANNEL, told.append)
    world.shard.leave(listener.outbox)
    world.reactor.wait(UNLISTEN_DELAY)

    assert told == [None]
    assert world.postgres.commands == []


def test_the_parameters_are_known_from_the_first_connection_on(make_world: MakeWorld) -> None:
    world = make_world()
    known: list[int] = []
    world.shard.when_known(lambda: known.append(1))
    call_off = world.shard.when_known(lambda: known.append(2))
    call_off()
    call_off()
    assert world.shard.parameters is None

    world.start()

    assert known == [1]
    assert dict(world.shard.parameters or ())["server_version"] == "15.18"
    lose(world)
    assert world.shard.reported["TimeZone"] == "UTC"


def test_a_stop_sends_what_was_acknowledged_first(world: World) -> None:
    sender = Sender(world.shard)
    world.postgres.holds = True
    sender.notify("1")
    sender.notify("2")
    stopped: list[object] = []
    world.shard.stopService().addCallback(stopped.append)
    world.reactor.settle()
    assert stopped == []

    for _ in range(2):
        world.postgres.answer()
        world.reactor.settle()

    assert stopped == [None]
    assert [payload for _, payload in world.postgres.log] == ["1", "2"]
    assert world.postgres.backends == []
    assert world.reactor.getDelayedCalls() == []


def test_a_stop_does_not_wait_for_ever(world: World) -> None:
    world.postgres.holds = True
    Sender(world.shard).notify("1")
    stopped: list[object] = []
    world.shard.stopService().addCallback(stopped.append)
    world.reactor.wait(DRAIN_TIMEOUT)

    assert stopped == [None]
    assert world.reactor.getDelayedCalls() == []


def test_a_stop_does_not_wait_for_a_shard_that_is_down(world: World) -> None:
    world.postgres.refuses = psycopg2.OperationalError("refused")
    lose(world)
    Sender(world.shard).notify("1")
    stopped: list[object] = []
    world.shard.stopService().addCallback(stopped.append)

    assert stopped == [None]
    assert world.reactor.getDelayedCalls() == []


def test_a_stop_that_loses_the_connection_waits_no_longer(world: World) -> None:
    world.postgres.holds = True
    Sender(world.shard).notify("1")
    stopped: list[object] = []
    world.shard.stopService().addCallback(stopped.append)
    world.postgres.lose()
    world.reactor.turn()

    assert stopped == [None]
    assert world.reactor.getDelayedCalls() == []


def test_a_stop_while_channels_linger_and_attempts_back_off_leaves_nothing(world: World) -> None:
    listener = world.listener("news")
    world.shard.leave(listener.outbox)
    world.postgres.holds = True
    sender = Sender(world.shard)
    sender.notify("1")
    world.postgres.refuse("54000")
    world.reactor.settle()
    world.shard.stopService()
    world.reactor.wait(DRAIN_TIMEOUT)

    assert world.reactor.getDelayedCalls() == []


def test_channels_that_came_and_went_while_it_was_down_are_never_listened_to(world: World) -> None:
    world.postgres.refuses = psycopg2.OperationalError("refused")
    lose(world)
    listener = world.listener("news")
    world.shard.leave(listener.outbox)
    world.reactor.wait(UNLISTEN_DELAY + 1)
    world.postgres.refuses = None
    back(world)

    assert world.postgres.commands == []


def test_a_check_counts_what_is_listened_to_and_not_what_is_wanted(world: World) -> None:
    listeners = [world.listener(name) for name in "abc"]
    world.shard.leave(listeners[0].outbox)
    world.reactor.wait(60)

    assert world.shard.counters.connects == 1
    assert world.postgres.backend.channels == {"b", "c"}


def test_the_senders_pid_is_right_for_listens_of_the_same_batch(world: World) -> None:
    sender = Sender(world.shard, pid=7_000_000)
    world.postgres.holds = True
    world.listener("other")
    listener = world.listener("c")
    sender.notify("hello")
    world.postgres.holds = False
    world.postgres.answer()
    world.reactor.settle()

    frames: list[Any] = listener.frames()
    assert [(frame.payload, frame.pid) for frame in frames] == [("hello", 7_000_000)]


# What the relay does on the same server


def test_it_is_settled_when_everything_is_answered(world: World) -> None:
    assert world.shard.settled
    world.postgres.holds = True
    Sender(world.shard).notify("x", sends=False)
    assert not world.shard.settled
    world.shard.send()
    assert not world.shard.settled

    world.postgres.answer()
    world.reactor.settle()

    assert world.shard.settled


def test_a_probe_is_answered_behind_all_that_was_accepted_before_it(world: World) -> None:
    world.postgres.holds = True
    Sender(world.shard).notify("x")
    number = world.shard.probe()
    assert world.shard.probe() == number
    world.shard.send()
    passed: list[int] = []
    world.shard.fence.wait(number, lambda: passed.append(number))

    world.postgres.answer()
    world.reactor.settle()
    assert passed == []
    world.postgres.answer()
    world.reactor.settle()

    assert passed == [number]
    assert world.postgres.commands == ["NOTIFY \"c\",'x'", "SELECT 1"]


def test_a_probe_behind_another_command_is_another_one(world: World) -> None:
    world.postgres.holds = True
    first = world.shard.probe()
    Sender(world.shard).notify("x", sends=False)

    assert world.shard.probe() == first + 2
    world.shard.send()


def test_who_listens_waits_behind_what_the_relay_has_seen_committed(world: World) -> None:
    assert world.shard.behind_relay() == 0
    world.shard.note_relayed()
    number = world.shard.behind_relay()
    assert number == world.shard.fence.accepted
    assert world.shard.behind_relay() == number

    world.shard.send()
    world.reactor.settle()

    assert world.shard.behind_relay() == 0


def test_nobody_waits_behind_it_while_the_shard_is_down(world: World) -> None:
    world.shard.note_relayed()
    lose(world)

    assert world.shard.behind_relay() == 0
    back(world)


def test_a_new_listener_of_a_known_channel_does_not_hear_what_was_committed_before(world: World) -> None:
    first = world.listener("news")
    world.postgres.holds = True
    world.shard.note_relayed()
    second = world.listener("news")
    world.postgres.notify("news", "before")

    world.postgres.answer()
    world.reactor.settle()
    world.postgres.notify("news", "after")
    world.reactor.settle()

    assert first.heard() == [("news", "before"), ("news", "after")]
    assert second.heard() == [("news", "after")]


def test_what_an_upstream_notifies_has_the_pid_of_its_client(world: World) -> None:
    listener = world.listener("news")
    world.shard.relayed[9000] = 5_000_000
    for pid in (9000, 9001):
        world.postgres.notify("news", "x", pid=pid)
    world.reactor.settle()

    assert [frame.pid for frame in listener.frames()] == [5_000_000, 9001]
    world.shard.forget_relayed(9000, 5_000_001)
    assert world.shard.relayed == {9000: 5_000_000}
    world.shard.forget_relayed(9000, 5_000_000)
    assert world.shard.relayed == {}
