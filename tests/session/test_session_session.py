"""A whole conversation: how it is cut makes no difference, and nothing that arrives does harm."""

from itertools import pairwise

import pytest
from conversation import (
    FULL,
    LIMITS,
    SYNC,
    TERMINATE,
    Conversation,
    FrontendPacket,
    bind,
    close,
    describe,
    describe_statement,
    execute,
    logged_in,
    parse,
    replies,
    run,
)
from hypothesis import example, given, settings
from hypothesis import strategies as st

from twistnotify.session.actions import Commit
from twistnotify.session.session import Limits, Session
from twistnotify.session.states import Phase
from twistnotify.wire.body import frame
from twistnotify.wire.simple_query import Query
from twistnotify.wire.startup import PROTOCOL_3_0, PROTOCOL_3_2, CancelRequest, StartupMessage

LONG = 1000
SHORT_LIMITS = Limits(message=LONG, channels=100)
TOO_LONG = "ERROR 54000 message of {} bytes is longer than max_listen_query_size"

TEXTS = [
    "",
    "BEGIN",
    "COMMIT",
    "DISCARD ALL",
    "LISTEN a",
    "LISTEN a; NOTIFY a, 'é'; SELECT pg_listening_channels()",
    "NOTIFY a",
    "NOTIFY a, '日本'",
    "NOTIFY b; BEGIN; LISTEN c",
    "ROLLBACK",
    "ROLLBACK TO s",
    "SAVEPOINT s",
    "SELECT 1",
    "SELECT pg_notify('', '')",
    "UNLISTEN *",
    "oops",
]
messages = st.one_of(
    st.builds(lambda sql: Query(sql.encode()), st.sampled_from(TEXTS)),
    st.builds(parse, st.sampled_from(TEXTS), st.sampled_from(["", "s"])),
    st.sampled_from(
        [
            SYNC,
            SYNC,
            bind(),
            bind("x"),
            bind(statement="s", portal="p"),
            execute(),
            execute("p", 1),
            describe(),
            close(),
        ]
    ),
    st.sampled_from([describe_statement(), TERMINATE]),
    st.builds(lambda size: Query(b" " * size), st.sampled_from([LONG - 1, LONG, LONG + 1])),
)
start_ups = st.builds(
    StartupMessage,
    st.sampled_from([PROTOCOL_3_0, PROTOCOL_3_2]),
    st.sampled_from([{"user": "alice"}, {"user": "alice", "client_encoding": "latin1"}]),
)
streams = st.builds(
    lambda start, said, rest: start.encode() + b"".join(message.encode() for message in said) + rest,
    start_ups,
    st.lists(messages, max_size=12),
    st.binary(max_size=6),
)


def played(chunks: list[bytes], refused: int = 0) -> list[str]:
    conversation = Conversation(SHORT_LIMITS, refusals=[None] * refused + [FULL])
    for chunk in chunks:
        conversation.receive(chunk)
    return conversation.lines


def cut(stream: bytes, places: list[int]) -> list[bytes]:
    bounds = [0, *sorted(place % (len(stream) + 1) for place in places), len(stream)]
    return [stream[start:end] for start, end in pairwise(bounds)]


# How the bytes arrive


@settings(deadline=None)
@given(streams, st.lists(st.integers(0, 1 << 20), max_size=8), st.integers(0, 3))
def test_how_a_stream_is_cut_makes_no_difference(stream: bytes, places: list[int], refused: int) -> None:
    assert played(cut(stream, places), refused) == played([stream], refused)


@settings(deadline=None, max_examples=25)
@given(streams)
def test_a_stream_may_come_byte_by_byte(stream: bytes) -> None:
    assert played([bytes([byte]) for byte in stream]) == played([stream])


def test_an_action_is_carried_out_before_the_next_message_is_looked_at() -> None:
    session = logged_in().session
    session.receive_data(Query(b"NOTIFY a").encode() * 2)
    for _ in range(2):
        assert isinstance(session.next_action(), Commit)
    assert session.buffered == 0
    assert len(session.replies) == 1
    assert session.next_action() is None
    assert len(session.replies) == 2


def test_a_session_is_not_idle_while_it_waits() -> None:
    session = logged_in().session
    session.receive_data(Query(b"NOTIFY a").encode())
    assert session.idle
    assert isinstance(session.next_action(), Commit)
    assert not session.idle
    assert session.next_action() is None
    assert session.idle


# What may arrive


@settings(deadline=None)
@given(st.lists(st.binary(max_size=40), max_size=4))
@example([b"\0\0\0\x08\0\3\0\0"])
@example([CancelRequest(1, b"1234").encode()])
def test_garbage_before_the_log_in_ends_the_connection_or_waits_for_more(chunks: list[bytes]) -> None:
    conversation = Conversation()
    for chunk in chunks:
        conversation.receive(chunk)
    assert conversation.closed == (conversation.session.phase is Phase.CLOSED)
    assert all(line.startswith(("FATAL", "EFATAL", "close", "N", "cancel")) for line in conversation.lines)


