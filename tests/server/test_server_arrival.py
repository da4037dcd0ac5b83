"""Clients on their way in: proxies, TLS, and what they have to prove."""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable
from hashlib import md5
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest
from fakes.client import FakeClient, errors, ready, sqlstates, startup
from fakes.fixtures import MakeWorld
from fakes.tls import ALICE, FakeTlsClient, client_context, named, server_tls, tls_world
from fakes.world import World
from support.certificates import Certificate, authority
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import Deferred
from twisted.logger import Logger, formatEvent

from twistnotify.auth.hba_file import read_hba
from twistnotify.auth.scram_keys import QUICK_ITERATIONS
from twistnotify.auth.secrets import PlainSecret, format_secret, scram_secret
from twistnotify.relay.lookup import LookupFailed
from twistnotify.server.arrival import UNIX, address_of
from twistnotify.server.authentication import Security
from twistnotify.server.factory import TERMINATED
from twistnotify.server.protocol import LAST_WORDS
from twistnotify.wire.authentication import (
    AuthenticationCleartextPassword,
    AuthenticationMD5Password,
    AuthenticationSASL,
    PasswordMessage,
)
from twistnotify.wire.proxy_header import MAX_HEADER, MAX_TEXT
from twistnotify.wire.startup import GSSENCRequest, SSLRequest

USERS = {"alice": PlainSecret("open sesame"), "bob": PlainSecret("open sesame")}
BY_MD5 = Security("md5", USERS)
PLUS = ("SCRAM-SHA-256-PLUS", "SCRAM-SHA-256")
PROXIES = {"proxy_protocol": True, "proxy_protocol_from": (ip_network("192.0.2.0/24"),)}
STRANGERS = {"proxy_protocol": True, "proxy_protocol_from": (ip_network("198.51.100.0/24"),)}
HEADER = b"PROXY TCP4 203.0.113.9 192.0.2.1 56324 6432\r\n"
FROM_UNIX = UNIXAddress(None)
SLOW = scram_secret("open sesame", b"sixteen bytes ..", QUICK_ITERATIONS + 1)

MakeTlsWorld = Callable[..., World]


