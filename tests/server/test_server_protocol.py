from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from fakes.client import FakeClient, notifications, ready, sqlstates, startup
from fakes.fixtures import MakeWorld
from fakes.postgres import Notify, server_error
from fakes.tls import FakeTlsClient, server_tls, tls_world
from fakes.world import World

from twistnotify.auth.rights import ChannelRule, Rights
from twistnotify.pubsub.routing import GAP_CHANNEL
from twistnotify.server.authentication import Security
from twistnotify.server.commit import Committer
from twistnotify.server.protocol import LAST_WORDS
from twistnotify.wire.authentication import AuthenticationOk
from twistnotify.wire.errors import ErrorResponse, NoticeResponse
from twistnotify.wire.extended_query import Parse, Sync
from twistnotify.wire.notification import NotificationResponse
from twistnotify.wire.session_status import ParameterStatus, ReadyForQuery, Terminate
from twistnotify.wire.simple_query import CommandComplete
from twistnotify.wire.startup import BackendKeyData, CancelRequest, SSLRequest


def kinds(messages: list[Any]) -> list[str]:
    """Return the messages by their tags, payloads and SQLSTATEs, the others by their names."""
    return [_kind(message) for message in messages]


def _kind(message: Any) -> str:
    match message:
        case CommandComplete(tag):
            return tag
        case NotificationResponse(payload=payload):
            return payload
        case ErrorResponse(fields) | NoticeResponse(fields):
            return fields.sqlstate
        case ReadyForQuery():
            return "ready"
    return type(message).__name__


# Logging in


def test_a_client_logs_in_with_the_parameters_of_the_server(world: World) -> None:
    client = world.connect()
    messages = client.log_in(application_name="mine")

    assert isinstance(messages[0], AuthenticationOk)
    told = {message.name: message.value for message in messages if isinstance(message, ParameterStatus)}
    assert (told["server_version"], told["application_name"]) == ("15.18", "mine")
    assert told["session_authorization"] == "alice"
    assert ready(messages)
    assert world.factory.clients[client.pid] is client.protocol
    assert world.factory.counters.logins == 1


def test_encryption_is_declined_and_the_log_in_goes_on(world: World) -> None:
    client = world.connect()
    client.send(SSLRequest().encode())
    world.reactor.settle()
    assert client.transport.received == b"N"

    client._read = 1
    assert ready(client.log_in())


def test_a_database_that_does_not_exist_is_fatal(world: World) -> None:
    client = world.connect()

    assert sqlstates(client.log_in(database="nowhere")) == ["3D000"]
    assert client.gone
    world.assert_empty()
    assert world.factory.counters.disconnects == {"login": 1}


def test_a_log_in_waits_for_a_shard_that_was_never_up(make_world: MakeWorld) -> None:
    world = make_world()
    client = world.connect()
    assert client.log_in() == []

    world.start()

    assert ready(client.hear())
    assert client.query("LISTEN a")


def test_a_query_that_comes_while_the_log_in_waits_is_answered_after_it(make_world: MakeWorld) -> None:
    world = make_world()
    client = world.connect()
    client.log_in()
    client.ask("LISTEN a")
    client.ask("LISTEN b")
    world.reactor.settle()
    assert not client.transport.reading

    world.start()

    assert kinds(client.hear())[-5:] == ["ready", "LISTEN", "ready", "LISTEN", "ready"]
    assert client.transport.reading


def test_a_log_in_that_waits_is_refused_where_others_have_taken_the_last_place(make_world: MakeWorld) -> None:
    world = make_world(max_client_conn=1)
    first, second = world.connect(), world.connect()
    first.log_in()
    second.log_in()

    world.start()

    assert ready(first.hear())
    assert sqlstates(second.hear()) == ["53300"]


def test_one_that_says_nothing_is_ended_without_a_word(world: World) -> None:
    client = world.connect()
    world.reactor.wait(world.settings.client_login_timeout - 0.1)
    assert not client.gone

    world.reactor.wait(0.1)

    assert client.gone
    assert client.transport.received == b""
    world.assert_empty()
    assert world.factory.counters.disconnects == {"login_timeout": 1}


def test_one_that_waits_for_a_shard_longer_than_the_timeout_is_told(make_world: MakeWorld) -> None:
    world = make_world()
    client = world.connect()
    client.log_in()
    world.reactor.wait(world.settings.client_login_timeout)

    assert sqlstates(client.hear()) == ["57P03"]
    assert client.gone
    world.assert_empty()
    assert world.reactor.getDelayedCalls() == []


