"""Whatever an upstream does, its client is told or ended, everybody else is served, and the log has a line at most."""

from __future__ import annotations

import select
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial

import pytest
from support.clients import DEADLINE, eventually
from support.configuration import config_for
from support.fake_upstream import PID, SECRET, Caller, FakeUpstream
from support.fixtures import StartServer
from support.postgres import PostgresServer
from support.process import TwistnotifyProcess
from support.raw import RawClient, error_of, names, request_cancel
from support.relaying import MB, pass_over, rows, steady
from support.versions import one_version

from twistnotify.wire.authentication import AuthenticationOk
from twistnotify.wire.catalog import BackendMessage
from twistnotify.wire.copying import CopyData
from twistnotify.wire.errors import ErrorFields, ErrorResponse, NoticeResponse
from twistnotify.wire.notification import NotificationResponse
from twistnotify.wire.session_status import ParameterStatus, ReadyForQuery
from twistnotify.wire.simple_query import CommandComplete, DataRow, Query
from twistnotify.wire.startup import BackendKeyData, CancelRequest

pytestmark = one_version

Converse = Callable[[Caller], object]
Relay = Callable[[Converse], AbstractContextManager["Relayed"]]

ASK = Query(b"SELECT something")
COLUMN = b"T\0\0\0\x1a\0\1a\0" + struct.pack(">IhIhih", 0, 0, 25, -1, -1, 0)
ROW = DataRow((b"value",))
DONE, READY = CommandComplete("SELECT 1"), ReadyForQuery("I")
GARBAGE = b"\xde\xad\xbe\xef" * 64
CLOSED = "FATAL 08006"
STALLED = 1.0
"""Seconds without room to send after which a sender counts as paused; if it is not, the test says less."""
ENOUGH = 32 * MB
"""Bytes that no buffer on the way may take: a sender whose reader stands still is stopped before."""


def close(_: Caller) -> None:
    """End the conversation."""


@dataclass
class Relayed:
    """A client whose relay ends at a fake, and whether the conversation with that is over."""

    client: RawClient
    fake: FakeUpstream
    over: threading.Event


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeUpstream]:
    """The upstream of a module's tests."""
    with FakeUpstream(close) as upstream:
        yield upstream


@pytest.fixture(scope="module")
def server_of_module(
    postgres_of_session: PostgresServer, fake: FakeUpstream, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TwistnotifyProcess]:
    """A server whose relay goes to the fake, and whose LISTEN connection to PostgreSQL."""
    config = config_for(postgres_of_session, databases={"postgres": f"{fake.dsn} shards=postgres"})
    process = TwistnotifyProcess(config, tmp_path_factory.mktemp("server"))
    process.start()
    process.wait_until_up()
    yield process
    process.stop()


@pytest.fixture
def relayed(server: TwistnotifyProcess, fake: FakeUpstream) -> Relay:
    """Relay a client to a conversation: `with relayed(converse) as at:`; nobody else may notice what comes of it."""
    return partial(_relayed, server, fake)


@contextmanager
def _relayed(server: TwistnotifyProcess, fake: FakeUpstream, converse: Converse) -> Iterator[Relayed]:
    over = threading.Event()

    def converse_once(caller: Caller) -> None:
        try:
            converse(caller)
        finally:
            over.set()

    fake.converse = converse_once
    before = complaints(server)
    with RawClient(server.port) as client, RawClient(server.port) as listener, steady(server, 16 * MB):
        listener.query("LISTEN undisturbed")
        yield Relayed(client, fake, over)
        assert names(listener.query("NOTIFY undisturbed, 'x'")) == ["NOTIFY", "undisturbed: x", "ready I"]
    assert complaints(server) - before <= 1


def complaints(server: TwistnotifyProcess) -> int:
    """Return how many lines the log has about upstreams."""
    return len([line for line in server.log().splitlines() if "upstream" in line])


def answering(*answer: BackendMessage | bytes, more: Converse = Caller.wait_for_end) -> Converse:
    """Return a conversation that lets in, and answers a query."""

    def converse(caller: Caller) -> None:
        caller.log_in()
        caller.message()
        caller.send(*answer)
        more(caller)

    return converse


