from __future__ import annotations

from typing import Any

import psycopg2
import pytest
from fakes.fixtures import MakeWorld
from fakes.postgres import server_error
from fakes.units import Sender
from fakes.world import FakeListener, World
from twisted.python.failure import Failure

from twistnotify.shard.commands import MAX_SEPARATE_STATEMENTS, Barrier


class Scene:
    """A shard, one listener on channel c, and a sender. PostgreSQL answers when it is told to."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.postgres = world.postgres
        self.shard = world.shard
        self.listener: FakeListener = world.listener("c")
        self.sender = Sender(world.shard)
        self.postgres.queries.clear()
        self.postgres.backend.queries.clear()
        self.postgres.holds = True

    def answer(self) -> None:
        self.postgres.answer()
        self.world.reactor.settle()

    def answer_all(self) -> None:
        while self.postgres.held:
            self.answer()

    def refuse_payload(self, *payloads: str, sqlstate: str = "22023") -> None:
        """Have PostgreSQL fail on these payloads."""
        self.postgres.fault = lambda channel, payload: server_error(sqlstate, payload) if payload in payloads else None

    def heard(self) -> list[str]:
        return [payload for _, payload in self.listener.heard()]

    def reconnect(self) -> None:
        """Let time go by until the shard is up again."""
        self.postgres.holds = False
        self.world.reactor.wait_until(lambda: self.shard.up)

    @property
    def pending(self) -> int:
        return self.shard.fence.pending(["c"])


@pytest.fixture
def scene(world: World) -> Scene:
    return Scene(world)


def test_the_first_goes_out_at_once_and_what_comes_meanwhile_is_the_next_batch(scene: Scene) -> None:
    for payload in "1234":
        scene.sender.notify(payload)
    assert scene.postgres.queries == ["NOTIFY \"c\",'1'"]

    scene.answer()

    assert scene.postgres.queries[1:] == ["NOTIFY \"c\",'2';NOTIFY \"c\",'3';NOTIFY \"c\",'4'"]
    scene.answer()
    assert scene.heard() == ["1", "2", "3", "4"]
    assert scene.postgres.queries[2:] == []


def test_repeats_of_different_clients_are_all_delivered(scene: Scene) -> None:
    for _ in range(5):
        scene.sender.notify("same")
    scene.answer_all()

    assert scene.heard() == ["same"] * 5


def test_a_committed_unit_tells_its_sender_and_the_fence(scene: Scene) -> None:
    scene.sender.notify("1", waits=True)
    assert scene.pending == 1
    assert scene.sender.told == []

    scene.answer()

    assert scene.sender.told == [("1", None)]
    assert scene.pending == 0
    assert scene.shard.counters.notified == 1


def test_the_sender_is_told_when_its_notification_is_with_the_listeners(scene: Scene) -> None:
    seen: list[int] = []
    unit = scene.sender.notify("1", sends=False)
    unit.done = lambda error: seen.append(len(scene.listener.outbox.ready))
    scene.shard.send()
    scene.answer()

    assert seen == [1]
    assert scene.heard() == ["1"]


def test_the_next_batch_is_under_way_before_the_last_one_is_settled(scene: Scene) -> None:
    seen: list[object] = []
    unit = scene.sender.notify("1", sends=False)
    unit.done = lambda error: seen.append(scene.postgres.backend.running)
    scene.shard.send()
    scene.sender.notify("2")

    scene.answer()

    assert seen == ["NOTIFY \"c\",'2'"]
    scene.answer_all()


def test_every_notification_carries_the_pid_its_sender_knows(scene: Scene) -> None:
    other = Sender(scene.shard, pid=6_000_000)
    scene.sender.notify("first")
    scene.sender.notify("same")
    other.notify("same")
    scene.answer()
    scene.postgres.notify("c", "foreign", pid=77)
    scene.answer_all()

    assert [(frame.payload, frame.pid) for frame in scene.listener.frames()] == [
        ("first", 5_000_000),
        ("foreign", 77),
        ("same", 5_000_000),
        ("same", 6_000_000),
    ]


def test_one_of_ours_that_nobody_expects_has_the_shards_own_pid(scene: Scene) -> None:
    pid = scene.postgres.backend.pid
    scene.postgres.notify("c", "from a function", pid=pid)
    scene.world.reactor.settle()

    assert [frame.pid for frame in scene.listener.frames()] == [pid]


def test_a_unit_that_postgresql_cannot_take_is_dropped_alone_and_its_sender_told(scene: Scene) -> None:
    scene.refuse_payload("bad")
    scene.sender.notify("running")
    for payload in ("1", "2", "bad", "3", "4"):
        scene.sender.notify(payload, waits=True)
    scene.answer_all()

    assert scene.heard() == ["running", "1", "2", "3", "4"]
    assert scene.sender.told == [("1", None), ("2", None), ("bad", "22023"), ("3", None), ("4", None)]
    assert scene.shard.counters.refused == 1
    assert scene.shard.counters.notified == 5
    assert scene.pending == 0


def test_of_a_string_that_is_refused_as_a_whole_only_the_guilty_unit_is_dropped(scene: Scene) -> None:
    scene.postgres.text_fault = lambda sql: server_error("22P05", "no equivalent") if "bad" in sql else None
    scene.sender.notify("running")
    for payload in ("1", "1", "bad", "1", "2"):
        scene.sender.notify(payload, waits=True)
    scene.answer_all()

    assert scene.heard() == ["running", "1", "1", "1", "2"]
    assert scene.sender.told == [("1", None), ("1", None), ("bad", "22P05"), ("1", None), ("2", None)]
    assert scene.shard.counters.refused == 1
    assert scene.pending == 0


def test_a_refused_unit_that_nobody_waits_for_is_dropped_too(scene: Scene) -> None:
    scene.refuse_payload("bad")
    scene.sender.notify("bad")
    scene.sender.notify("good")
    scene.answer_all()

    assert scene.heard() == ["good"]
    assert scene.shard.counters.refused == 1
    assert scene.pending == 0


def test_a_clients_transaction_is_dropped_as_a_whole(scene: Scene) -> None:
    scene.refuse_payload("bad")
    scene.sender.notify("running")
    scene.sender.notify("1", "bad", "2", waits=True)
    scene.sender.notify("3", waits=True)
    scene.answer_all()

    assert scene.heard() == ["running", "3"]
    assert scene.sender.told == [("1", "22023"), ("3", None)]


def test_several_bad_ones_are_each_found(scene: Scene) -> None:
    scene.refuse_payload("bad1", "bad2", "bad3")
    scene.sender.notify("running")
    payloads = ["bad1", "1", "bad2", "1", "bad2", "2", "2", "bad3"]
    for payload in payloads:
        scene.sender.notify(payload, waits=True)
    scene.answer_all()

    assert scene.heard() == ["running", "1", "1", "2", "2"]
    assert [payload for payload, _ in scene.sender.told] == payloads
    assert scene.shard.counters.refused == 4
    assert scene.pending == 0


def test_what_was_committed_before_the_bad_one_is_not_sent_again(scene: Scene) -> None:
    scene.refuse_payload("bad")
    scene.sender.notify("running")
    for payload in ("same", "same", "bad", "same"):
        scene.sender.notify(payload)
    scene.answer_all()

    assert scene.heard() == ["running", "same", "same", "same"]
    assert [payload for _, payload in scene.postgres.log] == ["running", "same", "same", "same"]
    assert any(sql == "ROLLBACK;SHOW twistnotify.seq" for sql in scene.postgres.queries)


def test_nobody_sends_while_it_is_found_out_how_far_a_query_came(scene: Scene) -> None:
    scene.refuse_payload("bad")
    scene.sender.notify("running")
    for payload in ("same", "same", "bad"):
        scene.sender.notify(payload)
    scene.answer()
    scene.answer()
    assert scene.postgres.backend.running == "ROLLBACK;SHOW twistnotify.seq"

    scene.sender.notify("late")

    assert scene.postgres.backend.running == "ROLLBACK;SHOW twistnotify.seq"
    scene.answer_all()
    assert scene.heard() == ["running", "same", "same", "late"]


def test_a_large_transaction_is_settled_like_any_other(scene: Scene) -> None:
    payloads = [str(number) for number in range(MAX_SEPARATE_STATEMENTS + 1)]
    scene.sender.notify(*payloads, waits=True)
    scene.answer_all()

    assert scene.heard() == payloads
    assert scene.sender.told == [("0", None)]


QUEUE_FULL = server_error("54000", "too many notifications in the NOTIFY queue")


def test_a_full_queue_in_postgresql_keeps_everything_and_tries_again_later(scene: Scene) -> None:
    scene.postgres.commit_fault = QUEUE_FULL
    scene.sender.notify("1")
    scene.sender.notify("2")
    scene.sender.notify("2")
    scene.answer_all()
    asked = len(scene.postgres.queries)
    assert scene.heard() == []

    scene.sender.notify("3")
    assert len(scene.postgres.queries) == asked
    scene.postgres.holds = False
    scene.world.reactor.wait(1)
    assert len(scene.postgres.queries) > asked
    scene.postgres.commit_fault = None
    scene.world.reactor.wait(10)

    assert scene.heard() == ["1", "2", "2", "3"]
    assert scene.shard.counters.refused == 0
    assert scene.pending == 0


def test_the_attempts_back_off_and_begin_anew_after_an_answer(scene: Scene) -> None:
    scene.postgres.holds = False
    scene.postgres.commit_fault = QUEUE_FULL
    scene.sender.notify("1")
    scene.world.reactor.wait(120)
    assert scene.shard._backoff._delay == 5.0

    scene.postgres.commit_fault = None
    scene.world.reactor.wait(5)

    assert scene.heard() == ["1"]
    assert scene.shard._backoff._delay == 0.2


def test_a_sender_that_waits_is_told_of_any_error_and_its_unit_dropped(scene: Scene) -> None:
    scene.postgres.commit_fault = QUEUE_FULL
    scene.sender.notify("running", waits=True)
    scene.sender.notify("waits", waits=True)
    scene.sender.notify("does not")
    scene.answer_all()
    assert scene.sender.told == [("running", "54000")]
    scene.postgres.commit_fault = None
    scene.postgres.holds = False
    scene.world.reactor.wait(1)

    assert scene.sender.told == [("running", "54000"), ("waits", None)]
    assert scene.heard() == ["waits", "does not"]
    assert scene.pending == 0


def test_others_notifications_are_delivered_while_it_backs_off(scene: Scene) -> None:
    scene.postgres.commit_fault = QUEUE_FULL
    scene.sender.notify("1")
    scene.answer()
    scene.postgres.notify("c", "foreign")
    scene.world.reactor.settle()

    assert scene.heard() == ["foreign"]


def test_a_fence_does_not_open_for_a_unit_that_is_kept_when_a_later_one_is_given_up(scene: Scene) -> None:
    passed: list[str] = []
    scene.postgres.commit_fault = QUEUE_FULL
    scene.sender.notify("running", waits=True)
    kept = scene.sender.notify("kept")
    scene.sender.notify("given up", waits=True)
    scene.sender.notify("kept too")
    scene.shard.fence.wait(kept.sequence, lambda: passed.append("kept"))
    scene.answer()
    scene.world.reactor.wait(0.2)
    scene.answer_all()
    assert scene.sender.told == [("running", "54000"), ("given up", "54000")]
    assert passed == []

    scene.postgres.commit_fault = None
    scene.postgres.holds = False
    scene.world.reactor.wait(5)

    assert passed == ["kept"]
    assert scene.heard() == ["kept", "kept too"]
    assert scene.pending == 0


def test_a_query_that_is_cancelled_in_postgresql_is_tried_again(scene: Scene) -> None:
    scene.sender.notify("1")
    scene.sender.notify("waits", waits=True)
    scene.postgres.refuse("57014", "canceling statement due to user request")
    scene.world.reactor.settle()
    scene.postgres.holds = False
    scene.world.reactor.wait(1)

    assert scene.heard() == ["1", "waits"]
    assert scene.sender.told == [("waits", None)]
    assert scene.pending == 0


def test_a_transaction_that_failed_behind_committed_ones_is_tried_again_alone(scene: Scene) -> None:
    scene.refuse_payload("later", sqlstate="55P03")
    scene.sender.notify("running")
    for payload in ("same", "same", "later"):
        scene.sender.notify(payload)
    scene.answer_all()
    assert scene.heard() == ["running", "same", "same"] or scene.pending
    scene.postgres.fault = lambda channel, payload: None
    scene.postgres.holds = False
    scene.world.reactor.wait(1)

    assert [payload for _, payload in scene.postgres.log] == ["running", "same", "same", "later"]


def test_a_listen_that_is_refused_is_tried_again_and_who_waits_is_told(scene: Scene) -> None:
    told: list[Any] = []
    scene.world.listener("new")
    scene.shard.when_confirmed("new", told.append)
    scene.postgres.refuse("53200", "out of memory")
    scene.world.reactor.settle()
    assert [error.sqlstate for error in told] == ["53200"]
    assert "new" not in scene.shard._sender._listened

    scene.postgres.holds = False
    scene.world.reactor.wait(1)

    assert "new" in scene.postgres.backend.channels
    assert "new" in scene.shard._sender._listened


def test_an_unlisten_that_is_refused_is_tried_again(scene: Scene) -> None:
    scene.shard.leave(scene.listener.outbox)
    scene.world.reactor.wait(6)
    assert scene.postgres.backend.running == 'UNLISTEN "c"'
    scene.postgres.refuse("53200")
    scene.world.reactor.turn()
    assert "c" in scene.shard._sender._listened

    scene.postgres.holds = False
    scene.world.reactor.wait(1)

    assert scene.postgres.backend.channels == set()
    assert scene.shard._sender._listened == set()


def test_a_listen_is_confirmed_by_its_answer(scene: Scene) -> None:
    told: list[object] = []
    scene.world.listener("new")
    scene.shard.when_confirmed("new", told.append)
    scene.shard.when_confirmed("new", told.append)
    assert told == []

    scene.answer()
    assert told == [None, None]
    scene.shard.when_confirmed("new", told.append)
    assert told == [None, None, None]


def test_a_listen_is_confirmed_by_a_new_connection_too(scene: Scene) -> None:
    told: list[object] = []
    scene.world.listener("new")
    scene.shard.when_confirmed("new", told.append)
    scene.postgres.lose()
    scene.world.reactor.turn()
    assert told == []

    scene.reconnect()

    assert told == [None]


@pytest.mark.parametrize("committed", [False, True])
def test_a_connection_lost_in_flight_leaves_the_units_uncertain_and_never_sends_them_again(
    scene: Scene, committed: bool
) -> None:
    scene.sender.notify("1", waits=True)
    scene.answer()
    for payload in ("2", "2", "3"):
        scene.sender.notify(payload, waits=True)
    scene.answer()
    assert scene.postgres.backend.running is not None
    scene.sender.notify("queued", waits=True)

    scene.postgres.lose(committed)
    scene.world.reactor.turn()

    assert scene.sender.told == [("1", None), ("2", None), ("2", "08007"), ("3", "08007")]
    assert scene.shard.counters.uncertain == 2
    scene.reconnect()
    assert scene.sender.told[4:] == [("queued", None)]
    log = [payload for _, payload in scene.postgres.log]
    assert log == (["1", "2", "2", "3", "queued"] if committed else ["1", "2", "queued"])
    assert scene.pending == 0


def test_what_is_queued_survives_several_reconnects(scene: Scene) -> None:
    scene.sender.notify("lost")
    for payload in ("1", "2", "2"):
        scene.sender.notify(payload)
    scene.postgres.lose()
    scene.postgres.refuses = psycopg2.OperationalError("refused")
    scene.postgres.holds = False
    scene.world.reactor.wait(60)
    scene.sender.notify("3")
    scene.postgres.refuses = None

    scene.reconnect()

    assert [payload for _, payload in scene.postgres.log] == ["1", "2", "2", "3"]
    assert scene.heard() == ["1", "2", "2", "3"]


def test_a_connection_lost_while_finding_out_leaves_the_whole_batch_uncertain(scene: Scene) -> None:
    scene.refuse_payload("bad")
    scene.sender.notify("running")
    for payload in ("same", "same", "bad"):
        scene.sender.notify(payload, waits=True)
    scene.answer()
    scene.answer()
    scene.postgres.lose()
    scene.world.reactor.turn()

    assert [state for _, state in scene.sender.told] == ["08007"] * 3
    scene.sender.notify("later", waits=True)
    scene.reconnect()
    assert scene.sender.told[3:] == [("later", None)]
    assert scene.pending == 0


def test_finding_out_may_itself_be_refused(scene: Scene) -> None:
    scene.refuse_payload("bad")
    scene.sender.notify("running")
    for payload in ("same", "same", "bad"):
        scene.sender.notify(payload, waits=True)
    scene.answer()
    scene.answer()
    scene.postgres.refuse("57014")
    scene.world.reactor.settle()

    assert [state for _, state in scene.sender.told] == ["08007"] * 3
    assert scene.pending == 0


def test_one_that_notifies_again_when_it_is_told_of_the_loss_is_queued_for_the_next_connection(scene: Scene) -> None:
    unit = scene.sender.notify("lost", sends=False)
    unit.done = lambda error: scene.sender.notify("again", waits=True) and None  # type: ignore[func-returns-value]
    scene.shard.send()
    scene.postgres.lose()
    scene.world.reactor.turn()

    scene.reconnect()

    assert scene.sender.told == [("again", None)]
    assert scene.heard() == ["again"]


ENDS = ["committed", "refused for good", "refused for now", "lost", "finding out refused"]


@pytest.mark.parametrize("end", ENDS)
def test_who_waits_for_room_goes_on_however_the_batch_in_front_of_it_ends(make_world: MakeWorld, end: str) -> None:
    scene = Scene(make_world(shard_queue_size=1).start())
    scene.sender.notify("running", waits=True)
    scene.sender.notify("same", waits=True)
    scene.sender.notify("same", waits=True)
    admitted: list[object] = []
    assert not scene.shard.room.open
    scene.shard.room.wait(admitted.append)
    scene.answer()
    assert admitted == [None]
    scene.sender.notify("other", sends=False)
    scene.shard.room.wait(admitted.append)
    if end == "refused for good":
        scene.refuse_payload("same", "other")
    elif end == "refused for now":
        scene.postgres.commit_fault = QUEUE_FULL
    elif end == "lost":
        scene.postgres.lose()
    elif end == "finding out refused":
        scene.refuse_payload("same")
        scene.answer()
        scene.postgres.refuse("57014")
    scene.postgres.holds = False
    while scene.postgres.held:
        scene.postgres.answer()
    scene.world.reactor.wait(30)
    scene.postgres.commit_fault = None
    scene.world.reactor.wait(30)

    assert admitted == [None, None]
    assert scene.shard.room.open


def test_no_fence_is_left_closed_by_a_loss(scene: Scene) -> None:
    passed: list[int] = []
    scene.sender.notify("1")
    scene.sender.notify("2")
    for sequence in (1, 2):
        scene.shard.fence.wait(sequence, lambda: passed.append(1))
    scene.postgres.lose()
    scene.world.reactor.turn()

    assert passed == [1, 1]


def test_barriers_are_passed_in_their_place(scene: Scene) -> None:
    order: list[str] = []
    first = scene.sender.notify("1", sends=False)
    first.done = lambda error: order.append("1")
    scene.shard._queue.append(Barrier(lambda: order.append("barrier")))
    second = scene.sender.notify("2", sends=False)
    second.done = lambda error: order.append("2")
    scene.shard.send()
    scene.answer_all()

    assert order == ["1", "barrier", "2"]


def test_nothing_is_sent_without_a_connection(make_world: MakeWorld) -> None:
    world = make_world()
    sender = Sender(world.shard)
    sender.notify("early", waits=True)
    assert sender.told == []

    world.start()

    assert sender.told == [("early", None)]


def test_a_failure_that_nobody_thought_of_is_logged(scene: Scene) -> None:
    events: list[Any] = []
    scene.shard._sender.log = type(scene.shard._sender.log)(observer=events.append)
    scene.sender.notify("1")
    cursor = scene.shard._link.connection.running  # type: ignore[union-attr]
    scene.postgres.held.clear()
    scene.postgres.backend.running = None
    cursor._finish(Failure(ZeroDivisionError()))  # type: ignore[union-attr]

    assert [event["log_format"] for event in events] == ["settling a batch failed"]
