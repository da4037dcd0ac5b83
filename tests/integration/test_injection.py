"""Any text is a channel's name or a payload and nothing else, all the way through PostgreSQL; any name fits in a log.

The cases are drawn at random, and with what quoting goes by; the seed is printed.
"""

from __future__ import annotations

import os
import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from psycopg2.extensions import quote_ident
from support.clients import heard, run, wait_for_notifies
from support.postgres import PostgresServer
from support.process import TwistnotifyProcess
from support.raw import RawClient, names, notifications
from support.security import SCRAM, running, write_userlist
from support.versions import one_version

from twistnotify.wire.authentication import AuthenticationSASL, SASLInitialResponse, SASLResponse
from twistnotify.wire.catalog import BackendMessage
from twistnotify.wire.extended_query import Bind, Execute, Parse, Sync
from twistnotify.wire.startup import PROTOCOL_3_0, StartupMessage

CASES = 120
MAX_CHANNEL, MAX_PAYLOAD = 63, 7999
"""Bytes."""
TRICKS = (
    *("'", '"', "\\", "$", "$$", "$tag$", "E'", "U&'", 'U&"', "\\0041", "\\u0041", "''", '""', "\\'", '\\"', "--"),
    *("/*", "*/", ";", "\n", "\r\n", "\t", " ", "%s", "$1", ":x", "{}", "\x01", "\x1b[2J", "\x7f", "\x85", "\u2028"),
    *("\ufeff", "\u202e", "\u00a0", "é", "e\u0301", "İ", "ß", "日本", "🐘", "\uffff", "\U0010ffff", "NULL", "*"),
    *("'; DROP TABLE victim; --", '"; DROP TABLE victim; --', "'); DROP TABLE victim; --", "a", "A", "0"),
)

