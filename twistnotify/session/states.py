"""The two state machines of a session, as data.

**The transaction.** PostgreSQL's own four states as far as a client can see them (manual, "Transactions"; source:
`TransactionBlockStatusCode`), with one split off: a transaction that nobody has begun.

    IDLE      nothing is open                                           ReadyForQuery I
    IMPLICIT  statements of one query string, or up to one Sync         (never at a ReadyForQuery)
    BLOCK     between BEGIN and its end                                 ReadyForQuery T
    FAILED    a block after an error, until ROLLBACK                    ReadyForQuery E

Each row of `TRANSACTION` says, for a state and an event: the next state, what becomes of the effects gathered so far
(LISTEN, UNLISTEN and NOTIFY take effect together, at the end), what the client is told beside the command's tag, and
the tag where it is not the command's own.

**The connection.** `CONNECTION` says which part of the protocol is spoken, and what moves it on.

Nothing outside this file decides on a next state.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from twistnotify.wire.errors import ErrorFields


class Status(Enum):
    """Where the client's transaction stands."""

    # Members are unique objects. Enum would hash their names, in Python, at every look into the table.
    __hash__ = object.__hash__

    IDLE = "I"
    IMPLICIT = "-"
    BLOCK = "T"
    FAILED = "E"


class Event(Enum):
    """What happens to a transaction."""

    __hash__ = object.__hash__

    STATEMENT = auto()
    """A statement of several, or of the extended protocol, begins: it opens an implicit transaction."""
    BEGIN = auto()
    COMMIT = auto()
    COMMIT_AND_CHAIN = auto()
    ROLLBACK = auto()
    ROLLBACK_AND_CHAIN = auto()
    SAVEPOINT = auto()
    RELEASE = auto()
    ROLLBACK_TO = auto()
    PREPARE = auto()
    """PREPARE TRANSACTION: there is no database behind a transaction to prepare."""
    ERROR = auto()
    COMMIT_FAILED = auto()
    """The effects could not be made to happen: the transaction is over, whatever its COMMIT was to leave."""
    END = auto()
    """The end of a query string, or Sync."""


class Fate(Enum):
    """What becomes of the effects gathered so far."""

    KEEP = auto()
    COMMIT = auto()
    DISCARD = auto()


@dataclass(frozen=True, slots=True)
class Transition:
    """One row: the next state, the effects' fate, and what the client is told.

    A `told` of severity ERROR means that the event is refused; from the next state it goes on by `Event.ERROR`.
    """

    status: Status
    fate: Fate = Fate.KEEP
    told: ErrorFields | None = None
    tag: str | None = None


ALREADY_BEGUN = ErrorFields("WARNING", "25001", "there is already a transaction in progress")
NONE_BEGUN = ErrorFields("WARNING", "25P01", "there is no transaction in progress")
ABORTED = ErrorFields(
    "ERROR", "25P02", "current transaction is aborted, commands ignored until end of transaction block"
)
PREPARING_DISABLED = ErrorFields(
    "ERROR",
    "55000",
    "prepared transactions are disabled",
    hint="twistnotify has no database behind a transaction to prepare.",
)


def _only_in_blocks(command: str) -> ErrorFields:
    return ErrorFields("ERROR", "25P01", f"{command} can only be used in transaction blocks")


_I, _M, _T, _E = Status.IDLE, Status.IMPLICIT, Status.BLOCK, Status.FAILED
_COMMIT, _DISCARD = Fate.COMMIT, Fate.DISCARD

