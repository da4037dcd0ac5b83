"""Query strings of several statements, with LISTEN, NOTIFY and UNLISTEN among those that need a database."""

from parity.dialogue import Dialogues, Stage

DIALOGUES = Dialogues()

TABLE = "CREATE TEMP TABLE t (n int PRIMARY KEY)"


@DIALOGUES
def pubsub_at_the_start(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x; SELECT 2 + 2").query("NOTIFY x, 'p'; SELECT 'a' AS b; SELECT 3 + 3").query(
        "UNLISTEN x; SELECT 4 + 4"
    )
    a.query("NOTIFY x; SELECT 5 + 5").query("LISTEN x; LISTEN y; NOTIFY x; NOTIFY y; SELECT 6 + 6")


@DIALOGUES
def pubsub_in_the_middle(stage: Stage) -> None:
    a = stage.connect("a")
    a.query(TABLE).query("INSERT INTO t VALUES (1); LISTEN x; INSERT INTO t VALUES (2), (3)")
    a.query("SELECT n FROM t; NOTIFY x, '1'; NOTIFY x, '2'; DELETE FROM t").query(
        "SELECT 2 + 2; UNLISTEN *; SELECT 3 + 3"
    )
    a.query("SELECT 4 + 4; NOTIFY x, 'unheard'; SELECT 5 + 5")


