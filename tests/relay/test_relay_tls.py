"""Handshakes in memory: what is trusted, and for what."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from OpenSSL import SSL, crypto
from support.certificates import Certificate, authority, certificate, revoked
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from zope.interface.verify import verifyObject

from twistnotify.relay.tls import MISMATCH, ClientTls, TlsFault, reason_of

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
