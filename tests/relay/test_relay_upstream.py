"""Opening an upstream session: every step of it can go wrong, and none leaves anything behind."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from fake_server import IDLE, PID, SECRET, DialReactor, Server, error, greeting
from OpenSSL.SSL import Error as TlsError
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.logger import LogLevel, globalLogPublisher
from twisted.python.failure import Failure

from twistnotify.config.model import Settings
from twistnotify.relay.connection import MAX_MESSAGE
from twistnotify.relay.upstream import Relay, Upstream, UpstreamRefused
from twistnotify.session.actions import Replay
from twistnotify.wire.authentication import (
    AuthenticationCleartextPassword,
    AuthenticationSASL,
    AuthenticationSASLContinue,
    PasswordMessage,
)
from twistnotify.wire.errors import ErrorFields, ErrorResponse, NoticeResponse
from twistnotify.wire.session_status import ParameterStatus, ReadyForQuery
from twistnotify.wire.simple_query import CommandComplete, DataRow, Query
from twistnotify.wire.startup import SSLRequest

HERE = {"host": "10.0.0.1", "sslmode": "disable"}
TWO = {"host": "10.0.0.1,10.0.0.2", "sslmode": "disable"}
PASSWORD = "pass word"
STARTUP = (("user", "alice"), ("database", "app"), ("client_encoding", "UTF8"), ("application_name", "mine"))
TIMEOUT = 10.0
SET = Replay(Query(b"SET a = 1").encode(), (b"Z",))
SAID = b"".join([CommandComplete("SET").encode(), IDLE])


class Opening:
    """A relay, and what comes of opening sessions with it."""

    def __init__(self, **conninfo: str) -> None:
        self.reactor = DialReactor()
        self.conninfo: Callable[[], Deferred[dict[str, str]]] = lambda: succeed(dict(conninfo))
        settings = Settings(server_connect_timeout=TIMEOUT)
        self.relay = Relay(self.reactor, "app", lambda: self.conninfo(), settings, bytes)
        self.results: list[Any] = []
        self.waiting: Deferred[Any] = Deferred()

    def open(self, *replays: Replay, startup: Sequence[tuple[str, str]] = STARTUP) -> Opening:
        self.waiting = self.relay.open("alice", startup, replays).addBoth(self.results.append)
        self.reactor.settle()
        return self

    @property
    def server(self) -> Server:
        return self.reactor.server

    @property
    def upstream(self) -> Upstream:
        (upstream,) = self.results
        assert isinstance(upstream, Upstream), upstream
        return upstream

    @property
    def refusal(self) -> UpstreamRefused:
        (failure,) = self.results
        assert failure.check(UpstreamRefused), failure
        assert failure.value.fields.severity == "ERROR"
        return failure.value

    @property
    def message(self) -> str:
        """What the client is told of a connection that could not be made."""
        fields = self.refusal.fields
        assert fields.sqlstate == "08006"
        assert fields.message.startswith("could not connect to the upstream server: ")
        return fields.message.partition(": ")[2]

    def ends_clean(self) -> None:
        if self.results and isinstance(self.results[0], Upstream):
            self.results[0].abort()
        self.reactor.assert_clean()
        assert self.relay.sessions == 0


@pytest.fixture(autouse=True)
def _no_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a home without certificates in it."""
    monkeypatch.setenv("HOME", "/nonexistent")


@pytest.fixture
def log() -> Iterator[list[str]]:
    """What is logged meanwhile."""
    lines: list[str] = []

    def observe(event: dict[str, Any]) -> None:
        if event["log_level"] >= LogLevel.warn:
            lines.append(event["log_format"].format(**event))

    globalLogPublisher.addObserver(observe)
    yield lines
    globalLogPublisher.removeObserver(observe)


# Logging in


