"""How a session comes to its upstream: when, with what said again, and what becomes of it if that fails."""

import pytest
from conversation import (
    ADMISSION,
    LIMITS,
    PID,
    SECRET,
    SYNC,
    Conversation,
    bind,
    close_statement,
    describe,
    describe_statement,
    execute,
    parse,
    run,
)
from relayed import CALL, REFUSED, FakeRelay, Relayed, asked, attached, forwarded, relayed, requests, told

from twistnotify.session.attaching import are_served, is_served, needs_judge
from twistnotify.session.login import Admission
from twistnotify.session.session import Limits
from twistnotify.session.states import Phase, Status
from twistnotify.session.substitution import STAND_IN
from twistnotify.sql.statements import Listen, Notify, Other
from twistnotify.wire.session_status import ParameterStatus
from twistnotify.wire.simple_query import Query
from twistnotify.wire.startup import PROTOCOL_3_0, StartupMessage

OWN = FakeRelay(frozenset(("own",)))
ONE_SHARD = FakeRelay(None)
SHORT = Limits(message=100, channels=10, packet=100_000)
NO_UPSTREAM = f"ERROR {REFUSED.sqlstate} {REFUSED.message}"


def replayed(conversation: Relayed) -> list[list[str]]:
    """Return what the upstream was told before anything else, step by step."""
    for replay in conversation.replays:
        # As many answers are waited for as are asked for.
        sent = [each for each in requests(replay.frames) if each[0] not in "H"]
        assert len(replay.ends) == len(sent)
    return [requests(replay.frames) for replay in conversation.replays]


def story(*queries: str, relay: FakeRelay = OWN, then: str = "SELECT now()") -> list[list[str]]:
    """Return what an upstream is told that is attached behind some queries."""
    conversation = relayed(relay)
    for sql in queries:
        assert "attach" not in conversation.query(sql)
    assert "attach" in conversation.query(then)
    return replayed(conversation)


# When


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT now()",
        "INSERT INTO t VALUES (1)",
        "oops",
        "SELECT 1; SELECT now()",
        "LISTEN a; SELECT now()",
        "BEGIN; CREATE TABLE t ()",
        "PREPARE TRANSACTION 'x'",
        "SET work_mem = '1MB'",
        "SET TimeZone = 'Mars/Base'",
        "SET LOCAL TimeZone = 'UTC'",
        "SHOW work_mem",
        "SHOW search_path",
        "SELECT pg_terminate_backend(8)",
        "COPY t FROM STDIN",
        "SELECT '",
    ],
)
def test_what_needs_a_database_attaches_and_goes_there(sql: str) -> None:
    conversation = relayed(FakeRelay(pids=frozenset((7,))))
    lines = conversation.query(sql)
    assert lines[0] == "attach"
    assert conversation.replays == ()
    assert conversation.session.phase is Phase.ATTACHED
    assert len(forwarded(lines)) == 1


@pytest.mark.parametrize(
    "sql",
    [
        "",
        "SELECT 1",
        "LISTEN a; NOTIFY a; UNLISTEN *",
        "BEGIN; SAVEPOINT s; ROLLBACK TO s; COMMIT",
        "SET TimeZone = 'UTC'; SHOW TimeZone; RESET TimeZone; RESET ALL",
        "DISCARD ALL",
        "SELECT pg_terminate_backend(7)",
        "LISTEN",
        "NOTIFY 1",
        "LISTEN a; oops",
    ],
)
def test_what_does_not_is_answered_here(sql: str) -> None:
    conversation = relayed(FakeRelay(pids=frozenset((7,))))
    assert "attach" not in conversation.query(sql)
    assert conversation.session.attached is None


def test_without_a_relay_other_sql_is_refused_as_ever() -> None:
    conversation = Conversation(parameters={})
    assert conversation.query("SELECT now()") == ["ERROR 0A000 SELECT is not served here", "Z(I)"]
    assert conversation.query("SELECT pg_terminate_backend(7)")[-2:] == [
        "ERROR 0A000 SELECT is not served here",
        "Z(I)",
    ]
    assert conversation.query("PREPARE TRANSACTION 'x'")[0].startswith("WARNING 25P01")
    assert conversation.query("oops")[0].startswith("ERROR 42601")
    assert conversation.say(CALL)[0] == "ERROR 0A000 the function call protocol is not served here"


