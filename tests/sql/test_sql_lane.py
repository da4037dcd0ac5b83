"""The fast lane against PostgreSQL's grammar."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pglast.keywords import COL_NAME_KEYWORDS, RESERVED_KEYWORDS, TYPE_FUNC_NAME_KEYWORDS, UNRESERVED_KEYWORDS

from twistnotify.sql import channels, grammar
from twistnotify.sql.lane import REMEMBERED_HEADS, lane
from twistnotify.sql.statements import Listen, Notify, SqlSyntaxError

KEYWORDS = sorted(COL_NAME_KEYWORDS | RESERVED_KEYWORDS | TYPE_FUNC_NAME_KEYWORDS | UNRESERVED_KEYWORDS)

VERBS = st.sampled_from(["LISTEN", "NOTIFY", "listen", "nOtIfY", "UNLISTEN", "LI\u017fTEN", "NOT\u0130FY", "NOTIFYY"])
SPACES = st.sampled_from(["", " ", " ", " ", "\n\t", "\f\r", "\v", "\xa0", "\x1c", "/**/", "--\n", "  "])
NAMES = st.one_of(
    st.sampled_from(KEYWORDS).flatmap(lambda word: st.sampled_from([word, word.upper(), f'"{word}"'])),
    st.from_regex(r'[A-Za-z_\xe9][A-Za-z0-9_$\xe9]{0,4}|"[^\0\ud800]{0,3}"', fullmatch=True),
    st.integers(60, 70).flatmap(lambda n: st.sampled_from(["a" * n, "B" * n, '"' + "c" * n + '"', "\xe9" * (n // 2)])),
    st.sampled_from(["*", "1a", "a.b", 'U&"a"', "'a'", "\u212a", '"a.b:c-d/e f"', '"a""b"', '""']),
)
PAYLOADS = st.one_of(
    st.just(""),
    st.text(st.sampled_from("ab'\\\n;\xe9\0\ud800\"$-"), max_size=6).map(lambda s: f", '{s}'"),
    st.text(max_size=6).map(lambda s: f",'{s}'"),
    st.sampled_from([", E'\\n'", ", U&'a'", ", $$a$$", ", 'a'\n'b'", ", 'a' 'b'", ", 1", ",", ", ''", ", 'x'::text"]),
)
ENDS = st.sampled_from(["", "", ";", " ; ", ";;", " -- x", "; LISTEN b", "x", "\v"])
TEXTS = st.tuples(VERBS, SPACES, NAMES, SPACES, PAYLOADS, SPACES, ENDS).map("".join)


def judged(text: str) -> Listen | Notify:
    grammar.check(text)
    (tree,) = grammar.trees(text)
    return channels.channel_statement(tree.stmt, text)  # type: ignore[return-value]


@settings(deadline=None, max_examples=1_000)
@given(TEXTS)
def test_what_the_lane_accepts_the_grammar_reads_alike(text: str) -> None:
    plain = lane(text)
    assert plain is None or plain == judged(text)


@pytest.mark.parametrize("word", KEYWORDS)
def test_the_lane_knows_which_keywords_are_names(word: str) -> None:
    try:
        expected: Listen | None = judged(f"LISTEN {word}")  # type: ignore[assignment]
    except SqlSyntaxError:
        expected = None
    assert lane(f"LISTEN {word}") == expected
    assert lane(f"NOTIFY {word.upper()}") == (expected and Notify(word, ""))


@pytest.mark.parametrize(
    ("text", "statement"),
    [
        ("LISTEN a", Listen("a")),
        ('listen "A b"; ', Listen("A b")),
        ("LISTEN " + "A" * 63, Listen("a" * 63)),
        ('LISTEN "select"', Listen("select")),
        ("NOTIFY a", Notify("a", "")),
        ("NOTIFY Jobs_1, 'done';", Notify("jobs_1", "done")),
        ("notify\n\"a.b\" ,'\xe9\n'", Notify("a.b", "\xe9\n")),
    ],
)
def test_the_lane_takes_plain_texts(text: str, statement: Listen | Notify) -> None:
    assert lane(text) == statement


@pytest.mark.parametrize(
    "text",
    [
        "",
        "LISTEN",
        "LISTEN select",
        "NOTIFY left",
        "LISTEN " + "a" * 64,
        'LISTEN ""',
        "LISTEN a, 'x'",
        "NOTIFY a, 'it''s'",
        "NOTIFY a, 'back\\slash'",
        "NOTIFY a, '\0'",
        "NOTIFY a, '\xe9\udc80'",
        "NOTIFY a, E'x'",
        "NOTIFY a; NOTIFY b",
        "NOTIFY\xa0a",
        "LI\u017fTEN a",
    ],
)
def test_the_lane_leaves_all_else_to_the_grammar(text: str) -> None:
    assert lane(text) is None


def test_a_notify_of_the_lane_is_a_frozen_value_like_any_other() -> None:
    plain = lane("NOTIFY a, 'x'")
    assert plain == Notify("a", "x")
    assert hash(plain) == hash(Notify("a", "x"))
    assert repr(plain) == repr(Notify("a", "x"))


def test_heads_are_remembered_within_bounds() -> None:
    for number in range(REMEMBERED_HEADS + 10):
        assert lane(f"NOTIFY c{number}, 'x'") == Notify(f"c{number}", "x")
        assert lane(f"NOTIFY c{number}, 'y'") == Notify(f"c{number}", "y")
    assert 0 < len(sys.modules["twistnotify.sql.lane"]._heads) <= REMEMBERED_HEADS
