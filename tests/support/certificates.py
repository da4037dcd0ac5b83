"""Certificates for tests, made when they are asked for: good for nothing else."""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

DAY = datetime.timedelta(days=1)
PrivateKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey
KEYS: dict[str, Callable[[], PrivateKey]] = {
    "ec": lambda: ec.generate_private_key(ec.SECP256R1()),
    "ed25519": ed25519.Ed25519PrivateKey.generate,
    "rsa": lambda: rsa.generate_private_key(65537, 2048),
}
SHA256 = hashes.SHA256()


@dataclass
class Certificate:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: PrivateKey

    @property
    def pem(self) -> bytes:
        """The certificate."""
        return self.certificate.public_bytes(Encoding.PEM)

    def key_pem(self, passphrase: str | None = None) -> bytes:
        """Return the key, encrypted if there is a passphrase."""
        encryption: KeySerializationEncryption = NoEncryption()
        if passphrase is not None:
            encryption = BestAvailableEncryption(passphrase.encode())
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)

    def write(self, folder: Path, name: str) -> tuple[Path, Path]:
        """Write both into files; return their paths."""
        certificate, key = folder / f"{name}.crt", folder / f"{name}.key"
        certificate.write_bytes(self.pem)
        key.write_bytes(self.key_pem())
        key.chmod(0o600)
        return certificate, key


def authority(name: str = "authority", kind: str = "ec") -> Certificate:
    """Return an authority, which has signed itself; `kind` is one of `KEYS`."""
    return _sign(name, None, x509.BasicConstraints(ca=True, path_length=None), [], kind)


def certificate(
    issuer: Certificate,
    common_name: str,
    names: Sequence[str] = (),
    *,
    kind: str = "ec",
    expired: bool = False,
    digest: hashes.HashAlgorithm = SHA256,
) -> Certificate:
    """Return a certificate, of a server or a client; `names` are the hosts of its subjectAltName, maybe none.

    `kind` is one of `KEYS`; `digest` is what the issuer signs, unless its key is of a kind that has no choice.
    """
    constraints = x509.BasicConstraints(ca=False, path_length=None)
    return _sign(common_name, issuer, constraints, names, kind, expired, digest)


def revoked(issuer: Certificate, *withdrawn: Certificate) -> bytes:
    """Return an issuer's list of revoked certificates."""
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateRevocationListBuilder().issuer_name(issuer.certificate.subject)
    builder = builder.last_update(now - DAY).next_update(now + DAY)
    for each in withdrawn:
        entry = x509.RevokedCertificateBuilder().serial_number(each.certificate.serial_number).revocation_date(now)
        builder = builder.add_revoked_certificate(entry.build())
    return builder.sign(issuer.key, _digest(issuer.key, SHA256)).public_bytes(Encoding.PEM)


def _digest(key: PrivateKey, wanted: hashes.HashAlgorithm) -> hashes.HashAlgorithm | None:
    return None if isinstance(key, ed25519.Ed25519PrivateKey) else wanted


def _sign(
    common_name: str,
    issuer: Certificate | None,
    constraints: x509.BasicConstraints,
    names: Sequence[str],
    kind: str,
    expired: bool = False,
    digest: hashes.HashAlgorithm = SHA256,
) -> Certificate:
    key = KEYS[kind]()
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if issuer is None else issuer.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - 2 * DAY)
        .not_valid_after(now - DAY if expired else now + DAY)
        .add_extension(constraints, critical=True)
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName([_general(name) for name in names]), critical=False)
    signer = key if issuer is None else issuer.key
    return Certificate(builder.sign(signer, _digest(signer, digest)), key)


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
