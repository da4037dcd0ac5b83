"""The partition hash is PostgreSQL's, and the router is the hash with a memory."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from partition_vectors import MODULI, VECTORS

from twistnotify.pubsub import routing
from twistnotify.pubsub.routing import Router, partition_hash, shard_of

VECTOR_NAMES = [name for name, *_ in VECTORS]


@pytest.mark.parametrize(("name", "extended", "rowhash", "places"), VECTORS, ids=VECTOR_NAMES)
def test_hash_and_shard_are_those_of_postgresql(
    name: str, extended: int, rowhash: int, places: tuple[int, ...]
) -> None:
    data = name.encode()
    assert partition_hash(data) == rowhash
    assert (partition_hash(data) - 0x49A0F4DD15E5A8E3) % 2**64 == extended % 2**64
    assert tuple(shard_of(data, shards) for shards in MODULI) == places


def test_vectors_cross_the_boundaries_of_the_twelve_byte_blocks() -> None:
    lengths = {len(name.encode()) for name in VECTOR_NAMES}
    assert {11, 12, 13, 24, 63} <= lengths


@pytest.mark.parametrize("length", range(65))
def test_every_byte_of_every_length_counts(length: int) -> None:
    data = bytes(range(1, length + 1))
    changed = [data[:i] + b"\xff" + data[i + 1 :] for i in range(length)]
    assert len({partition_hash(text) for text in [data, *changed]}) == length + 1


def test_trailing_zero_bytes_count_although_blocks_are_filled_up_with_them() -> None:
    assert len({partition_hash(b"a" + bytes(n)) for n in range(30)}) == 30


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_hash_is_an_unsigned_number_of_64_bits(data: bytes) -> None:
    assert 0 <= partition_hash(data) < 2**64


@settings(deadline=None)
@given(st.text(max_size=63), st.integers(1, 64))
def test_router_says_what_the_hash_says_each_time(channel: str, shards: int) -> None:
    router = Router(shards)
    expected = shard_of(channel.encode(), shards)
    assert [router(channel), router(channel), router.shard(channel)] == [expected] * 3


def test_router_hashes_the_bytes_of_the_databases_encoding() -> None:
    router = Router(1000, encoding="latin-1")
    assert router("é") == shard_of(b"\xe9", 1000)
    assert router("é") != Router(1000)("é")


def test_router_tells_that_a_name_is_not_in_the_encoding() -> None:
    with pytest.raises(UnicodeEncodeError):
        Router(2, encoding="latin-1")("日本語")


def test_single_shard_takes_every_channel_without_hashing() -> None:
    # A name that cannot be encoded shows that it was not looked at.
    assert Router(1, encoding="ascii")("日本語") == 0


def test_router_hashes_a_channel_once(monkeypatch: pytest.MonkeyPatch) -> None:
    hashed: list[bytes] = []

    def counted(channel: bytes, shards: int) -> int:
        hashed.append(channel)
        return 0

    monkeypatch.setattr(routing, "shard_of", counted)
    router = Router(2)
    for _ in range(3):
        router("orders")
    assert hashed == [b"orders"]


def test_router_forgets_so_that_its_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routing, "_CACHED_CHANNELS", 10)
    router = Router(2)
    first = [router(str(n)) for n in range(100)]
    assert router._remembered.cache_info().currsize == 10
    assert [router(str(n)) for n in range(100)] == first


@pytest.mark.parametrize("shards", [0, -1])
def test_router_without_shards_cannot_be(shards: int) -> None:
    with pytest.raises(ValueError, match="at least one shard"):
        Router(shards)


def test_unknown_encoding_shows_when_the_router_is_made() -> None:
    with pytest.raises(LookupError):
        Router(2, encoding="EUC_TW_or_such")


def test_seed_for_sql_in_the_docstring_is_the_one_that_is_used() -> None:
    assert f"hashtextextended(data, {routing._SEED})" in str(partition_hash.__doc__)
