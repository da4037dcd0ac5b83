"""Notifications from one connection to others: to whom, in which order, and at which moment."""

from parity.dialogue import Dialogues, Stage

DIALOGUES = Dialogues()


@DIALOGUES
def from_one_connection_to_another(stage: Stage) -> None:
    a, b = stage.connect_many("a", "b")
    a.query("LISTEN x")
    b.query("NOTIFY x, '1'")
    a.hear()
    b.query("SELECT pg_notify('x', '2')")
    a.hear()
    b.run("NOTIFY x, '3'").sync()
    a.hear()


@DIALOGUES
def to_all_listeners_and_the_sender(stage: Stage) -> None:
    a, b, c = stage.connect_many("a", "b", "c")
    for connection in (a, b, c):
        connection.query("LISTEN x")
    b.query("NOTIFY x, 'to all'")
    a.hear()
    c.hear()
    c.query("NOTIFY x, 'again'")
    a.hear()
    b.hear()


@DIALOGUES
def to_those_who_listen_only(stage: Stage) -> None:
    a, b, c = stage.connect_many("a", "b", "c")
    a.query("LISTEN x")
    b.query("LISTEN y")
    c.query("NOTIFY x, 'for a'; NOTIFY y, 'for b'; NOTIFY z, 'for nobody'")
    a.hear()
    b.hear()


@DIALOGUES
def who_listens_later_does_not_hear(stage: Stage) -> None:
    a, b, c = stage.connect_many("a", "b", "c")
    c.query("LISTEN x")
    for number in range(20):
        b.query(f"NOTIFY x, 'before {number}'")
        a.query("LISTEN x")
        b.query(f"NOTIFY x, 'after {number}'")
        a.hear().query("UNLISTEN x")
    c.hear(40)


@DIALOGUES
def held_in_a_transaction_up_to_commit(stage: Stage) -> None:
    a, b = stage.connect_many("a", "b")
    for end in ("COMMIT", "ROLLBACK", "END", "ABORT"):
        a.query("LISTEN x").query("BEGIN")
        b.query("NOTIFY x, '1'").query("NOTIFY x, '2'")
        a.query("SELECT 1").query("NOTIFY y").query(end)


@DIALOGUES
def held_in_a_failed_transaction(stage: Stage) -> None:
    a, b = stage.connect_many("a", "b")
    for end in ("ROLLBACK", "COMMIT"):
        a.query("LISTEN x").query("BEGIN").query("NOTIFY")
        b.query("NOTIFY x, 'held'")
        a.query("SELECT 1").query("").query(end)


@DIALOGUES
def held_over_a_chain(stage: Stage) -> None:
    a, b = stage.connect_many("a", "b")
    a.query("LISTEN x").query("BEGIN")
    b.query("NOTIFY x, '1'")
    a.query("COMMIT AND CHAIN").query("ROLLBACK AND CHAIN")
    b.query("NOTIFY x, '2'")
    a.query("SAVEPOINT s").query("ROLLBACK TO s").query("COMMIT")


@DIALOGUES
def own_and_others_mixed_in_the_order_of_commits(stage: Stage) -> None:
    a, b = stage.connect_many("a", "b")
    a.query("LISTEN x").query("BEGIN").query("NOTIFY x, 'own 1'")
    b.query("NOTIFY x, 'other 1'")
    a.query("NOTIFY x, 'own 2'")
    b.query("NOTIFY x, 'other 2'")
    a.query("COMMIT")


@DIALOGUES
def behind_the_last_tag_of_a_query(stage: Stage) -> None:
    a, b = stage.connect_many("a", "b")
    a.query("LISTEN x").query("BEGIN")
    b.query("NOTIFY x, 'other'")
    a.query("NOTIFY x, 'own'; COMMIT; NOTIFY x, 'later'; SELECT 1")


@DIALOGUES
def unlisten_loses_what_is_held(stage: Stage) -> None:
    a, b = stage.connect_many("a", "b")
    for unlisten in ("UNLISTEN x", "UNLISTEN *"):
        a.query("LISTEN x; LISTEN y").query("BEGIN")
        b.query("NOTIFY x, 'lost'; NOTIFY y, 'perhaps'")
        a.query(unlisten).query("COMMIT").query("SELECT 1")


@DIALOGUES
def unlisten_that_is_rolled_back_loses_nothing(stage: Stage) -> None:
    a, b = stage.connect_many("a", "b")
    a.query("LISTEN x").query("BEGIN")
    b.query("NOTIFY x, 'kept'")
    a.query("UNLISTEN x").query("ROLLBACK")


@DIALOGUES
def unlisten_and_listen_keep_what_is_held(stage: Stage) -> None:
    a, b = stage.connect_many("a", "b")
    a.query("LISTEN x").query("BEGIN")
    b.query("NOTIFY x, 'held'")
    a.query("UNLISTEN x").query("LISTEN x").query("COMMIT")


@DIALOGUES
def listening_begins_at_commit(stage: Stage) -> None:
    a, b = stage.connect_many("a", "b")
    a.query("BEGIN").query("LISTEN x")
    b.query("NOTIFY x, 'too early'")
    a.query("COMMIT")
    b.query("NOTIFY x, 'in time'")
    a.hear()


@DIALOGUES
def listening_never_begins_after_rollback(stage: Stage) -> None:
    a, b, c = stage.connect_many("a", "b", "c")
    c.query("LISTEN x")
    a.query("BEGIN").query("LISTEN x").query("ROLLBACK")
    b.query("NOTIFY x, 'not for a'")
    c.hear()
    a.query("BEGIN").query("SAVEPOINT s").query("LISTEN x").query("ROLLBACK TO s").query("COMMIT")
    b.query("NOTIFY x, 'still not'")
    c.hear()


