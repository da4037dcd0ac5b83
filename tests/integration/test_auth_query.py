"""Users are looked up in a real PostgreSQL, whatever somebody has laid in the way of the query."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator

import pytest
import pytest_twisted
from support.postgres import PostgresServer
from twisted.internet import reactor
from twisted.internet.defer import gatherResults, succeed
from twisted.internet.task import deferLater

from twistnotify.config.model import Settings
from twistnotify.relay.lookup import LookupFailed, UserLookup, auth_session
from twistnotify.relay.lookup_session import APPLICATION_NAME
from twistnotify.relay.upstream import Relay

TIMEOUT = 60.0
QUERY = (
    "SELECT usename, passwd FROM pg_catalog.pg_shadow"
    " WHERE usename = $1 AND (valuntil IS NULL OR valuntil > pg_catalog.now())"
)
NAIVE = "SELECT usename, passwd FROM pg_shadow WHERE usename = $1 AND (valuntil IS NULL OR valuntil > now())"
"""A query that leaves it to the search_path what is meant."""
AUTH, PASSWORD = "auth", "pass of auth"
PLANTED = "planted"

OTHER_NAMES = ["it's", 'quo"ted', "back\\slash", "bücher 🐘", "x' OR '1' = '1", "Upper", "$1", "x" * 63]
ROLES = [
    "CREATE ROLE scram LOGIN PASSWORD 'scram'",
    "CREATE ROLE expired LOGIN PASSWORD 'expired' VALID UNTIL '2001-02-03'",
    "CREATE ROLE later LOGIN PASSWORD 'later' VALID UNTIL 'tomorrow'",
    "CREATE ROLE without LOGIN",
    f"CREATE ROLE {AUTH} LOGIN SUPERUSER PASSWORD '{PASSWORD}'",
]
TRAPS = [
    "CREATE SCHEMA evil",
    f"CREATE TABLE evil.pg_shadow AS SELECT 'scram'::name AS usename, '{PLANTED}'::text AS passwd,"
    " 'infinity'::timestamptz AS valuntil",
    "CREATE FUNCTION evil.now() RETURNS timestamptz LANGUAGE sql AS $$SELECT '-infinity'::timestamptz$$",
    "CREATE FUNCTION evil.yes(name, text) RETURNS boolean LANGUAGE sql AS $$SELECT true$$",
    "CREATE OPERATOR evil.= (LEFTARG = name, RIGHTARG = text, FUNCTION = evil.yes)",
    "CREATE FUNCTION evil.yes(timestamptz, timestamptz) RETURNS boolean LANGUAGE sql AS $$SELECT true$$",
    "CREATE OPERATOR evil.> (LEFTARG = timestamptz, RIGHTARG = timestamptz, FUNCTION = evil.yes)",
    f"ALTER ROLE {AUTH} SET search_path = evil, pg_catalog",
]


def quoted(name: str) -> str:
    doubled = name.replace('"', '""')
    return f'"{doubled}"'


@pytest.fixture
def roles(postgres: PostgresServer) -> Iterator[PostgresServer]:
    """A server with users of all kinds."""
    other = [f"CREATE ROLE {quoted(name)} LOGIN PASSWORD 'other'" for name in OTHER_NAMES]
    names = ["scram", "expired", "later", "without", AUTH, *OTHER_NAMES]
    dropping = [f"DROP ROLE IF EXISTS {quoted(name)}" for name in names]
    run(postgres, "DROP SCHEMA IF EXISTS evil CASCADE", *dropping)
    run(postgres, "SET password_encryption = 'scram-sha-256'", *ROLES, *other)
    yield postgres
    run(postgres, "DROP SCHEMA IF EXISTS evil CASCADE", *dropping)


def run(postgres: PostgresServer, *statements: str) -> None:
    with postgres.connect().cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def stored(postgres: PostgresServer, user: str) -> str:
    """Return the secret that there is."""
    ((secret,),) = postgres.fetch("SELECT rolpassword FROM pg_authid WHERE rolname = %s", user)
    return str(secret)


def looking(postgres: PostgresServer, query: str = QUERY, cache_ttl: float = 0.0) -> UserLookup:
    line = {
        "host": "127.0.0.1",
        "port": str(postgres.port),
        "dbname": "postgres",
        "user": AUTH,
        "password": PASSWORD,
    }
    relay = Relay(reactor, "postgres", lambda: succeed(dict(line)), Settings(), os.urandom)
    return UserLookup(reactor, lambda: auth_session(relay, AUTH), query, cache_ttl, 0.0)


def backends(postgres: PostgresServer) -> list[int]:
    rows = postgres.fetch("SELECT pid FROM pg_stat_activity WHERE application_name = %s", APPLICATION_NAME)
    return [pid for (pid,) in rows]


async def until(true: Callable[[], bool]) -> None:
    """Wait until something is so; the reactor goes on meanwhile."""
    deadline = time.monotonic() + TIMEOUT
    while not true():
        assert time.monotonic() < deadline, "too late"
        await deferLater(reactor, 0.01, bool)


@pytest_twisted.ensureDeferred
async def test_the_secret_of_a_user_is_found_and_of_others_there_is_none(roles: PostgresServer) -> None:
    lookup = looking(roles)
    for user in ("scram", "later"):
        secret = await lookup.look_up(user)
        assert secret == stored(roles, user)
        assert secret.startswith("SCRAM-SHA-256$4096:")
    for user in ("expired", "without", "nobody", "SCRAM", ""):
        assert await lookup.look_up(user) is None
    assert len(backends(roles)) == 1
    lookup.close()
    await until(lambda: backends(roles) == [])


@pytest_twisted.ensureDeferred
async def test_a_name_is_nothing_but_a_name(roles: PostgresServer) -> None:
    lookup = looking(roles)
    for user in OTHER_NAMES:
        assert await lookup.look_up(user) == stored(roles, user)
    # PostgreSQL would cut it.
    assert await lookup.look_up("x" * 64) is None
    lookup.close()
    await until(lambda: backends(roles) == [])


@pytest.mark.parametrize("query", [QUERY, NAIVE])
@pytest_twisted.ensureDeferred
async def test_what_somebody_has_put_on_the_search_path_is_not_used(roles: PostgresServer, query: str) -> None:
    run(roles, *TRAPS)
    # They would catch who does not look out.
    with roles.connect().cursor() as cursor:
        cursor.execute("SET search_path = evil, pg_catalog")
        cursor.execute("SELECT passwd FROM pg_shadow WHERE usename = 'nobody'::text AND valuntil > now()")
        assert cursor.fetchall() == [(PLANTED,)]
    lookup = looking(roles, query)

    assert await lookup.look_up("scram") == stored(roles, "scram")
    assert await lookup.look_up("later") == stored(roles, "later")
    for user in ("expired", "nobody"):
        assert await lookup.look_up(user) is None
    lookup.close()
    await until(lambda: backends(roles) == [])


@pytest_twisted.ensureDeferred
async def test_a_connection_that_is_killed_is_replaced(roles: PostgresServer) -> None:
    lookup = looking(roles)
    for _ in range(3):
        # What is asked while the server is about to close is asked once more.
        assert await lookup.look_up("scram") == stored(roles, "scram")
        (pid,) = backends(roles)
        roles.fetch("SELECT pg_terminate_backend(%s)", pid)
    assert await lookup.look_up("scram") == stored(roles, "scram")
    lookup.close()
    await until(lambda: backends(roles) == [])


@pytest_twisted.ensureDeferred
async def test_a_query_that_fails_is_told_and_the_connection_goes_on(roles: PostgresServer) -> None:
    lookup = looking(roles, "SELECT usename, passwd FROM pg_shadow WHERE usename = $1 AND passwd::int > 0")
    with pytest.raises(LookupFailed) as failure:
        await lookup.look_up("scram")
    assert str(failure.value) == "22P02"
    assert await lookup.look_up("nobody") is None
    assert len(backends(roles)) == 1
    lookup.close()
    for query, text in (
        ("SELECT", "fewer than two columns"),
        ("SELECT nothing FROM pg_shadow WHERE usename = $1", '42703: column "nothing" does not exist'),
        ("SELECT 1; SELECT $1", "42601: cannot insert multiple commands into a prepared statement"),
    ):
        lookup = looking(roles, query)
        with pytest.raises(LookupFailed, match=text):
            await lookup.look_up("scram")
        lookup.close()
    await until(lambda: backends(roles) == [])


@pytest_twisted.ensureDeferred
async def test_many_are_looked_up_at_once_on_one_connection(roles: PostgresServer) -> None:
    lookup = looking(roles, cache_ttl=60.0)
    users = [*OTHER_NAMES, "scram", "nobody", "later"] * 5
    secrets = await gatherResults([lookup.look_up(user) for user in users])

    assert secrets == [None if user == "nobody" else stored(roles, user) for user in users]
    assert len(backends(roles)) == 1
    lookup.close()
    await until(lambda: backends(roles) == [])
