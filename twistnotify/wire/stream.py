"""A byte stream of which most only passes: what is read comes as whole frames, everything else in pieces.

Both directions of a relayed session go through one of these. Frames of the types that nobody looks at (rows, COPY
data) pass in runs, as they lie in what has arrived, whole or not; so a result of any size costs the memory of one
read. A frame that is to be read but is longer than `limit` passes too, its first piece marked `LONG`.
"""

from twistnotify.wire.framing import HEADER_SIZE, FrameBuffer, unpack_header
from twistnotify.wire.violations import ProtocolViolation

LONG = 0x100
"""Added to the type of a frame that is too long to be read; the piece is its beginning."""
PASSED = 0
"""The type of a piece that only passes: frames that are not read, or the rest of a long one."""


class FrameStream(FrameBuffer):
    """Cut a stream into pieces: whole frames of what is read, header included, and runs of what passes.

    `passed` are the types that are not read; `limit` is the longest frame that is (bytes of its body), `longest` the
    longest that may be sent at all.
    """

    __slots__ = ("_longest", "_passed", "_passing", "_shortest")

    def __init__(self, passed: bytes, limit: int, longest: int) -> None:
        super().__init__(limit)
        self._passed = frozenset(passed)
        self._longest = longest + 4
        self._shortest = min(self._limit, self._longest)
        self._passing = 0

    @property
    def between_frames(self) -> bool:
        """Tell whether what was taken out so far ends where a frame ends."""
        return not self._passing

    def next_piece(self) -> tuple[int, bytes] | None:
        """Return the next piece and its type, or None until more has come.

        Raises ProtocolViolation for an impossible length; the stream is out of step then, for good.
        """
        if self._passing:
            return self._pass()
        data, passed, longest = self._data, self._passed, self._longest
        start = offset = self._offset
        size = len(data)
        # Once for each row of a result: as flat as can be.
        while size - offset >= HEADER_SIZE:
            type_, length = unpack_header(data, offset)
            if type_ not in passed or not 4 <= length <= longest:
                if offset == start and 4 <= length <= self._shortest and offset + 1 + length <= size:
                    # The usual frame that is read, all there.
                    offset += 1 + length
                    self._move_to(offset)
                    return type_, data[start:offset]
                break
            offset += 1 + length
        if offset == start:
            return self._next_read() if size or self._more else None
        if offset > size:
            self._passing = offset - size
            offset = size
        self._move_to(offset)
        return PASSED, data[start:offset]

    def _next_read(self) -> tuple[int, bytes] | None:
        if not self._holds(HEADER_SIZE):
            return None
        type_, length = unpack_header(self._data, self._offset)
        if not 4 <= length <= self._longest:
            raise ProtocolViolation("invalid message length")
        if type_ in self._passed:
            return self.next_piece()
        if length > self._limit:
            self._passing = 1 + length
            _, piece = self._pass() or (PASSED, b"")
            return type_ | LONG, piece
        if not self._holds(1 + length):
            return None
        start = self._offset
        frame = self._data[start : start + 1 + length]
        self._move_to(start + 1 + length)
        return type_, frame

    def _pass(self) -> tuple[int, bytes] | None:
        """Return as much of a frame that passes as has come."""
        self._holds(len(self))
        start = self._offset
        piece = self._data[start : start + self._passing]
        if not piece:
            return None
        self._passing -= len(piece)
        self._move_to(start + len(piece))
        return PASSED, piece
