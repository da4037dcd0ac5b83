"""What a proxy says of its client in front of everything else: the PROXY protocol, versions 1 and 2.

Source: HAProxy's 'The PROXY protocol', sections 2.1 (text) and 2.2 (binary). Whether a proxy is to be believed is not
known here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from struct import Struct
from typing import TypeAlias

from twistnotify.wire.violations import ProtocolViolation

# Bytes of version 1, with its end of line (section 2.1). Two IPv6 addresses in full have 104.
MAX_TEXT = 107

# Bytes of version 2: 16, and what they announce, which could be 65,535. Addresses have at most 216, and what follows
# them (a name, a checksum, the client's certificate by its names) some hundreds. It is all held until it is there.
MAX_HEADER = 16 + 2048

_TEXT = b"PROXY "
_SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
_KINDS = (b"TCP4 ", b"TCP6 ", b"UNKNOWN")
_BEGUN = re.compile(rb"TCP4 [0-9. ]*|TCP6 [0-9A-Fa-f:. ]*|UNKNOWN(?: .*)?", re.DOTALL)
_PORT = re.compile(rb"0|[1-9][0-9]{0,4}")

_FIXED = Struct("!BBH")
_FIXED_SIZE = len(_SIGNATURE) + _FIXED.size
# Version and command in one byte.
_LOCAL, _PROXY = 0x20, 0x21
_UNSPECIFIED, _STREAM, _DATAGRAM = range(3)
_INET, _INET6 = 1, 2
# By family: how many bytes its addresses have (none, IPv4, IPv6, Unix).
_SIZES = {0: 0, _INET: 12, _INET6: 36, 3: 216}
_OF_STREAM = {_INET: Struct("!4s4sHH"), _INET6: Struct("!16s16sHH")}

Address: TypeAlias = IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True)
class ProxyHeader:
    """Say who is behind the proxy; without an address it is the proxy itself, or nobody can say."""

    address: str | None
    port: int


UNKNOWN = ProxyHeader(None, 0)
Read: TypeAlias = tuple[ProxyHeader, int]


def read_header(data: bytes) -> Read | None:
    """Return the header that data begins with and its length in bytes, None as long as more is needed.

    Raises `ProtocolViolation` at the first byte that cannot be there; for addresses and ports that are none, at the
    end of their line.
    """
    if _may_become(data, _TEXT):
        return _read_text(data[:MAX_TEXT]) if len(data) > len(_TEXT) else None
    if _may_become(data, _SIGNATURE):
        return _read_binary(data)
    raise _invalid("it is neither of version 1 nor of version 2")


def _may_become(data: bytes, expected: bytes) -> bool:
    return data.startswith(expected) or expected.startswith(data)


def _invalid(why: str) -> ProtocolViolation:
    return ProtocolViolation(f"invalid PROXY header: {why}")


# Version 1


def _read_text(data: bytes) -> Read | None:
    line, end, rest = data.partition(b"\r")
    said = line[len(_TEXT) :]
    if not _BEGUN.fullmatch(said) and (end or not any(kind.startswith(said) for kind in _KINDS)):
        raise _invalid("malformed text")
    if end and rest:
        if not rest.startswith(b"\n"):
            raise _invalid("the line does not end with CR LF")
        return _client(said), len(line) + 2
    if len(data) == MAX_TEXT:
        raise _invalid(f"the line is longer than {MAX_TEXT} bytes")
    return None


def _client(said: bytes) -> ProxyHeader:
    if said.startswith(b"UNKNOWN"):
        return UNKNOWN
    fields = said.split(b" ")
    if len(fields) != 5:
        raise _invalid("the line is not two addresses and two ports")
    of_kind = IPv4Address if fields[0] == b"TCP4" else IPv6Address
    try:
        source, _ = (of_kind(field.decode()) for field in fields[1:3])
    except ValueError:
        raise _invalid("malformed address") from None
    port, _ = (_port(field) for field in fields[3:])
    return _header(source, port)


def _port(written: bytes) -> int:
    if not _PORT.fullmatch(written) or int(written) > 0xFFFF:
        raise _invalid("malformed port")
    return int(written)


def _header(source: Address, port: int) -> ProxyHeader:
    # A proxy that is reached by IPv4 and goes on by IPv6 has no other way to name its client.
    mapped = source.ipv4_mapped if isinstance(source, IPv6Address) else None
    return ProxyHeader(str(mapped or source), port)


# Version 2


def _read_binary(data: bytes) -> Read | None:
    command, kind, length = _FIXED.unpack(data[len(_SIGNATURE) : _FIXED_SIZE].ljust(_FIXED.size, b"\0"))
    end = _FIXED_SIZE + length
    if end > MAX_HEADER:
        raise _invalid(f"it is longer than {MAX_HEADER} bytes")
    if len(data) > len(_SIGNATURE) and command not in (_LOCAL, _PROXY):
        raise _invalid("unknown version or command")
    # With LOCAL it means nothing what the rest is.
    if command == _PROXY:
        _check(kind, length if len(data) >= _FIXED_SIZE else None)
    if len(data) < end:
        return None
    return (UNKNOWN if command == _LOCAL else _announced(data, kind)), end


def _check(kind: int, length: int | None) -> None:
    """Check family and transport, and that there is room for the addresses."""
    family, transport = divmod(kind, 16)
    if family not in _SIZES or transport not in (_UNSPECIFIED, _STREAM, _DATAGRAM):
        raise _invalid("unknown family or transport")
    if length is not None and length < _SIZES[family]:
        raise _invalid("it is too short for its addresses")


def _announced(data: bytes, kind: int) -> ProxyHeader:
    """Return the client, if it has come by TCP."""
    family, transport = divmod(kind, 16)
    layout = _OF_STREAM.get(family)
    if layout is None or transport != _STREAM:
        return UNKNOWN
    source, _, port, _ = layout.unpack_from(data, _FIXED_SIZE)
    return _header(ip_address(source), port)
