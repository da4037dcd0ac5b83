"""Settings that are right by themselves and contradict each other, or the databases."""

import pytest

from twistnotify.config.loader import ConfigurationError, load
from twistnotify.config.model import Settings

DATABASE = "[databases]\nd = host=h\n"
TRUST = "auth_type = trust"
TRUSTS_TOO_MANY = (
    "auth_type",
    "trust believes everyone who reaches listen_addr, which is not loopback; if this is meant, write "
    "auth_trust_ack = 1",
)
NOBODY = "needs auth_file or auth_user, or nobody could log in; to let everyone in, write auth_type = trust"
CLIENT_TLS = ("client_tls_sslmode = require", "client_tls_key_file = k", "client_tls_cert_file = c")
VERIFIED = ("client_tls_sslmode = verify-ca", *CLIENT_TLS[1:], "client_tls_ca_file = a")
NO_FILES = ("client_tls_sslmode", "TLS needs client_tls_key_file and client_tls_cert_file")
NO_ROOTS = ("client_tls_sslmode", "verify-ca and verify-full need client_tls_ca_file")
ONLY_ROOTS = "client_tls_ca_file = a"

Said = tuple[str | None, str]


def settings_of(*lines: str, databases: str = DATABASE) -> Settings:
    return load("\n".join(["[twistnotify]", *lines, databases]), "x.ini").settings


def said_of(*lines: str, databases: str = DATABASE) -> list[Said]:
    """Return the keys and messages of what is wrong, all of which is at the line of its key."""
    with pytest.raises(ConfigurationError) as caught:
        settings_of(*lines, databases=databases)
    for problem in caught.value.problems:
        assert problem.section == "twistnotify"
        assert lines[problem.line - 2].split(" =")[0] == problem.key
    return [(problem.key, problem.message) for problem in caught.value.problems]


@pytest.mark.parametrize("method", ["any", "pam", "ldap"])
def test_method_that_is_not_there_is_refused_with_a_reason(method: str) -> None:
    reason = "is not there: any does not care who the client is, and pam and ldap need its password in the clear"
    assert said_of(f"auth_type = {method}") == [("auth_type", f'"{method}" {reason}')]


def test_unknown_method_is_told_the_others() -> None:
    methods = "trust, plain, md5, scram-sha-256, cert, peer, hba"
    assert said_of("auth_type = believe") == [("auth_type", f'"believe" is not one of {methods}')]


@pytest.mark.parametrize("address", ["127.0.0.1", "127.3.2.1", "::1", "localhost"])
def test_trust_is_for_loopback(address: str) -> None:
    assert settings_of(TRUST, f"listen_addr = {address}").auth_type == "trust"


@pytest.mark.parametrize(
    "address", ["0.0.0.0", "::", "10.0.0.1", "128.0.0.1", "::2", "*", "example.org", "localhost.x"]
)
def test_trust_from_elsewhere_has_to_be_meant(address: str) -> None:
    assert said_of(TRUST, f"listen_addr = {address}") == [TRUSTS_TOO_MANY]
    assert said_of(TRUST, f"listen_addr = {address}", "auth_trust_ack = 0") == [TRUSTS_TOO_MANY]
    assert settings_of(TRUST, f"listen_addr = {address}", "auth_trust_ack = 1").auth_trust_ack


def test_other_methods_are_for_any_address() -> None:
    assert settings_of("auth_file = u", "listen_addr = 0.0.0.0").listen_addr == "0.0.0.0"


@pytest.mark.parametrize("method", ["scram-sha-256", "md5", "plain"])
def test_method_with_secrets_needs_somebody_who_has_them(method: str) -> None:
    lines = f"auth_type = {method}", *CLIENT_TLS
    assert said_of(*lines) == [("auth_type", f"{method} {NOBODY}")]
    assert settings_of(*lines, "auth_file = users.txt").auth_type == method
    assert settings_of(*lines, "auth_user = asker").auth_type == method