@DIALOGUES
def order_is_that_of_commits(stage: Stage) -> None:
    a, b, c = stage.connect_many("a", "b", "c")
    a.query("LISTEN x; LISTEN y")
    b.query("BEGIN").query("NOTIFY x, 'begun first'")
    c.query("NOTIFY y, 'committed first'")
    a.hear()
    b.query("NOTIFY y, 'as well'").query("COMMIT")
    a.hear(2)


@DIALOGUES
def order_across_channels_and_senders(stage: Stage) -> None:
    a, b, c = stage.connect_many("a", "b", "c")
    a.query("LISTEN x; LISTEN y; LISTEN z").query("BEGIN")
    for number in range(30):
        (b, c)[number % 2].query(f"NOTIFY {'xyz'[number % 3]}, '{number}'")
    a.query("COMMIT")


@DIALOGUES
def transactions_are_delivered_whole(stage: Stage) -> None:
    a, b, c = stage.connect_many("a", "b", "c")
    a.query("LISTEN x").query("BEGIN")
    b.query("BEGIN").query("NOTIFY x, 'b1'")
    c.query("BEGIN").query("NOTIFY x, 'c1'")
    b.query("NOTIFY x, 'b2'")
    c.query("NOTIFY x, 'c2'").query("COMMIT")
    b.query("COMMIT")
    a.query("COMMIT")


@DIALOGUES
def what_is_rolled_back_is_never_heard(stage: Stage) -> None:
    a, b = stage.connect_many("a", "b")
    a.query("LISTEN x")
    b.query("BEGIN").query("NOTIFY x, 'lost'").query("ROLLBACK").query("NOTIFY x, 'lost'; SELECT pg_notify('', '')")
    b.query("BEGIN").query("NOTIFY x, 'lost'").query("NOTIFY").query("COMMIT").query("NOTIFY x, 'heard'")
    a.hear()


@DIALOGUES
def what_is_open_is_lost_when_the_sender_goes(stage: Stage) -> None:
    a, b, c = stage.connect_many("a", "b", "c")
    a.query("LISTEN x")
    b.query("BEGIN").query("NOTIFY x, 'lost'").terminate()
    c.query("NOTIFY x, 'heard'")
    a.hear()


@DIALOGUES
def a_sender_that_has_gone_is_heard(stage: Stage) -> None:
    a, b = stage.connect_many("a", "b")
    a.query("LISTEN x").query("BEGIN")
    b.query("NOTIFY x, 'last words'").terminate()
    a.query("COMMIT")


@DIALOGUES
def a_listener_that_comes_back_listens_to_nothing(stage: Stage) -> None:
    a, b = stage.connect_many("a", "b")
    a.query("LISTEN x").terminate()
    c = stage.connect("c")
    b.query("NOTIFY x, 'to nobody'")
    c.query("SELECT pg_listening_channels()").query("LISTEN x")
    b.query("NOTIFY x, 'to c'")
    c.hear()


@DIALOGUES
def duplicates_of_two_senders_are_kept(stage: Stage) -> None:
    a, b, c = stage.connect_many("a", "b", "c")
    a.query("LISTEN x").query("BEGIN")
    for _ in range(3):
        b.query("NOTIFY x, 'same'")
        c.query("NOTIFY x, 'same'; NOTIFY x, 'same'")
    a.query("COMMIT")


@DIALOGUES
def before_the_answer_of_a_waiting_pipeline(stage: Stage) -> None:
    a, b = stage.connect_many("a", "b")
    a.query("LISTEN x").run("SELECT 1").flush("CommandComplete")
    b.query("NOTIFY x, 'held until Sync'")
    a.run("SELECT 2").flush("CommandComplete").sync()


@DIALOGUES
def a_parse_alone_holds_notifications(stage: Stage) -> None:
    a, b = stage.connect_many("a", "b")
    a.query("LISTEN x").parse("SELECT 1").flush("ParseComplete")
    b.query("NOTIFY x, 'held'")
    a.sync()


@DIALOGUES
def after_an_error_and_before_ready(stage: Stage) -> None:
    a, b = stage.connect_many("a", "b")
    a.query("LISTEN x").parse("SELECT 1").flush("ParseComplete")
    b.query("NOTIFY x, 'held'")
    a.bind("one too many").sync()
    a.parse("SELECT 1").flush("ParseComplete")
    b.query("NOTIFY x, 'held too'")
    a.query("NOTIFY").query("SELECT 1")


@DIALOGUES
def do_blocks_reach_others(stage: Stage) -> None:
    a, b = stage.connect_many("a", "b")
    a.query('DO $$BEGIN LISTEN "x"; LISTEN "y"; END$$')
    b.query("DO $$BEGIN NOTIFY x, '1'; NOTIFY y, '2'; NOTIFY x, '1'; END$$")
    a.hear(2)


@DIALOGUES
def long_payloads_reach_others(stage: Stage) -> None:
    a, b = stage.connect_many("a", "b")
    a.query("LISTEN x")
    for number in range(30):
        b.query(f"NOTIFY x, '{number:05}{'é' * 3997}'")
    a.hear(30)


@DIALOGUES
def two_listeners_hear_the_same_order(stage: Stage) -> None:
    a, b, c = stage.connect_many("a", "b", "c")
    a.query("LISTEN x; LISTEN y").query("BEGIN")
    b.query("LISTEN y; LISTEN x").query("BEGIN")
    for number in range(10):
        c.query(f"NOTIFY x, '{number}'; NOTIFY y, '{number}'")
    a.query("COMMIT")
    b.query("COMMIT")
