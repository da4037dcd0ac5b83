"""Messages of PostgreSQL's protocol in short: a letter, which is the type, and what it holds in parentheses.

Q(SELECT 2)    P(s: SELECT 2)    B(portal, statement, value)    E(portal)    S        from a client
T D(2) C(SELECT 1) Z    E(22012)    E(FATAL 57P01)    S(TimeZone=UTC)    A(a payload)  from PostgreSQL
"""

from __future__ import annotations

import re
from collections.abc import Callable

from twistnotify.wire import extended_query as extended
from twistnotify.wire.catalog import BackendMessage, FrontendMessage, decode_frontend
from twistnotify.wire.copying import CopyData, CopyDone, CopyFail, CopyInResponse, CopyOutResponse
from twistnotify.wire.errors import ErrorFields, ErrorResponse, NoticeResponse
from twistnotify.wire.framing import FrameBuffer
from twistnotify.wire.function_call import FunctionCall, FunctionCallResponse
from twistnotify.wire.notification import NotificationResponse
from twistnotify.wire.session_status import ParameterStatus, ReadyForQuery
from twistnotify.wire.simple_query import (
    CommandComplete,
    DataRow,
    EmptyQueryResponse,
    Field,
    Query,
    RowDescription,
)
from twistnotify.wire.violations import ProtocolViolation

BACKEND = 77
"""The PID in notifications."""
COLUMN = Field("?column?", 0, 0, 23, 4, -1, 0)
_WORD = re.compile(r"(\w)(?:\(((?:[^()]|\([^()]*\))*)\))?")


# From PostgreSQL


def messages(short: str) -> list[BackendMessage]:
    """Return the messages that a line of letters and parentheses stands for."""
    return [_message(letter, text or "") for letter, text in _WORD.findall(short)]


def _message(letter: str, text: str) -> BackendMessage:
    return _MESSAGES[letter](text)


def server_error(text: str) -> ErrorFields:
    """Return the fields that "SQLSTATE", or "FATAL SQLSTATE", or "SQLSTATE at 7" stands for."""
    words = text.split()
    severity = words.pop(0) if words[0] in ("FATAL", "PANIC", "WARNING", "NOTICE") else "ERROR"
    position = int(words[2]) if len(words) > 1 else None
    return ErrorFields(severity, words[0], "oops", position=position)


def _pair(text: str, by: str) -> tuple[str, str]:
    first, _, second = text.partition(by)
    return first, second


_MESSAGES: dict[str, Callable[[str], BackendMessage]] = {
    "1": lambda _: extended.ParseComplete(),
    "2": lambda _: extended.BindComplete(),
    "3": lambda _: extended.CloseComplete(),
    "A": lambda text: NotificationResponse(BACKEND, *_pair(text, " ")),
    "C": CommandComplete,
    "D": lambda text: DataRow((text.encode(),)),
    "E": lambda text: ErrorResponse(server_error(text)),
    "G": lambda _: CopyInResponse(0, (0,)),
    "H": lambda _: CopyOutResponse(0, (0,)),
    "I": lambda _: EmptyQueryResponse(),
    "N": lambda text: NoticeResponse(server_error(text)),
    "S": lambda text: ParameterStatus(*_pair(text, "=")),
    "T": lambda _: RowDescription((COLUMN,)),
    "V": lambda text: FunctionCallResponse(text.encode()),
    "Z": lambda text: ReadyForQuery(text or "I"),
    "c": lambda _: CopyDone(),
    "d": lambda text: CopyData(text.encode()),
    "n": lambda _: extended.NoData(),
    "s": lambda _: extended.PortalSuspended(),
    "t": lambda _: extended.ParameterDescription(()),
}


# From a client


def requests_in(buffer: FrameBuffer) -> list[str]:
    """Take messages to an upstream out of a buffer, and return them as lines."""
    lines = []
    while (cut := buffer.next_frame()) is not None:
        lines.append(_shown_frame(*cut))
    return lines


def _shown_frame(type_: int, body: bytes) -> str:
    try:
        return shown_request(decode_frontend(type_, body))
    except ProtocolViolation:
        return f"{chr(type_)}: malformed"


def requests(data: bytes) -> list[str]:
    """Return messages to an upstream as lines."""
    buffer = FrameBuffer(1 << 24)
    buffer.feed(data)
    return requests_in(buffer)


def shown_request(message: FrontendMessage) -> str:
    match message:
        case Query(sql):
            return f"Q({_text(sql)})"
        case extended.Parse(name, sql):
            return f"P({_named(name)}{_text(sql)})"
        case extended.Bind(portal, statement, _, values):
            return f"B({', '.join(map(_text, (portal, statement, *values)))})"
        case extended.Describe(kind, name):
            return f"D({_text(kind)} {_text(name)})"
        case extended.Close(kind, name):
            return f"C({_text(kind)} {_text(name)})"
        case extended.Execute(portal):
            return f"E({_text(portal)})"
        case FunctionCall(oid):
            return f"F({oid})"
        case CopyData(data):
            return f"d({_text(data)})"
        case CopyFail(reason):
            return f"f({_text(reason)})"
    return chr(message.type)


def _text(value: bytes | None) -> str:
    return "NULL" if value is None else value.decode("utf-8", "replace").rstrip()


def _named(name: bytes) -> str:
    return f"{name.decode()}: " if name else ""
