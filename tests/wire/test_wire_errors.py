"""ErrorResponse and NoticeResponse."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twistnotify.wire import violations
from twistnotify.wire.errors import (
    ErrorFields,
    ErrorResponse,
    MessageTooLong,
    NoticeResponse,
    ProtocolViolation,
)

SYNTAX = ErrorFields("ERROR", "42601", 'syntax error at or near "x"', "why", "try y", 8)


def test_an_error_has_the_bytes_postgresql_sends() -> None:
    message = ErrorResponse(ErrorFields("ERROR", "42601", "syntax error", position=1))
    body = b"SERROR\0VERROR\0C42601\0Msyntax error\0P1\0\0"
    assert message.encode() == b"E" + (len(body) + 4).to_bytes(4, "big") + body


def test_all_fields_come_in_the_order_of_postgresql() -> None:
    expected = b'SERROR\0VERROR\0C42601\0Msyntax error at or near "x"\0Dwhy\0Htry y\0P8\0\0'
    assert ErrorResponse(SYNTAX).encode()[5:] == expected


def test_a_notice_differs_by_its_type_only() -> None:
    assert NoticeResponse(SYNTAX).encode() == b"N" + ErrorResponse(SYNTAX).encode()[1:]


def test_what_the_encoding_lacks_becomes_question_marks() -> None:
    fields = ErrorFields("ERROR", "22P05", "no 日 and no \0", hint="\udcff")
    assert fields.encode("latin-1") == b"SERROR\0VERROR\0C22P05\0Mno ? and no ?\0H?\0\0"


def test_texts_are_decoded_in_the_encoding_given() -> None:
    assert ErrorResponse.decode(b"VERROR\0C00000\0M\xe9\0\0", "latin-1").fields.message == "é"


def test_fields_of_unknown_code_are_skipped() -> None:
    body = b"SFEHLER\0VERROR\0C42601\0Mm\0ffile.c\0L12\0\xffodd\0\0"
    assert ErrorResponse.decode(body).fields == ErrorFields("ERROR", "42601", "m")


def test_severity_falls_back_to_the_translated_one() -> None:
    assert ErrorResponse.decode(b"SFEHLER\0C42601\0Mm\0\0").fields.severity == "FEHLER"


@pytest.mark.parametrize("body", [b"C42601\0Mm\0\0", b"SERROR\0Mm\0\0", b"SERROR\0C42601\0\0", b"\0"])
def test_severity_code_and_message_must_be_there(body: bytes) -> None:
    with pytest.raises(ProtocolViolation, match="invalid message format"):
        ErrorResponse.decode(body)


@pytest.mark.parametrize("position", [b"", b"x", b"-1", b"1_0", "٣".encode(), b"9" * 11])
def test_a_position_must_be_a_number(position: bytes) -> None:
    with pytest.raises(ProtocolViolation, match="invalid message format"):
        ErrorResponse.decode(b"SERROR\0C42601\0Mm\0P" + position + b"\0\0")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "insufficient data left in message"),
        (b"SERROR\0C42601\0Mm\0", "insufficient data left in message"),
        (b"SERROR", "invalid string in message"),
        (b"SERROR\0C42601\0Mm\0\0x", "invalid message format"),
    ],
)
def test_fields_must_be_terminated(body: bytes, message: str) -> None:
    with pytest.raises(ProtocolViolation, match=message):
        NoticeResponse.decode(body)


def test_the_exceptions_are_found_here_too() -> None:
    assert MessageTooLong is violations.MessageTooLong
    assert ProtocolViolation is violations.ProtocolViolation


text = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))


@settings(deadline=None)
@given(
    st.builds(
        ErrorFields,
        text,
        text,
        text,
        st.none() | text,
        st.none() | text,
        st.none() | st.integers(1, 2**31 - 1),
    )
)
def test_any_fields_survive_the_wire(fields: ErrorFields) -> None:
    assert ErrorFields.decode(fields.encode()) == fields
