from __future__ import annotations

import pytest
from fakes.fixtures import MakeWorld

from twistnotify.pubsub.routing import GAP_CHANNEL, Router

SHARDS = ("s0", "s1", "s2")


def test_a_database_with_one_shard_has_every_channel_there(make_world: MakeWorld) -> None:
    world = make_world().start()

    assert world.database.shard_of("anything") is world.shard
    assert world.database.shards_of(GAP_CHANNEL) == (world.shard,)


@pytest.mark.parametrize("channel", ["a", "b", "c", "d", "grün", "jobs"])
def test_a_channel_belongs_to_the_shard_of_its_hash(make_world: MakeWorld, channel: str) -> None:
    world = make_world(shards=SHARDS).start()
    number = Router(3).shard(channel)

    assert world.database.shard_of(channel) is world.shards[SHARDS[number]]
    assert world.database.shards_of(channel) == (world.shards[SHARDS[number]],)


def test_losses_are_announced_by_all_shards(make_world: MakeWorld) -> None:
    world = make_world(shards=SHARDS).start()

    assert world.database.shards_of(GAP_CHANNEL) == tuple(world.shards.values())


def test_what_the_first_shard_reports_is_the_databases(make_world: MakeWorld) -> None:
    world = make_world(shards=SHARDS)
    known: list[int] = []
    world.database.when_known(lambda: known.append(1))
    world.database.when_known(lambda: known.append(2))()
    assert world.database.parameters is None
    assert (world.database.encoding, world.database.superuser) == ("", "")

    world.start()

    assert known == [1]
    assert world.database.parameters == world.shards["s0"].parameters
    assert (world.database.encoding, world.database.superuser) == ("UTF8", "postgres")


def test_channels_are_hashed_in_the_databases_encoding(make_world: MakeWorld) -> None:
    world = make_world(shards=SHARDS)
    for postgres in world.servers.values():
        postgres.parameters = {**postgres.parameters, "server_encoding": "LATIN1"}
    world.start()
    world.client()

    names = [f"gr{'ü' * number}n" for number in range(20)]
    routed = [world.database.shard_of(name).name for name in names]
    assert routed == [SHARDS[Router(3, "latin-1").shard(name)] for name in names]


def test_leaving_a_database_leaves_all_its_shards(make_world: MakeWorld) -> None:
    world = make_world(shards=SHARDS).start()
    listener = world.listener(*map(str, range(30)))
    assert all(list(shard.hub.channels_of(listener.outbox)) for shard in world.shards.values())

    world.database.leave(listener.outbox)

    assert not any(list(shard.hub.channels_of(listener.outbox)) for shard in world.shards.values())


# The relay


def test_one_shard_that_is_the_upstreams_server_has_all_channels(make_world: MakeWorld) -> None:
    database = make_world(relays=True).database

    assert database.relay_shard is database.shards[0]
    assert database.relays("a")
    assert database.relays(None)


def test_of_several_it_has_its_own(make_world: MakeWorld) -> None:
    world = make_world(shards=SHARDS, relays=True, relay_shard="s1").start()
    names = list(map(str, range(20)))

    relayed = [name for name in names if world.database.relays(name)]
    assert relayed == [name for name in names if world.database.shard_of(name).name == "s1"]
    assert 0 < len(relayed) < 20
    assert not world.database.relays(None)


@pytest.mark.parametrize("settings", [{}, {"relays": True, "relay_shard": None}, {"relay_shard": "app"}])
def test_otherwise_it_has_none(make_world: MakeWorld, settings: dict[str, object]) -> None:
    database = make_world(**settings).database

    assert database.relay_shard is None
    assert not database.relays("a")
    assert not database.relays(None)
    assert database.client_pid(9000) == 9000
    database.note_end()


def test_clients_may_signal_those_of_their_own_user(make_world: MakeWorld) -> None:
    world = make_world(relays=True).start()
    client = world.client(user="alice")

    assert world.database.may_signal("alice", client.pid)
    assert not world.database.may_signal("bob", client.pid)
    assert not world.database.may_signal("alice", client.pid + 1)


def test_the_backend_of_a_clients_upstream_is_known_by_the_clients_pid(make_world: MakeWorld) -> None:
    world = make_world(relays=True).start()
    world.shard.relayed[9000] = 5_000_000

    assert world.database.client_pid(9000) == 5_000_000
    assert world.database.client_pid(9001) == 9001
    world.shard.relayed.clear()


def test_ends_of_the_relays_transactions_are_noted_with_its_shard(make_world: MakeWorld) -> None:
    world = make_world(shards=SHARDS, relays=True, relay_shard="s1").start()
    world.database.note_end()

    assert [bool(shard.behind_relay()) for shard in world.shards.values()] == [False, True, False]
    world.shards["s1"].send()
