"""LISTEN, UNLISTEN and NOTIFY take effect at COMMIT, and not at all otherwise."""

from __future__ import annotations

import psycopg2
import psycopg2.errors
import pytest
from support.clients import END, hear, hear_until, heard, listen, run
from support.process import TwistnotifyProcess
from support.raw import RawClient, names, notifications

from twistnotify.wire.extended_query import Bind, Execute, Parse, Sync


def test_notify_is_heard_after_commit(server: TwistnotifyProcess) -> None:
    listener, sender, other = listen(server.connect(), "tx"), server.connect(), server.connect()
    run(sender, "BEGIN")
    run(sender, "NOTIFY tx, 'in the transaction'")
    run(other, "NOTIFY tx, 'before the commit'")
    assert hear(listener) == [("tx", "before the commit")]
    run(sender, "COMMIT")
    assert hear(listener) == [("tx", "in the transaction")]


@pytest.mark.parametrize("end", ["ROLLBACK", "ABORT", "ROLLBACK AND CHAIN"])
def test_nothing_remains_of_a_rollback(server: TwistnotifyProcess, end: str) -> None:
    listener = listen(server.connect(), "tx")
    client = listen(server.connect(), "before", "ctl")
    for sql in ("BEGIN", "NOTIFY tx, 'x'", "LISTEN tx", "UNLISTEN before", end, "ROLLBACK"):
        run(client, sql)
    run(server.connect(), f"NOTIFY tx, '{END}'; NOTIFY before, 'still'; NOTIFY ctl, '{END}'")
    assert hear_until(listener) == []
    assert hear_until(client) == [("before", "still")]


def test_nothing_remains_of_a_failed_transaction(server: TwistnotifyProcess) -> None:
    listener, client = listen(server.connect(), "tx"), server.connect()
    run(client, "BEGIN")
    run(client, "NOTIFY tx, 'x'")
    with pytest.raises(psycopg2.errors.SyntaxError):
        run(client, "NOTIFY")
    with pytest.raises(psycopg2.errors.InFailedSqlTransaction):
        run(client, "NOTIFY tx, 'y'")
    with RawClient(server.port) as raw:
        assert names(raw.query("BEGIN; NOTIFY tx, 'z'; SELECT nonsense")) == [
            "BEGIN",
            "NOTIFY",
            "ERROR 42703",
            "ready E",
        ]
        assert names(raw.query("COMMIT")) == ["ROLLBACK", "ready I"]
    run(client, "COMMIT")
    run(client, f"NOTIFY tx, '{END}'")
    assert hear_until(listener) == []


def test_savepoints_take_back_what_came_after_them(server: TwistnotifyProcess) -> None:
    listener, client = listen(server.connect(), "tx"), server.connect()
    for sql in (
        "BEGIN",
        "NOTIFY tx, '1'",
        "SAVEPOINT a",
        "NOTIFY tx, '2'",
        "LISTEN taken_back",
        "SAVEPOINT b",
        "NOTIFY tx, '3'",
        "ROLLBACK TO SAVEPOINT a",
        "NOTIFY tx, '4'",
        "SAVEPOINT c",
        "NOTIFY tx, '5'",
        "RELEASE SAVEPOINT c",
        "COMMIT",
    ):
        run(client, sql)
    run(client, f"NOTIFY taken_back; NOTIFY tx, '{END}'")
    assert hear_until(listener) == [("tx", "1"), ("tx", "4"), ("tx", "5")]
    assert heard(client) == []


def test_a_savepoint_heals_a_failed_transaction(server: TwistnotifyProcess) -> None:
    listener, client = listen(server.connect(), "tx"), server.connect()
    for sql in ("BEGIN", "NOTIFY tx, '1'", "SAVEPOINT a"):
        run(client, sql)
    with pytest.raises(psycopg2.errors.InvalidParameterValue):
        run(client, "SELECT pg_notify('', 'x')")
    for sql in ("ROLLBACK TO a", "NOTIFY tx, '2'", "COMMIT", f"NOTIFY tx, '{END}'"):
        run(client, sql)
    assert hear_until(listener) == [("tx", "1"), ("tx", "2")]


