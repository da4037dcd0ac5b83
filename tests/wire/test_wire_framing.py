"""Frames cut from a byte stream, however it was chopped up."""

import sys
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from twistnotify.wire.body import frame
from twistnotify.wire.framing import MAX_STARTUP_PACKET, FrameBuffer
from twistnotify.wire.violations import MessageTooLong, ProtocolViolation

LIMIT = 20

Event = tuple[int, bytes] | tuple[str, int, int] | str


def drained(buffer: FrameBuffer) -> list[Event]:
    """Return all that the buffer gives until it wants more, errors as values."""
    events: list[Event] = []
    while True:
        try:
            found = buffer.next_frame()
        except MessageTooLong as error:
            events.append(("too long", error.type, error.length))
        except ProtocolViolation as error:
            return [*events, error.message]
        else:
            if found is None:
                return events
            events.append(found)


def read(chunks: list[bytes]) -> list[Event]:
    """Return all that a buffer gives for the chunks, up to the first error that is for good."""
    buffer = FrameBuffer(LIMIT)
    events: list[Event] = []
    for chunk in chunks:
        buffer.feed(chunk)
        events += drained(buffer)
        if events and isinstance(events[-1], str):
            break
    return events


def cut(stream: bytes, places: list[int]) -> list[bytes]:
    bounds = [0, *sorted(place % (len(stream) + 1) for place in places), len(stream)]
    return [stream[start:end] for start, end in pairwise(bounds)]


def single_bytes(stream: bytes) -> list[bytes]:
    return [bytes([byte]) for byte in stream]


frames = st.lists(st.builds(frame, st.integers(0, 255), st.binary(max_size=2 * LIMIT)), max_size=8)
streams = st.builds(lambda whole, rest: b"".join(whole) + rest, frames, st.binary(max_size=12))


def test_a_frame_is_its_type_and_its_body() -> None:
    buffer = FrameBuffer(LIMIT)
    buffer.feed(b"Q\0\0\0\x07ab\0")
    assert buffer.next_frame() == (ord("Q"), b"ab\0")
    assert buffer.next_frame() is None


def test_an_empty_body_is_a_frame() -> None:
    assert read([b"S\0\0\0\x04H\0\0\0\x04"]) == [(ord("S"), b""), (ord("H"), b"")]


def test_nothing_is_there_before_the_last_byte() -> None:
    buffer = FrameBuffer(LIMIT)
    for byte in single_bytes(b"Q\0\0\0\x07ab"):
        buffer.feed(byte)
        assert buffer.next_frame() is None
    buffer.feed(b"\0")
    assert buffer.next_frame() == (ord("Q"), b"ab\0")


@settings(deadline=None)
@given(frames)
def test_frames_come_out_as_they_went_in(sent: list[bytes]) -> None:
    expected = [(one[0], one[5:]) if len(one) - 5 <= LIMIT else ("too long", one[0], len(one) - 5) for one in sent]
    assert read([b"".join(sent)]) == expected


@settings(deadline=None)
@given(streams, st.lists(st.integers(0, 2**16), max_size=12))
@example(frame(1, b"x" * (LIMIT + 1)) + frame(2, b"y"), [6, 7])
def test_any_chunking_gives_the_same_frames(stream: bytes, places: list[int]) -> None:
    assert read(cut(stream, places)) == read([stream])


@settings(deadline=None)
@given(streams)
def test_one_byte_at_a_time_gives_the_same_frames(stream: bytes) -> None:
    assert read(single_bytes(stream)) == read([stream])


@settings(deadline=None)
@given(streams, st.lists(st.integers(0, 2**16), max_size=12))
def test_reading_late_gives_the_same_frames(stream: bytes, places: list[int]) -> None:
    buffer = FrameBuffer(LIMIT)
    for chunk in cut(stream, places):
        buffer.feed(chunk)
    assert len(buffer) == len(stream)
    assert drained(buffer) == read([stream])


@settings(deadline=None)
@given(streams, st.lists(st.tuples(st.integers(0, 2**16), st.integers(0, 2)), max_size=12))
def test_reading_a_few_frames_at_a_time_gives_the_same_frames(stream: bytes, stops: list[tuple[int, int]]) -> None:
    buffer = FrameBuffer(LIMIT)
    events: list[Event] = []
    chunks = cut(stream, [place for place, _ in stops])
    for chunk, wanted in zip(chunks, [*(count for _, count in stops), 0], strict=True):
        buffer.feed(chunk)
        for _ in range(wanted):
            try:
                found = buffer.next_frame()
            except MessageTooLong as error:
                events.append(("too long", error.type, error.length))
            except ProtocolViolation:
                break
            else:
                events += [] if found is None else [found]
    assert events + drained(buffer) == read([stream])


