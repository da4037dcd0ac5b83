"""Read a pg_hba.conf.

Format: PostgreSQL manual, 'The pg_hba.conf File', in the subset that PgBouncer reads as well; what is not supported is
a fault, never passed over in silence. A file with a fault is not to be used: the line that is left out may be the one
that rejects.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import NamedTuple, TypeAlias

from twistnotify.auth.faults import Fault
from twistnotify.auth.hba import Address, HbaRule, Names, Network
from twistnotify.wire.printable import printable

# Lines that say something: each log-in may walk along all of them, which takes some milliseconds.
MAX_LINES = 10_000

# In one file of names that a line includes; 100 bytes each are held in memory.
MAX_NAMES = 100_000

_KINDS = {"local", "host", "hostssl", "hostnossl"}
# PostgreSQL's others. Any other word is not shown: it may be the first of a file of keys that was named by mistake.
_OTHER_KINDS = {"hostgssenc", "hostnogssenc", "include", "include_if_exists", "include_dir"}
_METHODS = {
    "trust": "trust",
    "reject": "reject",
    "md5": "md5",
    "password": "plain",
    "scram-sha-256": "scram-sha-256",
    "cert": "cert",
    "peer": "peer",
}
_ONLY_KIND = {"cert": "hostssl", "peer": "local"}
# Bits in front of the IPv4 address in an IPv6 address that stands for one (RFC 4291, section 2.5.5.2).
_MAPPED = 96
_BLANKS_AND_COMMAS = re.compile(r"[ \t\r,]+")
# A name goes on where its quotes end, and quotes may begin within a name: a" "b is one.
_NAME = re.compile(r'(?:[^ \t\r,"#]|"(?:[^"]|"")*")+')
_QUOTES = re.compile(r'"((?:[^"]|"")*)"')

Include: TypeAlias = Callable[[str], str]


class _Name(NamedTuple):
    """A name, and whether it begins with a quote: then it has no other meaning than itself."""

    text: str
    quoted: bool


_Field: TypeAlias = list[_Name]


class _Unusable(Exception):
    """Say what is wrong with a line."""


def read_hba(text: str, include: Include) -> tuple[tuple[HbaRule, ...], tuple[Fault, ...]]:
    """Return the rules in their order, and what is wrong with the lines that gave none.

    `include` returns the text of a file that a line names with `@`, as it is written there, or raises OSError. A
    method is named as in the file, but `password`, which is "plain".
    """
    rules: list[HbaRule] = []
    faults: list[Fault] = []
    for number, line in _lines(text):
        try:
            fields = _fields(line)
            if fields and len(rules) + len(faults) == MAX_LINES:
                return tuple(rules), (*faults, Fault(number, f"there are more than {MAX_LINES} lines"))
            if fields:
                rules.append(_rule(number, fields, include))
        except _Unusable as unusable:
            faults.append(Fault(number, str(unusable)))
    return tuple(rules), tuple(faults)


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield lines with the number of their first; one that ends with a backslash goes on in the next."""
    first, whole = 1, ""
    for number, part in enumerate(text.removeprefix("\ufeff").split("\n"), start=1):
        line = part.rstrip("\r")
        if line.endswith("\\"):
            whole += line[:-1]
        else:
            yield first, whole + line
            first, whole = number + 1, ""
    yield first, whole


def _fields(line: str) -> list[_Field]:
    """Split a line at blanks. A field has several names where a comma follows directly behind a name."""
    if "\0" in line:
        raise _Unusable("the line holds a NUL byte")
    fields: list[_Field] = []
    goes_on = False
    position = _behind_blanks(line, 0)
    while position < len(line) and line[position] != "#":
        match = _NAME.match(line, position)
        if match is None:
            raise _Unusable("a quote is not closed")
        if not goes_on:
            fields.append([])
        fields[-1].append(_name(match[0]))
        goes_on = line.startswith(",", match.end())
        position = _behind_blanks(line, match.end())
    return fields


def _behind_blanks(line: str, position: int) -> int:
    match = _BLANKS_AND_COMMAS.match(line, position)
    return match.end() if match else position


def _name(written: str) -> _Name:
    return _Name(_QUOTES.sub(lambda quotes: quotes[1].replace('""', '"'), written), written.startswith('"'))


def _rule(number: int, fields: list[_Field], include: Include) -> HbaRule:
    rest = iter(fields)
    kind = _single(rest, "type").text
    if kind not in _KINDS:
        raise _Unusable(f"the type {kind} is not supported" if kind in _OTHER_KINDS else "the line begins with no type")
    databases = _databases(_included(_next(rest, "database"), include))
    users = _users(_included(_next(rest, "user"), include))
    network = None if kind == "local" else _network(rest)
    method = _method(kind, _single(rest, "method").text)
    if next(rest, None) is not None:
        raise _Unusable("options behind the method are not supported")
    return HbaRule(number, kind, databases, users, network, method)