def test_each_has_its_own_time_to_log_in(world: World) -> None:
    timeout = world.settings.client_login_timeout
    first = world.connect()
    world.reactor.wait(timeout / 2)
    second, third = world.connect(), world.connect()
    third.log_in()
    world.reactor.wait(timeout / 2)
    assert (first.gone, second.gone) == (True, False)
    world.reactor.wait(timeout / 2)

    assert (second.gone, third.gone) == (True, False)


# Notifications among the replies


def test_a_notification_comes_between_the_answer_to_its_notify_and_ready(world: World) -> None:
    client = world.client("news")

    assert kinds(client.query("NOTIFY news, 'mine'")) == ["NOTIFY", "mine", "ready"]


def test_a_notification_carries_the_pid_its_sender_knows(world: World) -> None:
    listener, sender = world.client("news"), world.client()
    sender.query("NOTIFY news, 'x'")
    world.postgres.notify("news", "foreign", pid=77)
    world.reactor.settle()

    pids = [message.pid for message in listener.hear() if isinstance(message, NotificationResponse)]
    assert pids == [sender.pid, 77]


def test_nothing_is_delivered_in_a_transaction(world: World) -> None:
    client, other = world.client("news"), world.client()
    client.query("BEGIN")
    other.query("NOTIFY news, 'held'")
    assert client.hear() == []
    assert kinds(client.query("NOTIFY news, 'own'")) == ["NOTIFY", "ready"]

    assert kinds(client.query("COMMIT")) == ["COMMIT", "held", "own", "ready"]


def test_what_was_held_and_is_no_longer_listened_to_is_not_delivered(world: World) -> None:
    client, other = world.client("news", "more"), world.client()
    client.query("BEGIN")
    for channel in ("news", "more"):
        other.query(f"NOTIFY {channel}, '{channel}'")
    client.query("UNLISTEN news")

    assert notifications(client.query("COMMIT")) == [("more", "more")]
    client.query("BEGIN")
    other.query("NOTIFY more, 'x'")
    client.query("UNLISTEN *")
    assert notifications(client.query("COMMIT")) == []


def test_notifications_do_not_come_in_the_middle_of_a_pipeline(world: World) -> None:
    client, other = world.client("news"), world.client()
    client.send(Parse(b"", b"LISTEN b", ()).encode())
    world.reactor.settle()
    other.query("NOTIFY news, 'x'")
    assert notifications(client.hear()) == []

    client.send(Sync().encode())
    world.reactor.settle()

    assert kinds(client.hear())[-2:] == ["x", "ready"]


def test_what_arrives_while_a_command_is_sent_on_does_not_overtake_its_answer(world: World) -> None:
    client = world.client("news")
    client.query("SET twistnotify.notify_ack = committed")
    # The poll that sends a query may find notifications, too.
    world.postgres.backend.notifies.append(Notify(77, "news", "meanwhile"))

    assert kinds(client.query("NOTIFY other")) == ["NOTIFY", "meanwhile", "ready"]


# Waiting at the fence


def held(world: World) -> tuple[FakeClient, FakeClient]:
    """Return a listener and a sender whose NOTIFY is on its way to PostgreSQL."""
    listener, sender = world.client("news"), world.client()
    world.postgres.holds = True
    assert kinds(sender.query("NOTIFY news, 'x'")) == ["NOTIFY", "ready"]
    return listener, sender


def test_a_listener_is_not_ready_before_it_has_what_was_acknowledged(world: World) -> None:
    listener, sender = held(world)
    assert kinds(listener.query("LISTEN other")) == ["LISTEN"]
    assert kinds(sender.query("NOTIFY elsewhere")) == ["NOTIFY", "ready"]

    world.postgres.answer()
    world.reactor.settle()

    assert kinds(listener.hear()) == ["x", "ready"]


def test_a_fence_holds_nobody_longer_than_its_timeout(world: World) -> None:
    listener, _ = held(world)
    listener.query("LISTEN other")
    world.reactor.wait(world.settings.fence_timeout)

    assert kinds(listener.hear()) == ["ready"]


def test_a_fence_that_is_switched_off_holds_nobody(make_world: MakeWorld) -> None:
    world = make_world(fence_timeout=0).start()
    listener, _ = held(world)

    assert kinds(listener.query("LISTEN other")) == ["LISTEN", "ready"]


