"""The shipped file: made from the table, true in its comments, and it loads."""

import re
from pathlib import Path

from twistnotify.config.loader import load
from twistnotify.config.model import ChannelConfig, RelayConfig, Settings, ShardConfig
from twistnotify.config.options import OPTIONS, OWN_KEYWORDS
from twistnotify.config.sample import render_default

SHIPPED = Path(__file__).parents[2] / "etc" / "config.ini"


def test_shipped_file_is_the_rendered_one() -> None:
    # Made by: python -c 'from twistnotify.config.sample import *; print(render_default(), end="")'
    assert SHIPPED.read_text(encoding="utf-8") == render_default()


def test_shipped_file_trusts_on_loopback_and_has_every_other_setting_at_its_default() -> None:
    config = load(render_default(), "etc/config.ini")
    assert config.settings == Settings(auth_type="trust")
    assert config.settings.listen_addr == "127.0.0.1"
    assert config.channels == ()


def test_shipped_file_has_one_embedded_database() -> None:
    config = load(render_default(), "etc/config.ini")
    conninfo = (("dbname", "postgres"), ("user", "postgres"))
    assert list(config.databases) == ["postgres"]
    assert config.databases["postgres"].shards == (ShardConfig("postgres", conninfo, "var/postgres"),)
    assert config.databases["postgres"].relay == RelayConfig(conninfo, "var/postgres", "postgres", 0.0)


def test_defaults_in_comments_are_true() -> None:
    names = "|".join(option.name for option in OPTIONS)
    written_out, commented = re.subn(rf"(?m)^;({names}) =", r"\1 =", render_default())
    assert commented == sum(option.shipped is None for option in OPTIONS)
    assert load(written_out, "etc/config.ini") == load(render_default(), "etc/config.ini")


def test_examples_in_comments_work() -> None:
    config = load(re.sub(r"(?m)^;(\S+ = )", r"\1", render_default()), "etc/config.ini")
    assert set(config.databases) == {"postgres", "small", "app", "audit"}
    assert [shard.name for shard in config.databases["app"].shards] == ["app0", "app1"]
    assert config.databases["audit"].shards[0] is config.databases["app"].shards[1]
    assert ("password", "it's a secret") in config.shards["small"].conninfo
    relays = {name: database.relay and database.relay.shard for name, database in config.databases.items()}
    assert relays == {"postgres": "postgres", "small": "small", "app": "app0", "audit": None}
    assert config.databases["audit"].relay is None
    assert config.channels == (
        ChannelConfig("orders.new", ("app", "alice", "bob"), ("app",)),
        ChannelConfig("orders.*", ("alice", "bob"), ()),
        ChannelConfig("*", None, None),
    )


def test_address_port_and_authentication_are_written_out() -> None:
    lines = render_default().splitlines()
    assert {"listen_addr = 127.0.0.1", "listen_port = 6433", "auth_type = trust"} <= set(lines)


def test_every_keyword_of_a_database_is_named() -> None:
    assert all(f"{keyword.name}=" in render_default() for keyword in OWN_KEYWORDS)


def test_every_setting_has_its_doc_above_it() -> None:
    text = re.sub(r"\n;; ", " ", render_default())
    for option in OPTIONS:
        assert re.search(rf"{re.escape(option.doc)} \(.*\)\n;?{option.name} =", text), option.name


def test_setting_that_is_not_shipped_at_its_default_says_what_the_default_is() -> None:
    differ = [option for option in OPTIONS if option.shipped not in (None, option.default)]
    assert [option.name for option in differ] == ["auth_type"]
    assert "; default scram-sha-256)\nauth_type = trust\n" in render_default()


def test_lines_are_at_most_100_characters_long_but_for_a_query() -> None:
    lines = [line for line in render_default().splitlines() if not line.startswith(";auth_query = ")]
    assert max(map(len, lines)) <= 100
