"""The configuration page: made from the tables, with every row in it."""

import re
from fnmatch import fnmatch
from pathlib import Path

from twistnotify.config.loader import load
from twistnotify.config.model import ChannelConfig
from twistnotify.config.options import CHANNEL_KEYWORDS, DATABASE_KEYWORDS, OPTIONS, REFUSED_KEYWORDS
from twistnotify.config.reference import render_markdown
from twistnotify.config.reload import RELOADABLE

PAGE = Path(__file__).parents[2] / "docs" / "configuration.md"


def test_page_is_the_rendered_one() -> None:
    # Made by: python -c 'from twistnotify.config.reference import *; print(render_markdown(), end="")'
    assert PAGE.read_text(encoding="utf-8") == render_markdown()


def test_every_setting_is_a_row() -> None:
    for option in OPTIONS:
        default = f"`{option.default}`" if option.default else ""
        row = f"| `{option.name}` | {default} | {option.kind.describe()} | {option.doc} |\n"
        assert row in render_markdown()


def test_every_keyword_is_a_row() -> None:
    for keyword in DATABASE_KEYWORDS + CHANNEL_KEYWORDS:
        assert f"| `{keyword.name}` | {keyword.kind.describe()} | {keyword.doc} |\n" in render_markdown()


def test_examples_of_databases_work() -> None:
    examples = re.findall(r"(?m)^    (\w+ = host=.*)$", render_markdown())
    text = "\n".join(
        [
            "[twistnotify]",
            "auth_type = trust",
            "[databases]",
            *examples,
            "[shards]",
            "app0 = host=10.0.0.1",
            "app1 = host=10.0.0.2",
        ]
    )
    small, app = load(text, "x.ini").databases.values()
    assert (small.relay and small.relay.shard, app.relay and app.relay.shard) == ("small", "app0")


def test_examples_of_channels_work() -> None:
    examples = re.findall(r"(?m)^    (\S+ = (?:listen|notify)=[a-z*@].*)$", render_markdown())[-3:]
    head = ["[twistnotify]", "auth_type = trust", "[databases]", "d =", "[groups]", "staff = alice", "[channels]"]
    channels = load("\n".join([*head, *examples]), "x.ini").channels
    assert channels == (
        ChannelConfig("orders.new", ("app", "alice"), ("app",)),
        ChannelConfig("orders.*", ("alice",), ()),
        ChannelConfig("*", None, None),
    )


def test_settings_that_a_reload_changes_are_told() -> None:
    told = re.search(r"The settings (.*?) and the\n", render_markdown())
    assert told
    patterns = re.findall(r"`(.*?)`", told[1])
    assert {option.name for option in OPTIONS if any(fnmatch(option.name, p) for p in patterns)} == RELOADABLE


def test_refused_keywords_are_told() -> None:
    assert all(f"`{name}`" in render_markdown() for name in REFUSED_KEYWORDS)


def test_no_cell_holds_a_bar_that_would_split_it() -> None:
    cells = [row.doc + row.kind.describe() for row in OPTIONS]
    cells += [row.doc + row.kind.describe() for row in DATABASE_KEYWORDS + CHANNEL_KEYWORDS]
    assert not [cell for cell in cells if "|" in cell]
