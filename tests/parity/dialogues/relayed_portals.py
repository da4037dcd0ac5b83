"""Portals: row limits, suspension, their end; cursors of SQL level; statements prepared by SQL."""

from parity.dialogue import Dialogues, Stage

DIALOGUES = Dialogues()

FIVE = "SELECT n, n * n FROM generate_series(1, 5) AS n"


@DIALOGUES
def row_limits_of_real_work(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x").parse(FIVE).bind().describe().execute(max_rows=2).execute(max_rows=2).execute(
        max_rows=2
    ).execute().sync()
    a.parse(FIVE).bind().execute(max_rows=5).execute(max_rows=1).sync().parse(FIVE).bind().execute(max_rows=-3).sync()
    a.parse(FIVE).bind().execute(max_rows=1).run("NOTIFY x, 'p'").execute().sync()


@DIALOGUES
def suspended_portals_and_pubsub_between(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x").parse(FIVE).bind(portal="p").execute("p", 2).run("NOTIFY x, '1'").execute("p", 2).run(
        "LISTEN y"
    ).execute("p", 2).sync()
    a.execute("p", 1).sync()
    a.query("BEGIN").parse(FIVE).bind(portal="p").execute("p", 2).sync().run("NOTIFY x, '2'").sync().query(
        "NOTIFY x, '3'"
    ).execute("p", 1).sync()
    a.query("SELECT 2 + 2").execute("p", 1).sync().query("COMMIT").execute("p", 1).sync()


@DIALOGUES
def several_portals_at_once(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x").query("BEGIN").parse(FIVE, "s").bind(portal="p", statement="s").bind(
        portal="q", statement="s"
    ).sync()
    a.parse("NOTIFY x, 'n'", "n").bind(portal="r", statement="n").execute("p", 2).execute("q", 1).execute("r").execute(
        "p", 2
    ).sync()
    a.close_portal("p").execute("q", 1).execute("r").sync().describe("q").sync().query("ROLLBACK").bind(
        portal="r", statement="n"
    ).sync()


@DIALOGUES
def portal_names_of_both_kinds(stage: Stage) -> None:
    a = stage.connect("a")
    a.parse("NOTIFY x", "n").parse("SELECT 2 + 2", "s").query("BEGIN").bind(portal="p", statement="n").bind(
        portal="p", statement="s"
    ).sync()
    a.query("ROLLBACK").query("BEGIN").bind(portal="p", statement="s").bind(portal="p", statement="n").sync().query(
        "ROLLBACK"
    )
    a.query("BEGIN").bind(portal="p", statement="n").sync().query("DECLARE p CURSOR FOR SELECT 1").query("ROLLBACK")
    a.query("BEGIN").bind(portal="p", statement="s").sync().query("DECLARE p CURSOR FOR SELECT 1").query("ROLLBACK")
    a.query("BEGIN").bind(portal="p", statement="n").close_portal("p").bind(portal="p", statement="s").execute(
        "p"
    ).sync().query("COMMIT")


@DIALOGUES
def the_unnamed_portal_goes_both_ways(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x").query("BEGIN").parse(FIVE).bind().execute(max_rows=1).parse(
        "NOTIFY x, 'p'"
    ).bind().execute().execute().sync()
    a.query("ROLLBACK").query("BEGIN").parse(FIVE, "s").bind(statement="s").execute(max_rows=1).parse(
        "NOTIFY x"
    ).execute(max_rows=1).sync()
    a.query("NOTIFY x").execute(max_rows=1).sync().query("ROLLBACK").parse("NOTIFY x, 'q'").bind().bind(
        statement="s"
    ).execute().sync()
    a.bind(statement="s").parse("NOTIFY x, 'r'", "n").bind(statement="n").execute().sync()


