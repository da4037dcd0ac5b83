"""Messages of the server in another encoding, for a client that changes its own while some wait for it."""

from twistnotify.wire.catalog import decode_backend
from twistnotify.wire.framing import FrameBuffer


def transcoded(frames: bytes, before: str, after: str) -> bytes:
    """Return whole frames of one codec in another.

    Raises UnicodeEncodeError for a notification with what that cannot hold, ProtocolViolation for what is no frame.
    """
    buffer = FrameBuffer(len(frames))
    buffer.feed(frames)
    converted = []
    while (frame := buffer.next_frame()) is not None:
        type_, body = frame
        converted.append(decode_backend(type_, body, before).encode(after))
    return b"".join(converted)
