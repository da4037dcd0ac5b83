"""Handshakes in memory: what is trusted, and for what."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from OpenSSL import SSL, crypto
from support.certificates import KEYS, Certificate, authority, certificate, revoked
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.internet.ssl import CertificateOptions
from zope.interface.verify import verifyObject

from twistnotify.relay.tls import MISMATCH, NO_KEY, VERSIONS, ClientTls, TlsFault, load_key, reason_of

HOST = "db.example.org"
ROOT = authority()
OTHER_ROOT = authority("another authority")
SERVER = certificate(ROOT, "unrelated", [HOST])


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with an empty folder of libpq's."""
    folder = tmp_path / "home/.postgresql"
    folder.mkdir(parents=True)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return folder


@pytest.fixture
def root(tmp_path: Path) -> str:
    path, _ = ROOT.write(tmp_path, "root")
    return str(path)


def server_context(server: Certificate, asks_for: Certificate | None = None) -> SSL.Context:
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.use_certificate(server.certificate)
    context.use_privatekey(server.key)
    if asks_for is not None:
        store = context.get_cert_store()
        assert store is not None
        store.add_cert(crypto.X509.from_cryptography(asks_for.certificate))
        context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, lambda *seen: bool(seen[-1]))
    return context


def shake_hands(tls: ClientTls, context: SSL.Context) -> SSL.Connection:
    """Lead both sides to the end of the handshake, and one byte beyond; return the server's."""
    client, server = tls.clientConnectionForTLS(None), SSL.Connection(context, None)  # type: ignore[arg-type]
    client.set_connect_state()
    server.set_accept_state()
    for _ in range(5):
        for side, other in ((client, server), (server, client)):
            with suppress(SSL.WantReadError):
                side.do_handshake()
            with suppress(SSL.WantReadError):
                other.bio_write(side.bio_read(65536))
    server.send(b"x")
    client.bio_write(server.bio_read(65536))
    assert client.recv(1) == b"x"
    return server


def trusts(server: Certificate = SERVER, host: str = HOST, **conninfo: str) -> bool:
    """Tell whether a handshake comes about."""
    return complaint(server, host, **conninfo) is None


def complaint(server: Certificate = SERVER, host: str = HOST, **conninfo: str) -> str | None:
    """Return why a handshake does not come about."""
    tls = ClientTls(conninfo, host)
    try:
        shake_hands(tls, server_context(server))
    except SSL.Error as error:
        return tls.reason_of(error)
    return None


# Whom to trust


@pytest.mark.parametrize("mode", ["prefer", "require"])
def test_without_roots_everybody_is_trusted(mode: str) -> None:
    assert trusts(sslmode=mode)


@pytest.mark.parametrize("mode", ["prefer", "require", "verify-ca", "verify-full"])
def test_with_roots_only_those_they_have_signed_are_trusted(mode: str, root: str) -> None:
    stranger = certificate(OTHER_ROOT, HOST, [HOST])

    assert trusts(sslmode=mode, sslrootcert=root)
    assert complaint(stranger, sslmode=mode, sslrootcert=root) == "certificate verify failed"


def test_a_server_that_has_signed_itself_is_trusted_if_it_is_the_root(root: str) -> None:
    assert trusts(ROOT, sslmode="verify-ca", sslrootcert=root)
    assert not trusts(OTHER_ROOT, sslmode="verify-ca", sslrootcert=root)


def test_the_roots_of_the_system_do_not_trust_a_private_authority() -> None:
    assert not trusts(sslmode="verify-full", sslrootcert="system")


@pytest.mark.parametrize("mode", ["prefer", "require", "verify-ca"])
def test_the_roots_of_the_system_are_not_enough_without_the_name(mode: str) -> None:
    with pytest.raises(TlsFault, match="weak sslmode"):
        ClientTls({"sslmode": mode, "sslrootcert": "system"}, HOST)


@pytest.mark.parametrize("mode", ["verify-ca", "verify-full"])
def test_there_is_nothing_to_verify_with_without_roots(mode: str) -> None:
    with pytest.raises(TlsFault, match="needs sslrootcert"):
        ClientTls({"sslmode": mode}, HOST)


def test_the_roots_in_libpqs_folder_are_used_as_by_libpq(home: Path) -> None:
    (home / "root.crt").write_bytes(ROOT.pem)

    assert trusts(sslmode="verify-full")
    assert not trusts(certificate(OTHER_ROOT, HOST), sslmode="prefer")


