"""The two catalogues: every message there and back again."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twistnotify.wire.authentication import (
    AuthenticationCleartextPassword,
    AuthenticationMD5Password,
    AuthenticationOk,
    AuthenticationResponse,
    AuthenticationSASL,
    AuthenticationSASLContinue,
    AuthenticationSASLFinal,
    PasswordMessage,
    SASLInitialResponse,
    SASLResponse,
)
from twistnotify.wire.catalog import (
    BACKEND,
    BACKEND_MESSAGES,
    FRONTEND,
    FRONTEND_MESSAGES,
    BackendMessage,
    FrontendMessage,
    decode_backend,
    decode_frontend,
)
from twistnotify.wire.copying import (
    CopyBothResponse,
    CopyData,
    CopyDone,
    CopyFail,
    CopyInResponse,
    CopyOutResponse,
)
from twistnotify.wire.errors import ErrorFields, ErrorResponse, NoticeResponse
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
from twistnotify.wire.framing import FrameBuffer
from twistnotify.wire.function_call import FunctionCall, FunctionCallResponse
from twistnotify.wire.notification import NotificationResponse
from twistnotify.wire.session_status import ParameterStatus, ReadyForQuery, Terminate
from twistnotify.wire.simple_query import (
    CommandComplete,
    DataRow,
    EmptyQueryResponse,
    Field,
    Query,
    RowDescription,
)
from twistnotify.wire.startup import PROTOCOL_3_0, PROTOCOL_3_2, BackendKeyData, NegotiateProtocolVersion
from twistnotify.wire.violations import ProtocolViolation

FROM_CLIENT: list[FrontendMessage] = [
    Query(b""),
    Query(b"NOTIFY a, '\xff\xfe'"),
    Parse(b"", b"", ()),
    Parse(b"s1", b"SELECT pg_notify($1, $2)", (25, 0, 4294967295)),
    Bind(b"", b"", (), (), ()),
    Bind(b"p", b"s", (0, 1, -1), (None, b"", b"\0\xff"), (1,)),
    Describe(b"S", b""),
    Describe(b"P", b"p"),
    Execute(b"", 0),
    Execute(b"p", 2**31 - 1),
    Close(b"S", b"s"),
    Close(b"P", b""),
    Flush(),
    Sync(),
    Terminate(),
    CopyData(b""),
    CopyData(b"1\t\xff\0\n"),
    CopyDone(),
    CopyFail(b""),
    CopyFail(b"no more \xff"),
    FunctionCall(0, (), (), 0),
    FunctionCall(4294967295, (1, 0), (None, b"", b"\0\xff"), -1),
    PasswordMessage(b""),
    PasswordMessage(b"open \xff"),
    SASLInitialResponse(b"SCRAM-SHA-256", None),
    SASLInitialResponse(b"", b""),
    SASLInitialResponse(b"SCRAM-SHA-256", b"n,,n=,r=\0"),
    SASLResponse(b""),
    SASLResponse(b"c=biws,r=\0"),
]

FROM_SERVER: list[BackendMessage] = [
    AuthenticationOk(),
    AuthenticationCleartextPassword(),
    AuthenticationMD5Password(b"\0\1\xfe\xff"),
    AuthenticationSASL(()),
    AuthenticationSASL(("SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "\udcff")),
    AuthenticationSASLContinue(b""),
    AuthenticationSASLContinue(b"r=\0\xff"),
    AuthenticationSASLFinal(b"v=\0\xff"),
    BackendKeyData(4_194_305, b"\0\1\2\3"),
    BackendKeyData(-1, bytes(256)),
    BindComplete(),
    CloseComplete(),
    CommandComplete("NOTIFY"),
    CommandComplete("SELECT 1"),
    CopyBothResponse(0, ()),
    CopyData(b""),
    CopyData(b"1\t\xff\0\n"),
    CopyDone(),
    CopyInResponse(0, (0, 0)),
    CopyOutResponse(1, (1, -1)),
    DataRow(()),
    DataRow((None, b"", b"\0\xff")),
    EmptyQueryResponse(),
    ErrorResponse(ErrorFields("ERROR", "42601", "syntax error", "why", "how", 1)),
    ErrorResponse(ErrorFields("FATAL", "57P01", "")),
    FunctionCallResponse(None),
    FunctionCallResponse(b""),
    FunctionCallResponse(b"\0\xff"),
    NegotiateProtocolVersion(PROTOCOL_3_0, ()),
    NegotiateProtocolVersion(PROTOCOL_3_2, ("_pq_.a", "")),
    NoData(),
    NoticeResponse(ErrorFields("WARNING", "25P01", "there is no transaction in progress")),
    NotificationResponse(1, "jobs", ""),
    NotificationResponse(2**31 - 1, "канал", "é日😀\n"),
    ParameterDescription(()),
    ParameterDescription((25, 25)),
    ParameterStatus("client_encoding", "UTF8"),
    ParameterStatus("application_name", ""),
    ParseComplete(),
    PortalSuspended(),
    ReadyForQuery("I"),
    ReadyForQuery("T"),
    ReadyForQuery("E"),
    RowDescription(()),
    RowDescription((Field("a", 16384, -1, 23, 4, -1, 1), Field("日", 0, 0, 4294967295, -2, 259, 0))),
]

RESPONSES: tuple[type[AuthenticationResponse], ...] = (PasswordMessage, SASLInitialResponse, SASLResponse)

# Of these, every beginning is a message too.
WITHOUT_LAYOUT = (CopyData, SASLResponse)


def decode_as(kind: type[FrontendMessage], type: int, body: bytes) -> FrontendMessage:
    """Return the client's message of a frame, in a conversation that waits for a message of this kind."""
    return decode_frontend(type, body, next((r for r in RESPONSES if r is kind), PasswordMessage))


