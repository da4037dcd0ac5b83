"""Texts of several statements, transactions, settings, and what is left to PostgreSQL."""

from __future__ import annotations

import pytest

from twistnotify.sql import statements as sql
from twistnotify.sql.parse import _remembered, parse
from twistnotify.sql.statements import Other, Statement

ONE_STATEMENT: list[tuple[str, Statement]] = [
    ("BEGIN", sql.Begin("BEGIN")),
    ("begin work", sql.Begin("BEGIN")),
    ("BEGIN TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ ONLY, DEFERRABLE;", sql.Begin("BEGIN")),
    ("START TRANSACTION", sql.Begin("START TRANSACTION")),
    ("start transaction read write", sql.Begin("START TRANSACTION")),
    ("COMMIT", sql.Commit(chain=False)),
    ("commit work", sql.Commit(chain=False)),
    ("END", sql.Commit(chain=False)),
    ("END TRANSACTION AND NO CHAIN", sql.Commit(chain=False)),
    ("COMMIT AND CHAIN", sql.Commit(chain=True)),
    ("ROLLBACK", sql.Rollback(chain=False)),
    ("ABORT", sql.Rollback(chain=False)),
    ("rollback work and chain", sql.Rollback(chain=True)),
    ("SAVEPOINT S1", sql.Savepoint("s1")),
    ('SAVEPOINT "_pg3_1"', sql.Savepoint("_pg3_1")),
    ("RELEASE S1", sql.Release("s1")),
    ("RELEASE SAVEPOINT s1", sql.Release("s1")),
    ("ROLLBACK TO S1", sql.RollbackTo("s1")),
    ("ROLLBACK WORK TO SAVEPOINT s1", sql.RollbackTo("s1")),
    ("PREPARE TRANSACTION 'g'", sql.PrepareTransaction("g")),
    ("COMMIT PREPARED 'g'", Other("COMMIT")),
    ("ROLLBACK PREPARED 'g'", Other("ROLLBACK")),
    ("DISCARD ALL", sql.DiscardAll()),
    ("DISCARD PLANS", Other("DISCARD")),
    ("DISCARD TEMP", Other("DISCARD")),
    ("RESET ALL", sql.ResetAll()),
    ("reset all;", sql.ResetAll()),
    ("RESET work_mem", Other("RESET")),
    ("CLOSE ALL", sql.CloseAll()),
    ("CLOSE c", Other("CLOSE")),
    ('CLOSE "all"', Other("CLOSE")),
    ("DEALLOCATE ALL", sql.DeallocateAll()),
    ("DEALLOCATE PREPARE ALL", sql.DeallocateAll()),
    ("DEALLOCATE P1", sql.Deallocate("p1")),
    ('DEALLOCATE PREPARE "P1"', sql.Deallocate("P1")),
    ('DEALLOCATE "all"', sql.Deallocate("all")),
    ("SET twistnotify.listen_ack = confirmed", sql.SetAcknowledgement("listen_ack", "confirmed")),
    ("set session Twistnotify.Notify_Ack to 'Confirmed'", sql.SetAcknowledgement("notify_ack", "confirmed")),
    ('SET "TwistNotify"."LISTEN_ACK" TO "X"', sql.SetAcknowledgement("listen_ack", "x")),
    ("SET twistnotify.notify_ack TO on", sql.SetAcknowledgement("notify_ack", "on")),
    ("SET twistnotify.notify_ack TO DEFAULT", sql.SetAcknowledgement("notify_ack", None)),
    ("SET twistnotify.listen_ack = default", sql.SetAcknowledgement("listen_ack", None)),
    ("RESET twistnotify.listen_ack", sql.SetAcknowledgement("listen_ack", None)),
    ("SET LOCAL twistnotify.listen_ack = x", Other("SET")),
    ("SET LOCAL twistnotify.listen_ack TO DEFAULT", Other("SET")),
    ("SET twistnotify.listen_ack = 1", Other("SET")),
    ("SET twistnotify.listen_ack = a, b", Other("SET")),
    ("SET twistnotify.listen_ack FROM CURRENT", Other("SET")),
    ("SET twistnotify.other = x", Other("SET")),
    ("SET listen_ack = x", Other("SET")),
    ("SET application_name = 'It''s me'", sql.SetParameter("application_name", "It's me", False)),
    ("set SESSION Application_Name TO Me", sql.SetParameter("application_name", "me", False)),
    ('SET LOCAL "TimeZone" TO "Etc/UTC"', sql.SetParameter("timezone", "Etc/UTC", True)),
    ("SET application_name = ''", sql.SetParameter("application_name", "", False)),
    ("SET application_name = E'\\x41'", sql.SetParameter("application_name", "A", False)),
    ("SET application_name = a, b", Other("SET")),
    ("SET application_name FROM CURRENT", Other("SET")),
    ("SET application_name TO DEFAULT", sql.SetParameter("application_name", None, False)),
    ("SET LOCAL lock_timeout = DEFAULT", sql.SetParameter("lock_timeout", None, True)),
    ("RESET search_path", sql.SetParameter("search_path", None, False)),
    ("reset Bytea_Output", sql.SetParameter("bytea_output", None, False)),
    ("SET TIME ZONE 'UTC'", sql.SetParameter("timezone", "UTC", False)),
    ("SET LOCAL TIME ZONE utc", sql.SetParameter("timezone", "utc", True)),
    ("SET TIME ZONE LOCAL", sql.SetParameter("timezone", None, False)),
    ("SET TIME ZONE DEFAULT", sql.SetParameter("timezone", None, False)),
    ("RESET TIME ZONE", sql.SetParameter("timezone", None, False)),
    ("SET TIME ZONE -7", Other("SET")),
    ("SET TIME ZONE 1.5", Other("SET")),
    ("SET timezone = 0", Other("SET")),
    ("SET TIME ZONE INTERVAL '-08:00' HOUR TO MINUTE", Other("SET")),
    ("SET NAMES 'latin1'", sql.SetParameter("client_encoding", "latin1", False)),
    ("SET NAMES", sql.SetParameter("client_encoding", None, False)),
    ("SET NAMES DEFAULT", sql.SetParameter("client_encoding", None, False)),
    ("SET extra_float_digits = -3", sql.SetParameter("extra_float_digits", "-3", False)),
    ("SET extra_float_digits = 0", sql.SetParameter("extra_float_digits", "0", False)),
    ("SET statement_timeout TO 1500", sql.SetParameter("statement_timeout", "1500", False)),
    ("SET statement_timeout TO 1.50", sql.SetParameter("statement_timeout", "1.50", False)),
    ("SET statement_timeout TO 99999999999", sql.SetParameter("statement_timeout", "99999999999", False)),
    ("SET lock_timeout TO '5s'", sql.SetParameter("lock_timeout", "5s", False)),
    (
        "SET idle_in_transaction_session_timeout TO 0",
        sql.SetParameter("idle_in_transaction_session_timeout", "0", False),
    ),
    ("SET client_min_messages TO WARNING", sql.SetParameter("client_min_messages", "warning", False)),
    ("SET intervalstyle TO iso_8601", sql.SetParameter("intervalstyle", "iso_8601", False)),
    ("SET standard_conforming_strings TO on", sql.SetParameter("standard_conforming_strings", "on", False)),
    ("SET standard_conforming_strings TO TRUE", sql.SetParameter("standard_conforming_strings", "true", False)),
    ("SET datestyle TO ISO, 'DMY'", sql.SetParameter("datestyle", "iso, DMY", False)),
    ("SET datestyle = 'iso, dmy'", sql.SetParameter("datestyle", "iso, dmy", False)),
    ("SET search_path TO a, B", sql.SetParameter("search_path", "a, b", False)),
    (
        "SET search_path = \"$user\", 'a, b', \"select\", 'json', X1, 'é', 7",
        sql.SetParameter("search_path", '"$user", "a, b", "select", "json", x1, "é", 7', False),
    ),
    ("SET search_path = ''", sql.SetParameter("search_path", '""', False)),
    ("SET work_mem = '1MB'", Other("SET")),
    ("SET SESSION AUTHORIZATION DEFAULT", Other("SET")),
    ("SET TRANSACTION READ ONLY", Other("SET")),
    ("SHOW twistnotify.listen_ack", sql.ShowAcknowledgement("listen_ack")),
    ("show TWISTNOTIFY.NOTIFY_ACK", sql.ShowAcknowledgement("notify_ack")),
    ("SHOW server_version", Other("SHOW")),
    ("SHOW ALL", Other("SHOW")),
    ("SHOW TIME ZONE", sql.ShowParameter("timezone")),
    ('show "DateStyle"', sql.ShowParameter("datestyle")),
    ("SHOW search_path", sql.ShowParameter("search_path")),
    ("insert into t values (1)", Other("INSERT")),
    ("/* SELECT */ -- UPDATE\n delete from t", Other("DELETE")),
    ("/* \xe9\u65e5 */ UPDATE t SET a = 1", Other("UPDATE")),
    ("WITH a AS (SELECT pg_notify('a', 'b')) SELECT 1", Other("WITH")),
    ("((SELECT 1) UNION SELECT 2)", Other("SELECT")),
    ("VALUES (1)", Other("VALUES")),
    ("TABLE a", Other("TABLE")),
    ("COPY (SELECT pg_notify('a', 'b')) TO STDOUT", Other("COPY")),
    ("PREPARE p AS SELECT pg_notify('a', 'b')", Other("PREPARE")),
    ("EXECUTE p(1)", Other("EXECUTE")),
    ("EXPLAIN SELECT pg_notify('a', 'b')", Other("EXPLAIN")),
    ("CREATE RULE r AS ON INSERT TO t DO ALSO NOTIFY b", Other("CREATE")),
    ("DECLARE c CURSOR FOR SELECT 1", Other("DECLARE")),
]


