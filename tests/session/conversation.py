"""A client's side of a session: what it says goes in, what comes of it comes out as lines to read.

Replies and the actions a session asks for stand in one list, in their order. Replies are written as in
PostgreSQL's manual with what they say behind them; actions are in small letters. Actions are carried out as a server
would that has nothing else to do: a client is admitted, commits are recorded, and fail if a test says so.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from twistnotify.auth.demands import Demand, NoProof
from twistnotify.auth.scram_keys import salted_password
from twistnotify.session.actions import (
    Action,
    Admit,
    Attach,
    Cancel,
    Close,
    Commit,
    Derive,
    Effect,
    Enlist,
    Gate,
    GiveUp,
    Identify,
    Judge,
    Ready,
    Recode,
    Refuse,
    Reserve,
    Signal,
    StartTls,
    Turn,
    Withdraw,
)
from twistnotify.session.login import Admission
from twistnotify.session.session import Limits, Session
from twistnotify.sql.statements import Listen, Notify, Unlisten
from twistnotify.wire import extended_query as extended
from twistnotify.wire.authentication import (
    AuthenticationMD5Password,
    AuthenticationOk,
    AuthenticationSASL,
    AuthenticationSASLContinue,
    AuthenticationSASLFinal,
)
from twistnotify.wire.catalog import BackendMessage, decode_backend
from twistnotify.wire.errors import ErrorFields, ErrorResponse, NoticeResponse
from twistnotify.wire.framing import FrameBuffer
from twistnotify.wire.session_status import ParameterStatus, ReadyForQuery, Terminate
from twistnotify.wire.simple_query import CommandComplete, DataRow, Field, Query, RowDescription
from twistnotify.wire.startup import (
    PROTOCOL_3_0,
    BackendKeyData,
    GSSENCRequest,
    NegotiateProtocolVersion,
    SSLRequest,
    StartupMessage,
)

PID, SECRET = 5_000_000, b"\x01\x02\x03\x04"
ADMISSION = Admission(ParameterStatus("TimeZone", "UTC").encode(), PID, SECRET, "UTF8", ("immediate", "immediate"))
LIMITS = Limits(message=100_000, channels=100)
FULL = ErrorFields("ERROR", "54000", "too many notifications in the NOTIFY queue")
"""How a commit may fail."""

NO_PROOF = NoProof()
_BEFORE_ADMISSION = (StartTls, Identify, Judge, Derive, Refuse)
DECLINED = "N"
ANCIENT = b"EFATAL:"
SYNC, FLUSH, TERMINATE = extended.Sync(), extended.Flush(), Terminate()

FrontendPacket = (
    Query
    | extended.Parse
    | extended.Bind
    | extended.Describe
    | extended.Execute
    | extended.Close
    | extended.Flush
    | extended.Sync
    | Terminate
    | StartupMessage
    | SSLRequest
    | GSSENCRequest
)


@dataclass
class Conversation:
    """A session and a client that writes down what it gets."""

    limits: Limits = LIMITS
    admission: Admission = ADMISSION
    parameters: dict[str, str] | None = None
    """What the client logs in with; None leaves the log-in to the test."""
    refusals: list[ErrorFields | None] = field(default_factory=list)
    """What the next commits fail with, None for one that does not."""
    demand: Demand = NO_PROOF
    """What it has to prove."""
    blocked: ErrorFields | None = None
    """Why what it shows is not looked at."""
    refused_admission: ErrorFields | None = None
    committed: list[tuple[Effect, ...]] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    asked: list[Action] = field(default_factory=list)
    """What the session has asked for before it asked for admission; it is not among the lines."""
    closed: bool = False
    codec: str = "utf-8"

    def __post_init__(self) -> None:
        self.session = Session(self.limits)
        self._frames = FrameBuffer(1 << 24)
        if self.parameters is not None:
            self.say(StartupMessage(PROTOCOL_3_0, {"user": "alice", **self.parameters}))
            self.lines.clear()

    def say(self, *messages: FrontendPacket) -> list[str]:
        """Send messages in one piece, and return what comes of them."""
        return self.receive(b"".join(message.encode() for message in messages))

    def query(self, sql: str) -> list[str]:
        """Send a Query, and return what comes of it."""
        return self.say(Query(sql.encode(self.codec)))

    def receive(self, data: bytes) -> list[str]:
        """Send bytes, and return what comes of them."""
        before = len(self.lines)
        self.session.receive_data(data)
        self.go_on()
        return self.lines[before:]

    def go_on(self) -> None:
        """Carry out what the session asks for until it asks for nothing."""
        while (action := self.session.next_action()) is not None:
            self._note_replies()
            assert not self.closed, f"{action} after the end"
            if isinstance(action, _BEFORE_ADMISSION):
                self.asked.append(action)
            else:
                self.lines.append(shown_action(action))
            self._carry_out(action)
        self._note_replies()

    def _carry_out(self, action: Action) -> None:
        match action:
            case StartTls():
                self.session.answer_with(False)
            case Identify():
                self.session.answer_with(self.demand)
            case Judge():
                if self.blocked is not None:
                    self.session.fail(self.blocked)
            case Derive(password, salt, iterations):
                self.session.answer_with(salted_password(password, salt, iterations))
            case Admit():
                if self.refused_admission is not None:
                    self.session.fail(self.refused_admission)
                else:
                    self.session.admit(self.admission)
            case Commit(effects):
                refusal = self.refusals.pop(0) if self.refusals else None
                if refusal is None:
                    self.committed.append(effects)
                else:
                    self.session.fail(refusal)
            case Close():
                self.closed = True

    def _note_replies(self) -> None:
        for data in self.session.replies:
            assert not self.closed, "a reply after the end"
            if data == DECLINED.encode() or data.startswith(ANCIENT):
                self.lines.append(data.decode())
            else:
                self._note_frames(data)
        self.session.replies.clear()

    def _note_frames(self, data: bytes) -> None:
        self._cut(data)
        assert not len(self._frames), "half a reply"

    def _cut(self, data: bytes) -> None:
        self._frames.feed(data)
        while (frame := self._frames.next_frame()) is not None:
            self.lines.append(shown(decode_backend(*frame, self.codec)))


def logged_in(
    limits: Limits = LIMITS, *, server_encoding: str = "UTF8", acknowledgements: tuple[str, str] | None = None
) -> Conversation:
    """Return a conversation past its log-in."""
    admission = Admission(
        ADMISSION.status, PID, SECRET, server_encoding, acknowledgements or ADMISSION.acknowledgements
    )
    return Conversation(limits, admission, parameters={})


def with_encoding(name: str, codec: str, server_encoding: str = "UTF8") -> Conversation:
    """Return a conversation past the log-in of a client with another encoding."""
    admission = Admission(b"", PID, SECRET, server_encoding, ADMISSION.acknowledgements)
    return Conversation(LIMITS, admission, parameters={"client_encoding": name}, codec=codec)


# What a client says, in short


def parse(sql: str, name: str = "", types: tuple[int, ...] = ()) -> extended.Parse:
    return extended.Parse(name.encode(), sql.encode(), types)


def bind(
    *parameters: str | bytes | None,
    portal: str = "",
    statement: str = "",
    formats: tuple[int, ...] = (),
    results: tuple[int, ...] = (),
) -> extended.Bind:
    values = tuple(value.encode() if isinstance(value, str) else value for value in parameters)
    return extended.Bind(portal.encode(), statement.encode(), formats, values, results)


def describe(portal: str = "") -> extended.Describe:
    return extended.Describe(extended.PORTAL, portal.encode())


def describe_statement(name: str = "") -> extended.Describe:
    return extended.Describe(extended.STATEMENT, name.encode())


def execute(portal: str = "", rows: int = 0) -> extended.Execute:
    return extended.Execute(portal.encode(), rows)


def close(portal: str = "") -> extended.Close:
    return extended.Close(extended.PORTAL, portal.encode())


def close_statement(name: str = "") -> extended.Close:
    return extended.Close(extended.STATEMENT, name.encode())


def run(sql: str, *parameters: str | bytes | None) -> tuple[FrontendPacket, ...]:
    """Parse, Bind and Execute without a name."""
    return parse(sql), bind(*parameters), execute()


# What comes of it, as lines


def shown_action(action: Action) -> str:
    match action:
        case Admit(database, user):
            return f"admit {user} to {database}"
        case Commit(effects):
            return f"commit {', '.join(map(shown_effect, effects))}"
        case Reserve(channel):
            return f"reserve {channel}"
        case GiveUp():
            return "give up"
        case Ready():
            return "ready"
        case Cancel(pid, secret):
            return f"cancel {pid} {secret!r}"
        case Attach():
            return "attach"
        case Enlist(channels):
            return f"enlist {', '.join(channels)}"
        case Withdraw(channels):
            return f"withdraw {', '.join(channels)}"
        case Gate():
            return "gate"
        case Turn():
            return "turn"
        case Signal(function, pid):
            return f"{function} {pid}"
        case Recode():
            return "recode"
        case Close(reason):
            return f"close: {reason}"


def shown_effect(effect: Effect) -> str:
    match effect:
        case Listen(channel):
            return f"LISTEN {channel}"
        case Unlisten(channel):
            return f"UNLISTEN {'*' if channel is None else channel}"
        case Notify(channel, payload):
            return f"NOTIFY {channel} {payload}".rstrip()


def shown(message: BackendMessage) -> str:
    match message:
        case AuthenticationOk():
            return "AuthenticationOk"
        case AuthenticationMD5Password(salt):
            return f"AuthenticationMD5Password {salt!r}"
        case AuthenticationSASL(mechanisms):
            return f"AuthenticationSASL {' '.join(mechanisms)}"
        case AuthenticationSASLContinue(data) | AuthenticationSASLFinal(data):
            return f"{type(message).__name__} {data!r}"
        case ParameterStatus(name, value):
            return f"ParameterStatus {name}={value}"
        case BackendKeyData(pid, secret):
            return f"BackendKeyData {pid} {secret!r}"
        case NegotiateProtocolVersion(version, options):
            return " ".join(("NegotiateProtocolVersion", hex(version), *options))
        case ErrorResponse(fields):
            return f"{fields.severity} {fields.sqlstate} {fields.message}{_position(fields)}"
        case NoticeResponse(fields):
            return f"{fields.severity} {fields.sqlstate} {fields.message}"
        case CommandComplete(tag):
            return f"C({tag})"
        case ReadyForQuery(status):
            return f"Z({status})"
        case RowDescription(fields):
            return f"T({', '.join(map(_field, fields))})"
        case DataRow(values):
            return f"D({', '.join(repr(value) for value in values)})"
        case extended.ParameterDescription(types):
            return f"ParameterDescription{types}"
    return type(message).__name__


def _position(fields: ErrorFields) -> str:
    return "" if fields.position is None else f" at {fields.position}"


def _field(column: Field) -> str:
    binary = " binary" if column.format else ""
    return f"{column.name}:{column.type_oid}{binary}"


def replies(lines: Iterable[str]) -> list[str]:
    """Return what a client sees of it."""
    return [line for line in lines if not line[0].islower()]


def actions(lines: Iterable[str]) -> list[str]:
    """Return what the session asked for."""
    return [line for line in lines if line[0].islower()]