@DIALOGUES
def a_portal_fails_in_the_middle(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x").query("SELECT 2 + 2").parse("SELECT 6 / (3 - n) FROM generate_series(1, 5) AS n")
    a.bind().execute(max_rows=1).run("NOTIFY x, 'lost'").sync().parse(
        "SELECT 6 / (3 - n) FROM generate_series(1, 5) AS n", "s"
    )
    a.bind(statement="s", portal="p").execute("p", 2).execute("p", 2).run("NOTIFY x, 'skipped'").sync()
    a.query("BEGIN").bind(statement="s", portal="p").execute("p", 1).sync().execute("p").sync().execute(
        "p"
    ).sync().query("COMMIT")


@DIALOGUES
def portals_that_have_run(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("CREATE TEMP TABLE t (n int)").parse("INSERT INTO t VALUES (1)").bind().execute().execute().sync()
    a.parse("INSERT INTO t VALUES (1) RETURNING n").bind().execute().execute().sync().query("TABLE t")
    a.parse("INSERT INTO t SELECT generate_series(1, 5) RETURNING n").bind().execute(max_rows=2).execute(
        max_rows=2
    ).execute().sync()
    a.query("SELECT count(*) FROM t").parse("SHOW work_mem").bind().execute().execute().sync().parse(
        "BEGIN"
    ).bind().execute().execute().sync()
    a.query("ROLLBACK")


@DIALOGUES
def cursors(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x").query("BEGIN").query(f"DECLARE c SCROLL CURSOR FOR {FIVE}").query("FETCH 2 FROM c").query(
        "NOTIFY x, '1'"
    )
    a.query("FETCH c").query("MOVE 1 FROM c").query("FETCH PRIOR FROM c").query(
        "FETCH ALL c; NOTIFY x, '2'; FETCH c"
    ).query("CLOSE c")
    a.query("COMMIT").query("FETCH c").query("CLOSE c").query("DECLARE c CURSOR FOR SELECT 1")


@DIALOGUES
def cursors_with_hold(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x").query("BEGIN").query("NOTIFY x, 'p'").query(f"DECLARE h CURSOR WITH HOLD FOR {FIVE}").query(
        "COMMIT"
    )
    a.query("FETCH h").query("NOTIFY x, 'q'").query("FETCH 2 h").run("FETCH h").sync().query("CLOSE ALL").query(
        "FETCH h"
    )
    a.query("DECLARE h CURSOR WITH HOLD FOR SELECT 1").query("FETCH h").query("DISCARD ALL").query("FETCH h")


@DIALOGUES
def cursors_and_the_extended_protocol(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("BEGIN").run(f"DECLARE c CURSOR FOR {FIVE}").sync().describe("c").execute("c", 2).sync().run(
        "NOTIFY x"
    ).run("FETCH c").sync()
    a.parse("SELECT 2 + 2").bind(portal="p").sync().query("FETCH p").query("CLOSE p").execute("p").sync().query(
        "ROLLBACK"
    )
    a.query("BEGIN; DECLARE b BINARY CURSOR FOR SELECT 7, 'x'; FETCH b; NOTIFY x; COMMIT")
    a.query("BEGIN; DECLARE c CURSOR FOR SELECT 1").query("CLOSE ALL").query("FETCH c").query("COMMIT")


@DIALOGUES
def cursors_and_savepoints(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x").query("BEGIN").query("SAVEPOINT s").query(f"DECLARE c CURSOR FOR {FIVE}").query(
        "FETCH c"
    ).query("NOTIFY x, 'lost'")
    a.query("ROLLBACK TO s").query("FETCH c").query("ROLLBACK TO s").query("NOTIFY x, 'kept'").query("COMMIT")


@DIALOGUES
def statements_prepared_by_sql(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x").query("PREPARE p (int, text) AS SELECT $1 + 1, $2").query("EXECUTE p(1, 'a')").query(
        "NOTIFY x; EXECUTE p(2, 'b')"
    )
    a.bind("3", "c", statement="p").describe().execute().sync().describe_statement("p").sync().run(
        "EXECUTE p(4, 'd')"
    ).sync()
    a.query("PREPARE p AS SELECT 1").query("EXECUTE p(1)").query("EXECUTE nope").query("DEALLOCATE p").query(
        "EXECUTE p(1, 'a')"
    )
    a.query("PREPARE n AS NOTIFY x").query("PREPARE f AS SELECT pg_notify('x', $1)").query(
        "EXECUTE f('by EXECUTE')"
    ).query("DISCARD ALL")
    a.query("EXECUTE f('gone')")


@DIALOGUES
def prepare_and_execute_in_one_query(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x; PREPARE s AS SELECT 2 + 2; EXECUTE s; NOTIFY x, 'p'; DEALLOCATE s; EXECUTE s")
    a.query("PREPARE s AS SELECT pg_notify('x', 'q')").query("EXECUTE s; NOTIFY x, 'q'; EXECUTE s").query(
        "SELECT name FROM pg_prepared_statements"
    )


@DIALOGUES
def prepared_statements_are_listed(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("SELECT 2 + 2").parse("SELECT $1::int", "e").sync().query("PREPARE s AS SELECT 1")
    a.query("SELECT name, statement, parameter_types, from_sql FROM pg_prepared_statements ORDER BY name")
    a.query("BEGIN; DECLARE c CURSOR FOR SELECT 1").query(
        "SELECT name, is_holdable FROM pg_cursors WHERE name = 'c'"
    ).query("COMMIT")


@DIALOGUES
def advisory_locks(stage: Stage) -> None:
    a, b = stage.connect_many("a", "b")
    a.query("LISTEN x").query("SELECT pg_advisory_lock(76002)").query("NOTIFY x")
    b.query("SELECT pg_try_advisory_lock(76002)")
    a.query("SELECT pg_advisory_unlock_all()").query("SELECT pg_advisory_unlock(76002)")
    b.query("SELECT pg_try_advisory_lock(76002)").run("SELECT pg_advisory_unlock_all()").sync().query("SELECT 1 + 1")
    a.query("SELECT pg_try_advisory_lock(76002)").query("DISCARD ALL")
    b.query("SELECT pg_try_advisory_lock(76002)")
