"""asyncpg: calls back for each notification; prepares every query; its pool sends a reset query."""

from __future__ import annotations

import asyncio
import io
from typing import Any

import asyncpg
import sql
from steps import fails_async, run, same


class Asyncpg:
    """Two connections; the first one listens."""

    async def connect(self) -> None:
        """Connect with libpq's environment variables."""
        self.mine, self.other = await asyncpg.connect(), await asyncpg.connect()
        same(await self.mine.fetchval("SELECT 1"), 1)

    async def listen(self) -> None:
        """LISTEN."""
        self.heard: asyncio.Queue[tuple[int, str]] = asyncio.Queue()
        await self.mine.add_listener(sql.NAME, self._hear)

    async def receive(self) -> None:
        """Hear the other connection."""
        await self.other.execute(sql.notify("hello"))
        same(await self.heard.get(), (self.other.get_server_pid(), "hello"))

    async def own_pid(self) -> None:
        """Hear oneself."""
        await self.mine.execute("SELECT pg_notify($1, $2)", sql.NAME, "own")
        same(await self.heard.get(), (self.mine.get_server_pid(), "own"))

    async def transaction(self) -> None:
        """Roll back, which nobody hears, and commit."""
        await self.other.execute(sql.CREATE_TABLE)
        for number in (1, 2):
            transaction = self.mine.transaction()
            await transaction.start()
            await self.mine.execute(sql.insert(number))
            await self.mine.execute(sql.notify(f"row {number}"))
            await (transaction.commit() if number == 2 else transaction.rollback())
        same(await self.heard.get(), (self.mine.get_server_pid(), "row 2"))
        same(await self.other.fetch(sql.ROWS), [(2,)])
        await self.other.execute(sql.DROP_TABLE)

    async def errors(self) -> None:
        """Recover from a syntax error, and from a failed transaction."""
        await fails_async(asyncpg.PostgresSyntaxError, self.mine.execute(sql.SYNTAX_ERROR))
        transaction = self.mine.transaction()
        await transaction.start()
        await fails_async(asyncpg.DivisionByZeroError, self.mine.fetchval(sql.DIVISION_BY_ZERO))
        await fails_async(asyncpg.InFailedSQLTransactionError, self.mine.fetchval("SELECT 1"))
        await transaction.rollback()
        same(await self.mine.fetchval("SELECT 2"), 2)

    async def prepared(self) -> None:
        """Repeat a query that the driver prepares, and a statement of our own."""
        statement = await self.mine.prepare("SELECT $1::int + 1")
        for number in range(sql.TIMES):
            same(await self.mine.fetchval("SELECT $1::int + 2", number), number + 2)
            same(await statement.fetchval(number), number + 1)
        same(await self.mine.fetchval(sql.NAMED), True)

    async def cancel(self) -> None:
        """Cancel the task, which cancels the query; then let a query run out of time."""
        sleeping = asyncio.create_task(self.mine.execute(sql.SLEEP))
        await self.other.execute(sql.UNTIL_SLEEPING)
        sleeping.cancel()
        await fails_async(asyncio.CancelledError, sleeping)
        same(await self.mine.fetchval("SELECT 3"), 3)
        await fails_async(TimeoutError, self.mine.execute(sql.SLEEP, timeout=1))
        same(await self.mine.fetchval("SELECT 4"), 4)

    async def large(self) -> None:
        """Fetch many rows, and a large value."""
        rows = await self.mine.fetch(sql.LARGE_ROWS)
        same((len(rows), rows[-1]), (sql.LARGE_COUNT, (sql.LARGE_COUNT, f"row {sql.LARGE_COUNT}")))
        same(len(await self.mine.fetchval(sql.LARGE_VALUE)), sql.LARGE_SIZE)

    async def copy(self) -> None:
        """Copy in and out again, as text and in binary form."""
        await self.mine.execute(sql.COPY_TABLE)
        await self.mine.copy_to_table("copied", source=io.BytesIO(sql.COPY_LINES.encode()))
        out = io.BytesIO()
        await self.mine.copy_from_table("copied", output=out)
        same(out.getvalue() == sql.COPY_LINES.encode(), True)
        records = [(number, f"word {number}") for number in range(sql.COPY_COUNT)]
        await self.mine.copy_records_to_table("copied", records=records)
        same(await self.mine.fetchval("SELECT count(*) FROM copied"), 2 * sql.COPY_COUNT)

    async def reconnect(self) -> None:
        """Lose the connection, and hear again on the next one."""
        lost = asyncio.Event()
        self.mine.add_termination_listener(lambda _: lost.set())
        same(await self.other.fetchval(sql.terminate(self.mine.get_server_pid())), True)
        await lost.wait()
        await fails_async((asyncpg.PostgresError, asyncpg.InterfaceError), self.mine.fetchval("SELECT 1"))
        self.mine = await asyncpg.connect()
        await self.listen()
        await self.receive()

    async def cursor(self) -> None:
        """Fetch in pieces, with a cursor, which is a portal that is executed again and again."""
        async with self.mine.transaction():
            numbers = [number async for number, _ in self.mine.cursor(sql.LARGE_ROWS, prefetch=1000)]
        same(sum(numbers), sum(range(sql.LARGE_COUNT + 1)))

    async def pool(self) -> None:
        """Get a connection back from the pool without what its last user has set and listened to."""
        async with asyncpg.create_pool(min_size=1, max_size=1) as pool:
            async with pool.acquire() as connection:
                pid = connection.get_server_pid()
                await connection.add_listener(sql.NAME, self._hear)
                await connection.execute("SET statement_timeout = '1min'")
                await connection.execute(sql.notify("pool"))
                same([await self.heard.get(), await self.heard.get()], [(pid, "pool")] * 2)
                await connection.remove_listener(sql.NAME, self._hear)
            async with pool.acquire() as connection:
                same(connection.get_server_pid(), pid)
                same(await connection.fetchval("SHOW statement_timeout"), "0")
                await connection.execute(sql.LISTEN)
            await self.mine.execute(sql.notify("unheard"))
            same(await pool.fetchval("SELECT 5"), 5)
        same(await self.heard.get(), (self.mine.get_server_pid(), "unheard"))
        same(self.heard.empty(), True)

    def _hear(self, _connection: Any, pid: int, _channel: str, payload: object) -> None:
        self.heard.put_nowait((pid, str(payload)))


if __name__ == "__main__":
    run(Asyncpg, "cursor", "pool")
