"""What the statements do that end or begin no transaction, and what they refuse."""

import pytest
from conversation import PID, SYNC, logged_in, parse, replies, run

from twistnotify.session.execution import ACKNOWLEDGEMENTS, EXECUTE, MAX_CHANNEL_BYTES, MAX_PAYLOAD_BYTES, column_of
from twistnotify.session.results import INT4, TEXT, VOID
from twistnotify.session.session import Limits
from twistnotify.sql.parse import parse as read
from twistnotify.sql.statements import Begin, DiscardAll, Other

RESET = "SELECT pg_advisory_unlock_all();\nCLOSE ALL;\nUNLISTEN *;\nRESET ALL;"
"""What asyncpg's pool sends when a connection comes back."""


def answer(sql: str) -> list[str]:
    """Return what a new client is told, without RowDescription and ReadyForQuery."""
    lines = replies(logged_in().query(sql))
    assert lines[-1] == "Z(I)"
    return [line for line in lines[:-1] if not line.startswith("T(")]


# LISTEN, UNLISTEN, NOTIFY


def test_listen_unlisten_and_notify_answer_their_tags() -> None:
    conversation = logged_in()
    assert conversation.query("LISTEN a") == ["commit LISTEN a", "C(LISTEN)", "ready", "Z(I)"]
    assert conversation.query("NOTIFY a, 'p'") == ["commit NOTIFY a p", "C(NOTIFY)", "ready", "Z(I)"]
    assert conversation.query("UNLISTEN a") == ["commit UNLISTEN a", "C(UNLISTEN)", "Z(I)"]
    assert conversation.query("NOTIFY a") == ["commit NOTIFY a", "C(NOTIFY)", "Z(I)"]


def test_listening_twice_and_unlistening_what_is_not_listened_to_are_no_errors() -> None:
    conversation = logged_in()
    for sql in ("LISTEN a", "LISTEN a", "UNLISTEN b", "UNLISTEN a", "UNLISTEN a", "UNLISTEN *"):
        assert replies(conversation.query(sql)) == [f"C({sql.split()[0]})", "Z(I)"]


def test_a_star_in_quotes_is_a_channel() -> None:
    conversation = logged_in()
    conversation.query('LISTEN a; LISTEN "*"; UNLISTEN "*"')
    assert list(conversation.session.channels) == ["a"]


@pytest.mark.parametrize("word", ["LISTEN", "UNLISTEN", "NOTIFY"])
def test_a_name_that_is_too_long_is_cut_with_a_notice(word: str) -> None:
    cut = f'NOTICE 42622 identifier "{"x" * 64}" will be truncated to "{"x" * 63}"'
    assert answer(f"{word} {'x' * 64}") == [cut, f"C({word})"]
    lines = logged_in().say(parse(f"{word} {'x' * 64}"), SYNC)
    assert lines == [cut, "ParseComplete", "Z(I)"]


