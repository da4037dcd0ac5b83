"""Which drivers log in, and which options they do not have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from drivers.catalogue import DRIVERS, Command, Driver


@dataclass(frozen=True, slots=True)
class Login:
    """A driver's program that logs in.

    `lacks` are the options that the driver does not have at all (`name`) or with a value (`name=value`); `since` are
    those that only newer ones have, with the version that has brought them.
    """

    driver: Driver
    program: Command
    lacks: frozenset[str] = frozenset()
    since: Mapping[str, int] = field(default_factory=dict)

    def has(self, options: Mapping[str, str], version: str) -> bool:
        """Tell whether a version of the driver has all of these options."""
        major = int(version.partition(".")[0])
        lacks = self.lacks | {name for name, first in self.since.items() if major < first}
        return not any(name in lacks or f"{name}={value}" in lacks for name, value in options.items())


_DRIVERS = {driver.name: driver for driver in DRIVERS}


def _python(name: str, *lacks: str) -> Login:
    return Login(_DRIVERS[name], ("{made}/bin/python", f"logging_in_{name}.py"), frozenset(lacks))


LOGINS = (
    Login(_DRIVERS["psql"], ("{python}", "logging_in.py"), since={"require_auth": 16, "sslnegotiation": 17}),
    _python("psycopg2"),
    _python("psycopg3"),
    _python("asyncpg", "channel_binding", "require_auth"),
    _python("pg8000", "channel_binding", "require_auth", "sslnegotiation"),
    Login(
        _DRIVERS["pg"],
        ("node", "logging_in_pg.mjs"),
        frozenset({"channel_binding=require", "channel_binding=disable", "require_auth", "sslmode=prefer"}),
    ),
    Login(_DRIVERS["pgx"], ("{made}/logging_in",)),
    Login(_DRIVERS["pgjdbc"], ("java", "-cp", "{made}/classes:{made}/lib/*", "LoggingIn")),
)
"""In the order of `DRIVERS`."""