@pytest.mark.parametrize(("text", "statement"), ONE_STATEMENT)
def test_a_statement_is_what_it_says(text: str, statement: Statement) -> None:
    assert parse(text) == (statement,)


@pytest.mark.parametrize(("text", "statement"), ONE_STATEMENT)
def test_company_and_length_change_no_statement(text: str, statement: Statement) -> None:
    padding = " " * 1_100
    assert parse(f"NOTIFY \xe9;/*\xa0*/{text};;COMMIT") == (
        sql.Notify("\xe9", ""),
        statement,
        sql.Commit(False),
    )
    assert parse(f"/*{padding}*/{text}") == (statement,)
    assert parse(f"NOTIFY a, 'x';{text}--{padding}\n; END")[1:] == (statement, sql.Commit(False))


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("BEGIN", "BEGIN"),
        (" begin  Work;\n;", "begin  Work"),
        ("/*é*/ BEGIN -- é;\n; --", "BEGIN"),
        (
            "START TRANSACTION /* é -- */ ISOLATION LEVEL\n SERIALIZABLE,READ ONLY/*;*/;",
            "START TRANSACTION /* é -- */ ISOLATION LEVEL\n SERIALIZABLE,READ ONLY",
        ),
    ],
)
def test_a_beginning_keeps_its_text_up_to_its_last_word(text: str, kept: str) -> None:
    for statement in (parse(text)[0], parse(f"LISTEN é;{text}")[1], parse(f"--{'x' * 1_100}\n{text}")[0]):
        assert isinstance(statement, sql.Begin)
        assert statement.text == kept


