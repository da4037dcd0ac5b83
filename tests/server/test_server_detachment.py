"""An idle client's upstream is asked, and given back where the answer allows it; whatever happens meanwhile counts."""

from __future__ import annotations

from typing import Any

import pytest
from fakes.client import FakeClient, notifications, ready, sqlstates
from fakes.fixtures import MakeWorld
from fakes.upstream import FakeUpstream
from fakes.world import World
from support.leftovers import answer, encoded

from twistnotify.sql.leftovers import QUESTION
from twistnotify.wire.errors import ErrorFields, ErrorResponse
from twistnotify.wire.extended_query import Parse, Sync
from twistnotify.wire.notification import NotificationResponse
from twistnotify.wire.session_status import ParameterStatus
from twistnotify.wire.simple_query import DataRow, Query

IDLE_TIMEOUT = 60.0
ASKED = [f"Q({QUESTION})"]
ROW = 60_000
"""Bytes of a row that a client does not take."""


@pytest.fixture
def world(make_world: MakeWorld) -> World:
    """A server that gives upstreams back."""
    world = make_world(relays=True).start()
    world.database.idle_timeout = IDLE_TIMEOUT
    return world


def query(world: World, client: FakeClient, sql: str, short: str) -> None:
    """Have a client query, and its upstream answer."""
    client.ask(sql)
    world.reactor.settle()
    world.upstream.say(short)
    world.reactor.settle()
    assert ready(client.hear())
    assert world.upstream.sent == [f"Q({sql})"]


def attached(world: World, *listens: str) -> FakeClient:
    """Return a client with an upstream that waits for a command."""
    client = world.client(*listens)
    query(world, client, "SELECT now()", "C(SELECT 1) Z")
    return client


def asked(world: World, *listens: str) -> FakeClient:
    """Return a client whose upstream has been asked."""
    client = attached(world, *listens)
    world.reactor.wait(IDLE_TIMEOUT)
    assert world.upstream.sent == ASKED
    return client


def say(world: World, *messages: Any) -> None:
    """Have the upstream say something."""
    world.upstream.say_bytes(encoded(messages))
    world.reactor.settle()


def is_attached(client: FakeClient) -> bool:
    return client.protocol.attachment is not None


# When it is asked


def test_an_idle_client_is_detached_when_nothing_would_be_missed(world: World) -> None:
    client = asked(world)
    say(world, *answer())

    assert not is_attached(client)
    assert world.upstream.state == "ended"
    assert client.hear() == []
    assert client.transport.reading


def test_nothing_is_asked_before_the_time(world: World) -> None:
    client = attached(world)
    world.reactor.wait(IDLE_TIMEOUT - 1)
    query(world, client, "SELECT 2", "C(SELECT 1) Z")
    world.reactor.wait(IDLE_TIMEOUT - 1)
    assert world.upstream.sent == []


def test_without_a_time_nothing_is_ever_asked(world: World) -> None:
    world.database.idle_timeout = 0.0
    client = attached(world)
    world.reactor.wait(3 * IDLE_TIMEOUT)

    assert world.upstream.sent == []
    assert client.protocol.attachment.attached.witness is None
    assert len(world.factory.idle_watch) == 0


@pytest.mark.parametrize(
    ("sql", "short"),
    [
        ("BEGIN", "C(BEGIN) Z(T)"),
        ("SELECT f()", "C(SELECT 1) Z"),
        ("PREPARE p AS SELECT 2", "C(PREPARE) Z"),
    ],
)
def test_who_may_have_something_there_is_not_asked(world: World, sql: str, short: str) -> None:
    query(world, attached(world), sql, short)
    world.reactor.wait(3 * IDLE_TIMEOUT)
    assert world.upstream.sent == []


def test_who_waits_for_an_answer_is_not_asked(world: World) -> None:
    client = attached(world)
    client.ask("SELECT 2")
    world.reactor.wait(3 * IDLE_TIMEOUT)
    assert world.upstream.sent == ["Q(SELECT 2)"]


def test_who_is_in_a_pipeline_is_not_asked(world: World) -> None:
    client = attached(world)
    client.send(Parse(b"", b"SELECT 2", ()).encode())
    world.reactor.settle()
    world.upstream.say("1")
    world.reactor.wait(3 * IDLE_TIMEOUT)
    assert world.upstream.sent == ["P(SELECT 2)"]


def test_who_does_not_read_is_not_asked(world: World) -> None:
    client = attached(world)
    client.transport.room = 0
    client.ask("SELECT 2")
    world.reactor.settle()
    say(world, DataRow((b"x" * ROW,)))
    world.upstream.say("C(SELECT 1) Z")
    world.reactor.wait(3 * IDLE_TIMEOUT)
    assert world.upstream.sent == ["Q(SELECT 2)"]

    client.transport.room = None
    world.reactor.settle()
    world.reactor.wait(IDLE_TIMEOUT)
    assert world.upstream.sent == ASKED


def test_who_was_full_of_what_it_said_as_the_time_was_over_is_not_asked(world: World) -> None:
    attached(world)
    world.upstream.consumer.full()
    world.reactor.wait(IDLE_TIMEOUT)
    assert world.upstream.sent == []
    world.upstream.consumer.drained()


# What follows from the answer


def test_the_next_statement_attaches_anew(world: World) -> None:
    client = asked(world)
    say(world, *answer([("lock_timeout", "1s", "0", "session")]))
    query(world, client, "SELECT 3 + 0", "C(SELECT 1) Z")

    assert len(world.relay.upstreams) == 2
    (replay,) = world.relay.asked[-1][2]
    assert b"SET \"lock_timeout\" TO '1s'" in replay.frames
    world.reactor.wait(IDLE_TIMEOUT)
    assert world.upstream.sent == ASKED
    say(world, *answer())
    assert not is_attached(client)


