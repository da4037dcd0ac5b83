"""The SELECTs that are answered here, and those that are not."""

from __future__ import annotations

import pytest

from twistnotify.sql.parse import parse
from twistnotify.sql.statements import (
    AdvisoryUnlockAll,
    BackendPid,
    CallNotify,
    Constant,
    ListeningChannels,
    Other,
    Parameter,
    Statement,
)


def call(channel: object, payload: object, column: str = "pg_notify") -> CallNotify:
    return CallNotify(channel, payload, column)  # type: ignore[arg-type]


ONE, TWO = Parameter(1), Parameter(2)

OURS: list[tuple[str, Statement]] = [
    ("select pg_notify('a','b')", call("a", "b")),
    ("select pg_notify( 'chat' , 'simple' )", call("chat", "simple")),
    ("select pg_notify(('my'),('m''x'))", call("my", "m'x")),
    ("SELECT PG_NOTIFY($1, $2);", call(ONE, TWO)),
    ("(SELECT pg_notify($2, $1))", call(TWO, ONE)),
    ("SELECT ALL pg_catalog.pg_notify($1, 'x') AS \"N\"", call(ONE, "x", "N")),
    ('SELECT pg_catalog . "pg_notify" (NULL, null) n', call(None, None, "n")),
    ("SELECT /* a */ pg_notify(-- b\n 'A', E'\\x41')", call("A", "A")),
    ("SELECT pg_notify($$a$$, $x$b$x$)", call("a", "b")),
    ("SELECT pg_notify(U&'\\0061', 'x'\n'y')", call("a", "xy")),
    ("SELECT pg_notify('a'::text, $1::varchar)", call("a", ONE)),
    ("SELECT pg_notify(CAST($1 AS pg_catalog.text), (('x')::character varying)::text)", call(ONE, "x")),
    ("SELECT pg_notify(text 'a', varchar 'b')", call("a", "b")),
    ("SELECT pg_notify(NULL::text, $2::pg_catalog.varchar)", call(None, TWO)),
    ("SELECT pg_notify('', '')", call("", "")),
    ("SELECT pg_notify('" + "x" * 100 + "', 'y')", call("x" * 100, "y")),
    ("SELECT pg_notify('a', '" + "\xe9" * 4_000 + "')", call("a", "\xe9" * 4_000)),
    ("SELECT pg_notify('a', '" + "+" * 7_999 + "')", call("a", "+" * 7_999)),
    ("SELECT pg_listening_channels()", ListeningChannels("pg_listening_channels")),
    ("select pg_catalog.pg_listening_channels() as c", ListeningChannels("c")),
    ("SELECT * FROM pg_listening_channels()", ListeningChannels("pg_listening_channels")),
    ("select * from pg_catalog.pg_listening_channels();", ListeningChannels("pg_listening_channels")),
    ("SELECT pg_backend_pid()", BackendPid("pg_backend_pid")),
    ("SELECT pg_catalog.pg_backend_pid() pid", BackendPid("pid")),
    ("SELECT pg_advisory_unlock_all()", AdvisoryUnlockAll("pg_advisory_unlock_all")),
    ("SELECT 1", Constant(1, "?column?")),
    ("SELECT 0 AS zero", Constant(0, "zero")),
    ("SELECT -1 x", Constant(-1, "x")),
    ("SELECT (- 7)", Constant(-7, "?column?")),
    ("SELECT 0x10", Constant(16, "?column?")),
    ("SELECT 2147483647", Constant(2_147_483_647, "?column?")),
    ("SELECT -2147483648", Constant(-2_147_483_648, "?column?")),
    ("/* ping */ SELECT 1", Constant(1, "?column?")),
]

