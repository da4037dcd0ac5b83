"""Query and the answers with rows or a tag."""

import pytest

from twistnotify.wire.simple_query import CommandComplete, DataRow, Field, Query, RowDescription
from twistnotify.wire.violations import ProtocolViolation

PG_NOTIFY = Field("pg_notify", 0, 0, 2278, 4, -1, 0)


def test_a_query_keeps_the_bytes_of_its_sql() -> None:
    assert Query.decode(b"NOTIFY \xff\0") == Query(b"NOTIFY \xff")
    assert Query(b"NOTIFY \xff").encode() == b"Q\0\0\0\x0dNOTIFY \xff\0"


def test_a_query_needs_its_terminator() -> None:
    with pytest.raises(ProtocolViolation, match=r"^invalid string in message$"):
        Query.decode(b"LISTEN a")


@pytest.mark.parametrize("body", [b"LISTEN a\0\0", b"LISTEN a\0; LISTEN b\0", b"\0\0"])
def test_a_query_has_no_other_nul(body: bytes) -> None:
    with pytest.raises(ProtocolViolation, match=r"^invalid message format$"):
        Query.decode(body)


def test_a_tag_has_the_bytes_postgresql_sends() -> None:
    assert CommandComplete("NOTIFY").encode() == b"C\0\0\0\x0bNOTIFY\0"


def test_the_columns_of_pg_notify_have_the_bytes_postgresql_sends() -> None:
    body = b"\0\x01pg_notify\0" + b"\0\0\0\0" + b"\0\0" + b"\0\0\x08\xe6" + b"\0\x04" + b"\xff\xff\xff\xff" + b"\0\0"
    assert RowDescription((PG_NOTIFY,)).encode() == b"T\0\0\0\x22" + body


def test_a_column_name_is_in_the_clients_encoding() -> None:
    column = Field("é日", 0, 0, 25, -1, -1, 0)
    assert "é日".encode("euc_jis_2004") in RowDescription((column,)).encode("euc_jis_2004")
    assert b"\xe9?\0" in RowDescription((column,)).encode("latin-1")


def test_the_row_of_pg_notify_is_one_value_of_no_bytes() -> None:
    assert DataRow((b"",)).encode() == b"D\0\0\0\x0a\0\x01\0\0\0\0"


def test_null_is_not_the_empty_value() -> None:
    assert DataRow.decode(DataRow((None, b"")).encode()[5:]).values == (None, b"")