def test_a_lost_connection_holds_nobody(make_world: MakeWorld) -> None:
    world = make_world(listen_loss_policy="notice").start()
    listener, _ = held(world)
    listener.query("LISTEN other")
    world.postgres.lose()
    world.reactor.turn()

    assert kinds(listener.hear()) == ["ready"]
    assert kinds(listener.query("LISTEN third"))[:1] == ["LISTEN"]


# Waiting: what is common to all reasons


def wait_at_fence(world: World) -> FakeClient:
    client, _ = held(world)
    client.query("LISTEN other")
    return client


def wait_for_confirmation(world: World) -> FakeClient:
    client = world.client()
    client.query("SET twistnotify.listen_ack = confirmed")
    world.postgres.holds = True
    assert client.query("LISTEN a") == []
    return client


def wait_for_commit(world: World) -> FakeClient:
    client = world.client("news")
    client.query("SET twistnotify.notify_ack = committed")
    world.postgres.holds = True
    assert client.query("NOTIFY news, 'own'") == []
    return client


def wait_for_room(world: World) -> FakeClient:
    sender, client = world.client(), world.client("news")
    world.postgres.holds = True
    for payload in "123":
        sender.query(f"NOTIFY news, '{payload}'")
    assert client.query("NOTIFY news, 'late'") == []
    return client


def wait_for_log_in(world: World) -> FakeClient:
    client = world.connect()
    client.log_in()
    return client


WAITS = [wait_at_fence, wait_for_confirmation, wait_for_commit, wait_for_room]
Wait = Callable[[World], FakeClient]


@pytest.fixture
def small(make_world: MakeWorld) -> World:
    return make_world(shard_queue_size=2, fence_timeout=1000.0).start()


def go_on(world: World) -> None:
    world.postgres.holds = False
    while world.postgres.held:
        world.postgres.answer()
    world.reactor.settle()


@pytest.mark.parametrize("wait", WAITS)
def test_one_that_sends_while_it_waits_is_not_read_from_until_it_goes_on(small: World, wait: Wait) -> None:
    client = wait(small)
    client.hear()
    assert client.transport.reading
    for payload in "abc":
        client.ask(f"NOTIFY other, '{payload}'")
    small.reactor.settle()
    assert not client.transport.reading
    assert len(client.transport.arrived) == 2
    assert client.hear() == []

    go_on(small)

    assert client.transport.reading
    assert kinds(client.hear()).count("NOTIFY") >= 3
    assert client.transport.arrived == []


@pytest.mark.parametrize("wait", WAITS)
def test_one_that_hangs_up_while_it_waits_is_noticed(small: World, wait: Wait) -> None:
    client = wait(small)
    peer = client.transport.use_socket()
    client.ask("SELECT 1")
    small.reactor.settle()
    peer.close()
    small.reactor.wait(3)
    client.transport.close_pair()

    assert client.gone
    assert client.protocol not in small.factory.connections
    assert not len(small.factory.hangups)
    go_on(small)


@pytest.mark.parametrize("wait", WAITS)
@pytest.mark.parametrize("end", ["hang up", "terminate", "abort"])
def test_one_that_ends_while_it_waits_leaves_nothing(small: World, wait: Wait, end: str) -> None:
    client = wait(small)
    if end == "hang up":
        client.hang_up()
    elif end == "terminate":
        peer = client.transport.use_socket()
        client.send(Terminate().encode())
        small.reactor.settle()
        peer.close()
        small.reactor.wait(3)
        client.transport.close_pair()
    else:
        client.protocol.socket.abortConnection()
    small.reactor.settle()

    assert client.gone
    assert client.protocol not in small.factory.connections
    for shard in small.shards.values():
        assert client.protocol.outbox not in list(shard.hub.listeners())
        assert shard.fence._waits == []
        assert not len(shard.room)
        assert list(shard.channels_of(client.protocol.outbox)) == []
    go_on(small)


@pytest.mark.parametrize("wait", WAITS)
def test_one_that_is_ended_while_it_waits_is_told_and_leaves_nothing(small: World, wait: Wait) -> None:
    client = wait(small)
    client.hear()
    small.factory.terminate_all("shutdown", _shutting_down())
    small.reactor.settle()

    assert sqlstates(client.hear()) == ["57P01"]
    assert client.gone
    small.assert_empty()
    go_on(small)
    assert client.hear() == []


def _shutting_down() -> Any:
    from twistnotify.server.factory import TERMINATED

    return TERMINATED


