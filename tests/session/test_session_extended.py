"""The extended protocol: what each message is answered with, alone, in a pipeline and behind an error."""

import pytest
from conversation import (
    FLUSH,
    PID,
    SYNC,
    Conversation,
    FrontendPacket,
    bind,
    close,
    close_statement,
    describe,
    describe_statement,
    execute,
    logged_in,
    parse,
    replies,
    run,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from twistnotify.session.prepared import MAX_KEPT_BYTES, MAX_PREPARED
from twistnotify.wire.body import frame
from twistnotify.wire.simple_query import Query

ABORTED = "ERROR 25P02 current transaction is aborted, commands ignored until end of transaction block"
BOTH = "SELECT pg_notify($1, $2)"


def answer(*messages: FrontendPacket) -> list[str]:
    """Return what a new client is told, up to Sync."""
    lines = replies(logged_in().say(*messages, SYNC))
    assert lines[-1] == "Z(I)"
    return lines[:-1]


def in_failed_block(*before: FrontendPacket) -> Conversation:
    conversation = logged_in()
    conversation.query("BEGIN")
    if before:
        conversation.say(*before, SYNC)
    conversation.query("oops")
    return conversation


# Each message


def test_listen_is_prepared_described_and_executed() -> None:
    conversation = logged_in()
    lines = conversation.say(parse("LISTEN a"), describe_statement(), bind(), describe(), execute(), SYNC)
    assert lines == [
        "ParseComplete",
        "ParameterDescription()",
        "NoData",
        "BindComplete",
        "NoData",
        "C(LISTEN)",
        "commit LISTEN a",
        "ready",
        "Z(I)",
    ]


def test_pg_notify_is_prepared_described_and_executed() -> None:
    conversation = logged_in()
    lines = conversation.say(parse(BOTH), describe_statement(), bind("a", "p"), describe(), execute(), SYNC)
    assert lines == [
        "ParseComplete",
        "ParameterDescription(25, 25)",
        "T(pg_notify:2278)",
        "BindComplete",
        "T(pg_notify:2278)",
        "D(b'')",
        "C(SELECT 1)",
        "commit NOTIFY a p",
        "Z(I)",
    ]


def test_rows_in_binary_are_described_as_binary_once_they_are_bound() -> None:
    assert answer(
        parse("SELECT pg_backend_pid()"), describe_statement(), bind(results=(1,)), describe(), execute()
    ) == [
        "ParseComplete",
        "ParameterDescription()",
        "T(pg_backend_pid:23)",
        "BindComplete",
        "T(pg_backend_pid:23 binary)",
        f"D({PID.to_bytes(4, 'big')!r})",
        "C(SELECT 1)",
    ]


def test_the_empty_statement_is_answered_in_its_own_way() -> None:
    assert answer(parse(" -- nothing"), describe_statement(), bind(), describe(), execute(), execute()) == [
        "ParseComplete",
        "ParameterDescription()",
        "NoData",
        "BindComplete",
        "NoData",
        "EmptyQueryResponse",
        "EmptyQueryResponse",
    ]


def test_flush_and_the_messages_of_copy_are_not_answered() -> None:
    conversation = logged_in()
    assert conversation.say(FLUSH) == []
    assert conversation.receive(b"".join(frame(ord(type_), b"x") for type_ in "dcf")) == []


def test_a_function_call_is_refused_and_answered_by_ready_for_query() -> None:
    conversation = logged_in()
    lines = conversation.receive(frame(ord("F"), bytes(10)))
    assert lines == ["ERROR 0A000 the function call protocol is not served here", "Z(I)"]
    assert conversation.query("SELECT 1")[-1] == "Z(I)"


def test_sync_alone_is_answered_by_ready_for_query() -> None:
    assert logged_in().say(SYNC, SYNC) == ["Z(I)", "Z(I)"]


# Names


def test_a_named_statement_lives_on_and_runs_in_several_portals() -> None:
    conversation = logged_in()
    conversation.say(parse(BOTH, "s"), SYNC)
    bound = [bind("a", letter, portal=letter, statement="s") for letter in "pq"]
    conversation.say(*bound, execute("q"), execute("p"))
    assert conversation.say(SYNC)[0] == "commit NOTIFY a q, NOTIFY a p"


def test_a_name_in_use_is_refused() -> None:
    lines = answer(parse("SELECT 1", "s"), parse("LISTEN a", "s"))
    assert lines == ["ParseComplete", 'ERROR 42P05 prepared statement "s" already exists']
    lines = answer(parse("SELECT 1"), bind(portal="p"), bind(portal="p"))
    assert lines[2] == 'ERROR 42P03 cursor "p" already exists'


def test_what_has_no_name_is_replaced() -> None:
    conversation = logged_in()
    conversation.say(parse("NOTIFY a"), parse("NOTIFY b"), bind(), parse("NOTIFY c"), bind(), execute())
    assert conversation.say(SYNC)[0] == "commit NOTIFY c"


def test_a_portal_keeps_the_statement_it_was_bound_to() -> None:
    conversation = logged_in()
    conversation.say(parse("NOTIFY a"), bind(), parse("NOTIFY b"), execute())
    assert conversation.say(SYNC)[0] == "commit NOTIFY a"


def test_a_failed_parse_leaves_no_unnamed_statement() -> None:
    conversation = logged_in()
    conversation.say(parse("SELECT 1"), parse("oops"), SYNC)
    assert conversation.say(bind())[0] == "ERROR 26000 unnamed prepared statement does not exist"


@pytest.mark.parametrize("sql", ["NOTIFY a", "LISTEN a", "SELECT 1", "", "oops", "BEGIN"])
def test_a_query_forgets_the_unnamed_statement(sql: str) -> None:
    conversation = logged_in()
    conversation.say(parse("SELECT 1"), parse("SELECT 1", "s"), SYNC)
    conversation.query(sql)
    assert conversation.say(bind(), SYNC)[0] == "ERROR 26000 unnamed prepared statement does not exist"
    assert list(conversation.session.prepared) == [b"s"]


def test_a_query_forgets_the_unnamed_portal() -> None:
    conversation = logged_in()
    conversation.query("BEGIN")
    conversation.say(parse("SELECT 1", "s"), bind(statement="s"), bind(statement="s", portal="p"), SYNC)
    conversation.query("")
    assert conversation.say(execute(), SYNC)[1] == "C(SELECT 1)"
    conversation.query("SELECT 1")
    assert conversation.say(execute("p"), execute(), SYNC)[-2:] == ['ERROR 34000 portal "" does not exist', "Z(E)"]


@pytest.mark.parametrize(
    ("message", "error"),
    [
        (bind(statement="x"), '26000 prepared statement "x" does not exist'),
        (bind(), "26000 unnamed prepared statement does not exist"),
        (describe_statement("x"), '26000 prepared statement "x" does not exist'),
        (describe_statement(), "26000 unnamed prepared statement does not exist"),
        (describe("x"), '34000 portal "x" does not exist'),
        (describe(), '34000 portal "" does not exist'),
        (execute("x"), '34000 portal "x" does not exist'),
    ],
)
def test_what_does_not_exist_is_named(message: FrontendPacket, error: str) -> None:
    assert answer(message) == [f"ERROR {error}"]


def test_close_forgets_what_it_names_and_never_fails() -> None:
    conversation = logged_in()
    conversation.say(parse("SELECT 1", "s"), bind(statement="s", portal="p"))
    assert conversation.say(close("p"), close("p"), close_statement("s"), close_statement("s")) == ["CloseComplete"] * 4
    assert (conversation.session.prepared, conversation.session.portals) == ({}, {})


def test_a_closed_statement_does_not_take_its_portals_along() -> None:
    assert answer(parse("SELECT 1", "s"), bind(statement="s"), close_statement("s"), execute())[-1] == "C(SELECT 1)"


# Rows


def test_rows_come_in_portions_until_there_are_no_more() -> None:
    conversation = logged_in()
    conversation.query("LISTEN a; LISTEN b; LISTEN c")
    conversation.say(parse("SELECT pg_listening_channels()"), bind())
    assert conversation.say(execute(rows=2)) == ["D(b'a')", "D(b'b')", "PortalSuspended"]
    assert conversation.say(execute(rows=2)) == ["D(b'c')", "C(SELECT 1)"]
    assert conversation.say(execute(rows=2)) == ["C(SELECT 0)"]


@pytest.mark.parametrize(
    ("rows", "end"), [(0, "C(SELECT 1)"), (-1, "C(SELECT 1)"), (2, "C(SELECT 1)"), (1, "PortalSuspended")]
)
def test_a_portal_is_suspended_where_its_limit_is_reached(rows: int, end: str) -> None:
    assert answer(parse("SELECT 1"), bind(), execute(rows=rows))[2:] == ["D(b'1')", end]


def test_a_statement_runs_once_however_its_rows_are_fetched() -> None:
    conversation = logged_in()
    lines = conversation.say(*run("SELECT pg_notify('a', 'p')")[:2], execute(rows=1), execute(rows=1), SYNC)
    assert lines[2:] == ["D(b'')", "PortalSuspended", "C(SELECT 0)", "commit NOTIFY a p", "Z(I)"]


def test_show_has_a_row_and_a_tag_that_does_not_count() -> None:
    assert answer(parse("SHOW twistnotify.listen_ack"), bind(), execute(rows=1), execute())[2:] == [
        "D(b'immediate')",
        "PortalSuspended",
        "C(SHOW)",
    ]


def test_limits_are_ignored_where_there_are_no_rows() -> None:
    assert answer(parse("LISTEN a"), bind(), execute(rows=1))[2:] == ["C(LISTEN)"]


@pytest.mark.parametrize(("sql", "tag"), [("LISTEN a", "LISTEN"), ("NOTIFY a", "NOTIFY"), ("UNLISTEN *", "UNLISTEN")])
def test_what_returns_no_rows_cannot_run_again(sql: str, tag: str) -> None:
    lines = answer(parse(sql), bind(portal="p"), execute("p"), execute("p"))
    assert lines[2:] == [f"C({tag})", 'ERROR 55000 portal "p" cannot be run']


# Pipelines and errors


def test_an_error_skips_everything_up_to_sync() -> None:
    conversation = logged_in()
    skipped = (parse("LISTEN a"), bind(), describe(), execute(), close(), FLUSH, Query(b"LISTEN b"))
    lines = conversation.say(*run("NOTIFY a"), parse("oops"), *skipped, SYNC, *run("SELECT 1"), SYNC)
    assert lines[3:6] == ['ERROR 42601 syntax error at or near "oops" at 1', "Z(I)", "ParseComplete"]
    assert not conversation.committed


def test_an_error_of_a_statement_that_runs_skips_too() -> None:
    lines = answer(*run("SELECT pg_notify('', '')"), *run("NOTIFY a"))
    assert lines == ["ParseComplete", "BindComplete", "ERROR 22023 channel name cannot be empty"]


pipelines = st.lists(
    st.sampled_from(
        [
            SYNC,
            FLUSH,
            parse("SELECT 1"),
            parse("oops"),
            parse("BEGIN", "s"),
            bind(),
            bind("x"),
            bind(statement="s", portal="p"),
            describe(),
            execute(),
            execute("p"),
            close(),
        ]
    ),
    max_size=20,
)


@settings(deadline=None)
@given(pipelines)
def test_there_is_one_ready_for_query_a_sync_and_at_most_one_error(messages: list[FrontendPacket]) -> None:
    lines = replies(logged_in().say(*messages))
    assert sum(line.startswith("Z(") for line in lines) == messages.count(SYNC)
    errors = 0
    for line in lines:
        errors = 0 if line.startswith("Z(") else errors + line.startswith("ERROR")
        assert errors <= 1


def test_nothing_is_sent_between_messages_of_a_pipeline() -> None:
    conversation = logged_in()
    session = conversation.session
    assert session.idle
    for message in (parse("LISTEN a"), bind(), describe(), execute(), close()):
        conversation.say(message)
        assert not session.idle
    conversation.say(SYNC)
    assert session.idle


def test_nothing_is_sent_while_a_pipeline_is_skipped() -> None:
    conversation = logged_in()
    conversation.say(describe())
    assert not conversation.session.idle
    conversation.say(SYNC)
    assert conversation.session.idle


def test_several_statements_cannot_be_prepared_as_one() -> None:
    assert answer(parse("SELECT 1; SELECT 2")) == [
        "ERROR 42601 cannot insert multiple commands into a prepared statement"
    ]


@pytest.mark.parametrize(
    ("type_", "body", "error"),
    [
        ("P", b"a", "invalid string in message"),
        ("B", b"\0\0\0", "insufficient data left in message"),
        ("D", b"X\0", "invalid DESCRIBE message subtype 88"),
        ("C", b"X\0", "invalid CLOSE message subtype 88"),
        ("E", b"\0\0\0\0\0\0", "invalid message format"),
    ],
)
def test_a_message_that_is_malformed_fails_its_pipeline(type_: str, body: bytes, error: str) -> None:
    conversation = logged_in()
    lines = conversation.receive(frame(ord(type_), body) + SYNC.encode())
    assert lines == [f"ERROR 08P01 {error}", "Z(I)"]


# Transactions


@pytest.mark.parametrize("end", ["COMMIT", "ROLLBACK", "COMMIT AND CHAIN", "ROLLBACK AND CHAIN"])
def test_portals_end_with_their_transaction(end: str) -> None:
    conversation = logged_in()
    conversation.query("BEGIN")
    conversation.say(parse("SELECT 1", "s"), bind(statement="s", portal="p"), SYNC)
    conversation.query(end)
    assert conversation.say(execute("p"))[0] == 'ERROR 34000 portal "p" does not exist'


def test_portals_outside_a_block_end_with_sync_or_with_a_query() -> None:
    conversation = logged_in()
    portal = parse("SELECT 1", "s"), bind(statement="s", portal="p")
    conversation.say(*portal, SYNC)
    assert conversation.say(execute("p"), SYNC)[0] == 'ERROR 34000 portal "p" does not exist'
    conversation.say(portal[1])
    conversation.query("NOTIFY a")
    assert conversation.say(execute("p"), SYNC)[0] == 'ERROR 34000 portal "p" does not exist'


def test_portals_in_a_block_outlive_sync_and_savepoints() -> None:
    conversation = logged_in()
    conversation.query("BEGIN")
    conversation.say(parse("SELECT 1", "s"), bind(statement="s", portal="p"), SYNC)
    for sql in ("SAVEPOINT s", "ROLLBACK TO s"):
        conversation.query(sql)
    assert conversation.say(execute("p"))[0] == "D(b'1')"


def test_close_all_closes_portals() -> None:
    conversation = logged_in()
    conversation.query("BEGIN")
    conversation.say(parse("SELECT 1"), bind(portal="p"), SYNC)
    conversation.query("CLOSE ALL")
    assert conversation.say(execute("p"))[0] == 'ERROR 34000 portal "p" does not exist'


@pytest.mark.parametrize("sql", ["LISTEN a", "SELECT 1", "BEGIN", "SAVEPOINT s", BOTH])
def test_a_failed_block_refuses_statements_when_they_are_parsed(sql: str) -> None:
    conversation = in_failed_block()
    assert conversation.say(parse(sql, types=(23,)), SYNC) == [ABORTED, "Z(E)"]


def test_a_failed_block_still_tells_of_syntax_errors() -> None:
    assert in_failed_block().say(parse("oops"))[0].startswith("ERROR 42601")


@pytest.mark.parametrize(
    ("sql", "tag", "status"),
    [
        ("ROLLBACK", "ROLLBACK", "I"),
        ("COMMIT", "ROLLBACK", "I"),
        ("ROLLBACK AND CHAIN", "ROLLBACK", "T"),
        ("PREPARE TRANSACTION 'x'", "ROLLBACK", "I"),
    ],
)
def test_a_failed_block_may_be_ended(sql: str, tag: str, status: str) -> None:
    lines = in_failed_block().say(*run(sql), SYNC)
    assert lines == ["ParseComplete", "BindComplete", f"C({tag})", f"Z({status})"]


@pytest.mark.parametrize("sql", ["SELECT 1", "LISTEN a", ""])
def test_a_failed_block_refuses_to_bind_what_was_parsed_before(sql: str) -> None:
    conversation = in_failed_block(parse(sql, "s"))
    assert conversation.say(bind(statement="s"), SYNC) == [ABORTED, "Z(E)"]


def test_in_a_failed_block_numbers_are_looked_at_before_and_values_after() -> None:
    conversation = in_failed_block(parse(BOTH, "s"))
    assert conversation.say(bind("a", statement="s"), SYNC)[0].startswith("ERROR 08P01")
    assert conversation.say(bind(b"\xff", "b", statement="s"), SYNC)[0] == ABORTED


def test_a_failed_block_describes_only_what_has_no_columns() -> None:
    conversation = in_failed_block(
        parse("LISTEN a", "s"), parse("SELECT 1", "t"), bind(statement="s", portal="p"), bind(statement="t", portal="q")
    )
    assert conversation.say(describe_statement("s"), describe("p"), SYNC)[:3] == [
        "ParameterDescription()",
        "NoData",
        "NoData",
    ]
    assert conversation.say(describe_statement("t"), SYNC)[0] == ABORTED
    assert conversation.say(describe("q"), SYNC)[0] == ABORTED


def test_a_failed_block_runs_no_portal_of_before() -> None:
    messages = parse("SELECT 1", "s"), bind(statement="s", portal="p"), parse("", "e"), bind(statement="e", portal="q")
    conversation = in_failed_block(*messages, parse("ROLLBACK", "r"), bind(statement="r", portal="r"))
    assert conversation.say(execute("p"), SYNC)[0] == ABORTED
    assert conversation.say(execute("q"), SYNC)[0] == "EmptyQueryResponse"
    assert conversation.say(execute("r"), SYNC)[0] == 'ERROR 55000 portal "r" cannot be run'


# Bounds


def test_prepared_statements_are_bounded() -> None:
    conversation = logged_in()
    lines = conversation.say(*(parse("SELECT 1", f"s{number}") for number in range(MAX_PREPARED)), SYNC)
    assert lines == [*["ParseComplete"] * MAX_PREPARED, "Z(I)"]
    assert conversation.say(parse("SELECT 1"), SYNC) == ["ERROR 53400 too many prepared statements", "Z(I)"]
    assert conversation.say(close_statement("s1"), parse("SELECT 1"), SYNC)[1] == "ParseComplete"


def test_portals_are_bounded() -> None:
    conversation = logged_in()
    conversation.say(parse("SELECT 1"))
    lines = conversation.say(*(bind(portal=f"p{number}") for number in range(MAX_PREPARED)))
    assert lines == ["BindComplete"] * MAX_PREPARED
    assert conversation.say(bind(), SYNC) == ["ERROR 53400 too many portals", "Z(I)"]


def test_what_is_too_long_to_be_kept_is_refused_and_the_unnamed_one_is_not() -> None:
    conversation = logged_in()
    comment = "-" * MAX_KEPT_BYTES
    assert conversation.say(parse(f"SELECT 1 --{comment}", "long"), SYNC) == [
        "ERROR 53400 prepared statement or portal is too long to be kept",
        "Z(I)",
    ]
    assert conversation.say(parse(f"SELECT 1 --{comment}"), SYNC) == ["ParseComplete", "Z(I)"]
