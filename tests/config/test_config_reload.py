"""What a new configuration changes while the server runs, and what needs a restart."""

import pytest

from twistnotify.config.loader import load
from twistnotify.config.model import Config
from twistnotify.config.options import OPTIONS
from twistnotify.config.reload import RELOADABLE, needs_restart

FILE = """\
[twistnotify]
auth_type = trust
listen_port = 7
[databases]
d = host=h password=hunter2
app = host=h dbname=d shards=a,b
[shards]
a = host=1 password=hunter2
b = host=2
[channels]
jobs = listen=@staff
[groups]
staff = alice
"""


def changed(*changes: tuple[str, str]) -> Config:
    text = FILE
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return load(text, "x.ini")


def test_nothing_needs_a_restart_where_nothing_differs() -> None:
    assert needs_restart(changed(), changed()) == ()


@pytest.mark.parametrize(
    "change",
    [
        ("auth_type = trust", "auth_file = users"),
        ("listen_port = 7", "listen_port = 7\nacl_default = deny\nscram_iterations = 5000\nauth_fail_limit = 0"),
        ("listen_port = 7", "listen_port = 7\nclient_tls_key_file = k"),
        ("jobs = listen=@staff", "jobs = listen=bob"),
        ("staff = alice", "staff = bob"),
    ],
)
def test_log_ins_and_rights_need_no_restart(change: tuple[str, str]) -> None:
    assert changed(change) != changed()
    assert needs_restart(changed(), changed(change)) == ()


@pytest.mark.parametrize(
    ("change", "names"),
    [
        (("listen_port = 7", "listen_port = 8"), ("listen_port",)),
        (("listen_port = 7", "fence_timeout = 2"), ("listen_port", "fence_timeout")),
        (("d = host=h password=hunter2", "d = host=h password=hunter3"), ("[databases]",)),
        (("app = host=h", "app = host=i"), ("[databases]",)),
        (("shards=a,b", "shards=b,a"), ("[databases]",)),
        (("d = host=h password=hunter2", "e = host=h password=hunter2"), ("[databases]",)),
        (("a = host=1 password=hunter2", "a = host=1 password=hunter3"), ("[shards]",)),
        (("b = host=2", "b = host=3"), ("[shards]",)),
        (("listen_port = 7", "listen_port = 7\nlisten_ack = confirmed"), ("listen_ack", "[databases]")),
        (
            ("listen_port = 7", "listen_port = 7\nserver_tls_sslmode = require"),
            ("server_tls_sslmode", "[databases]", "[shards]"),
        ),
    ],
)
def test_all_else_needs_a_restart_and_is_told_by_name(change: tuple[str, str], names: tuple[str, ...]) -> None:
    assert needs_restart(changed(), changed(change)) == names
    assert needs_restart(changed(change), changed()) == names


def test_shard_that_is_new_is_told_with_the_database_that_uses_it() -> None:
    new = changed(("shards=a,b", "shards=a,b,c"), ("b = host=2", "b = host=2\nc = host=3"))
    assert needs_restart(changed(), new) == ("[databases]", "[shards]")


def test_reloadable_are_the_settings_of_log_ins_and_rights() -> None:
    others = {"scram_iterations", "acl_default"}
    assert {name for name in RELOADABLE if not name.startswith(("auth_", "client_tls_"))} == others
    assert {option.name for option in OPTIONS} >= RELOADABLE
    assert {"auth_type", "auth_trust_ack", "auth_query_cache_ttl", "client_tls_sslmode"} <= RELOADABLE
    assert not {"client_login_timeout", "server_tls_sslmode", "unix_socket_dir", "max_login_conn"} & RELOADABLE
