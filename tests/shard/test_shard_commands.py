from __future__ import annotations

import pytest
from pglast import parse_sql

from twistnotify.shard.commands import (
    MAX_BATCH_ANSWER,
    MAX_BATCH_BYTES,
    MAX_LISTENS,
    MAX_SEPARATE_STATEMENTS,
    STATEMENT_ANSWER,
    TRANSACTION_ANSWER,
    Barrier,
    Batch,
    CommandQueue,
    Listen,
    Transaction,
    Unit,
    Unlisten,
)


def unit(*notifications: tuple[str, str], size: int = 1, alone: bool = False) -> Unit:
    return Unit(notifications, pid=1, size=size, alone=alone)


def notify(payload: str, channel: str = "c") -> Unit:
    return unit((channel, payload))


def queue_of(*commands: object, max_units: int = 1000, max_bytes: int = 1_000_000) -> CommandQueue:
    queue = CommandQueue(max_units, max_bytes)
    for command in commands:
        if isinstance(command, Unit):
            queue.append_unit(command)
        else:
            queue.append(command)  # type: ignore[arg-type]
    return queue


def taken(queue: CommandQueue) -> Batch:
    batch = queue.take()
    assert batch is not None
    return batch


def shape(batch: Batch) -> list[list[str]]:
    """Return the statements of each transaction."""
    return [transaction.statements for transaction in batch.transactions]


def statements_of(sql: str) -> list[str]:
    return [type(raw.stmt).__name__ for raw in parse_sql(sql)]


def test_an_empty_queue_gives_no_batch() -> None:
    queue = queue_of()

    assert queue.take() is None
    assert not queue
    assert len(queue) == 0


def test_one_notify_goes_out_as_it_is_without_a_transaction_around_it() -> None:
    assert taken(queue_of(notify("hello"))).sql() == "NOTIFY \"c\",'hello'"


def test_different_notifications_of_different_clients_share_a_transaction_in_their_order() -> None:
    batch = taken(queue_of(notify("1"), notify("2"), notify("1", "d")))

    assert shape(batch) == [["NOTIFY \"c\",'1'", "NOTIFY \"c\",'2'", "NOTIFY \"d\",'1'"]]
    assert batch.sql() == "NOTIFY \"c\",'1';NOTIFY \"c\",'2';NOTIFY \"d\",'1'"


def test_a_repeat_begins_a_new_transaction() -> None:
    batch = taken(queue_of(notify("1"), notify("2"), notify("1"), notify("2"), notify("2")))

    assert shape(batch) == [
        ["NOTIFY \"c\",'1'", "NOTIFY \"c\",'2'"],
        ["NOTIFY \"c\",'1'", "NOTIFY \"c\",'2'"],
        ["NOTIFY \"c\",'2'"],
    ]


def test_several_transactions_are_numbered_where_a_rollback_undoes_the_number() -> None:
    queue = queue_of(notify("1"), notify("1"))

    assert taken(queue).sql() == (
        "BEGIN;SET twistnotify.seq=1;NOTIFY \"c\",'1';COMMIT;BEGIN;SET twistnotify.seq=2;NOTIFY \"c\",'1';COMMIT;"
    )


def test_the_numbers_go_on_from_batch_to_batch() -> None:
    queue = queue_of(notify("1"), notify("1"))
    taken(queue)
    queue.append_unit(notify("1"))
    assert taken(queue).first == 3
    queue.append_unit(notify("1"))
    queue.append_unit(notify("1"))

    assert "SET twistnotify.seq=4;" in taken(queue).sql()


def test_a_clients_transaction_stays_in_one_even_where_a_part_of_it_repeats() -> None:
    batch = taken(queue_of(notify("2"), unit(("c", "1"), ("c", "2"), ("c", "3")), notify("4")))

    assert shape(batch) == [
        ["NOTIFY \"c\",'2'"],
        ["NOTIFY \"c\",'1'", "NOTIFY \"c\",'2'", "NOTIFY \"c\",'3'", "NOTIFY \"c\",'4'"],
    ]


def test_a_unit_that_is_to_be_alone_shares_its_query_string_with_nothing() -> None:
    queue = queue_of(notify("1"), unit(("c", "2"), alone=True), Listen("d"), notify("3"))

    assert shape(taken(queue)) == [["NOTIFY \"c\",'1'"]]
    assert shape(taken(queue)) == [["NOTIFY \"c\",'2'"]]
    assert shape(taken(queue)) == [['LISTEN "d"'], ["NOTIFY \"c\",'3'"]]


