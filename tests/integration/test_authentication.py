"""Real drivers log in by each auth_type, and the relay logs in as they have.

That the relay does not believe a server that does not know the password is tests/relay/test_relay_login.py's.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import pg8000.native
import psycopg
import psycopg2
import pytest
from support.clients import hear, listen, run
from support.configuration import config_for
from support.postgres import PostgresServer
from support.process import TwistnotifyProcess
from support.security import (
    ASKED,
    ASKER,
    EXPIRED,
    MD5,
    NOBODY,
    SCRAM,
    STORED,
    SYSTEM_USER,
    Role,
    guarded,
    own_login,
    running,
    tls_settings,
    trusting,
    usual_users,
    write_certificates,
    write_userlist,
)
from support.versions import one_version

from twistnotify.auth.secrets import format_secret, scram_secret

IN = "in"
TALK = "LISTEN logged_in; NOTIFY logged_in, 'x'; UNLISTEN *"
DEADLINE = 60
CERTIFICATE_FILES = (("cert", "crt"), ("key", "key"))
NEVER_BLOCKED = {"auth_fail_limit": 0}
USERS = {"auth_file": "userlist.txt", **NEVER_BLOCKED}
ASKING = {"auth_user": ASKER.name, "auth_query_negative_ttl": 0}
SETTINGS: dict[str, dict[str, Any]] = {
    "trust": {"auth_type": "trust"},
    "plain": {"auth_type": "plain", **USERS, **tls_settings()},
    "md5": {"auth_type": "md5", **USERS},
    "scram": {"auth_type": "scram-sha-256", **USERS, **ASKING},
    "hba": {"auth_type": "hba", "auth_hba_file": "hba.conf", **USERS, **tls_settings()},
    "cert": {"auth_type": "cert", **USERS, **tls_settings("verify-ca")},
    "peer": {"auth_type": "peer", **NEVER_BLOCKED},
}
HBA = f"""\
local all all peer
host all {NOBODY} 127.0.0.1/32 reject
hostssl all {SCRAM.name} 127.0.0.1/32 cert
hostssl all {STORED.name} 127.0.0.1/32 password
host all {MD5.name} 127.0.0.1/32 md5
host nowhere all all trust
host all {ASKER.name} 10.0.0.0/8 trust
host all {SCRAM.name},{STORED.name} 127.0.0.1/32 scram-sha-256
"""
ENCRYPTED = ("plain", "hba", "cert")

Servers = Callable[[str], TwistnotifyProcess]
Attempt = Callable[["LogIn"], str]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the certificates are, and what else servers need."""
    folder = tmp_path_factory.mktemp("security")
    write_certificates(folder)
    (folder / "hba.conf").write_text(HBA)
    return folder


@pytest.fixture(scope="module")
def secrets(postgres_of_session: PostgresServer, folder: Path) -> Iterator[dict[str, str]]:
    """What PostgreSQL keeps of passwords; for as long, it asks for them."""
    with guarded(postgres_of_session) as secrets:
        write_userlist(folder, usual_users(secrets))
        yield secrets


@pytest.fixture(scope="module")
def servers(postgres_of_session: PostgresServer, folder: Path, secrets: dict[str, str]) -> Iterator[Servers]:
    """Servers by the names of `SETTINGS`, started when they are needed. Their relay logs in as the client."""
    started: dict[str, TwistnotifyProcess] = {}
    with ExitStack() as stack:

        def server(name: str) -> TwistnotifyProcess:
            if name not in started:
                settings = {"unix_socket_dir": folder, **SETTINGS[name]}
                process = running(postgres_of_session, folder, own_login(postgres_of_session), **settings)
                started[name] = stack.enter_context(process)
            return started[name]

        yield server


@dataclass(frozen=True, slots=True)
class LogIn:
    """Who logs in where; `certificate` is what is shown over TLS, if anything."""

    port: int
    user: str
    password: str
    folder: Path
    tls: bool = False
    certificate: str = ""
    host: str = "127.0.0.1"

    @property
    def context(self) -> ssl.SSLContext | None:
        """Return what drivers without libpq want to have for TLS."""
        return trusting(self.folder, *filter(None, [self.certificate])) if self.tls else None


