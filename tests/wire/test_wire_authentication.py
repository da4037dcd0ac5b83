"""What a server asks for, and what the client answers."""

import pytest

from twistnotify.wire.authentication import (
    AUTHENTICATION_REQUESTS,
    AuthenticationCleartextPassword,
    AuthenticationMD5Password,
    AuthenticationOk,
    AuthenticationRequest,
    AuthenticationResponse,
    AuthenticationSASL,
    AuthenticationSASLContinue,
    AuthenticationSASLFinal,
    PasswordMessage,
    SASLInitialResponse,
    SASLResponse,
    authentication_request,
)
from twistnotify.wire.violations import ProtocolViolation


@pytest.mark.parametrize(
    ("message", "frame"),
    [
        (AuthenticationOk(), b"R\0\0\0\x08\0\0\0\0"),
        (AuthenticationCleartextPassword(), b"R\0\0\0\x08\0\0\0\x03"),
        (AuthenticationMD5Password(b"salt"), b"R\0\0\0\x0c\0\0\0\x05salt"),
        (AuthenticationSASL(("SCRAM-SHA-256",)), b"R\0\0\0\x17\0\0\0\x0aSCRAM-SHA-256\0\0"),
        (AuthenticationSASLContinue(b"r=1"), b"R\0\0\0\x0b\0\0\0\x0br=1"),
        (AuthenticationSASLFinal(b"v=1"), b"R\0\0\0\x0b\0\0\0\x0cv=1"),
        (PasswordMessage(b"open"), b"p\0\0\0\x09open\0"),
        (SASLInitialResponse(b"SCRAM-SHA-256", b"n,,"), b"p\0\0\0\x19SCRAM-SHA-256\0\0\0\0\x03n,,"),
        (SASLInitialResponse(b"ANONYMOUS", None), b"p\0\0\0\x12ANONYMOUS\0\xff\xff\xff\xff"),
        (SASLResponse(b"p=1"), b"p\0\0\0\x07p=1"),
    ],
)
def test_the_messages_have_the_bytes_of_the_manual(
    message: AuthenticationRequest | AuthenticationResponse, frame: bytes
) -> None:
    assert message.encode() == frame


def test_another_request_is_named_by_its_code() -> None:
    with pytest.raises(ProtocolViolation, match=r"^unsupported authentication request 10$") as caught:
        AuthenticationOk.decode(b"\0\0\0\x0aSCRAM-SHA-256\0\0")
    assert caught.value.sqlstate == "0A000"


@pytest.mark.parametrize("request_type", AUTHENTICATION_REQUESTS)
def test_a_request_is_known_by_its_code(request_type: type[AuthenticationRequest]) -> None:
    assert authentication_request(request_type.code.to_bytes(4, "big") + b"rest") is request_type


@pytest.mark.parametrize("code", [-1, 1, 2, 6, 7, 8, 9, 13])
def test_a_request_that_is_not_spoken_is_named_by_its_code(code: int) -> None:
    with pytest.raises(ProtocolViolation, match=rf"^unsupported authentication request {code}$") as caught:
        authentication_request(code.to_bytes(4, "big", signed=True))
    assert caught.value.sqlstate == "0A000"


@pytest.mark.parametrize("body", [b"", b"\0\0\0"])
def test_a_request_without_room_for_its_code_is_a_violation(body: bytes) -> None:
    with pytest.raises(ProtocolViolation, match="insufficient data left in message") as caught:
        authentication_request(body)
    assert caught.value.sqlstate == "08P01"


@pytest.mark.parametrize(
    ("request_type", "body"),
    [
        (AuthenticationOk, b"\0\0\0\0\0"),
        (AuthenticationCleartextPassword, b"\0\0\0\x03\0"),
        (AuthenticationMD5Password, b"\0\0\0\x05salt5"),
        (AuthenticationSASL, b"\0\0\0\x0aPLAIN\0\0\0"),
    ],
)
def test_a_request_has_nothing_after_its_end(request_type: type[AuthenticationRequest], body: bytes) -> None:
    with pytest.raises(ProtocolViolation, match="invalid message format"):
        request_type.decode(body)


def test_a_salt_has_four_bytes() -> None:
    with pytest.raises(ProtocolViolation, match="insufficient data left in message"):
        AuthenticationMD5Password.decode(b"\0\0\0\x05abc")


def test_the_list_of_mechanisms_needs_its_terminator() -> None:
    with pytest.raises(ProtocolViolation, match="invalid string in message"):
        AuthenticationSASL.decode(b"\0\0\0\x0aPLAIN\0")


@pytest.mark.parametrize("size", [b"\xff\xff\xff\xfe", b"\0\0\0\x04"])
def test_a_first_message_of_an_impossible_size_is_a_violation(size: bytes) -> None:
    with pytest.raises(ProtocolViolation, match="insufficient data left in message"):
        SASLInitialResponse.decode(b"PLAIN\0" + size + b"abc")


@pytest.mark.parametrize(
    "message",
    [
        AuthenticationMD5Password(b"hidden"),
        AuthenticationSASLContinue(b"hidden"),
        AuthenticationSASLFinal(b"hidden"),
        PasswordMessage(b"hidden"),
        SASLInitialResponse(b"SCRAM-SHA-256", b"hidden"),
        SASLResponse(b"hidden"),
    ],
)
def test_a_repr_has_no_secret(message: AuthenticationRequest | AuthenticationResponse) -> None:
    assert "hidden" not in repr(message)
    assert repr(message).startswith(type(message).__name__ + "(")
