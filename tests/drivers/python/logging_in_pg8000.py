"""pg8000 logs in: binds SCRAM to the TLS connection whenever the server can."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager

import pg8000.dbapi
from attempts import LIMIT, LISTEN, WHO, Attempt, Refused, answer


class Pg8000:
    """A connection."""

    tls = None

    def __init__(self, attempt: Attempt) -> None:
        with _refusals():
            self._connection = pg8000.dbapi.connect(
                attempt.user,
                attempt.host,
                attempt.dbname,
                int(attempt.port),
                attempt.password or None,
                ssl_context=_ssl_context(attempt),
                timeout=LIMIT,
            )
        self._connection.autocommit = True

    def user(self) -> str:
        """LISTEN, and ask."""
        with _refusals():
            cursor = self._connection.cursor()
            cursor.execute(LISTEN)
            cursor.execute(WHO)
            return str(cursor.fetchone()[0])

    def close(self) -> None:
        """Close."""
        self._connection.close()


def _ssl_context(attempt: Attempt) -> ssl.SSLContext | bool | None:
    """Return what pg8000 calls sslmode."""
    if attempt.sslmode in ("disable", "prefer"):
        return {"disable": False, "prefer": None}[attempt.sslmode]
    context = ssl.create_default_context(cafile=attempt.sslrootcert or None)
    if attempt.sslmode == "require":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if attempt.sslcert:
        context.load_cert_chain(attempt.sslcert, attempt.sslkey)
    return context


@contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except pg8000.dbapi.DatabaseError as error:
        said = error.args[0]
        if not isinstance(said, dict):
            raise
        raise Refused(said["C"]) from None


if __name__ == "__main__":
    answer(Pg8000, "channel_binding", "require_auth", "sslnegotiation")
