"""The load generator against a server that is played by the test."""

from __future__ import annotations

import select
import socket
from collections.abc import Iterator

import pytest

from benchmarks.dialects import RespDialect
from benchmarks.load import Listener, Publisher, listen_for_more, run
from benchmarks.tape import Tape, WrongDelivery, payload
from benchmarks.works import Work

DIALECT = RespDialect()
WORK = Work("work", listeners=1, publishers=1, messages=3, window=2)


@pytest.fixture
def poll() -> Iterator[select.epoll]:
    with select.epoll() as poll:
        yield poll


@pytest.fixture
def pairs(poll: select.epoll) -> Iterator[list[tuple[socket.socket, socket.socket]]]:
    """Two connections, each as (client's end, server's end): of the listener, and of the publisher."""
    pairs = [socket.socketpair(), socket.socketpair()]
    for ours, _ in pairs:
        ours.setblocking(False)
        poll.register(ours, select.EPOLLIN)
    yield pairs
    for ours, theirs in pairs:
        ours.close()
        theirs.close()


Pairs = list[tuple[socket.socket, socket.socket]]


def message(number: int) -> bytes:
    """Return a message as Redis delivers it."""
    envelope = DIALECT.envelope(WORK.channel(0))
    return envelope.start + envelope.middle + payload(0, 0, number) + envelope.end


def parties(pairs: Pairs, poll: select.epoll) -> tuple[list[Listener], list[Publisher]]:
    """Return the two at work."""
    tape = Tape("channel", DIALECT.envelope(WORK.channel(0)), WORK.messages_of(0))
    return [Listener(pairs[0][0], DIALECT, tape)], [Publisher(pairs[1][0], DIALECT, WORK, 0, poll)]


def test_all_is_done_when_all_is_delivered_and_answered(pairs: Pairs, poll: select.epoll) -> None:
    pairs[0][1].sendall(message(1) + message(2) + message(3))
    pairs[1][1].sendall(DIALECT.published(1) * 3)
    listeners, publishers = parties(pairs, poll)
    run(listeners, publishers, poll)
    listen_for_more(poll)
    assert listeners[0].tape.messages == publishers[0].answered == 3


def test_no_more_than_the_window_is_sent_unanswered(pairs: Pairs, poll: select.epoll) -> None:
    _, (publisher,) = parties(pairs, poll)
    publisher.start()
    sent = pairs[1][1].recv(65536)
    assert sent.count(b"PUBLISH") == WORK.window
    pairs[1][1].sendall(DIALECT.published(1))
    publisher.read()
    assert pairs[1][1].recv(65536).count(b"PUBLISH") == 1


@pytest.mark.parametrize(
    ("heard", "answered", "complaint"),
    [
        (message(1) + message(3), b"", "lost"),
        (message(1) + message(1), b"", "twice"),
        (message(1), b"-ERR no\r\n", "ERR no"),
        (message(1), b":0\r\n", "was answered"),
    ],
)
def test_what_goes_wrong_ends_the_work(
    pairs: Pairs, poll: select.epoll, heard: bytes, answered: bytes, complaint: str
) -> None:
    pairs[0][1].sendall(heard)
    pairs[1][1].sendall(answered)
    with pytest.raises(WrongDelivery, match=complaint):
        run(*parties(pairs, poll), poll)


def test_a_hang_up_is_noticed(pairs: Pairs, poll: select.epoll) -> None:
    pairs[0][1].sendall(message(1))
    pairs[0][1].shutdown(socket.SHUT_WR)
    with pytest.raises(WrongDelivery, match="hung up on a listener"):
        run(*parties(pairs, poll), poll)


def test_what_comes_late_is_noticed(pairs: Pairs, poll: select.epoll) -> None:
    pairs[0][1].sendall(message(3))
    with pytest.raises(WrongDelivery, match="more came"):
        listen_for_more(poll)


def test_silence_is_a_failure(pairs: Pairs, poll: select.epoll, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.load.SILENCE", 0.05)
    pairs[0][1].sendall(message(1) + message(2))
    pairs[1][1].sendall(DIALECT.published(1) * 3)
    with pytest.raises(Exception, match="1 of 1 listeners miss messages"):
        run(*parties(pairs, poll), poll)
