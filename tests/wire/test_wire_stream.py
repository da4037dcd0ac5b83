"""A stream of which most only passes: nothing is lost, nothing is held, and what is read is whole."""

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from twistnotify.wire.body import frame
from twistnotify.wire.stream import LONG, PASSED, FrameStream
from twistnotify.wire.violations import ProtocolViolation

LIMIT = 20
LONGEST = 1000
ROW, QUERY = ord("D"), ord("Q")
Pieces = list[tuple[int, bytes]]


def stream_of(data: bytes = b"") -> FrameStream:
    stream = FrameStream(b"Dd", LIMIT, LONGEST)
    if data:
        stream.feed(data)
    return stream


def drained(stream: FrameStream) -> Pieces:
    pieces = []
    while (piece := stream.next_piece()) is not None:
        pieces.append(piece)
    return pieces


def read(chunks: list[bytes]) -> Pieces:
    stream, pieces = stream_of(), []
    for chunk in chunks:
        stream.feed(chunk)
        pieces += drained(stream)
    return pieces


def cut(data: bytes, places: list[int]) -> list[bytes]:
    bounds = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in pairwise(bounds)]


frames = st.builds(
    lambda type_, size: frame(type_, bytes(size)), st.sampled_from(b"DdQXZ"), st.sampled_from([0, 1, 19, 20, 21, 70])
)
places = st.lists(st.integers(0, 1 << 20), max_size=12)


# However it is cut


@given(st.lists(frames, max_size=8), places)
def test_the_same_bytes_come_out_in_the_same_order(sent: list[bytes], places: list[int]) -> None:
    data = b"".join(sent)
    assert b"".join(piece for _, piece in read(cut(data, places))) == data


@given(st.lists(frames, max_size=8), places)
@example([frame(QUERY, b"x" * 20), frame(ROW, b"x" * 70), frame(QUERY)], [3, 30, 97])
def test_what_is_read_comes_whole_and_once(sent: list[bytes], places: list[int]) -> None:
    pieces = read(cut(b"".join(sent), places))
    short = [each for each in sent if each[0] not in b"Dd" and len(each) <= LIMIT + 5]
    assert [piece for type_, piece in pieces if PASSED < type_ < LONG] == short
    assert all(type_ == piece[0] for type_, piece in pieces if PASSED < type_ < LONG)


@given(st.lists(frames, max_size=8), places)
def test_a_long_frame_is_marked_once_at_its_header(sent: list[bytes], places: list[int]) -> None:
    pieces = read(cut(b"".join(sent), places))
    long = [each[:5] for each in sent if each[0] not in b"Dd" and len(each) > LIMIT + 5]
    assert [piece[:5] for type_, piece in pieces if type_ >= LONG] == long
    assert all(type_ & ~LONG == piece[0] for type_, piece in pieces if type_ >= LONG)


@given(st.lists(frames, max_size=8), places)
def test_it_is_between_frames_where_a_frame_has_passed_to_its_end(sent: list[bytes], places: list[int]) -> None:
    stream, passed = stream_of(), 0
    ends = {0}
    for each in sent:
        ends.add(max(ends) + len(each))
    for chunk in cut(b"".join(sent), places):
        stream.feed(chunk)
        passed += sum(len(piece) for _, piece in drained(stream))
        assert stream.between_frames is (passed in ends)


# What passes


def test_frames_that_are_not_read_pass_in_one_run() -> None:
    rows = frame(ROW, b"a") + frame(ROW, b"b") + frame(ord("d"), b"x" * 500)
    assert read([rows + frame(QUERY, b"c") + rows]) == [(PASSED, rows), (QUERY, frame(QUERY, b"c")), (PASSED, rows)]


def test_a_frame_that_passes_need_not_be_whole() -> None:
    row = frame(ROW, b"x" * 100)
    assert read([row[:5], row[5:40], row[40:] + row]) == [
        (PASSED, row[:5]),
        (PASSED, row[5:40]),
        (PASSED, row[40:]),
        (PASSED, row),
    ]


def test_no_piece_comes_before_its_header_is_there() -> None:
    stream = stream_of(frame(ROW, b"x")[:4])
    assert stream.next_piece() is None
    assert stream.between_frames
    stream = stream_of(frame(QUERY, b"x" * 100)[:4])
    assert stream.next_piece() is None


def test_the_rest_of_a_long_frame_passes_as_it_comes() -> None:
    query = frame(QUERY, b"x" * 100)
    stream = stream_of(query[:5])
    assert drained(stream) == [(QUERY | LONG, query[:5])]
    assert not stream.between_frames
    assert stream.next_piece() is None
    stream.feed(query[5:] + frame(QUERY))
    assert drained(stream) == [(PASSED, query[5:]), (QUERY, frame(QUERY))]


def test_nothing_is_kept_of_what_has_passed() -> None:
    stream = stream_of(frame(ROW, b"x" * 500)[:-1])
    drained(stream)
    assert len(stream) == 0
    assert stream._data == b""


# What cannot be


@pytest.mark.parametrize("length", [-1, 0, 3, LONGEST + 5])
@pytest.mark.parametrize("type_", [ROW, QUERY])
def test_an_impossible_length_is_refused_behind_what_came_before_it(type_: int, length: int) -> None:
    before = frame(ROW, b"a")
    stream = stream_of(before + bytes((type_,)) + length.to_bytes(4, "big", signed=True))
    assert stream.next_piece() == (PASSED, before)
    for _ in range(2):
        with pytest.raises(ProtocolViolation, match=r"^invalid message length$"):
            stream.next_piece()


@pytest.mark.parametrize("type_", [ROW, QUERY])
def test_the_longest_frame_passes(type_: int) -> None:
    sent = frame(type_, bytes(LONGEST))
    assert b"".join(piece for _, piece in read([sent])) == sent


# What it costs


def test_a_long_stream_in_small_chunks_is_copied_a_bounded_number_of_times() -> None:
    size = 300_000
    data = frame(QUERY, bytes(size)) + frame(ROW, bytes(size)) + frame(ROW, b"x") * 10_000
    stream = FrameStream(b"D", 2 * size, 2 * size)
    copied, held = 0, stream._data
    for chunk in cut(data, list(range(0, len(data), 500))):
        stream.feed(chunk)
        for _, piece in drained(stream):
            copied += len(piece)
        if stream._data is not held:
            held = stream._data
            copied += len(held)
    assert copied < 4 * len(data)


def test_rows_that_lie_together_are_not_cut_apart() -> None:
    stream = FrameStream(b"D", LIMIT, LONGEST)
    stream.feed(frame(ROW, b"x" * 10) * 1000)
    assert len(drained(stream)) == 1
