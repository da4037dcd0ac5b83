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