def test_payloads_are_bounded_in_bytes() -> None:
    for payload in ("x" * MAX_PAYLOAD_BYTES, "é" * (MAX_PAYLOAD_BYTES // 2)):
        assert answer(f"NOTIFY a, '{payload}'") == ["C(NOTIFY)"]
        assert answer(f"SELECT pg_notify('a', '{payload}')") == ["D(b'')", "C(SELECT 1)"]
    for payload in ("x" * (MAX_PAYLOAD_BYTES + 1), "é" * (MAX_PAYLOAD_BYTES // 2 + 1)):
        assert answer(f"NOTIFY a, '{payload}'") == ["ERROR 22023 payload string too long"]
        assert answer(f"SELECT pg_notify('a', '{payload}')") == ["ERROR 22023 payload string too long"]


@pytest.mark.parametrize("channel", ["''", "NULL"])
def test_pg_notify_wants_a_channel_before_all_else(channel: str) -> None:
    sql = f"SELECT pg_notify({channel}, '{'x' * 8000}')"
    assert answer(sql) == ["ERROR 22023 channel name cannot be empty"]


def test_pg_notify_does_not_cut_a_channel_and_looks_at_it_before_the_payload() -> None:
    assert answer(f"SELECT pg_notify('{'x' * MAX_CHANNEL_BYTES}', 'p')") == ["D(b'')", "C(SELECT 1)"]
    for channel in ("x" * 64, "é" * 32):
        sql = f"SELECT pg_notify('{channel}', '{'x' * 8000}')"
        assert answer(sql) == ["ERROR 22023 channel name too long"]


def test_pg_notify_describes_its_column_before_it_fails() -> None:
    assert logged_in().query("SELECT pg_notify('', '') AS done")[:2] == [
        "T(done:2278)",
        "ERROR 22023 channel name cannot be empty",
    ]


@pytest.mark.parametrize("sql", ["NOTIFY twistnotify_gap", "SELECT pg_notify('twistnotify_gap', 'p')"])
def test_nobody_may_notify_where_losses_are_announced(sql: str) -> None:
    assert answer(sql) == ['ERROR 42501 permission denied to notify on channel "twistnotify_gap"']
    assert answer("LISTEN twistnotify_gap") == ["C(LISTEN)"]


@pytest.mark.parametrize("sql", ["SELECT pg_notify($1, 'x')", "SELECT 1; SELECT pg_notify('a', $2)"])
def test_a_simple_query_has_no_parameters(sql: str) -> None:
    lines = logged_in().query(sql)
    number = sql[sql.index("$") + 1]
    assert lines[-2:] == [f"ERROR 42P02 there is no parameter ${number}", "Z(I)"]
    assert "T(pg_notify:2278)" not in lines


def test_in_a_failed_block_that_is_not_what_is_told() -> None:
    conversation = logged_in()
    conversation.query("BEGIN; oops")
    conversation.query("BEGIN")
    conversation.query("oops")
    assert conversation.query("SELECT pg_notify($1, 'x')")[0].startswith("ERROR 25P02")


def test_a_block_of_listens_is_taken_apart() -> None:
    conversation = logged_in()
    lines = conversation.query('DO $$BEGIN LISTEN "a"; NOTIFY b; UNLISTEN c; END$$')
    assert lines == ["commit LISTEN a, NOTIFY b, UNLISTEN c", "C(DO)", "ready", "Z(I)"]


def test_a_block_of_which_one_statement_fails_has_no_effects() -> None:
    conversation = logged_in()
    lines = conversation.query("DO $$BEGIN LISTEN a; NOTIFY twistnotify_gap; END$$")
    assert lines[0].startswith("ERROR 42501")
    assert not conversation.session.channels


# What is answered without a database


def test_listening_channels_are_those_that_are_committed_in_the_order_of_their_listens() -> None:
    conversation = logged_in()
    conversation.query("LISTEN a; LISTEN b; UNLISTEN a; LISTEN a")
    for sql in ("SELECT pg_listening_channels()", "SELECT * FROM pg_listening_channels()"):
        assert replies(conversation.query(sql)) == [
            "T(pg_listening_channels:25)",
            "D(b'b')",
            "D(b'a')",
            "C(SELECT 2)",
            "Z(I)",
        ]


def test_listening_channels_of_an_open_transaction_do_not_show() -> None:
    conversation = logged_in()
    assert "C(SELECT 0)" in conversation.query("LISTEN a; SELECT pg_listening_channels()")
    conversation.query("BEGIN; UNLISTEN *; LISTEN b")
    assert replies(conversation.query("SELECT pg_listening_channels()"))[1:3] == ["D(b'a')", "C(SELECT 1)"]


def test_the_pid_is_that_of_the_clients_key() -> None:
    assert logged_in().query("SELECT pg_backend_pid()") == [
        "T(pg_backend_pid:23)",
        f"D(b'{PID}')",
        "C(SELECT 1)",
        "Z(I)",
    ]


@pytest.mark.parametrize("number", [1, 0, -1, -(2**31)])
def test_a_constant_is_answered(number: int) -> None:
    assert answer(f"SELECT {number}") == [f"D(b'{number}')", "C(SELECT 1)"]


def test_the_reset_of_asyncpgs_pool_is_served_whole() -> None:
    conversation = logged_in()
    conversation.query("LISTEN a")
    assert conversation.query(RESET) == [
        "T(pg_advisory_unlock_all:2278)",
        "D(b'')",
        "C(SELECT 1)",
        "C(CLOSE CURSOR ALL)",
        "C(UNLISTEN)",
        "commit UNLISTEN *",
        "C(RESET)",
        "Z(I)",
    ]


def test_statements_are_deallocated_by_name_or_all_but_the_unnamed() -> None:
    conversation = logged_in()
    conversation.say(parse("SELECT 1", "s"), parse("SELECT 2", "t"), SYNC)
    assert conversation.query("DEALLOCATE s")[0] == "C(DEALLOCATE)"
    assert conversation.query("DEALLOCATE s")[0] == 'ERROR 26000 prepared statement "s" does not exist'
    conversation.say(parse("DEALLOCATE ALL"), SYNC)
    lines = conversation.say(*run("DEALLOCATE ALL"), SYNC)
    assert lines[2] == "C(DEALLOCATE ALL)"
    assert list(conversation.session.prepared) == [b""]


@pytest.mark.parametrize("sql", ["SELECT 2 + 2", "INSERT INTO t VALUES (1)", "SET work_mem = 1", "LOCK t", "CLOSE c"])
def test_other_sql_is_refused_with_a_hint(sql: str) -> None:
    assert answer(sql) == [f"ERROR 0A000 {sql.split()[0]} is not served here"]


# DISCARD ALL


def test_discard_all_forgets_everything() -> None:
    conversation = logged_in()
    conversation.query("LISTEN a; SET twistnotify.listen_ack = 'confirmed'")
    conversation.say(parse("SELECT 1", "s"), SYNC)
    assert conversation.query("DISCARD ALL") == ["commit UNLISTEN *", "C(DISCARD ALL)", "Z(I)"]
    session = conversation.session
    assert (session.channels, session.prepared, session.listen_ack) == ({}, {}, "immediate")


@pytest.mark.parametrize("sql", ["SELECT 1; DISCARD ALL", "DISCARD ALL; SELECT 1", "BEGIN; DISCARD ALL"])
def test_discard_all_has_to_stand_alone(sql: str) -> None:
    assert logged_in().query(sql)[-2] == "ERROR 25001 DISCARD ALL cannot run inside a transaction block"


def test_discard_all_in_a_block_fails_it() -> None:
    conversation = logged_in()
    conversation.query("LISTEN a")
    conversation.query("BEGIN")
    assert conversation.query("DISCARD ALL")[-1] == "Z(E)"
    assert list(conversation.session.channels) == ["a"]


def test_discard_all_may_begin_a_pipeline_and_is_done_at_once() -> None:
    conversation = logged_in()
    conversation.query("LISTEN a")
    lines = conversation.say(*run("DISCARD ALL"), *run("oops"), SYNC)
    assert lines[2:4] == ["commit UNLISTEN *", "C(DISCARD ALL)"]
    assert not conversation.session.channels


def test_discard_all_may_not_follow_in_a_pipeline() -> None:
    conversation = logged_in()
    refused = "ERROR 25001 DISCARD ALL cannot be executed within a pipeline"
    assert conversation.say(*run("NOTIFY a"), *run("DISCARD ALL"), SYNC)[-2:] == [refused, "Z(I)"]
    conversation.say(*run("SELECT 1"))
    assert conversation.query("DISCARD ALL")[0] == refused
    assert not conversation.committed


# Acknowledgement


@pytest.mark.parametrize(("name", "value"), [("listen_ack", "confirmed"), ("notify_ack", "committed")])
def test_acknowledgement_is_set_shown_and_reset(name: str, value: str) -> None:
    conversation = logged_in(acknowledgements=("immediate", "immediate"))
    assert conversation.query(f"SET twistnotify.{name} = '{value.upper()}'") == ["C(SET)", "Z(I)"]
    assert getattr(conversation.session, name) == value
    assert conversation.query(f"SHOW twistnotify.{name}") == [
        f"T(twistnotify.{name}:25)",
        f"D(b'{value}')",
        "C(SHOW)",
        "Z(I)",
    ]
    assert conversation.query(f"SET twistnotify.{name} TO DEFAULT")[0] == "C(SET)"
    assert getattr(conversation.session, name) == "immediate"


def test_resetting_one_way_of_acknowledgement_leaves_the_other() -> None:
    conversation = logged_in()
    conversation.query("SET twistnotify.listen_ack = confirmed; SET twistnotify.notify_ack = committed")
    conversation.query("SET twistnotify.listen_ack TO DEFAULT")
    assert (conversation.session.listen_ack, conversation.session.notify_ack) == ("immediate", "committed")
    conversation.query("RESET ALL")
    assert conversation.session.notify_ack == "immediate"


def test_what_is_configured_is_what_a_reset_goes_back_to() -> None:
    conversation = logged_in(acknowledgements=("confirmed", "committed"))
    session = conversation.session
    assert (session.listen_ack, session.notify_ack) == ("confirmed", "committed")
    conversation.query("SET twistnotify.listen_ack = immediate")
    conversation.query("RESET ALL")
    assert session.listen_ack == "confirmed"


@pytest.mark.parametrize("name", ACKNOWLEDGEMENTS)
def test_an_unknown_way_of_acknowledgement_is_refused(name: str) -> None:
    assert answer(f"SET twistnotify.{name} = 'never'") == [
        f'ERROR 22023 invalid value for parameter "twistnotify.{name}": "never"'
    ]


# The tables


def test_columns_are_of_postgresqls_types() -> None:
    texts = {
        "SELECT pg_notify('a', 'b')": VOID,
        "SELECT pg_advisory_unlock_all()": VOID,
        "SELECT pg_listening_channels()": TEXT,
        "SELECT pg_backend_pid()": INT4,
        "SELECT 1": INT4,
        "SHOW twistnotify.listen_ack": TEXT,
    }
    columns = [column_of(read(sql)[0]) for sql in texts]
    assert [column and column.type for column in columns] == list(texts.values())
    assert column_of(Begin("BEGIN")) is column_of(Other("COPY")) is None


def test_discard_all_alone_is_executed_in_its_own_way() -> None:
    assert DiscardAll not in EXECUTE


def test_channels_of_one_client_are_bounded() -> None:
    conversation = logged_in(Limits(message=10_000, channels=2))
    too_many = ["ERROR 53400 too many channels for one client", "ready", "Z(I)"]
    conversation.query("LISTEN a; LISTEN b; LISTEN a")
    assert conversation.query("LISTEN c") == too_many
    assert conversation.query("LISTEN c; SELECT 1")[-3:] == too_many
    assert conversation.say(*run("LISTEN c"), SYNC)[-3:] == too_many
    assert conversation.query("LISTEN a")[1] == "C(LISTEN)"
    assert conversation.query("LISTEN c; UNLISTEN b")[-3:] == ["C(UNLISTEN)", "ready", "Z(I)"]
    assert list(conversation.session.channels) == ["a", "c"]