def test_one_that_ends_while_its_log_in_waits_leaves_nothing(make_world: MakeWorld) -> None:
    world = make_world()
    client = wait_for_log_in(world)
    client.hang_up()
    world.reactor.settle()
    assert client.gone
    world.assert_empty()

    world.start()

    assert world.factory.clients == {}


# Confirmed, committed


def test_a_confirmed_listen_is_answered_when_postgresql_has_answered(world: World) -> None:
    client = wait_for_confirmation(world)

    world.postgres.answer()
    world.reactor.settle()

    assert kinds(client.hear()) == ["LISTEN", "ready"]


def test_a_confirmed_listen_of_a_channel_that_is_listened_to_is_answered_at_once(world: World) -> None:
    world.client("news")
    client = world.client()
    client.query("SET twistnotify.listen_ack = confirmed")

    assert kinds(client.query("LISTEN news")) == ["LISTEN", "ready"]


def test_a_listen_that_postgresql_refuses_is_an_error_and_no_registration(world: World) -> None:
    client = wait_for_confirmation(world)
    world.postgres.refuse("53200", "out of memory")
    world.reactor.settle()

    assert kinds(client.hear()) == ["53200", "ready"]
    assert list(world.shard.hub.listeners()) == []
    assert client.protocol.session.channels == {}
    go_on(world)


def test_a_committed_notify_is_answered_with_its_commit(world: World) -> None:
    client = wait_for_commit(world)

    go_on(world)

    assert kinds(client.hear()) == ["NOTIFY", "own", "ready"]


def test_a_committed_notify_that_postgresql_refuses_is_an_error(world: World) -> None:
    client = wait_for_commit(world)
    world.postgres.refuse("54000", "too many notifications in the NOTIFY queue")
    world.reactor.settle()

    assert kinds(client.hear()) == ["54000", "ready"]
    assert kinds(client.query("LISTEN a")) == ["LISTEN", "ready"]


def test_a_committed_notify_whose_connection_is_lost_may_have_been_delivered(make_world: MakeWorld) -> None:
    world = make_world(listen_loss_policy="notice").start()
    client = wait_for_commit(world)
    world.postgres.lose(committed=True)
    world.reactor.settle()

    assert kinds(client.hear())[:2] == ["08007", "ready"]
    go_on(world)
    world.reactor.wait(1)
    assert [payload for _, payload in world.postgres.log] == ["own"]


def test_the_databases_ways_of_acknowledgement_are_its_clients(make_world: MakeWorld) -> None:
    world = make_world(listen_ack="confirmed", notify_ack="committed").start()
    client = world.client()
    world.postgres.holds = True

    assert client.query("LISTEN a") == []
    go_on(world)
    assert kinds(client.hear()) == ["LISTEN", "ready"]


# Room


def test_one_that_found_no_room_goes_on_when_there_is_some(small: World) -> None:
    client = wait_for_room(small)

    go_on(small)

    assert kinds(client.hear()) == ["NOTIFY", "1", "2", "3", "late", "ready"]


def test_one_that_found_no_room_is_refused_when_the_shard_stays_down(small: World) -> None:
    client = wait_for_room(small)
    small.postgres.refuses = psycopg2.OperationalError("refused")
    small.postgres.holds = False
    sender = small.client()
    small.postgres.lose()
    small.reactor.settle()
    for payload in "456":
        sender.ask(f"NOTIFY other, '{payload}'")
    small.reactor.settle()
    client.hear()
    small.reactor.wait(small.settings.query_wait_timeout)

    assert "57P03" in sqlstates(client.hear() + sender.hear())
    small.postgres.refuses = None
    small.reactor.wait(10)


def test_a_wait_for_room_can_be_cancelled(small: World) -> None:
    client = wait_for_room(small)
    client.hear()
    other = small.connect()
    assert client.key is not None
    other.send(CancelRequest(client.key.pid, client.key.secret).encode())
    small.reactor.settle()

    assert other.gone
    assert sqlstates(client.hear()) == ["57014"]
    go_on(small)
    assert "late" not in [payload for _, payload in small.postgres.log]


def test_a_wrong_key_cancels_nothing(small: World) -> None:
    client = wait_for_room(small)
    assert client.key is not None
    for pid, secret in ((client.pid, b"evil"), (client.pid + 1000, client.key.secret)):
        small.connect().send(CancelRequest(pid, secret).encode())
    small.reactor.settle()

    assert sqlstates(client.hear()) == []
    go_on(small)


