"""Reading what a SCRAM client says, attribute by attribute (RFC 5802, section 7).

The server's side reads as PostgreSQL's does, and complains in its words (auth-scram.c): of what the client has sent
they show one character, or a short name with its odd characters replaced.
"""

from __future__ import annotations

from twistnotify.auth.scram_keys import MAX_MESSAGE, ScramFault, malformed

LONGEST_SHOWN = 30
"""Characters of a client's name for something that are shown."""
LETTERS = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
COMMA = ord(",")
_PRINTABLE = range(0x21, 0x7F)
_END = b"\0"


class AttributeReader:
    """Read a message from its begin to its end; raises `ScramFault` for one that is empty, too long or has a NUL.

    The fault for a message of more than `MAX_MESSAGE` bytes has the SQLSTATE 28P01 (invalid_password): PostgreSQL tells
    its client nothing else.
    """

    __slots__ = ("_message", "_position")

    def __init__(self, message: bytes) -> None:
        if len(message) > MAX_MESSAGE:
            raise ScramFault("SCRAM message is too long", "28P01")
        if not message:
            raise malformed("The message is empty.")
        if _END in message:
            raise malformed("Message length does not match input length.")
        self._message = message
        self._position = 0

    @property
    def position(self) -> int:
        """Return how many bytes have been read."""
        return self._position

    @property
    def at_end(self) -> bool:
        """Tell whether nothing is left."""
        return self._position >= len(self._message)

    @property
    def next(self) -> bytes:
        """Return the next character without reading it, a NUL at the end."""
        return self._message[self._position : self._position + 1] or _END

    def read(self, size: int = 1) -> bytes:
        """Return the next characters."""
        start = self._position
        self._position += size
        return self._message[start : self._position]

    def value(self, name: bytes) -> bytes:
        """Return the value of the next attribute, which has to have this name."""
        if self.next != name:
            raise malformed(f'Expected attribute "{name.decode()}" but found "{shown(self.next)}".')
        return self._value()

    def any_value(self) -> tuple[bytes, bytes]:
        """Return name and value of the next attribute."""
        name = self.next
        if name == _END:
            raise malformed("Attribute expected, but found end of string.")
        if name[0] not in LETTERS:
            raise malformed(f'Attribute expected, but found invalid character "{shown(name)}".')
        return name, self._value()

    def _value(self) -> bytes:
        name = self.read()
        if self.next != b"=":
            raise malformed(f'Expected character "=" for attribute "{name.decode()}".')
        start = self._position + 1
        end = self._message.find(b",", start)
        if end < 0:
            end = len(self._message)
        self._position = min(end + 1, len(self._message))
        return self._message[start:end]


def is_printable(value: bytes) -> bool:
    """Tell whether a value has only characters that a nonce may have."""
    return all(byte in _PRINTABLE and byte != COMMA for byte in value)


def shown(character: bytes) -> str:
    """Return a character as PostgreSQL shows it: in quotes, or as a number."""
    code = character[0]
    return f"'{chr(code)}'" if code in _PRINTABLE else f"0x{code:02x}"


def shown_name(name: bytes) -> str:
    """Return a name as PostgreSQL shows it: its begin, with question marks for odd characters."""
    return "".join(chr(code) if code in _PRINTABLE else "?" for code in name[:LONGEST_SHOWN])
