"""What is known of a user's password: as it is kept, and as a log-in has taught it.

The texts are those of PostgreSQL's pg_authid.rolpassword, which a userlist holds too. Nothing here checks a SCRAM proof
(`auth.scram`), and no value shows a secret in its repr.
"""

from __future__ import annotations

import re
from base64 import b64encode
from dataclasses import dataclass, field
from hmac import compare_digest
from typing import TypeAlias

from twistnotify.auth.password import md5_answer, md5_digest, prepared, raw
from twistnotify.auth.scram_keys import (
    KEY_SIZE,
    MAX_ITERATIONS,
    MECHANISM,
    client_key,
    decoded,
    salted_password,
    server_key,
    signature,
    stored_key,
)

MOCK_SALT_SIZE = 16
"""Bytes of a salt, as many as PostgreSQL's have: a longer one would tell that it is made up."""

_MD5 = re.compile("md5([0-9a-f]{32})")
_BASE64 = "([A-Za-z0-9+/]+={0,2})"
_SCRAM = re.compile(rf"{MECHANISM}\$([0-9]+):{_BASE64}\${_BASE64}:{_BASE64}")


@dataclass(frozen=True, slots=True)
class PlainSecret:
    """Know the password itself."""

    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Md5Secret:
    """Know the MD5 digest of password and user name: 32 lower-case hexadecimal digits."""

    digest: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class ScramSecret:
    """Know what checks a SCRAM proof, but makes none (RFC 5802, section 3).

    Raises ValueError unless both keys have `KEY_SIZE` bytes and the iterations are 1 to `MAX_ITERATIONS`.
    """

    iterations: int
    salt: bytes = field(repr=False)
    stored_key: bytes = field(repr=False)
    server_key: bytes = field(repr=False)

    def __post_init__(self) -> None:
        """Check the bounds."""
        if not 1 <= self.iterations <= MAX_ITERATIONS:
            raise ValueError(f"a SCRAM secret has 1 to {MAX_ITERATIONS} iterations")
        if not len(self.stored_key) == len(self.server_key) == KEY_SIZE:
            raise ValueError(f"the keys of a SCRAM secret have {KEY_SIZE} bytes")


@dataclass(frozen=True, slots=True)
class ScramKeys:
    """Know the keys that make a SCRAM proof, for a server with this salt and these iterations only."""

    salt: bytes = field(repr=False)
    iterations: int
    client_key: bytes = field(repr=False)
    server_key: bytes = field(repr=False)


Secret: TypeAlias = PlainSecret | Md5Secret | ScramSecret
"""What checks a user."""
Credentials: TypeAlias = PlainSecret | Md5Secret | ScramKeys
"""What logs in as a user."""


def parse_secret(text: str) -> Secret | None:
    """Return the secret that a text is, None for no password.

    Whatever is neither MD5 nor SCRAM is a password, as PostgreSQL has it (get_password_type in crypt.c). Raises
    ValueError for a SCRAM secret of no iterations, or more than `MAX_ITERATIONS`; it does not show the text.
    """
    if not text:
        return None
    if md5 := _MD5.fullmatch(text):
        return Md5Secret(md5[1].encode())
    return _scram(text) or PlainSecret(text)


def _scram(text: str) -> ScramSecret | None:
    match = _SCRAM.fullmatch(text)
    if match is None:
        return None
    salt, stored, server = (decoded(group.encode()) for group in match.groups()[1:])
    if salt is None or stored is None or server is None or not len(stored) == len(server) == KEY_SIZE:
        return None
    return ScramSecret(_bounded(match[1]), salt, stored, server)


def _bounded(digits: str) -> int:
    """Return a number that may be too large, whatever its length."""
    significant = digits.lstrip("0")
    return MAX_ITERATIONS + 1 if len(significant) > len(str(MAX_ITERATIONS)) else int(significant or "0")


def format_secret(secret: ScramSecret) -> str:
    """Return the text that `parse_secret` reads."""
    salt, stored, server = (b64encode(data).decode() for data in (secret.salt, secret.stored_key, secret.server_key))
    return f"{MECHANISM}${secret.iterations}:{salt}${stored}:{server}"


def scram_secret(password: str, salt: bytes, iterations: int) -> ScramSecret:
    """Return what a server would keep of a password. Slow by design; raises ValueError as `ScramSecret` does."""
    if not 1 <= iterations <= MAX_ITERATIONS:
        raise ValueError(f"a SCRAM secret has 1 to {MAX_ITERATIONS} iterations")
    salted = salted_password(prepared(password), salt, iterations)
    return ScramSecret(iterations, salt, stored_key(client_key(salted)), server_key(salted))


def mock_scram_secret(key: bytes, user: str, iterations: int) -> ScramSecret:
    """Return a secret for a user without one, which nobody can prove; `key` is drawn at start-up.

    It is the same each time, so that its salt does not tell that it is made up.
    """
    name = raw(user)
    salt, stored, server = (signature(key, label + name) for label in (b"salt:", b"stored:", b"server:"))
    return ScramSecret(iterations, salt[:MOCK_SALT_SIZE], stored, server)


def matches(secret: PlainSecret | Md5Secret, password: str, user: str) -> bool:
    """Tell whether a password is the right one, in a time that does not tell how far it is right."""
    if isinstance(secret, PlainSecret):
        return compare_digest(raw(secret.password), raw(password))
    return compare_digest(secret.digest, md5_digest(password, user))


def matches_salted(secret: ScramSecret, salted: bytes) -> bool:
    """Tell whether a password is the right one, by what `salted_password` makes of it with the secret's salt."""
    return compare_digest(secret.server_key, server_key(salted))


def md5_matches(secret: PlainSecret | Md5Secret, user: str, salt: bytes, answer: bytes) -> bool:
    """Tell whether the answer to AuthenticationMD5Password is the right one."""
    return compare_digest(md5_answer(digest_of(secret, user), salt), answer)


def digest_of(secret: PlainSecret | Md5Secret, user: str) -> bytes:
    """Return the MD5 digest of password and user name."""
    return secret.digest if isinstance(secret, Md5Secret) else md5_digest(secret.password, user)