def framed(stream: bytes) -> tuple[int, bytes]:
    """Return the only frame of the stream."""
    buffer = FrameBuffer(100_000)
    buffer.feed(stream)
    found = buffer.next_frame()
    assert found is not None
    assert len(buffer) == 0
    return found


@pytest.mark.parametrize("message", FROM_CLIENT)
def test_a_message_of_the_client_survives_the_wire(message: FrontendMessage) -> None:
    assert decode_as(type(message), *framed(message.encode())) == message


@pytest.mark.parametrize("message", FROM_SERVER)
def test_a_message_of_the_server_survives_the_wire(message: BackendMessage) -> None:
    assert decode_backend(*framed(message.encode())) == message


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030"])
@pytest.mark.parametrize("message", FROM_SERVER)
def test_a_message_of_the_server_survives_another_encoding(message: BackendMessage, encoding: str) -> None:
    assert decode_backend(*framed(message.encode(encoding)), encoding) == message


def test_the_examples_are_all_there_is() -> None:
    assert {type(message) for message in FROM_CLIENT} == set(FRONTEND_MESSAGES)
    assert {type(message) for message in FROM_SERVER} == set(BACKEND_MESSAGES)


def test_each_message_is_found_by_its_type() -> None:
    assert all(message.type == byte for byte, message in FRONTEND.items())
    assert all(message.type == byte for byte, message in BACKEND.items())
    assert bytes(sorted(FRONTEND)) == b"BCDEFHPQSXcdf"
    assert bytes(sorted(BACKEND)) == b"123ACDEGHIKNSTVWZcdnstv"


def test_only_the_messages_of_authentication_share_a_type() -> None:
    assert {m for m in FRONTEND_MESSAGES if m not in FRONTEND.values()} == set(RESPONSES)
    assert {m.type for m in RESPONSES} == {ord("p")}
    assert {m.type for m in BACKEND_MESSAGES if m not in BACKEND.values()} == {ord("R")}


def test_a_response_is_what_the_client_was_asked_for() -> None:
    body = b"SCRAM-SHA-256\0\xff\xff\xff\xff"
    assert decode_frontend(ord("p"), body, SASLInitialResponse) == SASLInitialResponse(b"SCRAM-SHA-256", None)
    assert decode_frontend(ord("p"), body, SASLResponse) == SASLResponse(body)
    assert decode_frontend(ord("p"), b"open\0") == PasswordMessage(b"open")
    assert decode_frontend(ord("S"), b"", SASLResponse) == Sync()


def test_an_unknown_authentication_request_is_named_by_its_code() -> None:
    with pytest.raises(ProtocolViolation, match=r"^unsupported authentication request 7$"):
        decode_backend(ord("R"), b"\0\0\0\x07")


@pytest.mark.parametrize("message", [*FROM_CLIENT, *FROM_SERVER])
def test_a_message_is_a_small_frozen_value(message: FrontendMessage | BackendMessage) -> None:
    assert hash(message) == hash(message)
    assert not hasattr(message, "__dict__")


def test_an_unknown_type_is_named_by_its_number() -> None:
    with pytest.raises(ProtocolViolation, match=r"^invalid frontend message type 122$"):
        decode_frontend(ord("z"), b"")
    with pytest.raises(ProtocolViolation, match=r"^invalid backend message type 122$"):
        decode_backend(ord("z"), b"")


@pytest.mark.parametrize("message", [m for m in FROM_CLIENT if not isinstance(m, WITHOUT_LAYOUT)])
def test_a_message_of_the_client_cut_short_is_a_violation(message: FrontendMessage) -> None:
    type_, body = framed(message.encode())
    for size in range(len(body)):
        with pytest.raises(ProtocolViolation):
            decode_as(type(message), type_, body[:size])


small = st.binary(max_size=3)
counts = st.integers(0, 3).map(lambda number: number.to_bytes(2, "big"))
lengths = st.integers(-2, 3).map(lambda number: number.to_bytes(4, "big", signed=True))
codes = st.sampled_from([0, 3, 5, 10, 11, 12]).map(lambda number: number.to_bytes(4, "big"))
# Made of what bodies are made of, so that decoders get further than their first field.
bodies = st.binary() | st.lists(small | counts | lengths | codes | st.just(b"a\0"), max_size=10).map(b"".join)


@settings(deadline=None, max_examples=200)
@given(st.sampled_from(FRONTEND_MESSAGES), bodies)
def test_garbage_of_a_client_gives_a_value_or_a_violation(kind: type[FrontendMessage], body: bytes) -> None:
    try:
        message = decode_as(kind, kind.type, body)
    except ProtocolViolation:
        return
    assert message.encode()[5:] == body


@settings(deadline=None, max_examples=200)
@given(
    st.sampled_from(sorted({m.type for m in BACKEND_MESSAGES})),
    bodies,
    st.sampled_from(["utf-8", "latin-1", "euc_jis_2004", "big5"]),
)
def test_garbage_of_a_server_gives_a_value_or_a_violation(type: int, body: bytes, encoding: str) -> None:
    try:
        message = decode_backend(type, body, encoding)
    except ProtocolViolation:
        return
    assert message.type == type
