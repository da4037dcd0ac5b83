"""What a transaction gathers, when it takes effect, and what savepoints do to it."""

import pytest
from conversation import FULL, SYNC, actions, execute, logged_in, parse, replies, run

from twistnotify.session import transaction
from twistnotify.session.failure import SqlError
from twistnotify.session.states import Event, Status
from twistnotify.session.transaction import MAX_GATHERED_BYTES, MAX_SAVEPOINTS, OVERHEAD, Transaction
from twistnotify.sql.statements import Listen, Notify, Unlisten

BIG = Notify("big", "x" * 7997)
MOST = MAX_GATHERED_BYTES // (OVERHEAD + 8000)
NOT_DONE = "ERROR 54000 too many notifications in the NOTIFY queue"


def effects_of(*queries: str) -> list[str]:
    """Return the actions that a client's queries lead to, without those before ReadyForQuery."""
    conversation = logged_in()
    lines = [line for sql in queries for line in conversation.query(sql)]
    return [line for line in actions(lines) if line != "ready"]


def committed(*queries: str) -> list[str]:
    return [line.removeprefix("commit ") for line in effects_of(*queries) if line.startswith("commit")]


# When effects happen


@pytest.mark.parametrize("sql", ["LISTEN a", "UNLISTEN a", "UNLISTEN *", "NOTIFY a p"])
def test_outside_a_transaction_each_statement_commits(sql: str) -> None:
    assert committed(sql.replace(" p", ", 'p'")) == [sql]


def test_in_a_block_nothing_happens_before_its_commit() -> None:
    conversation = logged_in()
    for sql in ("BEGIN", "NOTIFY a", "LISTEN b", "UNLISTEN c"):
        conversation.query(sql)
    assert not conversation.committed
    assert conversation.query("COMMIT") == [
        "commit NOTIFY a, LISTEN b, UNLISTEN c",
        "C(COMMIT)",
        "ready",
        "Z(I)",
    ]


@pytest.mark.parametrize("end", ["ROLLBACK", "ABORT", "ROLLBACK AND CHAIN", "oops; COMMIT"])
def test_a_block_that_is_rolled_back_has_no_effects(end: str) -> None:
    assert committed("BEGIN", "NOTIFY a", "LISTEN b", *end.split("; "), "ROLLBACK") == []


def test_a_commit_of_a_failed_block_is_a_rollback_without_a_warning() -> None:
    conversation = logged_in()
    for sql in ("BEGIN", "NOTIFY a", "oops"):
        conversation.query(sql)
    assert conversation.query("COMMIT") == ["C(ROLLBACK)", "Z(I)"]


def test_a_chained_commit_makes_effects_happen_and_begins_anew() -> None:
    assert committed("BEGIN", "NOTIFY a", "COMMIT AND CHAIN", "NOTIFY b", "COMMIT") == ["NOTIFY a", "NOTIFY b"]
    assert committed("BEGIN", "NOTIFY a", "ROLLBACK AND CHAIN", "NOTIFY b", "COMMIT") == ["NOTIFY b"]
    assert committed("BEGIN", "NOTIFY a", "oops", "COMMIT AND CHAIN", "NOTIFY b", "COMMIT") == ["NOTIFY b"]


def test_the_statements_of_one_string_are_one_transaction() -> None:
    assert committed("NOTIFY a; LISTEN b; SELECT 1") == ["NOTIFY a, LISTEN b"]
    assert committed("NOTIFY a; oops") == committed("NOTIFY a; SELECT pg_notify('', '')") == []


def test_a_commit_in_the_middle_of_a_string_ends_its_implicit_transaction() -> None:
    assert committed("NOTIFY a; COMMIT; NOTIFY b") == ["NOTIFY a", "NOTIFY b"]
    assert committed("NOTIFY a; ROLLBACK; NOTIFY b") == ["NOTIFY b"]


