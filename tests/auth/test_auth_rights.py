"""Who may listen and who may notify: the first rule that covers a channel decides."""

from __future__ import annotations

import gc
from weakref import ref

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twistnotify.auth import rights as module
from twistnotify.auth.rights import REMEMBERED_CHANNELS, ChannelRule, Rights, UserRights

APP = frozenset({"app"})
STAFF = frozenset({"alice", "bob"})
NOBODY: frozenset[str] = frozenset()


def rights_of(user: str, *rules: ChannelRule, default: bool = True) -> UserRights:
    rights = Rights(rules, default).of(user)
    assert rights is not None
    return rights


def judged(rights: UserRights, channel: str) -> tuple[bool, bool]:
    return rights.may_listen(channel), rights.may_notify(channel)


# Patterns


@pytest.mark.parametrize(
    ("pattern", "covered", "others"),
    [
        ("orders", ["orders"], ["order", "orders.new", "Orders", ""]),
        ("orders.*", ["orders.", "orders.new", "orders.new.*"], ["orders", "orders,new", "x.orders.new"]),
        ("*", ["", "*", "orders", "é"], []),
        ("a*b", ["a*b"], ["ab", "axb"]),
        ("a**", ["a*", "a*b"], ["a", "ab"]),
        ("[a]?", ["[a]?"], ["a", "ab"]),
        ("", [""], ["a"]),
    ],
)
def test_a_pattern_covers_a_name_or_a_beginning(pattern: str, covered: list[str], others: list[str]) -> None:
    rule = ChannelRule(pattern, None, None)
    assert all(map(rule.covers, covered))
    assert not any(map(rule.covers, others))


# Decisions


def test_listening_and_notifying_are_rights_of_their_own() -> None:
    rule = ChannelRule("orders", listen=STAFF, notify=APP)
    assert judged(rights_of("bob", rule), "orders") == (True, False)
    assert judged(rights_of("app", rule), "orders") == (False, True)
    assert judged(rights_of("eve", rule), "orders") == (False, False)


def test_none_is_everyone_and_an_empty_set_is_nobody() -> None:
    assert judged(rights_of("eve", ChannelRule("orders", None, NOBODY)), "orders") == (True, False)
    assert judged(rights_of("eve", ChannelRule("orders", NOBODY, None)), "orders") == (False, True)


def test_the_first_rule_that_covers_a_channel_decides() -> None:
    rules = (ChannelRule("orders.new", APP, APP), ChannelRule("orders.*", None, NOBODY), ChannelRule("*", NOBODY, APP))
    eve, app = rights_of("eve", *rules), rights_of("app", *rules)
    assert [judged(eve, channel) for channel in ("orders.new", "orders.old", "x")] == [
        (False, False),
        (True, False),
        (False, False),
    ]
    assert [judged(app, channel) for channel in ("orders.new", "orders.old", "x")] == [
        (True, True),
        (True, False),
        (False, True),
    ]


@pytest.mark.parametrize("default", [True, False])
def test_what_no_rule_covers_is_as_the_default_says(default: bool) -> None:
    rights = rights_of("eve", ChannelRule("orders", NOBODY, NOBODY), default=default)
    assert judged(rights, "other") == (default, default)


@pytest.mark.parametrize(
    ("rules", "default"),
    [
        ([], True),
        ([ChannelRule("orders", None, None)], True),
        ([ChannelRule("orders", None, None), ChannelRule("*", None, None)], False),
    ],
)
def test_there_is_nothing_to_ask_where_nobody_is_ever_refused(rules: list[ChannelRule], default: bool) -> None:
    assert Rights(rules, default).of("eve") is None


@pytest.mark.parametrize(
    ("rules", "default"),
    [
        ([], False),
        ([ChannelRule("orders*", None, None)], False),
        ([ChannelRule("orders", NOBODY, None)], True),
        ([ChannelRule("orders", None, APP)], True),
        ([ChannelRule("*", None, None), ChannelRule("orders", APP, None)], False),
    ],
)
def test_there_is_something_to_ask_where_somebody_may_be_refused(rules: list[ChannelRule], default: bool) -> None:
    assert Rights(rules, default).of("app") is not None


# Sharing and remembering


def test_sessions_of_a_user_share_their_rights() -> None:
    rights = Rights([ChannelRule("orders", APP, APP)], True)
    first, second, other = rights.of("app"), rights.of("app"), rights.of("eve")
    assert first is second
    assert first is not other


def test_rights_are_gone_with_the_last_session() -> None:
    rights = Rights([ChannelRule("orders", APP, APP)], True)
    held = rights.of("app")
    assert held is not None
    held.may_listen("orders")
    watched = ref(held)
    gc.disable()
    try:
        del held
        assert watched() is None
    finally:
        gc.enable()


def test_a_decision_is_remembered_up_to_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    decide = module._decide

    def counted(user: str, rules: tuple[ChannelRule, ...], default: bool, channel: str) -> tuple[bool, bool]:
        asked.append(channel)
        return decide(user, rules, default, channel)

    monkeypatch.setattr(module, "_decide", counted)
    rights = rights_of("app", ChannelRule("c1", NOBODY, None))
    assert judged(rights, "c1") == judged(rights, "c1") == (False, True)
    assert asked == ["c1"]
    for number in range(2, REMEMBERED_CHANNELS + 2):
        rights.may_notify(f"c{number}")
    assert judged(rights, "c1") == (False, True)
    assert len(asked) == REMEMBERED_CHANNELS + 2


users = st.sampled_from(["app", "alice", "eve"])
allowed = st.none() | st.frozensets(users)
rules = st.builds(ChannelRule, st.sampled_from(["*", "a", "a*", "ab", "b*", ""]), allowed, allowed)
channels = st.text("ab", max_size=3)


@given(st.lists(rules, max_size=4), st.booleans(), users, channels)
def test_nothing_to_ask_and_the_rules_never_disagree(
    rules: list[ChannelRule], default: bool, user: str, channel: str
) -> None:
    rule = next((rule for rule in rules if rule.covers(channel)), None)
    expected = (default, default)
    if rule is not None:
        expected = rule.listen is None or user in rule.listen, rule.notify is None or user in rule.notify
    rights = Rights(rules, default).of(user)
    assert (judged(rights, channel) if rights else (True, True)) == expected
