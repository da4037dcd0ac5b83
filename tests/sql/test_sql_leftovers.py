"""The question about leftovers: what it asks is tried out on PostgreSQL by tests/integration/test_relay_idle.py."""

from __future__ import annotations

import re

from pglast import ast
from pglast.parser import parse_sql

from twistnotify.sql.leftovers import NO_SEQUENCE, QUESTION, SESSION
from twistnotify.sql.statements import PARAMETERS


def test_it_is_three_statements() -> None:
    assert [type(tree.stmt) for tree in parse_sql(QUESTION)] == [ast.SelectStmt, ast.SelectStmt, ast.DoStmt]


def test_nobodys_search_path_can_put_others_in_the_place_of_what_it_names() -> None:
    found = re.findall(r"(?:FROM|JOIN) (\w+)\b(?!\.)|(?<![.\w])([a-z_]+)\(", QUESTION)
    assert found == []


def test_it_means_the_same_whatever_the_client_has_set() -> None:
    assert "\\" not in QUESTION
    assert QUESTION.isascii()


def test_every_setting_that_is_kept_is_asked_for() -> None:
    assert all(f"'{name}'" in QUESTION for name in PARAMETERS)
    assert f"source = '{SESSION}'" in QUESTION


def test_the_notice_is_raised_as_what_is_always_sent() -> None:
    assert f"RAISE INFO ''{NO_SEQUENCE}''" in QUESTION
