"""The messages by who sends them and by type byte: one byte may mean two things, one from each side.

It must not know in which order messages may come.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import TypeAlias

from twistnotify.wire.authentication import AuthenticationOk
from twistnotify.wire.errors import ErrorResponse, NoticeResponse
from twistnotify.wire.extended_query import (
    Bind,
    BindComplete,
    Close,
    CloseComplete,
    Describe,
    Execute,
    Flush,
    NoData,
    ParameterDescription,
    Parse,
    ParseComplete,
    PortalSuspended,
    Sync,
)
from twistnotify.wire.notification import NotificationResponse
from twistnotify.wire.session_status import ParameterStatus, ReadyForQuery, Terminate
from twistnotify.wire.simple_query import CommandComplete, DataRow, EmptyQueryResponse, Query, RowDescription
from twistnotify.wire.startup import BackendKeyData, NegotiateProtocolVersion
from twistnotify.wire.violations import ProtocolViolation

FrontendMessage: TypeAlias = Query | Parse | Bind | Describe | Execute | Close | Flush | Sync | Terminate

BackendMessage: TypeAlias = (
    AuthenticationOk
    | BackendKeyData
    | BindComplete
    | CloseComplete
    | CommandComplete
    | DataRow
    | EmptyQueryResponse
    | ErrorResponse
    | NegotiateProtocolVersion
    | NoData
    | NoticeResponse
    | NotificationResponse
    | ParameterDescription
    | ParameterStatus
    | ParseComplete
    | PortalSuspended
    | ReadyForQuery
    | RowDescription
)

_FRONTEND: tuple[type[FrontendMessage], ...] = (
    Query,
    Parse,
    Bind,
    Describe,
    Execute,
    Close,
    Flush,
    Sync,
    Terminate,
)

_BACKEND: tuple[type[BackendMessage], ...] = (
    AuthenticationOk,
    BackendKeyData,
    BindComplete,
    CloseComplete,
    CommandComplete,
    DataRow,
    EmptyQueryResponse,
    ErrorResponse,
    NegotiateProtocolVersion,
    NoData,
    NoticeResponse,
    NotificationResponse,
    ParameterDescription,
    ParameterStatus,
    ParseComplete,
    PortalSuspended,
    ReadyForQuery,
    RowDescription,
)

FRONTEND: Mapping[int, type[FrontendMessage]] = MappingProxyType({m.type: m for m in _FRONTEND})
BACKEND: Mapping[int, type[BackendMessage]] = MappingProxyType({m.type: m for m in _BACKEND})


def decode_frontend(type: int, body: bytes) -> FrontendMessage:
    """Return the client's message of a frame; raise ProtocolViolation if the type or the body is none."""
    message = FRONTEND.get(type)
    if message is None:
        raise ProtocolViolation(f"invalid frontend message type {type}")
    return message.decode(body)


def decode_backend(type: int, body: bytes, encoding: str = "utf-8") -> BackendMessage:
    """Return the server's message of a frame; raise ProtocolViolation if the type or the body is none."""
    message = BACKEND.get(type)
    if message is None:
        raise ProtocolViolation(f"invalid backend message type {type}")
    return message.decode(body, encoding)
