"""What a setting becomes, where that is sure. Real servers are asked in tests/integration/test_settings_judged.py."""

from __future__ import annotations

import pytest

from twistnotify.session.settings import NAMES, REPORTED, REPORTED_FROM_18, judge

TIMEOUTS = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")


def test_names_lead_from_lower_case_to_postgresqls_spelling() -> None:
    assert NAMES["datestyle"] == "DateStyle"
    assert NAMES["search_path"] == "search_path"
    assert all(name == spelled.lower() for name, spelled in NAMES.items())


def test_what_is_reported_is_known() -> None:
    assert REPORTED < REPORTED_FROM_18 < set(NAMES)
    assert set(REPORTED_FROM_18 - REPORTED) == {"search_path"}


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("application_name", "", ""),
        ("application_name", "it's \\ me", "it's \\ me"),
        ("application_name", "x" * 63, "x" * 63),
        ("client_encoding", "utf-8", "UTF8"),
        ("client_encoding", "Latin 1", "LATIN1"),
        ("client_encoding", "UNICODE", "UNICODE"),
        ("client_encoding", "unicode", "UTF8"),
        ("client_encoding", "sql_ascii", "SQL_ASCII"),
        ("intervalstyle", "ISO_8601", "iso_8601"),
        ("timezone", "UTC", "UTC"),
        ("timezone", "utc", "UTC"),
        ("timezone", "etc/UTC", "Etc/UTC"),
        ("extra_float_digits", "3", "3"),
        ("extra_float_digits", "0", "0"),
        ("extra_float_digits", "-15", "-15"),
        ("client_min_messages", "Warning", "warning"),
        ("client_min_messages", "debug", "debug2"),
        ("client_min_messages", "debug5", "debug5"),
        ("bytea_output", "HEX", "hex"),
        ("standard_conforming_strings", "On", "on"),
        ("standard_conforming_strings", "tru", "on"),
        ("search_path", '"$user",  public', '"$user",  public'),
        ("search_path", 'A,"b""c", ""', 'A,"b""c", ""'),
    ],
)
def test_a_plain_value_is_shown_in_postgresqls_form(name: str, value: str, shown: str) -> None:
    assert judge(name, value, "") == shown


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("application_name", "x" * 64),
        ("application_name", "J\xfcrgen"),
        ("application_name", "a\nb"),
        ("client_encoding", "nonsense"),
        ("client_encoding", "\uff35TF8"),
        ("client_encoding", ""),
        ("client_encoding", "utf8" + "-" * 60),
        ("intervalstyle", " postgres"),
        ("intervalstyle", "iso"),
        ("timezone", "Europe/Berlin"),
        ("timezone", "-7"),
        ("extra_float_digits", "4"),
        ("extra_float_digits", "-16"),
        ("extra_float_digits", "03"),
        ("extra_float_digits", "+3"),
        ("extra_float_digits", "1.0"),
        ("client_min_messages", "warn"),
        ("client_min_messages", "fatal"),
        ("bytea_output", "base64"),
        ("standard_conforming_strings", "off"),
        ("standard_conforming_strings", "o"),
        ("standard_conforming_strings", "\uff4fn"),
        ("search_path", ""),
        ("search_path", "a,"),
        ("search_path", "a b"),
        ("search_path", '"a'),
        ("search_path", "a-b"),
        ("search_path", "\xe9"),
        ("search_path", '"\xe9"'),
        ("search_path", "a\n, b"),
        ("work_mem", "1MB"),
    ],
)
def test_anything_else_is_left_to_postgresql(name: str, value: str) -> None:
    assert judge(name, value, "") is None


@pytest.mark.parametrize("name", TIMEOUTS)
@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("0", "0"),
        ("0min", "0"),
        ("1", "1ms"),
        ("1500", "1500ms"),
        ("5000", "5s"),
        ("5s", "5s"),
        ("90 s", "90s"),
        ("120s", "2min"),
        ("60min", "1h"),
        ("48h", "2d"),
        ("2000000us", "2s"),
        ("24d", "24d"),
        ("2147483647", "2147483647ms"),
        ("2147483647000us", "2147483647ms"),
        ("2147483648", None),
        ("25d", None),
        ("1500us", None),
        ("1us", None),
        ("-1", None),
        ("+1", None),
        ("010", None),
        ("0x10", None),
        ("1.5s", None),
        ("1e3", None),
        ("1S", None),
        ("1sec", None),
        (" 1", None),
        ("1 ", None),
        ("", None),
        ("s", None),
        ("\uff11", None),
    ],
)
def test_a_timeout_is_shown_in_its_largest_whole_unit(name: str, value: str, shown: str | None) -> None:
    assert judge(name, value, "0") == shown


@pytest.mark.parametrize(
    ("value", "before", "shown"),
    [
        ("iso", "SQL, DMY", "ISO, DMY"),
        ("ISO, MDY", "German, DMY", "ISO, MDY"),
        (" ymd ,  Sql", "ISO, MDY", "SQL, YMD"),
        ("german", "ISO, MDY", "German, DMY"),
        ("german, us", "ISO, YMD", "German, MDY"),
        ("european, german, dmy", "ISO, YMD", "German, DMY"),
        ("iso, ISO", "SQL, YMD", "ISO, YMD"),
        ("iso, sql", "ISO, MDY", None),
        ("german, iso", "ISO, MDY", None),
        ("dmy, ymd", "ISO, MDY", None),
        ("iso, nonsense", "ISO, MDY", None),
        ("nonsense", "ISO, MDY", None),
        ("default", "ISO, MDY", None),
        ("postgresql", "ISO, MDY", None),
        ("", "ISO, MDY", None),
        ("iso,", "ISO, MDY", None),
        ("iso mdy", "ISO, MDY", None),
        ('"iso"', "ISO, MDY", None),
        ("iso", "", None),
        ("iso", "Other, MDY", None),
    ],
)
def test_a_date_style_is_completed_from_the_one_before(value: str, before: str, shown: str | None) -> None:
    assert judge("datestyle", value, before) == shown


@pytest.mark.parametrize(
    ("value", "database", "shown"),
    [
        ("latin1", "UTF8", "LATIN1"),
        ("latin1", "LATIN1", "LATIN1"),
        ("utf8", "LATIN1", "UTF8"),
        ("sql_ascii", "LATIN1", "SQL_ASCII"),
        ("latin1", "SQL_ASCII", "LATIN1"),
        ("latin2", "LATIN1", None),
        ("nonsense", "LATIN1", None),
    ],
)
def test_an_encoding_needs_a_conversion_from_the_databases(value: str, database: str, shown: str | None) -> None:
    assert judge("client_encoding", value, "UTF8", database) == shown