@DIALOGUES
def pubsub_at_the_end(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("SELECT 2 + 2; LISTEN x").query("SELECT 3 + 3; NOTIFY x, 'p'").query("SELECT 4 + 4; UNLISTEN x").query(
        "NOTIFY x"
    )
    a.query("SELECT 5 + 5; LISTEN x;").query("SELECT 6 + 6; NOTIFY x, 'q' ; -- end")


@DIALOGUES
def turn_and_turn_about(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x").query("; ".join(f"SELECT {n} + 0; NOTIFY x, '{n}'" for n in range(60)))
    a.query("; ".join(f"NOTIFY x, '{n}'; SELECT {n} AS n" for n in range(40)) + "; UNLISTEN x; SELECT 'end'; LISTEN y")
    a.query("SELECT pg_listening_channels()")


@DIALOGUES
def an_error_before_pubsub(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x").query("SELECT 1 / 0; LISTEN y; NOTIFY x, 'not run'").query("SELECT oops; NOTIFY x; UNLISTEN x")
    a.query("NOTIFY x; NOTIFY y").query("SELECT pg_listening_channels()")


@DIALOGUES
def an_error_behind_pubsub(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x").query(TABLE).query(
        "INSERT INTO t VALUES (1); NOTIFY x, 'lost'; LISTEN y; UNLISTEN x; SELECT 1 / 0"
    )
    a.query("TABLE t").query("NOTIFY x; NOTIFY y").query("NOTIFY x, 'lost'; SELECT oops").query(
        "LISTEN z; SELECT 1 / 0"
    )
    a.query("SELECT pg_listening_channels()")


@DIALOGUES
def an_error_of_pubsub_takes_back_what_ran_before_it(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x").query(TABLE).query(
        f"INSERT INTO t VALUES (1); NOTIFY x, '{'p' * 8000}'; INSERT INTO t VALUES (2)"
    )
    a.query("TABLE t").query("INSERT INTO t VALUES (3); SELECT pg_notify('', 'p'); INSERT INTO t VALUES (4)").query(
        "TABLE t"
    )
    a.query(f"NOTIFY x, 'lost'; SELECT 2 + 2; SELECT pg_notify('{'c' * 64}', 'p'); SELECT 3 + 3").query(
        "NOTIFY x, 'heard'"
    )


@DIALOGUES
def a_syntax_error_anywhere_runs_nothing_at_all(stage: Stage) -> None:
    a = stage.connect("a")
    a.query(TABLE).query("LISTEN x; INSERT INTO t VALUES (1); NOTIFY x; SELEC 2").query(
        "INSERT INTO t VALUES (2); LISTEN"
    )
    a.query("NOTIFY x, 'a' b; INSERT INTO t VALUES (3)").query("TABLE t").query("SELECT pg_listening_channels()")


@DIALOGUES
def positions_behind_pubsub(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x; SELECT oops").query("LISTEN é; NOTIFY é, '日本😀'; SELECT oops").query(
        "/* ü */ NOTIFY x; SELECT oops, 1"
    )
    a.query("SELECT 'é'; NOTIFY x, 'é'; SELECT 2 + 2; SELECT nope('é')").query("UNLISTEN *; SELECT\n\n  oops; LISTEN z")
    a.query("NOTIFY x, 'a''b'; SELECT 1 +; LISTEN z").query("SELECT pg_listening_channels()")


@DIALOGUES
def empty_statements_and_comments_between(stage: Stage) -> None:
    a = stage.connect("a")
    a.query(";;LISTEN x;; /* c */ SELECT 2 + 2;;; -- c ; NOTIFY x, 'comment'\nNOTIFY x, 'p';;")
    a.query(
        "/* LISTEN y; */ SELECT 3 + 3 /* ; NOTIFY x */; /* a /* nested */ one */ NOTIFY x /**/ , 'q' /**/; SELECT ';'"
    )
    a.query("SELECT pg_listening_channels()")


@DIALOGUES
def literals_between(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("""SELECT '; NOTIFY x; ' AS "; LISTEN y; "; LISTEN x; SELECT $$; UNLISTEN x; $$; NOTIFY x, '; SELECT 1;'""")
    a.query(
        "SELECT E'\\'; NOTIFY x, \\'lost'; NOTIFY x, E'\\'; SELECT 2'; SELECT $q$'$q$; NOTIFY x, $q$'$q$; SELECT 3 + 3"
    )
    a.query("SELECT 'joined'\n' literal; NOTIFY x'; NOTIFY x, 'joined'\n' payload'; SELECT 4 + 4")


@DIALOGUES
def transactions_within_one_query(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x").query(TABLE)
    a.query("BEGIN; INSERT INTO t VALUES (1); NOTIFY x, '1'; COMMIT; NOTIFY x, '2'; SELECT n FROM t")
    a.query(
        "BEGIN; INSERT INTO t VALUES (2); NOTIFY x, 'lost'; ROLLBACK; INSERT INTO t VALUES (3); NOTIFY x, '3'; TABLE t"
    )
    a.query("NOTIFY x, '4'; INSERT INTO t VALUES (4); COMMIT; NOTIFY x, 'lost'; INSERT INTO t VALUES (5); SELECT 1 / 0")
    a.query("TABLE t").query("NOTIFY x, 'lost'; INSERT INTO t VALUES (6); ROLLBACK; NOTIFY x, '5'; TABLE t")


@DIALOGUES
def a_block_that_begins_within_a_query(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x").query(TABLE).query("INSERT INTO t VALUES (1); NOTIFY x, '1'; BEGIN; NOTIFY x, '2'").query(
        "TABLE t"
    )
    a.query("ROLLBACK; SELECT 2 + 2; NOTIFY x, '3'").query("TABLE t")
    a.query("NOTIFY x, '4'; BEGIN; INSERT INTO t VALUES (2)").query(
        "NOTIFY x, '5'; COMMIT; TABLE t; BEGIN; NOTIFY x, '6'"
    )
    a.query("SELECT 3 + 3; END; NOTIFY x, '7'")


@DIALOGUES
def strings_within_a_block(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x").query(TABLE).query("BEGIN").query(
        "INSERT INTO t VALUES (1); NOTIFY x, '1'; LISTEN y; SELECT 2 + 2"
    )
    a.query("SAVEPOINT s; NOTIFY x, 'lost'; INSERT INTO t VALUES (2)").query("ROLLBACK TO s; NOTIFY x, '2'; TABLE t")
    a.query("NOTIFY y; SELECT 3 + 3; COMMIT; SELECT 4 + 4").query("SELECT pg_listening_channels()")


@DIALOGUES
def strings_within_a_failed_block(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x").query("BEGIN").query("SELECT 1 / 0; NOTIFY x").query("NOTIFY x; SELECT 2 + 2").query(
        "SELECT 1; LISTEN y"
    )
    a.query("LISTEN y; ROLLBACK; SELECT 2").query("ROLLBACK; LISTEN z; SELECT 3 + 3").query(
        "SELECT pg_listening_channels()"
    )


@DIALOGUES
def a_string_that_rolls_back_to_go_on(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x").query("BEGIN; SAVEPOINT s; NOTIFY x, '1'; SELECT 1 / 0; NOTIFY x, 'not run'")
    a.query("ROLLBACK TO s; SELECT 2 + 2; NOTIFY x, '2'").query("COMMIT; SELECT 3 + 3")


@DIALOGUES
def what_cannot_run_beside_anything(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x; VACUUM pg_range").query("VACUUM pg_range; NOTIFY x").query(
        "NOTIFY x; CREATE DATABASE parity_never"
    )
    a.query("LISTEN x; DISCARD ALL").query("NOTIFY x; ALTER SYSTEM RESET work_mem").query(
        "UNLISTEN *; VACUUM pg_range;"
    )
    a.query("SELECT pg_listening_channels()").query("VACUUM pg_range; SELECT 2 + 2").query("VACUUM pg_range")


@DIALOGUES
def what_needs_a_block_has_one_beside_others(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x; SET LOCAL work_mem TO '1MB'").query("NOTIFY x; DECLARE c CURSOR FOR SELECT 1").query(
        "SET LOCAL work_mem TO 64"
    )
    a.query("LISTEN x; LOCK pg_range IN ACCESS SHARE MODE; NOTIFY x, 'p'").query(
        "NOTIFY x, 'q'; SET TRANSACTION READ ONLY"
    )
    a.query("DECLARE c CURSOR FOR SELECT 1").query("DECLARE c CURSOR FOR SELECT 2; FETCH c; NOTIFY x, 'r'; FETCH c")


@DIALOGUES
def savepoints_need_a_block_of_their_own(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x; SAVEPOINT s; SELECT 2 + 2").query("SELECT 2 + 2; NOTIFY x; ROLLBACK TO s").query(
        "SELECT 2; RELEASE s"
    )
    a.query("SELECT 3; NOTIFY x; COMMIT AND CHAIN").query("SELECT pg_listening_channels()")


@DIALOGUES
def one_transaction_drops_duplicates(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x; LISTEN y")
    a.query(
        "NOTIFY x, 'p'; SELECT pg_notify('x', 'p') FROM generate_series(1, 3); NOTIFY y, 'p'; NOTIFY x, 'p'; SELECT 2"
    )
    a.query(
        "SELECT pg_notify('x', n::text) FROM generate_series(1, 2) AS n; NOTIFY x, '2'; NOTIFY x, '3'; NOTIFY x, '1'"
    )
    twice = "NOTIFY x, 'q'; SELECT pg_notify('x', lower('Q'))"
    a.query(f"BEGIN; {twice}; COMMIT; {twice}")


@DIALOGUES
def channels_shown_in_the_middle(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x; SELECT pg_listening_channels(); SELECT 2 + 2").query(
        "SELECT 3 + 3; SELECT pg_listening_channels()"
    )
    a.query("LISTEN y; SELECT 4 + 4; COMMIT; SELECT pg_listening_channels(); UNLISTEN x").query(
        "SELECT pg_listening_channels(); SELECT pg_backend_pid(); SELECT 5 + 5; SELECT 1"
    )


@DIALOGUES
def settings_in_the_middle(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x; SET application_name TO 'one'; SELECT current_setting('application_name'); NOTIFY x, 'p'")
    a.query("SET DateStyle TO German; SELECT date '2024-02-29'; NOTIFY x, 'q'; SHOW DateStyle; SELECT 1 / 0").query(
        "SHOW DateStyle"
    )
    a.query("NOTIFY x; SET TimeZone TO 'Europe/Berlin'; SHOW TimeZone; RESET application_name").query(
        "SHOW application_name"
    )


@DIALOGUES
def a_do_block_of_listens_among_others(stage: Stage) -> None:
    a = stage.connect("a")
    a.query('DO $$BEGIN LISTEN "a"; LISTEN "b"; END$$; SELECT 2 + 2').query("SELECT 3 + 3; NOTIFY a; NOTIFY b")
    a.query("SELECT 4 + 4; DO $$BEGIN UNLISTEN a; NOTIFY b, 'p'; END$$; SELECT 5 + 5").query(
        "NOTIFY a; NOTIFY b; SELECT 6"
    )


@DIALOGUES
def a_listener_elsewhere_hears_strings_in_order(stage: Stage) -> None:
    a, b = stage.connect_many("a", "b")
    a.query("LISTEN x; LISTEN y")
    b.query(
        "SELECT 2 + 2; NOTIFY x, '1'; SELECT pg_notify('y', 'q' || n) FROM generate_series(2, 4) AS n; NOTIFY x, '5'"
    )
    a.hear(5)
    b.query("NOTIFY x, '6'; SELECT 1; COMMIT; NOTIFY y, 'lost'; SELECT 2; BEGIN; SELECT 3; ROLLBACK; NOTIFY x, '7'")
    a.hear(2)
