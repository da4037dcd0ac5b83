"""PostgreSQL is away for a while: what was accepted meanwhile arrives, in order, once."""

from __future__ import annotations

import select

import pytest
from support.clients import END, hear, hear_until, listen, run
from support.fixtures import StartServer
from support.postgres import PostgresServer
from support.process import TwistnotifyProcess
from support.raw import RawClient, error_of, names

from twistnotify.wire.simple_query import Query

QUICK = {"server_login_retry_max": 0.5}
COUNT = 1000


def outage(server: TwistnotifyProcess, postgres: PostgresServer, mode: str = "fast") -> None:
    """Stop PostgreSQL, and wait until the server knows."""
    postgres.stop(mode)
    server.wait_for_log("shard postgres: lost")


def outlast(server: TwistnotifyProcess, attempts: int) -> None:
    """Let time pass: so many more failed attempts to connect."""
    before = server.log().count("shard postgres: cannot connect")
    server.wait_for_log("shard postgres: cannot connect", before + attempts)


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_notifications_of_an_outage_are_delivered_afterwards_in_order_and_once(
    start_server: StartServer, postgres: PostgresServer, mode: str
) -> None:
    server = start_server(listen_loss_policy="notice", **QUICK)
    listener, sender = listen(server.connect(), "away", "other"), server.connect()
    run(listener, "NOTIFY away, 'before'")
    assert hear(listener) == [("away", "before")]
    outage(server, postgres, mode)
    expected = []
    for number in range(COUNT):
        channel = ("away", "other")[number % 2]
        run(sender, f"NOTIFY {channel}, '{number}'")
        expected.append((channel, str(number)))
    newcomer = listen(server.connect(), "away")
    run(newcomer, f"NOTIFY away, '{COUNT}'")
    expected.append(("away", str(COUNT)))
    # So many attempts take about three seconds.
    outlast(server, 12)
    postgres.start()
    run(sender, f"NOTIFY other, 'not the end'; NOTIFY away, '{END}'")
    assert hear_until(listener) == [*expected, ("other", "not the end")]
    # Who LISTENs behind what is on its way hears nothing of it.
    assert hear_until(newcomer) == [("away", str(COUNT))]
    assert any("notifications may have been lost" in notice for notice in listener.notices)


def test_a_notify_that_waits_for_its_commit_is_answered_when_postgresql_is_back(
    start_server: StartServer, postgres: PostgresServer
) -> None:
    server = start_server(listen_loss_policy="notice", notify_ack="committed", **QUICK)
    listener = listen(server.connect(), "away")
    with RawClient(server.port) as sender:
        outage(server, postgres)
        sender.send(Query(b"NOTIFY away, 'x'"))
        outlast(server, 2)
        assert not readable(sender)
        postgres.start()
        assert names(sender.until_ready()) == ["NOTIFY", "ready I"]
    assert hear(listener) == [("away", "x")]


def test_a_listen_that_waits_for_its_confirmation_is_answered_when_postgresql_is_back(
    start_server: StartServer, postgres: PostgresServer
) -> None:
    server = start_server(listen_ack="confirmed", **QUICK)
    with RawClient(server.port) as client:
        outage(server, postgres)
        client.send(Query(b"LISTEN away"))
        outlast(server, 2)
        assert not readable(client)
        postgres.start()
        assert names(client.until_ready()) == ["LISTEN", "ready I"]
        run(postgres.connect(), "NOTIFY away, 'x'")
        assert names([client.read()]) == ["away: x"]


def test_clients_log_in_while_postgresql_is_away(start_server: StartServer, postgres: PostgresServer) -> None:
    server = start_server(**QUICK)
    outage(server, postgres)
    run(server.connect(), "SELECT 1")
    postgres.start()


def test_a_client_waits_for_a_shard_that_was_never_up(start_server: StartServer, postgres: PostgresServer) -> None:
    postgres.stop()
    server = start_server(**QUICK)
    with RawClient(server.port, database=None) as client:
        client.send_startup("postgres")
        server.wait_for_log("shard postgres: cannot connect", 2)
        assert not readable(client)
        postgres.start()
        assert names(client.until_ready())[-1] == "ready I"
        assert names(client.query("LISTEN a; NOTIFY a, 'x'"))[-2:] == ["a: x", "ready I"]


def test_a_client_does_not_wait_for_ever_to_log_in(start_server: StartServer, postgres: PostgresServer) -> None:
    postgres.stop()
    server = start_server(client_login_timeout=0.5, **QUICK)
    with RawClient(server.port, database=None) as client:
        client.send_startup("postgres")
        error = error_of(client.until_end())
        assert (error.severity, error.sqlstate) == ("FATAL", "57P03")
    postgres.start()


def test_a_full_queue_refuses_after_a_while_and_keeps_what_it_took(
    start_server: StartServer, postgres: PostgresServer
) -> None:
    server = start_server(shard_queue_size=10, query_wait_timeout=0.5, listen_loss_policy="notice", **QUICK)
    listener = listen(server.connect(), "away")
    outage(server, postgres)
    with RawClient(server.port) as sender:
        answers = [names(sender.query(f"NOTIFY away, '{number}'")) for number in range(10)]
        assert answers == [["NOTIFY", "ready I"]] * 10
        assert names(sender.query("NOTIFY away, 'too many'")) == ["ERROR 57P03", "ready I"]
        assert names(sender.query("LISTEN elsewhere")) == ["LISTEN", "ready I"]
        postgres.start()
        assert hear(listener, 10) == [("away", str(number)) for number in range(10)]
        run(sender_connection := server.connect(), f"NOTIFY away, '{END}'")
        sender_connection.close()
        assert hear_until(listener) == []


def test_a_server_that_is_stopped_during_an_outage_ends(start_server: StartServer, postgres: PostgresServer) -> None:
    server = start_server(**QUICK)
    sender = server.connect()
    outage(server, postgres)
    run(sender, "NOTIFY away, 'never sent'")
    server.stop()
    postgres.start()


def readable(client: RawClient) -> bool:
    """Tell whether something has arrived for a client."""
    return bool(select.select([client.socket], [], [], 0)[0])
