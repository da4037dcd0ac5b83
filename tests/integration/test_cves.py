"""What has been exploited in PostgreSQL and PgBouncer is not to be had here: a test for each CVE, of its name.

In each, others are served meanwhile as ever, the process does not grow, and the log tells of no programming error.
"""

from __future__ import annotations

import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from support.clients import DEADLINE, eventually, hear, listen, run
from support.fake_upstream import Caller, FakeUpstream
from support.postgres import PostgresServer
from support.process import FORBIDDEN, TwistnotifyProcess
from support.raw import RawClient, names
from support.relaying import MB, READY, steady
from support.security import (
    ASKED,
    ASKER,
    EXPIRED,
    SCRAM,
    SYSTEM_USER,
    encrypt,
    guarded,
    log_in_by_scram,
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
from twistnotify.wire.authentication import AuthenticationOk, AuthenticationSASL, AuthenticationSASLContinue
from twistnotify.wire.body import frame
from twistnotify.wire.catalog import decode_backend
from twistnotify.wire.extended_query import Parse, Sync
from twistnotify.wire.session_status import ReadyForQuery
from twistnotify.wire.simple_query import Query
from twistnotify.wire.startup import PROTOCOL_3_0, BackendKeyData, GSSENCRequest, SSLRequest, StartupMessage

pytestmark = one_version

STARTUP = StartupMessage(PROTOCOL_3_0, {"user": SCRAM.name, "database": "postgres"}).encode()
INJECTED = STARTUP + Query(b"SELECT 'injected'").encode()
ALERT = b"\x15"
"""The first byte of an alert of TLS (RFC 8446, section 5.1)."""
WITHOUT_CODE = [
    frame(ord("E"), fields + b"\0") for fields in (b"SERROR\0Mno code\0", b"Mno code\0", b"", b"C\0", b"C1\0")
]
GUESSED = "the attacker's own"
OVERFLOWING = (-1, -4, -(2**31), 2**31 - 1, 2**31 - 5, 0, 3)
"""Lengths that are negative, that become so with 4 more, or that do not even hold themselves."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the server's files."""
    folder = tmp_path_factory.mktemp("cves")
    write_certificates(folder)
    return folder


@pytest.fixture(scope="module")
def hostile() -> Iterator[FakeUpstream]:
    """An upstream that does what a test says."""
    with FakeUpstream(Caller.wait_for_end) as upstream:
        yield upstream


@pytest.fixture(scope="module")
def attacked_of_module(
    postgres_of_session: PostgresServer, folder: Path, hostile: FakeUpstream
) -> Iterator[TwistnotifyProcess]:
    """The process behind `attacked`."""
    place = f"host=127.0.0.1 port={hostile.port} dbname=postgres shards=postgres"
    databases = {
        **own_login(postgres_of_session),
        "hostile": f"{place} sslmode=disable",
        "hostile_tls": f"{place} sslmode=require",
    }
    settings: dict[str, Any] = {
        "auth_type": "scram-sha-256",
        "auth_file": "userlist.txt",
        "auth_user": ASKER.name,
        "auth_query": "SELECT usename, passwd FROM pg_shadow WHERE usename = $1",
        "auth_query_cache_ttl": 0,
        "auth_query_negative_ttl": 0,
        "auth_dbname": "postgres",
        "auth_fail_limit": 0,
        **tls_settings(),
    }
    with guarded(postgres_of_session) as secrets:
        write_userlist(folder, usual_users(secrets))
        with running(postgres_of_session, folder, databases, **settings) as process:
            yield process


@pytest.fixture
def attacked(
    postgres: PostgresServer, attacked_of_module: TwistnotifyProcess, folder: Path
) -> Iterator[TwistnotifyProcess]:
    """A server with SCRAM, TLS and auth_query; whatever a test does to it, good clients have to find it well."""
    server = attacked_of_module
    with steady(server, 16 * MB):
        yield server
        server.close_connections()
        assert_good_clients_are_served(server, folder)
    assert not [word for word in FORBIDDEN if word in server.log()], server.log()


def assert_good_clients_are_served(server: TwistnotifyProcess, folder: Path) -> None:
    user = {"user": SCRAM.name, "password": SCRAM.password}
    bound = {"sslmode": "verify-full", "sslrootcert": str(folder / "ca.crt"), "channel_binding": "require"}
    for keywords in (user, {**user, **bound}, {"user": ASKED.name, "password": ASKED.password}):
        client = listen(server.connect(**keywords), "good")
        run(client, "NOTIFY good, 'x'")
        assert hear(client) == [("good", "x")]
        assert run(client, "SELECT current_user::text") == [(keywords["user"],)]
        client.close()


def received(client: RawClient) -> bytes:
    """Return all that comes until the server closes, as it is."""
    data = b""
    with suppress(ConnectionResetError):
        while more := client.socket.recv(65536):
            data += more
    return data


# Before TLS


@pytest.mark.parametrize("asked", [SSLRequest, GSSENCRequest])
def test_cve_2021_23214_and_2021_3935_bytes_behind_the_request_are_not_taken_in(
    attacked: TwistnotifyProcess, asked: type[Any]
) -> None:
    with RawClient(attacked.port, database=None) as client:
        client.send(asked().encode() + INJECTED)
        answer = received(client)
    assert answer[:1] == b"N"
    assert b"C08P01\0Mreceived unencrypted data after " in answer
    assert names([decode_backend(answer[1], answer[6:])]) == ["FATAL 08P01"]


def test_cve_2021_23214_and_2021_3935_bytes_behind_the_answer_are_no_command(attacked: TwistnotifyProcess) -> None:
    """What is injected when the server has agreed already can only be a handshake that fails."""
    with RawClient(attacked.port, database=None) as client:
        client.send(SSLRequest().encode())
        assert client.socket.recv(1) == b"S"
        client.send(INJECTED)
        answer = received(client)
    assert answer[:1] in (b"", ALERT)


def test_cve_2021_23214_and_2021_3935_bytes_in_front_of_a_certificate_are_not_its_owner_s(
    postgres: PostgresServer, attacked: TwistnotifyProcess, folder: Path
) -> None:
    settings = {"auth_type": "cert", **tls_settings("verify-full")}
    with running(postgres, folder, **settings) as server:
        with RawClient(server.port, database=None) as client:
            client.send(SSLRequest().encode() + INJECTED)
            assert b"received unencrypted data after SSL request" in received(client)
        with RawClient(server.port, database=None) as client:
            encrypt(client, trusting(folder, SCRAM.name))
            client.send(STARTUP)
            assert names(client.until_ready())[-1] == "ready I"
            assert names(client.query("LISTEN certified")) == ["LISTEN", "ready I"]


def statement(attacked: TwistnotifyProcess, database: str) -> list[str]:
    """Return what is said to a statement that needs an upstream, and to one behind it that needs none."""
    with RawClient(attacked.port, database=None) as client:
        log_in_by_scram(client, SCRAM.name, SCRAM.password, database)
        return names(client.query("SELECT 0 + 1")) + names(client.query("LISTEN afterwards"))


def refused(sqlstate: str = "08006") -> list[str]:
    """Return what `statement` does where there is no upstream for this reason."""
    return [f"ERROR {sqlstate}", "ready I", "LISTEN", "ready I"]


def test_cve_2021_23222_bytes_behind_the_server_s_answer_are_not_taken_in(
    attacked: TwistnotifyProcess, hostile: FakeUpstream
) -> None:
    heard: list[bytes] = []
    over = threading.Event()

    def converse(caller: Caller) -> None:
        heard.append(caller.socket.recv(8))
        caller.send(b"S", AuthenticationOk(), BackendKeyData(1, b"fake"), ReadyForQuery("I"))
        with suppress(ConnectionResetError):
            heard.append(caller.socket.recv(65536))
        over.set()

    hostile.converse = converse
    assert statement(attacked, "hostile_tls") == refused()
    assert over.wait(DEADLINE)
    # No handshake was even begun.
    assert b"".join(heard) == SSLRequest().encode()


# Looking users up


def refusal(server: TwistnotifyProcess, **keywords: str) -> str:
    """Return why a log-in fails; fails if it does not."""
    with pytest.raises(psycopg2.OperationalError) as caught:
        server.connect(**keywords)
    return str(caught.value)


@pytest.fixture
def false_users(postgres: PostgresServer) -> Iterator[str]:
    """A schema whose pg_shadow has passwords of an attacker's choice for everybody; yield its name."""
    secret = format_secret(scram_secret(GUESSED, bytes(16), 4096))
    postgres.fetch("CREATE SCHEMA evil; GRANT USAGE ON SCHEMA evil TO public")
    postgres.fetch(
        "CREATE VIEW evil.pg_shadow AS SELECT rolname AS usename, '" + secret + "'::text AS passwd FROM pg_roles"
    )
    postgres.fetch("GRANT SELECT ON evil.pg_shadow TO public")
    try:
        yield "evil"
    finally:
        postgres.fetch("DROP SCHEMA evil CASCADE")


def end_lookups(postgres: PostgresServer) -> None:
    """Have another connection made for the next lookup, so that it is the next client's if it is any client's."""
    postgres.fetch("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", ASKER.name)
    eventually(lambda: not postgres.fetch("SELECT 1 FROM pg_stat_activity WHERE usename = %s", ASKER.name))


@pytest.mark.parametrize(
    "keywords",
    [{"options": "-csearch_path=evil,pg_catalog"}, {"options": "--search_path=evil,pg_catalog"}, {}],
    ids=["option", "long option", "parameter"],
)
def test_cve_2025_12819_no_search_path_of_a_client_reaches_the_query_for_users(
    attacked: TwistnotifyProcess, postgres: PostgresServer, false_users: str, keywords: dict[str, str]
) -> None:
    with closing(postgres.connect()) as direct:
        run(direct, f"SET search_path = {false_users}, pg_catalog")
        assert b"SCRAM" in run(direct, "SELECT passwd FROM pg_shadow WHERE usename = %s", ASKED.name)[0][0].encode()
    end_lookups(postgres)
    if keywords:
        error = refusal(attacked, user=ASKED.name, password=GUESSED, **keywords)
    else:
        with RawClient(attacked.port, database=None) as client, pytest.raises(AssertionError) as caught:
            log_in_by_scram(client, ASKED.name, GUESSED, search_path=f"{false_users},pg_catalog")
        error = str(caught.value)
    assert f'password authentication failed for user "{ASKED.name}"' in error
    attacked.connect(user=ASKED.name, password=ASKED.password, **keywords)


def test_cve_2025_12819_no_search_path_of_the_asking_role_does_either(
    attacked: TwistnotifyProcess, postgres: PostgresServer, false_users: str
) -> None:
    postgres.fetch(f"ALTER ROLE {ASKER.name} SET search_path = {false_users}, pg_catalog")
    try:
        end_lookups(postgres)
        error = refusal(attacked, user=ASKED.name, password=GUESSED)
        assert f'password authentication failed for user "{ASKED.name}"' in error
        assert postgres.fetch("SELECT 1 FROM pg_stat_activity WHERE usename = %s", ASKER.name)
    finally:
        postgres.fetch(f"ALTER ROLE {ASKER.name} RESET search_path")


def test_cve_2025_2291_an_expired_password_lets_nobody_in(
    postgres: PostgresServer, attacked: TwistnotifyProcess, folder: Path
) -> None:
    """By the query that there is by default."""
    settings = {"auth_type": "scram-sha-256", "auth_file": "userlist.txt", "auth_user": ASKER.name}
    with running(postgres, folder, own_login(postgres), **settings, auth_query_negative_ttl=0) as server:
        expired = {"user": EXPIRED.name, "password": EXPIRED.password}
        assert f'password authentication failed for user "{EXPIRED.name}"' in refusal(server, **expired)
        postgres.fetch(f"ALTER ROLE {EXPIRED.name} VALID UNTIL 'infinity'")
        try:
            assert run(server.connect(**expired), "SELECT current_user::text") == [(EXPIRED.name,)]
        finally:
            postgres.fetch(f"ALTER ROLE {EXPIRED.name} VALID UNTIL '2001-01-01'")


# Lengths that lie


@pytest.mark.parametrize("length", OVERFLOWING)
def test_cve_2026_6664_a_length_that_lies_ends_its_connection_only(attacked: TwistnotifyProcess, length: int) -> None:
    lie = struct.pack(">i", length)
    for packet in (lie, lie + STARTUP[4:]):
        with RawClient(attacked.port, database=None) as client:
            client.send(packet)
            assert received(client) == b""
    with RawClient(attacked.port, database=None) as client:
        client.send(STARTUP)
        assert isinstance(client.read(), AuthenticationSASL)
        client.send(b"p" + lie + b"SCRAM-SHA-256\0")
        assert names(client.until_end()) == ["FATAL 08P01"]
    with RawClient(attacked.port, database=None) as client:
        client.send(STARTUP)
        assert isinstance(client.read(), AuthenticationSASL)
        client.send(frame(ord("p"), b"SCRAM-SHA-256\0" + lie + b"n,,n=,r=x"))
        assert names(client.until_end()) == ["FATAL 08P01"]


@pytest.mark.parametrize("length", OVERFLOWING)
@pytest.mark.parametrize("type_", [b"Q", b"P", b"B", b"d", b"F", b"X"])
def test_cve_2026_6664_nor_does_one_behind_the_log_in(attacked: TwistnotifyProcess, type_: bytes, length: int) -> None:
    with RawClient(attacked.port, database=None) as client:
        log_in_by_scram(client, SCRAM.name, SCRAM.password)
        client.send(type_ + struct.pack(">i", length) + b"x" * 64)
        assert names(client.until_end()) == ["FATAL 08P01"]


@pytest.mark.parametrize("length", [length for length in OVERFLOWING if length not in (-1, 0)])
def test_cve_2026_6664_nor_do_those_within_a_message(attacked: TwistnotifyProcess, length: int) -> None:
    counts = [b"\xff\xff", b"\x7f\xff", b"\x80\x00"]
    lie = struct.pack(">i", length)
    for body in (
        *(b"\0\0" + count for count in counts),
        *(b"\0\0\0\0" + count for count in counts),
        b"\0\0\0\0\0\1" + lie + b"x\0\0",
        b"\0\0\0\0\0\1" + lie,
    ):
        with RawClient(attacked.port, database=None) as client:
            log_in_by_scram(client, SCRAM.name, SCRAM.password)
            client.send(Parse(b"", b"SELECT pg_notify($1, '')", ()), frame(ord("B"), body), Sync())
            answer = names(client.until_ready())
            assert answer == ["ParseComplete", "ERROR 08P01", "ready I"], (body, answer)
            assert names(client.query("LISTEN afterwards")) == ["LISTEN", "ready I"]


# A server that is not one


def statement_with_challenge(
    attacked: TwistnotifyProcess, hostile: FakeUpstream, message: Callable[[bytes], bytes]
) -> list[str]:
    """Return what is said to a statement whose upstream answers a nonce by a message; it has to have no answer."""
    answers: list[tuple[int, bytes]] = []
    over = threading.Event()

    def converse(caller: Caller) -> None:
        caller.startup_packet()
        caller.send(AuthenticationSASL(("SCRAM-SHA-256",)))
        _, first = caller.message()
        nonce = first[first.index(b",r=") + 3 :]
        with suppress(OSError, EOFError):
            caller.send(AuthenticationSASLContinue(message(nonce)))
            answers.append(caller.message())
        over.set()

    hostile.converse = converse
    said = statement(attacked, "hostile")
    assert over.wait(DEADLINE)
    assert answers == []
    return said


@pytest.mark.parametrize(
    ("size", "sqlstate"), [(1025, "08P01"), (60_000, "08P01"), (70_000, "08006"), (16 * MB, "08006")]
)
def test_cve_2026_6665_a_huge_nonce_of_a_server_is_refused(
    attacked: TwistnotifyProcess, hostile: FakeUpstream, size: int, sqlstate: str
) -> None:
    said = statement_with_challenge(
        attacked, hostile, lambda nonce: b"r=" + nonce.ljust(size, b"x") + b",s=c2FsdA==,i=4096"
    )
    assert said == refused(sqlstate)


@pytest.mark.parametrize(
    ("iterations", "sqlstate"),
    [(b"0", "08P01"), (b"-1", "08P01"), (b"600001", "28000"), (b"2147483647", "28000"), (b"1" * 900, "08P01")],
)
def test_cve_2026_6665_nor_are_iterations_done_without_a_bound(
    attacked: TwistnotifyProcess, hostile: FakeUpstream, iterations: bytes, sqlstate: str
) -> None:
    said = statement_with_challenge(attacked, hostile, lambda nonce: b"r=" + nonce + b"x,s=c2FsdA==,i=" + iterations)
    assert said == refused(sqlstate)


@pytest.mark.parametrize("error", WITHOUT_CODE)
def test_cve_2026_6666_an_error_without_sqlstate_in_the_log_in_is_an_error(
    attacked: TwistnotifyProcess, hostile: FakeUpstream, error: bytes
) -> None:
    def converse(caller: Caller) -> None:
        caller.startup_packet()
        caller.send(error)

    hostile.converse = converse
    assert statement(attacked, "hostile") == refused()


@pytest.mark.parametrize("error", WITHOUT_CODE)
def test_cve_2026_6666_an_error_without_sqlstate_in_an_answer_is_for_the_client_to_judge(
    attacked: TwistnotifyProcess, hostile: FakeUpstream, error: bytes
) -> None:
    def converse(caller: Caller) -> None:
        caller.log_in()
        caller.message()
        caller.send(error, ReadyForQuery("I"))
        caller.wait_for_end()

    hostile.converse = converse
    with RawClient(attacked.port, database=None) as client:
        log_in_by_scram(client, SCRAM.name, SCRAM.password, "hostile")
        client.send(Query(b"SELECT 0 + 1"))
        answer = b""
        while not answer.endswith(READY) and (data := client.socket.recv(65536)):
            answer += data
    assert answer == error + READY


# No console


@pytest.mark.parametrize("database", ["twistnotify", "pgbouncer"])
def test_cve_2026_6667_there_is_no_console_for_anybody(
    postgres: PostgresServer, attacked: TwistnotifyProcess, folder: Path, database: str
) -> None:
    for user in (SCRAM, ASKER):
        error = refusal(attacked, dbname=database, user=user.name, password=user.password)
        assert f'database "{database}" does not exist' in error
        assert "password authentication failed" in refusal(attacked, dbname=database, user=user.name, password="x")
    with running(postgres, folder, unix_socket_dir=folder) as server:
        for name in ("postgres", database, SYSTEM_USER):
            for host in ("127.0.0.1", str(folder)):
                error = refusal(server, dbname=database, user=name, host=host)
                assert f'database "{database}" does not exist' in error


@pytest.mark.parametrize("command", ["SHUTDOWN", "KILL postgres", "PAUSE", "RELOAD", "SHOW CLIENTS", "SHOW USERS"])
def test_cve_2026_6667_and_its_commands_are_but_sql(attacked: TwistnotifyProcess, command: str) -> None:
    client = attacked.connect(user=SCRAM.name, password=SCRAM.password)
    with pytest.raises(psycopg2.Error) as caught:
        run(client, command)
    # syntax_error, or undefined_object for SHOW
    assert caught.value.pgcode in ("42601", "42704")
