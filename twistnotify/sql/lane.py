"""The fast lane: plain LISTEN and NOTIFY by one regular expression each.

It accepts a small part of what PostgreSQL's grammar does, and reads that part identically; a test holds
the two against each other. Whatever is unusual in the least goes the long way.
"""

from __future__ import annotations

import re

from pglast.keywords import RESERVED_KEYWORDS, TYPE_FUNC_NAME_KEYWORDS

from twistnotify.sql.statements import Listen, Notify

_NOT_NAMES = frozenset(RESERVED_KEYWORDS) | frozenset(TYPE_FUNC_NAME_KEYWORDS)
"""Keywords that cannot name a channel unquoted (manual, appendix C)."""

# Keywords letter by letter: IGNORECASE would fold the Kelvin sign and the long s too, and is slower.
_LISTEN_WORD = "[Ll][Ii][Ss][Tt][Ee][Nn]"
_NOTIFY_WORD = "[Nn][Oo][Tt][Ii][Ff][Yy]"
_SPACE = r"[ \t\r\n\f]"
_NAME = r'(?:([A-Za-z_][A-Za-z0-9_]{0,62})|"([A-Za-z0-9_ .:/-]{1,63})")'
_END = rf"{_SPACE}*;?{_SPACE}*"

_LISTEN = re.compile(rf"{_LISTEN_WORD}{_SPACE}+{_NAME}{_END}").fullmatch
# [^'] and a look for backslashes afterwards takes a quarter of the time of [^'\\].
_NOTIFY = re.compile(rf"{_NOTIFY_WORD}{_SPACE}+{_NAME}{_SPACE}*(?:,{_SPACE}*'([^']*)')?{_END}").fullmatch


def lane(text: str) -> Listen | Notify | None:
    """Return the statement that a plain LISTEN or NOTIFY is, or None for PostgreSQL's grammar to judge."""
    # Written flat: this is the hottest path of the server, and a call costs 60 ns.
    head, _, rest = text.partition(", '")
    known = _heads.get(head)
    if known is not None and rest.find("'") == len(rest) - 1 and "\\" not in rest and rest.isascii():
        return None if "\0" in rest else _notify(known, rest[:-1])
    if found := _NOTIFY(text):
        bare, quoted, payload = found.groups("")
        channel = quoted or bare.lower()
        if (bare and channel in _NOT_NAMES) or "\\" in payload or "\0" in payload:
            return None
        if payload:
            _remember(head, channel)
        return _notify(channel, payload) if payload.isascii() or _is_encodable(payload) else None
    if found := _LISTEN(text):
        bare, quoted = found.groups("")
        channel = quoted or bare.lower()
        return None if bare and channel in _NOT_NAMES else Listen(channel)
    return None


# What stood before the payload, and the channel it named: publishers name the same few channels again and again.
# Payloads are not kept.
_heads: dict[str, str] = {}
REMEMBERED_HEADS = 4096


def _remember(head: str, channel: str) -> None:
    if "'" not in head:
        if len(_heads) >= REMEMBERED_HEADS:
            _heads.clear()
        _heads[head] = channel


# What Notify(channel, payload) does, in half the time: a frozen dataclass looks each slot up by name.
_new = object.__new__
_slots = vars(Notify)
_set_channel, _set_payload, _set_truncated = (_slots[name].__set__ for name in ("channel", "payload", "truncated"))


def _notify(channel: str, payload: str) -> Notify:
    value = _new(Notify)
    _set_channel(value, channel)
    _set_payload(value, payload)
    _set_truncated(value, None)
    return value


def _is_encodable(payload: str) -> bool:
    """Tell whether a payload is free of lone surrogates, which UTF-8 cannot hold."""
    try:
        payload.encode()
    except UnicodeEncodeError:
        return False
    return True
