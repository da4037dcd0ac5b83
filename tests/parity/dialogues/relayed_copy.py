"""COPY both ways in both protocols, large objects, and function calls, among LISTEN, NOTIFY and UNLISTEN."""

from parity.dialogue import Dialogues, Stage

DIALOGUES = Dialogues()

TABLE = "CREATE TEMP TABLE t (n int PRIMARY KEY, t text)"
INT4PL, PG_NOTIFY, LOREAD = 177, 3036, 954


@DIALOGUES
def copy_in(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x").query(TABLE).copy("COPY t FROM STDIN").copy_data(b"1\tone\n").copy_data(
        b"2\t\\N\n3\tdr"
    ).copy_data(b"ei\n")
    a.copy_done().read_all().query("TABLE t").query("NOTIFY x, 'p'")
    a.copy("COPY t (n) FROM STDIN").copy_done().read_all()
    a.copy("COPY t FROM STDIN (FORMAT csv, HEADER)").copy_data(b'n,t\n4,"a,b"\n').copy_done().read_all().query(
        "SELECT count(*) FROM t"
    )


@DIALOGUES
def copy_in_without_waiting(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x").query(TABLE).and_query("COPY t FROM STDIN").copy_data(b"1\tone\n").copy_done().and_query(
        "NOTIFY x, 'p'"
    )
    a.and_query("COPY t FROM STDIN").copy_data(b"2\ttwo\n").copy_fail("on purpose").and_query("TABLE t").read_all()


