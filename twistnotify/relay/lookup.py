"""Asking PostgreSQL for the secrets of users, on a connection of its own (`auth_query`).

Users are asked for one after the other, in the order in which they came; who asks for a user that is being looked up
waits for the same answer. What clients say reaches the server as the value of $1 and in no other way, and names in the
query mean what is in pg_catalog, whatever search_path the connection's role has.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.interfaces import IDelayedCall

from twistnotify.relay.connection import Upstream, UpstreamRefused
from twistnotify.relay.lookup_session import LookupFailed, LookupSession, Lost, auth_session, text_of
from twistnotify.wire.errors import ErrorFields

__all__ = ["LookupFailed", "UserLookup", "auth_session"]

LOOKUP_TIMEOUT = 5.0
"""Seconds that a lookup may take with its time in the queue: the client that logs in waits meanwhile."""
IDLE = 60.0
"""Seconds without a lookup after which the connection is closed: while it is open, nobody can drop its database."""
PAUSE = 1.0
"""Seconds between two attempts to connect: each that fails is logged, and strangers can ask as often as they like."""
MAX_WAITING = 1_000
"""Users that may wait for others to be looked up: more than a server answers for within `LOOKUP_TIMEOUT` are no use."""
MAX_CACHED = 10_000
"""Users that are remembered, and as many that are not there: some megabytes, however many names are tried."""
MAX_NAME = 128
"""Bytes of the longest name that is asked for, twice what PostgreSQL allows: there are no longer ones to remember."""


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What came of a lookup: a secret or None, unless there is a fault."""

    secret: str | None = field(default=None, repr=False)
    fault: str | None = None

    def tell(self) -> Deferred[str | None]:
        return succeed(self.secret) if self.fault is None else fail(LookupFailed(self.fault))


@dataclass(slots=True, eq=False)
class _Lookup:
    """A user who is being looked up, or waits for that; `asking` is there as soon as it is under way."""

    user: str
    limit: IDelayedCall
    waiters: list[Deferred[str | None]] = field(default_factory=list, repr=False)
    asking: Deferred[str | None] | None = field(default=None, repr=False)

    def conclude(self, outcome: _Outcome) -> None:
        """Tell all who wait."""
        waiters, self.waiters = self.waiters, []
        for waiter in waiters:
            if not waiter.called:
                outcome.tell().chainDeferred(waiter)


