"""The kinds of values that settings and keywords have: text to value, and a description for people.

`parse` raises ValueError with a predicate, as in "is not a whole number": the caller knows whether the value
may be shown in front of it.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from .problems import NAME

# As many digits as a 64-bit integer is sure to hold; nothing here needs more.
_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")
_DURATION = re.compile(r"([0-9]{1,18}(?:\.[0-9]{0,18})?|\.[0-9]{1,18})\s*(ms|s)?", re.IGNORECASE)
_SIZE = re.compile(r"([0-9]{1,12})\s*(B|kB|MB|GB)?", re.IGNORECASE)
_UNITS = {"b": 1, "kb": 1024, "mb": 1024**2, "gb": 1024**3}
_OCTAL = re.compile(r"[0-7]{1,4}")
_TRUE, _FALSE = ("1", "on", "yes", "true"), ("0", "off", "no", "false")

# Oldest first, in PgBouncer's spelling.
TLS_VERSIONS = ("tlsv1.0", "tlsv1.1", "tlsv1.2", "tlsv1.3")
_TLS_SETS = {"all": TLS_VERSIONS, "legacy": TLS_VERSIONS, "secure": TLS_VERSIONS[2:]}

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network


class Kind(Protocol):
    """Turn the text of a value into the value."""

    def parse(self, text: str) -> object:
        """Return the value; raise ValueError with a predicate if the text is not of this kind."""
        ...

    def describe(self) -> str:
        """Return what the value has to be, for the configuration page."""
        ...


@dataclass(frozen=True, slots=True)
class Integer:
    """Take a whole number from `low` to `high`, both included."""

    low: int
    high: int

    def parse(self, text: str) -> int:
        """Return the number."""
        if not _INTEGER.fullmatch(text):
            raise ValueError("is not a whole number")
        number = int(text)
        if not self.low <= number <= self.high:
            raise ValueError(f"is not between {self.low} and {self.high}")
        return number

    def describe(self) -> str:
        """Return the range."""
        return f"whole number, {self.low} to {self.high}"


@dataclass(frozen=True, slots=True)
class Duration:
    """Take a time in seconds from `low` to `high`; the suffixes `s` and `ms` are understood."""

    low: float
    high: float

    def parse(self, text: str) -> float:
        """Return the seconds."""
        match = _DURATION.fullmatch(text)
        if not match:
            raise ValueError('is not a duration in seconds (such as "5", "0.2" or "5 ms")')
        number = float(match[1])
        seconds = number / 1000 if (match[2] or "s").lower() == "ms" else number
        if not self.low <= seconds <= self.high:
            raise ValueError(f"is not between {self.low:g} and {self.high:g} seconds")
        return seconds

    def describe(self) -> str:
        """Return the range in seconds."""
        return f"seconds, {self.low:g} to {self.high:g}"


@dataclass(frozen=True, slots=True)
class Size:
    """Take bytes from `low` to `high`; the suffixes kB, MB and GB (powers of 1024) are understood."""

    low: int
    high: int

    def parse(self, text: str) -> int:
        """Return the bytes."""
        match = _SIZE.fullmatch(text)
        if not match:
            raise ValueError('is not a size in bytes (such as "65536", "64 kB" or "8 MB")')
        size = int(match[1]) * _UNITS[(match[2] or "B").lower()]
        if not self.low <= size <= self.high:
            raise ValueError(f"is not between {in_units(self.low)} and {in_units(self.high)}")
        return size

    def describe(self) -> str:
        """Return the range."""
        return f"size, {in_units(self.low)} to {in_units(self.high)}"


@dataclass(frozen=True, slots=True)
class Choice:
    """Take one of the words of `allowed`; for the words of `refused` the error is `reason`."""

    allowed: tuple[str, ...]
    refused: tuple[str, ...] = ()
    reason: str = ""

    def parse(self, text: str) -> str:
        """Return the word."""
        if text in self.refused:
            raise ValueError(self.reason)
        if text not in self.allowed:
            raise ValueError(f"is not {self._words()}")
        return text

    def describe(self) -> str:
        """Return the words."""
        return self._words()

    def _words(self) -> str:
        return self.allowed[0] if len(self.allowed) == 1 else f"one of {', '.join(self.allowed)}"


@dataclass(frozen=True, slots=True)
class Text:
    """Take any text, the empty one only if it is `optional`; `what` is the word for it."""

    what: str = "text"
    optional: bool = False

    def parse(self, text: str) -> str:
        """Return the text as it is."""
        if not text and not self.optional:
            raise ValueError("is empty")
        return text

    def describe(self) -> str:
        """Return the word for it."""
        return f"{self.what}, or empty" if self.optional else self.what


@dataclass(frozen=True, slots=True)
class Boolean:
    """Take yes or no, in the spellings of PostgreSQL's own configuration."""

    def parse(self, text: str) -> bool:
        """Return the truth value."""
        if text.lower() not in _TRUE + _FALSE:
            raise ValueError(f"is not one of {', '.join(_TRUE + _FALSE)}")
        return text.lower() in _TRUE

    def describe(self) -> str:
        """Return the word for it."""
        return "boolean"


