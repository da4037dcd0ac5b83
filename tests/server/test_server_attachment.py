"""A client and its upstream session: what passes, who waits for whom, and how it ends."""

from __future__ import annotations

from typing import Any

import pytest
from fakes.client import FakeClient, ready, sqlstates
from fakes.fixtures import MakeWorld
from fakes.transport import FakeTransport
from fakes.upstream import PLACE, REFUSED
from fakes.world import World

from twistnotify.server.attachment import SENDER_REMEMBERED
from twistnotify.wire.catalog import BackendMessage
from twistnotify.wire.errors import ErrorFields
from twistnotify.wire.extended_query import Parse, Sync
from twistnotify.wire.notification import NotificationResponse
from twistnotify.wire.session_status import ParameterStatus, ReadyForQuery, Terminate
from twistnotify.wire.simple_query import CommandComplete, DataRow, Query
from twistnotify.wire.startup import CancelRequest

ROW = 60_000
"""Bytes of a row that a client does not take."""


@pytest.fixture
def relaying(make_world: MakeWorld) -> World:
    """A server with one shard, which is up, and a relay to the shard's PostgreSQL."""
    return make_world(relays=True).start()


def kinds(messages: list[BackendMessage]) -> list[str]:
    return [_kind(message) for message in messages]


def _kind(message: Any) -> str:
    match message:
        case CommandComplete(tag):
            return tag
        case NotificationResponse(payload=payload):
            return payload
        case DataRow(values):
            return f"row of {len(values[0] or b'')}"
        case ReadyForQuery(status):
            return f"ready {status}"
        case ParameterStatus(name, value):
            return f"{name}={value}"
    return sqlstates([message])[0] if sqlstates([message]) else type(message).__name__


def attached(world: World, *listens: str, **parameters: str) -> FakeClient:
    """Return a client with an upstream that waits for a command."""
    client = world.client(*listens, **parameters)
    client.ask("SELECT now()")
    world.reactor.settle()
    answer(world, "C(SELECT 1) Z")
    client.hear()
    assert world.upstream.sent == ["Q(SELECT now())"]
    return client


def answer(world: World, short: str) -> None:
    """Have the upstream answer, and let everything come to rest."""
    world.upstream.say(short)
    world.reactor.settle()


def asked(world: World, client: FakeClient, sql: str) -> list[str]:
    """Have a client ask, and return what the upstream gets of it."""
    client.ask(sql)
    world.reactor.settle()
    return world.upstream.sent


# Before there is an upstream


def test_another_client_is_signalled_by_one_without_an_upstream(relaying: World) -> None:
    client, other = relaying.client(), relaying.client()

    assert kinds(client.query(f"SELECT pg_terminate_backend({other.pid})"))[-1] == "ready I"

    assert sqlstates(other.hear()) == ["57P01"]
    assert relaying.relay.asked == []


def test_a_client_may_terminate_itself(relaying: World) -> None:
    client = relaying.client()

    messages = client.query(f"SELECT pg_terminate_backend({client.pid})")

    assert kinds(messages)[-2:] == ["ready I", "57P01"]
    assert client.gone


def test_another_client_encoding_is_that_of_notifications(relaying: World) -> None:
    client = relaying.client("a")
    client.query("SET client_encoding = 'latin1'")
    client.codec = "latin-1"

    relaying.postgres.notify("a", "é")
    relaying.reactor.settle()

    assert client.heard() == [("a", "é")]


# Attaching


def test_other_sql_goes_to_a_session_of_the_clients_own(relaying: World) -> None:
    client = relaying.client(application_name="mine")
    client.query("SET TimeZone = 'GMT'")
    client.ask("SELECT now()")
    relaying.reactor.settle()

    ((user, startup, replays),) = relaying.relay.asked
    assert user == "alice"
    assert ("application_name", "mine") in startup
    assert len(replays) == 1
    assert relaying.upstream.sent == ["Q(SELECT now())"]
    answer(relaying, "T D(2) C(SELECT 1) Z")
    assert kinds(client.hear()) == ["RowDescription", "row of 1", "SELECT 1", "ready I"]