def test_where_something_is_left_the_client_stays_until_it_has_been_idle_again(world: World) -> None:
    client = asked(world)
    say(world, *answer(has_nothing="f"))
    assert is_attached(client)
    world.reactor.wait(3 * IDLE_TIMEOUT)
    assert world.upstream.sent == []

    query(world, client, "SELECT 2", "C(SELECT 1) Z")
    world.reactor.wait(IDLE_TIMEOUT)
    assert world.upstream.sent == ASKED


def test_an_answer_in_pieces_is_one(world: World) -> None:
    client = asked(world)
    for byte in encoded(answer()):
        world.upstream.say_bytes(bytes([byte]))
    assert not is_attached(client)


def test_listening_and_sending_go_on(world: World) -> None:
    client = asked(world, "a")
    say(world, *answer())
    assert notifications(client.query("NOTIFY a, 'y'"))[-1] == ("a", "y")


# What happens meanwhile


def test_the_client_is_not_read_from_meanwhile(world: World) -> None:
    client = asked(world)
    client.ask("SELECT 4 + 0")
    world.reactor.settle()
    assert not client.transport.reading

    say(world, *answer())
    assert len(world.relay.upstreams) == 2
    assert world.upstream.sent == ["Q(SELECT 4 + 0)"]
    world.upstream.say("C(SELECT 1) Z")
    assert ready(client.hear())


def test_what_has_been_read_all_the_same_is_not_lost(world: World) -> None:
    client = asked(world)
    client.protocol.dataReceived(Query(b"SELECT 2").encode())
    assert world.upstream.sent == []
    say(world, *answer())

    assert is_attached(client)
    assert world.upstream.sent == ["Q(SELECT 2)"]
    world.upstream.say("C(SELECT 1) Z")
    world.reactor.settle()
    assert ready(client.hear())
    assert client.transport.reading


def test_notifications_are_delivered_meanwhile(world: World) -> None:
    client = asked(world, "a")
    world.client().query("NOTIFY a, 'x'")
    assert client.heard() == [("a", "x")]
    say(world, *answer())
    assert not is_attached(client)


def test_what_the_upstream_says_beside_is_the_clients(world: World) -> None:
    client = asked(world)
    beside = NotificationResponse(7, "hidden", "x")
    say(world, *answer()[:3], beside, *answer()[3:], NotificationResponse(7, "hidden", "y"))
    assert client.heard() == [("hidden", "x"), ("hidden", "y")]
    assert not is_attached(client)


def test_a_setting_that_is_still_to_be_told_keeps_the_client(world: World) -> None:
    client = asked(world)
    say(world, ParameterStatus("TimeZone", "Asia/Tokyo"), *answer())
    assert is_attached(client)
    assert client.hear() == []


def test_a_client_that_does_not_read_meanwhile_holds_nothing_up(world: World) -> None:
    client = asked(world)
    client.protocol.attachment.client_full(True)
    assert not world.upstream.paused
    say(world, *answer())
    assert is_attached(client)
    assert world.upstream.paused
    client.protocol.attachment.client_full(False)


def test_a_cancel_request_cancels_nothing(world: World) -> None:
    client = asked(world)
    client.protocol.cancel()
    assert world.reactor.dialled == []
    say(world, *answer())
    assert not is_attached(client)


@pytest.mark.parametrize("part", [0, 3])
def test_a_client_that_leaves_leaves_nothing(world: World, part: int) -> None:
    client = asked(world)
    say(world, *answer()[:part])
    client.transport.abortConnection()
    world.reactor.settle()
    assert client.gone
    assert world.upstream.state == "ended"
    assert len(world.factory.idle_watch) == 0


def test_a_client_that_is_terminated_is_told_so(world: World) -> None:
    client = asked(world)
    world.factory.terminate_all("shutdown", ErrorFields("FATAL", "57P01", "bye"))
    world.reactor.settle()
    assert sqlstates(client.hear()) == ["57P01"]
    assert world.upstream.state == "ended"


def lost(world: World, upstream: FakeUpstream) -> None:
    """Have the transport tell of the end of what was reset."""
    assert upstream.state == "aborted"
    upstream.state = "open"
    upstream.lose()
    world.reactor.settle()


def test_an_upstream_that_ends_ends_its_client(world: World) -> None:
    client = asked(world)
    say(world, *answer()[:3])
    world.upstream.lose()
    assert sqlstates(client.hear()) == ["08006"]


def test_an_upstream_that_says_why_it_ends_is_passed_on(world: World) -> None:
    client = asked(world)
    say(world, ErrorResponse(ErrorFields("FATAL", "57P01", "terminating connection")))
    world.upstream.lose()
    assert sqlstates(client.hear()) == ["57P01"]


def test_an_upstream_that_does_not_answer_is_lost(world: World) -> None:
    client = asked(world)
    world.reactor.wait(world.settings.server_connect_timeout)
    lost(world, world.upstream)
    assert sqlstates(client.hear()) == ["08006"]


def test_an_upstream_that_answers_nonsense_is_lost(world: World) -> None:
    client = asked(world)
    world.upstream.say("G")
    lost(world, world.upstream)
    assert sqlstates(client.hear()) == ["08006"]


def test_a_client_that_is_gone_by_then_is_not_asked(world: World) -> None:
    client = attached(world)
    client.send(Sync().encode()[:2])
    client.transport.abortConnection()
    world.reactor.wait(IDLE_TIMEOUT)
    assert world.upstream.sent == []
