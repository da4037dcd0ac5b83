from __future__ import annotations

import errno
import socket
from pathlib import Path
from typing import Any

import pytest
from fake_server import DialReactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectError
from twisted.python.failure import Failure

from twistnotify.relay.places import Dialled, Place, Unreachable, connect, look_up, places, reason_of, tune


def found(waiting: Deferred[Any]) -> Any:
    """Return what a Deferred has fired with; [] as long as it has not."""
    results: list[Any] = []
    waiting.addBoth(results.append)
    return results


def text_of(waiting: Deferred[Any]) -> str:
    (failure,) = found(waiting)
    assert failure.check(Unreachable)
    return str(failure.value)


# Which places there are


@pytest.mark.parametrize(
    ("conninfo", "expected"),
    [
        ({"host": "db"}, [Place("db", 5432)]),
        ({"host": "10.0.0.9", "port": "5433"}, [Place("10.0.0.9", 5433, "10.0.0.9")]),
        ({"host": "fd00::2"}, [Place("fd00::2", 5432, "fd00::2")]),
        ({"host": "/run/pg", "port": "1"}, [Place("/run/pg", 1)]),
        ({"host": "db", "hostaddr": "10.0.0.9"}, [Place("db", 5432, "10.0.0.9")]),
        ({"hostaddr": "10.0.0.9"}, [Place("10.0.0.9", 5432, "10.0.0.9")]),
        ({"host": "a,b", "port": "7"}, [Place("a", 7), Place("b", 7)]),
        ({"host": "a,b", "port": "7,8"}, [Place("a", 7), Place("b", 8)]),
        ({"host": "a,b", "port": ",8"}, [Place("a", 5432), Place("b", 8)]),
        ({"host": "a,/s", "hostaddr": "10.0.0.9,"}, [Place("a", 5432, "10.0.0.9"), Place("/s", 5432)]),
        ({"hostaddr": "::1,::2", "port": "7,8"}, [Place("::1", 7, "::1"), Place("::2", 8, "::2")]),
        ({}, [Place("localhost", 5432)]),
        ({"host": "a,", "port": ""}, [Place("a", 5432), Place("localhost", 5432)]),
    ],
)  # fmt: skip
def test_places_are_those_that_libpq_would_try(conninfo: dict[str, str], expected: list[Place]) -> None:
    assert places(conninfo, folders=()) == expected


@pytest.mark.parametrize(
    ("conninfo", "complaint"),
    [
        ({"host": "a,b", "port": "1,2,3"}, "could not match 3 port numbers to 2 hosts"),
        ({"port": "1,2"}, "could not match 2 port numbers to 1 hosts"),
        ({"host": "a,b", "hostaddr": "10.0.0.9"}, "could not match 2 host names to 1 hosts"),
        ({"hostaddr": "db.example"}, "could not parse network address"),
    ],
)
def test_lists_that_do_not_go_together_are_no_places(conninfo: dict[str, str], complaint: str) -> None:
    with pytest.raises(Unreachable, match=complaint):
        places(conninfo)


def test_without_a_host_the_first_folder_with_a_socket_of_that_port_is_the_place(tmp_path: Path) -> None:
    for name in ("empty", "other", "used", "later"):
        (tmp_path / name).mkdir()
    (tmp_path / "other/.s.PGSQL.5432").touch()
    (tmp_path / "used/.s.PGSQL.5433").touch()
    (tmp_path / "later/.s.PGSQL.5433").touch()
    folders = [str(tmp_path / name) for name in ("missing", "empty", "other", "used", "later")]

    assert places({"port": "5433"}, folders) == [Place(str(tmp_path / "used"), 5433)]
    assert places({"port": "5434"}, folders) == [Place("localhost", 5434)]


@pytest.mark.parametrize(
    ("place", "path", "is_name", "shown"),
    [
        (Place("db", 1), None, True, "db, port 1"),
        (Place("db", 1, "10.0.0.9"), None, False, "db (10.0.0.9), port 1"),
        (Place("10.0.0.9", 1, "10.0.0.9"), None, False, "10.0.0.9, port 1"),
        (Place("/run/pg", 1), "/run/pg/.s.PGSQL.1", False, "/run/pg, port 1"),
        (Place("@pg", 1), "\0pg/.s.PGSQL.1", False, "@pg, port 1"),
    ],
)
def test_a_place_is_a_socket_an_address_or_a_name(place: Place, path: str | None, is_name: bool, shown: str) -> None:
    assert (place.path, place.is_name, str(place)) == (path, is_name, shown)


