"""What an attached client sends reaches the upstream, and what has to be done before it is done before."""

import pytest
from conversation import (
    FLUSH,
    LIMITS,
    SYNC,
    TERMINATE,
    bind,
    close,
    close_statement,
    describe,
    describe_statement,
    execute,
    parse,
    run,
)
from relayed import CALL, FakeRelay, Relayed, asked, attached, forwarded, relayed, told

from twistnotify.session import requests
from twistnotify.session.actions import Enlist, Gate
from twistnotify.session.session import Limits
from twistnotify.session.substitution import STAND_IN
from twistnotify.wire.body import frame
from twistnotify.wire.copying import CopyData, CopyDone, CopyFail
from twistnotify.wire.simple_query import Query

OWN = FakeRelay(frozenset(("own",)))
SHORT = Limits(message=100, channels=10, packet=100_000)
UNREAD = "/* {} */ LISTEN a".format("x" * 200)
STOOD_FOR = f"P({STAND_IN})"
RUN = ["B(, )", "E()"]


def names_of(conversation: Relayed) -> list[bytes]:
    """Return the names that the upstream is thought to know."""
    return [*conversation.attached.names.statements, *conversation.attached.names.portals]


# As it is


@pytest.mark.parametrize(
    "message",
    [
        Query(b"SELECT 2"),
        Query(b"\xff begin"),
        Query(b"LISTEN"),
        Query(b""),
        parse("SELECT $1", "s", (23,)),
        parse("SELECT 2; COMMIT"),
        bind("x", None, portal="p", statement="s"),
        describe("p"),
        describe_statement("s"),
        execute("p", 5),
        close("p"),
        close_statement("s"),
        FLUSH,
        SYNC,
        CALL,
        CopyData(b"x"),
        CopyDone(),
        CopyFail(b"x"),
    ],
    ids=lambda message: type(message).__name__,
)
def test_what_is_no_concern_of_ours_goes_on_byte_by_byte(message: Query) -> None:
    conversation = attached(OWN)
    for byte in message.encode():
        assert asked(conversation.receive(bytes([byte]))) == []
    assert conversation.passed == message.encode()


def test_malformed_messages_are_the_upstreams_to_refuse() -> None:
    conversation = attached(OWN)
    conversation.say(parse("LISTEN a", "s"), SYNC)
    conversation.answer("1 Z")
    passed = conversation.passed
    sent = b"".join(frame(type_, body) for type_ in b"PBDECSHcf" for body in (b"", b"s", b"\0", b"s\0\0"))
    conversation.receive(sent)
    assert conversation.passed == passed + sent
    assert forwarded(conversation.receive(frame(ord("P"), b"t\0LISTEN b\0"))) == ["P: malformed"]
    assert conversation.passed.endswith(f"t\0{STAND_IN}\0".encode())


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"p\0\0\0\4", "invalid frontend message type 112"),
        (b"Z\0\0\0\4", "invalid frontend message type 90"),
        (b"Q\0\0\0\0", "invalid message length"),
        (b"\xff\xff\xff\xff\xff", "invalid message length"),
    ],
)
def test_what_is_not_the_protocol_ends_the_conversation(data: bytes, message: str) -> None:
    conversation = attached(OWN)
    lines = conversation.receive(Query(b"SELECT 2").encode() + data + SYNC.encode())
    assert lines == ["-> Q(SELECT 2)", f"FATAL 08P01 {message}", "close: protocol"]


def test_a_client_that_leaves_says_so_to_the_upstream() -> None:
    assert attached(OWN).say(TERMINATE) == ["-> X", "close: client"]


@pytest.mark.parametrize("message", [Query(UNREAD.encode()), parse(UNREAD), bind("x" * 200)])
def test_what_is_too_long_to_be_read_goes_on_unread(message: Query) -> None:
    conversation = attached(OWN, SHORT)
    data = message.encode()
    for start in range(0, len(data), 50):
        conversation.receive(data[start : start + 50])
    assert conversation.passed == data
    assert len(conversation.attached.expected) == 1


def test_what_is_longer_than_anything_may_be_ends_the_conversation() -> None:
    lines = attached(OWN, SHORT).receive(b"Q" + (100_000 + 5).to_bytes(4, "big"))
    assert lines == ["FATAL 08P01 invalid message length", "close: protocol"]


