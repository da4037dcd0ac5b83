"""psycopg 3 logs in: libpq's words when it fails, and no SQLSTATE."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from attempts import LIMIT, LISTEN, WHO, Attempt, Refused, answer, refusal


class Psycopg3:
    """A connection."""

    def __init__(self, attempt: Attempt) -> None:
        with _refusals():
            self._connection = psycopg.connect(**attempt.given(), connect_timeout=LIMIT, autocommit=True)

    @property
    def tls(self) -> bool:
        """libpq knows."""
        return self._connection.pgconn.ssl_in_use

    def user(self) -> str:
        """LISTEN, and ask."""
        with _refusals():
            self._connection.execute(LISTEN)
            row = self._connection.execute(WHO).fetchone()
        assert row is not None
        return str(row[0])

    def close(self) -> None:
        """Close."""
        self._connection.close()


@contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except psycopg.Error as error:
        code = error.sqlstate or refusal(str(error))
        if code is None:
            raise
        raise Refused(code) from None


if __name__ == "__main__":
    answer(Psycopg3)
