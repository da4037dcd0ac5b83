from __future__ import annotations

import socket
from types import SimpleNamespace
from typing import Any

import pytest
from twisted.internet.defer import Deferred, execute

from twistnotify.shard import resolve as module
from twistnotify.shard.resolve import resolve

ADDRESSES = {"one": ["10.0.0.1"], "two": ["10.0.0.2", "fd00::2", "10.0.0.2"]}


@pytest.fixture(autouse=True)
def _names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Know two names, and look them up at once."""

    def getaddrinfo(host: str, port: None, type: int) -> list[Any]:
        if host not in ADDRESSES:
            raise socket.gaierror(-2, "Name or service not known")
        return [(0, 0, 0, "", (address, 0)) for address in ADDRESSES[host]]

    monkeypatch.setattr(module.socket, "getaddrinfo", getaddrinfo)
    monkeypatch.setattr(module, "deferToThreadPool", lambda reactor, pool, *call: execute(*call))


def resolved(**conninfo: str) -> Any:
    results: list[Any] = []
    waiting: Deferred[dict[str, str]] = resolve(SimpleNamespace(getThreadPool=lambda: None), conninfo)
    waiting.addBoth(results.append)
    return results[0]


@pytest.mark.parametrize(
    "conninfo",
    [
        {"dbname": "x"},
        {"host": ""},
        {"host": "/run/postgresql"},
        {"host": "@abstract"},
        {"host": "10.0.0.9", "port": "5433"},
        {"host": "::1,127.0.0.1"},
        {"host": "unknown", "hostaddr": "10.0.0.9"},
    ],
)
def test_what_has_no_name_to_look_up_stays_as_it_is(conninfo: dict[str, str]) -> None:
    assert resolved(**conninfo) == conninfo


def test_a_name_gets_its_address_and_stays_for_the_certificate() -> None:
    assert resolved(host="one", dbname="x") == {"host": "one", "hostaddr": "10.0.0.1", "port": "5432", "dbname": "x"}


def test_a_name_with_several_addresses_becomes_several_hosts() -> None:
    assert resolved(host="two", port="6000") == {
        "host": "two,two",
        "hostaddr": "10.0.0.2,fd00::2",
        "port": "6000,6000",
    }


def test_each_host_of_a_list_keeps_its_port() -> None:
    assert resolved(host="one,/run/pg,10.0.0.9,two", port="1,2,3,4") == {
        "host": "one,/run/pg,10.0.0.9,two,two",
        "hostaddr": "10.0.0.1,,10.0.0.9,10.0.0.2,fd00::2",
        "port": "1,2,3,4,4",
    }


def test_a_name_that_nobody_knows_fails_as_an_error_of_the_system() -> None:
    failure = resolved(host="unknown")

    assert failure.check(OSError)
