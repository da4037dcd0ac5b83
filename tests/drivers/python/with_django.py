"""Django's database backend over psycopg 3, with a model; LISTEN and COPY on the driver's own connection."""

from __future__ import annotations

import os
from typing import Any

import django
import psycopg.errors
import sql
from django.conf import settings
from django.db import DatabaseError, connections, models, transaction
from steps import fails, in_background, run, same

DATABASE = {
    "ENGINE": "django.db.backends.postgresql",
    "HOST": os.environ["PGHOST"],
    "PORT": os.environ["PGPORT"],
    "USER": os.environ["PGUSER"],
    "NAME": os.environ["PGDATABASE"],
    "OPTIONS": {"server_side_binding": True, "prepare_threshold": 5},
}
settings.configure(DATABASES={"default": DATABASE, "mine": DATABASE})
django.setup()


class Row(models.Model):
    """The table of this run."""

    id = models.IntegerField(primary_key=True)

    class Meta:
        app_label = "drivers"
        db_table = sql.NAME


class Django:
    """Two connections; the one that is not the default one listens."""

    def connect(self) -> None:
        """Connect."""
        self.mine, self.other = connections["mine"], connections["default"]
        for connection in (self.mine, self.other):
            connection.close()
            connection.ensure_connection()
        same(_fetch(self.mine, "SELECT 1"), [(1,)])

    def listen(self) -> None:
        """LISTEN."""
        _execute(self.mine, sql.LISTEN)

    def receive(self) -> None:
        """Hear the other connection."""
        _execute(self.other, sql.notify("hello"))
        same(self._heard(), (_pid(self.other), "hello"))

    def own_pid(self) -> None:
        """Hear oneself."""
        _execute(self.mine, sql.notify("own"))
        same(self._heard(), (_pid(self.mine), "own"))

    def transaction(self) -> None:
        """Roll back, which nobody hears, and commit."""
        with self.other.schema_editor() as editor:
            editor.create_model(Row)
        for number in (1, 2):
            with transaction.atomic("mine"):
                Row.objects.using("mine").create(id=number)
                _execute(self.mine, sql.notify(f"row {number}"))
                transaction.set_rollback(number == 1, "mine")
        same(self._heard(), (_pid(self.mine), "row 2"))
        same(list(Row.objects.values_list("id")), [(2,)])
        with self.other.schema_editor() as editor:
            editor.delete_model(Row)

    def errors(self) -> None:
        """Recover from a syntax error, and from a failed transaction."""
        self._fails(psycopg.errors.SyntaxError, sql.SYNTAX_ERROR)
        with transaction.atomic("mine"):
            self._fails(psycopg.errors.DivisionByZero, sql.DIVISION_BY_ZERO)
            self._fails(psycopg.errors.InFailedSqlTransaction, "SELECT 1")
            transaction.set_rollback(True, "mine")
        same(_fetch(self.mine, "SELECT 2"), [(2,)])

    def prepared(self) -> None:
        """Repeat, until the driver prepares the statement."""
        for number in range(sql.TIMES):
            same(_fetch(self.mine, "SELECT %s + 1", number), [(number + 1,)])
        same(_fetch(self.mine, sql.NAMED), [(True,)])

    def cancel(self) -> None:
        """Cancel from another thread, which has a default connection of its own."""
        cancelling = in_background(_cancel_sleep, self.mine.connection)
        self._fails(psycopg.errors.QueryCanceled, sql.SLEEP)
        cancelling.result()
        same(_fetch(self.mine, "SELECT 3"), [(3,)])

    def large(self) -> None:
        """Fetch many rows, and a large value."""
        rows = _fetch(self.mine, sql.LARGE_ROWS)
        same((len(rows), rows[-1]), (sql.LARGE_COUNT, (sql.LARGE_COUNT, f"row {sql.LARGE_COUNT}")))
        same(len(_fetch(self.mine, sql.LARGE_VALUE)[0][0]), sql.LARGE_SIZE)

    def copy(self) -> None:
        """Copy in and out again."""
        _execute(self.mine, sql.COPY_TABLE)
        with self.mine.cursor() as cursor:
            with cursor.copy(sql.COPY_IN) as copy:
                copy.write(sql.COPY_LINES)
            with cursor.copy(sql.COPY_OUT) as copy:
                same(b"".join(copy) == sql.COPY_LINES.encode(), True)

    def reconnect(self) -> None:
        """Lose the connection, and hear again on the next one."""
        same(_fetch(self.other, sql.terminate(_pid(self.mine))), [(True,)])
        fails(DatabaseError, _execute, self.mine, "SELECT 1")
        same(self.mine.is_usable(), False)
        self.mine.close_if_unusable_or_obsolete()
        self.listen()
        self.receive()

    def cursor(self) -> None:
        """Fetch in pieces, with a server-side cursor."""
        with transaction.atomic("mine"), self.mine.chunked_cursor() as cursor:
            cursor.execute(sql.LARGE_ROWS)
            total = 0
            while rows := cursor.fetchmany(1000):
                total += sum(number for number, _ in rows)
        same(total, sum(range(sql.LARGE_COUNT + 1)))

    def _heard(self) -> tuple[int, str]:
        """Wait for the next notification."""
        (notification,) = self.mine.connection.notifies(stop_after=1)
        return notification.pid, notification.payload

    def _fails(self, cause: type[Exception], query: str) -> None:
        same(type(fails(DatabaseError, _execute, self.mine, query).__cause__), cause)


def _execute(connection: Any, query: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(query)


def _fetch(connection: Any, query: str, *arguments: object) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(query, arguments or None)
        return list(cursor.fetchall())


def _pid(connection: Any) -> int:
    return int(connection.connection.info.backend_pid)


def _cancel_sleep(driver: Any) -> None:
    with connections["default"].cursor() as cursor:
        cursor.execute(sql.UNTIL_SLEEPING)
    driver.cancel_safe()
    connections["default"].close()


if __name__ == "__main__":
    run(Django, "cursor")
