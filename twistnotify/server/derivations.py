"""Deriving keys of passwords, which is slow by design: the quick ones at once, all others in threads of their own.

The threads are not the reactor's, which also looks up names. What nobody waits for any more is not begun.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool

from twistnotify.auth.scram_keys import QUICK_ITERATIONS

THREADS = 2
MAX_WAITING = 200
"""Derivations that may wait for a thread; of the longest kind (600,000 rounds) one takes 0.1 to 0.3 s."""

T = TypeVar("T")


class TooManyDerivations(Exception):
    """There are more than can be done in time."""


class Derivations:
    """Do work that is counted in rounds of PBKDF2, by a pool of threads that nobody else has."""

    def __init__(self, reactor: Any, pool: Any = None) -> None:
        self._reactor = reactor
        self._pool = pool or ThreadPool(0, THREADS, "derivations")
        self._started = self._stopped = False
        self.waiting = 0

    def do(self, iterations: int, work: Callable[[], T]) -> Deferred[T]:
        """Return what comes of work; fails with `TooManyDerivations`. Who cancels it gives it up."""
        return succeed(work()) if iterations <= QUICK_ITERATIONS else self.do_aside(work)

    def do_aside(self, work: Callable[[], T]) -> Deferred[T]:
        """Do the same in a thread, however quick it is."""
        if self.waiting >= MAX_WAITING or self._stopped:
            return fail(TooManyDerivations())
        self._start()
        self.waiting += 1
        given_up: list[bool] = []
        waiting: Deferred[T] = Deferred(lambda _: given_up.append(True))

        def begin() -> T | None:
            return None if given_up else work()

        done: Deferred[Any] = deferToThreadPool(self._reactor, self._pool, begin)
        done.addBoth(self._done, waiting)
        return waiting

    def stop(self) -> None:
        """End the threads, behind what they are at."""
        self._stopped = True
        if self._started:
            self._started = False
            self._pool.stop()

    def _start(self) -> None:
        if not self._started:
            self._started = True
            self._pool.start()

    def _done(self, outcome: Any, waiting: Deferred[Any]) -> None:
        self.waiting -= 1
        if not waiting.called:
            waiting.callback(outcome)
