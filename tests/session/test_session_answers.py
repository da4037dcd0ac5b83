"""What the upstream answers reaches the client, and what it has committed takes effect before ReadyForQuery."""

import pytest
from conversation import FLUSH, LIMITS, PID, SYNC, bind, execute, parse, run
from relayed import CALL, FakeRelay, Relayed, asked, attached, messages, relayed, told

from twistnotify.session import transaction
from twistnotify.session.actions import Commit, Ready
from twistnotify.session.answers import LONGEST_READ
from twistnotify.session.session import Limits
from twistnotify.session.states import Status
from twistnotify.wire.body import frame
from twistnotify.wire.copying import CopyData
from twistnotify.wire.errors import ErrorFields, ErrorResponse
from twistnotify.wire.session_status import MAX_PARAMETERS
from twistnotify.wire.simple_query import Query

OWN = FakeRelay(frozenset(("own",)))
FULL = ErrorFields("ERROR", "54000", "full")
UNREAD = "/* {} */".format("x" * 200)
SHORT = Limits(message=100, channels=10)


def answered(sql: str, answer: str, conversation: Relayed | None = None) -> list[str]:
    """Return what comes of the answer to a simple query."""
    conversation = conversation or attached(OWN)
    conversation.query(sql)
    return conversation.answer(answer)


def in_block(*queries: tuple[str, str], relay: FakeRelay = OWN, limits: Limits = LIMITS) -> Relayed:
    """Return a conversation whose client has begun a transaction and queried there."""
    conversation = attached(relay, limits)
    for sql, answer in (("BEGIN", "C(BEGIN)"), *queries):
        answered(sql, f"{answer} Z(T)", conversation)
    conversation.lines.clear()
    return conversation


# What passes


def test_answers_pass_byte_by_byte() -> None:
    conversation = attached(OWN)
    conversation.query("SELECT 2")
    data = b"".join(message.encode() for message in messages("T D(2) D(3) N(NOTICE 00000) C(SELECT 2) Z"))
    for byte in data:
        conversation.upstream(bytes([byte]))
    assert conversation.lines == [
        "-> Q(SELECT 2)",
        "T(?column?:23)",
        "D(b'2')",
        "D(b'3')",
        "NOTICE 00000 oops",
        "C(SELECT 2)",
        "Z(I)",
    ]
    assert conversation.attached.idle


def test_a_row_passes_before_it_is_whole() -> None:
    conversation = attached(OWN)
    conversation.query("SELECT 2")
    row = frame(ord("D"), b"\0\1\0\0\0\4" + b"x" * 4)
    conversation.session.replies.clear()
    conversation.attached.answers.stream.feed(row[:8])
    conversation.attached.answer_lane.next_action()
    assert conversation.session.replies == [row[:8]]
    assert not conversation.attached.idle


@pytest.mark.parametrize("status", Status)
def test_ready_for_query_says_where_the_transaction_stands(status: Status) -> None:
    if status is Status.IMPLICIT:
        return
    conversation = attached(OWN)
    answered("SELECT 2", f"C(SELECT 1) Z({status.value})", conversation)
    assert conversation.session.transaction.status is status
    assert conversation.attached.idle is (status is Status.IDLE)


def test_every_kind_of_answer_passes() -> None:
    conversation = attached(OWN)
    conversation.say(*run("x"), parse("y", "s"), CALL)
    conversation.query("COPY t TO STDOUT")
    lines = conversation.answer("1 2 I 1 V(x) Z H d(x) d(y) c C(COPY 2) Z")
    assert lines == [
        "ParseComplete",
        "BindComplete",
        "EmptyQueryResponse",
        "ParseComplete",
        "FunctionCallResponse",
        "Z(I)",
        "CopyOutResponse",
        "CopyData",
        "CopyData",
        "CopyDone",
        "C(COPY 2)",
        "Z(I)",
    ]


# Tags


