from __future__ import annotations

from typing import Any

import pytest
from fakes.client import FakeClient, errors, notifications, ready, sqlstates
from fakes.fixtures import MakeWorld
from fakes.postgres import server_error
from fakes.world import World

from twistnotify.auth.rights import ChannelRule, Rights
from twistnotify.pubsub.routing import GAP_CHANNEL
from twistnotify.server.authentication import Security
from twistnotify.server.commit import Committer
from twistnotify.session.failure import SqlError
from twistnotify.sql.statements import Listen, Notify, Unlisten
from twistnotify.wire.errors import NoticeResponse

SHARDS = ("s0", "s1")


@pytest.fixture
def sharded(make_world: MakeWorld) -> World:
    return make_world(shards=SHARDS).start()


def channels_on(world: World) -> tuple[str, str]:
    """Return a channel of each of two shards."""
    names = [f"c{number}" for number in range(50)]
    first, second = (next(n for n in names if world.database.shard_of(n).name == shard) for shard in SHARDS)
    return first, second


def transaction(client: FakeClient, *statements: str) -> list[str]:
    client.query("BEGIN")
    for statement in statements:
        client.query(statement)
    return sqlstates(client.query("COMMIT"))


def test_a_transaction_over_two_shards_notifies_on_both(sharded: World) -> None:
    first, second = channels_on(sharded)
    listener, sender = sharded.client(first, second), sharded.client()

    transaction(sender, f"NOTIFY {first}, '1'", f"NOTIFY {second}, '2'", f"NOTIFY {first}, '3'")

    assert sorted(notifications(listener.hear())) == sorted([(first, "1"), (second, "2"), (first, "3")])
    assert sharded.servers["s0"].log == [(first, "1"), (first, "3")]
    assert sharded.servers["s1"].log == [(second, "2")]


def test_what_one_transaction_notifies_on_a_shard_is_one_transaction_there(sharded: World) -> None:
    first, _ = channels_on(sharded)
    sender = sharded.client()

    transaction(sender, f"NOTIFY {first}, '1'", f"NOTIFY {first}, '2'")

    assert sharded.servers["s0"].commands == [f"NOTIFY \"{first}\",'1';NOTIFY \"{first}\",'2'"]


def test_nothing_happens_where_one_channel_is_too_many(make_world: MakeWorld) -> None:
    world = make_world(max_channels=2).start()
    world.client("a")
    client = world.client()
    statements = ["LISTEN b", "NOTIFY x, '1'", "LISTEN c"]

    assert transaction(client, *statements) == ["53400"]

    assert world.postgres.log == []
    assert world.database.shard_of("b").hub.listens(client.protocol.outbox, "b") is False
    world.reactor.wait(world.settings.unlisten_delay)
    assert sqlstates(client.query("LISTEN d")) == []
    assert sqlstates(client.query("LISTEN e")) == ["53400"]


def test_a_single_listen_is_refused_where_there_are_too_many_channels(make_world: MakeWorld) -> None:
    world = make_world(max_channels=1).start()
    world.client("a")
    client = world.client()

    (fields,) = errors(client.query("LISTEN b"))

    assert (fields.sqlstate, fields.hint) == ("53400", "See max_channels.")
    assert sqlstates(client.query("LISTEN a")) == []


def test_the_last_word_on_a_channel_counts(world: World) -> None:
    client = world.client("old", "kept")

    transaction(client, "LISTEN new", "UNLISTEN old", "UNLISTEN kept", "LISTEN kept", "LISTEN gone", "UNLISTEN gone")

    assert set(world.shard.hub.channels_of(client.protocol.outbox)) == {"kept", "new"}


def test_unlisten_all_and_then_some(world: World) -> None:
    client = world.client("a", "b")

    transaction(client, "LISTEN x", "UNLISTEN *", "LISTEN b", "LISTEN c")

    assert set(world.shard.hub.channels_of(client.protocol.outbox)) == {"b", "c"}
    transaction(client, "LISTEN y", "UNLISTEN *")
    assert list(world.shard.hub.listeners()) == []


def test_a_transaction_hears_its_own_notifications(world: World) -> None:
    client = world.client()
    client.query("BEGIN")
    client.query("LISTEN news")
    client.query("NOTIFY news, 'own'")

    assert notifications(client.query("COMMIT")) == [("news", "own")]


def test_a_listen_for_losses_concerns_all_shards(sharded: World) -> None:
    client = sharded.client(GAP_CHANNEL)
    assert all(shard.hub.listens(client.protocol.outbox, GAP_CHANNEL) for shard in sharded.shards.values())

    client.query(f"UNLISTEN {GAP_CHANNEL}")

    assert not any(shard.hub.listens(client.protocol.outbox, GAP_CHANNEL) for shard in sharded.shards.values())
    transaction(client, f"LISTEN {GAP_CHANNEL}", "NOTIFY x")
    assert all(shard.hub.listens(client.protocol.outbox, GAP_CHANNEL) for shard in sharded.shards.values())


