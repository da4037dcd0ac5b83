"""Frames that wait while a client changes its encoding."""

import pytest

from twistnotify.wire.errors import ErrorFields, NoticeResponse
from twistnotify.wire.notification import NotificationResponse
from twistnotify.wire.transcode import transcoded
from twistnotify.wire.violations import ProtocolViolation

HEARD = (NotificationResponse(7, "café", "é"), NotificationResponse(8, "café", ""))


def test_several_frames_are_converted_and_keep_their_order() -> None:
    before = b"".join(message.encode("utf-8") for message in HEARD)
    assert transcoded(before, "utf-8", "latin-1") == b"".join(message.encode("latin-1") for message in HEARD)
    assert transcoded(b"", "utf-8", "latin-1") == b""


def test_a_notice_is_converted_as_well() -> None:
    notice = NoticeResponse(ErrorFields("WARNING", "01000", "é"))
    assert transcoded(notice.encode("latin-1"), "latin-1", "utf-8") == notice.encode("utf-8")


def test_what_the_other_encoding_lacks_is_an_error() -> None:
    with pytest.raises(UnicodeEncodeError):
        transcoded(NotificationResponse(7, "日", "").encode(), "utf-8", "latin-1")


def test_what_is_no_frame_is_a_violation() -> None:
    with pytest.raises(ProtocolViolation):
        transcoded(b"?\0\0\0\4", "utf-8", "latin-1")
