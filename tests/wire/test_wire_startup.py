"""Start-up packets, protocol negotiation and cancel keys."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twistnotify.wire.framing import FrameBuffer
from twistnotify.wire.startup import (
    PROTOCOL_3_0,
    PROTOCOL_3_2,
    BackendKeyData,
    CancelRequest,
    GSSENCRequest,
    NegotiateProtocolVersion,
    SSLRequest,
    StartupMessage,
    decode_startup,
)
from twistnotify.wire.violations import ProtocolViolation

V3 = b"\0\x03\0\0"


@pytest.mark.parametrize(
    "message",
    [
        StartupMessage(PROTOCOL_3_0, {}),
        StartupMessage(PROTOCOL_3_2, {"user": "bob", "database": "é", "options": "", "x": "\udcff"}),
        StartupMessage(0x0003270F, {"user": "bob", "_pq_.test_protocol_negotiation": ""}),
        SSLRequest(),
        GSSENCRequest(),
        CancelRequest(4_194_305, b"\0\1\2\3"),
        CancelRequest(-1, bytes(256)),
    ],
)
def test_packets_survive_the_wire(
    message: StartupMessage | SSLRequest | GSSENCRequest | CancelRequest,
) -> None:
    buffer = FrameBuffer(0)
    buffer.feed(message.encode())
    packet = buffer.next_startup_packet()
    assert packet is not None
    assert decode_startup(packet) == message
    assert len(buffer) == 0


def test_the_packets_have_the_bytes_libpq_sends() -> None:
    assert StartupMessage(PROTOCOL_3_0, {"user": "bob"}).encode() == b"\0\0\0\x12\0\x03\0\0user\0bob\0\0"
    assert SSLRequest().encode() == b"\0\0\0\x08\x04\xd2\x16\x2f"
    assert GSSENCRequest().encode() == b"\0\0\0\x08\x04\xd2\x16\x30"
    assert CancelRequest(7, b"key!").encode() == b"\0\0\0\x10\x04\xd2\x16\x2e\0\0\0\x07key!"


def test_a_version_has_a_major_and_a_minor() -> None:
    message = StartupMessage(0x0003270F, {})
    assert (message.major, message.minor) == (3, 9999)


def test_parameters_keep_their_order() -> None:
    message = decode_startup(V3 + b"b\0001\0a\0002\0\0")
    assert isinstance(message, StartupMessage)
    assert list(message.parameters) == ["b", "a"]


def test_the_last_of_two_parameters_of_one_name_counts() -> None:
    assert decode_startup(V3 + b"a\0001\0a\0002\0\0") == StartupMessage(PROTOCOL_3_0, {"a": "2"})


@pytest.mark.parametrize(
    "pairs",
    [
        b"",
        b"user",
        b"user\0",
        b"user\0\0",
        b"user\0bob",
        b"user\0bob\0",
        b"user\0bob\0\0\0",
        b"\0\0",
        b"\0a\0\0",
    ],
)
def test_parameters_must_be_pairs_and_a_terminator(pairs: bytes) -> None:
    message = r"^invalid startup packet layout: expected terminator as last byte$"
    with pytest.raises(ProtocolViolation, match=message):
        decode_startup(V3 + pairs)


@pytest.mark.parametrize("version", [0, 0x00020000, 0x00040000, 80877105, 0xFFFFFFFF])
def test_another_major_version_is_for_the_caller_to_judge(version: int) -> None:
    packet = version.to_bytes(4, "big") + b"anything"
    assert decode_startup(packet) == StartupMessage(version, {})


@pytest.mark.parametrize("packet", [b"", b"\0\x03\0", b"\x04\xd2\x16\x2e\0\0\0"])
def test_a_packet_without_room_for_its_numbers_is_a_violation(packet: bytes) -> None:
    with pytest.raises(ProtocolViolation, match="insufficient data left in message"):
        decode_startup(packet)


@pytest.mark.parametrize("size", [0, 3, 257])
def test_a_cancel_key_has_4_to_256_bytes(size: int) -> None:
    with pytest.raises(ProtocolViolation, match=r"^invalid length of cancel key in cancel request packet$"):
        decode_startup(b"\x04\xd2\x16\x2e\0\0\0\x07" + bytes(size))


def test_an_encryption_request_is_its_code_alone() -> None:
    assert decode_startup(b"\x04\xd2\x16\x2fmore") == SSLRequest()
    assert decode_startup(b"\x04\xd2\x16\x30more") == GSSENCRequest()


@settings(deadline=None)
@given(st.sampled_from([b"", V3, b"\0\x02\0\0", b"\x04\xd2\x16\x2e"]), st.binary())
def test_garbage_gives_a_value_or_a_violation(code: bytes, rest: bytes) -> None:
    try:
        decode_startup(code + rest)
    except ProtocolViolation as error:
        assert error.sqlstate == "08P01"  # noqa: PT017 - one of two right ends


words = st.text(st.characters(codec="utf-8", exclude_characters="\0"))


@settings(deadline=None)
@given(st.dictionaries(words.filter(bool), words))
def test_any_parameters_survive_the_wire(parameters: dict[str, str]) -> None:
    message = StartupMessage(PROTOCOL_3_0, parameters)
    assert decode_startup(message.encode()[4:]) == message


def test_a_negotiation_names_the_full_version_and_the_unknown_options() -> None:
    message = NegotiateProtocolVersion(PROTOCOL_3_2, ("_pq_.a", "_pq_.b"))
    assert message.encode() == b"v\0\0\0\x1a\0\x03\0\x02\0\0\0\x02_pq_.a\0_pq_.b\0"
    assert NegotiateProtocolVersion(PROTOCOL_3_0, ()).encode() == b"v\0\0\0\x0c\0\x03\0\0\0\0\0\0"


def test_unknown_options_go_back_in_the_bytes_they_came_in() -> None:
    message = decode_startup(V3 + b"_pq_.\xff\0\0\0")
    assert isinstance(message, StartupMessage)
    assert b"_pq_.\xff\0" in NegotiateProtocolVersion(PROTOCOL_3_0, tuple(message.parameters)).encode()


@pytest.mark.parametrize("count", [b"\0\0\0\x02", b"\xff\xff\xff\xff"])
def test_a_count_of_options_too_large_is_a_violation(count: bytes) -> None:
    with pytest.raises(ProtocolViolation, match="invalid string in message"):
        NegotiateProtocolVersion.decode(V3 + count + b"_pq_.a\0")


def test_the_key_is_the_rest_of_the_body() -> None:
    assert BackendKeyData(7, b"key!").encode() == b"K\0\0\0\x0c\0\0\0\x07key!"
    assert BackendKeyData.decode(b"\0\0\0\x07" + bytes(32)) == BackendKeyData(7, bytes(32))
