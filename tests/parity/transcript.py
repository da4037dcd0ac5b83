"""What is said in a dialogue, as lines that are the same each time it is played.

What differs from run to run is blanked here, once: a PID becomes the name of its connection, the key to cancel with
becomes its length, the oid of what users have made becomes the first of these, the number of a process or a
transaction in an error becomes a sign, and of a temporary schema the number goes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TypeAlias
from zlib import crc32

from twistnotify.wire.body import BodyReader
from twistnotify.wire.catalog import BackendMessage, decode_backend
from twistnotify.wire.extended_query import ParameterDescription
from twistnotify.wire.notification import NotificationResponse
from twistnotify.wire.simple_query import DataRow, Field, RowDescription
from twistnotify.wire.startup import BackendKeyData
from twistnotify.wire.trace import trace
from twistnotify.wire.violations import ProtocolViolation

SHOWN = 200
"""Characters of a line that are shown; a longer one ends in its length and checksum."""
FIRST_OID_OF_USERS = 16384
"""PostgreSQL's FirstNormalObjectId."""
SIGNAL = re.compile(r"(?<=_backend\()\d+")
NUMBER_IN_ERROR = re.compile(r"\b([Pp]rocess|transaction|PID|OID) \d+|\b(pg_temp)_\d+")
COMPLAINTS = {ord("E"): "ErrorResponse", ord("N"): "NoticeResponse"}
CANCELED = "57014"
"""The SQLSTATE of what is cut short, wherever it happens to be."""
PLACES = "Wpqstcdn"
"""What an error says of its place: context, internal position and query, schema, table, column, type, constraint."""


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that was said.

    `detail`, `hint` and `place` are an error's, which are compared by rules of their own.
    """

    text: str
    detail: str | None = None
    hint: str | None = None
    place: str | None = None
    stalled: bool = False


@dataclass(frozen=True, slots=True)
class Complaint:
    """An ErrorResponse or a NoticeResponse, with all of its fields by their codes."""

    name: str
    fields: Mapping[str, str]


Told: TypeAlias = BackendMessage | Complaint | str
"""A message of a server; one that is unknown as the text to show."""


def read(type: int, body: bytes, codec: str) -> Told:
    """Return the message of a frame."""
    if type in COMPLAINTS:
        return Complaint(COMPLAINTS[type], _fields(BodyReader(body), codec))
    try:
        return decode_backend(type, body, codec)
    except ProtocolViolation:
        return f"unknown message {chr(type)!r} {body!r}"


def kind(message: Told) -> str:
    """Return the name of a message's kind."""
    return message.name if isinstance(message, Complaint) else type(message).__name__


def said(name: str, note: str) -> Line:
    """Return the line of what a connection says."""
    return Line(_short(f"{name}> {note}"))


def heard(name: str, message: Told, names: Mapping[int, str]) -> Line:
    """Return the line of what a connection is told; `names` are those of connections by their PIDs."""
    if isinstance(message, Complaint):
        return _complaint(f"{name}< {message.name}", message.fields)
    return Line(_short(f"{name}< {_note(message, names)}"))


def without_signals(text: str, names: Mapping[int, str]) -> str:
    """Return SQL with names in place of the PIDs that it signals."""
    return SIGNAL.sub(lambda match: f"pid of {_name(int(match[0]), names)}", text)


def in_promised_order(lines: Iterable[Line]) -> list[Line]:
    """Put ParameterStatus messages behind the notifications around them, and sort them: no order is promised."""
    return [line for _, group in groupby(lines, _is_unasked) for line in sorted(group, key=_rank)]


def _is_status(line: Line) -> bool:
    return "< ParameterStatus " in line.text


def _is_unasked(line: Line) -> bool:
    return _is_status(line) or "< NotificationResponse " in line.text


def _rank(line: Line) -> str:
    return line.text.lower() if _is_status(line) else ""


def _fields(reader: BodyReader, codec: str) -> dict[str, str]:
    fields = {}
    while code := reader.uint8():
        fields[chr(code)] = reader.text(codec)
    reader.end()
    return fields


def _complaint(start: str, fields: Mapping[str, str]) -> Line:
    fields = {code: NUMBER_IN_ERROR.sub(r"\1\2", text) for code, text in fields.items()}
    text = f"{start} {fields.get('V', fields['S'])} {fields['C']} {fields['M']}"
    if "P" in fields:
        text += f" at {fields['P']}"
    return Line(text, fields.get("D"), fields.get("H"), _place(fields))


def _place(fields: Mapping[str, str]) -> str | None:
    if fields["C"] == CANCELED:
        return None
    return "; ".join(f"{code}={fields[code]}" for code in PLACES if code in fields) or None


def _note(message: BackendMessage | str, names: Mapping[int, str]) -> str:
    match message:
        case str():
            return message
        case NotificationResponse(pid, channel, payload):
            return f"NotificationResponse {channel!r} {payload!r} from {_name(pid, names)}"
        case BackendKeyData(pid, secret):
            return f"BackendKeyData pid={_name(pid, names)} secret=({len(secret)} bytes)"
        case DataRow(values):
            return f"DataRow {[_without_pid(value, names) for value in values]}"
        case RowDescription(columns):
            message = RowDescription(tuple(map(_without_oids, columns)))
        case ParameterDescription(types):
            message = ParameterDescription(tuple(map(_without_oid, types)))
    return trace(message, reveal=True).removeprefix("F").removeprefix("B ")


def _name(pid: int, names: Mapping[int, str]) -> str:
    return names.get(pid, "a stranger")


def _without_pid(value: bytes | None, names: Mapping[int, str]) -> str:
    for pid, name in names.items():
        if value == str(pid).encode():
            return f"pid of {name}"
        if value == pid.to_bytes(4, "big"):
            return f"binary pid of {name}"
    return repr(value)


def _without_oids(field: Field) -> Field:
    return replace(field, table_oid=_without_oid(field.table_oid), type_oid=_without_oid(field.type_oid))


def _without_oid(oid: int) -> int:
    return min(oid, FIRST_OID_OF_USERS)


def _short(text: str) -> str:
    if len(text) <= SHOWN:
        return text
    return f"{text[:SHOWN]}... {len(text)} characters, checksum {crc32(text.encode('utf-8', 'surrogateescape')):08x}"
