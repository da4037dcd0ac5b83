"""Rows of one column, in text and in binary."""

import pytest
from conversation import shown

from twistnotify.session.results import INT4, TEXT, VOID, Column, tag_of
from twistnotify.wire.simple_query import Field


@pytest.mark.parametrize(("type_", "size"), [(TEXT, -1), (INT4, 4), (VOID, 4)])
def test_a_column_is_described_as_postgresql_describes_an_expression(type_: int, size: int) -> None:
    assert Column("c", type_).describe(1).fields == (Field("c", 0, 0, type_, size, -1, 1),)


def test_columns_are_described_in_text_unless_told_otherwise() -> None:
    assert shown(Column("c", TEXT).describe()) == "T(c:25)"
    assert shown(Column("c", TEXT).describe(1)) == "T(c:25 binary)"


@pytest.mark.parametrize("number", [0, 1, -1, 2**31 - 1, -(2**31)])
def test_numbers_go_out_as_digits_or_as_four_bytes(number: int) -> None:
    column = Column("c", INT4)
    assert column.row(number, 0, "utf-8").values == (str(number).encode(),)
    assert column.row(number, 1, "utf-8").values == (number.to_bytes(4, "big", signed=True),)


@pytest.mark.parametrize("format_", [0, 1])
def test_text_is_the_same_in_both_formats_and_in_the_clients_encoding(format_: int) -> None:
    column = Column("c", TEXT)
    assert column.row("é", format_, "latin-1").values == (b"\xe9",)
    assert column.row("日", format_, "latin-1").values == (b"?",)


@pytest.mark.parametrize("format_", [0, 1])
def test_void_is_an_empty_value_and_not_null(format_: int) -> None:
    assert Column("c", VOID).row("", format_, "utf-8").values == (b"",)


def test_select_counts_its_rows_and_show_does_not() -> None:
    assert [tag_of("SELECT", 0), tag_of("SELECT", 3), tag_of("SHOW", 1)] == ["SELECT 0", "SELECT 3", "SHOW"]
