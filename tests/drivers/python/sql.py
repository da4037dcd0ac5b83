"""The SQL of the steps, the same for every driver."""

from __future__ import annotations

import os

NAME = os.environ["DRIVERS_NAME"]
"""Channel and table of this run."""
LISTEN = f"LISTEN {NAME}"

CREATE_TABLE = f"CREATE TABLE {NAME} (id int PRIMARY KEY)"
ROWS = f"SELECT id FROM {NAME}"
DROP_TABLE = f"DROP TABLE {NAME}"

SYNTAX_ERROR = "SELEC 1"
DIVISION_BY_ZERO = "SELECT 1/0"

TIMES = 20
"""How often a statement is repeated, so that drivers make a named one of it."""
NAMED = "SELECT count(*) > 0 FROM pg_prepared_statements"
"""Whether they have."""

SLEEP = f"SELECT pg_sleep(30) AS {NAME}"
UNTIL_SLEEPING = f"""DO $$ BEGIN
    WHILE NOT EXISTS (SELECT FROM pg_stat_activity WHERE starts_with(query, '{SLEEP}') AND state = 'active') LOOP
        PERFORM pg_sleep(0.01), pg_stat_clear_snapshot();
    END LOOP;
END $$"""
"""Ends when the other connection's SLEEP runs, so that a cancel does not come too early."""

LARGE_COUNT = 100_000
LARGE_ROWS = f"SELECT n, 'row ' || n AS word FROM generate_series(1, {LARGE_COUNT}) AS n"
LARGE_SIZE = 20 * 1024 * 1024
LARGE_VALUE = f"SELECT repeat('x', {LARGE_SIZE})"

COPY_COUNT = 1_000
COPY_TABLE = "CREATE TEMPORARY TABLE copied (id int, word text)"
COPY_LINES = "".join(f"{number}\tword {number}\n" for number in range(COPY_COUNT))
COPY_IN = "COPY copied FROM STDIN"
COPY_OUT = "COPY copied TO STDOUT"


def notify(payload: str) -> str:
    """Return the NOTIFY with a payload."""
    return f"NOTIFY {NAME}, '{payload}'"


def insert(number: int) -> str:
    """Return the INSERT of a row."""
    return f"INSERT INTO {NAME} VALUES ({number})"


def terminate(pid: int) -> str:
    """Return what ends the connection that has a PID."""
    return f"SELECT pg_terminate_backend({pid})"
