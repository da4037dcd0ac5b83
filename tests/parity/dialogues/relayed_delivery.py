"""What a client with real work hears when: of triggers, functions, others, and by a LISTEN hidden in a function."""

from parity.dialogue import Dialogues, Stage

DIALOGUES = Dialogues()

NOTIFYING_TABLE = (
    "DROP TABLE IF EXISTS {0}",
    "CREATE TABLE {0} (n int)",
    "CREATE OR REPLACE FUNCTION {0}_notify() RETURNS trigger LANGUAGE plpgsql AS"
    " $$BEGIN PERFORM pg_notify('x', TG_OP || ' ' || coalesce(NEW.n, OLD.n)); RETURN NULL; END$$",
    "CREATE TRIGGER t AFTER INSERT OR UPDATE OR DELETE ON {0} FOR EACH ROW EXECUTE FUNCTION {0}_notify()",
)


def set_up_notifying_table(stage: Stage, name: str) -> None:
    """Make a table whose trigger sends every change to channel x."""
    stage.set_up(*(sql.format(name) for sql in NOTIFYING_TABLE))


@DIALOGUES
def triggers_are_heard_before_ready(stage: Stage) -> None:
    set_up_notifying_table(stage, "parity_trigger")
    a = stage.connect("a")
    a.query("LISTEN x").query("INSERT INTO parity_trigger VALUES (1), (2)").query("UPDATE parity_trigger SET n = n + 2")
    a.query("DELETE FROM parity_trigger WHERE n = 3").query("SELECT 2 + 2").query("NOTIFY x, 'own'")
    a.run("INSERT INTO parity_trigger VALUES ($1)", "5").sync().query("TRUNCATE parity_trigger")


@DIALOGUES
def triggers_within_a_block(stage: Stage) -> None:
    set_up_notifying_table(stage, "parity_block")
    a = stage.connect("a")
    a.query("LISTEN x").query("BEGIN").query("INSERT INTO parity_block VALUES (1)").query("NOTIFY x, 'own'").query(
        "SAVEPOINT s"
    )
    a.query("INSERT INTO parity_block VALUES (2)").query("ROLLBACK TO s").query(
        "INSERT INTO parity_block VALUES (3)"
    ).query("COMMIT")
    a.query("BEGIN").query("INSERT INTO parity_block VALUES (4)").query("ROLLBACK").query(
        "INSERT INTO parity_block VALUES (5); SELECT 1 / 0"
    )
    a.query("TABLE parity_block")


@DIALOGUES
def triggers_of_others(stage: Stage) -> None:
    set_up_notifying_table(stage, "parity_others")
    a, b, c = stage.connect_many("a", "b", "c")
    a.query("LISTEN x")
    c.query("LISTEN x").query("SELECT 2 + 2")
    b.query("INSERT INTO parity_others VALUES (1), (2)").query(
        "BEGIN; UPDATE parity_others SET n = 7 WHERE n = 1; ROLLBACK"
    )
    a.hear(2)
    c.hear(2).query("DELETE FROM parity_others WHERE n = 1")
    a.hear()


@DIALOGUES
def functions_that_notify(stage: Stage) -> None:
    a, b = stage.connect_many("a", "b")
    a.query("LISTEN x").query("LISTEN y").query("SELECT 2 + 2")
    b.query("DO $$BEGIN PERFORM pg_notify('x', 'called'); NOTIFY y, 'p'; EXECUTE 'NOTIFY x, ''executed'''; END$$")
    a.hear(3)
    b.query("SELECT pg_notify('x', 'of ' || n) FROM generate_series(1, 3) AS n")
    a.hear(3).query("WITH w AS (SELECT pg_notify('x', 'by WITH')) SELECT count(*) FROM w").query(
        "SELECT pg_notify('x', 'q'), 1 / 0"
    )
    a.query("SELECT count(pg_notify('y', n::text)) FROM generate_series(8, 9) AS n")


