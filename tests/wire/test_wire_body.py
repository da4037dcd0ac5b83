"""The parts every message body is made of."""

from collections.abc import Callable

import pytest

from twistnotify.wire.body import BodyReader, frame, nullable_values, numbers, string
from twistnotify.wire.extended_query import Sync
from twistnotify.wire.violations import ProtocolViolation


def test_a_frame_counts_its_length_but_not_its_type() -> None:
    assert frame(ord("Q"), b"ab", b"\0") == b"Q\0\0\0\x07ab\0"
    assert frame(ord("S")) == b"S\0\0\0\x04"


def test_a_string_ends_with_a_nul() -> None:
    assert string("é") == b"\xc3\xa9\0"
    assert string("é", "latin-1") == b"\xe9\0"


def test_a_nul_in_a_string_is_refused_or_replaced() -> None:
    with pytest.raises(ValueError, match="cannot hold a NUL"):
        string("a\0b")
    assert string("a\0b", errors="replace") == b"a?b\0"


def test_a_character_the_encoding_lacks_is_refused_or_replaced() -> None:
    with pytest.raises(UnicodeEncodeError):
        string("日", "latin-1")
    assert string("日", "latin-1", "replace") == b"?\0"


def test_numbers_are_counted() -> None:
    assert numbers("h", (0, -1)) == b"\0\x02\0\0\xff\xff"
    assert numbers("I", (4294967295,)) == b"\0\x01\xff\xff\xff\xff"


def test_null_has_length_minus_one_and_no_bytes() -> None:
    assert nullable_values((None, b"", b"a")) == b"\0\x03\xff\xff\xff\xff\0\0\0\0\0\0\0\x01a"


def test_a_count_may_use_all_sixteen_bits() -> None:
    values = (None,) * 65535
    assert BodyReader(nullable_values(values)).nullable_values() == values


def test_reading_goes_from_front_to_back() -> None:
    reader = BodyReader(b"\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff" + b"ab\0" + b"\xc3\xa9\0" + b"tail")
    assert (reader.uint8(), reader.uint16(), reader.int32(), reader.uint32()) == (1, 65535, -1, 4294967295)
    assert (reader.string(), reader.text("utf-8")) == (b"ab", "é")
    assert (reader.take(0), reader.take(2), reader.rest()) == (b"", b"ta", b"il")
    reader.end()


@pytest.mark.parametrize(
    ("body", "read"),
    [
        (b"", BodyReader.uint8),
        (b"\0", BodyReader.uint16),
        (b"\0\0\0", BodyReader.int32),
        (b"\0\0\0", BodyReader.uint32),
        (b"ab", lambda reader: reader.take(3)),
        (b"ab", lambda reader: reader.take(-1)),
        (b"\0\x02\0\0\0", lambda reader: reader.numbers("h")),
        (b"\0\x01\0\0\0\x02a", BodyReader.nullable_values),
        (b"\0\x01\xff\xff\xff\xfeab", BodyReader.nullable_values),
    ],
)
def test_a_body_too_short_has_insufficient_data(body: bytes, read: Callable[[BodyReader], object]) -> None:
    with pytest.raises(ProtocolViolation, match=r"^insufficient data left in message$"):
        read(BodyReader(body))


def test_a_string_without_terminator_is_invalid() -> None:
    with pytest.raises(ProtocolViolation, match=r"^invalid string in message$"):
        BodyReader(b"abc").string()


def test_bytes_left_over_are_an_invalid_format() -> None:
    with pytest.raises(ProtocolViolation, match=r"^invalid message format$"):
        BodyReader(b"a").end()


def test_bytes_that_are_not_of_the_encoding_come_back_as_they_were() -> None:
    text = BodyReader(b"a\xff\0").text("utf-8")
    assert text == "a\udcff"
    assert string(text, errors="surrogateescape") == b"a\xff\0"


def test_bytes_that_cannot_be_escaped_are_a_violation() -> None:
    with pytest.raises(ProtocolViolation, match="invalid byte sequence") as caught:
        BodyReader(b"a\0").text("utf-16")
    assert caught.value.sqlstate == "22021"


def test_an_empty_message_has_no_body() -> None:
    with pytest.raises(ProtocolViolation, match="invalid message format"):
        Sync.decode(b"\0")