def test_what_a_string_has_committed_stays_when_the_rest_fails() -> None:
    assert committed("NOTIFY a; COMMIT; NOTIFY b; SELECT pg_notify('', '')") == ["NOTIFY a"]


def test_begin_takes_the_statements_before_it_into_the_block() -> None:
    assert committed("LISTEN r; NOTIFY r; BEGIN; NOTIFY s", "ROLLBACK") == []
    assert committed("LISTEN r; NOTIFY r; BEGIN; NOTIFY s", "COMMIT") == ["LISTEN r, NOTIFY r, NOTIFY s"]


def test_a_pipeline_commits_at_its_sync() -> None:
    conversation = logged_in()
    lines = conversation.say(*run("NOTIFY a"), *run("NOTIFY b"), SYNC)
    assert lines[-3:] == ["C(NOTIFY)", "commit NOTIFY a, NOTIFY b", "Z(I)"]


def test_transaction_words_in_a_pipeline_act_at_once() -> None:
    conversation = logged_in()
    conversation.say(*run("NOTIFY a"), *run("COMMIT"), *run("NOTIFY b"), *run("ROLLBACK"), *run("NOTIFY c"))
    conversation.say(*run("BEGIN"), *run("NOTIFY d"), SYNC)
    assert conversation.query("COMMIT")[0] == "commit NOTIFY c, NOTIFY d"
    assert len(conversation.committed) == 2


def test_a_query_behind_a_pipeline_without_sync_commits_both() -> None:
    conversation = logged_in()
    conversation.say(*run("NOTIFY a"))
    assert actions(conversation.query("NOTIFY b")) == ["commit NOTIFY a, NOTIFY b"]
    conversation.say(*run("NOTIFY c"))
    assert conversation.query("") == ["commit NOTIFY c", "EmptyQueryResponse", "Z(I)"]


def test_a_transaction_without_effects_commits_nothing() -> None:
    assert effects_of("BEGIN", "SELECT 1", "COMMIT", "SELECT 1", "") == []


# What happens


def test_a_repeated_notification_is_dropped_and_the_first_keeps_its_place() -> None:
    sql = "NOTIFY b, 'x'; NOTIFY a, 'x'; NOTIFY b, 'x'; NOTIFY a, 'y'; SELECT pg_notify('a', 'x')"
    assert committed(sql) == ["NOTIFY b x, NOTIFY a x, NOTIFY a y"]
    assert committed("NOTIFY a; NOTIFY a, ''; SELECT pg_notify('a', NULL)") == ["NOTIFY a"]


def test_notifications_of_two_transactions_are_two() -> None:
    assert committed("NOTIFY a", "NOTIFY a") == ["NOTIFY a"] * 2
    assert committed("BEGIN; NOTIFY a; COMMIT; NOTIFY a") == ["NOTIFY a"] * 2


def test_listen_and_unlisten_are_never_dropped() -> None:
    assert committed("LISTEN a; UNLISTEN *; LISTEN a; NOTIFY a; UNLISTEN *") == [
        "LISTEN a, UNLISTEN *, LISTEN a, NOTIFY a, UNLISTEN *"
    ]


@pytest.mark.parametrize(
    ("sql", "left"),
    [
        ("LISTEN a; UNLISTEN *", []),
        ("UNLISTEN *; LISTEN a", ["a"]),
        ("UNLISTEN a; LISTEN a", ["a"]),
        ("LISTEN a; LISTEN b; UNLISTEN a; LISTEN a", ["b", "a"]),
        ("LISTEN a; LISTEN a; UNLISTEN c", ["a"]),
    ],
)
def test_registrations_change_in_the_order_of_the_statements(sql: str, left: list[str]) -> None:
    conversation = logged_in()
    conversation.query(sql)
    assert list(conversation.session.channels) == left


# Savepoints


