"""The relayed dialogues once more, with PgBouncer as the relay's upstream: the answers are still PostgreSQL's.

Who sent a notification is not compared: behind a pooler nobody knows.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from parity.comparison import Difference, problems
from parity.dialogue import Dialogue, play
from parity.dialogues import RELAYED
from parity.differences import DIFFERENCES, SENDER, reported_first
from support.pgbouncer import PgBouncer, is_installed
from support.postgres import PostgresServer
from support.process import TwistnotifyProcess
from support.versions import one_version

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(not is_installed(), reason="PgBouncer is not installed"),
]

APART = "parity_pgbouncer"
CONFIGURATION = """\
[twistnotify]
listen_port = 0
auth_type = trust
[databases]
postgres = {upstream} shards=pg relay_shard=pg
[shards]
pg = {shard}
"""

# PgBouncer has start-up parameters of its own: others it ignores or refuses, and RESET goes back to the server's
# defaults instead of to them. None of this is twistnotify's to mend.
OF_START_UP_PARAMETERS = (
    "a_statement_timeout_of_the_session",
    "options_at_the_start",
    "refused_settings_at_the_start",
    "reset_all",
    "reset_one_by_one",
    "settings_at_the_start",
    "settings_of_ones_own_at_the_start",
    "settings_that_are_not_reported",
    "spellings_of_settings_at_the_start",
)

# Everything else needs a session of its own: temporary tables, settings, named statements, advisory locks, cursors
# WITH HOLD, LISTEN that is hidden in a function. What such a dialogue leaves behind also troubles the next.
FOR_A_TRANSACTION_POOLER = (
    "a_block_that_fails_before_the_first_statement",
    "a_chain_before_the_first_statement",
    "a_first_statement_in_a_block_that_has_notified",
    "a_first_statement_in_a_block_that_is_rolled_back",
    "a_listener_elsewhere_hears_strings_in_order",
    "a_select_before_anything_else",
    "a_select_between_listen_and_notify",
    "a_string_that_rolls_back_to_go_on",
    "a_waiting_statement_goes_on_at_commit",
    "an_error_before_pubsub",
    "begin_and_commit_where_they_do_not_belong",
    "cancel_of_a_running_query",
    "cancel_of_a_string_with_pubsub",
    "cancel_within_a_block",
    "commits_order_notifications",
    "copy_out",
    "cursors",
    "empty_statements_among_selects",
    "errors_at_run_time",
    "errors_have_positions",
    "implicit_transactions_end_at_sync",
    "large_objects",
    "literals_between",
    "long_texts",
    "long_values",
    "many_rows",
    "mixed_within_one_sync_in_every_order",
    "one_transaction_drops_duplicates",
    "options_of_begin",
    "positions_behind_pubsub",
    "pubsub_at_the_end",
    "pubsub_at_the_start",
    "results_without_rows_or_columns",
    "rules_that_notify",
    "savepoints_before_the_first_statement",
    "serialization_failure_at_commit",
    "serialization_failure_at_update",
    "several_selects_in_one_query",
    "strings_within_a_failed_block",
    "terminate_behind_real_work",
    "to_those_who_listen_at_commit",
    "triggers_are_heard_before_ready",
    "triggers_of_others",
    "triggers_within_a_block",
    "turn_and_turn_about",
    "turn_and_turn_about_within_one_sync",
    "values_of_many_types",
    "what_cannot_run_beside_anything",
    "wide_rows",
)

DEPEND_ON_SENDERS = (reported_first("a"),)
OF_PGBOUNCER = (
    reported_first("a stranger"),
    *(
        Difference("PgBouncer adds what it thinks of the end of its server", (dialogue,), (), (line,))
        for dialogue, line in (
            ("a_query_during_copy_in", "a< ErrorResponse FATAL 08P01 server conn crashed?"),
            ("an_error_that_is_fatal", "b< ErrorResponse FATAL 08P01 server conn crashed?"),
            ("an_idle_session_is_ended", "a< ErrorResponse FATAL 08P01 server conn crashed?"),
            ("an_idle_transaction_is_ended", "a< ErrorResponse FATAL 08P01 server conn crashed?"),
            ("one_terminates_itself", "b< ErrorResponse FATAL 08P01 server conn crashed?"),
        )
    ),
    Difference(
        "PgBouncer reports settings as the client has spelt them",
        ("latin1_and_utf8_with_real_work",),
        (),
        ("a< ParameterStatus name='client_encoding' value='latin1'",),
    ),
)


@pytest.fixture(scope="module")
def session_mode(
    postgres_of_session: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TwistnotifyProcess]:
    """A twistnotify that relays through a PgBouncer whose clients keep a backend."""
    with behind_pgbouncer(postgres_of_session, "session", tmp_path_factory.mktemp("session")) as process:
        yield process


@pytest.fixture(scope="module")
def transaction_mode(
    postgres_of_session: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TwistnotifyProcess]:
    """A twistnotify that relays through a PgBouncer whose clients have a backend for each transaction."""
    with behind_pgbouncer(postgres_of_session, "transaction", tmp_path_factory.mktemp("transaction")) as process:
        yield process


@contextmanager
def behind_pgbouncer(postgres: PostgresServer, pool_mode: str, folder: Path) -> Iterator[TwistnotifyProcess]:
    """Run a pooler, and a twistnotify that relays through it and LISTENs without it."""
    postgres.create_database(APART)
    pooler = PgBouncer(postgres, pool_mode)
    try:
        pooler.start()
        process = TwistnotifyProcess(
            CONFIGURATION.format(upstream=pooler.dsn(APART), shard=postgres.dsn(APART)), folder
        )
        process.start()
        process.wait_until_up()
        yield process
        process.stop()
    finally:
        pooler.destroy()


def by_name(dialogue: Dialogue) -> str:
    """Return what a test of a dialogue is called."""
    return dialogue.name


def found(dialogue: Dialogue, postgres: PostgresServer, server: TwistnotifyProcess) -> str:
    """Return what differs and is not accepted, as text to read."""
    theirs = play(dialogue, postgres.port, senders=False)
    ours = play(dialogue, server.port, senders=False)
    rows = (row for row in (*DIFFERENCES, *OF_PGBOUNCER) if row.reason != SENDER and row not in DEPEND_ON_SENDERS)
    accepted = [row for row in rows if row.applies(dialogue.name, postgres.version)]
    return "\n\n".join(problems(theirs, ours, accepted))


@one_version
@pytest.mark.parametrize("dialogue", [d for d in RELAYED if d.name not in OF_START_UP_PARAMETERS], ids=by_name)
def test_a_session_pooler_changes_nothing(
    dialogue: Dialogue, postgres: PostgresServer, session_mode: TwistnotifyProcess
) -> None:
    difference = found(dialogue, postgres, session_mode)
    assert not difference, f"- PostgreSQL, + twistnotify and PgBouncer\n\n{difference}"


@one_version
@pytest.mark.parametrize("dialogue", [d for d in RELAYED if d.name in FOR_A_TRANSACTION_POOLER], ids=by_name)
def test_a_transaction_pooler_serves_what_needs_no_session(
    dialogue: Dialogue, postgres: PostgresServer, transaction_mode: TwistnotifyProcess
) -> None:
    difference = found(dialogue, postgres, transaction_mode)
    assert not difference, f"- PostgreSQL, + twistnotify and PgBouncer\n\n{difference}"


def test_the_named_dialogues_exist() -> None:
    named = {
        *OF_START_UP_PARAMETERS,
        *FOR_A_TRANSACTION_POOLER,
        *(name for row in OF_PGBOUNCER for name in row.dialogues),
    }
    assert named <= {dialogue.name for dialogue in RELAYED}