@DIALOGUES
def much_copied_in_and_out(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x").query(TABLE).copy("COPY t FROM STDIN")
    for number in range(100):
        a.copy_data(f"{number}\t{'x' * 20000}\n".encode())
    a.copy_done().read_all().query("NOTIFY x, 'p'").query("SELECT count(*), sum(length(t)) FROM t").query(
        "COPY t TO STDOUT"
    )


@DIALOGUES
def copy_fail(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x").query(TABLE).copy("COPY t FROM STDIN").copy_data(b"1\tone\n").copy_fail(
        "changed my mind"
    ).read_all()
    a.query("TABLE t").query("NOTIFY x, 'p'").query("BEGIN").query("NOTIFY x, 'lost'").copy(
        "COPY t FROM STDIN"
    ).copy_fail("é").read_all()
    a.query("NOTIFY x").query("COMMIT").query("NOTIFY x, 'q'")


@DIALOGUES
def bad_data_in_copy(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x").query(TABLE).copy("COPY t FROM STDIN").copy_data(b"1\tone\nx\ttwo\n3\tthree\n").copy_data(
        b"4\tfour\n"
    ).copy_done()
    a.read_all().query("TABLE t").query("NOTIFY x, 'p'").copy("COPY t FROM STDIN").copy_data(
        b"1\ta\n1\tb\n"
    ).copy_done().read_all()
    a.copy("COPY t FROM STDIN").copy_data(b"1\ta\tb\n").copy_done().read_all().copy("COPY t FROM STDIN").copy_data(
        b"1\t\xff\n"
    ).copy_done()
    a.read_all().query("SELECT count(*) FROM t")


@DIALOGUES
def copy_that_cannot_begin(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x").copy("COPY none FROM STDIN").copy_data(b"1\n").copy_done().read_all().query(
        "COPY none TO STDOUT"
    ).query("NOTIFY x")
    a.query(TABLE).and_query("COPY t (oops) FROM STDIN").copy_data(b"1\n").copy_fail("late").and_query(
        "NOTIFY x, 'p'"
    ).read_all()


@DIALOGUES
def a_query_during_copy_in(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x").query(TABLE).copy("COPY t FROM STDIN").copy_data(b"1\tone\n")
    a.and_query("NOTIFY x, 'within'").read_to_the_end()


@DIALOGUES
def flush_and_sync_during_copy_in(stage: Stage) -> None:
    a = stage.connect("a")
    a.query(TABLE).copy("COPY t FROM STDIN").ignored_sync().copy_data(b"1\tone\n").raw(
        b"H\0\0\0\4"
    ).ignored_sync().copy_done().read_all()
    a.query("TABLE t").query("NOTIFY x")


@DIALOGUES
def copy_out(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x").query("COPY (SELECT n, 'é' || n FROM generate_series(1, 5) AS n) TO STDOUT").query(
        "NOTIFY x, 'p'"
    )
    a.query("COPY (SELECT 1 AS a, 'x,y' AS b) TO STDOUT (FORMAT csv, HEADER)").query(
        "COPY (SELECT 1 WHERE false) TO STDOUT"
    )
    a.query("COPY (SELECT 7::int2, NULL) TO STDOUT (FORMAT binary)").query(
        "COPY (SELECT 6 / (3 - n) FROM generate_series(1, 5) n) TO STDOUT"
    )
    a.query("NOTIFY x, 'q'")


@DIALOGUES
def copy_binary_in(stage: Stage) -> None:
    a = stage.connect("a")
    signature = b"PGCOPY\n\xff\r\n\0" + bytes(8)
    row = b"\0\2" + b"\0\0\0\4\0\0\0\7" + b"\0\0\0\1x"
    a.query(TABLE).copy("COPY t FROM STDIN (FORMAT binary)").copy_data(signature + row).copy_data(
        b"\xff\xff"
    ).copy_done().read_all()
    a.query("TABLE t").copy("COPY t FROM STDIN BINARY").copy_data(
        b"nonsense that is long enough"
    ).copy_done().read_all().query("NOTIFY x")


@DIALOGUES
def copy_among_statements_of_one_query(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x").query(TABLE).copy("LISTEN y; COPY t FROM STDIN; NOTIFY x, '1'; TABLE t; NOTIFY y")
    a.copy_data(b"1\tone\n").copy_done().read_all().query(
        "NOTIFY x, '2'; COPY t TO STDOUT; NOTIFY x, '3'; SELECT 2 + 2"
    )
    a.copy("NOTIFY x, 'lost'; COPY t FROM STDIN; NOTIFY x, 'not run'").copy_fail("no").read_all()
    a.copy("COPY t FROM STDIN; NOTIFY x, 'between'; COPY t FROM STDIN; UNLISTEN x").copy_data(b"2\ttwo\n").copy_done()
    a.read_until("CopyInResponse").copy_data(b"3\tthree\n").copy_done().read_all().query("NOTIFY x; TABLE t")


@DIALOGUES
def copy_within_a_block(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x").query(TABLE).query("BEGIN").query("NOTIFY x, '1'").copy("COPY t FROM STDIN").copy_data(
        b"1\tone\n"
    ).copy_done().read_all()
    a.query("NOTIFY x, '2'").query("COPY t TO STDOUT").query("ROLLBACK").query("TABLE t").query("BEGIN").query(
        "SAVEPOINT s"
    )
    a.copy("COPY t FROM STDIN").copy_data(b"oops\n").copy_done().read_all().query("NOTIFY x").query(
        "ROLLBACK TO s"
    ).query("NOTIFY x, '3'").query("COMMIT")


@DIALOGUES
def copy_in_by_the_extended_protocol(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x").query(TABLE).parse("COPY t FROM STDIN").bind().describe().execute().flush("CopyInResponse")
    a.copy_data(b"1\tone\n").copy_done().sync().run("NOTIFY x, 'p'").run("TABLE t").sync()
    a.run("NOTIFY x, '1'").run("COPY t FROM STDIN").copy_data(b"2\ttwo\n").copy_done().run("NOTIFY x, '2'").run(
        "TABLE t"
    ).sync()


@DIALOGUES
def copy_in_with_the_two_syncs_of_libpq(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x").query(TABLE)
    a.parse("COPY t FROM STDIN").bind().describe().execute().ignored_sync().read_until("CopyInResponse")
    a.copy_data(b"1\tone\n").copy_done().sync().run("NOTIFY x, 'p'").sync()
    a.parse("COPY t FROM STDIN").bind().describe().execute().ignored_sync().read_until("CopyInResponse")
    a.copy_data(b"1\tagain\n").copy_fail("no").sync().query("TABLE t")
    a.parse("COPY t FROM STDIN").bind().describe().execute().ignored_sync().read_until("CopyInResponse")
    a.copy_data(b"bad\n").copy_data(b"2\ttwo\n").copy_done().sync().query("NOTIFY x, 'q'")


@DIALOGUES
def copy_fails_in_a_pipeline(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x").query(TABLE).run("NOTIFY x, 'lost'").run("COPY t FROM STDIN").copy_data(
        b"bad\n"
    ).copy_done().run("NOTIFY x").sync()
    a.run("COPY t FROM STDIN").copy_fail("no").run("NOTIFY x, 'skipped'").sync().run("COPY none FROM STDIN").copy_data(
        b"1\n"
    ).copy_done()
    a.run("NOTIFY x, 'skipped'").sync().query("NOTIFY x, 'heard'").query("TABLE t")


@DIALOGUES
def copy_out_by_the_extended_protocol(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x").run("COPY (SELECT generate_series(1, 3)) TO STDOUT").run("NOTIFY x, 'p'").run(
        "SELECT 2 + 2"
    ).sync()
    a.parse("COPY (SELECT generate_series(1, 3)) TO STDOUT", "c").describe_statement("c").bind(statement="c").execute(
        max_rows=1
    ).sync()
    a.bind(statement="c").execute().flush("CommandComplete").sync().run("COPY (SELECT 1 / 0) TO STDOUT").run(
        "NOTIFY x"
    ).sync()


@DIALOGUES
def copy_is_heard_by_others(stage: Stage) -> None:
    stage.set_up(
        "DROP TABLE IF EXISTS parity_copy",
        "CREATE TABLE parity_copy (n int)",
        "CREATE OR REPLACE FUNCTION parity_copied() RETURNS trigger LANGUAGE plpgsql AS"
        " $$BEGIN PERFORM pg_notify('x', 'row ' || NEW.n); RETURN NEW; END$$",
        "CREATE TRIGGER t BEFORE INSERT ON parity_copy FOR EACH ROW EXECUTE FUNCTION parity_copied()",
    )
    a, b = stage.connect_many("a", "b")
    a.query("LISTEN x")
    b.query("LISTEN x").copy("COPY parity_copy FROM STDIN").copy_data(b"1\n2\n").copy_done().read_all()
    a.hear(2)


@DIALOGUES
def notifications_wait_for_the_end_of_copy(stage: Stage) -> None:
    a, b = stage.connect_many("a", "b")
    a.query("LISTEN x").query(TABLE).copy("COPY t FROM STDIN").copy_data(b"1\tone\n")
    b.query("NOTIFY x, 'meanwhile'").query("SELECT 2 + 2; NOTIFY x, 'again'")
    a.copy_data(b"2\ttwo\n").copy_done().read_all()


@DIALOGUES
def large_objects(stage: Stage) -> None:
    stage.set_up("SELECT lo_unlink(oid) FROM pg_largeobject_metadata WHERE oid = 76003")
    a = stage.connect("a")
    a.query("LISTEN x").query("SELECT lo_create(76003)").query("NOTIFY x, 'p'").query("BEGIN").query(
        "SELECT lo_open(76003, 131072)"
    )
    a.query("SELECT lowrite(0, 'written')").query("NOTIFY x, 'q'").query("SELECT lo_lseek(0, 0, 0)").query(
        "SELECT loread(0, 100)"
    ).query("COMMIT")
    a.query("SELECT lo_get(76003)").query("SELECT lo_open(76004, 262144)").query("SELECT lo_unlink(76003)").query(
        "SELECT lo_get(76003)"
    )


@DIALOGUES
def large_objects_by_function_calls(stage: Stage) -> None:
    stage.set_up(
        "SELECT lo_unlink(oid) FROM pg_largeobject_metadata WHERE oid = 76005",
        "SELECT lo_from_bytea(76005, 'some bytes')",
    )
    a = stage.connect("a")
    a.query("LISTEN x").query("BEGIN").query("SELECT lo_open(76005, 262144)").call(LOREAD, bytes(4), b"\0\0\0\4").query(
        "NOTIFY x, 'p'"
    )
    a.call(LOREAD, bytes(4), b"\0\0\0\x64").call(LOREAD, b"\0\0\0\7", b"\0\0\0\4").query("SELECT 2 + 2").query("COMMIT")
    a.query("SELECT lo_unlink(76005)")


@DIALOGUES
def function_calls(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x").call(INT4PL, b"\0\0\0\2", b"\0\0\0\3").query("NOTIFY x, 'p'").call(
        INT4PL, b"2", b"3", formats=(0,), result=0
    )
    a.call(INT4PL, b"\x7f\xff\xff\xff", b"\0\0\0\1").call(INT4PL, b"\0\0\0\2", None).call(
        INT4PL, b"x", b"3", formats=(0, 0)
    )
    a.call(INT4PL, b"\0\0\0\2").call(1).call(INT4PL, b"\0\0\0\2", b"3", formats=(1, 0)).query("NOTIFY x, 'q'")


@DIALOGUES
def function_calls_that_notify(stage: Stage) -> None:
    a, b = stage.connect_many("a", "b")
    b.query("LISTEN x")
    a.query("LISTEN x").call(PG_NOTIFY, b"x", b"p")
    b.hear()
    a.query("SELECT 2 + 2").call(PG_NOTIFY, b"x", b"q", formats=(0,)).call(PG_NOTIFY, b"", b"q").query("NOTIFY x, 'r'")
    b.hear(2)


@DIALOGUES
def function_calls_within_transactions(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x").query("BEGIN").call(PG_NOTIFY, b"x", b"lost").query("ROLLBACK").query("BEGIN").call(
        PG_NOTIFY, b"x", b"kept"
    ).query("COMMIT")
    a.query("BEGIN").call(INT4PL, b"oops", b"3", formats=(0,)).call(INT4PL, b"\0\0\0\2", b"\0\0\0\3").query(
        "NOTIFY x"
    ).query("COMMIT")
    a.run("NOTIFY x, 'p'").call(INT4PL, b"\0\0\0\2", b"\0\0\0\3").sync()
