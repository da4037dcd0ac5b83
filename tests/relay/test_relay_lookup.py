"""Looking users up: one connection, one question at a time, and answers that are remembered for a while."""

from __future__ import annotations

from typing import Any

import pytest
from fakes.reactor import FakeReactor
from fakes.upstream import FakeRelay, FakeUpstream
from twisted.internet.defer import CancelledError, Deferred, fail

from twistnotify.relay.lookup import (
    IDLE,
    LOOKUP_TIMEOUT,
    MAX_CACHED,
    MAX_NAME,
    MAX_WAITING,
    PAUSE,
    LookupFailed,
    UserLookup,
    auth_session,
)
from twistnotify.relay.lookup_session import MAX_MESSAGE, MAX_ROWS
from twistnotify.wire.copying import CopyInResponse
from twistnotify.wire.errors import ErrorFields, ErrorResponse, NoticeResponse
from twistnotify.wire.extended_query import Bind, BindComplete, Execute, Parse, ParseComplete, PortalSuspended, Sync
from twistnotify.wire.session_status import ParameterStatus, ReadyForQuery
from twistnotify.wire.simple_query import CommandComplete, DataRow, Query

QUERY = "SELECT usename, passwd FROM pg_catalog.pg_shadow WHERE usename = $1"
SECRET = "SCRAM-SHA-256$4096:c2FsdA==$stored:server"
BEGUN = ParseComplete().encode() + BindComplete().encode()
READY = ReadyForQuery("I").encode()
TTL, NEGATIVE_TTL = 30.0, 10.0


def found(*rows: tuple[bytes | None, ...], done: bytes = CommandComplete("SELECT").encode()) -> bytes:
    return BEGUN + b"".join(DataRow(row).encode() for row in rows) + done + READY


def secret_of(user: str, secret: str = SECRET) -> bytes:
    return found((user.encode(), secret.encode()))


def error(sqlstate: str, message: str = "no", severity: str = "ERROR") -> bytes:
    return ErrorResponse(ErrorFields(severity, sqlstate, message)).encode()


class Looking:
    """Lookups, and what came of them by user, in the order in which they were answered."""

    def __init__(self, cache_ttl: float = TTL, negative_ttl: float = NEGATIVE_TTL) -> None:
        self.reactor = FakeReactor()
        self.relay = FakeRelay()
        self.results: list[tuple[str, Any]] = []
        relay: Any = self.relay
        self.lookup = UserLookup(self.reactor, lambda: auth_session(relay, "auth"), QUERY, cache_ttl, negative_ttl)

    def look_up(self, user: str) -> Deferred[Any]:
        return self.lookup.look_up(user).addBoth(lambda result: self.results.append((user, result)))

    @property
    def upstream(self) -> FakeUpstream:
        return self.relay.upstream

    def asked(self) -> bytes:
        """Return what the server has been sent since the last look."""
        sent, self.upstream._sent = self.upstream._sent, b""
        return sent

    def answers(self, user: str, answer: bytes) -> Any:
        """Look a user up and have that answered; return what came of it."""
        self.look_up(user)
        self.asked()
        self.upstream.say_bytes(answer)
        return self.last

    @property
    def last(self) -> Any:
        """What came last: a secret, None, or the text of a failure."""
        _, result = self.results[-1]
        if result is None or isinstance(result, str):
            return result
        assert result.check(LookupFailed), result
        return result.value

    @property
    def users(self) -> list[str]:
        return [user for user, _ in self.results]


def question(user: str) -> bytes:
    messages = (
        Parse(b"", QUERY.encode(), (25,)),
        Bind(b"", b"", (), (user.encode(),), ()),
        Execute(b"", MAX_ROWS),
        Sync(),
    )
    return b"".join(message.encode() for message in messages)


# What is asked, and what is told


def test_the_connection_begins_with_a_search_path_that_nobody_else_has_chosen() -> None:
    looking = Looking()
    looking.look_up("alice")

    ((user, startup, replays),) = looking.relay.asked
    assert user == "auth"
    assert dict(startup)["client_encoding"] == "UTF8"
    assert [replay.frames for replay in replays] == [Query(b"SET search_path = pg_catalog").encode()]


