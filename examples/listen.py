"""Print what arrives on channels, as psql would: python examples/listen.py [--dsn DSN] CHANNEL...

With psycopg 3. Ends with Ctrl-C.
"""
# ruff: noqa: T201

from __future__ import annotations

import argparse
import time
from contextlib import suppress

import psycopg
from psycopg import sql

DSN = "host=127.0.0.1 port=6433 user=postgres dbname=postgres"
PAUSE = 1.0
"""Seconds before the next attempt to connect."""


def listen(dsn: str, channels: list[str]) -> None:
    """Connect, LISTEN, and print what arrives until the connection is lost: psycopg.OperationalError."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.add_notice_handler(print_notice)
        for channel in channels:
            connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
        print(f"listening to {', '.join(channels)}", flush=True)
        for notify in connection.notifies():
            print(f"{notify.channel}: {notify.payload}", flush=True)


def print_notice(notice: psycopg.errors.Diagnostic) -> None:
    """Print what the server says between queries: its last words are 57P01 when notifications were lost."""
    print(f"{notice.severity} {notice.sqlstate}: {notice.message_primary}", flush=True)


def main() -> None:
    """Listen, and connect again whenever the connection is lost."""
    parser = argparse.ArgumentParser(description="Print what arrives on channels.")
    parser.add_argument("--dsn", default=DSN, help=f"where to connect to (default: {DSN})")
    parser.add_argument("channels", nargs="+", metavar="CHANNEL")
    options = parser.parse_args()
    while True:
        try:
            listen(options.dsn, options.channels)
        except psycopg.OperationalError as error:
            print(f"not connected, notifications may have been lost: {str(error).strip()}", flush=True)
        time.sleep(PAUSE)


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        main()