TRANSACTION: dict[tuple[Status, Event], Transition] = {
    (_I, Event.STATEMENT): Transition(_M),
    (_M, Event.STATEMENT): Transition(_M),
    (_T, Event.STATEMENT): Transition(_T),
    (_E, Event.STATEMENT): Transition(_E, told=ABORTED),
    # BEGIN takes an implicit transaction's statements into the block.
    (_I, Event.BEGIN): Transition(_T),
    (_M, Event.BEGIN): Transition(_T),
    (_T, Event.BEGIN): Transition(_T, told=ALREADY_BEGUN),
    (_E, Event.BEGIN): Transition(_E, told=ABORTED),
    (_I, Event.COMMIT): Transition(_I, _COMMIT, NONE_BEGUN),
    (_M, Event.COMMIT): Transition(_I, _COMMIT, NONE_BEGUN),
    (_T, Event.COMMIT): Transition(_I, _COMMIT),
    (_E, Event.COMMIT): Transition(_I, _DISCARD, tag="ROLLBACK"),
    (_I, Event.COMMIT_AND_CHAIN): Transition(_I, told=_only_in_blocks("COMMIT AND CHAIN")),
    (_M, Event.COMMIT_AND_CHAIN): Transition(_I, told=_only_in_blocks("COMMIT AND CHAIN")),
    (_T, Event.COMMIT_AND_CHAIN): Transition(_T, _COMMIT),
    (_E, Event.COMMIT_AND_CHAIN): Transition(_T, _DISCARD, tag="ROLLBACK"),
    (_I, Event.ROLLBACK): Transition(_I, _DISCARD, NONE_BEGUN),
    (_M, Event.ROLLBACK): Transition(_I, _DISCARD, NONE_BEGUN),
    (_T, Event.ROLLBACK): Transition(_I, _DISCARD),
    (_E, Event.ROLLBACK): Transition(_I, _DISCARD),
    (_I, Event.ROLLBACK_AND_CHAIN): Transition(_I, told=_only_in_blocks("ROLLBACK AND CHAIN")),
    (_M, Event.ROLLBACK_AND_CHAIN): Transition(_I, told=_only_in_blocks("ROLLBACK AND CHAIN")),
    (_T, Event.ROLLBACK_AND_CHAIN): Transition(_T, _DISCARD),
    (_E, Event.ROLLBACK_AND_CHAIN): Transition(_T, _DISCARD),
    (_I, Event.SAVEPOINT): Transition(_I, told=_only_in_blocks("SAVEPOINT")),
    (_M, Event.SAVEPOINT): Transition(_I, told=_only_in_blocks("SAVEPOINT")),
    (_T, Event.SAVEPOINT): Transition(_T),
    (_E, Event.SAVEPOINT): Transition(_E, told=ABORTED),
    (_I, Event.RELEASE): Transition(_I, told=_only_in_blocks("RELEASE SAVEPOINT")),
    (_M, Event.RELEASE): Transition(_I, told=_only_in_blocks("RELEASE SAVEPOINT")),
    (_T, Event.RELEASE): Transition(_T),
    (_E, Event.RELEASE): Transition(_E, told=ABORTED),
    (_I, Event.ROLLBACK_TO): Transition(_I, told=_only_in_blocks("ROLLBACK TO SAVEPOINT")),
    (_M, Event.ROLLBACK_TO): Transition(_I, told=_only_in_blocks("ROLLBACK TO SAVEPOINT")),
    (_T, Event.ROLLBACK_TO): Transition(_T),
    (_E, Event.ROLLBACK_TO): Transition(_T),
    (_I, Event.PREPARE): Transition(_I, _DISCARD, NONE_BEGUN, tag="ROLLBACK"),
    (_M, Event.PREPARE): Transition(_I, told=PREPARING_DISABLED),
    (_T, Event.PREPARE): Transition(_I, told=PREPARING_DISABLED),
    (_E, Event.PREPARE): Transition(_I, _DISCARD, tag="ROLLBACK"),
    (_I, Event.ERROR): Transition(_I, _DISCARD),
    (_M, Event.ERROR): Transition(_I, _DISCARD),
    (_T, Event.ERROR): Transition(_E),
    (_E, Event.ERROR): Transition(_E),
    **{(status, Event.COMMIT_FAILED): Transition(_I, _DISCARD) for status in Status},
    (_I, Event.END): Transition(_I, _COMMIT),
    (_M, Event.END): Transition(_I, _COMMIT),
    (_T, Event.END): Transition(_T),
    (_E, Event.END): Transition(_E),
}


class Phase(Enum):
    """Which part of the protocol is spoken."""

    __hash__ = object.__hash__

    STARTUP = auto()
    """Packets without a type byte are expected."""
    LOGIN = auto()
    """The client has said who it is and waits."""
    COMMANDS = auto()
    """Frames are worked off."""
    SKIPPING = auto()
    """After an error in the extended protocol: everything up to Sync is passed over."""
    ATTACHED = auto()
    """Frames go to an upstream session of the client's own (`session.attached`)."""
    CLOSED = auto()
    """Nothing that arrives is looked at any more."""


class Step(Enum):
    """What moves a connection from phase to phase."""

    __hash__ = object.__hash__

    IDENTIFIED = auto()
    ADMITTED = auto()
    FAILED_IN_PIPELINE = auto()
    SYNC = auto()
    ATTACHED = auto()
    DETACHED = auto()
    ENDED = auto()


CONNECTION: dict[tuple[Phase, Step], Phase] = {
    (Phase.STARTUP, Step.IDENTIFIED): Phase.LOGIN,
    (Phase.LOGIN, Step.ADMITTED): Phase.COMMANDS,
    (Phase.COMMANDS, Step.FAILED_IN_PIPELINE): Phase.SKIPPING,
    (Phase.COMMANDS, Step.SYNC): Phase.COMMANDS,
    (Phase.SKIPPING, Step.SYNC): Phase.COMMANDS,
    (Phase.LOGIN, Step.ATTACHED): Phase.ATTACHED,
    (Phase.COMMANDS, Step.ATTACHED): Phase.ATTACHED,
    (Phase.ATTACHED, Step.DETACHED): Phase.COMMANDS,
    **{(phase, Step.ENDED): Phase.CLOSED for phase in Phase},
}
