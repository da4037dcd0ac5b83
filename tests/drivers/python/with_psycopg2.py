"""psycopg2: waits with select() for its socket, then asks the connection with poll()."""

from __future__ import annotations

import io
import select
from typing import Any

import psycopg2
import psycopg2.errors
import sql
from steps import fails, in_background, run, same


class Psycopg2:
    """Two connections; the first one listens."""

    def connect(self) -> None:
        """Connect with libpq's environment variables."""
        self.mine, self.other = _open(), _open()
        same(_fetch(self.mine, "SELECT 1"), [(1,)])

    def listen(self) -> None:
        """LISTEN."""
        _execute(self.mine, sql.LISTEN)

    def receive(self) -> None:
        """Hear the other connection."""
        _execute(self.other, sql.notify("hello"))
        same(self._heard(), (self.other.info.backend_pid, "hello"))

    def own_pid(self) -> None:
        """Hear oneself."""
        _execute(self.mine, sql.notify("own"))
        same(self._heard(), (self.mine.info.backend_pid, "own"))

    def transaction(self) -> None:
        """Roll back, which nobody hears, and commit."""
        _execute(self.other, sql.CREATE_TABLE)
        self.mine.autocommit = False
        for number, end in ((1, self.mine.rollback), (2, self.mine.commit)):
            _execute(self.mine, sql.insert(number))
            _execute(self.mine, sql.notify(f"row {number}"))
            end()
        self.mine.autocommit = True
        same(self._heard(), (self.mine.info.backend_pid, "row 2"))
        same(_fetch(self.other, sql.ROWS), [(2,)])
        _execute(self.other, sql.DROP_TABLE)

    def errors(self) -> None:
        """Recover from a syntax error, and from a failed transaction."""
        fails(psycopg2.errors.SyntaxError, _execute, self.mine, sql.SYNTAX_ERROR)
        self.mine.autocommit = False
        fails(psycopg2.errors.DivisionByZero, _execute, self.mine, sql.DIVISION_BY_ZERO)
        fails(psycopg2.errors.InFailedSqlTransaction, _execute, self.mine, "SELECT 1")
        self.mine.rollback()
        self.mine.autocommit = True
        same(_fetch(self.mine, "SELECT 2"), [(2,)])

    def prepared(self) -> None:
        """Prepare with SQL, since the driver never does by itself."""
        _execute(self.mine, "PREPARE plus_one (int) AS SELECT $1 + 1")
        for number in range(sql.TIMES):
            same(_fetch(self.mine, "EXECUTE plus_one (%s)", number), [(number + 1,)])
        same(_fetch(self.mine, sql.NAMED), [(True,)])
        _execute(self.mine, "DEALLOCATE plus_one")

    def cancel(self) -> None:
        """Cancel from another thread."""
        sleeping = in_background(_execute, self.mine, sql.SLEEP)
        _execute(self.other, sql.UNTIL_SLEEPING)
        self.mine.cancel()
        fails(psycopg2.errors.QueryCanceled, sleeping.result)
        same(_fetch(self.mine, "SELECT 3"), [(3,)])

    def large(self) -> None:
        """Fetch many rows, and a large value."""
        rows = _fetch(self.mine, sql.LARGE_ROWS)
        same((len(rows), rows[-1]), (sql.LARGE_COUNT, (sql.LARGE_COUNT, f"row {sql.LARGE_COUNT}")))
        same(len(_fetch(self.mine, sql.LARGE_VALUE)[0][0]), sql.LARGE_SIZE)

    def copy(self) -> None:
        """Copy in and out again."""
        _execute(self.mine, sql.COPY_TABLE)
        out = io.StringIO()
        with self.mine.cursor() as cursor:
            cursor.copy_expert(sql.COPY_IN, io.StringIO(sql.COPY_LINES))
            cursor.copy_expert(sql.COPY_OUT, out)
        same(out.getvalue() == sql.COPY_LINES, True)

    def reconnect(self) -> None:
        """Lose the connection, and hear again on the next one."""
        same(_fetch(self.other, sql.terminate(self.mine.info.backend_pid)), [(True,)])
        fails(psycopg2.OperationalError, self._heard)
        self.mine.close()
        self.mine = _open()
        self.listen()
        self.receive()

    def cursor(self) -> None:
        """Fetch in pieces, with a server-side cursor."""
        self.mine.autocommit = False
        with self.mine.cursor("pieces") as cursor:
            cursor.itersize = 1000
            cursor.execute(sql.LARGE_ROWS)
            same(sum(number for number, _ in cursor), sum(range(sql.LARGE_COUNT + 1)))
        self.mine.commit()
        self.mine.autocommit = True

    def _heard(self) -> tuple[int, str]:
        """Wait for the next notification."""
        while not self.mine.notifies:
            select.select([self.mine], [], [])
            self.mine.poll()
        notification = self.mine.notifies.pop(0)
        return notification.pid, notification.payload


def _open() -> Any:
    connection = psycopg2.connect("")
    connection.autocommit = True
    return connection


def _execute(connection: Any, query: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(query)


def _fetch(connection: Any, query: str, *arguments: object) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(query, arguments or None)
        return list(cursor.fetchall())


if __name__ == "__main__":
    run(Psycopg2, "cursor")