@pytest.mark.parametrize(
    ("sql", "answer", "tag"),
    [
        ("LISTEN a", "C(UNLISTEN)", "C(LISTEN)"),
        ("UNLISTEN a", "C(UNLISTEN)", "C(UNLISTEN)"),
        ("NOTIFY a", "C(UNLISTEN)", "C(NOTIFY)"),
        ("NOTIFY own", "C(NOTIFY)", "C(NOTIFY)"),
        ("SELECT pg_notify('a', 'x')", "C(SELECT 1)", "C(SELECT 1)"),
        ("DO 'BEGIN LISTEN a; NOTIFY a; NOTIFY own; UNLISTEN b; END'", "C(DO)", "C(DO)"),
        ("SET twistnotify.listen_ack = 'confirmed'", "C(UNLISTEN)", "C(SET)"),
        ("SHOW twistnotify.listen_ack", "C(SELECT 1)", "C(SHOW)"),
        ("SELECT pg_backend_pid()", "C(SELECT 1)", "C(SELECT 1)"),
        ("DISCARD ALL", "C(DISCARD ALL)", "C(DISCARD ALL)"),
    ],
)
def test_the_tag_of_a_stand_in_is_put_right(sql: str, answer: str, tag: str) -> None:
    assert told(answered(sql, f"{answer} Z")) == [tag, "Z(I)"]
    conversation = attached(OWN)
    conversation.say(*run(sql), SYNC)
    assert told(conversation.answer(f"1 2 {answer} Z"))[2:] == [tag, "Z(I)"]


def test_each_tag_of_a_string_belongs_to_its_statement() -> None:
    lines = answered(
        "SELECT 2; LISTEN a; UNLISTEN b; NOTIFY a; SELECT 3",
        "C(SELECT 1) C(UNLISTEN) C(UNLISTEN) C(UNLISTEN) C(SELECT 1) Z",
    )
    assert told(lines)[:-1] == ["C(SELECT 1)", "C(LISTEN)", "C(UNLISTEN)", "C(NOTIFY)", "C(SELECT 1)"]
    assert asked(lines) == ["commit LISTEN a, UNLISTEN b, NOTIFY a", "ready"]


def test_a_suspended_portal_has_no_tag_to_be_put_right() -> None:
    conversation = attached(OWN)
    conversation.say(parse("SHOW twistnotify.listen_ack"), bind(), execute(rows=1), SYNC)
    assert told(conversation.answer("1 2 D(immediate) s Z"))[-2:] == ["PortalSuspended", "Z(I)"]


def test_a_name_that_is_too_long_is_told_of() -> None:
    for word in ("LISTEN", "NOTIFY"):
        lines = told(answered(f"{word} {'x' * 64}", "C(UNLISTEN) Z"))
        assert lines[0] == f'NOTICE 42622 identifier "{"x" * 64}" will be truncated to "{"x" * 63}"'


# Effects


def test_a_listen_takes_effect_between_its_commit_and_ready_for_query() -> None:
    conversation = in_block(("LISTEN a", "C(UNLISTEN)"))
    conversation.query("COMMIT")
    assert conversation.answer("C(COMMIT)") == ["C(COMMIT)"]
    assert list(conversation.session.channels) == []
    assert conversation.answer("Z") == ["commit LISTEN a", "ready", "Z(I)"]
    assert list(conversation.session.channels) == ["a"]


def test_ready_for_query_waits_until_it_has() -> None:
    conversation = attached(OWN)
    conversation.held = {Commit}
    assert answered("LISTEN a", "C(UNLISTEN) Z", conversation) == ["C(LISTEN)", "commit LISTEN a"]
    conversation.held = {Ready}
    assert conversation.release() == ["ready", "Z(I)"]


def test_answers_behind_a_wait_wait_as_well() -> None:
    conversation = attached(OWN, LIMITS, "a")
    conversation.held = {Ready}
    assert answered("SELECT 2", "C(SELECT 1) Z", conversation) == ["C(SELECT 1)", "ready"]
    assert conversation.answer("N(NOTICE 00000)") == []
    assert conversation.release() == ["Z(I)", "NOTICE 00000 oops"]


@pytest.mark.parametrize(
    ("end", "answer"),
    [
        ("COMMIT", "C(ROLLBACK) Z"),
        ("COMMIT AND CHAIN", "C(ROLLBACK) Z(T)"),
        ("ROLLBACK", "C(ROLLBACK) Z"),
        ("ROLLBACK AND CHAIN", "C(ROLLBACK) Z(T)"),
        ("COMMIT", "E(23505) Z"),
        ("PREPARE TRANSACTION 'x'", "C(ROLLBACK) Z"),
        ("CALL ends()", "E(2D000) Z"),
    ],
)
def test_what_is_rolled_back_has_no_effect(end: str, answer: str) -> None:
    conversation = in_block(("LISTEN a", "C(UNLISTEN)"), ("NOTIFY b", "C(UNLISTEN)"))
    answered(end, answer, conversation)
    assert conversation.committed == []
    answered("COMMIT", "C(COMMIT) Z", conversation)
    assert conversation.committed == []
    assert conversation.listening == set()