def test_a_confirmed_transaction_waits_for_all_its_shards(sharded: World) -> None:
    first, second = channels_on(sharded)
    client = sharded.client()
    client.query("SET twistnotify.listen_ack = confirmed")
    client.query("SET twistnotify.notify_ack = committed")
    for postgres in sharded.servers.values():
        postgres.holds = True
    assert not ready(client.query(f"LISTEN {first}; LISTEN {second}; NOTIFY {first}, '1'; NOTIFY {second}, '2'"))

    sharded.servers["s0"].answer()
    sharded.reactor.settle()
    assert client.hear() == []
    sharded.servers["s1"].answer()
    sharded.reactor.settle()

    assert sorted(notifications(client.hear())) == sorted([(first, "1"), (second, "2")])


def test_a_failure_on_one_shard_takes_the_new_registrations_back(sharded: World) -> None:
    first, second = channels_on(sharded)
    client = sharded.client(first)
    client.query("SET twistnotify.listen_ack = confirmed")
    sharded.servers["s1"].holds = True
    client.ask(f"LISTEN {first}; LISTEN {second}")
    sharded.reactor.settle()
    sharded.servers["s1"].refuse("53200")
    sharded.reactor.settle()

    assert sqlstates(client.hear()) == ["53200"]
    assert sharded.shards["s0"].hub.listens(client.protocol.outbox, first)
    assert not sharded.shards["s1"].hub.listens(client.protocol.outbox, second)


def test_a_transaction_waits_for_room_at_every_shard_that_has_none(make_world: MakeWorld) -> None:
    world = make_world(shards=SHARDS, shard_queue_size=2).start()
    first, second = channels_on(world)
    client, other = world.client(), world.client()
    for postgres in world.servers.values():
        postgres.holds = True
    for channel in (first, second):
        for payload in "123":
            other.query(f"NOTIFY {channel}, '{payload}'")
    client.query("BEGIN")
    client.query(f"NOTIFY {first}, 'x'")
    client.query(f"NOTIFY {second}, 'y'")
    assert client.query("COMMIT") == []

    for name in ("s0", "s1"):
        world.servers[name].answer()
        world.reactor.settle()
        assert bool(client.hear()) == (name == "s1")


def test_held_notifications_of_a_channel_that_is_left_are_dropped_in_the_clients_encoding(world: World) -> None:
    client = world.client(client_encoding="LATIN1")
    client.codec = "latin-1"
    client.query('LISTEN "grün"; LISTEN other')
    client.query("BEGIN")
    world.postgres.notify("grün", "x")
    world.postgres.notify("other", "y")
    world.reactor.settle()
    client.query('UNLISTEN "grün"')

    assert notifications(client.query("COMMIT")) == [("other", "y")]


def test_a_notify_repeated_in_one_transaction_is_delivered_once(world: World) -> None:
    listener, client = world.client("news"), world.client()

    transaction(client, "NOTIFY news, 'x'", "NOTIFY news, 'y'", "NOTIFY news, 'x'")

    assert notifications(listener.hear()) == [("news", "x"), ("news", "y")]


def test_a_notify_that_never_got_into_the_queue_is_never_sent(make_world: MakeWorld) -> None:
    world = make_world(shard_queue_size=1).start()
    other, client = world.client(), world.client()
    world.postgres.holds = True
    other.query("NOTIFY a, '1'")
    other.query("NOTIFY a, '2'")
    client.query("NOTIFY a, 'never'")
    client.hang_up()
    world.reactor.settle()
    world.postgres.holds = False
    world.postgres.answer()
    world.reactor.settle()

    assert [payload for _, payload in world.postgres.log] == ["1", "2"]


def test_nobody_waits_for_the_confirmation_of_a_channel_that_the_same_transaction_leaves(world: World) -> None:
    client = world.client()
    client.query("SET twistnotify.listen_ack = confirmed")

    assert ready(client.query("LISTEN a; UNLISTEN a"))
    assert ready(client.query("LISTEN a; UNLISTEN *"))
    assert list(world.shard.hub.listeners()) == []


