"""What a client's SQL text asks for: one frozen value a statement.

Only what the server answers by itself has a value of its own; everything else is `Other` and is judged
by PostgreSQL. Channel names are as PostgreSQL holds them: folded, unescaped, at most 63 bytes of UTF-8.
"""

from __future__ import annotations

from dataclasses import dataclass, field

MAX_CHANNEL_BYTES = 63
"""PostgreSQL's NAMEDATALEN - 1."""
MAX_PAYLOAD_BYTES = 7999
"""PostgreSQL's NOTIFY_PAYLOAD_MAX_LENGTH - 1."""
PARAMETERS = (
    "application_name",
    "client_encoding",
    "DateStyle",
    "IntervalStyle",
    "TimeZone",
    "extra_float_digits",
    "search_path",
    "statement_timeout",
    "lock_timeout",
    "idle_in_transaction_session_timeout",
    "client_min_messages",
    "bytea_output",
    "standard_conforming_strings",
)
"""The settings that SetParameter and ShowParameter name, in PostgreSQL's spelling, which is that of SHOW's column."""


class SqlSyntaxError(Exception):
    """Say that a text is not SQL, in PostgreSQL's wording.

    `message` is without severity, `sqlstate` has five characters, `position` counts characters of the
    text as given, from 1, and is None where PostgreSQL gives none.
    """

    def __init__(self, message: str, sqlstate: str = "42601", position: int | None = None) -> None:
        super().__init__(message, sqlstate, position)
        self.message = message
        self.sqlstate = sqlstate
        self.position = position

    def __str__(self) -> str:
        return self.message


@dataclass(frozen=True, slots=True)
class Listen:
    """Listen to a channel; `truncated` is the name in full where it was longer than 63 bytes."""

    channel: str
    truncated: str | None = None


@dataclass(frozen=True, slots=True)
class Unlisten:
    """Stop listening to a channel, or to all of them where `channel` is None."""

    channel: str | None
    truncated: str | None = None


@dataclass(frozen=True, slots=True)
class Notify:
    """Notify a channel; an absent payload is the empty string. The payload's length is not judged here."""

    channel: str
    payload: str
    truncated: str | None = None


@dataclass(frozen=True, slots=True)
class Begin:
    """Open a transaction block; `tag` is BEGIN or START TRANSACTION.

    `text` is the statement as the client wrote it, with its options and without what follows its last word.
    """

    tag: str
    text: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Commit:
    """Commit (COMMIT or END); `chain` for AND CHAIN."""

    chain: bool


@dataclass(frozen=True, slots=True)
class Rollback:
    """Roll back (ROLLBACK or ABORT); `chain` for AND CHAIN."""

    chain: bool


@dataclass(frozen=True, slots=True)
class Savepoint:
    """Set a savepoint."""

    name: str


@dataclass(frozen=True, slots=True)
class Release:
    """Release a savepoint."""

    name: str


@dataclass(frozen=True, slots=True)
class RollbackTo:
    """Roll back to a savepoint."""

    name: str


@dataclass(frozen=True, slots=True)
class PrepareTransaction:
    """Prepare the transaction for two-phase commit under `gid`."""

    gid: str


@dataclass(frozen=True, slots=True)
class Parameter:
    """Stand for the parameter $`number`, counted from 1."""

    number: int


Argument = str | None | Parameter
"""An argument of pg_notify: a text, NULL (None) or a parameter."""


@dataclass(frozen=True, slots=True)
class CallNotify:
    """Select pg_notify(channel, payload) and nothing else, as the result column `column`."""

    channel: Argument
    payload: Argument
    column: str


@dataclass(frozen=True, slots=True)
class ListeningChannels:
    """Select pg_listening_channels(), one row a channel, as the result column `column`."""

    column: str


@dataclass(frozen=True, slots=True)
class BackendPid:
    """Select pg_backend_pid() as the result column `column`."""

    column: str


@dataclass(frozen=True, slots=True)
class Constant:
    """Select one int4 constant (the usual liveness check) as the result column `column`."""

    value: int
    column: str


@dataclass(frozen=True, slots=True)
class AdvisoryUnlockAll:
    """Select pg_advisory_unlock_all() as the result column `column`."""

    column: str


@dataclass(frozen=True, slots=True)
class SignalBackend:
    """Select pg_terminate_backend(pid) or pg_cancel_backend(pid), which `function` tells, as the column `column`.

    `pid` is a positive int4.
    """

    function: str
    pid: int
    column: str


@dataclass(frozen=True, slots=True)
class DiscardAll:
    """Reset the session: DISCARD ALL."""


@dataclass(frozen=True, slots=True)
class ResetAll:
    """Reset all settings: RESET ALL."""


@dataclass(frozen=True, slots=True)
class CloseAll:
    """Close all cursors: CLOSE ALL."""


@dataclass(frozen=True, slots=True)
class DeallocateAll:
    """Drop all prepared statements: DEALLOCATE ALL."""


@dataclass(frozen=True, slots=True)
class Deallocate:
    """Drop the prepared statement `name`."""

    name: str


@dataclass(frozen=True, slots=True)
class DoBlock:
    """Run a plpgsql block of LISTEN, UNLISTEN and NOTIFY statements only, at least one."""

    statements: tuple[Listen | Unlisten | Notify, ...]


@dataclass(frozen=True, slots=True)
class SetAcknowledgement:
    """Set twistnotify.`name` (listen_ack or notify_ack) for the session; None resets it.

    `value` is lower-cased and not judged here.
    """

    name: str
    value: str | None


@dataclass(frozen=True, slots=True)
class ShowAcknowledgement:
    """Show twistnotify.`name` (listen_ack or notify_ack)."""

    name: str


@dataclass(frozen=True, slots=True)
class SetParameter:
    """Set one of PARAMETERS, for the transaction only where `local`; None resets it. `tag` is SET or RESET.

    `name` is lower-cased. `value` is the text that PostgreSQL makes of the arguments, and is not judged here.
    """

    name: str
    value: str | None
    local: bool
    tag: str = field(default="SET", compare=False)


@dataclass(frozen=True, slots=True)
class ShowParameter:
    """Show one of PARAMETERS; `name` is lower-cased."""

    name: str


@dataclass(frozen=True, slots=True)
class Other:
    """Stand for any other statement; `word` is its first keyword in upper case, for messages."""

    word: str


Statement = (
    Listen
    | Unlisten
    | Notify
    | Begin
    | Commit
    | Rollback
    | Savepoint
    | Release
    | RollbackTo
    | PrepareTransaction
    | CallNotify
    | ListeningChannels
    | BackendPid
    | Constant
    | AdvisoryUnlockAll
    | SignalBackend
    | DiscardAll
    | ResetAll
    | CloseAll
    | DeallocateAll
    | Deallocate
    | DoBlock
    | SetAcknowledgement
    | ShowAcknowledgement
    | SetParameter
    | ShowParameter
    | Other
)
"""Any statement that `twistnotify.sql.parse.parse` returns."""