def test_a_clients_signal_is_carried_out_here() -> None:
    conversation = relayed(FakeRelay(pids=frozenset((7,))))
    assert conversation.query("SELECT pg_terminate_backend(7) AS ok") == [
        "T(ok:16)",
        "pg_terminate_backend 7",
        "D(b't')",
        "C(SELECT 1)",
        "Z(I)",
    ]


def test_in_a_failed_block_everything_is_refused_here() -> None:
    conversation = relayed(OWN)
    conversation.query("BEGIN; NOTIFY twistnotify_gap")
    for sql in ("SELECT now()", "oops; SELECT 2", "SET work_mem = 1", "SELECT now(); COMMIT"):
        assert conversation.query(sql)[-1] == "Z(E)"
    assert conversation.say(CALL)[0].startswith("ERROR 25P02")
    assert conversation.say(parse("SELECT now()"), SYNC)[0].startswith("ERROR 25P02")
    assert conversation.session.attached is None


def test_but_a_string_that_ends_it_first_is_not() -> None:
    conversation = relayed(OWN)
    conversation.query("BEGIN; NOTIFY twistnotify_gap")
    assert conversation.query("ROLLBACK; SELECT 1; LISTEN a")[-1] == "Z(I)"
    conversation.query("BEGIN; NOTIFY twistnotify_gap")
    lines = conversation.query("ROLLBACK; SELECT now()")
    assert lines == ["attach", "-> Q(ROLLBACK; SELECT now())"]
    assert replayed(conversation) == [["Q(BEGIN)"], ["Q(twistnotify: failed before)"]]
    assert [replay.fails for replay in conversation.replays] == [False, True]


@pytest.mark.parametrize("messages", [(CALL,), (parse("SELECT now()"), bind(), execute(), SYNC)])
def test_every_kind_of_message_may_attach(messages: tuple[Query, ...]) -> None:
    lines = relayed(OWN).say(*messages)
    assert lines[0] == "attach"
    assert len(forwarded(lines)) == len(messages)


def test_what_came_behind_goes_upstream_as_well() -> None:
    lines = relayed(OWN).receive(Query(b"SELECT now()").encode() + Query(b"SELECT 1").encode() + b"Q\0\0")
    assert lines == ["attach", "-> Q(SELECT now())", "-> Q(SELECT 1)"]


def test_statements_that_depend_on_nothing_are_always_served() -> None:
    session = relayed(OWN).session
    assert is_served(session, Listen("a"))
    assert are_served(session, (Listen("a"), Notify("a", "")))
    assert not are_served(session, (Listen("a"), Other("SELECT")))


# What is said again


def test_nothing_is_said_of_what_is_over() -> None:
    assert story("LISTEN a", "NOTIFY own", "BEGIN; NOTIFY own; COMMIT", "BEGIN; SET TimeZone = 'UTC'; ROLLBACK") == []


def test_settings_are_said_first_and_as_they_stand() -> None:
    queries = "SET TimeZone = 'UTC'", 'SET search_path = a, "B"', "SET bytea_output = 'escape'", "RESET bytea_output"
    assert story(*queries, "SET TimeZone = 'GMT'") == [
        ["Q(SET \"timezone\" TO 'GMT';\nSET \"search_path\" TO 'a', 'B')"]
    ]
    assert story(*queries, "RESET ALL") == []


def test_an_open_block_begins_as_the_client_wrote_it() -> None:
    begin = "BEGIN ISOLATION LEVEL SERIALIZABLE, READ ONLY"
    assert story(f"/* x */ {begin} ; -- y") == [[f"Q({begin})"]]
    assert story("START TRANSACTION READ ONLY", "BEGIN") == [["Q(START TRANSACTION READ ONLY)"]]
    assert story("BEGIN READ ONLY", "COMMIT", "BEGIN") == [["Q(BEGIN)"]]


@pytest.mark.parametrize("end", ["COMMIT", "ROLLBACK"])
def test_a_chained_block_has_the_characteristics_of_the_one_before_it(end: str) -> None:
    chained = [["Q(BEGIN READ ONLY;COMMIT AND CHAIN)"]]
    assert story("BEGIN READ ONLY", f"{end} AND CHAIN") == chained
    assert story("BEGIN READ ONLY", f"{end} AND CHAIN", f"{end} AND CHAIN") == chained


def test_what_the_block_has_done_is_said_in_its_order() -> None:
    queries = (
        "BEGIN",
        "SET LOCAL TimeZone = 'UTC'",
        "SAVEPOINT s",
        "NOTIFY own, 'it''s'",
        "LISTEN a",
        "NOTIFY a",
        'SAVEPOINT "T"',
        'SAVEPOINT "T"',
        "SET TimeZone = 'GMT'",
        "RESET TimeZone",
        "RESET ALL",
        "SAVEPOINT gone",
        "NOTIFY own, 'gone'",
        'ROLLBACK TO "T"',
        "UNLISTEN b",
        "SELECT pg_notify('own', 'y')",
    )
    assert story(*queries) == [
        [
            "Q(BEGIN;\n"
            "SET LOCAL \"timezone\" TO 'UTC';\n"
            'SAVEPOINT "s";\n'
            "NOTIFY \"own\",'it''s';\n"
            'SAVEPOINT "T";\n'
            'SAVEPOINT "T";\n'
            "NOTIFY \"own\",'y')"
        ]
    ]


def test_settings_of_the_block_are_said_there_and_not_before_it() -> None:
    assert story("SET TimeZone = 'UTC'", "BEGIN", "RESET ALL", "SET search_path = a", "RESET TimeZone") == [
        ["Q(SET \"timezone\" TO 'UTC')"],
        ['Q(BEGIN;\nRESET ALL;\nSET "search_path" TO \'a\';\nRESET "timezone")'],
    ]


def test_an_open_pipeline_is_said_as_one() -> None:
    conversation = relayed(OWN)
    conversation.say(*run("NOTIFY own"), *run("SET TimeZone = 'UTC'"), *run("LISTEN a"))
    conversation.say(parse("SELECT now()"))
    assert replayed(conversation) == [
        ["P(NOTIFY \"own\",'')", "B(, )", "E()", "H"],
        ["P(SET \"timezone\" TO 'UTC')", "B(, )", "E()", "H"],
    ]


def test_named_statements_are_said_in_one_step_with_their_stand_ins() -> None:
    conversation = relayed(OWN)
    conversation.say(
        parse("LISTEN a", "s"),
        parse("", "t"),
        parse("SELECT pg_notify('own', $1)", "u", (25,)),
        parse("SELECT 1", "gone"),
        close_statement("gone"),
        SYNC,
    )
    conversation.query("SELECT now()")
    assert replayed(conversation) == [[f"P(s: {STAND_IN})", "P(t: )", "P(u: SELECT pg_notify('own', $1))", "S"]]
    assert b"\0\1\0\0\0\x19" in conversation.replays[0].frames
    conversation.answer("C(SELECT 1) Z")
    conversation.say(bind(statement="s"), execute(), SYNC)
    assert told(conversation.answer("2 C(UNLISTEN) Z"))[1:] == ["C(LISTEN)", "Z(I)"]


def test_the_unnamed_statement_is_said_last_unless_it_is_gone() -> None:
    conversation = relayed(OWN)
    conversation.say(parse("NOTIFY a"), SYNC)
    assert forwarded(conversation.say(parse("SELECT now()", "s"))) == ["P(s: SELECT now())"]
    assert replayed(conversation) == [[f"P({STAND_IN})", "H"]]
    for message in (parse("SELECT now()"), Query(b"SELECT now()")):
        conversation = relayed(OWN)
        conversation.say(parse("NOTIFY a"), SYNC)
        conversation.say(message)
        assert replayed(conversation) == []


def test_portals_that_have_not_run_are_said_with_their_statements() -> None:
    conversation = relayed(OWN)
    conversation.say(parse("SELECT pg_notify($1, $2)", "s"), bind("a", "x", portal="p", statement="s"))
    conversation.say(parse("LISTEN a"), bind(portal="q"), *run("SELECT 1"))
    conversation.say(parse("SELECT now()"))
    named, portals = replayed(conversation)
    assert named[0].startswith("P(s: SELECT CASE")
    assert portals[0].startswith("P(SELECT CASE")
    assert portals[1:] == ["B(p, , a, x)", f"P({STAND_IN})", "B(q, )", "C(S )", "H"]
    conversation.say(execute("p"), execute("q"), SYNC)
    lines = conversation.answer("1 D C(SELECT 1) C(UNLISTEN) Z")
    assert asked(lines) == ["commit NOTIFY a x, LISTEN a", "ready"]


def test_an_empty_portal_is_said_as_well() -> None:
    conversation = relayed(OWN)
    conversation.say(parse(""), bind(portal="p"), parse("SELECT now()", "s"))
    assert replayed(conversation) == [["P()", "B(p, )", "P()", "H"]]
    conversation.say(execute("p"), SYNC)
    assert told(conversation.answer("1 I Z")) == ["ParseComplete", "EmptyQueryResponse", "Z(I)"]


def test_portals_of_a_failed_block_are_gone() -> None:
    conversation = relayed(OWN)
    conversation.say(*run("BEGIN"), parse("NOTIFY a"), bind(portal="p"), SYNC)
    conversation.say(parse("LISTEN"), SYNC)
    conversation.say(parse("COMMIT"), SYNC)
    conversation.query("SELECT 1")
    conversation.say(parse("COMMIT"), SYNC)
    conversation.say(parse("ROLLBACK; SELECT now()", "s"), SYNC)
    assert replayed(conversation) == [["Q(BEGIN)"], ["Q(twistnotify: failed before)"]]


def test_stand_ins_of_what_is_said_again_do_no_harm_in_another_encoding() -> None:
    status = ParameterStatus("client_encoding", "UTF8").encode()
    admission = Admission(status, PID, SECRET, "UTF8", ADMISSION.acknowledgements, OWN)
    conversation = Relayed(admission=admission, parameters={})
    conversation.query("LISTEN 日本")
    conversation.say(parse("SELECT pg_listening_channels()", "s"), SYNC)
    conversation.query("SET client_encoding = 'latin1'")
    conversation.query("SELECT now()")
    assert "ARRAY['??']" in replayed(conversation)[1][0]


# What goes on there


def test_what_the_upstream_was_told_of_is_its_own() -> None:
    conversation = relayed(OWN)
    for sql in ("BEGIN", "NOTIFY own, 'x'", "NOTIFY a", "LISTEN a", "SET TimeZone = 'UTC'", "SELECT now()"):
        conversation.query(sql)
    conversation.answer("C(SELECT 1) Z(T)")
    conversation.query("NOTIFY own, 'y'")
    conversation.answer("C(NOTIFY) Z(T)")
    assert conversation.query("COMMIT") == ["enlist a", "gate", "-> Q(COMMIT)"]
    assert asked(conversation.answer("C(COMMIT) Z")) == ["commit NOTIFY a, LISTEN a", "give up", "ready"]


def test_a_notification_of_its_own_waits_at_the_gate() -> None:
    conversation = relayed(OWN)
    for sql in ("BEGIN", "NOTIFY own", "SELECT now()"):
        conversation.query(sql)
    conversation.answer("C(SELECT 1) Z(T)")
    assert conversation.query("COMMIT")[0] == "gate"


def test_a_savepoint_from_before_may_be_rolled_back_to() -> None:
    conversation = relayed(OWN)
    for sql in ("BEGIN", "NOTIFY a", "SAVEPOINT s", "NOTIFY b", "SELECT now()"):
        conversation.query(sql)
    conversation.answer("C(SELECT 1) Z(T)")
    conversation.query("ROLLBACK TO s")
    conversation.answer("C(ROLLBACK) Z(T)")
    conversation.query("COMMIT")
    assert asked(conversation.answer("C(COMMIT) Z")) == ["commit NOTIFY a"]


def test_a_pipeline_goes_on_up_to_its_sync() -> None:
    conversation = relayed(OWN)
    conversation.say(*run("LISTEN a"), parse("SELECT now()"))
    assert not conversation.attached.idle
    assert not conversation.session.in_cycle
    conversation.say(bind(), execute())
    assert conversation.say(SYNC) == ["enlist a", "gate", "-> S"]
    assert asked(conversation.answer("1 2 C(SELECT 1) Z")) == ["commit LISTEN a", "ready"]
    assert conversation.attached.idle


def test_a_failed_block_goes_on_failed() -> None:
    conversation = relayed(OWN)
    conversation.query("BEGIN; NOTIFY a; NOTIFY twistnotify_gap")
    conversation.query("ROLLBACK AND CHAIN; SELECT now()")
    assert conversation.attached.requests.in_block
    assert asked(conversation.answer("C(ROLLBACK) C(SELECT 1) Z(T)")) == []
    conversation.query("COMMIT")
    assert asked(conversation.answer("C(COMMIT) Z")) == []


def test_settings_that_the_upstream_has_otherwise_are_told() -> None:
    conversation = relayed(OWN)
    conversation.upstream_parameters = {"TimeZone": "GMT", "search_path": "a"}
    assert told(conversation.query("SELECT now()")) == ["ParameterStatus TimeZone=GMT", "ParameterStatus search_path=a"]
    assert conversation.attached.parameters == {"TimeZone": "GMT", "search_path": "a"}


def test_settings_of_the_clients_own_are_not_told_again() -> None:
    conversation = relayed(OWN)
    conversation.upstream_parameters = {"TimeZone": "UTC", "standard_conforming_strings": "on"}
    conversation.query("SET TimeZone = 'UTC'")
    assert told(conversation.query("SELECT now()")) == ["ParameterStatus standard_conforming_strings=on"]


# When there is none


def refusing(*queries: str) -> Relayed:
    conversation = relayed(OWN)
    conversation.refused_attach = REFUSED
    for sql in queries:
        conversation.query(sql)
    return conversation


def test_a_query_that_gets_no_upstream_fails() -> None:
    conversation = refusing()
    assert conversation.query("SELECT now()") == ["attach", NO_UPSTREAM, "Z(I)"]
    assert conversation.say(CALL) == ["attach", NO_UPSTREAM, "Z(I)"]
    assert conversation.query("LISTEN a")[1] == "C(LISTEN)"


def test_a_pipeline_is_passed_over_up_to_sync() -> None:
    conversation = refusing()
    lines = conversation.say(*run("NOTIFY a"), parse("SELECT now()"), *run("NOTIFY b"), SYNC, *run("NOTIFY c"), SYNC)
    assert lines[3:6] == ["attach", NO_UPSTREAM, "Z(I)"]
    assert asked(lines) == ["attach", "commit NOTIFY c"]


def test_a_block_fails_with_it() -> None:
    conversation = refusing("BEGIN", "NOTIFY a")
    assert conversation.query("SELECT now()") == ["attach", NO_UPSTREAM, "Z(E)"]
    assert conversation.session.transaction.status is Status.FAILED
    assert conversation.query("COMMIT") == ["C(ROLLBACK)", "Z(I)"]


def test_it_may_be_there_the_next_time() -> None:
    conversation = refusing("SELECT now()")
    conversation.refused_attach = None
    assert conversation.query("SELECT now()") == ["attach", "-> Q(SELECT now())"]


# Messages too long to be read


@pytest.mark.parametrize("message", [Query(b"x" * 200), parse("x" * 200), bind("x" * 200), CALL])
def test_what_is_too_long_to_be_read_here_goes_upstream(message: Query) -> None:
    conversation = relayed(OWN, SHORT)
    data = message.encode() if message is not CALL else b"F" + (204).to_bytes(4, "big") + bytes(200)
    assert conversation.receive(data[:20]) == ["attach"]
    conversation.receive(data[20:])
    assert conversation.passed == data
    assert len(conversation.attached.expected) == 1


def test_if_there_is_no_upstream_it_is_skipped() -> None:
    conversation = relayed(OWN, SHORT)
    conversation.refused_attach = REFUSED
    query = Query(b"x" * 200).encode()
    assert conversation.receive(query[:50]) == ["attach", NO_UPSTREAM, "Z(I)"]
    assert conversation.receive(query[50:] + Query(b"NOTIFY a").encode()) == ["commit NOTIFY a", "C(NOTIFY)", "Z(I)"]
    assert conversation.say(parse("x" * 200), parse("NOTIFY b"), SYNC) == ["attach", NO_UPSTREAM, "Z(I)"]


def test_in_a_failed_block_it_is_refused_here() -> None:
    conversation = relayed(OWN, SHORT)
    conversation.query("BEGIN; NOTIFY twistnotify_gap")
    too_long = "ERROR 54000 message of 201 bytes is longer than max_listen_query_size"
    assert conversation.say(Query(b"x" * 200)) == [too_long, "Z(E)"]
    lines = conversation.say(parse("LISTEN"), parse("x" * 200), SYNC)
    assert [line.split()[1] for line in lines[:-1]] == ["42601"]
    assert lines[-1] == "Z(E)"


def test_what_is_skipped_may_be_of_any_length() -> None:
    conversation = relayed(OWN, SHORT)
    assert conversation.say(parse("LISTEN"), parse("x" * 200), SYNC)[-1] == "Z(I)"
    assert conversation.session.attached is None


def test_a_long_message_of_no_known_type_ends_the_conversation() -> None:
    lines = relayed(OWN, SHORT).receive(b"p\0\0\1\0")
    assert lines == ["FATAL 08P01 invalid frontend message type 112", "close: protocol"]


# At the log-in


@pytest.mark.parametrize(
    ("parameters", "wanted"),
    [
        ({"user": "a", "database": "b", "replication": "off"}, False),
        ({"client_encoding": "latin1", "application_name": "x", "DateStyle": "ISO"}, False),
        ({"TIMEZONE": "utc"}, False),
        ({"TimeZone": "Mars/Base"}, True),
        ({"work_mem": "1MB"}, True),
        ({"options": "-c geqo=off"}, True),
    ],
)
def test_postgresql_judges_what_a_client_asks_for_beyond_what_is_sure(parameters: dict[str, str], wanted: bool) -> None:
    told = {"DateStyle": "ISO, MDY", "client_encoding": "UTF8", "TimeZone": "UTC"}
    assert needs_judge(tuple(parameters.items()), told, "UTF8") is wanted


def test_an_encoding_without_a_conversion_to_the_databases_is_judged_too() -> None:
    assert needs_judge((("client_encoding", "latin1"),), {}, "EUC_JP")
    assert not needs_judge((("client_encoding", "EUC_JP"),), {}, "EUC_JP")


def test_a_client_may_have_its_upstream_from_the_start() -> None:
    admission = Admission(ADMISSION.status, PID, SECRET, "UTF8", ADMISSION.acknowledgements, OWN)
    conversation = Relayed(admission=admission)
    conversation.upstream_parameters = {"TimeZone": "GMT", "standard_conforming_strings": "off"}
    packet = StartupMessage(PROTOCOL_3_0, {"user": "alice", "work_mem": "1MB"})
    assert conversation.say(packet, Query(b"LISTEN a")) == [
        "admit alice to alice",
        "AuthenticationOk",
        "attach",
        "ParameterStatus TimeZone=GMT",
        "ParameterStatus standard_conforming_strings=off",
        f"BackendKeyData {PID} {SECRET!r}",
        "Z(I)",
        "enlist a",
        "gate",
        f"-> Q({STAND_IN})",
    ]
    assert conversation.session.phase is Phase.ATTACHED
    assert conversation.answer("C(UNLISTEN) Z") == ["C(LISTEN)", "commit LISTEN a", "ready", "Z(I)"]


def test_it_does_not_get_in_without_it() -> None:
    admission = Admission(ADMISSION.status, PID, SECRET, "UTF8", ADMISSION.acknowledgements, OWN)
    conversation = Relayed(admission=admission)
    conversation.refused_attach = REFUSED
    lines = conversation.say(StartupMessage(PROTOCOL_3_0, {"user": "alice", "work_mem": "1MB"}))
    assert lines[-2:] == [f"FATAL {REFUSED.sqlstate} {REFUSED.message}", "close: login"]


def test_without_a_relay_nobody_judges() -> None:
    conversation = Conversation(parameters={"work_mem": "1MB"})
    assert conversation.session.phase is Phase.COMMANDS


# Back again


def test_what_was_given_back_is_opened_again_with_what_is_left() -> None:
    conversation = attached(OWN, LIMITS, "a")
    conversation.session.detach({})
    assert conversation.session.phase is Phase.COMMANDS
    assert conversation.session.idle
    assert conversation.query("NOTIFY own") == ["commit NOTIFY own", "C(NOTIFY)", "ready", "Z(I)"]
    assert conversation.query("SELECT now()") == ["attach", "-> Q(SELECT now())"]


def test_one_that_was_opened_in_a_pipeline_is_idle_as_well() -> None:
    conversation = relayed(OWN)
    conversation.say(*run("SELECT now()"), SYNC)
    conversation.answer("1 2 C(SELECT 1) Z")
    conversation.session.detach({})
    assert conversation.session.idle


def test_descriptions_need_no_upstream() -> None:
    conversation = relayed(OWN)
    lines = conversation.say(parse("LISTEN a", "s"), describe_statement("s"), bind(statement="s"), describe(), SYNC)
    assert asked(lines) == []


def test_status_frames_are_of_the_clients_encoding() -> None:
    admission = Admission(
        ParameterStatus("application_name", "é").encode("latin-1"),
        PID,
        SECRET,
        "UTF8",
        ADMISSION.acknowledgements,
        OWN,
    )
    conversation = Relayed(admission=admission, parameters={"client_encoding": "latin1"}, codec="latin-1")
    conversation.upstream_parameters = {"application_name": "ü"}
    assert told(conversation.query("SELECT now()")) == ["ParameterStatus application_name=ü"]
