"""The settings of a session that has no upstream: what was SET, what SHOW shows, what the client has been told.

Only such values get here as PostgreSQL is known to accept (`settings.judge`). A SET belongs to its transaction, as
all that a transaction gathers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from twistnotify.session.actions import Change
from twistnotify.session.settings import NAMES, judge
from twistnotify.sql.statements import ResetAll, SetParameter
from twistnotify.wire.framing import MAX_STARTUP_PACKET, FrameBuffer
from twistnotify.wire.session_status import ParameterStatus


class Variables:
    """The settings of one session; `status` are the ParameterStatus frames of its log-in."""

    __slots__ = ("_defaults", "_told", "values")

    def __init__(self, status: bytes, startup: Iterable[tuple[str, str]]) -> None:
        self._told = dict(_reported(status))
        self._defaults = {name.lower(): value for name, value in self._told.items()}
        for name, value in startup:
            known = name.lower()
            if known in NAMES and known not in self._defaults:
                judged = judge(known, value, "")
                if judged is not None:
                    self._defaults[known] = judged
        self.values: dict[str, str] = {}
        """By lower-case name, what has been SET and committed, as SHOW shows it."""

    @property
    def told(self) -> dict[str, str]:
        """What the client has been told by ParameterStatus, by PostgreSQL's names."""
        return self._told

    def show(self, name: str, changes: Iterable[Change]) -> str | None:
        """Return what SHOW shows behind the changes of an open transaction; None where only PostgreSQL knows."""
        value = self.values.get(name, self._defaults.get(name))
        for change in changes:
            if isinstance(change, ResetAll):
                value = self._defaults.get(name)
            elif isinstance(change, SetParameter) and change.name == name:
                value = self._defaults.get(name) if change.value is None else change.value
        return value

    def commit(self, changes: Iterable[Change]) -> None:
        """Keep what a transaction has SET."""
        for change in changes:
            if isinstance(change, ResetAll):
                self.values.clear()
            elif isinstance(change, SetParameter) and not change.local:
                if change.value is None:
                    self.values.pop(change.name, None)
                else:
                    self.values[change.name] = change.value

    def take_over(self, told: Mapping[str, str], values: dict[str, str], defaults: Mapping[str, str | None]) -> None:
        """Go on behind an upstream session: what the client was told there, what it has SET, what RESET would show.

        By PostgreSQL's names what was told, by lower-case name all else. A default of None is not known.
        """
        self._told.update(told)
        self._defaults.update({name.lower(): value for name, value in told.items()})
        for name in defaults.keys() & self._defaults.keys():
            value = defaults[name]
            if value is None:
                del self._defaults[name]
            else:
                self._defaults[name] = value
        self.values = values

    def news(self, changes: Iterable[Change]) -> Iterator[ParameterStatus]:
        """Iterate over what the client has to be told of now, and take it as told."""
        changes = tuple(changes)
        for name, before in list(self._told.items()):
            value = self.show(name.lower(), changes)
            if value is not None and value != before:
                self._told[name] = value
                yield ParameterStatus(name, value)


def _reported(status: bytes) -> Iterator[tuple[str, str]]:
    buffer = FrameBuffer(MAX_STARTUP_PACKET)
    buffer.feed(status)
    while (frame := buffer.next_frame()) is not None:
        message = ParameterStatus.decode(frame[1])
        yield message.name, message.value
