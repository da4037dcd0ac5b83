from __future__ import annotations

from typing import Any

import pytest
from fake_server import DialReactor, Server
from twisted.internet.defer import Deferred

from twistnotify.relay.cancel import send_cancel
from twistnotify.relay.places import Place
from twistnotify.wire.startup import CancelRequest, SSLRequest

PLACE = Place("db", 5432, "10.0.0.9")
SECRET = bytes(range(32))


class Sending:
    """A request that is under way; `results` has what came of it."""

    def __init__(self, place: Place = PLACE, tls: Any = None) -> None:
        self.reactor = DialReactor()
        self.place = place
        self.tls = tls
        self.results: list[Any] = []
        self.waiting: Deferred[None] = Deferred()

    def start(self) -> Sending:
        self.waiting = send_cancel(self.reactor, self.place, 4711, SECRET, 5.0, self.tls).addBoth(self.results.append)
        return self

    @property
    def server(self) -> Server:
        return self.reactor.server

    def ends_clean(self) -> None:
        self.reactor.settle()
        assert self.results == [None]
        self.reactor.assert_clean()


@pytest.mark.parametrize("place", [PLACE, Place("/run/pg", 5432)])
def test_a_request_goes_to_the_place_of_the_session_and_is_done_when_the_server_closes(place: Place) -> None:
    sending = Sending(place).start()
    server = sending.server

    assert server.packet() == CancelRequest(4711, SECRET)
    assert server.address == (place.path or ("10.0.0.9", 5432))
    assert sending.results == []
    server.close()
    sending.ends_clean()


def test_a_server_that_cannot_be_reached_fails_quietly() -> None:
    sending = Sending()
    sending.reactor.refuse(("10.0.0.9", 5432))
    sending.start()
    sending.ends_clean()


def test_a_server_that_does_not_accept_or_close_is_left_after_a_while() -> None:
    for silent in (True, False):
        sending = Sending()
        if silent:
            sending.reactor.silent.add(("10.0.0.9", 5432))
        sending.start()
        sending.reactor.wait(4.9)
        assert sending.results == []
        sending.reactor.wait(0.2)
        sending.ends_clean()


def test_a_request_can_be_called_off_at_any_time() -> None:
    for turns in range(4):
        sending = Sending().start()
        for _ in range(turns):
            sending.reactor.turn()
        sending.waiting.cancel()
        sending.ends_clean()


def test_what_a_server_says_is_of_no_interest() -> None:
    sending = Sending().start()
    sending.server.say(b"HTTP/1.1 400 Bad Request", b"\r\n")
    assert sending.results == []
    sending.server.close()
    sending.ends_clean()


# The session is over TLS


class Tls:
    """What a session was secured by."""

    def reason_of(self, error: BaseException | None) -> str:
        return "no"


def test_the_request_for_a_session_over_tls_is_sent_when_there_is_tls() -> None:
    tls = Tls()
    sending = Sending(tls=tls).start()

    assert sending.server.packet() == SSLRequest()
    sending.server.say(b"S")
    assert sending.server.transport.tls is tls
    assert sending.server.heard() == b""
    sending.server.protocol.handshakeCompleted()
    assert sending.server.packet() == CancelRequest(4711, SECRET)
    sending.server.close()
    sending.ends_clean()


@pytest.mark.parametrize("answer", [b"N", b"E", b"S and more", b"?"])
def test_without_tls_nothing_is_sent_that_listeners_could_use(answer: bytes) -> None:
    sending = Sending(tls=Tls()).start()

    assert sending.server.packet() == SSLRequest()
    sending.server.say(answer)
    assert sending.server.heard() == b""
    sending.ends_clean()


def test_a_handshake_that_fails_is_not_followed_by_plain_text() -> None:
    sending = Sending(tls=Tls()).start()
    assert sending.server.packet() == SSLRequest()
    sending.server.say(b"S")
    sending.server.close()

    assert sending.server.heard() == b""
    assert len(sending.reactor.servers) == 1
    sending.ends_clean()


def test_a_handshake_that_does_not_end_is_left_after_a_while() -> None:
    for said in ((), (b"S",)):
        sending = Sending(tls=Tls()).start()
        sending.server.say(*said)
        sending.reactor.wait(4.9)
        assert sending.results == []
        sending.reactor.wait(0.2)
        sending.ends_clean()
