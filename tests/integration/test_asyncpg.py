"""asyncpg: the extended protocol with prepared statements, for everything."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest
from support.process import TwistnotifyProcess

DEADLINE = 60.0

Call = tuple[int, str, str]


class Listener:
    """Keep what asyncpg calls back with."""

    def __init__(self) -> None:
        self.calls: asyncio.Queue[Call] = asyncio.Queue()

    def __call__(self, connection: Any, pid: int, channel: str, payload: Any) -> None:
        self.calls.put_nowait((pid, channel, payload))

    async def take(self, count: int) -> list[Call]:
        """Wait for calls."""
        return [await self.calls.get() for _ in range(count)]


def with_connections(
    server: TwistnotifyProcess, work: Callable[..., Awaitable[None]], count: int, **keywords: Any
) -> None:
    """Run a coroutine with so many connections, and with a deadline."""

    async def main() -> None:
        async with asyncio.timeout(DEADLINE):
            connections = [
                await asyncpg.connect(
                    host="127.0.0.1", port=server.port, user="postgres", database="postgres", **keywords
                )
                for _ in range(count)
            ]
            try:
                await work(*connections)
            finally:
                for connection in connections:
                    await connection.close()

    asyncio.run(main())


@pytest.mark.parametrize("cache", [0, 100])
def test_add_listener_and_execute_with_arguments(server: TwistnotifyProcess, cache: int) -> None:
    async def work(listening: Any, sending: Any) -> None:
        listener = Listener()
        await listening.add_listener("Mixed Case", listener)
        await sending.execute("SELECT pg_notify($1, $2)", "Mixed Case", "it's")
        await sending.execute("NOTIFY \"Mixed Case\", 'simple'")
        assert await sending.fetchval("SELECT pg_notify($1, $2)", "Mixed Case", "fetchval") in (None, "")
        await sending.executemany("SELECT pg_notify($1, $2)", [("Mixed Case", f"many {number}") for number in range(5)])
        payloads = ["it's", "simple", "fetchval", *(f"many {number}" for number in range(5))]
        sender = sending.get_server_pid()
        assert await listener.take(8) == [(sender, "Mixed Case", payload) for payload in payloads]

    with_connections(server, work, 2, statement_cache_size=cache)


def test_own_notifications_carry_the_own_server_pid(server: TwistnotifyProcess) -> None:
    async def work(connection: Any) -> None:
        listener = Listener()
        await connection.add_listener("own", listener)
        await connection.execute("NOTIFY own, 'x'")
        # Called while the NOTIFY was answered: nothing is waited for.
        assert listener.calls.get_nowait() == (connection.get_server_pid(), "own", "x")

    with_connections(server, work, 1)


def test_remove_listener_ends_the_listen(server: TwistnotifyProcess) -> None:
    async def work(listening: Any, sending: Any) -> None:
        gone, kept = Listener(), Listener()
        await listening.add_listener("gone", gone)
        await listening.add_listener("kept", kept)
        await listening.remove_listener("gone", gone)
        assert await listening.fetch("SELECT pg_listening_channels()") == [("kept",)]
        await sending.execute("NOTIFY gone; NOTIFY kept, 'x'")
        assert [payload for _, _, payload in await kept.take(1)] == ["x"]
        assert gone.calls.empty()

    with_connections(server, work, 2)


def test_transactions(server: TwistnotifyProcess) -> None:
    async def work(listening: Any, sending: Any) -> None:
        listener = Listener()
        await listening.add_listener("tx", listener)
        async with sending.transaction():
            await sending.execute("SELECT pg_notify('tx', $1)", "1")
            inner = sending.transaction()
            await inner.start()
            await sending.execute("SELECT pg_notify('tx', $1)", "rolled back")
            with pytest.raises(asyncpg.InvalidParameterValueError):
                await sending.execute("SELECT pg_notify($1, $2)", "", "")
            await inner.rollback()
            await sending.execute("NOTIFY tx, '2'")
        assert [payload for _, _, payload in await listener.take(2)] == ["1", "2"]

    with_connections(server, work, 2)


def test_a_pool_resets_connections_and_their_listens(server: TwistnotifyProcess) -> None:
    async def main() -> None:
        async with asyncio.timeout(DEADLINE):
            pool = asyncpg.create_pool(
                host="127.0.0.1",
                port=server.port,
                user="postgres",
                database="postgres",
                min_size=1,
                max_size=1,
            )
            async with pool:
                async with pool.acquire() as connection:
                    await connection.execute("LISTEN leftover")
                    assert await connection.fetch("SELECT pg_listening_channels()") == [("leftover",)]
                async with pool.acquire() as connection:
                    assert await connection.fetch("SELECT pg_listening_channels()") == []
                    await connection.execute("SELECT pg_notify($1, $2)", "leftover", "x")
                for number in range(50):
                    await pool.execute("SELECT pg_notify($1, $2)", "leftover", str(number))

    asyncio.run(main())


def test_many_tasks_share_a_pool(server: TwistnotifyProcess) -> None:
    async def work(listening: Any) -> None:
        listener = Listener()
        await listening.add_listener("pooled", listener)
        async with asyncpg.create_pool(
            host="127.0.0.1", port=server.port, user="postgres", database="postgres", min_size=5, max_size=5
        ) as pool:
            await asyncio.gather(
                *(pool.execute("SELECT pg_notify('pooled', $1)", str(number)) for number in range(200))
            )
        got = sorted(int(payload) for _, _, payload in await listener.take(200))
        assert got == list(range(200))

    with_connections(server, work, 1)
