"""A trusted proxy says where its clients are: lines of auth_hba_file go by that, and so does the log."""

from __future__ import annotations

import ipaddress
import socket
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.postgres import PostgresServer
from support.process import TwistnotifyProcess
from support.raw import RawClient, error_of, names
from support.security import (
    SCRAM,
    encrypt,
    log_in_by_scram,
    running,
    tls_settings,
    trusting,
    write_certificates,
    write_userlist,
)
from support.versions import one_version

from twistnotify.wire.startup import PROTOCOL_3_0, StartupMessage

pytestmark = one_version

HBA = """\
host all all 10.1.0.0/16 trust
host all all 2001:db8::/32 trust
hostssl all all 10.2.0.0/16 trust
host all tn_scram 10.3.0.0/16 scram-sha-256
host all all 10.4.0.0/16 reject
"""
SETTINGS: dict[str, Any] = {
    "auth_type": "hba",
    "auth_hba_file": "hba.conf",
    "auth_file": "userlist.txt",
    "auth_fail_limit": 3,
    "proxy_protocol": 1,
    "proxy_protocol_from": "127.0.0.1/32, 192.0.2.0/24",
    **tls_settings(),
}
STRANGER = "127.0.0.2"
"""Whence nobody is trusted to be a proxy."""
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
LET_IN = ["LISTEN", "ready I"]
REFUSED = ["FATAL 28000"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the server's files."""
    folder = tmp_path_factory.mktemp("proxied")
    write_certificates(folder)
    write_userlist(folder, {SCRAM.name: SCRAM.password})
    (folder / "hba.conf").write_text(HBA)
    return folder


@pytest.fixture(scope="module")
def server_of_module(postgres_of_session: PostgresServer, folder: Path) -> Iterator[TwistnotifyProcess]:
    """A server that believes what 127.0.0.1 says, and asks clients by `HBA`."""
    with running(postgres_of_session, folder, **SETTINGS) as process:
        yield process


def text(address: str) -> bytes:
    """Return a header of version 1."""
    family = ipaddress.ip_address(address).version
    to = "127.0.0.1" if family == 4 else "::1"
    return f"PROXY TCP{family} {address} {to} 4711 6433\r\n".encode()


def binary(address: str, more: bytes = b"") -> bytes:
    """Return a header of version 2; `more` are its TLVs."""
    source = ipaddress.ip_address(address)
    to = ipaddress.ip_address("127.0.0.1" if source.version == 4 else "::1")
    body = source.packed + to.packed + struct.pack(">HH", 4711, 6433) + more
    return SIGNATURE + bytes([0x21, 0x11 if source.version == 4 else 0x21]) + struct.pack(">H", len(body)) + body


def with_tlv(address: str) -> bytes:
    """Return a header of version 2 that says more (PP2_TYPE_NOOP)."""
    return binary(address, b"\x04\0\x04more")


LOCAL = SIGNATURE + b"\x20\0\0\0"
UNKNOWN = b"PROXY UNKNOWN\r\n"


def startup(user: str) -> bytes:
    return StartupMessage(PROTOCOL_3_0, {"user": user, "database": "postgres"}).encode()


def outcome(server: TwistnotifyProcess, header: bytes, source: str = "", user: str = "somebody") -> list[str]:
    """Return what comes of a log-in behind a header: that of a LISTEN, or of the refusal."""
    with RawClient(server.port, database=None, source=source) as client:
        client.send(header + startup(user))
        answer = names(client.until_ready())
        return names(client.query("LISTEN proxied")) if answer[-1:] == ["ready I"] else answer


@pytest.mark.parametrize("header", [text, binary, with_tlv])
@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("10.1.2.3", LET_IN),
        ("2001:db8::1", LET_IN),
        ("::ffff:10.1.2.3", LET_IN),
        ("10.2.0.1", REFUSED),
        ("10.4.0.1", REFUSED),
        ("10.9.0.1", REFUSED),
        ("2001:db9::1", REFUSED),
        ("127.0.0.1", REFUSED),
    ],
)
def test_lines_go_by_the_address_that_is_told(
    server: TwistnotifyProcess, header: Callable[[str], bytes], address: str, expected: list[str]
) -> None:
    assert outcome(server, header(address)) == expected


@pytest.mark.parametrize("header", [LOCAL, UNKNOWN, b"PROXY UNKNOWN and whatever else\r\n"])
def test_a_header_without_an_address_leaves_the_proxy_s_own(server: TwistnotifyProcess, header: bytes) -> None:
    assert outcome(server, header) == REFUSED
    assert 'host "127.0.0.1"' in refusal(server, header)


def refusal(server: TwistnotifyProcess, header: bytes, source: str = "") -> str:
    """Return what a client is told that no line lets in."""
    with RawClient(server.port, database=None, source=source) as client:
        client.send(header + startup("somebody"))
        return error_of(client.until_end()).message


