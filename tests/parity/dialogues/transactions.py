"""Transactions by simple queries: tags, warnings, and when LISTEN, UNLISTEN and NOTIFY take effect."""

from parity.dialogue import Dialogues, Stage

DIALOGUES = Dialogues()


@DIALOGUES
def tags_of_blocks(stage: Stage) -> None:
    a = stage.connect("a")
    begins = (
        "BEGIN",
        "BEGIN WORK",
        "BEGIN TRANSACTION",
        "START TRANSACTION",
        "BEGIN ISOLATION LEVEL SERIALIZABLE, READ ONLY, DEFERRABLE",
        "START TRANSACTION READ WRITE",
    )
    ends = ("COMMIT", "END", "COMMIT TRANSACTION", "ROLLBACK", "ABORT", "ROLLBACK WORK", "END TRANSACTION AND NO CHAIN")
    for begin in begins:
        a.query(begin).query("COMMIT")
    for end in ends:
        a.query("BEGIN").query(end)


@DIALOGUES
def warnings_of_blocks(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("COMMIT").query("ROLLBACK").query("END").query("ABORT").query("BEGIN").query("BEGIN")
    a.query("START TRANSACTION").query("ROLLBACK").query("ROLLBACK")


@DIALOGUES
def only_in_blocks(stage: Stage) -> None:
    a = stage.connect("a")
    for sql in ("SAVEPOINT s", "RELEASE s", "RELEASE SAVEPOINT s", "ROLLBACK TO s", "ROLLBACK TO SAVEPOINT s"):
        a.query(sql).query(f"SELECT 1; {sql}")
    for sql in ("COMMIT AND CHAIN", "ROLLBACK AND CHAIN", "END AND CHAIN"):
        a.query(sql).query(f"SELECT 1; {sql}")


@DIALOGUES
def commit_makes_it_happen(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("BEGIN").query("LISTEN x").query("NOTIFY x, 'own'").query("SELECT 1").query("COMMIT").query("NOTIFY x")
    a.query("BEGIN").query("NOTIFY x, 'before'").query("UNLISTEN x").query("COMMIT").query("NOTIFY x")
    a.query("BEGIN").query("NOTIFY x, 'first'").query("LISTEN x").query("COMMIT")


@DIALOGUES
def rollback_undoes_it(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN y").query("BEGIN").query("LISTEN x").query("UNLISTEN y").query("NOTIFY y, 'lost'").query("ROLLBACK")
    a.query("NOTIFY x; NOTIFY y").query("SELECT pg_listening_channels()")


@DIALOGUES
def commit_of_a_failed_transaction_rolls_back(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x").query("BEGIN").query("NOTIFY x").query("LISTEN y").query("SELECT pg_notify('', '')")
    a.query("NOTIFY x").query("BEGIN").query("COMMIT").query("SELECT pg_listening_channels()")


@DIALOGUES
def rollback_to_a_savepoint(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x").query("BEGIN").query("NOTIFY x, '1'").query("SAVEPOINT s").query("NOTIFY x, '2'")
    a.query("LISTEN y").query("UNLISTEN x").query("ROLLBACK TO s").query("NOTIFY x, '3'").query("COMMIT")
    a.query("SELECT pg_listening_channels()")


@DIALOGUES
def a_pair_that_was_rolled_back_takes_the_later_place(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x").query("BEGIN; SAVEPOINT s; NOTIFY x, 'p'; ROLLBACK TO s; NOTIFY x, 'q'; NOTIFY x, 'p'; COMMIT")


@DIALOGUES
def release_merges(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x")
    a.query("BEGIN; NOTIFY x, 'p'; SAVEPOINT s; NOTIFY x, 'q'; NOTIFY x, 'p'; RELEASE s; NOTIFY x, 'q'; COMMIT")
    a.query("BEGIN; SAVEPOINT s; NOTIFY x, 'p'; SAVEPOINT t; NOTIFY x, 'q'; RELEASE s; NOTIFY x, 'r'; COMMIT")


@DIALOGUES
def savepoints_of_one_name_shadow_each_other(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x").query("BEGIN").query("SAVEPOINT s").query("NOTIFY x, '1'").query("SAVEPOINT s")
    a.query("NOTIFY x, '2'").query("ROLLBACK TO s").query("RELEASE s").query("NOTIFY x, '3'").query("ROLLBACK TO s")
    a.query("NOTIFY x, '4'").query("COMMIT")


@DIALOGUES
def savepoints_go_with_the_outer_one(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("BEGIN; SAVEPOINT s; SAVEPOINT t").query("ROLLBACK TO s").query("ROLLBACK TO t").query("ROLLBACK TO s")
    a.query("RELEASE s").query("RELEASE s").query("ROLLBACK TO s").query("ROLLBACK")


@DIALOGUES
def names_of_savepoints_are_identifiers(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("BEGIN").query('SAVEPOINT Abc; SAVEPOINT "Abc"').query('RELEASE "Abc"').query("RELEASE ABC").query(
        "RELEASE abc"
    )
    a.query("ROLLBACK").query("BEGIN").query('SAVEPOINT "a""b"').query('ROLLBACK TO "a""b"').query(
        "RELEASE none"
    ).query("END")


@DIALOGUES
def names_of_savepoints_are_cut_too(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("BEGIN").query(f"SAVEPOINT {'s' * 64}").query(f"ROLLBACK TO {'s' * 63}").query(f"RELEASE {'S' * 80}").query(
        "END"
    )


@DIALOGUES
def a_savepoint_rescues_a_failed_transaction(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x").query("BEGIN").query("NOTIFY x, 'kept'").query("SAVEPOINT s").query("NOTIFY x, 'lost'")
    a.query("SELECT pg_notify('', '')").query("RELEASE s").query("SAVEPOINT t").query("ROLLBACK TO s")
    a.query("NOTIFY x, 'after'").query("COMMIT")


@DIALOGUES
def an_unknown_savepoint_in_a_failed_transaction(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("BEGIN").query("SAVEPOINT s").query("NOTIFY").query("ROLLBACK TO t").query("ROLLBACK TO s").query("COMMIT")


@DIALOGUES
def commit_and_chain(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x").query("BEGIN").query("NOTIFY x, '1'").query("COMMIT AND CHAIN").query("NOTIFY x, '2'")
    a.query("ROLLBACK AND CHAIN").query("NOTIFY x, '3'").query("SELECT pg_notify('', '')").query("COMMIT AND CHAIN")
    a.query("NOTIFY x, '4'").query("SELECT pg_notify('', '')").query("ROLLBACK AND CHAIN").query("NOTIFY x, '5'").query(
        "END"
    )


@DIALOGUES
def chaining_ends_savepoints(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("BEGIN").query("SAVEPOINT s").query("COMMIT AND CHAIN").query("ROLLBACK TO s").query("ROLLBACK")


@DIALOGUES
def begin_in_a_query_takes_in_what_stands_before_it(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN r; NOTIFY r; BEGIN; NOTIFY r, 'in'").query("ROLLBACK").query("NOTIFY r")
    a.query("LISTEN r; NOTIFY r; BEGIN; NOTIFY r, 'in'").query("COMMIT")


@DIALOGUES
def commit_in_a_query_ends_the_implicit_block(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x; NOTIFY x, '1'; COMMIT; NOTIFY x, '2'; SELECT pg_notify('', '')").query("SELECT 1")
    a.query("NOTIFY x, '3'; ROLLBACK; NOTIFY x, '4'").query("NOTIFY x, '5'; END; ROLLBACK; COMMIT")


@DIALOGUES
def several_blocks_in_one_query(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x").query("BEGIN; NOTIFY x, '1'; COMMIT; BEGIN; NOTIFY x, '2'; ROLLBACK; BEGIN; NOTIFY x, '3'; END")
    a.query("BEGIN; NOTIFY x, '4'; BEGIN; COMMIT; NOTIFY x, '5'").query("BEGIN; NOTIFY x, '6'").query(
        "NOTIFY x, '7'; COMMIT"
    )


@DIALOGUES
def read_only_transactions_may_notify(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("BEGIN READ ONLY").query("LISTEN x").query("NOTIFY x").query("UNLISTEN y").query("COMMIT")


@DIALOGUES
def prepare_transaction_without_two_phase_commit(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x").query("BEGIN").query("SELECT 1").query("PREPARE TRANSACTION 'gid'").query("ROLLBACK")
    a.query("BEGIN").query("NOTIFY x").query("PREPARE TRANSACTION 'gid'").query("SELECT 1")
    a.query("BEGIN").query("SELECT pg_notify('', '')").query("PREPARE TRANSACTION 'gid'").query("SELECT 1")


@DIALOGUES
def prepare_transaction_outside_of_a_block(stage: Stage) -> None:
    stage.connect("a").query("PREPARE TRANSACTION 'gid'").query("SELECT 1; PREPARE TRANSACTION 'gid'")


@DIALOGUES
def empty_queries_and_syntax_errors_in_a_failed_transaction(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("BEGIN").query("NOTIFY").query("").query(";").query("-- c").query("LISTEN").query("DISCARD ALL").query(
        "RESET ALL"
    )
    a.query("DO $$BEGIN LISTEN x; END$$").query("DEALLOCATE ALL").query("CLOSE ALL").query("UNLISTEN *").query(
        "ROLLBACK"
    )
