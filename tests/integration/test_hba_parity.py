"""A pg_hba.conf means to twistnotify what it means to PostgreSQL, or is refused with reason."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest
from support.postgres import PostgresServer

from twistnotify.auth.hba import HbaRule, Names
from twistnotify.auth.hba_file import read_hba

# Without `cert`, which a PostgreSQL that is built without TLS does not know.
READ_BY_BOTH = r"""
# type   database  user  address  method
local    all       all   trust
host     all       all   127.0.0.1/32  trust
host     "all"     all,bob   127.0.0.1/8 md5 # with host bits
hostssl  app, web  "a b","c,d","e#f","g""h"  127.0.0.1 255.255.255.0 scram-sha-256
hostnossl  sameuser  sameuser,ALL  all  password

local	replication,app	x"y z"w	reject
local    all       a\
b \
         peer
hostssl  all       "+a","@b" ::1/128 md5
host     all       all   2001:DB8::1  ffff:ffff::  reject
host     "sameuser","samerole" all 0.0.0.0/0 scram-sha-256
host     a,,b ,c   127.0.0.1/32 md5
host     @names    @names 10.0.0.0 255.254.0.0 md5
# \
host all all all trust
"local" "" 'all' "trust"
host all bob 0.0.0.0 0.0.0.0 reject
"""
NAMES = 'n1, n2 # and\n"n 3"\nall\n'

REFUSED_BY_BOTH = r"""
locale   all  all  trust
local
local    all
local    all  all
local,host  all  all  trust
local    all  all  trust,md5
local    all  all  plain
local    all  all  cert
local    all  @missing  trust
host     all  all  127.0.0.1  trust
host     all  all  127.0.0.1/33  trust
host     all  all  127.0.0.1/x  trust
host     all  all  127.0.0.1 ffff:: trust
host     all  all  ::1/129  trust
host     all  all  127.0.0.1/32,127.0.0.2/32  trust
host     all  all  127.0.0.1/32
host     all  all  127.0.0.1/32  peer
host     all  all  127.0.0.1/32  cert
"""

REFUSED_HERE = r"""
local    samerole  all  trust
local    all  +staff  trust
local    all  all  trust"
local    all  all  peer map=users
host     all  all  samehost  trust
host     all  all  localhost  trust
host     all  all  127.0.0.0 0.255.255.255  trust
host     all  all  fe80::1%lo/64  trust
hostssl  all  all  all  md5 clientcert=verify-full
"""


@contextmanager
def hba_file(postgres: PostgresServer, text: str) -> Iterator[Path]:
    """Have another pg_hba.conf for a while: PostgreSQL shows it as it is, and goes on by the one it has loaded."""
    folder = postgres._data
    file, names = folder / "pg_hba.conf", folder / "names"
    before = file.read_text()
    try:
        file.write_text(text)
        names.write_text(NAMES)
        os.chmod(names, 0o644)
        yield folder
    finally:
        file.write_text(before)
        names.unlink()


def shown(postgres: PostgresServer) -> dict[int, tuple[Any, ...]]:
    """Return what PostgreSQL makes of its file, by line: nothing but the line where it refuses one.

    Its column `error` does not say that: it is there for hostssl lines that mean something as well, without TLS.
    """
    columns = "line_number, type, database, user_name, address, netmask, auth_method"
    rows = postgres.fetch(f"SELECT {columns} FROM pg_hba_file_rules ORDER BY line_number")
    return {row[0]: row[1:] for row in rows}


def read_here(folder: Path, text: str) -> tuple[list[HbaRule], list[int]]:
    rules, faults = read_hba(text, lambda name: (folder / name).read_text())
    return list(rules), [fault.line for fault in faults]


def names_of(names: Names) -> set[str]:
    """Return names as PostgreSQL shows them: without the quotes that tell a word from a name."""
    words = {"all": names.everyone, "sameuser": names.own}
    return names.names | {word for word, said in words.items() if said}


def network_of(address: str | None, netmask: str | None) -> object:
    if address is None or netmask is None:
        return None
    return ip_network((address, int(ip_address(netmask)).bit_count()), strict=False)


def test_lines_mean_the_same(postgres: PostgresServer) -> None:
    with hba_file(postgres, READ_BY_BOTH) as folder:
        rules, faults = read_here(folder, READ_BY_BOTH)
        lines = shown(postgres)
    assert faults == []
    assert [rule.line for rule in rules] == list(lines)
    for rule in rules:
        kind, databases, users, address, netmask, method = lines[rule.line]
        assert (rule.kind, rule.method) == (kind, "plain" if method == "password" else method)
        assert rule.network == network_of(address, netmask)
        assert names_of(rule.databases) == set(databases) - {"replication"}
        assert names_of(rule.users) == set(users)


@pytest.mark.parametrize(("text", "by_postgres"), [(REFUSED_BY_BOTH, True), (REFUSED_HERE, False)])
def test_lines_are_refused(postgres: PostgresServer, text: str, by_postgres: bool) -> None:
    with hba_file(postgres, text) as folder:
        rules, faults = read_here(folder, text)
        lines = shown(postgres)
    assert rules == []
    assert faults == list(range(2, text.count("\n") + 1))
    assert {line: kind is None for line, (kind, *_) in lines.items()} == dict.fromkeys(faults, by_postgres)
