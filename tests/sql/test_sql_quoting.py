"""Quoting, there and back through PostgreSQL's grammar."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twistnotify.sql.parse import parse
from twistnotify.sql.quoting import notify_statement, quote_identifier, quote_literal
from twistnotify.sql.statements import Notify

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
NAMES = TEXT.map(lambda text: text.encode()[:63].decode(errors="ignore")).filter(bool)


@settings(deadline=None, max_examples=300)
@given(NAMES, TEXT)
def test_what_is_quoted_comes_back_the_same(name: str, payload: str) -> None:
    assert parse(f"NOTIFY {quote_identifier(name)}, {quote_literal(payload)}") == (Notify(name, payload),)


def test_quotes_are_doubled() -> None:
    assert quote_identifier('a"b') == '"a""b"'
    assert quote_literal("it's") == "'it''s'"
    assert quote_literal("") == "''"
    assert quote_literal("back\\slash") == "'back\\slash'"


@pytest.mark.parametrize("quote", [quote_identifier, quote_literal])
def test_a_nul_cannot_be_quoted(quote: object) -> None:
    with pytest.raises(ValueError, match="NUL"):
        quote("a\0b")  # type: ignore[operator]


@settings(deadline=None, max_examples=300)
@given(NAMES, TEXT)
def test_a_notify_statement_says_what_both_quotings_say(name: str, payload: str) -> None:
    assert notify_statement(name, payload) == f"NOTIFY {quote_identifier(name)},{quote_literal(payload)}"


@pytest.mark.parametrize("texts", [("a\0", "x"), ("a", "x\0")])
def test_a_notify_statement_cannot_hold_nul(texts: tuple[str, str]) -> None:
    with pytest.raises(ValueError, match="NUL"):
        notify_statement(*texts)
