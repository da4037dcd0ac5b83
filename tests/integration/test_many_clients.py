"""Very many clients, and one backend."""

from __future__ import annotations

from support.clients import run
from support.fixtures import StartServer
from support.postgres import PostgresServer
from support.raw import RawClient, names
from support.versions import one_version

from twistnotify.wire.simple_query import Query

CLIENTS = 1000


@one_version
def test_a_thousand_clients_cost_one_backend(start_server: StartServer, postgres: PostgresServer) -> None:
    server = start_server()
    clients = [RawClient(server.port) for _ in range(CLIENTS)]
    try:
        for number, client in enumerate(clients):
            client.send(Query(f"LISTEN crowd; LISTEN own{number}".encode()))
        for client in clients:
            assert names(client.until_ready()) == ["LISTEN", "LISTEN", "ready I"]
        assert postgres.listen_backends() == ["twistnotify/postgres"]
        backends = postgres.fetch(
            "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
        )
        assert backends == [(1,)]
        assert len({client.pid for client in clients}) == CLIENTS
        run(server.connect(), "NOTIFY crowd, '1'; NOTIFY crowd, '2'")
        for client in clients:
            assert names([client.read(), client.read()]) == ["crowd: 1", "crowd: 2"]
        for number, client in enumerate(clients):
            client.send(Query(f"NOTIFY own{number}, 'x'".encode()))
        for number, client in enumerate(clients):
            assert names(client.until_ready()) == ["NOTIFY", f"own{number}: x", "ready I"]
        assert postgres.listen_backends() == ["twistnotify/postgres"]
    finally:
        for client in clients:
            client.socket.close()
