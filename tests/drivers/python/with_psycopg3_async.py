"""psycopg 3 on asyncio: waits in notifies(), as the blocking one does."""

from __future__ import annotations

import asyncio
from typing import Any

import psycopg
import psycopg.errors
import sql
from steps import fails_async, run, same


class Psycopg3Async:
    """Two connections; the first one listens."""

    async def connect(self) -> None:
        """Connect with libpq's environment variables."""
        self.mine, self.other = await _open(), await _open()
        same(await _fetch(self.mine, "SELECT 1"), [(1,)])

    async def listen(self) -> None:
        """LISTEN."""
        await self.mine.execute(sql.LISTEN)

    async def receive(self) -> None:
        """Hear the other connection, which speaks while we wait."""
        hearing = asyncio.create_task(self._heard())
        await self.other.execute(sql.notify("hello"))
        same(await hearing, (self.other.info.backend_pid, "hello"))

    async def own_pid(self) -> None:
        """Hear oneself."""
        await self.mine.execute(sql.notify("own"))
        same(await self._heard(), (self.mine.info.backend_pid, "own"))

    async def transaction(self) -> None:
        """Roll back, which nobody hears, and commit."""
        await self.other.execute(sql.CREATE_TABLE)
        for number in (1, 2):
            async with self.mine.transaction(force_rollback=number == 1):
                await self.mine.execute(sql.insert(number))
                await self.mine.execute(sql.notify(f"row {number}"))
        same(await self._heard(), (self.mine.info.backend_pid, "row 2"))
        same(await _fetch(self.other, sql.ROWS), [(2,)])
        await self.other.execute(sql.DROP_TABLE)

    async def errors(self) -> None:
        """Recover from a syntax error, and from a failed transaction."""
        await fails_async(psycopg.errors.SyntaxError, self.mine.execute(sql.SYNTAX_ERROR))
        async with self.mine.transaction() as transaction:
            await fails_async(psycopg.errors.DivisionByZero, self.mine.execute(sql.DIVISION_BY_ZERO))
            await fails_async(psycopg.errors.InFailedSqlTransaction, self.mine.execute("SELECT 1"))
            raise psycopg.Rollback(transaction)
        same(await _fetch(self.mine, "SELECT 2"), [(2,)])

    async def prepared(self) -> None:
        """Repeat, until the driver prepares the statement."""
        for number in range(sql.TIMES):
            same(await _fetch(self.mine, "SELECT %s + 1", number), [(number + 1,)])
        same(await _fetch(self.mine, sql.NAMED), [(True,)])

    async def cancel(self) -> None:
        """Cancel the task, which cancels the query."""
        sleeping = asyncio.create_task(self.mine.execute(sql.SLEEP))
        await self.other.execute(sql.UNTIL_SLEEPING)
        sleeping.cancel()
        await fails_async((psycopg.errors.QueryCanceled, asyncio.CancelledError), sleeping)
        same(await _fetch(self.mine, "SELECT 3"), [(3,)])

    async def large(self) -> None:
        """Fetch many rows, and a large value."""
        rows = await _fetch(self.mine, sql.LARGE_ROWS)
        same((len(rows), rows[-1]), (sql.LARGE_COUNT, (sql.LARGE_COUNT, f"row {sql.LARGE_COUNT}")))
        same(len((await _fetch(self.mine, sql.LARGE_VALUE))[0][0]), sql.LARGE_SIZE)

    async def copy(self) -> None:
        """Copy in and out again."""
        await self.mine.execute(sql.COPY_TABLE)
        async with self.mine.cursor() as cursor:
            async with cursor.copy(sql.COPY_IN) as copy:
                await copy.write(sql.COPY_LINES)
            async with cursor.copy(sql.COPY_OUT) as copy:
                same(b"".join([piece async for piece in copy]) == sql.COPY_LINES.encode(), True)

    async def reconnect(self) -> None:
        """Lose the connection, and hear again on the next one."""
        hearing = asyncio.create_task(self._heard())
        same(await _fetch(self.other, sql.terminate(self.mine.info.backend_pid)), [(True,)])
        await fails_async(psycopg.OperationalError, hearing)
        self.mine = await _open()
        await self.listen()
        await self.receive()

    async def cursor(self) -> None:
        """Fetch in pieces, with a server-side cursor."""
        async with self.mine.transaction(), self.mine.cursor("pieces") as cursor:
            cursor.itersize = 1000
            await cursor.execute(sql.LARGE_ROWS)
            same(sum([number async for number, _ in cursor]), sum(range(sql.LARGE_COUNT + 1)))

    async def pipeline(self) -> None:
        """Send statements, and a NOTIFY among them, before the first answer is there."""
        async with self.mine.pipeline():
            answers = [await self.mine.execute("SELECT %s + 1", [number]) for number in range(sql.TIMES)]
            await self.mine.execute(sql.notify("pipeline"))
            same([await answer.fetchone() for answer in answers], [(number + 1,) for number in range(sql.TIMES)])
        same(await self._heard(), (self.mine.info.backend_pid, "pipeline"))

    async def _heard(self) -> tuple[int, str]:
        """Wait for the next notification."""
        (notification,) = [notification async for notification in self.mine.notifies(stop_after=1)]
        return notification.pid, notification.payload


async def _open() -> Any:
    return await psycopg.AsyncConnection.connect("", autocommit=True)


async def _fetch(connection: Any, query: str, *arguments: object) -> list[Any]:
    return list(await (await connection.execute(query, arguments or None)).fetchall())


if __name__ == "__main__":
    run(Psycopg3Async, "cursor", "pipeline")
