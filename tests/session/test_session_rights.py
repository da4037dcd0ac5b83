"""What a user may LISTEN to and NOTIFY on, as far as the configuration narrows it."""

import pytest
from conversation import SYNC, Conversation, bind, execute, logged_in, parse
from relayed import FakeRelay, attached, forwarded, told

from twistnotify.auth.rights import ChannelRule, Rights, UserRights
from twistnotify.wire.notification import NotificationResponse

RULES = (
    ChannelRule("jobs", frozenset(("alice",)), frozenset(("bob",))),
    ChannelRule("orders.*", frozenset(("bob",)), frozenset(("alice",))),
    ChannelRule("closed.*", frozenset(), frozenset()),
)
RIGHTS = Rights(RULES, True)
DENIED = 'ERROR 42501 permission denied for channel "{}"'
ONE_SHARD = FakeRelay(None)


def of(user: str, rights: Rights = RIGHTS) -> UserRights:
    found = rights.of(user)
    assert found is not None
    return found


def alice() -> Conversation:
    conversation = logged_in()
    conversation.session.rights = of("alice")
    return conversation


@pytest.mark.parametrize("sql", ["LISTEN jobs", "NOTIFY \"orders.new\", '1'", "LISTEN other", "NOTIFY other"])
def test_what_is_allowed_is_done(sql: str) -> None:
    conversation = alice()
    assert conversation.query(sql)[-1] == "Z(I)"
    assert len(conversation.committed) == 1


@pytest.mark.parametrize(
    ("sql", "channel"),
    [
        ('LISTEN "orders.new"', "orders.new"),
        ("NOTIFY jobs", "jobs"),
        ("SELECT pg_notify('jobs', 'x')", "jobs"),
        ('DO $$BEGIN LISTEN other; LISTEN "closed.a"; END$$', "closed.a"),
        ("LISTEN other; NOTIFY jobs, 'x'", "jobs"),
    ],
)
def test_what_is_not_is_refused_as_postgresql_refuses(sql: str, channel: str) -> None:
    conversation = alice()
    lines = conversation.query(sql)
    assert DENIED.format(channel) in lines
    assert lines[-1] == "Z(I)"
    assert conversation.committed == []


def test_so_it_is_in_the_extended_protocol() -> None:
    conversation = alice()
    lines = conversation.say(parse("SELECT pg_notify($1, 'x')"), bind(b"jobs"), execute(), SYNC)
    assert DENIED.format("jobs") in lines


def test_a_name_that_postgresql_refuses_is_refused_for_that() -> None:
    conversation = alice()
    assert "ERROR 22023 channel name cannot be empty" in conversation.query("SELECT pg_notify('', 'x')")
    too_long = "x" * 64
    assert "ERROR 22023 channel name too long" in conversation.query(f"SELECT pg_notify('{too_long}', 'x')")


def test_losses_are_told_to_everybody_who_listens() -> None:
    conversation = logged_in()
    conversation.session.rights = of("alice", Rights((ChannelRule("*", frozenset(), frozenset()),), False))
    assert conversation.query("LISTEN twistnotify_gap")[-1] == "Z(I)"
    assert conversation.committed


def test_other_rights_end_what_was_allowed_before() -> None:
    conversation = alice()
    for sql in ("LISTEN jobs", "LISTEN other", "LISTEN twistnotify_gap"):
        conversation.query(sql)
    narrow = of("alice", Rights((ChannelRule("jobs", None, None),), False))
    conversation.session.revoke(narrow)
    assert list(conversation.session.channels) == ["jobs", "twistnotify_gap"]
    assert DENIED.format("other") in conversation.query("LISTEN other")
    conversation.session.revoke(None)
    assert conversation.query("LISTEN other")[-1] == "Z(I)"


def test_unlisten_needs_no_right() -> None:
    conversation = alice()
    assert conversation.query('UNLISTEN "closed.a"')[-1] == "Z(I)"


# With an upstream


@pytest.mark.parametrize("relay", [ONE_SHARD, FakeRelay(frozenset(("own",)))], ids=["one shard", "several"])
@pytest.mark.parametrize(
    ("sql", "channel"),
    [
        ('LISTEN "orders.new"', "orders.new"),
        ("NOTIFY jobs, 'x'", "jobs"),
        ("SELECT pg_notify('jobs', 'x')", "jobs"),
        ('DO $$BEGIN LISTEN other; LISTEN "closed.a"; END$$', "closed.a"),
    ],
)
def test_the_upstream_raises_what_is_refused_here(relay: FakeRelay, sql: str, channel: str) -> None:
    conversation = attached(relay)
    conversation.session.rights = of("alice")
    (line,) = forwarded(conversation.query(sql))
    assert "42501" in line
    assert f'permission denied for channel "{channel}"' in line


@pytest.mark.parametrize("sql", ["NOTIFY other, 'x'", 'NOTIFY "orders.new"', "SELECT pg_notify('other', 'x')"])
def test_what_is_allowed_goes_on_as_it_is(sql: str) -> None:
    conversation = attached(ONE_SHARD)
    conversation.session.rights = of("alice")
    assert forwarded(conversation.query(sql)) == [f"Q({sql})"]


def test_a_prepared_notify_is_refused_when_it_is_parsed() -> None:
    conversation = attached(ONE_SHARD)
    conversation.session.rights = of("alice")
    (line,) = forwarded(conversation.say(parse("NOTIFY jobs")))
    assert "42501" in line
    assert told(conversation.lines) == []


def test_a_listen_hidden_from_us_brings_nothing_that_is_not_allowed() -> None:
    conversation = attached(ONE_SHARD)
    conversation.session.rights = of("alice")
    allowed, denied = (NotificationResponse(7, channel, "x") for channel in ("other", "orders.new"))
    assert conversation.upstream(allowed, denied) == ["NotificationResponse"]