@DIALOGUES
def held_while_real_work_is_in_a_block(stage: Stage) -> None:
    a, b = stage.connect_many("a", "b")
    a.query("LISTEN x").query("BEGIN").query("SELECT 2 + 2")
    b.query("NOTIFY x, '1'").query("SELECT pg_notify('x', n::text) FROM generate_series(2, 3) AS n")
    a.query("SELECT 3 + 3").query("SELECT 1 / 0").query("SELECT 4 + 4").query("ROLLBACK").query("SELECT 5 + 5")
    a.query("BEGIN").query("NOTIFY x, 'own'").query("SELECT 6 + 6")
    b.query("SELECT pg_notify('x', 'other') WHERE true")
    a.query("COMMIT").query("NOTIFY x, 'last'")


@DIALOGUES
def held_while_a_pipeline_is_open(stage: Stage) -> None:
    a, b = stage.connect_many("a", "b")
    a.query("LISTEN x").run("SELECT 2 + 2").flush("CommandComplete")
    b.query("NOTIFY x, 'held'").query("SELECT 3 + 3")
    a.run("SELECT 4 + 4").flush("CommandComplete").sync().run("SELECT oops").flush("ErrorResponse")
    b.query("NOTIFY x, 'held too'")
    a.run("SELECT 5 + 5").sync()


@DIALOGUES
def heard_when_a_command_follows(stage: Stage) -> None:
    a, b = stage.connect_many("a", "b")
    a.query("LISTEN x").query("SELECT 2 + 2")
    for number in range(20):
        a.query("BEGIN")
        b.query(f"SELECT pg_notify('x', '{number}') WHERE true").query(f"NOTIFY x, 'and {number}'")
        a.query("SELECT 3 + 3").query("ROLLBACK")


@DIALOGUES
def unlisten_while_held(stage: Stage) -> None:
    a, b = stage.connect_many("a", "b")
    for unlisten in ("UNLISTEN x", "UNLISTEN *", "SELECT 2 + 2; UNLISTEN x; SELECT 3 + 3"):
        a.query("LISTEN x; LISTEN y").query("BEGIN").query("SELECT 4 + 4")
        b.query("NOTIFY x, 'lost'; SELECT 5 + 5; NOTIFY y, 'perhaps'")
        a.query(unlisten).query("COMMIT").query("SELECT 6 + 6").query("UNLISTEN *")


@DIALOGUES
def to_those_who_listen_at_commit(stage: Stage) -> None:
    a, b, c = stage.connect_many("a", "b", "c")
    c.query("LISTEN x")
    a.query("BEGIN").query("SELECT 2 + 2").query("LISTEN x")
    b.query("SELECT pg_notify('x', 'too early') WHERE true")
    c.hear()
    a.query("COMMIT")
    b.query("SELECT pg_notify('x', 'in time') WHERE true")
    a.hear()
    b.query("BEGIN").query("SELECT 3 + 3").query("NOTIFY x, 'of b'")
    a.query("UNLISTEN x").query("LISTEN x")
    b.query("COMMIT")
    a.hear()
    c.hear(2)


@DIALOGUES
def who_listens_later_does_not_hear_real_work(stage: Stage) -> None:
    a, b, c = stage.connect_many("a", "b", "c")
    c.query("LISTEN x")
    for number in range(20):
        b.query(f"SELECT pg_notify('x', 'before {number}') WHERE true")
        c.hear()
        a.query("LISTEN x")
        b.query(f"SELECT pg_notify('x', 'after {number}') WHERE true")
        a.hear().query("UNLISTEN x")
        c.hear()


@DIALOGUES
def commits_order_notifications(stage: Stage) -> None:
    a, b, c = stage.connect_many("a", "b", "c")
    a.query("LISTEN x; LISTEN y").query("SELECT 2 + 2").query("BEGIN")
    b.query("BEGIN").query("SELECT 3 + 3").query("NOTIFY x, 'begun first'")
    c.query("SELECT pg_notify('y', 'committed first') WHERE true")
    b.query("SELECT pg_notify('y', 'as well') WHERE true").query("COMMIT")
    c.query("NOTIFY x, 'committed last'")
    a.query("COMMIT")


