"""Print what arrives on channels, with asyncio: python examples/asyncpg_listen.py [--dsn URL] CHANNEL...

With asyncpg, whose add_listener() sends the LISTEN. Ends with Ctrl-C.
"""
# ruff: noqa: T201

from __future__ import annotations

import argparse
import asyncio
from contextlib import suppress
from typing import Any

import asyncpg

DSN = "postgresql://postgres@127.0.0.1:6433/postgres"
PAUSE = 1.0
"""Seconds before the next attempt to connect."""


async def listen(dsn: str, channels: list[str]) -> None:
    """Connect, LISTEN, and print what arrives until the connection is lost."""
    connection = await asyncpg.connect(dsn)
    lost = asyncio.Event()
    connection.add_termination_listener(lambda _: lost.set())
    for channel in channels:
        await connection.add_listener(channel, print_notification)
    print(f"listening to {', '.join(channels)}", flush=True)
    await lost.wait()


def print_notification(connection: Any, pid: int, channel: str, payload: str) -> None:
    """Print one notification; asyncpg calls this."""
    print(f"{channel}: {payload}", flush=True)


async def main() -> None:
    """Listen, and connect again whenever the connection is lost."""
    parser = argparse.ArgumentParser(description="Print what arrives on channels.")
    parser.add_argument("--dsn", default=DSN, help=f"where to connect to (default: {DSN})")
    parser.add_argument("channels", nargs="+", metavar="CHANNEL")
    options = parser.parse_args()
    while True:
        try:
            await listen(options.dsn, options.channels)
            reason = "the server has closed the connection"
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            reason = str(error)
        print(f"not connected, notifications may have been lost: {reason}", flush=True)
        await asyncio.sleep(PAUSE)


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(main())