def test_each_client_has_its_own(relaying: World) -> None:
    first, second = attached(relaying), attached(relaying)

    assert len(relaying.relay.upstreams) == 2
    relaying.relay.upstreams[0].say("N(NOTICE 00000)")
    assert kinds(first.hear()) == ["NoticeResponse"]
    assert second.hear() == []


def test_a_client_waits_for_it_and_is_not_read_from(relaying: World) -> None:
    relaying.relay.holds = True
    client = relaying.client()
    client.ask("SELECT now()")
    relaying.reactor.settle()
    client.ask("SELECT 3")
    relaying.reactor.settle()
    assert not client.transport.reading

    relaying.relay.open_one()
    relaying.reactor.settle()

    assert relaying.upstream.sent == ["Q(SELECT now())", "Q(SELECT 3)"]
    assert client.transport.reading


def test_a_client_that_gets_none_is_told_and_goes_on(relaying: World) -> None:
    relaying.relay.refuses = REFUSED
    client = relaying.client()

    assert kinds(client.query("SELECT now()")) == ["08001", "ready I"]
    assert kinds(client.query("SELECT 1"))[-1] == "ready I"


def test_a_client_may_be_refused_as_it_logs_in(relaying: World) -> None:
    relaying.relay.refuses = REFUSED
    client = relaying.connect()

    assert sqlstates(client.log_in(work_mem="1MB")) == ["08001"]
    assert client.gone


def test_or_have_it_from_the_start(relaying: World) -> None:
    relaying.relay.parameters = {"TimeZone": "GMT"}
    client = relaying.connect()

    messages = client.log_in(work_mem="1MB")

    assert "TimeZone=GMT" in kinds(messages)
    assert ready(messages)
    assert asked(relaying, client, "LISTEN a") == ['Q(UNLISTEN "twistnotify_gap")']


def test_a_client_that_goes_away_meanwhile_calls_it_off(relaying: World) -> None:
    relaying.relay.holds = True
    client = relaying.client()
    client.ask("SELECT now()")
    relaying.reactor.settle()

    client.hang_up()
    relaying.reactor.settle()

    assert relaying.relay.cancelled == 1
    relaying.assert_empty()


def test_one_that_is_terminated_meanwhile_as_well(relaying: World) -> None:
    relaying.relay.holds = True
    client = relaying.client()
    client.ask("SELECT now()")
    relaying.reactor.settle()

    relaying.factory.signal("pg_terminate_backend", client.pid)
    relaying.reactor.settle()

    assert relaying.relay.cancelled == 1
    assert sqlstates(client.hear()) == ["57P01"]


def test_a_client_may_cancel_its_attaching(relaying: World) -> None:
    relaying.relay.holds = True
    client = relaying.client()
    client.ask("SELECT now()")
    relaying.reactor.settle()
    assert client.key is not None

    relaying.factory.cancel(client.pid, client.key.secret)
    relaying.reactor.settle()

    assert relaying.relay.cancelled == 1
    assert kinds(client.hear()) == ["57014", "ready I"]
    assert kinds(client.query("LISTEN a")) == ["LISTEN", "ready I"]


def test_what_it_has_notified_before_is_not_overtaken(make_world: MakeWorld) -> None:
    world = make_world(relays=True).start()
    client = world.client()
    world.postgres.holds = True
    client.query("NOTIFY a")
    client.ask("SELECT now()")
    world.reactor.settle()
    assert world.upstream.sent == []

    world.postgres.holds = False
    while world.postgres.held:
        world.postgres.answer()
    world.reactor.settle()

    assert world.upstream.sent == ["Q(SELECT now())"]


# What passes


def test_rows_reach_the_client_as_they_come(relaying: World) -> None:
    client = attached(relaying)
    asked(relaying, client, "SELECT 2")
    before = len(client.transport.received)

    relaying.upstream.say_bytes(b"D\0\0\1\0")

    assert client.transport.received[before:] == b"D\0\0\1\0"


def test_a_listen_is_in_effect_before_the_client_is_told_it_may_go_on(relaying: World) -> None:
    client = attached(relaying)
    assert asked(relaying, client, "LISTEN a") == ['Q(UNLISTEN "twistnotify_gap")']
    answer(relaying, "C(UNLISTEN) Z")
    assert kinds(client.hear()) == ["LISTEN", "ready I"]

    relaying.postgres.notify("a", "x")
    relaying.reactor.settle()

    assert client.heard() == [("a", "x")]


