"""Whom a line of a pg_hba.conf is for."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from twistnotify.auth.hba import HbaRule, method_for, trusts_strangers
from twistnotify.auth.hba_file import read_hba
from twistnotify.auth.origin import Origin

SOCKET = Origin(None, tls=False)


def rules_of(*lines: str) -> tuple[HbaRule, ...]:
    rules, faults = read_hba("\n".join(lines), lambda name: "")
    assert faults == ()
    return rules


def by_tcp(address: str, tls: bool = False) -> Origin:
    return Origin(ip_address(address), tls)


@pytest.mark.parametrize(
    ("kind", "matching"),
    [("local", ["socket"]), ("host", ["plain", "tls"]), ("hostssl", ["tls"]), ("hostnossl", ["plain"])],
)
def test_a_type_is_a_way_to_connect(kind: str, matching: list[str]) -> None:
    rules = rules_of(f"{kind} all all {'' if kind == 'local' else 'all'} md5")
    ways = {"socket": SOCKET, "plain": by_tcp("192.0.2.7"), "tls": by_tcp("192.0.2.7", tls=True)}
    assert [way for way, origin in ways.items() if method_for(rules, origin, "app", "bob")] == matching


def test_a_socket_is_local_with_tls_as_well() -> None:
    rules = rules_of("hostssl all all all cert", "local all all peer")
    assert method_for(rules, Origin(None, tls=True), "app", "bob") == "peer"


@pytest.mark.parametrize(
    ("field", "inside", "outside"),
    [
        ("192.0.2.0/24", ["192.0.2.0", "192.0.2.255", "::ffff:192.0.2.7"], ["192.0.3.0", "::c000:207", "::1"]),
        ("::ffff:192.0.2.0/120", ["192.0.2.7", "::ffff:192.0.2.7"], ["192.0.3.0", "::ffff:192.0.3.0"]),
        ("2001:db8::/32", ["2001:db8::1"], ["2001:db9::", "192.0.2.7"]),
        ("0.0.0.0/0", ["192.0.2.7", "::ffff:192.0.2.7"], ["::1"]),
        ("::/0", ["::1", "fe80::1%lo"], ["192.0.2.7", "::ffff:192.0.2.7"]),
        ("all", ["192.0.2.7", "::1", "::ffff:192.0.2.7"], []),
    ],
)
def test_an_address_is_in_a_network(field: str, inside: list[str], outside: list[str]) -> None:
    rules = rules_of(f"host all all {field} md5")
    assert all(method_for(rules, by_tcp(address), "app", "bob") == "md5" for address in inside)
    assert not any(method_for(rules, by_tcp(address), "app", "bob") for address in outside)


@pytest.mark.parametrize(
    ("database", "user", "method"),
    [
        ("app", "bob", "md5"),
        ("app", "eve", None),
        ("App", "bob", None),
        ("carol", "carol", "trust"),
        ("carol", "bob", None),
        ("replication", "bob", "reject"),
        ("sameuser", "eve", None),
        ("sameuser", "sameuser", "trust"),
        ("all", "all", "trust"),
    ],
)
def test_a_line_is_for_databases_and_users(database: str, user: str, method: str | None) -> None:
    rules = rules_of(
        "local app bob,alice md5",
        "local sameuser all trust",
        "local replication all md5",
        'local "replication" bob reject',
    )
    assert method_for(rules, SOCKET, database, user) == method


def test_the_first_line_that_matches_decides() -> None:
    rules = rules_of("host all eve all reject", "host all all 10.0.0.0/8 trust", "host all all all md5")
    assert method_for(rules, by_tcp("10.1.1.1"), "app", "eve") == "reject"
    assert method_for(rules, by_tcp("10.1.1.1"), "app", "bob") == "trust"
    assert method_for(rules, by_tcp("192.0.2.7"), "app", "bob") == "md5"
    assert method_for(rules, SOCKET, "app", "bob") is None


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("local all all trust", False),
        ("host all all 127.0.0.1/32 trust", False),
        ("host all all 127.0.0.0/8 trust", False),
        ("host all all ::1/128 trust", False),
        ("host all all ::ffff:127.0.0.1/128 trust", False),
        ("host all all 126.0.0.0/7 trust", True),
        ("host all all 10.0.0.0/8 trust", True),
        ("host all all ::/0 trust", True),
        ("hostssl all all all trust", True),
        ("host all all all md5", False),
        ("host all all all reject", False),
    ],
)
def test_trust_beyond_this_machine_is_known(line: str, expected: bool) -> None:
    assert trusts_strangers(rules_of(line)[0]) == expected
