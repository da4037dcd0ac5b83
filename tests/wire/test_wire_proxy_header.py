"""The PROXY protocol: what a proxy says of its client, in pieces of any size, and nothing else for it."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from twistnotify.wire.proxy_header import MAX_HEADER, MAX_TEXT, ProxyHeader, read_header
from twistnotify.wire.violations import ProtocolViolation

SIGNATURE = bytes.fromhex("0d0a0d0a000d0a515549540a")
NOBODY = ProxyHeader(None, 0)
LOCAL, PROXY = 0x20, 0x21
TCP4, UDP4, TCP6, UDP6, STREAM_UNIX = 0x11, 0x12, 0x21, 0x22, 0x31
OF_TCP4 = bytes([192, 0, 2, 1, 10, 0, 0, 9]) + (56324).to_bytes(2, "big") + (5432).to_bytes(2, "big")
FULL = ":".join(["ffff"] * 8).encode()


def binary(command: int, kind: int, content: bytes) -> bytes:
    return SIGNATURE + bytes([command, kind]) + len(content).to_bytes(2, "big") + content


def of_tcp6(source: str, port: int = 56324) -> bytes:
    pair = ip_address(source).packed + ip_address("2001:db8::9").packed
    return pair + port.to_bytes(2, "big") + (5432).to_bytes(2, "big")


def fed_by_bytes(data: bytes) -> tuple[ProxyHeader, int] | None:
    """Read as a server does that gets one byte at a time."""
    for size in range(len(data) + 1):
        if (found := read_header(data[:size])) is not None:
            return found
    return None


HEADERS = [
    (b"PROXY TCP4 192.0.2.1 10.0.0.9 56324 5432\r\n", ProxyHeader("192.0.2.1", 56324)),
    (b"PROXY TCP4 0.0.0.0 255.255.255.255 0 65535\r\n", ProxyHeader("0.0.0.0", 0)),
    (b"PROXY TCP6 2001:DB8:0:0::1 ::1 65535 1\r\n", ProxyHeader("2001:db8::1", 65535)),
    (b"PROXY TCP6 ::ffff:192.0.2.1 ::1 1 2\r\n", ProxyHeader("192.0.2.1", 1)),
    (b"PROXY TCP6 %b %b 65535 65535\r\n" % (FULL, FULL), ProxyHeader(FULL.decode(), 65535)),
    (b"PROXY UNKNOWN\r\n", NOBODY),
    (b"PROXY UNKNOWN \r\n", NOBODY),
    (b"PROXY UNKNOWN %b %b 65535 65535\r\n" % (FULL, FULL), NOBODY),
    (b"PROXY UNKNOWN \n\0\xff\r\n", NOBODY),
    (binary(PROXY, TCP4, OF_TCP4), ProxyHeader("192.0.2.1", 56324)),
    (binary(PROXY, TCP4, OF_TCP4 + b"\x04\x00\x01\x00"), ProxyHeader("192.0.2.1", 56324)),
    (binary(PROXY, TCP6, of_tcp6("2001:db8::1")), ProxyHeader("2001:db8::1", 56324)),
    (binary(PROXY, TCP6, of_tcp6("::ffff:192.0.2.1")), ProxyHeader("192.0.2.1", 56324)),
    (binary(PROXY, UDP4, OF_TCP4), NOBODY),
    (binary(PROXY, UDP6, of_tcp6("2001:db8::1")), NOBODY),
    (binary(PROXY, STREAM_UNIX, bytes(216)), NOBODY),
    (binary(PROXY, 0x00, b""), NOBODY),
    (binary(PROXY, 0x00, b"ignored"), NOBODY),
    (binary(LOCAL, 0x00, b""), NOBODY),
    (binary(LOCAL, TCP4, OF_TCP4), NOBODY),
    (binary(LOCAL, 0xFF, b""), NOBODY),
    (binary(PROXY, TCP4, OF_TCP4.ljust(MAX_HEADER - 16, b"\0")), ProxyHeader("192.0.2.1", 56324)),
]


# What is a header


@pytest.mark.parametrize(("data", "header"), HEADERS)
def test_a_header_is_read(data: bytes, header: ProxyHeader) -> None:
    assert read_header(data) == (header, len(data))


@pytest.mark.parametrize(("data", "header"), HEADERS)
def test_a_header_is_read_byte_by_byte(data: bytes, header: ProxyHeader) -> None:
    assert fed_by_bytes(data) == (header, len(data))


@given(st.sampled_from(HEADERS), st.binary(max_size=120))
@example(HEADERS[0], b"\r\nPROXY UNKNOWN\r\n")
def test_what_follows_is_left_alone(header: tuple[bytes, ProxyHeader], rest: bytes) -> None:
    data, expected = header
    assert read_header(data + rest) == (expected, len(data))


@given(st.ip_addresses(), st.integers(0, 65535))
def test_both_versions_say_the_same(source: IPv4Address | IPv6Address, port: int) -> None:
    other = "10.0.0.9" if source.version == 4 else "2001:db8::9"
    text = f"PROXY TCP{source.version} {source} {other} {port} 5432\r\n"
    content = source.packed + ip_address(other).packed + port.to_bytes(2, "big") + b"\x15\x38"
    of_text = read_header(text.encode())
    of_binary = read_header(binary(PROXY, TCP4 if source.version == 4 else TCP6, content))
    assert of_text is not None
    assert of_binary is not None
    assert of_text[0] == of_binary[0]


def test_a_header_is_as_long_as_it_may_be() -> None:
    line = b"PROXY UNKNOWN ".ljust(MAX_TEXT - 2, b"x")
    assert read_header(line + b"\r\n") == (NOBODY, MAX_TEXT)
    with pytest.raises(ProtocolViolation, match="longer than 107"):
        read_header(line + b"x\r\n")
    with pytest.raises(ProtocolViolation, match="longer than 107"):
        read_header(line + b"xx")


def test_a_length_beyond_the_bound_is_refused_before_anything_is_held() -> None:
    begin = binary(PROXY, TCP4, OF_TCP4.ljust(MAX_HEADER - 15, b"\0"))
    with pytest.raises(ProtocolViolation, match=f"longer than {MAX_HEADER}"):
        read_header(begin[:16])
    assert read_header(begin[:15]) is None
    with pytest.raises(ProtocolViolation, match=f"longer than {MAX_HEADER}"):
        read_header(begin[:14] + b"\x09")


# What is none


@pytest.mark.parametrize(
    "data",
    [
        b"\0",
        b"G",
        b"p",
        b"PROXY\t",
        b"PROXY  ",
        b"PROXY TCP5",
        b"PROXY t",
        b"PROXY UD",
        b"PROXY TCP4\t",
        b"PROXY TCP4\r",
        b"PROXY TCP4 x",
        b"PROXY TCP4 :",
        b"PROXY TCP6 g",
        b"PROXY TCP4 1.2.3.4\n",
        b"PROXY TCP6 fe80::1%",
        b"PROXY UNKNOWNX",
        b"PROXY UNKNOWN \rx",
        b"PROXY \r",
        SIGNATURE[:11] + b"\r",
        SIGNATURE + b"\x11",
        SIGNATURE + b"\x22",
        SIGNATURE + b"\x31",
        SIGNATURE + b"\x21\x41",
        SIGNATURE + b"\x21\x13",
    ],
)
def test_the_first_byte_that_cannot_be_there_is_refused(data: bytes) -> None:
    assert read_header(data[:-1]) is None
    with pytest.raises(ProtocolViolation, match="invalid PROXY header: "):
        read_header(data)


@pytest.mark.parametrize(
    "said",
    [
        b"TCP4 ",
        b"TCP4 1.2.3.4 1.2.3.4 1",
        b"TCP4 1.2.3.4 1.2.3.4 1 2 ",
        b"TCP4 1.2.3.4 1.2.3.4 1 2 3",
        b"TCP4  1.2.3.4 1.2.3.4 1 2",
        b"TCP4 1.2.3.256 1.2.3.4 1 2",
        b"TCP4 1.2.3.4 1.2.3 1 2",
        b"TCP4 01.2.3.4 1.2.3.4 1 2",
        b"TCP4 1.2.3.4 1.2.3.4 65536 2",
        b"TCP4 1.2.3.4 1.2.3.4 1 65536",
        b"TCP4 1.2.3.4 1.2.3.4 01 2",
        b"TCP4 1.2.3.4 1.2.3.4 1 ",
        b"TCP4 1.2.3.4 1.2.3.4 1. 2",
        b"TCP6 1.2.3.4 1.2.3.4 1 2",
        b"TCP6 ::1 ::1::1 1 2",
        b"TCP6 ::12345 ::1 1 2",
    ],
)
def test_a_line_that_is_no_client_is_refused(said: bytes) -> None:
    assert read_header(b"PROXY " + said) is None
    with pytest.raises(ProtocolViolation, match="invalid PROXY header: "):
        read_header(b"PROXY " + said + b"\r\n")


@pytest.mark.parametrize(("kind", "size"), [(TCP4, 11), (UDP4, 0), (TCP6, 35), (TCP6, 12), (STREAM_UNIX, 215)])
def test_a_length_without_room_for_the_addresses_is_refused(kind: int, size: int) -> None:
    data = binary(PROXY, kind, bytes(size))[:16]
    assert read_header(data[:15]) is None
    with pytest.raises(ProtocolViolation, match="too short"):
        read_header(data)


mutations = st.tuples(st.sampled_from(HEADERS), st.integers(0, 60), st.binary(max_size=3)).map(
    lambda made: made[0][0][: made[1]] + made[2] + made[0][0][made[1] + 1 :]
)


@settings(max_examples=300)
@given(st.one_of(st.binary(max_size=200), mutations, st.binary(max_size=80).map(b"PROXY TCP4 ".__add__)))
def test_garbage_is_a_violation_and_nothing_else_however_it_comes(data: bytes) -> None:
    try:
        at_once = read_header(data)
    except ProtocolViolation:
        with pytest.raises(ProtocolViolation):
            fed_by_bytes(data)
    else:
        assert fed_by_bytes(data) == at_once
