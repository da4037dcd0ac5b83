"""Users, their secrets, and servers that ask for them."""

from __future__ import annotations

import os
import pwd
import ssl
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from psycopg2.extensions import quote_ident
from support.certificates import authority, certificate
from support.clients import eventually
from support.configuration import config_for
from support.postgres import PostgresServer
from support.process import TwistnotifyProcess
from support.raw import RawClient
from support.secrets import PASSWORDS

from twistnotify.auth.password import prepared
from twistnotify.auth.scram_client import ClientFirst
from twistnotify.auth.scram_keys import MECHANISM, client_key, salted_password, server_key
from twistnotify.wire.authentication import (
    AuthenticationOk,
    AuthenticationSASL,
    AuthenticationSASLContinue,
    AuthenticationSASLFinal,
    SASLInitialResponse,
    SASLResponse,
)
from twistnotify.wire.startup import SSLRequest

SYSTEM_USER = pwd.getpwuid(os.geteuid()).pw_name
NOBODY = "tn_nobody"
"""Who does not exist."""
FIXED_NONCE = "fyko+d2lbbFgONRv9qkxdawL"


@dataclass(frozen=True, slots=True)
class Role:
    """A role of PostgreSQL; `secret` is how its password is kept, `attributes` what CREATE ROLE says besides."""

    name: str
    password: str
    secret: str = "scram-sha-256"
    attributes: str = ""


SCRAM = Role("tn_scram", PASSWORDS[0])
STORED = Role("tn_stored", PASSWORDS[1])
MD5 = Role("tn_md5", PASSWORDS[2], secret="md5")
EXPIRED = Role("tn_expired", PASSWORDS[3], attributes="VALID UNTIL '2001-01-01'")
ASKED = Role("tn_asked", PASSWORDS[4])
ASKER = Role("tn_asker", PASSWORDS[5], attributes="SUPERUSER")
ROLES = (SCRAM, STORED, MD5, EXPIRED, ASKED, ASKER)

OPEN = "local all all trust\nhost all postgres 127.0.0.1/32 trust\n"
GUARDED = f"{OPEN}host all {MD5.name} 127.0.0.1/32 md5\nhost all all 127.0.0.1/32 scram-sha-256\n"
"""A pg_hba.conf of PostgreSQL itself: tests and the LISTEN connection are let in, all others have to prove it."""


@contextmanager
def guarded(postgres: PostgresServer, hba: str = GUARDED) -> Iterator[dict[str, str]]:
    """Have `ROLES`, and another pg_hba.conf, for a while; yield what PostgreSQL keeps of the roles' passwords."""
    file = postgres.folder / "data" / "pg_hba.conf"
    before = file.read_text()
    try:
        _create_roles(postgres)
        file.write_text(hba)
        _reload(postgres)
        yield dict(postgres.fetch("SELECT rolname, rolpassword FROM pg_authid WHERE rolpassword IS NOT NULL"))
    finally:
        file.write_text(before)
        if postgres.running:
            _reload(postgres)
            _drop_roles(postgres)


def _create_roles(postgres: PostgresServer) -> None:
    _drop_roles(postgres)
    with closing(postgres.connect()) as connection, connection.cursor() as cursor:
        for role in ROLES:
            cursor.execute("SELECT set_config('password_encryption', %s, false)", (role.secret,))
            name = quote_ident(role.name, connection)
            cursor.execute(f"CREATE ROLE {name} LOGIN {role.attributes} PASSWORD %s", (role.password,))


def _drop_roles(postgres: PostgresServer) -> None:
    postgres.fetch(f"DROP ROLE IF EXISTS {', '.join(role.name for role in ROLES)}")


def _reload(postgres: PostgresServer) -> None:
    """Have pg_hba.conf read again, and wait until new connections are judged by it."""
    ((before,),) = postgres.fetch("SELECT pg_conf_load_time()")
    postgres.fetch("SELECT pg_reload_conf()")
    eventually(lambda: postgres.fetch("SELECT pg_conf_load_time()"), lambda rows: rows != [(before,)])