def test_a_text_whose_meaning_depends_on_a_setting_is_not_read() -> None:
    conversation = attached(OWN)
    conversation.query("SET standard_conforming_strings = off")
    conversation.answer("S(standard_conforming_strings=off) C(SET) Z")
    assert forwarded(conversation.query(r"NOTIFY a, 'it\'s'; LISTEN a")) == [r"Q(NOTIFY a, 'it\'s'; LISTEN a)"]
    conversation.answer("E(42601) Z")
    assert forwarded(conversation.query("NOTIFY a, 'x'"))[0].startswith(f"Q({STAND_IN}")
    conversation.answer("S(standard_conforming_strings=on) C(UNLISTEN) Z")
    assert forwarded(conversation.query(r"NOTIFY a, 'x\'"))[0].startswith(f"Q({STAND_IN}")


def test_so_it_is_where_the_setting_was_off_from_the_start() -> None:
    conversation = relayed(OWN)
    conversation.upstream_parameters["standard_conforming_strings"] = "off"
    assert forwarded(conversation.query(r"SELECT now(); NOTIFY a, 'it\'s'")) == [r"Q(SELECT now(); NOTIFY a, 'it\'s')"]


# Stand-ins in a text


def test_a_stand_in_takes_the_place_of_its_statement_only() -> None:
    (sent,) = forwarded(attached(OWN).query("/* a */ SELECT 2;; LISTEN a /* b */ ; -- c\nSELECT 3;"))
    assert sent == f"Q(/* a */ SELECT 2;; {STAND_IN} /* b */ ; -- c\nSELECT 3;)"


def test_a_stand_in_is_no_shorter_than_what_it_stands_for() -> None:
    sql = f"LISTEN {'x' * 50}; SELECT 2"
    (sent,) = forwarded(attached(OWN).query(sql))
    assert len(sent) == len(f"Q({sql})")
    assert sent.endswith("; SELECT 2)")


def test_a_text_without_stand_ins_is_not_touched() -> None:
    conversation = attached(OWN)
    data = Query(b"BEGIN ;-- x\n;; COMMIT  ").encode()
    conversation.receive(data)
    assert conversation.passed == data


def test_stand_ins_are_said_in_the_clients_encoding() -> None:
    conversation = attached(OWN, client_encoding="latin1")
    conversation.codec = "latin-1"
    conversation.query("SELECT 'é'; LISTEN é")
    assert conversation.passed[5:] == f"SELECT 'é'; {STAND_IN}\0".encode("latin-1")


# Gates


@pytest.mark.parametrize(
    "sql", ["LISTEN a", "SELECT 2; LISTEN a", "BEGIN; LISTEN a; COMMIT", "LISTEN a; COMMIT; BEGIN"]
)
def test_before_a_listen_may_be_committed_the_client_is_registered_and_the_shard_has_heard_all(sql: str) -> None:
    lines = attached(OWN).query(sql)
    assert lines[:2] == ["enlist a", "gate"]
    assert len(forwarded(lines[2:])) == 1


@pytest.mark.parametrize(
    "sql", ["NOTIFY a", "NOTIFY own", "SELECT pg_notify('own', 'x')", "DO 'BEGIN NOTIFY own; END'"]
)
def test_before_a_notify_may_be_committed_the_shard_has_heard_all(sql: str) -> None:
    lines = attached(OWN).query(sql)
    assert asked(lines) == ["gate"]
    assert lines[0] == "gate"


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 2",
        "BEGIN; COMMIT",
        "UNLISTEN a",
        "BEGIN; LISTEN a",
        "BEGIN; LISTEN a; ROLLBACK",
        "LISTEN a; ROLLBACK",
        "BEGIN; NOTIFY own; ROLLBACK AND CHAIN",
        "SET twistnotify.listen_ack = 'confirmed'",
    ],
)
def test_otherwise_nothing_is_waited_for(sql: str) -> None:
    assert asked(attached(OWN).query(sql)) == []


def test_nothing_goes_on_before_the_gate_opens() -> None:
    conversation = attached(OWN)
    conversation.held = {Gate}
    assert conversation.say(Query(b"NOTIFY own"), Query(b"SELECT 2")) == ["gate"]
    assert conversation.release() == ["-> Q(NOTIFY own)", "-> Q(SELECT 2)"]


