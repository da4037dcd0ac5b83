"""What the settings say of TLS to PostgreSQL, on the lines that do not say it themselves."""

import pytest

from twistnotify.config.loader import load
from twistnotify.config.model import Config

ALL = """\
server_tls_sslmode = verify-full
server_tls_key_file = key
server_tls_cert_file = cert
server_tls_ca_file = roots
server_tls_protocols = tlsv1.3
server_tls_ciphers = HIGH
server_tls13_ciphers = TLS_AES_256_GCM_SHA384
"""
DEFAULTS = """\
server_tls_sslmode = prefer
server_tls_key_file =
server_tls_cert_file =
server_tls_ca_file =
server_tls_protocols = tlsv1.2,tlsv1.3
server_tls_ciphers = default
server_tls13_ciphers = default
"""
ADDED = {
    "sslmode": "verify-full",
    "sslrootcert": "roots",
    "sslcert": "cert",
    "sslkey": "key",
    "ssl_min_protocol_version": "TLSv1.3",
    "ssl_max_protocol_version": "TLSv1.3",
}


def config_of(settings: str, line: str, shard: str = "host=1") -> Config:
    head = f"[twistnotify]\nauth_type = trust\n{settings}"
    return load(f"{head}[databases]\nd = {line}\ne = shards=a\n[shards]\na = {shard}\n", "x.ini")


def added_to(line: str, settings: str = ALL) -> dict[str, str]:
    """Return the keywords that a line of [databases] gets, which are the same wherever it is used."""
    config = config_of(settings, f"host=h dbname=d {line}", f"host=h dbname=d {line}")
    relay = config.databases["d"].relay
    assert relay
    assert relay.conninfo == config.shards["d"].conninfo == config.shards["a"].conninfo
    own = {"host", "dbname", *(word.split("=")[0] for word in line.split())}
    return {word: value for word, value in relay.conninfo if word not in own}


def test_line_gets_what_it_does_not_say() -> None:
    assert added_to("") == ADDED


def test_what_is_added_stands_behind_the_words_of_the_line() -> None:
    conninfo = config_of("server_tls_sslmode = require\n", "host=h").shards["d"].conninfo
    assert conninfo == (("host", "h"), ("dbname", "d"), ("sslmode", "require"))


@pytest.mark.parametrize("settings", ["", DEFAULTS, "server_tls_protocols = secure\n"])
def test_settings_at_their_defaults_change_nothing(settings: str) -> None:
    assert added_to("", settings) == {}


@pytest.mark.parametrize(
    ("words", "protocols"), [(("TLSv1", "TLSv1.3"), "all"), (("TLSv1.1", "TLSv1.2"), "tlsv1.2,tlsv1.1")]
)
def test_versions_are_libpqs_lowest_and_highest(words: tuple[str, str], protocols: str) -> None:
    added = added_to("", f"server_tls_protocols = {protocols}\n")
    assert tuple(added.items()) == (("ssl_min_protocol_version", words[0]), ("ssl_max_protocol_version", words[1]))


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        ("sslmode=require", {"sslmode"}),
        ("sslrootcert=own", {"sslrootcert"}),
        ("sslcert=own", {"sslcert", "sslkey"}),
        ("sslkey=own", {"sslcert", "sslkey"}),
        ("ssl_min_protocol_version=TLSv1", {"ssl_min_protocol_version", "ssl_max_protocol_version"}),
        ("ssl_max_protocol_version=TLSv1.2", {"ssl_min_protocol_version", "ssl_max_protocol_version"}),
        # libpq takes the roots of the system for verify-full by itself, and with no other mode.
        ("sslrootcert=system", {"sslrootcert", "sslmode"}),
    ],
)
def test_line_keeps_what_it_says_and_what_belongs_to_that(line: str, kept: set[str]) -> None:
    assert added_to(line) == {word: value for word, value in ADDED.items() if word not in kept}


@pytest.mark.parametrize(("line", "gets"), [("sslmode=require", False), ("sslmode=verify-full", True), ("", True)])
def test_roots_of_the_system_are_for_lines_that_verify_fully(line: str, gets: bool) -> None:
    added = added_to(line, "server_tls_sslmode = verify-full\nserver_tls_ca_file = system\n")
    assert ("sslrootcert" in added) is gets


def test_ciphers_are_the_relays_alone() -> None:
    config = config_of(ALL, "host=h")
    relay = config.databases["d"].relay
    assert relay
    assert (relay.ciphers, relay.tls13_ciphers) == ("HIGH", "TLS_AES_256_GCM_SHA384")
    assert "HIGH" not in repr(config.shards)


def test_embedded_postgresql_gets_none_of_it() -> None:
    with_tls, without = (config_of(settings, "embedded=x") for settings in (ALL, ""))
    assert with_tls.databases["d"] == without.databases["d"]
    assert with_tls.shards["d"] == without.shards["d"]


def test_shard_behind_the_relay_is_found_as_without() -> None:
    head = f"[twistnotify]\nauth_type = trust\n{ALL}"
    text = f"{head}[databases]\nd = host=1 sslmode=require shards=a\n[shards]\na = host=1 dbname=d\n"
    relay = load(text, "x.ini").databases["d"].relay
    assert relay
    assert relay.shard == "a"
