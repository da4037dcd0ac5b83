"""TLS to clients: what `client_tls_*` says, as a context (manual, "Secure TCP/IP Connections with SSL").

A context is made once of its files and never changed: a reload makes another one, for new connections only. There is no
renegotiation and no resumption, so that each connection has shown the certificate that it is judged by.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import NameOID
from OpenSSL import SSL, crypto
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from twisted.protocols.tls import TLSMemoryBIOProtocol
from zope.interface import implementer

from twistnotify.config.model import Settings
from twistnotify.relay.tls import TlsFault, load_key, reason_of
from twistnotify.server.encryption import Encryption

PROTOCOL_NAME = b"postgresql"
"""What PostgreSQL is called in ALPN (RFC 7301; manual, "Frontend/Backend Protocol": "SSL Session Encryption")."""
REQUIRED = ("require", "verify-ca", "verify-full")
VERIFIED = ("verify-ca", "verify-full")
DEFAULT = "default"
SAFE_CIPHERS = "HIGH:!aNULL:!MD5:!RC4:!3DES:!SHA1"
"""Up to TLS 1.2; the ciphers of 1.3 are all good."""
_OPTIONS = SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION | SSL.OP_NO_TICKET | SSL.OP_CIPHER_SERVER_PREFERENCE
_VERSIONS = {
    "tlsv1.0": SSL.TLS1_VERSION,
    "tlsv1.1": SSL.TLS1_1_VERSION,
    "tlsv1.2": SSL.TLS1_2_VERSION,
    "tlsv1.3": SSL.TLS1_3_VERSION,
}


@implementer(IOpenSSLServerConnectionCreator)
class ServerTls:
    """Make the TLS side of connections.

    `required` tells that nobody is let in over TCP without TLS. `binding` is what SCRAM binds to of this certificate
    (RFC 5929, tls-server-end-point); None where it has no signature hash, as one of Ed25519. `encryption` puts it in
    front of clients.
    """

    def __init__(self, settings: Settings) -> None:
        """Read the files; raises TlsFault."""
        self.required = settings.client_tls_sslmode in REQUIRED
        self._context = _context(settings)
        self.encryption = Encryption(self)
        self.binding = _end_point(_read("client_tls_cert_file", settings.client_tls_cert_file))

    def serverConnectionForTLS(self, protocol: TLSMemoryBIOProtocol) -> SSL.Connection:  # noqa: N802
        """Return a connection that has not begun."""
        return SSL.Connection(self._context, None)


@dataclass(frozen=True, slots=True)
class Secured:
    """What is known of a connection once it is encrypted.

    `common_name` is the one of a client's certificate that was verified, None if it has shown none or has not just
    one; `named` tells that the protocol was named in ALPN.
    """

    binding: bytes | None
    common_name: str | None
    named: bool


def secured(tls: ServerTls, connection: SSL.Connection) -> Secured:
    """Return what the handshake of a connection has brought."""
    certificate = connection.get_peer_certificate()
    named = connection.get_alpn_proto_negotiated() == PROTOCOL_NAME
    return Secured(tls.binding, None if certificate is None else _common_name(certificate), named)


def _common_name(shown: crypto.X509) -> str | None:
    try:
        names = shown.to_cryptography().subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    except ValueError:
        # OpenSSL has taken it, but nobody can read it.
        return None
    return str(names[0].value) if len(names) == 1 else None


def _context(settings: Settings) -> SSL.Context:
    made = SSL.Context(SSL.TLS_SERVER_METHOD)
    made.set_options(_OPTIONS)
    made.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    # Without a name, a client that tries to resume a session all the same would be an error of OpenSSL's.
    made.set_session_id(PROTOCOL_NAME)
    made.set_alpn_select_callback(_select_protocol)
    for name, use in _USES:
        try:
            use(made, settings)
        except (SSL.Error, crypto.Error) as error:
            raise TlsFault(f"{name} cannot be used: {reason_of(error)}") from None
        except OSError as error:
            raise TlsFault(f"{name} cannot be used: {error.strerror}") from None
    return made


def _select_protocol(_: SSL.Connection, offered: list[bytes]) -> bytes:
    """Take our protocol, or end the handshake by an alert, as PostgreSQL does."""
    if PROTOCOL_NAME not in offered:
        raise SSL.Error([("SSL routines", "", "no application protocol")])
    return PROTOCOL_NAME


def _use_certificate(made: SSL.Context, settings: Settings) -> None:
    _read("client_tls_cert_file", settings.client_tls_cert_file)
    made.use_certificate_chain_file(settings.client_tls_cert_file)


def _use_key(made: SSL.Context, settings: Settings) -> None:
    try:
        made.use_privatekey(load_key(settings.client_tls_key_file))
    except TlsFault as fault:
        raise TlsFault(f"client_tls_key_file cannot be used: {fault}") from None
    made.check_privatekey()


def _use_authority(made: SSL.Context, settings: Settings) -> None:
    """Ask for a certificate where there is something to check it against; insist on it if the mode does."""
    path = settings.client_tls_ca_file
    if not path:
        return
    # OpenSSL does not say that a file is missing.
    _read("client_tls_ca_file", path)
    made.load_verify_locations(path)
    made.load_client_ca(path.encode())
    mode = SSL.VERIFY_PEER
    if settings.client_tls_sslmode in VERIFIED:
        mode |= SSL.VERIFY_FAIL_IF_NO_PEER_CERT
    made.set_verify(mode, lambda *seen: bool(seen[-1]))


def _use_protocols(made: SSL.Context, settings: Settings) -> None:
    versions = [_VERSIONS[name] for name in settings.client_tls_protocols]
    made.set_min_proto_version(min(versions))
    made.set_max_proto_version(max(versions))


def _use_ciphers(made: SSL.Context, settings: Settings) -> None:
    ciphers = settings.client_tls_ciphers
    made.set_cipher_list((SAFE_CIPHERS if ciphers == DEFAULT else ciphers).encode())


def _use_tls13_ciphers(made: SSL.Context, settings: Settings) -> None:
    if settings.client_tls13_ciphers != DEFAULT:
        made.set_tls13_ciphersuites(settings.client_tls13_ciphers.encode())


_USES = (
    ("client_tls_cert_file", _use_certificate),
    ("client_tls_key_file", _use_key),
    ("client_tls_ca_file", _use_authority),
    ("client_tls_protocols", _use_protocols),
    ("client_tls_ciphers", _use_ciphers),
    ("client_tls13_ciphers", _use_tls13_ciphers),
)


def _read(setting: str, path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise TlsFault(f"{setting} cannot be used: {error.strerror}") from None


def _end_point(pem: bytes) -> bytes | None:
    """Return the hash of a certificate by the algorithm of its own signature, SHA-256 in the place of weak ones."""
    try:
        certificate = x509.load_pem_x509_certificate(pem)
    except ValueError:
        raise TlsFault("client_tls_cert_file cannot be used: it holds no certificate in PEM") from None
    algorithm = certificate.signature_hash_algorithm
    if algorithm is None:
        return None
    if isinstance(algorithm, hashes.MD5 | hashes.SHA1):
        algorithm = hashes.SHA256()
    return certificate.fingerprint(algorithm)
