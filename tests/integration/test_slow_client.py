"""A client that does not read is cut off, and nobody waits for it."""

from __future__ import annotations

from support.clients import END, hear_until, listen, run
from support.fixtures import StartServer
from support.raw import RawClient, names

from twistnotify.wire.errors import ErrorResponse
from twistnotify.wire.notification import NotificationResponse

COUNT = 1000
SIZE = 7000


def test_beyond_the_hard_limit_a_client_is_ended_and_the_others_are_undisturbed(
    start_server: StartServer,
) -> None:
    server = start_server(client_queue_hard_limit="64 kB", tcp_socket_buffer=16384)
    slow = RawClient(server.port, receive_buffer=4096)
    slow.query("LISTEN flood")
    fast, sender = listen(server.connect(), "flood"), server.connect()
    for number in range(COUNT // 10):
        statements = [f"NOTIFY flood, '{str(n).ljust(SIZE)}'" for n in range(10 * number, 10 * number + 10)]
        run(sender, ";".join(statements))
        # The fast one keeps up: it is as close to its limit as anybody.
        run(fast, "SELECT 1")
    run(sender, f"NOTIFY flood, '{END}'")
    assert [int(payload) for _, payload in hear_until(fast)] == list(range(COUNT))
    *notifications, last = slow.until_end()
    assert isinstance(last, ErrorResponse)
    assert names([last]) == ["FATAL 53400"]
    # What it got has no gap.
    assert all(isinstance(message, NotificationResponse) for message in notifications)
    numbers = [int(message.payload) for message in notifications if isinstance(message, NotificationResponse)]
    assert numbers == list(range(len(numbers)))
    assert 0 < len(numbers) < COUNT
    slow.socket.close()


def test_a_client_in_a_transaction_is_ended_when_too_much_is_held_for_it(start_server: StartServer) -> None:
    server = start_server(client_queue_hard_limit="64 kB")
    with RawClient(server.port) as busy:
        busy.query("LISTEN flood")
        busy.query("BEGIN")
        sender = server.connect()
        for number in range(20):
            run(sender, "NOTIFY flood, %s", str(number).ljust(SIZE))
        assert names(busy.until_end()) == ["FATAL 53400"]


def test_a_client_that_reads_in_time_is_let_live(start_server: StartServer) -> None:
    server = start_server(client_queue_hard_limit="1 MB", tcp_socket_buffer=16384)
    with RawClient(server.port, receive_buffer=4096) as slow:
        slow.query("LISTEN flood")
        sender = server.connect()
        for number in range(100):
            run(sender, "NOTIFY flood, %s", str(number).ljust(SIZE))
        payloads = [slow.read().payload for _ in range(100)]
        assert [int(payload) for payload in payloads] == list(range(100))
        assert names(slow.query("SELECT 1"))[-1] == "ready I"