def test_what_is_chained_is_committed_and_goes_on() -> None:
    conversation = in_block(("LISTEN a", "C(UNLISTEN)"))
    assert answered("COMMIT AND CHAIN", "C(COMMIT) Z(T)", conversation) == ["C(COMMIT)", "commit LISTEN a", "Z(T)"]
    answered("NOTIFY b", "C(UNLISTEN) Z(T)", conversation)
    assert asked(answered("COMMIT", "C(COMMIT) Z", conversation)) == ["commit NOTIFY b", "ready"]


def test_effects_outlive_a_failure_that_is_rolled_back_to_a_savepoint() -> None:
    conversation = in_block(("NOTIFY a", "C(UNLISTEN)"), ("SAVEPOINT s", "C(SAVEPOINT)"), ("NOTIFY b", "C(UNLISTEN)"))
    answered("SELECT fails()", "E(22012) Z(E)", conversation)
    answered("ROLLBACK TO s", "C(ROLLBACK) Z(T)", conversation)
    answered("RELEASE s", "C(RELEASE) Z(T)", conversation)
    answered("NOTIFY c", "C(UNLISTEN) Z(T)", conversation)
    assert asked(answered("COMMIT", "C(COMMIT) Z", conversation)) == ["commit NOTIFY a, NOTIFY c"]


def test_a_savepoint_from_before_our_time_takes_all_behind_the_last_one_known() -> None:
    conversation = in_block(("NOTIFY a", "C(UNLISTEN)"), ("RELEASE unknown", "C(RELEASE)"))
    answered("ROLLBACK TO unknown", "C(ROLLBACK) Z(T)", conversation)
    assert asked(answered("COMMIT", "C(COMMIT) Z", conversation)) == []
    conversation = in_block(("NOTIFY a", "C(UNLISTEN)"), ("SAVEPOINT s", "C(SAVEPOINT)"), ("NOTIFY b", "C(UNLISTEN)"))
    answered("ROLLBACK TO unknown", "C(ROLLBACK) Z(T)", conversation)
    assert asked(answered("COMMIT", "C(COMMIT) Z", conversation)) == ["commit NOTIFY a"]


def test_more_savepoints_than_are_kept_are_the_upstreams_business(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transaction, "MAX_SAVEPOINTS", 1)
    conversation = in_block(("SAVEPOINT s", "C(SAVEPOINT)"), ("NOTIFY a", "C(UNLISTEN)"))
    assert answered("SAVEPOINT t", "C(SAVEPOINT) Z(T)", conversation) == ["C(SAVEPOINT)", "Z(T)"]


def test_a_string_is_one_transaction_up_to_the_commit_in_it() -> None:
    answer = "C(UNLISTEN) C(COMMIT) C(UNLISTEN) C(ROLLBACK) C(UNLISTEN) Z"
    lines = answered("NOTIFY a; COMMIT; NOTIFY b; ROLLBACK; NOTIFY c", answer)
    assert asked(lines) == ["commit NOTIFY a, NOTIFY c"]


def test_what_a_string_has_committed_stays_when_the_rest_fails() -> None:
    lines = answered("NOTIFY a; COMMIT; NOTIFY b; SELECT fails()", "C(UNLISTEN) C(COMMIT) C(UNLISTEN) E(22012) Z")
    assert asked(lines) == ["commit NOTIFY a"]


def test_begin_takes_the_statements_before_it_into_the_block() -> None:
    conversation = attached(OWN)
    assert asked(answered("NOTIFY a; BEGIN", "C(UNLISTEN) C(BEGIN) Z(T)", conversation)) == []
    assert asked(answered("COMMIT", "C(COMMIT) Z", conversation)) == ["commit NOTIFY a"]


def test_a_pipeline_commits_at_its_sync() -> None:
    conversation = attached(OWN)
    conversation.say(*run("NOTIFY a"), *run("LISTEN a"), SYNC)
    assert asked(conversation.answer("1 2 C(UNLISTEN) 1 2 C(UNLISTEN)")) == []
    assert asked(conversation.answer("Z")) == ["commit NOTIFY a, LISTEN a", "ready"]