def test_rolling_back_to_a_savepoint_undoes_what_came_after_it() -> None:
    queries = "BEGIN", "NOTIFY a", "SAVEPOINT s", "NOTIFY b", "ROLLBACK TO s", "NOTIFY c", "COMMIT"
    assert committed(*queries) == ["NOTIFY a, NOTIFY c"]


def test_a_savepoint_may_be_rolled_back_to_again() -> None:
    again = "SAVEPOINT s", "NOTIFY b", "ROLLBACK TO s", "NOTIFY c", "ROLLBACK TO s"
    assert committed("BEGIN", "NOTIFY a", *again, "COMMIT") == ["NOTIFY a"]


def test_the_newest_savepoint_of_a_name_counts() -> None:
    queries = "BEGIN", "SAVEPOINT s", "NOTIFY a", "SAVEPOINT s", "NOTIFY b", "ROLLBACK TO s"
    assert committed(*queries, "COMMIT") == ["NOTIFY a"]
    assert committed(*queries, "RELEASE s", "ROLLBACK TO s", "NOTIFY c", "COMMIT") == ["NOTIFY c"]


def test_releasing_a_savepoint_keeps_its_effects_and_forgets_those_after_it() -> None:
    conversation = logged_in()
    for sql in ("BEGIN", "SAVEPOINT r", "NOTIFY a", "SAVEPOINT s", "NOTIFY b", "RELEASE r"):
        conversation.query(sql)
    assert conversation.query("ROLLBACK TO s") == ['ERROR 3B001 savepoint "s" does not exist', "Z(E)"]
    assert committed("BEGIN", "SAVEPOINT r", "NOTIFY a", "RELEASE r", "COMMIT") == ["NOTIFY a"]


@pytest.mark.parametrize("sql", ["RELEASE s", "ROLLBACK TO s"])
def test_an_unknown_savepoint_fails_the_block(sql: str) -> None:
    conversation = logged_in()
    conversation.query("BEGIN")
    assert conversation.query(sql) == ['ERROR 3B001 savepoint "s" does not exist', "Z(E)"]


def test_rolling_back_to_a_savepoint_takes_up_a_failed_block() -> None:
    queries = "BEGIN", "NOTIFY a", "SAVEPOINT s", "NOTIFY b", "oops", "ROLLBACK TO s", "NOTIFY b", "COMMIT"
    assert committed(*queries) == ["NOTIFY a, NOTIFY b"]


def test_a_notification_undone_and_sent_again_takes_the_later_place() -> None:
    queries = "BEGIN", "SAVEPOINT s", "NOTIFY a", "ROLLBACK TO s", "NOTIFY b", "NOTIFY a", "COMMIT"
    assert committed(*queries) == ["NOTIFY b, NOTIFY a"]


@pytest.mark.parametrize("end", ["COMMIT", "ROLLBACK", "COMMIT AND CHAIN"])
def test_savepoints_end_with_their_transaction(end: str) -> None:
    conversation = logged_in()
    for sql in ("BEGIN", "SAVEPOINT s", end, "BEGIN"):
        conversation.query(sql)
    assert conversation.query("RELEASE s")[0] == 'ERROR 3B001 savepoint "s" does not exist'


# Bounds


def test_savepoints_of_one_transaction_are_bounded() -> None:
    conversation = logged_in()
    conversation.query("BEGIN")
    for number in range(MAX_SAVEPOINTS):
        assert conversation.query(f"SAVEPOINT s{number}")[0] == "C(SAVEPOINT)"
    assert conversation.query("SAVEPOINT s") == ["ERROR 53400 too many savepoints in one transaction", "Z(E)"]
    assert conversation.query("ROLLBACK TO s999") == ["C(ROLLBACK)", "Z(T)"]


def test_savepoints_of_one_name_with_nothing_between_them_count_once() -> None:
    conversation = logged_in()
    conversation.query("BEGIN")
    for _ in range(MAX_SAVEPOINTS + 1):
        assert conversation.query("SAVEPOINT s")[0] == "C(SAVEPOINT)"
    for _ in range(MAX_SAVEPOINTS + 1):
        assert conversation.query("RELEASE s")[0] == "C(RELEASE)"
    assert conversation.query("RELEASE s")[0] == 'ERROR 3B001 savepoint "s" does not exist'


