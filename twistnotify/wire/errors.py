"""ErrorResponse and NoticeResponse, and the exceptions for what is not the protocol.

Field codes are those of the manual (Protocol, section 'Error and Notice Message Fields'). It must not know
when which error is due.
"""

from dataclasses import dataclass
from typing import ClassVar, Self

from twistnotify.wire.body import BodyReader, frame, string
from twistnotify.wire.violations import MessageTooLong, ProtocolViolation

__all__ = ["ErrorFields", "ErrorResponse", "MessageTooLong", "NoticeResponse", "ProtocolViolation"]


@dataclass(frozen=True, slots=True)
class ErrorFields:
    """Hold what an error or a notice says.

    `severity` is "ERROR", "FATAL", "WARNING", "NOTICE" and so on; `sqlstate` has five characters; `position`
    is in characters of the query, from 1.
    """

    severity: str
    sqlstate: str
    message: str
    detail: str | None = None
    hint: str | None = None
    position: int | None = None

    def encode(self, encoding: str = "utf-8") -> bytes:
        """Return the body: S V C M D H P in this order, what cannot be encoded as question marks."""
        position = None if self.position is None else str(self.position)
        coded = (
            ("S", self.severity),
            ("V", self.severity),
            ("C", self.sqlstate),
            ("M", self.message),
            ("D", self.detail),
            ("H", self.hint),
            ("P", position),
        )
        fields = [string(code + text, encoding, "replace") for code, text in coded if text is not None]
        return b"".join(fields) + b"\0"

    @classmethod
    def decode(cls, body: bytes, encoding: str = "utf-8") -> Self:
        """Return the fields, skipping those of unknown code; V counts before S, which may be translated.

        Raises ProtocolViolation, also if severity, code or message are missing.
        """
        texts = _texts_by_code(BodyReader(body), encoding)
        severity = texts.get("V", texts.get("S"))
        if severity is None or "C" not in texts or "M" not in texts:
            raise ProtocolViolation("invalid message format")
        position = _position(texts["P"]) if "P" in texts else None
        return cls(severity, texts["C"], texts["M"], texts.get("D"), texts.get("H"), position)


def _texts_by_code(reader: BodyReader, encoding: str) -> dict[str, str]:
    texts = {}
    while code := reader.uint8():
        texts[chr(code)] = reader.text(encoding)
    reader.end()
    return texts


def _position(text: str) -> int:
    # Ten digits hold every Int32; a bound keeps int() from refusing, or chewing on, a text of thousands.
    if not (text.isascii() and text.isdigit() and len(text) <= 10):
        raise ProtocolViolation("invalid message format")
    return int(text)


@dataclass(frozen=True, slots=True)
class _FieldsMessage:
    type: ClassVar[int]

    fields: ErrorFields

    def encode(self, encoding: str = "utf-8") -> bytes:
        """Return the frame, what cannot be encoded as question marks."""
        return frame(self.type, self.fields.encode(encoding))

    @classmethod
    def decode(cls, body: bytes, encoding: str = "utf-8") -> Self:
        """Return the message; raise ProtocolViolation as `ErrorFields.decode` does."""
        return cls(ErrorFields.decode(body, encoding))


@dataclass(frozen=True, slots=True)
class ErrorResponse(_FieldsMessage):
    """Tell the client that something failed (Protocol, section 'Message Formats')."""

    type: ClassVar[int] = ord("E")


@dataclass(frozen=True, slots=True)
class NoticeResponse(_FieldsMessage):
    """Tell the client something that failed nothing (Protocol, section 'Message Formats')."""

    type: ClassVar[int] = ord("N")
