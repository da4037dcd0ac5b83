"""What an operator is warned of at each start and reload."""

from __future__ import annotations

from pathlib import Path

import pytest
from fakes.tls import server_tls
from support.certificates import authority

from twistnotify.auth.hba_file import read_hba
from twistnotify.config.loader import load
from twistnotify.server.authentication import Security
from twistnotify.server.warnings import warnings

SCRAM = Security("scram-sha-256")


def of_lines(databases: str, shards: str = "", security: Security = SCRAM) -> list[str]:
    text = f"[twistnotify]\nauth_type = trust\n[databases]\n{databases}\n"
    if shards:
        text += f"[shards]\n{shards}\n"
    return list(warnings(load(text, "config.ini"), security))


def of_security(security: Security) -> list[str]:
    return of_lines("app = host=/run", security=security)


def test_trust_is_warned_of() -> None:
    (warning,) = of_security(Security("trust"))

    assert warning.startswith("auth_type is trust")


@pytest.mark.parametrize("auth_type", ["scram-sha-256", "md5", "plain", "cert", "peer", "hba"])
def test_other_methods_are_not(auth_type: str) -> None:
    assert of_security(Security(auth_type)) == []


@pytest.mark.parametrize(
    ("line", "warned"),
    [
        ("host all all 0.0.0.0/0 trust", True),
        ("host all all all trust", True),
        ("hostssl all all 10.0.0.0/8 trust", True),
        ("host all all 127.0.0.1/32 trust", False),
        ("host all all ::1/128 trust", False),
        ("local all all trust", False),
        ("host all all all scram-sha-256", False),
    ],
)
def test_lines_that_trust_other_machines_are(line: str, warned: bool) -> None:
    rules, faults = read_hba(line, str)
    assert not faults

    assert of_security(Security("hba", rules=rules)) == ["auth_hba_file has a line that trusts other machines"] * warned


def test_a_certificate_that_scram_can_not_be_bound_to_is(tmp_path: Path) -> None:
    assert of_security(Security("scram-sha-256", tls=server_tls(tmp_path))) == []

    (warning,) = of_security(Security("scram-sha-256", tls=server_tls(tmp_path, authority(kind="ed25519"))))

    assert "client_tls_cert_file has no signature hash" in warning


@pytest.mark.parametrize(
    "line",
    [
        "host=/run",
        "host=@abstract",
        "host=localhost",
        "host=127.0.0.1",
        "host=::1",
        "host=localhost,/run",
        "host=db.example hostaddr=127.0.0.1",
        "dbname=app",
        "host=db.example sslmode=verify-full sslrootcert=system",
    ],
)
def test_a_server_that_is_here_or_known_by_name_is_not(line: str) -> None:
    assert of_lines(f"app = {line}") == []


@pytest.mark.parametrize(
    "line",
    [
        "host=db.example",
        "host=192.0.2.1",
        "host=localhost,db.example",
        "host=localhost hostaddr=192.0.2.1",
        "host=db.example sslmode=require",
        "host=db.example sslmode=verify-ca sslrootcert=/root.crt",
    ],
)
def test_a_server_elsewhere_whose_name_is_not_checked_is(line: str) -> None:
    described = "the server's certificate is not checked for its name (sslmode is not verify-full)"

    assert of_lines(f"app = {line}") == [f"database app: {described}", f"shard app: {described}"]


def test_each_line_is_warned_of_once_and_in_order() -> None:
    found = of_lines("b = shards=s2,s1 relay=off\na = shards=s1,s2 relay=off", "s1 = host=db1\ns2 = host=db2")

    assert [warning.partition(":")[0] for warning in found] == ["shard s1", "shard s2"]


def test_a_private_server_is_not() -> None:
    assert of_lines("postgres = embedded=var/pg user=postgres") == []