garbage = st.one_of(
    st.binary(max_size=60),
    st.builds(frame, st.integers(0, 255), st.binary(max_size=30)),
    st.builds(frame, st.sampled_from(list(b"QPBDECFHSXdcf")), st.binary(max_size=30)),
    st.builds(
        lambda type_, size: bytes([type_]) + size.to_bytes(4, "big"), st.integers(0, 255), st.integers(0, 2**32 - 1)
    ),
)


@settings(deadline=None, max_examples=150)
@given(st.lists(st.one_of(garbage, messages.map(lambda message: message.encode())), max_size=8))
def test_garbage_after_the_log_in_is_answered_or_ends_the_connection(chunks: list[bytes]) -> None:
    conversation = logged_in(SHORT_LIMITS)
    for chunk in chunks:
        conversation.receive(chunk)
    fatal = [line for line in conversation.lines if line.startswith("FATAL")]
    assert len(fatal) <= 1
    if fatal:
        assert conversation.lines[-2:] == [fatal[0], "close: protocol"]
    assert conversation.closed == (conversation.session.phase is Phase.CLOSED)


@settings(deadline=None)
@given(st.text(max_size=30), st.sampled_from(["UTF8", "LATIN1", "SJIS"]))
def test_any_text_is_a_query_that_is_answered(text: str, server_encoding: str) -> None:
    conversation = logged_in(server_encoding=server_encoding)
    conversation.session.receive_data(Query(text.encode(errors="replace").replace(b"\0", b"")).encode())
    conversation.go_on()
    assert conversation.lines[-1] in ("Z(I)", "Z(T)")


@pytest.mark.parametrize("before", [[], [parse("oops")]], ids=["commands", "skipping"])
@pytest.mark.parametrize("data", [frame(ord("?"), b""), b"GET / HTTP/1.1\r\n\r\n", b"?\xff\xff\xff\xff"])
def test_a_message_of_an_unknown_type_ends_the_connection(before: list[FrontendPacket], data: bytes) -> None:
    conversation = logged_in()
    conversation.say(*before)
    fatal, end = conversation.receive(data)
    assert fatal.startswith("FATAL 08P01 invalid ")
    assert end == "close: protocol"


def test_an_impossible_length_ends_the_connection() -> None:
    assert logged_in().receive(b"Q\0\0\0\3") == ["FATAL 08P01 invalid message length", "close: protocol"]


@pytest.mark.parametrize(
    ("body", "error"),
    [(b"", "invalid string in message"), (b"a", "invalid string in message"), (b"a\0b\0", "invalid message format")],
)
def test_a_query_that_is_no_string_is_refused(body: bytes, error: str) -> None:
    assert logged_in().receive(frame(ord("Q"), body)) == [f"ERROR 08P01 {error}", "Z(I)"]


def test_a_query_that_is_not_in_the_clients_encoding_is_refused() -> None:
    lines = logged_in().receive(frame(ord("Q"), b"NOTIFY a, '\xff'\0"))
    assert lines == ['ERROR 22021 invalid byte sequence for encoding "UTF8": 0xff', "Z(I)"]


# Messages that are too long


def test_a_query_of_the_longest_message_is_read() -> None:
    assert logged_in(SHORT_LIMITS).say(Query(b" " * (LONG - 1))) == ["EmptyQueryResponse", "Z(I)"]


@pytest.mark.parametrize("type_", "QF")
def test_after_a_message_that_is_too_long_the_session_goes_on(type_: str) -> None:
    conversation = logged_in(SHORT_LIMITS)
    lines = conversation.receive(frame(ord(type_), bytes(LONG + 1)) + Query(b"SELECT 1").encode())
    assert lines[:3] == [TOO_LONG.format(LONG + 1), "Z(I)", "T(?column?:23)"]


def test_a_message_of_a_pipeline_that_is_too_long_fails_it() -> None:
    conversation = logged_in(SHORT_LIMITS)
    lines = conversation.say(parse(" " * LONG), bind(), SYNC, *run("SELECT 1"), SYNC)
    assert lines[:3] == [TOO_LONG.format(LONG + 4), "Z(I)", "ParseComplete"]


@pytest.mark.parametrize("message", [Query(b" " * LONG), parse(" " * LONG)])
def test_a_long_message_that_is_skipped_is_not_told_of(message: FrontendPacket) -> None:
    conversation = logged_in(SHORT_LIMITS)
    assert conversation.say(parse("oops"), message, SYNC)[1:] == ["Z(I)"]


def test_a_message_that_is_too_long_fails_the_block() -> None:
    conversation = logged_in(SHORT_LIMITS)
    conversation.query("BEGIN")
    assert conversation.query(" " * LONG)[-1] == "Z(E)"


def test_what_is_too_long_is_not_kept() -> None:
    conversation = logged_in(SHORT_LIMITS)
    conversation.receive(b"Q" + (1 << 30).to_bytes(4, "big"))
    for _ in range(10):
        conversation.receive(bytes(10_000))
    assert conversation.session.buffered == 0


