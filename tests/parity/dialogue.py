"""One scripted dialogue, played to any server that speaks the wire protocol, and what came of it as lines.

A dialogue is a function that is given a `Stage`: it opens connections by name and says what each sends and up to
where it reads. The same function is played to PostgreSQL and to twistnotify; `parity.comparison` compares what they
said. So a dialogue states nothing about what is right, and must not depend on timing: what comes from another
connection is awaited (`Connection.hear`), or falls due at the end of a command.

What differs from run to run is blanked in `parity.transcript`.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from parity.transcript import Line, Told, heard, in_promised_order, kind, read, said, without_signals

from twistnotify.wire.body import frame, int32, nullable_values, numbers
from twistnotify.wire.catalog import FrontendMessage
from twistnotify.wire.extended_query import PORTAL, STATEMENT, Bind, Close, Describe, Execute, Flush, Parse, Sync
from twistnotify.wire.framing import FrameBuffer
from twistnotify.wire.notification import NotificationResponse
from twistnotify.wire.session_status import ParameterStatus, ReadyForQuery, Terminate
from twistnotify.wire.simple_query import Query
from twistnotify.wire.startup import PROTOCOL_3_0, BackendKeyData, CancelRequest, SSLRequest, StartupMessage
from twistnotify.wire.trace import trace

DEADLINE = 20.0
"""Seconds that a server has for each piece of its answer."""
BIGGEST_MESSAGE = 1 << 24
CODECS = {"LATIN1": "latin-1"}
"""What Python calls a client_encoding, where it is not read as UTF-8."""

Parameter = bytes | str | None


class Stalled(Exception):
    """A server did not say what the dialogue waits for."""


@dataclass(frozen=True, slots=True)
class Dialogue:
    """A named script."""

    name: str
    play: Callable[[Stage], None]


class Dialogues(list[Dialogue]):
    """The dialogues of one module, in its order; used as a decorator it adds one."""

    def __call__(self, play: Callable[[Stage], None]) -> Callable[[Stage], None]:
        """Add a dialogue, named as its function."""
        self.append(Dialogue(play.__name__, play))
        return play


def play(dialogue: Dialogue, port: int, senders: bool = True) -> list[Line]:
    """Play a dialogue to the server at a port of 127.0.0.1 and return what was said.

    Where `senders` is false, all notifications are from strangers.
    """
    stage = Stage(port, senders)
    try:
        dialogue.play(stage)
        stage.finish()
    except Stalled as stalled:
        stage.lines.append(Line(str(stalled), stalled=True))
    finally:
        stage.close()
    return in_promised_order(stage.lines)


class Stage:
    """The connections of one dialogue and all that was said on them, in the order of the script."""

    def __init__(self, port: int, senders: bool = True) -> None:
        self.port = port
        self.senders = senders
        self.lines: list[Line] = []
        self.names: dict[int, str] = {}
        self._connections: list[Connection] = []

    def open(self, name: str) -> Connection:
        """Connect and say nothing."""
        connection = Connection(self, name)
        self._connections.append(connection)
        return connection

    def connect(self, name: str, **parameters: str) -> Connection:
        """Connect and log in; what is said meanwhile is no part of the dialogue."""
        before = len(self.lines)
        connection = self.open(name).start_up(parameters={"user": "postgres", "database": "postgres", **parameters})
        if connection.over:
            raise AssertionError(f"log-in failed: {self.lines[before:]}")
        del self.lines[before:]
        return connection

    def connect_many(self, *names: str) -> tuple[Connection, ...]:
        """Connect and log in once for each name."""
        return tuple(self.connect(name) for name in names)

    def set_up(self, *statements: str) -> None:
        """Run statements on a connection of their own, whose end is awaited; it is no part of the dialogue."""
        before = len(self.lines)
        connection = self.connect("set-up")
        for sql in statements:
            connection.query(sql)
        connection.terminate()
        refusals = [line.text for line in self.lines[before:] if line.text.startswith("set-up< ErrorResponse")]
        if refusals:
            raise AssertionError(f"set-up failed: {refusals}")
        del self.lines[before:]

    def finish(self) -> None:
        """See what each connection is still owed: nothing may be left that only one of the servers sends."""
        for connection in self._connections:
            connection.finish()

    def close(self) -> None:
        """Close all sockets."""
        for connection in self._connections:
            connection.close()


class Connection:
    """One connection: what it says is gathered until it reads, and everything is noted in the stage's lines.

    The methods that say something return the connection, so that a pipeline reads as a sentence.
    """

    def __init__(self, stage: Stage, name: str) -> None:
        self.name = name
        self.pid = 0
        self.secret = b""
        self.over = False
        self._stage = stage
        self._codec = "utf-8"
        self._outgoing: list[bytes] = []
        self._unanswered = 0
        self._incoming = FrameBuffer(BIGGEST_MESSAGE)
        self._logged_in = False
        self._socket = socket.create_connection(("127.0.0.1", stage.port), DEADLINE)
        self._socket.settimeout(DEADLINE)

    # Before the first command

    def start_up(self, version: int = PROTOCOL_3_0, parameters: dict[str, str] | None = None) -> Connection:
        """Send a StartupMessage and read up to the first ReadyForQuery, or the end."""
        parameters = parameters or {}
        self._say(StartupMessage(version, parameters).encode(), f"StartupMessage {version:#x} {parameters}")
        self._unanswered = 1
        self._read(lambda message: isinstance(message, ReadyForQuery), self._note)
        self._logged_in = not self.over
        if self.over:
            self._note("closed")
        return self

    def request_ssl(self) -> Connection:
        """Send an SSLRequest and read its answer, which is a byte."""
        self._say(SSLRequest().encode(), "SSLRequest")
        self.send()
        self._note(f"byte {self._receive(1)!r}")
        return self

    def cancel(self, pid: int, secret: bytes) -> Connection:
        """Send a CancelRequest and read up to the end."""
        self._say(CancelRequest(pid, secret).encode(), "CancelRequest")
        return self.read_to_the_end()

    # Simple query

    def query(self, sql: str | bytes) -> Connection:
        """Send a Query and read up to its ReadyForQuery."""
        return self.and_query(sql).read_all()

    def and_query(self, sql: str | bytes) -> Connection:
        """Say Query, with more to come before anything is read."""
        self._unanswered += 1
        return self.and_skipped_query(sql)

    def and_skipped_query(self, sql: str | bytes) -> Connection:
        """Say Query where a failed pipeline skips it."""
        data = self._encoded(sql)
        return self._say(Query(data).encode(), f"Query {self._shown(data)}")

    # Extended query

    def parse(self, sql: str | bytes, name: str = "", types: tuple[int, ...] = ()) -> Connection:
        """Say Parse; `types` are the oids of the parameters."""
        data = self._encoded(sql)
        note = f"Parse {name!r} {self._shown(data)} {types}"
        return self._say(Parse(name.encode(), data, types).encode(), note)

    def bind(
        self,
        *parameters: Parameter,
        portal: str = "",
        statement: str = "",
        formats: tuple[int, ...] = (),
        result_formats: tuple[int, ...] = (),
    ) -> Connection:
        """Say Bind with these values."""
        values = tuple(None if value is None else self._encoded(value) for value in parameters)
        message = Bind(portal.encode(), statement.encode(), formats, values, result_formats)
        return self._say_message(message)

    def describe_statement(self, name: str = "") -> Connection:
        """Say Describe of a statement."""
        return self._say_message(Describe(STATEMENT, name.encode()))

    def describe(self, portal: str = "") -> Connection:
        """Say Describe of a portal."""
        return self._say_message(Describe(PORTAL, portal.encode()))

    def execute(self, portal: str = "", max_rows: int = 0) -> Connection:
        """Say Execute."""
        return self._say_message(Execute(portal.encode(), max_rows))

    def close_statement(self, name: str = "") -> Connection:
        """Say Close of a statement."""
        return self._say_message(Close(STATEMENT, name.encode()))

    def close_portal(self, name: str = "") -> Connection:
        """Say Close of a portal."""
        return self._say_message(Close(PORTAL, name.encode()))

    def run(self, sql: str | bytes, *parameters: Parameter) -> Connection:
        """Say Parse, Bind, Describe of the portal and Execute, all unnamed."""
        return self.parse(sql).bind(*parameters).describe().execute()

    def and_sync(self) -> Connection:
        """Say Sync, with more to come before anything is read."""
        self._unanswered += 1
        return self._say_message(Sync())

    def sync(self) -> Connection:
        """Say Sync and read up to the ReadyForQuery of every Sync so far."""
        return self.and_sync().read_all()

    def flush(self, until: str) -> Connection:
        """Say Flush and read up to a message of this name, or an error."""
        return self._say_message(Flush()).read_until(until)

    # COPY and function calls

    def copy(self, sql: str, until: str = "CopyInResponse") -> Connection:
        """Send a Query and read up to the answer that begins a COPY, or an error."""
        return self.and_query(sql).read_until(until)

    def copy_data(self, data: bytes) -> Connection:
        """Say CopyData."""
        return self._say(frame(ord("d"), data), f"CopyData {data!r}")

    def copy_done(self) -> Connection:
        """Say CopyDone."""
        return self._say(frame(ord("c")), "CopyDone")

    def copy_fail(self, reason: str) -> Connection:
        """Say CopyFail."""
        return self._say(frame(ord("f"), reason.encode(), b"\0"), f"CopyFail {reason!r}")

    def ignored_sync(self) -> Connection:
        """Say a Sync that nothing answers, as PostgreSQL ignores it during COPY."""
        return self._say_message(Sync())

    def call(
        self, function: int, *arguments: bytes | None, formats: tuple[int, ...] = (1,), result: int = 1
    ) -> Connection:
        """Send a FunctionCall, `function` being an oid, and read up to its ReadyForQuery."""
        self._unanswered += 1
        body = int32(function), numbers("h", formats), nullable_values(arguments), result.to_bytes(2, "big")
        return self._say(frame(ord("F"), *body), f"FunctionCall {function} {arguments}").read_all()

    # Anything

    def raw(self, data: bytes) -> Connection:
        """Say some bytes as they are."""
        return self._say(data, f"bytes {data!r}")

    def raw_query(self, data: bytes) -> Connection:
        """Say some bytes as they are and read up to a ReadyForQuery."""
        self._unanswered += 1
        return self.raw(data).read_all()

    # Reading

    def send(self) -> Connection:
        """Send what was said, and read nothing yet."""
        data = b"".join(self._outgoing)
        self._outgoing.clear()
        # A server that has ended the connection is heard all the same.
        with suppress(ConnectionError):
            self._socket.sendall(data)
        return self

    def read_until(self, name: str) -> Connection:
        """Read up to a message of this name, or an error."""
        self._read(lambda message: kind(message) in (name, "ErrorResponse"), self._note)
        return self

    def read_all(self) -> Connection:
        """Read up to the ReadyForQuery of everything that one answers."""
        self._read(lambda _: not self._unanswered, self._note)
        return self

    def hear(self, count: int = 1) -> Connection:
        """Read up to the `count`-th notification."""
        heard = 0

        def is_last(message: Told) -> bool:
            nonlocal heard
            heard += isinstance(message, NotificationResponse)
            return heard == count

        self._read(is_last, self._note)
        return self

    def read_to_the_end(self) -> Connection:
        """Read until the server closes the connection."""
        self._read(lambda _: False, self._note)
        self._note("closed")
        return self

    def read_bytes_to_the_end(self) -> Connection:
        """Read what is not made of messages until the server closes the connection."""
        self.send()
        data = b"".join(iter(lambda: self._receive(65536), b""))
        self._note(f"bytes {data!r}, then closed")
        return self

    def terminate(self) -> Connection:
        """Say Terminate and read up to the end."""
        return self._say_message(Terminate()).read_to_the_end()

    def finish(self) -> None:
        """Roll back whatever is open, and note what that brings, notifications first.

        A notification from another connection may come before the first answer or behind it.
        """
        if self.over or not self._logged_in:
            return
        told: list[Told] = []
        self._unanswered += 2
        self._outgoing += [Sync().encode(), Query(b"ROLLBACK").encode()]
        self._read(lambda _: not self._unanswered, told.append)
        for message in sorted(told, key=lambda message: not isinstance(message, NotificationResponse)):
            self._note(message)

    def close(self) -> None:
        """Close the socket without a word."""
        self.over = True
        self._socket.close()

    # Bytes and lines

    def _encoded(self, text: str | bytes) -> bytes:
        return text if isinstance(text, bytes) else text.encode(self._codec)

    def _shown(self, data: bytes) -> str:
        return without_signals(repr(data.decode(self._codec, "backslashreplace")), self._stage.names)

    def _say_message(self, message: FrontendMessage) -> Connection:
        return self._say(message.encode(), trace(message, reveal=True).removeprefix("F "))

    def _say(self, data: bytes, note: str) -> Connection:
        self._outgoing.append(data)
        self._stage.lines.append(said(self.name, note))
        return self

    def _receive(self, size: int) -> bytes:
        try:
            data = self._socket.recv(size)
        except TimeoutError:
            raise Stalled(f"{self.name}: nothing more within {DEADLINE:g} s") from None
        except ConnectionError:
            data = b""
        self.over = not data
        return data

    def _read(self, is_last: Callable[[Told], bool], take: Callable[[Told], None]) -> None:
        """Send what was said, and read up to the last message wanted or the end of the connection."""
        self.send()
        while True:
            message = self._next_message()
            if message is None:
                return
            take(message)
            if is_last(message):
                return

    def _next_message(self) -> Told | None:
        while (incoming := self._incoming.next_frame()) is None:
            data = self._receive(65536)
            if not data:
                return None
            self._incoming.feed(data)
        message = read(*incoming, self._codec)
        if isinstance(message, ReadyForQuery):
            self._unanswered -= 1
        if isinstance(message, BackendKeyData):
            self.pid, self.secret = message.pid, message.secret
            self._stage.names[message.pid] = self.name
        if isinstance(message, ParameterStatus) and message.name == "client_encoding":
            self._codec = CODECS.get(message.value.upper(), "utf-8")
        return message

    def _note(self, message: Told) -> None:
        unknown = isinstance(message, NotificationResponse) and not self._stage.senders
        self._stage.lines.append(heard(self.name, message, {} if unknown else self._stage.names))