def test_a_session_is_open_when_the_server_has_let_the_client_in(log: list[str]) -> None:
    opening = Opening(**HERE).open()
    opening.server.let_in(server_version="15.4", client_encoding="UTF8")

    assert opening.server.address == ("10.0.0.1", 5432)
    assert opening.upstream.parameters == {"server_version": "15.4", "client_encoding": "UTF8"}
    assert (opening.upstream.pid, opening.upstream.secret) == (PID, SECRET)
    assert (opening.upstream.place.host, opening.upstream.place.port) == ("10.0.0.1", 5432)
    assert opening.reactor.getDelayedCalls() == []
    assert not opening.server.transport.reading
    assert log == []
    opening.ends_clean()


def test_the_line_says_who_and_where_and_the_client_all_else() -> None:
    startup = (*STARTUP, ("replication", "off"), ("_pq_.option", "1"), ("options", "-c geqo=off"))
    opening = Opening(**HERE, user="bob", dbname="real").open(startup=startup)

    assert list(opening.server.startup().parameters.items()) == [
        ("user", "bob"),
        ("database", "real"),
        ("client_encoding", "UTF8"),
        ("application_name", "mine"),
        ("options", "-c geqo=off"),
    ]
    opening.waiting.cancel()
    opening.ends_clean()


def test_a_line_that_says_nothing_leaves_it_to_the_client_who_and_to_the_server_where() -> None:
    opening = Opening(**HERE).open(startup=STARTUP[:2])

    assert opening.server.startup().parameters == {"user": "alice"}
    opening.waiting.cancel()
    opening.ends_clean()


def test_the_password_is_the_lines() -> None:
    opening = Opening(**HERE, password=PASSWORD).open()
    opening.server.startup()
    opening.server.say(AuthenticationCleartextPassword().encode())

    assert opening.server.heard() == PasswordMessage(PASSWORD.encode()).encode()
    opening.server.say(greeting())
    assert opening.upstream.pid == PID
    opening.ends_clean()


def test_the_nonce_of_a_scram_exchange_is_random() -> None:
    drawn: list[int] = []

    def random_bytes(size: int) -> bytes:
        drawn.append(size)
        return b"\xff" * size

    reactor = DialReactor()
    relay = Relay(reactor, "app", lambda: succeed({**HERE, "password": "x"}), Settings(), random_bytes)
    waiting = relay.open("alice", STARTUP, ())
    reactor.server.startup()
    reactor.server.say(b"R\0\0\0\x17\0\0\0\x0aSCRAM-SHA-256\0\0")

    assert drawn == [18]
    assert b"r=" + b"/" * 24 in reactor.server.heard()
    waiting.addErrback(lambda failure: failure.trap(CancelledError))
    waiting.cancel()
    reactor.assert_clean()


