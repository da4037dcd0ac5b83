"""Every listener gets all notifications of a shard in the one order in which PostgreSQL sends them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from itertools import groupby
from typing import Any

from support.clients import END, Heard, hear, hear_until, listen, run
from support.fixtures import StartServer
from support.postgres import PostgresServer
from support.process import TwistnotifyProcess
from support.versions import one_version

CHANNELS = [f"order{number}" for number in range(10)]
PER_SENDER = 25_000
BATCH = 500


def send_by_text(connection: Any, sender: int, count: int = PER_SENDER) -> None:
    """Send NOTIFYs over all channels, several in each query."""
    for start in range(0, count, BATCH):
        statements = [
            f"NOTIFY {CHANNELS[number % len(CHANNELS)]}, '{sender} {number}'" for number in range(start, start + BATCH)
        ]
        run(connection, ";".join(statements))


def send_by_function(connection: Any, sender: int, count: int = PER_SENDER) -> None:
    """Send as PostgreSQL itself can: many in one statement."""
    for start in range(0, count, BATCH):
        run(
            connection,
            "SELECT count(pg_notify('order' || n %% %s, %s || ' ' || n)) FROM generate_series(%s, %s) AS n",
            len(CHANNELS),
            str(sender),
            start,
            start + BATCH - 1,
        )


def in_threads(*work: Callable[[], object]) -> list[Any]:
    """Do several things at once; return what they return, or raise what the first of them raises."""
    results: list[Any] = [None] * len(work)
    errors: list[BaseException] = []

    def do(place: int) -> None:
        try:
            results[place] = work[place]()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=do, args=(place,)) for place in range(len(work))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return results


def assert_complete_and_in_order(notifications: list[Heard], senders: int, count: int) -> None:
    """Check that nothing is missing or twice, and that each sender's are in the order of sending."""
    assert len(notifications) == senders * count
    pairs = sorted((int(who), index) for index, (who, _) in enumerate(p.split() for _, p in notifications))
    for _, group in groupby(pairs, key=lambda pair: pair[0]):
        numbers = [int(notifications[index][1].split()[1]) for _, index in group]
        assert numbers == list(range(count))


@one_version
def test_100_000_notifications_on_ten_channels_come_in_postgresqls_order(
    server: TwistnotifyProcess, postgres: PostgresServer
) -> None:
    direct = listen(postgres.connect(), *CHANNELS)
    listeners = [listen(server.connect(), *CHANNELS) for _ in range(5)]
    run(listeners[0], "SELECT 1")
    senders = [
        (send_by_text, server.connect()),
        (send_by_text, server.connect()),
        (send_by_text, postgres.connect()),
        (send_by_function, postgres.connect()),
    ]
    hearing = [(lambda who=who: hear(who, 4 * PER_SENDER)) for who in (direct, *listeners)]
    sending = [(lambda n=n, s=s, c=c: s(c, n)) for n, (s, c) in enumerate(senders)]
    expected, *got = in_threads(*hearing, *sending)[: len(hearing)]
    assert_complete_and_in_order(expected, len(senders), PER_SENDER)
    for notifications in got:
        assert notifications == expected


def test_a_listener_of_some_channels_hears_them_in_the_same_order(
    server: TwistnotifyProcess, postgres: PostgresServer
) -> None:
    direct = listen(postgres.connect(), *CHANNELS)
    some = listen(server.connect(), *CHANNELS[:3])
    sender = server.connect()
    in_threads(
        lambda: send_by_text(sender, 0, 1000),
        lambda: send_by_function(postgres.connect(), 1, 1000),
    )
    run(sender, f"NOTIFY {CHANNELS[0]}, '{END}'")
    expected = [heard_one for heard_one in hear_until(direct) if heard_one[0] in CHANNELS[:3]]
    assert hear_until(some) == expected
    assert len(expected) == 600


def test_two_instances_hear_each_other_in_the_same_order(start_server: StartServer, postgres: PostgresServer) -> None:
    first, second = start_server(), start_server()
    direct = listen(postgres.connect(), *CHANNELS)
    listeners = [listen(process.connect(), *CHANNELS) for process in (first, second) for _ in range(2)]
    for listener in listeners:
        # Each instance has told PostgreSQL by the time its listener hears of itself.
        run(listener, f"NOTIFY {CHANNELS[0]}, 'ready'")
    senders = [process.connect() for process in (first, second)]
    in_threads(*[(lambda n=n, c=c: send_by_text(c, n, 2000)) for n, c in enumerate(senders)])
    for sender in senders:
        # Answered when all that this instance has accepted before is with PostgreSQL.
        run(sender, "SET twistnotify.notify_ack = committed")
        run(sender, f"NOTIFY {CHANNELS[0]}, 'ready'")
    run(senders[0], f"NOTIFY {CHANNELS[0]}, '{END}'")
    expected = [pair for pair in hear_until(direct) if pair[1] != "ready"]
    assert_complete_and_in_order(expected, 2, 2000)
    for listener in listeners:
        assert [pair for pair in hear_until(listener) if pair[1] != "ready"] == expected


def test_each_listener_hears_what_follows_its_listen(server: TwistnotifyProcess) -> None:
    # A LISTEN stands between NOTIFYs of other clients: nothing from before it, everything from behind it.
    sender = server.connect()
    for number in range(100):
        run(sender, f"NOTIFY causal, 'before {number}'")
        listener = listen(server.connect(), "causal")
        run(sender, f"NOTIFY causal, 'after {number}'")
        assert hear(listener) == [("causal", f"after {number}")]
        listener.close()
