"""A reactor that only moves when a test says so."""

from __future__ import annotations

import socket
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock

MAX_ROUNDS = 100_000
"""Rounds after which a test is taken to go on for ever."""


class FakePort:
    """A listening port that nobody can connect to; its socket is real, so that options can be set and read."""

    def __init__(self, address: str, number: int, factory: Any) -> None:
        self._factory = factory
        self.socket = socket.socket()
        self.listening = True
        self._address = (address, number)

    def getHost(self) -> Any:  # noqa: N802
        """Return where it listens."""
        return SimpleNamespace(host=self._address[0], port=self._address[1])

    def stopListening(self) -> Deferred[None]:  # noqa: N802
        """Close."""
        self.listening = False
        self.socket.close()
        self._factory.doStop()
        return succeed(None)


class FakeReactor(Clock):
    """A Clock that also reads and writes: `settle` serves everybody who can be served now."""

    def __init__(self) -> None:
        super().__init__()
        self._readers: dict[Any, None] = {}
        self._writers: dict[Any, None] = {}
        self.ports: list[FakePort] = []
        self.cannot_listen: Exception | None = None
        self.dialled: list[tuple[str, int, Any]] = []

    def connectTCP(self, host: str, port: int, factory: Any, timeout: float | None = 30.0) -> Any:  # noqa: N802
        """Note where somebody connects to; what comes of it is for the test to say."""
        self.dialled.append((host, port, factory))
        return SimpleNamespace(stopConnecting=lambda: None)

    def callWhenRunning(self, function: Callable[..., object], *args: object) -> None:  # noqa: N802
        """Call at once: it runs."""
        function(*args)

    def callFromThread(self, function: Callable[..., object], *args: object) -> None:  # noqa: N802
        """Call at once: there is one thread."""
        function(*args)

    def addReader(self, reader: Any) -> None:  # noqa: N802
        """Read from something from now on."""
        self._readers[reader] = None

    def removeReader(self, reader: Any) -> None:  # noqa: N802
        """Read from it no more."""
        self._readers.pop(reader, None)

    def addWriter(self, writer: Any) -> None:  # noqa: N802
        """Write to something from now on."""
        self._writers[writer] = None

    def removeWriter(self, writer: Any) -> None:  # noqa: N802
        """Write to it no more."""
        self._writers.pop(writer, None)

    def getReaders(self) -> list[Any]:  # noqa: N802
        """Return what is read from."""
        return list(self._readers)

    def getWriters(self) -> list[Any]:  # noqa: N802
        """Return what is written to."""
        return list(self._writers)

    def listenTCP(self, port: int, factory: Any, backlog: int = 50, interface: str = "") -> FakePort:  # noqa: N802
        """Listen, or fail with `cannot_listen`."""
        if self.cannot_listen is not None:
            raise self.cannot_listen
        factory.doStart()
        self.ports.append(FakePort(interface, port or 6433, factory))
        return self.ports[-1]

    def advance(self, amount: float) -> None:
        """Let time go by; a call made meanwhile for now has to wait for the next turn, as with a real reactor."""
        self.rightNow += amount
        self._call_due()

    def _call_due(self) -> bool:
        due = [call for call in self.getDelayedCalls() if call.getTime() <= self.seconds()]
        for call in sorted(due, key=lambda call: call.getTime()):
            if call.active():
                self.calls.remove(call)
                call.called = 1
                call.func(*call.args, **call.kw)
        return bool(due)

    def turn(self) -> bool:
        """Serve whoever can be served, once; tell whether there was anybody."""
        served = False
        for reader in self.getReaders():
            if reader in self._readers and _ready(reader, "readable"):
                reader.doRead()
                served = True
        for writer in self.getWriters():
            if writer in self._writers and _ready(writer, "writable"):
                writer.doWrite()
                served = True
        return self._call_due() or served

    def settle(self) -> None:
        """Go on until nobody can be served without time going by."""
        for _ in range(MAX_ROUNDS):
            if not self.turn():
                return
        raise AssertionError(f"never at rest: {self.getReaders()} {self.getWriters()} {self.getDelayedCalls()}")

    def wait(self, seconds: float) -> None:
        """Let time go by, from one call to the next."""
        end = self.seconds() + seconds
        self.settle()
        while due := [call.getTime() for call in self.getDelayedCalls() if call.getTime() <= end]:
            self.advance(max(0.0, min(due) - self.seconds()))
            self.settle()
        self.advance(max(0.0, end - self.seconds()))
        self.settle()

    def wait_until(self, true: Callable[[], object], limit: float = 600.0) -> None:
        """Let time go by until something is so."""
        end = self.seconds() + limit
        self.settle()
        while not true():
            due = [call.getTime() for call in self.getDelayedCalls()]
            assert due, "nothing will ever happen"
            assert min(due) <= end, "too late"
            self.advance(max(0.0, min(due) - self.seconds()))
            self.settle()


def _ready(descriptor: Any, what: str) -> bool:
    """Ask a transport, or the psycopg2 connection behind a txpostgres one."""
    pollable = getattr(descriptor, "pollable", None)
    return bool(getattr(pollable() if pollable is not None else descriptor, what))
