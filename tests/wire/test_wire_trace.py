"""Messages as lines to read."""

import pytest

from twistnotify.wire.authentication import (
    AuthenticationMD5Password,
    AuthenticationSASL,
    AuthenticationSASLContinue,
    AuthenticationSASLFinal,
    PasswordMessage,
    SASLInitialResponse,
    SASLResponse,
)
from twistnotify.wire.catalog import BackendMessage, FrontendMessage
from twistnotify.wire.copying import CopyData, CopyFail, CopyInResponse
from twistnotify.wire.errors import ErrorFields, ErrorResponse
from twistnotify.wire.extended_query import Bind, Describe, Parse, Sync
from twistnotify.wire.function_call import FunctionCall, FunctionCallResponse
from twistnotify.wire.notification import NotificationResponse
from twistnotify.wire.session_status import ReadyForQuery
from twistnotify.wire.simple_query import CommandComplete, DataRow, Query
from twistnotify.wire.startup import BackendKeyData, CancelRequest, SSLRequest, StartupMessage
from twistnotify.wire.trace import StartupPacket, trace


@pytest.mark.parametrize(
    ("message", "line"),
    [
        (Sync(), "F Sync"),
        (Describe(b"S", b"s1"), "F Describe kind=b'S' name=b's1'"),
        (SSLRequest(), "F SSLRequest"),
        (
            StartupMessage(196608, {"user": "bob"}),
            "F StartupMessage version=196608 parameters={'user': 'bob'}",
        ),
        (ReadyForQuery("I"), "B ReadyForQuery status='I'"),
        (CommandComplete("NOTIFY"), "B CommandComplete tag='NOTIFY'"),
        (AuthenticationSASL(("SCRAM-SHA-256",)), "B AuthenticationSASL mechanisms=('SCRAM-SHA-256',)"),
        (CopyInResponse(0, (0,)), "B CopyInResponse format=0 column_formats=(0,)"),
        (CopyFail(b"enough"), "F CopyFail message=b'enough'"),
    ],
)
def test_a_line_is_the_sender_the_name_and_the_fields(
    message: FrontendMessage | BackendMessage | StartupPacket, line: str
) -> None:
    assert trace(message) == line


@pytest.mark.parametrize(
    ("message", "hidden", "shown"),
    [
        (Query(b"NOTIFY a"), "sql=(8 bytes)", "sql=b'NOTIFY a'"),
        (Parse(b"s", b"NOTIFY a", ()), "sql=(8 bytes)", "sql=b'NOTIFY a'"),
        (Bind(b"", b"s", (), (b"ab", None), ()), "parameters=((2 bytes), NULL)", "parameters=(b'ab', None)"),
        (DataRow((b"ab", None)), "values=((2 bytes), NULL)", "values=(b'ab', None)"),
        (NotificationResponse(1, "jobs", "é!"), "payload=(2 characters)", "payload='é!'"),
        (CopyData(b"ab"), "FB CopyData data=(2 bytes)", "data=b'ab'"),
        (FunctionCall(1, (), (b"ab", None), 0), "arguments=((2 bytes), NULL)", "arguments=(b'ab', None)"),
        (FunctionCallResponse(b"ab"), "result=(2 bytes)", "result=b'ab'"),
    ],
)
def test_what_users_send_is_hidden_unless_asked_for(
    message: FrontendMessage | BackendMessage, hidden: str, shown: str
) -> None:
    assert hidden in trace(message)
    assert shown not in trace(message)
    assert shown in trace(message, reveal=True)


@pytest.mark.parametrize("message", [BackendKeyData(7, b"key!"), CancelRequest(7, b"key!")])
def test_a_cancel_key_is_never_shown(message: BackendKeyData | CancelRequest) -> None:
    assert trace(message).endswith(" pid=7 secret=(4 bytes)")
    assert trace(message, reveal=True) == trace(message)


@pytest.mark.parametrize(
    ("message", "end"),
    [
        (AuthenticationMD5Password(b"salt"), " salt=(4 bytes)"),
        (AuthenticationSASLContinue(b"r=1"), " data=(3 bytes)"),
        (AuthenticationSASLFinal(b"v=1"), " data=(3 bytes)"),
        (PasswordMessage(b"open"), " password=(4 bytes)"),
        (SASLInitialResponse(b"SCRAM-SHA-256", b"n,,"), " mechanism=b'SCRAM-SHA-256' data=(3 bytes)"),
        (SASLInitialResponse(b"SCRAM-SHA-256", None), " mechanism=b'SCRAM-SHA-256' data=NULL"),
        (SASLResponse(b"p=1"), " data=(3 bytes)"),
    ],
)
def test_what_proves_a_password_is_never_shown(message: FrontendMessage | BackendMessage, end: str) -> None:
    assert trace(message).endswith(end)
    assert trace(message, reveal=True) == trace(message)


def test_a_message_is_one_line_whatever_is_in_it() -> None:
    error = ErrorResponse(ErrorFields("ERROR", "42601", "one\ntwo\u2028three"))
    assert len(trace(error).splitlines()) == 1
    assert len(trace(Query(b"a\nb"), reveal=True).splitlines()) == 1