class UserLookup:
    """Look up users' secrets by a query whose $1 is the name, and whose columns are the name and the secret.

    `open_session` opens a session as `auth_session` does. Answers are remembered for `cache_ttl` seconds; that there is
    none, or that it could not be asked for, for `negative_ttl` seconds.
    """

    def __init__(
        self,
        reactor: Any,
        open_session: Callable[[], Deferred[Upstream]],
        query: str,
        cache_ttl: float,
        negative_ttl: float,
    ) -> None:
        self._reactor = reactor
        self._open_session = open_session
        self._query = query.encode()
        self._cache = _Cache(reactor.seconds, cache_ttl, negative_ttl)
        self._lookups: dict[str, _Lookup] = {}
        self._works = False
        self._session: LookupSession | None = None
        self._idle: IDelayedCall | None = None
        self._refusal: tuple[float, ErrorFields] | None = None
        """Why there was no session, and until when none is asked for."""

    def look_up(self, user: str) -> Deferred[str | None]:
        """Return a user's secret as in pg_authid, None if there is no such user, or no one row with a secret.

        Fails with `LookupFailed`. Who cancels the Deferred disturbs nobody else who waits for the same user.
        """
        if not _can_be(user):
            return succeed(None)
        outcome = self._cache.get(user)
        if outcome is not None:
            return outcome.tell()
        if user not in self._lookups and len(self._lookups) > MAX_WAITING:
            return fail(LookupFailed("too many users wait to be looked up"))
        return self._wait_for(user)

    def close(self) -> None:
        """Close the connection, and fail whoever waits."""
        for lookup in list(self._lookups.values())[::-1]:
            self._give_up(lookup, "it is over")
        self._close_session()

    def _wait_for(self, user: str) -> Deferred[str | None]:
        lookup = self._lookups.get(user)
        if lookup is None:
            limit = self._reactor.callLater(
                LOOKUP_TIMEOUT, lambda: self._give_up(self._lookups[user], "timeout expired")
            )
            lookup = self._lookups[user] = _Lookup(user, limit)
        waiter: Deferred[str | None] = Deferred(lambda waiter: self._leave(lookup, waiter))
        lookup.waiters.append(waiter)
        if not self._works:
            Deferred.fromCoroutine(self._work())
        return waiter

    def _leave(self, lookup: _Lookup, waiter: Deferred[str | None]) -> None:
        """Wait no more; a user whom nobody waits for is not asked for."""
        if waiter in lookup.waiters:
            lookup.waiters.remove(waiter)
            if not lookup.waiters and lookup.asking is None:
                self._conclude(lookup)

    def _give_up(self, lookup: _Lookup, fault: str) -> None:
        outcome = _Outcome(fault=fault)
        self._cache.put(lookup.user, outcome)
        self._conclude(lookup)
        lookup.conclude(outcome)
        if lookup.asking is not None:
            lookup.asking.cancel()

    def _conclude(self, lookup: _Lookup) -> None:
        if self._lookups.get(lookup.user) is lookup:
            del self._lookups[lookup.user]
        if lookup.limit.active():
            lookup.limit.cancel()

    # One after the other

    async def _work(self) -> None:
        """Look users up until nobody waits."""
        self._works = True
        self._stop_idle()
        while self._lookups:
            lookup = next(iter(self._lookups.values()))
            lookup.asking = Deferred.fromCoroutine(self._ask(lookup.user))
            outcome = await self._outcome(lookup.asking)
            if outcome is not None:
                self._cache.put(lookup.user, outcome)
                self._conclude(lookup)
                lookup.conclude(outcome)
        self._works = False
        if self._session is not None:
            self._idle = self._reactor.callLater(IDLE, self._close_session)

    async def _outcome(self, asking: Deferred[str | None]) -> _Outcome | None:
        """Return what came of asking; None if it was given up."""
        try:
            return _Outcome(await asking)
        except CancelledError:
            return None
        except LookupFailed as failure:
            return _Outcome(fault=str(failure))
        except UpstreamRefused as refusal:
            return _Outcome(fault=text_of(refusal.fields))
        except Exception as error:
            # Whatever it is, the next one is to be looked up.
            return _Outcome(fault=f"unexpected {type(error).__name__}")

    async def _ask(self, user: str) -> str | None:
        """Ask on the connection there is; on a new one if there is none, or if it proves to be lost."""
        if self._session is not None:
            try:
                return await self._session.ask(user)
            except Lost:
                pass
        session = LookupSession(await self._opened(), self._query, self._ended)
        self._session = None if session.is_over else session
        return await session.ask(user)

    async def _opened(self) -> Upstream:
        """Open a session; after a failure not before a while has passed, however many ask."""
        refusal, self._refusal = self._refusal, None
        if refusal is not None and self._reactor.seconds() < refusal[0]:
            self._refusal = refusal
            raise UpstreamRefused(refusal[1])
        try:
            return await self._open_session()
        except UpstreamRefused as refused:
            self._refusal = self._reactor.seconds() + PAUSE, refused.fields
            raise

    def _ended(self, session: LookupSession) -> None:
        if self._session is session:
            self._session = None
            self._stop_idle()

    def _close_session(self) -> None:
        self._stop_idle()
        session, self._session = self._session, None
        if session is not None:
            session.end()

    def _stop_idle(self) -> None:
        idle, self._idle = self._idle, None
        if idle is not None and idle.active():
            idle.cancel()


def _can_be(user: str) -> bool:
    """Tell whether there may be a user of this name: what is no UTF-8 or has a NUL would be an error to ask for."""
    try:
        return len(user.encode()) <= MAX_NAME and "\0" not in user
    except UnicodeEncodeError:
        return False


class _Cache:
    """What is known of users, the oldest first; made-up ones apart, so that they do not drive real ones out."""

    def __init__(self, seconds: Callable[[], float], ttl: float, negative_ttl: float) -> None:
        self._seconds = seconds
        self._ttl = ttl
        self._negative_ttl = negative_ttl
        self._found: dict[str, tuple[float, _Outcome]] = {}
        self._missing: dict[str, tuple[float, _Outcome]] = {}

    def get(self, user: str) -> _Outcome | None:
        for known in (self._found, self._missing):
            until, outcome = known.get(user, (0.0, None))
            if outcome is not None and self._seconds() < until:
                return outcome
            known.pop(user, None)
        return None

    def put(self, user: str, outcome: _Outcome) -> None:
        is_missing = outcome.secret is None
        known, ttl = (self._missing, self._negative_ttl) if is_missing else (self._found, self._ttl)
        for each in (self._found, self._missing):
            each.pop(user, None)
        if ttl > 0:
            known[user] = self._seconds() + ttl, outcome
        if len(known) > MAX_CACHED:
            del known[next(iter(known))]
