"""The messages of COPY."""

import pytest

from twistnotify.wire.copying import (
    CopyBothResponse,
    CopyData,
    CopyDone,
    CopyFail,
    CopyInResponse,
    CopyOutResponse,
)
from twistnotify.wire.violations import ProtocolViolation


def test_the_messages_have_the_bytes_of_the_manual() -> None:
    assert CopyData(b"1\ta\n").encode() == b"d\0\0\0\x081\ta\n"
    assert CopyDone().encode() == b"c\0\0\0\x04"
    assert CopyFail(b"enough").encode() == b"f\0\0\0\x0benough\0"
    assert CopyInResponse(0, (0, 0)).encode() == b"G\0\0\0\x0b\0\0\x02\0\0\0\0"
    assert CopyOutResponse(1, (1,)).encode() == b"H\0\0\0\x09\x01\0\x01\0\x01"
    assert CopyBothResponse(0, ()).encode() == b"W\0\0\0\x07\0\0\0"


def test_data_is_all_of_the_body() -> None:
    assert CopyData.decode(b"\0\n\xff", "latin-1") == CopyData(b"\0\n\xff")


@pytest.mark.parametrize("body", [b"", b"enough", b"enough\0more", b"\0\0"])
def test_a_reason_to_fail_is_one_string(body: bytes) -> None:
    with pytest.raises(ProtocolViolation):
        CopyFail.decode(body)


@pytest.mark.parametrize("body", [b"", b"\0", b"\0\0\x01", b"\0\0\x01\0\0\0"])
def test_a_format_for_each_column_is_all_that_is_told(body: bytes) -> None:
    with pytest.raises(ProtocolViolation):
        CopyInResponse.decode(body)