class Thread:
    """A pool of one thread, which works when a test says so."""

    def __init__(self) -> None:
        self.jobs: list[tuple[Any, ...]] = []

    def callInThreadWithCallback(self, told: Any, function: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N802
        """Take a job."""
        self.jobs.append((told, function, args, kwargs))

    def work(self) -> None:
        """Do the job."""
        told, function, args, kwargs = self.jobs.pop()
        told(True, function(*args, **kwargs))


def much_work(thread: Thread) -> tuple[Opening, Server]:
    """Return a log-in whose server has asked for many SCRAM iterations."""
    opening = Opening(**HERE, password=PASSWORD)
    opening.reactor.getThreadPool = lambda: thread  # type: ignore[attr-defined]
    opening.reactor.callFromThread = lambda call, *args: call(*args)  # type: ignore[attr-defined]
    server = opening.open().server
    server.startup()
    server.say(AuthenticationSASL(("SCRAM-SHA-256",)).encode())
    nonce = server.heard().rpartition(b"r=")[2]
    server.say(AuthenticationSASLContinue(b"r=" + nonce + b"+,s=c2FsdA==,i=10001").encode())
    return opening, server


def test_the_work_that_scram_asks_for_is_done_in_a_thread() -> None:
    thread = Thread()
    opening, server = much_work(thread)
    assert server.heard() == b""

    thread.work()
    assert server.heard().startswith(b"p")
    server.say(error("28P01", "so not"))
    assert opening.refusal.fields.message == "so not"
    opening.ends_clean()


def test_work_that_takes_too_long_is_not_waited_for() -> None:
    thread = Thread()
    opening, server = much_work(thread)
    opening.reactor.wait(TIMEOUT + 0.1)
    assert opening.message == "timeout expired"

    thread.work()
    assert server.heard() == b""
    opening.ends_clean()


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_how_the_answer_is_cut_makes_no_difference(size: int) -> None:
    opening = Opening(**HERE).open(SET)
    opening.server.startup()
    for answer in (greeting(server_version="15.4"), ParameterStatus("TimeZone", "UTC").encode() + SAID):
        opening.server.say(*[answer[start : start + size] for start in range(0, len(answer), size)])

    assert opening.upstream.parameters == {"server_version": "15.4", "TimeZone": "UTC"}
    opening.ends_clean()


# What the server refuses


@pytest.mark.parametrize("sqlstate", ["28P01", "28000", "53300", "3D000", "57014"])
def test_a_refused_log_in_is_told_in_the_words_of_the_server(sqlstate: str, log: list[str]) -> None:
    opening = Opening(**TWO).open()
    opening.server.startup()
    opening.server.say(error(sqlstate, "so not", detail="a detail", hint="a hint"))

    assert opening.refusal.fields == ErrorFields("ERROR", sqlstate, "so not", "a detail", "a hint")
    assert len(opening.reactor.servers) == 1
    assert log == ["database app: no upstream session: 10.0.0.1, port 5432: so not"]
    opening.ends_clean()


def test_a_password_that_there_is_not_is_told() -> None:
    opening = Opening(**HERE).open()
    opening.server.startup()
    opening.server.say(AuthenticationCleartextPassword().encode())

    assert opening.refusal.fields.sqlstate == "28P01"
    opening.ends_clean()


def test_no_password_gets_into_what_is_told_or_logged(log: list[str]) -> None:
    opening = Opening(**HERE, password=PASSWORD).open()
    opening.server.startup()
    opening.server.say(AuthenticationCleartextPassword().encode(), error("28P01", "password authentication failed"))

    told = [repr(opening.refusal.fields), str(opening.refusal), repr(opening.refusal), *log]
    assert len(log) == 1
    assert not any(PASSWORD in text for text in told)
    opening.ends_clean()


def test_a_request_that_require_auth_forbids_is_not_answered() -> None:
    opening = Opening(**HERE, password=PASSWORD, require_auth="scram-sha-256").open()
    opening.server.startup()
    opening.server.say(AuthenticationCleartextPassword().encode())

    assert "require_auth" in opening.message
    assert opening.server.heard() == b""
    opening.ends_clean()


@pytest.mark.parametrize(
    ("said", "complaint"),
    [
        (b"HTTP/1.1 400 Bad Request", "message of type 72 is too long"),
        (b"R\0\0\0\x03", "invalid message length"),
        (b"R\0\0\0\x04", "insufficient data left in message"),
        (IDLE, "unexpected ReadyForQuery in the log-in"),
        (b"N" + (MAX_MESSAGE + 5).to_bytes(4, "big"), "message of type 78 is too long"),
        (b"E\0\0\0\x05\0", "invalid message format"),
    ],
)
def test_what_is_not_the_protocol_ends_the_attempt(said: bytes, complaint: str) -> None:
    opening = Opening(**TWO).open()
    opening.server.startup()
    opening.server.say(said)

    assert opening.message.startswith(complaint)
    assert len(opening.reactor.servers) == 1
    opening.ends_clean()


def test_a_long_message_is_taken_in_up_to_the_bound() -> None:
    opening = Opening(**HERE).open()
    opening.server.startup()
    value = "x" * (MAX_MESSAGE - len("search_path\0\0"))
    opening.server.say(greeting(search_path=value))

    assert opening.upstream.parameters == {"search_path": value}
    opening.ends_clean()


# Places


def test_the_next_place_is_tried_where_nobody_listens(log: list[str]) -> None:
    opening = Opening(**TWO)
    opening.reactor.refuse(("10.0.0.1", 5432))
    opening.open()
    opening.server.let_in()

    assert opening.upstream.place.host == "10.0.0.2"
    assert log == []
    opening.ends_clean()


def test_the_next_place_is_tried_where_a_server_cannot_take_anybody_now() -> None:
    opening = Opening(**TWO).open()
    opening.server.startup()
    opening.server.say(error("57P03", "the database system is starting up"))
    opening.server.let_in()

    assert opening.upstream.place.host == "10.0.0.2"
    assert opening.reactor.servers[0].gone
    opening.ends_clean()


def test_the_next_place_is_tried_where_the_connection_ends() -> None:
    opening = Opening(**TWO).open(SET)
    opening.server.let_in()
    opening.server.close()
    opening.server.let_in()
    opening.server.say(SAID)

    assert opening.upstream.place.host == "10.0.0.2"
    opening.ends_clean()


@pytest.mark.parametrize("wanted", ["primary", "read-write"])
def test_the_next_place_is_tried_where_there_is_a_standby(wanted: str) -> None:
    opening = Opening(**TWO, target_session_attrs=wanted).open()
    opening.server.let_in(in_hot_standby="on")
    opening.server.let_in(in_hot_standby="off")

    assert opening.upstream.place.host == "10.0.0.2"
    opening.ends_clean()


def test_the_next_place_is_tried_where_a_server_says_nothing() -> None:
    opening = Opening(**TWO).open()
    opening.reactor.wait(TIMEOUT / 2 - 0.1)
    assert len(opening.reactor.servers) == 1
    opening.reactor.wait(0.2)
    opening.server.let_in()

    assert opening.upstream.place.host == "10.0.0.2"
    opening.ends_clean()


def test_each_address_of_a_name_is_tried() -> None:
    opening = Opening(host="db,other", sslmode="disable")
    opening.reactor.names = {"db": ["fd00::2", "10.0.0.1"], "other": ["10.0.0.2"]}
    opening.reactor.refuse(("fd00::2", 5432), ("10.0.0.1", 5432))
    opening.open()
    opening.server.let_in()

    assert (opening.upstream.place.host, opening.upstream.place.address) == ("other", "10.0.0.2")
    opening.ends_clean()


def test_a_socket_is_used_without_tls() -> None:
    opening = Opening(host="/run/pg", port="5433", sslmode="require").open()
    opening.server.let_in()

    assert opening.server.address == "/run/pg/.s.PGSQL.5433"
    opening.ends_clean()


def test_the_last_reason_is_told_and_all_are_logged(log: list[str]) -> None:
    opening = Opening(host="10.0.0.1,10.0.0.2,db", sslmode="disable")
    opening.reactor.refuse(("10.0.0.1", 5432))
    opening.open()
    opening.server.startup()
    opening.server.say(error("57P03", "the database system is shutting down"))

    assert opening.message == "could not translate host name to address"
    assert log == [
        "database app: no upstream session: 10.0.0.1, port 5432: Connection refused; "
        "10.0.0.2, port 5432: the database system is shutting down; "
        "db, port 5432: could not translate host name to address"
    ]
    opening.ends_clean()


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ([], "server closed the connection unexpectedly"),
        ([error("57P03", "the database system is starting up")], None),
    ],
)
def test_the_reason_of_the_only_place_is_told(said: list[bytes], message: str | None) -> None:
    opening = Opening(**HERE).open()
    opening.server.startup()
    opening.server.say(*said)
    opening.server.close()

    if message is None:
        assert opening.refusal.fields.sqlstate == "57P03"
    else:
        assert opening.message == message
    opening.ends_clean()