def _next(rest: Iterator[_Field], what: str) -> _Field:
    field = next(rest, None)
    if field is None:
        raise _Unusable(f"the line ends before the {what}")
    return field


def _single(rest: Iterator[_Field], what: str) -> _Name:
    field = _next(rest, what)
    if len(field) > 1:
        raise _Unusable(f"there is more than one {what}")
    return field[0]


def _included(field: _Field, include: Include) -> Iterator[_Name]:
    """Yield the names of a field, in place of each @file those in the file."""
    for name in field:
        if name.quoted or not name.text.startswith("@"):
            yield name
        else:
            yield from _names_in(name.text[1:], include)


def _names_in(file: str, include: Include) -> list[_Name]:
    try:
        text = include(file)
    except OSError as error:
        raise _Unusable(f"cannot read {printable(file)}: {error.strerror}") from None
    names = [name for _, line in _lines(text) for field in _fields(line) for name in field]
    if len(names) > MAX_NAMES:
        raise _Unusable(f"there are more than {MAX_NAMES} names in {printable(file)}")
    # A file that includes itself would have no end.
    if any(name.text.startswith("@") and not name.quoted for name in names):
        raise _Unusable(f"{printable(file)} includes another file, which is not supported")
    return names


def _databases(names: Iterable[_Name]) -> Names:
    words = {"all", "sameuser", "samerole", "samegroup", "replication"}
    meant, plain = _sorted(names, words)
    for unsupported in ("samerole", "samegroup"):
        if unsupported in meant:
            raise _Unusable(f"{unsupported} is not supported")
    # What is left of `replication` is nothing: there are no such connections here.
    return Names("all" in meant, "sameuser" in meant, plain)


def _users(names: Iterable[_Name]) -> Names:
    meant, plain = _sorted(names, {"all"})
    return Names("all" in meant, False, plain)


def _sorted(names: Iterable[_Name], words: set[str]) -> tuple[set[str], frozenset[str]]:
    """Return the words with a meaning, and the names."""
    meant, plain = set(), set()
    for name in names:
        if name.text in words and not name.quoted:
            meant.add(name.text)
        elif name.text.startswith("+") and not name.quoted:
            raise _Unusable("groups (+name) are not supported")
        elif name.text.startswith("/"):
            raise _Unusable("regular expressions (/...) are not supported")
        else:
            plain.add(name.text)
    return meant, frozenset(plain)


def _network(rest: Iterator[_Field]) -> Network | None:
    """Return the addresses of a line, None for all; there may be a mask in a field of its own."""
    name = _single(rest, "address")
    if name == _Name("all", False):
        return None
    written, slash, prefix = name.text.partition("/")
    address = _address(written)
    length = _prefix(prefix, address) if slash else _length(_address(_single(rest, "mask").text), address)
    # As in PostgreSQL, bits behind the mask do not matter.
    network = ip_network((address, length), strict=False)
    mapped = network.network_address.ipv4_mapped if isinstance(network, IPv6Network) else None
    return network if mapped is None or length < _MAPPED else IPv4Network((mapped, length - _MAPPED))


def _address(text: str) -> Address:
    try:
        address = ip_address(text)
    except ValueError:
        raise _Unusable(f"{printable(text)} is not an address (host names are not supported)") from None
    if "%" in text:
        raise _Unusable("the zone of an address (%...) is not supported")
    return address


def _prefix(text: str, address: Address) -> int:
    if not re.fullmatch("[0-9]{1,3}", text) or int(text) > address.max_prefixlen:
        raise _Unusable(f"/{printable(text)} is not the length of a mask")
    return int(text)


def _length(mask: Address, address: Address) -> int:
    """Return how many bits a mask has. Not by ip_network, which takes 0.0.0.255 for 255.255.255.0."""
    if mask.version != address.version:
        raise _Unusable("the address and the mask are of different kinds")
    zeros = int(mask) ^ ((1 << mask.max_prefixlen) - 1)
    if zeros & (zeros + 1):
        raise _Unusable("a mask with holes is not supported")
    return mask.max_prefixlen - zeros.bit_length()


def _method(kind: str, written: str) -> str:
    if written not in _METHODS:
        raise _Unusable(f"the method {printable(written)} is not supported")
    if _ONLY_KIND.get(written, kind) != kind:
        raise _Unusable(f"the method {written} is for {_ONLY_KIND[written]} lines only")
    return _METHODS[written]
