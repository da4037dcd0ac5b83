"""Who may LISTEN to a channel, and who may NOTIFY on it.

PostgreSQL has no such rights, so these only narrow what it allows. Only statements that are seen can be judged: what a
function or a trigger notifies is not. Channels that stay open whatever the rules say are exempted by the caller.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from weakref import WeakValueDictionary

# Decisions that are kept for a user, about 200 bytes each. Whoever uses more channels at the same time costs a walk
# along the rules now and then, which is all that a decision saves.
REMEMBERED_CHANNELS = 1024


@dataclass(frozen=True, slots=True)
class ChannelRule:
    """Say which users may use the channels of a pattern; None is everyone.

    The pattern is a channel's name, or the beginning of names and `*`.
    """

    pattern: str
    listen: frozenset[str] | None
    notify: frozenset[str] | None

    def covers(self, channel: str) -> bool:
        """Tell whether the rule is about a channel."""
        if self.pattern.endswith("*"):
            return channel.startswith(self.pattern[:-1])
        return channel == self.pattern

    @property
    def refuses_nobody(self) -> bool:
        """Tell whether everyone may do everything."""
        return self.listen is None and self.notify is None


class UserRights:
    """The rights of one user: the first rule that covers a channel decides. All sessions of the user share them."""

    __slots__ = ("__weakref__", "_rights_on")

    def __init__(self, user: str, rules: Sequence[ChannelRule], default: bool) -> None:
        # Not a method: it would keep itself alive until the garbage collector comes.
        self._rights_on = lru_cache(REMEMBERED_CHANNELS)(partial(_decide, user, rules, default))

    def may_listen(self, channel: str) -> bool:
        """Tell whether the user may LISTEN to a channel."""
        return self._rights_on(channel)[0]

    def may_notify(self, channel: str) -> bool:
        """Tell whether the user may NOTIFY on a channel."""
        return self._rights_on(channel)[1]


def _decide(user: str, rules: Sequence[ChannelRule], default: bool, channel: str) -> tuple[bool, bool]:
    """Return whether a user may listen, and whether it may notify."""
    for rule in rules:
        if rule.covers(channel):
            return rule.listen is None or user in rule.listen, rule.notify is None or user in rule.notify
    return default, default


class Rights:
    """The rights of all users: rules, and whether what no rule covers is allowed. They never change."""

    __slots__ = ("_default", "_of", "_open", "_rules")

    def __init__(self, rules: Sequence[ChannelRule], default: bool) -> None:
        self._rules = tuple(rules)
        self._default = default
        all_are_covered = default or any(rule.pattern == "*" for rule in rules)
        self._open = all_are_covered and all(rule.refuses_nobody for rule in rules)
        # A user is forgotten with its last session, so there are no more of them than sessions.
        self._of: WeakValueDictionary[str, UserRights] = WeakValueDictionary()

    def of(self, user: str) -> UserRights | None:
        """Return the rights of a user, the same for each of its sessions; None if nobody can ever be refused."""
        if self._open:
            return None
        rights = self._of.get(user)
        if rights is None:
            rights = self._of[user] = UserRights(user, self._rules, self._default)
        return rights
