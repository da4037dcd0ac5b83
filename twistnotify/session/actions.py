"""What a session asks of the world, as values.

The session says one at a time and goes on when it is asked for the next one: the action has then been carried out.
What fails is thrown back at it (`Session.fail`).
"""

from __future__ import annotations

from dataclasses import dataclass

from twistnotify.sql.statements import Listen, Notify, Unlisten

Effect = Listen | Unlisten | Notify


@dataclass(frozen=True, slots=True)
class Admit:
    """Let the client in, or fail; answered by `Session.admit`.

    `database` and `user` are as the client sent them.
    """

    database: str
    user: str


@dataclass(frozen=True, slots=True)
class Commit:
    """Make the effects of a transaction happen, all or none."""

    effects: tuple[Effect, ...]


@dataclass(frozen=True, slots=True)
class Reserve:
    """Have the shard LISTEN to a channel that an open transaction may commit to."""

    channel: str


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Give up what was reserved: the transaction has been rolled back."""


@dataclass(frozen=True, slots=True)
class Ready:
    """Hand over what notifications are due before the next ReadyForQuery, the client's own among them."""


@dataclass(frozen=True, slots=True)
class Cancel:
    """Cancel what another client is waiting for, if the key is that client's."""

    pid: int
    secret: bytes


@dataclass(frozen=True, slots=True)
class Close:
    """Close the connection when the replies are written; `reason` is counted."""

    reason: str


Action = Admit | Commit | Reserve | GiveUp | Ready | Cancel | Close
