"""What an upstream still has to answer, whatever it skips and passes over."""

import pytest

from twistnotify.session.expected import (
    BIND,
    CALL,
    CLOSE,
    DESCRIBE,
    ENDS,
    EXECUTE,
    PARSE,
    PLAIN,
    QUERY,
    SYNC,
    Expectations,
    Expected,
    Run,
)
from twistnotify.sql.statements import Listen, Notify


def expecting(*kinds: int) -> Expectations:
    expected = Expectations()
    for kind in kinds:
        expected.add(PLAIN[kind])
    return expected


def drained(expected: Expectations) -> str:
    """Take everything out, and return the messages' types."""
    kinds = []
    while expected:
        kinds.append(chr(expected.pop().kind))
    assert expected.head is None
    return "".join(kinds)


def test_answers_are_expected_in_the_order_of_the_messages() -> None:
    expected = expecting(PARSE, BIND, DESCRIBE, EXECUTE, CLOSE, SYNC, QUERY, CALL)
    assert len(expected) == 8
    assert expected.head is PLAIN[PARSE]
    assert drained(expected) == "PBDECSQF"
    assert len(expected) == 0


def test_every_message_has_types_that_end_its_answer() -> None:
    assert ENDS.keys() == PLAIN.keys()
    assert {chr(kind): ends.decode() for kind, ends in ENDS.items()} == {
        "Q": "Z",
        "F": "Z",
        "S": "Z",
        "P": "1",
        "B": "2",
        "C": "3",
        "D": "Tn",
        "E": "CIs",
    }


def test_statements_of_a_string_are_completed_one_by_one() -> None:
    entry = Expected(QUERY, (Run(Listen("a")), None, Run(Notify("b", ""))))
    runs = [entry.next_run() for _ in range(5)]
    assert [run and run.statement for run in runs] == [Listen("a"), None, Notify("b", ""), None, None]


def test_plain_entries_remember_nothing_and_can_be_shared() -> None:
    assert PLAIN[QUERY].next_run() is None
    assert PLAIN[QUERY].completed == 0


# Errors


def test_an_error_skips_to_the_next_sync() -> None:
    expected = expecting(PARSE, BIND, EXECUTE, SYNC, PARSE, SYNC)
    expected.skip()
    assert not expected.skipping
    assert drained(expected) == "SPS"


@pytest.mark.parametrize("kind", [PARSE, QUERY, CALL])
def test_what_is_sent_behind_an_error_is_skipped_up_to_sync_as_well(kind: int) -> None:
    expected = expecting(PARSE, BIND)
    expected.skip()
    assert expected.skipping
    expected.add(PLAIN[kind])
    assert not expected
    expected.add(PLAIN[SYNC])
    expected.add(PLAIN[kind])
    assert drained(expected) == "S" + chr(kind)


# COPY


def test_sync_among_copy_data_is_passed_over() -> None:
    expected = expecting(EXECUTE, SYNC)
    expected.begin_copy()
    assert expected.copying
    expected.add(PLAIN[SYNC])
    expected.end_copy()
    expected.add(PLAIN[SYNC])
    assert drained(expected) == "ES"


def test_the_end_of_copy_data_may_be_sent_before_they_were_asked_for() -> None:
    expected = expecting(EXECUTE, SYNC)
    expected.end_copy()
    expected.add(PLAIN[SYNC])
    expected.begin_copy()
    assert not expected.copying
    assert drained(expected) == "ES"


def test_each_copy_of_a_string_has_an_end_of_its_own() -> None:
    expected = expecting(QUERY)
    expected.end_copy()
    expected.add(PLAIN[SYNC])
    expected.begin_copy()
    expected.begin_copy()
    assert expected.copying
    expected.end_copy()
    assert drained(expected) == "Q"


def test_the_end_of_a_copy_that_never_began_is_nothing() -> None:
    expected = expecting(QUERY)
    expected.end_copy()
    expected.end_copy()
    expected.add(PLAIN[QUERY])
    assert expected.pop() is PLAIN[QUERY]
    assert drained(expected) == "Q"
    expected.end_copy()
    assert not expected


def test_an_error_ends_copy_data() -> None:
    expected = expecting(EXECUTE)
    expected.begin_copy()
    expected.skip()
    assert not expected.copying
    expected.end_copy()
    expected.add(PLAIN[SYNC])
    assert drained(expected) == "S"


def test_an_end_of_copy_data_is_skipped_with_the_rest() -> None:
    expected = expecting(EXECUTE, SYNC)
    expected.end_copy()
    expected.add(PLAIN[SYNC])
    expected.skip()
    assert drained(expected) == "SS"


# Whose turn it is


@pytest.mark.parametrize("kind", [QUERY, CALL, SYNC])
def test_ready_for_query_is_due_for_these_messages(kind: int) -> None:
    assert expecting(PARSE, kind).ends_pending


def test_otherwise_it_is_not() -> None:
    assert not expecting().ends_pending
    assert not expecting(PARSE, BIND, DESCRIBE, EXECUTE, CLOSE).ends_pending