def test_an_expired_certificate_is_not_trusted(root: str) -> None:
    late = certificate(ROOT, HOST, [HOST], expired=True)

    assert complaint(late, sslmode="verify-ca", sslrootcert=root) == "certificate verify failed"
    assert trusts(late, sslmode="require")


def test_a_revoked_certificate_is_not_trusted(root: str, tmp_path: Path) -> None:
    for withdrawn in ((SERVER,), ()):
        (tmp_path / "list.crl").write_bytes(revoked(ROOT, *withdrawn))
        files = {"sslrootcert": root, "sslcrl": str(tmp_path / "list.crl")}
        assert trusts(sslmode="verify-ca", **files) is not bool(withdrawn)


# For what


@pytest.mark.parametrize(
    ("common_name", "names", "host", "matches"),
    [
        ("x", ["db.example.org"], "db.example.org", True),
        ("x", ["db.example.org"], "DB.Example.org", True),
        ("x", ["*.example.org"], "db.example.org", True),
        ("x", ["*.example.org"], "a.db.example.org", False),
        ("x", ["other.example.org", "db.example.org"], "db.example.org", True),
        ("db.example.org", ["other.example.org"], "db.example.org", False),
        ("db.example.org", [], "db.example.org", True),
        ("*.example.org", [], "db.example.org", True),
        ("other.example.org", [], "db.example.org", False),
        ("*", [], "db.example.org", False),
        ("not a name", [], "db.example.org", False),
        ("x", ["10.0.0.9"], "10.0.0.9", True),
        ("x", ["fd00::2"], "fd00:0::2", True),
        ("x", ["10.0.0.8"], "10.0.0.9", False),
        ("10.0.0.9", [], "10.0.0.9", False),
        ("x", ["db.example.org"], "not a name", False),
        ("x", ["xn--bcher-kva.example"], "bücher.example", True),
    ],
)
def test_verify_full_wants_the_certificate_of_the_host(
    common_name: str, names: list[str], host: str, matches: bool, root: str
) -> None:
    server = certificate(ROOT, common_name, names)

    assert complaint(server, host, sslmode="verify-full", sslrootcert=root) == (None if matches else MISMATCH)
    assert trusts(server, host, sslmode="verify-ca", sslrootcert=root)


def test_a_certificate_of_the_host_is_not_enough_without_trust(root: str) -> None:
    stranger = certificate(OTHER_ROOT, HOST, [HOST])

    assert complaint(stranger, sslmode="verify-full", sslrootcert=root) == "certificate verify failed"


@pytest.mark.parametrize(
    ("host", "told"),
    [(HOST, HOST.encode()), ("10.0.0.9", None), ("fd00::2", None), ("bücher.org", b"xn--bcher-kva.org")],
)
def test_the_server_is_told_the_name_and_no_address(host: str, told: bytes | None) -> None:
    assert shake_hands(ClientTls({}, host), server_context(SERVER)).get_servername() == told


def test_a_name_that_cannot_be_told_is_refused() -> None:
    with pytest.raises(TlsFault, match="the host name is invalid"):
        ClientTls({}, "a..b")


# Showing a certificate


def test_a_certificate_is_shown_to_a_server_that_asks(tmp_path: Path, home: Path) -> None:
    mine = certificate(ROOT, "alice")
    shown, key = mine.write(tmp_path, "alice")
    both = tmp_path / "both.pem"
    both.write_bytes(mine.pem + mine.key_pem())
    for files in ({"sslcert": str(shown), "sslkey": str(key)}, {"sslcert": str(both)}):
        server = shake_hands(ClientTls(files, HOST), server_context(SERVER, asks_for=ROOT))
        peer = server.get_peer_certificate(as_cryptography=True)
        assert peer == mine.certificate

    with pytest.raises(SSL.Error):
        shake_hands(ClientTls({}, HOST), server_context(SERVER, asks_for=ROOT))
    mine.write(home, "postgresql")
    shake_hands(ClientTls({}, HOST), server_context(SERVER, asks_for=ROOT))


