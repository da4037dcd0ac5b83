"""Quoting, there and back through PostgreSQL's grammar."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twistnotify.sql.parse import parse
from twistnotify.sql.quoting import (
    notify_anyhow,
    notify_statement,
    quote_anyhow,
    quote_identifier,
    quote_literal,
    quote_where_needed,
    reset_statement,
    set_statement,
)
from twistnotify.sql.statements import Notify, SetParameter

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


def test_a_name_is_quoted_where_postgresql_would_quote_it() -> None:
    assert [*map(quote_where_needed, ("public", "a1_", "name"))] == ["public", "a1_", "name"]
    assert [*map(quote_where_needed, ("$user", "1a", "A", "\xe9", "select", "json", "", 'x"y'))] == [
        *('"$user"', '"1a"', '"A"', '"\xe9"', '"select"', '"json"', '""', '"x""y"')
    ]


@pytest.mark.parametrize(
    ("name", "value", "statement"),
    [
        ("application_name", "it's", "SET \"application_name\" TO 'it''s'"),
        ("application_name", "a\\'b", "SET \"application_name\" TO E'a\\\\''b'"),
        ("DateStyle", "ISO, MDY", "SET \"DateStyle\" TO 'ISO, MDY'"),
        ("search_path", '"$user", public', "SET \"search_path\" TO '$user', 'public'"),
        ("Search_Path", '"a, b\\", "x""y", ""', "SET \"Search_Path\" TO E'a, b\\\\', 'x\"y', ''"),
        ("search_path", "a,b", "SELECT pg_catalog.set_config('search_path', 'a,b', false)"),
        ("search_path", "", "SELECT pg_catalog.set_config('search_path', '', false)"),
        ("search_path", '"public"', "SELECT pg_catalog.set_config('search_path', '\"public\"', false)"),
        ("search_path", "a; DROP", "SELECT pg_catalog.set_config('search_path', 'a; DROP', false)"),
        ("search_path", "\\'", "SELECT pg_catalog.set_config('search_path', E'\\\\''', false)"),
    ],
)
def test_a_setting_is_set_by_one_statement(name: str, value: str, statement: str) -> None:
    assert set_statement(name, value) == statement


def test_a_setting_of_the_transaction_is_set_as_local() -> None:
    assert set_statement("timezone", "UTC", local=True) == "SET LOCAL \"timezone\" TO 'UTC'"
    assert set_statement("search_path", "", local=True) == "SELECT pg_catalog.set_config('search_path', '', true)"


def test_a_setting_is_reset_by_its_name() -> None:
    assert reset_statement("search_path") == 'RESET "search_path"'
    assert parse(reset_statement("search_path")) == (SetParameter("search_path", None, False),)


@settings(deadline=None, max_examples=300)
@given(st.sampled_from(["application_name", "datestyle", "timezone"]), TEXT, st.booleans())
def test_what_is_set_is_read_back_the_same(name: str, value: str, local: bool) -> None:
    assert parse(set_statement(name, value, local)) == (SetParameter(name, value, local),)


@settings(deadline=None, max_examples=300)
@given(st.lists(TEXT, min_size=1))
def test_a_search_path_in_postgresqls_form_is_set_as_the_list_it_is(names: list[str]) -> None:
    value = ", ".join(map(quote_where_needed, names))
    assert parse(set_statement("search_path", value)) == (SetParameter("search_path", value, False),)


@pytest.mark.parametrize(("name", "value"), [("a\0", "x"), ("a", "x\0"), ("search_path", "\0")])
def test_a_setting_cannot_hold_nul(name: str, value: str) -> None:
    with pytest.raises(ValueError, match="NUL"):
        set_statement(name, value)


@pytest.mark.parametrize("text", ["plain", "it's", "back\\slash", "\\'; DROP TABLE t; --", "é"])
def test_what_is_said_on_a_clients_session_means_the_same_whatever_backslashes_mean_there(text: str) -> None:
    constant = quote_anyhow(text)
    assert constant.startswith("E'") is ("\\" in text)
    assert parse(f"NOTIFY a, {constant}") == (Notify("a", text),)
    assert parse(notify_anyhow("a", text)) == (Notify("a", text),)
