"""The messages by who sends them and by type byte: one byte may mean two things, one from each side.

It must not know in which order messages may come.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import TypeAlias

from twistnotify.wire.authentication import (
    AUTHENTICATION_REQUEST,
    AUTHENTICATION_REQUESTS,
    AUTHENTICATION_RESPONSE,
    AuthenticationRequest,
    AuthenticationResponse,
    PasswordMessage,
    SASLInitialResponse,
    SASLResponse,
    authentication_request,
)
from twistnotify.wire.copying import (
    CopyBothResponse,
    CopyData,
    CopyDone,
    CopyFail,
    CopyInResponse,
    CopyOutResponse,
)
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
from twistnotify.wire.function_call import FunctionCall, FunctionCallResponse
from twistnotify.wire.notification import NotificationResponse
from twistnotify.wire.session_status import ParameterStatus, ReadyForQuery, Terminate
from twistnotify.wire.simple_query import CommandComplete, DataRow, EmptyQueryResponse, Query, RowDescription
from twistnotify.wire.startup import BackendKeyData, NegotiateProtocolVersion
from twistnotify.wire.violations import ProtocolViolation

FrontendMessage: TypeAlias = (
    AuthenticationResponse
    | Bind
    | Close
    | CopyData
    | CopyDone
    | CopyFail
    | Describe
    | Execute
    | Flush
    | FunctionCall
    | Parse
    | Query
    | Sync
    | Terminate
)

BackendMessage: TypeAlias = (
    AuthenticationRequest
    | BackendKeyData
    | BindComplete
    | CloseComplete
    | CommandComplete
    | CopyBothResponse
    | CopyData
    | CopyDone
    | CopyInResponse
    | CopyOutResponse
    | DataRow
    | EmptyQueryResponse
    | ErrorResponse
    | FunctionCallResponse
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

FRONTEND_MESSAGES: tuple[type[FrontendMessage], ...] = (
    Bind,
    Close,
    CopyData,
    CopyDone,
    CopyFail,
    Describe,
    Execute,
    Flush,
    FunctionCall,
    Parse,
    PasswordMessage,
    Query,
    SASLInitialResponse,
    SASLResponse,
    Sync,
    Terminate,
)

BACKEND_MESSAGES: tuple[type[BackendMessage], ...] = (
    *AUTHENTICATION_REQUESTS,
    BackendKeyData,
    BindComplete,
    CloseComplete,
    CommandComplete,
    CopyBothResponse,
    CopyData,
    CopyDone,
    CopyInResponse,
    CopyOutResponse,
    DataRow,
    EmptyQueryResponse,
    ErrorResponse,
    FunctionCallResponse,
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

# One message each: the two types of authentication are several messages, which it takes more than the type to tell.
FRONTEND: Mapping[int, type[FrontendMessage]] = MappingProxyType(
    {m.type: m for m in FRONTEND_MESSAGES if m.type != AUTHENTICATION_RESPONSE}
)
BACKEND: Mapping[int, type[BackendMessage]] = MappingProxyType(
    {m.type: m for m in BACKEND_MESSAGES if m.type != AUTHENTICATION_REQUEST}
)


def decode_frontend(
    type: int, body: bytes, response: type[AuthenticationResponse] = PasswordMessage
) -> FrontendMessage:
    """Return the client's message of a frame; raise ProtocolViolation if the type or the body is none.

    `response` is what the client was asked for last: the body of type p does not say what it is.
    """
    message = response if type == AUTHENTICATION_RESPONSE else FRONTEND.get(type)
    if message is None:
        raise ProtocolViolation(f"invalid frontend message type {type}")
    return message.decode(body)


def decode_backend(type: int, body: bytes, encoding: str = "utf-8") -> BackendMessage:
    """Return the server's message of a frame; raise ProtocolViolation if the type or the body is none."""
    message = authentication_request(body) if type == AUTHENTICATION_REQUEST else BACKEND.get(type)
    if message is None:
        raise ProtocolViolation(f"invalid backend message type {type}")
    return message.decode(body, encoding)