def by_psycopg2(what: LogIn) -> str:
    """Log in and talk; return `IN`, or why not."""
    return _by_libpq(psycopg2, what)


def by_psycopg3(what: LogIn) -> str:
    """Do the same with a newer libpq."""
    return _by_libpq(psycopg, what)


def _by_libpq(driver: Any, what: LogIn) -> str:
    place: dict[str, Any] = {"host": what.host, "port": what.port, "dbname": "postgres", "user": what.user}
    place |= {"password": what.password, "sslmode": "require" if what.tls else "disable"}
    if what.certificate:
        place |= {f"ssl{kind}": f"{what.folder}/{what.certificate}.{end}" for kind, end in CERTIFICATE_FILES}
    try:
        connection = driver.connect(**place)
    except driver.OperationalError as error:
        return str(error)
    connection.autocommit = True
    run(connection, TALK)
    connection.close()
    return IN


def by_asyncpg(what: LogIn) -> str:
    """Do the same with a protocol of its own."""

    async def main() -> str:
        place = {"host": what.host, "port": what.port, "database": "postgres", "user": what.user}
        try:
            async with asyncio.timeout(DEADLINE):
                connection = await asyncpg.connect(**place, password=what.password, ssl=what.context or False)
                await connection.execute(TALK)
                await connection.close()
        except asyncpg.PostgresError as error:
            return str(error)
        return IN

    return asyncio.run(main())


