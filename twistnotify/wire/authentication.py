"""AuthenticationOk, the only authentication message that is sent to clients.

It must not know passwords.
"""

from dataclasses import dataclass
from typing import ClassVar, Self

from twistnotify.wire.body import BodyReader, frame, int32
from twistnotify.wire.violations import ProtocolViolation

_OK = 0


@dataclass(frozen=True, slots=True)
class AuthenticationOk:
    """Tell the client that it is let in (Protocol, section 'Message Formats')."""

    type: ClassVar[int] = ord("R")

    def encode(self, encoding: str = "utf-8") -> bytes:
        """Return the frame."""
        return frame(self.type, int32(_OK))

    @classmethod
    def decode(cls, body: bytes, encoding: str = "utf-8") -> Self:
        """Return the message; raise ProtocolViolation for another authentication request, naming its code."""
        reader = BodyReader(body)
        code = reader.int32()
        if code != _OK:
            raise ProtocolViolation(f"unsupported authentication request {code}")
        reader.end()
        return cls()
