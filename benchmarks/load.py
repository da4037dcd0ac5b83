"""The load generator: sockets on one epoll, and as little Python as possible for each delivery."""

from __future__ import annotations

import select
import socket
import ssl
import time
from array import array
from bisect import bisect_right
from collections.abc import Sequence

from benchmarks.connect import SILENCE, Silence
from benchmarks.dialects import Dialect
from benchmarks.tape import Tape, WrongDelivery, payload
from benchmarks.works import Work

BUFFER_SIZE = 262_144
LINGER = 0.05
"""Seconds to wait, when all is done, for what should not come."""

_buffer = bytearray(BUFFER_SIZE)
_view = memoryview(_buffer)


class Party:
    """A connection at work; `done` when it has nothing left to do."""

    def __init__(self, connection: socket.socket, dialect: Dialect) -> None:
        self.socket = connection
        self.done = False
        self._receive_into = connection.recv_into
        self._dialect = dialect

    def read(self) -> None:
        """Take in what has come; raises WrongDelivery."""
        raise NotImplementedError


class Listener(Party):
    """Compare what comes with the channel's tape."""

    def __init__(self, connection: socket.socket, dialect: Dialect, tape: Tape) -> None:
        super().__init__(connection, dialect)
        self.tape = tape
        self.position = 0
        self.done = tape.length == 0

    def read(self) -> None:
        """Take in what has come; raises WrongDelivery."""
        size = self._receive_into(_buffer)
        tape = self.tape
        if not size:
            raise WrongDelivery(f"the server hung up on a listener: {self._dialect.explain(tape.unchecked)}")
        if not tape.data.startswith(_view[:size], self.position):
            self._lead(bytes(_view[:size]))
        self.position += size
        if self.position == tape.length:
            self.done = True

    def _lead(self, data: bytes) -> None:
        """Be the first to hear something, or hear something wrong."""
        try:
            self.tape.go_on(self.position, data)
        except WrongDelivery as wrong:
            raise WrongDelivery(f"{wrong}; what came: {self._dialect.explain(data)}") from None


class TimedListener(Listener):
    """Keep how long each message took, in nanoseconds."""

    def __init__(self, connection: socket.socket, dialect: Dialect, tape: Tape, latencies: array[int]) -> None:
        super().__init__(connection, dialect, tape)
        self._latencies = latencies
        self._heard = 0

    def read(self) -> None:
        """Take in what has come; raises WrongDelivery."""
        super().read()
        now = time.monotonic_ns()
        heard = bisect_right(self.tape.ends, self.position, self._heard)
        self._latencies.extend(now - stamp for stamp in self.tape.stamps[self._heard : heard])
        self._heard = heard