# Simple queries


def test_a_query_of_several_statements_answers_each() -> None:
    assert logged_in().query("LISTEN a; SELECT 1; ; NOTIFY a") == [
        "C(LISTEN)",
        "T(?column?:23)",
        "D(b'1')",
        "C(SELECT 1)",
        "commit LISTEN a, NOTIFY a",
        "C(NOTIFY)",
        "ready",
        "Z(I)",
    ]


@pytest.mark.parametrize("sql", ["", ";", " ; ", "-- nothing", "/* nothing */"])
def test_a_query_without_a_statement_is_answered_in_its_own_way(sql: str) -> None:
    assert logged_in().query(sql) == ["EmptyQueryResponse", "Z(I)"]


def test_a_syntax_error_anywhere_keeps_all_of_a_query_from_running() -> None:
    assert logged_in().query("NOTIFY a; é oops") == ['ERROR 42601 syntax error at or near "é" at 11', "Z(I)"]


def test_an_error_in_the_middle_keeps_what_was_answered_and_stops() -> None:
    lines = logged_in().query("NOTIFY a; SELECT pg_notify('', ''); NOTIFY b")
    assert lines == [
        "C(NOTIFY)",
        "T(pg_notify:2278)",
        "ERROR 22023 channel name cannot be empty",
        "Z(I)",
    ]


def test_a_commit_behind_an_error_is_not_reached() -> None:
    conversation = logged_in()
    assert conversation.query("BEGIN; NOTIFY g; SELECT 2 + 2; COMMIT")[-1] == "Z(E)"
    assert not conversation.committed


# ReadyForQuery and notifications


@pytest.mark.parametrize("sql", ["SELECT 1", "oops", "", "NOTIFY b", "LISTEN b", "LISTEN a; SELECT 1"])
def test_who_listens_is_given_what_is_due_before_ready_for_query(sql: str) -> None:
    conversation = logged_in()
    conversation.query("LISTEN a")
    assert conversation.query(sql)[-2:] == ["ready", "Z(I)"]
    assert conversation.say(*run(sql.partition(";")[0]), SYNC)[-2:] == ["ready", "Z(I)"]


@pytest.mark.parametrize("sql", ["SELECT 1", "NOTIFY b", "UNLISTEN a"])
def test_who_listens_to_nothing_never_waits(sql: str) -> None:
    conversation = logged_in()
    assert "ready" not in conversation.query(sql)
    assert "ready" not in conversation.say(*run(sql), SYNC)


def test_nothing_is_handed_over_in_a_block() -> None:
    conversation = logged_in()
    conversation.query("LISTEN a")
    lines = [line for sql in ("BEGIN", "NOTIFY a", "oops") for line in conversation.query(sql)]
    assert "ready" not in lines
    assert conversation.query("ROLLBACK") == ["C(ROLLBACK)", "ready", "Z(I)"]


def test_a_client_is_idle_between_two_commands_outside_a_block() -> None:
    conversation = logged_in()
    assert conversation.session.idle
    for sql, idle in (("BEGIN", False), ("oops", False), ("ROLLBACK", True), ("oops", True)):
        conversation.query(sql)
        assert conversation.session.idle is idle
    assert not Session(LIMITS).idle


# The end


def test_terminate_ends_the_connection_without_a_word() -> None:
    conversation = logged_in()
    assert conversation.say(TERMINATE, SYNC) == ["close: client"]
    assert conversation.query("SELECT 1") == []
    assert conversation.session.buffered == len(SYNC.encode())


def test_terminate_is_not_skipped_behind_an_error() -> None:
    assert logged_in().say(parse("oops"), TERMINATE)[-1] == "close: client"


def test_terminate_gives_up_an_open_transaction() -> None:
    conversation = logged_in()
    conversation.query("BEGIN; NOTIFY a")
    assert conversation.say(TERMINATE) == ["close: client"]
    assert not conversation.committed


def test_an_abandoned_session_leaves_what_is_under_way_unfinished() -> None:
    conversation = logged_in()
    session = conversation.session
    session.receive_data(Query(b"LISTEN a").encode())
    assert isinstance(session.next_action(), Commit)
    session.abandon()
    session.receive_data(SYNC.encode())
    assert (session.next_action(), session.phase, session.replies) == (None, Phase.CLOSED, [])
    assert not session.channels


def test_a_session_may_be_abandoned_at_any_time() -> None:
    session = Session(LIMITS)
    session.abandon()
    session.abandon()
    assert session.next_action() is None


def test_a_commit_that_fails_leaves_the_session_as_it_was() -> None:
    conversation = logged_in()
    conversation.query("LISTEN a")
    conversation.refusals.append(FULL)
    lines = replies(conversation.query("LISTEN b"))
    assert lines == [f"ERROR 54000 {FULL.message}", "Z(I)"]
    assert list(conversation.session.channels) == ["a"]