@pytest.mark.parametrize("answer", ["1 2 C(UNLISTEN) E(42601)", "1 2 C(UNLISTEN) 1 2 C(SELECT 1) E(23505)"])
def test_a_pipeline_that_fails_commits_nothing(answer: str) -> None:
    conversation = attached(OWN)
    conversation.say(*run("NOTIFY a"), *run("SELECT 2"), SYNC)
    conversation.answer(answer)
    assert asked(conversation.answer("Z")) == []
    assert not conversation.attached.expected


def test_transaction_words_that_were_not_read_are_seen_by_their_tags() -> None:
    conversation = attached(OWN, SHORT)
    answered(UNREAD + "BEGIN", "C(BEGIN) Z(T)", conversation)
    answered("NOTIFY a", "C(UNLISTEN) Z(T)", conversation)
    assert asked(answered(UNREAD + "COMMIT", "C(COMMIT) Z", conversation)) == ["commit NOTIFY a"]
    answered(UNREAD + "START TRANSACTION", "C(START TRANSACTION) Z(T)", conversation)
    answered("NOTIFY a", "C(UNLISTEN) Z(T)", conversation)
    assert asked(answered(UNREAD + "ROLLBACK", "C(ROLLBACK) Z", conversation)) == []
    assert len(conversation.committed) == 1


def test_ends_of_transactions_are_noted() -> None:
    relay = FakeRelay()
    conversation = attached(relay)
    before = relay.ended
    answered("BEGIN", "C(BEGIN) Z(T)", conversation)
    assert relay.ended == before
    answered("COMMIT", "C(COMMIT) Z", conversation)
    answered("SELECT 2", "E(22012) Z", conversation)
    assert relay.ended == before + 2


# Effects that cannot be


def test_an_effect_that_fails_is_told_before_ready_for_query() -> None:
    conversation = attached(OWN)
    conversation.refusals.append(FULL)
    lines = answered("LISTEN a", "C(UNLISTEN) Z", conversation)
    assert lines == ["C(LISTEN)", "commit LISTEN a", "ERROR 54000 full", "withdraw a", "Z(I)"]
    assert list(conversation.session.channels) == []
    assert conversation.listening == set()


def test_channels_that_are_too_many_are_refused_at_the_commit_at_last() -> None:
    conversation = attached(OWN, Limits(100_000, 1))
    conversation.say(parse("LISTEN a", "s"), parse("LISTEN b", "t"), FLUSH)
    conversation.say(bind(statement="s"), execute(), bind(statement="t"), execute(), SYNC)
    lines = conversation.answer("1 1 2 C(UNLISTEN) 2 C(UNLISTEN) Z")
    assert lines[-3:] == ["ERROR 53400 too many channels for one client", "withdraw a", "Z(I)"]


def test_a_transaction_that_gathers_too_much_ends_the_client(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transaction, "MAX_GATHERED_BYTES", 100)
    conversation = attached(OWN)
    assert answered("NOTIFY a; NOTIFY b", "C(UNLISTEN) C(UNLISTEN)", conversation) == [
        "C(NOTIFY)",
        "FATAL 53400 the transaction has gathered too many notifications",
        "close: relay",
    ]
    # No tag belies it, even if the lane goes on.
    assert conversation.attached.answer_lane.next_action() is None
    assert conversation.session.replies == []


# Registrations ahead of the commit


def test_a_client_that_was_registered_in_vain_is_withdrawn() -> None:
    conversation = in_block(("LISTEN a", "C(UNLISTEN)"))
    assert asked(conversation.lines) == []
    conversation.query("COMMIT")
    assert conversation.answer("C(ROLLBACK) Z") == ["C(ROLLBACK)", "withdraw a", "Z(I)"]


def test_it_is_not_while_another_commit_is_on_its_way() -> None:
    conversation = attached(OWN)
    conversation.say(*run("LISTEN a"), SYNC)
    conversation.attached.expected.add(conversation.attached.expected.head)
    assert "withdraw a" not in conversation.answer("E(25P02) Z")
    assert conversation.attached.answers.enlisted == {"a"}


def test_what_it_listens_to_anyway_stays() -> None:
    conversation = attached(OWN, LIMITS, "a")
    lines = answered("LISTEN a; SELECT fails()", "C(UNLISTEN) E(22012) Z", conversation)
    assert asked(lines) == ["ready"]
    assert conversation.listening == {"a"}


