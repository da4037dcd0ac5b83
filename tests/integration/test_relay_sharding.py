"""A database on several shards, one of which the relay reaches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from support.clients import END, hear, hear_until, listen, run
from support.configuration import config_for
from support.fixtures import StartServer
from support.postgres import PostgresServer
from support.process import TwistnotifyProcess
from support.raw import RawClient, error_of, names, notifications
from support.relaying import backend_of, rows, senders

from twistnotify.pubsub.routing import Router
from twistnotify.wire.extended_query import Bind, Execute, Parse, Sync

SHARDS = 3
NAMES = ",".join(f"app{number}" for number in range(SHARDS))
CHANNELS = [f"channel{number}" for number in range(20)]
NEAR, FAR, FARTHER = (
    next(name for name in CHANNELS if Router(SHARDS).shard(name) == number) for number in range(SHARDS)
)
"""A channel of the shard that the relay reaches, app0, and of each other one."""
INSERT = "INSERT INTO jobs VALUES (1)"


@pytest.fixture(scope="module")
def server_of_module(
    postgres_of_session: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TwistnotifyProcess]:
    """A server whose relay reaches the first of the shards."""
    postgres = postgres_of_session
    for number in range(SHARDS):
        postgres.create_database(f"app{number}")
    config = config_for(postgres, SHARDS, {"app": f"{postgres.dsn('app0')} shards={NAMES}"})
    process = TwistnotifyProcess(config, tmp_path_factory.mktemp("server"))
    process.start()
    process.wait_until_up(SHARDS)
    yield process
    process.stop()


@pytest.fixture(autouse=True)
def _empty_table(postgres: PostgresServer) -> None:
    """Make an empty table where the relay is."""
    run(postgres.connect("app0"), "DROP TABLE IF EXISTS jobs; CREATE TABLE jobs (id int)")


@pytest.fixture
def client(server: TwistnotifyProcess) -> Iterator[RawClient]:
    """An attached client."""
    with RawClient(server.port, "app") as raw:
        backend_of(raw)
        yield raw


@pytest.fixture
def listener(server: TwistnotifyProcess) -> Any:
    """Who listens to a channel of each shard."""
    return listen(server.connect("app"), NEAR, FAR, FARTHER)


def hear_all(listener: Any, server: TwistnotifyProcess) -> set[tuple[str, str]]:
    """Return what has been notified on all shards."""
    heard = set()
    for channel in (NEAR, FAR, FARTHER):
        run(server.connect("app"), f"NOTIFY {channel}, '{END} of {channel}'")
        heard.update(hear_until(listener, f"{END} of {channel}"))
    return {(channel, payload) for channel, payload in heard if not payload.startswith(END)}


def call_notify(client: RawClient, channel: str, payload: str) -> list[str]:
    """Call pg_notify() with parameters."""
    bind = Bind(b"", b"", (), (channel.encode(), payload.encode()), ())
    client.send(Parse(b"", b"SELECT pg_notify($1, $2)", (25, 25)), bind, Execute(b"", 0), Sync())
    return names(client.until_ready())


def test_the_relay_reaches_its_shard_and_no_other(client: RawClient) -> None:
    assert rows(client.query("SELECT current_database()")) == [("app0",)]


@pytest.mark.parametrize("channel", [NEAR, FAR, FARTHER], ids=["near", "far", "farther"])
@pytest.mark.parametrize(
    "statement", ["NOTIFY {}, 'x'", "SELECT pg_notify('{}', 'x')", "DO $$BEGIN NOTIFY {}, 'x'; END$$"]
)
def test_a_notification_comes_with_the_commit_on_whatever_shard(
    client: RawClient, postgres: PostgresServer, statement: str, channel: str
) -> None:
    client.query(f"LISTEN {channel}")
    for sql in ("BEGIN", INSERT, statement.format(channel)):
        assert notifications(client.query(sql)) == []
    assert rows(client.query("SELECT count(*) FROM jobs")) == [("1",)]
    answer = client.query("COMMIT")
    assert names(answer) == ["COMMIT", f"{channel}: x", "ready I"]
    assert senders(answer) == [client.pid]


def test_each_notification_is_sent_on_its_own_shard_only(client: RawClient, postgres: PostgresServer) -> None:
    directs = [listen(postgres.connect(f"app{number}"), NEAR, FAR, FARTHER) for number in range(SHARDS)]
    client.query(f"BEGIN; {INSERT}; NOTIFY {NEAR}, '0'; NOTIFY {FAR}, '1'; NOTIFY {FARTHER}, '2'; COMMIT")
    for number, (direct, channel) in enumerate(zip(directs, (NEAR, FAR, FARTHER), strict=True)):
        assert hear(direct) == [(channel, str(number))]
        run(direct, f"NOTIFY {channel}, '{END}'")
        assert hear_until(direct) == []


@pytest.mark.parametrize("how", ["ROLLBACK", "ROLLBACK TO s", "SELECT 1/0", "lost"])
def test_what_is_rolled_back_is_notified_on_no_shard(
    server: TwistnotifyProcess, client: RawClient, listener: Any, how: str
) -> None:
    client.query(f"BEGIN; SAVEPOINT s; {INSERT}")
    for channel in (NEAR, FAR, FARTHER):
        client.query(f"NOTIFY {channel}, 'never'")
        client.query(f"SELECT pg_notify('{channel}', 'nor this')")
        call_notify(client, channel, "nor that")
    if how == "lost":
        client.reset()
    else:
        client.query(how)
        client.query("COMMIT")
    assert hear_all(listener, server) == set()


def test_a_commit_that_fails_notifies_on_no_shard(
    server: TwistnotifyProcess, client: RawClient, listener: Any, postgres: PostgresServer
) -> None:
    run(postgres.connect("app0"), "ALTER TABLE jobs ADD UNIQUE (id) DEFERRABLE INITIALLY DEFERRED")
    client.query(f"BEGIN; {INSERT}; {INSERT}; NOTIFY {FAR}, 'never'; NOTIFY {NEAR}, 'never'")
    assert names(client.query("COMMIT")) == ["ERROR 23505", "ready I"]
    assert hear_all(listener, server) == set()


@pytest.mark.parametrize("channel", [NEAR, FAR], ids=["near", "far"])
def test_pg_notify_with_parameters_finds_its_shard(client: RawClient, channel: str) -> None:
    client.query(f"LISTEN {channel}")
    assert call_notify(client, channel, "é") == [
        "ParseComplete",
        "BindComplete",
        "DataRow",
        "SELECT 1",
        f"{channel}: é",
        "ready I",
    ]
    client.query("BEGIN")
    assert f"{channel}: 2" not in call_notify(client, channel, "2")
    assert names(client.query("COMMIT")) == ["COMMIT", f"{channel}: 2", "ready I"]


@pytest.mark.parametrize("channel", [NEAR, FAR], ids=["near", "far"])
def test_what_was_notified_before_the_attachment_is_sent_once(server: TwistnotifyProcess, channel: str) -> None:
    with RawClient(server.port, "app") as client:
        client.query(f"LISTEN {channel}")
        for sql in ("BEGIN", f"NOTIFY {channel}, '1'", "SAVEPOINT s", f"NOTIFY {channel}, '2'", INSERT):
            client.query(sql)
        call_notify(client, channel, "1")
        client.query("ROLLBACK TO s")
        call_notify(client, channel, "2")
        call_notify(client, channel, "3")
        answer = names(client.query("COMMIT"))
        assert answer == ["COMMIT", f"{channel}: 1", f"{channel}: 2", f"{channel}: 3", "ready I"]


@pytest.mark.parametrize(
    ("channel", "payload", "message"),
    [
        ("", "x", "channel name cannot be empty"),
        ("c" * 64, "x", "channel name too long"),
        (FAR, "x" * 8000, "payload string too long"),
    ],
    ids=["no channel", "a long channel", "a long payload"],
)
def test_what_pg_notify_refuses_is_refused_for_every_shard(
    client: RawClient, channel: str, payload: str, message: str
) -> None:
    bind = Bind(b"", b"", (), (channel.encode(), payload.encode()), ())
    client.send(Parse(b"", b"SELECT pg_notify($1, $2)", (25, 25)), bind, Execute(b"", 0), Sync())
    error = error_of(client.until_ready())
    assert (error.sqlstate, error.message) == ("22023", message)
    error = error_of(client.query(f"SELECT pg_notify('{channel}', '{payload}')"))
    assert (error.sqlstate, error.message) == ("22023", message)


def test_a_function_notifies_on_the_shard_of_the_relay(client: RawClient, postgres: PostgresServer) -> None:
    direct = listen(postgres.connect("app0"), FAR)
    client.query(f"SELECT count(pg_notify('{FAR}', n::text)) FROM generate_series(1, 2) AS n")
    assert hear(direct, 2) == [(FAR, "1"), (FAR, "2")]


def test_listening_to_several_shards_in_one_transaction(client: RawClient) -> None:
    client.query("BEGIN")
    client.query(f"LISTEN {NEAR}; LISTEN {FAR}; {INSERT}")
    client.query(f"NOTIFY {FAR}, 'x'; NOTIFY {NEAR}, 'x'")
    assert sorted(names(client.query("COMMIT"))[1:-1]) == sorted([f"{NEAR}: x", f"{FAR}: x"])
    client.query("BEGIN")
    client.query(f"UNLISTEN {FAR}")
    client.query("ROLLBACK")
    assert rows(client.query("SELECT * FROM pg_listening_channels()")) == [(NEAR,), (FAR,)]


def test_relay_shard_says_which_shard_an_address_is(start_server: StartServer, postgres: PostgresServer) -> None:
    elsewhere = postgres.dsn("app0").replace("127.0.0.1", "localhost")
    for relay_shard, channel in (("", FAR), ("relay_shard=app0", NEAR)):
        server = start_server(SHARDS, {"app": f"{elsewhere} shards={NAMES} {relay_shard}"})
        with RawClient(server.port, "app") as client:
            client.query(f"LISTEN {channel}")
            answer = names(client.query(f"BEGIN; CREATE TEMP TABLE t (id int); NOTIFY {channel}, 'x'; COMMIT"))
            assert answer[-2:] == [f"{channel}: x", "ready I"]


def test_what_the_relay_cannot_reach_is_notified_at_commit(start_server: StartServer, postgres: PostgresServer) -> None:
    # The relay's database is none of the shards: nothing that is notified there is heard.
    server = start_server(SHARDS, {"app": f"{postgres.dsn()} shards={NAMES}"})
    with RawClient(server.port, "app") as client:
        assert rows(client.query("SELECT current_database()")) == [("postgres",)]
        client.query(f"LISTEN {NEAR}")
        client.query(f"BEGIN; NOTIFY {NEAR}, 'never'; CREATE TEMP TABLE t (id int); ROLLBACK")
        answer = client.query(f"BEGIN; NOTIFY {NEAR}, 'x'; CREATE TEMP TABLE t (id int); COMMIT")
        assert names(answer)[-2:] == [f"{NEAR}: x", "ready I"]


def test_shards_without_an_address_relay_nothing(sharded_server: TwistnotifyProcess) -> None:
    with RawClient(sharded_server.port, "app") as client:
        assert names(client.query("SELECT current_database()")) == ["ERROR 0A000", "ready I"]
        client.query(f"LISTEN {FAR}")
        assert names(client.query(f"NOTIFY {FAR}, 'x'")) == ["NOTIFY", f"{FAR}: x", "ready I"]
