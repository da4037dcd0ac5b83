from __future__ import annotations

from random import Random
from typing import Any

import pytest
from fakes.client import ready, sqlstates
from fakes.fixtures import MakeWorld
from fakes.world import World

from twistnotify.server.factory import FIRST_PID, LAST_PID, ClientFactory
from twistnotify.wire.startup import PROTOCOL_3_2, BackendKeyData, StartupMessage


def test_pids_are_unique_and_above_those_of_real_backends(world: World) -> None:
    pids = [world.client().pid for _ in range(50)]

    assert len(set(pids)) == 50
    assert all(2**22 < pid < 2**31 for pid in pids)


def test_pids_wrap_around_without_leaving_their_range(world: World) -> None:
    world.factory._next_pid = LAST_PID
    first, second = world.client(), world.client()

    assert (first.pid, second.pid) == (LAST_PID, FIRST_PID)


def test_a_pid_in_use_is_passed_over(world: World) -> None:
    first = world.client()
    second = world.client()
    world.factory._next_pid = first.pid

    assert world.client().pid == second.pid + 1


def test_a_pid_of_one_that_has_gone_may_come_again(world: World) -> None:
    client = world.client()
    client.hang_up()
    world.reactor.settle()
    world.factory._next_pid = client.pid

    assert world.client().pid == client.pid


@pytest.mark.parametrize("seed", range(20))
def test_the_first_pid_is_in_the_range_whatever_is_drawn(world: World, seed: int) -> None:
    factory = ClientFactory(
        world.reactor,
        world.settings,
        {},
        world.flush_list,
        Random(seed),
        lambda n: b"x" * n,
        world.factory.authenticator,
    )

    assert FIRST_PID <= factory._next_pid <= LAST_PID


def test_secrets_are_random_bytes(world: World) -> None:
    client = world.client()

    assert client.key is not None
    assert client.key.secret == b"\7\7\7\7"


def test_one_too_many_is_told_so(make_world: MakeWorld) -> None:
    world = make_world(max_client_conn=2).start()
    world.client()
    second = world.client()
    third = world.connect()

    assert sqlstates(third.log_in()) == ["53300"]
    assert third.gone
    assert world.factory.counters.rejected == 1
    second.hang_up()
    world.reactor.settle()
    assert ready(world.connect().log_in())


def test_far_too_many_are_not_even_told(make_world: MakeWorld) -> None:
    world = make_world(max_client_conn=1, fd_reserve=6).start()
    for _ in range(1 + 3):
        assert world.factory.buildProtocol(None) is not None
        world.connect()
    assert world.factory.buildProtocol(None) is None
    assert world.factory.counters.rejected == 1


def test_ends_are_counted_by_reason(world: World) -> None:
    first, second, third = world.client(), world.client(), world.client()
    for client in (first, second):
        client.hang_up()
    world.reactor.settle()
    third.protocol.terminate("test", _fields())
    world.reactor.settle()

    assert world.factory.counters.disconnects == {"client": 2, "test": 1}


def _fields() -> Any:
    from twistnotify.server.factory import TERMINATED

    return TERMINATED


def test_it_tells_when_the_last_client_has_gone(world: World) -> None:
    first, second = world.client(), world.client()
    empty: list[object] = []
    world.factory.when_empty(10).addCallback(empty.append)
    first.hang_up()
    world.reactor.settle()
    assert empty == []
    second.hang_up()
    world.reactor.settle()

    assert empty == [None]
    world.reactor.wait(20)


def test_it_does_not_wait_for_the_last_client_for_ever(world: World) -> None:
    client = world.client()
    empty: list[object] = []
    world.factory.when_empty(10).addCallback(empty.append)
    world.reactor.wait(10)
    assert empty == [None]

    client.hang_up()
    world.reactor.settle()


def test_without_clients_it_is_empty_in_a_turn(world: World) -> None:
    empty: list[object] = []
    world.factory.when_empty(10).addCallback(empty.append)
    world.reactor.settle()

    assert empty == [None]


def test_it_is_not_told_twice_that_it_is_empty(world: World) -> None:
    world.factory._is_empty()
    world.client().hang_up()
    world.reactor.settle()


def test_stopping_leaves_no_timer(make_world: MakeWorld) -> None:
    world = make_world()
    world.connect()
    world.factory.stopFactory()

    assert world.reactor.getDelayedCalls() == []


def test_a_key_to_cancel_with_is_as_long_as_the_client_wants_it(world: World) -> None:
    client = world.connect()
    client.send(StartupMessage(PROTOCOL_3_2, {"user": "alice", "database": "app"}).encode())
    world.reactor.settle()

    (key,) = (message for message in client.hear() if isinstance(message, BackendKeyData))
    assert key.secret == b"\7" * 32


def test_a_client_may_be_terminated_by_another_one(world: World) -> None:
    client = world.client()

    world.factory.signal("pg_terminate_backend", client.pid)
    assert not client.gone
    world.reactor.settle()

    assert sqlstates(client.hear()) == ["57P01"]
    assert client.gone
    assert world.factory.counters.disconnects == {"terminated": 1}


def test_one_that_has_gone_meanwhile_is_not(world: World) -> None:
    client = world.client()
    world.factory.signal("pg_terminate_backend", client.pid)
    client.hang_up()
    world.reactor.settle()

    world.factory.signal("pg_terminate_backend", client.pid)
    world.factory.signal("pg_cancel_backend", client.pid)
    assert world.factory.counters.disconnects == {"client": 1}


def test_what_a_client_waits_for_may_be_cancelled_by_another_one(make_world: MakeWorld) -> None:
    world = make_world(shard_queue_size=1).start()
    world.postgres.holds = True
    client = world.client()
    client.query("NOTIFY a, '1'")
    client.query("NOTIFY a, '2'")
    client.ask("NOTIFY a, '3'")
    world.reactor.settle()
    assert client.hear() == []

    world.factory.signal("pg_cancel_backend", client.pid)
    world.reactor.settle()

    assert sqlstates(client.hear()) == ["57014"]
