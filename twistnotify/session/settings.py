"""What PostgreSQL would show after a SET, as far as that is sure without asking it.

A row per setting, for PostgreSQL 15 and later alike. Whatever is unusual in the least is PostgreSQL's to judge: a
spelling that it takes and we do not costs a question, one that we take and it does not would be an untruth.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from twistnotify.session.date_style import date_style
from twistnotify.session.encodings import client_encoding
from twistnotify.session.failure import SqlError
from twistnotify.sql.statements import PARAMETERS

NAMES: dict[str, str] = {name.lower(): name for name in PARAMETERS}
"""The settings known here: lower-cased name to PostgreSQL's spelling."""

REPORTED = frozenset(
    (
        "application_name",
        "client_encoding",
        "datestyle",
        "intervalstyle",
        "timezone",
        "standard_conforming_strings",
    )
)
"""Keys of NAMES: what every PostgreSQL reports by ParameterStatus when it changes."""

REPORTED_FROM_18 = REPORTED | {"search_path"}
"""Keys of NAMES: what PostgreSQL 18 and later reports."""

_MAX_TIMEOUT = 2_147_483_647  # milliseconds
_UNITS = {"d": 86_400_000_000, "h": 3_600_000_000, "min": 60_000_000, "s": 1_000_000, "ms": 1_000, "us": 1}

_APPLICATION_NAME = re.compile(r"[ -~]{0,63}").fullmatch
_FLOAT_DIGITS = re.compile(r"[0-3]|-[1-9]|-1[0-5]").fullmatch
# No leading zeros: PostgreSQL takes 010 for octal.
_TIMEOUT = re.compile(r"(0|[1-9][0-9]{0,12})(?: *(us|ms|s|min|h|d))?").fullmatch
_ENCODING = re.compile(r"[A-Za-z0-9_ -]{1,63}").fullmatch
_WORDS = re.compile(r" *[A-Za-z]+ *(?:, *[A-Za-z]+ *)*").fullmatch
_SCHEMA = r'(?:[A-Za-z_][A-Za-z0-9_$]*|"(?:[ !#-~]|"")*")'
_SEARCH_PATH = re.compile(rf"{_SCHEMA}(?:, *{_SCHEMA})*").fullmatch
_DATE_STYLE = re.compile("(?:ISO|Postgres|SQL|German), [MDY]{3}").fullmatch

_DEBUG = {f"debug{level}": f"debug{level}" for level in range(1, 6)} | {"debug": "debug2"}
_CHOICES: dict[str, dict[str, str]] = {
    "intervalstyle": {word: word for word in ("postgres", "postgres_verbose", "sql_standard", "iso_8601")},
    "timezone": {"utc": "UTC", "gmt": "GMT", "etc/utc": "Etc/UTC"},
    "client_min_messages": _DEBUG | {word: word for word in ("log", "info", "notice", "warning", "error")},
    "bytea_output": {word: word for word in ("hex", "escape")},
    "standard_conforming_strings": dict.fromkeys(("1", "on", "t", "tr", "tru", "true", "y", "ye", "yes"), "on"),
}


def judge(name: str, value: str, before: str, server_encoding: str = "UTF8") -> str | None:
    """Return what SHOW shows once set_config(name, value) is done, or None where only PostgreSQL can tell.

    `name` is a key of NAMES, `before` what was shown before, `server_encoding` the database's encoding. `value` is
    the text of the setting: for search_path and DateStyle the whole list.
    """
    if name == "datestyle":
        return _date_style(value, before)
    if name == "client_encoding":
        return _client_encoding(value, server_encoding)
    row = _ROWS.get(name)
    return row(value) if row else _choice(name, value)


def _choice(name: str, value: str) -> str | None:
    # lower() would make ASCII of the Kelvin sign.
    return _CHOICES.get(name, {}).get(value.lower()) if value.isascii() else None


def _client_encoding(value: str, server_encoding: str) -> str | None:
    if not _ENCODING(value):
        return None
    try:
        name = client_encoding(value).name
    except SqlError:
        return None
    # Not every two encodings have a conversion, but UTF8 has one with all, and SQL_ASCII needs none.
    if name != server_encoding and not {name, server_encoding} & {"UTF8", "SQL_ASCII"}:
        return None
    # PostgreSQL leaves this spelling, and no other, as it is.
    return value if value == "UNICODE" else name


def _date_style(value: str, before: str) -> str | None:
    if not _WORDS(value) or not _DATE_STYLE(before):
        return None
    words = [date_style(word, "?, ?").split(", ") for word in value.split(",")]
    styles = {style for style, _ in words if style != "?"}
    orders = {order for style, order in words if style == "?"}
    if len(styles) > 1 or len(orders) > 1 or "?" in orders:
        return None
    return date_style(value, before)


def _timeout(value: str) -> str | None:
    found = _TIMEOUT(value)
    if found is None:
        return None
    microseconds = int(found[1]) * _UNITS[found[2] or "ms"]
    milliseconds, rest = divmod(microseconds, _UNITS["ms"])
    # PostgreSQL rounds what is no whole millisecond.
    return None if rest or milliseconds > _MAX_TIMEOUT else _shown(microseconds)


def _shown(microseconds: int) -> str:
    """Return a time in the largest unit that holds it without a rest, as PostgreSQL does."""
    if microseconds == 0:
        return "0"
    unit, length = next(item for item in _UNITS.items() if microseconds % item[1] == 0)
    return f"{microseconds // length}{unit}"


def _as_given(matches: Callable[[str], object]) -> Callable[[str], str | None]:
    return lambda value: value if matches(value) else None


_ROWS: dict[str, Callable[[str], str | None]] = {
    "application_name": _as_given(_APPLICATION_NAME),
    "search_path": _as_given(_SEARCH_PATH),
    "extra_float_digits": _as_given(_FLOAT_DIGITS),
    "statement_timeout": _timeout,
    "lock_timeout": _timeout,
    "idle_in_transaction_session_timeout": _timeout,
}
