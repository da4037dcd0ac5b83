"""LISTEN, UNLISTEN and NOTIFY belong to the transaction of all other SQL that a client runs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.clients import END, hear, hear_until, listen, run
from support.postgres import PostgresServer
from support.process import TwistnotifyProcess
from support.raw import RawClient, names
from support.relaying import backend_of, rows, senders

from twistnotify.wire.catalog import BackendMessage
from twistnotify.wire.copying import CopyData, CopyDone
from twistnotify.wire.errors import ErrorResponse, NoticeResponse
from twistnotify.wire.extended_query import Bind, Execute, Parse, Sync
from twistnotify.wire.simple_query import Query

SCHEMA = """
DROP TABLE IF EXISTS jobs, told;
CREATE TABLE jobs (id int UNIQUE DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE told (payload text);
CREATE OR REPLACE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS
  $$BEGIN PERFORM pg_notify('told', NEW.payload); RETURN NEW; END$$;
CREATE TRIGGER tell AFTER INSERT ON told FOR EACH ROW EXECUTE FUNCTION tell();
CREATE OR REPLACE FUNCTION listen_to(channel text) RETURNS void LANGUAGE plpgsql AS
  $$BEGIN EXECUTE format('LISTEN %I', channel); END$$;
"""
COUNT_JOBS = "SELECT count(*) FROM jobs"
LISTENING = "SELECT * FROM pg_listening_channels()"


@pytest.fixture
def client(server: TwistnotifyProcess, postgres: PostgresServer) -> Iterator[RawClient]:
    """An attached client, and empty tables."""
    run(postgres.connect(), SCHEMA)
    with RawClient(server.port) as raw:
        backend_of(raw)
        yield raw


@pytest.fixture
def direct(client: RawClient, postgres: PostgresServer) -> Iterator[RawClient]:
    """A client of PostgreSQL itself, to compare with."""
    with RawClient(postgres.port) as raw:
        yield raw


def hears_nothing(client: RawClient, listener: object, channel: str) -> bool:
    """Tell whether a listener has not heard what a client may have sent before."""
    client.query(f"NOTIFY {channel}, '{END}'")
    return hear_until(listener) == []


def test_a_row_and_its_notification_are_committed_together(server: TwistnotifyProcess, client: RawClient) -> None:
    listener = listen(server.connect(), "news")
    client.query("BEGIN")
    client.query("INSERT INTO jobs VALUES (1)")
    client.query("NOTIFY news, 'job 1'")
    assert run(listener, COUNT_JOBS) == [(0,)]
    assert listener.notifies == []
    client.query("COMMIT")
    assert hear(listener) == [("news", "job 1")]
    assert run(listener, COUNT_JOBS) == [(1,)]


@pytest.mark.parametrize("how", ["ROLLBACK", "ROLLBACK TO before", "SELECT 1/0"])
def test_a_notification_is_rolled_back_with_its_row(server: TwistnotifyProcess, client: RawClient, how: str) -> None:
    listener = listen(server.connect(), "news")
    for sql in ("BEGIN", "SAVEPOINT before", "INSERT INTO jobs VALUES (1)", "NOTIFY news, 'never'", how, "COMMIT"):
        client.query(sql)
    assert hears_nothing(client, listener, "news")
    assert rows(client.query(COUNT_JOBS)) == [("0",)]


def test_a_query_string_is_one_transaction(server: TwistnotifyProcess, client: RawClient) -> None:
    listener = listen(server.connect(), "news")
    answer = client.query("LISTEN own; INSERT INTO jobs VALUES (1); NOTIFY news, 'never'; SELECT 1/0; SELECT 2")
    assert names(answer) == ["LISTEN", "INSERT 0 1", "NOTIFY", "ERROR 22012", "ready I"]
    assert hears_nothing(client, listener, "news")
    assert rows(client.query(LISTENING)) == []
    answer = client.query("LISTEN own; INSERT INTO jobs VALUES (1); NOTIFY own, 'x'")
    assert names(answer) == ["LISTEN", "INSERT 0 1", "NOTIFY", "own: x", "ready I"]


@pytest.mark.parametrize("statement", ["NOTIFY own, 'x'", "SELECT pg_notify('own', 'x')"])
def test_ones_own_notification_comes_before_ready_and_with_ones_own_pid(client: RawClient, statement: str) -> None:
    client.query("LISTEN own")
    for sql in ((statement,), ("BEGIN", "INSERT INTO jobs VALUES (1)", statement, "COMMIT")):
        answer = [message for part in sql for message in client.query(part)]
        assert names(answer)[-2:] == ["own: x", "ready I"]
        assert senders(answer) == [client.pid]


def test_what_a_trigger_notifies_comes_before_ready_and_with_ones_own_pid(client: RawClient) -> None:
    client.query("LISTEN told")
    answer = client.query("INSERT INTO told VALUES ('1'), ('2')")
    assert names(answer) == ["INSERT 0 2", "told: 1", "told: 2", "ready I"]
    assert senders(answer) == [client.pid] * 2


def test_what_a_trigger_notifies_in_copy_comes_before_ready(client: RawClient) -> None:
    client.query("LISTEN told")
    client.send(Query(b"COPY told FROM STDIN"), CopyData(b"1\n2\n"), CopyDone())
    assert names(client.until_ready()) == ["CopyInResponse", "COPY 2", "told: 1", "told: 2", "ready I"]


def test_listen_and_notify_of_one_transaction_hear_each_other(client: RawClient) -> None:
    for number in range(200):
        channel = f"self{number}"
        client.query("BEGIN")
        client.query(f"LISTEN {channel}")
        client.query("SELECT count(*) FROM jobs")
        client.query(f"NOTIFY {channel}, 'x'")
        assert names(client.query("COMMIT")) == ["COMMIT", f"{channel}: x", "ready I"]
        client.query(f"UNLISTEN {channel}")


@pytest.mark.parametrize("statement", ["NOTIFY own, 'x'", "INSERT INTO jobs VALUES (1); NOTIFY own, 'x'"])
def test_listen_of_an_open_transaction_hears_nothing_yet(client: RawClient, statement: str) -> None:
    client.query("BEGIN")
    client.query("LISTEN own")
    assert "own: x" not in names(client.query(statement))
    assert names(client.query("ROLLBACK")) == ["ROLLBACK", "ready I"]
    assert rows(client.query(LISTENING)) == []
    assert "own: x" not in names(client.query("NOTIFY own, 'x'"))


def test_commit_of_a_failed_transaction_discards_what_it_gathered(
    server: TwistnotifyProcess, client: RawClient
) -> None:
    listener = listen(server.connect(), "news")
    client.query("LISTEN before")
    for sql in ("BEGIN", "LISTEN own", "UNLISTEN before", "NOTIFY news, 'never'", "SELECT 1/0"):
        client.query(sql)
    assert names(client.query("LISTEN late")) == ["ERROR 25P02", "ready E"]
    assert names(client.query("COMMIT")) == ["ROLLBACK", "ready I"]
    assert rows(client.query(LISTENING)) == [("before",)]
    assert hears_nothing(client, listener, "news")
    assert names(client.query("NOTIFY before, 'x'")) == ["NOTIFY", "before: x", "ready I"]


def test_a_commit_that_fails_discards_what_was_gathered(server: TwistnotifyProcess, client: RawClient) -> None:
    listener = listen(server.connect(), "news")
    for sql in ("BEGIN", "LISTEN own", "INSERT INTO jobs VALUES (1), (1)", "NOTIFY news, 'never'; NOTIFY own"):
        assert error_free(client.query(sql))
    assert names(client.query("COMMIT")) == ["ERROR 23505", "ready I"]
    assert rows(client.query(LISTENING)) == []
    assert hears_nothing(client, listener, "news")
    assert names(client.query("NOTIFY own, 'x'")) == ["NOTIFY", "ready I"]


def error_free(answer: list[BackendMessage]) -> bool:
    """Tell whether an answer has no error."""
    return not any(name.startswith("ERROR") for name in names(answer))


@pytest.mark.parametrize(
    "sql",
    [
        "LISTEN own; INSERT INTO jobs VALUES (1), (1); NOTIFY own",
        "LISTEN own; NOTIFY own; INSERT INTO jobs VALUES (1), (1)",
    ],
)
def test_an_implicit_commit_that_fails_discards_what_was_gathered(client: RawClient, sql: str) -> None:
    answer = names(client.query(sql))
    assert answer[-2:] == ["ERROR 23505", "ready I"]
    assert rows(client.query(LISTENING)) == []
    for statement in sql.split("; "):
        client.send(Parse(b"", statement.encode(), ()), Bind(b"", b"", (), (), ()), Execute(b"", 0))
    client.send(Sync())
    assert names(client.until_ready())[-2:] == ["ERROR 23505", "ready I"]
    assert rows(client.query(LISTENING)) == []


def test_a_pipeline_is_one_transaction(client: RawClient) -> None:
    for statement in ("LISTEN own", "INSERT INTO jobs VALUES (1)", "NOTIFY own, 'x'"):
        client.send(Parse(b"", statement.encode(), ()), Bind(b"", b"", (), (), ()), Execute(b"", 0))
    client.send(Sync())
    parsed = ["ParseComplete", "BindComplete"]
    expected = [*parsed, "LISTEN", *parsed, "INSERT 0 1", *parsed, "NOTIFY", "own: x", "ready I"]
    assert names(client.until_ready()) == expected


def test_an_error_in_a_pipeline_discards_what_was_before_and_skips_what_is_behind(
    server: TwistnotifyProcess, client: RawClient
) -> None:
    listener = listen(server.connect(), "news")
    for statement in ("LISTEN own", "NOTIFY news, 'never'", "SELECT 1/0", "LISTEN behind", "NOTIFY news, 'nor this'"):
        client.send(Parse(b"", statement.encode(), ()), Bind(b"", b"", (), (), ()), Execute(b"", 0))
    client.send(Sync())
    assert names(client.until_ready())[-2:] == ["ERROR 22012", "ready I"]
    assert rows(client.query(LISTENING)) == []
    assert hears_nothing(client, listener, "news")


def test_prepared_statements_of_before_and_after_the_attachment_are_alike(server: TwistnotifyProcess) -> None:
    with RawClient(server.port) as client:
        client.send(Parse(b"l", b"LISTEN own", ()), Parse(b"n", b"SELECT pg_notify('own', $1)", ()), Sync())
        client.until_ready()
        runs = (Bind(b"", b"l", (), (), ()), Execute(b"", 0), Bind(b"", b"n", (), (b"x",), ()), Execute(b"", 0), Sync())
        client.send(*runs)
        before = names(client.until_ready())
        assert before == ["BindComplete", "LISTEN", "BindComplete", "DataRow", "SELECT 1", "own: x", "ready I"]
        backend_of(client)
        client.query("UNLISTEN *")
        client.send(*runs)
        assert names(client.until_ready()) == before


def test_unlisten_takes_effect_with_its_transaction(client: RawClient) -> None:
    client.query("LISTEN a; LISTEN b; LISTEN c")
    client.query("BEGIN; UNLISTEN a; SELECT count(*) FROM jobs; ROLLBACK")
    assert rows(client.query(LISTENING)) == [("a",), ("b",), ("c",)]
    client.query("BEGIN; UNLISTEN a; SELECT count(*) FROM jobs; COMMIT")
    assert rows(client.query(LISTENING)) == [("b",), ("c",)]
    client.query("UNLISTEN *; LISTEN d")
    assert rows(client.query(LISTENING)) == [("d",)]
    assert names(client.query("NOTIFY b; NOTIFY d")) == ["NOTIFY", "NOTIFY", "d: ", "ready I"]


def test_discard_all_ends_every_listen_and_all_state(client: RawClient) -> None:
    client.query("LISTEN a; SET lock_timeout = '1s'")
    client.query("PREPARE p AS SELECT 2")
    assert names(client.query("DISCARD ALL")) == ["DISCARD ALL", "ready I"]
    assert rows(client.query(LISTENING)) == []
    assert names(client.query("NOTIFY a")) == ["NOTIFY", "ready I"]
    assert rows(client.query("SHOW lock_timeout")) == [("0",)]
    assert names(client.query("EXECUTE p")) == ["ERROR 26000", "ready I"]


def test_savepoints_hold_back_what_they_undo(client: RawClient) -> None:
    for sql in ("BEGIN", "LISTEN a", "SAVEPOINT s", "LISTEN b", "NOTIFY a, 'undone'", "ROLLBACK TO s", "NOTIFY a, 'x'"):
        client.query(sql)
    client.query("SAVEPOINT t; LISTEN c; RELEASE t")
    assert names(client.query("COMMIT")) == ["COMMIT", "a: x", "ready I"]
    assert rows(client.query(LISTENING)) == [("a",), ("c",)]


def test_commit_and_chain_delivers_at_the_end_of_the_chain(client: RawClient) -> None:
    for sql in ("BEGIN", "LISTEN a", "INSERT INTO jobs VALUES (1)", "NOTIFY a, '1'"):
        client.query(sql)
    assert names(client.query("COMMIT AND CHAIN")) == ["COMMIT", "ready T"]
    client.query("NOTIFY a, 'never'")
    assert names(client.query("ROLLBACK")) == ["ROLLBACK", "a: 1", "ready I"]


def test_a_listen_hidden_in_a_function_is_postgresqls(
    server: TwistnotifyProcess, client: RawClient, postgres: PostgresServer
) -> None:
    client.query("SELECT listen_to('hidden')")
    run(postgres.connect(), "NOTIFY hidden, '1'")
    assert names([client.read()]) == ["hidden: 1"]
    run(server.connect(), "NOTIFY hidden, '2'")
    assert names([client.read()]) == ["hidden: 2"]
    # Heard by both ways, and told once.
    client.query("LISTEN hidden")
    assert names(client.query("NOTIFY hidden, '3'")) == ["NOTIFY", "hidden: 3", "ready I"]
    run(postgres.connect(), "NOTIFY hidden, '4'")
    assert names([client.read()]) == ["hidden: 4"]
    assert names(client.query("SELECT count(*) FROM jobs"))[-1] == "ready I"


@pytest.mark.parametrize(
    "sql",
    [
        "LISTEN a; SELECT nonsense",
        "SELECT nonsense; LISTEN a",
        "NOTIFY a, 'x'; SELECT nonsense",
        "LISTEN a; SELECT pg_backend_pid(); SELECT nonsense",
        "/* é */ LISTEN \"é\"; NOTIFY \"é\", 'é'; SELECT 'é', nonsense",
        "SHOW twistnotify.nonsense; LISTEN a",
        "LISTEN; SELECT 2",
        "LISTEN a, b; SELECT count(*) FROM pg_class WHERE oid = 0",
        "BEGIN; LISTEN a; SELECT 1/0",
        "LISTEN a; COMMIT; SELECT count(*) FROM pg_class WHERE oid = 0; SELECT 1/0",
        "BEGIN; COMMIT; LISTEN a; VACUUM",
        "NOTIFY a, 'x'; VACUUM",
        f"LISTEN {'n' * 70}; SELECT count(*) FROM pg_class WHERE oid = 0",
        f"NOTIFY a, '{'x' * 8000}'; SELECT count(*) FROM pg_class WHERE oid = 0",
        "SELECT pg_notify('', ''); SELECT count(*) FROM pg_class WHERE oid = 0",
        "BEGIN; NOTIFY a; PREPARE TRANSACTION 'p'",
        "UNLISTEN a; UNLISTEN *; NOTIFY a; SELECT nonsense",
        "LISTEN a;;; ; SELECT nonsense",
        "DO $$BEGIN LISTEN a; RAISE EXCEPTION 'told'; END$$; SELECT 2",
    ],
    ids=lambda sql: sql[:50],
)
def test_strings_of_statements_are_answered_as_by_postgresql(client: RawClient, direct: RawClient, sql: str) -> None:
    ours, theirs = client.query(sql), direct.query(sql)
    assert names(ours) == names(theirs)
    assert [_told(message) for message in ours] == [_told(message) for message in theirs]


def _told(message: object) -> object:
    """Return what an error or a notice says, but for where in PostgreSQL's source it was said."""
    if not isinstance(message, ErrorResponse | NoticeResponse):
        return None
    fields = message.fields
    return fields.severity, fields.sqlstate, fields.message, fields.detail, fields.hint, fields.position