class Publisher(Party):
    """Send messages as fast as they are answered, up to the work's window unanswered."""

    due = float("inf")
    """When it has to send without being asked to by an answer, in seconds of the monotonic clock."""

    def __init__(self, connection: socket.socket, dialect: Dialect, work: Work, index: int, poll: select.epoll) -> None:
        super().__init__(connection, dialect)
        self.answered = 0
        self._work = work
        self._index = index
        self._poll = poll
        self._sent = 0
        self._rest = memoryview(b"")
        self._answer = dialect.published(work.listeners_of(0))
        self._answers = self._answer * (BUFFER_SIZE // len(self._answer) + 2)
        self._heard = 0
        self._prepare()

    def start(self) -> None:
        """Begin."""
        self._go_on()

    def read(self) -> None:
        """Count answers; send as much as they make room for."""
        size = self._receive_into(_buffer)
        if not size:
            raise WrongDelivery("the server hung up on a publisher")
        if not self._answers.startswith(_view[:size], self._heard % len(self._answer)):
            heard = bytes(_view[:size])
            raise WrongDelivery(f"a publisher was answered {self._dialect.explain(heard)}, not {self._answer!r}")
        self._heard += size
        self.answered = self._heard // len(self._answer)
        if self.answered == self._work.messages:
            self.done = True
        self._go_on()

    def write(self) -> None:
        """Send what there was no room for before."""
        self._poll.modify(self.socket, select.EPOLLIN)
        rest, self._rest = self._rest, memoryview(b"")
        self._send(rest)
        self._go_on()

    def _prepare(self) -> None:
        """Encode everything before the clock runs."""
        frames = [self._frame(message, 0) for message in range(self._work.messages)]
        self._size = len(frames[0])
        self._frames = memoryview(b"".join(frames))

    def _frame(self, message: int, stamp: int) -> bytes:
        work = self._work
        channel = work.channel(work.channel_of(self._index, message))
        number = message // work.channels + 1
        return self._dialect.publish(channel, payload(stamp, self._index, number))

    def _go_on(self) -> None:
        end = min(self.answered + self._work.window, self._work.messages)
        if end > self._sent and not self._rest:
            start, self._sent = self._sent, end
            self._send(self._frames[start * self._size : end * self._size])

    def _send(self, data: memoryview) -> None:
        try:
            size = self.socket.send(data)
        except (BlockingIOError, ssl.SSLWantWriteError):
            size = 0
        if size < len(data):
            self._rest = data[size:]
            self._poll.modify(self.socket, select.EPOLLIN | select.EPOLLOUT)


class PacedPublisher(Publisher):
    """Send at the work's rate, each message with the time it was sent."""

    def start(self) -> None:
        """Begin to count the time; the first message is sent after a pause, as any other."""
        self.due = time.monotonic() + self._pause

    def publish(self) -> None:
        """Send what is due."""
        if self._rest:
            return
        self._sent += 1
        self.due = self.due + self._pause if self._sent < self._work.messages else float("inf")
        self._send(memoryview(self._frame(self._sent - 1, time.monotonic_ns())))

    def _prepare(self) -> None:
        """Encode nothing: the time of sending is not known yet."""
        self._pause = self._work.publishers / self._work.rate

    def _go_on(self) -> None:
        """Send nothing before it is due."""


def run(listeners: Sequence[Listener], publishers: Sequence[Publisher], poll: select.epoll) -> None:
    """Do the work; raises WrongDelivery, or Silence where something is missing."""
    parties: dict[int, Party] = {party.socket.fileno(): party for party in (*listeners, *publishers)}
    paced = [publisher for publisher in publishers if isinstance(publisher, PacedPublisher)]
    left = sum(not party.done for party in parties.values())
    for publisher in publishers:
        publisher.start()
    heard_at = time.monotonic()
    while left:
        ready = poll.poll(_pause_until_due(paced) if paced else SILENCE)
        for fd, events in ready:
            party = parties[fd]
            was_done = party.done
            if events & ~select.EPOLLOUT:
                # Of a record of TLS that has not come whole nothing can be read. One at a time is, and OpenSSL takes no
                # more from the kernel, so that it wakes us for the next.
                try:  # noqa: SIM105 - a context manager costs as much as the read.
                    party.read()
                except ssl.SSLWantReadError:
                    pass
            if events & select.EPOLLOUT and isinstance(party, Publisher):
                party.write()
            left -= party.done - was_done
        if ready:
            heard_at = time.monotonic()
        elif time.monotonic() - heard_at > SILENCE:
            raise Silence(_missing(listeners, publishers))
        for publisher in paced:
            if publisher.due <= time.monotonic():
                publisher.publish()


def listen_for_more(poll: select.epoll) -> None:
    """Check that nothing comes after all has come; raises WrongDelivery."""
    if poll.poll(LINGER):
        raise WrongDelivery("more came after everything had come: something was delivered twice, or a server hung up")


def _pause_until_due(paced: Sequence[PacedPublisher]) -> float:
    due = min(publisher.due for publisher in paced)
    return min(max(0.0, due - time.monotonic()), SILENCE)


def _missing(listeners: Sequence[Listener], publishers: Sequence[Publisher]) -> str:
    deaf = sum(not listener.done for listener in listeners)
    most = max((listener.tape.messages for listener in listeners), default=0)
    open_publishers = sum(not publisher.done for publisher in publishers)
    return (
        f"nothing came for {SILENCE:.0f} seconds: {deaf} of {len(listeners)} listeners miss messages"
        f" (the most that came on a channel is {most}), {open_publishers} of {len(publishers)} publishers miss answers"
    )