def test_listen_unlisten_and_notify_never_share_a_transaction() -> None:
    batch = taken(
        queue_of(Listen("a"), Listen("b"), notify("1"), Unlisten("a"), Unlisten("b"), Listen("a"), notify("2"))
    )

    assert shape(batch) == [
        ['LISTEN "a"', 'LISTEN "b"'],
        ["NOTIFY \"c\",'1'"],
        ['UNLISTEN "a"', 'UNLISTEN "b"'],
        ['LISTEN "a"'],
        ["NOTIFY \"c\",'2'"],
    ]


def test_a_notify_behind_a_listen_may_repeat_one_before_it() -> None:
    batch = taken(queue_of(notify("1"), Listen("a"), notify("1")))

    assert shape(batch) == [["NOTIFY \"c\",'1'"], ['LISTEN "a"'], ["NOTIFY \"c\",'1'"]]


def test_a_listen_does_not_go_out_with_a_notify_that_it_must_not_hear() -> None:
    queue = queue_of(notify("early"), notify("x", "other"), Listen("free"), Listen("c"), notify("late"))

    assert shape(taken(queue)) == [["NOTIFY \"c\",'early'", "NOTIFY \"other\",'x'"], ['LISTEN "free"']]
    assert shape(taken(queue)) == [['LISTEN "c"'], ["NOTIFY \"c\",'late'"]]


def test_names_and_payloads_are_quoted() -> None:
    sql = taken(queue_of(unit(('we"ird', "it's; DROP TABLE x"), ("c", "back\\slash")), Listen('a"; b'))).sql()

    trees = [raw.stmt for raw in parse_sql(sql)]
    assert (trees[2].conditionname, trees[2].payload) == ('we"ird', "it's; DROP TABLE x")
    assert trees[3].payload == "back\\slash"
    assert trees[7].conditionname == 'a"; b'


def test_a_large_transaction_becomes_one_select_in_its_order() -> None:
    pairs = [("c", f"it's {number}") for number in range(MAX_SEPARATE_STATEMENTS + 1)]
    sql = taken(queue_of(unit(*pairs))).sql()

    assert statements_of(sql) == ["SelectStmt"]
    rows = parse_sql(sql)[0].stmt.fromClause[0].subquery.valuesLists
    assert [(channel.val.sval, payload.val.sval) for channel, payload in rows] == pairs


def test_a_transaction_of_just_the_limit_stays_statements() -> None:
    pairs = [("c", str(number)) for number in range(MAX_SEPARATE_STATEMENTS)]

    assert statements_of(taken(queue_of(unit(*pairs))).sql()) == ["NotifyStmt"] * MAX_SEPARATE_STATEMENTS


def answer_bytes(batch: Batch) -> int:
    """Return the size of PostgreSQL's answer: CommandComplete of each statement, as long as its tag."""
    tags = {
        "TransactionStmt": "COMMIT",
        "VariableSetStmt": "SET",
        "NotifyStmt": "NOTIFY",
        "ListenStmt": "LISTEN",
        "UnlistenStmt": "UNLISTEN",
    }
    return sum(6 + len(tags[name]) for name in statements_of(batch.sql()))


@pytest.mark.parametrize(
    "commands",
    [
        [notify("same") for _ in range(3000)],
        [notify(str(number)) for number in range(3000)],
        [Listen(str(number)) for number in range(3000)],
        [Unlisten(str(number)) for number in range(3000)],
        [unit(*(("c", str(number)) for number in range(MAX_SEPARATE_STATEMENTS))) for _ in range(40)],
        [each for number in range(1000) for each in (Listen(str(number)), Unlisten(str(number)), notify("x"))],
    ],
    ids=["repeats", "different", "listen", "unlisten", "large units", "mixed"],
)
def test_the_answer_to_a_batch_fits_one_send_of_postgresql(commands: list[object]) -> None:
    queue = queue_of(*commands, max_units=10_000)
    total = 0

    while queue:
        batch = taken(queue)
        assert answer_bytes(batch) <= MAX_BATCH_ANSWER
        total += sum(len(transaction.commands) for transaction in batch.transactions)

    assert total == len(commands)


def test_a_batch_is_bounded_in_payload_bytes() -> None:
    third = MAX_BATCH_BYTES // 3 + 1
    queue = queue_of(*(unit(("c", str(number)), size=third) for number in range(4)))

    assert len(list(taken(queue).units())) == 3
    assert len(list(taken(queue).units())) == 1


def test_the_listens_of_a_new_connection_fit_one_answer_too() -> None:
    assert MAX_LISTENS * STATEMENT_ANSWER + TRANSACTION_ANSWER <= MAX_BATCH_ANSWER


