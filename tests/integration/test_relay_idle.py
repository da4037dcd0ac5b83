"""An idle client gives its backend back if it has nothing there, and notices nothing of it."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from support.clients import eventually, run
from support.configuration import config_for
from support.fixtures import StartServer
from support.postgres import PostgresServer
from support.process import TwistnotifyProcess
from support.raw import RawClient, error_of, names
from support.relaying import backend_of, rows, upstreams, wait_for_upstreams

from twistnotify.sql.leftovers import QUESTION
from twistnotify.wire.extended_query import Bind, Describe, Execute, Flush, Parse, Sync
from twistnotify.wire.function_call import FunctionCall
from twistnotify.wire.simple_query import Query

IDLE_TIMEOUT = 0.1
"""Seconds."""
SCHEMA = """
DROP TABLE IF EXISTS plain, numbered, watched;
CREATE TABLE plain (id int);
CREATE TABLE numbered (id serial, at timestamptz DEFAULT now());
CREATE TABLE watched (command text);
CREATE OR REPLACE FUNCTION obey() RETURNS trigger LANGUAGE plpgsql AS
  $$BEGIN EXECUTE NEW.command; RETURN NEW; END$$;
CREATE TRIGGER obey AFTER INSERT ON watched FOR EACH ROW EXECUTE FUNCTION obey();
CREATE OR REPLACE FUNCTION harmless() RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE OR REPLACE PROCEDURE harmless_too() LANGUAGE sql AS 'SELECT 1';
"""
COUNT = "SELECT count(*) FROM plain"
ANSWERED = (
    "SELECT length(query) > 500 AND starts_with(%s, query) AND state = 'idle' FROM pg_stat_activity WHERE pid = %s"
)
HOLD_UP = "BEGIN; LOCK TABLE pg_catalog.pg_cursors IN ACCESS EXCLUSIVE MODE"
"""Whoever asks about leftovers waits until this transaction ends."""
HELD_UP = "SELECT pid FROM pg_locks WHERE NOT granted AND relation = 'pg_cursors'::regclass"
INT4_ABS = 1251
"""The OID of abs(int4)."""
LENGTH = 1_200
"""Characters of a text that is too long to be read."""
ROUNDS = 400

Act = Callable[[RawClient], object]


@pytest.fixture(scope="module")
def server_of_module(
    postgres_of_session: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TwistnotifyProcess]:
    """A server that gives upstreams back."""
    line = f"{postgres_of_session.dsn()} relay_idle_timeout={IDLE_TIMEOUT}"
    process = TwistnotifyProcess(
        config_for(postgres_of_session, 1, {"postgres": line}), tmp_path_factory.mktemp("idle")
    )
    process.start()
    process.wait_until_up()
    yield process
    process.stop()


@pytest.fixture(autouse=True)
def _schema(server: TwistnotifyProcess, postgres: PostgresServer) -> None:
    """Have empty tables, and nobody attached."""
    wait_for_upstreams(postgres, 0)
    run(postgres.connect(), SCHEMA)
    postgres.close_connections()


@pytest.fixture
def client(server: TwistnotifyProcess) -> Iterator[RawClient]:
    """A client."""
    with RawClient(server.port) as raw:
        yield raw


@dataclass(frozen=True)
class Asked:
    """A client whose upstream is asked; `go_on` lets it answer."""

    client: RawClient
    backend: int
    go_on: Callable[[], object]


def wait_until_answered(postgres: PostgresServer, backend: int) -> None:
    """Wait until a backend has answered the question."""
    eventually(lambda: postgres.fetch(ANSWERED, QUESTION, backend), lambda found: found == [(True,)])


# Given back


@pytest.mark.parametrize(
    "sql",
    [
        COUNT,
        "INSERT INTO plain VALUES (1); UPDATE plain SET id = 2; DELETE FROM plain",
        "BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT * FROM plain FOR UPDATE; COMMIT",
        "BEGIN; SELECT pg_advisory_xact_lock(1); ROLLBACK",
        "SELECT * FROM nothing_of_this_name",
        "SHOW work_mem",
        "SET statement_timeout = '1h'; SELECT max(id) FROM plain",
        "INSERT INTO watched VALUES ('SELECT 1')",
        "SELECT * FROM plain; LISTEN a; NOTIFY b; UNLISTEN a",
        "SELECT * FROM plain; DISCARD ALL",
    ],
)
def test_an_idle_client_without_state_gives_its_backend_back(
    client: RawClient, postgres: PostgresServer, sql: str
) -> None:
    backend_of(client)
    answer = names(client.query(sql)) if not sql.endswith("DISCARD ALL") else []

    wait_for_upstreams(postgres, 0)
    assert rows(client.query(COUNT)) == [("0",)]
    if answer:
        assert names(client.query(sql)) == answer


def test_what_a_driver_prepares_without_a_name_is_given_back_and_still_there(
    client: RawClient, postgres: PostgresServer
) -> None:
    sql = b"SELECT count(*) FROM plain WHERE id > $1"
    client.send(Parse(b"", sql, ()), Describe(b"S", b""), Sync())
    assert names(client.until_ready()) == ["ParseComplete", "ParameterDescription", "RowDescription", "ready I"]

    wait_for_upstreams(postgres, 0)
    client.send(Bind(b"", b"", (), (b"0",), ()), Execute(b"", 0), Sync())
    assert names(client.until_ready()) == ["BindComplete", "DataRow", "SELECT 1", "ready I"]
    wait_for_upstreams(postgres, 0)
    client.send(Describe(b"S", b""), Sync())
    assert names(client.until_ready()) == ["ParameterDescription", "RowDescription", "ready I"]
    client.query("SELECT 1")
    client.send(Bind(b"", b"", (), (b"0",), ()), Sync())
    assert error_of(client.until_ready()).sqlstate == "26000"


def test_settings_survive(client: RawClient, postgres: PostgresServer) -> None:
    shown = "SELECT " + ", ".join(
        f"current_setting('{name}')"
        for name in ("statement_timeout", "TimeZone", "DateStyle", "search_path", "lock_timeout", "application_name")
    )
    backend = backend_of(client)
    client.query("SET statement_timeout = 3600000; SET TIME ZONE 2; SET DateStyle TO German")
    client.query('SET search_path TO public, "odd "" name"; SET lock_timeout = \'7min\'; RESET lock_timeout')
    before = rows(client.query(shown))
    assert before == [("1h", "<+02>-02", "German, DMY", 'public, "odd "" name"', "0", "")]
    wait_for_upstreams(postgres, 0)
    assert rows(client.query("SHOW statement_timeout")) == [("1h",)]
    assert upstreams(postgres) == []

    assert names(client.query("SELECT count(*) FROM plain")) == names(client.query("SELECT count(*) FROM plain"))
    assert rows(client.query(shown)) == before
    client.query("RESET ALL")
    assert backend_of(client) != backend
    assert rows(client.query(shown)) == [("0", "Etc/UTC", "ISO, MDY", '"$user", public', "0", "")]


def test_a_setting_that_a_trigger_has_made_survives(client: RawClient, postgres: PostgresServer) -> None:
    client.query("INSERT INTO watched VALUES ('SET bytea_output TO escape')")

    wait_for_upstreams(postgres, 0)
    assert rows(client.query("SHOW bytea_output")) == [("escape",)]
    assert rows(client.query("SELECT bytea 'x'")) == [("x",)]


def test_listening_goes_on(client: RawClient, postgres: PostgresServer) -> None:
    client.query("LISTEN a")
    client.query("BEGIN; LISTEN b; SELECT count(*) FROM plain; COMMIT")
    wait_for_upstreams(postgres, 0)

    postgres.fetch("SELECT pg_notify('a', 'one'), pg_notify('b', 'two')")
    assert names([client.read(), client.read()]) == ["a: one", "b: two"]
    assert rows(client.query("SELECT * FROM pg_listening_channels()")) == [("a",), ("b",)]
    answer = client.query("BEGIN; SELECT count(*) FROM plain; NOTIFY a, 'three'; COMMIT")
    assert names(answer)[-3:] == ["COMMIT", "a: three", "ready I"]
    wait_for_upstreams(postgres, 0)


def test_what_is_told_once_is_not_told_again(client: RawClient, postgres: PostgresServer) -> None:
    client.query("SET TIME ZONE 'Asia/Tokyo'; SELECT count(*) FROM plain")
    wait_for_upstreams(postgres, 0)

    assert names(client.query("SELECT 1")) == ["RowDescription", "DataRow", "SELECT 1", "ready I"]
    assert names(client.query(COUNT)) == ["RowDescription", "DataRow", "SELECT 1", "ready I"]


def test_a_client_that_was_attached_at_its_log_in_gives_its_backend_back(
    server: TwistnotifyProcess, postgres: PostgresServer
) -> None:
    with RawClient(server.port, database=None) as client:
        client.send_startup("postgres", geqo="off", TimeZone="Asia/Tokyo")
        client.until_ready()

        wait_for_upstreams(postgres, 0)
        assert rows(client.query("SHOW geqo")) == [("off",)]
        wait_for_upstreams(postgres, 0)
        assert rows(client.query("SHOW TimeZone")) == [("Asia/Tokyo",)]


# Kept


@pytest.mark.parametrize(
    "command",
    [
        "PREPARE p AS SELECT 1",
        "SELECT pg_advisory_lock(1)",
        "CREATE TEMP TABLE kept (id int)",
        "SELECT nextval('numbered_id_seq')",
        "SET work_mem TO '8MB'",
        "LISTEN hidden",
        "SET ROLE pg_monitor",
        "SET SESSION AUTHORIZATION pg_monitor",
    ],
)
def test_what_a_trigger_has_left_keeps_the_backend(client: RawClient, postgres: PostgresServer, command: str) -> None:
    backend = backend_of(client)
    quoted = command.replace("'", "''")
    assert names(client.query(f"INSERT INTO watched VALUES ('{quoted}')"))[0] == "INSERT 0 1"

    wait_until_answered(postgres, backend)
    assert backend_of(client) == backend


def test_a_sequence_that_an_insert_has_moved_keeps_the_backend(client: RawClient, postgres: PostgresServer) -> None:
    backend = backend_of(client)
    client.query("INSERT INTO numbered DEFAULT VALUES")

    wait_until_answered(postgres, backend)
    assert rows(client.query("SELECT lastval()")) == [("1",)]


def test_a_backend_that_was_kept_is_given_back_when_there_is_nothing_left(
    client: RawClient, postgres: PostgresServer
) -> None:
    backend = backend_of(client)
    client.query("INSERT INTO watched VALUES ('PREPARE p AS SELECT 1')")
    wait_until_answered(postgres, backend)
    assert upstreams(postgres) == [backend]

    client.query("DEALLOCATE ALL")
    wait_for_upstreams(postgres, 0)


@pytest.mark.parametrize(
    "act",
    [
        lambda client: client.query("PREPARE p AS SELECT 1"),
        lambda client: client.query("DECLARE c CURSOR WITH HOLD FOR SELECT 1"),
        lambda client: client.query("COPY plain TO STDOUT"),
        lambda client: client.query("DO $$BEGIN PERFORM 1; END$$"),
        lambda client: client.query("CALL harmless_too()"),
        lambda client: client.query("SELECT harmless()"),
        lambda client: client.query("SELECT pg_advisory_lock(1)"),
        lambda client: client.query("SELECT set_config('my.setting', 'x', false)"),
        lambda client: client.query("SELECT setval('numbered_id_seq', 7)"),
        lambda client: client.query("SET my.setting = 'x'"),
        lambda client: client.query("SET work_mem = '8MB'"),
        lambda client: client.query("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY"),
        lambda client: client.query("CREATE TEMP TABLE kept (id int)"),
        lambda client: client.query("SELECT 1 INTO TEMP kept"),
        lambda client: client.query("EXPLAIN SELECT 1 FROM plain"),
        lambda client: client.query("SELECT FROM WHERE"),
        lambda client: client.query(f"SELECT '{LENGTH * 'x'}' FROM plain"),
        lambda client: client.query("BEGIN; SELECT 1 FROM plain"),
        lambda client: (client.send(Parse(b"s", b"SELECT 1 FROM plain", ()), Sync()), client.until_ready()),
        lambda client: (client.send(Parse(b"", b"SELECT harmless()", ()), Sync()), client.until_ready()),
        lambda client: (client.send(Parse(b"", b"SELECT 1 FROM plain", ()), Flush()), client.read()),
        lambda client: (client.send(FunctionCall(INT4_ABS, (1,), (b"\0\0\0\1",), 1)), client.until_ready()),
        lambda client: client.send(Query(b"SELECT 1").encode()[:-3]),
    ],
    ids=lambda act: str(act.__code__.co_consts[1])[:50],
)
def test_a_client_that_may_have_left_something_keeps_its_backend(
    client: RawClient, server: TwistnotifyProcess, postgres: PostgresServer, act: Act
) -> None:
    backend = backend_of(client)
    act(client)

    with RawClient(server.port) as other:
        # Idle since later, so all had their time when it has given its backend back.
        backend_of(other)
        eventually(lambda: upstreams(postgres), lambda pids: pids == [backend])


def test_without_the_keyword_nothing_is_ever_given_back(
    start_server: StartServer, server: TwistnotifyProcess, postgres: PostgresServer
) -> None:
    with RawClient(start_server().port) as client, RawClient(server.port) as other:
        backend = backend_of(client)
        backend_of(other)
        eventually(lambda: upstreams(postgres), lambda pids: pids == [backend])


# While the upstream is asked


@pytest.fixture
def asked(client: RawClient, postgres: PostgresServer) -> Iterator[Asked]:
    """A client whose upstream is held up at the question."""
    blocker = postgres.connect()
    run(blocker, HOLD_UP)
    client.query("LISTEN a")
    backend = backend_of(client)
    eventually(lambda: postgres.fetch(HELD_UP), lambda found: found == [(backend,)])
    yield Asked(client, backend, blocker.close)
    blocker.close()


def test_a_statement_that_comes_meanwhile_is_answered(asked: Asked, postgres: PostgresServer) -> None:
    asked.client.send(Query(b"SELECT 0 + pg_backend_pid()"), Query(b"NOTIFY a"), Query(b"SELECT 1"))
    asked.go_on()

    assert [len(row) for row in rows(asked.client.until_ready())] == [1]
    assert names(asked.client.until_ready()) == ["NOTIFY", "a: ", "ready I"]
    assert rows(asked.client.until_ready()) == [("1",)]
    wait_for_upstreams(postgres, 0)


def test_a_notification_that_comes_meanwhile_is_delivered(asked: Asked, postgres: PostgresServer) -> None:
    postgres.fetch("SELECT pg_notify('a', 'x')")

    assert names([asked.client.read()]) == ["a: x"]
    asked.go_on()
    wait_for_upstreams(postgres, 0)


def test_a_backend_that_is_terminated_meanwhile_ends_its_client(asked: Asked, postgres: PostgresServer) -> None:
    postgres.fetch("SELECT pg_terminate_backend(%s)", asked.backend)

    assert names(asked.client.until_end()) == ["FATAL 57P01"]


def test_a_client_that_leaves_meanwhile_leaves_nothing(asked: Asked, postgres: PostgresServer) -> None:
    asked.client.reset()
    asked.go_on()

    wait_for_upstreams(postgres, 0)


def test_whenever_a_statement_comes_it_is_answered(start_server: StartServer, postgres: PostgresServer) -> None:
    seed = random.randrange(2**32)
    print("seed:", seed)
    draw = random.Random(seed)
    server = start_server(1, {"postgres": f"{postgres.dsn()} relay_idle_timeout=0.001"})
    backends = set()
    with RawClient(server.port) as client, RawClient(server.port) as pace:
        for _ in range(ROUNDS):
            backends.add(backend_of(client))
            for _ in range(draw.randrange(12)):
                pace.query("SELECT 1")
    assert 1 < len(backends) < ROUNDS
