"""What becomes of a password before it is sent or hashed.

Passwords are text; bytes that are not UTF-8 are lone surrogates in it (`surrogateescape`), as in a StartupMessage.
"""

from __future__ import annotations

import stringprep
import unicodedata
from hashlib import md5

_PROHIBITED = (
    stringprep.in_table_c12,
    stringprep.in_table_c21_c22,
    stringprep.in_table_c3,
    stringprep.in_table_c4,
    stringprep.in_table_c5,
    stringprep.in_table_c6,
    stringprep.in_table_c7,
    stringprep.in_table_c8,
    stringprep.in_table_c9,
    stringprep.in_table_a1,
)


def raw(text: str) -> bytes:
    """Return the bytes of a name or a password as PostgreSQL gets them."""
    return text.encode("utf-8", "surrogateescape")


def md5_digest(password: str, user: str) -> bytes:
    """Return what PostgreSQL keeps of a password, behind "md5": 32 hexadecimal digits."""
    return _md5_hex(raw(password) + raw(user))


def md5_answer(digest: bytes, salt: bytes) -> bytes:
    """Return what answers AuthenticationMD5Password, by `md5_digest`: "md5" and 32 hexadecimal digits."""
    return b"md5" + _md5_hex(digest + salt)


def _md5_hex(data: bytes) -> bytes:
    # PostgreSQL wants MD5 whatever it is worth; a system that forbids it for security would raise ValueError.
    return md5(data, usedforsecurity=False).hexdigest().encode()


MAX_PREPARED = 1024
"""Characters of the longest password beyond ASCII that is prepared: normalization can take a time that grows as their
square, and strangers send passwords."""


def prepared(password: str) -> bytes:
    """Return a password as SCRAM hashes it: after SASLprep (RFC 4013), or raw if it does not pass, or is too long.

    Where PostgreSQL's saslprep.c reads RFC 4013 in its own way it is followed, or the hashes would differ: a character
    that is both a space and mapped to nothing (U+200B) is a space, and what is prohibited is looked for before
    normalization.
    """
    if password.isascii() or len(password) > MAX_PREPARED:
        return raw(password)
    mapped = "".join(map(_mapped, password))
    if not mapped or _is_prohibited(mapped) or _mixes_directions(mapped):
        return raw(password)
    return unicodedata.normalize("NFKC", mapped).encode()


def _mapped(character: str) -> str:
    if stringprep.in_table_c12(character):
        return " "
    return "" if stringprep.in_table_b1(character) else character


def _is_prohibited(text: str) -> bool:
    return any(table(character) for character in text for table in _PROHIBITED)


def _mixes_directions(text: str) -> bool:
    """Tell whether right-to-left text is not so from end to end (RFC 3454, section 6)."""
    if not any(map(stringprep.in_table_d1, text)):
        return False
    whole = stringprep.in_table_d1(text[0]) and stringprep.in_table_d1(text[-1])
    return not whole or any(map(stringprep.in_table_d2, text))