@settings(deadline=None)
@given(st.lists(st.binary(max_size=40), max_size=6))
def test_garbage_gives_frames_or_a_violation(chunks: list[bytes]) -> None:
    read(chunks)


@settings(deadline=None)
@given(st.lists(st.binary(max_size=40), max_size=6))
def test_garbage_gives_a_startup_packet_or_a_violation(chunks: list[bytes]) -> None:
    buffer = FrameBuffer(LIMIT)
    for chunk in chunks:
        buffer.feed(chunk)
        try:
            packet = buffer.next_startup_packet()
        except ProtocolViolation as error:
            assert error.message == "invalid length of startup packet"  # noqa: PT017 - one of two right ends
            return
        assert packet is None or 4 <= len(packet) <= MAX_STARTUP_PACKET - 4


def test_only_the_frame_asked_for_is_looked_at() -> None:
    buffer = FrameBuffer(LIMIT)
    buffer.feed(frame(ord("S")) + b"Q\0\0\0\0")
    assert buffer.next_frame() == (ord("S"), b"")
    with pytest.raises(ProtocolViolation, match=r"^invalid message length$"):
        buffer.next_frame()


@pytest.mark.parametrize("length", [-(2**31), -1, 0, 3])
def test_a_length_below_its_own_size_is_invalid_for_good(length: int) -> None:
    buffer = FrameBuffer(LIMIT)
    buffer.feed(b"Q" + length.to_bytes(4, "big", signed=True))
    for _ in range(2):
        with pytest.raises(ProtocolViolation, match=r"^invalid message length$"):
            buffer.next_frame()


def test_the_longest_body_passes_and_one_byte_more_does_not() -> None:
    assert read([frame(1, b"x" * LIMIT)]) == [(1, b"x" * LIMIT)]
    assert read([frame(1, b"x" * (LIMIT + 1))]) == [("too long", 1, LIMIT + 1)]


def test_a_body_too_long_is_refused_before_it_comes() -> None:
    buffer = FrameBuffer(LIMIT)
    buffer.feed(b"Q\x7f\xff\xff\xff")
    with pytest.raises(MessageTooLong) as caught:
        buffer.next_frame()
    assert (caught.value.type, caught.value.length) == (ord("Q"), 2**31 - 5)


def test_a_body_too_long_is_skipped_without_gathering_it() -> None:
    buffer = FrameBuffer(LIMIT)
    buffer.feed(frame(1, b"x" * 1000)[:500])
    with pytest.raises(MessageTooLong):
        buffer.next_frame()
    for _ in range(5):
        assert len(buffer) == 0
        assert buffer.next_frame() is None
        buffer.feed(b"x" * 100)
    buffer.feed(b"x" * 5 + frame(2, b"after"))
    assert buffer.next_frame() == (2, b"after")


def test_what_follows_a_skipped_body_in_the_same_chunk_is_kept() -> None:
    assert read([frame(1, b"x" * 21) + frame(2, b"a") + frame(3, b"x" * 21)]) == [
        ("too long", 1, 21),
        (2, b"a"),
        ("too long", 3, 21),
    ]


def test_the_length_of_the_buffer_is_what_waits_in_it() -> None:
    buffer = FrameBuffer(LIMIT)
    assert len(buffer) == 0
    buffer.feed(frame(1, b"abc") + b"Q\0\0")
    assert len(buffer) == 11
    buffer.next_frame()
    assert len(buffer) == 3
    buffer.feed(b"\0")
    assert len(buffer) == 4


def test_an_idle_buffer_holds_no_memory_but_itself() -> None:
    buffer = FrameBuffer(1_000_000)
    buffer.feed(frame(1, b"x" * 100_000)[:-1])
    buffer.feed(b"x" + frame(2, b"y"))
    assert len(drained(buffer)) == 2
    held = [getattr(buffer, name) for name in FrameBuffer.__slots__]
    assert held == [b"", 1_000_004, None, 0, 0, True]
    assert sys.getsizeof(buffer) < 120


