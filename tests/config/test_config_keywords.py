"""Connection lines: libpq's grammar and PgBouncer's doubled quote."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from psycopg2.extensions import parse_dsn

from twistnotify.config.keywords import may_be_password, split_keywords

NOT_QUOTED = "a value is not quoted as it should be: 'it''s' or 'it\\'s', and a blank behind it"


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        ("", []),
        ("   ", []),
        ("host=db.example", [("host", "db.example")]),
        ("host=a port=1\tdbname=b", [("host", "a"), ("port", "1"), ("dbname", "b")]),
        ("  host = a   port =1 ", [("host", "a"), ("port", "1")]),
        ("password='two words'", [("password", "two words")]),
        (r"password='it\'s'", [("password", "it's")]),
        ("password='it''s'", [("password", "it's")]),
        ("password=''''", [("password", "'")]),
        (r"password='a\\b'", [("password", r"a\b")]),
        ("password='' user=u", [("password", ""), ("user", "u")]),
        ("password='a=b' user=u", [("password", "a=b"), ("user", "u")]),
        ("password=a=b", [("password", "a=b")]),
        ("password=it's", [("password", "it's")]),
        (r"password=two\ words user=u", [("password", "two words"), ("user", "u")]),
        (r"password=a\\b", [("password", r"a\b")]),
        ("password=a\\", [("password", "a")]),
        ("password=a\u00a0b", [("password", "a\u00a0b")]),
        ("host=", [("host", "")]),
        ("host=a host=b", [("host", "a"), ("host", "b")]),
    ],
)
def test_line_is_split_into_pairs(text: str, pairs: list[tuple[str, str]]) -> None:
    assert split_keywords(text) == (pairs, None)


@pytest.mark.parametrize(
    ("text", "pairs", "fault"),
    [
        ("nonsense", [], "the line is not keyword=value (a value with blanks needs single quotes)"),
        ("=x", [], "the line is not keyword=value (a value with blanks needs single quotes)"),
        (
            "host=a b",
            [("host", "a")],
            "what follows the value of host is not keyword=value (a value with blanks needs single quotes)",
        ),
        (
            "password=a b=c d",
            [("password", "a"), ("b", "c")],
            "what follows the password is not keyword=value (a value with blanks needs single quotes)",
        ),
        ("user=u password='open", [("user", "u")], NOT_QUOTED),
        ("password='it's'", [], NOT_QUOTED),
        ("password='a'b", [], NOT_QUOTED),
        ("password='a\\'", [], NOT_QUOTED),
        ("postgres://u:p@h/db", [], "a connection URI is not taken here: write keyword=value"),
        ("PostgreSQL://u:p@h/db?a=b", [], "a connection URI is not taken here: write keyword=value"),
    ],
)
def test_fault_is_told_behind_the_pairs_in_front_of_it(text: str, pairs: list[tuple[str, str]], fault: str) -> None:
    assert split_keywords(text) == (pairs, fault)


@settings(deadline=None)
@given(st.text())
def test_any_text_gives_pairs_or_a_fault(text: str) -> None:
    split_keywords(text)
    split_keywords(f"password={text}")
    split_keywords(f"password='{text}")


@settings(deadline=None)
@given(st.text(), st.sampled_from(["''", r"\'"]))
def test_any_value_survives_quoting(value: str, quote: str) -> None:
    text = value.replace("\\", "\\\\").replace("'", quote)
    assert split_keywords(f"user=u password='{text}' port=1") == (
        [("user", "u"), ("password", value), ("port", "1")],
        None,
    )


@settings(deadline=None)
@given(st.text(alphabet="ab= '\\\t"))
def test_what_libpq_takes_is_read_as_libpq_reads_it(text: str) -> None:
    line = f"password={text}"
    try:
        expected = parse_dsn(line)
    except Exception:  # libpq refuses it; we may too, or take a doubled quote.
        return
    pairs, fault = split_keywords(line)
    assert fault is None
    assert dict(pairs) == expected


@pytest.mark.parametrize(
    ("keyword", "maybe"), [("password", True), ("passwd", True), ("PASWORD", True), ("host", False)]
)
def test_what_may_be_a_password_is_told_by_its_first_letters(keyword: str, maybe: bool) -> None:
    assert may_be_password(keyword) is maybe