@pytest.mark.parametrize("conninfo", [{"host": "a,b", "port": "1,2,3"}, {"channel_binding": "require"}])
def test_a_line_that_cannot_be_followed_is_refused_at_once(conninfo: dict[str, str], log: list[str]) -> None:
    opening = Opening(**conninfo).open()

    assert opening.message
    assert len(log) == 1
    opening.ends_clean()


# Time


def fill(opening: Opening, server: Server) -> None:
    """Say something again and again, but never enough."""
    server.say(NoticeResponse(ErrorFields("NOTICE", "00000", "soon")).encode())


@pytest.mark.parametrize("count", [1, 2, 5])
def test_all_places_together_have_the_time_of_one(count: int, log: list[str]) -> None:
    opening = Opening(host=",".join(["10.0.0.1"] * count), sslmode="disable").open()
    opening.reactor.wait(TIMEOUT - 0.1)
    assert opening.results == []
    opening.reactor.wait(0.2)

    assert opening.message == "timeout expired"
    assert len(opening.reactor.servers) == count
    assert len(log) == 1
    opening.ends_clean()


def test_a_server_that_goes_on_speaking_has_no_more_time() -> None:
    opening = Opening(**HERE).open()
    opening.server.startup()
    for _ in range(11):
        opening.reactor.wait(TIMEOUT / 10)
        fill(opening, opening.server)

    assert opening.message == "timeout expired"
    opening.ends_clean()