def test_reservations_from_before_it_was_attached_are_given_up_at_the_end() -> None:
    conversation = relayed(OWN)
    conversation.query("BEGIN")
    assert "reserve a" in conversation.query("LISTEN a")
    conversation.query("SELECT now()")
    assert asked(conversation.answer("C(SELECT 1) Z(T)")) == []
    conversation.query("COMMIT")
    assert asked(conversation.answer("C(COMMIT) Z")) == ["commit LISTEN a", "give up", "ready"]
    assert not conversation.session.reserved


# What is set here


def test_ways_of_acknowledgement_are_set_and_reset() -> None:
    conversation = attached(OWN)
    session = conversation.session
    answered("SET twistnotify.listen_ack = 'confirmed'", "C(UNLISTEN) Z", conversation)
    answered("SET twistnotify.notify_ack = 'committed'", "C(UNLISTEN) Z", conversation)
    assert (session.listen_ack, session.notify_ack) == ("confirmed", "committed")
    answered("SET twistnotify.listen_ack TO DEFAULT", "C(UNLISTEN) Z", conversation)
    assert (session.listen_ack, session.notify_ack) == ("immediate", "committed")
    answered("RESET ALL", "C(RESET) Z", conversation)
    assert session.notify_ack == "immediate"
    answered("SET twistnotify.notify_ack = 'committed'", "C(UNLISTEN) Z", conversation)
    answered("DISCARD ALL", "C(DISCARD ALL) Z", conversation)
    assert session.notify_ack == "immediate"


def test_discard_all_ends_all_registrations() -> None:
    conversation = attached(OWN, LIMITS, "a", "b")
    assert asked(answered("DISCARD ALL", "C(DISCARD ALL) Z", conversation)) == ["commit UNLISTEN *"]
    assert list(conversation.session.channels) == []


@pytest.mark.parametrize("function", ["pg_cancel_backend", "pg_terminate_backend"])
def test_a_client_here_is_signalled_here(function: str) -> None:
    relay = FakeRelay(pids=frozenset((7,)))
    lines = answered(f"SELECT {function}(7)", "T D(t) C(SELECT 1) Z", attached(relay))
    assert asked(lines) == [f"{function} 7"]
    assert asked(answered(f"SELECT {function}(8)", "T D(t) C(SELECT 1) Z", attached(relay))) == []


# pg_notify()


@pytest.mark.parametrize(
    ("sql", "values", "effect"),
    [
        ("SELECT pg_notify($1, $2)", ("a", "x"), "NOTIFY a x"),
        ("SELECT pg_notify($1, $2)", ("own", "x"), "NOTIFY own x"),
        ("SELECT pg_notify($2, $1)", ("x", "a"), "NOTIFY a x"),
        ("SELECT pg_notify('a', $1)", (None,), "NOTIFY a"),
        ("SELECT pg_notify($1, NULL)", ("a",), "NOTIFY a"),
    ],
)
def test_pg_notify_is_sent_with_its_values(sql: str, values: tuple[str | None, ...], effect: str) -> None:
    conversation = attached(OWN)
    conversation.say(parse(sql), bind(*values), execute(), SYNC)
    assert asked(conversation.answer("1 2 D C(SELECT 1) Z")) == [f"commit {effect}"]


def test_on_the_upstreams_own_shard_it_was_sent_there() -> None:
    for relay, channel in ((OWN, "'own'"), (FakeRelay(None), "$1")):
        conversation = attached(relay)
        conversation.say(parse(f"SELECT pg_notify({channel}, 'x')"), bind("own"), execute(), SYNC)
        assert asked(conversation.answer("1 2 D C(SELECT 1) Z")) == []


def test_a_value_that_only_the_upstream_can_read_ends_the_client() -> None:
    conversation = attached(OWN)
    conversation.say(parse("SELECT pg_notify('a', $1)"), bind(b"\xff"), execute(), SYNC)
    assert conversation.answer("1 2 D C(SELECT 1) Z")[-2:] == [
        "FATAL 22021 a parameter of pg_notify() cannot be read here",
        "close: relay",
    ]


# What comes at any time


