"""pg8000, its native interface: pure Python; notifications come with the next answer."""

from __future__ import annotations

import io
import os
from typing import Any

import sql
from pg8000.exceptions import DatabaseError, InterfaceError
from pg8000.native import Connection
from steps import fails, run, same


class Pg8000:
    """Two connections; the first one listens."""

    def connect(self) -> None:
        """Connect."""
        self.mine, self.other = _open(), _open()
        same(self.mine.run("SELECT 1"), [[1]])

    def listen(self) -> None:
        """LISTEN."""
        self.mine.run(sql.LISTEN)

    def receive(self) -> None:
        """Hear the other connection."""
        self.other.run(sql.notify("hello"))
        same(self._heard(), (_pid(self.other), "hello"))

    def own_pid(self) -> None:
        """Hear oneself."""
        self.mine.run("SELECT pg_notify(:channel, :payload)", channel=sql.NAME, payload="own")
        same(self._heard(), (_pid(self.mine), "own"))

    def transaction(self) -> None:
        """Roll back, which nobody hears, and commit."""
        self.other.run(sql.CREATE_TABLE)
        for number, end in ((1, "ROLLBACK"), (2, "COMMIT")):
            self.mine.run("START TRANSACTION")
            self.mine.run(sql.insert(number))
            self.mine.run(sql.notify(f"row {number}"))
            self.mine.run(end)
        same(self._heard(), (_pid(self.mine), "row 2"))
        same(self.other.run(sql.ROWS), [[2]])
        self.other.run(sql.DROP_TABLE)

    def errors(self) -> None:
        """Recover from a syntax error, and from a failed transaction."""
        self._fails("42601", sql.SYNTAX_ERROR)
        self.mine.run("START TRANSACTION")
        self._fails("22012", sql.DIVISION_BY_ZERO)
        self._fails("25P02", "SELECT 1")
        self.mine.run("ROLLBACK")
        same(self.mine.run("SELECT 2"), [[2]])

    def prepared(self) -> None:
        """Repeat a prepared statement."""
        statement = self.mine.prepare("SELECT CAST(:number AS int) + 1")
        for number in range(sql.TIMES):
            same(statement.run(number=number), [[number + 1]])
        same(self.mine.run(sql.NAMED), [[True]])
        statement.close()

    def cancel(self) -> None:
        """Have the server end the query, since the driver cannot cancel."""
        self.mine.run("SET statement_timeout = '500ms'")
        self._fails("57014", sql.SLEEP)
        self.mine.run("RESET statement_timeout")
        same(self.mine.run("SELECT 3"), [[3]])

    def large(self) -> None:
        """Fetch many rows, and a large value."""
        rows = self.mine.run(sql.LARGE_ROWS)
        same((len(rows), rows[-1]), (sql.LARGE_COUNT, [sql.LARGE_COUNT, f"row {sql.LARGE_COUNT}"]))
        same(len(self.mine.run(sql.LARGE_VALUE)[0][0]), sql.LARGE_SIZE)

    def copy(self) -> None:
        """Copy in and out again."""
        self.mine.run(sql.COPY_TABLE)
        self.mine.run(sql.COPY_IN, stream=io.StringIO(sql.COPY_LINES))
        out = io.BytesIO()
        self.mine.run(sql.COPY_OUT, stream=out)
        same(out.getvalue() == sql.COPY_LINES.encode(), True)

    def reconnect(self) -> None:
        """Lose the connection, and hear again on the next one."""
        same(self.other.run(sql.terminate(_pid(self.mine))), [[True]])
        fails((DatabaseError, InterfaceError, OSError), self.mine.run, "SELECT 1")
        self.mine = _open()
        self.listen()
        self.receive()

    def _heard(self) -> tuple[int, str]:
        """Ask until the next notification has come along."""
        while not self.mine.notifications:
            self.mine.run("SELECT 1")
        pid, _, payload = self.mine.notifications.popleft()
        return pid, payload

    def _fails(self, code: str, query: str) -> None:
        same(fails(DatabaseError, self.mine.run, query).args[0]["C"], code)


def _open() -> Any:
    return Connection(
        os.environ["PGUSER"],
        host=os.environ["PGHOST"],
        port=int(os.environ["PGPORT"]),
        database=os.environ["PGDATABASE"],
    )


def _pid(connection: Any) -> int:
    """Ask, since the driver keeps the PID of its log-in to itself."""
    return int(connection.run("SELECT pg_backend_pid()")[0][0])


if __name__ == "__main__":
    run(Pg8000)