def test_a_certificate_without_its_key_is_refused(tmp_path: Path) -> None:
    shown, _ = certificate(ROOT, "alice").write(tmp_path, "alice")
    _, other = certificate(ROOT, "bob").write(tmp_path, "bob")
    for files in ({"sslcert": str(shown)}, {"sslcert": str(shown), "sslkey": str(other)}):
        with pytest.raises(TlsFault, match="sslkey cannot be used"):
            ClientTls(files, HOST)


def test_an_encrypted_key_is_refused_without_asking_anybody(tmp_path: Path) -> None:
    mine = certificate(ROOT, "alice")
    shown, key = mine.write(tmp_path, "alice")
    key.write_bytes(mine.key_pem("secret"))

    with pytest.raises(TlsFault, match="encrypted"):
        ClientTls({"sslcert": str(shown), "sslkey": str(key)}, HOST)


@pytest.mark.parametrize("kind", KEYS)
def test_a_key_of_every_kind_can_be_loaded_from_behind_a_certificate(kind: str, tmp_path: Path) -> None:
    mine = certificate(ROOT, "alice", kind=kind)
    both = tmp_path / "both.pem"
    both.write_bytes(mine.pem + mine.key_pem())

    loaded = load_key(str(both))
    assert loaded.public_key() == mine.key.public_key()
    peer = shake_hands(ClientTls({"sslcert": str(both)}, HOST), server_context(SERVER, asks_for=ROOT))
    assert peer.get_peer_certificate(as_cryptography=True) == mine.certificate


