"""A pool of threads that has none: its work is done at once, by whoever brings it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class FakePool:
    """What `deferToThreadPool` asks of a pool."""

    def start(self) -> None:
        """Begin."""

    def stop(self) -> None:
        """End."""

    def callInThreadWithCallback(self, told: Any, function: Callable[[], Any]) -> None:  # noqa: N802
        """Do work, and tell what came of it."""
        told(True, function())
