"""Which shard a channel belongs to: PostgreSQL's own hash partitioning of text.

A table `PARTITION BY HASH (channel)` with text keys puts a row into the partition of the same number, and so
do other routers that follow PostgreSQL.

The hash is Bob Jenkins's lookup3 (http://burtleburtle.net/bob/c/lookup3.c) in PostgreSQL's variation: words
are little-endian, a 64-bit seed is stirred in first, and the lowest byte of the last word is left free for
the length, which is then added at the start only (hash_bytes_extended in src/common/hashfn.c). Partitioning
combines the hashes of all key columns, also where there is only one (compute_partition_hash_value in
src/backend/partitioning/partbounds.c).
"""

from __future__ import annotations

import codecs
import struct
from functools import lru_cache

_SEED = 0x7A5B22367996DCFD  # HASH_PARTITION_SEED
_COMBINE = 0x49A0F4DD15E5A8E3  # What hash_combine64 adds to the hash of the first column.
_START = 0x9E3779B9 + 3923095  # The golden ratio, and the number that PostgreSQL starts with.
_WORD = 0xFFFFFFFF
_MASK = 0xFFFFFFFFFFFFFFFF

# Channel names are at most 63 bytes: a full cache is some ten megabytes.
_CACHED_CHANNELS = 65536

_BLOCK = struct.Struct("<III")

State = tuple[int, int, int]

GAP_CHANNEL = "twistnotify_gap"
"""Where `listen_loss_policy = notice` announces a loss to whoever LISTENs to it. It exists here only, belongs to all
shards of a database, and nobody else may notify there."""


def partition_hash(data: bytes) -> int:
    """Return the unsigned 64-bit hash by which PostgreSQL picks the partition of a text.

    `data` is the text in the encoding of the database. The hash is what SQL's
    `hashtextextended(data, 8816678312871386365)` gives, as an unsigned number, plus a constant.
    """
    return (_hash_bytes(data, _SEED) + _COMBINE) & _MASK


def shard_of(channel: bytes, shards: int) -> int:
    """Return the shard, from 0, that a channel belongs to; its name is in the database's encoding."""
    return partition_hash(channel) % shards


class Router:
    """Tell the shard of a channel, and remember it.

    `encoding` is Python's name of the database's encoding: LookupError if there is none. `shards` is 1 or
    more.
    """

    def __init__(self, shards: int, encoding: str = "utf-8") -> None:
        if shards < 1:
            raise ValueError("there has to be at least one shard")
        codecs.lookup(encoding)
        self.shards = shards
        self.encoding = encoding
        # Hashing takes microseconds, a look-up a tenth of one.
        self._remembered = lru_cache(_CACHED_CHANNELS)(self._hashed)

    def __call__(self, channel: str) -> int:
        """Return the number of the channel's shard; UnicodeEncodeError if its name is not in the encoding."""
        return 0 if self.shards == 1 else self._remembered(channel)

    shard = __call__

    def _hashed(self, channel: str) -> int:
        return shard_of(channel.encode(self.encoding), self.shards)


def _hash_bytes(data: bytes, seed: int) -> int:
    start = (_START + len(data)) & _WORD
    state = _mix(start + (seed >> 32), start + (seed & _WORD), start)
    whole = len(data) - len(data) % _BLOCK.size
    for block in _BLOCK.iter_unpack(data[:whole]):
        state = _mix(*_add(state, block))
    return _last(*_add(state, _BLOCK.unpack(_padded(data[whole:]))))


def _padded(tail: bytes) -> bytes:
    """Fill up what is left to a block; the lowest byte of its last word, the ninth, stays empty."""
    return tail[:8].ljust(8, b"\0") + b"\0" + tail[8:].ljust(3, b"\0")


def _add(state: State, block: tuple[int, ...]) -> State:
    return state[0] + block[0], state[1] + block[1], state[2] + block[2]


def _rotate(word: int, bits: int) -> int:
    return (word << bits | word >> (32 - bits)) & _WORD


def _mix(a: int, b: int, c: int) -> State:
    """Stir three words reversibly: lookup3's `mix`. They may be over 32 bits when they come in."""
    a, b, c = a & _WORD, b & _WORD, c & _WORD
    # The six steps differ in which word plays which part: here the words change places instead.
    for bits in (4, 6, 8, 16, 19, 4):
        a, b, c = b, (c + b) & _WORD, ((a - c) & _WORD) ^ _rotate(c, bits)
    return a, b, c


def _last(a: int, b: int, c: int) -> int:
    """Stir three words into a hash of 64 bits: lookup3's `final`, the second word above the third."""
    a, b, c = a & _WORD, b & _WORD, c & _WORD
    # As in _mix. The number of steps is not a multiple of three: at the end the words stand as c, a, b.
    for bits in (14, 11, 25, 16, 4, 14, 24):
        b, c, a = ((c ^ b) - _rotate(b, bits)) & _WORD, a, b
    return a << 32 | b