@pytest.mark.parametrize(
    ("text", "place"),
    [(DATABASE, "x.ini:3:"), (f"[twistnotify]\nlisten_port = 7\n{DATABASE}", "x.ini:1:")],
)
def test_file_without_a_method_is_told_what_to_write(text: str, place: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(text, "x.ini")
    assert str(caught.value) == f"{place} [twistnotify] auth_type: scram-sha-256 {NOBODY}"


def test_plain_is_for_tls() -> None:
    complaint = "plain needs client_tls_sslmode other than disable: it takes passwords under TLS only"
    assert said_of("auth_type = plain", "auth_file = u") == [("auth_type", complaint)]
    assert settings_of("auth_type = plain", "auth_file = u", *CLIENT_TLS).auth_type == "plain"


def test_cert_needs_verified_certificates() -> None:
    complaint = ("auth_type", "cert needs client_tls_sslmode verify-ca or verify-full")
    assert said_of("auth_type = cert") == [complaint]
    assert said_of("auth_type = cert", *CLIENT_TLS, ONLY_ROOTS) == [complaint]
    assert settings_of("auth_type = cert", *VERIFIED).auth_type == "cert"


def test_peer_needs_a_unix_socket() -> None:
    assert said_of("auth_type = peer") == [("auth_type", "peer needs unix_socket_dir")]
    assert settings_of("auth_type = peer", "unix_socket_dir = /run/x").auth_type == "peer"


def test_hba_needs_its_file_and_no_users() -> None:
    assert said_of("auth_type = hba") == [("auth_type", "hba needs auth_hba_file")]
    assert settings_of("auth_type = hba", "auth_hba_file = hba.conf").auth_type == "hba"


@pytest.mark.parametrize("name", ["auth_query", "auth_dbname"])
def test_what_is_asked_has_no_effect_without_who_asks(name: str) -> None:
    assert said_of(TRUST, f"{name} = d") == [(name, f"{name} has no effect without auth_user")]
    assert said_of(TRUST, f"{name} = d", "auth_user =") == [(name, f"{name} has no effect without auth_user")]
    assert getattr(settings_of(TRUST, f"{name} = d", "auth_user = asker"), name) == "d"
    assert settings_of(TRUST, f"{name} = {getattr(Settings(), name)}") == Settings(auth_type="trust")


def test_proxies_have_to_be_named() -> None:
    complaint = ("proxy_protocol", "proxy_protocol needs proxy_protocol_from")
    assert said_of(TRUST, "proxy_protocol = 1") == [complaint]
    assert settings_of(TRUST, "proxy_protocol = 1", "proxy_protocol_from = ::1").proxy_protocol
    assert not settings_of(TRUST, "proxy_protocol_from = ::1").proxy_protocol


@pytest.mark.parametrize("mode", ["allow", "prefer", "require", "verify-ca", "verify-full"])
def test_tls_needs_a_key_and_a_certificate(mode: str) -> None:
    lines = (TRUST, f"client_tls_sslmode = {mode}", ONLY_ROOTS)
    assert said_of(*lines) == [NO_FILES]
    assert said_of(*lines, "client_tls_key_file = k") == [NO_FILES]
    assert said_of(*lines, "client_tls_cert_file = c")[0][1] == NO_FILES[1]
    assert settings_of(*lines, *CLIENT_TLS[1:]).client_tls_sslmode == mode


@pytest.mark.parametrize("mode", ["verify-ca", "verify-full"])
def test_certificates_are_verified_against_roots(mode: str) -> None:
    assert said_of(TRUST, f"client_tls_sslmode = {mode}", *CLIENT_TLS[1:]) == [NO_ROOTS]
    assert settings_of(TRUST, f"client_tls_sslmode = {mode}", *CLIENT_TLS[1:], ONLY_ROOTS).client_tls_ca_file == "a"


def test_roots_of_the_system_are_for_verify_full() -> None:
    complaint = ("server_tls_ca_file", "system needs server_tls_sslmode = verify-full")
    assert said_of(TRUST, "server_tls_ca_file = system") == [complaint]
    assert said_of(TRUST, "server_tls_sslmode = verify-ca", "server_tls_ca_file = system") == [complaint]
    assert settings_of(TRUST, "server_tls_sslmode = verify-full", "server_tls_ca_file = system")


@pytest.mark.parametrize(
    ("lines", "wrong"),
    [
        (("auth_type = cert", "client_tls_sslmode = verify-fool"), "client_tls_sslmode"),
        (("auth_type = scrum",), "auth_type"),
        ((TRUST, "listen_addr = 0.0.0.0", "auth_trust_ack = maybe"), "auth_trust_ack"),
        ((TRUST, "proxy_protocol = 1", "proxy_protocol_from = here"), "proxy_protocol_from"),
    ],
)
def test_setting_that_is_wrong_by_itself_contradicts_no_other(lines: tuple[str, ...], wrong: str) -> None:
    assert [key for key, _ in said_of(*lines)] == [wrong]


@pytest.mark.parametrize(
    ("databases", "said"),
    [
        ("d = host=h", None),
        ("d = embedded=x", None),
        ("other = relay=off\nd = host=h", None),
        ("other = host=h", '"d" is not in [databases]'),
        ("dd = host=h", '"d" is not in [databases]; did you mean "dd"?'),
        ("other = host=h\nd = host=h relay=off", '"d" has no place to relay to'),
        ("other = host=h\nd = shards=a\n[shards]\na = host=1", '"d" has no place to relay to'),
    ],
)
def test_database_that_is_asked_for_users_is_one_with_a_relay(databases: str, said: str | None) -> None:
    lines, databases = ("auth_user = asker", "auth_dbname = d"), f"[databases]\n{databases}\n"
    if said is None:
        assert settings_of(*lines, databases=databases).auth_dbname == "d"
    else:
        assert said_of(*lines, databases=databases) == [("auth_dbname", said)]


def test_some_database_can_be_asked_for_users() -> None:
    complaint = "there is no database with a place to relay to that could be asked for users"
    nowhere = "[databases]\nd = host=h relay=off\n"
    assert said_of("auth_user = asker", databases=nowhere) == [("auth_user", complaint)]
    assert settings_of("auth_user = asker", databases=f"{nowhere}e = host=h\n").auth_user == "asker"


def test_database_whose_line_is_broken_may_be_one_with_a_relay() -> None:
    with pytest.raises(ConfigurationError) as caught:
        settings_of("auth_user = asker", databases="[databases]\nd = hots=h relay=off\n")
    assert [problem.section for problem in caught.value.problems] == ["databases"]