def test_an_answer_in_one_byte_pieces_is_an_answer(relayed: Relay) -> None:
    def converse(caller: Caller) -> None:
        greeting = (AuthenticationOk(), ParameterStatus("client_encoding", "UTF8"), BackendKeyData(PID, SECRET), READY)
        pieces = [message.encode() for message in greeting]
        caller.startup_packet()
        for _ in range(3):
            for byte in b"".join(pieces):
                caller.send(bytes([byte]))
            caller.message()
            pieces = [COLUMN, *(message.encode() for message in (ROW, DONE, READY))]

    with relayed(converse) as at:
        for _ in range(2):
            at.client.send(ASK)
            answer = at.client.until_ready()
            assert names(answer) == ["RowDescription", "DataRow", "SELECT 1", "ready I"]
            assert rows(answer) == [("value",)]


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ((), [CLOSED]),
        ((COLUMN,), ["RowDescription", CLOSED]),
        ((COLUMN, ROW), ["RowDescription", "DataRow", CLOSED]),
        ((COLUMN, ROW, DONE), ["RowDescription", "DataRow", "SELECT 1", CLOSED]),
        ((COLUMN, ROW, DONE, READY), ["RowDescription", "DataRow", "SELECT 1", "ready I", CLOSED]),
        # In the middle of a message nothing can be said.
        ((COLUMN, ROW.encode()[:-2]), ["RowDescription"]),
        # What is not yet passed on is no message.
        ((COLUMN, ROW, DONE.encode()[:-2]), ["RowDescription", "DataRow", CLOSED]),
    ],
    ids=["nothing", "columns", "rows", "the end", "ready", "half a row", "half an end"],
)
def test_an_upstream_that_dies_ends_its_client(
    relayed: Relay, answer: tuple[BackendMessage | bytes, ...], told: list[str]
) -> None:
    with relayed(answering(*answer, more=close)) as at:
        at.client.send(ASK)
        assert names(at.client.until_end()) == told


@pytest.mark.parametrize("severity", ["FATAL", "PANIC"])
def test_what_an_upstream_says_last_is_told(relayed: Relay, severity: str) -> None:
    last = ErrorResponse(ErrorFields(severity, "57P05", "terminating connection due to idle-session timeout"))
    with relayed(answering(last, more=close)) as at:
        at.client.send(ASK)
        assert names(at.client.until_end()) == [f"{severity} 57P05"]


@pytest.mark.parametrize(
    "nonsense",
    [
        GARBAGE,
        b"?\0\0\0\4",
        b"Q\0\0\0\4",
        b"R\0\0\0\x08\0\0\0\0",
        b"C\0\0\0\0",
        b"D\0\0\0\3",
        b"Z\0\0\0\4",
        b"Z\0\0\0\5?",
        b"S\0\0\0\x05a",
        b"T\xff\xff\xff\xff",
    ],
    ids=repr,
)
@pytest.mark.parametrize("behind", [(), (COLUMN, ROW)], ids=["at once", "behind a row"])
def test_garbage_ends_the_client(relayed: Relay, nonsense: bytes, behind: tuple[BackendMessage | bytes, ...]) -> None:
    with relayed(answering(*behind, nonsense)) as at:
        at.client.send(ASK)
        assert names(at.client.until_end()) == [*names_of(behind), "FATAL 08P01"]
        assert at.over.wait(DEADLINE)


def names_of(messages: tuple[BackendMessage | bytes, ...]) -> list[str]:
    """Return the names of the messages of an answer."""
    return ["RowDescription", "DataRow"] if messages else []


@pytest.mark.parametrize(
    "unasked",
    [DONE, READY, b"1\0\0\0\4", b"I\0\0\0\4", b"T\0\0\0\6\0\0", b"G\0\0\0\7\0\0\0"],
    ids=["CommandComplete", "ReadyForQuery", "ParseComplete", "EmptyQueryResponse", "RowDescription", "CopyInResponse"],
)
def test_an_answer_to_nothing_ends_the_client(relayed: Relay, unasked: BackendMessage | bytes) -> None:
    with relayed(answering(COLUMN, ROW, DONE, READY, unasked)) as at:
        at.client.send(ASK)
        answer = ["RowDescription", "DataRow", "SELECT 1", "ready I"]
        assert names(at.client.until_end()) == [*answer, "FATAL 08P01"]


def test_what_may_come_at_any_time_is_passed_on(relayed: Relay) -> None:
    notice = NoticeResponse(ErrorFields("WARNING", "01000", "by the way"))
    setting = ParameterStatus("TimeZone", "UTC")
    heard = NotificationResponse(PID, "hidden", "x")
    with relayed(answering(COLUMN, notice, ROW, setting, DONE, READY, heard, notice)) as at:
        at.client.send(ASK)
        expected = ["RowDescription", "WARNING 01000", "DataRow", "ParameterStatus", "SELECT 1", "ready I"]
        assert names(at.client.until_ready()) == expected
        assert names([at.client.read(), at.client.read()]) == ["hidden: x", "WARNING 01000"]


