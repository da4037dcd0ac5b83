"""Logging in to a real PostgreSQL, by every way of proving a password."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest
from support.postgres import PostgresServer, bin_folder
from support.versions import VERSIONS

from twistnotify.auth.secrets import PlainSecret
from twistnotify.relay.login import LoginRefused, UpstreamSession, log_in
from twistnotify.wire.framing import FrameBuffer
from twistnotify.wire.session_status import ReadyForQuery
from twistnotify.wire.simple_query import Query
from twistnotify.wire.startup import CancelRequest

DEADLINE = 60.0
"""Seconds that anything may take before a test fails for it: generous, since machines are shared."""
METHODS = {"tn_trust": "trust", "tn_password": "password", "tn_md5": "md5", "tn_scram": "scram-sha-256"}
ENCRYPTIONS = {"tn_password": "scram-sha-256", "tn_md5": "md5", "tn_scram": "scram-sha-256"}
PASSWORD = "sécret ' \\ =,"
ODD_PASSWORDS = {
    "composed anew": "u\u0308",
    "mapped to nothing": "a\u00ad\u200d\ufe0fb",
    "spaces": "a\u00a0\u200b\u3000b",
    "compatibility": "\u2168\ufb01\u00aa",
    "prohibited": "é\u0340\u200e",
    "unassigned in Unicode 3.2": "\U0001f600\u2168",
    "right to left": "\u06271\u0628",
    "both directions": "\u0627a\u2168",
    "nothing left": "\u00ad",
    "control characters": "\x01\x7f",
    "long": "日" * 300,
}


@pytest.fixture(scope="module", params=VERSIONS, ids=[f"pg{version}" for version in VERSIONS])
def guarded_postgres(request: pytest.FixtureRequest) -> Iterator[PostgresServer]:
    """A PostgreSQL with a role for each way to prove a password, which has to go this way."""
    folder = bin_folder(request.param)
    if folder is None:
        pytest.skip(f"PostgreSQL {request.param} is not installed")
    postgres = PostgresServer(folder, request.param)
    try:
        postgres.start()
        for user in METHODS:
            create_role(postgres, user, ENCRYPTIONS.get(user))
        guard(postgres.folder / "data" / "pg_hba.conf")
        postgres.restart()
        yield postgres
    finally:
        postgres.destroy()


def create_role(postgres: PostgresServer, user: str, encryption: str | None) -> None:
    """Create a role, with the password if there is an encryption for it."""
    postgres.fetch(f"CREATE ROLE {user} LOGIN")
    if encryption is not None:
        set_password(postgres, user, PASSWORD, encryption)


def set_password(postgres: PostgresServer, user: str, password: str, encryption: str = "scram-sha-256") -> None:
    """Give a role a password."""
    with closing(postgres.connect()) as connection, connection.cursor() as cursor:
        cursor.execute(f"SET password_encryption = '{encryption}'")
        cursor.execute(f"ALTER ROLE {user} PASSWORD %s", [password])


def guard(hba: Path) -> None:
    """Have each role prove its password in its own way."""
    lines = [f"host all {user} 127.0.0.1/32 {method}\n" for user, method in METHODS.items()]
    lines.append("host all tn_rejected 127.0.0.1/32 reject\n")
    hba.write_text("".join(lines) + hba.read_text())


class Connection:
    """A socket, and the log-in on it."""

    def __init__(self, postgres: PostgresServer) -> None:
        self._socket = socket.create_connection(("127.0.0.1", postgres.port), DEADLINE)
        self._buffer = FrameBuffer(100_000)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def log_in(self, password: str | None, **parameters: str) -> UpstreamSession:
        """Log in."""
        credentials = None if password is None else PlainSecret(password)
        conversation = log_in({"database": "postgres", **parameters}, credentials, secrets.token_urlsafe(18))
        said = next(conversation)
        while True:
            assert isinstance(said, bytes)
            self._socket.sendall(said)
            try:
                said = conversation.send(self.frame())
            except StopIteration as end:
                session: UpstreamSession = end.value
                return session

    def send(self, data: bytes) -> None:
        """Send bytes."""
        self._socket.sendall(data)

    def frame(self) -> tuple[int, bytes]:
        """Return the next frame."""
        while (frame := self._buffer.next_frame()) is None:
            data = self._socket.recv(65536)
            assert data, "the server has closed the connection"
            self._buffer.feed(data)
        return frame


def session_of(postgres: PostgresServer, password: str | None, **parameters: str) -> UpstreamSession:
    """Log in and go."""
    with closing(Connection(postgres)) as connection:
        return connection.log_in(password, **parameters)


def refusal_of(postgres: PostgresServer, password: str | None, **parameters: str) -> tuple[str, str]:
    """Return severity and SQLSTATE of a log-in that is refused."""
    with pytest.raises(LoginRefused) as caught:
        session_of(postgres, password, **parameters)
    return caught.value.fields.severity, caught.value.fields.sqlstate


@pytest.mark.parametrize("user", METHODS)
def test_each_way_to_prove_a_password_is_gone(guarded_postgres: PostgresServer, user: str) -> None:
    session = session_of(guarded_postgres, PASSWORD, user=user, application_name="é", client_encoding="LATIN1")
    assert session.parameters["session_authorization"] == user
    assert session.parameters["client_encoding"] == "LATIN1"
    assert session.parameters["server_version"].startswith(str(guarded_postgres.version))


@pytest.mark.parametrize("user", ENCRYPTIONS)
def test_another_password_is_refused_by_the_server(guarded_postgres: PostgresServer, user: str) -> None:
    assert refusal_of(guarded_postgres, "another", user=user) == ("FATAL", "28P01")


@pytest.mark.parametrize("user", ENCRYPTIONS)
def test_no_password_is_refused_without_an_answer(guarded_postgres: PostgresServer, user: str) -> None:
    assert refusal_of(guarded_postgres, None, user=user) == ("FATAL", "28P01")


@pytest.mark.parametrize("user", ["tn_nobody", "tn_rejected"])
def test_a_role_that_is_not_let_in_is_refused(guarded_postgres: PostgresServer, user: str) -> None:
    assert refusal_of(guarded_postgres, PASSWORD, user=user) == ("FATAL", "28000")


@pytest.mark.parametrize(
    ("parameter", "sqlstate"),
    [
        ({"database": "nowhere"}, "3D000"),
        ({"client_encoding": "nothing"}, "22023"),
        ({"no_such_setting": "1"}, "42704"),
    ],
)
def test_what_the_server_refuses_after_the_proof_is_told(
    guarded_postgres: PostgresServer, parameter: dict[str, str], sqlstate: str
) -> None:
    assert refusal_of(guarded_postgres, PASSWORD, user="tn_scram", **parameter) == ("FATAL", sqlstate)


def test_an_unknown_option_of_the_protocol_does_no_harm(guarded_postgres: PostgresServer) -> None:
    parameters = {"user": "tn_scram", "_pq_.unknown": "1"}
    assert session_of(guarded_postgres, PASSWORD, **parameters).pid


@pytest.mark.parametrize("password", ODD_PASSWORDS.values(), ids=ODD_PASSWORDS)
def test_a_password_is_prepared_as_postgresql_prepares_it(guarded_postgres: PostgresServer, password: str) -> None:
    set_password(guarded_postgres, "tn_scram", password)
    try:
        assert session_of(guarded_postgres, password, user="tn_scram").pid
    finally:
        set_password(guarded_postgres, "tn_scram", PASSWORD)


def test_the_session_can_be_used_and_cancelled(guarded_postgres: PostgresServer) -> None:
    with closing(Connection(guarded_postgres)) as connection, closing(Connection(guarded_postgres)) as canceller:
        session = connection.log_in(PASSWORD, user="tn_scram")
        connection.send(Query(b"DO 'BEGIN RAISE NOTICE $$asleep$$; PERFORM pg_sleep(60); END'").encode())
        assert b"Masleep\0" in connection.frame()[1]
        canceller.send(CancelRequest(session.pid, session.secret).encode())
        assert b"C57014\0" in connection.frame()[1]
        assert connection.frame() == (ReadyForQuery.type, b"I")


def test_libpq_knows_the_same_passwords(guarded_postgres: PostgresServer) -> None:
    for user in ENCRYPTIONS:
        keywords = {"host": "127.0.0.1", "port": guarded_postgres.port, "dbname": "postgres", "user": user}
        psycopg2.connect(**keywords, password=PASSWORD).close()
