"""The extended protocol: statements that need a database and LISTEN, NOTIFY and UNLISTEN within one Sync."""

from itertools import permutations

from parity.dialogue import Dialogues, Stage

DIALOGUES = Dialogues()

INT4, TEXT = 23, 25


@DIALOGUES
def mixed_within_one_sync_in_every_order(stage: Stage) -> None:
    a = stage.connect("a")
    for order in permutations(("SELECT 2 + 2", "NOTIFY x, 'p'", "LISTEN x")):
        for sql in order:
            a.run(sql)
        a.sync().run("UNLISTEN *").run("SELECT 3 + 3").sync()


@DIALOGUES
def turn_and_turn_about_within_one_sync(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x")
    for number in range(30):
        a.run("SELECT $1::int + $2", str(number), "1").run(f"NOTIFY x, '{number}'")
    a.sync().query("NOTIFY x, 'behind'")


@DIALOGUES
def flushes_between(stage: Stage) -> None:
    a = stage.connect("a")
    a.run("LISTEN x").flush("CommandComplete").run("SELECT 2 + 2").flush("CommandComplete").run("NOTIFY x, 'p'")
    a.flush("CommandComplete").run("SELECT 3 + 3").run("NOTIFY x, 'q'").flush("CommandComplete").flush(
        "CommandComplete"
    ).sync()
    a.parse("SELECT $1::text", "s").describe_statement("s").flush("RowDescription").bind("v", statement="s").flush(
        "BindComplete"
    )
    a.execute().flush("CommandComplete").sync()


@DIALOGUES
def several_syncs_in_one_write(stage: Stage) -> None:
    a = stage.connect("a")
    a.run("LISTEN x").and_sync().run("SELECT 2 + 2").and_sync().run("NOTIFY x, '1'").run("SELECT 3 + 3").and_sync()
    a.run("SELECT oops").run("NOTIFY x, 'skipped'").and_sync().run("SELECT 4 + 4").and_query("SELECT 5 + 5").run(
        "NOTIFY x, '2'"
    ).sync()


@DIALOGUES
def an_error_of_real_work_skips_to_sync(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x").run("NOTIFY x, 'lost'").run("LISTEN y").run("SELECT 1 / 0").run("NOTIFY x, 'skipped'").run(
        "SELECT 2 + 2"
    ).sync()
    a.run("SELECT 3 + 3").run("SELECT oops").run("LISTEN y").describe("nowhere").and_skipped_query("NOTIFY x").sync()
    a.query("NOTIFY x, 'heard'; NOTIFY y").query("SELECT pg_listening_channels()")


@DIALOGUES
def an_error_of_pubsub_skips_real_work(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x").query("CREATE TEMP TABLE t (n int)").run("INSERT INTO t VALUES (1)").run(
        "SELECT pg_notify('', '')"
    )
    a.run("INSERT INTO t VALUES (2)").sync().query("TABLE t").run("INSERT INTO t VALUES (3)").parse("NOTIFY").run(
        "TABLE t"
    ).sync()
    a.query("TABLE t").run("INSERT INTO t VALUES (4)").run("NOTIFY x, 'p'").and_sync().run(
        "INSERT INTO t VALUES (5)"
    ).bind(statement="none")
    a.sync().query("TABLE t")


@DIALOGUES
def each_message_may_fail(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x").query("SELECT 2 + 2")
    a.run("NOTIFY x, 'lost'").parse("SELEC 1").bind().execute().sync()
    a.run("NOTIFY x, 'lost'").parse("SELECT $1::int").bind("nonsense").execute().sync()
    a.run("NOTIFY x, 'lost'").parse("SELECT 1 / $1::int").bind("0").describe().execute().sync()
    a.run("NOTIFY x, 'lost'").describe_statement("none").run("SELECT 3 + 3").sync()
    a.run("NOTIFY x, 'lost'").execute("none").run("SELECT 4 + 4").sync().run("NOTIFY x, 'heard'").run(
        "SELECT 5 + 5"
    ).sync()


@DIALOGUES
def statements_named_before_the_first_real_work(stage: Stage) -> None:
    a = stage.connect("a")
    a.parse("LISTEN x", "l").parse("NOTIFY x, 'n'", "n").parse("SELECT pg_notify('x', $1)", "f").parse(
        "SELECT 1", "one"
    ).sync()
    a.bind(statement="l").execute().sync().bind(statement="n").execute().sync().query("SELECT 2 + 2")
    a.bind(statement="n").describe().execute().bind("f", statement="f").describe().execute().bind(
        statement="one"
    ).execute().sync()
    a.describe_statement("n").describe_statement("f").describe_statement("one").describe_statement("l").sync()
    a.close_statement("n").bind(statement="n").sync().parse("NOTIFY x, 'new'", "n").bind(statement="n").execute().sync()


@DIALOGUES
def statements_of_transactions_by_name(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x").query("CREATE TEMP TABLE t (n int)")
    for sql in (
        "BEGIN",
        "COMMIT",
        "ROLLBACK",
        "SAVEPOINT s",
        "ROLLBACK TO s",
        "NOTIFY x, 'p'",
        "LISTEN y",
        "INSERT INTO t VALUES (1)",
    ):
        a.parse(sql, sql)
    a.sync()
    for names in (
        ("BEGIN", "INSERT INTO t VALUES (1)", "NOTIFY x, 'p'", "COMMIT"),
        ("BEGIN", "NOTIFY x, 'p'", "SAVEPOINT s", "INSERT INTO t VALUES (1)", "LISTEN y", "ROLLBACK TO s", "COMMIT"),
        ("BEGIN", "LISTEN y", "INSERT INTO t VALUES (1)", "NOTIFY x, 'p'", "ROLLBACK"),
    ):
        for name in names:
            a.bind(statement=name).execute().sync()
        for name in names:
            a.bind(statement=name).execute()
        a.sync().query("SELECT count(*) FROM t").query("SELECT pg_listening_channels()")


@DIALOGUES
def names_are_of_one_space(stage: Stage) -> None:
    a = stage.connect("a")
    a.parse("LISTEN x", "s").parse("SELECT 2 + 2", "s").sync().parse("SELECT 2 + 2", "t").sync().parse(
        "LISTEN x", "t"
    ).sync()
    a.close_statement("t").parse("NOTIFY x", "t").sync().close_statement("s").parse("SELECT 3 + 3", "s").bind(
        statement="s"
    ).execute().sync()
    a.query("PREPARE s AS SELECT 1").query("PREPARE t AS SELECT 1").query("PREPARE u AS SELECT 5 + 5").parse(
        "LISTEN x", "u"
    ).sync()
    a.query("EXECUTE t").query("EXECUTE s").bind(statement="u").describe().execute().sync()


@DIALOGUES
def deallocate_of_both_kinds(stage: Stage) -> None:
    a = stage.connect("a")
    a.parse("LISTEN x", "l").parse("SELECT 2 + 2", "s").sync().query("DEALLOCATE l").query("DEALLOCATE s").bind(
        statement="l"
    ).sync()
    a.bind(statement="s").sync().query("DEALLOCATE s").parse("NOTIFY x", "n").parse("SELECT 3 + 3", "s").sync()
    a.query("PREPARE p AS SELECT 4").query("DEALLOCATE ALL").bind(statement="n").sync().bind(
        statement="s"
    ).sync().query("EXECUTE p")
    a.parse("NOTIFY x", "n").parse("SELECT 3 + 3", "s").sync().run("DEALLOCATE n").run("DEALLOCATE PREPARE s").sync()
    a.bind(statement="n").sync().bind(statement="s").sync()


@DIALOGUES
def discard_all_behind_real_work(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x").query("CREATE TEMP TABLE t (n int)").parse("NOTIFY x", "n").parse("SELECT 2 + 2", "s").sync()
    a.query("BEGIN").query("DISCARD ALL").query("ROLLBACK").query("NOTIFY x, 'heard'").query("DISCARD ALL").query(
        "TABLE t"
    ).query("NOTIFY x")
    a.bind(statement="n").sync().bind(statement="s").sync().query("SELECT pg_listening_channels()")
    a.query("LISTEN x").run("DISCARD ALL").sync().query("NOTIFY x").query("SELECT 3 + 3").run("DISCARD PLANS").sync()
    a.query("DISCARD TEMP").query("DISCARD SEQUENCES")


@DIALOGUES
def the_unnamed_statement_goes_both_ways(stage: Stage) -> None:
    a = stage.connect("a")
    a.parse("SELECT 2 + 2").sync().parse("NOTIFY x").bind().execute().sync().parse(
        "SELECT 3 + 3"
    ).bind().execute().sync()
    a.bind().execute().sync().query("NOTIFY x").bind().sync().parse("SELECT 4 + 4").query("SELECT 1").bind().sync()
    a.parse("LISTEN x").sync().query("SELECT 5 + 5").bind().sync().parse("SELECT 6 + 6").sync().parse(
        "SELEC"
    ).sync().bind().sync()


@DIALOGUES
def wrong_counts_and_formats(stage: Stage) -> None:
    a = stage.connect("a")
    a.parse("SELECT $1::int + $2::int", "s").bind("1", statement="s").sync().bind("1", "2", "3", statement="s").sync()
    a.bind("1", "2", statement="s", formats=(0, 0, 0)).sync().bind(
        "1", "2", statement="s", result_formats=(0, 1)
    ).execute().sync()
    a.bind("1", "2", statement="s", formats=(1,)).sync().bind("1", "2", statement="s", formats=(5,)).sync()
    a.bind(b"\0\0\0\1", b"\0\0\0\2", statement="s", formats=(1,), result_formats=(1,)).describe().execute().sync()
    a.bind("1", b"\0\0\0\2", statement="s", formats=(0, 1), result_formats=(0,)).describe().execute().sync()
    a.bind(None, "2", statement="s").execute().sync().bind(statement="s").sync().query("NOTIFY x")


@DIALOGUES
def types_declared_and_inferred(stage: Stage) -> None:
    a = stage.connect("a")
    a.parse("SELECT $1 + 1, $2 || 'x', $3", "s", (0, TEXT)).describe_statement("s").sync()
    a.parse("SELECT $1", types=(INT4,)).describe_statement().bind("7").describe().execute().sync()
    a.parse("SELECT $1 + $2").sync().parse("SELECT $2").sync().parse("SELECT $1", types=(999999,)).sync()
    a.parse("SELECT $1::regclass, $2::int[], $3::jsonb").describe_statement().bind(
        "pg_class", "{1,2}", "{}"
    ).execute().sync()
    a.parse("INSERT INTO pg_temp.none VALUES ($1)").sync().parse(
        "SELECT pg_notify($1, $2), 2 + 2"
    ).describe_statement().sync()


@DIALOGUES
def describe_of_what_returns_no_rows(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("CREATE TEMP TABLE t (n int)")
    for sql in (
        "INSERT INTO t VALUES ($1)",
        "UPDATE t SET n = 1 RETURNING n",
        "CREATE TEMP TABLE u (n int)",
        "SET work_mem TO 64",
        "NOTIFY x",
        "",
    ):
        a.parse(sql).describe_statement().sync()
    a.parse("SHOW work_mem").describe_statement().bind().describe().execute().sync().run("VALUES (1, 'a')").sync()
    a.run("DELETE FROM t RETURNING *").run("EXPLAIN (COSTS OFF) SELECT 1").run("TABLE t").run("").run(
        "SELECT WHERE false"
    ).sync()


@DIALOGUES
def a_plan_that_changes_its_result(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("CREATE TEMP TABLE t (n int)").parse("SELECT * FROM t", "s").bind(statement="s").execute().sync()
    a.query("ALTER TABLE t ADD COLUMN m text").bind(statement="s").sync().run("NOTIFY x").sync().query(
        "DROP TABLE t"
    ).bind(statement="s").sync()


@DIALOGUES
def implicit_transactions_end_at_sync(stage: Stage) -> None:
    a, b = stage.connect_many("a", "b")
    stage.set_up("DROP TABLE IF EXISTS parity_implicit", "CREATE TABLE parity_implicit (n int)")
    b.query("LISTEN x")
    a.run("INSERT INTO parity_implicit VALUES (1)").run("NOTIFY x, '1'").flush("CommandComplete").flush(
        "CommandComplete"
    )
    b.query("TABLE parity_implicit")
    a.sync()
    b.hear().query("TABLE parity_implicit")


@DIALOGUES
def blocks_within_a_pipeline(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x").query("CREATE TEMP TABLE t (n int)")
    a.run("INSERT INTO t VALUES (1)").run("NOTIFY x, '1'").run("BEGIN").run("NOTIFY x, '2'").run(
        "INSERT INTO t VALUES (2)"
    ).sync()
    a.run("ROLLBACK").run("INSERT INTO t VALUES (3)").run("NOTIFY x, '3'").sync().query("TABLE t")
    a.run("INSERT INTO t VALUES (4)").run("NOTIFY x, '4'").run("COMMIT").run("INSERT INTO t VALUES (5)").run(
        "NOTIFY x, 'lost'"
    ).run("SELECT 1 / 0").sync()
    a.query("TABLE t").run("INSERT INTO t VALUES (6)").run("NOTIFY x, 'lost'").run("ROLLBACK").run("NOTIFY x, '5'").run(
        "TABLE t"
    ).sync()


@DIALOGUES
def a_failed_block_in_the_extended_protocol(stage: Stage) -> None:
    a = stage.connect("a")
    a.parse("SELECT 2 + 2", "s").parse("NOTIFY x", "n").parse("ROLLBACK", "r").sync().query("BEGIN").run(
        "SELECT 1 / 0"
    ).sync()
    a.bind(statement="s").sync().bind(statement="n").sync().describe_statement("s").sync().parse("SELECT 3 + 3").sync()
    a.parse("NOTIFY x").sync().run("").sync().describe_statement("r").sync().bind(statement="r").execute().sync().bind(
        statement="s"
    ).execute().sync()


@DIALOGUES
def two_commands_in_one_parse(stage: Stage) -> None:
    a = stage.connect("a")
    a.parse("SELECT 2 + 2; NOTIFY x").sync().parse("LISTEN x; SELECT 3 + 3").sync().parse(
        "SELECT 4 + 4;"
    ).bind().execute().sync()
    a.run("SELECT 5 + 5 -- NOTIFY x").run("/* LISTEN x */ SELECT 6 + 6;;").sync().query(
        "SELECT pg_listening_channels()"
    )


@DIALOGUES
def a_simple_query_ends_no_named_statement(stage: Stage) -> None:
    a = stage.connect("a")
    a.parse("SELECT $1::int", "s").sync().query("SELECT 2 + 2; NOTIFY x").bind("7", statement="s").execute().sync()
    a.query("SELECT oops").bind("8", statement="s").execute().sync().query("BEGIN; ROLLBACK").bind(
        "9", statement="s"
    ).execute().sync()


@DIALOGUES
def the_pipelines_of_drivers(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x").parse("SELECT $1::text", "__asyncpg_stmt_1__").describe_statement("__asyncpg_stmt_1__").flush(
        "RowDescription"
    )
    a.bind("é", statement="__asyncpg_stmt_1__", formats=(1,), result_formats=(1,)).execute().sync()
    a.parse("BEGIN").bind().execute().parse("SELECT 2 + 2").bind().describe().execute(max_rows=1).sync()
    a.parse("NOTIFY x, 'p'").bind().describe().execute(max_rows=1).sync().parse("COMMIT").bind().execute(
        max_rows=1
    ).sync()
    a.parse("SELECT $1::int", types=(INT4,)).flush("ParseComplete").sync().describe_statement().flush(
        "RowDescription"
    ).sync()
    a.bind("5").flush("BindComplete").execute().flush("CommandComplete").sync()
    a.parse("UPDATE pg_range SET rngtypid = 0 WHERE false").bind().execute().bind().execute().close_statement().sync()


@DIALOGUES
def the_reset_of_asyncpg_behind_real_work(stage: Stage) -> None:
    a = stage.connect("a")
    reset = "SELECT pg_advisory_unlock_all();\nCLOSE ALL;\nUNLISTEN *;\nRESET ALL;"
    a.query("LISTEN x").query("SET application_name TO 'other'").query("SELECT pg_advisory_lock(76001)").query(
        reset
    ).query("NOTIFY x")
    a.query("SHOW application_name").query(
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 76001"
    )
    a.query("BEGIN").query("DECLARE c CURSOR WITH HOLD FOR SELECT 1").query("COMMIT").query("LISTEN y").query(
        reset
    ).query("FETCH c")
    a.query("BEGIN").query("SELECT 1 / 0").query(reset).query("ROLLBACK").query(reset).query(
        "SELECT pg_listening_channels()"
    )