def test_a_line_that_is_not_known_in_time_is_waited_for_no_longer() -> None:
    opening = Opening()
    opening.conninfo = Deferred
    opening.open()
    opening.reactor.wait(TIMEOUT + 0.1)

    assert opening.message == "timeout expired"
    opening.ends_clean()


def test_time_that_the_line_has_taken_is_not_there_for_the_places() -> None:
    opening = Opening()
    line: Deferred[dict[str, str]] = Deferred()
    opening.conninfo = lambda: line
    opening.open()
    opening.reactor.wait(TIMEOUT - 1)
    line.callback(dict(HERE))
    opening.reactor.wait(1.1)

    assert opening.message == "timeout expired"
    opening.ends_clean()


def test_a_name_that_is_not_looked_up_in_time_is_waited_for_no_longer() -> None:
    opening = Opening(host="db,10.0.0.2", sslmode="disable")
    opening.reactor.hangs = True
    opening.reactor.names["db"] = ["10.0.0.1"]
    opening.open()
    opening.reactor.wait(TIMEOUT / 2 + 0.1)
    opening.reactor.answers[0]()
    opening.server.let_in()

    assert opening.upstream.place.host == "10.0.0.2"
    opening.ends_clean()


def test_an_embedded_server_that_did_not_start_is_told() -> None:
    opening = Opening()
    opening.conninfo = lambda: fail(OSError("embedded PostgreSQL\n did not start"))
    opening.open()

    assert opening.message == "embedded PostgreSQL did not start"
    opening.ends_clean()


def test_an_error_of_the_program_stays_one(log: list[str]) -> None:
    opening = Opening()
    opening.conninfo = lambda: fail(ZeroDivisionError())
    opening.open()

    assert opening.results[0].check(ZeroDivisionError)
    assert log == []
    opening.ends_clean()


# TLS


def test_a_server_without_tls_is_spoken_to_in_plain_where_that_is_allowed() -> None:
    for mode in ({}, {"sslmode": "prefer"}, {"sslmode": "allow"}):
        opening = Opening(host="10.0.0.1", **mode).open()
        opening.server.decline_tls()
        opening.server.let_in()

        assert opening.server.transport.tls is None
        assert len(opening.reactor.servers) == 1
        assert opening.upstream.pid == PID
        opening.ends_clean()


@pytest.mark.parametrize("mode", ["require", "verify-ca", "verify-full"])
def test_a_server_without_tls_is_left_where_that_is_not_allowed(mode: str) -> None:
    opening = Opening(host="10.0.0.1,10.0.0.2", sslmode=mode).open()
    opening.server.decline_tls()

    assert opening.message == "server does not support SSL, but SSL was required"
    assert len(opening.reactor.servers) == 1
    opening.ends_clean()


