"""SCRAM-SHA-256 (RFC 5802, RFC 7677): the client's side of the exchange as two values, and the keys of both sides.

    client   ClientFirst.message                n,,n=,r=<nonce>
    server   challenge                          r=<nonce and more>,s=<salt>,i=<iterations>
    client   ClientFirst.answer() -> ClientFinal.message    c=biws,r=<nonce and more>,p=<proof>
    server   verdict, for ClientFinal.verify    v=<signature>

The keys are functions of their own: a server's side needs the same ones. Channel binding changes `GS2_HEADER` alone,
and what comes behind it in `c=`. It must not know in which messages of PostgreSQL the texts travel.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import pbkdf2_hmac, sha256
from hmac import compare_digest, digest

from twistnotify.auth.password import prepared

MECHANISM = "SCRAM-SHA-256"

# The server says how much work the answer is, and the work is done in the reactor's thread. The bound holds all that
# is recommended for PBKDF2 (600,000; PostgreSQL's default is 4,096), and takes some tenths of a second.
MAX_ITERATIONS = 1_000_000

# Bytes; PostgreSQL's own bound for what it is sent (PG_MAX_SASL_MESSAGE_LENGTH). Its messages have about a hundred.
MAX_MESSAGE = 1024

# Clients of one user share the salt: a reconnect of all of them costs one derivation.
REMEMBERED_KEYS = 128

# No channel binding, and no authorization identity.
GS2_HEADER = b"n,,"

_NONCE = rb"[!-+\--~]+"
_BASE64 = rb"[A-Za-z0-9+/]+={0,2}"
_EXTENSIONS = rb"(?:,[A-Za-z]=[^,\0]+)*"
_CHALLENGE = re.compile(rb"r=(%b),s=(%b),i=([1-9][0-9]{0,9})%b" % (_NONCE, _BASE64, _EXTENSIONS))
_VERDICT = re.compile(rb"(?:v=(%b)|e=([a-z0-9-]+))%b" % (_BASE64, _EXTENSIONS))


class ScramFault(Exception):
    """Report that the exchange has failed, in words without a secret.

    `sqlstate` is 08P01 (protocol_violation) for what is not SCRAM, 28000 (invalid_authorization_specification) for a
    server that is not to be trusted, or not to be answered.
    """

    def __init__(self, message: str, sqlstate: str = "28000") -> None:
        super().__init__(message)
        self.message = message
        self.sqlstate = sqlstate


@dataclass(frozen=True, slots=True)
class ClientFirst:
    """Begin an exchange.

    `nonce` is drawn for this exchange alone: printable ASCII without a comma. `user` may stay empty for PostgreSQL,
    which knows it from the StartupMessage. Raises ValueError for another nonce.
    """

    nonce: str
    user: str = ""

    def __post_init__(self) -> None:
        """Check the nonce."""
        if not re.fullmatch(_NONCE, self.nonce.encode()):
            raise ValueError("a nonce is printable ASCII without a comma")

    @property
    def message(self) -> bytes:
        """Return what to send."""
        return GS2_HEADER + self._bare

    @property
    def _bare(self) -> bytes:
        name = self.user.replace("=", "=3D").replace(",", "=2C")
        return f"n={name},r={self.nonce}".encode()

    def answer(self, challenge: bytes, password: str) -> ClientFinal:
        """Return the answer to the server's challenge; raise `ScramFault` if it should have none."""
        nonce, salt, iterations = _read_challenge(challenge)
        if not nonce.startswith(self.nonce.encode()) or len(nonce) == len(self.nonce):
            raise ScramFault("the SCRAM nonce of the server does not extend the client's")
        salted = salted_password(prepared(password), salt, iterations)
        without_proof = b"c=" + b64encode(GS2_HEADER) + b",r=" + nonce
        signed = b",".join((self._bare, challenge, without_proof))
        proof = client_proof(client_key(salted), signed)
        return ClientFinal(without_proof + b",p=" + b64encode(proof), signature(server_key(salted), signed))


@dataclass(frozen=True, slots=True)
class ClientFinal:
    """Prove the password with `message`, and expect the server to prove that it knows it too."""

    message: bytes = field(repr=False)
    server_signature: bytes = field(repr=False)

    def verify(self, verdict: bytes) -> None:
        """Check the server's last message; raise `ScramFault` if it is not from one that knows the password."""
        match = _matched(_VERDICT, verdict)
        if match[2]:
            raise ScramFault(f"the server has refused the SCRAM exchange: {match[2].decode()}")
        if not compare_digest(_decoded(match[1]), self.server_signature):
            raise ScramFault("the SCRAM signature of the server is wrong")


def _read_challenge(challenge: bytes) -> tuple[bytes, bytes, int]:
    """Return the nonce, the salt and the number of iterations."""
    match = _matched(_CHALLENGE, challenge)
    iterations = int(match[3])
    if iterations > MAX_ITERATIONS:
        raise ScramFault(f"the server asks for {iterations} SCRAM iterations, {MAX_ITERATIONS} are allowed")
    return match[1], _decoded(match[2]), iterations


def _matched(pattern: re.Pattern[bytes], message: bytes) -> re.Match[bytes]:
    if len(message) > MAX_MESSAGE:
        raise ScramFault(f"SCRAM message of {len(message)} bytes is too long", "08P01")
    match = pattern.fullmatch(message)
    if match is None:
        raise ScramFault("malformed SCRAM message", "08P01")
    return match


def _decoded(text: bytes) -> bytes:
    try:
        return b64decode(text, validate=True)
    except Base64Error:
        raise ScramFault("malformed SCRAM message", "08P01") from None


@lru_cache(REMEMBERED_KEYS)
def salted_password(password: bytes, salt: bytes, iterations: int) -> bytes:
    """Return the key that all others come from (RFC 5802, section 3); `password` is prepared. Slow by design."""
    return pbkdf2_hmac("sha256", password, salt, iterations)


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
    mask = signature(stored_key(client), signed)
    return bytes(a ^ b for a, b in zip(client, mask, strict=True))
