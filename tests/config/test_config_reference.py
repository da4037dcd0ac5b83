"""The configuration page: made from the tables, with every row in it."""

import re
from pathlib import Path

from twistnotify.config.loader import load
from twistnotify.config.options import DATABASE_KEYWORDS, OPTIONS, REFUSED_KEYWORDS
from twistnotify.config.reference import render_markdown

PAGE = Path(__file__).parents[2] / "docs" / "configuration.md"


def test_page_is_the_rendered_one() -> None:
    # Made by: python -c 'from twistnotify.config.reference import *; print(render_markdown(), end="")'
    assert PAGE.read_text(encoding="utf-8") == render_markdown()


def test_every_setting_is_a_row() -> None:
    for option in OPTIONS:
        row = f"| `{option.name}` | `{option.default}` | {option.kind.describe()} | {option.doc} |\n"
        assert row in render_markdown()


def test_every_keyword_is_a_row() -> None:
    for keyword in DATABASE_KEYWORDS:
        assert f"| `{keyword.name}` | {keyword.kind.describe()} | {keyword.doc} |\n" in render_markdown()


def test_examples_of_databases_work() -> None:
    examples = re.findall(r"(?m)^    (\w+ = host=.*)$", render_markdown())
    text = "\n".join(["[databases]", *examples, "[shards]", "app0 = host=10.0.0.1", "app1 = host=10.0.0.2"])
    small, app = load(text, "x.ini").databases.values()
    assert (small.relay and small.relay.shard, app.relay and app.relay.shard) == ("small", "app0")


def test_refused_keywords_are_told() -> None:
    assert all(f"`{name}`" in render_markdown() for name in REFUSED_KEYWORDS)


def test_no_cell_holds_a_bar_that_would_split_it() -> None:
    cells = [row.doc + row.kind.describe() for row in OPTIONS]
    cells += [row.doc + row.kind.describe() for row in DATABASE_KEYWORDS]
    assert not [cell for cell in cells if "|" in cell]
