"""A LISTEN connection is lost: nobody who may have missed something is left in the dark."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import psycopg2
import psycopg2.errors
import pytest
from support.clients import END, hear, hear_until, listen, run
from support.fixtures import StartServer
from support.postgres import PostgresServer
from support.process import TwistnotifyProcess
from support.raw import RawClient, error_of, names, notifications


def listening(server: TwistnotifyProcess, *channels: str, database: str = "postgres") -> RawClient:
    """Return a client whose LISTENs are in effect: it has heard itself."""
    client = RawClient(server.port, database)
    for channel in channels:
        client.query(f"LISTEN {channel}")
        assert notifications(client.query(f"NOTIFY {channel}, 'in effect'")) == [(channel, "in effect")]
    return client


def lose(server: TwistnotifyProcess, postgres: PostgresServer, shard: str = "postgres") -> None:
    """Kill the LISTEN backend of a shard, and wait until there is another."""
    before = server.log().count(f"shard {shard}: up")
    postgres.terminate_listen_backend(shard)
    server.wait_for_log(f"shard {shard}: up", before + 1)


def test_listeners_are_disconnected_and_nobody_else(start_server: StartServer, postgres: PostgresServer) -> None:
    server = start_server()
    publisher = server.connect()
    pid = publisher.get_backend_pid()
    with listening(server, "lost") as listener, RawClient(server.port) as former:
        former.query("LISTEN lost; UNLISTEN lost")
        lose(server, postgres)
        (message,) = listener.until_end()
        error = error_of([message])
        assert (error.severity, error.sqlstate) == ("FATAL", "57P01")
        assert names(former.query("SELECT 1"))[-1] == "ready I"
    run(publisher, "SELECT 1")
    assert publisher.get_backend_pid() == pid
    again = listen(server.connect(), "lost")
    run(publisher, "NOTIFY lost, 'through the instance'")
    assert hear(again) == [("lost", "through the instance")]
    run(postgres.connect(), "NOTIFY lost, 'from PostgreSQL'")
    assert hear(again) == [("lost", "from PostgreSQL")]


def test_a_driver_sees_what_a_restart_of_postgresql_would_show(
    start_server: StartServer, postgres: PostgresServer
) -> None:
    server = start_server()
    listener = listen(server.connect(), "lost")
    run(listener, "NOTIFY lost")
    hear(listener)
    postgres.terminate_listen_backend("postgres")
    with pytest.raises((psycopg2.OperationalError, psycopg2.InterfaceError)):
        hear(listener)
    assert listener.closed


def test_notice_tells_of_the_gap_and_keeps_everybody(start_server: StartServer, postgres: PostgresServer) -> None:
    server = start_server(listen_loss_policy="notice")
    listener, watcher = listening(server, "lost"), listening(server, "watched")
    watcher.query("LISTEN lost; LISTEN twistnotify_gap")
    with watcher, listener, RawClient(server.port) as bystander:
        lose(server, postgres)
        warning, gap = watcher.read(), watcher.read()
        assert names([warning, listener.read()]) == ["WARNING 01000"] * 2
        ((channel, payload),) = notifications([gap])
        assert channel == "twistnotify_gap"
        told = json.loads(payload)
        assert set(told) == {"shard", "lost_at", "back_at"}
        assert told["shard"] == "postgres"
        lost_at, back_at = (datetime.fromisoformat(told[name]) for name in ("lost_at", "back_at"))
        assert lost_at <= back_at
        assert lost_at.utcoffset() is not None
        assert lost_at.utcoffset() == back_at.utcoffset()
        run(postgres.connect(), "NOTIFY lost, 'after the gap'")
        assert names([watcher.read(), listener.read()]) == ["lost: after the gap"] * 2
        # One warning, one announcement, and none of it for who listened to nothing.
        assert names(bystander.query(f"NOTIFY lost, '{END}'")) == ["NOTIFY", "ready I"]
        assert names([watcher.read(), listener.read()]) == [f"lost: {END}"] * 2


def test_a_second_loss_is_told_again(start_server: StartServer, postgres: PostgresServer) -> None:
    server = start_server(listen_loss_policy="notice")
    with listening(server, "lost") as listener:
        for _ in range(3):
            lose(server, postgres)
            assert names([listener.read()]) == ["WARNING 01000"]
            # In effect again: what is notified arrives.
            run(postgres.connect(), "NOTIFY lost, 'x'")
            assert names([listener.read()]) == ["lost: x"]


def test_a_client_in_a_transaction_is_warned_at_its_end(start_server: StartServer, postgres: PostgresServer) -> None:
    server = start_server(listen_loss_policy="notice")
    with listening(server, "lost") as listener:
        listener.query("BEGIN")
        lose(server, postgres)
        assert names(listener.query("SELECT 1")) == ["RowDescription", "DataRow", "SELECT 1", "ready T"]
        assert names(listener.query("COMMIT")) == ["COMMIT", "WARNING 01000", "ready I"]


def test_nobody_notifies_of_a_gap_but_the_server(server: TwistnotifyProcess) -> None:
    with RawClient(server.port) as client:
        client.query("LISTEN twistnotify_gap")
        for sql in ("NOTIFY twistnotify_gap, 'false'", "SELECT pg_notify('twistnotify_gap', 'false')"):
            answer = client.query(sql)
            assert error_of(answer).sqlstate == "42501"
            assert notifications(answer) == []


def test_a_loss_concerns_the_listeners_of_its_shard(start_server: StartServer, postgres: PostgresServer) -> None:
    server = start_server(shards=3)
    with RawClient(server.port, "app") as probe:
        channel_of = _channel_of_each_shard(server, postgres, probe)
    clients: dict[str, Any] = {
        shard: listening(server, channel, database="app") for shard, channel in channel_of.items()
    }
    lose(server, postgres, "app1")
    assert error_of(clients["app1"].until_end()).sqlstate == "57P01"
    for shard in ("app0", "app2"):
        channel = channel_of[shard]
        assert names(clients[shard].query(f"NOTIFY {channel}, 'x'")) == ["NOTIFY", f"{channel}: x", "ready I"]
    for client in clients.values():
        client.socket.close()


def _channel_of_each_shard(server: TwistnotifyProcess, postgres: PostgresServer, probe: RawClient) -> dict[str, str]:
    """Return a channel for each shard, found by listening to the databases behind them."""
    candidates = [f"candidate{number}" for number in range(20)]
    directs = {name: listen(postgres.connect(name), *candidates) for name in ("app0", "app1", "app2")}
    for channel in candidates:
        probe.query(f"NOTIFY {channel}")
    found: dict[str, str] = {}
    for name, direct in directs.items():
        found[name] = hear(direct)[0][0]
        run(direct, f"UNLISTEN *; NOTIFY {found[name]}, '{END}'")
    assert len(found) == 3
    return found


def test_who_came_while_the_shard_was_down_is_not_told(start_server: StartServer, postgres: PostgresServer) -> None:
    server = start_server(server_login_retry_max=0.2)
    with listening(server, "lost") as early:
        postgres.stop()
        server.wait_for_log("shard postgres: cannot connect")
        late = listen(server.connect(), "lost")
        postgres.start()
        server.wait_for_log("shard postgres: up", 2)
        assert error_of(early.until_end()).sqlstate == "57P01"
        run(server.connect(), f"NOTIFY lost, '{END}'")
        assert hear_until(late) == []