def test_a_server_with_tls_hears_nothing_in_plain() -> None:
    opening = Opening(host="10.0.0.1", sslmode="require").open()
    assert opening.server.packet() == SSLRequest()
    opening.server.say(b"S")
    assert opening.server.transport.tls is not None
    assert opening.server.heard() == b""

    opening.server.protocol.handshakeCompleted()
    opening.server.let_in()
    assert opening.upstream.pid == PID
    opening.ends_clean()


def test_an_end_behind_the_handshake_is_an_end_like_any_other() -> None:
    opening = Opening(host="10.0.0.1", sslmode="prefer").open()
    opening.server.say(b"S")
    opening.server.protocol.handshakeCompleted()
    opening.server.close()

    assert opening.message == "server closed the connection unexpectedly"
    assert len(opening.reactor.servers) == 1
    opening.ends_clean()


def break_handshake(server: Server) -> None:
    server.transport.connectionLost(Failure(TlsError([("SSL routines", "", "wrong version number")])))


@pytest.mark.parametrize("mode", ["allow", "prefer"])
def test_a_handshake_that_fails_is_followed_by_a_plain_connection_where_that_is_allowed(mode: str) -> None:
    opening = Opening(host="10.0.0.1", sslmode=mode).open()
    opening.server.say(b"S")
    break_handshake(opening.server)
    opening.server.let_in()

    assert [server.address for server in opening.reactor.servers] == [("10.0.0.1", 5432)] * 2
    assert opening.upstream.pid == PID
    opening.ends_clean()


@pytest.mark.parametrize("keywords", [{"sslmode": "require"}, {"sslrootcert": "system"}])
def test_a_handshake_that_fails_is_the_end_where_tls_is_required(keywords: dict[str, str]) -> None:
    opening = Opening(host="10.0.0.1", **keywords).open()
    opening.server.say(b"S")
    break_handshake(opening.server)

    assert opening.message == "SSL error: wrong version number"
    assert len(opening.reactor.servers) == 1
    opening.ends_clean()


@pytest.mark.parametrize("mode", ["verify-ca", "verify-full"])
def test_keywords_that_cannot_be_followed_end_the_attempt_before_the_handshake(mode: str) -> None:
    opening = Opening(host="10.0.0.1", sslmode=mode).open()
    opening.server.say(b"S")

    assert opening.message == f"sslmode={mode} needs sslrootcert"
    assert opening.server.transport.tls is None
    opening.ends_clean()


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (b"SR\0\0\0\x08\0\0\0\0", "received unencrypted data after SSL response"),
        (b"NR", "received invalid response to SSL negotiation"),
        (b"X", "received invalid response to SSL negotiation"),
    ],
)
@pytest.mark.parametrize("mode", ["prefer", "require"])
def test_a_strange_answer_to_the_request_for_tls_ends_the_attempt(said: bytes, message: str, mode: str) -> None:
    opening = Opening(host="10.0.0.1,10.0.0.2", sslmode=mode).open()
    opening.server.say(said)

    assert opening.message == message
    assert len(opening.reactor.servers) == 1
    opening.ends_clean()


def test_an_error_in_the_place_of_an_answer_is_not_shown_and_leads_elsewhere() -> None:
    opening = Opening(host="10.0.0.1,10.0.0.2", sslmode="require").open()
    opening.server.say(error("28000", "give me your password"))
    opening.server.say(error("28000", "give me your password"))

    assert opening.message == "server sent an error response during SSL exchange"
    assert len(opening.reactor.servers) == 2
    opening.ends_clean()


# Replays


def test_replays_are_sent_one_after_the_other() -> None:
    extended = Replay(b"parse, bind, execute, flush", (b"1", b"2", b"CIs"))
    opening = Opening(**HERE).open(SET, extended, SET)
    opening.server.let_in()
    assert opening.server.heard() == SET.frames
    opening.server.say(SAID)
    assert opening.server.heard() == extended.frames
    opening.server.say(b"1\0\0\0\x04", b"2\0\0\0\x04" + DataRow((b"x",)).encode())
    assert opening.server.heard() == b""
    opening.server.say(b"s\0\0\0\x04")
    assert opening.server.heard() == SET.frames
    assert opening.results == []
    opening.server.say(SAID)

    assert opening.upstream.pid == PID
    opening.ends_clean()


