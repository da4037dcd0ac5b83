"""The kinds of values that settings and keywords have: text to value, and a description for people.

`parse` raises ValueError with a predicate, as in "is not a whole number": the caller knows whether the value
may be shown in front of it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Protocol

from .problems import NAME

# As many digits as a 64-bit integer is sure to hold; nothing here needs more.
_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")
_DURATION = re.compile(r"([0-9]{1,18}(?:\.[0-9]{0,18})?|\.[0-9]{1,18})\s*(ms|s)?", re.IGNORECASE)
_SIZE = re.compile(r"([0-9]{1,12})\s*(B|kB|MB|GB)?", re.IGNORECASE)
_UNITS = {"b": 1, "kb": 1024, "mb": 1024**2, "gb": 1024**3}
_TRUE, _FALSE = ("1", "on", "yes", "true"), ("0", "off", "no", "false")


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
    """Take any text but the empty one."""

    def parse(self, text: str) -> str:
        """Return the text as it is."""
        if not text:
            raise ValueError("is empty")
        return text

    def describe(self) -> str:
        """Return the word for it."""
        return "text"


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


def in_units(size: int) -> str:
    """Write a number of bytes in the largest unit that divides it: 65536 is `64 kB`."""
    for unit in ("GB", "MB", "kB"):
        if size and size % _UNITS[unit.lower()] == 0:
            return f"{size // _UNITS[unit.lower()]} {unit}"
    return f"{size} B"
