"""Whatever stands in a payload or a channel's name arrives as it was sent, and runs nowhere as SQL."""

from __future__ import annotations

from typing import Any

import pytest
from psycopg2.extensions import quote_ident
from support.clients import hear, listen, run
from support.postgres import PostgresServer
from support.process import TwistnotifyProcess

PAYLOADS = [
    "it's",
    "''",
    '"quoted"',
    "a;b; SELECT 1;",
    "back\\slash \\' \\n \\x41",
    "line\nbreak\r\n\ttab",
    "Zoë £ 日本語 🐘 é é",
    "$$dollar$$ $1 %s %(name)s",
    "-- comment /* and */ another",
    "\x01\x7f",
    "x'); DROP TABLE victim; --",
    "'; DROP TABLE victim; --",
    "\\'; DROP TABLE victim; --",
    "x', 'y'); COMMIT; DROP TABLE victim; --",
    "",
    "7999 bytes: ".ljust(7999, "'"),
    "é" * 3999,
]
CHANNELS = [
    "plain",
    "MixedCase",
    "with space",
    "apostrophe's",
    'double"quote',
    "semi;colon",
    "back\\slash",
    "new\nline",
    "日本語🐘",
    "é",
    "é",
    "$1 %s",
    "select",
    "*",
    "x; DROP TABLE victim; --",
    'x"; DROP TABLE victim; --',
    "c" * 63,
]


@pytest.fixture
def victim(postgres: PostgresServer) -> Any:
    """A connection to PostgreSQL, and a table that has to survive."""
    direct = postgres.connect()
    run(direct, "DROP TABLE IF EXISTS victim; CREATE TABLE victim (id int)")
    yield direct
    assert run(direct, "SELECT count(*) FROM victim") == [(0,)]


@pytest.mark.parametrize("payload", PAYLOADS, ids=range(len(PAYLOADS)))
def test_a_payload_arrives_unchanged(server: TwistnotifyProcess, victim: Any, payload: str) -> None:
    ours, direct = listen(server.connect(), "quoting"), listen(victim, "quoting")
    sender = server.connect()
    # psycopg2 puts its arguments into the text, quoted as libpq does it: E'' where there is a backslash.
    run(sender, "NOTIFY quoting, %s", payload)
    run(sender, "SELECT pg_notify(%s, %s)", "quoting", payload)
    run(sender, "NOTIFY quoting, %s; SELECT 1", payload)
    run(direct, "SELECT pg_notify('quoting', %s)", payload)
    assert hear(ours, 4) == [("quoting", payload)] * 4
    assert hear(direct, 4) == [("quoting", payload)] * 4
    run(direct, "UNLISTEN *")


@pytest.mark.parametrize("channel", CHANNELS, ids=range(len(CHANNELS)))
def test_a_channel_has_the_name_it_was_given(server: TwistnotifyProcess, victim: Any, channel: str) -> None:
    ours, direct = server.connect(), victim
    run(ours, f"LISTEN {quote_ident(channel, ours)}")
    run(direct, f"LISTEN {quote_ident(channel, direct)}")
    sender = server.connect()
    run(sender, f"NOTIFY {quote_ident(channel, sender)}, 'text'")
    run(sender, "SELECT pg_notify(%s, 'function')", channel)
    expected = [(channel, "text"), (channel, "function")]
    assert hear(ours, 2) == expected
    assert hear(direct, 2) == expected
    run(direct, "UNLISTEN *")


def test_names_are_folded_unless_quoted(server: TwistnotifyProcess) -> None:
    connection = server.connect()
    run(connection, 'LISTEN Folded; LISTEN "Folded"')
    run(connection, "NOTIFY FOLDED, '1'; NOTIFY \"Folded\", '2'; NOTIFY \"FOLDED\", '3'")
    assert hear(connection, 2) == [("folded", "1"), ("Folded", "2")]


def test_every_form_of_a_literal_is_understood(server: TwistnotifyProcess) -> None:
    connection = listen(server.connect(), "forms")
    run(connection, r"""NOTIFY forms, 'it''s'; NOTIFY forms, E'it\'s\n'; NOTIFY forms, U&'\0041\+01F418';""")
    run(connection, "NOTIFY forms, $tag$it's; $$ $tag$; NOTIFY /* here */ forms -- and there\n, 'a'\n'b'")
    run(connection, r"""NOTIFY U&"\0066orms" """)
    payloads = [payload for _, payload in hear(connection, 6)]
    assert payloads == ["it's", "it's\n", "A🐘", "it's; $$ ", "ab", ""]
