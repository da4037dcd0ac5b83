"""Prepared statements and portals of the extended protocol (manual, "Extended Query")."""

from __future__ import annotations

from dataclasses import dataclass, field

from twistnotify.session.encodings import Encoding, decode
from twistnotify.session.execution import column_of
from twistnotify.session.failure import SqlError, error
from twistnotify.session.results import TEXT, Column, Rows
from twistnotify.sql.statements import Argument, CallNotify, Parameter, Statement
from twistnotify.wire.errors import ErrorFields
from twistnotify.wire.extended_query import Bind, Parse

MAX_PREPARED = 1000
"""Prepared statements a client may have at a time, and portals likewise."""
MAX_KEPT_BYTES = 65_536
"""Length of a message that makes one with a name. No channel and payload are longer than 8,063 bytes; this leaves room
for comments, and bounds what a client can have the server keep."""

VARCHAR, UNKNOWN = 1043, 705
_TAKEN = frozenset((TEXT, VARCHAR, UNKNOWN))
_TYPE_NAMES = {
    16: "boolean",
    17: "bytea",
    20: "bigint",
    21: "smallint",
    23: "integer",
    TEXT: "text",
    114: "json",
    UNKNOWN: "unknown",
    VARCHAR: "character varying",
    3802: "jsonb",
}


@dataclass(slots=True)
class Prepared:
    """A statement that has been parsed; None is the empty one. `types` are its parameters' OIDs.

    `message` is the body of its Parse, for an upstream to be told of it. One that `is_relayed` was parsed by an
    upstream that has been given back, and only another upstream can run it; None is then what is of no concern here.
    """

    statement: Statement | None
    types: tuple[int, ...]
    message: bytes = field(default=b"", repr=False)
    is_relayed: bool = False

    @property
    def column(self) -> Column | None:
        """The result's column, or None."""
        return None if self.statement is None else column_of(self.statement)


@dataclass(slots=True)
class Portal:
    """A statement with its parameters, and what is left of its rows once it has run."""

    prepared: Prepared
    arguments: tuple[str | None, ...]
    format: int
    has_run: bool = False
    rows: Rows | None = None
    tag: str = "SELECT"
    message: bytes = field(default=b"", repr=False)
    """The body of its Bind."""

    def fail(self) -> None:
        """Note that the transaction has failed: what it has not returned yet, it never will."""
        self.has_run, self.rows = True, None


def parameter_types(statement: Statement | None, declared: tuple[int, ...]) -> tuple[int, ...]:
    """Return the types of all parameters: as declared, or text for what pg_notify() takes.

    Raises 42883 where pg_notify() does not take the declared type, 42P18 for a parameter that nothing uses. Nobody
    looks at those of an empty statement.
    """
    if statement is None:
        return declared
    used = _used(statement)
    count = max([len(declared), *used])
    types = []
    for number in range(1, count + 1):
        type_ = declared[number - 1] if number <= len(declared) else 0
        if type_ in (0, UNKNOWN):
            if number not in used:
                raise error("42P18", f"could not determine data type of parameter ${number}")
            type_ = TEXT
        types.append(type_)
    _check_signature(statement, declared)
    return tuple(types)


def _used(statement: Statement) -> set[int]:
    if not isinstance(statement, CallNotify):
        return set()
    return {a.number for a in (statement.channel, statement.payload) if isinstance(a, Parameter)}


def _check_signature(statement: Statement, declared: tuple[int, ...]) -> None:
    if not isinstance(statement, CallNotify):
        return
    types = [_type_given(argument, declared) for argument in (statement.channel, statement.payload)]
    if not _TAKEN.issuperset(types):
        given = ", ".join(_TYPE_NAMES.get(type_, f"type {type_}") for type_ in types)
        raise error(
            "42883",
            f"function pg_notify({given}) does not exist",
            "No function matches the given name and argument types. You might need to add explicit type casts.",
        )


def _type_given(argument: Argument, declared: tuple[int, ...]) -> int:
    """Return the type of an argument of pg_notify() as the client gives it; a literal has none."""
    if isinstance(argument, Parameter) and argument.number <= len(declared):
        return declared[argument.number - 1] or UNKNOWN
    return UNKNOWN


def prepare(statement: Statement | None, message: Parse, body: bytes) -> Prepared:
    """Return a prepared statement; raises `SqlError`."""
    return Prepared(statement, parameter_types(statement, message.parameter_types), body)


def check_length(name: bytes, body: bytes) -> None:
    """Refuse to keep what is too long; raises 53400. What has no name is replaced by the next."""
    if name and len(body) > MAX_KEPT_BYTES:
        raise error("53400", "prepared statement or portal is too long to be kept")


def check_counts(prepared: Prepared, message: Bind, encoding: Encoding) -> None:
    """Refuse a Bind whose numbers do not fit, in PostgreSQL's words."""
    formats, parameters = message.parameter_formats, message.parameters
    if len(formats) > 1 and len(formats) != len(parameters):
        raise _mismatch(f"bind message has {len(formats)} parameter formats but {len(parameters)} parameters")
    if len(parameters) != len(prepared.types):
        name = message.statement.decode(encoding.codec, "replace")
        raise _mismatch(
            f'bind message supplies {len(parameters)} parameters, but prepared statement "{name}"'
            f" requires {len(prepared.types)}"
        )


def bind(prepared: Prepared, message: Bind, encoding: Encoding) -> Portal:
    """Return a portal; raises `SqlError` for formats and values that will not do."""
    if message.parameters:
        _check_formats(message.parameter_formats)
    arguments = tuple(_argument(*each, encoding) for each in zip(message.parameters, prepared.types, strict=True))
    return Portal(prepared, arguments, _result_format(prepared, message.result_formats))


def _check_formats(formats: tuple[int, ...]) -> None:
    for format_ in formats:
        if format_ not in (0, 1):
            raise error("22023", f"unsupported format code: {format_}")


def _argument(value: bytes | None, type_: int, encoding: Encoding) -> str | None:
    """Return a parameter's text, which is the same in both formats; other types are declared but never used."""
    if value is None or type_ not in (TEXT, VARCHAR):
        return None
    if b"\0" in value:
        raise error("22021", f'invalid byte sequence for encoding "{encoding.name}": 0x00')
    return decode(value, encoding)


def _result_format(prepared: Prepared, formats: tuple[int, ...]) -> int:
    if prepared.column is None or not formats:
        return 0
    if len(formats) > 1:
        raise _mismatch(f"bind message has {len(formats)} result formats but query has 1 columns")
    _check_formats(formats)
    return formats[0]


def _mismatch(message: str) -> SqlError:
    return SqlError(ErrorFields("ERROR", "08P01", message))
