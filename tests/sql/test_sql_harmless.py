"""What a text may be without leaving anything in its session: little, and only what can be read for sure."""

from __future__ import annotations

import pytest

from twistnotify.sql import harmless
from twistnotify.sql.grammar import SHORT
from twistnotify.sql.harmless import HARMLESS_FUNCTIONS, is_harmless
from twistnotify.sql.statements import PARAMETERS


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-- nothing",
        "SELECT 1; ;",
        "SELECT count(*), sum(a) FILTER (WHERE b) OVER (PARTITION BY lower(c)) FROM t GROUP BY d HAVING max(e) > 1",
        "SELECT * FROM t JOIN u USING (id) WHERE a = $1 AND b LIKE 'x%' ORDER BY coalesce(c, d) LIMIT $2 FOR UPDATE",
        "SELECT extract(year FROM now()), trim(a), position('x' IN b), c AT TIME ZONE 'UTC', CURRENT_USER FROM t",
        "SELECT pg_catalog.lower(a), a::text, CASE WHEN b THEN ARRAY[1] END, (SELECT 1), EXISTS (SELECT 1) FROM t",
        "SELECT pg_advisory_xact_lock(1)",
        "WITH moved AS (DELETE FROM t RETURNING *) INSERT INTO u SELECT * FROM moved ON CONFLICT DO NOTHING",
        "UPDATE t SET a = upper(b) FROM u WHERE t.id = u.id RETURNING *",
        "VALUES (1), (2)",
        "TABLE t",
        "BEGIN ISOLATION LEVEL SERIALIZABLE; SAVEPOINT s; ROLLBACK TO s; RELEASE s; COMMIT AND CHAIN; ROLLBACK",
        "PREPARE TRANSACTION 'x'",
        "SET TRANSACTION READ ONLY",
        "SHOW work_mem; SHOW ALL",
        "SET TIME ZONE 2; SET LOCAL statement_timeout = '1s'; SET search_path TO a, b; SET NAMES 'UTF8'",
        "RESET TimeZone; RESET ALL; SET lock_timeout TO DEFAULT",
        "SET twistnotify.notify_ack = committed",
        "LISTEN a; NOTIFY a, 'x'; UNLISTEN *; SELECT pg_notify('a', 'x')",
        "CLOSE ALL; DEALLOCATE ALL; DISCARD ALL; SELECT pg_advisory_unlock_all()",
    ],
)
def test_what_only_reads_writes_or_speaks_is_harmless(text: str) -> None:
    assert is_harmless(text)


@pytest.mark.parametrize(
    "text",
    [
        "SELECT f()",
        "SELECT public.lower(a) FROM t",
        "SELECT set_config('a.b', 'c', false)",
        "SELECT 1; SELECT pg_advisory_lock(1)",
        "SELECT * FROM f()",
        "SELECT 1 FROM t WHERE a = f(b)",
        "SELECT 1 ORDER BY (SELECT max(b) FROM (SELECT nextval('s') AS b) AS c)",
        "SELECT sum(a) FILTER (WHERE f(b)) FROM t",
        "SELECT sum(a) OVER (PARTITION BY f(b)) FROM t",
        "SELECT 1 LIMIT f()",
        "SELECT CASE WHEN f() THEN 1 END",
        "SELECT ARRAY(SELECT f())",
        "INSERT INTO t VALUES (nextval('s'))",
        "INSERT INTO t VALUES (1) ON CONFLICT (a) DO UPDATE SET b = setseed(1)",
        "UPDATE t SET a = setval('s', 1)",
        "DELETE FROM t RETURNING currval('s')",
        "WITH a AS (SELECT f()) SELECT 1",
        "SELECT 1 INTO TEMP t",
        "CREATE TABLE t (a int)",
        "PREPARE p AS SELECT 1",
        "EXECUTE p",
        "DECLARE c CURSOR WITH HOLD FOR SELECT 1",
        "COPY t TO STDOUT",
        "DO 'BEGIN END'",
        "CALL p()",
        "EXPLAIN SELECT 1",
        "LOCK t",
        "LOAD 'x'",
        "SET work_mem = '1MB'",
        "SET my.setting = 'x'",
        "RESET work_mem",
        "SET ROLE a",
        "SET SESSION AUTHORIZATION a",
        "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
        "SET twistnotify.notify_ack = a, b",
        "oops",
        "SELECT '",
        "SELECT 1\0",
        "SELECT '\ud800'",
    ],
)
def test_all_else_is_in_doubt(text: str) -> None:
    assert not is_harmless(text)


@pytest.mark.parametrize("name", PARAMETERS)
def test_the_settings_that_are_kept_may_be_set(name: str) -> None:
    assert is_harmless(f'SET "{name.upper()}" TO DEFAULT')


def test_a_text_that_is_too_long_to_be_read_is_in_doubt() -> None:
    text = "SELECT '{}'"
    room = SHORT - len(text.format(""))
    assert is_harmless(text.format(room * "x"))
    assert not is_harmless(text.format((room + 1) * "x"))


@pytest.mark.parametrize(("text", "answer"), [("SELECT 1{}", True), ("SELECT f(1{})", False)])
def test_a_deep_tree_costs_no_stack(text: str, answer: bool) -> None:
    assert is_harmless(text.format("+1" * 480)) == answer


def test_only_texts_without_literals_are_remembered() -> None:
    harmless._remembered.cache_clear()
    for text in ("SELECT 'secret'", "SELECT $$secret$$", "SELECT $a$secret$a$", "SELECT * FROM t WHERE a = $1"):
        is_harmless(text)
    assert harmless._remembered.cache_info().currsize == 1


@pytest.mark.parametrize(
    "name",
    ["set_config", "nextval", "setval", "lastval", "setseed", "pg_advisory_lock", "pg_try_advisory_lock", "lo_open"],
)
def test_no_function_that_leaves_something_is_allowed(name: str) -> None:
    assert name not in HARMLESS_FUNCTIONS
