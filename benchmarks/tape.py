"""What the listeners of a channel hear, checked once and compared ever after.

The theory: every listener of a channel must hear the same bytes. What the first of them hears is parsed, checked
message by message and kept on the channel's tape; the others only compare their bytes with the tape, which costs a
memcmp, however the stream was cut. So the generator stays lighter than the servers, and still sees every loss,
every disorder and every double. It must not know which protocol it is: an `Envelope` says what stands around the
payloads.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from struct import Struct

PAYLOAD_SIZE = 64
_HEAD = Struct("16s2s8s")
_PADDING = b"x" * (PAYLOAD_SIZE - _HEAD.size)


class WrongDelivery(Exception):
    """Something was lost, disordered, doubled or changed on the way."""


def payload(stamp: int, publisher: int, number: int) -> bytes:
    """Return a payload: nanoseconds of the monotonic clock, or 0; who sent it; its number on its channel, from 1."""
    return b"%016x%02x%08x" % (stamp, publisher, number) + _PADDING


@dataclass(frozen=True, slots=True)
class Envelope:
    """Hold what stands around a payload: a start, `gap` bytes of any value, a middle; the payload; an end."""

    start: bytes
    gap: int
    middle: bytes
    end: bytes

    def layout(self) -> Struct:
        """Return how a notification is laid out: start, middle, stamp, publisher, number, padding and end."""
        rest = len(_PADDING) + len(self.end)
        return Struct(f"{len(self.start)}s{self.gap}x{len(self.middle)}s{_HEAD.format}{rest}s")


class Tape:
    """Record a channel of which `expected` messages will come; with `timed`, where each ends and when it was sent."""

    def __init__(self, channel: str, envelope: Envelope, expected: int, timed: bool = False) -> None:
        self.data = bytearray()
        self.length = -1 if expected else 0
        """Bytes of the whole tape; -1 until all that is expected is on it."""
        self.ends = array("q")
        self.stamps = array("q")
        self.messages = 0
        self._channel = channel
        self._expected = expected
        self._envelope = envelope
        self._layout = envelope.layout()
        self._checked = 0
        self._timed = timed
        self._last: dict[bytes, int] = {}

    @property
    def unchecked(self) -> bytes:
        """Return what is not a whole message yet."""
        return bytes(self.data[self._checked :])

    def go_on(self, position: int, data: bytes) -> None:
        """Take in what a listener heard at `position`, beyond what is recorded; raises WrongDelivery."""
        known = len(self.data) - position
        if not self.data.startswith(data[:known], position):
            raise WrongDelivery(f"{self._channel}: two listeners heard different things after {self.messages} messages")
        self.data += data[known:]
        whole = (len(self.data) - self._checked) // self._layout.size * self._layout.size
        self._check(bytes(self.data[self._checked : self._checked + whole]))
        self._checked += whole
        if self.messages > self._expected:
            raise WrongDelivery(f"{self._channel}: {self.messages} messages came of {self._expected}")
        if self.messages == self._expected:
            if self._checked != len(self.data):
                raise WrongDelivery(f"{self._channel}: more came after all {self._expected} messages")
            self.length = self._checked

    def _check(self, data: bytes) -> None:
        envelope = self._envelope
        rest = _PADDING + envelope.end
        for start, middle, stamp, publisher, digits, end in self._layout.iter_unpack(data):
            if start != envelope.start or middle != envelope.middle or end != rest:
                raise WrongDelivery(f"{self._channel}: not a notification that was sent: {data[:200]!r}")
            number = int(digits, 16)
            last = self._last.get(publisher, 0)
            if number != last + 1:
                raise WrongDelivery(f"{self._channel}: {_fault(last, number)} (publisher {int(publisher, 16)})")
            self._last[publisher] = number
            self.messages += 1
            if self._timed:
                self.ends.append(self.messages * self._layout.size)
                self.stamps.append(int(stamp, 16))


def _fault(last: int, number: int) -> str:
    if number == last:
        return f"message {number} came twice"
    if number < last:
        return f"message {number} came after {last}, doubled or out of order"
    return f"message {number} came after {last}, what is between them is lost or out of order"
