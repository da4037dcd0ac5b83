"""Both directions together: whatever passes, a client with an upstream sees what PostgreSQL would show it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import pytest
from backend import BAD, Backend
from conversation import (
    ADMISSION,
    FLUSH,
    PID,
    SECRET,
    SYNC,
    FrontendPacket,
    bind,
    close,
    close_statement,
    describe,
    describe_statement,
    execute,
    parse,
    shown,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from relayed import CALL, FakeRelay, Relayed, attached, told

from twistnotify.session.actions import Close, Replay
from twistnotify.session.attached import LOST
from twistnotify.session.login import Admission
from twistnotify.sql.statements import Notify
from twistnotify.wire.copying import CopyData, CopyDone, CopyFail
from twistnotify.wire.errors import ErrorResponse
from twistnotify.wire.simple_query import Query

OWN = frozenset(("own",))
TEXTS = [
    "",
    "SELECT 2",
    "SELECT now()",
    "SELECT fails()",
    "LISTEN a",
    "LISTEN own",
    "UNLISTEN a",
    "UNLISTEN *",
    "NOTIFY a, 'x'",
    "NOTIFY own, 'y'",
    "BEGIN",
    "COMMIT",
    "ROLLBACK",
    "SAVEPOINT s",
    "RELEASE s",
    "ROLLBACK TO s",
    "COPY t FROM STDIN",
    "COPY t TO STDOUT",
    "oops",
]
CALL_NOTIFY = "SELECT pg_notify($1, $2)"
statement_names = st.sampled_from(["", "", "s"])
portal_names = st.sampled_from(["", "", "p"])
queries = st.builds(
    lambda texts: Query("; ".join(texts).encode()), st.lists(st.sampled_from(TEXTS), min_size=1, max_size=4)
)
parses = st.builds(parse, st.sampled_from([*TEXTS, CALL_NOTIFY, "LISTEN a; SELECT 2"]), statement_names)


@st.composite
def runs(draw: st.DrawFn, portals: st.SearchStrategy[str]) -> list[FrontendPacket]:
    """A statement from Parse to Execute, as a driver sends it."""
    statement, portal = draw(statement_names), draw(portals)
    sql = draw(st.sampled_from([*TEXTS, CALL_NOTIFY]))
    values = [draw(st.sampled_from(["a", "own"])), "z"] if sql is CALL_NOTIFY else []
    described = draw(st.sampled_from([(), (describe(portal),), (describe_statement(statement),)]))
    return [parse(sql, statement), bind(*values, portal=portal, statement=statement), *described, execute(portal)]


def streams(portals: st.SearchStrategy[str], *more: st.SearchStrategy[FrontendPacket]) -> st.SearchStrategy[bytes]:
    """Streams of statements run as drivers do it, and of single messages, some of them nonsense."""
    others = st.sampled_from([SYNC, SYNC, SYNC, FLUSH, CALL, *COPY_DATA])
    single = st.one_of(queries, queries, parses, others, st.builds(close_statement, statement_names), *more)
    groups = st.one_of(single.map(lambda message: [message]), runs(portals))
    return st.lists(groups, max_size=14).map(
        lambda groups: b"".join(message.encode() for group in groups for message in group)
    )


COPY_DATA = (CopyData(b"x"), CopyData(BAD), CopyDone(), CopyFail(b""))
WHOLE_STREAMS = streams(
    portal_names,
    st.builds(lambda portal, statement: bind(portal=portal, statement=statement), portal_names, statement_names),
    st.builds(describe, portal_names),
    st.builds(describe_statement, statement_names),
    st.builds(execute, portal_names, st.sampled_from([0, 1])),
    st.builds(close, portal_names),
)
# What has run before there is an upstream cannot be run further there, and has left no portal.
MIXED_STREAMS = streams(st.just(""))
shards = st.sampled_from([OWN, frozenset(), None])
schedules = st.lists(st.tuples(st.booleans(), st.integers(1, 80)), max_size=40)
FINISH = CopyDone().encode() * 4 + SYNC.encode() * 2


@dataclass
class Played(Relayed):
    """A conversation whose upstream is a small PostgreSQL."""

    backend: Backend = field(default_factory=Backend)
    fed: int = 0
    answers: bytes = b""

    def _attach(self, replays: tuple[Replay, ...]) -> None:
        for replay in replays:
            check_replay(self.backend, replay)
        super()._attach(replays)

    def answer_some(self, size: int) -> None:
        """Have some bytes of the upstream's answers arrive."""
        fed, self.fed = self.passed[self.fed :], len(self.passed)
        self.answers += b"".join(message.encode() for message in self.backend.feed(fed))
        answers, self.answers = self.answers[:size], self.answers[size:]
        if answers:
            self.upstream(answers)


def check_replay(backend: Backend, replay: Replay) -> None:
    messages = backend.feed(replay.frames)
    failed = [message for message in messages if isinstance(message, ErrorResponse)]
    assert bool(failed) is replay.fails
    ends = [message.type for message in messages]
    for types in replay.ends:
        while ends.pop(0) not in types:
            pass
    assert not ends