@pytest.mark.parametrize("user", ["alice", "a\"b'c\\", "bücher 🐘", "x' OR 'x' = 'x", ""])
def test_the_name_is_asked_for_as_a_value(user: str) -> None:
    looking = Looking()
    looking.look_up(user)

    assert looking.asked() == question(user)
    looking.upstream.say_bytes(secret_of(user))
    assert looking.results == [(user, SECRET)]


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_how_the_answer_is_cut_does_not_matter(size: int) -> None:
    looking = Looking()
    looking.look_up("alice")
    answer = NoticeResponse(ErrorFields("NOTICE", "00000", "hello")).encode() + secret_of("alice")
    for start in range(0, len(answer), size):
        assert looking.results == []
        looking.upstream.say_bytes(answer[start : start + size])
    assert looking.results == [("alice", SECRET)]


@pytest.mark.parametrize(
    "answer",
    [
        found(),
        found((b"alice", None)),
        found((None, SECRET.encode())),
        found((b"bob", SECRET.encode())),
        found((b"Alice", SECRET.encode())),
        found((b"alice", SECRET.encode()), (b"bob", SECRET.encode()), done=PortalSuspended().encode()),
        found((b"alice", SECRET.encode()), (b"alice", b"other"), done=PortalSuspended().encode()),
        BEGUN + READY,
    ],
)
def test_what_is_not_one_row_with_a_secret_of_the_user_is_none(answer: bytes) -> None:
    assert Looking().answers("alice", answer) is None


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (found((b"alice",)), "the query returns fewer than two columns"),
        (found(()), "the query returns fewer than two columns"),
        (found((b"alice", b"\xff")), "the secret is not UTF-8"),
        (error("42501", "permission denied for view pg_shadow") + READY, "42501: permission denied for view pg_shadow"),
        (error("22P02", f'invalid input syntax for type integer: "{SECRET}"') + READY, "22P02"),
    ],
)
def test_what_cannot_be_asked_for_fails_and_the_connection_is_kept(answer: bytes, text: str) -> None:
    looking = Looking(negative_ttl=0)

    assert str(looking.answers("alice", answer)) == text
    assert looking.answers("alice", secret_of("alice")) == SECRET
    assert len(looking.relay.upstreams) == 1


@pytest.mark.parametrize(
    "answer",
    [
        CopyInResponse(0, ()).encode(),
        b"x\0\0\0\4",
        BEGUN + ReadyForQuery("T").encode(),
        found(*[(b"alice", SECRET.encode())] * (MAX_ROWS + 1)),
        b"D" + (MAX_MESSAGE + 5).to_bytes(4, "big"),
        b"D\0\0\0\5x",
    ],
)
def test_a_server_that_breaks_the_protocol_is_left(answer: bytes) -> None:
    looking = Looking(negative_ttl=0)
    looking.look_up("alice")
    looking.upstream.say_bytes(answer)

    assert str(looking.last).startswith("the server broke the protocol: ")
    assert SECRET not in str(looking.last)
    assert looking.upstream.state == "aborted"
    assert looking.answers("alice", secret_of("alice")) == SECRET


def test_a_long_message_is_left_at_once() -> None:
    for size, state in ((MAX_MESSAGE - 1000, "open"), (MAX_MESSAGE + 1000, "aborted")):
        looking = Looking()
        looking.answers("alice", secret_of("alice", "x" * size))
        assert looking.upstream.state == state


