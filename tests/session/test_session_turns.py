"""Pipelines in which one command depends on what another, still unanswered, will have done."""

from __future__ import annotations

import pytest
from conversation import LIMITS, SYNC, bind, execute, parse
from relayed import FakeRelay, attached

from twistnotify.session import requests
from twistnotify.session.execution import MAX_LISTINGS
from twistnotify.session.names import MAX_VALUE
from twistnotify.session.prepared import MAX_KEPT_BYTES
from twistnotify.session.session import Limits
from twistnotify.wire.simple_query import Query

OWN = FakeRelay(frozenset(("own", "x")))


def test_a_client_is_not_registered_before_what_it_sent_first_is_answered() -> None:
    conversation = attached(OWN)
    sent = conversation.say(Query(b"SELECT 2"), Query(b"BEGIN; LISTEN x; NOTIFY x; COMMIT"))
    assert sent[-1] == "turn"
    assert not any(line.startswith("enlist") for line in sent)
    answered = conversation.answer("T D(2) C(SELECT 1) Z")
    assert "withdraw x" not in answered
    assert "enlist x" in answered
    assert conversation.answer("C(BEGIN) C(UNLISTEN) C(NOTIFY) C(COMMIT) Z")[-1] == "Z(I)"
    assert conversation.listening == {"x"}


def test_a_text_with_backslashes_waits_for_a_set_that_is_on_its_way() -> None:
    conversation = attached(OWN)
    sent = conversation.say(Query(b"SET standard_conforming_strings = off"), Query(b"SELECT 'it\\'; LISTEN x; --'"))
    assert sent[-1] == "turn"
    passed = conversation.answer("C(SET) S(standard_conforming_strings=off) Z")
    assert passed[-1].endswith("LISTEN x; --')")


def test_a_refused_listen_is_not_listened_to() -> None:
    conversation = attached(OWN, Limits(LIMITS.message, 2))
    conversation.query("LISTEN a; LISTEN b; LISTEN c")
    assert "enlist a, b" in conversation.lines
    assert list(conversation.attached.requests.foreseen) == []


def test_a_savepoint_that_was_not_read_keeps_what_came_before_it() -> None:
    conversation = attached(OWN, Limits(1000, 100))
    conversation.query("BEGIN; LISTEN x; SAVEPOINT s")
    conversation.answer("C(BEGIN) C(UNLISTEN) C(SAVEPOINT) Z(T)")
    conversation.query("ROLLBACK TO s --" + " " * 1000)
    conversation.answer("C(ROLLBACK) Z(T)")
    conversation.query("COMMIT")
    conversation.answer("C(COMMIT) Z")
    assert conversation.listening == {"x"}


def test_a_rollback_that_was_not_read_ends_what_came_before_it() -> None:
    conversation = attached(OWN, Limits(1000, 100))
    conversation.query("BEGIN; LISTEN x")
    conversation.answer("C(BEGIN) C(UNLISTEN) Z(T)")
    conversation.query("ROLLBACK --" + " " * 1000)
    conversation.answer("C(ROLLBACK) Z")
    assert conversation.listening == set()


def test_a_copy_that_fails_at_once_has_the_sync_behind_it_answered() -> None:
    conversation = attached(OWN)
    conversation.say(parse("COPY view FROM STDIN"), bind(), execute(), SYNC)
    assert conversation.answer("1 2 G E(42809) Z")[-1] == "Z(I)"
    conversation.query("SELECT 2")
    assert conversation.answer("T D(2) C(SELECT 1) Z")[-1] == "Z(I)"
    assert not conversation.attached.expected


def test_a_copy_that_fails_later_has_not() -> None:
    conversation = attached(OWN)
    conversation.say(parse("COPY t FROM STDIN"), bind(), execute(), SYNC)
    conversation.answer("1 2 G E(22P02)")
    conversation.say(SYNC)
    assert conversation.answer("Z")[-1] == "Z(I)"
    assert not conversation.attached.expected


def test_a_long_named_statement_of_concern_is_refused() -> None:
    conversation = attached(OWN)
    conversation.say(parse("NOTIFY own, '" + "x" * MAX_KEPT_BYTES + "'", "s"))
    assert b"53400" in conversation.passed
    conversation.say(parse("NOTIFY own, '" + "y" * MAX_KEPT_BYTES + "'"))
    assert b"yyy" in conversation.passed


def test_stand_ins_make_a_query_longer_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "MAX_GROWTH", 100)
    conversation = attached(OWN)
    conversation.query("; ".join(["SELECT 2", *["SELECT pg_listening_channels()"] * 20]))
    assert b"54000" in conversation.passed


def test_a_query_lists_channels_so_many_times_and_no_more() -> None:
    conversation = attached(OWN)
    detached = type(conversation)(admission=conversation.admission, parameters={})
    text = "SELECT pg_listening_channels();"
    assert detached.query(text * MAX_LISTINGS)[-1] == "Z(I)"
    assert detached.query(text * (MAX_LISTINGS + 1))[0].startswith("ERROR 54000")
    assert detached.query("SELECT 1;" * (MAX_LISTINGS + 1))[-1] == "Z(I)"


def test_a_value_that_no_payload_can_have_is_not_kept() -> None:
    conversation = attached(OWN)
    conversation.say(parse("SELECT pg_notify('a', $1)"), bind("x" * (MAX_VALUE + 1)), execute(), SYNC)
    conversation.answer("1 2")
    (run,) = conversation.attached.names.portals.values()
    assert run.arguments == ()
    assert conversation.answer("E(22023) Z")[-1] == "Z(I)"
