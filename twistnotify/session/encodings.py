"""PostgreSQL's names of encodings and Python's (manual, "Character Set Support")."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from twistnotify.session.failure import SqlError, error, fatal
from twistnotify.wire.errors import ErrorFields

UTF8 = "utf-8"

# Not SHIFT_JIS_2004: Python's codec has other signs than ASCII for two of its codes.
# A client that says SQL_ASCII wants no conversion: PostgreSQL checks its bytes against the database's encoding.
_CODECS = {
    "UTF8": UTF8,
    "SQL_ASCII": UTF8,
    "EUC_JP": "euc_jp",
    "EUC_CN": "gb2312",
    "EUC_KR": "euc_kr",
    "EUC_JIS_2004": "euc_jis_2004",
    "LATIN1": "latin-1",
    "LATIN2": "iso8859-2",
    "LATIN3": "iso8859-3",
    "LATIN4": "iso8859-4",
    "LATIN5": "iso8859-9",
    "LATIN6": "iso8859-10",
    "LATIN7": "iso8859-13",
    "LATIN8": "iso8859-14",
    "LATIN9": "iso8859-15",
    "LATIN10": "iso8859-16",
    "WIN1250": "cp1250",
    "WIN1251": "cp1251",
    "WIN1252": "cp1252",
    "WIN1253": "cp1253",
    "WIN1254": "cp1254",
    "WIN1255": "cp1255",
    "WIN1256": "cp1256",
    "WIN1257": "cp1257",
    "WIN1258": "cp1258",
    "WIN866": "cp866",
    "WIN874": "cp874",
    "KOI8R": "koi8_r",
    "KOI8U": "koi8_u",
    "ISO_8859_5": "iso8859-5",
    "ISO_8859_6": "iso8859-6",
    "ISO_8859_7": "iso8859-7",
    "ISO_8859_8": "iso8859-8",
    "SJIS": "cp932",
    "BIG5": "cp950",
    "GBK": "cp936",
    "UHC": "cp949",
    "GB18030": "gb18030",
    "JOHAB": "johab",
}
# pg_encname_tbl (src/common/encnames.c), as far as the names differ in letters or digits.
_ALIASES = {
    "UNICODE": "UTF8", "ISO88591": "LATIN1", "ISO88592": "LATIN2", "ISO88593": "LATIN3", "ISO88594": "LATIN4",
    "ISO88599": "LATIN5", "ISO885910": "LATIN6", "ISO885913": "LATIN7", "ISO885914": "LATIN8",
    "ISO885915": "LATIN9", "ISO885916": "LATIN10", "KOI8": "KOI8R", "WIN": "WIN1251", "ALT": "WIN866",
    "ABC": "WIN1258", "TCVN": "WIN1258", "TCVN5712": "WIN1258", "VSCII": "WIN1258",
    "MSKANJI": "SJIS", "SHIFTJIS": "SJIS", "WIN932": "SJIS", "WINDOWS932": "SJIS",
    "WIN936": "GBK", "WINDOWS936": "GBK", "WIN949": "UHC", "WINDOWS949": "UHC", "WIN950": "BIG5", "WINDOWS950": "BIG5",
    **{f"WINDOWS{page}": f"WIN{page}" for page in (866, 874, *range(1250, 1259))},
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Encoding:
    """An encoding: PostgreSQL's name for it, and Python's codec."""

    name: str
    codec: str


@lru_cache(256)
def client_encoding(value: str) -> Encoding:
    """Return the encoding a client asks for, however it spells it; raises FATAL 22023.

    PostgreSQL compares letters and digits only, in any case, so that 'utf-8' with its quotes is UTF8.
    """
    plain = _plain(value)
    for name, codec in _CODECS.items():
        if _plain(name) == _plain(_ALIASES.get(plain, plain)):
            return Encoding(name, codec)
    raise fatal("22023", f'invalid value for parameter "client_encoding": "{value}"')


def server_codec(name: str) -> str:
    """Return the codec of a database's encoding, as `server_encoding` reports it; UTF-8 where there is none."""
    return _CODECS.get(name, UTF8)


def to_server(text: str, codec: str, name: str) -> bytes:
    """Return text in the database's encoding; raises 22P05 for what it cannot hold, worded as PostgreSQL does."""
    try:
        return text.encode(codec)
    except UnicodeEncodeError as failure:
        raise no_equivalent(failure, name) from None


def no_equivalent(failure: UnicodeEncodeError, name: str, severity: str = "ERROR") -> SqlError:
    """Return the error for a character that an encoding does not have."""
    shown = _shown(failure.object[failure.start].encode(UTF8, "surrogatepass"))
    message = f'character with byte sequence {shown} in encoding "UTF8" has no equivalent in encoding "{name}"'
    return SqlError(ErrorFields(severity, "22P05", message))


def decode(data: bytes, encoding: Encoding) -> str:
    """Return what a client sent as text; raises 22021 for what is not in its encoding."""
    try:
        return data.decode(encoding.codec)
    except UnicodeDecodeError as failure:
        shown = _shown(_bad_sequence(data, failure.start, encoding.codec))
        name = "UTF8" if encoding.codec == UTF8 else encoding.name
        raise error("22021", f'invalid byte sequence for encoding "{name}": {shown}') from None


def _bad_sequence(data: bytes, start: int, codec: str) -> bytes:
    """Return the bytes that PostgreSQL shows: as many as the first of them announces."""
    first = data[start]
    length = 1
    if codec == UTF8 and first >= 0xC0:
        length = 2 if first < 0xE0 else 3 if first < 0xF0 else 4 if first < 0xF8 else 1
    return data[start : start + length]


def _shown(data: bytes) -> str:
    return " ".join(f"0x{byte:02x}" for byte in data)


def _plain(name: str) -> str:
    return "".join(character for character in name.upper() if character.isalnum())
