"""What cuts real work short: cancels, time limits, terminated backends."""

from parity.dialogue import Connection, Dialogues, Stage

DIALOGUES = Dialogues()

ASLEEP = "DO $$BEGIN RAISE NOTICE 'asleep'; PERFORM pg_sleep(60); END$$"


def fall_asleep(connection: Connection, sql: str = ASLEEP) -> Connection:
    """Send what sleeps for a minute and read up to the notice that it does, which PostgreSQL sends at once."""
    return connection.and_query(sql).read_until("NoticeResponse")


@DIALOGUES
def cancel_of_a_running_query(stage: Stage) -> None:
    a = stage.connect("a")
    fall_asleep(a.query("LISTEN x"))
    stage.open("b").cancel(a.pid, a.secret)
    a.read_all().query("NOTIFY x, 'p'").query("SELECT 2 + 2")


@DIALOGUES
def cancel_of_a_string_with_pubsub(stage: Stage) -> None:
    a = stage.connect("a")
    fall_asleep(a.query("LISTEN x"), f"NOTIFY x, 'lost'; LISTEN y; {ASLEEP}; NOTIFY x, 'not run'")
    stage.open("b").cancel(a.pid, a.secret)
    a.read_all().query("NOTIFY x, 'p'").query("SELECT pg_listening_channels()")


