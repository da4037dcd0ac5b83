"""Every state and event of both machines, held against PostgreSQL's behaviour as it was written down by hand."""

from itertools import product

import pytest
from conversation import logged_in, replies

from twistnotify.session.states import CONNECTION, TRANSACTION, Event, Phase, Status, Step

# Next state, the effects' fate, W or E with the SQLSTATE of what is told, and the tag where it is another.
# Columns: nothing open, implicit, block, failed block.
EXPECTED = {
    Event.STATEMENT: ("- keep", "- keep", "T keep", "E keep E25P02"),
    Event.BEGIN: ("T keep", "T keep", "T keep W25001", "E keep E25P02"),
    Event.COMMIT: ("I commit W25P01", "I commit W25P01", "I commit", "I discard ROLLBACK"),
    Event.COMMIT_AND_CHAIN: ("I keep E25P01", "I keep E25P01", "T commit", "T discard ROLLBACK"),
    Event.ROLLBACK: ("I discard W25P01", "I discard W25P01", "I discard", "I discard"),
    Event.ROLLBACK_AND_CHAIN: ("I keep E25P01", "I keep E25P01", "T discard", "T discard"),
    Event.SAVEPOINT: ("I keep E25P01", "I keep E25P01", "T keep", "E keep E25P02"),
    Event.RELEASE: ("I keep E25P01", "I keep E25P01", "T keep", "E keep E25P02"),
    Event.ROLLBACK_TO: ("I keep E25P01", "I keep E25P01", "T keep", "T keep"),
    Event.PREPARE: ("I discard W25P01 ROLLBACK", "I keep E55000", "I keep E55000", "I discard ROLLBACK"),
    Event.ERROR: ("I discard", "I discard", "E keep", "E keep"),
    Event.COMMIT_FAILED: ("I discard", "I discard", "I discard", "I discard"),
    Event.END: ("I commit", "I commit", "T keep", "E keep"),
}

# What a client sees of a statement: alone outside a transaction, behind SELECT 1 in one string, in a block, in a
# failed block. As PostgreSQL 15 answers.
SEEN = {
    "SELECT 2": ("SELECT 1 | I", "SELECT 1 | I", "SELECT 1 | T", "E25P02 | E"),
    "BEGIN": ("BEGIN | T", "BEGIN | T", "W25001 BEGIN | T", "E25P02 | E"),
    "START TRANSACTION": (
        "START TRANSACTION | T",
        "START TRANSACTION | T",
        "W25001 START TRANSACTION | T",
        "E25P02 | E",
    ),
    "COMMIT": ("W25P01 COMMIT | I", "W25P01 COMMIT | I", "COMMIT | I", "ROLLBACK | I"),
    "END": ("W25P01 COMMIT | I", "W25P01 COMMIT | I", "COMMIT | I", "ROLLBACK | I"),
    "COMMIT AND CHAIN": ("E25P01 | I", "E25P01 | I", "COMMIT | T", "ROLLBACK | T"),
    "ROLLBACK": ("W25P01 ROLLBACK | I", "W25P01 ROLLBACK | I", "ROLLBACK | I", "ROLLBACK | I"),
    "ABORT": ("W25P01 ROLLBACK | I", "W25P01 ROLLBACK | I", "ROLLBACK | I", "ROLLBACK | I"),
    "ROLLBACK AND CHAIN": ("E25P01 | I", "E25P01 | I", "ROLLBACK | T", "ROLLBACK | T"),
    "SAVEPOINT b": ("E25P01 | I", "E25P01 | I", "SAVEPOINT | T", "E25P02 | E"),
    "RELEASE a": ("E25P01 | I", "E25P01 | I", "RELEASE | T", "E25P02 | E"),
    "ROLLBACK TO a": ("E25P01 | I", "E25P01 | I", "ROLLBACK | T", "ROLLBACK | T"),
    "PREPARE TRANSACTION 'x'": ("W25P01 ROLLBACK | I", "E55000 | I", "E55000 | I", "ROLLBACK | I"),
    "oops": ("E42601 | I", "E42601 | I", "E42601 | E", "E42601 | E"),
    "": ("EmptyQueryResponse | I", "SELECT 1 | I", "EmptyQueryResponse | T", "EmptyQueryResponse | E"),
    "LISTEN c": ("LISTEN | I", "LISTEN | I", "LISTEN | T", "E25P02 | E"),
    "UNLISTEN c": ("UNLISTEN | I", "UNLISTEN | I", "UNLISTEN | T", "E25P02 | E"),
    "NOTIFY c": ("NOTIFY | I", "NOTIFY | I", "NOTIFY | T", "E25P02 | E"),
    "DISCARD ALL": ("DISCARD ALL | I", "E25001 | I", "E25001 | E", "E25P02 | E"),
}
BEFORE = {"idle": [], "implicit": [], "block": ["BEGIN", "SAVEPOINT a"], "failed": ["BEGIN", "SAVEPOINT a", "oops"]}


