"""psycopg 3, blocking: waits in notifies(); prepares by itself; pipelines; cancels without blocking others."""

from __future__ import annotations

from typing import Any

import psycopg
import psycopg.errors
import sql
from steps import fails, in_background, run, same


class Psycopg3:
    """Two connections; the first one listens."""

    def connect(self) -> None:
        """Connect with libpq's environment variables."""
        self.mine, self.other = _open(), _open()
        same(_fetch(self.mine, "SELECT 1"), [(1,)])

    def listen(self) -> None:
        """LISTEN."""
        self.mine.execute(sql.LISTEN)

    def receive(self) -> None:
        """Hear the other connection."""
        self.other.execute(sql.notify("hello"))
        same(self._heard(), (self.other.info.backend_pid, "hello"))

    def own_pid(self) -> None:
        """Hear oneself."""
        self.mine.execute(sql.notify("own"))
        same(self._heard(), (self.mine.info.backend_pid, "own"))

    def transaction(self) -> None:
        """Roll back, which nobody hears, and commit."""
        self.other.execute(sql.CREATE_TABLE)
        for number in (1, 2):
            with self.mine.transaction(force_rollback=number == 1):
                self.mine.execute(sql.insert(number))
                self.mine.execute(sql.notify(f"row {number}"))
        same(self._heard(), (self.mine.info.backend_pid, "row 2"))
        same(_fetch(self.other, sql.ROWS), [(2,)])
        self.other.execute(sql.DROP_TABLE)

    def errors(self) -> None:
        """Recover from a syntax error, and from a failed transaction."""
        fails(psycopg.errors.SyntaxError, self.mine.execute, sql.SYNTAX_ERROR)
        with self.mine.transaction() as transaction:
            fails(psycopg.errors.DivisionByZero, self.mine.execute, sql.DIVISION_BY_ZERO)
            fails(psycopg.errors.InFailedSqlTransaction, self.mine.execute, "SELECT 1")
            raise psycopg.Rollback(transaction)
        same(_fetch(self.mine, "SELECT 2"), [(2,)])

    def prepared(self) -> None:
        """Repeat, until the driver prepares the statement."""
        for number in range(sql.TIMES):
            same(_fetch(self.mine, "SELECT %s + 1", number), [(number + 1,)])
        same(_fetch(self.mine, sql.NAMED), [(True,)])

    def cancel(self) -> None:
        """Cancel from another thread."""
        sleeping = in_background(self.mine.execute, sql.SLEEP)
        self.other.execute(sql.UNTIL_SLEEPING)
        self.mine.cancel_safe()
        fails(psycopg.errors.QueryCanceled, sleeping.result)
        same(_fetch(self.mine, "SELECT 3"), [(3,)])

    def large(self) -> None:
        """Fetch many rows, and a large value."""
        rows = _fetch(self.mine, sql.LARGE_ROWS)
        same((len(rows), rows[-1]), (sql.LARGE_COUNT, (sql.LARGE_COUNT, f"row {sql.LARGE_COUNT}")))
        same(len(_fetch(self.mine, sql.LARGE_VALUE)[0][0]), sql.LARGE_SIZE)

    def copy(self) -> None:
        """Copy in and out again."""
        self.mine.execute(sql.COPY_TABLE)
        with self.mine.cursor() as cursor:
            with cursor.copy(sql.COPY_IN) as copy:
                copy.write(sql.COPY_LINES)
            with cursor.copy(sql.COPY_OUT) as copy:
                same(b"".join(copy) == sql.COPY_LINES.encode(), True)

    def reconnect(self) -> None:
        """Lose the connection, and hear again on the next one."""
        same(_fetch(self.other, sql.terminate(self.mine.info.backend_pid)), [(True,)])
        fails(psycopg.OperationalError, self._heard)
        self.mine = _open()
        self.listen()
        self.receive()

    def cursor(self) -> None:
        """Fetch in pieces, with a server-side cursor."""
        with self.mine.transaction(), self.mine.cursor("pieces") as cursor:
            cursor.itersize = 1000
            cursor.execute(sql.LARGE_ROWS)
            same(sum(number for number, _ in cursor), sum(range(sql.LARGE_COUNT + 1)))

    def pipeline(self) -> None:
        """Send statements, and a NOTIFY among them, before the first answer is there."""
        with self.mine.pipeline():
            answers = [self.mine.execute("SELECT %s + 1", [number]) for number in range(sql.TIMES)]
            self.mine.execute(sql.notify("pipeline"))
            answers.append(self.mine.execute("SELECT %s", [0]))
            same([answer.fetchone() for answer in answers], [*((number + 1,) for number in range(sql.TIMES)), (0,)])
        same(self._heard(), (self.mine.info.backend_pid, "pipeline"))

    def pipeline_error(self) -> None:
        """Have the rest of a pipeline skipped after an error, and go on."""
        fails(psycopg.errors.DivisionByZero, self._pipelined, sql.DIVISION_BY_ZERO, sql.notify("skipped"))
        same(_fetch(self.mine, "SELECT 4"), [(4,)])
        self.own_pid()

    def _pipelined(self, *queries: str) -> None:
        with self.mine.pipeline():
            for query in queries:
                self.mine.execute(query)

    def _heard(self) -> tuple[int, str]:
        """Wait for the next notification."""
        (notification,) = self.mine.notifies(stop_after=1)
        return notification.pid, notification.payload


def _open() -> Any:
    return psycopg.connect("", autocommit=True)


def _fetch(connection: Any, query: str, *arguments: object) -> list[Any]:
    return list(connection.execute(query, arguments or None).fetchall())


if __name__ == "__main__":
    run(Psycopg3, "cursor", "pipeline", "pipeline_error")