def test_a_setting_that_changes_while_a_client_is_idle_is_told_with_the_next_answer() -> None:
    conversation = attached(OWN)
    assert conversation.answer("S(search_path=a)") == []
    assert conversation.attached.parameters["search_path"] == "a"
    assert answered("SELECT 2", "C(SELECT 1) Z", conversation) == [
        "C(SELECT 1)",
        "ParameterStatus search_path=a",
        "Z(I)",
    ]


def test_only_the_last_value_is_told() -> None:
    conversation = attached(OWN)
    assert conversation.answer("S(search_path=a) S(search_path=b)") == []
    assert answered("SELECT 2", "C(SELECT 1) Z", conversation)[1:] == ["ParameterStatus search_path=b", "Z(I)"]


def test_settings_without_end_end_the_client() -> None:
    conversation = attached(OWN)
    told = " ".join(f"S(setting{number}=a)" for number in range(MAX_PARAMETERS + 1))
    assert conversation.answer(told)[-2:] == [
        "FATAL 08P01 too many settings reported by the upstream server",
        "close: protocol",
    ]


def test_one_that_changes_meanwhile_is_told_at_once() -> None:
    conversation = attached(OWN)
    conversation.query("SET search_path = a")
    assert conversation.answer("S(search_path=a)") == ["ParameterStatus search_path=a"]


def test_another_client_encoding_is_used_from_then_on() -> None:
    conversation = attached(OWN)
    lines = answered("SET client_encoding = 'latin1'", "S(client_encoding=LATIN1) C(SET) Z", conversation)
    assert lines == ["ParameterStatus client_encoding=LATIN1", "recode", "C(SET)", "Z(I)"]
    conversation.codec = "latin-1"
    conversation.query("NOTIFY a, 'é'")
    assert asked(conversation.answer("C(UNLISTEN) Z")) == ["commit NOTIFY a é"]


def test_one_that_is_not_known_here_ends_the_client() -> None:
    lines = answered("SET client_encoding = 'EUC_TW'", "S(client_encoding=EUC_TW) C(SET) Z")
    assert lines == [
        "ParameterStatus client_encoding=EUC_TW",
        'FATAL 0A000 client encoding "EUC_TW" is not supported here',
        "close: relay",
    ]


def test_a_notification_of_the_upstreams_own_is_passed_on_unless_the_client_hears_it_anyway() -> None:
    conversation = attached(OWN, LIMITS, "a")
    assert conversation.answer("A(b x)") == ["NotificationResponse"]
    assert conversation.answer("A(a x)") == []


def test_it_has_the_pid_that_its_sender_has_here() -> None:
    conversation = attached(FakeRelay(backends={77: PID}))
    conversation.answer("A(b x)")
    conversation.session.replies.clear()
    conversation.attached.answers.stream.feed(messages("A(b x)")[0].encode())
    conversation.attached.answer_lane.next_action()
    assert conversation.session.replies == [
        messages("A(b x)")[0].encode().replace(b"\0\0\0\x4d", PID.to_bytes(4, "big"))
    ]


# Errors


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT nope",
        "SELECT nope; LISTEN a",
        "LISTEN a; SELECT nope",
        "LISTEN a; NOTIFY own; LISTEN b; SELECT nope; LISTEN c",
        f"LISTEN {'x' * 40}; SELECT nope",
        "SELECT 'é日本'; LISTEN a; SELECT nope",
        "DO 'BEGIN LISTEN a; END'; SELECT nope",
    ],
)
def test_the_place_of_an_error_is_where_the_client_wrote_it(sql: str) -> None:
    conversation = attached(OWN)
    conversation.query(sql)
    sent = conversation.passed[5:-1].decode().index("nope") + 1
    assert told(conversation.answer(f"E(42703 at {sent}) Z"))[0] == f"ERROR 42703 oops at {sql.index('nope') + 1}"


def test_an_error_without_a_place_stays_as_it_is() -> None:
    fields = ErrorFields("ERROR", "P0001", "P1", detail="P100", hint="Position")
    conversation = attached(OWN)
    conversation.query("LISTEN a; SELECT fails()")
    conversation.session.replies.clear()
    conversation.attached.answers.stream.feed(ErrorResponse(fields).encode())
    conversation.attached.answer_lane.next_action()
    assert conversation.session.replies == [ErrorResponse(fields).encode()]