def test_a_notify_of_another_shard_is_sent_there(make_world: MakeWorld) -> None:
    world = make_world(shards=("s0", "s1", "s2"), relays=True, relay_shard="s1").start()
    channel = next(name for name in "abcdef" if not world.database.relays(name))
    client = attached(world)
    asked(world, client, f"NOTIFY {channel}, 'x'")
    assert not any(postgres.log for postgres in world.servers.values())

    answer(world, "C(UNLISTEN) Z")

    shard = world.database.shard_of(channel)
    assert world.servers[shard.name].log == [(channel, "x")]
    assert kinds(client.hear()) == ["NOTIFY", "ready I"]


def test_a_commit_that_fails_is_told(make_world: MakeWorld) -> None:
    world = make_world(relays=True, max_channels=1).start()
    attached(world, "taken")
    client = attached(world)
    asked(world, client, "LISTEN a")
    answer(world, "C(UNLISTEN) Z")

    assert kinds(client.hear()) == ["LISTEN", "53400", "ready I"]


def test_a_commit_that_is_waited_for_is_waited_for(make_world: MakeWorld) -> None:
    world = make_world(shards=("s0", "s1"), relays=True, relay_shard=None, notify_ack="committed").start()
    for postgres in world.servers.values():
        postgres.holds = True
    client = attached(world)
    asked(world, client, "NOTIFY a")
    answer(world, "C(UNLISTEN) Z")
    assert kinds(client.hear()) == ["NOTIFY"]
    assert world.upstream.paused

    for postgres in world.servers.values():
        while postgres.held:
            postgres.answer()
    world.reactor.settle()

    assert kinds(client.hear()) == ["ready I"]
    assert not world.upstream.paused


def test_one_that_is_waited_for_may_fail(make_world: MakeWorld) -> None:
    world = make_world(shards=("s0", "s1"), relays=True, relay_shard=None, notify_ack="committed").start()
    for postgres in world.servers.values():
        postgres.holds = True
    client = attached(world)
    asked(world, client, "NOTIFY a")
    answer(world, "C(UNLISTEN) Z")

    for postgres in world.servers.values():
        while postgres.held:
            postgres.refuse("54000")
            world.reactor.settle()

    assert kinds(client.hear()) == ["NOTIFY", "54000", "ready I"]


def test_a_client_that_vanishes_while_its_commit_is_waited_for_is_not_missed(make_world: MakeWorld) -> None:
    world = make_world(shards=("s0", "s1"), relays=True, relay_shard=None, notify_ack="committed").start()
    for postgres in world.servers.values():
        postgres.holds = True
    client = attached(world)
    asked(world, client, "NOTIFY a")
    answer(world, "C(UNLISTEN) Z")

    client.hang_up()
    world.reactor.settle()

    assert client.gone
    assert world.upstream.state == "ended"


def test_other_clients_are_signalled(relaying: World) -> None:
    client, other = attached(relaying), relaying.client()
    sent = asked(relaying, client, f"SELECT pg_terminate_backend({other.pid})")
    assert sent[0].startswith("Q(SELECT true")

    answer(relaying, "T D(t) C(SELECT 1) Z")

    assert sqlstates(other.hear()) == ["57P01"]
    assert kinds(client.hear())[-1] == "ready I"


def test_another_client_encoding_is_that_of_notifications_too(relaying: World) -> None:
    client = attached(relaying, "a")
    asked(relaying, client, "SET client_encoding = 'latin1'")
    answer(relaying, "S(client_encoding=LATIN1) C(SET) Z")
    client.hear()
    client.codec = "latin-1"

    relaying.postgres.notify("a", "é")
    relaying.reactor.settle()

    assert client.heard() == [("a", "é")]


def test_reservations_of_its_transaction_are_given_up(relaying: World) -> None:
    client = relaying.client()
    client.query("BEGIN")
    client.query("LISTEN a")
    assert "a" in relaying.shard.hub
    client.ask("SELECT now()")
    relaying.reactor.settle()
    answer(relaying, "C(SELECT 1) Z(T)")

    asked(relaying, client, "ROLLBACK")
    answer(relaying, "C(ROLLBACK) Z")
    relaying.reactor.wait(relaying.settings.unlisten_delay)

    assert "a" not in relaying.shard.hub