@pytest.mark.parametrize("header", [text, binary])
def test_a_header_in_one_byte_pieces_is_a_header(server: TwistnotifyProcess, header: Callable[[str], bytes]) -> None:
    with RawClient(server.port, database=None) as client:
        client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in header("10.1.2.3"):
            client.send(bytes([byte]))
        client.send_startup("postgres")
        assert names(client.until_ready())[-1] == "ready I"


@pytest.mark.parametrize("header", [text, binary])
def test_tls_comes_behind_the_header(server: TwistnotifyProcess, folder: Path, header: Callable[[str], bytes]) -> None:
    direct = trusting(folder)
    direct.set_alpn_protocols(["postgresql"])
    for asks in (True, False):
        with RawClient(server.port, database=None) as client:
            client.send(header("10.2.3.4"))
            if asks:
                encrypt(client, trusting(folder))
            else:
                client.socket = direct.wrap_socket(client.socket)
            client.send_startup("postgres")
            assert names(client.until_ready())[-1] == "ready I"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"PROXY TCP4 10.1.2.3 127.0.0.1 4711 99999\r\n",
        b"PROXY TCP4 localhost 127.0.0.1 4711 6433\r\n",
        b"PROXY TCP9 10.1.2.3 127.0.0.1 4711 6433\r\n",
        b"PROXY TCP4 10.1.2.3 127.0.0.1 4711 6433\n",
        b"PROXY UNKNOWN " + b"x" * 200,
        b"GET / HTTP/1.1\r\n\r\n",
        SIGNATURE + b"\x31\x11\0\x0c" + bytes(12),
        SIGNATURE + b"\x22\x11\0\x0c" + bytes(12),
        SIGNATURE + b"\x21\x11\0\x04" + bytes(4),
        SIGNATURE + b"\x21\x11\xff\xff" + bytes(20),
        SIGNATURE[:-1] + b"\r",
    ],
)
def test_a_trusted_proxy_that_says_something_else_is_ended_without_a_word(
    server: TwistnotifyProcess, data: bytes
) -> None:
    assert outcome(server, data) == []
    assert outcome(server, text("10.1.2.3")) == LET_IN


@pytest.mark.parametrize("header", [text, binary])
def test_a_second_header_is_none(server: TwistnotifyProcess, header: Callable[[str], bytes]) -> None:
    assert outcome(server, header("10.4.0.1") + header("10.1.2.3")) == []


@pytest.mark.parametrize("header", [text, binary])
def test_nobody_else_can_say_where_he_is(server: TwistnotifyProcess, header: Callable[[str], bytes]) -> None:
    assert outcome(server, header("10.1.2.3"), STRANGER) == []
    assert outcome(server, b"", STRANGER) == REFUSED
    assert f'host "{STRANGER}"' in refusal(server, b"", STRANGER)


def test_who_is_told_to_be_a_proxy_himself_is_not_believed_either(server: TwistnotifyProcess) -> None:
    """192.0.2.0/24 is trusted, but a header only counts where its own connection comes from there."""
    assert outcome(server, text("192.0.2.1") + text("10.1.2.3")) == []


def test_without_the_setting_a_header_is_nothing_that_is_known(postgres: PostgresServer, tmp_path: Path) -> None:
    with running(postgres, tmp_path) as server:
        assert outcome(server, text("10.1.2.3")) == []
        assert outcome(server, b"") == LET_IN


def test_the_log_names_the_address_that_was_told(postgres: PostgresServer, folder: Path) -> None:
    """Of a server of its own, since the log sums up what comes too often."""
    with running(postgres, folder, **SETTINGS) as server:
        outcome(server, text("10.4.5.6"))
        server.wait_for_log(r"log-in refused: pg_hba.conf rejects connection .* from 10\.4\.5\.6\)")
        outcome(server, binary("2001:db9::77"))
        server.wait_for_log(r"log-in refused: no pg_hba.conf entry .* from 2001:db9::77\)")
        assert "from 127.0.0.1" not in server.log()


def test_failures_count_by_the_address_that_was_told(server: TwistnotifyProcess) -> None:
    """Else one client of a proxy could keep all of its others out."""

    def attempt(address: str, password: str) -> str:
        with RawClient(server.port, database=None) as client:
            client.send(text(address))
            try:
                log_in_by_scram(client, SCRAM.name, password)
            except AssertionError as error:
                return str(error)
            return "in"

    for _ in range(3):
        assert "password authentication failed" in attempt("10.3.0.1", "wrong")
    assert "too many failed log-ins" in attempt("10.3.0.1", SCRAM.password)
    assert attempt("10.3.0.2", SCRAM.password) == "in"
