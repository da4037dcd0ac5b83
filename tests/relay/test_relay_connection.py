"""An upstream that is open: what arrives and what is written passes, and ends are told."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import pytest
from fake_server import DialReactor, Server
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IHandshakeListener, IPushProducer
from zope.interface.verify import verifyObject

from twistnotify.relay.connection import CLOSE_TIMEOUT, Upstream, UpstreamRefused, failed
from twistnotify.relay.places import Place, connect
from twistnotify.relay.tls import ClientTls
from twistnotify.wire.session_status import Terminate

TERMINATE = Terminate().encode()
BOUND = 65536
"""What Twisted lets wait before it says that a transport is full."""


class Client:
    """A consumer that notes what it is told; `then` is done with what it receives."""

    def __init__(self) -> None:
        self.events: list[Any] = []
        self.then: Callable[[bytes], object] = bool

    def received(self, data: bytes) -> None:
        assert type(data) is bytes
        self.events.append(data)
        self.then(data)

    def lost(self) -> None:
        self.events.append("lost")

    def full(self) -> None:
        self.events.append("full")

    def drained(self) -> None:
        self.events.append("drained")


class Opened:
    """An upstream at rest, as an open one is given to its client."""

    def __init__(self, place: Place | None = None) -> None:
        self.reactor = DialReactor()
        self.upstream = Upstream(self.reactor, place or Place("db", 5432, "10.0.0.9"))
        connect(self.reactor, self.upstream.place, self.upstream)
        self.server: Server = self.reactor.server
        self.client = Client()

    def use(self) -> Opened:
        self.upstream.pause()
        self.upstream.use(self.client)
        return self

    def ends_clean(self) -> None:
        self.upstream.abort()
        self.reactor.assert_clean()


# What arrives


def test_what_arrives_is_handed_on_as_it_comes() -> None:
    opened = Opened().use()
    opened.server.say(b"not", b" the ", b"protocol\xff")

    assert opened.client.events == [b"not", b" the ", b"protocol\xff"]
    opened.ends_clean()


def test_what_came_early_comes_first() -> None:
    opened = Opened()
    opened.server.say(b"ear", b"ly")
    opened.use()
    opened.server.say(b"later")

    assert opened.client.events == [b"early", b"later"]
    opened.ends_clean()


def test_nothing_is_read_until_there_is_a_consumer() -> None:
    opened = Opened()
    opened.upstream.pause()
    opened.server.say(b"x")

    assert opened.server.transport.arrived == [b"x"]
    opened.use()
    opened.reactor.settle()
    assert opened.client.events == [b"x"]
    opened.ends_clean()


def test_a_paused_consumer_is_handed_nothing_and_everything_when_it_goes_on() -> None:
    opened = Opened().use()
    opened.upstream.pause()
    # The transport may have read it already, as one with TLS does.
    opened.upstream.dataReceived(b"a")
    opened.upstream.dataReceived(b"b")
    opened.server.say(b"c")
    assert opened.client.events == []

    opened.upstream.resume()
    opened.reactor.settle()
    assert opened.client.events == [b"ab", b"c"]
    opened.ends_clean()


def test_a_consumer_can_pause_while_it_is_handed_something() -> None:
    opened = Opened()
    opened.client.then = lambda _: opened.upstream.pause()
    opened.server.say(b"a")
    opened.use()
    opened.server.say(b"b", b"c")

    assert opened.client.events == [b"a"]
    for expected in (b"b", b"c"):
        opened.upstream.resume()
        opened.reactor.settle()
        assert opened.client.events[-1] == expected
    opened.ends_clean()


# The end


def test_the_end_of_the_connection_is_told_once_behind_what_arrived() -> None:
    opened = Opened().use()
    opened.server.say(b"bye")
    opened.server.close()

    assert opened.client.events == [b"bye", "lost"]
    opened.upstream.write(b"x")
    opened.upstream.pause()
    opened.upstream.resume()
    opened.upstream.end()
    opened.ends_clean()
    assert opened.client.events == [b"bye", "lost"]


def test_an_end_that_came_early_is_told_who_comes_late() -> None:
    opened = Opened()
    opened.server.say(b"bye")
    opened.server.close()
    opened.use()

    assert opened.client.events == [b"bye", "lost"]
    opened.ends_clean()


def test_an_end_while_the_consumer_is_paused_waits_for_what_arrived() -> None:
    opened = Opened().use()
    opened.upstream.pause()
    opened.upstream.dataReceived(b"bye")
    opened.server.transport.broken = True
    opened.upstream.write(b"x")
    opened.reactor.settle()
    assert opened.server.gone
    assert opened.client.events == []

    opened.upstream.resume()
    assert opened.client.events == [b"bye", "lost"]


def test_a_consumer_that_pauses_at_the_last_bytes_is_told_of_the_end_when_it_goes_on() -> None:
    opened = Opened()
    opened.server.say(b"bye")
    opened.server.close()
    opened.client.then = lambda _: opened.upstream.pause()
    opened.use()
    assert opened.client.events == [b"bye"]

    opened.upstream.resume()
    assert opened.client.events == [b"bye", "lost"]


def test_a_reset_of_ones_own_is_told_too() -> None:
    opened = Opened().use()
    opened.upstream.abort()
    assert opened.client.events == []
    opened.reactor.settle()

    assert opened.client.events == ["lost"]
    opened.ends_clean()


def test_a_reset_of_a_paused_connection_that_has_ended_is_told_at_once() -> None:
    opened = Opened().use()
    opened.upstream.pause()
    opened.upstream.dataReceived(b"nobody will read this")
    opened.server.transport.broken = True
    opened.upstream.write(b"x")
    opened.reactor.settle()
    opened.upstream.abort()

    assert opened.client.events == ["lost"]
    opened.ends_clean()


@pytest.mark.parametrize("paused", [False, True])
def test_a_session_that_is_ended_says_so_and_is_silent(paused: bool) -> None:
    opened = Opened().use()
    if paused:
        opened.upstream.pause()
        opened.upstream.dataReceived(b"x")
    opened.upstream.end()
    opened.server.say(b"x")
    opened.upstream.end()

    assert opened.server.heard() == TERMINATE
    assert opened.server.gone
    assert opened.client.events == []
    opened.reactor.assert_clean()


def test_a_session_is_ended_behind_what_was_written() -> None:
    opened = Opened().use()
    opened.server.transport.room = 0
    opened.upstream.write(b"x" * BOUND * 2)
    opened.upstream.end()
    opened.reactor.settle()
    assert not opened.server.gone
    opened.server.transport.room = None
    opened.server.transport.startWriting()

    assert opened.server.heard() == b"x" * BOUND * 2 + TERMINATE
    assert opened.client.events == ["full"]
    opened.reactor.assert_clean()


def test_a_server_that_takes_nothing_in_is_reset() -> None:
    opened = Opened().use()
    opened.server.transport.room = 0
    opened.upstream.write(b"x")
    opened.upstream.end()
    opened.reactor.wait(CLOSE_TIMEOUT - 0.1)
    assert not opened.server.gone
    opened.reactor.wait(0.2)

    opened.reactor.assert_clean()
    assert opened.client.events == []


def test_a_session_can_be_reset_while_it_ends() -> None:
    opened = Opened().use()
    opened.server.transport.room = 0
    opened.upstream.write(b"x")
    opened.upstream.end()
    opened.upstream.abort()

    opened.reactor.assert_clean()
    assert opened.client.events == []


def test_a_session_can_be_ended_while_it_is_reset() -> None:
    opened = Opened().use()
    opened.upstream.abort()
    opened.upstream.end()

    opened.reactor.assert_clean()
    assert opened.client.events == []


def test_nobody_is_told_of_a_session_that_was_never_used() -> None:
    opened = Opened()
    opened.upstream.resume()
    opened.server.say(b"x")
    opened.upstream.resumeProducing()
    opened.upstream.pauseProducing()
    opened.upstream.resumeProducing()
    opened.upstream.stopProducing()
    opened.server.close()

    opened.reactor.assert_clean()


def test_a_session_that_was_never_used_can_be_ended() -> None:
    opened = Opened()
    opened.upstream.pause()
    opened.upstream.end()

    assert opened.server.heard() == TERMINATE
    opened.reactor.assert_clean()


# What is written


def test_what_is_written_arrives() -> None:
    opened = Opened().use()
    opened.upstream.write(b"not the")
    opened.upstream.write(b" protocol")

    assert opened.server.heard() == b"not the protocol"
    opened.ends_clean()


def test_what_the_kernel_takes_is_there_without_a_turn_of_the_reactor() -> None:
    opened = Opened().use()
    opened.upstream.write(b"not the")
    opened.upstream.write(b" protocol")

    assert opened.server.transport.received == b"not the protocol"
    opened.ends_clean()


def test_what_the_kernel_leaves_comes_in_order_and_then_all_is_direct_again() -> None:
    opened = Opened().use()
    transport = opened.server.transport
    transport.room = 3
    for data in (b"not", b" the", b" proto", b"col"):
        opened.upstream.write(data)
    assert transport.received == b"not"
    transport.room = None
    opened.reactor.settle()
    assert transport.received == b"not the protocol"

    opened.upstream.write(b"!")
    assert transport.received == b"not the protocol!"
    assert opened.client.events == []
    opened.ends_clean()


def test_nothing_goes_past_tls() -> None:
    opened = Opened()
    secured = Deferred.fromCoroutine(opened.upstream.secure(lambda: ClientTls({"sslmode": "require"}, "db")))
    opened.server.say(b"S")
    opened.upstream.handshakeCompleted()
    assert secured.result is True
    opened.use()
    opened.server.heard()
    opened.upstream.write(b"x")

    # The transport's own method is what TLS replaces.
    assert opened.server.transport.buffered == 1
    opened.reactor.settle()
    opened.server.transport.room = 0
    opened.upstream.write(b"x" * BOUND * 2)
    assert opened.client.events == ["full"]
    opened.server.transport.room = None
    opened.reactor.settle()
    assert opened.client.events == ["full", "drained"]
    opened.ends_clean()


def test_a_server_that_does_not_keep_up_is_told_of_once_each_way() -> None:
    opened = Opened().use()
    opened.server.transport.room = 0
    opened.upstream.write(b"x" * BOUND)
    opened.reactor.settle()
    assert opened.client.events == []
    for _ in range(3):
        opened.upstream.write(b"x")
    assert opened.client.events == ["full"]

    opened.server.transport.room = 10
    opened.server.transport.startWriting()
    opened.reactor.settle()
    assert opened.client.events == ["full"]
    opened.server.transport.room = None
    opened.reactor.settle()
    assert opened.client.events == ["full", "drained"]
    assert len(opened.server.heard()) == BOUND + 3
    opened.ends_clean()


def test_a_connection_that_ends_while_it_is_full_is_lost_and_nothing_else() -> None:
    opened = Opened().use()
    opened.server.transport.room = 0
    opened.upstream.write(b"x" * BOUND * 2)
    opened.server.close()

    assert opened.client.events == ["full", "lost"]


# Before it is used


def test_messages_that_have_come_can_be_read_even_behind_the_end() -> None:
    opened = Opened()
    opened.server.say(b"A\0\0\0\x05aB\0\0\0\x04C")
    opened.server.close()
    frames: list[Any] = []
    for _ in range(3):
        Deferred.fromCoroutine(opened.upstream.frame()).addBoth(frames.append)

    assert frames[:2] == [(ord("A"), b"a"), (ord("B"), b"")]
    assert frames[2].check(UpstreamRefused)
    opened.reactor.assert_clean()


# What it is


@pytest.mark.parametrize(("host", "tuned"), [("10.0.0.9", True), ("/run/pg", False)])
def test_only_tcp_has_options_of_tcp(host: str, tuned: bool) -> None:
    opened = Opened(Place(host, 5432, "" if host[0] == "/" else host))
    options = opened.server.transport.options.set

    assert ((socket.IPPROTO_TCP, socket.TCP_NODELAY) in options) is tuned
    assert ((socket.SOL_SOCKET, socket.SO_KEEPALIVE) in options) is tuned
    opened.ends_clean()


def test_it_is_what_twisted_takes_it_for() -> None:
    opened = Opened()

    assert verifyObject(IPushProducer, opened.upstream)
    assert verifyObject(IHandshakeListener, opened.upstream)
    opened.ends_clean()


def test_no_secret_is_shown() -> None:
    opened = Opened()
    opened.upstream.secret = b"hidden"

    assert "hidden" not in repr(opened.upstream)
    opened.ends_clean()


def test_a_failure_says_where_it_was_and_is_no_fatal_error() -> None:
    failure = failed("Connection refused")

    assert isinstance(failure, UpstreamRefused)
    assert (failure.fields.severity, failure.fields.sqlstate) == ("ERROR", "08006")
    assert failure.fields.message == "could not connect to the upstream server: Connection refused"
    assert str(failure) == "08006"
