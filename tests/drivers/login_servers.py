"""The servers of the set-ups: a twistnotify each, all in front of one PostgreSQL, or databases of a PostgreSQL."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from drivers.login_setups import ASKER, HBA, SET_UPS, USERS, SetUp
from drivers.servers import VERSIONS
from psycopg2.extensions import quote_ident
from support.certificates import Certificate, authority, certificate
from support.configuration import config_for
from support.postgres import PostgresServer, bin_folder
from support.process import TwistnotifyProcess

SERVER_NAME = "localhost"
"""The only name of the servers in their certificates; clients go to 127.0.0.1 where it should not matter."""
OBSERVERS = ("local all postgres trust", "host all postgres 127.0.0.1/32 trust")
BEHIND = (
    "host postgres stored_md5,asked_md5 127.0.0.1/32 md5",
    "host postgres all 127.0.0.1/32 scram-sha-256",
)
"""What PostgreSQL asks twistnotify for: a digest of MD5 can only be used where MD5 is asked for."""


def make_certificates(folder: Path) -> None:
    """Write those of the servers, of the users, and of an authority that nobody knows: NAME.crt and NAME.key."""
    root, other = authority(), authority("another authority")
    made = {"root": root, "other": other, "stranger": certificate(other, "listed")}
    made |= {user: certificate(root, user) for user in ("listed", "stored")}
    made |= {f"server_{key}": _server(root, key) for key in {set_up.key for set_up in SET_UPS.values()}}
    for name, each in made.items():
        each.write(folder, name)


def _server(root: Certificate, key: str) -> Certificate:
    """Return a server's certificate; what Ed25519 has signed has no digest that a channel could be bound to."""
    issuer = authority(kind=key) if key == "ed25519" else root
    return certificate(issuer, SERVER_NAME, [SERVER_NAME], kind=key)


def version_with_tls() -> int:
    """Return the newest PostgreSQL that has TLS, which the embedded one has not; SystemExit if there is none."""
    for version in VERSIONS:
        folder = bin_folder(version)
        if folder is not None and "openssl" in _said(folder / "pg_config", "--configure"):
            return version
    raise SystemExit("no PostgreSQL with TLS is installed")


def _said(*command: str | Path) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def create_users(postgres: PostgresServer) -> None:
    """Create the roles, with the passwords and the kinds of secret that they have."""
    with closing(postgres.connect()) as connection, connection.cursor() as cursor:
        for name, user in USERS.items():
            cursor.execute("SELECT set_config('password_encryption', %s, false)", (user.secret,))
            role = quote_ident(name, connection)
            cursor.execute(f"CREATE ROLE {role} LOGIN {user.attributes} PASSWORD %s", (user.password,))


def make_direct(postgres: PostgresServer, certificates: Path) -> dict[str, int]:
    """Make PostgreSQL itself the server of every set-up; return their ports."""
    for name in SET_UPS:
        postgres.create_database(name)
    rules = [f'{kind} "{each.name}" {user} 127.0.0.1/32 {method}'
             for each in SET_UPS.values() for kind, user, method in each.rules]  # fmt: skip
    (postgres.folder / "data/pg_hba.conf").write_text("\n".join([*OBSERVERS, *rules, ""]))
    for name in ("server_ec.crt", "server_ec.key", "root.crt"):
        copy = postgres.folder / name
        shutil.copy(certificates / name, copy)
        _give_away(copy, postgres)
    files = {"ssl_cert_file": "server_ec.crt", "ssl_key_file": "server_ec.key", "ssl_ca_file": "root.crt"}
    postgres.restart_with(ssl="on", **{name: str(postgres.folder / file) for name, file in files.items()})
    return dict.fromkeys(SET_UPS, postgres.port)


def _give_away(path: Path, postgres: PostgresServer) -> None:
    """Make a file, which only its owner may read, that of PostgreSQL's user."""
    owner = (postgres.folder / "data").stat()
    os.chown(path, owner.st_uid, owner.st_gid)


@contextmanager
def set_ups_in_front(postgres: PostgresServer, certificates: Path, folder: Path) -> Iterator[dict[str, int]]:
    """Start a twistnotify for every set-up; yield their ports.

    AssertionError if one has logged a programming error, or a secret.
    """
    (postgres.folder / "data/pg_hba.conf").write_text("\n".join([*OBSERVERS, *BEHIND, ""]))
    postgres.restart()
    _write_files(postgres, folder)
    with ExitStack() as stack:
        servers = {name: _server_of(set_up, postgres, certificates, folder) for name, set_up in SET_UPS.items()}
        for server in servers.values():
            stack.callback(server.kill)
        with ThreadPoolExecutor(len(servers)) as pool:
            list(pool.map(_start, servers.values()))
            yield {name: server.port for name, server in servers.items()}
            list(pool.map(TwistnotifyProcess.stop, servers.values()))
    for server in servers.values():
        _keeps_secrets(server.log(), postgres)


def _keeps_secrets(log: str, postgres: PostgresServer) -> None:
    told = [secret for secret in _secrets(postgres).values() if secret in log]
    told += [user.password for user in USERS.values() if user.password in log]
    assert not told, f"twistnotify has logged secrets: {told}"


def _start(server: TwistnotifyProcess) -> None:
    server.start()
    server.wait_until_up()


def _server_of(set_up: SetUp, postgres: PostgresServer, certificates: Path, folder: Path) -> TwistnotifyProcess:
    settings = {
        "auth_file": folder / "userlist.txt",
        "auth_user": ASKER,
        # Who fails again and again is still to be answered.
        "auth_fail_limit": 0,
        **set_up.settings,
    }
    if set_up.has_tls:
        settings["client_tls_cert_file"] = certificates / f"server_{set_up.key}.crt"
        settings["client_tls_key_file"] = certificates / f"server_{set_up.key}.key"
        settings["client_tls_ca_file"] = certificates / "root.crt"
    if settings["auth_type"] == "hba":
        settings["auth_hba_file"] = folder / "hba.conf"
    relay = f"shards=postgres host=127.0.0.1 port={postgres.port} dbname=postgres"
    own = folder / set_up.name
    own.mkdir()
    return TwistnotifyProcess(config_for(postgres, databases={set_up.name: relay}, **settings), own)


def _secrets(postgres: PostgresServer) -> dict[str, str]:
    """Return what PostgreSQL keeps of the users' passwords."""
    return dict(postgres.fetch("SELECT rolname, rolpassword FROM pg_authid WHERE rolpassword IS NOT NULL"))


def _write_files(postgres: PostgresServer, folder: Path) -> None:
    secrets = _secrets(postgres)
    known = {name: {"password": user.password, "secret": secrets[name], "": None}[user.listed]
             for name, user in USERS.items()}  # fmt: skip
    users = folder / "userlist.txt"
    users.write_text("".join(f'"{name}" "{secret}"\n' for name, secret in known.items() if secret), encoding="utf-8")
    users.chmod(0o600)
    lines = [f"{kind} all {user} 127.0.0.1/32 {method}\n" for kind, user, method in HBA]
    (folder / "hba.conf").write_text("".join(lines))
