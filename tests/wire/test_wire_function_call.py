"""FunctionCall and its answer."""

import pytest

from twistnotify.wire.function_call import FunctionCall, FunctionCallResponse
from twistnotify.wire.violations import ProtocolViolation


def test_a_call_has_the_bytes_of_the_manual() -> None:
    call = FunctionCall(177, (1,), (b"\0\0\0\x02", None), 1)
    head, arguments = b"\0\0\0\xb1\0\x01\0\x01", b"\0\x02\0\0\0\x04\0\0\0\x02\xff\xff\xff\xff"
    assert call.encode() == b"F\0\0\0\x1c" + head + arguments + b"\0\x01"


def test_an_answer_has_the_bytes_of_the_manual() -> None:
    assert FunctionCallResponse(b"ab").encode() == b"V\0\0\0\x0a\0\0\0\x02ab"
    assert FunctionCallResponse(None).encode() == b"V\0\0\0\x08\xff\xff\xff\xff"


def test_a_call_ends_with_the_format_of_its_result() -> None:
    with pytest.raises(ProtocolViolation, match="insufficient data left in message"):
        FunctionCall.decode(b"\0\0\0\xb1\0\0\0\0\0")
    with pytest.raises(ProtocolViolation, match="invalid message format"):
        FunctionCall.decode(b"\0\0\0\xb1\0\0\0\0\0\0\0")


@pytest.mark.parametrize("body", [b"", b"\0\0\0\x02a", b"\xff\xff\xff\xfea", b"\0\0\0\x01ab", b"\xff\xff\xff\xffa"])
def test_a_result_of_another_size_is_a_violation(body: bytes) -> None:
    with pytest.raises(ProtocolViolation):
        FunctionCallResponse.decode(body)
