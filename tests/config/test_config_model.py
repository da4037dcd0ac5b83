"""The values: in step with the table, frozen, and silent about passwords."""

import dataclasses
import typing

import pytest

from twistnotify.config.loader import load
from twistnotify.config.model import DatabaseConfig, RelayConfig, Settings, ShardConfig
from twistnotify.config.options import OPTIONS, default_of

TWO_DATABASES = """
[twistnotify]
auth_type = trust
[databases]
app = host=3 password=hunter2 shards=a,b listen_ack=confirmed
audit = shards=b notify_ack=committed
[shards]
a = host=1 dbname=d password=hunter2
b = host=2 dbname=d password='hunter2'
"""


def test_settings_are_the_rows_of_the_table_in_their_order() -> None:
    assert [field.name for field in dataclasses.fields(Settings)] == [option.name for option in OPTIONS]


def test_types_of_settings_are_those_of_the_table() -> None:
    hints = typing.get_type_hints(Settings)
    types = {name: typing.get_origin(hint) or hint for name, hint in hints.items()}
    assert types == {option.name: type(option.kind.parse(option.default)) for option in OPTIONS}


def test_settings_by_themselves_are_the_defaults() -> None:
    assert dataclasses.asdict(Settings()) == {option.name: default_of(option.name) for option in OPTIONS}


def test_unknown_setting_has_no_default() -> None:
    with pytest.raises(KeyError):
        default_of("no_such_setting")


@pytest.mark.parametrize("attribute", ["settings", "databases", "shards", "channels"])
def test_configuration_is_frozen(attribute: str) -> None:
    config = load(TWO_DATABASES, "x.ini")
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(config, attribute, None)


def test_mappings_are_read_only() -> None:
    config = load(TWO_DATABASES, "x.ini")
    with pytest.raises(TypeError):
        config.databases["x"] = config.databases["app"]  # type: ignore[index]
    with pytest.raises(TypeError):
        config.shards["x"] = config.shards["a"]  # type: ignore[index]


def test_password_is_in_the_value_but_in_no_repr() -> None:
    config = load(TWO_DATABASES, "x.ini")
    app, a = config.databases["app"], config.shards["a"]
    assert app.relay
    assert ("password", "hunter2") in a.conninfo
    assert ("password", "hunter2") in app.relay.conninfo
    for value in (config, config.databases, app, app.relay, a, config.shards):
        assert "hunter2" not in f"{value!r} {value!s} {value}"


def test_repr_of_a_shard_shows_the_rest() -> None:
    shard = ShardConfig("a", (("host", "h"), ("password", "hunter2")), None)
    assert repr(shard) == ("ShardConfig(name='a', conninfo=(('host', 'h'), ('password', '***')), embedded=None)")


def test_repr_of_a_relay_shows_the_rest() -> None:
    relay = RelayConfig((("host", "h"), ("password", "hunter2")), None, "a", 1.5)
    assert repr(relay) == (
        "RelayConfig(conninfo=(('host', 'h'), ('password', '***')), embedded=None, shard='a', idle_timeout=1.5, "
        "ciphers='default', tls13_ciphers='default')"
    )


def test_database_by_itself_has_no_relay() -> None:
    assert DatabaseConfig("d", (), "immediate", "immediate").relay is None


def test_shards_are_equal_by_value() -> None:
    assert load(TWO_DATABASES, "x.ini") == load(TWO_DATABASES, "y.ini")
    assert load(TWO_DATABASES, "x.ini").shards["a"] != load(TWO_DATABASES, "x.ini").shards["b"]