# Gates and fences


def test_a_commit_waits_until_the_shard_has_heard_of_what_came_before(relaying: World) -> None:
    client = attached(relaying)
    relaying.postgres.holds = True
    relaying.client("a")

    assert asked(relaying, client, "NOTIFY a") == []
    assert not client.transport.reading
    client.ask("SELECT 3")
    relaying.reactor.settle()

    relaying.postgres.answer()
    relaying.reactor.settle()
    while relaying.postgres.held:
        relaying.postgres.answer()
        relaying.reactor.settle()

    assert relaying.upstream.sent == ["Q(NOTIFY a)", "Q(SELECT 3)"]
    assert client.transport.reading


def test_it_does_not_where_there_is_nothing_to_hear_of(relaying: World) -> None:
    assert asked(relaying, attached(relaying), "NOTIFY a") == ["Q(NOTIFY a)"]


def test_it_waits_no_longer_than_the_timeout(make_world: MakeWorld) -> None:
    world = make_world(relays=True, fence_timeout=0.5).start()
    client = attached(world)
    world.postgres.holds = True
    world.client("a")
    asked(world, client, "NOTIFY a")

    world.reactor.wait(0.4)
    assert world.upstream.sent == []
    world.reactor.wait(0.1)

    assert world.upstream.sent == ["Q(NOTIFY a)"]


def test_without_a_timeout_it_does_not_wait(make_world: MakeWorld) -> None:
    world = make_world(relays=True, fence_timeout=0.0).start()
    client = attached(world)
    world.postgres.holds = True
    world.client("a")

    assert asked(world, client, "NOTIFY a") == ["Q(NOTIFY a)"]
    assert len(world.postgres.held) == 1


def test_a_listener_hears_what_its_upstream_has_committed_before_it_may_go_on(relaying: World) -> None:
    client = attached(relaying, "a")
    relaying.postgres.holds = True
    asked(relaying, client, "NOTIFY a, 'mine'")
    relaying.upstream.say("C(NOTIFY) Z")
    relaying.reactor.settle()
    assert kinds(client.hear()) == ["NOTIFY"]

    relaying.postgres.notify("a", "mine", pid=relaying.upstream.pid)
    relaying.postgres.answer()
    relaying.reactor.settle()

    assert kinds(client.hear()) == ["mine", "ready I"]


def test_it_waits_no_longer_than_the_timeout_either(make_world: MakeWorld) -> None:
    world = make_world(relays=True, fence_timeout=0.5).start()
    client = attached(world, "a")
    world.postgres.holds = True
    asked(world, client, "SELECT 2")
    answer(world, "C(SELECT 1) Z")
    assert kinds(client.hear()) == ["SELECT 1"]

    world.reactor.wait(0.5)

    assert kinds(client.hear()) == ["ready I"]


def test_who_listens_to_nothing_waits_for_nothing(relaying: World) -> None:
    client = attached(relaying)
    relaying.postgres.holds = True
    asked(relaying, client, "SELECT 2")
    answer(relaying, "C(SELECT 1) Z")

    assert kinds(client.hear()) == ["SELECT 1", "ready I"]
    assert not relaying.postgres.held


def test_a_fence_opens_when_the_shard_goes_down(relaying: World) -> None:
    client = attached(relaying, "a")
    relaying.postgres.holds = True
    asked(relaying, client, "SELECT 2")
    answer(relaying, "C(SELECT 1) Z")
    relaying.postgres.refuses = OSError("down")

    relaying.postgres.lose()
    relaying.reactor.settle()

    assert kinds(client.hear()) == ["SELECT 1", "ready I"]


def test_the_upstream_is_not_read_from_meanwhile(relaying: World) -> None:
    client = attached(relaying, "a")
    relaying.postgres.holds = True
    asked(relaying, client, "SELECT 2")
    answer(relaying, "C(SELECT 1) Z")
    assert relaying.upstream.paused

    relaying.postgres.answer()
    relaying.reactor.settle()

    assert not relaying.upstream.paused
    assert kinds(client.hear()) == ["SELECT 1", "ready I"]