def shown(status: Status, event: Event) -> str:
    row = TRANSACTION[status, event]
    told = None if row.told is None else row.told.severity[0] + row.told.sqlstate
    return " ".join(filter(None, (row.status.value, row.fate.name.lower(), told, row.tag)))


@pytest.mark.parametrize(("status", "event"), list(product(Status, Event)))
def test_a_transaction_goes_on_as_postgresqls_does(status: Status, event: Event) -> None:
    assert shown(status, event) == EXPECTED[event][list(Status).index(status)]


def test_the_table_of_transactions_is_complete() -> None:
    assert set(TRANSACTION) == set(product(Status, Event))


def test_the_implicit_state_is_never_shown_to_a_client() -> None:
    assert [status.value for status in Status] == ["I", "-", "T", "E"]
    assert all(TRANSACTION[status, Event.END].status is not Status.IMPLICIT for status in Status)


def test_an_error_in_a_refused_event_leaves_the_state_of_its_row() -> None:
    refused = {key: row for key, row in TRANSACTION.items() if row.told and row.told.severity == "ERROR"}
    for row in refused.values():
        assert TRANSACTION[row.status, Event.ERROR].status is row.status


@pytest.mark.parametrize(("sql", "place"), list(product(SEEN, BEFORE)))
def test_a_client_sees_what_postgresql_would_show_it(sql: str, place: str) -> None:
    conversation = logged_in()
    for statement in BEFORE[place]:
        conversation.query(statement)
    lines = replies(conversation.query(f"SELECT 1; {sql}" if place == "implicit" else sql))
    if place == "implicit" and sql and sql != "oops":
        assert lines[:3] == ["T(?column?:23)", "D(b'1')", "C(SELECT 1)"]
        lines = lines[3:]
    assert in_short(lines) == SEEN[sql][list(BEFORE).index(place)]


def in_short(lines: list[str]) -> str:
    *answers, ready = lines
    words = []
    for line in answers:
        if line.startswith(("ERROR", "WARNING")):
            severity, sqlstate, *_ = line.split(" ")
            words.append(severity[0] + sqlstate)
        elif line.startswith("C("):
            words.append(line[2:-1])
        elif not line.startswith(("T(", "D(")):
            words.append(line)
    return f"{' '.join(words)} | {ready[2]}"


STEPS = {
    Step.IDENTIFIED: {Phase.STARTUP: Phase.LOGIN},
    Step.ADMITTED: {Phase.LOGIN: Phase.COMMANDS},
    Step.FAILED_IN_PIPELINE: {Phase.COMMANDS: Phase.SKIPPING},
    Step.SYNC: {Phase.COMMANDS: Phase.COMMANDS, Phase.SKIPPING: Phase.COMMANDS},
    Step.ATTACHED: {Phase.LOGIN: Phase.ATTACHED, Phase.COMMANDS: Phase.ATTACHED},
    Step.DETACHED: {Phase.ATTACHED: Phase.COMMANDS},
    Step.ENDED: dict.fromkeys(Phase, Phase.CLOSED),
}


@pytest.mark.parametrize(("phase", "step"), list(product(Phase, Step)))
def test_a_connection_moves_as_the_protocol_says_and_in_no_other_way(phase: Phase, step: Step) -> None:
    assert CONNECTION.get((phase, step)) == STEPS[step].get(phase)