def test_a_notification_between_them_makes_two_of_them() -> None:
    queries = "BEGIN", "SAVEPOINT s", "NOTIFY a", "SAVEPOINT s", "NOTIFY b"
    assert committed(*queries, "RELEASE s", "ROLLBACK TO s", "COMMIT") == []
    assert committed(*queries, "ROLLBACK TO s", "ROLLBACK TO s", "COMMIT") == ["NOTIFY a"]


def test_a_transaction_gathers_no_more_than_its_bound() -> None:
    conversation = logged_in()
    conversation.query("BEGIN")
    for _ in range(MOST):
        assert conversation.query(f"NOTIFY big, '{BIG.payload}'")[0] == "C(NOTIFY)"
    assert conversation.query(f"NOTIFY big, '{BIG.payload}'") == [
        "ERROR 53400 the transaction has gathered too many notifications",
        "Z(E)",
    ]
    assert conversation.query("COMMIT")[0] == "C(ROLLBACK)"


@pytest.mark.parametrize("effect", [Listen("a"), Unlisten(None), Notify("a", "")])
def test_small_effects_are_bounded_too(effect: Listen | Unlisten | Notify, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transaction, "MAX_GATHERED_BYTES", 100 * (OVERHEAD + 1))
    gathering = Transaction()
    for _ in range(100):
        gathering.add(effect)
    with pytest.raises(SqlError) as caught:
        [gathering.add(effect) for _ in range(2)]
    assert caught.value.fields.sqlstate == "53400"


def test_what_is_rolled_back_no_longer_counts() -> None:
    gathering = Transaction()
    gathering.savepoint("s")
    for _ in range(3):
        for _ in range(MOST):
            gathering.add(BIG)
        gathering.rollback_to("s")
    assert gathering.effects == []


def test_each_transaction_counts_anew() -> None:
    gathering = Transaction()
    for _ in range(3):
        for _ in range(MOST):
            gathering.add(BIG)
        assert gathering.take() == (BIG,)


def test_a_refused_event_leaves_the_state_its_row_says() -> None:
    gathering = Transaction()
    gathering.happen(Event.BEGIN)
    with pytest.raises(SqlError):
        gathering.happen(Event.PREPARE)
    assert gathering.status is Status.IDLE


# Commits that fail


@pytest.mark.parametrize(
    "sql", ["NOTIFY a", "LISTEN a", "UNLISTEN a", "NOTIFY a; NOTIFY b", "DO 'BEGIN NOTIFY a; END'", "DISCARD ALL"]
)
def test_a_commit_that_fails_takes_the_place_of_the_last_tag(sql: str) -> None:
    conversation = logged_in()
    conversation.refusals.append(FULL)
    *before, error, ready = replies(conversation.query(sql))
    assert [error, ready] == [NOT_DONE, "Z(I)"]
    assert before == ["C(NOTIFY)"] * sql.count("; NOTIFY b")
    assert not conversation.session.channels


def test_rows_come_before_the_error_of_their_commit() -> None:
    conversation = logged_in()
    conversation.refusals.append(FULL)
    assert replies(conversation.query("SELECT pg_notify('a', '')")) == ["T(pg_notify:2278)", "D(b'')", NOT_DONE, "Z(I)"]


def test_an_empty_query_behind_a_pipeline_may_find_that_its_commit_fails() -> None:
    conversation = logged_in()
    conversation.say(*run("NOTIFY a"))
    conversation.refusals.append(FULL)
    assert replies(conversation.query("")) == [NOT_DONE, "Z(I)"]


