"""asyncpg logs in: SCRAM without channel binding; direct TLS."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar
from urllib.parse import urlencode

import asyncpg
from attempts import CHANNEL, LIMIT, WHO, Attempt, Refused, answer

T = TypeVar("T")

LOOP = asyncio.Runner()


class Asyncpg:
    """A connection."""

    tls = None

    def __init__(self, attempt: Attempt) -> None:
        self._connection = _run(asyncpg.connect(f"postgresql://?{urlencode(attempt.given())}", timeout=LIMIT))

    def user(self) -> str:
        """LISTEN, and ask."""
        _run(self._connection.add_listener(CHANNEL, lambda *_: None))
        return str(_run(self._connection.fetchval(WHO)))

    def close(self) -> None:
        """Close."""
        self._connection.terminate()


def _run(work: Coroutine[Any, Any, T]) -> T:
    try:
        return LOOP.run(work)
    except asyncpg.PostgresError as error:
        # asyncpg has errors of this kind of its own, without what a server's have.
        if getattr(error, "severity", None) is None:
            raise
        raise Refused(error.sqlstate) from None


if __name__ == "__main__":
    answer(Asyncpg, "channel_binding", "require_auth")
