"""Messages as lines to read, in the manner of libpq's PQtrace.

What users send stays out of logs: SQL, payloads and values are shown by their size unless asked for, cancel
keys and what proves a password always. It must not know where the lines go.
"""

from dataclasses import fields
from typing import TypeAlias

from twistnotify.wire.catalog import BACKEND_MESSAGES, FRONTEND_MESSAGES, BackendMessage, FrontendMessage
from twistnotify.wire.startup import CancelRequest, GSSENCRequest, SSLRequest, StartupMessage

StartupPacket: TypeAlias = StartupMessage | SSLRequest | GSSENCRequest | CancelRequest

_FROM_CLIENT = frozenset({*FRONTEND_MESSAGES, StartupMessage, SSLRequest, GSSENCRequest, CancelRequest})
_FROM_SERVER = frozenset(BACKEND_MESSAGES)

# By field name: a payload travels as a parameter of pg_notify too, and comes back in a row.
_USERS_OWN = frozenset({"sql", "payload", "parameters", "values", "data", "arguments", "result"})
_SECRET = frozenset({"secret"})


def trace(message: FrontendMessage | BackendMessage | StartupPacket, reveal: bool = False) -> str:
    """Return one line: F or B for the sender, the name, the fields; `reveal` shows SQL, payloads and values.

    A message that goes both ways has FB. Sizes are in bytes of what the message holds as bytes, in characters of text
    (libpq, 'PQtrace').
    """
    words = [_senders(type(message)), type(message).__name__]
    hidden = _SECRET if reveal or isinstance(message, StartupMessage) else _SECRET | _USERS_OWN
    for field in fields(message):
        value = getattr(message, field.name)
        # What its own repr leaves out is a secret too.
        words.append(f"{field.name}={repr(value) if field.repr and field.name not in hidden else _size(value)}")
    return " ".join(words)


def _senders(message: type[object]) -> str:
    return "F" * (message in _FROM_CLIENT) + "B" * (message in _FROM_SERVER)


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
