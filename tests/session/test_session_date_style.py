"""What PostgreSQL makes of the words of a DateStyle."""

import pytest

from twistnotify.session.date_style import date_style


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        ("ISO", "ISO, MDY"),
        ("postgres", "Postgres, MDY"),
        ("SQL, European", "SQL, DMY"),
        ("dmy", "ISO, DMY"),
        ("YMD, sql", "SQL, YMD"),
        ("US", "ISO, MDY"),
        ("German", "German, DMY"),
        ("German, MDY", "German, MDY"),
        ("MDY, German", "German, MDY"),
        ("nonsense", "ISO, MDY"),
        ("", "ISO, MDY"),
    ],
)
def test_date_styles_are_completed_as_postgresql_completes_them(asked: str, answered: str) -> None:
    assert date_style(asked, "ISO, MDY") == answered


def test_what_a_date_style_leaves_out_stays_as_it_was() -> None:
    assert date_style("ymd", "SQL, DMY") == "SQL, YMD"
    assert date_style("iso", "SQL, DMY") == "ISO, DMY"
