"""A crowd of clients, each of whom logs in, leaves, and comes again as another one."""

from __future__ import annotations

import multiprocessing
import resource
import select
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.pool import Pool

from benchmarks.certificate import client_context
from benchmarks.connect import SILENCE, Address, Silence
from benchmarks.dialects import Refused
from benchmarks.login import Account, Exchange, Login, SecuredLogin
from benchmarks.tasks import Outcome
from benchmarks.ways import Way
from benchmarks.workers import BenchmarkFailed
from twistnotify.auth.scram_keys import ScramFault
from twistnotify.wire.violations import ProtocolViolation

READ_SIZE = 65536


@dataclass(frozen=True, slots=True)
class Crowd:
    """Say how many log in at a time, as whom, and for how many seconds new ones come."""

    address: Address
    account: Account
    tls: bool
    clients: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Turnout:
    """Hold how many have logged in, in how many seconds, and the generator's seconds of computing."""

    logins: int
    seconds: float
    cpu: float


@dataclass(frozen=True, slots=True)
class LogIns:
    """Log in as often as it goes: the figure is log-ins a second, each of them up to ReadyForQuery."""

    name: str
    crowd: Crowd
    pool: Pool
    workers: int

    def do(self, way: Way) -> Outcome:
        """Send a crowd, in equal parts of the worker processes; raises BenchmarkFailed."""
        crowd = self.crowd
        shares = [
            Crowd(way.address, crowd.account, crowd.tls, len(range(index, crowd.clients, self.workers)), crowd.seconds)
            for index in range(self.workers)
        ]
        try:
            turnouts = self.pool.map(log_in, shares, chunksize=1)
        except (Refused, Silence, OSError, ScramFault, ProtocolViolation) as error:
            raise BenchmarkFailed(f"{way.name}, {self.name}: {error}") from None
        logins = sum(turnout.logins for turnout in turnouts)
        busy = max(turnout.cpu / turnout.seconds for turnout in turnouts)
        return Outcome(logins / max(turnout.seconds for turnout in turnouts), logins, busy)


@contextmanager
def generator(workers: int) -> Iterator[Pool]:
    """Run worker processes; to be begun before any server, whose files they would inherit."""
    with multiprocessing.get_context("fork").Pool(workers, _begin) as pool:
        yield pool


def _begin() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


class Client:
    """A connection on its way to be logged in."""

    def __init__(self, crowd: Crowd) -> None:
        login = Login(crowd.account)
        self.exchange: Exchange = SecuredLogin(login, client_context()) if crowd.tls else login
        self.socket = socket.socket()
        self.socket.settimeout(SILENCE)
        self.socket.connect(crowd.address)
        self.socket.sendall(self.exchange.greeting)

    def read(self) -> bool:
        """Take in what has come; tell whether the session was ready, which has been ended then."""
        data = self.socket.recv(READ_SIZE)
        if not data:
            raise Refused("the server hung up on a log-in")
        if answer := self.exchange.hear(data):
            self.socket.sendall(answer)
        if not self.exchange.done:
            return False
        self.socket.sendall(self.exchange.farewell())
        self.socket.close()
        return True


def log_in(crowd: Crowd) -> Turnout:
    """Keep a crowd's clients logging in until its time is over; raises what each of them does, and Silence."""
    start, computed = time.monotonic(), _processor_time()
    end = start + crowd.seconds
    under_way: dict[int, Client] = {}
    try:
        logins = _keep_logging_in(crowd, under_way, end)
    finally:
        for client in under_way.values():
            client.socket.close()
    return Turnout(logins, time.monotonic() - start, _processor_time() - computed)


def _keep_logging_in(crowd: Crowd, under_way: dict[int, Client], end: float) -> int:
    """Return how many have logged in; whoever has not is left in `under_way`."""
    logins = 0
    with select.epoll() as poll:
        under_way.update(_arrival(crowd, poll) for _ in range(crowd.clients))
        while under_way:
            ready = poll.poll(SILENCE)
            if not ready:
                raise Silence(f"nothing came for {SILENCE:.0f} seconds, {len(under_way)} clients are not logged in")
            for fd, _ in ready:
                if under_way[fd].read():
                    logins += 1
                    del under_way[fd]
                    if time.monotonic() < end:
                        under_way.update([_arrival(crowd, poll)])
    return logins


def _arrival(crowd: Crowd, poll: select.epoll) -> tuple[int, Client]:
    client = Client(crowd)
    fd = client.socket.fileno()
    poll.register(fd, select.EPOLLIN)
    return fd, client


def _processor_time() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime
