"""What goes upstream in the place of what is served here."""

import pytest
from conversation import FLUSH, PID, SYNC, bind, execute, parse
from relayed import FakeRelay, Relayed, asked, attached, forwarded, told

from twistnotify.session.session import Limits
from twistnotify.session.substitution import STAND_IN
from twistnotify.sql.parse import parse as read
from twistnotify.sql.statements import DoBlock

OWN = FakeRelay(frozenset(("own",)))
ONE_SHARD = FakeRelay(None)
CHECKED = "SELECT CASE WHEN"


def sent_for(sql: str, relay: FakeRelay = OWN, conversation: Relayed | None = None) -> str:
    """Return what the upstream gets for a simple query."""
    (line,) = forwarded((conversation or attached(relay)).query(sql))
    return line.removeprefix("Q(").removesuffix(")").rstrip()


def raised(sql: str) -> str:
    """Return the SQLSTATE and the message of a block that raises an error."""
    assert sql.startswith("DO 'BEGIN RAISE EXCEPTION USING ERRCODE=''")
    sqlstate, _, rest = sql.removeprefix("DO 'BEGIN RAISE EXCEPTION USING ERRCODE=''").partition("'',MESSAGE=''")
    return f"{sqlstate} {rest[: rest.index(';')].split(chr(39) * 2 + ',HINT')[0].removesuffix(chr(39) * 2)}"


# LISTEN, UNLISTEN, NOTIFY


@pytest.mark.parametrize("relay", [OWN, ONE_SHARD])
def test_the_upstream_never_listens(relay: FakeRelay) -> None:
    assert sent_for("LISTEN own", relay) == STAND_IN
    assert sent_for("UNLISTEN own", relay) == "UNLISTEN own"
    assert sent_for("UNLISTEN *", relay) == "UNLISTEN *"


def test_a_notification_of_its_own_shard_is_the_upstreams() -> None:
    assert sent_for("NOTIFY own, 'x'") == "NOTIFY own, 'x'"
    assert sent_for("NOTIFY a, 'x'", ONE_SHARD) == "NOTIFY a, 'x'"


def test_a_notification_of_another_shard_is_not() -> None:
    assert sent_for("NOTIFY a, 'x'") == STAND_IN


@pytest.mark.parametrize("sql", [f"NOTIFY a, '{'x' * 8000}'", 'NOTIFY "日本", \'' + "é" * 4000 + "'"])
def test_what_postgresql_refuses_it_may_as_well_refuse(sql: str) -> None:
    assert sent_for(sql) == sql


@pytest.mark.parametrize("relay", [OWN, ONE_SHARD])
@pytest.mark.parametrize(
    "sql",
    ["NOTIFY twistnotify_gap", "SELECT pg_notify('twistnotify_gap', 'x')", "DO 'BEGIN NOTIFY twistnotify_gap; END'"],
)
def test_nobody_may_notify_where_losses_are_announced(sql: str, relay: FakeRelay) -> None:
    refusal = raised(sent_for(sql, relay))
    assert refusal == '42501 permission denied to notify on channel "twistnotify_gap"'


def test_one_more_channel_than_a_client_may_have_is_refused() -> None:
    conversation = attached(OWN, Limits(100_000, 2), "a")
    conversation.query("BEGIN; LISTEN b; LISTEN a")
    conversation.answer("C(BEGIN) C(UNLISTEN) C(UNLISTEN) Z(T)")
    assert sent_for("LISTEN a", conversation=conversation) == STAND_IN
    conversation.answer("C(UNLISTEN) Z(T)")
    assert raised(sent_for("LISTEN c", conversation=conversation)) == "53400 too many channels for one client"
    conversation.answer("E(53400) Z(E)")
    assert raised(sent_for("DO 'BEGIN LISTEN c; END'", conversation=conversation)).startswith("53400")


# pg_notify()


def test_pg_notify_is_called_where_the_channel_is_the_upstreams() -> None:
    assert sent_for("SELECT pg_notify('own', 'x')") == "SELECT pg_notify('own', 'x')"
    assert sent_for("SELECT pg_notify($1, $2)", ONE_SHARD) == "SELECT pg_notify($1, $2)"


@pytest.mark.parametrize("channel", ["'a'", "NULL", "$1"])
def test_elsewhere_it_is_checked_only(channel: str) -> None:
    stand_in = sent_for(f"SELECT pg_notify({channel}, 'x') AS done")
    assert stand_in.startswith(CHECKED)
    assert f"pg_catalog.pg_notify({channel},'x')" in stand_in
    assert stand_in.endswith('AS "done"')


# Blocks


def test_a_block_is_taken_apart_where_a_part_of_it_has_a_stand_in() -> None:
    sql = "DO 'BEGIN LISTEN a; NOTIFY own, ''x''; NOTIFY a; UNLISTEN b; END'"
    assert sent_for(sql) == (
        'DO \'BEGIN UNLISTEN "twistnotify_gap";NOTIFY "own",\'\'x\'\';UNLISTEN "twistnotify_gap";UNLISTEN "b"; END\''
    )


