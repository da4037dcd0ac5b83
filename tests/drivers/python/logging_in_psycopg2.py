"""psycopg2 logs in: libpq's words when it fails, and no SQLSTATE."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg2
from attempts import LIMIT, LISTEN, WHO, Attempt, Refused, answer, refusal


class Psycopg2:
    """A connection."""

    def __init__(self, attempt: Attempt) -> None:
        with _refusals():
            self._connection = psycopg2.connect(**attempt.given(), connect_timeout=LIMIT)
        self._connection.autocommit = True

    @property
    def tls(self) -> bool:
        """libpq knows."""
        return bool(self._connection.info.ssl_in_use)

    def user(self) -> str:
        """LISTEN, and ask."""
        with _refusals(), self._connection.cursor() as cursor:
            cursor.execute(LISTEN)
            cursor.execute(WHO)
            return str(cursor.fetchone()[0])

    def close(self) -> None:
        """Close."""
        self._connection.close()


@contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except psycopg2.Error as error:
        code = error.pgcode or refusal(str(error))
        if code is None:
            raise
        raise Refused(code) from None


if __name__ == "__main__":
    answer(Psycopg2)
