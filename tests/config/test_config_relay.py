"""Where a database's other SQL goes, and which shard is known to be there."""

import pytest

from twistnotify.config.loader import load
from twistnotify.config.model import RelayConfig

TRUST = "[twistnotify]\nauth_type = trust\n"
SHARDS = """
[shards]
a = host=1 dbname=d
b = host=2 dbname=d user=u
c = hostaddr=10.0.0.3 port=5433 dbname=d
e = host=2 dbname=d
f = host=4,5 port=5432,5433 dbname=d
"""


def relay_of(words: str) -> RelayConfig | None:
    return load(f"{TRUST}[databases]\nd = {words}\n", "x.ini").databases["d"].relay


def relay_beside_shards(words: str) -> RelayConfig | None:
    """Return the relay of a database that has all shards, in the order of their names."""
    return load(f"{TRUST}[databases]\nd = shards=a,b,c,e,f {words}\n{SHARDS}", "x.ini").databases["d"].relay


def shard_behind(words: str) -> str | None:
    relay = relay_beside_shards(words)
    assert relay
    return relay.shard


def test_other_sql_goes_where_the_line_says() -> None:
    words = (("host", "h"), ("port", "6432"), ("dbname", "x"), ("user", "u"), ("password", "it's"))
    assert relay_of("host=h port=6432 dbname=x user=u password='it''s'") == RelayConfig(words, None, "d", 0.0)


@pytest.mark.parametrize("words", ["", "relay=on", "relay=yes", "relay_shard=d"])
def test_line_without_address_relays_to_libpqs_defaults(words: str) -> None:
    assert relay_of(words) == RelayConfig((("dbname", "d"),), None, "d", 0.0)


def test_embedded_postgresql_is_relayed_to() -> None:
    assert relay_of("embedded=var/pg user=u") == RelayConfig((("user", "u"), ("dbname", "d")), "var/pg", "d", 0.0)


@pytest.mark.parametrize("words", ["relay=off", "host=h relay=0", "embedded=x relay=off"])
def test_relay_may_be_off(words: str) -> None:
    assert relay_of(words) is None


@pytest.mark.parametrize("words", ["", "port=5432 dbname=d", "relay=off", "host=1 relay=off"])
def test_line_with_shards_and_no_address_or_relay_off_has_no_relay(words: str) -> None:
    assert relay_beside_shards(words) is None


def test_relay_beside_shards_has_the_words_of_the_databases_own_line() -> None:
    relay = relay_beside_shards("host=h user=u")
    assert relay == RelayConfig((("host", "h"), ("user", "u"), ("dbname", "d")), None, None, 0.0)


@pytest.mark.parametrize(
    ("words", "shard"),
    [
        ("host=1", "a"),
        ("host=1 port=5432 dbname=d user=u sslmode=require", "a"),
        ("host=2", "b"),
        ("hostaddr=10.0.0.3 port=5433", "c"),
        ("host=4,5 port=5432,5433", "f"),
        ("host=1 port=6432", None),
        ("host=1 dbname=other", None),
        ("host=1 hostaddr=10.0.0.1", None),
        ("hostaddr=10.0.0.3", None),
        ("host=10.0.0.3 port=5433", None),
        ("host=4", None),
    ],
)
def test_first_shard_with_the_same_address_is_the_relays(words: str, shard: str | None) -> None:
    assert shard_behind(words) == shard


def test_shard_without_dbname_has_another_database() -> None:
    text = f"{TRUST}[databases]\nd = host=1 shards=a\n[shards]\na = host=1\n"
    relay = load(text, "x.ini").databases["d"].relay
    assert relay
    assert relay.shard is None


@pytest.mark.parametrize("words", ["host=pooler port=6432 relay_shard=e", "host=1 relay_shard=e"])
def test_shard_that_the_line_names_is_the_relays_whatever_the_address(words: str) -> None:
    assert shard_behind(words) == "e"


@pytest.mark.parametrize(("text", "seconds"), [("0", 0.0), ("30", 30.0), ("5ms", 0.005), ("'5 ms'", 0.005)])
def test_idle_timeout_is_in_seconds(text: str, seconds: float) -> None:
    relay = relay_of(f"host=h relay_idle_timeout={text}")
    assert relay
    assert relay.idle_timeout == seconds


def test_databases_of_the_same_shard_have_relays_of_their_own() -> None:
    lines = "d = host=1 shards=a\ne = host=1 dbname=d shards=a\ng = shards=a\n[shards]\na = host=1 dbname=d\n"
    databases = load(f"{TRUST}[databases]\n{lines}", "x.ini").databases.values()
    assert [database.relay and database.relay.shard for database in databases] == ["a", "a", None]