STAMP = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d{4} \["
"""How Twisted begins a line."""

Case = tuple[str, str]
Send = Callable[..., list[BackendMessage]]
Way = tuple[Send, Callable[[str, str], str]]
"""How something is sent, and the statement that says a channel and a payload."""


@pytest.fixture
def draw() -> random.Random:
    """What draws the cases."""
    seed = int(os.environ.get("TWISTNOTIFY_SEED", random.randrange(2**32)))
    print(f"TWISTNOTIFY_SEED={seed}")
    return random.Random(seed)


@pytest.fixture
def victim(postgres: PostgresServer) -> Iterator[Any]:
    """A connection to PostgreSQL, and a table that has to survive."""
    direct = postgres.connect()
    run(direct, "DROP TABLE IF EXISTS victim; CREATE TABLE victim (id int)")
    yield direct
    assert run(direct, "SELECT count(*) FROM victim") == [(0,)]
    run(direct, "DROP TABLE victim")


def character(draw: random.Random) -> str:
    """Return any character of Unicode that text in PostgreSQL can have."""
    while True:
        code = draw.randrange(1, draw.choice((0x80, 0x800, 0x10000, 0x110000)))
        if not 0xD800 <= code < 0xE000:
            return chr(code)


def text(draw: random.Random, most: int) -> str:
    """Return a text of at most so many bytes."""
    parts: list[str] = []
    for _ in range(draw.randint(1, draw.choice((3, 10, 40)))):
        part = draw.choice(TRICKS) if draw.random() < 0.6 else character(draw)
        if len("".join([*parts, part]).encode()) <= most:
            parts.append(part)
    return "".join(parts)


def cases(draw: random.Random) -> list[Case]:
    """Return channels and payloads, with the longest that there can be."""
    drawn = [(text(draw, MAX_CHANNEL) or "x", text(draw, MAX_PAYLOAD)) for _ in range(CASES)]
    drawn += [(trick * (MAX_CHANNEL // len(trick.encode())), trick) for trick in TRICKS if len(trick.encode()) <= 63]
    return drawn + [("longest", trick * (MAX_PAYLOAD // len(trick.encode()))) for trick in ("'", "\\", "é", "🐘")]


def identifier(name: str) -> str:
    return '"{}"'.format(name.replace('"', '""'))


def literal(value: str) -> str:
    return "'{}'".format(value.replace("'", "''"))


def escaped(value: str) -> str:
    """Return a literal with escapes, in which a backslash is none by itself."""
    return "E'{}'".format(value.replace("\\", "\\\\").replace("'", "\\'"))


def by_code_points(value: str, quote: str) -> str:
    """Return a literal, or an identifier, that says all of its characters by their numbers."""
    return "U&{0}{1}{0}".format(quote, "".join(f"\\+{ord(c):06X}" for c in value))


def dollar_quoted(value: str) -> str:
    """Return a literal without any escape, between tags that are not in it."""
    tag = next(f"$q{number}$" for number in range(1000) if f"$q{number}" not in value)
    return f"{tag}{value}{tag}"


def in_extended_protocol(client: RawClient, sql: str, *values: str) -> list[BackendMessage]:
    arguments = tuple(value.encode() for value in values)
    client.send(Parse(b"", sql.encode(), ()), Bind(b"", b"", (), arguments, ()), Execute(b"", 0), Sync())
    return client.until_ready()


def in_simple_protocol(client: RawClient, sql: str, *_: str) -> list[BackendMessage]:
    return client.query(sql)


PARAMETERS = "extended pg_notify"
WAYS: dict[str, Way] = {
    "NOTIFY": (in_simple_protocol, lambda channel, payload: f"NOTIFY {identifier(channel)}, {literal(payload)}"),
    "NOTIFY E": (in_simple_protocol, lambda channel, payload: f"NOTIFY {identifier(channel)}, {escaped(payload)}"),
    "NOTIFY U&": (
        in_simple_protocol,
        lambda channel, payload: "NOTIFY {}, {}".format(by_code_points(channel, '"'), by_code_points(payload, "'")),
    ),
    "NOTIFY $$": (
        in_simple_protocol,
        lambda channel, payload: f"NOTIFY {identifier(channel)}, {dollar_quoted(payload)}",
    ),
    "several statements": (
        in_simple_protocol,
        lambda channel, payload: f"SELECT 1;/* ' */ NOTIFY {identifier(channel)}, {literal(payload)} -- it's\n;",
    ),
    "pg_notify": (
        in_simple_protocol,
        lambda channel, payload: f"SELECT pg_notify({literal(channel)}, {escaped(payload)})",
    ),
    "relayed": (
        in_simple_protocol,
        lambda channel, payload: f"SELECT 0 + 1 FROM pg_notify({literal(channel)}, {literal(payload)})",
    ),
    "extended NOTIFY": (
        in_extended_protocol,
        lambda channel, payload: f"NOTIFY {identifier(channel)}, {literal(payload)}",
    ),
    PARAMETERS: (in_extended_protocol, lambda *_: "SELECT pg_notify($1, $2)"),
}


@one_version
@pytest.mark.parametrize("way", WAYS)
def test_any_text_comes_back_as_it_was(server: TwistnotifyProcess, victim: Any, draw: random.Random, way: str) -> None:
    send, statement = WAYS[way]
    expected = cases(draw)
    with RawClient(server.port) as client:
        for channel, payload in expected:
            name = by_code_points(channel, '"') if way == "NOTIFY U&" else identifier(channel)
            assert names(client.query(f"LISTEN {name}")) == ["LISTEN", "ready I"], (channel, payload)
            run(victim, f"LISTEN {quote_ident(channel, victim)}")
            values = (channel, payload) if way == PARAMETERS else ()
            answer = send(client, statement(channel, payload), *values)
            assert not [name for name in names(answer) if "ERROR" in name], (channel, payload, names(answer))
            while not notifications(answer):
                answer.append(client.read())
            assert notifications(answer) == [(channel, payload)]
            client.query("UNLISTEN *")
    wait_for_notifies(victim, len(expected))
    assert heard(victim) == expected


NAMES = [
    "new\nline",
    "2026-01-01T00:00:00+0000 [-] log-in of postgres\r\n",
    "\x1b[2J\x1b]0;title\x07",
    "\x08\x08\x08 back",
    "\x7f\x85\u2028\u2029",
    "\u202eright to left",
    "\udcff\udc80 no UTF-8",
    "{user} {0} %s %(user)s",
    'quote" and (parentheses)',
    "long" * 1000,
]


@one_version
@pytest.mark.parametrize("hba", ["", "local all all trust\n"], ids=["wrong password", "no line"])
def test_names_of_clients_are_a_part_of_their_line_in_the_log(
    postgres: PostgresServer, tmp_path: Path, hba: str
) -> None:
    write_userlist(tmp_path, {SCRAM.name: SCRAM.password})
    (tmp_path / "hba.conf").write_text(hba)
    settings = {"auth_type": "hba", "auth_hba_file": "hba.conf"} if hba else {"auth_type": "scram-sha-256"}
    with running(postgres, tmp_path, auth_file="userlist.txt", **settings) as server:
        for name in NAMES:
            with RawClient(server.port, database=None) as client:
                parameters = {"user": name, "database": name[::-1], "application_name": name[:99]}
                client.send(StartupMessage(PROTOCOL_3_0, parameters).encode())
                if isinstance(client.read(), AuthenticationSASL):
                    client.send(SASLInitialResponse(b"SCRAM-SHA-256", b"n,,n=,r=nonce"))
                    client.read()
                    client.send(SASLResponse(b"c=biws,r=nonce,p=" + b"A" * 43 + b"="))
                    client.until_end()
        server.wait_for_log("log-in refused", len(NAMES))
        log = server.log()
    lines = log.split("\n")[:-1]
    assert not [line for line in lines if not re.match(STAMP, line)], log
    assert len([line for line in lines if "log-in refused" in line]) == len(NAMES)
    assert not [character for character in log if not character.isprintable() and character != "\n"], log
    assert max(len(line) for line in lines) < 1000
    for shown in ("new\\x0aline", "\\x1b[2J", "\\u202eright", "\\udcff", "{user} {0} %s %(user)s"):
        assert f'user "{shown}' in log
