"""What was committed at PostgreSQL before a listener asks is heard before it is answered."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.clients import run
from support.fixtures import StartServer
from support.postgres import PostgresServer
from support.process import TwistnotifyProcess
from support.raw import RawClient, names
from support.relaying import backend_of, rows

from twistnotify.wire.simple_query import Query

ROUNDS = 200
OTHER_SQL = "SELECT count(*) FROM pg_class WHERE oid = 0"


@pytest.fixture
def notifier(server: TwistnotifyProcess) -> Iterator[RawClient]:
    """An attached client."""
    with RawClient(server.port) as client:
        backend_of(client)
        yield client


@pytest.fixture
def listener(server: TwistnotifyProcess) -> Iterator[RawClient]:
    """A client that is not attached."""
    with RawClient(server.port) as client:
        yield client


def answer_of(client: RawClient, sql: str) -> list[str]:
    """Return the answer to a query, without its rows."""
    return [name for name in names(client.query(sql)) if name not in ("RowDescription", "DataRow")]


@pytest.fixture(params=[False, True], ids=["detached", "attached"])
def either(request: pytest.FixtureRequest, listener: RawClient) -> RawClient:
    """A client that is not attached, and one that is."""
    if request.param:
        backend_of(listener)
    return listener


@pytest.mark.parametrize("notify", ["NOTIFY news, '{}'", f"BEGIN; {OTHER_SQL}; NOTIFY news, '{{}}'; COMMIT"])
@pytest.mark.parametrize("ask", ["UNLISTEN nothing", "SELECT 1"])
def test_a_listener_hears_what_was_committed_before_its_command(
    notifier: RawClient, either: RawClient, notify: str, ask: str
) -> None:
    either.query("LISTEN news")
    for number in range(ROUNDS):
        notifier.query(notify.format(number))
        assert names(either.query(ask)).count(f"news: {number}") == 1


def test_a_listener_hears_what_a_trigger_notified_before_its_command(
    notifier: RawClient, either: RawClient, postgres: PostgresServer
) -> None:
    create_trigger(postgres)
    either.query("LISTEN fired")
    for number in range(ROUNDS):
        notifier.query(f"INSERT INTO firing VALUES ({number})")
        assert names(either.query("SELECT 1")).count(f"fired: {number}") == 1


def test_a_listener_hears_what_a_client_without_a_backend_notified_before_its_command(
    server: TwistnotifyProcess, either: RawClient
) -> None:
    either.query("LISTEN news")
    with RawClient(server.port) as publisher:
        for number in range(ROUNDS):
            publisher.query(f"NOTIFY news, '{number}'")
            assert names(either.query("SELECT 1")).count(f"news: {number}") == 1


def test_an_attached_listener_hears_its_own_trigger_before_ready(notifier: RawClient, postgres: PostgresServer) -> None:
    create_trigger(postgres)
    notifier.query("LISTEN fired")
    for number in range(ROUNDS):
        insertion = f"INSERT INTO firing VALUES ({number})"
        assert names(notifier.query(insertion)) == ["INSERT 0 1", f"fired: {number}", "ready I"]


def create_trigger(postgres: PostgresServer) -> None:
    """Create a table whose rows are notified."""
    run(
        postgres.connect(),
        """
        DROP TABLE IF EXISTS firing;
        CREATE TABLE firing (payload text);
        CREATE OR REPLACE FUNCTION fire() RETURNS trigger LANGUAGE plpgsql AS
          $$BEGIN PERFORM pg_notify('fired', NEW.payload); RETURN NEW; END$$;
        CREATE TRIGGER fire AFTER INSERT ON firing FOR EACH ROW EXECUTE FUNCTION fire();
        """,
    )


@pytest.mark.parametrize("notify", ["NOTIFY {0}, 'x'", f"{OTHER_SQL}; SELECT pg_notify('{{0}}', 'x')"])
def test_a_notify_of_an_attached_client_overtakes_nobodys_listen(
    notifier: RawClient, listener: RawClient, notify: str
) -> None:
    for number in range(ROUNDS):
        channel = f"fresh{number}"
        assert names(listener.query(f"LISTEN {channel}")) == ["LISTEN", "ready I"]
        notifier.query(notify.format(channel))
        assert names([listener.read()]) == [f"{channel}: x"]


def test_a_transaction_that_listens_and_notifies_hears_itself(listener: RawClient) -> None:
    for number in range(ROUNDS):
        channel = f"itself{number}"
        for sql in ("BEGIN", f"LISTEN {channel}", f"NOTIFY {channel}, 'x'"):
            listener.query(sql)
        if number == ROUNDS // 2:
            backend_of(listener)
        assert names(listener.query("COMMIT")) == ["COMMIT", f"{channel}: x", "ready I"]


def test_the_notifications_of_a_client_stay_in_order_when_it_attaches(server: TwistnotifyProcess) -> None:
    with RawClient(server.port) as listener:
        listener.query("LISTEN steps")
        for _ in range(50):
            with RawClient(server.port) as client:
                statements = ["NOTIFY steps, '1'", "NOTIFY steps, '2'", OTHER_SQL, "NOTIFY steps, '3'", OTHER_SQL]
                client.send(*[Query(sql.encode()) for sql in (*statements, "BEGIN; NOTIFY steps, '4'; COMMIT")])
                assert names(listener.read() for _ in range(4)) == [f"steps: {number}" for number in (1, 2, 3, 4)]


def test_notifications_of_one_transaction_keep_their_order_and_come_once(
    notifier: RawClient, listener: RawClient
) -> None:
    listener.query("LISTEN a; LISTEN b")
    notifier.query("BEGIN")
    for number in range(1000):
        notifier.query(f"NOTIFY {'ab'[number % 2]}, '{number // 2 % 300}'")
    notifier.query("COMMIT")
    expected = [f"{'ab'[number % 2]}: {number // 2}" for number in range(600)]
    assert names(listener.read() for _ in expected) == expected
    assert answer_of(listener, "SELECT 1") == ["SELECT 1", "ready I"]


def test_nothing_is_delivered_inside_a_transaction(notifier: RawClient, listener: RawClient) -> None:
    listener.query("LISTEN news")
    listener.query("BEGIN")
    backend_of(listener)
    notifier.query("NOTIFY news, 'x'")
    assert answer_of(listener, OTHER_SQL) == ["SELECT 1", "ready T"]
    assert names(listener.query("SELECT nonsense")) == ["ERROR 42703", "ready E"]
    assert names(listener.query("ROLLBACK")) == ["ROLLBACK", "news: x", "ready I"]


def test_an_idle_attached_listener_hears_at_once(notifier: RawClient, listener: RawClient) -> None:
    listener.query("LISTEN news")
    backend_of(listener)
    notifier.query("NOTIFY news, 'x'")
    assert names([listener.read()]) == ["news: x"]


def test_without_a_fence_everything_is_still_heard(start_server: StartServer) -> None:
    server = start_server(fence_timeout=0)
    with RawClient(server.port) as listener, RawClient(server.port) as notifier:
        listener.query("LISTEN news")
        # What PostgreSQL has not carried out yet, a NOTIFY that is relayed may overtake.
        assert "news: in effect" in names([*listener.query("NOTIFY news, 'in effect'"), listener.read()])
        backend_of(listener)
        for number in range(50):
            notifier.query(f"BEGIN; {OTHER_SQL}; NOTIFY news, '{number}'; COMMIT")
        assert names(listener.read() for _ in range(50)) == [f"news: {number}" for number in range(50)]
        assert rows(listener.query(OTHER_SQL)) == [("0",)]