@pytest.mark.parametrize("user", ["nul\0", "\udcff", "x" * (MAX_NAME + 1), "ü" * (MAX_NAME // 2 + 1)])
def test_a_name_that_nobody_can_have_is_not_asked_for(user: str) -> None:
    looking = Looking()
    looking.look_up(user)

    assert looking.results == [(user, None)]
    assert looking.relay.asked == []


def test_the_longest_name_is_asked_for() -> None:
    assert Looking().answers("x" * MAX_NAME, secret_of("x" * MAX_NAME)) == SECRET


# The connection


def test_a_session_that_is_refused_is_told_in_the_words_of_the_refusal() -> None:
    looking = Looking()
    looking.relay.refuses = ErrorFields("ERROR", "28P01", 'password authentication failed for user "auth"')
    looking.look_up("alice")

    assert str(looking.last) == '28P01: password authentication failed for user "auth"'


def test_after_a_refusal_none_is_opened_for_a_while_whoever_is_looked_up() -> None:
    looking = Looking(negative_ttl=0)
    looking.relay.refuses = ErrorFields("ERROR", "08006", "nobody there")
    looking.look_up("alice")
    looking.look_up("bob")
    assert (str(looking.last), len(looking.relay.asked)) == ("08006: nobody there", 1)

    looking.relay.refuses = None
    looking.reactor.wait(PAUSE)

    assert looking.answers("bob", secret_of("bob")) == SECRET


def test_an_unexpected_failure_stops_nobody_else() -> None:
    looking = Looking()
    opening = [fail(OSError(SECRET))]
    looking.lookup._open_session = lambda: (
        opening.pop() if opening else auth_session(looking.relay, "auth")  # type: ignore[arg-type, return-value]
    )
    looking.look_up("alice")

    assert str(looking.last) == "unexpected OSError"
    assert looking.answers("bob", secret_of("bob")) == SECRET


def test_a_connection_without_lookups_is_closed() -> None:
    looking = Looking(cache_ttl=0)
    looking.answers("alice", secret_of("alice"))
    looking.reactor.wait(IDLE - 1)
    looking.answers("alice", secret_of("alice"))
    looking.reactor.wait(IDLE - 1)
    assert looking.upstream.state == "open"
    looking.reactor.wait(1)
    assert looking.upstream.state == "ended"
    assert looking.reactor.getDelayedCalls() == []

    assert looking.answers("alice", secret_of("alice")) == SECRET
    assert len(looking.relay.upstreams) == 2


def test_a_connection_that_is_lost_at_rest_is_opened_again() -> None:
    looking = Looking(cache_ttl=0)
    looking.answers("alice", secret_of("alice"))
    looking.upstream.say_bytes(error("57P01", severity="FATAL"))
    looking.upstream.lose()
    assert looking.reactor.getDelayedCalls() == []

    assert looking.answers("alice", secret_of("alice")) == SECRET
    assert len(looking.relay.upstreams) == 2


@pytest.mark.parametrize("last_words", [b"", error("57P01", severity="FATAL")])
def test_what_a_lost_connection_has_not_begun_to_answer_is_asked_once_more(last_words: bytes) -> None:
    looking = Looking(cache_ttl=0)
    looking.answers("alice", secret_of("alice"))
    looking.look_up("bob")
    looking.upstream.say_bytes(last_words)
    looking.upstream.lose()

    assert looking.asked() == question("bob")
    looking.upstream.say_bytes(secret_of("bob"))
    assert looking.results[1:] == [("bob", SECRET)]
    assert len(looking.relay.upstreams) == 2


def test_what_is_lost_twice_fails() -> None:
    looking = Looking(cache_ttl=0)
    looking.answers("alice", secret_of("alice"))
    looking.look_up("bob")
    for _ in range(2):
        looking.upstream.lose()

    assert str(looking.last) == "the connection was lost"
    assert len(looking.relay.upstreams) == 2


def test_what_a_lost_connection_has_begun_to_answer_fails() -> None:
    looking = Looking(cache_ttl=0)
    looking.answers("alice", secret_of("alice"))
    looking.look_up("bob")
    looking.upstream.say_bytes(BEGUN)
    looking.upstream.lose()

    assert str(looking.last) == "the connection was lost"
    assert len(looking.relay.upstreams) == 1


def test_a_connection_that_is_lost_as_it_is_opened_is_a_failure() -> None:
    looking = Looking()
    looking.relay.holds = True
    looking.look_up("alice")
    upstream = FakeUpstream(1, {})
    upstream.lose()
    looking.relay.opening.pop().callback(upstream)

    assert str(looking.last) == "the connection was lost"
    assert looking.lookup._session is None


def test_what_the_server_says_at_rest_is_of_no_interest() -> None:
    looking = Looking(cache_ttl=0)
    looking.answers("alice", secret_of("alice"))
    for _ in range(3):
        looking.upstream.say_bytes(ParameterStatus("TimeZone", "x" * (MAX_MESSAGE // 2)).encode())
    assert looking.answers("alice", secret_of("alice")) == SECRET
    assert len(looking.relay.upstreams) == 1


# Waiting


def test_users_are_looked_up_in_the_order_in_which_they_came() -> None:
    looking = Looking()
    for user in ("a", "b", "a", "c", "b"):
        looking.look_up(user)
    for user in ("a", "b", "c"):
        assert looking.asked() == question(user)
        looking.upstream.say_bytes(secret_of(user, f"secret of {user}"))

    assert looking.results == [(user, f"secret of {user}") for user in ("a", "a", "b", "b", "c")]
    assert looking.asked() == b""


def test_only_so_many_users_wait() -> None:
    looking = Looking()
    for number in range(MAX_WAITING + 1):
        looking.look_up(str(number))
    assert looking.results == []
    looking.look_up("one more")
    assert str(looking.last) == "too many users wait to be looked up"
    looking.look_up("7")
    assert len(looking.results) == 1

    looking.upstream.say_bytes(secret_of("0"))
    looking.look_up("one more")
    assert looking.users == ["one more", "0"]


def test_what_is_not_answered_in_time_fails_and_the_next_one_is_asked_on_a_new_connection() -> None:
    looking = Looking()
    looking.look_up("slow")
    looking.reactor.wait(1)
    looking.look_up("next")
    looking.reactor.wait(LOOKUP_TIMEOUT - 1.5)
    assert looking.results == []
    looking.reactor.wait(0.5)

    assert str(looking.last) == "timeout expired"
    assert looking.relay.upstreams[0].state == "aborted"
    assert looking.asked() == question("next")
    looking.upstream.say_bytes(secret_of("next"))
    assert looking.last == SECRET


def test_time_in_the_queue_counts() -> None:
    looking = Looking()
    for user in ("a", "b", "c"):
        looking.look_up(user)
    looking.relay.holds = True
    looking.reactor.wait(LOOKUP_TIMEOUT)

    assert sorted(looking.users) == ["a", "b", "c"]
    assert looking.relay.opening == []
    assert looking.reactor.getDelayedCalls() == []


def test_an_opening_that_takes_too_long_is_called_off() -> None:
    looking = Looking()
    looking.relay.holds = True
    looking.look_up("alice")
    looking.reactor.wait(LOOKUP_TIMEOUT)

    assert str(looking.last) == "timeout expired"
    assert looking.relay.cancelled == 1


def test_who_does_not_wait_any_more_disturbs_nobody() -> None:
    looking = Looking()
    first, _, third = looking.look_up("a"), looking.look_up("a"), looking.look_up("a")
    first.cancel()
    third.cancel()
    assert [result.check(CancelledError) for _, result in looking.results] == [CancelledError] * 2

    looking.upstream.say_bytes(secret_of("a"))
    assert looking.results[2:] == [("a", SECRET)]


def test_a_user_whom_nobody_waits_for_any_more_is_not_asked_for() -> None:
    looking = Looking()
    looking.look_up("a")
    waiting = [looking.look_up("b"), looking.look_up("b")]
    looking.look_up("c")
    for each in waiting:
        each.cancel()
    looking.asked()
    looking.upstream.say_bytes(secret_of("a"))

    assert looking.asked() == question("c")


def test_an_answer_that_nobody_waits_for_any_more_is_remembered() -> None:
    looking = Looking()
    looking.look_up("a").cancel()
    looking.upstream.say_bytes(secret_of("a"))
    looking.look_up("a")

    assert looking.last == SECRET


def test_who_is_told_may_call_the_next_one_off_and_ask_again() -> None:
    looking = Looking(cache_ttl=0)
    second: list[Deferred[Any]] = []
    told: list[Any] = []

    def go_on(secret: str | None) -> None:
        second[0].cancel()
        looking.look_up("a")

    looking.lookup.look_up("a").addCallback(go_on)
    second.append(looking.lookup.look_up("a").addErrback(told.append))
    looking.asked()
    looking.upstream.say_bytes(secret_of("a"))

    assert told[0].check(CancelledError)
    assert looking.asked() == question("a")


def test_closing_fails_whoever_waits_and_leaves_nothing() -> None:
    looking = Looking()
    for user in ("a", "b"):
        looking.look_up(user)
    looking.lookup.close()

    assert sorted(looking.users) == ["a", "b"]
    assert len(looking.relay.asked) == 1
    assert looking.upstream.state == "aborted"
    assert looking.reactor.getDelayedCalls() == []


def test_closing_at_rest_ends_the_session() -> None:
    looking = Looking()
    looking.lookup.close()
    looking.answers("a", secret_of("a"))
    looking.lookup.close()

    assert looking.upstream.state == "ended"
    assert looking.reactor.getDelayedCalls() == []


# Remembering


@pytest.mark.parametrize(
    ("answer", "seconds"),
    [
        (secret_of("alice"), TTL),
        (found(), NEGATIVE_TTL),
        (found((b"alice", None)), NEGATIVE_TTL),
        (error("42501") + READY, NEGATIVE_TTL),
    ],
)
def test_an_answer_is_remembered_for_a_while(answer: bytes, seconds: float) -> None:
    looking = Looking()
    result = looking.answers("alice", answer)
    looking.reactor.wait(seconds - 0.5)
    looking.look_up("alice")
    assert str(looking.last) == str(result)
    assert looking.asked() == b""

    looking.reactor.wait(0.5)
    looking.look_up("alice")
    assert looking.asked() == question("alice")


def test_every_failure_is_an_exception_of_its_own() -> None:
    looking = Looking()
    first = looking.answers("alice", error("42501") + READY)
    looking.look_up("alice")

    assert looking.last is not first


def test_nothing_is_remembered_for_no_time() -> None:
    looking = Looking(cache_ttl=0, negative_ttl=0)
    for answer in (secret_of("alice"), found(), error("42501") + READY):
        looking.look_up("alice")
        assert looking.asked() == question("alice")
        looking.upstream.say_bytes(answer)


def test_only_so_many_users_are_remembered_and_the_oldest_go_first() -> None:
    looking = Looking()
    for number in range(MAX_CACHED + 1):
        looking.answers(str(number), secret_of(str(number)))
    for number, asks in ((1, False), (MAX_CACHED, False), (0, True)):
        looking.look_up(str(number))
        assert bool(looking.asked()) is asks


def test_users_who_are_not_there_drive_nobody_out() -> None:
    looking = Looking()
    looking.answers("alice", secret_of("alice"))
    for number in range(MAX_CACHED + 1):
        looking.answers(str(number), found())

    looking.look_up("alice")

    assert (looking.last, looking.asked()) == (SECRET, b"")


# Secrets


def test_a_secret_is_in_no_text_about_the_objects() -> None:
    looking = Looking()
    seen: list[str] = []
    put = looking.lookup._cache.put

    def note(user: str, outcome: Any) -> None:
        seen.append(repr(outcome))
        seen.extend(map(repr, looking.lookup._lookups.values()))
        put(user, outcome)

    looking.lookup._cache.put = note  # type: ignore[method-assign]
    looking.look_up("alice")
    looking.upstream.say_bytes(secret_of("alice"))
    seen += [repr(looking.lookup), repr(looking.lookup._session), repr(looking.lookup._cache)]

    assert len(seen) == 5
    assert not any(SECRET in text for text in seen)
