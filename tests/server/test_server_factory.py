from __future__ import annotations

from dataclasses import replace
from hashlib import md5
from pathlib import Path
from random import Random
from typing import Any

import pytest
from fakes.client import FakeClient, errors, ready, sqlstates
from fakes.fixtures import MakeWorld
from fakes.tls import ROOT, FakeTlsClient, server_tls, tls_world
from fakes.world import World
from support.certificates import certificate
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred

from twistnotify.auth.rights import ChannelRule, Rights
from twistnotify.auth.secrets import PlainSecret
from twistnotify.server.authentication import Security
from twistnotify.server.factory import (
    FIRST_PID,
    LAST_PID,
    MAX_WRONG_KEYS,
    WRONG_KEYS_WINDOW,
    ClientFactory,
)
from twistnotify.server.newcomers import PATIENCE
from twistnotify.server.protocol import LAST_WORDS
from twistnotify.wire.authentication import AuthenticationMD5Password, PasswordMessage
from twistnotify.wire.startup import PROTOCOL_3_2, BackendKeyData, CancelRequest, StartupMessage


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


# Room to log in

SLOW = PATIENCE + 0.1


def test_one_that_says_nothing_makes_room_for_others(make_world: MakeWorld) -> None:
    world = make_world(max_login_conn=2).start()
    slowest, slow = world.connect(), world.connect()
    world.reactor.wait(SLOW)
    late = world.connect()
    world.reactor.settle()

    assert (slowest.gone, slow.gone) == (True, False)
    assert slowest.transport.received == b""
    assert ready(late.log_in())
    assert ready(slow.log_in())
    assert world.factory.counters.rejected == 1
    assert world.factory.counters.disconnects == {"login_room": 1}


def test_where_all_have_just_come_the_new_one_is_told(make_world: MakeWorld) -> None:
    world = make_world(max_login_conn=2).start()
    early = [world.connect(), world.connect()]
    world.reactor.advance(PATIENCE / 2)
    late = world.connect()
    world.reactor.settle()

    (fields,) = errors(late.hear())
    assert (fields.severity, fields.sqlstate, fields.message) == (
        "FATAL",
        "53300",
        "sorry, too many clients are logging in",
    )
    assert fields.hint == "See max_login_conn."
    assert late.gone
    assert all(ready(client.log_in()) for client in early)
    assert ready(world.connect().log_in())


def test_those_who_are_in_do_not_count(make_world: MakeWorld) -> None:
    world = make_world(max_login_conn=1).start()

    assert all(ready(world.connect().log_in()) for _ in range(5))


def test_those_who_have_gone_do_not_count(make_world: MakeWorld) -> None:
    world = make_world(max_login_conn=1).start()
    for _ in range(3):
        world.connect().hang_up()
        world.reactor.settle()

    assert ready(world.connect().log_in())


def test_those_who_wait_for_the_shard_do_not_count(make_world: MakeWorld) -> None:
    world = make_world(max_login_conn=1)
    clients = [world.connect() for _ in range(1)]
    for _ in range(3):
        assert clients[-1].log_in() == []
        world.reactor.advance(PATIENCE)
        clients.append(world.connect())
    world.start()

    assert [ready(client.hear()) for client in clients[:-1]] == [True] * 3


def test_those_who_are_looked_up_count_and_make_no_room(make_world: MakeWorld) -> None:
    world = make_world(max_login_conn=1, security=Security("md5")).start()
    lookup = world.lookup = Lookup()
    first = world.connect()
    first.log_in(user="first")
    world.reactor.advance(SLOW)
    second = world.connect()
    world.reactor.settle()
    assert sqlstates(second.hear()) == ["53300"]
    assert not first.gone

    for deferred in lookup.asked.values():
        deferred.callback("secret")
    world.reactor.settle()

    assert [type(message) for message in first.hear()] == [AuthenticationMD5Password]


def test_one_that_is_asked_for_its_password_has_its_time_anew(make_world: MakeWorld) -> None:
    world = make_world(max_login_conn=2, security=Security("md5", {"alice": PlainSecret("secret")})).start()
    asked = world.connect()
    silent = world.connect()
    world.reactor.wait(SLOW)
    asked.log_in()
    world.connect()
    world.reactor.settle()
    assert (asked.gone, silent.gone) == (False, True)

    world.reactor.wait(SLOW)
    world.connect()
    world.reactor.settle()

    assert asked.gone


def test_one_that_is_over_the_limit_is_not_waited_for(make_world: MakeWorld) -> None:
    world = make_world(max_login_conn=1).start()
    world.connect()
    late = world.connect()
    late.transport.room = 0
    assert late.protocol not in world.factory._logging_in
    world.reactor.wait(LAST_WORDS)

    assert late.gone


def test_a_flood_of_silent_clients_keeps_nobody_out_for_long(make_world: MakeWorld) -> None:
    world = make_world(max_login_conn=10).start()
    flood = [world.connect() for _ in range(30)]
    world.reactor.settle()
    assert sum(not client.gone for client in flood) == 10
    world.reactor.wait(PATIENCE)

    assert all(ready(world.connect().log_in()) for _ in range(10))
    assert len(world.factory.newcomers) <= 10


# Requests to cancel with a wrong key


def cancel(world: World, pid: int, secret: bytes, address: str = "192.0.2.1") -> None:
    client = world.connect()
    client.transport.peer = IPv4Address("TCP", address, 1)
    client.send(CancelRequest(pid, secret).encode())
    world.reactor.settle()
    assert client.gone
    assert client.transport.received == b""


