"""SQLAlchemy 2 over asyncpg: an asynchronous engine; LISTEN on the driver's own connection."""

from __future__ import annotations

import asyncio
import io
from typing import Any

import sql
from sqlalchemy import Column, Integer, MetaData, Table, insert, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine
from steps import fails_async, run, same


class SqlalchemyAsyncpg:
    """An engine, and a connection of it that listens."""

    async def connect(self) -> None:
        """Connect with libpq's environment variables."""
        self.engine = create_async_engine("postgresql+asyncpg://", pool_pre_ping=True)
        await self._open()
        same(await self._scalar("SELECT 1"), 1)

    async def listen(self) -> None:
        """LISTEN."""
        self.heard: asyncio.Queue[tuple[int, str]] = asyncio.Queue()
        await self.driver.add_listener(sql.NAME, self._hear)

    async def receive(self) -> None:
        """Hear another connection."""
        async with self.engine.begin() as other:
            await other.execute(text(sql.notify("hello")))
            pid = (await other.get_raw_connection()).driver_connection.get_server_pid()
        same(await self.heard.get(), (pid, "hello"))

    async def own_pid(self) -> None:
        """Hear oneself."""
        await self.mine.execute(text(sql.notify("own")))
        same(await self.heard.get(), (self.driver.get_server_pid(), "own"))

    async def transaction(self) -> None:
        """Roll back, which nobody hears, and commit."""
        table = Table(sql.NAME, MetaData(), Column("id", Integer, primary_key=True))
        async with self.engine.begin() as other:
            await other.run_sync(table.create)
        for number in (1, 2):
            async with self.engine.connect() as other:
                await other.execute(insert(table).values(id=number))
                await other.execute(text(sql.notify(f"row {number}")))
                await (other.commit() if number == 2 else other.rollback())
        same((await self.heard.get())[1], "row 2")
        async with self.engine.begin() as other:
            same((await other.execute(select(table))).all(), [(2,)])
            await other.run_sync(table.drop)

    async def errors(self) -> None:
        """Recover from a syntax error, and from a failed transaction."""
        await self._fails("42601", self.mine, sql.SYNTAX_ERROR)
        async with self.engine.connect() as other:
            await self._fails("22012", other, sql.DIVISION_BY_ZERO)
            await self._fails("25P02", other, "SELECT 1")
            await other.rollback()
            same(await other.scalar(text("SELECT 2")), 2)

    async def prepared(self) -> None:
        """Repeat a query with a parameter, which this driver prepares."""
        for number in range(sql.TIMES):
            same(await self.mine.scalar(text("SELECT CAST(:number AS int) + 1"), {"number": number}), number + 1)
        same(await self._scalar(sql.NAMED), True)

    async def cancel(self) -> None:
        """Cancel the task, which cancels the query and gives the connection up."""
        sleeping = asyncio.create_task(self._scalar(sql.SLEEP))
        async with self.engine.connect() as other:
            await other.execute(text(sql.UNTIL_SLEEPING))
        sleeping.cancel()
        await fails_async(asyncio.CancelledError, sleeping)
        await self._reopen()
        same(await self._scalar("SELECT 3"), 3)

    async def large(self) -> None:
        """Fetch many rows, and a large value."""
        rows = (await self.mine.execute(text(sql.LARGE_ROWS))).all()
        same((len(rows), rows[-1]), (sql.LARGE_COUNT, (sql.LARGE_COUNT, f"row {sql.LARGE_COUNT}")))
        same(len(await self._scalar(sql.LARGE_VALUE)), sql.LARGE_SIZE)

    async def copy(self) -> None:
        """Copy in and out again, with the driver's connection."""
        await self.driver.execute(sql.COPY_TABLE)
        await self.driver.copy_to_table("copied", source=io.BytesIO(sql.COPY_LINES.encode()))
        out = io.BytesIO()
        await self.driver.copy_from_table("copied", output=out)
        same(out.getvalue() == sql.COPY_LINES.encode(), True)

    async def reconnect(self) -> None:
        """Lose the connection, and hear again on the next one."""
        async with self.engine.connect() as other:
            same(await other.scalar(text(sql.terminate(self.driver.get_server_pid()))), True)
        error = await fails_async(DBAPIError, self._scalar("SELECT 1"))
        same(error.connection_invalidated, True)
        await self._reopen()
        await self.receive()

    async def cursor(self) -> None:
        """Fetch in pieces, with a server-side cursor."""
        async with self.engine.connect() as other:
            rows = await other.stream(text(sql.LARGE_ROWS))
            same(sum([number async for number, _ in rows]), sum(range(sql.LARGE_COUNT + 1)))

    async def _open(self) -> None:
        self.mine = await self.engine.connect()
        await self.mine.execution_options(isolation_level="AUTOCOMMIT")
        self.driver: Any = (await self.mine.get_raw_connection()).driver_connection

    async def _reopen(self) -> None:
        await self.mine.close()
        await self._open()
        await self.listen()

    async def _scalar(self, statement: str) -> Any:
        return await self.mine.scalar(text(statement))

    async def _fails(self, code: str, connection: Any, statement: str) -> None:
        same((await fails_async(DBAPIError, connection.execute(text(statement)))).orig.pgcode, code)

    def _hear(self, _connection: Any, pid: int, _channel: str, payload: object) -> None:
        self.heard.put_nowait((pid, str(payload)))


if __name__ == "__main__":
    run(SqlalchemyAsyncpg, "cursor")