def test_a_key_that_cannot_sign_is_none_for_a_certificate(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(
        X25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )

    with pytest.raises(TlsFault) as fault:
        load_key(str(tmp_path / "key"))
    assert str(fault.value) == NO_KEY


def test_a_key_that_is_not_there_is_said_without_its_name(tmp_path: Path) -> None:
    with pytest.raises(TlsFault) as fault:
        load_key(str(tmp_path / "key"))
    assert str(fault.value) == "No such file or directory"


# Versions and ciphers


def spoken(server: SSL.Context, **conninfo: str) -> str:
    """Return the version that both sides agree on; raises OpenSSL's error if there is none."""
    return shake_hands(ClientTls(conninfo, HOST), server).get_protocol_version_name()


def speaks(oldest: str, newest: str) -> SSL.Context:
    """Return a server that speaks some versions, also those that are too weak for OpenSSL's defaults."""
    context = server_context(SERVER)
    context.set_cipher_list(b"DEFAULT:@SECLEVEL=0")
    context.set_min_proto_version(VERSIONS[oldest])
    context.set_max_proto_version(VERSIONS[newest])
    return context


@pytest.mark.parametrize(
    ("keywords", "version"),
    [
        ({}, "TLSv1.3"),
        ({"ssl_max_protocol_version": "TLSv1.3"}, "TLSv1.3"),
        ({"ssl_max_protocol_version": "TLSv1.2"}, "TLSv1.2"),
        ({"ssl_max_protocol_version": ""}, "TLSv1.3"),
        ({"ssl_min_protocol_version": "TLSv1.3"}, "TLSv1.3"),
        ({"ssl_min_protocol_version": "TLSv1", "ssl_max_protocol_version": "TLSv1.1"}, "TLSv1.1"),
        ({"ssl_min_protocol_version": "TLSv1", "ssl_max_protocol_version": "TLSv1"}, "TLSv1"),
    ],
)
def test_the_newest_version_that_the_line_allows_is_spoken(keywords: dict[str, str], version: str) -> None:
    assert spoken(speaks("TLSv1", "TLSv1.3"), **keywords, ciphers="DEFAULT:@SECLEVEL=0") == version


@pytest.mark.parametrize(
    ("keywords", "newest"),
    [({}, "TLSv1.1"), ({"ssl_min_protocol_version": "TLSv1.3"}, "TLSv1.2")],
)
def test_a_server_whose_versions_are_all_too_old_is_not_spoken_to(keywords: dict[str, str], newest: str) -> None:
    with pytest.raises(SSL.Error):
        spoken(speaks("TLSv1", newest), **keywords, ciphers="DEFAULT:@SECLEVEL=0")


@pytest.mark.parametrize(
    ("keywords", "fault"),
    [
        (
            {"ssl_min_protocol_version": "SSLv3"},
            "ssl_min_protocol_version cannot be used: it is no version of TLS",
        ),
        (
            {"ssl_max_protocol_version": "1.3"},
            "ssl_max_protocol_version cannot be used: it is no version of TLS",
        ),
        (
            {"ssl_min_protocol_version": "TLSv1.3", "ssl_max_protocol_version": "TLSv1.2"},
            "invalid SSL protocol version range",
        ),
        ({"ssl_max_protocol_version": "TLSv1.1"}, "invalid SSL protocol version range"),
        ({"ciphers": "NO-SUCH-CIPHER"}, "ciphers cannot be used: no cipher match"),
        ({"ciphers": ""}, "ciphers cannot be used: no cipher match"),
        ({"tls13_ciphers": "NO-SUCH-CIPHER"}, "tls13_ciphers cannot be used: no cipher match"),
    ],
)
def test_what_openssl_has_no_version_or_cipher_for_is_refused(keywords: dict[str, str], fault: str) -> None:
    with pytest.raises(TlsFault) as refusal:
        ClientTls(keywords, HOST)
    assert str(refusal.value) == fault


@pytest.mark.parametrize(
    ("keywords", "cipher"),
    [
        ({"ciphers": "ECDHE-ECDSA-AES128-GCM-SHA256"}, "ECDHE-ECDSA-AES128-GCM-SHA256"),
        ({"ciphers": "ECDHE-ECDSA-CHACHA20-POLY1305"}, "ECDHE-ECDSA-CHACHA20-POLY1305"),
    ],
)
def test_the_ciphers_of_old_versions_are_those_of_the_line(keywords: dict[str, str], cipher: str) -> None:
    client = ClientTls({**keywords, "ssl_max_protocol_version": "TLSv1.2"}, HOST)
    assert shake_hands(client, server_context(SERVER)).get_cipher_name() == cipher


@pytest.mark.parametrize("cipher", ["TLS_AES_128_GCM_SHA256", "TLS_CHACHA20_POLY1305_SHA256"])
def test_the_ciphers_of_tls_1_3_are_those_of_the_line(cipher: str) -> None:
    client = ClientTls({"tls13_ciphers": cipher, "ciphers": "default"}, HOST)
    assert shake_hands(client, server_context(SERVER)).get_cipher_name() == cipher


def test_without_a_choice_the_ciphers_are_twisteds() -> None:
    chosen = CertificateOptions().getContext()
    twisteds = SSL.Connection(chosen, None).get_cipher_list()
    for keywords in ({}, {"ciphers": "default", "tls13_ciphers": "default"}):
        client = ClientTls(keywords, HOST).clientConnectionForTLS(None)  # type: ignore[arg-type]
        assert client.get_cipher_list() == twisteds


# Files


@pytest.mark.parametrize("keyword", ["sslrootcert", "sslcert", "sslkey", "sslcrl"])
@pytest.mark.parametrize("content", [None, b"", b"not a certificate"])
def test_a_file_that_cannot_be_used_is_said_by_its_keyword(
    keyword: str, content: bytes | None, tmp_path: Path, root: str
) -> None:
    shown, key = certificate(ROOT, "alice").write(tmp_path, "alice")
    path = tmp_path / "hidden name"
    if content is not None:
        path.write_bytes(content)
    conninfo = {"sslcert": str(shown), "sslkey": str(key), "sslrootcert": root, keyword: str(path)}

    with pytest.raises(TlsFault) as fault:
        ClientTls(conninfo, HOST)
    text = str(fault.value)
    assert text.startswith(f"{keyword} cannot be used: ")
    assert content is not None or text.endswith("No such file or directory")
    assert "hidden name" not in text


# What it is


def test_it_is_what_twisted_takes_it_for() -> None:
    assert verifyObject(IOpenSSLClientConnectionCreator, ClientTls({}, HOST))


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (SSL.Error([("SSL routines", "", "wrong version number")]), "wrong version number"),
        (SSL.Error([("x", "", "the cause"), ("SSL routines", "", "")]), "the cause"),
        (SSL.Error([]), "the connection was closed"),
        (SSL.Error(), "the connection was closed"),
        (SSL.SysCallError(-1, "Unexpected EOF"), "the connection was closed"),
        (None, "the connection was closed"),
    ],
)
def test_a_failed_handshake_is_said_why_in_the_words_of_openssl(error: Any, reason: str) -> None:
    assert reason_of(error) == reason
