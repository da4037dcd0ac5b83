"""Passwords, what is made of them, and keys are in no line of the log, whatever goes wrong, and in no repr."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from support.clients import hear, listen, run
from support.configuration import config_for
from support.postgres import PostgresServer
from support.process import TwistnotifyProcess
from support.raw import RawClient
from support.security import (
    ASKED,
    ASKER,
    EXPIRED,
    FIXED_NONCE,
    MD5,
    NOBODY,
    ROLES,
    SCRAM,
    STORED,
    encrypt,
    guarded,
    log_in_by_scram,
    running,
    tls_settings,
    trusting,
    usual_users,
    write_certificates,
    write_userlist,
)
from support.versions import one_version

from twistnotify.auth.secrets import format_secret, scram_secret
from twistnotify.config.loader import load
from twistnotify.server.security import read_security
from twistnotify.wire.authentication import AuthenticationMD5Password, PasswordMessage, SASLInitialResponse
from twistnotify.wire.body import frame
from twistnotify.wire.simple_query import Query
from twistnotify.wire.startup import SSLRequest

pytestmark = one_version

WRONG = "shibboleth-2b1f"
"""A password that is wrong, or a part of something that is broken."""
PAYLOAD = "fiducia-a91c"
OTHER_SECRET = format_secret(scram_secret(STORED.password, bytes(16), 4096))
HBA = f"host all {SCRAM.name} 127.0.0.1/32 reject\nhost all {MD5.name} 127.0.0.1/32 md5\n"
SETTINGS: dict[str, Any] = {
    "auth_type": "scram-sha-256",
    "auth_file": "userlist.txt",
    "auth_user": ASKER.name,
    "auth_dbname": "mine",
    "auth_query_cache_ttl": 0,
    "auth_query_negative_ttl": 0,
    "auth_fail_limit": 0,
    **tls_settings(),
}
MADE_OF_THEM = r"n,,|[rspcv]=[A-Za-z0-9+/]{8}|SCRAM-SHA-256\$|md5[0-9a-f]{32}|BEGIN "
"""Messages of SCRAM, verifiers, digests and keys."""
QUOTING = "SELECT usename, (passwd || '!')::int::text FROM pg_shadow WHERE usename = $1"
"""A query whose error quotes the secret."""


def databases(postgres: PostgresServer) -> dict[str, str]:
    """Return lines with passwords, one of them a wrong one."""
    place = f"host=127.0.0.1 port={postgres.port} dbname=postgres"
    return {
        "mine": f"{place} shards=postgres",
        "line": f"{place} user={ASKER.name} password='{ASKER.password}'",
        "fails": f"{place} user={ASKED.name} password={WRONG}",
    }


@pytest.fixture
def secrets(postgres: PostgresServer, tmp_path: Path) -> Iterator[list[str]]:
    """All that has to stay secret, and the files that it is in."""
    write_certificates(tmp_path)
    (tmp_path / "hba.conf").write_text(HBA)
    with guarded(postgres) as kept:
        write_userlist(tmp_path, usual_users(kept))
        kept["other"] = OTHER_SECRET
        parts = [part for secret in kept.values() for part in re.split(r"[$:]", secret.removeprefix("md5"))]
        keys = [line for name in ("server", "renewed") for line in (tmp_path / f"{name}.key").read_text().splitlines()]
        told = [role.password for role in ROLES] + [WRONG, PAYLOAD, FIXED_NONCE, "PRIVATE KEY"]
        yield told + [part for part in parts + keys if len(part) > 16 and not part.startswith("-----")]


@dataclass(frozen=True)
class Place:
    """A server, its folder, and how it is configured anew."""

    server: TwistnotifyProcess
    folder: Path
    postgres: PostgresServer

    def config(self, **settings: object) -> str:
        """Return a configuration with other settings."""
        return config_for(self.postgres, databases=databases(self.postgres), **{**SETTINGS, **settings})

    def is_refused(self, text: str | None = None) -> None:
        """Reload what is wrong."""
        self.server.reload(text or self.config(), says="the configuration was not reloaded")


def log_in(place: Place, user: str, password: str, database: str = "mine", **keywords: str) -> None:
    """Log in, and have the relay log in, unless one of them is refused."""
    with suppress(psycopg2.Error):
        run(place.server.connect(database, user=user, password=password, **keywords), "SELECT current_user")


def log_in_rightly_and_wrongly(place: Place) -> None:
    for role in ROLES:
        for database in ("mine", "line"):
            log_in(place, role.name, role.password, database)
        log_in(place, role.name, WRONG, sslmode="disable")
    log_in(place, NOBODY, WRONG)
    listener = listen(place.server.connect("mine", user=SCRAM.name, password=SCRAM.password), "told")
    run(listener, "NOTIFY told, %s", PAYLOAD)
    assert hear(listener) == [("told", PAYLOAD)]


def ask_for_md5(place: Place) -> None:
    place.server.reload(place.config(auth_type="md5"))
    log_in_rightly_and_wrongly(place)
    with RawClient(place.server.port, database=None) as client:
        client.send_startup("mine", user=MD5.name)
        assert isinstance(client.read(), AuthenticationMD5Password)
        client.send(PasswordMessage(f"md5{WRONG}".encode()))
        client.until_end()


def ask_for_passwords(place: Place) -> None:
    place.server.reload(place.config(auth_type="plain", client_tls_sslmode="require"))
    log_in_rightly_and_wrongly(place)


def refuse_by_hba(place: Place) -> None:
    place.server.reload(place.config(auth_type="hba", auth_hba_file="hba.conf"))
    for role in ROLES:
        log_in(place, role.name, role.password)
        log_in(place, role.name, WRONG)


def break_messages(place: Place) -> None:
    """Send what is not the protocol, or not SCRAM, in the middle of a log-in; two clients each."""
    marked = WRONG.encode()
    first = SASLInitialResponse(b"SCRAM-SHA-256", f"n,,n=,r={FIXED_NONCE}".encode()).encode()
    for messages in (
        [SASLInitialResponse(b"SCRAM-SHA-256", b"n,,n=,r=" + marked + b",!").encode()],
        [SASLInitialResponse(marked, b"n,,n=,r=x").encode()],
        [SASLInitialResponse(b"SCRAM-SHA-256", b"n,a=" + marked + b",n=,r=x").encode()],
        [first, frame(ord("p"), b"c=biws,r=" + marked + b",p=" + marked)],
        [first, frame(ord("p"), marked)],
        [PasswordMessage(marked).encode()],
        [Query(marked).encode()],
        [frame(ord("?"), marked)],
        [frame(ord("p"), marked * 10_000)],
        [b"p\0\0\0\0" + marked],
    ):
        for user in (SCRAM.name, NOBODY):
            with RawClient(place.server.port, database=None) as client:
                client.send_startup("mine", user=user)
                client.read()
                client.send(*messages)
                client.until_end()
    with RawClient(place.server.port, database=None) as client:
        client.send(marked * 10)
        client.until_end()


def break_tls(place: Place) -> None:
    for name in ("stranger", "late"):
        with RawClient(place.server.port, database=None) as client, suppress(OSError):
            encrypt(client, trusting(place.folder, name))
            log_in_by_scram(client, SCRAM.name, SCRAM.password, "mine")
    for data in (b"\x16\x03\x01\0\xff" + WRONG.encode() * 20, WRONG.encode() * 20):
        with RawClient(place.server.port, database=None) as client:
            client.send(SSLRequest().encode())
            assert client.socket.recv(1) == b"S"
            client.send(data)
            with suppress(ConnectionResetError):
                while client.socket.recv(65536):
                    pass
    with RawClient(place.server.port, database=None) as client:
        client.send(SSLRequest().encode() + WRONG.encode())
        assert client.socket.recv(1) == b"N"
        client.until_end()
    log_in(place, NOBODY, WRONG)


def reload_wrong_files(place: Place) -> None:
    users = place.folder / "userlist.txt"
    before = users.read_text()
    for line in (
        f'"{SCRAM.name}" "{WRONG}\n',
        f"{SCRAM.name} {WRONG}\n",
        f'"{SCRAM.name}" "{WRONG}"\n"{SCRAM.name}" "{WRONG}"\n',
        f'"" "{WRONG}"\n',
        '"x" "{}"\n'.format(OTHER_SECRET.replace("4096", "700000")),
    ):
        users.write_text(line)
        place.is_refused()
    users.write_text(before)
    for setting in ("client_tls_key_file", "client_tls_cert_file", "client_tls_ca_file"):
        place.is_refused(place.config(**{setting: "userlist.txt"}))
        place.is_refused(place.config(**{setting: "renewed.key"}))
    for file in ("userlist.txt", "renewed.key"):
        place.is_refused(place.config(auth_type="hba", auth_hba_file=file))
    log_in(place, NOBODY, WRONG)


def reload_wrong_lines(place: Place) -> None:
    for wrong in (f"password='{WRONG}", f"pasword={WRONG}", f"password={WRONG} {WRONG}", f"password='{WRONG}'x"):
        for section in ("databases", "shards"):
            place.is_refused(place.config().replace(f"[{section}]", f"[{section}]\nwrong = host=127.0.0.1 {wrong}"))
    log_in(place, NOBODY, WRONG)


def fail_behind(place: Place) -> None:
    """Have the query for users fail, and the relay's log-in, and that of a shard."""
    place.server.wait_for_log("shard fails: .*password authentication failed")
    place.server.reload(place.config(auth_query=QUOTING))
    with pytest.raises(psycopg2.OperationalError, match="cannot be looked up"):
        place.server.connect("mine", user=ASKED.name, password=ASKED.password)
    write_userlist(place.folder, {STORED.name: OTHER_SECRET})
    place.server.reload(place.config(auth_user="", auth_dbname=""))
    with pytest.raises(psycopg2.Error, match="the SCRAM secrets of the user differ"):
        run(place.server.connect("mine", user=STORED.name, password=STORED.password), "SELECT current_user")