@DIALOGUES
def cancel_within_a_block(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x").query("BEGIN").query("NOTIFY x, 'kept'").query("SAVEPOINT s").query("NOTIFY x, 'lost'")
    fall_asleep(a)
    stage.open("b").cancel(a.pid, a.secret)
    a.read_all().query("SELECT 2 + 2").query("ROLLBACK TO s").query("SELECT 3 + 3").query("COMMIT")


@DIALOGUES
def cancel_within_a_pipeline(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x").run("NOTIFY x, 'lost'").run(ASLEEP).run("NOTIFY x, 'skipped'").run("SELECT 2 + 2").and_sync()
    a.read_until("NoticeResponse")
    stage.open("b").cancel(a.pid, a.secret)
    a.read_all().run("NOTIFY x, 'p'").run("SELECT 3 + 3").sync()


@DIALOGUES
def cancel_of_a_session_that_is_idle(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x").query("SELECT 2 + 2")
    stage.open("b").cancel(a.pid, a.secret)
    a.query("NOTIFY x, 'p'").query("SELECT 3 + 3").query("BEGIN").query("SELECT 4 + 4")
    stage.open("c").cancel(a.pid, a.secret)
    a.query("SELECT 5 + 5").query("NOTIFY x, 'q'").query("COMMIT")


@DIALOGUES
def cancel_with_a_wrong_key_behind_real_work(stage: Stage) -> None:
    a, b = stage.connect_many("a", "b")
    b.query("SELECT 2 + 2")
    fall_asleep(a)
    stage.open("c").cancel(a.pid, bytes(byte ^ 255 for byte in a.secret))
    stage.open("d").cancel(b.pid, b.secret)
    b.query("SELECT 3 + 3")
    stage.open("e").cancel(a.pid, a.secret)
    a.read_all()


@DIALOGUES
def cancel_during_copy(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x").query("CREATE TEMP TABLE t (n int)").copy("COPY t FROM STDIN").copy_data(b"1\n").send()
    stage.open("b").cancel(a.pid, a.secret)
    a.copy_data(b"2\n").copy_done().read_all().query("NOTIFY x, 'p'").query("TABLE t")


@DIALOGUES
def cancel_by_function(stage: Stage) -> None:
    a, b = stage.connect_many("a", "b")
    a.query("LISTEN x")
    fall_asleep(a, f"NOTIFY x, 'lost'; {ASLEEP}")
    b.query(f"SELECT pg_cancel_backend({a.pid})")
    a.read_all().query("NOTIFY x, 'p'")
    fall_asleep(a)
    b.run(f"SELECT pg_cancel_backend({a.pid}) AS done").sync()
    a.read_all().query("SELECT 2 + 2")


@DIALOGUES
def a_statement_timeout(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x").query("BEGIN").query("NOTIFY x, 'lost'").query("SET LOCAL statement_timeout TO '300ms'").query(
        "SELECT pg_sleep(60)"
    )
    a.query("SELECT 2 + 2").query("COMMIT").query("SHOW statement_timeout").query("NOTIFY x, 'p'")
    a.query("SET LOCAL statement_timeout TO '300ms'; NOTIFY x, 'lost'; SELECT pg_sleep(60); NOTIFY x, 'not run'").query(
        "SELECT 3 + 3"
    )


@DIALOGUES
def a_statement_timeout_of_the_session(stage: Stage) -> None:
    a = stage.connect("a", statement_timeout="900")
    a.query("LISTEN x").query("SHOW statement_timeout").query("SELECT pg_sleep(60)").query("NOTIFY x, 'p'").query(
        "SHOW statement_timeout"
    )
    a.query("SET statement_timeout TO 0").query("SELECT 2 + 2")


@DIALOGUES
def a_lock_timeout(stage: Stage) -> None:
    stage.set_up("DROP TABLE IF EXISTS parity_timeout", "CREATE TABLE parity_timeout (n int)")
    a, b = stage.connect_many("a", "b")
    a.query("BEGIN").query("LOCK parity_timeout").query("NOTIFY x, 'of a'")
    b.query("SET lock_timeout TO '100ms'").query("LISTEN x").query("TABLE parity_timeout").query(
        "NOTIFY x, 'own'; TABLE parity_timeout"
    )
    a.query("COMMIT")
    b.hear().query("TABLE parity_timeout")


@DIALOGUES
def an_idle_transaction_is_ended(stage: Stage) -> None:
    a, b = stage.connect_many("a", "b")
    b.query("LISTEN x")
    a.query("LISTEN x").query("SET idle_in_transaction_session_timeout TO '300ms'").query(
        "BEGIN; NOTIFY x, 'lost'; SELECT 2 + 2"
    ).read_to_the_end()
    b.query("NOTIFY x, 'heard'")


@DIALOGUES
def an_idle_session_is_ended(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x").query("SELECT 2 + 2").query("SET idle_session_timeout TO '300ms'").read_to_the_end()


@DIALOGUES
def terminated_while_idle(stage: Stage) -> None:
    a, b = stage.connect_many("a", "b")
    a.query("LISTEN x").query("SELECT 2 + 2")
    b.query("LISTEN x").query(f"SELECT pg_terminate_backend({a.pid})")
    a.read_to_the_end()
    b.query("NOTIFY x, 'p'")


@DIALOGUES
def terminated_without_real_work(stage: Stage) -> None:
    a, b, c = stage.connect_many("a", "b", "c")
    a.query("LISTEN x")
    b.query(f"SELECT pg_terminate_backend({a.pid})")
    a.read_to_the_end()
    b.query("BEGIN").query("NOTIFY x, 'lost'")
    c.query("LISTEN x").query("SELECT 2 + 2").run(f"SELECT pg_terminate_backend({b.pid})").sync()
    b.read_to_the_end()
    c.query("NOTIFY x, 'heard'")


@DIALOGUES
def terminated_in_the_middle_of_real_work(stage: Stage) -> None:
    a, b = stage.connect_many("a", "b")
    b.query("LISTEN x")
    fall_asleep(a, f"NOTIFY x, 'lost'; {ASLEEP}")
    b.query(f"SELECT pg_terminate_backend({a.pid})")
    a.read_to_the_end()
    a.close()
    b.query("NOTIFY x, 'heard'")


@DIALOGUES
def signals_to_nobody(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("SELECT pg_cancel_backend(1)").query("SELECT pg_terminate_backend(1)").query(
        "SELECT pg_terminate_backend(-5)"
    )
    a.query("SELECT pg_cancel_backend(NULL)").query("SELECT pg_cancel_backend('x')").query("SELECT 2 + 2")


@DIALOGUES
def one_terminates_itself(stage: Stage) -> None:
    a, b = stage.connect_many("a", "b")
    a.query("SELECT 2 + 2").and_query(f"SELECT pg_terminate_backend({a.pid})").read_to_the_end()
    b.and_query("SELECT 3 + 3").and_query("SELECT pg_terminate_backend(pg_backend_pid()), 1").read_to_the_end()


@DIALOGUES
def an_error_that_is_fatal(stage: Stage) -> None:
    a, b = stage.connect_many("a", "b")
    a.query("LISTEN x")
    b.query("LISTEN x").query("CREATE TEMP TABLE t (n int)").copy("COPY t FROM STDIN").and_query(
        "SELECT 1"
    ).read_to_the_end()
    a.query("NOTIFY x, 'p'")
