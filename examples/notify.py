"""Send a notification: python examples/notify.py [--dsn DSN] CHANNEL [PAYLOAD].

With psycopg 3. pg_notify() takes the channel and the payload as parameters, so that nothing needs quoting.
"""

from __future__ import annotations

import argparse

import psycopg

DSN = "host=127.0.0.1 port=6433 user=postgres dbname=postgres"


def main() -> None:
    """Connect, send, and go."""
    parser = argparse.ArgumentParser(description="Send a notification.")
    parser.add_argument("--dsn", default=DSN, help=f"where to connect to (default: {DSN})")
    parser.add_argument("channel", metavar="CHANNEL")
    parser.add_argument("payload", metavar="PAYLOAD", nargs="?", default="")
    options = parser.parse_args()
    with psycopg.connect(options.dsn, autocommit=True) as connection:
        connection.execute("SELECT pg_notify(%s, %s)", (options.channel, options.payload))


if __name__ == "__main__":
    main()