@pytest.fixture
def waiting(make_world: MakeWorld) -> tuple[World, FakeClient]:
    """A client that waits for room, which can be cancelled."""
    world = make_world(shard_queue_size=1, query_wait_timeout=1000.0).start()
    world.postgres.holds = True
    client = world.client()
    client.query("NOTIFY a, '1'")
    client.query("NOTIFY a, '2'")
    client.ask("NOTIFY a, '3'")
    world.reactor.settle()
    return world, client


def test_who_guesses_keys_is_not_listened_to_for_a_while(waiting: tuple[World, FakeClient]) -> None:
    world, client = waiting
    for _ in range(MAX_WRONG_KEYS):
        cancel(world, client.pid, b"evil")
    assert client.key is not None
    cancel(world, client.pid, client.key.secret)
    assert client.hear() == []

    world.reactor.advance(WRONG_KEYS_WINDOW)
    cancel(world, client.pid, client.key.secret)

    assert sqlstates(client.hear()) == ["57014"]


def test_that_concerns_no_other_address(waiting: tuple[World, FakeClient]) -> None:
    world, client = waiting
    for _ in range(MAX_WRONG_KEYS):
        cancel(world, client.pid + 1, b"evil")
    assert client.key is not None

    cancel(world, client.pid, client.key.secret, "192.0.2.2")

    assert sqlstates(client.hear()) == ["57014"]


def test_a_few_wrong_keys_do_no_harm(waiting: tuple[World, FakeClient]) -> None:
    world, client = waiting
    for _ in range(MAX_WRONG_KEYS - 1):
        cancel(world, client.pid, b"evil")
    assert client.key is not None

    cancel(world, client.pid, client.key.secret)

    assert sqlstates(client.hear()) == ["57014"]


@pytest.mark.parametrize("secret", [b"", b"\7\7\7", b"\7\7\7\7\7", bytes(4), bytes(32)])
def test_a_key_of_another_length_is_a_wrong_one(waiting: tuple[World, FakeClient], secret: bytes) -> None:
    world, client = waiting
    world.factory.cancel(client.pid, secret)
    world.factory.cancel(client.pid + 1, bytes(32))
    world.reactor.settle()

    assert client.hear() == []


# Other rules while it runs

NOBODY = Rights([ChannelRule("secret", frozenset(), frozenset())], True)


def use(world: World, security: Security, **settings: Any) -> None:
    world.factory.use(world.authenticator(security), replace(world.settings, **settings))
    world.reactor.settle()


def test_clients_stay_and_new_ones_come_in_by_the_new_rules(world: World) -> None:
    client = world.client("news")

    use(world, Security("md5", {"alice": PlainSecret("secret")}))

    assert ready(client.query("NOTIFY news, 'x'"))
    assert [type(message) for message in world.connect().log_in()] == [AuthenticationMD5Password]


def test_a_log_in_that_is_under_way_ends_by_the_rules_it_began_with(make_world: MakeWorld) -> None:
    world = make_world(security=Security("md5", {"alice": PlainSecret("secret")})).start()
    client = world.connect()
    (asked,) = client.log_in()
    assert isinstance(asked, AuthenticationMD5Password)

    use(world, Security("md5", {"alice": PlainSecret("changed")}, rights=NOBODY))
    digest = md5(md5(b"secretalice").hexdigest().encode() + asked.salt).hexdigest()
    client.send(PasswordMessage(b"md5" + digest.encode()).encode())
    world.reactor.settle()

    assert ready(client.hear())
    assert sqlstates(client.query("LISTEN secret")) == ["42501"]


def test_other_bounds_of_failures_hold_from_then_on(make_world: MakeWorld) -> None:
    world = make_world(auth_fail_limit=1, security=Security("md5")).start()
    key = ("192.0.2.1", "alice")
    world.factory.refusals.count(key, "192.0.2.1", "app", "wrong")
    use(world, Security("md5"))
    assert world.factory.refusals.is_blocked(key)

    use(world, Security("md5"), auth_fail_limit=2)

    assert not world.factory.refusals.is_blocked(key)


def test_rights_are_those_of_the_user(make_world: MakeWorld) -> None:
    rights = Rights([ChannelRule("secret", frozenset(("alice",)), None)], True)
    world = make_world(security=Security(rights=rights)).start()

    assert sqlstates(world.client(user="alice").query("LISTEN secret")) == []
    assert sqlstates(world.client(user="bob").query("LISTEN secret")) == ["42501"]
    use(world, Security())
    assert world.factory.rights_of("bob") is None


def test_tls_of_earlier_is_spoken_with_those_who_have_come_earlier(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    old, new = server_tls(tmp_path), server_tls(tmp_path, certificate(ROOT, "new"))
    world = tls_world(make_world, old, {})
    before = FakeTlsClient(world)
    assert ready(FakeTlsClient(world).secure())

    use(world, Security(tls=new))
    after = FakeTlsClient(world)

    assert ready(before.secure())
    assert ready(after.secure())
    assert [shown(client) for client in (before, after)] == ["server", "new"]
    use(world, Security())
    assert FakeTlsClient(world).ask_for_tls() == b"N"
    assert ready(after.query("LISTEN news"))


def shown(client: FakeTlsClient) -> str:
    certificate = client.tls.get_peer_certificate(as_cryptography=True)
    assert certificate is not None
    return certificate.subject.rfc4514_string().removeprefix("CN=")


class Lookup:
    """What asks PostgreSQL for users."""

    def __init__(self) -> None:
        self.asked: dict[str, Deferred[str]] = {}

    def look_up(self, user: str) -> Deferred[str]:
        self.asked[user] = Deferred()
        return self.asked[user]
