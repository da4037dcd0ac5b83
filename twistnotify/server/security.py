"""Reading what the configuration says of log-ins and rights, with the files that it names.

A file that is wrong is reported as the configuration itself is: everything at once, with file and line.
"""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from twistnotify.auth.faults import Fault
from twistnotify.auth.hba import HbaRule
from twistnotify.auth.hba_file import read_hba
from twistnotify.auth.rights import ChannelRule, Rights
from twistnotify.auth.secrets import Secret, parse_secret
from twistnotify.auth.userlist import read_userlist
from twistnotify.config.model import ChannelConfig, Config, Settings
from twistnotify.config.problems import ConfigurationError, Problem
from twistnotify.relay.tls import TlsFault
from twistnotify.server.authentication import Security
from twistnotify.server.tls import ServerTls

SECTION = "twistnotify"


def read_security(config: Config, folder: Path, file: str) -> Security:
    """Return what a configuration says; raises ConfigurationError.

    Relative paths start in `folder`; `file` names the configuration in messages.
    """
    reader = _Reader(folder, file)
    settings = config.settings
    security = Security(
        settings.auth_type,
        reader.users(settings.auth_file),
        reader.rules(settings.auth_hba_file if settings.auth_type == "hba" else ""),
        settings.scram_iterations,
        settings.auth_user,
        reader.tls(settings),
        Rights([_rule(channel) for channel in config.channels], settings.acl_default == "allow"),
    )
    if reader.problems:
        raise ConfigurationError(tuple(reader.problems))
    return security


def _rule(channel: ChannelConfig) -> ChannelRule:
    listen, notify = (None if users is None else frozenset(users) for users in (channel.listen, channel.notify))
    return ChannelRule(channel.pattern, listen, notify)


class _Reader:
    """Read files, and gather what is wrong with them."""

    def __init__(self, folder: Path, file: str) -> None:
        self.problems: list[Problem] = []
        self._folder = folder
        self._file = file

    def users(self, name: str) -> Mapping[str, Secret | None]:
        """Return the users of auth_file."""
        text = self._text("auth_file", name, secret=True)
        listed, faults = read_userlist(text)
        users: dict[str, Secret | None] = {}
        for user, secret in listed.items():
            try:
                users[user] = parse_secret(secret)
            except ValueError as error:
                self._add("auth_file", f"{name}: {error}")
        self._note(name, faults)
        return users

    def rules(self, name: str) -> tuple[HbaRule, ...]:
        """Return the lines of auth_hba_file."""
        text = self._text("auth_hba_file", name)
        rules, faults = read_hba(text, self._included(name))
        self._note(name, faults)
        return rules

    def tls(self, settings: Settings) -> ServerTls | None:
        """Return the TLS of clients, None if there is none."""
        if settings.client_tls_sslmode == "disable":
            return None
        if not self._check_private("client_tls_key_file", settings.client_tls_key_file):
            return None
        located = replace(
            settings,
            client_tls_key_file=self._path(settings.client_tls_key_file),
            client_tls_cert_file=self._path(settings.client_tls_cert_file),
            client_tls_ca_file=settings.client_tls_ca_file and self._path(settings.client_tls_ca_file),
        )
        try:
            return ServerTls(located)
        except TlsFault as fault:
            self._add(None, str(fault))
            return None

    def _included(self, name: str) -> Callable[[str], str]:
        """Return how files are read that a line includes: relative to the file that the line is in."""
        folder = Path(self._path(name)).parent
        return lambda included: (folder / included).read_text(encoding="utf-8", errors="surrogateescape")

    def _path(self, name: str) -> str:
        return str(self._folder / name)

    def _text(self, setting: str, name: str, secret: bool = False) -> str:
        if not name or (secret and not self._check_private(setting, name)):
            return ""
        try:
            return Path(self._path(name)).read_text(encoding="utf-8", errors="surrogateescape")
        except OSError as error:
            self._add(setting, f"cannot read {name}: {error.strerror}")
            return ""

    def _check_private(self, setting: str, name: str) -> bool:
        """Tell whether a file is there, and not everybody's to read."""
        try:
            mode = Path(self._path(name)).stat().st_mode
        except OSError as error:
            self._add(setting, f"cannot read {name}: {error.strerror}")
            return False
        if mode & (stat.S_IROTH | stat.S_IWOTH):
            self._add(setting, f"everybody may read {name}, which holds secrets: chmod o-rwx it")
            return False
        return True

    def _note(self, name: str, faults: Iterable[Fault]) -> None:
        self.problems += [Problem(name, fault.line, None, None, fault.message) for fault in faults]

    def _add(self, setting: str | None, message: str) -> None:
        self.problems.append(Problem(self._file, 0, SECTION, setting, message))
