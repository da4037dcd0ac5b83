"""A channel belongs to the shard that PostgreSQL's own PARTITION BY HASH would give it."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import pytest
from support.clients import END, hear, hear_until, listen, run
from support.postgres import PostgresServer
from support.process import TwistnotifyProcess

SHARDS = 3
NAMES = 300
SEED = 20_240_902
# From one to four bytes of UTF-8, with combining, right-to-left and wide characters among them.
ALPHABETS = [
    [chr(code) for code in range(1, 128)],
    [chr(code) for code in range(0xA0, 0x600)],
    [chr(code) for code in (*range(0x600, 0xD800, 7), *range(0xE000, 0xFFFE, 5))],
    [chr(code) for code in range(0x1F300, 0x1F700)],
]


def channel_names(seed: int) -> list[str]:
    """Return random names of 1 to 63 bytes, none twice."""
    source = random.Random(seed)
    found: dict[str, None] = {}
    while len(found) < NAMES:
        alphabet = source.choice([*ALPHABETS, [letter for letters in ALPHABETS for letter in letters]])
        name = "".join(source.choices(alphabet, k=source.randint(1, 63)))
        found[name.encode()[: source.randint(1, 63)].decode(errors="ignore")] = None
        found.pop("", None)
    return list(found)


@pytest.fixture
def shard_of(postgres: PostgresServer) -> dict[str, int]:
    """The shard of each name, as PostgreSQL itself says."""
    connection = postgres.connect()
    run(connection, "DROP TABLE IF EXISTS parted")
    run(connection, "CREATE TABLE parted (name text) PARTITION BY HASH (name)")
    found = {}
    for name in channel_names(SEED):
        (places,) = run(
            connection,
            "SELECT array(SELECT r FROM generate_series(0, %s - 1) AS r"
            " WHERE satisfies_hash_partition('parted'::regclass, %s, r, %s::text))",
            SHARDS,
            SHARDS,
            name,
        )
        ((found[name],),) = places
    return found


def directs(postgres: PostgresServer, channels: Sequence[str]) -> list[Any]:
    """Return connections to the databases behind the shards, listening to all channels there."""
    return [listen(postgres.connect(f"app{shard}"), *channels, "the end") for shard in range(SHARDS)]


def test_a_notification_goes_through_the_shard_of_its_channel(
    sharded_server: TwistnotifyProcess, postgres: PostgresServer, shard_of: dict[str, int]
) -> None:
    assert {shard_of[name] for name in shard_of} == set(range(SHARDS)), f"seed {SEED}"
    behind = directs(postgres, list(shard_of))
    sender = sharded_server.connect("app")
    # Answered when all of them are with PostgreSQL.
    run(sender, "SET twistnotify.notify_ack = committed")
    for name in shard_of:
        run(sender, "SELECT pg_notify(%s, %s)", name, name)
    for shard, direct in enumerate(behind):
        run(direct, f"NOTIFY \"the end\", '{END}'")
        expected = [(name, name) for name in shard_of if shard_of[name] == shard]
        assert hear_until(direct) == expected, f"seed {SEED}"


def test_a_listener_hears_the_shard_of_its_channel_and_no_other(
    sharded_server: TwistnotifyProcess, postgres: PostgresServer, shard_of: dict[str, int]
) -> None:
    listener = sharded_server.connect("app")
    run(listener, "SET twistnotify.listen_ack = confirmed")
    listen(listener, *shard_of)
    for shard in range(SHARDS):
        direct = postgres.connect(f"app{shard}")
        for name in shard_of:
            run(direct, "SELECT pg_notify(%s, %s)", name, f"from {shard}")
    # Both ways: the right ones come, and no others before them nor behind them.
    assert sorted(hear(listener, NAMES)) == sorted((name, f"from {shard}") for name, shard in shard_of.items())
    for name in shard_of:
        run(listener, "SELECT pg_notify(%s, 'own')", name)
    assert sorted(hear(listener, NAMES)) == sorted((name, "own") for name in shard_of)


def test_the_order_of_a_shard_is_kept(
    sharded_server: TwistnotifyProcess, postgres: PostgresServer, shard_of: dict[str, int]
) -> None:
    channels = list(shard_of)[:30]
    behind = directs(postgres, channels)
    listener = sharded_server.connect("app")
    run(listener, "SET twistnotify.listen_ack = confirmed")
    listen(listener, *channels)
    senders = [sharded_server.connect("app") for _ in range(3)]
    total = 3000
    for number in range(total):
        channel = channels[number * 7 % len(channels)]
        run(senders[number % 3], "SELECT pg_notify(%s, %s)", channel, str(number))
        if number % 10 == 0:
            direct = behind[shard_of[channel]]
            run(direct, "SELECT pg_notify(%s, %s)", channel, f"direct {number}")
    got = hear(listener, total + total // 10)
    for shard, direct in enumerate(behind):
        run(direct, f"NOTIFY \"the end\", '{END}'")
        assert hear_until(direct) == [pair for pair in got if shard_of[pair[0]] == shard]


def test_a_transaction_over_several_shards_is_delivered_or_not(
    sharded_server: TwistnotifyProcess, shard_of: dict[str, int]
) -> None:
    one_of_each = {shard: name for name, shard in shard_of.items()}
    channels = [one_of_each[shard] for shard in range(SHARDS)]
    listener, sender = listen(sharded_server.connect("app"), *channels), sharded_server.connect("app")
    for end, payload in (("ROLLBACK", "rolled back"), ("COMMIT", "committed")):
        run(sender, "BEGIN")
        for channel in channels:
            run(sender, "SELECT pg_notify(%s, %s)", channel, payload)
        run(sender, end)
    assert sorted(hear(listener, SHARDS)) == sorted((channel, "committed") for channel in channels)


def test_each_shard_has_one_backend(sharded_server: TwistnotifyProcess, postgres: PostgresServer) -> None:
    run(sharded_server.connect("app"), "SELECT 1")
    assert [name for name in postgres.listen_backends() if "/app" in name] == [
        f"twistnotify/app{shard}" for shard in range(SHARDS)
    ]