def test_a_transaction_that_fails_leaves_no_channel_and_listens_to_none(world: World) -> None:
    client, other = world.client("old"), world.client()
    client.query("SET twistnotify.notify_ack = committed")
    world.postgres.holds = True
    client.query("UNLISTEN old; LISTEN new; NOTIFY x, '1'")
    world.postgres.commit_fault = server_error("54000", "queue full")
    world.postgres.holds = False
    world.postgres.answer()
    world.reactor.settle()
    assert sqlstates(client.hear()) == ["54000"]
    world.postgres.commit_fault = None
    world.reactor.wait(1)
    other.query("NOTIFY old, 'still heard'")
    other.query("NOTIFY new, 'never heard'")

    assert client.heard() == [("old", "still heard")]


def test_a_second_listen_does_not_put_off_the_first(world: World) -> None:
    first, client, sender = world.client("news"), world.client(), world.client()
    world.postgres.holds = True
    sender.query("NOTIFY news, 'before'")
    client.query("LISTEN news")
    sender.query("NOTIFY news, 'after'")
    client.query("LISTEN news")
    world.postgres.holds = False
    world.postgres.answer()
    world.reactor.settle()

    assert client.heard() == [("news", "after")]
    assert first.heard() == [("news", "before"), ("news", "after")]


def test_a_warning_that_is_held_survives_unlisten(make_world: MakeWorld) -> None:
    world = make_world(listen_loss_policy="notice").start()
    client = world.client("news")
    client.query("BEGIN")
    world.postgres.lose()
    world.reactor.turn()
    world.reactor.wait_until(lambda: world.shard.up)
    client.query("UNLISTEN *")

    messages = client.query("COMMIT")

    assert [m.fields.sqlstate for m in messages if isinstance(m, NoticeResponse)] == ["01000"]


# Ahead of a commit


def test_a_client_is_registered_ahead_for_what_is_new_to_it(world: World) -> None:
    client = world.client("a")
    committer = client.protocol.committer
    assert committer is not None

    assert committer.enlist(["a", "b"]) == ["b"]
    assert committer.enlist(["b"]) == []
    assert list(world.shard.channels_of(client.protocol.outbox)) == ["a", "b"]


def test_it_is_not_where_there_is_no_room(make_world: MakeWorld) -> None:
    world = make_world(max_channels=2).start()
    client = world.client("a")
    committer = client.protocol.committer
    assert committer is not None

    assert committer.enlist(["b", "c"]) == ["b"]


def test_what_was_in_vain_is_withdrawn_with_what_it_brought(world: World) -> None:
    client = world.client("a")
    client.query("BEGIN")
    committer = client.protocol.committer
    assert committer is not None
    committer.enlist(["b"])
    world.postgres.notify("b", "x")
    world.postgres.notify("a", "y")
    world.shard.send()
    world.reactor.settle()
    world.postgres.notify("b", "z")
    world.reactor.settle()

    committer.withdraw(["b"])

    assert notifications(client.query("COMMIT")) == [("a", "y")]


# Rights


@pytest.fixture
def narrowed(make_world: MakeWorld) -> World:
    """A server where only bob may listen to what begins with "bobs"."""
    rights = Rights([ChannelRule("bobs*", frozenset(("bob",)), None)], True)
    return make_world(security=Security(rights=rights)).start()


def committer_of(client: FakeClient) -> Committer:
    committer = client.protocol.committer
    assert isinstance(committer, Committer)
    return committer


@pytest.mark.parametrize("effects", [(Listen("bobs"),), (Listen("a"), Notify("a", "x"), Listen("bobs"))])
def test_a_listen_whose_right_is_gone_makes_nothing_happen(narrowed: World, effects: tuple[Any, ...]) -> None:
    client = narrowed.client()
    with pytest.raises(SqlError) as caught:
        committer_of(client).commit(effects, "immediate", "immediate")

    assert caught.value.fields.sqlstate == "42501"
    assert list(narrowed.shard.hub.listeners()) == []
    assert narrowed.postgres.log == []


def test_whoever_has_the_right_listens(narrowed: World) -> None:
    client = narrowed.client(user="bob")

    assert committer_of(client).commit((Listen("bobs"),), "immediate", "immediate") is None
    assert list(narrowed.shard.channels_of(client.protocol.outbox)) == ["bobs"]


def test_a_notify_and_an_unlisten_are_judged_when_they_come(narrowed: World) -> None:
    client = narrowed.client()

    assert committer_of(client).commit((Notify("bobs", "x"), Unlisten("bobs")), "immediate", "immediate") is None


def test_a_client_is_registered_ahead_only_where_it_may_listen(narrowed: World) -> None:
    alice, bob = narrowed.client(), narrowed.client(user="bob")

    assert committer_of(alice).enlist(["bobs", "a", GAP_CHANNEL]) == ["a", GAP_CHANNEL]
    assert committer_of(bob).enlist(["bobs", "a"]) == ["bobs", "a"]