def test_listen_and_notify_in_one_transaction_hear_each_other(server: TwistnotifyProcess) -> None:
    for order in ("LISTEN pair; NOTIFY pair, 'x'", "NOTIFY pair, 'x'; LISTEN pair"):
        with RawClient(server.port) as client:
            client.query("BEGIN")
            assert notifications(client.query(order)) == []
            assert names(client.query("COMMIT")) == ["COMMIT", "pair: x", "ready I"]


def test_all_statements_of_a_query_run(server: TwistnotifyProcess) -> None:
    with RawClient(server.port) as client:
        answer = client.query("LISTEN m; NOTIFY m, '1'; SELECT pg_notify('m', '2'); NOTIFY m, '3'; UNLISTEN other;")
        assert names(answer) == [
            "LISTEN",
            "NOTIFY",
            "RowDescription",
            "DataRow",
            "SELECT 1",
            "NOTIFY",
            "UNLISTEN",
            "m: 1",
            "m: 2",
            "m: 3",
            "ready I",
        ]


def test_several_statements_are_one_transaction(server: TwistnotifyProcess) -> None:
    listener = listen(server.connect(), "m")
    with RawClient(server.port) as client:
        answer = client.query("NOTIFY m, 'x'; LISTEN m; SELECT pg_notify('', ''); NOTIFY m, 'y'")
        assert names(answer) == ["NOTIFY", "LISTEN", "RowDescription", "ERROR 22023", "ready I"]
        assert notifications(client.query(f"NOTIFY m, '{END}'")) == []
    assert hear_until(listener) == []


def test_an_error_in_a_pipeline_undoes_and_skips_up_to_sync(server: TwistnotifyProcess) -> None:
    with RawClient(server.port) as client:
        client.query("LISTEN p")
        client.send(
            *extended("NOTIFY p, 'undone'"),
            *extended("SELECT pg_notify('', '')"),
            *extended("NOTIFY p, 'skipped'"),
            Sync(),
            *extended("NOTIFY p, 'next'"),
            Sync(),
        )
        assert names(client.until_ready()) == [
            "ParseComplete",
            "BindComplete",
            "NOTIFY",
            "ParseComplete",
            "BindComplete",
            "ERROR 22023",
            "ready I",
        ]
        answer = client.until_ready()
        assert names(answer) == ["ParseComplete", "BindComplete", "NOTIFY", "p: next", "ready I"]


def extended(sql: str) -> tuple[Parse, Bind, Execute]:
    """Return the messages that run a statement in the extended protocol."""
    return Parse(b"", sql.encode(), ()), Bind(b"", b"", (), (), ()), Execute(b"", 0)


def test_identical_notifications_of_a_transaction_are_one(server: TwistnotifyProcess) -> None:
    listener, client = listen(server.connect(), "dup"), server.connect()
    run(client, "BEGIN; NOTIFY dup, 'x'; NOTIFY dup, 'x'; NOTIFY dup, 'y'; COMMIT")
    run(client, "NOTIFY dup, 'x'")
    run(client, f"NOTIFY dup, '{END}'")
    assert hear_until(listener) == [("dup", "x"), ("dup", "y"), ("dup", "x")]


def test_a_driver_that_opens_transactions_by_itself_works(server: TwistnotifyProcess) -> None:
    listener, client = listen(server.connect(), "auto"), server.connect()
    client.autocommit = False
    run(client, "NOTIFY auto, '1'")
    client.rollback()
    run(client, "NOTIFY auto, '2'")
    client.commit()
    run(client, "LISTEN auto")
    client.commit()
    client.autocommit = True
    run(client, f"NOTIFY auto, '{END}'")
    assert hear_until(listener) == [("auto", "2")]
    assert hear_until(client) == []


def test_a_do_block_of_listens_is_taken_apart(server: TwistnotifyProcess) -> None:
    with RawClient(server.port) as client:
        block = 'DO $$BEGIN LISTEN "public.oban_insert"; LISTEN "public.oban_signal"; END$$'
        assert names(client.query(block)) == ["DO", "ready I"]
        run(server.connect(), "SELECT pg_notify('public.oban_signal', 'x')")
        assert names([client.read()]) == ["public.oban_signal: x"]
        assert names(client.query('DO $$BEGIN UNLISTEN "public.oban_signal"; END$$')) == ["DO", "ready I"]
        answer = client.query("NOTIFY \"public.oban_signal\", 'y'; NOTIFY \"public.oban_insert\", 'z'")
        assert notifications(answer) == [("public.oban_insert", "z")]
