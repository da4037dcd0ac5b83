"""Many messages before an answer is read: implicit transactions, several Syncs, errors and what they skip."""

from parity.dialogue import Dialogues, Stage

DIALOGUES = Dialogues()


@DIALOGUES
def nothing_before_sync(stage: Stage) -> None:
    a = stage.connect("a")
    a.run("LISTEN x").sync().run("NOTIFY x, 'p'").flush("CommandComplete").run("SELECT 1").flush(
        "CommandComplete"
    ).sync()


@DIALOGUES
def one_transaction_up_to_sync(stage: Stage) -> None:
    a = stage.connect("a")
    a.run("LISTEN x").run("NOTIFY x, '1'").run("NOTIFY x, '2'").run("NOTIFY x, '1'").sync()
    a.run("NOTIFY x, '1'").sync()


@DIALOGUES
def several_syncs(stage: Stage) -> None:
    a = stage.connect("a")
    a.run("LISTEN x").and_sync().run("NOTIFY x, '1'").and_sync().run("NOTIFY x, '1'").and_sync().run(
        "UNLISTEN x"
    ).sync()


@DIALOGUES
def syncs_alone(stage: Stage) -> None:
    a = stage.connect("a")
    a.sync().and_sync().and_sync().sync().query("BEGIN").sync().query("NOTIFY").sync().query("ROLLBACK")


@DIALOGUES
def an_error_skips_to_sync(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x").run("NOTIFY x, 'lost'").run("NOTIFY").run("NOTIFY x, 'skipped'").and_sync()
    a.run("NOTIFY x, 'heard'").sync()


@DIALOGUES
def an_error_skips_simple_queries_too(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x").parse("NOTIFY").and_skipped_query("NOTIFY x").raw(b"H\0\0\0\4").describe("nowhere").sync()
    a.query("NOTIFY x, 'heard'")


@DIALOGUES
def errors_in_several_pipelines(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x").run("NOTIFY").and_sync().run("NOTIFY x, '1'").and_sync().bind(statement="none").and_sync()
    a.run("NOTIFY x, '2'").sync()


@DIALOGUES
def an_error_after_listen_takes_it_back(stage: Stage) -> None:
    a = stage.connect("a")
    a.run("LISTEN x").run("SELECT pg_notify('', '')").sync().query("NOTIFY x").query("SELECT pg_listening_channels()")


@DIALOGUES
def begin_in_a_pipeline_keeps_what_ran_before_it(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x").run("NOTIFY x, '1'").run("BEGIN").run("NOTIFY x, '2'").sync().run("ROLLBACK").sync()
    a.run("NOTIFY x, '3'").run("BEGIN").sync().run("COMMIT").sync()


@DIALOGUES
def commit_in_a_pipeline_commits_at_once(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x").run("NOTIFY x, 'kept'").run("COMMIT").run("NOTIFY x, 'lost'").run("NOTIFY").sync()


@DIALOGUES
def rollback_in_a_pipeline_drops_what_ran_before_it(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x").run("NOTIFY x, 'lost'").run("ROLLBACK").run("NOTIFY x, 'kept'").sync()


@DIALOGUES
def a_whole_block_in_a_pipeline(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x").run("BEGIN").run("NOTIFY x, '1'").run("SAVEPOINT s").run("NOTIFY x, '2'").run("ROLLBACK TO s")
    a.run("NOTIFY x, '3'").run("COMMIT").run("NOTIFY x, '4'").sync()


@DIALOGUES
def an_error_in_a_block_in_a_pipeline(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x").run("BEGIN").run("NOTIFY x").run("SELECT pg_notify('', '')").run("COMMIT").and_sync()
    a.run("NOTIFY x").and_sync().run("COMMIT").and_sync().run("NOTIFY x, 'heard'").sync()


@DIALOGUES
def savepoints_in_a_pipeline_without_a_block(stage: Stage) -> None:
    a = stage.connect("a")
    a.run("SAVEPOINT s").sync().run("SELECT 1").run("SAVEPOINT s").sync().run("SELECT 1").run("COMMIT AND CHAIN").sync()
    a.run("SELECT 1").run("RELEASE s").sync().run("SELECT 1").run("ROLLBACK TO s").sync()


@DIALOGUES
def discard_all_in_a_pipeline(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x").run("DISCARD ALL").sync().query("LISTEN x").run("NOTIFY x").run("DISCARD ALL").sync()
    a.query("NOTIFY x")


@DIALOGUES
def simple_queries_in_a_pipeline(stage: Stage) -> None:
    a = stage.connect("a")
    for sql in ("LISTEN x", "NOTIFY x, '1'", "NOTIFY", "BEGIN", "NOTIFY x, '2'", "COMMIT", "NOTIFY x, '2'"):
        a.and_query(sql)
    a.read_all()


@DIALOGUES
def the_pipeline_of_asyncpg(stage: Stage) -> None:
    a, b = stage.connect_many("a", "b")
    a.query('LISTEN "x"')
    b.parse("SELECT pg_notify($1, $2)", "__asyncpg_stmt_1__").describe_statement("__asyncpg_stmt_1__").flush(
        "RowDescription"
    )
    b.bind("x", "p", statement="__asyncpg_stmt_1__", formats=(1,), result_formats=(1,)).execute().sync()
    a.hear()


@DIALOGUES
def the_pipeline_of_pgjdbc(stage: Stage) -> None:
    a = stage.connect("a")
    a.parse("BEGIN").bind().execute().parse("LISTEN x").bind().describe().execute(max_rows=1).sync()
    a.parse("NOTIFY x, 'p'").bind().describe().execute(max_rows=1).sync().parse("COMMIT").bind().execute(
        max_rows=1
    ).sync()


@DIALOGUES
def flush_without_anything(stage: Stage) -> None:
    a = stage.connect("a")
    a.raw(b"H\0\0\0\4").query("SELECT 1").parse("SELECT 1").flush("ParseComplete").sync()


@DIALOGUES
def bytes_of_copy_are_passed_over(stage: Stage) -> None:
    a = stage.connect("a")
    a.raw(b"d\0\0\0\5x").raw(b"c\0\0\0\4").raw(b"f\0\0\0\5\0").query("SELECT 1")


@DIALOGUES
def the_function_call_protocol(stage: Stage) -> None:
    a = stage.connect("a")
    call = (3036).to_bytes(4, "big") + b"\0\0" + b"\0\2" + b"\0\0\0\1x" + b"\0\0\0\1p" + b"\0\0"
    a.query("LISTEN x").raw_query(b"F" + (len(call) + 4).to_bytes(4, "big") + call).query("SELECT 1")
