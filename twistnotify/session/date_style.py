"""The words of DateStyle (manual, "Date/Time Output")."""

from __future__ import annotations

from collections.abc import Iterator

_STYLES = {"iso": "ISO", "postgres": "Postgres", "sql": "SQL", "german": "German"}
_ORDERS = {
    "mdy": "MDY", "us": "MDY", "noneuro": "MDY", "noneuropean": "MDY",
    "dmy": "DMY", "euro": "DMY", "european": "DMY",
    "ymd": "YMD",
}  # fmt: skip


def date_style(value: str, before: str) -> str:
    """Return a DateStyle as PostgreSQL reports it: style, comma, order; what is left out stays as it was."""
    style, _, order = before.partition(", ")
    words = tuple(_words(value))
    if "german" in words:
        order = "DMY"
    for word in words:
        style = _STYLES.get(word, style)
        order = _ORDERS.get(word, order)
    return f"{style}, {order}"


def _words(value: str) -> Iterator[str]:
    return (word.strip().lower() for word in value.split(","))
