"""What a session asks of the world, as values.

The session says one at a time and goes on when it is asked for the next one: the action has then been carried out.
What fails is thrown back at it (`Session.fail`).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from twistnotify.sql.statements import Listen, Notify, ResetAll, SetParameter, Unlisten

Effect = Listen | Unlisten | Notify
"""What a commit makes happen for others to see."""
Change = Effect | SetParameter | ResetAll
"""What a transaction gathers: effects, and settings of the session itself."""


@dataclass(frozen=True, slots=True)
class StartTls:
    """Agree to TLS and wait for it, or not; answered by True or False (`Session.answer_with`)."""


@dataclass(frozen=True, slots=True)
class Identify:
    """Say what a client has to prove, or fail; answered by a demand of `auth.demands` (`Session.answer_with`).

    `database` and `user` are as the client sent them.
    """

    database: str
    user: str


@dataclass(frozen=True, slots=True)
class Judge:
    """Say whether what a client shows may be looked at now, or fail: others may have guessed meanwhile."""

    user: str


@dataclass(frozen=True, slots=True)
class Derive:
    """Derive the key of a password, which is slow by design; answered by the key (`Session.answer_with`)."""

    password: bytes = field(repr=False)
    salt: bytes
    iterations: int


@dataclass(frozen=True, slots=True)
class Refuse:
    """Take note that a client has not proved who it is; `reason` is for the log."""

    user: str
    database: str
    reason: str


@dataclass(frozen=True, slots=True)
class Admit:
    """Let the client in, or fail; answered by `Session.admit`.

    `database` and `user` are as the client sent them; its key to cancel with has `key_length` bytes.
    """

    database: str
    user: str
    key_length: int = 4


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
class Replay:
    """A step of bringing an upstream session to where the client's is: whole frames, and what ends their answer.

    The answer is over when one message for each of `ends` has come, in this order, each of one of the types it holds:
    `(b"Z",)` for a simple query, `(b"1", b"2", b"CIs")` for Parse, Bind and Execute. An ErrorResponse means that the
    upstream cannot be used, unless it `fails` on purpose.
    """

    frames: bytes
    ends: tuple[bytes, ...]
    fails: bool = False


@dataclass(frozen=True, slots=True)
class Attach:
    """Open the client's private upstream session and bring it to where the client is; or fail.

    Answered by `Session.attach`.
    """

    replays: tuple[Replay, ...]


@dataclass(frozen=True, slots=True)
class Enlist:
    """Register the client for channels ahead of a COMMIT that the upstream is about to get.

    Answered by the channels that are new to it (`Attached.enlisted`): what comes for them is held until the answer.
    """

    channels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Withdraw:
    """End registrations made ahead of a COMMIT that was none."""

    channels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Gate:
    """Wait until the upstream's shard has answered everything that was accepted before."""


@dataclass(frozen=True, slots=True)
class Turn:
    """Wait until the upstream's answers up to the last ReadyForQuery that is due have gone to the client."""


@dataclass(frozen=True, slots=True)
class Signal:
    """Cancel or terminate another client of the same user; `function` is PostgreSQL's."""

    function: str
    pid: int


@dataclass(frozen=True, slots=True)
class Recode:
    """Encode notifications in what is the session's encoding from now on."""


@dataclass(frozen=True, slots=True)
class Close:
    """Close the connection when the replies are written; `reason` is counted."""

    reason: str


Action = (
    StartTls
    | Identify
    | Judge
    | Derive
    | Refuse
    | Admit
    | Commit
    | Reserve
    | GiveUp
    | Ready
    | Cancel
    | Attach
    | Enlist
    | Withdraw
    | Gate
    | Turn
    | Signal
    | Recode
    | Close
)