def test_what_comes_behind_the_last_answer_is_for_the_consumer() -> None:
    opening = Opening(**HERE).open(SET)
    opening.server.let_in()
    arrived: list[bytes] = []

    class Client:
        received = arrived.append
        lost = full = drained = bool

    opening.server.say(SAID + b"A is")
    opening.upstream.use(Client())
    opening.server.say(b" early")
    assert arrived == [b"A is", b" early"]
    opening.ends_clean()


def test_settings_that_a_replay_changes_are_known() -> None:
    opening = Opening(**HERE).open(SET)
    opening.server.let_in(TimeZone="UTC", client_encoding="UTF8")
    notice = NoticeResponse(ErrorFields("NOTICE", "00000", "x"))
    opening.server.say(ParameterStatus("TimeZone", "CET").encode(), notice.encode(), SAID)

    assert opening.upstream.parameters == {"TimeZone": "CET", "client_encoding": "UTF8"}
    opening.ends_clean()


def test_a_replay_that_fails_is_told_in_the_words_of_the_server(log: list[str]) -> None:
    opening = Opening(**TWO).open(SET, SET)
    opening.server.let_in(client_encoding="LATIN1")
    opening.server.heard()
    fields = ErrorFields("ERROR", "42704", "kein Schlüssel", position=5)
    opening.server.say(ErrorResponse(fields).encode("latin-1") + IDLE)

    assert opening.refusal.fields == ErrorFields("ERROR", "42704", "kein Schlüssel")
    assert opening.server.heard() == b""
    assert len(opening.reactor.servers) == 1
    assert len(log) == 1
    opening.ends_clean()


def test_a_replay_may_fail_on_purpose() -> None:
    opening = Opening(**HERE).open(Replay(SET.frames, (b"Z",), fails=True))
    opening.server.let_in()
    opening.server.say(error("42601", severity="ERROR") + ReadyForQuery("E").encode())

    assert opening.upstream.pid == PID
    opening.ends_clean()


def test_an_answer_that_is_not_the_protocol_ends_the_attempt() -> None:
    for said in (b"S\0\0\0\x05x", b"E\0\0\0\x04", b"\xff" * 5):
        opening = Opening(**HERE).open(SET)
        opening.server.let_in()
        opening.server.say(said)
        assert opening.message
        opening.ends_clean()


# Every step


def _look_up(opening: Opening) -> None:
    opening.reactor.hangs = True


def _connect(opening: Opening) -> None:
    opening.reactor.names["db"] = ["10.0.0.1"]
    opening.reactor.silent.add(("10.0.0.1", 5432))


def _connected(opening: Opening) -> None:
    opening.reactor.names["db"] = ["10.0.0.1"]


STEPS: dict[str, tuple[Callable[[Opening], None], Callable[[Server], object] | None]] = {
    "the look-up": (_look_up, None),
    "connecting": (_connect, None),
    "the request for TLS": (_connected, lambda server: server.packet()),
    "the handshake": (_connected, lambda server: server.say(b"S")),
    "TLS": (_connected, lambda server: (server.say(b"S"), server.protocol.handshakeCompleted())),
    "the log-in": (_connected, lambda server: (server.decline_tls(), server.startup())),
    "half a message": (_connected, lambda server: (server.decline_tls(), server.say(b"R\0\0\0"))),
    "the password": (
        _connected,
        lambda server: (server.decline_tls(), server.say(AuthenticationCleartextPassword().encode())),
    ),
    "the greeting": (_connected, lambda server: (server.decline_tls(), server.say(greeting()[:-1]))),
    "a replay": (_connected, lambda server: (server.decline_tls(), server.let_in())),
}


def reach(step: str, **conninfo: str) -> Opening:
    """Return an opening that waits in the middle of a step."""
    opening = Opening(host="db", password=PASSWORD, **conninfo)
    prepare, go_on = STEPS[step]
    prepare(opening)
    opening.open(SET)
    if go_on is not None:
        go_on(opening.server)
    assert opening.results == []
    return opening