@pytest.fixture
def make_tls_world(make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> MakeTlsWorld:
    """Make servers with TLS: `tls` are settings of it, `security` what else there is of `Security`."""

    def make(tls: dict[str, Any] | None = None, security: dict[str, Any] | None = None, **settings: Any) -> World:
        return tls_world(make_world, server_tls(tmp_path, **(tls or {})), security or {}, **settings)

    return make


@pytest.fixture
def secured(make_tls_world: MakeTlsWorld) -> World:
    """A server with TLS that trusts everyone."""
    return make_tls_world()


def settled(client: FakeClient, data: bytes) -> bytes:
    """Send something; return all that has been received so far."""
    client.send(data)
    client.reactor.settle()
    return client.transport.received


def logged(world: World) -> list[str]:
    """Return where refusals are logged from now on."""
    lines: list[str] = []
    world.factory.refusals.log = Logger(observer=lambda event: lines.append(formatEvent(event)))  # type: ignore[misc]
    return lines


# TLS that is asked for


def test_tls_is_agreed_to_and_the_log_in_goes_on_over_it(secured: World) -> None:
    client = FakeTlsClient(secured)

    assert ready(client.secure())
    client.query("LISTEN news")
    client.query("NOTIFY news, 'x'")
    assert b"news" not in client.transport.received
    assert client.protocol.arrival is None


def test_one_without_tls_is_as_welcome(secured: World) -> None:
    assert ready(secured.client().query("LISTEN news"))


def test_gssapi_may_be_tried_before(secured: World) -> None:
    client = FakeTlsClient(secured)
    assert settled(client, GSSENCRequest().encode()) == b"N"
    client._read = 1

    assert ready(client.secure())


@pytest.mark.parametrize("behind", [b"\x16", startup(), b"\0"])
def test_with_bytes_behind_the_request_there_is_never_tls(secured: World, behind: bytes) -> None:
    client = secured.connect()
    received = settled(client, SSLRequest().encode() + behind)

    assert received[:1] == b"N"
    client._read = 1
    (fields,) = errors(client.hear())
    assert (fields.severity, fields.sqlstate) == ("FATAL", "08P01")
    assert fields.message == "received unencrypted data after SSL request"
    assert client.gone
    assert client.protocol.transport is client.transport


def test_tls_is_asked_for_once(world: World) -> None:
    client = world.connect()
    settled(client, SSLRequest().encode())
    client._read = 1
    settled(client, SSLRequest().encode())

    assert sqlstates(client.hear()) == ["0A000"]
    assert client.gone


@pytest.mark.parametrize("request_", [SSLRequest(), GSSENCRequest()], ids=["SSL", "GSSAPI"])
def test_it_is_not_asked_for_within_tls(secured: World, request_: SSLRequest | GSSENCRequest) -> None:
    client = FakeTlsClient(secured)
    client.ask_for_tls()
    client.encrypt()
    client.send(request_.encode())
    secured.reactor.settle()

    assert sqlstates(client.hear()) == ["0A000"]


def test_the_unix_socket_has_no_tls(secured: World) -> None:
    client = secured.connect()
    client.transport.peer = FROM_UNIX
    assert settled(client, SSLRequest().encode()) == b"N"

    client._read = 1
    assert ready(client.log_in())


def test_a_handshake_that_is_none_ends_the_connection(secured: World) -> None:
    client = FakeTlsClient(secured)
    client.ask_for_tls()
    settled(client, b"GET / HTTP/1.1\r\n\r\n")

    assert client.gone
    secured.assert_empty()


def test_one_that_never_shakes_hands_is_ended_in_time(secured: World) -> None:
    client = FakeTlsClient(secured)
    client.ask_for_tls()
    secured.reactor.wait(secured.settings.client_login_timeout)

    assert client.gone
    assert secured.factory.counters.disconnects == {"login_timeout": 1}


def test_one_that_is_ended_while_it_shakes_hands_is_told_over_tls(secured: World) -> None:
    client = FakeTlsClient(secured)
    client.ask_for_tls()
    secured.factory.terminate_all("shutdown", TERMINATED)
    secured.reactor.settle()
    client.encrypt()

    assert sqlstates(client.hear()) == ["57P01"]
    assert b"terminating" not in client.transport.received
    client.hang_up()
    secured.reactor.settle()
    assert client.gone
    assert secured.factory.counters.disconnects == {"shutdown": 1}


def test_one_that_hangs_up_while_it_shakes_hands_leaves_nothing(secured: World) -> None:
    client = FakeTlsClient(secured)
    client.ask_for_tls()
    client.transport.peer_closed = True
    secured.reactor.settle()

    assert client.gone
    secured.assert_empty()


# TLS that is not asked for


@pytest.mark.parametrize("piece", [1, 7, 65536])
def test_tls_may_begin_at_once(secured: World, piece: int) -> None:
    client = FakeTlsClient(secured, piece=piece)
    client.encrypt()

    assert client.encrypted
    assert ready(client.log_in())
    assert ready(client.query("LISTEN news"))


def test_a_request_for_tls_within_is_declined(secured: World) -> None:
    client = FakeTlsClient(secured)
    client.encrypt()
    client.send(SSLRequest().encode())
    secured.reactor.settle()
    client._decrypt()
    assert client.clear == b"N"
    client.clear = b""

    assert ready(client.log_in())


def test_one_that_does_not_name_the_protocol_is_ended_without_a_word(secured: World) -> None:
    client = FakeTlsClient(secured, client_context(protocols=()))
    client.encrypt()
    before = client.transport.received
    client.send(startup())
    secured.reactor.settle()

    assert client.hear() == []
    assert client.alert == "closed"
    assert client.transport.received == before
    assert secured.factory.counters.logins == 0
    client.hang_up()
    secured.reactor.settle()
    assert client.gone
    assert secured.factory.counters.disconnects == {"protocol": 1}


def test_it_is_not_waited_for(secured: World) -> None:
    client = FakeTlsClient(secured, client_context(protocols=()))
    client.encrypt()
    assert not client.gone

    secured.reactor.wait(LAST_WORDS)

    assert client.gone


@pytest.mark.parametrize("asks", [True, False])
def test_one_that_names_another_protocol_is_turned_away_by_an_alert(secured: World, asks: bool) -> None:
    client = FakeTlsClient(secured, client_context(protocols=(b"http/1.1",)))
    if asks:
        client.ask_for_tls()
    client.encrypt()

    assert client.alert is not None
    assert "no application protocol" in client.alert
    assert client.gone


def test_one_that_asks_for_tls_need_not_name_it(secured: World) -> None:
    assert ready(FakeTlsClient(secured, client_context(protocols=())).secure())


@pytest.mark.parametrize("tls", [True, False], ids=["unix", "tcp"])
def test_where_there_is_no_tls_a_handshake_is_not_answered(
    make_tls_world: MakeTlsWorld, world: World, tls: bool
) -> None:
    client = (make_tls_world() if tls else world).connect()
    if tls:
        client.transport.peer = FROM_UNIX

    assert settled(client, b"\x16\x03\x01\x02\x00\x01\x00") == b""
    assert client.gone


def test_a_handshake_does_not_begin_in_the_middle(secured: World) -> None:
    client = secured.connect()
    first, rest = startup()[:10], startup()[10:]
    settled(client, first)
    settled(client, b"\x16" + rest)

    assert client.protocol.transport is client.transport


# Proxies


def test_a_proxy_says_who_is_behind_it(make_world: MakeWorld) -> None:
    world = make_world(**PROXIES).start()
    client = world.connect()
    settled(client, HEADER)
    assert client.transport.received == b""

    assert ready(client.log_in())
    assert client.protocol.address == ip_address("203.0.113.9")


def test_everything_may_come_byte_by_byte(make_tls_world: MakeTlsWorld) -> None:
    world = make_tls_world(**PROXIES)
    client = FakeTlsClient(world, piece=1)
    client.send(HEADER)

    assert ready(client.secure())
    assert client.protocol.address == ip_address("203.0.113.9")


def test_everything_may_come_at_once(make_world: MakeWorld) -> None:
    world = make_world(**PROXIES).start()
    client = world.connect()
    settled(client, HEADER + startup())

    assert ready(client.hear())


def test_tls_may_begin_at_once_behind_the_header(make_tls_world: MakeTlsWorld) -> None:
    world = make_tls_world(**PROXIES)
    client = FakeTlsClient(world)
    client.send(HEADER)
    client.encrypt()

    assert ready(client.log_in())
    assert client.protocol.address == ip_address("203.0.113.9")


@pytest.mark.parametrize(
    ("header", "address"),
    [
        (b"PROXY UNKNOWN\r\n", "192.0.2.1"),
        (b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0", "192.0.2.1"),
        (b"PROXY TCP6 2001:db8::9 2001:db8::1 1 2\r\n", "2001:db8::9"),
        (b"PROXY TCP6 ::ffff:203.0.113.9 ::1 1 2\r\n", "203.0.113.9"),
    ],
)
def test_it_may_speak_for_itself_or_for_anybody(make_world: MakeWorld, header: bytes, address: str) -> None:
    world = make_world(**PROXIES).start()
    client = world.connect()
    settled(client, header)

    assert ready(client.log_in())
    assert client.protocol.address == ip_address(address)


@pytest.mark.parametrize("first", [startup(), SSLRequest().encode(), b"PROXY TCP4 nonsense\r\n", b"\x16\x03\x01"])
def test_one_that_says_nothing_of_it_is_ended_without_a_word(make_world: MakeWorld, first: bytes) -> None:
    world = make_world(**PROXIES).start()
    client = world.connect()

    assert settled(client, first) == b""
    assert client.gone
    assert world.factory.counters.disconnects == {"protocol": 1}


@pytest.mark.parametrize(
    ("begun", "most"),
    [(b"PROXY UNKNOWN ", MAX_TEXT), (b"\r\n\r\n\0\r\nQUIT\n\x21\x11" + b"\xff\xff", MAX_HEADER)],
)
def test_a_header_without_an_end_is_not_kept(make_world: MakeWorld, begun: bytes, most: int) -> None:
    world = make_world(**PROXIES).start()
    client = world.connect()
    settled(client, begun + b"x" * (most - len(begun)))

    assert client.gone


@pytest.mark.parametrize("header", [HEADER, b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"])
def test_a_stranger_can_not_say_who_it_is(make_world: MakeWorld, header: bytes) -> None:
    world = make_world(**STRANGERS).start()
    client = world.connect()

    assert settled(client, header) == b""
    assert client.gone
    assert client.protocol.proxied is None
    assert ready(world.connect().log_in())


def test_nobody_is_a_proxy_unless_the_configuration_says_so(make_world: MakeWorld) -> None:
    world = make_world(proxy_protocol_from=PROXIES["proxy_protocol_from"]).start()

    assert ready(world.connect().log_in())


def test_the_unix_socket_is_nobodys_proxy(make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    world = make_world(**PROXIES).start()
    monkeypatch.setattr("fakes.transport.IPv4Address", lambda *_: FROM_UNIX)

    assert ready(world.connect().log_in())


# Where they come from


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        (IPv4Address("TCP", "192.0.2.1", 1), "192.0.2.1"),
        (IPv6Address("TCP", "2001:db8::1", 1), "2001:db8::1"),
        (IPv6Address("TCP", "fe80::1%eth0", 1), "fe80::1"),
        (IPv6Address("TCP", "::ffff:192.0.2.1", 1), "192.0.2.1"),
        (UNIXAddress("/run/socket"), None),
        (None, None),
    ],
)
def test_an_address_is_an_address(peer: object, address: str | None) -> None:
    assert address_of(peer) == (None if address is None else ip_address(address))


@pytest.fixture
def peer(make_world: MakeWorld) -> tuple[World, FakeClient]:
    """A server that believes the system of who is at the other end, and a client on a real Unix socket."""
    world = make_world(security=Security("peer")).start()
    client = world.connect()
    client.transport.peer = FROM_UNIX
    client.transport.use_socket()
    client.transport.getHandle = lambda: client.transport.pair[0]  # type: ignore[index]
    return world, client


def test_the_system_knows_the_user_at_the_other_end(peer: tuple[World, FakeClient]) -> None:
    world, client = peer
    me = pwd.getpwuid(os.getuid()).pw_name
    other = world.connect()
    other.transport.peer, other.transport.getHandle = FROM_UNIX, client.transport.getHandle  # type: ignore[method-assign]

    assert ready(client.log_in(user=me))
    (fields,) = errors(other.log_in(user=me + "2"))
    client.transport.close_pair()
    assert fields.message == f'Peer authentication failed for user "{me}2"'


def test_a_user_without_a_name_is_nobody(peer: tuple[World, FakeClient], monkeypatch: pytest.MonkeyPatch) -> None:
    _, client = peer
    monkeypatch.setattr(pwd, "getpwuid", {}.__getitem__)
    arrival = client.protocol.arrival

    assert arrival.peer_user() is None
    assert sqlstates(client.log_in(user="None")) == ["28000"]
    client.transport.close_pair()


# What they have to prove


def log_in_by_md5(client: FakeClient, password: str = "open sesame", user: str = "alice") -> list[Any]:
    """Log in; return what is answered to the password, or to the attempt where none is asked for."""
    messages = client.log_in(user=user)
    if not isinstance(messages[0], AuthenticationMD5Password):
        return messages
    inner = md5((password + user).encode()).hexdigest().encode()
    client.send(PasswordMessage(b"md5" + md5(inner + messages[0].salt).hexdigest().encode()).encode())
    client.reactor.settle()
    return client.hear()


def from_(world: World, address: str | None = "192.0.2.1") -> FakeClient:
    client = world.connect()
    client.transport.peer = FROM_UNIX if address is None else IPv4Address("TCP", address, 1)
    return client


def fail(world: World, times: int, address: str | None = "192.0.2.1", user: str = "alice") -> list[str]:
    """Log in with a wrong password; return the SQLSTATEs."""
    found = []
    for _ in range(times):
        client = from_(world, address)
        found += sqlstates(log_in_by_md5(client, "wrong", user))
        assert client.gone
    return found


@pytest.fixture
def strict(make_world: MakeWorld) -> World:
    """A server that asks for passwords and counts failures."""
    return make_world(security=BY_MD5, auth_fail_limit=3, auth_fail_window=60.0, auth_fail_block=30.0).start()


def test_the_right_password_is_right_and_a_wrong_one_wrong(strict: World) -> None:
    lines = logged(strict)
    assert ready(log_in_by_md5(from_(strict)))
    assert lines == []

    assert fail(strict, 1) == ["28P01"]

    failed = 'password authentication failed for user "alice"'
    assert lines == [f'log-in refused: {failed} (user "alice", database "app", from 192.0.2.1)']
    strict.factory.refusals.stop()


def test_who_fails_too_often_is_not_asked_again_for_a_while(strict: World) -> None:
    assert fail(strict, 5) == ["28P01"] * 3 + ["28000"] * 2
    (fields,) = errors(log_in_by_md5(from_(strict)))
    assert (fields.severity, fields.message) == ("FATAL", "too many failed log-ins")

    strict.reactor.wait(30)

    assert ready(log_in_by_md5(from_(strict)))


def test_exchanges_that_were_opened_before_give_no_more_tries(strict: World) -> None:
    lines = logged(strict)
    clients = [from_(strict) for _ in range(8)]
    salts = [client.log_in()[0].salt for client in clients]
    found = []
    for client, salt, password in zip(clients, salts, ["wrong"] * 7 + ["open sesame"], strict=True):
        inner = md5((password + "alice").encode()).hexdigest().encode()
        client.send(PasswordMessage(b"md5" + md5(inner + salt).hexdigest().encode()).encode())
        strict.reactor.settle()
        found += sqlstates(client.hear())

    assert found == ["28P01"] * 3 + ["28000"] * 5
    assert len(lines) == 3


def test_a_network_of_ipv6_counts_as_one_address(strict: World) -> None:
    for number in range(3):
        client = strict.connect()
        client.transport.peer = IPv6Address("TCP", f"2001:db8:0:7::{number}:1", 1)
        assert sqlstates(log_in_by_md5(client, "wrong")) == ["28P01"]
    for address, blocked in (("2001:db8:0:7:ffff::1", True), ("2001:db8:0:8::1", False)):
        client = strict.connect()
        client.transport.peer = IPv6Address("TCP", address, 1)
        assert ready(log_in_by_md5(client)) is not blocked


@pytest.mark.parametrize(("address", "user"), [("192.0.2.2", "alice"), ("192.0.2.1", "bob"), (None, "alice")])
def test_others_are_not_concerned(strict: World, address: str | None, user: str) -> None:
    fail(strict, 3)

    assert ready(log_in_by_md5(from_(strict, address), user=user))


def test_those_who_come_by_the_unix_socket_are_told_apart_by_whose_process_they_are(strict: World) -> None:
    lines = logged(strict)

    assert fail(strict, 4, address=None) == ["28P01"] * 3 + ["28000"]
    assert all(line.endswith(f"from {UNIX}, user {os.getuid()})") for line in lines)


def test_those_behind_a_proxy_are_told_apart(make_world: MakeWorld) -> None:
    world = make_world(security=BY_MD5, auth_fail_limit=1, **PROXIES).start()
    found = []
    for number in (9, 9, 8):
        client = world.connect()
        client.send(HEADER.replace(b"113.9", b"113.%d" % number))
        found += sqlstates(log_in_by_md5(client, "wrong"))

    assert found == ["28P01", "28000", "28P01"]


def test_who_logs_in_is_forgiven_his_failures(strict: World) -> None:
    fail(strict, 2)
    log_in_by_md5(from_(strict))

    assert fail(strict, 2) == ["28P01"] * 2
    assert ready(log_in_by_md5(from_(strict)))


def test_those_who_are_not_asked_are_not_logged_one_by_one(strict: World) -> None:
    lines = logged(strict)
    fail(strict, 3)
    lines.clear()
    fail(strict, 50)
    assert lines == []

    strict.reactor.wait(10)

    assert lines == ["50 more log-ins refused in the last 10 s"]


def test_a_log_line_is_one_line_whatever_a_client_calls_itself(strict: World) -> None:
    lines = logged(strict)
    evil = "alice\nroot logged in\x1b[2J"
    fail(strict, 1, user=evil)

    (line,) = lines
    assert line.isprintable()
    assert r"alice\x0aroot logged in\x1b[2J" in line


def test_one_for_whom_there_is_no_line_is_told_so_and_not_counted(make_world: MakeWorld) -> None:
    world = make_world(security=Security("hba"), auth_fail_limit=1).start()
    lines = logged(world)
    found = [sqlstates(world.connect().log_in()) for _ in range(3)]

    assert found == [["28000"]] * 3
    assert len(lines) == 3
    assert 'no pg_hba.conf entry for host "192.0.2.1", user "alice"' in lines[0]


def test_nothing_is_counted_where_everyone_is_trusted(world: World) -> None:
    for _ in range(3):
        world.client()

    assert len(world.factory.refusals.throttle) == 0


@pytest.mark.parametrize(
    ("lines", "found"), [(["hostssl all all all trust"], True), (["hostnossl all all all trust"], False)]
)
def test_whether_it_is_encrypted_matters(make_tls_world: MakeTlsWorld, lines: list[str], found: bool) -> None:
    rules, _ = read_hba("\n".join(lines), str)
    world = make_tls_world(security={"auth_type": "hba", "rules": rules})

    assert ready(FakeTlsClient(world).secure()) is found
    assert ready(world.connect().log_in()) is not found


@pytest.mark.parametrize(
    ("shown", "right"), [(ALICE, True), (named("bob"), False), (named("alice", "alice"), False), (None, False)]
)
def test_a_certificate_proves_a_name(
    make_tls_world: MakeTlsWorld, tmp_path: Path, shown: Certificate | None, right: bool
) -> None:
    world = make_tls_world({"client_tls_ca_file": f"{tmp_path}/root.crt"}, {"auth_type": "cert"})
    lines = logged(world)
    messages = FakeTlsClient(world, client_context(shown)).secure()

    assert ready(messages) is right
    if not right:
        (fields,) = errors(messages)
        assert (fields.sqlstate, fields.message) == ("28000", 'certificate authentication failed for user "alice"')
        assert len(lines) == 1


@pytest.mark.parametrize(("kind", "offered"), [("ec", PLUS), ("ed25519", PLUS[1:])])
def test_scram_is_offered_with_what_it_can_be_bound_to(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str, offered: tuple[str, ...]
) -> None:
    tls = server_tls(tmp_path, authority(kind=kind))
    world = tls_world(make_world, tls, {"auth_type": "scram-sha-256", "users": USERS})

    (asked,) = FakeTlsClient(world).secure()
    (asked_openly,) = world.connect().log_in()

    assert isinstance(asked, AuthenticationSASL)
    assert isinstance(asked_openly, AuthenticationSASL)
    assert (asked.mechanisms, asked_openly.mechanisms) == (offered, PLUS[1:])


# Waiting for what takes long


class Pool:
    """A pool of threads whose work is done when a test says so."""

    def __init__(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        self.work: list[Callable[[], None]] = []
        monkeypatch.setattr(world.factory.authenticator._derivations, "_pool", self)

    def start(self) -> None:
        pass

    def callInThreadWithCallback(self, told: Any, function: Callable[[], Any]) -> None:  # noqa: N802
        self.work.append(lambda: told(True, function()))

    def do(self) -> None:
        self.work.pop(0)()


@pytest.fixture
def by_password(make_tls_world: MakeTlsWorld) -> World:
    """A server that asks for the password itself, and checks it slowly."""
    security = {"auth_type": "plain", "users": {"alice": SLOW}}
    return make_tls_world(security=security, max_login_conn=1, auth_fail_limit=1)


def say_password(world: World, password: bytes = b"open sesame") -> FakeTlsClient:
    client = FakeTlsClient(world)
    assert client.secure() == [AuthenticationCleartextPassword()]
    client.send(PasswordMessage(password).encode())
    world.reactor.settle()
    return client


@pytest.mark.parametrize("right", [True, False])
def test_a_slow_check_keeps_nobody_else_waiting(
    by_password: World, monkeypatch: pytest.MonkeyPatch, right: bool
) -> None:
    pool = Pool(by_password, monkeypatch)
    client = say_password(by_password, b"open sesame" if right else b"wrong")
    assert client.hear() == []
    assert list(by_password.factory.newcomers._silent) == []

    pool.do()
    by_password.reactor.settle()

    messages = client.hear()
    assert ready(messages) is right
    assert sqlstates(messages) == ([] if right else ["28P01"])


def test_one_that_goes_away_meanwhile_leaves_nothing(by_password: World, monkeypatch: pytest.MonkeyPatch) -> None:
    pool = Pool(by_password, monkeypatch)
    client = say_password(by_password)
    client.hang_up()
    by_password.reactor.settle()
    assert client.gone
    by_password.assert_empty()

    pool.do()
    by_password.reactor.settle()

    assert by_password.factory.counters.logins == 0


def test_one_that_waits_too_long_is_ended(by_password: World, monkeypatch: pytest.MonkeyPatch) -> None:
    pool = Pool(by_password, monkeypatch)
    client = say_password(by_password)
    by_password.reactor.wait(by_password.settings.client_login_timeout)
    assert client.gone

    pool.do()


class Lookup:
    """What asks PostgreSQL for users."""

    def __init__(self) -> None:
        self.waiting: list[Deferred[Any]] = []

    def look_up(self, user: str) -> Deferred[Any]:
        self.waiting.append(Deferred())
        return self.waiting[-1]


@pytest.fixture
def looking(make_world: MakeWorld) -> tuple[World, Lookup]:
    """A server that asks for users."""
    world, lookup = make_world(security=Security("scram-sha-256"), max_login_conn=1).start(), Lookup()
    world.lookup = lookup
    return world, lookup


def test_one_that_is_looked_up_is_asked_when_the_answer_has_come(looking: tuple[World, Lookup]) -> None:
    world, lookup = looking
    client = world.connect()
    assert client.log_in() == []
    assert list(world.factory.newcomers._silent) == []

    lookup.waiting[0].callback(format_secret(scram_secret("open sesame", b"salt", 7)))
    world.reactor.settle()

    assert client.hear() == [AuthenticationSASL(PLUS[1:])]
    assert list(world.factory.newcomers._silent) == [client.protocol]


def test_why_one_can_not_be_looked_up_is_for_the_log(looking: tuple[World, Lookup]) -> None:
    world, lookup = looking
    lines = logged(world)
    client = world.connect()
    client.log_in()
    lookup.waiting[0].errback(LookupFailed("28P01: wrong password"))
    world.reactor.settle()

    (fields,) = errors(client.hear())
    assert (fields.severity, fields.sqlstate, fields.message) == ("FATAL", "57P03", "the user cannot be looked up now")
    assert fields.hint == "Try again later."
    (line,) = lines
    assert line.startswith("log-in refused: the user cannot be looked up now: 28P01: wrong password (user")


def test_one_that_hangs_up_meanwhile_is_not_looked_up_any_more(looking: tuple[World, Lookup]) -> None:
    world, lookup = looking
    lines = logged(world)
    client = world.connect()
    client.log_in()
    client.hang_up()
    world.reactor.settle()

    assert client.gone
    assert lookup.waiting[0].called
    assert lines == []


def test_what_nobody_thought_of_is_logged_and_the_time_to_log_in_goes_on(
    looking: tuple[World, Lookup], monkeypatch: pytest.MonkeyPatch
) -> None:
    world, lookup = looking
    events: list[Any] = []
    client = world.connect()
    monkeypatch.setattr(client.protocol, "log", Logger(observer=events.append))
    client.log_in()
    lookup.waiting[0].errback(ZeroDivisionError())
    world.reactor.settle()
    assert [event["log_format"] for event in events] == ["a log-in failed"]

    world.reactor.wait(world.settings.client_login_timeout)

    assert client.gone
