"""TLS between the benchmark and the servers: one certificate for all of them, made anew for each run."""

from __future__ import annotations

import datetime
import os
import ssl
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

NAME = "localhost"
LIFETIME = datetime.timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Certificate:
    """Hold a certificate and its key, both PEM."""

    certificate: bytes
    key: bytes = field(repr=False)

    def write(self, folder: Path, owner: int | None = None) -> tuple[Path, Path]:
        """Write both; return the paths of certificate and key, the key for the eyes of its owner (a user id) alone."""
        certificate, key = folder / "server.crt", folder / "server.key"
        certificate.write_bytes(self.certificate)
        key.touch(0o600)
        key.write_bytes(self.key)
        if owner is not None:
            os.chown(key, owner, -1)
        return certificate, key


def make_certificate() -> Certificate:
    """Return a certificate that has signed itself, with a key on P-256: what signing costs is much the same for all."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - LIFETIME)
        .not_valid_after(now + LIFETIME)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return Certificate(made.public_bytes(Encoding.PEM), secret)


@lru_cache(1)
def client_context() -> ssl.SSLContext:
    """Return a client's context: TLS 1.3, no resumption, as each connection gets no session of another.

    The certificate is not checked, which would cost the generator time; the server notices nothing of it.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