def play(stream: bytes, schedule: list[tuple[bool, int]], own: frozenset[str] | None = OWN) -> Played:
    """Have a client's stream and the answers to it pass in pieces, in the order of a schedule, then in one go."""
    admission = Admission(ADMISSION.status, PID, SECRET, "UTF8", ADMISSION.acknowledgements, FakeRelay(own))
    played = Played(admission=admission, parameters={})
    for is_clients, size in schedule:
        if is_clients and stream:
            played.receive(stream[:size])
            stream = stream[size:]
        elif not is_clients:
            played.answer_some(size)
    played.receive(stream)
    # What a listener sends goes on in turns.
    while played.fed < len(played.passed) or played.answers:
        played.answer_some(1 << 20)
    return played


def in_short(line: str) -> str:
    """Leave out the words of an error."""
    return " ".join(line.split()[:2]) if line.startswith(("ERROR", "WARNING", "FATAL")) else line


@settings(deadline=None, max_examples=200)
@given(WHOLE_STREAMS, schedules, shards)
def test_a_client_with_an_upstream_sees_what_postgresql_would_show_it(
    stream: bytes, schedule: list[tuple[bool, int]], own: frozenset[str] | None
) -> None:
    check(Query(b"SELECT now()").encode() + stream + FINISH, schedule, own)


@settings(deadline=None, max_examples=200)
@given(MIXED_STREAMS, schedules, shards)
def test_a_client_cannot_tell_when_it_gets_an_upstream(
    stream: bytes, schedule: list[tuple[bool, int]], own: frozenset[str] | None
) -> None:
    check(stream + FINISH, schedule, own)


def check(stream: bytes, schedule: list[tuple[bool, int]], own: frozenset[str] | None) -> None:
    played, direct = play(stream, schedule, own), Backend()
    expected = [in_short(shown(message)) for message in direct.feed(stream)]
    assert list(map(in_short, told(played.lines))) == expected
    if not direct.dead:
        check_the_end(played, direct)


def check_the_end(played: Played, direct: Backend) -> None:
    session = played.session
    assert session.transaction.status.value == direct.status
    if session.attached is not None:
        assert not session.attached.expected
        assert session.attached.idle is (direct.status == "I")
        assert not session.attached.answers.enlisted
    assert list(session.channels) == list(direct.channels)
    assert played.listening == set(direct.channels)
    committed = [effect for effects in played.committed for effect in effects if isinstance(effect, Notify)]
    assert played.backend.notified + Counter((each.channel, each.payload) for each in committed) == direct.notified


# When it is idle


def test_it_is_idle_between_two_commands_outside_a_transaction() -> None:
    conversation = attached()
    assert conversation.attached.idle
    conversation.query("SELECT 2")
    assert not conversation.attached.idle
    conversation.answer("C(SELECT 1) Z")
    assert conversation.attached.idle


def test_it_is_not_in_a_transaction_or_a_pipeline() -> None:
    conversation = attached()
    conversation.query("BEGIN")
    conversation.answer("C(BEGIN) Z(T)")
    assert not conversation.attached.idle
    conversation = attached()
    conversation.say(parse("SELECT 2"), FLUSH)
    conversation.answer("1")
    assert not conversation.attached.idle
    conversation.say(SYNC)
    conversation.answer("Z")
    assert conversation.attached.idle


@pytest.mark.parametrize("end", [Query(b"SELECT 2"), CALL])
def test_a_pipeline_may_end_without_sync(end: Query) -> None:
    conversation = attached()
    conversation.say(parse("SELECT 2"), end)
    conversation.answer("1 Z")
    assert conversation.attached.idle


def test_who_listens_is_known_from_what_is_sent_to_what_is_committed() -> None:
    conversation = attached(FakeRelay(OWN))
    assert not conversation.attached.listens
    conversation.query("BEGIN; LISTEN a")
    assert conversation.attached.listens
    conversation.answer("C(BEGIN) C(UNLISTEN) Z(T)")
    conversation.query("COMMIT")
    assert conversation.attached.listens
    conversation.answer("C(COMMIT) Z")
    assert conversation.attached.listens
    conversation.query("UNLISTEN *")
    conversation.answer("C(UNLISTEN) Z")
    assert not conversation.attached.listens


# How it ends


def test_a_client_whose_upstream_is_lost_is_told() -> None:
    conversation = attached()
    conversation.query("SELECT 2")
    (close_,) = conversation.attached.lose()
    assert close_ == Close("relay")
    assert conversation.session.replies == [ErrorResponse(LOST).encode()]
    assert (LOST.severity, LOST.sqlstate) == ("FATAL", "08006")


def test_in_the_middle_of_a_message_it_is_only_ended() -> None:
    conversation = attached()
    conversation.query("SELECT 2")
    conversation.upstream(b"D\0\0\0\x20")
    assert list(conversation.attached.lose()) == [Close("relay")]
    assert conversation.session.replies == []
    assert conversation.receive(b"?\0\0\0\4") == ["close: protocol"]


def test_who_has_been_told_by_the_server_is_not_told_again() -> None:
    conversation = attached()
    conversation.answer("E(FATAL 57P01)")
    assert list(conversation.attached.lose()) == [Close("relay")]
    assert conversation.session.replies == []
