"""The messages of the extended query protocol."""

import pytest

from twistnotify.wire.extended_query import (
    Bind,
    Close,
    Describe,
    Execute,
    ParameterDescription,
    Parse,
    ParseComplete,
)
from twistnotify.wire.violations import ProtocolViolation


def test_a_parse_has_the_bytes_libpq_sends() -> None:
    message = Parse(b"s", b"LISTEN a", (25, 4294967295))
    assert message.encode() == b"P\0\0\0\x19s\0LISTEN a\0\0\x02\0\0\0\x19\xff\xff\xff\xff"


def test_a_bind_has_the_bytes_libpq_sends() -> None:
    message = Bind(b"", b"s", (0, 1), (b"ab", None), (1,))
    values = b"\0\x02\0\0\0\x02ab\xff\xff\xff\xff"
    assert message.encode() == b"B\0\0\0\x1d\0s\0\0\x02\0\0\0\x01" + values + b"\0\x01\0\x01"


def test_an_execute_has_the_bytes_libpq_sends() -> None:
    assert Execute(b"", 0).encode() == b"E\0\0\0\x09\0\0\0\0\0"


def test_a_kind_other_than_statement_or_portal_is_named_by_its_number() -> None:
    with pytest.raises(ProtocolViolation, match=r"^invalid DESCRIBE message subtype 88$"):
        Describe.decode(b"Xs\0")
    with pytest.raises(ProtocolViolation, match=r"^invalid CLOSE message subtype 0$"):
        Close.decode(b"\0s\0")


def test_a_statement_and_a_portal_are_told_apart() -> None:
    assert Describe.decode(b"Ss\0") == Describe(b"S", b"s")
    assert Close.decode(b"P\0") == Close(b"P", b"")


def test_answers_are_a_type_and_nothing_else() -> None:
    assert ParseComplete().encode() == b"1\0\0\0\x04"


def test_parameters_are_described_by_their_oids() -> None:
    assert ParameterDescription((25, 1043)).encode() == b"t\0\0\0\x0e\0\x02\0\0\0\x19\0\0\x04\x13"


@pytest.mark.parametrize(
    ("decode", "body"),
    [
        (Parse.decode, b"s\0sql\0\0\x00"),
        (Bind.decode, b"\0\0\0\0\0\0\0\0"),
        (Execute.decode, b"\0\0\0\0\0"),
        (Describe.decode, b"Ss\0"),
        (ParameterDescription.decode, b"\0\0"),
    ],
)
def test_nothing_may_follow_the_last_field(decode: object, body: bytes) -> None:
    assert callable(decode)
    decode(body)
    with pytest.raises(ProtocolViolation, match=r"^invalid message format$"):
        decode(body + b"\0")


def test_sixty_five_thousand_parameters_may_be_bound() -> None:
    message = Bind(b"", b"", (), (b"x",) * 65535, ())
    assert Bind.decode(message.encode()[5:]) == message
