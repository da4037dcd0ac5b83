"""SCRAM-SHA-256 (RFC 5802, RFC 7677): the keys, names and bounds that both sides of an exchange share.

    password --PBKDF2--> salted --HMAC--> client key --SHA-256--> stored key
                                --HMAC--> server key

The server keeps the last one of each row. A proof is the client key, hidden by a signature that the stored key makes.
"""

from __future__ import annotations

from base64 import b64decode
from binascii import Error as Base64Error
from functools import lru_cache
from hashlib import pbkdf2_hmac, sha256
from hmac import digest

MECHANISM = "SCRAM-SHA-256"
MECHANISM_PLUS = "SCRAM-SHA-256-PLUS"
"""The mechanism with channel binding."""
BINDING_TYPE = "tls-server-end-point"
"""The only channel binding that PostgreSQL knows (RFC 5929, section 4)."""

KEY_SIZE = 32
"""Bytes of every key, signature and proof: those of SHA-256."""

MAX_ITERATIONS = 600_000
"""How much work a secret or a server may ask for: what is recommended for PBKDF2 today, some tenths of a second.

PostgreSQL's default is 4,096.
"""

MAX_MESSAGE = 1024
"""Bytes; PostgreSQL's own bound for what it is sent (PG_MAX_SASL_MESSAGE_LENGTH). Messages have about a hundred."""

QUICK_ITERATIONS = 10_000
"""Iterations that are worked off in the reactor's thread: some milliseconds. PostgreSQL's default is 4,096."""

REMEMBERED_KEYS = 128
"""Clients of one user share the salt: a reconnect of all of them costs one derivation."""

NONCE = rb"[!-+\--~]+"
"""Pattern: printable ASCII without a comma."""


class ScramFault(Exception):
    """Report that the exchange has failed, in words without a secret.

    `sqlstate` is 08P01 (protocol_violation) for what is not SCRAM, 0A000 (feature_not_supported) for what is no part of
    it here, 28000 (invalid_authorization_specification) for a peer that is not to be trusted, or not to be answered.
    """

    def __init__(self, message: str, sqlstate: str = "28000", detail: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.sqlstate = sqlstate
        self.detail = detail


def malformed(detail: str | None = None) -> ScramFault:
    """Return the fault for a message that is not SCRAM."""
    return ScramFault("malformed SCRAM message", "08P01", detail)


def decoded(text: bytes) -> bytes | None:
    """Return what is Base64, None if it is not: with white space in it, or too little or too much padding."""
    if len(text) % 4:
        return None
    try:
        return b64decode(text, validate=True)
    except Base64Error:
        return None


def derived(password: bytes, salt: bytes, iterations: int) -> bytes:
    """Return the key that all others come from (RFC 5802, section 3); `password` is prepared. Slow by design."""
    return pbkdf2_hmac("sha256", password, salt, iterations)


salted_password = lru_cache(REMEMBERED_KEYS)(derived)
"""The same, remembered: for passwords that are known, not for those that strangers try."""


def client_key(salted: bytes) -> bytes:
    """Return the key that only the client has."""
    return signature(salted, b"Client Key")


def stored_key(client: bytes) -> bytes:
    """Return what the server keeps of a client's key."""
    return sha256(client).digest()


def server_key(salted: bytes) -> bytes:
    """Return the key that the server signs with."""
    return signature(salted, b"Server Key")


def signature(key: bytes, signed: bytes) -> bytes:
    """Return the HMAC-SHA-256 of the exchange so far."""
    return digest(key, signed, "sha256")


def client_proof(client: bytes, signed: bytes) -> bytes:
    """Return the client's key, hidden by the signature that only its stored key makes."""
    return _masked(client, stored_key(client), signed)


def proved_key(proof: bytes, stored: bytes, signed: bytes) -> bytes:
    """Return the client's key that a proof of `KEY_SIZE` bytes hides; it is the right one if it gives `stored`."""
    return _masked(proof, stored, signed)


def _masked(text: bytes, stored: bytes, signed: bytes) -> bytes:
    mask = signature(stored, signed)
    return bytes(a ^ b for a, b in zip(text, mask, strict=True))
