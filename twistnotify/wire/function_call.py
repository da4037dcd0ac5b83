"""FunctionCall and its answer, which large objects of libpq still go by (Protocol, section 'Function Call').

It must not know which functions there are.
"""

from dataclasses import dataclass
from typing import ClassVar, Self

from twistnotify.wire.body import BodyReader, frame, int32, nullable_values, numbers


@dataclass(frozen=True, slots=True)
class FunctionCall:
    """Ask to call the function with this oid and these arguments, None for NULL.

    Formats are 0 for text, 1 for binary; of the arguments none at all, one for all, or one each. That they fit is not
    checked.
    """

    type: ClassVar[int] = ord("F")

    function_oid: int
    argument_formats: tuple[int, ...]
    arguments: tuple[bytes | None, ...]
    result_format: int

    def encode(self) -> bytes:
        """Return the frame."""
        return frame(
            self.type,
            self.function_oid.to_bytes(4, "big"),
            numbers("h", self.argument_formats),
            nullable_values(self.arguments),
            self.result_format.to_bytes(2, "big", signed=True),
        )

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Return the message; raise ProtocolViolation if the body is malformed."""
        reader = BodyReader(body)
        function, formats, arguments = reader.uint32(), reader.numbers("h"), reader.nullable_values()
        message = cls(function, formats, arguments, int.from_bytes(reader.take(2), "big", signed=True))
        reader.end()
        return message


@dataclass(frozen=True, slots=True)
class FunctionCallResponse:
    """Return what the function returned, None for NULL."""

    type: ClassVar[int] = ord("V")

    result: bytes | None

    def encode(self, encoding: str = "utf-8") -> bytes:
        """Return the frame."""
        size = -1 if self.result is None else len(self.result)
        return frame(self.type, int32(size), self.result or b"")

    @classmethod
    def decode(cls, body: bytes, encoding: str = "utf-8") -> Self:
        """Return the message; raise ProtocolViolation if the body is malformed."""
        reader = BodyReader(body)
        size = reader.int32()
        message = cls(None if size == -1 else reader.take(size))
        reader.end()
        return message
