"""SQLAlchemy 2 over psycopg2: an engine with its pool; LISTEN on the driver's own connection."""

from __future__ import annotations

import io
import select
from typing import Any

import sql
from sqlalchemy import Column, Integer, MetaData, String, Table, create_engine, insert, inspect, text
from sqlalchemy import select as query
from sqlalchemy.exc import DBAPIError
from steps import fails, in_background, run, same


class SqlalchemyPsycopg2:
    """An engine, and a connection of it that listens."""

    def connect(self) -> None:
        """Connect with libpq's environment variables."""
        self.engine = create_engine("postgresql+psycopg2://", pool_pre_ping=True)
        self._open()
        same(self._scalar("SELECT 1"), 1)

    def listen(self) -> None:
        """LISTEN."""
        self.mine.execute(text(sql.LISTEN))

    def receive(self) -> None:
        """Hear another connection."""
        with self.engine.begin() as other:
            other.execute(text(sql.notify("hello")))
            pid = other.connection.driver_connection.info.backend_pid
        same(self._heard(), (pid, "hello"))

    def own_pid(self) -> None:
        """Hear oneself."""
        self.mine.execute(text(sql.notify("own")))
        same(self._heard(), (self.driver.info.backend_pid, "own"))

    def transaction(self) -> None:
        """Roll back, which nobody hears, and commit."""
        table = Table(sql.NAME, MetaData(), Column("id", Integer, primary_key=True))
        table.create(self.engine)
        for number in (1, 2):
            with self.engine.connect() as other:
                other.execute(insert(table).values(id=number))
                other.execute(text(sql.notify(f"row {number}")))
                other.commit() if number == 2 else other.rollback()
        same(self._heard()[1], "row 2")
        with self.engine.connect() as other:
            same(other.execute(query(table)).all(), [(2,)])
        table.drop(self.engine)

    def errors(self) -> None:
        """Recover from a syntax error, and from a failed transaction."""
        self._fails("42601", self.mine, sql.SYNTAX_ERROR)
        with self.engine.connect() as other:
            self._fails("22012", other, sql.DIVISION_BY_ZERO)
            self._fails("25P02", other, "SELECT 1")
            other.rollback()
            same(other.scalar(text("SELECT 2")), 2)

    def prepared(self) -> None:
        """Repeat a query with a parameter, which this driver writes into the text."""
        for number in range(sql.TIMES):
            same(self.mine.scalar(text("SELECT :number + 1"), {"number": number}), number + 1)

    def cancel(self) -> None:
        """Cancel from another thread."""
        sleeping = in_background(self._scalar, sql.SLEEP)
        with self.engine.connect() as other:
            other.execute(text(sql.UNTIL_SLEEPING))
        self.driver.cancel()
        same(fails(DBAPIError, sleeping.result).orig.pgcode, "57014")
        same(self._scalar("SELECT 3"), 3)

    def large(self) -> None:
        """Fetch many rows, and a large value."""
        rows = self.mine.execute(text(sql.LARGE_ROWS)).all()
        same((len(rows), rows[-1]), (sql.LARGE_COUNT, (sql.LARGE_COUNT, f"row {sql.LARGE_COUNT}")))
        same(len(self._scalar(sql.LARGE_VALUE)), sql.LARGE_SIZE)

    def copy(self) -> None:
        """Copy in and out again, with the driver's cursor."""
        self.mine.execute(text(sql.COPY_TABLE))
        out = io.StringIO()
        with self.driver.cursor() as cursor:
            cursor.copy_expert(sql.COPY_IN, io.StringIO(sql.COPY_LINES))
            cursor.copy_expert(sql.COPY_OUT, out)
        same(out.getvalue() == sql.COPY_LINES, True)

    def reconnect(self) -> None:
        """Lose the connection, and hear again on the next one."""
        self._terminate(self.driver.info.backend_pid)
        same(fails(DBAPIError, self._scalar, "SELECT 1").connection_invalidated, True)
        self.mine.close()
        self._open()
        self.listen()
        self.receive()

    def pool(self) -> None:
        """Have a connection that was lost in the pool replaced."""
        engine = create_engine("postgresql+psycopg2://", pool_pre_ping=True, pool_size=1, max_overflow=0)
        with engine.connect() as pooled:
            pid = pooled.connection.driver_connection.info.backend_pid
        with engine.connect() as pooled:
            same(pooled.connection.driver_connection.info.backend_pid, pid)
        self._terminate(pid)
        with engine.connect() as pooled:
            same(pooled.scalar(text("SELECT 4")), 4)
        engine.dispose()

    def reflection(self) -> None:
        """Read a table's columns from the catalogue."""
        name = f"{sql.NAME}_reflected"
        table = Table(name, MetaData(), Column("id", Integer, primary_key=True), Column("word", String(10), index=True))
        table.create(self.engine)
        reflected = Table(name, MetaData(), autoload_with=self.engine)
        same(
            [(column.name, str(column.type)) for column in reflected.columns],
            [("id", "INTEGER"), ("word", "VARCHAR(10)")],
        )
        same(inspect(self.engine).get_indexes(name)[0]["column_names"], ["word"])
        table.drop(self.engine)

    def cursor(self) -> None:
        """Fetch in pieces, with a server-side cursor."""
        with self.engine.connect() as other:
            rows = other.execution_options(yield_per=1000).execute(text(sql.LARGE_ROWS))
            same(sum(number for number, _ in rows), sum(range(sql.LARGE_COUNT + 1)))

    def _open(self) -> None:
        self.mine = self.engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        self.driver: Any = self.mine.connection.driver_connection

    def _scalar(self, statement: str) -> Any:
        return self.mine.scalar(text(statement))

    def _heard(self) -> tuple[int, str]:
        """Wait for the next notification."""
        while not self.driver.notifies:
            select.select([self.driver], [], [])
            self.driver.poll()
        notification = self.driver.notifies.pop(0)
        return notification.pid, notification.payload

    def _fails(self, code: str, connection: Any, statement: str) -> None:
        same(fails(DBAPIError, connection.execute, text(statement)).orig.pgcode, code)

    def _terminate(self, pid: int) -> None:
        with self.engine.connect() as other:
            same(other.scalar(text(sql.terminate(pid))), True)


if __name__ == "__main__":
    run(SqlalchemyPsycopg2, "pool", "reflection", "cursor")
