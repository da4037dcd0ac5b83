"""Transaction blocks that hold real work beside LISTEN, NOTIFY and UNLISTEN."""

from parity.dialogue import Dialogues, Stage

DIALOGUES = Dialogues()

TABLE = "CREATE TEMP TABLE t (n int PRIMARY KEY)"
DEFERRED = "CREATE TEMP TABLE t (n int UNIQUE DEFERRABLE INITIALLY DEFERRED)"


@DIALOGUES
def insert_notify_and_listen_in_every_order(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("CREATE TEMP TABLE t (n int)")
    insert, notify, listen = "INSERT INTO t VALUES (1)", "NOTIFY x, 'p'", "LISTEN x"
    for statements in (
        (insert, notify, listen),
        (insert, listen, notify),
        (notify, insert, listen),
        (notify, listen, insert),
        (listen, insert, notify),
        (listen, notify, insert),
    ):
        for end in ("ROLLBACK", "COMMIT"):
            a.query("BEGIN")
            for sql in statements:
                a.query(sql)
            a.query(end).query("NOTIFY x, 'behind'").query("SELECT count(*) FROM t").query("UNLISTEN x")


@DIALOGUES
def a_first_statement_in_a_block_that_has_notified(stage: Stage) -> None:
    a, b = stage.connect_many("a", "b")
    b.query("LISTEN x")
    a.query("BEGIN").query("NOTIFY x, '1'").query("SAVEPOINT s").query("NOTIFY x, '2'").query("SELECT 2 + 2").query(
        "NOTIFY x, '3'"
    )
    a.query("ROLLBACK TO s").query("NOTIFY x, '4'").query("COMMIT")
    b.hear(2)


@DIALOGUES
def a_first_statement_in_a_block_that_is_rolled_back(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x").query("BEGIN").query("NOTIFY x, 'lost'").query("LISTEN y").query("SELECT 2 + 2").query(
        "ROLLBACK"
    )
    a.query("NOTIFY y").query("SELECT 3 + 3").query("SELECT pg_listening_channels()")


@DIALOGUES
def rollback_to_with_real_work(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x").query(TABLE).query("BEGIN").query("INSERT INTO t VALUES (1)").query("NOTIFY x, '1'").query(
        "SAVEPOINT s"
    )
    a.query("INSERT INTO t VALUES (2)").query("NOTIFY x, '2'").query("LISTEN y").query("UNLISTEN x").query(
        "ROLLBACK TO SAVEPOINT s"
    )
    a.query("TABLE t").query("NOTIFY x, '3'").query("RELEASE s").query("COMMIT").query("SELECT pg_listening_channels()")


@DIALOGUES
def a_savepoint_rescues_real_work(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x").query(TABLE).query("BEGIN").query("INSERT INTO t VALUES (1)").query("SAVEPOINT s").query(
        "NOTIFY x, 'lost'"
    )
    a.query("INSERT INTO t VALUES (1)").query("NOTIFY x").query("SELECT 2 + 2").query("ROLLBACK TO s").query(
        "NOTIFY x, 'kept'"
    )
    a.query("INSERT INTO t VALUES (2)").query("COMMIT").query("TABLE t")


@DIALOGUES
def savepoints_before_the_first_statement(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x").query("BEGIN").query("SAVEPOINT s").query("NOTIFY x, '1'").query('SAVEPOINT "T t"').query(
        "NOTIFY x, '2'"
    )
    a.query("SELECT 2 + 2").query('ROLLBACK TO "T t"').query("SELECT 3 + 3").query("RELEASE s").query(
        'ROLLBACK TO "T t"'
    )
    a.query("COMMIT").query("BEGIN").query("SAVEPOINT a").query("SAVEPOINT a").query("RELEASE a").query("SELECT 4 + 4")
    a.query("ROLLBACK TO a").query("RELEASE a").query("RELEASE a").query("ROLLBACK")


@DIALOGUES
def chains_with_real_work(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x").query(TABLE).query("BEGIN ISOLATION LEVEL SERIALIZABLE").query(
        "INSERT INTO t VALUES (1)"
    ).query("NOTIFY x, '1'")
    a.query("COMMIT AND CHAIN").query("SHOW transaction_isolation").query("INSERT INTO t VALUES (2)").query(
        "NOTIFY x, 'lost'"
    )
    a.query("ROLLBACK AND CHAIN").query("SHOW transaction_isolation").query("NOTIFY x, '2'").query("SELECT 1 / 0")
    a.query("COMMIT AND CHAIN").query("TABLE t").query("NOTIFY x, '3'").query("COMMIT").query(
        "SHOW transaction_isolation"
    )
    a.query("COMMIT AND CHAIN").query("ROLLBACK AND CHAIN")


@DIALOGUES
def a_chain_before_the_first_statement(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x").query("BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY").query("NOTIFY x, '1'")
    a.query("COMMIT AND CHAIN").query("NOTIFY x, '2'").query("SHOW transaction_isolation").query(
        "SHOW transaction_read_only"
    )
    a.query("CREATE TABLE parity_never (n int)").query("ROLLBACK AND CHAIN").query("SHOW transaction_read_only").query(
        "COMMIT"
    )


@DIALOGUES
def commit_of_failed_real_work_rolls_back(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x").query(TABLE)
    for end in ("COMMIT", "END", "ROLLBACK", "COMMIT AND CHAIN", "PREPARE TRANSACTION 'gid'"):
        a.query("BEGIN").query("INSERT INTO t VALUES (1)").query("NOTIFY x, 'lost'").query("LISTEN y").query(
            "SELECT 1 / 0"
        )
        a.query("SELECT 2 + 2").query("NOTIFY x").query("LISTEN z").query("").query("SHOW DateStyle").query(end).query(
            "ROLLBACK"
        )
    a.query("TABLE t").query("SELECT pg_listening_channels()")


@DIALOGUES
def a_block_that_fails_before_the_first_statement(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x").query("BEGIN").query("NOTIFY x, 'lost'").query("SELECT pg_notify('', '')").query(
        "SELECT 2 + 2"
    ).query("COMMIT")
    a.query("BEGIN").query("NOTIFY").query("SELECT oops").query("ROLLBACK").query("SELECT 3 + 3")
    a.query("BEGIN").query("SAVEPOINT s").query("NOTIFY").query("SELECT 4 + 4").query("ROLLBACK TO s").query(
        "SELECT 5 + 5"
    ).query("END")


@DIALOGUES
def a_deferred_constraint_fails_at_commit(stage: Stage) -> None:
    a, b = stage.connect_many("a", "b")
    b.query("LISTEN x")
    a.query("LISTEN x").query(DEFERRED).query("BEGIN").query("INSERT INTO t VALUES (1)").query(
        "INSERT INTO t VALUES (1)"
    )
    a.query("LISTEN y").query("NOTIFY x, 'lost'").query("UNLISTEN x").query("COMMIT").query(
        "SELECT pg_listening_channels()"
    )
    a.query("INSERT INTO t VALUES (2), (2)").query("INSERT INTO t VALUES (3), (3); NOTIFY x, 'lost'; LISTEN z")
    a.query("BEGIN; INSERT INTO t VALUES (4), (4); NOTIFY x, 'lost'; COMMIT; NOTIFY x, 'not run'").query("TABLE t")
    a.query("NOTIFY x, 'heard'").query("SELECT pg_listening_channels()")
    b.hear()


@DIALOGUES
def a_deferred_constraint_fails_at_sync(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x").query(DEFERRED).run("INSERT INTO t VALUES (1), (1)").run("NOTIFY x, 'lost'").run(
        "LISTEN y"
    ).sync()
    a.run("BEGIN").run("INSERT INTO t VALUES (2), (2)").run("NOTIFY x, 'lost'").run("COMMIT").run(
        "NOTIFY x, 'skipped'"
    ).sync()
    a.run("INSERT INTO t VALUES (3)").run("NOTIFY x, 'heard'").sync().query("TABLE t").query(
        "SELECT pg_listening_channels()"
    )


@DIALOGUES
def constraints_made_immediate(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x").query(DEFERRED).query("BEGIN").query("INSERT INTO t VALUES (1), (1)").query("NOTIFY x, 'lost'")
    a.query("SET CONSTRAINTS ALL IMMEDIATE").query("COMMIT").query("BEGIN").query("SET CONSTRAINTS ALL IMMEDIATE")
    a.query("INSERT INTO t VALUES (2), (2)").query("ROLLBACK").query("NOTIFY x, 'heard'")


@DIALOGUES
def options_of_begin(stage: Stage) -> None:
    a = stage.connect("a")
    for options in (
        "ISOLATION LEVEL SERIALIZABLE",
        "ISOLATION LEVEL REPEATABLE READ READ ONLY",
        "READ ONLY, DEFERRABLE, ISOLATION LEVEL SERIALIZABLE",
        "WORK READ WRITE",
        "TRANSACTION ISOLATION LEVEL READ UNCOMMITTED /* as it is */",
    ):
        a.query(f"BEGIN {options};").query("NOTIFY x").query("SHOW transaction_isolation").query(
            "SHOW transaction_read_only"
        )
        a.query("SHOW transaction_deferrable").query("COMMIT")
    a.query("START TRANSACTION ISOLATION LEVEL SERIALIZABLE -- so").query("SHOW transaction_isolation").query("ABORT")


@DIALOGUES
def set_transaction(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("BEGIN").query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ").query("NOTIFY x").query(
        "SHOW transaction_isolation"
    )
    a.query("SELECT 2 + 2").query("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE").query("ROLLBACK")
    a.query("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY").query("BEGIN").query("SHOW transaction_read_only")
    a.query("NOTIFY x").query("CREATE TEMP TABLE t (n int)").query("CREATE TABLE parity_never (n int)").query("COMMIT")
    a.query("SET TRANSACTION READ WRITE")


@DIALOGUES
def begin_and_commit_where_they_do_not_belong(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x").query("SELECT 2 + 2").query("COMMIT").query("ROLLBACK").query("BEGIN").query("BEGIN").query(
        "NOTIFY x, 'p'"
    )
    a.query("SELECT 3 + 3").query("START TRANSACTION READ ONLY").query("COMMIT").query("SAVEPOINT s").query("RELEASE s")
    a.query("ROLLBACK TO s").query("PREPARE TRANSACTION 'gid'").query("COMMIT PREPARED 'gid'").query(
        "ROLLBACK PREPARED 'gid'"
    )


@DIALOGUES
def two_phase_commit_is_off(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x").query(TABLE).query("BEGIN").query("INSERT INTO t VALUES (1)").query(
        "PREPARE TRANSACTION 'parity'"
    )
    a.query("ROLLBACK").query("BEGIN").query("SELECT 2 + 2").query("NOTIFY x, 'lost'").query("LISTEN y")
    a.query("PREPARE TRANSACTION 'parity'").query("ROLLBACK").query("SELECT 3 + 3").query("NOTIFY x, 'heard'")
    a.query("SELECT pg_listening_channels()")


@DIALOGUES
def a_transaction_of_one_statement_that_fails(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x").query(TABLE).query(
        "INSERT INTO t SELECT 1 / (n - 2) FROM generate_series(3, 1, -1) AS n"
    ).query("TABLE t")
    a.query("SELECT pg_notify('x', n::text), 1 / (3 - n) FROM generate_series(1, 3) AS n").query("NOTIFY x, 'heard'")


@DIALOGUES
def serialization_failure_at_commit(stage: Stage) -> None:
    stage.set_up("DROP TABLE IF EXISTS parity_skew", "CREATE TABLE parity_skew (n int)")
    a, b, c = stage.connect_many("a", "b", "c")
    c.query("LISTEN x")
    for connection in (a, b):
        connection.query("LISTEN x").query("BEGIN ISOLATION LEVEL SERIALIZABLE").query("NOTIFY x, 'own'").query(
            "LISTEN y"
        )
        connection.query("SELECT count(*) FROM parity_skew")
    a.query("INSERT INTO parity_skew VALUES (1)")
    b.query("INSERT INTO parity_skew VALUES (2)")
    a.query("COMMIT")
    c.hear()
    b.query("COMMIT").query("SELECT pg_listening_channels()").query("TABLE parity_skew").query("NOTIFY x, 'after'")
    a.hear()
    c.hear()


@DIALOGUES
def serialization_failure_at_update(stage: Stage) -> None:
    stage.set_up(
        "DROP TABLE IF EXISTS parity_update",
        "CREATE TABLE parity_update (n int)",
        "INSERT INTO parity_update VALUES (1)",
    )
    a, b = stage.connect_many("a", "b")
    a.query("LISTEN x").query("BEGIN ISOLATION LEVEL REPEATABLE READ").query("NOTIFY x, 'lost'").query(
        "TABLE parity_update"
    )
    b.query("UPDATE parity_update SET n = 2; NOTIFY x, 'of b'")
    a.query("UPDATE parity_update SET n = 3").query("COMMIT").query("TABLE parity_update")


@DIALOGUES
def locks_are_held_to_the_end(stage: Stage) -> None:
    stage.set_up(
        "DROP TABLE IF EXISTS parity_lock", "CREATE TABLE parity_lock (n int)", "INSERT INTO parity_lock VALUES (1)"
    )
    a, b = stage.connect_many("a", "b")
    b.query("LISTEN x")
    a.query("BEGIN").query("NOTIFY x, '1'").query("SELECT n FROM parity_lock FOR UPDATE")
    b.query("SELECT n FROM parity_lock FOR UPDATE SKIP LOCKED").query("SELECT n FROM parity_lock FOR UPDATE NOWAIT")
    b.query("BEGIN; SET LOCAL lock_timeout TO '20ms'; UPDATE parity_lock SET n = 2").query("ROLLBACK")
    a.query("COMMIT")
    b.hear().query("SELECT n FROM parity_lock FOR UPDATE NOWAIT")


@DIALOGUES
def a_waiting_statement_goes_on_at_commit(stage: Stage) -> None:
    stage.set_up("DROP TABLE IF EXISTS parity_wait", "CREATE TABLE parity_wait (n int PRIMARY KEY)")
    a, b, c = stage.connect_many("a", "b", "c")
    c.query("LISTEN x")
    a.query("BEGIN").query("INSERT INTO parity_wait VALUES (1)").query("NOTIFY x, 'of a'")
    b.query("BEGIN").query("NOTIFY x, 'of b'").and_query("INSERT INTO parity_wait VALUES (1)").and_query(
        "COMMIT"
    ).send()
    a.query("ROLLBACK")
    b.read_all()
    c.hear().query("TABLE parity_wait")