def test_a_rest_does_not_keep_alive_what_was_before_it() -> None:
    buffer = FrameBuffer(1_000_000)
    buffer.feed(frame(1, b"x" * 100_000) + b"Q\0")
    drained(buffer)
    assert buffer._data == b"Q\0"


def test_a_big_message_in_small_chunks_is_copied_a_bounded_number_of_times() -> None:
    size = 1_000_000
    buffer = FrameBuffer(size)
    joined = 0
    held = buffer._data
    for chunk in cut(frame(1, bytes(size)), list(range(0, size, 500))):
        buffer.feed(chunk)
        found = buffer.next_frame()
        if buffer._data is not held:
            held = buffer._data
            joined += len(held)
    assert found == (1, bytes(size))
    assert joined < 2 * size


def test_a_startup_packet_comes_without_its_length() -> None:
    buffer = FrameBuffer(LIMIT)
    for byte in single_bytes(b"\0\0\0\x09\0\x03\0\0"):
        buffer.feed(byte)
        assert buffer.next_startup_packet() is None
    buffer.feed(b"\0" + frame(ord("p"), b"x"))
    assert buffer.next_startup_packet() == b"\0\x03\0\0\0"
    assert buffer.next_frame() == (ord("p"), b"x")


def test_a_startup_packet_may_follow_another() -> None:
    buffer = FrameBuffer(LIMIT)
    buffer.feed(b"\0\0\0\x08\x04\xd2\x16\x2f" * 2)
    assert buffer.next_startup_packet() == b"\x04\xd2\x16\x2f"
    assert buffer.next_startup_packet() == b"\x04\xd2\x16\x2f"
    assert buffer.next_startup_packet() is None


@pytest.mark.parametrize("length", [-1, 0, 7, MAX_STARTUP_PACKET + 1])
def test_a_startup_packet_of_impossible_length_is_refused_before_it_comes(length: int) -> None:
    buffer = FrameBuffer(LIMIT)
    buffer.feed(length.to_bytes(4, "big", signed=True))
    with pytest.raises(ProtocolViolation, match=r"^invalid length of startup packet$"):
        buffer.next_startup_packet()


@pytest.mark.parametrize("length", [8, MAX_STARTUP_PACKET])
def test_the_shortest_and_the_longest_startup_packet_pass(length: int) -> None:
    buffer = FrameBuffer(LIMIT)
    buffer.feed(length.to_bytes(4, "big") + bytes(length - 4))
    assert buffer.next_startup_packet() == bytes(length - 4)


def test_a_long_frame_may_be_left_where_it_is_for_someone_else_to_read() -> None:
    buffer = FrameBuffer(LIMIT)
    buffer.skips = False
    long = frame(1, b"x" * 21)
    buffer.feed(frame(2, b"a") + long)
    assert drained_once(buffer) == [(2, b"a"), ("too long", 1, 21)]
    assert drained_once(buffer) == [("too long", 1, 21)]
    buffer.feed(b"more")
    assert buffer.take() == long + b"more"
    assert len(buffer) == 0
    assert buffer.take() == b""


@pytest.mark.parametrize("come", [5, 12, 26, 27])
def test_a_long_frame_that_was_left_may_be_skipped_after_all(come: int) -> None:
    buffer = FrameBuffer(LIMIT)
    buffer.skips = False
    sent = frame(1, b"x" * 21) + frame(2, b"a")
    buffer.feed(sent[:come])
    assert drained_once(buffer) == [("too long", 1, 21)]
    buffer.skip_frame()
    buffer.feed(sent[come:])
    assert drained_once(buffer) == [(2, b"a")]


def test_what_waits_in_several_pieces_is_taken_in_one() -> None:
    buffer = FrameBuffer(LIMIT)
    sent = frame(1, b"x" * 20)
    for byte in single_bytes(sent[:-1]):
        buffer.feed(byte)
        buffer.next_frame()
    assert buffer.take() == sent[:-1]
    buffer.feed(frame(2))
    assert buffer.next_frame() == (2, b"")


def drained_once(buffer: FrameBuffer) -> list[Event]:
    """Return what the buffer gives up to the first error that is there, or until it wants more."""
    events: list[Event] = []
    try:
        while (found := buffer.next_frame()) is not None:
            events.append(found)
    except MessageTooLong as error:
        events.append(("too long", error.type, error.length))
    return events