@DIALOGUES
def listen_hidden_in_a_block_of_code(stage: Stage) -> None:
    a, b = stage.connect_many("a", "b")
    a.query("DO $$BEGIN LISTEN hidden; PERFORM 1; END$$").query("NOTIFY hidden, 'own'").query("SELECT 2 + 2")
    b.query("NOTIFY hidden, 'other'")
    a.hear()
    b.query("SELECT pg_notify('hidden', 'by call') WHERE true")
    a.hear()
    a.query("UNLISTEN hidden").query("NOTIFY hidden, 'unheard'").query(
        "DO $$BEGIN LISTEN hidden; PERFORM 1; END$$"
    ).query("UNLISTEN *")
    b.query("NOTIFY hidden, 'unheard'")
    a.query("NOTIFY hidden, 'unheard'")


@DIALOGUES
def listen_hidden_in_a_function(stage: Stage) -> None:
    stage.set_up(
        "CREATE OR REPLACE FUNCTION parity_listen() RETURNS int LANGUAGE plpgsql AS $$BEGIN LISTEN x; RETURN 1; END$$"
    )
    a = stage.connect("a")
    a.query("SELECT parity_listen()").query("NOTIFY x, '1'").query("LISTEN x").query("NOTIFY x, '2'").query(
        "LISTEN x; SELECT parity_listen()"
    )
    a.query("NOTIFY x, '3'").query("DISCARD ALL").query("NOTIFY x, '4'").query("BEGIN").query(
        "SELECT parity_listen()"
    ).query("ROLLBACK")
    a.query("NOTIFY x, '5'")


@DIALOGUES
def rules_that_notify(stage: Stage) -> None:
    stage.set_up(
        "DROP TABLE IF EXISTS parity_rule",
        "CREATE TABLE parity_rule (n int)",
        "CREATE RULE r AS ON INSERT TO parity_rule DO ALSO NOTIFY x",
    )
    a = stage.connect("a")
    a.query("LISTEN x").query("INSERT INTO parity_rule VALUES (1)").query(
        "INSERT INTO parity_rule VALUES (2); INSERT INTO parity_rule VALUES (3)"
    )


@DIALOGUES
def long_payloads_by_real_work(stage: Stage) -> None:
    a, b = stage.connect_many("a", "b")
    a.query("LISTEN x").query("SELECT 2 + 2")
    b.query("SELECT pg_notify('x', n || repeat('é', 3900)) FROM generate_series(1, 20) AS n")
    a.hear(20).query("SELECT pg_notify('x', repeat('y', 8000))").query("SELECT pg_notify('x', repeat('y', 7999))")


@DIALOGUES
def pids_of_senders(stage: Stage) -> None:
    a, b = stage.connect_many("a", "b")
    a.query("LISTEN x").query("SELECT pg_backend_pid()").query("SELECT 2 + 2").query("SELECT pg_backend_pid()").query(
        "NOTIFY x, '1'"
    )
    a.query("SELECT 3 + 3; NOTIFY x, '2'").query("SELECT pg_notify('x', '3') WHERE true").query(
        "SELECT pg_backend_pid() AS mine"
    )
    b.query("NOTIFY x, '4'").query("SELECT pg_notify('x', '5') WHERE true").query(
        "BEGIN; NOTIFY x, '6'; SELECT 4 + 4; COMMIT"
    )
    a.hear(3).run("SELECT pg_backend_pid()").run("SELECT pg_notify('x', $1) WHERE true", "7").sync()


@DIALOGUES
def many_with_real_work(stage: Stage) -> None:
    listeners = stage.connect_many("a", "b", "c")
    for listener in listeners:
        listener.query("LISTEN x").query("SELECT 2 + 2").query("BEGIN")
    sender = stage.connect("d")
    for number in range(10):
        sender.query(f"SELECT pg_notify('x', '{number}') WHERE true").query(f"NOTIFY x, 'and {number}'")
    for listener in listeners:
        listener.query("COMMIT")