def _behind(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__context__


def by_pg8000(what: LogIn) -> str:
    """Do the same in pure Python."""
    place: dict[str, Any] = {"host": what.host, "port": what.port}
    if what.host.startswith("/"):
        place = {"unix_sock": f"{what.host}/.s.PGSQL.{what.port}"}
    try:
        connection = pg8000.native.Connection(
            what.user,
            database="postgres",
            password=what.password,
            ssl_context=what.context or False,
            timeout=DEADLINE,
            **place,
        )
    except pg8000.exceptions.Error as error:
        # It says goodbye to a server that has closed already, and tells of that in the place of why.
        return "; ".join(map(str, _behind(error)))
    connection.run(TALK)
    connection.close()
    return IN


DRIVERS: dict[str, Attempt] = {
    "psycopg2": by_psycopg2,
    "psycopg3": by_psycopg3,
    "asyncpg": by_asyncpg,
    "pg8000": by_pg8000,
}


@pytest.fixture(params=DRIVERS)
def driver(request: pytest.FixtureRequest) -> Attempt:
    """Each of the drivers."""
    return DRIVERS[request.param]


def wrong(user: str) -> str:
    return f'password authentication failed for user "{user}"'


# Method, user, password, the certificate that is shown, and what comes of it.
LOG_INS = [
    ("trust", NOBODY, "", "", IN),
    ("plain", SCRAM.name, SCRAM.password, "", IN),
    ("plain", STORED.name, STORED.password, "", IN),
    ("plain", MD5.name, MD5.password, "", IN),
    ("plain", SCRAM.name, STORED.password, "", wrong(SCRAM.name)),
    ("plain", STORED.name, SCRAM.password, "", wrong(STORED.name)),
    ("plain", MD5.name, SCRAM.password, "", wrong(MD5.name)),
    ("plain", NOBODY, SCRAM.password, "", wrong(NOBODY)),
    ("md5", MD5.name, MD5.password, "", IN),
    ("md5", SCRAM.name, SCRAM.password, "", IN),
    # As in PostgreSQL, who has a SCRAM secret is asked for SCRAM.
    ("md5", STORED.name, STORED.password, "", IN),
    ("md5", MD5.name, SCRAM.password, "", wrong(MD5.name)),
    ("md5", NOBODY, SCRAM.password, "", wrong(NOBODY)),
    ("scram", SCRAM.name, SCRAM.password, "", IN),
    ("scram", STORED.name, STORED.password, "", IN),
    ("scram", ASKED.name, ASKED.password, "", IN),
    ("scram", SCRAM.name, STORED.password, "", wrong(SCRAM.name)),
    ("scram", STORED.name, SCRAM.password, "", wrong(STORED.name)),
    ("scram", ASKED.name, SCRAM.password, "", wrong(ASKED.name)),
    ("scram", MD5.name, MD5.password, "", wrong(MD5.name)),
    ("scram", NOBODY, SCRAM.password, "", wrong(NOBODY)),
    ("scram", EXPIRED.name, EXPIRED.password, "", wrong(EXPIRED.name)),
    ("cert", SCRAM.name, "", SCRAM.name, IN),
    ("cert", STORED.name, STORED.password, SCRAM.name, f'certificate authentication failed for user "{STORED.name}"'),
    ("hba", MD5.name, MD5.password, "", IN),
    ("hba", MD5.name, STORED.password, "", wrong(MD5.name)),
    ("hba", SCRAM.name, "", SCRAM.name, IN),
    ("hba", SCRAM.name, SCRAM.password, "", f'certificate authentication failed for user "{SCRAM.name}"'),
    ("hba", STORED.name, STORED.password, "", IN),
    ("hba", NOBODY, "", "", f'pg_hba.conf rejects connection for host "127.0.0.1", user "{NOBODY}"'),
    ("hba", ASKER.name, ASKER.password, "", f'no pg_hba.conf entry for host "127.0.0.1", user "{ASKER.name}"'),
    ("peer", SYSTEM_USER, "", "", f'Peer authentication failed for user "{SYSTEM_USER}"'),
]


@one_version
@pytest.mark.parametrize(("method", "user", "password", "certificate", "outcome"), LOG_INS)
def test_a_driver_is_let_in_or_told_why_not(
    servers: Servers,
    folder: Path,
    driver: Attempt,
    method: str,
    user: str,
    password: str,
    certificate: str,
    outcome: str,
) -> None:
    what = LogIn(servers(method).port, user, password, folder, method in ENCRYPTED, certificate)
    got = driver(what)
    assert got == IN if outcome == IN else outcome in got


@one_version
@pytest.mark.parametrize(
    ("method", "password", "outcome"),
    [
        ("plain", STORED.password, "a password in clear text is asked for over TLS only"),
        ("hba", STORED.password, IN),
        ("hba", SCRAM.password, wrong(STORED.name)),
    ],
)
def test_without_tls_another_method_is_needed(
    servers: Servers, folder: Path, driver: Attempt, method: str, password: str, outcome: str
) -> None:
    """In `HBA` there is a line of its own for it."""
    got = driver(LogIn(servers(method).port, STORED.name, password, folder))
    assert got == IN if outcome == IN else outcome in got


@one_version
@pytest.mark.parametrize("method", ["peer", "hba"])
def test_the_unix_socket_tells_who_its_peer_is(servers: Servers, folder: Path, driver: Attempt, method: str) -> None:
    port = servers(method).port
    assert driver(LogIn(port, SYSTEM_USER, "", folder, host=str(folder))) == IN
    refusal = f'Peer authentication failed for user "{NOBODY}"'
    assert refusal in driver(LogIn(port, NOBODY, "", folder, host=str(folder)))


@one_version
def test_who_fails_too_often_is_not_asked_any_more(
    postgres: PostgresServer, folder: Path, secrets: dict[str, str]
) -> None:
    with running(postgres, folder, auth_type="md5", auth_file="userlist.txt", auth_fail_limit=3) as server:

        def attempt(user: str, password: str) -> str:
            return by_psycopg2(LogIn(server.port, user, password, folder))

        for _ in range(3):
            assert wrong(MD5.name) in attempt(MD5.name, "wrong")
        assert "too many failed log-ins" in attempt(MD5.name, MD5.password)
        assert attempt(SCRAM.name, SCRAM.password) == IN


@one_version
def test_a_reload_brings_other_users_and_methods(
    postgres: PostgresServer, folder: Path, secrets: dict[str, str], tmp_path: Path
) -> None:
    write_userlist(tmp_path, {SCRAM.name: SCRAM.password})
    with running(postgres, tmp_path, auth_type="scram-sha-256", auth_file="userlist.txt") as server:

        def attempt(password: str) -> str:
            return by_psycopg2(LogIn(server.port, SCRAM.name, password, folder))

        logged_in = server.connect(user=SCRAM.name, password=SCRAM.password)
        write_userlist(tmp_path, {SCRAM.name: "changed"})
        server.reload()
        assert wrong(SCRAM.name) in attempt(SCRAM.password)
        assert attempt("changed") == IN
        (tmp_path / "userlist.txt").write_text("not a userlist")
        server.reload(says="the configuration was not reloaded")
        assert attempt("changed") == IN
        server.reload(config_for(postgres, auth_type="trust"))
        assert attempt("anything") == IN
        run(logged_in, TALK)


# The relay logs in as the client's own user, with what its log-in has taught. From here on with every PostgreSQL.


def who_is_it(server: TwistnotifyProcess, user: str, password: str, **keywords: str) -> str:
    """Return as whom PostgreSQL knows a client."""
    ((name,),) = run(server.connect(user=user, password=password, **keywords), "SELECT current_user")
    return str(name)


@pytest.mark.parametrize(
    ("method", "role"),
    [
        pytest.param("scram", SCRAM, id="the password is in auth_file"),
        pytest.param("scram", STORED, id="SCRAM keys are learned"),
        pytest.param("scram", ASKED, id="SCRAM keys are learned after auth_query"),
        pytest.param("plain", STORED, id="the password was told"),
        pytest.param("md5", MD5, id="MD5 digest"),
        pytest.param("md5", STORED, id="SCRAM keys are learned where MD5 was meant"),
        pytest.param("cert", SCRAM, id="a certificate, and the password is in auth_file"),
    ],
)
def test_the_relay_logs_in_as_the_client(servers: Servers, folder: Path, method: str, role: Role) -> None:
    shown = {f"ssl{kind}": f"{folder}/{role.name}.{end}" for kind, end in CERTIFICATE_FILES}
    encrypted = {"sslmode": "require", **(shown if method == "cert" else {})} if method in ENCRYPTED else {}
    assert who_is_it(servers(method), role.name, role.password, **encrypted) == role.name


def test_a_password_that_nobody_knows_is_told_to_the_statement_that_needs_it(servers: Servers) -> None:
    client = servers("trust").connect(user=STORED.name)
    for _ in range(2):
        with pytest.raises(psycopg2.Error) as caught:
            run(client, "SELECT current_user")
        assert caught.value.pgcode == "28P01"
        assert "no password supplied" in str(caught.value)
        run(client, TALK)


def test_keys_that_do_not_fit_are_told_to_the_statement_that_needs_them(
    postgres: PostgresServer, secrets: dict[str, str], tmp_path: Path
) -> None:
    """The password is the same, but PostgreSQL has another salt for it."""
    secret = format_secret(scram_secret(STORED.password, b"another salt".ljust(16), 4096))
    write_userlist(tmp_path, {STORED.name: secret})
    settings = {"auth_type": "scram-sha-256", "auth_file": "userlist.txt"}
    with running(postgres, tmp_path, own_login(postgres), **settings) as server:
        client = server.connect(user=STORED.name, password=STORED.password)
        listen(client, "still here")
        with pytest.raises(psycopg2.Error) as caught:
            run(client, "SELECT current_user")
        assert (caught.value.pgcode, caught.value.diag.severity) == ("28P01", "ERROR")
        assert "the SCRAM secrets of the user differ" in str(caught.value)
        run(client, "NOTIFY \"still here\", 'x'")
        assert hear(client) == [("still here", "x")]


def test_a_line_with_its_own_user_is_that_user_for_everyone(
    postgres: PostgresServer, secrets: dict[str, str], tmp_path: Path
) -> None:
    place = f"host=127.0.0.1 port={postgres.port} dbname=postgres shards=postgres"
    line = f"{place} user={ASKED.name} password='{ASKED.password}'"
    write_userlist(tmp_path, {STORED.name: secrets[STORED.name], "only here": "and unknown to PostgreSQL"})
    settings = {"auth_type": "scram-sha-256", "auth_file": "userlist.txt"}
    with running(postgres, tmp_path, {"postgres": line}, **settings) as server:
        assert who_is_it(server, STORED.name, STORED.password) == ASKED.name
        assert who_is_it(server, "only here", "and unknown to PostgreSQL") == ASKED.name
