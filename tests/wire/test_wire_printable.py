"""What the network sends cannot pass for a line of a log, or for what is around it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twistnotify.wire.printable import LONGEST, printable


@pytest.mark.parametrize(
    "text", ["", "my app", "a\\x0a", '"it\'s" <%s> {0}', "Jürgen", "Ελλάδα", "日本語", "\U0001f418"]
)
def test_what_can_be_read_stays(text: str) -> None:
    assert printable(text) == text


def test_all_of_visible_ascii_stays() -> None:
    visible = "".join(map(chr, range(0x20, 0x7F)))
    assert printable(visible) == visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\nb", "a\\x0ab"),
        ("\r\n\t\0", "\\x0d\\x0a\\x09\\x00"),
        ("\x1b[2J", "\\x1b[2J"),
        ("\x7f\x85", "\\x7f\\x85"),
        ("\u2028\u2029", "\\u2028\\u2029"),
        ("\u202eabc\u2066", "\\u202eabc\\u2066"),
        ("\u200b\ufeff", "\\u200b\\ufeff"),
        (b"\xff".decode(errors="surrogateescape"), "\\udcff"),
        ("\U000e0041", "\\U000e0041"),
    ],
    ids=["line", "others of C0", "terminal", "DEL and C1", "separators", "direction", "unseen", "no UTF-8", "tag"],
)
def test_what_is_harmful_is_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_the_longest_text_stays_and_a_longer_one_is_cut() -> None:
    assert printable("x" * LONGEST) == "x" * LONGEST
    assert printable("x" * (LONGEST + 1)) == "x" * LONGEST + "..."


def test_what_an_escape_takes_counts() -> None:
    assert printable("\n\n", 8) == "\\x0a\\x0a"
    assert printable("\n\n", 7) == "\\x0a\\x0..."


@given(st.text(st.characters(), max_size=40), st.integers(0, 30))
def test_any_text_becomes_a_short_line_that_can_be_written(text: str, longest: int) -> None:
    shown = printable(text, longest)
    assert shown.isprintable()
    assert len(shown) <= longest + 3
    assert shown == text or not text.isprintable() or len(text) > longest
