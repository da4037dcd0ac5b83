"""Who may LISTEN and NOTIFY on which channels: [channels], [groups] and acl_default, and a reload that revokes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import psycopg2
import pytest
from support.clients import END, hear, hear_until, listen, run
from support.configuration import config_for
from support.postgres import PostgresServer
from support.process import TwistnotifyProcess
from support.raw import RawClient, names
from support.security import running
from support.versions import one_version

from twistnotify.wire.errors import NoticeResponse
from twistnotify.wire.extended_query import Bind, Execute, Parse, Sync

pytestmark = one_version

RIGHTS = f"""
[channels]
orders.paid = listen=alice,@staff notify=alice
orders.* = listen=@staff notify=*
news = listen=* notify=@staff
closed =
{"c" * 63} =
[groups]
staff = bob, carol
"""
REVOKED = RIGHTS.replace("listen=alice,@staff notify=alice", "listen=alice notify=alice")
DENIED = "42501"
REVOCATION = 'permission for channel "orders.paid" was revoked: the client does not listen to it any more'

Reconfigure = Callable[..., None]


@pytest.fixture(scope="module")
def server_of_module(
    postgres_of_session: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TwistnotifyProcess]:
    """A server with `RIGHTS`, and every channel that they do not name for everyone."""
    with running(postgres_of_session, tmp_path_factory.mktemp("rights"), more=RIGHTS) as process:
        yield process


@pytest.fixture
def reconfigure(postgres: PostgresServer, server: TwistnotifyProcess) -> Iterator[Reconfigure]:
    """Reload the server with other rights: `reconfigure(rights, **settings)`; for this test only."""

    def reload(rights: str, **settings: object) -> None:
        server.reload(config_for(postgres, **settings) + rights)

    yield reload
    reload(RIGHTS)


def may(server: TwistnotifyProcess, user: str, sql: str) -> bool:
    """Tell whether a user may do something; whatever is refused, the session goes on."""
    client = server.connect(user=user)
    try:
        run(client, sql)
    except psycopg2.errors.InsufficientPrivilege:
        return False
    finally:
        run(client, "LISTEN open")
    return True


@pytest.mark.parametrize(
    ("channel", "listeners", "senders"),
    [
        ("orders.paid", {"alice", "bob", "carol"}, {"alice"}),
        ("orders.", {"bob", "carol"}, {"alice", "bob", "carol", "dave"}),
        ("orders.new", {"bob", "carol"}, {"alice", "bob", "carol", "dave"}),
        ("orders.paid.twice", {"bob", "carol"}, {"alice", "bob", "carol", "dave"}),
        ("news", {"alice", "bob", "carol", "dave"}, {"bob", "carol"}),
        ("News", {"alice", "bob", "carol", "dave"}, {"alice", "bob", "carol", "dave"}),
        ("closed", set(), set()),
        ("not named", {"alice", "bob", "carol", "dave"}, {"alice", "bob", "carol", "dave"}),
    ],
)
def test_the_first_line_that_matches_decides(
    server: TwistnotifyProcess, channel: str, listeners: set[str], senders: set[str]
) -> None:
    users = ("alice", "bob", "carol", "dave")
    assert {user for user in users if may(server, user, f'LISTEN "{channel}"')} == listeners
    assert {user for user in users if may(server, user, f"NOTIFY \"{channel}\", 'x'")} == senders
    assert {user for user in users if may(server, user, f"SELECT pg_notify('{channel}', 'x')")} == senders


def test_the_name_that_counts_is_the_one_that_postgresql_would_see(server: TwistnotifyProcess) -> None:
    assert not may(server, "dave", "LISTEN CLOSED")
    assert not may(server, "dave", 'LISTEN U&"cl\\006fsed"')
    assert not may(server, "dave", "LISTEN /* nothing */ closed")
    assert not may(server, "dave", "LISTEN open; LISTEN closed")
    assert not may(server, "dave", "DO $$BEGIN END$$; NOTIFY closed")
    # What is beyond 63 bytes is cut off.
    assert not may(server, "dave", "LISTEN " + "c" * 64)
    assert may(server, "dave", "LISTEN " + "c" * 62)


def test_a_refusal_is_the_end_of_its_transaction(server: TwistnotifyProcess) -> None:
    with RawClient(server.port) as client:
        client.query("LISTEN open")
        assert names(client.query("BEGIN; NOTIFY open; NOTIFY closed, 'x'")) == [
            "BEGIN",
            "NOTIFY",
            "ERROR 42501",
            "ready E",
        ]
        assert names(client.query("COMMIT")) == ["ROLLBACK", "ready I"]
        assert names(client.query("NOTIFY open, 'after'")) == ["NOTIFY", "open: after", "ready I"]


def test_the_extended_protocol_has_no_other_rights(server: TwistnotifyProcess) -> None:
    with RawClient(server.port) as client:
        for sql, values in (
            (b"LISTEN closed", ()),
            (b"NOTIFY closed, 'x'", ()),
            (b"SELECT pg_notify($1, 'x')", (b"closed",)),
        ):
            client.send(Parse(b"", sql, ()), Bind(b"", b"", (), values, ()), Execute(b"", 0), Sync())
            answer = names(client.until_ready())
            assert answer[-2:] == ["ERROR 42501", "ready I"], answer


def test_a_denied_channel_stays_denied_while_attached(server: TwistnotifyProcess) -> None:
    """The client has an upstream session, in a transaction, and PostgreSQL itself would allow it."""
    client = server.connect(user="dave")
    run(client, "CREATE TEMPORARY TABLE attached (id int)")
    for sql in ("LISTEN closed", "NOTIFY closed, 'x'", "SELECT pg_notify('closed', 'x')"):
        with pytest.raises(psycopg2.errors.InsufficientPrivilege, match='permission denied for channel "closed"'):
            run(client, sql)


def test_acl_default_may_deny_what_no_line_names(server: TwistnotifyProcess, reconfigure: Reconfigure) -> None:
    reconfigure(RIGHTS, acl_default="deny")
    client = server.connect(user="dave")
    for sql in ("LISTEN open", "NOTIFY open"):
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            run(client, sql)
    run(client, "LISTEN news")
    # It tells of losses.
    run(client, "LISTEN twistnotify_gap")


def test_what_a_function_notifies_goes_past(server: TwistnotifyProcess, postgres: PostgresServer) -> None:
    """As the documentation says: LISTEN is the boundary."""
    postgres.fetch(
        "CREATE FUNCTION pass_by() RETURNS void LANGUAGE plpgsql AS $$BEGIN PERFORM pg_notify('news', 'past'); END$$"
    )
    try:
        listener, sender = listen(server.connect(user="alice"), "news"), server.connect(user="alice")
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            run(sender, "NOTIFY news, 'seen'")
        run(sender, "SELECT pass_by()")
        assert hear(listener) == [("news", "past")]
    finally:
        postgres.fetch("DROP FUNCTION pass_by()")


def test_a_reload_ends_what_is_not_allowed_any_more(
    server: TwistnotifyProcess, postgres: PostgresServer, reconfigure: Reconfigure
) -> None:
    direct = postgres.connect()
    keeps, loses = (listen(server.connect(user=user), "orders.paid", "news") for user in ("alice", "bob"))
    other = listen(server.connect(user="dave"), "news")
    run(direct, "NOTIFY \"orders.paid\", 'before'")
    assert hear(keeps) == hear(loses) == [("orders.paid", "before")]
    reconfigure(REVOKED)
    run(direct, "NOTIFY \"orders.paid\", 'after'")
    run(direct, f"NOTIFY news, '{END}'")
    assert hear_until(keeps) == [("orders.paid", "after")]
    assert hear_until(loses) == hear_until(other) == []
    assert [notice for notice in loses.notices if REVOCATION in notice]
    assert not keeps.notices
    assert not other.notices
    assert run(loses, "SELECT pg_listening_channels()") == [("news",)]
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        run(loses, 'LISTEN "orders.paid"')
    reconfigure(RIGHTS)
    run(loses, 'LISTEN "orders.paid"')
    run(direct, "NOTIFY \"orders.paid\", 'again'")
    assert hear(loses) == [("orders.paid", "again")]


def test_the_warning_has_its_sqlstate_and_comes_between_two_commands(
    server: TwistnotifyProcess, reconfigure: Reconfigure
) -> None:
    with RawClient(server.port, database=None) as client:
        client.send_startup("postgres", user="bob")
        client.until_ready()
        client.query('LISTEN "orders.paid"')
        reconfigure(REVOKED)
        message: Any = client.read()
        assert isinstance(message, NoticeResponse)
        assert (message.fields.severity, message.fields.sqlstate) == ("WARNING", DENIED)
        assert message.fields.message == REVOCATION
        assert names(client.query("LISTEN news")) == ["LISTEN", "ready I"]


def test_a_listen_that_waits_for_its_commit_is_judged_by_the_rights_of_then(
    server: TwistnotifyProcess, reconfigure: Reconfigure
) -> None:
    with RawClient(server.port, database=None) as client:
        client.send_startup("postgres", user="bob")
        client.until_ready()
        assert names(client.query('BEGIN; LISTEN "orders.paid"')) == ["BEGIN", "LISTEN", "ready T"]
        reconfigure(REVOKED)
        answer = names(client.query("COMMIT"))
        assert "ERROR 42501" in answer, answer
        assert answer[-1] == "ready I"
        assert "orders.paid" not in str(client.query("SELECT pg_listening_channels()"))


def test_a_reload_with_a_mistake_changes_no_rights(server: TwistnotifyProcess, postgres: PostgresServer) -> None:
    wrong = RIGHTS.replace("@staff", "@stuff") + "nonsense = listen=\n"
    server.reload(config_for(postgres) + wrong, says="the configuration was not reloaded")
    assert may(server, "bob", 'LISTEN "orders.paid"')
    assert not may(server, "dave", "LISTEN closed")