@dataclass(frozen=True, slots=True)
class Mode:
    """Take the permissions of a file, in octal digits as chmod has them."""

    def parse(self, text: str) -> int:
        """Return the bits."""
        if not _OCTAL.fullmatch(text):
            raise ValueError('is not an octal mode (such as "0770")')
        if int(text, 8) > 0o777:
            raise ValueError("is not between 0 and 0777")
        return int(text, 8)

    def describe(self) -> str:
        """Return the range."""
        return "octal, 0 to 0777"


@dataclass(frozen=True, slots=True)
class Networks:
    """Take networks and addresses, IPv4 and IPv6, with commas between them; nothing is none of them."""

    def parse(self, text: str) -> tuple[Network, ...]:
        """Return the networks; an address is a network of its own."""
        try:
            return tuple(ipaddress.ip_network(network.strip()) for network in text.split(",")) if text else ()
        except ValueError:
            # Also for bits behind the prefix, which leave open what was meant.
            raise ValueError('is not a list of networks (such as "10.0.0.0/8, ::1")') from None

    def describe(self) -> str:
        """Return what is listed."""
        return "networks or addresses, with commas"


@dataclass(frozen=True, slots=True)
class TlsVersions:
    """Take versions of TLS with commas between them, or PgBouncer's words for several."""

    def parse(self, text: str) -> tuple[str, ...]:
        """Return the versions, the oldest first; there is none missing between two of them."""
        words = _TLS_SETS.get(text) or tuple(word.strip() for word in text.split(","))
        if not set(words) <= set(TLS_VERSIONS):
            raise ValueError(f"is not all, secure, legacy or a list of {', '.join(TLS_VERSIONS)}")
        places = sorted({TLS_VERSIONS.index(word) for word in words})
        if places[-1] - places[0] >= len(places):
            # OpenSSL and libpq only know a lowest and a highest version.
            raise ValueError("leaves out a version between two others")
        return tuple(TLS_VERSIONS[place] for place in places)

    def describe(self) -> str:
        """Return the words."""
        return f"all, secure, legacy, or some of {', '.join(TLS_VERSIONS)}, with commas"


@dataclass(frozen=True, slots=True)
class Ciphers:
    """Take ciphers in OpenSSL's notation, or PgBouncer's words for several."""

    def parse(self, text: str) -> str:
        """Return OpenSSL's notation, or `default`."""
        if not text:
            raise ValueError("is empty")
        return {"secure": "default", "fast": "default", "normal": "default", "all": "ALL"}.get(text, text)

    def describe(self) -> str:
        """Return what is taken."""
        return "default, all, or OpenSSL's notation"


@dataclass(frozen=True, slots=True)
class Ports:
    """Take a TCP port, or several with commas between them, one for each host of a list (as libpq has it)."""

    def parse(self, text: str) -> tuple[int, ...]:
        """Return the ports."""
        return tuple(Integer(1, 65535).parse(port.strip()) for port in text.split(","))

    def describe(self) -> str:
        """Return what is listed."""
        return "port, or one for each host, with commas"


@dataclass(frozen=True, slots=True)
class Names:
    """Take a list of different names with commas between them."""

    def parse(self, text: str) -> tuple[str, ...]:
        """Return the names in their order."""
        names = tuple(name.strip() for name in text.split(","))
        if not all(map(NAME.fullmatch, names)):
            raise ValueError("is not a list of names with commas between them")
        if len(set(names)) < len(names):
            raise ValueError("holds a name twice")
        return names

    def describe(self) -> str:
        """Return what is listed."""
        return "names, with commas"


@dataclass(frozen=True, slots=True)
class People:
    """Take users and groups (`@name`) with commas between them; `*` is everyone, nothing is nobody."""

    def parse(self, text: str) -> tuple[str, ...] | None:
        """Return the users and groups as they are written; None is everyone."""
        if text == "*":
            return None
        members = tuple(member.strip() for member in text.split(",")) if text else ()
        if not all(members):
            raise ValueError("is not a list of users and groups with commas between them")
        if "*" in members:
            raise ValueError("has others beside *, which is everyone")
        if not all(NAME.fullmatch(member[1:]) for member in members if member.startswith("@")):
            raise ValueError("has an @ without the name of a group behind it")
        return members

    def describe(self) -> str:
        """Return what is listed."""
        return "users and @groups, with commas; * is everyone"


def in_units(size: int) -> str:
    """Write a number of bytes in the largest unit that divides it: 65536 is `64 kB`."""
    for unit in ("GB", "MB", "kB"):
        if size and size % _UNITS[unit.lower()] == 0:
            return f"{size // _UNITS[unit.lower()]} {unit}"
    return f"{size} B"
