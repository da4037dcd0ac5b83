"""psycopg 3, synchronous and asynchronous."""

from __future__ import annotations

import asyncio
from typing import Any

import psycopg
import pytest
from psycopg import sql
from support.clients import END
from support.process import TwistnotifyProcess

DEADLINE = 60.0


def connect(server: TwistnotifyProcess, **keywords: Any) -> psycopg.Connection[Any]:
    return psycopg.connect(server.dsn(), autocommit=True, **keywords)


def payloads(connection: psycopg.Connection[Any], count: int) -> list[str]:
    return [notify.payload for notify in connection.notifies(timeout=DEADLINE, stop_after=count)]


def test_notifies_are_iterated_over(server: TwistnotifyProcess) -> None:
    with connect(server) as listener, connect(server) as sender:
        listener.execute("LISTEN three")
        sender.execute("NOTIFY three, 'text'")
        sender.execute("SELECT pg_notify(%s, %s)", ("three", "it's a parameter"))
        got = list(listener.notifies(timeout=DEADLINE, stop_after=2))
        assert [notify.payload for notify in got] == ["text", "it's a parameter"]
        assert {notify.pid for notify in got} == {sender.info.backend_pid}


def test_handlers_are_called_while_notify_is_answered(server: TwistnotifyProcess) -> None:
    got: list[Any] = []
    with connect(server) as connection:
        connection.add_notify_handler(got.append)
        connection.execute("LISTEN handled")
        connection.execute("NOTIFY handled, 'own'")
        assert [(n.pid, n.payload) for n in got] == [(connection.info.backend_pid, "own")]


def test_binary_and_text_parameters(server: TwistnotifyProcess) -> None:
    with connect(server) as connection, connection.cursor(binary=True) as binary:
        connection.execute("LISTEN params")
        connection.execute("SELECT pg_notify(%s::text, %b)", ("params", "binary ü"))
        connection.execute("SELECT pg_notify(%t, %t)", ("params", "text ü"))
        binary.execute("SELECT pg_notify('params', %s)", ("binary result",))
        assert payloads(connection, 3) == ["binary ü", "text ü", "binary result"]


def test_prepared_statements(server: TwistnotifyProcess) -> None:
    with connect(server, prepare_threshold=1) as connection:
        connection.execute("LISTEN prepared")
        for number in range(20):
            connection.execute("SELECT pg_notify('prepared', %s)", (str(number),))
        assert payloads(connection, 20) == [str(number) for number in range(20)]
        connection.execute("DEALLOCATE ALL")
        connection.execute("SELECT pg_notify('prepared', %s)", ("after",), prepare=True)
        assert payloads(connection, 1) == ["after"]


def test_transactions_and_savepoints(server: TwistnotifyProcess) -> None:
    with connect(server) as listener, psycopg.connect(server.dsn()) as sender:
        listener.execute("LISTEN tx")
        with sender.transaction():
            sender.execute("NOTIFY tx, '1'")
            with sender.transaction(force_rollback=True):
                sender.execute("NOTIFY tx, 'rolled back'")
            with sender.transaction():
                sender.execute("NOTIFY tx, '2'")
        sender.execute("NOTIFY tx, 'rolled back, too'")
        sender.rollback()
        sender.execute(f"NOTIFY tx, '{END}'")
        sender.commit()
        assert payloads(listener, 3) == ["1", "2", END]


def test_pipeline_mode(server: TwistnotifyProcess) -> None:
    with connect(server) as connection, connect(server) as listener:
        listener.execute("LISTEN piped")
        with connection.pipeline() as pipeline:
            connection.execute("LISTEN piped")
            for number in range(100):
                connection.execute("SELECT pg_notify('piped', %s)", (str(number),))
                if number % 10 == 9:
                    pipeline.sync()
            connection.execute(f"NOTIFY piped, '{END}'")
        expected = [*map(str, range(100)), END]
        assert payloads(connection, 101) == expected
        assert payloads(listener, 101) == expected


def notify_with_an_error_among_it(connection: psycopg.Connection[Any]) -> None:
    with connection.pipeline():
        connection.execute("NOTIFY piped, 'lost with the error'")
        connection.execute("SELECT pg_notify('', 'x')")
        connection.execute("NOTIFY piped, 'skipped'")


def test_an_error_takes_all_of_its_pipeline_with_it(server: TwistnotifyProcess) -> None:
    with connect(server) as connection:
        connection.execute("LISTEN piped")
        # Where it is raised, at once or at the end, depends on when the answer comes.
        with pytest.raises(psycopg.errors.InvalidParameterValue):
            notify_with_an_error_among_it(connection)
        connection.execute(f"NOTIFY piped, '{END}'")
        assert payloads(connection, 1) == [END]


def test_a_payload_that_is_too_long_has_postgresqls_sqlstate(server: TwistnotifyProcess) -> None:
    with connect(server) as connection:
        for query, args in (
            (sql.SQL("NOTIFY long, {}").format("x" * 8000), ()),
            ("SELECT pg_notify('long', %s)", ("ü" * 4000,)),
        ):
            with pytest.raises(psycopg.errors.InvalidParameterValue, match="payload string too long"):
                connection.execute(query, args or None)
        connection.execute("LISTEN long")
        connection.execute("SELECT pg_notify('long', %s)", ("ü" * 3999 + "x",))
        assert payloads(connection, 1) == ["ü" * 3999 + "x"]


def test_asynchronous_connections(server: TwistnotifyProcess) -> None:
    async def main() -> list[str]:
        listener = await psycopg.AsyncConnection.connect(server.dsn(), autocommit=True)
        sender = await psycopg.AsyncConnection.connect(server.dsn(), autocommit=True)
        async with listener, sender:
            await listener.execute("LISTEN async")
            for number in range(50):
                await sender.execute("SELECT pg_notify('async', %s)", (str(number),))
            return [n.payload async for n in listener.notifies(timeout=DEADLINE, stop_after=50)]

    assert asyncio.run(main()) == [str(number) for number in range(50)]
