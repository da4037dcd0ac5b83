"""The twistd side: options, and the service they make. Nothing else knows twistd."""

from __future__ import annotations

import gc
import os
import resource
import signal
from pathlib import Path
from typing import Any, ClassVar

from twisted.application.service import IService
from twisted.internet.error import CannotListenError
from twisted.logger import Logger
from twisted.python import usage
from typing_extensions import override

from twistnotify.config.loader import load
from twistnotify.config.model import Config
from twistnotify.config.problems import ConfigurationError
from twistnotify.service import Server
from twistnotify.shard.embedded import EmbeddedMissing

log = Logger()

WRONG = "twistnotify: the configuration has errors"


class Options(usage.Options):
    """What may follow `twistd twistnotify`."""

    synopsis = "[--config FILE]"
    optParameters: ClassVar[list[list[str]]] = [["config", "c", "etc/config.ini", "The configuration file."]]

    @override
    def postOptions(self) -> None:
        """Read the configuration, and refuse a bad one before anything starts."""
        try:
            self["configuration"] = read_configuration(Path(self["config"]))
        except ConfigurationError as error:
            raise SystemExit(f"{WRONG}\n{error}") from None
        except OSError as error:
            raise SystemExit(f"twistnotify: {error}") from None


def read_configuration(path: Path) -> Config:
    """Return what a file says; raises ConfigurationError, and OSError in words for the user."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise OSError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise OSError(f"{path} is not UTF-8 text") from None
    return load(text, str(path))


class MainServer(Server):
    """The server as twistd runs it: what prevents a start ends the process with one line.

    `path` is the configuration's, which SIGHUP has read again.
    """

    def __init__(self, reactor: Any, config: Config, path: Path) -> None:
        super().__init__(reactor, config, path.absolute().parent, str(path))
        self._path = path.absolute()

    @override
    def startService(self) -> None:
        """Start, or say why not."""
        spare_garbage_collection()
        settings = self.settings
        relays = sum(database.relay is not None for database in self.databases.values())
        raise_file_limit(settings.max_client_conn + settings.fd_reserve + relays * settings.max_db_connections)
        try:
            super().startService()
        except CannotListenError as error:
            where = f"{error.interface}:{error.port}" if error.interface else os.fsdecode(error.port)
            raise SystemExit(f"twistnotify: cannot listen on {where}: {error.socketError.strerror}") from None
        # Only when the reactor runs: it sets handlers of its own when it starts.
        self._reactor.callWhenRunning(self._watch_signals)

    def _watch_signals(self) -> None:
        signal.signal(signal.SIGHUP, lambda *_: self._reactor.callFromThread(self.reload_file))

    def reload_file(self) -> None:
        """Read the configuration again; what is wrong with it is logged, and nothing changes."""
        try:
            self.reload(read_configuration(self._path))
        except (ConfigurationError, OSError) as error:
            log.error("the configuration was not reloaded: {error}", error="; ".join(str(error).splitlines()))


def spare_garbage_collection() -> None:
    """Look for reference cycles less often: at every 700 new objects, Python would walk those of all clients.

    What the hot path makes is freed by its reference counts; cycles come with connections.
    """
    gc.freeze()
    gc.set_threshold(100_000, 20, 20)


def raise_file_limit(wanted: int) -> None:
    """Raise RLIMIT_NOFILE to its hard limit, and say so if even that is too low for the configuration."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard != resource.RLIM_INFINITY and hard < wanted:
        log.warn(
            "the limit of open files is {hard}: too low for max_client_conn, fd_reserve and max_db_connections, which"
            " take {wanted}; raise it (ulimit -n, LimitNOFILE=) or lower them",
            hard=hard,
            wanted=wanted,
        )


def makeService(options: Options) -> IService:
    """Return the service of a configuration."""
    from twisted.internet import reactor

    configuration: Config = options["configuration"]
    try:
        return MainServer(reactor, configuration, Path(options["config"]))
    except ConfigurationError as error:
        raise SystemExit(f"{WRONG}\n{error}") from None
    except EmbeddedMissing as error:
        raise SystemExit(f"twistnotify: {error}") from None