@pytest.mark.parametrize("sql", ["DO 'BEGIN NOTIFY own; UNLISTEN a; END'", "DO 'BEGIN UNLISTEN *; END'"])
def test_a_block_that_is_all_the_upstreams_stays_as_it_is(sql: str) -> None:
    assert isinstance(read(sql)[0], DoBlock)
    assert sent_for(sql) == sql


# What is known here only


def test_the_clients_own_pid_is_known_here() -> None:
    assert sent_for("SELECT pg_backend_pid() AS me") == f'SELECT {PID} AS "me"'


def test_the_channels_it_listens_to_are_known_here() -> None:
    conversation = attached(OWN, Limits(100_000, 10), "a", '"it\'s"')
    sent = sent_for("SELECT * FROM pg_listening_channels()", conversation=conversation)
    assert "ARRAY['a','it''s']" in sent


def test_a_name_that_the_clients_encoding_cannot_hold_any_more_does_no_harm() -> None:
    conversation = attached(OWN, Limits(100_000, 10), "日本")
    conversation.query("SET client_encoding = 'latin1'")
    conversation.answer("S(client_encoding=LATIN1) C(SET) Z")
    conversation.codec = "latin-1"
    assert "ARRAY['??']" in sent_for("SELECT pg_listening_channels()", conversation=conversation)
    conversation.answer("T D(??) C(SELECT 1) Z")
    lines = forwarded(conversation.say(parse("SELECT pg_listening_channels()"), SYNC))
    assert "ARRAY['??']" in lines[0]


def test_ways_of_acknowledgement_are_known_here() -> None:
    assert sent_for("SHOW twistnotify.listen_ack") == (
        "SELECT 'immediate'::pg_catalog.text AS \"twistnotify.listen_ack\""
    )
    assert sent_for("SET twistnotify.listen_ack = 'confirmed'") == STAND_IN
    assert sent_for("SET twistnotify.listen_ack TO DEFAULT") == STAND_IN
    refusal = raised(sent_for("SET twistnotify.notify_ack = 'never'"))
    assert refusal == '22023 invalid value for parameter "twistnotify.notify_ack": "never"'


def test_clients_are_signalled_here_and_other_backends_there() -> None:
    relay = FakeRelay(pids=frozenset((7,)))
    assert sent_for("SELECT pg_terminate_backend(7) AS ok", relay) == 'SELECT true AS "ok"'
    assert sent_for("SELECT pg_cancel_backend(8)", relay) == "SELECT pg_cancel_backend(8)"


# Transactions


@pytest.mark.parametrize("sql", ["LISTEN a", "UNLISTEN a", "NOTIFY a"])
def test_a_transaction_with_pubsub_cannot_be_prepared(sql: str) -> None:
    conversation = attached(OWN)
    conversation.query(f"BEGIN; {sql}")
    conversation.answer("C(BEGIN) C(UNLISTEN) Z(T)")
    assert raised(sent_for("PREPARE TRANSACTION 'x'", conversation=conversation)) == (
        "0A000 cannot PREPARE a transaction that has executed LISTEN, UNLISTEN, or NOTIFY"
    )


def test_one_without_can() -> None:
    conversation = attached(OWN)
    conversation.query("BEGIN; SET TimeZone = 'UTC'")
    conversation.answer("C(BEGIN) C(SET) Z(T)")
    assert sent_for("PREPARE TRANSACTION 'x'", conversation=conversation) == "PREPARE TRANSACTION 'x'"


def test_one_that_has_set_something_before_it_was_attached_can_as_well() -> None:
    conversation = attached(OWN)
    before = Relayed(admission=conversation.admission, parameters={})
    before.query("BEGIN")
    before.query("SET TimeZone = 'UTC'")
    before.query("SELECT now()")
    before.answer("C(SELECT 1) Z(T)")
    assert sent_for("PREPARE TRANSACTION 'x'", conversation=before) == "PREPARE TRANSACTION 'x'"


def test_a_failed_one_is_rolled_back_by_it() -> None:
    conversation = attached(OWN)
    conversation.query("BEGIN; LISTEN a; SELECT fails()")
    conversation.answer("C(BEGIN) C(UNLISTEN) E(22012) Z(E)")
    assert sent_for("PREPARE TRANSACTION 'x'", conversation=conversation) == "PREPARE TRANSACTION 'x'"


# In the extended protocol


def test_a_prepared_statement_is_substituted_as_it_is_parsed() -> None:
    lines = attached(OWN).say(parse("LISTEN a", "s"), bind(statement="s"), execute(), SYNC)
    assert forwarded(lines) == [f"P(s: {STAND_IN})", "B(, s)", "E()", "S"]


def test_its_declared_types_stay() -> None:
    conversation = attached(OWN)
    conversation.say(parse("SELECT pg_notify($1, $2)", types=(25, 1043)), FLUSH)
    assert conversation.passed[:5] == b"P" + (len(conversation.passed) - 6).to_bytes(4, "big")
    assert b"\0\x02\0\0\0\x19\0\0\x04\x13" in conversation.passed


def test_what_is_no_concern_of_ours_passes_as_it_is() -> None:
    conversation = attached(OWN)
    lines = conversation.query("SELECT 2; SHOW search_path; CLOSE ALL")
    assert forwarded(lines) == ["Q(SELECT 2; SHOW search_path; CLOSE ALL)"]
    assert asked(lines) == told(lines) == []
