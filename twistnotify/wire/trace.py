"""Messages as lines to read, in the manner of libpq's PQtrace.

What users send stays out of logs: SQL, payloads and values are shown by their size unless asked for, cancel
keys always. It must not know where the lines go.
"""

from dataclasses import fields
from typing import TypeAlias

from twistnotify.wire.catalog import FRONTEND, BackendMessage, FrontendMessage
from twistnotify.wire.startup import CancelRequest, GSSENCRequest, SSLRequest, StartupMessage

StartupPacket: TypeAlias = StartupMessage | SSLRequest | GSSENCRequest | CancelRequest

_FROM_CLIENT = frozenset({*FRONTEND.values(), StartupMessage, SSLRequest, GSSENCRequest, CancelRequest})

# By field name: a payload travels as a parameter of pg_notify too, and comes back in a row.
_USERS_OWN = frozenset({"sql", "payload", "parameters", "values"})
_SECRET = frozenset({"secret"})


def trace(message: FrontendMessage | BackendMessage | StartupPacket, reveal: bool = False) -> str:
    """Return one line: F or B for the sender, the name, the fields; `reveal` shows SQL, payloads and values.

    Sizes are in bytes of what the message holds as bytes, in characters of text (libpq, 'PQtrace').
    """
    words = ["F" if type(message) in _FROM_CLIENT else "B", type(message).__name__]
    hidden = _SECRET if reveal or isinstance(message, StartupMessage) else _SECRET | _USERS_OWN
    for field in fields(message):
        value = getattr(message, field.name)
        words.append(f"{field.name}={_size(value) if field.name in hidden else repr(value)}")
    return " ".join(words)


def _size(value: bytes | str | tuple[bytes | None, ...] | None) -> str:
    match value:
        case None:
            return "NULL"
        case bytes():
            return f"({len(value)} bytes)"
        case str():
            return f"({len(value)} characters)"
        case _:
            return f"({', '.join(map(_size, value))})"