def test_cancelling_one_that_waits_for_nothing_does_nothing(world: World) -> None:
    client = world.client()
    assert client.key is not None
    world.connect().send(CancelRequest(client.key.pid, client.key.secret).encode())
    world.reactor.settle()

    assert client.hear() == []
    world.connect().protocol.cancel()


# Transactions that reserve


def test_a_listen_in_a_transaction_reserves_the_channel_and_registers_at_commit(world: World) -> None:
    client, sender = world.client(), world.client()
    client.query("BEGIN")
    client.query("LISTEN news")
    assert world.postgres.backend.channels == {"news"}
    sender.query("NOTIFY news, 'early'")
    assert list(world.shard.hub.listeners()) == []

    assert kinds(client.query("COMMIT")) == ["COMMIT", "ready"]
    sender.query("NOTIFY news, 'late'")

    assert kinds(client.hear()) == ["late"]
    assert world.shard.hub._interest["news"].reservations == 0


@pytest.mark.parametrize("end", ["ROLLBACK", "hang up"])
def test_a_reservation_ends_with_its_transaction(world: World, end: str) -> None:
    client = world.client()
    client.query("BEGIN")
    client.query("LISTEN news")
    if end == "hang up":
        client.hang_up()
        world.reactor.settle()
    else:
        client.query(end)
    world.reactor.wait(world.settings.unlisten_delay)

    assert world.postgres.backend.channels == set()
    assert len(world.shard.hub) == 0


def test_a_commit_that_is_refused_gives_the_reservations_up(make_world: MakeWorld) -> None:
    world = make_world(max_channels=2).start()
    client = world.client()
    client.query("BEGIN")
    for channel in "abc":
        client.query(f"LISTEN {channel}")
    assert world.postgres.backend.channels == {"a", "b"}

    assert sqlstates(client.query("COMMIT")) == ["53400"]
    world.reactor.wait(world.settings.unlisten_delay)
    assert world.postgres.backend.channels == set()


def test_a_committed_transaction_gives_its_reservations_up_when_it_is_answered(world: World) -> None:
    client = world.client()
    client.query("SET twistnotify.listen_ack = confirmed")
    client.query("BEGIN")
    client.query("LISTEN news")

    assert kinds(client.query("COMMIT")) == ["COMMIT", "ready"]
    assert world.shard.hub._interest["news"].reservations == 0


# Ends


def test_a_client_that_says_goodbye_is_gone(world: World) -> None:
    client = world.client("news")
    client.send(Terminate().encode())
    world.reactor.settle()

    assert client.gone
    world.assert_empty()
    assert world.factory.counters.disconnects == {"client": 1}


def test_a_client_that_vanishes_is_gone(world: World) -> None:
    client = world.client("news")
    client.query("BEGIN")
    client.query("LISTEN more")
    client.hang_up()
    world.reactor.settle()

    world.assert_empty()
    assert world.factory.counters.disconnects == {"client": 1}


def test_garbage_is_a_violation_of_the_protocol(world: World) -> None:
    client = world.client()
    client.send(b"\x00\x00\x00\x00\x04")
    world.reactor.settle()

    assert sqlstates(client.hear()) == ["08P01"]
    assert client.gone
    assert world.factory.counters.disconnects == {"protocol": 1}


def test_a_loss_ends_listeners_and_nobody_else(world: World) -> None:
    listener, other = world.client("news"), world.client()
    world.postgres.lose()
    world.reactor.turn()
    world.reactor.wait_until(lambda: world.shard.up)
    world.reactor.settle()

    assert sqlstates(listener.hear()) == ["57P01"]
    assert listener.gone
    assert not other.gone
    assert world.factory.counters.disconnects == {"loss": 1}


def test_with_notices_a_listener_is_warned_and_told_on_the_gap_channel(make_world: MakeWorld) -> None:
    world = make_world(listen_loss_policy="notice").start()
    client = world.client("news", GAP_CHANNEL)
    world.postgres.lose()
    world.reactor.turn()
    world.reactor.wait_until(lambda: world.shard.up)
    world.reactor.settle()

    notice, gap = client.hear()
    assert isinstance(notice, NoticeResponse)
    assert notice.fields.sqlstate == "01000"
    assert isinstance(gap, NotificationResponse)
    assert gap.channel == GAP_CHANNEL


