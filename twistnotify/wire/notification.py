"""NotificationResponse, the message this program is for.

It must not know who listens, nor when a notification may be sent.
"""

from dataclasses import dataclass
from struct import Struct
from typing import ClassVar, Self

from twistnotify.wire.body import BodyReader

_TYPE = ord("A")
_pack_head = Struct(">BIi").pack


def notification_frame(pid: int, channel: str, payload: str, encoding: str = "utf-8") -> bytes:
    """Return the frame of a NotificationResponse, the fastest way.

    Raises UnicodeEncodeError if the encoding lacks a character, and neither replaces nor escapes it: what is
    delivered is what was sent. Neither text may hold a NUL; not checked, as PostgreSQL has no such text.
    """
    # One encode of the joined text costs less than two and a concatenation.
    body = f"{channel}\0{payload}\0".encode(encoding)
    return _pack_head(_TYPE, len(body) + 8, pid) + body


@dataclass(frozen=True, slots=True)
class NotificationResponse:
    """Deliver a notification; `pid` is that of the session that sent it (Protocol, 'Message Formats')."""

    type: ClassVar[int] = _TYPE

    pid: int
    channel: str
    payload: str

    def encode(self, encoding: str = "utf-8") -> bytes:
        """Return the frame; raise UnicodeEncodeError as `notification_frame` does."""
        return notification_frame(self.pid, self.channel, self.payload, encoding)

    @classmethod
    def decode(cls, body: bytes, encoding: str = "utf-8") -> Self:
        """Return the message; raise ProtocolViolation if the body is malformed."""
        reader = BodyReader(body)
        message = cls(reader.int32(), reader.text(encoding), reader.text(encoding))
        reader.end()
        return message