def test_an_error_too_long_to_be_read_passes_as_it_is() -> None:
    conversation = attached(OWN)
    conversation.query("LISTEN a; SELECT nope")
    error = ErrorResponse(ErrorFields("ERROR", "42703", "x" * LONGEST_READ, position=44)).encode()
    assert conversation.upstream(error[:100]) == []
    assert conversation.upstream(error[100:]) == [f"ERROR 42703 {'x' * LONGEST_READ} at 44"]
    assert told(conversation.answer("Z")) == ["Z(I)"]


def test_an_error_that_nothing_is_expected_of_passes() -> None:
    assert attached(OWN).answer("E(57000)") == ["ERROR 57000 oops"]


def test_an_error_of_a_function_call_or_of_sync_skips_nothing() -> None:
    conversation = attached(OWN)
    conversation.say(CALL, SYNC)
    assert conversation.answer("E(42883) Z E(23505) Z") == ["ERROR 42883 oops", "Z(I)", "ERROR 23505 oops", "Z(I)"]
    assert not conversation.attached.expected


@pytest.mark.parametrize("severity", ["FATAL", "PANIC"])
def test_a_server_that_says_why_it_ends_has_the_last_word(severity: str) -> None:
    conversation = attached(OWN)
    assert conversation.answer(f"E({severity} 57P01)") == [f"{severity} 57P01 oops"]
    assert [type(action).__name__ for action in conversation.attached.lose()] == ["Close"]
    assert conversation.session.replies == []


def test_an_error_that_speaks_of_fatal_things_is_none() -> None:
    conversation = attached(OWN)
    conversation.say(parse("SELECT 2"), bind(), SYNC)
    fields = ErrorFields("ERROR", "P0001", "VFATAL", detail="VPANIC", hint="VFATAL")
    assert told(conversation.upstream(ErrorResponse(fields), *messages("Z"))) == ["ERROR P0001 VFATAL", "Z(I)"]
    assert not conversation.attached.expected
    assert not conversation.attached.answers.fatal


# What cannot be


@pytest.mark.parametrize(
    ("sent", "answer"),
    [
        ((), "Z"),
        ((), "C(SELECT 1)"),
        ((), "1"),
        ((), "G"),
        ((parse("SELECT 2"),), "2"),
        ((parse("SELECT 2"),), "Z"),
        ((bind(),), "1"),
        ((execute(),), "n"),
        ((SYNC,), "C(SELECT 1)"),
        ((CALL,), "C(SELECT 1)"),
        ((parse("SELECT 2"), SYNC), "1 1"),
    ],
)
def test_an_answer_to_nothing_ends_the_conversation(sent: tuple[Query, ...], answer: str) -> None:
    conversation = attached(OWN)
    conversation.say(*sent)
    assert conversation.answer(answer)[-2:] == [
        "FATAL 08P01 unexpected message from the upstream server",
        "close: protocol",
    ]


@pytest.mark.parametrize("data", [b"R\0\0\0\4", b"K\0\0\0\4", b"?\0\0\0\4", b"Z\0\0\0\5X"])
def test_a_message_that_no_session_sends_ends_the_conversation(data: bytes) -> None:
    conversation = attached(OWN)
    conversation.query("SELECT 2")
    lines = conversation.upstream(data)
    assert lines[-1] == "close: protocol"
    assert lines[-2].startswith("FATAL 08P01")


def test_a_length_that_cannot_be_ends_the_conversation() -> None:
    lines = attached(OWN).upstream(b"D\0\0\0\0")
    assert lines == ["FATAL 08P01 invalid message length", "close: protocol"]


# COPY


def test_copy_data_that_fail_leave_nothing_to_be_expected() -> None:
    conversation = attached(OWN)
    conversation.query("COPY t FROM STDIN")
    conversation.answer("G")
    conversation.say(CopyData(b"bad"))
    assert conversation.answer("E(22P04) Z") == ["ERROR 22P04 oops", "Z(I)"]
    conversation.say(CopyData(b"more"), SYNC)
    assert conversation.answer("Z") == ["Z(I)"]
    assert conversation.attached.idle


def test_in_a_pipeline_they_are_passed_over_up_to_sync() -> None:
    conversation = attached(OWN)
    conversation.say(*run("COPY t FROM STDIN"), SYNC)
    conversation.answer("1 2 G")
    conversation.say(CopyData(b"bad"))
    conversation.answer("E(22P04)")
    conversation.say(CopyData(b"more"), SYNC)
    assert conversation.answer("Z") == ["Z(I)"]
    assert conversation.attached.idle
