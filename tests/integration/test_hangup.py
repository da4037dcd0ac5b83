"""A client that is gone is gone: nothing of it stays registered, however it went."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable

import pytest
from support.clients import eventually, hear, listen, run
from support.fixtures import StartServer
from support.postgres import PostgresServer
from support.raw import RawClient, is_admitted, names

from twistnotify.wire.session_status import Terminate
from twistnotify.wire.simple_query import Query

# No checks in between, so that the backend's last query is the one looked for.
SETTINGS = {"unlisten_delay": 0.05, "listen_check_interval": 3600}

LISTENER = """
import psycopg2, sys, time
connection = psycopg2.connect(sys.argv[1])
connection.autocommit = True
connection.cursor().execute("LISTEN quiet")
print("listening", flush=True)
time.sleep(3600)
"""

Leave = Callable[[RawClient], object]


def last_query(postgres: PostgresServer) -> str:
    """Return what the LISTEN backend did last."""
    ((query,),) = postgres.fetch("SELECT query FROM pg_stat_activity WHERE application_name = 'twistnotify/postgres'")
    return str(query)


def await_query(postgres: PostgresServer, query: str) -> None:
    """Wait until the LISTEN backend has done something."""
    eventually(lambda: last_query(postgres), lambda last: last == query)


@pytest.mark.parametrize(
    "leave",
    [
        lambda client: client.send(Terminate()),
        lambda client: client.socket.close(),
        lambda client: client.reset(),
        lambda client: (client.send(Query(b"NOTIFY a, 'x'").encode()[:-3]), client.socket.close()),
        lambda client: client.query("UNLISTEN quiet"),
        lambda client: client.query("DISCARD ALL"),
        lambda client: (client.query("BEGIN"), client.query("NOTIFY a"), client.reset()),
    ],
    ids=["Terminate", "closed", "reset", "in a message", "UNLISTEN", "DISCARD ALL", "in a transaction"],
)
def test_the_last_listener_of_a_quiet_channel_takes_the_listen_with_it(
    start_server: StartServer, postgres: PostgresServer, leave: Leave
) -> None:
    server = start_server(**SETTINGS)
    client = RawClient(server.port)
    client.query("LISTEN quiet")
    await_query(postgres, 'LISTEN "quiet"')
    leave(client)
    await_query(postgres, 'UNLISTEN "quiet"')
    client.socket.close()


def test_a_killed_process_leaves_nothing_behind(start_server: StartServer, postgres: PostgresServer) -> None:
    server = start_server(**SETTINGS)
    with subprocess.Popen(
        [sys.executable, "-c", LISTENER, server.dsn()], stdout=subprocess.PIPE, text=True
    ) as listener:
        assert listener.stdout is not None
        assert listener.stdout.readline() == "listening\n"
        await_query(postgres, 'LISTEN "quiet"')
        os.kill(listener.pid, signal.SIGKILL)
    await_query(postgres, 'UNLISTEN "quiet"')


def test_a_channel_lives_as_long_as_one_listener(start_server: StartServer, postgres: PostgresServer) -> None:
    server = start_server(**SETTINGS)
    first, second = RawClient(server.port), RawClient(server.port)
    first.query("LISTEN quiet")
    second.query("LISTEN quiet; LISTEN marker")
    first.reset()
    # The marker's UNLISTEN shows that the time of lingering is over.
    second.query("UNLISTEN marker")
    await_query(postgres, 'UNLISTEN "marker"')
    run(postgres.connect(), "NOTIFY quiet, 'x'")
    assert names([second.read()]) == ["quiet: x"]
    second.socket.close()


def test_who_comes_back_in_time_finds_the_channel_listened(start_server: StartServer, postgres: PostgresServer) -> None:
    server = start_server(unlisten_delay=3600, listen_check_interval=3600)
    with RawClient(server.port) as client:
        client.query("LISTEN lingering")
        await_query(postgres, 'LISTEN "lingering"')
    with RawClient(server.port) as client:
        client.query("LISTEN lingering")
        run(postgres.connect(), "NOTIFY lingering, 'x'")
        assert names([client.read()]) == ["lingering: x"]
    assert last_query(postgres) == 'LISTEN "lingering"'


@pytest.mark.parametrize("policy", ["disconnect", "notice"])
def test_a_lingering_channel_survives_the_loss_of_the_connection(
    start_server: StartServer, postgres: PostgresServer, policy: str
) -> None:
    server = start_server(unlisten_delay=3600, listen_loss_policy=policy)
    with RawClient(server.port) as client:
        client.query("LISTEN lingering")
        client.query("NOTIFY lingering")
        client.query("UNLISTEN lingering")
    postgres.terminate_listen_backend("postgres")
    server.wait_until_up(2)
    again = listen(server.connect(), "lingering")
    run(postgres.connect(), "NOTIFY lingering, 'x'")
    assert hear(again) == [("lingering", "x")]


def test_a_client_that_hangs_up_while_it_waits_is_noticed(start_server: StartServer, postgres: PostgresServer) -> None:
    server = start_server(max_client_conn=1, notify_ack="committed")
    postgres.stop()
    server.wait_for_log("shard postgres: lost")
    # It is not read from: there is more than it may send before its first answer.
    waiting = RawClient(server.port)
    waiting.send(*[Query(b"NOTIFY a, 'x'")] * 100)
    waiting.socket.close()
    eventually(lambda: is_admitted(server))
    postgres.start()