def test_a_batch_ends_before_a_barrier() -> None:
    barrier = Barrier(lambda: None)
    queue = queue_of(notify("1"), barrier, notify("2"))

    assert queue.take_barriers() == []
    assert shape(taken(queue)) == [["NOTIFY \"c\",'1'"]]
    assert queue.take() is None
    assert queue.take_barriers() == [barrier]
    assert shape(taken(queue)) == [["NOTIFY \"c\",'2'"]]


def test_all_barriers_at_the_front_are_taken_in_order() -> None:
    first, second, third = (Barrier(lambda: None) for _ in range(3))
    queue = queue_of(first, second, notify("1"), third)

    assert queue.take_barriers() == [first, second]
    assert len(queue) == 2


def test_what_is_put_back_comes_first_and_counts_again() -> None:
    queue = queue_of(unit(("c", "1"), size=10), Listen("a"), unit(("c", "2"), size=20))
    batch = taken(queue)
    queue.append_unit(unit(("c", "3"), size=40))
    assert (queue.units, queue.bytes) == (1, 40)

    queue.put_back(command for transaction in batch.transactions for command in transaction.commands)

    assert (queue.units, queue.bytes) == (3, 70)
    assert shape(taken(queue)) == [["NOTIFY \"c\",'1'"], ['LISTEN "a"'], ["NOTIFY \"c\",'2'", "NOTIFY \"c\",'3'"]]
    assert (queue.units, queue.bytes) == (0, 0)


def test_dropping_listens_leaves_units_and_barriers_in_their_order() -> None:
    barrier = Barrier(lambda: None)
    queue = queue_of(Listen("a"), notify("1"), Unlisten("a"), barrier, Listen("b"), notify("2"))

    queue.drop_listens()

    assert shape(taken(queue)) == [["NOTIFY \"c\",'1'"]]
    assert queue.take_barriers() == [barrier]
    assert shape(taken(queue)) == [["NOTIFY \"c\",'2'"]]


def test_a_queue_is_full_at_its_number_of_units_until_half_of_them_are_gone() -> None:
    half = MAX_BATCH_BYTES // 2
    queue = queue_of(*(unit(("c", str(number)), size=half) for number in range(5)), max_units=6, max_bytes=1 << 40)
    assert not queue.full
    queue.append_unit(unit(("c", "6"), size=half))
    assert queue.full

    taken(queue)
    assert (queue.units, queue.full) == (4, True)
    taken(queue)
    assert (queue.units, queue.full) == (2, False)
    queue.append_unit(notify("7"))
    assert not queue.full


def test_a_queue_is_full_at_its_bytes_until_half_of_them_are_gone() -> None:
    half = MAX_BATCH_BYTES // 2
    queue = queue_of(*(unit(("c", str(number)), size=half) for number in range(5)), max_bytes=6 * half)
    assert not queue.full
    queue.append_unit(unit(("c", "6"), size=half))
    assert queue.full

    taken(queue)
    assert queue.full
    taken(queue)
    assert not queue.full


def test_listen_and_unlisten_never_fill_the_queue() -> None:
    queue = queue_of(*(Listen(str(number)) for number in range(100)), *(Unlisten("x") for _ in range(100)), max_units=1)

    assert not queue.full
    assert len(queue) == 200


def test_a_unit_that_nobody_waits_for_finishes_in_silence() -> None:
    told: list[object] = []

    notify("1").finish(None)
    Unit((("c", "1"),), 1, told.append).finish(None)

    assert told == [None]


def test_a_batch_knows_its_units_and_the_highest_number_among_them() -> None:
    first, second = notify("1"), notify("2")
    first.sequence, second.sequence = 7, 8
    batch = Batch([Transaction([Listen("a")]), Transaction([first]), Transaction([second])], 1)

    assert list(batch.units()) == [first, second]
    assert batch.last_sequence() == 8
    assert Batch([Transaction([Listen("a")])], 1).last_sequence() == 0


# Probes


def test_a_unit_without_notifications_is_a_round_trip() -> None:
    assert taken(queue_of(unit(size=0))).sql() == "SELECT 1"


def test_beside_others_it_adds_nothing() -> None:
    assert taken(queue_of(notify("1"), unit(size=0))).sql() == "NOTIFY \"c\",'1'"
    batch = taken(queue_of(Listen("a"), unit(size=0)))
    assert shape(batch) == [['LISTEN "a"'], []]
    assert statements_of(batch.sql()).count("TransactionStmt") == 4


def test_a_probe_waits_as_long_as_it_is_the_last_command() -> None:
    probe = unit(size=0)
    queue = queue_of(notify("1"))
    assert queue.waiting_probe is None
    queue.append_unit(probe)
    assert queue.waiting_probe is probe
    queue.append(Listen("a"))
    assert queue.waiting_probe is None
    assert queue_of().waiting_probe is None
