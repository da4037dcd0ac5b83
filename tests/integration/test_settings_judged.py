"""What a setting becomes is what PostgreSQL says it becomes, and what restores it restores it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import psycopg2
import pytest
from support.clients import run
from support.postgres import PostgresServer

from twistnotify.session import encodings
from twistnotify.session.settings import NAMES, REPORTED, REPORTED_FROM_18, judge
from twistnotify.sql.parse import parse
from twistnotify.sql.quoting import quote_identifier, reset_statement, set_statement
from twistnotify.sql.statements import SetParameter

SEED = 20_250_917
RANDOM_VALUES = 3_000

# Says what a setting is shown as once it is set, and is over with it at its end; NULL where it is refused.
PROBE = """
CREATE OR REPLACE FUNCTION pg_temp.probe(name text, value text, before text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    IF before <> '' THEN
        PERFORM pg_catalog.set_config(name, before, true);
    END IF;
    IF name = 'search_path' THEN
        PERFORM pg_catalog.set_config(name, value, true);
    ELSE
        EXECUTE pg_catalog.format('SET LOCAL %I TO %L', name, value);
    END IF;
    RETURN pg_catalog.current_setting(name);
EXCEPTION WHEN OTHERS THEN
    RETURN NULL;
END $$
"""

SPELLINGS = ["", "{}", " {}", "{} ", "'{}'", '"{}"', "{},", "{}x", "x{}", "{},{}", "\xe9{}", "{}\u212a"]
WORDS = {
    "application_name": ["psql", "it's me", "\\x41", "a\tb", "a\x7f", "~ !", "J\xfcrgen", "x" * 63, "x" * 64, "%s"],
    "client_encoding": [
        *encodings._CODECS,
        *encodings._ALIASES,
        *("utf-8", "Latin 1", "sql ascii", "MULE_INTERNAL", "auto", "utf16", "iso-8859-1", "win-1252", "_", "-"),
    ],
    "datestyle": [
        *("ISO", "sql", "postgres", "POSTGRESQL", "german", "german, us", "mdy", "us", "noneuro", "noneuropean"),
        *("dmy", "euro", "european", "europe", "ymd", "iso, dmy", "dmy,iso", "iso , ymd", "default", "iso, default"),
        *("iso, sql", "sql,sql", "dmy, ymd", "us, mdy", "german, german", "mdy, german", "iso mdy", "is", "postgresx"),
    ],
    "intervalstyle": ["postgres", "Postgres_Verbose", "sql_standard", "ISO_8601", "iso", "iso-8601"],
    "timezone": [
        *("UTC", "utc", "gmt", "GMT", "Etc/UTC", "etc/utc", "Zulu", "UTC0", "GMT0", "Europe/Berlin", "europe/berlin"),
        *("EST5EDT", "Z", "+2", "-7", "0", "local", "default", "UCT", "Etc/GMT", "\uff35TC", "<+02>-02"),
    ],
    "extra_float_digits": [*map(str, range(-17, 6)), "+1", "-0", "01", "0x2", "1.4", "1.5", "1e0", "2e", "on", "1s"],
    "client_min_messages": [
        *("debug", "debug0", "debug1", "debug2", "debug3", "debug4", "debug5", "debug6", "log", "info", "notice"),
        *("warn", "Warning", "ERROR", "fatal", "panic", "1"),
    ],
    "bytea_output": ["hex", "HEX", "escape", "Escape", "base64", "h"],
    "standard_conforming_strings": [
        *("on", "ON", "o", "of", "off", "t", "tr", "tru", "True", "trues", "f", "false", "y", "ye", "yes", "n", "no"),
        *("1", "0", "2", "01"),
    ],
    "search_path": [
        *("public", '"$user", public', "$user", "a,b", "a , b", "a,  B", "a b", "1a", "a-b", "a.b", "a$1", '"a""b"'),
        *('""', '"a', 'a"b', '"a"b', '"a" "b"', ",", "a,,b", "json", "select", "pg_temp", "pg_catalog, a", "x" * 70),
        *('"a,b"', '"a\nb"', "a\n,b", "'a'", "a;b", '"\\"', "é", '"é"', "A"),
    ],
}
TIMES = [
    *("0", "1", "999", "1000", "1001", "60000", "5400000", "86400000", "2147483647", "2147483648", "99999999999999"),
    *("-1", "+1", "007", "010", "0x10", "1.5", "1.4", ".5", "1e3", "1_000", ""),
]
UNITS = ["", "us", "ms", "s", "min", "h", "d", "S", "MS", "sec", "m", "days", " us", " s", "  min", "\ts", "\xa0s"]
TIMEOUTS = [name for name in NAMES if name.endswith("_timeout")]
STYLES = [f"{style}, {order}" for style in ("ISO", "Postgres", "SQL", "German") for order in ("MDY", "DMY", "YMD")]


@pytest.fixture
def direct(postgres: PostgresServer) -> Any:
    """A connection to PostgreSQL that can probe settings."""
    connection = postgres.connect()
    run(connection, PROBE)
    return connection


def table() -> Iterator[tuple[str, str]]:
    for name, words in WORDS.items():
        for word in words:
            yield name, word
        yield from ((name, spelling.format(word, word)) for word in words for spelling in SPELLINGS)
        yield from ((name, changed) for word in words for changed in (word.upper(), word.lower(), word.swapcase()))
    for name in TIMEOUTS:
        yield from ((name, f"{number}{unit}") for number in TIMES for unit in UNITS)


def drawn(source: random.Random) -> tuple[str, str]:
    """Draw a setting, and a value near to one that it has."""
    name = source.choice(list(NAMES))
    words = WORDS.get(name, TIMES)
    if name in TIMEOUTS:
        number = str(source.randrange(10 ** source.randrange(1, 15)))
        return name, number + source.choice(UNITS)
    parts = [source.choice(words) for _ in range(source.choice((1, 1, 2, 3)))]
    value = source.choice((",", ", ", " ,", " ")).join(parts)
    at = source.randrange(len(value) + 1)
    spoiled = source.choice(("", "", "", " ", "_", "-", "'", '"', "\\", "0", "a", "\xe9", ",", "\u212a", "\x01"))
    return name, value[:at] + spoiled + value[at + source.choice((0, 0, 1)) :]


def befores(name: str) -> list[str]:
    return STYLES if name == "datestyle" else [""]


def check(direct: Any, name: str, value: str, before: str) -> bool:
    """Ask both and tell whether we knew."""
    ours = judge(name, value, before)
    ((theirs,),) = run(direct, "SELECT pg_temp.probe(%s, %s, %s)", name, value, before)
    assert ours is None or ours == theirs, (name, value, before)
    return ours is not None


def test_every_setting_is_in_the_table() -> None:
    assert {name for name, _ in table()} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_judged_here_is_what_postgresql_shows(direct: Any, name: str) -> None:
    values = dict.fromkeys(value for each, value in table() if each == name)
    known = [check(direct, name, value, before) for value in values for before in befores(name)]
    assert any(known)
    assert not all(known)


def test_values_near_to_good_ones_are_judged_as_postgresql_judges_them(direct: Any) -> None:
    print(f"seed {SEED}")
    source = random.Random(SEED)
    known = 0
    for _ in range(RANDOM_VALUES):
        name, value = drawn(source)
        known += check(direct, name, value, source.choice(befores(name)))
    assert known > RANDOM_VALUES // 20


def test_every_encoding_can_be_had_where_the_database_has_one_that_is_said_to_convert(postgres: PostgresServer) -> None:
    for database in ("LATIN1", "SQL_ASCII", "EUC_JP"):
        if not postgres.fetch("SELECT 1 FROM pg_database WHERE datname = %s", database.lower()):
            postgres.fetch(f"CREATE DATABASE {database} ENCODING '{database}' LOCALE 'C' TEMPLATE template0")
        connection = postgres.connect(database.lower())
        run(connection, PROBE)
        for value in WORDS["client_encoding"]:
            ours = judge("client_encoding", value, "UTF8", database)
            ((theirs,),) = run(connection, "SELECT pg_temp.probe('client_encoding', %s, '')", value)
            assert ours is None or ours == theirs, (database, value)
        assert judge("client_encoding", database, "UTF8", database) == database


@pytest.mark.parametrize("name", NAMES.values())
def test_show_calls_its_column_by_the_name_known_here(direct: Any, name: str) -> None:
    with direct.cursor() as cursor:
        cursor.execute(f"SHOW {name.upper()}")
        assert cursor.description[0].name == name


def test_what_is_said_to_be_reported_is_reported(postgres: PostgresServer) -> None:
    connection = postgres.connect()
    reported = {name for name, spelled in NAMES.items() if connection.info.parameter_status(spelled) is not None}
    assert reported == (REPORTED_FROM_18 if postgres.version >= 18 else REPORTED)


@pytest.mark.parametrize(
    "text",
    [
        'SET search_path TO a, B, "C d", \'e, f\', "select", \'user\', name, "x""y", \'é\', 7, on, "$user"',
        "SET search_path = ''",
        'SET LOCAL search_path = "A"',
        "SET DateStyle TO German, 'ymd'",
        "SET datestyle = 'sql, dmy'",
        "SET application_name = Me",
        "SET application_name = 'it''s \\ me'",
        "SET application_name TO TRUE",
        "SET application_name TO -1.50",
        "SET application_name TO 00012",
        "SET application_name TO 1e10",
        "SET TIME ZONE utc",
        "SET TIME ZONE 'Europe/Berlin'",
        "SET NAMES 'UTF-8'",
        "SET extra_float_digits = -2",
        "SET statement_timeout = 600000",
        "SET statement_timeout = '1.5 min'",
    ],
)
def test_a_set_statement_is_read_as_postgresql_reads_it(direct: Any, text: str) -> None:
    (statement,) = parse(text)
    assert isinstance(statement, SetParameter)
    assert statement.value is not None
    shown = set_and_show(direct, text, statement.name)
    run(direct, "BEGIN")
    run(direct, "SELECT pg_catalog.set_config(%s, %s, true)", statement.name, statement.value)
    assert run(direct, f"SHOW {statement.name}") == [(shown,)]
    run(direct, "ROLLBACK")


def set_and_show(direct: Any, text: str, name: str) -> str:
    run(direct, f"BEGIN; {text}".replace("%", "%%"))
    ((shown,),) = run(direct, f"SHOW {quote_identifier(name)}")
    run(direct, "ROLLBACK")
    return str(shown)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("search_path", '"$user", public'),
        ("search_path", "a,b"),
        ("search_path", "A ,\tb"),
        ("search_path", ""),
        ("search_path", '""'),
        ("search_path", '"public"'),
        ("search_path", '"select", "x""y", "a, b", "\\"'),
        ("search_path", "x" * 70),
        ("DateStyle", "German, YMD"),
        ("IntervalStyle", "sql_standard"),
        ("TimeZone", "<-07>+07"),
        ("TimeZone", "Europe/Berlin"),
        ("client_encoding", "LATIN1"),
        ("application_name", "it's \\ 'me\\"),
        ("extra_float_digits", "-15"),
        ("statement_timeout", "2147483647ms"),
        ("lock_timeout", "90s"),
        ("idle_in_transaction_session_timeout", "24d"),
        ("client_min_messages", "debug2"),
        ("bytea_output", "escape"),
        ("standard_conforming_strings", "off"),
    ],
)
@pytest.mark.parametrize("strings", ["on", "off"])
def test_what_is_shown_is_restored_exactly(direct: Any, name: str, value: str, strings: str) -> None:
    ((default,),) = run(direct, f"SHOW {name}")
    run(direct, f"SET standard_conforming_strings = {strings}")
    run(direct, set_statement(name, value))
    assert run(direct, f"SHOW {name}") == [(value,)]
    run(direct, reset_statement(name))
    assert run(direct, f"SHOW {name}") == [(default,)]
    run(direct, f"BEGIN; {set_statement(name, value, local=True)}")
    assert run(direct, f"SHOW {name}") == [(value,)]
    run(direct, "ROLLBACK")
    assert run(direct, f"SHOW {name}") == [(default,)]


def test_settings_that_are_restored_leave_the_isolation_level_to_the_client(direct: Any) -> None:
    """A query would not: it takes the transaction's snapshot."""
    local = [set_statement(name, value, local=True) for name, value in (("search_path", "a, b"), ("timezone", "UTC"))]
    run(direct, "BEGIN")
    run(direct, ";".join(local))
    run(direct, "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE")
    run(direct, "ROLLBACK; BEGIN")
    run(direct, set_statement("search_path", "a,b", local=True))
    with pytest.raises(psycopg2.errors.ActiveSqlTransaction):
        run(direct, "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE")