@pytest.mark.parametrize("step", STEPS)
def test_an_attempt_can_be_called_off_at_every_step(step: str, log: list[str]) -> None:
    opening = reach(step)
    opening.waiting.cancel()

    assert opening.results[0].check(CancelledError)
    assert log == []
    opening.ends_clean()


@pytest.mark.parametrize("step", STEPS)
def test_the_time_is_up_at_every_step(step: str, log: list[str]) -> None:
    opening = reach(step)
    opening.reactor.wait(TIMEOUT + 0.1)

    assert opening.message == "timeout expired"
    assert len(log) == 1
    opening.ends_clean()


@pytest.mark.parametrize("step", [step for step in STEPS if step not in ("the look-up", "connecting", "the handshake")])
def test_the_server_closes_at_every_step(step: str, log: list[str]) -> None:
    opening = reach(step)
    opening.server.close()

    assert opening.message == "server closed the connection unexpectedly"
    assert len(log) == 1
    opening.ends_clean()


def test_sessions_are_opened_side_by_side() -> None:
    opening = Opening(**HERE)
    first = opening.relay.open("alice", STARTUP, ())
    opening.reactor.settle()
    second = opening.relay.open("bob", STARTUP, ())
    opening.reactor.settle()
    early, late = opening.reactor.servers
    assert late.let_in().parameters["user"] == "bob"
    assert early.let_in().parameters["user"] == "alice"

    assert first.result is not second.result
    for each in (first, second):
        each.result.abort()
    opening.reactor.assert_clean()


# How many there may be


class Limited(Opening):
    """An opening of a relay that may have two sessions."""

    def __init__(self) -> None:
        super().__init__(**HERE)
        settings = Settings(server_connect_timeout=TIMEOUT, max_db_connections=2)
        self.relay = Relay(self.reactor, "app", lambda: self.conninfo(), settings, bytes)


def test_beyond_the_limit_a_session_is_refused_at_once(log: list[str]) -> None:
    limited = Limited()
    *_, failure = limited.open().open().open().results

    assert failure.check(UpstreamRefused)
    assert failure.value.fields == ErrorFields(
        "ERROR",
        "53300",
        'sorry, too many upstream sessions for database "app"',
        hint="See max_db_connections.",
    )
    assert len(limited.reactor.servers) == 2
    assert log == []
    for server in limited.reactor.servers:
        server.close()
    limited.results.clear()
    limited.ends_clean()


@pytest.mark.parametrize(
    "end",
    [
        lambda limited: limited.results[0].end(),
        lambda limited: limited.results[0].abort(),
        lambda limited: (limited.results[0].resume(), limited.reactor.servers[0].close()),
    ],
    ids=["ended", "reset", "closed"],
)
def test_a_session_counts_until_its_connection_has_ended(end: Callable[[Limited], object]) -> None:
    limited = Limited()
    for _ in range(2):
        limited.open()
        limited.server.let_in()
    end(limited)
    limited.reactor.settle()
    assert limited.relay.sessions == 1

    limited.open()
    limited.server.let_in()
    assert all(isinstance(each, Upstream) for each in limited.results)
    assert limited.relay.sessions == 2
    for each in limited.results:
        each.abort()
    limited.results.clear()
    limited.ends_clean()


def test_a_session_that_has_ended_as_it_was_opened_counts_no_more() -> None:
    limited = Limited()
    limited.open()
    limited.server.transport.peer_closed = True
    limited.server.let_in()

    assert limited.relay.sessions == 0
    limited.results.clear()
    limited.ends_clean()


def test_without_a_limit_there_is_none() -> None:
    opening = Opening(**HERE)
    for _ in range(300):
        opening.open()

    assert opening.results == []
    assert opening.relay.sessions == 300
    for server in opening.reactor.servers:
        server.close()
    opening.results.clear()
    opening.ends_clean()
