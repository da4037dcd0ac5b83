"""What an answer to LISTEN or NOTIFY promises."""

from __future__ import annotations

from contextlib import suppress

import psycopg2.errors
import pytest
from support.clients import END, hear, hear_until, heard, listen, run
from support.fixtures import StartServer
from support.postgres import PostgresServer
from support.process import TwistnotifyProcess
from support.raw import RawClient, names

ROUNDS = 100


def test_a_committed_notify_is_with_postgresql_when_it_is_answered(
    start_server: StartServer, postgres: PostgresServer
) -> None:
    server = start_server(notify_ack="committed")
    direct, sender = listen(postgres.connect(), "acked"), server.connect()
    for number in range(ROUNDS):
        run(sender, f"NOTIFY acked, '{number}'")
        run(direct, "SELECT 1")
        assert heard(direct) == [("acked", str(number))]
    run(sender, "BEGIN; NOTIFY acked, '1'; SELECT pg_notify('acked', '2'); COMMIT")
    run(direct, "SELECT 1")
    assert heard(direct) == [("acked", "1"), ("acked", "2")]


def test_a_confirmed_listen_hears_what_postgresql_is_told_next(
    start_server: StartServer, postgres: PostgresServer
) -> None:
    server = start_server(listen_ack="confirmed")
    direct, listener = postgres.connect(), server.connect()
    for number in range(ROUNDS):
        run(listener, f"LISTEN confirmed{number}")
        run(direct, f"NOTIFY confirmed{number}, 'x'")
        assert hear(listener) == [(f"confirmed{number}", "x")]


def test_a_session_chooses_for_itself(server: TwistnotifyProcess, postgres: PostgresServer) -> None:
    direct = listen(postgres.connect(), "chosen")
    client = server.connect()
    run(client, "SET twistnotify.notify_ack = committed")
    run(client, "SET twistnotify.listen_ack TO 'confirmed'")
    assert run(client, "SHOW twistnotify.notify_ack") == [("committed",)]
    for number in range(ROUNDS):
        run(client, "SELECT pg_notify('chosen', %s)", str(number))
        run(direct, "SELECT 1")
        assert heard(direct) == [("chosen", str(number))]
        run(client, f"LISTEN chosen{number}")
        run(direct, f"NOTIFY chosen{number}, 'x'")
        assert hear(client) == [(f"chosen{number}", "x")]
    run(client, "RESET twistnotify.notify_ack")
    assert run(client, "SHOW twistnotify.notify_ack") == [("immediate",)]
    with pytest.raises(psycopg2.errors.InvalidParameterValue):
        run(client, "SET twistnotify.notify_ack = sometimes")


def test_a_committed_notify_of_a_listener_comes_before_its_answer(start_server: StartServer) -> None:
    server = start_server(notify_ack="committed", listen_ack="confirmed")
    with RawClient(server.port) as client:
        assert names(client.query("LISTEN own")) == ["LISTEN", "ready I"]
        for number in range(ROUNDS):
            answer = client.query(f"NOTIFY own, '{number}'")
            assert names(answer) == ["NOTIFY", f"own: {number}", "ready I"]


def test_a_full_queue_of_postgresql_is_an_error_to_who_waits_for_the_commit(
    start_server: StartServer, postgres: PostgresServer
) -> None:
    if postgres.version < 17:
        pytest.skip("max_notify_queue_pages came with PostgreSQL 17: before, the queue has 8 GB")
    postgres.restart_with(max_notify_queue_pages="64")
    try:
        server = start_server(notify_ack="committed", server_login_retry_max=0.2)
        # A listener in a transaction keeps the queue from being emptied.
        busy, sender = listen(postgres.connect(), "queue"), server.connect()
        run(busy, "BEGIN")
        sent = 0
        with suppress(psycopg2.errors.ProgramLimitExceeded):
            while sent < 1000:
                run(sender, "NOTIFY queue, %s", str(sent).ljust(7000))
                sent += 1
        with pytest.raises(psycopg2.errors.ProgramLimitExceeded, match="too many notifications"):
            run(sender, "NOTIFY queue, 'refused'")
        run(busy, "COMMIT")
        assert [payload.strip() for _, payload in hear(busy, sent)] == [str(n) for n in range(sent)]
        # What has been read is given back when the next one looks (manual, "NOTIFY").
        run(busy, "SELECT pg_notification_queue_usage()")
        run(sender, f"NOTIFY queue, '{END}'")
        assert hear_until(busy) == []
    finally:
        postgres.restart_with()
