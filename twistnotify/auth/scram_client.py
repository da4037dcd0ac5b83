"""SCRAM-SHA-256 (RFC 5802, RFC 7677): the client's side of the exchange as values.

    client   ClientFirst.message                            n,,n=,r=<nonce>
    server   challenge, for ClientFirst.read() -> Challenge r=<nonce and more>,s=<salt>,i=<iterations>
    client   ClientFirst.answer() -> ClientFinal.message    c=biws,r=<nonce and more>,p=<proof>
    server   verdict, for ClientFinal.verify                v=<signature>

Between reading and answering the keys are derived, or known already: how is for the caller to decide, since it may take
long. Channel binding changes `GS2_HEADER` alone, and what comes behind it in `c=`. It must not know in which messages
of PostgreSQL the texts travel.
"""

from __future__ import annotations

import re
from base64 import b64encode
from dataclasses import dataclass, field
from hmac import compare_digest

from twistnotify.auth.scram_keys import (
    MAX_ITERATIONS,
    MAX_MESSAGE,
    NONCE,
    ScramFault,
    client_proof,
    decoded,
    malformed,
    signature,
)

# No channel binding, and no authorization identity.
GS2_HEADER = b"n,,"

_BASE64 = rb"[A-Za-z0-9+/]+={0,2}"
_EXTENSIONS = rb"(?:,[A-Za-z]=[^,\0]+)*"
_CHALLENGE = re.compile(rb"r=(%b),s=(%b),i=([1-9][0-9]{0,9})%b" % (NONCE, _BASE64, _EXTENSIONS))
_VERDICT = re.compile(rb"(?:v=(%b)|e=([a-z0-9-]+))%b" % (_BASE64, _EXTENSIONS))


@dataclass(frozen=True, slots=True)
class Challenge:
    """Tell what the keys of an answer are derived with; `message` is the whole of it, `nonce` both sides'."""

    message: bytes = field(repr=False)
    nonce: bytes = field(repr=False)
    salt: bytes = field(repr=False)
    iterations: int


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
        if not re.fullmatch(NONCE, self.nonce.encode()):
            raise ValueError("a nonce is printable ASCII without a comma")

    @property
    def message(self) -> bytes:
        """Return what to send."""
        return GS2_HEADER + self._bare

    @property
    def _bare(self) -> bytes:
        name = self.user.replace("=", "=3D").replace(",", "=2C")
        return f"n={name},r={self.nonce}".encode()

    def read(self, message: bytes) -> Challenge:
        """Return the server's challenge; raise `ScramFault` if it should have no answer."""
        challenge = _read_challenge(message)
        if not challenge.nonce.startswith(self.nonce.encode()) or len(challenge.nonce) == len(self.nonce):
            raise ScramFault("the SCRAM nonce of the server does not extend the client's")
        return challenge

    def answer(self, challenge: Challenge, client_key: bytes, server_key: bytes) -> ClientFinal:
        """Return the answer to a challenge, by the keys that its salt and iterations make of the password."""
        without_proof = b"c=" + b64encode(GS2_HEADER) + b",r=" + challenge.nonce
        signed = b",".join((self._bare, challenge.message, without_proof))
        proof = client_proof(client_key, signed)
        return ClientFinal(without_proof + b",p=" + b64encode(proof), signature(server_key, signed))


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


def _read_challenge(message: bytes) -> Challenge:
    match = _matched(_CHALLENGE, message)
    iterations = int(match[3])
    if iterations > MAX_ITERATIONS:
        raise ScramFault(f"the server asks for {iterations} SCRAM iterations, {MAX_ITERATIONS} are allowed")
    return Challenge(message, match[1], _decoded(match[2]), iterations)


def _matched(pattern: re.Pattern[bytes], message: bytes) -> re.Match[bytes]:
    if len(message) > MAX_MESSAGE:
        raise ScramFault(f"SCRAM message of {len(message)} bytes is too long", "08P01")
    match = pattern.fullmatch(message)
    if match is None:
        raise malformed()
    return match


def _decoded(text: bytes) -> bytes:
    data = decoded(text)
    if data is None:
        raise malformed()
    return data
