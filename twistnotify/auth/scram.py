"""SCRAM-SHA-256 (RFC 5802, RFC 7677): the server's side of the exchange as values, as PostgreSQL plays it.

Each side adds a nonce, and signs all that was said: nothing can be replayed or changed on the way. The client proves
that it has the key behind the stored key, the server that it has the server key; who listens learns neither.

    server   ServerStart.mechanisms                         the offer
    client   for ServerStart.challenge() -> ServerChallenge n,,n=,r=<nonce>
    server   ServerChallenge.message                        r=<nonce and more>,s=<salt>,i=<iterations>
    client   for ServerChallenge.verify() -> ServerFinal    c=biws,r=<nonce and more>,p=<proof>
    server   ServerFinal.message                            v=<signature>

With channel binding the client's first message begins with "p=tls-server-end-point,,", and `c=` has this and the hash
of the server's certificate: a man in the middle has another one. The name `n=` counts for nothing, since PostgreSQL
takes the StartupMessage's. A `doomed` exchange goes all the way, and fails whatever the proof. Faults are `ScramFault`
in PostgreSQL's words. It must not know in which messages of PostgreSQL the texts travel.
"""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass, field
from hmac import compare_digest

from twistnotify.auth.scram_attributes import AttributeReader, is_printable, shown, shown_name
from twistnotify.auth.scram_keys import (
    BINDING_TYPE,
    KEY_SIZE,
    MECHANISM,
    MECHANISM_PLUS,
    ScramFault,
    decoded,
    malformed,
    proved_key,
    signature,
    stored_key,
)
from twistnotify.auth.secrets import ScramKeys, ScramSecret

UNSUPPORTED = "0A000"
"""PostgreSQL's SQLSTATE feature_not_supported."""
VIOLATION = "08P01"
"""PostgreSQL's SQLSTATE protocol_violation."""


@dataclass(frozen=True, slots=True)
class ServerStart:
    """Offer an exchange.

    `nonce` is the server's part of it, Base64 of 18 random bytes drawn for this exchange alone. `binding` is the hash
    of the server's certificate (RFC 5929, section 4.1), None without TLS and where there is no such hash.
    """

    secret: ScramSecret = field(repr=False)
    doomed: bool = field(repr=False)
    nonce: str
    binding: bytes | None = None

    @property
    def mechanisms(self) -> tuple[str, ...]:
        """Return what to offer, the favourite first."""
        return (MECHANISM,) if self.binding is None else (MECHANISM_PLUS, MECHANISM)

    def challenge(self, mechanism: str, client_first: bytes) -> ServerChallenge:
        """Return the answer to the client's choice and first message; raise `ScramFault` if it should have none."""
        if mechanism not in self.mechanisms:
            raise ScramFault("client selected an invalid SASL authentication mechanism", VIOLATION)
        reader = AttributeReader(client_first)
        binds = mechanism == MECHANISM_PLUS
        self._read_flag(reader, binds)
        _read_authorization(reader)
        header, bare = client_first[: reader.position], client_first[reader.position :]
        nonce = _read_bare(reader) + self.nonce.encode()
        bound = header + self.binding if binds and self.binding is not None else header
        return ServerChallenge(self.secret, self.doomed, nonce, bare, b64encode(bound), binds)

    def _read_flag(self, reader: AttributeReader, binds: bool) -> None:
        """Read what the client says of channel binding, and the comma behind it."""
        flag = reader.next
        if flag == b"p":
            _read_binding(reader, binds)
            return
        if flag not in (b"n", b"y"):
            raise malformed(f'Unexpected channel-binding flag "{shown(flag)}".')
        if binds:
            raise malformed(
                "The client selected SCRAM-SHA-256-PLUS, but the SCRAM message does not include channel binding data."
            )
        if flag == b"y" and self.binding is not None:
            raise ScramFault(
                "SCRAM channel binding negotiation error",
                detail="The client supports SCRAM channel binding but thinks the server does not.  "
                "However, this server does support channel binding.",
            )
        reader.read()
        if reader.next != b",":
            raise malformed(f'Comma expected, but found character "{shown(reader.next)}".')
        reader.read()