def test_a_client_whose_encoding_cannot_hold_a_notification_is_ended(world: World) -> None:
    client = world.client("news", client_encoding="LATIN1")
    world.postgres.notify("news", "grün")
    world.reactor.settle()
    assert [m.payload for m in _in_latin1(client) if isinstance(m, NotificationResponse)] == ["grün"]

    world.postgres.notify("news", "☃")
    world.reactor.settle()

    assert sqlstates(_in_latin1(client)) == ["22P05"]
    assert client.gone
    assert world.factory.counters.disconnects == {"encoding": 1}


def _in_latin1(client: FakeClient) -> list[Any]:
    client.codec = "latin-1"
    return client.hear()


def test_a_listener_that_does_not_read_is_ended_behind_the_last_whole_frame(make_world: MakeWorld) -> None:
    world = make_world(client_queue_hard_limit=16384).start()
    slow, quick = world.client("news"), world.client("news")
    slow.transport.room = 100
    for number in range(10):
        world.postgres.notify("news", f"{number}" * 4000)
        world.reactor.settle()
    slow.transport.room = None
    world.reactor.settle()

    messages = slow.hear()
    assert sqlstates(messages) == ["53400"]
    assert messages[-1] is not None
    assert kinds(messages)[-1] == "53400"
    assert slow.gone
    assert len(quick.heard()) == 10
    assert world.factory.counters.disconnects == {"slow_hard": 1}


def test_one_that_does_not_even_read_why_it_is_ended_is_ended_all_the_same(make_world: MakeWorld) -> None:
    world = make_world(client_queue_hard_limit=16384).start()
    slow = world.client("news")
    slow.transport.room = 0
    for number in range(10):
        world.postgres.notify("news", f"{number}" * 4000)
        world.reactor.settle()
    assert not slow.gone
    world.reactor.wait(LAST_WORDS)

    assert slow.gone
    world.assert_empty()


def test_one_that_is_being_ended_is_not_ended_twice(world: World) -> None:
    client = world.client("news")
    client.transport.room = 0
    world.factory.terminate_all("shutdown", _shutting_down())
    world.factory.terminate_all("again", _shutting_down())
    client.transport.room = None
    world.reactor.settle()

    assert len(sqlstates(client.hear())) == 1
    assert world.factory.counters.disconnects == {"shutdown": 1}


def test_nothing_follows_a_fatal_error(world: World) -> None:
    client, sender = world.client("news"), world.client()
    client.transport.room = 0
    sender.query("NOTIFY news, 'before'")
    client.protocol.terminate("test", _shutting_down())
    sender.query("NOTIFY news, 'after'")
    client.ask("LISTEN more")
    client.transport.room = None
    world.reactor.settle()

    assert kinds(client.hear())[-1] == "57P01"
    assert client.gone


def test_what_a_client_asked_for_before_its_goodbye_is_done(world: World) -> None:
    client = world.client()
    client.ask("NOTIFY news, '1'")
    client.ask("NOTIFY news, '2'")
    client.send(Terminate().encode())
    client.hang_up()
    world.reactor.settle()

    assert [payload for _, payload in world.postgres.log] == ["1", "2"]


def test_a_client_that_asks_for_more_than_it_reads_is_not_read_from(world: World) -> None:
    client = world.client()
    client.transport.room = 0
    for _ in range(10):
        client.ask("SELECT 1")
    world.reactor.settle()
    assert not client.transport.reading
    assert len(client.transport.arrived) == 9

    client.transport.room = None
    world.reactor.settle()

    assert kinds(client.hear()).count("SELECT 1") == 10


def test_several_commands_in_one_packet_are_answered_in_order(world: World) -> None:
    client = world.client("news")
    before = client.transport.arrived
    assert before == []
    for sql in ("NOTIFY news, '1'", "LISTEN more", "NOTIFY more, '2'"):
        client.ask(sql)
    client.transport.arrived[:] = [b"".join(client.transport.arrived)]
    world.reactor.settle()

    assert kinds(client.hear()) == ["NOTIFY", "1", "ready", "LISTEN", "ready", "NOTIFY", "2", "ready"]


def test_a_start_up_in_single_bytes_is_a_start_up(world: World) -> None:
    client = world.connect()
    for byte in startup():
        client.send(bytes([byte]))
    world.reactor.settle()

    assert any(isinstance(message, BackendKeyData) for message in client.hear())


