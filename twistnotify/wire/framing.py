"""A byte stream cut into frames: the hottest code of the program.

A frame is a type byte, an Int32 length that counts itself, and a body; a start-up packet has no type byte
(Protocol, section 'Messaging Overview'). The theory of `FrameBuffer`: frames are sliced from one bytes
object, `_data`, from a moving offset on. What arrives while a longer rest waits there is gathered in `_more`,
and joined to it only once the bytes asked for have all come; so each byte is copied a bounded number of
times, however the stream was cut. It must not know what a frame means.
"""

from struct import Struct

from twistnotify.wire.violations import MessageTooLong, ProtocolViolation

# PostgreSQL's MAX_STARTUP_PACKET_LENGTH (libpq/pqcomm.h), there as here a limit against senders of garbage.
MAX_STARTUP_PACKET = 10_000

# The shortest packet holds its length and a protocol version.
MIN_STARTUP_PACKET = 8

HEADER_SIZE = 5
"""Bytes of a frame before its body: type and length."""
unpack_header = Struct(">Bi").unpack_from
_length = Struct(">i").unpack_from


class FrameBuffer:
    """Buffer what arrives and cut frames from it, one a call, so that the caller may stop in a pipeline.

    `max_message` is the longest body in bytes; a longer one is skipped, unless `skips` is off: then it stays, for
    someone else (`take`) or to be skipped after all (`skip_frame`). An empty buffer holds no memory but its own slots.
    Beware: an empty buffer is false, as every empty container.
    """

    __slots__ = ("_data", "_limit", "_more", "_offset", "_skip", "skips")

    def __init__(self, max_message: int) -> None:
        self._limit = max_message + 4
        self._data = b""
        self._offset = 0
        self._more: bytearray | None = None
        self._skip = 0
        self.skips = True

    def bound(self, max_message: int) -> None:
        """Allow other bodies from the next frame on: those of at most `max_message` bytes."""
        self._limit = max_message + 4

    def __len__(self) -> int:
        """Return the number of bytes buffered."""
        more = self._more
        return len(self._data) - self._offset + (0 if more is None else len(more))

    def feed(self, data: bytes) -> None:
        """Take in what has arrived."""
        if self._skip:
            data = self._skipped(data)
        if self._more is not None:
            self._more += data
        elif len(self._data) - self._offset <= len(data):
            # Copies no more than has just arrived, and nothing at all in the usual case of no rest.
            self._data = self._data[self._offset :] + data
            self._offset = 0
        else:
            self._more = bytearray(data)

    def next_frame(self) -> tuple[int, bytes] | None:
        """Return the type byte and the body of the next frame, or None until all of it is there.

        Raises MessageTooLong once for a body over the limit, which is skipped: call again for the next frame.
        Raises ProtocolViolation for an impossible length; the stream is out of step then, for good.
        """
        data = self._data
        offset = self._offset
        size = len(data)
        if size - offset >= HEADER_SIZE:
            type, length = unpack_header(data, offset)
            end = offset + 1 + length
            if 4 <= length <= self._limit and end <= size:
                if end == size:
                    self._data = b""
                    self._offset = 0
                else:
                    self._offset = end
                return type, data[offset + HEADER_SIZE : end]
        elif not size and self._more is None:
            # The usual end of a turn, worth a line: the caller asks until there is nothing left.
            return None
        return self._next_frame_unless_incomplete()

    def skip_frame(self) -> None:
        """Skip the frame that was too long."""
        _, length = unpack_header(self._data, self._offset)
        self._skip_frame(1 + length)

    def take(self) -> bytes:
        """Take out everything that has come."""
        self._holds(len(self))
        data = self._data[self._offset :]
        self._data = b""
        self._offset = 0
        return data

    def next_startup_packet(self) -> bytes | None:
        """Return the next start-up packet without its length, or None until all of it is there.

        Raises ProtocolViolation for a length below 8 or above MAX_STARTUP_PACKET, before the rest has come.
        """
        if not self._holds(4):
            return None
        (length,) = _length(self._data, self._offset)
        if not MIN_STARTUP_PACKET <= length <= MAX_STARTUP_PACKET:
            raise ProtocolViolation("invalid length of startup packet")
        if not self._holds(length):
            return None
        start = self._offset
        packet = self._data[start + 4 : start + length]
        self._move_to(start + length)
        return packet

    def _next_frame_unless_incomplete(self) -> tuple[int, bytes] | None:
        # All that is rare: nothing there, a frame in pieces, a length that will not do.
        if not self._holds(HEADER_SIZE):
            return None
        type, length = unpack_header(self._data, self._offset)
        if length < 4:
            raise ProtocolViolation("invalid message length")
        if length > self._limit:
            if self.skips:
                self._skip_frame(1 + length)
            raise MessageTooLong(type, length - 4)
        return self.next_frame() if self._holds(1 + length) else None

    def _holds(self, size: int) -> bool:
        """Tell whether `size` bytes have come, and if so see to it that they lie in `_data`."""
        rest = len(self._data) - self._offset
        if rest >= size:
            return True
        more = self._more
        if self._offset:
            # Also where bytes are missing: what waits for them must not keep alive what was read before it.
            self._data = self._data[self._offset :]
            self._offset = 0
        if more is None or rest + len(more) < size:
            return False
        self._data += more
        self._more = None
        return True

    def _move_to(self, offset: int) -> None:
        if offset == len(self._data):
            self._data = b""
            self._offset = 0
        else:
            self._offset = offset

    def _skip_frame(self, size: int) -> None:
        missing = size - len(self)
        if missing >= 0:
            self._skip = missing
            self._data = b""
            self._offset = 0
            self._more = None
        else:
            self._holds(size)
            self._move_to(self._offset + size)

    def _skipped(self, data: bytes) -> bytes:
        """Return `data` without what belongs to a body that is skipped."""
        size = len(data)
        data = data[self._skip :]
        self._skip -= size - len(data)
        return data