@pytest.mark.parametrize("sql", ["COMMIT", "END", "COMMIT AND CHAIN", "COMMIT; SELECT 1"])
def test_a_block_whose_commit_fails_is_over(sql: str) -> None:
    conversation = logged_in()
    conversation.query("BEGIN; SAVEPOINT s; LISTEN a; NOTIFY a")
    conversation.refusals.append(FULL)
    assert conversation.query(sql) == ["commit LISTEN a, NOTIFY a", NOT_DONE, "Z(I)"]
    assert conversation.query("LISTEN b")[-1] == "Z(I)"
    assert list(conversation.session.channels) == ["b"]


def test_in_a_pipeline_the_failure_of_the_commit_answers_sync() -> None:
    conversation = logged_in()
    conversation.refusals.append(FULL)
    lines = conversation.say(*run("LISTEN a"), SYNC, *run("LISTEN b"), SYNC)
    assert lines[2:6] == ["C(LISTEN)", "commit LISTEN a", NOT_DONE, "Z(I)"]
    assert lines[-1] == "Z(I)"
    assert list(conversation.session.channels) == ["b"]


def test_a_commit_executed_in_a_pipeline_fails_there_and_what_follows_is_skipped() -> None:
    conversation = logged_in()
    conversation.refusals.append(FULL)
    lines = conversation.say(*run("BEGIN"), *run("NOTIFY a"), *run("COMMIT"), *run("NOTIFY b"), SYNC)
    assert lines[-3:] == ["commit NOTIFY a", NOT_DONE, "Z(I)"]
    assert not conversation.committed


# Channels that an open transaction may come to listen to


def test_listen_in_a_block_has_its_channel_reserved_until_the_commit() -> None:
    assert effects_of("BEGIN", "LISTEN a", "COMMIT") == ["reserve a", "commit LISTEN a"]
    assert effects_of("BEGIN", "DO 'BEGIN LISTEN a; LISTEN b; END'", "COMMIT") == [
        "reserve a",
        "reserve b",
        "commit LISTEN a, LISTEN b",
    ]


@pytest.mark.parametrize("end", ["ROLLBACK", "ROLLBACK AND CHAIN", "PREPARE TRANSACTION 'x'"])
def test_a_reservation_is_given_up_with_the_transaction(end: str) -> None:
    assert effects_of("BEGIN", "LISTEN a", end) == ["reserve a", "give up"]


def test_a_reservation_outlives_an_error_and_a_rollback_to_a_savepoint() -> None:
    assert effects_of("BEGIN", "SAVEPOINT s", "LISTEN a", "oops", "ROLLBACK TO s") == ["reserve a"]
    assert effects_of("BEGIN", "SAVEPOINT s", "LISTEN a", "ROLLBACK TO s", "COMMIT") == ["reserve a", "give up"]


def test_each_transaction_gives_up_its_own_reservations_once() -> None:
    assert effects_of("BEGIN", "LISTEN a", "ROLLBACK", "BEGIN", "ROLLBACK", "ROLLBACK") == ["reserve a", "give up"]


def test_outside_a_block_nothing_is_reserved() -> None:
    assert effects_of("LISTEN a; SELECT 1") == ["commit LISTEN a"]
    conversation = logged_in()
    assert "reserve a" not in conversation.say(parse("LISTEN a"), *run("LISTEN a"), execute(), SYNC)


def test_the_server_gives_up_the_reservations_of_a_commit_that_failed() -> None:
    conversation = logged_in()
    conversation.query("BEGIN; LISTEN a")
    conversation.refusals.append(FULL)
    assert "give up" not in conversation.query("COMMIT")


def test_too_many_channels_leave_no_reservation() -> None:
    conversation = logged_in()
    names = [f"c{number}" for number in range(101)]
    conversation.query("; ".join(["BEGIN", *(f"LISTEN {name}" for name in names)]))
    assert conversation.query("COMMIT AND CHAIN") == [
        "ERROR 53400 too many channels for one client",
        "give up",
        "Z(I)",
    ]