def test_nothing_goes_on_before_the_client_is_registered() -> None:
    conversation = attached(OWN)
    conversation.held = {Enlist}
    assert conversation.query("LISTEN a") == ["enlist a"]
    assert conversation.release() == ["gate", f"-> Q({STAND_IN})"]


def test_in_a_block_the_commit_is_what_waits() -> None:
    conversation = attached(OWN)
    conversation.query("BEGIN")
    conversation.answer("C(BEGIN) Z(T)")
    for sql in ("LISTEN a", "LISTEN b", "LISTEN a", "NOTIFY own"):
        assert asked(conversation.query(sql)) in ([], ["turn"])
        conversation.answer("C(UNLISTEN) Z(T)")
    assert conversation.query("COMMIT AND CHAIN") == ["enlist a, b", "gate", "-> Q(COMMIT AND CHAIN)"]
    conversation.answer("C(COMMIT) Z(T)")
    assert conversation.query("COMMIT") == ["-> Q(COMMIT)"]


def test_what_was_rolled_back_needs_no_gate_later() -> None:
    conversation = attached(OWN)
    conversation.query("BEGIN; LISTEN a")
    conversation.answer("C(BEGIN) C(UNLISTEN) Z(T)")
    assert conversation.query("ROLLBACK") == ["-> Q(ROLLBACK)"]
    conversation.answer("C(ROLLBACK) Z")
    assert conversation.query("BEGIN; COMMIT") == ["-> Q(BEGIN; COMMIT)"]


def test_what_failed_needs_no_gate_later() -> None:
    conversation = attached(OWN)
    conversation.say(parse("LISTEN a"), bind(), execute(), parse("oops"), FLUSH)
    conversation.answer("1 2 C(UNLISTEN) E(42601)")
    conversation.say(SYNC)
    conversation.answer("Z")
    assert asked(conversation.query("SELECT 2")) == []


@pytest.mark.parametrize("end", [SYNC, CALL, Query(b"SELECT 2"), Query(b"SELECT 2; COMMIT")])
def test_a_pipeline_waits_at_what_ends_it(end: Query) -> None:
    conversation = attached(OWN)
    assert conversation.say(*run("LISTEN a")) == [f"-> {STOOD_FOR}", "-> B(, )", "-> E()"]
    assert conversation.say(end)[:2] == ["enlist a", "gate"]


def test_a_commit_waits_that_is_executed_in_a_pipeline() -> None:
    lines = attached(OWN).say(*run("BEGIN"), *run("NOTIFY own"), *run("COMMIT"), SYNC)
    assert lines == [
        "-> P(BEGIN)",
        "-> B(, )",
        "-> E()",
        "-> P(NOTIFY own)",
        "-> B(, )",
        "-> E()",
        "-> P(COMMIT)",
        "-> B(, )",
        "gate",
        "-> E()",
        "-> S",
    ]


def test_a_block_that_was_begun_in_a_pipeline_is_known_before_its_sync() -> None:
    conversation = attached(OWN)
    conversation.say(*run("BEGIN"), FLUSH)
    conversation.answer("1 2 C(BEGIN)")
    assert asked(conversation.say(*run("LISTEN a"), SYNC)) == []
    conversation.answer("1 2 C(UNLISTEN) Z(T)")
    assert asked(conversation.query("COMMIT")) == ["enlist a", "gate"]


def test_a_prepared_transaction_waits_for_nothing() -> None:
    conversation = attached(OWN)
    assert asked(conversation.query("BEGIN; SELECT 2; PREPARE TRANSACTION 'x'; SELECT 3")) == []
    assert not conversation.attached.requests.in_block


# Whose turn it is


def test_a_listener_has_each_command_answered_before_its_next_one_is_sent() -> None:
    conversation = attached(OWN, LIMITS, "a")
    lines = conversation.say(Query(b"SELECT 2"), Query(b"SELECT 3"), SYNC)
    assert lines == ["-> Q(SELECT 2)", "turn"]
    assert conversation.answer("C(SELECT 1)") == ["C(SELECT 1)"]
    assert conversation.answer("Z") == ["ready", "Z(I)", "-> Q(SELECT 3)", "turn"]
    assert conversation.answer("C(SELECT 1) Z") == ["C(SELECT 1)", "ready", "Z(I)", "-> S"]


