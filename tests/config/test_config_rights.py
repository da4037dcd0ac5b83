"""[channels] and [groups]: who may LISTEN and NOTIFY on which channels."""

from collections.abc import Sequence

import pytest

from twistnotify.config.loader import ConfigurationError, load
from twistnotify.config.model import ChannelConfig

HEAD = "[twistnotify]\nauth_type = trust\n[databases]\nd = host=h\n"
GROUPS = "[groups]\nstaff = alice, bob\nnight = bob,the owl\nempty =\n"
HEAD_LINES = 4

Said = tuple[int, str, str | None, str]


def channels_of(lines: str) -> tuple[ChannelConfig, ...]:
    return load(f"{HEAD}{GROUPS}[channels]\n{lines}\n", "x.ini").channels


def said_of(text: str) -> list[Said]:
    """Return what is wrong with a text behind the head, its lines counted from there."""
    with pytest.raises(ConfigurationError) as caught:
        load(HEAD + text, "x.ini")
    problems = caught.value.problems
    return [(problem.line - HEAD_LINES, str(problem.section), problem.key, problem.message) for problem in problems]


def test_there_may_be_no_rights() -> None:
    assert load(HEAD, "x.ini").channels == ()
    assert channels_of("") == ()


@pytest.mark.parametrize(
    ("line", "channel"),
    [
        ("jobs = listen=app notify=web", ChannelConfig("jobs", ("app",), ("web",))),
        ("jobs = notify=a,b listen=*", ChannelConfig("jobs", None, ("a", "b"))),
        ("orders.* = listen=app", ChannelConfig("orders.*", ("app",), ())),
        ("orders.* = notify=*", ChannelConfig("orders.*", (), None)),
        ("* = listen='' notify=''", ChannelConfig("*", (), ())),
        ("jobs =", ChannelConfig("jobs", (), ())),
        ("jobs = listen='the owl, it''s me'", ChannelConfig("jobs", ("the owl", "it's me"), ())),
        ("two words! = listen=*", ChannelConfig("two words!", None, ())),
        ("é" * 31 + "x* = listen=*", ChannelConfig("é" * 31 + "x*", None, ())),
    ],
)
def test_line_says_who_may_listen_and_notify(line: str, channel: ChannelConfig) -> None:
    assert channels_of(line) == (channel,)


@pytest.mark.parametrize(
    ("listed", "users"),
    [
        ("@staff", ("alice", "bob")),
        ("'app, @night'", ("app", "bob", "the owl")),
        ("@staff,alice,@night", ("alice", "bob", "the owl")),
        ("@empty", ()),
        ("staff", ("staff",)),
    ],
)
def test_group_is_its_users_each_of_them_once(listed: str, users: tuple[str, ...]) -> None:
    assert channels_of(f"c = listen={listed} notify={listed}") == (ChannelConfig("c", users, users),)


def test_channels_stand_in_the_order_of_the_file() -> None:
    lines = "b.x = listen=a\nb.* = listen=a\na = listen=a\nb* = listen=a\n* = listen=a"
    assert [channel.pattern for channel in channels_of(lines)] == ["b.x", "b.*", "a", "b*", "*"]


def test_groups_may_stand_behind_the_channels() -> None:
    config = load(f"{HEAD}[channels]\nc = listen=@staff\n{GROUPS}", "x.ini")
    assert config.channels == (ChannelConfig("c", ("alice", "bob"), ()),)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "[channels]\n* = listen=*\njobs = listen=a\n",
            [(3, "channels", "jobs", "this can never match: line 6 matches all of it, and comes first")],
        ),
        (
            "[channels]\na = listen=*\na.* = listen=*\na.b = listen=a\na.b.* = listen=a\n",
            [
                (4, "channels", "a.b", "this can never match: line 7 matches all of it, and comes first"),
                (5, "channels", None, "this can never match: line 7 matches all of it, and comes first"),
            ],
        ),
        ("[channels]\n*.new = listen=*\n", [(2, "channels", None, "* can only be the last character of a pattern")]),
        ("[channels]\na** = listen=*\n", [(2, "channels", None, "* can only be the last character of a pattern")]),
        (
            f"[channels]\n{'a' * 64} = listen=*\n{'é' * 32}* = listen=*\n",
            [
                (2, "channels", None, "a channel's name has at most 63 bytes"),
                (3, "channels", None, "a channel's name has at most 63 bytes"),
            ],
        ),
        (
            "[channels]\na = listen=b\na = notify=b\n",
            [(3, "channels", "a", "this key is there twice, first in line 6")],
        ),
        (
            "[channels]\na = lisden=b notify=c notify=d\n",
            [
                (2, "channels", "a", 'unknown keyword "lisden"; did you mean "listen"?'),
                (2, "channels", "a", "notify is there twice"),
            ],
        ),
        (
            "[channels]\na = listen=b notify=c, d\n",
            [
                (
                    2,
                    "channels",
                    "a",
                    "the value of notify is not a list of users and groups with commas between them",
                ),
                (
                    2,
                    "channels",
                    "a",
                    "what follows the value of notify is not keyword=value (a value with blanks needs single quotes)",
                ),
            ],
        ),
        (
            "[channels]\na = listen=@stuff,@stuff notify=@zzz\n[groups]\nstaff = b\n",
            [
                (2, "channels", "a", 'group "stuff" is not in [groups]; did you mean "staff"?'),
                (2, "channels", "a", 'group "zzz" is not in [groups]'),
            ],
        ),
        # A group that is wrong is there all the same.
        (
            "[channels]\na = listen=@g\n[groups]\ng = b,,c\n",
            [(4, "groups", "g", "a user's name is empty")],
        ),
        ("[groups]\na = b,@c\nc = d\n", [(2, "groups", "a", "a group cannot hold a group")]),
        ("[groups]\na = *\n", [(2, "groups", "a", "* is not a user; it belongs on a line of [channels]")]),
        ("[groups]\na b = c\n", [(2, "groups", None, "a name is 1 to 63 letters, digits and characters of _ . $ -")]),
    ],
)
def test_line_that_is_wrong_is_told_with_its_place(text: str, said: Sequence[Said]) -> None:
    assert said_of(text) == list(said)