@pytest.mark.parametrize("type_", [b"D", b"N", b"C", b"T", b"d"])
def test_a_message_of_any_size_passes_and_is_not_kept(relayed: Relay, type_: bytes) -> None:
    size, piece = 256 * MB, bytes(MB)

    def pour(caller: Caller) -> None:
        for _ in range(size // MB):
            caller.send(piece)
        caller.send(DONE, READY)
        caller.wait_for_end()

    with relayed(answering(type_ + struct.pack(">I", 4 + size), more=pour)) as at:
        at.client.send(ASK)
        passed, _, tail = pass_over(at.client)
        assert passed == 5 + size + len(DONE.encode() + READY.encode())
        assert tail.endswith(DONE.encode() + READY.encode())


def test_an_upstream_that_does_not_read_pauses_its_client(relayed: Relay) -> None:
    def converse(caller: Caller) -> None:
        caller.log_in()
        caller.message()
        caller.send(b"G\0\0\0\7\0\0\0")
        caller.hang()

    with relayed(converse) as at:
        client, chunk = at.client, CopyData(bytes(65536)).encode()
        client.send(ASK)
        assert names([client.read()]) == ["CopyInResponse"]
        client.socket.setblocking(False)
        sent = 0
        while sent < 2 * ENOUGH and select.select([], [client.socket], [], STALLED)[1]:
            sent += client.socket.send(chunk)
        assert sent < ENOUGH
        # Its client can leave all the same.
        client.reset()


@pytest.mark.parametrize(
    "converse",
    [
        Caller.hang,
        lambda caller: (caller.startup_packet(), caller.wait_for_end()),
        lambda caller: (caller.startup_packet(), caller.send(AuthenticationOk()), caller.wait_for_end()),
        lambda caller: (caller.startup_packet(), caller.send(b"R\0\0"), caller.wait_for_end()),
    ],
    ids=["does not read", "says nothing", "does not go on", "stops in a message"],
)
def test_an_upstream_that_never_lets_in_is_given_up(start_server: StartServer, converse: Converse) -> None:
    with FakeUpstream(converse) as fake:
        server = start_server(databases={"postgres": f"{fake.dsn} shards=postgres"}, server_connect_timeout=0.3)
        with RawClient(server.port) as client:
            client.query("LISTEN news")
            client.send(ASK)
            answer = client.until_ready()
            assert names(answer) == ["ERROR 08006", "ready I"]
            assert error_of(answer).message == "could not connect to the upstream server: timeout expired"
            assert names(client.query("NOTIFY news, 'x'")) == ["NOTIFY", "news: x", "ready I"]
        server.stop()
        assert complaints(server) == 1


@pytest.mark.parametrize(
    ("said", "sqlstate"),
    [
        (b"", "08006"),
        (GARBAGE, "08006"),
        (b"R\0\0\0\x08\0\0\0\7", "0A000"),
        (b"R\0\0\0\x08\0\0\0\x63", "0A000"),
        (READY.encode(), "08006"),
        (AuthenticationOk().encode() + DONE.encode(), "08006"),
        (AuthenticationOk().encode() + b"S\x7f\xff\xff\xff", "08006"),
        (ErrorResponse(ErrorFields("FATAL", "53300", "sorry, too many clients already")).encode(), "53300"),
        (ErrorResponse(ErrorFields("FATAL", "57P03", "the database system is starting up")).encode(), "57P03"),
        (b"E\0\0\0\4", "08006"),
        (b"EFATAL:  not this protocol\n\0", "08006"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "08006"),
    ],
    ids=repr,
)
def test_what_goes_wrong_in_the_log_in_is_an_error_of_the_statement(relayed: Relay, said: bytes, sqlstate: str) -> None:
    def converse(caller: Caller) -> None:
        caller.startup_packet()
        caller.send(said)

    with relayed(converse) as at:
        at.client.query("LISTEN news")
        at.client.send(ASK)
        assert names(at.client.until_ready()) == [f"ERROR {sqlstate}", "ready I"]
        assert names(at.client.query("NOTIFY news, 'x'")) == ["NOTIFY", "news: x", "ready I"]


def test_the_key_of_the_upstream_is_what_it_is_asked_to_cancel_with(server: TwistnotifyProcess, relayed: Relay) -> None:
    with relayed(answering(COLUMN)) as at:
        at.client.send(ASK)
        assert names([at.client.read()]) == ["RowDescription"]
        request_cancel(server.port, at.client.pid, at.client.secret)
        eventually(lambda: at.fake.cancels, lambda cancels: cancels == [CancelRequest(PID, SECRET).encode()])