def test_an_error_that_nobody_thought_of_in_a_commit_is_logged(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[Any] = []
    client = world.client()
    client.query("SET twistnotify.notify_ack = committed")
    monkeypatch.setattr(client.protocol, "log", type(client.protocol.log)(observer=events.append))
    monkeypatch.setattr(Committer, "_listen", lambda committer, words: 1 / 0)
    client.query("NOTIFY a")

    assert [event["log_format"] for event in events] == ["a commit failed"]


def test_a_fault_in_postgresql_reaches_only_its_sender(world: World) -> None:
    bad, good = world.client(), world.client("news")
    for client in (bad, good):
        client.query("SET twistnotify.notify_ack = committed")
    world.postgres.fault = lambda channel, payload: server_error("22023", "no") if payload == "bad" else None
    world.postgres.holds = True
    good.ask("NOTIFY news, 'running'")
    world.reactor.settle()
    bad.ask("NOTIFY news, 'bad'")
    good.ask("NOTIFY news, 'good'")
    world.reactor.settle()
    go_on(world)

    assert sqlstates(bad.hear()) == ["22023"]
    assert kinds(good.hear()) == ["NOTIFY", "running", "ready", "NOTIFY", "good", "ready"]


# Rights that change

NOBODY = Rights([ChannelRule("secret.*", frozenset(), frozenset())], True)
EVERYBODY = Rights((), True)
REVOKED = 'permission for channel "secret.a" was revoked: the client does not listen to it any more'


def grant(world: World, rights: Rights) -> None:
    world.factory.use(world.authenticator(Security(rights=rights)), world.settings)
    world.reactor.settle()


def test_a_right_that_is_taken_away_ends_the_subscription_with_a_warning(world: World) -> None:
    client, other = world.client("secret.a", "news"), world.client("news")
    grant(world, NOBODY)

    (warning,) = client.hear()
    assert isinstance(warning, NoticeResponse)
    assert (warning.fields.severity, warning.fields.sqlstate, warning.fields.message) == ("WARNING", "42501", REVOKED)
    assert other.hear() == []
    for channel in ("secret.a", "news"):
        world.postgres.notify(channel, channel)
    world.reactor.settle()
    assert client.heard() == [("news", "news")]
    assert sqlstates(client.query('LISTEN "secret.a"')) == ["42501"]
    assert sqlstates(client.query("NOTIFY \"secret.a\", 'x'")) == ["42501"]
    world.reactor.wait(world.settings.unlisten_delay)
    assert world.postgres.backend.channels == {"news"}


def test_what_was_held_for_it_is_not_delivered(world: World) -> None:
    client = world.client("secret.a", "news")
    client.query("BEGIN")
    for channel in ("secret.a", "news"):
        world.postgres.notify(channel, channel)
    world.reactor.settle()
    grant(world, NOBODY)
    assert client.hear() == []

    assert kinds(client.query("COMMIT")) == ["COMMIT", "news", "42501", "ready"]


def test_a_listen_of_a_transaction_does_not_outlive_its_right(world: World) -> None:
    client = world.client()
    client.query("BEGIN")
    client.query('LISTEN "secret.a"')
    grant(world, NOBODY)

    assert sqlstates(client.query("COMMIT")) == ["42501"]
    assert list(world.shard.hub.listeners()) == []
    world.reactor.wait(world.settings.unlisten_delay)
    assert world.postgres.backend.channels == set()


def test_what_tells_of_losses_is_for_everybody(world: World) -> None:
    client = world.client(GAP_CHANNEL)
    grant(world, Rights((), False))

    assert client.hear() == []
    assert kinds(client.query(f"LISTEN {GAP_CHANNEL}")) == ["LISTEN", "ready"]


def test_a_right_that_is_given_may_be_used(world: World) -> None:
    grant(world, NOBODY)
    client = world.client()
    assert sqlstates(client.query('LISTEN "secret.a"')) == ["42501"]

    grant(world, EVERYBODY)

    assert client.hear() == []
    assert kinds(client.query('LISTEN "secret.a"')) == ["LISTEN", "ready"]


def test_a_listen_that_waits_to_be_confirmed_does_not_outlive_its_right(make_world: MakeWorld) -> None:
    world = make_world(listen_ack="confirmed").start()
    client = world.client()
    world.postgres.holds = True
    client.query('LISTEN "secret.a"')
    grant(world, NOBODY)
    go_on(world)
    client.hear()
    world.postgres.notify("secret.a", "x")
    world.reactor.settle()

    assert client.heard() == []


def test_a_listen_that_waits_for_room_does_not_outlive_its_right(small: World) -> None:
    client, other = small.client(), small.client()
    small.postgres.holds = True
    for payload in "123":
        other.query(f"NOTIFY news, '{payload}'")
    client.query("BEGIN")
    client.query('LISTEN "secret.a"')
    client.query("NOTIFY news, 'x'")
    assert client.query("COMMIT") == []
    grant(small, NOBODY)
    go_on(small)
    client.hear()
    small.postgres.notify("secret.a", "x")
    small.reactor.settle()

    assert client.heard() == []


def test_one_that_is_being_ended_has_no_rights_to_lose(world: World) -> None:
    client = world.client("secret.a")
    client.transport.room = 0
    world.factory.terminate_all("shutdown", _shutting_down())
    grant(world, NOBODY)
    client.transport.room = None
    world.reactor.settle()

    assert sqlstates(client.hear()) == ["57P01"]


def test_one_that_is_not_in_has_none(world: World) -> None:
    client = world.connect()
    client.protocol.take_rights(NOBODY.of("alice"))
    world.reactor.settle()

    assert client.transport.received == b""


def test_rights_may_change_while_one_waits(world: World) -> None:
    client = wait_for_confirmation(world)
    grant(world, NOBODY)
    go_on(world)

    assert kinds(client.hear()) == ["LISTEN", "ready"]


# Over TLS


@pytest.fixture
def secured(make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> World:
    """A server with TLS, which may be slow."""
    tls = server_tls(tmp_path)
    return tls_world(make_world, tls, {}, client_queue_hard_limit=65536, shard_queue_size=2)


def secure_client(world: World, *listens: str) -> FakeTlsClient:
    client = FakeTlsClient(world)
    assert ready(client.secure())
    for channel in listens:
        client.query(f"LISTEN {channel}")
    return client


def test_over_tls_a_burst_is_one_write_a_client(secured: World) -> None:
    clients = [secure_client(secured, "news") for _ in range(5)]
    for client in clients:
        client.transport.writes.clear()
    for number in range(1000):
        secured.postgres.notify("news", str(number))
    secured.reactor.settle()

    assert [len(client.transport.writes) for client in clients] == [1] * 5
    assert all([payload for _, payload in client.heard()] == [*map(str, range(1000))] for client in clients)


def test_over_tls_replies_and_notifications_keep_their_order(secured: World) -> None:
    client = secure_client(secured, "news")

    assert kinds(client.query("NOTIFY news, 'mine'")) == ["NOTIFY", "mine", "ready"]


def test_over_tls_a_listener_that_does_not_read_is_ended_too(secured: World) -> None:
    slow, quick = secure_client(secured, "news"), secure_client(secured, "news")
    slow.transport.room = 0
    for number in range(40):
        secured.postgres.notify("news", f"{number % 10}" * 7000)
        secured.reactor.settle()
    assert secured.factory.counters.disconnects == {}
    slow.transport.room = None
    secured.reactor.settle()

    assert kinds(slow.hear())[-1] == "53400"
    assert len(quick.heard()) == 40
    secured.reactor.wait(LAST_WORDS)
    assert slow.gone
    assert secured.factory.counters.disconnects == {"slow_hard": 1}


def test_over_tls_one_that_waits_is_not_read_from(secured: World) -> None:
    client, other = secure_client(secured), secured.client()
    secured.postgres.holds = True
    for payload in "123":
        other.query(f"NOTIFY news, '{payload}'")
    for payload in "abcd":
        client.ask(f"NOTIFY news, '{payload}'")
    secured.reactor.settle()
    assert not client.transport.reading
    assert client.hear() == []

    go_on(secured)

    assert client.transport.reading
    assert kinds(client.hear()).count("NOTIFY") == 4


def test_over_tls_a_goodbye_is_one(secured: World) -> None:
    client = secure_client(secured, "news")
    client.send(Terminate().encode())
    client.hang_up()
    secured.reactor.settle()

    assert client.gone
    secured.assert_empty()
    assert secured.factory.counters.disconnects == {"client": 1}


def test_over_tls_one_that_vanishes_is_gone(secured: World) -> None:
    client = secure_client(secured, "news")
    client.transport.peer_closed = True
    secured.reactor.settle()

    assert client.gone
    secured.assert_empty()


def test_a_handshake_that_comes_when_nobody_waits_for_it_changes_nothing(world: World) -> None:
    client = world.client("news")
    client.protocol.handshakeCompleted()

    assert kinds(client.query("NOTIFY news, 'x'")) == ["NOTIFY", "x", "ready"]