def test_a_pipeline_of_a_listener_goes_on_in_one_piece() -> None:
    conversation = attached(OWN, LIMITS, "a")
    assert forwarded(conversation.say(*run("SELECT 2"), *run("SELECT 3"), FLUSH, SYNC)) == [
        "P(SELECT 2)",
        *RUN,
        "P(SELECT 3)",
        *RUN,
        "H",
        "S",
    ]


def test_it_is_a_listener_from_what_it_has_sent() -> None:
    conversation = attached(OWN)
    assert conversation.say(Query(b"LISTEN a"), Query(b"SELECT 2"))[-1] == "turn"
    conversation = attached(OWN)
    assert conversation.say(Query(b"BEGIN; LISTEN a"), Query(b"SELECT 2"))[-1] == "turn"
    assert attached(OWN).say(Query(b"NOTIFY own"), Query(b"SELECT 2"))[-1] == "-> Q(SELECT 2)"


def test_copy_data_and_their_end_wait_for_no_turn() -> None:
    conversation = attached(OWN, LIMITS, "a")
    lines = conversation.say(Query(b"COPY t FROM STDIN"), CopyData(b"x"), CopyDone(), SYNC)
    assert lines == ["-> Q(COPY t FROM STDIN)", "-> d(x)", "-> c", "turn"]
    assert forwarded(conversation.answer("G C(COPY 1) Z")) == ["S"]


def test_who_is_asked_for_copy_data_may_say_anything() -> None:
    conversation = attached(OWN, LIMITS, "a")
    assert conversation.say(Query(b"COPY t FROM STDIN"), SYNC)[-1] == "turn"
    assert conversation.answer("G") == ["CopyInResponse", "-> S"]
    assert forwarded(conversation.say(SYNC, FLUSH, CopyDone())) == ["S", "H", "c"]
    assert told(conversation.answer("C(COPY 0) Z")) == ["C(COPY 0)", "Z(I)"]
    assert not conversation.attached.expected


# Names


def test_a_statement_is_known_by_its_name_once_it_is_answered() -> None:
    conversation = attached(OWN)
    conversation.say(parse("LISTEN a", "s"), parse("SELECT 2", "t"), SYNC)
    assert names_of(conversation) == []
    conversation.answer("1 1 Z")
    assert names_of(conversation) == [b"s"]
    assert conversation.say(bind(statement="s"), execute(), SYNC) == [
        "-> B(, s)",
        "-> E()",
        "enlist a",
        "gate",
        "-> S",
    ]
    assert told(conversation.answer("2 C(UNLISTEN) Z")) == ["BindComplete", "C(LISTEN)", "Z(I)"]


def test_a_name_whose_statement_was_refused_stands_for_what_it_stood_for() -> None:
    conversation = attached(OWN)
    conversation.say(parse("LISTEN a", "s"), SYNC)
    conversation.answer("1 Z")
    for sql in ("NOTIFY a", "SELECT 2"):
        conversation.say(parse(sql, "s"), SYNC, bind(statement="s"), execute(), SYNC)
        conversation.answer("E(42P05) Z 2 C(UNLISTEN) Z")
        assert list(conversation.session.channels) == ["a"]
        conversation.query("UNLISTEN *")
        conversation.answer("C(UNLISTEN) Z")


def test_a_name_that_was_passed_over_may_be_given_again() -> None:
    conversation = attached(OWN)
    conversation.say(parse("oops"), parse("NOTIFY a", "s"), SYNC, parse("LISTEN a", "s"), SYNC)
    conversation.answer("E(42601) Z 1 Z")
    conversation.say(bind(statement="s"), execute(), SYNC)
    assert told(conversation.answer("2 C(UNLISTEN) Z")) == ["BindComplete", "C(LISTEN)", "Z(I)"]


def test_a_bind_that_was_passed_over_leaves_the_next_ones_portal_alone() -> None:
    conversation = attached(OWN)
    conversation.say(parse("LISTEN a", "s"), SYNC)
    conversation.answer("1 Z")
    conversation.say(bind(statement="no"), bind(statement="s"), execute(), SYNC, bind(statement="s"))
    conversation.answer("E(26000) Z")
    conversation.say(execute(), SYNC)
    assert told(conversation.answer("2 C(UNLISTEN) Z")) == ["BindComplete", "C(LISTEN)", "Z(I)"]


