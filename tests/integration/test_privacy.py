"""Payloads are the clients' business: none of them ever reaches the log."""

from __future__ import annotations

from contextlib import suppress

import psycopg2
from support.clients import hear, listen, run
from support.fixtures import StartServer
from support.postgres import PostgresServer
from support.raw import RawClient

from twistnotify.wire.body import frame
from twistnotify.wire.extended_query import Bind, Execute, Parse, Sync
from twistnotify.wire.simple_query import Query

MARKER = "fiducia-51ef"


def test_no_payload_is_ever_logged(start_server: StartServer, postgres: PostgresServer) -> None:
    server = start_server(listen_loss_policy="notice", client_queue_hard_limit="16 kB", server_login_retry_max=0.2)
    listener, sender = listen(server.connect(), "private"), server.connect()
    run(sender, "NOTIFY private, %s", MARKER)
    run(sender, "SELECT pg_notify('private', %s)", MARKER)
    assert hear(listener, 2) == [("private", MARKER)] * 2
    relayed = server.connect()
    for wrong in (
        f"NOTIFY private, {MARKER}",
        f"NOTIFY private, '{MARKER * 1000}'",
        f"SELECT pg_notify('', '{MARKER}')",
        f"SELECT '{MARKER}' FROM nowhere",
        f"NOTIFY private, '{MARKER}'; SELECT nonsense",
        f"SET twistnotify.notify_ack = '{MARKER}'",
    ):
        with suppress(psycopg2.Error):
            run(relayed, wrong)
    with RawClient(server.port) as client:
        client.send(Query(f"NOTIFY private, '{MARKER}\xff'".encode("latin-1")))
        client.until_ready()
        statement = Parse(b"", b"SELECT pg_notify($1, $2)", ())
        client.send(
            statement, Bind(b"", b"", (1, 1), (b"private", MARKER.encode() + b"\xff"), ()), Execute(b"", 0), Sync()
        )
        client.until_ready()
        client.send(frame(ord("?"), MARKER.encode()))
        client.until_end()
    with RawClient(server.port, database=None) as client:
        client.send(MARKER.encode() * 3)
        client.until_end()
    # A client that is cut off with payloads waiting for it.
    with RawClient(server.port) as client:
        client.query("LISTEN private")
        client.query("BEGIN")
        for number in range(10):
            run(sender, "NOTIFY private, %s", MARKER + str(number).ljust(7000))
        client.until_end()
    # Payloads on their way while the connection is lost, in the queue while there is none, and sent when it is back.
    for number in range(100):
        run(sender, "NOTIFY private, %s", f"{MARKER} {number}")
    postgres.stop("immediate")
    server.wait_for_log("shard postgres: lost")
    for number in range(100):
        run(sender, "NOTIFY private, %s", f"{MARKER} again {number}")
    postgres.start()
    late = listen(server.connect(), "private")
    run(sender, f"NOTIFY private, '{MARKER}'")
    assert hear(late)[-1] == ("private", MARKER)
    server.stop()
    assert MARKER not in server.log()
