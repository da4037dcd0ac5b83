"""Simple queries that need a database, among LISTEN, NOTIFY and UNLISTEN."""

from parity.dialogue import Dialogues, Stage

DIALOGUES = Dialogues()

NOISY = """
CREATE FUNCTION pg_temp.noisy(n int) RETURNS int LANGUAGE plpgsql AS
$$BEGIN RAISE NOTICE 'at %', n; RETURN n; END$$
"""


@DIALOGUES
def a_select_between_listen_and_notify(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x").query("SELECT 2 + 3 AS five, 'text' AS t, NULL AS n, true").query("NOTIFY x, 'p'")
    a.query("SELECT n, n * 1.5 AS half FROM generate_series(1, 5) AS n").query("UNLISTEN x").query("NOTIFY x")


@DIALOGUES
def a_select_before_anything_else(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("SELECT upper('first')").query("LISTEN x").query("NOTIFY x").query("SELECT lower('LAST')")


@DIALOGUES
def values_of_many_types(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x").query("SELECT 1::int2, 2::int8, 1.50::numeric, 0.1::float8, 'infinity'::float4, 'NaN'::numeric")
    a.query(
        "SELECT 'c'::char, 'v'::varchar(5), 'é日😀'::text, '\\x00ff'::bytea, B'101', 'a b'::name, '{1,NULL}'::int[]"
    )
    a.query("SELECT date '2024-02-29', timestamptz '2024-02-29 12:34:56.789+02', interval '1 day 2 hours', time '1:2'")
    a.query("""SELECT '{"k": [1, null]}'::jsonb, '10.0.0.1/8'::inet, point(1, 2), row(1, 'x'), '[1,5)'::int4range""")
    a.query("SELECT '1b4e28ba-2fa1-11d2-883f-0016d3cca427'::uuid, 'pg_class'::regclass, 'a & b'::tsquery, '<a/>'::xml")
    a.query("NOTIFY x, 'still heard'")


@DIALOGUES
def results_without_rows_or_columns(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("SELECT 1 AS none WHERE false").query("SELECT").query("SELECT FROM generate_series(1, 3)")
    a.query("SELECT NULL").query("SELECT ''").query("VALUES (1, 'a'), (2, NULL)").query("TABLE pg_tablespace LIMIT 0")


@DIALOGUES
def many_rows(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x").query("SELECT n AS number, repeat('x', n) FROM generate_series(1, 400) AS n").query("NOTIFY x")


@DIALOGUES
def wide_rows(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("SELECT " + ", ".join(f"{n} AS column_number_{n}" for n in range(500))).query("NOTIFY x")


@DIALOGUES
def long_values(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x").query("SELECT repeat('é', 300000), repeat('y', 100), repeat('z', 70000)").query("NOTIFY x, 'p'")
    a.query("SELECT n, repeat('w', 50000) FROM generate_series(1, 20) AS n; NOTIFY x, 'q'")


@DIALOGUES
def long_texts(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x").query(f"SELECT length('{'x' * 100000}')").query(f"SELECT length('{'é' * 700000}')")
    a.query("SELECT " + " + ".join("1" for _ in range(2000))).query("SELECT 1" + " " * 5000 + "; SELECT 1 + 1")
    a.query("NOTIFY x")


@DIALOGUES
def several_selects_in_one_query(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("SELECT 2 + 2; SELECT 'a' AS b, 'c' AS d; SELECT 3 WHERE false").query("SELECT 1; SELECT 1 + 1; SELECT 1")


@DIALOGUES
def empty_statements_among_selects(stage: Stage) -> None:
    a = stage.connect("a")
    a.query(";;SELECT 2 + 2;;;SELECT 3 + 3;; -- end").query("").query(";").query("/* nothing */").query("-- c")
    a.query("/* before */ SELECT /* within */ 4 + 4 -- behind").query("\n\t SELECT\n5\n+\n5\n;\n")


@DIALOGUES
def variants_of_select_1(stage: Stage) -> None:
    a = stage.connect("a")
    for expression in (
        "1 AS x",
        "1::int",
        "1 + 0",
        "1.0",
        "1 LIMIT 1",
        "'1'",
        "2147483648",
        "-9223372036854775809",
        "NULL",
        "true",
        "ALL 1",
        "DISTINCT 1",
        "(1)",
        "1, 1",
        "1 AS one, 2 AS two",
        "+1",
        "- 1",
        "1 WHERE true",
        "1 FOR UPDATE",
        "0x1F",
        "1_000",
        "1e3",
    ):
        a.query(f"SELECT {expression}")


@DIALOGUES
def variants_of_the_functions_served_here(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x").query("SELECT pg_notify('x', upper('computed'))").query("SELECT pg_notify('x', 1::text), 2 + 2")
    a.query("SELECT pg_notify('x', n::text) FROM generate_series(1, 3) AS n").query(
        "SELECT pg_notify(lower('X'), NULL)"
    )
    a.query("SELECT pg_notify('x', 'q') WHERE false").query("SELECT length(pg_notify('x', 'in a call')::text)")
    a.query("SELECT pg_notify('x' || '', 'concatenated') FROM (SELECT 1) AS one").query("SELECT pg_backend_pid() = 0")
    a.query("SELECT pg_advisory_unlock_all(), 1 + 1").query("SELECT 1 UNION SELECT 2 ORDER BY 1")


@DIALOGUES
def errors_have_positions(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x").query("SELECT no_such_column").query("SELECT * FROM no_such_table").query("SELEC 1")
    a.query("SELECT 1 +").query("SELECT 'é日😀', no_such_column").query("SELECT no_such_function(1, 'a')").query(
        "NOTIFY x"
    )
    a.query("SELECT 2 + 2; SELECT oops; SELECT 3").query("SELECT 1 FROM; NOTIFY x, 'lost'").query("SELECT 'open")


@DIALOGUES
def errors_at_run_time(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x").query("SELECT 1 / 0").query("SELECT 'x'::int").query(
        "SELECT 10 / n FROM generate_series(2, 0, -1) n"
    )
    a.query("SELECT 2 + 2; SELECT 1 / 0; SELECT 3 + 3").query("NOTIFY x").query("SELECT sqrt(-1)")
    a.query("SELECT repeat('x', -1), chr(0)").query("SELECT 2147483647 + 1").query("SELECT '2024-02-30'::date")


@DIALOGUES
def errors_with_all_fields(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("CREATE TEMP TABLE t (id int PRIMARY KEY, n int NOT NULL, c int CONSTRAINT positive CHECK (c > 0))")
    a.query("INSERT INTO t VALUES (1, 1, 1)").query("INSERT INTO t VALUES (1, 1, 1)").query("INSERT INTO t VALUES (2)")
    a.query("INSERT INTO t VALUES (2, 2, -2)").query("INSERT INTO t VALUES (3, 'three')").query("SELECT * FROM t")
    a.query("DO $$BEGIN RAISE EXCEPTION 'mine' USING ERRCODE = 'XY123', DETAIL = 'd', HINT = 'h', TABLE = 't'; END$$")
    a.query("DO $$BEGIN EXECUTE 'SELECT oops'; END$$").query("NOTIFY x")


@DIALOGUES
def notices_come_in_place(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x").query(NOISY).query("SELECT pg_temp.noisy(n) FROM generate_series(1, 3) AS n")
    a.query("DO $$BEGIN RAISE NOTICE 'n'; RAISE WARNING 'w' USING HINT = 'h'; RAISE INFO 'i'; RAISE DEBUG 'd'; END$$")
    a.query("SELECT pg_temp.noisy(7); NOTIFY x, 'p'; SELECT pg_temp.noisy(8)").query(
        "DROP TABLE IF EXISTS no_such_table"
    )
    a.query(f"CREATE TEMP TABLE {'t' * 70} (a int)").query("ROLLBACK").query("COMMIT; SELECT 2 + 2")


@DIALOGUES
def notices_as_loud_as_wanted(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("SET client_min_messages TO error").query("DO $$BEGIN RAISE WARNING 'unheard'; END$$").query("ROLLBACK")
    a.query("SET client_min_messages TO warning").query("DROP TABLE IF EXISTS no_such_table").query("COMMIT")
    a.query("RESET client_min_messages").query("DROP TABLE IF EXISTS no_such_table")


@DIALOGUES
def tags_of_all_kinds(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("CREATE TEMP TABLE t (id int, n text)").query("INSERT INTO t VALUES (1, 'a'), (2, 'b')").query("TABLE t")
    a.query("INSERT INTO t SELECT n, 'c' FROM generate_series(3, 6) AS n RETURNING id").query("UPDATE t SET n = 'd'")
    a.query("DELETE FROM t WHERE id > 4 RETURNING *").query("DELETE FROM t WHERE false").query(
        "CREATE INDEX i ON t (id)"
    )
    a.query("ALTER TABLE t ADD COLUMN extra int").query("COMMENT ON TABLE t IS 'c'").query(
        "CREATE TEMP VIEW v AS TABLE t"
    )
    a.query("CREATE TEMP TABLE u AS SELECT 1 AS one").query("SELECT 2 AS two INTO TEMP w").query("TRUNCATE t")
    a.query("ANALYZE t").query("VACUUM t").query("CREATE TEMP SEQUENCE s").query("SELECT nextval('s')").query("LOCK t")
    a.query("DROP VIEW v").query("DROP TABLE t, u, w").query("EXPLAIN (COSTS OFF) SELECT 1").query("DO 'BEGIN END'")


@DIALOGUES
def words_of_pubsub_in_literals_and_names(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x").query("SELECT 'LISTEN y; NOTIFY x'").query(
        "/* LISTEN y; */ SELECT 'UNLISTEN *' AS listen -- NOTIFY x"
    )
    a.query('CREATE TEMP TABLE "notify" (listen int, unlisten text)').query("INSERT INTO notify VALUES (1, 'NOTIFY x')")
    a.query("SELECT listen, unlisten FROM notify; SELECT $$; NOTIFY x; $$; SELECT E'\\'; LISTEN y; \\''")
    a.query("SELECT $a$ $b$ ; UNLISTEN *; $a$; NOTIFY x, 'only this'; SELECT U&'\\0041; LISTEN y'")
    a.query("SELECT pg_listening_channels()")


@DIALOGUES
def strings_that_do_not_conform(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x").query("SET standard_conforming_strings TO off").query("SET escape_string_warning TO off")
    a.query(r"SELECT 'a\'; LISTEN y; --' AS one, 'b'").query(r"NOTIFY x, 'a\'b'").query(
        r"SELECT 'a\\b'; NOTIFY x, '\'; --'"
    )
    a.query("SELECT pg_listening_channels()").query("SET standard_conforming_strings TO on").query(r"NOTIFY x, 'a\'")


@DIALOGUES
def pipelined_queries(stage: Stage) -> None:
    a = stage.connect("a")
    for sql in (
        "LISTEN x",
        "SELECT 2 + 2",
        "NOTIFY x, '1'",
        "SELECT oops",
        "BEGIN",
        "SELECT 3 + 3; NOTIFY x, '2'",
        "",
        "NOTIFY x, '3'",
        "COMMIT",
        "SELECT repeat('z', 30000)",
        "UNLISTEN x; NOTIFY x, 'unheard'",
        "SELECT 4 + 4",
    ):
        a.and_query(sql)
    a.read_all()


@DIALOGUES
def malformed_messages_behind_real_work(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x").query("SELECT 2 + 2").raw_query(b"Q\0\0\0\x0fSELECT 3\0\0\0").raw_query(b"Q\0\0\0\x0cSELECT 4")
    a.raw(b"P\0\0\0\4").sync().raw(b"D\0\0\0\6X\0").sync().raw(b"B\0\0\0\7\0\0\0").sync().query("SELECT 5 + 5")
    a.query(b"SELECT 'a' || '\xff'").query(rb"SELECT E'\xff'").query("NOTIFY x, 'alive'")


@DIALOGUES
def an_unknown_message_type_behind_real_work(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x").query("SELECT 2 + 2").raw(b"?\0\0\0\4").read_to_the_end()


@DIALOGUES
def terminate_behind_real_work(stage: Stage) -> None:
    stage.set_up("DROP TABLE IF EXISTS parity_terminate", "CREATE TABLE parity_terminate (n int)")
    a, b, c = stage.connect_many("a", "b", "c")
    c.query("LISTEN x")
    a.query("BEGIN").query("INSERT INTO parity_terminate VALUES (1)").query("NOTIFY x, 'lost'").terminate()
    b.query("INSERT INTO parity_terminate VALUES (2); NOTIFY x, 'kept'").terminate()
    c.hear().query("TABLE parity_terminate")