@pytest.mark.parametrize("sql", ["DEALLOCATE s", "DEALLOCATE ALL", "DISCARD ALL"])
def test_what_is_deallocated_is_forgotten_if_that_succeeds(sql: str) -> None:
    conversation = attached(OWN)
    conversation.say(parse("LISTEN a", "s"), SYNC)
    conversation.answer("1 Z")
    conversation.query(sql)
    conversation.answer("E(25P02) Z")
    assert names_of(conversation) == [b"s"]
    conversation.query(sql)
    conversation.answer(f"C({sql}) Z")
    assert names_of(conversation) == []


def test_what_is_deallocated_is_not_foreseen_any_more() -> None:
    conversation = attached(OWN)
    conversation.say(parse("LISTEN a", "s"), SYNC)
    conversation.answer("1 Z")
    conversation.say(*run("DEALLOCATE s"), *run("DEALLOCATE t"), bind(statement="s"), execute())
    assert asked(conversation.say(SYNC)) == []


def test_what_is_closed_is_forgotten() -> None:
    conversation = attached(OWN)
    conversation.say(parse("LISTEN a", "s"), bind(portal="p", statement="s"), FLUSH)
    conversation.answer("1 2")
    assert names_of(conversation) == [b"s", b"p"]
    conversation.say(close_statement("s"), close("p"), close("q"), close_statement("q"), FLUSH)
    conversation.answer("3 3 3 3")
    assert names_of(conversation) == []
    assert asked(conversation.say(execute("p"), SYNC)) == []


def test_the_unnamed_statement_is_the_one_parsed_last() -> None:
    conversation = attached(OWN)
    conversation.say(parse("LISTEN a"), parse("SELECT 2"), bind(), execute(), SYNC)
    assert told(conversation.answer("1 1 2 C(SELECT 1) Z"))[-2:] == ["C(SELECT 1)", "Z(I)"]
    assert not conversation.committed


def test_the_unnamed_statement_is_gone_with_one_that_is_refused() -> None:
    conversation = attached(OWN)
    conversation.say(parse("LISTEN a"), SYNC)
    conversation.answer("1 Z")
    conversation.say(parse("SELECT nope"), SYNC)
    conversation.answer("E(42703) Z")
    assert names_of(conversation) == []


def test_a_simple_query_takes_what_has_no_name() -> None:
    conversation = attached(OWN)
    conversation.say(parse("BEGIN"), bind(), execute(), parse("LISTEN a"), bind(), SYNC)
    conversation.answer("1 2 C(BEGIN) 1 2 Z(T)")
    assert names_of(conversation) == [b"", b""]
    conversation.query("SELECT 2")
    assert asked(conversation.say(bind(), execute(), SYNC)) == []
    conversation.answer("C(SELECT 1) Z(T)")
    assert names_of(conversation) == []


def test_portals_end_with_their_transaction() -> None:
    conversation = attached(OWN)
    conversation.say(parse("LISTEN a", "s"), bind(portal="p", statement="s"), SYNC)
    conversation.answer("1 2 Z")
    assert names_of(conversation) == [b"s"]
    conversation.say(bind(statement="s"), SYNC)
    assert conversation.attached.requests.portals == {b"": conversation.attached.names.statements[b"s"]}


def test_a_portal_runs_once() -> None:
    conversation = attached(OWN)
    conversation.say(*run("SELECT pg_notify('a', 'x')"), execute(), SYNC)
    conversation.answer("1 2 D s C(SELECT 0) Z")
    assert [str(effects) for effects in conversation.committed] == [
        "(Notify(channel='a', payload='x', truncated=None),)"
    ]


def test_a_bind_that_is_too_long_makes_a_portal_of_no_concern() -> None:
    conversation = attached(OWN, SHORT)
    conversation.say(parse("SELECT pg_notify($1, $2)"), SYNC)
    conversation.answer("1 Z")
    conversation.say(bind("a", "x" * 100), execute(), SYNC)
    assert told(conversation.answer("2 E(22023) Z"))[-1] == "Z(I)"
    assert names_of(conversation) == [b""]


def test_names_of_concern_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "MAX_NOTED", 2)
    conversation = attached(OWN)
    lines = conversation.say(*(parse("LISTEN a", name) for name in "stus"), parse("SELECT 2", "v"), SYNC)
    sent = forwarded(lines)
    assert ["53400" in line for line in sent[:4]] == [False, False, True, False]
    assert sent[4:] == ["P(v: SELECT 2)", "S"]
