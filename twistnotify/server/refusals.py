"""Clients that were not let in: how often from where, and what the log says of it.

Who fails too often is not asked again for a while. The log tells of each failure, but of no more than a few in a while:
a flood of them is summed up.
"""

from __future__ import annotations

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from twistnotify.auth.throttle import Throttle
from twistnotify.shard.timer import Timer
from twistnotify.wire.printable import printable

LOGGED = 20
"""Refusals that are logged one by one within `LOG_WINDOW`."""
LOG_WINDOW = 10.0
"""Seconds after which those beyond are summed up."""

Key = tuple[str, str]


class Refusals:
    """Take note of failed log-ins by address and user; what bounds them is as in `Throttle`."""

    log = Logger()

    def __init__(self, clock: IReactorTime, limit: int, window: float, block: float) -> None:
        self._limits = (limit, window, block)
        self.throttle = Throttle(limit, window, block)
        self._clock = clock
        self._logged = 0
        self._more = 0
        self._window = Timer(clock, self._sum_up)

    def limit(self, limit: int, window: float, block: float) -> None:
        """Have other bounds, and begin to count anew; the same ones change nothing."""
        if self._limits != (limit, window, block):
            self._limits = (limit, window, block)
            self.throttle = Throttle(limit, window, block)

    def is_blocked(self, key: Key) -> bool:
        """Tell whether an address has failed too often for this user."""
        return self.throttle.is_blocked(key, self._clock.seconds())

    def count(self, key: Key, where: str, database: str, reason: str) -> None:
        """Count a proof that has failed by its key, and log it; `where` the client is, `reason` is what it was told."""
        blocked = self.throttle.note_failure(key, self._clock.seconds())
        self.note(where, key[1], database, f"{reason}; too many, refused for a while" if blocked else reason)

    def forgive(self, key: Key) -> None:
        """Forget the failures of one that has logged in."""
        self.throttle.forgive(key)

    def note_blocked(self) -> None:
        """Take note of one that is not asked: nothing of it is worth a line of its own."""
        self._more += 1
        self._begin_window()

    def stop(self) -> None:
        """Sum up what is left."""
        self._window.stop()
        self._sum_up()

    def note(self, where: str, user: str, database: str, reason: str) -> None:
        """Log a refusal."""
        self._begin_window()
        if self._logged >= LOGGED:
            self._more += 1
            return
        self._logged += 1
        self.log.warn(
            'log-in refused: {reason} (user "{user}", database "{database}", from {where})',
            reason=printable(reason, 256),
            user=printable(user),
            database=printable(database),
            where=where,
        )

    def _begin_window(self) -> None:
        if not self._window.running:
            self._window.start(LOG_WINDOW)

    def _sum_up(self) -> None:
        if self._more:
            self.log.warn(
                "{count} more log-ins refused in the last {seconds:g} s", count=self._more, seconds=LOG_WINDOW
            )
        self._logged = self._more = 0