@pytest.mark.parametrize(
    "go_wrong",
    [
        log_in_rightly_and_wrongly,
        ask_for_md5,
        ask_for_passwords,
        refuse_by_hba,
        break_messages,
        break_tls,
        reload_wrong_files,
        reload_wrong_lines,
        fail_behind,
    ],
)
def test_no_secret_is_ever_logged(
    postgres: PostgresServer, secrets: list[str], tmp_path: Path, go_wrong: Callable[[Place], None]
) -> None:
    """With a server each, since the log sums up what comes too often."""
    with running(postgres, tmp_path, databases(postgres), **SETTINGS) as server:
        server.wait_for_log("shard line: up")
        go_wrong(Place(server, tmp_path, postgres))
    log = server.log()
    assert "log-in refused" in log
    assert [secret for secret in secrets if secret in log] == []
    assert not re.search(MADE_OF_THEM, log)


def test_no_secret_is_in_the_repr_of_what_holds_it(
    postgres: PostgresServer, secrets: list[str], tmp_path: Path
) -> None:
    config = load(config_for(postgres, databases=databases(postgres), **SETTINGS), "config.ini")
    security = read_security(config, tmp_path, "config.ini")
    held = [config, config.settings, config.databases, config.shards, security, security.users, security.tls]
    for each in held:
        for shown in (repr(each), str(each), f"{each}"):
            assert [secret for secret in secrets if secret in shown] == []
    assert set(security.users) == {role.name for role in (SCRAM, STORED, MD5, ASKER)}
    assert EXPIRED.name not in security.users