# Names


def test_each_address_of_a_name_is_a_place_and_no_address_is_there_twice() -> None:
    reactor = DialReactor()
    reactor.names["db"] = ["fd00::2", "10.0.0.2", "fd00::2"]

    assert found(look_up(reactor, Place("db", 7))) == [[Place("db", 7, "fd00::2"), Place("db", 7, "10.0.0.2")]]


@pytest.mark.parametrize("name", ["unknown", "a..b", "x" * 64])
def test_a_name_without_an_address_cannot_be_reached(name: str) -> None:
    assert text_of(look_up(DialReactor(), Place(name, 7))) == "could not translate host name to address"


def test_an_address_that_nobody_waits_for_any_more_is_not_looked_at() -> None:
    reactor = DialReactor()
    reactor.names["db"] = ["10.0.0.2"]
    reactor.hangs = True
    waiting = look_up(reactor, Place("db", 7))
    waiting.cancel()
    reactor.answers[0]()

    assert found(waiting)[0].check(CancelledError)


# Connecting


@pytest.mark.parametrize(
    ("place", "address"),
    [
        (Place("10.0.0.9", 1, "10.0.0.9"), ("10.0.0.9", 1)),
        (Place("db", 1, "fd00::2"), ("fd00::2", 1)),
        (Place("db", 1), ("db", 1)),
        (Place("/run/pg", 1), "/run/pg/.s.PGSQL.1"),
    ],
)
def test_a_protocol_is_connected_to_a_place(place: Place, address: Any) -> None:
    reactor, protocol = DialReactor(), Dialled()
    waiting = connect(reactor, place, protocol)
    server = reactor.server

    assert found(waiting) == [None]
    assert (server.address, server.protocol) == (address, protocol)


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (errno.ECONNREFUSED, "Connection refused"),
        (errno.ENOENT, "No such file or directory"),
        (errno.ENETUNREACH, "Network is unreachable"),
        (errno.EMFILE, "Too many open files"),
    ],
)
def test_a_place_that_cannot_be_reached_is_said_why_in_the_words_of_the_system(number: int, reason: str) -> None:
    reactor = DialReactor()
    reactor.broken["10.0.0.9", 1] = number
    waiting = connect(reactor, Place("10.0.0.9", 1, "10.0.0.9"), Dialled())
    reactor.settle()

    assert text_of(waiting) == reason
    reactor.assert_clean()


def test_a_failure_without_a_number_has_words_too() -> None:
    assert reason_of(Failure(ConnectError(string=Failure(ValueError("secret"))))) == "the connection could not be made"
    assert reason_of(Failure(ValueError("secret"))) == "the connection could not be made"


def test_a_path_that_no_socket_can_have_is_refused_before_it_is_tried() -> None:
    reactor = DialReactor()
    fits, too_long = Place("/" + "x" * 92, 5432), Place("/" + "x" * 93, 5432)

    assert text_of(connect(reactor, too_long, Dialled())).startswith("Unix-domain socket path is too long")
    connect(reactor, fits, Dialled())
    assert len(reactor.connectors) == 1


def test_an_attempt_that_is_called_off_leaves_nothing() -> None:
    reactor = DialReactor()
    for silent in (True, False):
        reactor.silent = {("10.0.0.9", 1)} if silent else set()
        waiting = connect(reactor, Place("10.0.0.9", 1, "10.0.0.9"), Dialled())
        waiting.cancel()
        assert found(waiting)[0].check(CancelledError)
        reactor.assert_clean()
    assert reactor.servers == []


def test_a_connection_over_tcp_does_not_wait_for_more_and_notices_a_dead_server() -> None:
    class Transport:
        def __init__(self, socket: socket.socket) -> None:
            self.getHandle = lambda: socket
            self.setTcpNoDelay = lambda on: socket.setsockopt(6, 1, on)

    with socket.socket() as real:
        tune(Transport(real))
        assert real.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert real.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert real.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 60
        assert real.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 0