@pytest.mark.parametrize(
    ("text", "tag"),
    [("SET TIME ZONE LOCAL", "SET"), ("SET search_path TO DEFAULT", "SET"), ("RESET search_path", "RESET")],
)
def test_a_setting_that_is_reset_says_by_which_word(text: str, tag: str) -> None:
    (statement,) = parse(text)
    assert isinstance(statement, sql.SetParameter)
    assert statement.tag == tag


@pytest.mark.parametrize("text", ["", " \t\n\f", ";", " ; ;; ", "-- x", "/* x /* y */ */", "--\n;/**/;", ";" * 5_000])
def test_a_text_without_statements_is_empty(text: str) -> None:
    assert parse(text) == ()


def test_the_reset_query_of_a_pool_is_four_statements() -> None:
    text = "SELECT pg_advisory_unlock_all();\nCLOSE ALL;\nUNLISTEN *;\nRESET ALL;"
    assert parse(text) == (
        sql.AdvisoryUnlockAll("pg_advisory_unlock_all"),
        sql.CloseAll(),
        sql.Unlisten(None),
        sql.ResetAll(),
    )


def test_a_name_that_ends_in_a_no_break_space_keeps_it_among_others() -> None:
    assert parse("LISTEN a\xa0;LISTEN \u2003; LISTEN b\u3000") == (
        sql.Listen("a\xa0"),
        sql.Listen("\u2003"),
        sql.Listen("b\u3000"),
    )
    assert parse("NOTIFY a\xa0, '\ue000'; END") == (sql.Notify("a\xa0", "\ue000"), sql.Commit(False))


def test_a_text_of_pool_or_driver_is_remembered_and_one_with_a_literal_is_not() -> None:
    _remembered.cache_clear()
    for _ in range(2):
        parse("BEGIN")
        parse("SELECT pg_notify($1, $2)")
        parse("NOTIFY a, 'plain'")
        parse("NOTIFY a, E'x'")
        parse("NOTIFY a, $$x$$")
        parse("SELECT pg_notify('a', 'b')")
        parse("SELECT 1 --" + "x" * 200)
    assert _remembered.cache_info().currsize == 2
    assert _remembered.cache_info().hits == 2
