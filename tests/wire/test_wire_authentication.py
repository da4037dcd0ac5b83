"""AuthenticationOk."""

import pytest

from twistnotify.wire.authentication import AuthenticationOk
from twistnotify.wire.violations import ProtocolViolation


def test_ok_is_code_zero() -> None:
    assert AuthenticationOk().encode() == b"R\0\0\0\x08\0\0\0\0"


def test_another_request_is_named_by_its_code() -> None:
    with pytest.raises(ProtocolViolation, match=r"^unsupported authentication request 10$"):
        AuthenticationOk.decode(b"\0\0\0\x0aSCRAM-SHA-256\0\0")


def test_ok_has_nothing_after_its_code() -> None:
    with pytest.raises(ProtocolViolation, match="invalid message format"):
        AuthenticationOk.decode(b"\0\0\0\0\0")
