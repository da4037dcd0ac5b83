"""The server's side of TLS: handshakes in memory."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from fakes.tls import ALICE, ROOT, SERVER, client_context, named, server_tls, tls_settings
from OpenSSL import SSL
from support.certificates import Certificate, authority, certificate
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from zope.interface.verify import verifyObject

from twistnotify.relay.tls import NO_KEY, TlsFault
from twistnotify.server.tls import PROTOCOL_NAME, Secured, ServerTls, _end_point, secured

STRANGER = certificate(authority("another authority"), "alice")
VERIFIED = {"client_tls_sslmode": "verify-full"}
SIGNED_BY_SHA1 = b"""\
-----BEGIN CERTIFICATE-----
MIIBbjCCARSgAwIBAgIUGBazOQtqN7YWlvfeuJcL79eTY78wCQYHKoZIzj0EATAM
MQowCAYDVQQDDAFzMCAXDTI2MTEyODE2NTEzOVoYDzIxMjYxMTA0MTY1MTM5WjAM
MQowCAYDVQQDDAFzMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE6QGw0Trmgh/C
Kgon/4VT8sl7MzRN1bB64NSYQOxbUHBq9/xezjrmxKLQ02lOu60lkd7WALFfEW9Y
YIFhd4cUuKNTMFEwHQYDVR0OBBYEFGI1lvJwYxiDZzeYRrqU5JiCzjSwMB8GA1Ud
IwQYMBaAFGI1lvJwYxiDZzeYRrqU5JiCzjSwMA8GA1UdEwEB/wQFMAMBAf8wCQYH
KoZIzj0EAQNJADBGAiEA29Ndl6fVeEc7D4xNROIyDkRoMh1cltli5syAV9sapUcC
IQC2aBx0zeRpq4g/12uk9+II09ILGlLr5d8MeS3YaspVWQ==
-----END CERTIFICATE-----
"""
"""Made by OpenSSL: cryptography does not sign like this any more."""


def sides(tls: ServerTls, context: SSL.Context) -> tuple[SSL.Connection, SSL.Connection]:
    """Return a server's and a client's connection that have not begun."""
    protocol: Any = None
    server, client = tls.serverConnectionForTLS(protocol), SSL.Connection(context, None)
    server.set_accept_state()
    client.set_connect_state()
    return server, client


def shake_hands(server: SSL.Connection, client: SSL.Connection) -> None:
    """Lead both sides to the end of the handshake, and one byte beyond; raises SSL.Error."""
    for _ in range(5):
        for side, other in ((client, server), (server, client)):
            with suppress(SSL.WantReadError):
                side.do_handshake()
            with suppress(SSL.WantReadError):
                other.bio_write(side.bio_read(65536))
    client.send(b"x")
    server.bio_write(client.bio_read(65536))
    assert server.recv(1) == b"x"


def meet(tls: ServerTls, context: SSL.Context) -> Secured:
    """Return what the server knows after a handshake; raises SSL.Error."""
    server, client = sides(tls, context)
    shake_hands(server, client)
    return secured(tls, server)


def complaint(tls: ServerTls, context: SSL.Context) -> str:
    with pytest.raises(SSL.Error) as caught:
        meet(tls, context)
    return str(caught.value.args[0][-1][-1])


def with_authority(folder: Path, **settings: Any) -> ServerTls:
    return server_tls(folder, client_tls_ca_file=str(folder / "root.crt"), **settings)


# What the files are good for


def test_twisted_takes_it_for_what_makes_connections(tmp_path: Path) -> None:
    assert verifyObject(IOpenSSLServerConnectionCreator, server_tls(tmp_path))


@pytest.mark.parametrize(
    ("mode", "required"),
    [("allow", False), ("prefer", False), ("require", True), ("verify-ca", True), ("verify-full", True)],
)
def test_some_modes_require_tls(tmp_path: Path, mode: str, required: bool) -> None:
    assert with_authority(tmp_path, client_tls_sslmode=mode).required is required


@pytest.mark.parametrize("digest", [hashes.SHA256(), hashes.SHA384(), hashes.SHA512()], ids=lambda d: d.name)
def test_scram_binds_to_the_certificate_by_its_own_hash(tmp_path: Path, digest: hashes.HashAlgorithm) -> None:
    shown = certificate(ROOT, "server", digest=digest)

    assert server_tls(tmp_path, shown).binding == shown.certificate.fingerprint(digest)


def test_a_weak_hash_is_replaced_by_a_good_one() -> None:
    shown = x509.load_pem_x509_certificate(SIGNED_BY_SHA1)
    assert isinstance(shown.signature_hash_algorithm, hashes.SHA1)

    assert _end_point(SIGNED_BY_SHA1) == shown.fingerprint(hashes.SHA256())


def test_a_certificate_without_a_hash_can_not_be_bound_to(tmp_path: Path) -> None:
    shown = certificate(authority(kind="ed25519"), "server", kind="ed25519")
    tls = server_tls(tmp_path, shown)

    assert tls.binding is None
    assert meet(tls, client_context()) == Secured(None, None, True)


@pytest.mark.parametrize(
    ("setting", "value", "reason"),
    [
        ("client_tls_cert_file", "/nowhere", "No such file or directory"),
        ("client_tls_key_file", "/nowhere", "No such file or directory"),
        ("client_tls_ca_file", "/nowhere", "No such file or directory"),
        ("client_tls_cert_file", "nonsense", "no start line"),
        ("client_tls_key_file", "nonsense", NO_KEY),
        ("client_tls_key_file", "encrypted", NO_KEY),
        ("client_tls_key_file", "alice.key", "key values mismatch"),
        ("client_tls_ca_file", "nonsense", "no certificate or crl found"),
        ("client_tls_ciphers", "nonsense", "no cipher match"),
        ("client_tls13_ciphers", "nonsense", "no cipher match"),
    ],
)
def test_what_can_not_be_used_is_named(tmp_path: Path, setting: str, value: str, reason: str) -> None:
    settings = tls_settings(tmp_path)
    ALICE.write(tmp_path, "alice")
    (tmp_path / "nonsense").write_text("nonsense")
    (tmp_path / "encrypted").write_bytes(SERVER.key_pem("a passphrase"))
    wrong: Any = {setting: str(tmp_path / value) if setting.endswith("_file") else value}

    with pytest.raises(TlsFault) as caught:
        ServerTls(replace(settings, **wrong))

    assert str(caught.value) == f"{setting} cannot be used: {reason}"


def test_a_file_that_can_not_be_read_is_named_where_openssl_meets_it_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = tls_settings(tmp_path)

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(SSL.Context, "use_certificate_chain_file", refuse)
    with pytest.raises(TlsFault, match=r"^client_tls_cert_file cannot be used: Permission denied$"):
        ServerTls(settings)


def test_a_context_is_made_once_of_its_files(tmp_path: Path) -> None:
    tls = server_tls(tmp_path)
    for file in tmp_path.iterdir():
        file.unlink()

    assert meet(tls, client_context()).binding == SERVER.certificate.fingerprint(hashes.SHA256())


# Versions and ciphers


def limited(oldest: int, newest: int, ciphers: bytes = b"DEFAULT") -> SSL.Context:
    context = client_context()
    context.set_min_proto_version(oldest)
    context.set_max_proto_version(newest)
    context.set_cipher_list(ciphers)
    return context


def test_old_versions_are_not_spoken(tmp_path: Path) -> None:
    old = limited(SSL.TLS1_VERSION, SSL.TLS1_1_VERSION, b"DEFAULT@SECLEVEL=0")

    assert "protocol" in complaint(server_tls(tmp_path), old)


def test_only_the_versions_that_the_configuration_names_are_spoken(tmp_path: Path) -> None:
    tls = server_tls(tmp_path, client_tls_protocols=("tlsv1.2",))
    server, client = sides(tls, client_context())
    shake_hands(server, client)

    assert client.get_protocol_version_name() == "TLSv1.2"
    assert "protocol" in complaint(tls, limited(SSL.TLS1_3_VERSION, SSL.TLS1_3_VERSION))


def test_ciphers_are_those_of_the_configuration(tmp_path: Path) -> None:
    chosen = "ECDHE-ECDSA-AES128-GCM-SHA256"
    server, client = sides(
        server_tls(tmp_path, client_tls_ciphers=chosen, client_tls_protocols=("tlsv1.2",)), client_context()
    )
    shake_hands(server, client)

    assert client.get_cipher_name() == chosen


def test_so_are_those_of_tls_1_3(tmp_path: Path) -> None:
    chosen = "TLS_CHACHA20_POLY1305_SHA256"
    server, client = sides(server_tls(tmp_path, client_tls13_ciphers=chosen), client_context())
    shake_hands(server, client)

    assert client.get_cipher_name() == chosen


@pytest.mark.parametrize("weak", [b"AES128-SHA", b"ECDHE-RSA-AES256-SHA"])
def test_weak_ciphers_are_not_used_by_default(tmp_path: Path, weak: bytes) -> None:
    shown = certificate(ROOT, "server", kind="rsa")
    old = limited(SSL.TLS1_2_VERSION, SSL.TLS1_2_VERSION, weak)

    assert complaint(server_tls(tmp_path, shown), old) == "no shared cipher"
    settings = {"client_tls_ciphers": weak.decode(), "client_tls_protocols": ("tlsv1.2",)}
    assert meet(server_tls(tmp_path, shown, **settings), old).named


def test_a_session_of_earlier_is_not_resumed(tmp_path: Path) -> None:
    tls = server_tls(tmp_path, client_tls_protocols=("tlsv1.2",))
    context = client_context()
    server, client = sides(tls, context)
    shake_hands(server, client)
    session = client.get_session()
    assert session is not None
    # Of a connection that ends without it nothing would be kept in any case.
    server.shutdown()
    server, again = sides(tls, context)
    again.set_session(session)
    shake_hands(server, again)

    assert again.master_key() != client.master_key()


def test_a_connection_is_not_negotiated_anew(tmp_path: Path) -> None:
    tls = server_tls(tmp_path, client_tls_protocols=("tlsv1.2",))
    server, client = sides(tls, client_context())
    shake_hands(server, client)
    client.renegotiate()
    with suppress(SSL.WantReadError):
        client.do_handshake()
    server.bio_write(client.bio_read(65536))
    with pytest.raises(SSL.WantReadError):
        server.recv(1)
    client.bio_write(server.bio_read(65536))

    with pytest.raises(SSL.Error, match="no renegotiation"):
        client.do_handshake()


# The protocol's name


@pytest.mark.parametrize("offered", [[PROTOCOL_NAME], [b"h2", PROTOCOL_NAME]])
def test_a_client_may_name_the_protocol(tmp_path: Path, offered: list[bytes]) -> None:
    assert meet(server_tls(tmp_path), client_context(protocols=offered)).named


def test_a_client_may_name_none(tmp_path: Path) -> None:
    assert not meet(server_tls(tmp_path), client_context(protocols=())).named


def test_a_client_of_another_protocol_is_turned_away_by_an_alert(tmp_path: Path) -> None:
    server, client = sides(server_tls(tmp_path), client_context(protocols=(b"http/1.1",)))
    with suppress(SSL.WantReadError):
        client.do_handshake()
    server.bio_write(client.bio_read(65536))
    with pytest.raises(SSL.Error):
        server.do_handshake()
    client.bio_write(server.bio_read(65536))

    with pytest.raises(SSL.Error, match="no application protocol"):
        client.do_handshake()


# Certificates of clients


@pytest.mark.parametrize(
    ("shown", "common_name"), [(ALICE, "alice"), (named(), None), (named("alice", "bob"), None), (named("b b"), "b b")]
)
def test_a_client_has_one_common_name_or_none(tmp_path: Path, shown: Certificate, common_name: str | None) -> None:
    assert meet(with_authority(tmp_path, **VERIFIED), client_context(shown)).common_name == common_name


def test_without_an_authority_nobody_is_asked_for_a_certificate(tmp_path: Path) -> None:
    assert meet(server_tls(tmp_path), client_context(ALICE)).common_name is None


@pytest.mark.parametrize("mode", ["verify-ca", "verify-full"])
def test_a_certificate_may_be_insisted_on(tmp_path: Path, mode: str) -> None:
    tls = with_authority(tmp_path, client_tls_sslmode=mode)

    assert complaint(tls, client_context()) == "peer did not return a certificate"


@pytest.mark.parametrize("mode", ["allow", "require"])
def test_otherwise_a_client_without_one_is_welcome(tmp_path: Path, mode: str) -> None:
    assert meet(with_authority(tmp_path, client_tls_sslmode=mode), client_context()).common_name is None


@pytest.mark.parametrize("mode", ["allow", "require", "verify-full"])
@pytest.mark.parametrize("shown", [STRANGER, certificate(ROOT, "alice", expired=True)], ids=["stranger", "expired"])
def test_one_that_is_no_good_is_refused_in_every_mode(tmp_path: Path, mode: str, shown: Certificate) -> None:
    assert "verify failed" in complaint(with_authority(tmp_path, client_tls_sslmode=mode), client_context(shown))
