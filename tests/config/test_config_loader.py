"""A good file to its values."""

from ipaddress import ip_network

import pytest

from twistnotify.config.loader import load
from twistnotify.config.model import Config, DatabaseConfig, RelayConfig, Settings, ShardConfig

TRUST = "[twistnotify]\nauth_type = trust\n"
ONE_DATABASE = "\n[databases]\nd = host=h\n"


def settings_of(lines: str) -> Settings:
    return load(f"{TRUST}{lines}{ONE_DATABASE}", "x.ini").settings


def databases_of(lines: str, shards: str = "") -> Config:
    return load(f"{TRUST}[databases]\n{lines}\n[shards]\n{shards}\n", "x.ini")


def test_settings_that_are_not_in_the_file_are_at_their_defaults() -> None:
    assert load(TRUST + ONE_DATABASE, "x.ini").settings == Settings(auth_type="trust")


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("listen_addr = ::1", "::1"),
        ("listen_port=0", 0),
        ("max_listen_query_size = 64kB", 65536),
        ("max_packet_size = 16 MB", 16 * 1024**2),
        ("client_queue_hard_limit = 100000", 100000),
        ("fanout_slice = 2 ms", 0.002),
        ("fanout_slice = 0.02", 0.02),
        ("unlisten_delay = 0", 0.0),
        ("tcp_keepalive = off", False),
        ("listen_loss_policy = notice", "notice"),
        ("auth_file = users.txt", "users.txt"),
        ("auth_query_cache_ttl = 0", 0.0),
        ("unix_socket_mode = 0770", 0o770),
        ("proxy_protocol_from = 10.0.0.0/8, ::1", (ip_network("10.0.0.0/8"), ip_network("::1/128"))),
        ("client_tls_protocols = tlsv1.3", ("tlsv1.3",)),
        ("client_tls_ciphers = fast", "default"),
        ("acl_default = deny", "deny"),
    ],
)
def test_setting_is_read(line: str, value: object) -> None:
    assert getattr(settings_of(line), line.split("=")[0].strip()) == value


def test_comments_blank_lines_and_blanks_around_do_not_matter() -> None:
    assert settings_of("; a\n  # b\n\n \t \n  listen_port\t=  7  \r\n;listen_port = 8\n").listen_port == 7


def test_there_are_no_comments_behind_a_value() -> None:
    shard = databases_of("d = host=h user=u;x password=a#b").shards["d"]
    assert shard.conninfo[1:3] == (("user", "u;x"), ("password", "a#b"))


def test_percent_and_dollar_signs_are_nothing_special() -> None:
    shard = databases_of("d = host=h password=%(x)s${y}%").shards["d"]
    assert ("password", "%(x)s${y}%") in shard.conninfo


def test_byte_order_mark_does_not_matter() -> None:
    assert load(f"\ufeff{TRUST}[databases]\nd = host=h", "x.ini").databases.keys() == {"d"}


def test_sections_may_be_in_any_order() -> None:
    text = "[shards]\na = host=1\n[databases]\nd = shards=a\n[ twistnotify ]\nauth_type = trust\nlisten_port = 7\n"
    config = load(text, "x.ini")
    assert config.settings.listen_port == 7
    assert config.databases["d"].shards == (config.shards["a"],)


def test_database_without_shards_is_its_own_shard() -> None:
    config = databases_of("d = host=h port=5432 user=u password='it''s'")
    conninfo = (("host", "h"), ("port", "5432"), ("user", "u"), ("password", "it's"), ("dbname", "d"))
    shard = ShardConfig("d", conninfo, None)
    relay = RelayConfig(conninfo, None, "d", 0.0)
    assert config.databases["d"] == DatabaseConfig("d", (shard,), "immediate", "immediate", relay)
    assert config.shards == {"d": shard}
    assert config.shards["d"] is config.databases["d"].shards[0]


def test_empty_line_is_a_database_of_libpqs_defaults() -> None:
    assert databases_of("d =").shards["d"].conninfo == (("dbname", "d"),)


def test_database_may_have_another_name_upstream() -> None:
    assert databases_of("d = host=h dbname=other").shards["d"].conninfo == (
        ("host", "h"),
        ("dbname", "other"),
    )


def test_embedded_is_not_for_libpq() -> None:
    shard = databases_of("d = embedded='var/my postgres' user=postgres").shards["d"]
    assert shard == ShardConfig("d", (("user", "postgres"), ("dbname", "d")), "var/my postgres")


def test_shards_stand_in_the_order_of_the_line() -> None:
    config = databases_of("d = shards='b, a'", "a = host=1\nb = host=2 dbname=x")
    assert config.databases["d"].shards == (
        ShardConfig("b", (("host", "2"), ("dbname", "x")), None),
        ShardConfig("a", (("host", "1"),), None),
    )


def test_two_databases_share_the_same_object_for_a_shard() -> None:
    config = databases_of("d = shards=a,b\ne = shards=b", "a = host=1\nb = host=2")
    assert config.databases["d"].shards[1] is config.databases["e"].shards[0]
    assert config.shards.keys() == {"a", "b"}


def test_connection_of_a_database_with_shards_is_not_a_shard() -> None:
    assert databases_of("d = host=pooler port=6432 shards=a", "a = host=1").shards.keys() == {"a"}


def test_database_may_answer_otherwise_than_the_settings_say() -> None:
    text = TRUST + "listen_ack = confirmed\n[databases]\nd = host=h\ne = notify_ack=committed\n"
    databases = load(text + "f = listen_ack=immediate\n", "x.ini").databases
    assert [(d.listen_ack, d.notify_ack) for d in databases.values()] == [
        ("confirmed", "immediate"),
        ("confirmed", "committed"),
        ("immediate", "immediate"),
    ]


@pytest.mark.parametrize(
    "line",
    [
        "host=a,b port=5432,5433 target_session_attrs=read-write",
        "hostaddr=10.0.0.1 host=a sslmode=verify-full sslrootcert=/ca sslcert=/c sslkey=/k sslcrl=/r",
        "passfile=/p channel_binding=require require_auth=scram-sha-256,none gssencmode=disable",
        "host=/run/postgresql target_session_attrs=primary",
    ],
)
def test_keywords_of_libpq_go_through_unchanged(line: str) -> None:
    expected = (*(tuple(pair.split("=")) for pair in line.split()), ("dbname", "d"))
    assert databases_of(f"d = {line}").shards["d"].conninfo == expected


@pytest.mark.parametrize("name", ["app", "my-app.v2", "été", "$x", "a" * 63])
def test_name_of_a_database_may_hold_letters_digits_and_some_signs(name: str) -> None:
    assert databases_of(f"{name} = host=h").databases.keys() == {name}


def test_retry_pauses_may_be_equal() -> None:
    assert settings_of("server_login_retry = 5").server_login_retry == 5.0