def test_a_listener_has_one_command_answered_before_the_next_is_sent(relaying: World) -> None:
    client = attached(relaying, "a")
    client.send(Query(b"SELECT 2").encode() + Query(b"SELECT 3").encode())
    relaying.reactor.settle()
    assert relaying.upstream.sent == ["Q(SELECT 2)"]
    assert not client.transport.reading

    answer(relaying, "C(SELECT 1) Z")

    assert relaying.upstream.sent == ["Q(SELECT 3)"]
    assert client.transport.reading
    assert kinds(client.hear()) == ["SELECT 1", "ready I"]


def test_notifications_wait_for_the_end_of_a_transaction(relaying: World) -> None:
    client = attached(relaying, "a")
    asked(relaying, client, "BEGIN")
    answer(relaying, "C(BEGIN) Z(T)")
    client.hear()
    relaying.postgres.notify("a", "x")
    relaying.reactor.settle()
    assert client.hear() == []

    asked(relaying, client, "COMMIT")
    answer(relaying, "C(COMMIT) Z")

    assert kinds(client.hear()) == ["COMMIT", "x", "ready I"]


def test_a_registration_ahead_of_a_commit_that_was_none_is_withdrawn_with_what_it_heard(relaying: World) -> None:
    client = attached(relaying)
    asked(relaying, client, "BEGIN; LISTEN a")
    answer(relaying, "C(BEGIN) C(UNLISTEN) Z(T)")
    asked(relaying, client, "COMMIT")
    relaying.postgres.notify("a", "x")
    relaying.reactor.settle()
    client.hear()

    answer(relaying, "C(ROLLBACK) Z")

    assert kinds(client.hear()) == ["ROLLBACK", "ready I"]
    assert list(relaying.shard.channels_of(client.protocol.outbox)) == []


# PIDs


def test_what_it_notifies_has_the_pid_that_it_has_here(relaying: World) -> None:
    client, other = attached(relaying, "a"), relaying.client("a")
    relaying.postgres.notify("a", "x", pid=relaying.upstream.pid)
    relaying.reactor.settle()

    for each in (client, other):
        (heard,) = (message for message in each.hear() if isinstance(message, NotificationResponse))
        assert heard.pid == client.pid


def test_it_has_it_for_a_while_after_the_end(relaying: World) -> None:
    client, other = attached(relaying), relaying.client("a")
    client.hang_up()
    relaying.reactor.settle()
    pid = relaying.upstream.pid

    relaying.reactor.wait(SENDER_REMEMBERED - 0.1)
    assert relaying.shard.relayed == {pid: client.pid}
    relaying.reactor.wait(0.1)

    assert relaying.shard.relayed == {}
    assert other.hear() == []


def test_a_backend_that_another_client_has_by_then_stays_known(relaying: World) -> None:
    client = attached(relaying)
    pid = relaying.upstream.pid
    client.hang_up()
    relaying.reactor.settle()
    relaying.shard.relayed[pid] = 1

    relaying.reactor.wait(SENDER_REMEMBERED)

    assert relaying.shard.relayed.pop(pid) == 1


def test_without_a_shard_of_its_own_there_is_nothing_to_know(make_world: MakeWorld) -> None:
    world = make_world(relays=True, relay_shard=None).start()
    client = attached(world)

    assert world.shard.relayed == {}
    client.hang_up()
    world.reactor.settle()
    assert world.upstream.state == "ended"


# Flow control


def test_an_upstream_is_not_read_from_while_its_client_takes_nothing(relaying: World) -> None:
    client = attached(relaying)
    asked(relaying, client, "SELECT 2")
    client.transport.room = 0

    relaying.upstream.say(f"D({'x' * ROW})")
    assert relaying.upstream.paused
    relaying.upstream.say(f"D({'x' * ROW}) C(SELECT 2) Z")
    relaying.reactor.settle()
    assert len(client.protocol.outbox) + client.transport.buffered < 2 * ROW

    client.transport.room = None
    relaying.reactor.settle()

    assert not relaying.upstream.paused
    assert kinds(client.hear()) == [f"row of {ROW}"] * 2 + ["SELECT 2", "ready I"]