def _read_binding(reader: AttributeReader, binds: bool) -> None:
    if not binds:
        raise malformed(
            "The client selected SCRAM-SHA-256 without channel binding, "
            "but the SCRAM message includes channel binding data."
        )
    kind = reader.value(b"p")
    if kind != BINDING_TYPE.encode():
        raise ScramFault(f'unsupported SCRAM channel-binding type "{shown_name(kind)}"', VIOLATION)


def _read_authorization(reader: AttributeReader) -> None:
    if reader.next == b"a":
        raise ScramFault("client uses authorization identity, but it is not supported", UNSUPPORTED)
    if reader.next != b",":
        raise malformed(f'Unexpected attribute "{shown(reader.next)}" in client-first-message.')
    reader.read()


def _read_bare(reader: AttributeReader) -> bytes:
    """Return the client's nonce; extensions that are not mandatory are passed over."""
    if reader.next == b"m":
        raise ScramFault("client requires an unsupported SCRAM extension", UNSUPPORTED)
    reader.value(b"n")
    nonce = reader.value(b"r")
    if not is_printable(nonce):
        raise ScramFault("non-printable characters in SCRAM nonce", VIOLATION)
    while not reader.at_end:
        reader.any_value()
    return nonce


@dataclass(frozen=True, slots=True)
class ServerChallenge:
    """Ask for the proof.

    `nonce` is both sides', `client_first` the client's first message without its header, `bound` the value that `c=`
    has to have; `binds` tells whether it is that of a channel.
    """

    secret: ScramSecret = field(repr=False)
    doomed: bool = field(repr=False)
    nonce: bytes
    client_first: bytes = field(repr=False)
    bound: bytes = field(repr=False)
    binds: bool

    @property
    def message(self) -> bytes:
        """Return what to send."""
        return b"r=%b,s=%b,i=%d" % (self.nonce, b64encode(self.secret.salt), self.secret.iterations)

    def verify(self, client_final: bytes) -> ServerFinal | None:
        """Return the server's own proof, None if the client's is wrong or doomed; raise `ScramFault` for no proof."""
        without_proof, proof = self._read(client_final)
        signed = b",".join((self.client_first, self.message, without_proof))
        secret = self.secret
        key = proved_key(proof, secret.stored_key, signed)
        if not compare_digest(stored_key(key), secret.stored_key) or self.doomed:
            return None
        keys = ScramKeys(secret.salt, secret.iterations, key, secret.server_key)
        return ServerFinal(b"v=" + b64encode(signature(secret.server_key, signed)), keys)

    def _read(self, client_final: bytes) -> tuple[bytes, bytes]:
        """Return the message up to its proof, and the proof."""
        reader = AttributeReader(client_final)
        self._check_bound(reader.value(b"c"))
        nonce = reader.value(b"r")
        end, proof = _read_proof(reader)
        if not reader.at_end:
            raise malformed("Garbage found at the end of client-final-message.")
        if not compare_digest(nonce, self.nonce):
            raise ScramFault("invalid SCRAM response", VIOLATION, "Nonce does not match.")
        return client_final[: end - 1], proof

    def _check_bound(self, bound: bytes) -> None:
        if compare_digest(bound, self.bound):
            return
        if self.binds:
            raise ScramFault("SCRAM channel binding check failed")
        raise ScramFault("unexpected SCRAM channel-binding attribute in client-final-message", VIOLATION)


def _read_proof(reader: AttributeReader) -> tuple[int, bytes]:
    """Return where the proof's attribute begins, and the proof; extensions before it are passed over."""
    while True:
        start = reader.position
        name, value = reader.any_value()
        if name == b"p":
            break
    proof = decoded(value)
    if proof is None or len(proof) != KEY_SIZE:
        raise malformed("Malformed proof in client-final-message.")
    return start, proof


@dataclass(frozen=True, slots=True)
class ServerFinal:
    """Prove to the client that the server knows it with `message`; `keys` are what its proof has taught."""

    message: bytes = field(repr=False)
    keys: ScramKeys = field(repr=False)
