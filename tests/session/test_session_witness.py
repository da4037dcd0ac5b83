"""What a client has sent clears it only if every text could be read and left nothing behind."""

from __future__ import annotations

import pytest
from conversation import FLUSH, SYNC, FrontendPacket, bind, close, close_statement, describe, execute, parse, run
from relayed import CALL, Relayed, attached, relayed

from twistnotify.session.session import Limits
from twistnotify.session.witness import Witness
from twistnotify.wire.extended_query import Parse
from twistnotify.wire.simple_query import Query

BODY = parse("SELECT now()").encode()[5:]
LONG = "SELECT '{}'".format(300 * "x")
SHORT = Limits(message=200, channels=10)


def watched(limits: Limits = Limits(100_000, 100), **parameters: str) -> Relayed:  # noqa: B008 - a frozen value
    """Return an attached conversation that is looked at."""
    conversation = attached(None, limits, **parameters)
    conversation.attached.watch()
    return conversation


def witness(conversation: Relayed) -> Witness:
    assert conversation.attached.witness is not None
    return conversation.attached.witness


# What leaves nothing behind


@pytest.mark.parametrize(
    ("messages", "answer"),
    [
        ([Query(b"SELECT now()")], "C(SELECT 1) Z"),
        ([Query(b"BEGIN; LISTEN a; COMMIT")], "C(BEGIN) C(UNLISTEN) C(COMMIT) Z"),
        ([*run("SELECT $1::text", "it's\\"), SYNC], "1 2 C(SELECT 1) Z"),
        ([*run("UPDATE t SET a = 1"), FLUSH, SYNC], "1 2 C(UPDATE 1) Z"),
        ([parse("SELECT now()"), bind(portal="p"), describe("p"), execute("p"), close("p"), SYNC], "1 2 n C(S) 3 Z"),
        ([Query("SELECT 'ä\\'".encode())], "C(SELECT 1) Z"),
    ],
)
def test_what_is_harmless_clears(messages: list[FrontendPacket], answer: str) -> None:
    conversation = watched()
    conversation.say(*messages)
    assert not conversation.attached.may_detach
    conversation.answer(answer)
    assert witness(conversation).clears
    assert conversation.attached.may_detach


@pytest.mark.parametrize(
    ("messages", "answer"),
    [
        ([Query(b"SELECT set_config('a.b', 'c', false)")], "C(SELECT 1) Z"),
        ([Query(b"SELECT '\xff'")], "E(22021) Z"),
        ([parse("SELECT now()", "s"), SYNC], "1 Z"),
        ([*run("SELECT f()"), SYNC], "1 2 C(SELECT 1) Z"),
        ([CALL], "V(x) Z"),
    ],
)
def test_what_may_leave_something_does_not_clear_for_good(messages: list[FrontendPacket], answer: str) -> None:
    conversation = watched()
    conversation.say(*messages)
    conversation.answer(answer)
    conversation.query("SELECT now()")
    conversation.answer("C(SELECT 1) Z")
    assert not witness(conversation).clears
    assert not conversation.attached.may_detach


@pytest.mark.parametrize("message", [Query(LONG.encode()), parse(LONG)])
def test_what_is_too_long_to_be_read_does_not_clear(message: FrontendPacket) -> None:
    conversation = watched(SHORT)
    conversation.say(message)
    assert not witness(conversation).clears


def test_a_bind_of_any_length_clears() -> None:
    conversation = watched(SHORT)
    conversation.say(*run("SELECT $1::text", 300 * "x"), SYNC)
    conversation.answer("1 2 C(SELECT 1) Z")
    assert conversation.attached.may_detach


@pytest.mark.parametrize("text", ["SELECT 'ä'", "SELECT E'\\\\'"])
def test_what_a_setting_on_its_way_may_change_the_meaning_of_does_not_clear(text: str) -> None:
    conversation = watched()
    conversation.say(Query(b"SET standard_conforming_strings = off"), Query(b"SELECT now()"))
    assert witness(conversation).clears
    conversation.query(text)
    assert not witness(conversation).clears


def test_a_backslash_that_is_an_escape_everywhere_does_not_clear() -> None:
    conversation = watched()
    conversation.query("SET standard_conforming_strings = off")
    conversation.answer("S(standard_conforming_strings=off) C(SET) Z")
    conversation.query("SELECT 'a\\' || pg_advisory_lock(1) || '\\'")
    assert not witness(conversation).clears


# The unnamed statement


def test_the_last_statement_without_a_name_is_known() -> None:
    conversation = watched()
    conversation.say(parse("SELECT 2"), SYNC)
    conversation.say(parse("SELECT now()"), SYNC)
    conversation.answer("1 Z 1 Z")
    assert witness(conversation).unnamed == BODY


@pytest.mark.parametrize("message", [Query(b"SELECT now()"), close_statement()])
def test_a_query_or_close_ends_it(message: FrontendPacket) -> None:
    conversation = watched()
    conversation.say(parse("SELECT now()"), SYNC, message)
    assert witness(conversation).unnamed is None


@pytest.mark.parametrize("message", [close_statement("s"), close(), bind(), describe()])
def test_nothing_else_does(message: FrontendPacket) -> None:
    conversation = watched()
    conversation.say(parse("SELECT now()"), message)
    assert witness(conversation).unnamed == BODY


def test_the_one_that_was_there_when_the_client_was_attached_is_known() -> None:
    conversation = relayed()
    conversation.say(parse("LISTEN a"), parse("SELECT now()", "s"), SYNC)
    conversation.answer("1 Z")
    conversation.attached.watch()
    unnamed = witness(conversation).unnamed
    assert unnamed is not None
    assert Parse.decode(unnamed).sql == b"LISTEN a"


def test_behind_an_error_it_may_be_another() -> None:
    conversation = watched()
    conversation.say(*run("SELECT 2"), SYNC)
    conversation.answer("1 2 E(22012) Z")
    assert not conversation.attached.may_detach
    conversation.query("SELECT now()")
    conversation.answer("C(SELECT 1) Z")
    assert conversation.attached.may_detach


@pytest.mark.parametrize("message", [parse("SELECT now()"), close_statement(), Query(b"SELECT now()")])
def test_what_is_passed_over_behind_an_error_changes_nothing_that_is_known(message: FrontendPacket) -> None:
    conversation = watched()
    conversation.say(*run("SELECT 2"))
    conversation.answer("1 2 E(22012)")
    conversation.say(message)
    assert not witness(conversation).clears
    conversation.say(SYNC)
    conversation.answer("Z")
    assert not conversation.attached.may_detach


def test_an_error_of_a_query_leaves_nothing_in_doubt() -> None:
    conversation = watched()
    conversation.query("SELECT 1/a FROM t")
    conversation.answer("E(22012) Z")
    assert conversation.attached.may_detach
