"""TLS to the upstream, as libpq's keywords ask for it (manual, "SSL Support").

Two keywords are not libpq's: `ciphers`, as in OpenSSL's lists, for TLS 1.2 and older, and `tls13_ciphers`. Without
them, and where they say `default`, the choice is Twisted's.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import NameOID
from OpenSSL import crypto
from OpenSSL.SSL import (
    TLS1_1_VERSION,
    TLS1_2_VERSION,
    TLS1_3_VERSION,
    TLS1_VERSION,
    VERIFY_PEER,
    Connection,
    Context,
    Error,
)
from service_identity import CertificateError, VerificationError
from service_identity.hazmat import DNS_ID, CertificatePattern, DNSPattern, IPAddress_ID, verify_service_identity
from service_identity.pyopenssl import extract_patterns
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.internet.ssl import CertificateOptions, TLSVersion
from twisted.protocols.tls import TLSMemoryBIOProtocol
from zope.interface import implementer

from twistnotify.relay.places import is_address

Conninfo = Mapping[str, str]
PrivateKey = RSAPrivateKey | EllipticCurvePrivateKey | Ed25519PrivateKey | Ed448PrivateKey
"""The kinds of keys that certificates for TLS have."""

FOLDER = "~/.postgresql"
FILES = {"sslrootcert": "root.crt", "sslcrl": "root.crl", "sslcert": "postgresql.crt", "sslkey": "postgresql.key"}
"""What libpq looks for in its folder if the keyword is not there."""
SYSTEM = "system"
"""The sslrootcert that means the roots which the system trusts."""
VERSIONS = {"TLSv1": TLS1_VERSION, "TLSv1.1": TLS1_1_VERSION, "TLSv1.2": TLS1_2_VERSION, "TLSv1.3": TLS1_3_VERSION}
OLDEST_VERSION = "TLSv1.2"
"""The oldest version that is spoken unless a keyword says so: libpq's default."""
ANY_VERSION = 0
"""OpenSSL's number for no limit."""
DEFAULT_CIPHERS = "default"
NO_KEY = "it is encrypted, or no key"
MISMATCH = "server certificate does not match the host name"


class TlsFault(Exception):
    """TLS cannot be used as the keywords ask for it; the text names no file."""


@implementer(IOpenSSLClientConnectionCreator)
class ClientTls:
    """Make the TLS side of one connection; `fault` says what was wrong with the server's certificate.

    Twisted's own `optionsForClientTLS` is of no use here: it always checks the name, and it lets a certificate pass
    that has no subjectAltName, since service_identity raises another error for that than it expects.
    """

    def __init__(self, conninfo: Conninfo, host: str) -> None:
        """Prepare to speak with `host`; raises TlsFault."""
        self.fault: str | None = None
        self._host = host
        self._server_name = _server_name(host)
        self._checks_name = conninfo.get("sslmode") == "verify-full"
        self._context = context(conninfo)

    def clientConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> Connection:  # noqa: N802, N803
        """Return a connection that has not begun."""
        connection = Connection(self._context, None)
        if self._server_name:
            connection.set_tlsext_host_name(self._server_name)
        if self._checks_name:
            connection.set_verify(VERIFY_PEER, self._verify)
        return connection

    def reason_of(self, error: BaseException | None) -> str:
        """Return why a handshake failed, in OpenSSL's words where they say enough."""
        return self.fault or reason_of(error)

    def _verify(self, connection: Connection, certificate: crypto.X509, error: int, depth: int, trusted: int) -> bool:
        if depth == 0 and trusted and not is_for(certificate, self._host):
            self.fault = MISMATCH
            return False
        return bool(trusted)


def _server_name(host: str) -> bytes:
    """Return what the server is told of which certificate is wanted; nothing for an address."""
    try:
        return b"" if is_address(host) else host.encode("idna")
    except UnicodeError:
        raise TlsFault("the host name is invalid") from None


def is_for(certificate: crypto.X509, host: str) -> bool:
    """Tell whether a certificate is for a host, a name or an address.

    As libpq does, looks at the common name if there is no subjectAltName that could have named the host.
    """
    try:
        patterns = list(extract_patterns(certificate)) or _common_names(certificate)
        wanted = IPAddress_ID(host) if is_address(host) else DNS_ID(host)
        verify_service_identity(patterns, [wanted], [])
    except (VerificationError, CertificateError, ValueError):
        return False
    return True


def _common_names(certificate: crypto.X509) -> list[CertificatePattern]:
    names = certificate.to_cryptography().subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return [DNSPattern.from_bytes(str(name.value).encode()) for name in names]


def context(conninfo: Conninfo) -> Context:
    """Return what the keywords ask for, on top of Twisted's choice of all else; raises TlsFault."""
    # What Twisted has excluded cannot be allowed later; `_use_versions` excludes what is to be.
    made = CertificateOptions(insecurelyLowerMinimumTo=TLSVersion.TLSv1_0).getContext()
    for keyword, use in _USES:
        try:
            use(made, conninfo)
        except (Error, crypto.Error) as error:
            raise TlsFault(f"{keyword} cannot be used: {reason_of(error)}") from None
        except OSError as error:
            raise TlsFault(f"{keyword} cannot be used: {error.strerror}") from None
    return made


