"""ParameterStatus, ReadyForQuery and Terminate."""

import pytest

from twistnotify.wire.session_status import ParameterStatus, ReadyForQuery, Terminate
from twistnotify.wire.violations import ProtocolViolation


def test_a_setting_is_a_name_and_a_value() -> None:
    assert ParameterStatus("TimeZone", "UTC").encode() == b"S\0\0\0\x11TimeZone\0UTC\0"


def test_a_value_the_client_cannot_read_gets_question_marks() -> None:
    assert ParameterStatus("a", "日").encode("latin-1") == b"S\0\0\0\x08a\0?\0"


def test_readiness_has_the_bytes_postgresql_sends() -> None:
    assert ReadyForQuery("I").encode() == b"Z\0\0\0\x05I"


@pytest.mark.parametrize("body", [b"", b"X", b"i", b"IT", b"\xff"])
def test_there_are_three_statuses(body: bytes) -> None:
    with pytest.raises(ProtocolViolation, match=r"^invalid message format$"):
        ReadyForQuery.decode(body)


def test_the_end_is_a_type_and_nothing_else() -> None:
    assert Terminate().encode() == b"X\0\0\0\x04"
