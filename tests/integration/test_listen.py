"""Who hears what: LISTEN, UNLISTEN, and the moment at which a notification comes."""

from __future__ import annotations

import pytest
from support.clients import END, hear, hear_until, heard, listen, run, wait_for_notifies
from support.postgres import PostgresServer
from support.process import TwistnotifyProcess
from support.raw import RawClient, names, notifications

from twistnotify.wire.extended_query import Flush, Parse, Sync


def test_listening_twice_delivers_once(server: TwistnotifyProcess) -> None:
    connection = listen(server.connect(), "twice", "twice")
    listen(connection, "twice")
    run(server.connect(), f"NOTIFY twice, 'x'; NOTIFY twice, '{END}'")
    assert hear_until(connection) == [("twice", "x")]


def test_unlisten_ends_one_channel(server: TwistnotifyProcess) -> None:
    connection = listen(server.connect(), "gone", "kept")
    run(connection, "UNLISTEN gone")
    run(server.connect(), f"NOTIFY gone, 'x'; NOTIFY kept, 'y'; NOTIFY kept, '{END}'")
    assert hear_until(connection) == [("kept", "y")]


@pytest.mark.parametrize("reset", ["UNLISTEN *", "DISCARD ALL"])
def test_all_channels_end_at_once(server: TwistnotifyProcess, reset: str) -> None:
    connection = listen(server.connect(), "a", "b", "c")
    run(connection, reset)
    listen(connection, "after")
    run(server.connect(), f"NOTIFY a; NOTIFY b; NOTIFY c; NOTIFY after, '{END}'")
    assert hear_until(connection) == []


def test_unlisten_concerns_nobody_else(server: TwistnotifyProcess) -> None:
    leaver, stayer = listen(server.connect(), "shared"), listen(server.connect(), "shared")
    run(leaver, "UNLISTEN *")
    run(leaver, "NOTIFY shared, 'x'")
    assert hear(stayer) == [("shared", "x")]
    assert heard(leaver) == []


def test_a_quoted_star_is_a_channel(server: TwistnotifyProcess) -> None:
    connection = listen(server.connect(), "*", "other")
    run(connection, 'UNLISTEN "*"')
    run(connection, f"NOTIFY \"*\", 'x'; NOTIFY other, '{END}'")
    assert hear_until(connection) == []


def test_own_notifications_come_before_ready_for_query(server: TwistnotifyProcess) -> None:
    with RawClient(server.port) as client:
        client.query("LISTEN own")
        for number in range(200):
            answer = client.query(f"NOTIFY own, '{number}'")
            assert names(answer) == ["NOTIFY", f"own: {number}", "ready I"]
            assert answer[1].pid == client.pid


def test_own_notifications_carry_the_own_pid(server: TwistnotifyProcess) -> None:
    connection, other = listen(server.connect(), "pid"), server.connect()
    run(connection, "NOTIFY pid, 'mine'")
    run(other, "NOTIFY pid, 'other''s'")
    run(connection, "SELECT 1")
    pids = [(notify.pid, notify.payload) for notify in connection.notifies]
    assert pids == [(connection.get_backend_pid(), "mine"), (other.get_backend_pid(), "other's")]
    assert run(connection, "SELECT pg_backend_pid()") == [(connection.get_backend_pid(),)]


def test_what_postgresql_sends_carries_the_pid_of_its_sender(
    server: TwistnotifyProcess, postgres: PostgresServer
) -> None:
    connection, direct = listen(server.connect(), "pid"), postgres.connect()
    run(direct, "NOTIFY pid, 'direct'")
    run(direct, "DO $$BEGIN PERFORM pg_notify('pid', 'from a block'); END$$")
    wait_for_notifies(connection, 2)
    assert [notify.pid for notify in connection.notifies] == [direct.get_backend_pid()] * 2


def test_a_notification_is_there_with_the_listeners_next_answer(server: TwistnotifyProcess) -> None:
    listener, sender = listen(server.connect(), "next"), server.connect()
    for number in range(200):
        run(sender, f"NOTIFY next, '{number}'")
        run(listener, "SELECT 1")
        assert heard(listener) == [("next", str(number))]


def test_listening_channels_are_told(server: TwistnotifyProcess) -> None:
    connection = listen(server.connect(), "one", "two")
    assert sorted(run(connection, "SELECT pg_listening_channels()")) == [("one",), ("two",)]


def test_a_listener_in_a_transaction_hears_after_its_end(server: TwistnotifyProcess, postgres: PostgresServer) -> None:
    # What another listener has heard already can only be held back for this one.
    witness = listen(server.connect(), "held")
    with RawClient(server.port) as client:
        client.query("LISTEN held")
        client.query("BEGIN")
        run(postgres.connect(), "NOTIFY held, '1'; NOTIFY held, '2'")
        assert len(hear(witness, 2)) == 2
        assert names(client.query("SELECT 1")) == ["RowDescription", "DataRow", "SELECT 1", "ready T"]
        assert names(client.query("ROLLBACK")) == ["ROLLBACK", "held: 1", "held: 2", "ready I"]


def test_a_listener_in_a_pipeline_hears_at_sync(server: TwistnotifyProcess) -> None:
    witness = listen(server.connect(), "held")
    with RawClient(server.port) as client:
        client.query("LISTEN held")
        client.send(Parse(b"", b"SELECT 1", ()), Flush())
        assert names([client.read()]) == ["ParseComplete"]
        run(server.connect(), "NOTIFY held, '1'")
        assert len(hear(witness)) == 1
        client.send(Parse(b"", b"SELECT 1", ()), Sync())
        assert names(client.until_ready()) == ["ParseComplete", "held: 1", "ready I"]


def test_a_client_that_unlistens_in_a_transaction_loses_what_it_was_not_given(
    server: TwistnotifyProcess,
) -> None:
    witness = listen(server.connect(), "held")
    with RawClient(server.port) as client:
        client.query("LISTEN held")
        client.query("BEGIN")
        run(server.connect(), "NOTIFY held, '1'")
        assert len(hear(witness)) == 1
        client.query("UNLISTEN held")
        assert notifications(client.query("COMMIT")) == []