def test_nor_where_that_was_so_before_it_was_attached(relaying: World) -> None:
    client = relaying.client()
    client.transport.room = 0
    client.send(Query(b"NOTIFY a").encode() + Query(b"SELECT now()").encode())
    relaying.reactor.settle()
    assert relaying.upstream.paused

    client.transport.room = None
    relaying.reactor.settle()

    assert not relaying.upstream.paused


def test_a_client_is_not_read_from_while_its_upstream_takes_nothing(relaying: World) -> None:
    client = attached(relaying)
    relaying.upstream.consumer.full()
    client.ask("SELECT 2")
    relaying.reactor.settle()
    assert not client.transport.reading
    assert relaying.upstream.sent == []

    relaying.upstream.consumer.drained()
    relaying.reactor.settle()

    assert relaying.upstream.sent == ["Q(SELECT 2)"]
    assert client.transport.reading


# Ends


def test_a_client_that_leaves_says_so_to_its_upstream(relaying: World) -> None:
    client = attached(relaying)
    client.send(Terminate().encode())
    relaying.reactor.settle()

    assert relaying.upstream.sent == ["X"]
    assert relaying.upstream.state == "ended"
    assert client.gone


def test_a_client_that_vanishes_leaves_no_upstream_behind(relaying: World) -> None:
    client = attached(relaying, "a")
    asked(relaying, client, "SELECT 2")

    client.hang_up()
    relaying.reactor.settle()

    assert relaying.upstream.state == "ended"
    relaying.upstream.consumer.received(b"Z\0\0\0\5I")


@pytest.mark.parametrize("listens", [(), ("a",)])
def test_one_that_vanishes_while_it_waits_leaves_nothing_either(relaying: World, listens: tuple[str, ...]) -> None:
    client = attached(relaying, *listens)
    relaying.postgres.holds = True
    relaying.client("b")
    asked(relaying, client, "NOTIFY a")

    client.protocol.hung_up()
    relaying.reactor.settle()

    assert relaying.upstream.state == "ended"
    assert client.gone


def test_a_client_whose_upstream_is_lost_is_told(relaying: World) -> None:
    client = attached(relaying)
    asked(relaying, client, "SELECT 2")

    relaying.upstream.lose()
    relaying.reactor.settle()

    assert sqlstates(client.hear()) == ["08006"]
    assert client.gone
    assert relaying.factory.counters.disconnects == {"relay": 1}


def test_what_the_upstream_has_said_last_comes_first(relaying: World) -> None:
    client = attached(relaying)
    relaying.upstream.say("E(FATAL 57P01)")
    relaying.upstream.lose()
    relaying.reactor.settle()

    assert sqlstates(client.hear()) == ["57P01"]
    assert client.gone


def test_an_upstream_lost_in_the_middle_of_a_message_ends_the_client_without_a_word(relaying: World) -> None:
    client = attached(relaying)
    asked(relaying, client, "SELECT 2")
    relaying.upstream.say_bytes(b"D\0\0\1\0")

    relaying.upstream.lose()
    relaying.reactor.settle()

    assert client.transport.received.endswith(b"D\0\0\1\0")
    assert client.gone


def test_an_upstream_lost_while_its_answer_waits_is_told_of_behind_it(relaying: World) -> None:
    client = attached(relaying, "a")
    relaying.postgres.holds = True
    asked(relaying, client, "SELECT 2")
    relaying.upstream.say("C(SELECT 1) Z")
    relaying.upstream.consumer.lost()
    assert kinds(client.hear()) == ["SELECT 1"]

    relaying.postgres.answer()
    relaying.reactor.settle()

    assert kinds(client.hear()) == ["ready I", "08006"]


def test_an_upstream_lost_while_a_command_waits_is_told_of_at_once(relaying: World) -> None:
    client = attached(relaying)
    relaying.postgres.holds = True
    relaying.client("a")
    asked(relaying, client, "NOTIFY a")

    relaying.upstream.lose()
    relaying.reactor.settle()

    assert kinds(client.hear()) == ["08006"]


def test_an_upstream_that_speaks_nonsense_ends_the_client(relaying: World) -> None:
    client = attached(relaying)
    answer(relaying, "Z")

    assert kinds(client.hear()) == ["08P01"]
    assert relaying.upstream.state == "ended"


