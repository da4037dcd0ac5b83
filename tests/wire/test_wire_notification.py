"""NotificationResponse."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twistnotify.wire.body import frame, int32, string
from twistnotify.wire.notification import NotificationResponse, notification_frame
from twistnotify.wire.violations import ProtocolViolation


def test_a_notification_has_the_bytes_postgresql_sends() -> None:
    expected = b"A" + b"\0\0\0\x12" + b"\0\x40\0\x01" + b"jobs\0done\0"
    assert notification_frame(4_194_305, "jobs", "done") == expected


def test_an_empty_payload_is_an_empty_string() -> None:
    assert notification_frame(1, "a", "") == b"A\0\0\0\x0b\0\0\0\x01a\0\0"


def test_a_notification_is_in_the_clients_encoding() -> None:
    assert notification_frame(1, "é", "ü", "latin-1").endswith(b"\xe9\0\xfc\0")


def test_a_character_the_encoding_lacks_is_an_error() -> None:
    with pytest.raises(UnicodeEncodeError):
        notification_frame(1, "a", "日", "latin-1")
    with pytest.raises(UnicodeEncodeError):
        NotificationResponse(1, "日", "").encode("latin-1")


texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"))


@settings(deadline=None)
@given(st.integers(-(2**31), 2**31 - 1), texts, texts)
def test_the_fast_way_gives_the_bytes_of_the_plain_way(pid: int, channel: str, payload: str) -> None:
    plain = frame(ord("A"), int32(pid), string(channel), string(payload))
    assert notification_frame(pid, channel, payload) == plain
    assert NotificationResponse(pid, channel, payload).encode() == plain
    assert NotificationResponse.decode(plain[5:]) == NotificationResponse(pid, channel, payload)


def test_a_payload_is_one_string() -> None:
    with pytest.raises(ProtocolViolation, match="invalid message format"):
        NotificationResponse.decode(b"\0\0\0\x01a\0b\0c\0")