NOT_OURS = [
    "SELECT pg_notify('a')",
    "SELECT pg_notify('a', 'b', 'c')",
    "SELECT pg_notify()",
    "SELECT pg_notify(*)",
    "SELECT pg_notify(1, 'x')",
    "SELECT pg_notify('a', 1)",
    "SELECT pg_notify('a', 1::text)",
    "SELECT pg_notify('a', true)",
    "SELECT pg_notify('a', B'1')",
    "SELECT pg_notify('a', N'x')",
    "SELECT pg_notify('a', $0)",
    "SELECT pg_notify('a', 'b' || 'c')",
    "SELECT pg_notify('a', now()::text)",
    "SELECT pg_notify('a', 'b'::varchar(4))",
    "SELECT pg_notify('a', 'b'::char)",
    "SELECT pg_notify('a', 'b'::name)",
    "SELECT pg_notify('a', 'b'::json)",
    "SELECT pg_notify('a', 'b'::public.text)",
    "SELECT pg_notify('a', '{b}'::text[])",
    "SELECT pg_notify('a', 'b' COLLATE \"C\")",
    "SELECT pg_notify('a', (SELECT 'b'))",
    "SELECT pg_notify(VARIADIC ARRAY['a', 'b'])",
    "SELECT pg_notify('a', VARIADIC 'b')",
    "SELECT pg_notify(DISTINCT 'a', 'b')",
    "SELECT pg_notify('a', 'b' ORDER BY 1)",
    "SELECT pg_notify('a', 'b') FILTER (WHERE true)",
    "SELECT pg_notify('a', 'b') OVER ()",
    "SELECT pg_notify('a', 'b') WITHIN GROUP (ORDER BY 1)",
    "SELECT pg_notify(channel => 'a', payload => 'b')",
    "SELECT pg_notify('a', payload := 'b')",
    "SELECT public.pg_notify('a', 'b')",
    "SELECT db.pg_catalog.pg_notify('a', 'b')",
    "SELECT \"PG_NOTIFY\"('a', 'b')",
    "SELECT pg_notify('a', 'b'), 1",
    "SELECT pg_notify('a', 'b'), pg_notify('c', 'd')",
    "SELECT pg_notify('a', 'b')::text",
    "SELECT pg_notify('a', 'b') IS NULL",
    "SELECT (pg_notify('a', 'b')).x",
    "SELECT DISTINCT pg_notify('a', 'b')",
    "SELECT DISTINCT ON (1) pg_notify('a', 'b')",
    "SELECT pg_notify('a', 'b') INTO t",
    "SELECT pg_notify('a', 'b') FROM t",
    "SELECT pg_notify('a', 'b') WHERE true",
    "SELECT pg_notify('a', 'b') GROUP BY ()",
    "SELECT pg_notify('a', 'b') HAVING true",
    "SELECT pg_notify('a', 'b') WINDOW w AS ()",
    "SELECT pg_notify('a', 'b') ORDER BY 1",
    "SELECT pg_notify('a', 'b') LIMIT 1",
    "SELECT pg_notify('a', 'b') LIMIT ALL",
    "SELECT pg_notify('a', 'b') OFFSET 0",
    "SELECT pg_notify('a', 'b') FOR UPDATE",
    "SELECT pg_notify('a', 'b') UNION ALL SELECT pg_notify('c', 'd')",
    "SELECT * FROM pg_notify('a', 'b')",
    "SELECT pg_listening_channels(), 1",
    "SELECT pg_listening_channels() FROM t",
    "SELECT pg_listening_channels(1)",
    "SELECT count(*) FROM pg_listening_channels()",
    "SELECT c.* FROM pg_listening_channels() c",
    "SELECT * FROM pg_listening_channels() AS c",
    "SELECT * FROM pg_listening_channels() WITH ORDINALITY",
    "SELECT * FROM LATERAL pg_listening_channels()",
    "SELECT * FROM ROWS FROM (pg_listening_channels())",
    "SELECT * FROM pg_listening_channels(), t",
    "SELECT * FROM pg_listening_channels() AS (a text)",
    "SELECT * FROM pg_backend_pid()",
    "SELECT * FROM current_user",
    "SELECT * FROM t",
    "SELECT *",
    "SELECT",
    "SELECT FROM t",
    "SELECT pg_backend_pid(1)",
    "SELECT pg_backend_pid() + 1",
    "SELECT other()",
    "SELECT 2147483648",
    "SELECT -2147483649",
    "SELECT 1.5",
    "SELECT +1",
    "SELECT 'x'",
    "SELECT NULL",
    "SELECT true",
    "SELECT $1",
    "SELECT 1::int",
    "SELECT 1, 2",
    "SELECT 1 WHERE true",
    "SELECT pg_notify('a', '" + "x" * 40_000 + "')",
    "SELECT pg_notify('a', '" + "x" * 2_000 + "') WHERE " + "1=1 AND " * 40 + "true",
]


@pytest.mark.parametrize(("text", "statement"), OURS)
def test_a_plain_select_is_answered_here(text: str, statement: Statement) -> None:
    assert parse(text) == (statement,)


@pytest.mark.parametrize("text", NOT_OURS)
def test_any_other_select_is_left_to_postgresql(text: str) -> None:
    assert parse(text) == (Other("SELECT"),)