def test_a_client_that_speaks_nonsense_ends_its_upstream(relaying: World) -> None:
    client = attached(relaying)
    client.send(Query(b"SELECT 2").encode() + b"?\0\0\0\4")
    relaying.reactor.settle()

    assert relaying.upstream.sent == ["Q(SELECT 2)"]
    assert relaying.upstream.state == "ended"
    assert kinds(client.hear()) == ["08P01"]


def test_a_client_is_terminated_between_two_messages(relaying: World) -> None:
    client = attached(relaying)
    relaying.factory.terminate_all("shutdown", ErrorFields("FATAL", "57P01", "stop"))
    relaying.reactor.settle()

    assert sqlstates(client.hear()) == ["57P01"]
    assert relaying.upstream.state == "ended"


def test_in_the_middle_of_one_it_is_cut_off(relaying: World) -> None:
    client = attached(relaying)
    asked(relaying, client, "SELECT 2")
    relaying.upstream.say_bytes(b"D\0\0\1\0")
    before = client.transport.received

    relaying.factory.terminate_all("shutdown", ErrorFields("FATAL", "57P01", "stop"))
    relaying.reactor.settle()

    assert client.transport.received == before
    assert client.gone
    assert relaying.factory.counters.disconnects == {"shutdown": 1}


def test_so_it_is_where_it_has_not_taken_what_was_sent(relaying: World) -> None:
    client = attached(relaying)
    asked(relaying, client, "SELECT 2")
    client.transport.room = 0
    relaying.upstream.say(f"D({'x' * ROW})")
    client.protocol.outbox.reply(b"more")

    relaying.factory.terminate_all("shutdown", ErrorFields("FATAL", "57P01", "stop"))
    relaying.reactor.settle()

    assert client.gone


# Cancelling


def cancel(world: World, client: FakeClient) -> None:
    assert client.key is not None
    world.factory.cancel(client.pid, client.key.secret)
    world.reactor.settle()


def test_what_the_upstream_is_at_is_cancelled_there(relaying: World) -> None:
    client = attached(relaying)
    asked(relaying, client, "SELECT pg_sleep(60)")

    cancel(relaying, client)

    ((host, port, dialling),) = relaying.reactor.dialled
    assert (host, port) == (PLACE.address, PLACE.port)
    protocol = dialling.buildProtocol(None)
    transport = FakeTransport(relaying.reactor, protocol)
    protocol.makeConnection(transport)
    relaying.reactor.settle()
    assert transport.received == CancelRequest(relaying.upstream.pid, relaying.upstream.secret).encode()
    transport.peer_closed = True
    relaying.reactor.settle()
    answer(relaying, "E(57014) Z")
    assert kinds(client.hear()) == ["57014", "ready I"]


def test_a_cancel_that_gets_nowhere_is_given_up(relaying: World) -> None:
    client = attached(relaying)
    asked(relaying, client, "SELECT pg_sleep(60)")
    cancel(relaying, client)

    relaying.reactor.wait(relaying.settings.server_connect_timeout)

    answer(relaying, "C(SELECT 1) Z")
    assert kinds(client.hear()) == ["SELECT 1", "ready I"]


def test_an_upstream_that_is_at_nothing_is_left_alone(relaying: World) -> None:
    cancel(relaying, attached(relaying))

    assert relaying.reactor.dialled == []


# Pipelines


def test_a_pipeline_passes_in_one_piece(relaying: World) -> None:
    client = attached(relaying)
    client.send(Parse(b"", b"SELECT 2", ()).encode() + Sync().encode())
    relaying.reactor.settle()
    assert relaying.upstream.sent == ["P(SELECT 2)", "S"]

    answer(relaying, "1 Z")

    assert kinds(client.hear()) == ["ParseComplete", "ready I"]


def test_notifications_that_come_with_an_answer_do_not_overtake_it(relaying: World) -> None:
    client = attached(relaying, "a")
    asked(relaying, client, "SELECT 2")
    relaying.postgres.notify("a", "x")
    relaying.reactor.settle()
    assert client.hear() == []

    answer(relaying, "C(SELECT 1) Z")

    assert kinds(client.hear()) == ["SELECT 1", "x", "ready I"]
