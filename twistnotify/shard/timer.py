"""A call at a later time that can be set anew."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime


class Timer:
    """Call a function once, `delay` seconds after the last `start`."""

    __slots__ = ("_call", "_clock", "_function")

    def __init__(self, clock: IReactorTime, function: Callable[[], object]) -> None:
        self._clock = clock
        self._function = function
        self._call: IDelayedCall | None = None

    @property
    def running(self) -> bool:
        """Tell whether the call is still to come."""
        return self._call is not None

    def start(self, delay: float) -> None:
        """Set the time anew: `delay` seconds from now."""
        if self._call is not None:
            self._call.reset(delay)
        else:
            self._call = self._clock.callLater(delay, self._fire)

    def stop(self) -> None:
        """Do without the call."""
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def _fire(self) -> None:
        self._call = None
        self._function()