def write_userlist(folder: Path, users: Mapping[str, str]) -> Path:
    """Write an auth_file; return its path."""
    path = folder / "userlist.txt"
    lines = [f'"{name}" "{secret}"\n' for name, secret in users.items()]
    path.write_text("".join(lines), encoding="utf-8")
    path.chmod(0o600)
    return path


def usual_users(secrets: Mapping[str, str]) -> dict[str, str]:
    """Return an auth_file's users: with password (`SCRAM`, `ASKER`), and with secret (`STORED`, `MD5`)."""
    plain = {role.name: role.password for role in (SCRAM, ASKER)}
    return plain | {role.name: secrets[role.name] for role in (STORED, MD5)}


def write_certificates(folder: Path) -> None:
    """Write NAME.crt and NAME.key of authorities, servers and users.

    `ca` has signed `server` and `renewed`, and the users' (`SCRAM.name`, `late`, which has expired and names the same
    user); `other` is an authority that nobody trusts, and has signed `stranger`, which names that user too.
    """
    ca, other = authority("tn root"), authority("another root")
    made = {"ca": ca, "other": other, "stranger": certificate(other, SCRAM.name)}
    for name in ("server", "renewed"):
        made[name] = certificate(ca, "localhost", ["localhost", "127.0.0.1"])
    made[SCRAM.name] = certificate(ca, SCRAM.name)
    made["late"] = certificate(ca, SCRAM.name, expired=True)
    for name, each in made.items():
        each.write(folder, name)


def tls_settings(sslmode: str = "allow", name: str = "server") -> dict[str, str]:
    """Return the settings of TLS with the certificates of `write_certificates`."""
    return {
        "client_tls_sslmode": sslmode,
        "client_tls_key_file": f"{name}.key",
        "client_tls_cert_file": f"{name}.crt",
        "client_tls_ca_file": "ca.crt",
    }


@contextmanager
def running(
    postgres: PostgresServer, folder: Path, databases: Mapping[str, str] | None = None, more: str = "", **settings: Any
) -> Iterator[TwistnotifyProcess]:
    """Run a server whose files are in `folder`; `more` are further sections of its configuration."""
    process = TwistnotifyProcess(config_for(postgres, 1, databases, **settings) + more, folder)
    process.start()
    try:
        process.wait_until_up()
        yield process
    except BaseException:
        process.kill()
        raise
    process.stop()


def own_login(postgres: PostgresServer) -> dict[str, str]:
    """Return [databases] with a line that relays as the client's own user."""
    return {"postgres": f"host=127.0.0.1 port={postgres.port} dbname=postgres shards=postgres"}


def trusting(folder: Path, *certificate: str) -> ssl.SSLContext:
    """Return a client's context that trusts `ca`, whatever the server's name, and may show a certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(folder / "ca.crt")
    context.check_hostname = False
    for name in certificate:
        context.load_cert_chain(folder / f"{name}.crt", folder / f"{name}.key")
    return context


def encrypt(client: RawClient, context: ssl.SSLContext) -> None:
    """Ask for TLS, and begin it."""
    client.send(SSLRequest().encode())
    assert client.socket.recv(1) == b"S"
    client.socket = context.wrap_socket(client.socket, server_hostname="localhost")


def log_in_by_scram(client: RawClient, user: str, password: str, database: str = "postgres", **parameters: str) -> None:
    """Log in with a password; raises AssertionError, which says what, where the server does anything else."""
    client.send_startup(database, user=user, **parameters)
    assert MECHANISM in _expected(client, AuthenticationSASL).mechanisms
    first = ClientFirst(FIXED_NONCE)
    client.send(SASLInitialResponse(MECHANISM.encode(), first.message))
    challenge = first.read(_expected(client, AuthenticationSASLContinue).data)
    salted = salted_password(prepared(password), challenge.salt, challenge.iterations)
    final = first.answer(challenge, client_key(salted), server_key(salted))
    client.send(SASLResponse(final.message))
    final.verify(_expected(client, AuthenticationSASLFinal).data)
    _expected(client, AuthenticationOk)
    client.until_ready()


def _expected(client: RawClient, kind: type[Any]) -> Any:
    message = client.read()
    assert isinstance(message, kind), message
    return message
