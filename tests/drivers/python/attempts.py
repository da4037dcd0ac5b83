"""What the programs that log in share in Python: attempts come in, a line for each goes out.

An attempt is a line with the values of `Attempt`'s fields, in their order, with tabs between them; an empty one is not
given. The answer is one of

    ok USER TLS         logged in, LISTEN, and a statement was answered as USER; TLS is yes, no or ? (nobody can tell)
    SQLSTATE            the server has refused the log-in
    then SQLSTATE       it has refused what came after the log-in
    driver: REASON      the driver itself gave up
    absent              the driver does not have what the attempt is about
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Protocol

CHANNEL = "logging_in"
LISTEN = f"LISTEN {CHANNEL}"
WHO = "SELECT current_user"
LIMIT = 20
"""Seconds that a connection may take."""

SQLSTATES = {
    r"password authentication failed for user \".*\"": "28P01",
    r"no pg_hba\.conf entry for host .*": "28000",
    r"pg_hba\.conf rejects connection for host .*": "28000",
    r"connection requires a valid client certificate": "28000",
    r"certificate authentication failed for user \".*\"": "28000",
    r"role \".*\" does not exist": "28000",
    # PostgreSQL has no need for these.
    r"this server requires TLS": "28000",
    r"a password in clear text is asked for over TLS only": "28000",
}
"""What a server says when it refuses a log-in: libpq passes the words on, but not the SQLSTATE."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """How to log in."""

    host: str
    port: str
    user: str
    password: str
    dbname: str
    sslmode: str
    sslrootcert: str
    sslcert: str
    sslkey: str
    channel_binding: str
    require_auth: str
    sslnegotiation: str

    def given(self) -> dict[str, str]:
        """Return what is given, by libpq's names."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if value}


class Connection(Protocol):
    """A driver's connection that is logged in."""

    @property
    def tls(self) -> bool | None:
        """Tell whether it is encrypted; None if the driver does not say."""

    def user(self) -> str:
        """LISTEN, and return as whom the server answers."""

    def close(self) -> None:
        """Close it."""


class Refused(Exception):
    """The server has refused; the message is its SQLSTATE."""


def answer(log_in: Callable[[Attempt], Connection], *absent: str) -> None:
    """Answer the attempts on standard input; `absent` are the fields that the driver does not have."""
    for line in sys.stdin:
        attempt = Attempt(*line.rstrip("\n").split("\t"))
        lacking = any(getattr(attempt, name) for name in absent)
        print("absent" if lacking else _answer(log_in, attempt), flush=True)


def refusal(message: str) -> str | None:
    """Return the SQLSTATE of what libpq says about a connection; None if it is libpq's own word."""
    said = re.search(r"FATAL:  (.*)", message)
    if said is None:
        return None
    return next((code for words, code in SQLSTATES.items() if re.fullmatch(words, said[1])), f"FATAL {said[1]}")


def _answer(log_in: Callable[[Attempt], Connection], attempt: Attempt) -> str:
    before = ""
    try:
        connection = log_in(attempt)
        before = "then "
        try:
            return f"ok {connection.user()} {_word(connection.tls)}"
        finally:
            connection.close()
    except Refused as refused:
        return f"{before}{refused}"
    except Exception as error:
        return f"{before}driver: {type(error).__name__}: {' '.join(str(error).split())}"


def _word(tls: bool | None) -> str:
    return "?" if tls is None else "yes" if tls else "no"