def _use_versions(made: Context, conninfo: Conninfo) -> None:
    oldest = _version(conninfo, "ssl_min_protocol_version", VERSIONS[OLDEST_VERSION])
    newest = _version(conninfo, "ssl_max_protocol_version", ANY_VERSION)
    if newest != ANY_VERSION and newest < oldest:
        raise TlsFault("invalid SSL protocol version range")
    made.set_min_proto_version(oldest)
    made.set_max_proto_version(newest)


def _version(conninfo: Conninfo, keyword: str, default: int) -> int:
    name = conninfo.get(keyword)
    if name and name not in VERSIONS:
        raise TlsFault(f"{keyword} cannot be used: it is no version of TLS")
    return VERSIONS[name] if name else default


def _use_ciphers(made: Context, conninfo: Conninfo) -> None:
    chosen = conninfo.get("ciphers", DEFAULT_CIPHERS)
    if chosen != DEFAULT_CIPHERS:
        made.set_cipher_list(chosen.encode())


def _use_tls13_ciphers(made: Context, conninfo: Conninfo) -> None:
    chosen = conninfo.get("tls13_ciphers", DEFAULT_CIPHERS)
    if chosen != DEFAULT_CIPHERS:
        made.set_tls13_ciphersuites(chosen.encode())


def _use_roots(made: Context, conninfo: Conninfo) -> None:
    """Have the server's certificate checked if there is something to check it against, whatever the mode."""
    mode, roots = conninfo.get("sslmode", ""), _file(conninfo, "sslrootcert")
    if roots == SYSTEM and mode != "verify-full":
        raise TlsFault(f'weak sslmode "{mode}" may not be used with sslrootcert=system (use "verify-full")')
    if roots == SYSTEM:
        made.set_default_verify_paths()
    elif roots is not None:
        made.load_verify_locations(roots)
    elif mode.startswith("verify"):
        raise TlsFault(f"sslmode={mode} needs sslrootcert")
    else:
        return
    made.set_verify(VERIFY_PEER, lambda *seen: bool(seen[-1]))


def _use_certificate(made: Context, conninfo: Conninfo) -> None:
    certificate = _file(conninfo, "sslcert")
    if certificate is not None:
        made.use_certificate_chain_file(certificate)


def _use_key(made: Context, conninfo: Conninfo) -> None:
    """Use the key of the certificate, which may be in the same file."""
    certificate = _file(conninfo, "sslcert")
    if certificate is not None:
        try:
            made.use_privatekey(load_key(_file(conninfo, "sslkey") or certificate))
        except TlsFault as fault:
            raise TlsFault(f"sslkey cannot be used: {fault}") from None
        made.check_privatekey()


def load_key(path: str) -> PrivateKey:
    """Read a key as PEM, which may follow a certificate, and ask nobody for a passphrase; raises TlsFault."""
    try:
        # Not read by OpenSSL, which would ask for the passphrase of an encrypted one on the terminal.
        key = load_pem_private_key(Path(path).read_bytes(), None)
    except OSError as error:
        raise TlsFault(str(error.strerror)) from None
    except (TypeError, ValueError, UnsupportedAlgorithm):
        raise TlsFault(NO_KEY) from None
    if not isinstance(key, PrivateKey):
        raise TlsFault(NO_KEY)
    return key


def _use_revoked(made: Context, conninfo: Conninfo) -> None:
    revoked = _file(conninfo, "sslcrl")
    store = made.get_cert_store()
    if revoked is not None and store is not None:
        store.load_locations(revoked)
        store.set_flags(crypto.X509StoreFlags.CRL_CHECK | crypto.X509StoreFlags.CRL_CHECK_ALL)


_USES = (
    ("ssl_min_protocol_version", _use_versions),
    ("ciphers", _use_ciphers),
    ("tls13_ciphers", _use_tls13_ciphers),
    ("sslrootcert", _use_roots),
    ("sslcert", _use_certificate),
    ("sslkey", _use_key),
    ("sslcrl", _use_revoked),
)


def _file(conninfo: Conninfo, keyword: str) -> str | None:
    """Return the file of a keyword, or libpq's default if that exists; raises OSError."""
    named = conninfo.get(keyword)
    if not named:
        default = os.path.expanduser(f"{FOLDER}/{FILES[keyword]}")
        return default if os.path.exists(default) else None
    if named != SYSTEM:
        # OpenSSL does not say that a file is missing.
        open(named, "rb").close()
    return named


def reason_of(error: BaseException | None) -> str:
    """Return what OpenSSL says of an error."""
    stack = error.args[0] if error is not None and error.args else ()
    reasons = [entry[-1] for entry in stack if isinstance(entry, tuple)] if isinstance(stack, (list, tuple)) else []
    return next((str(reason) for reason in reasons if reason), "the connection was closed")
