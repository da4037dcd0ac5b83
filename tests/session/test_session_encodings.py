"""PostgreSQL's names of encodings, and its words for what is not in them."""

import codecs

import pytest
from conversation import with_encoding
from hypothesis import given, settings
from hypothesis import strategies as st

from twistnotify.session import encodings
from twistnotify.session.encodings import Encoding, client_encoding, decode, no_equivalent, server_codec, to_server
from twistnotify.session.failure import SqlError

NAMES = sorted(encodings._CODECS)
LATIN1 = Encoding("LATIN1", "latin-1")
UTF8 = Encoding("UTF8", "utf-8")


def refusal(data: bytes, encoding: Encoding) -> str:
    with pytest.raises(SqlError) as caught:
        decode(data, encoding)
    assert caught.value.fields.sqlstate == "22021"
    return caught.value.fields.message


@pytest.mark.parametrize("name", NAMES)
def test_every_encoding_has_a_codec_that_knows_ascii(name: str) -> None:
    codec = client_encoding(name).codec
    codecs.lookup(codec)
    assert "LISTEN a".encode(codec) == b"LISTEN a"


@pytest.mark.parametrize("spelling", ["UTF8", "utf8", "UTF-8", "'utf-8'", "Unicode", " utf_8 "])
def test_letters_and_digits_decide_however_an_encoding_is_spelled(spelling: str) -> None:
    assert client_encoding(spelling) == UTF8


@pytest.mark.parametrize(
    ("alias", "name"),
    [
        ("iso-8859-1", "LATIN1"),
        ("ISO_8859_5", "ISO_8859_5"),
        ("iso 8859-15", "LATIN9"),
        ("windows-1252", "WIN1252"),
        ("win", "WIN1251"),
        ("alt", "WIN866"),
        ("koi8", "KOI8R"),
        ("Shift_JIS", "SJIS"),
        ("windows949", "UHC"),
        ("sql_ascii", "SQL_ASCII"),
    ],
)
def test_postgresqls_other_names_are_known(alias: str, name: str) -> None:
    assert client_encoding(alias).name == name


def test_every_alias_leads_to_an_encoding() -> None:
    assert set(encodings._ALIASES.values()) <= set(NAMES)


@pytest.mark.parametrize("name", ["", "ebcdic", "EUC_TW", "MULE_INTERNAL", "latin11", "8"])
def test_an_encoding_that_is_not_known_ends_the_log_in(name: str) -> None:
    with pytest.raises(SqlError) as caught:
        client_encoding(name)
    fields = caught.value.fields
    assert (fields.severity, fields.sqlstate) == ("FATAL", "22023")
    assert fields.message == f'invalid value for parameter "client_encoding": "{name}"'


def test_a_database_without_an_encoding_of_its_own_is_taken_for_utf8() -> None:
    assert [server_codec(name) for name in ("UTF8", "SQL_ASCII", "MULE_INTERNAL")] == ["utf-8"] * 3
    assert server_codec("LATIN1") == "latin-1"


def test_what_the_databases_encoding_cannot_hold_is_refused_in_postgresqls_words() -> None:
    assert to_server("é", "latin-1", "LATIN1") == b"\xe9"
    with pytest.raises(SqlError) as caught:
        to_server("a日", "latin-1", "LATIN1")
    fields = caught.value.fields
    assert (fields.severity, fields.sqlstate) == ("ERROR", "22P05")
    assert fields.message == (
        'character with byte sequence 0xe6 0x97 0xa5 in encoding "UTF8" has no equivalent in encoding "LATIN1"'
    )


def test_a_notification_that_a_client_cannot_be_given_is_fatal() -> None:
    with pytest.raises(UnicodeEncodeError) as caught:
        "日".encode("latin-1")
    assert no_equivalent(caught.value, "LATIN1", "FATAL").fields.severity == "FATAL"


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        (b"NOTIFY a, '\xff'", "0xff"),
        (b"\x80", "0x80"),
        (b"\xc3(", "0xc3 0x28"),
        (b"\xe6\x97", "0xe6 0x97"),
        (b"\xed\xa0\x80", "0xed 0xa0 0x80"),
        (b"\xf0\x9f\x98(", "0xf0 0x9f 0x98 0x28"),
        (b"\xf8\x88\x80\x80\x80", "0xf8"),
    ],
)
def test_bytes_that_are_not_utf8_are_shown_as_postgresql_shows_them(data: bytes, shown: str) -> None:
    assert refusal(data, UTF8) == f'invalid byte sequence for encoding "UTF8": {shown}'


def test_a_client_of_sql_ascii_is_told_of_the_databases_encoding() -> None:
    assert refusal(b"\xff", client_encoding("SQL_ASCII")) == 'invalid byte sequence for encoding "UTF8": 0xff'


def test_bytes_of_another_encoding_are_shown_with_its_name() -> None:
    assert refusal(b"\x81", client_encoding("WIN1252")) == 'invalid byte sequence for encoding "WIN1252": 0x81'


def sqlstate_or_text(data: bytes, name: str) -> tuple[str | None, str]:
    try:
        return None, decode(data, client_encoding(name))
    except SqlError as failure:
        return failure.fields.sqlstate, ""


@settings(deadline=None)
@given(st.binary(max_size=12), st.sampled_from(NAMES))
def test_no_bytes_of_any_encoding_give_anything_but_text_or_that_error(data: bytes, name: str) -> None:
    sqlstate, text = sqlstate_or_text(data, name)
    assert sqlstate in (None, "22021")
    text.encode()  # PostgreSQL has no text that UTF-8 could not hold.


def test_a_client_speaks_its_own_encoding_in_both_directions() -> None:
    conversation = with_encoding("LATIN1", "latin-1")
    assert conversation.query("LISTEN é") == ["commit LISTEN é", "C(LISTEN)", "ready", "Z(I)"]
    assert conversation.query("SELECT pg_listening_channels() AS ü")[:2] == ["T(ü:25)", r"D(b'\xe9')"]
    assert conversation.query("é")[0] == 'ERROR 42601 syntax error at or near "é" at 1'


def test_a_channel_that_the_client_cannot_read_is_shown_with_question_marks() -> None:
    conversation = with_encoding("LATIN1", "latin-1")
    conversation.query(r'LISTEN U&"\65E5"')
    assert conversation.query("SELECT pg_listening_channels()")[1] == "D(b'?')"


def test_lengths_are_those_of_the_databases_encoding() -> None:
    conversation = with_encoding("UTF8", "utf-8", server_encoding="LATIN1")
    assert conversation.query(f"NOTIFY a, '{'é' * 7999}'")[-2:] == ["C(NOTIFY)", "Z(I)"]
    assert conversation.query(f"NOTIFY a, '{'é' * 8000}'")[0] == "ERROR 22023 payload string too long"
    assert conversation.query(f"SELECT pg_notify('{'é' * 63}', '')")[-2:] == ["C(SELECT 1)", "Z(I)"]
    assert conversation.query(f"SELECT pg_notify('{'é' * 64}', '')")[1] == "ERROR 22023 channel name too long"


@pytest.mark.parametrize("sql", ["LISTEN 日", "NOTIFY 日", "NOTIFY a, '日'", "SELECT 1; LISTEN 日"])
def test_text_that_the_database_cannot_hold_fails_its_statement(sql: str) -> None:
    conversation = with_encoding("UTF8", "utf-8", server_encoding="LATIN1")
    lines = conversation.query(sql)
    assert lines[-2].startswith("ERROR 22P05 character with byte sequence 0xe6 0x97 0xa5 in")
    assert not conversation.committed
