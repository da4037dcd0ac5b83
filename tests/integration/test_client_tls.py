"""Clients over TLS: what they may insist on, what the server insists on, and that nothing else is different."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import psycopg
import psycopg2
import pytest
from cryptography import x509
from support.clients import END, eventually, hear, hear_until, listen, run
from support.configuration import config_for
from support.postgres import PostgresServer
from support.process import TwistnotifyProcess
from support.raw import RawClient, error_of, names, request_cancel
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

from twistnotify.wire.simple_query import Query
from twistnotify.wire.startup import PROTOCOL_3_2, BackendKeyData, CancelRequest, SSLRequest, StartupMessage

pytestmark = one_version

MANY = 10_000
BATCH = 500
LARGE = 20_000
"""Rows of 1,000 bytes: more than all buffers on the way hold."""
BY_SCRAM: dict[str, Any] = {"auth_type": "scram-sha-256", "auth_file": "userlist.txt", "auth_fail_limit": 0}
NO_PROTOCOL = "(?i)no.application.protocol"
REFUSED = "this server requires TLS"

Reconfigure = Callable[..., None]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the server's files."""
    folder = tmp_path_factory.mktemp("tls")
    write_certificates(folder)
    write_userlist(folder, {SCRAM.name: SCRAM.password})
    return folder


@pytest.fixture(scope="module")
def tls_server_of_module(postgres_of_session: PostgresServer, folder: Path) -> Iterator[TwistnotifyProcess]:
    """The process behind `tls_server`."""
    with running(postgres_of_session, folder, **BY_SCRAM, **tls_settings()) as process:
        yield process


@pytest.fixture
def tls_server(postgres: PostgresServer, tls_server_of_module: TwistnotifyProcess) -> Iterator[TwistnotifyProcess]:
    """A server that offers TLS, and asks for SCRAM."""
    yield tls_server_of_module
    tls_server_of_module.close_connections()


@pytest.fixture
def reconfigure(postgres: PostgresServer, tls_server: TwistnotifyProcess) -> Iterator[Reconfigure]:
    """Reload the server with other settings: `reconfigure(**settings)`; for this test only."""

    def reload(**settings: object) -> None:
        tls_server.reload(config_for(postgres, **{**BY_SCRAM, **tls_settings(), **settings}))

    yield reload
    reload()


def connect(server: TwistnotifyProcess, **keywords: object) -> Any:
    """Log in, with libpq's keywords; raises OperationalError."""
    keywords = {"user": SCRAM.name, "password": SCRAM.password, "sslmode": "require", **keywords}
    return server.connect(**{name: str(value) for name, value in keywords.items()})


def refusal(server: TwistnotifyProcess, **keywords: object) -> str:
    """Return why a log-in fails; fails if it does not."""
    with pytest.raises(psycopg2.OperationalError) as caught:
        connect(server, **keywords)
    return str(caught.value)


def shown(folder: Path, name: str) -> dict[str, str]:
    """Return the keywords of a client's certificate."""
    return {"sslcert": f"{folder}/{name}.crt", "sslkey": f"{folder}/{name}.key"}


def serial_of(path: Path) -> int:
    return x509.load_pem_x509_certificate(path.read_bytes()).serial_number


def serial_of_server(server: TwistnotifyProcess, folder: Path) -> int:
    """Return which certificate the server shows."""
    with RawClient(server.port, database=None) as client:
        encrypt(client, trusting(folder))
        assert isinstance(client.socket, ssl.SSLSocket)
        der = client.socket.getpeercert(binary_form=True)
        assert der is not None
        return x509.load_der_x509_certificate(der).serial_number


# What clients insist on


@pytest.mark.parametrize("negotiation", ["postgres", "direct"])
@pytest.mark.parametrize(
    ("mode", "host"),
    [("require", "127.0.0.1"), ("verify-ca", "127.0.0.1"), ("verify-full", "127.0.0.1"), ("verify-full", "localhost")],
)
def test_a_client_may_insist_on_the_server_s_identity(
    tls_server: TwistnotifyProcess, folder: Path, mode: str, host: str, negotiation: str
) -> None:
    keywords = {"sslrootcert": folder / "ca.crt"} if mode.startswith("verify") else {}
    client = connect(tls_server, host=host, sslmode=mode, sslnegotiation=negotiation, **keywords)
    assert client.info.ssl_in_use
    run(listen(client, "encrypted"), "NOTIFY encrypted, 'x'")
    assert hear(client) == [("encrypted", "x")]


@pytest.mark.parametrize("mode", ["verify-ca", "verify-full"])
def test_a_client_that_trusts_another_authority_goes_away(
    tls_server: TwistnotifyProcess, folder: Path, mode: str
) -> None:
    assert "certificate verify failed" in refusal(tls_server, sslmode=mode, sslrootcert=folder / "other.crt")


def test_a_client_that_wants_another_name_goes_away(tls_server: TwistnotifyProcess, folder: Path) -> None:
    keywords = {"host": "elsewhere.test", "hostaddr": "127.0.0.1", "sslmode": "verify-full"}
    assert "does not match host name" in refusal(tls_server, **keywords, sslrootcert=folder / "ca.crt")


@pytest.mark.parametrize("negotiation", ["postgres", "direct"])
def test_scram_can_be_bound_to_the_connection(tls_server: TwistnotifyProcess, negotiation: str) -> None:
    bound = {"channel_binding": "require", "require_auth": "scram-sha-256", "sslnegotiation": negotiation}
    run(connect(tls_server, **bound), "LISTEN bound")
    assert f'password authentication failed for user "{SCRAM.name}"' in refusal(tls_server, **bound, password="wrong")


def test_scram_cannot_be_bound_without_tls(tls_server: TwistnotifyProcess) -> None:
    assert "channel binding required" in refusal(tls_server, channel_binding="require", sslmode="disable")


@pytest.mark.parametrize("wanted", ["password", "md5", "none"])
def test_a_client_that_requires_another_method_goes_away(tls_server: TwistnotifyProcess, wanted: str) -> None:
    assert "authentication method requirement" in refusal(tls_server, require_auth=wanted)


def test_a_client_that_names_another_protocol_is_refused(tls_server: TwistnotifyProcess, folder: Path) -> None:
    context = trusting(folder)
    context.set_alpn_protocols(["http/1.1"])
    with RawClient(tls_server.port, database=None) as client, pytest.raises(ssl.SSLError, match=NO_PROTOCOL):
        encrypt(client, context)


def test_tls_without_a_request_has_to_name_the_protocol(tls_server: TwistnotifyProcess, folder: Path) -> None:
    context = trusting(folder)
    with RawClient(tls_server.port, database=None) as client:
        client.socket = context.wrap_socket(client.socket)
        with suppress(OSError):
            client.send_startup("postgres")
        assert client.until_end() == []
    context.set_alpn_protocols(["http/1.1"])
    with RawClient(tls_server.port, database=None) as client, pytest.raises(ssl.SSLError, match=NO_PROTOCOL):
        context.wrap_socket(client.socket)
    context.set_alpn_protocols(["http/1.1", "postgresql"])
    with RawClient(tls_server.port, database=None) as client:
        client.socket = context.wrap_socket(client.socket)
        log_in_by_scram(client, SCRAM.name, SCRAM.password)


# What the server insists on


@pytest.mark.parametrize(
    ("mode", "plain", "encrypted", "with_certificate"),
    [
        ("disable", True, False, False),
        ("allow", True, True, True),
        ("prefer", True, True, True),
        ("require", False, True, True),
        ("verify-ca", False, False, True),
        ("verify-full", False, False, True),
    ],
)
def test_each_mode_lets_in_who_it_should(
    tls_server: TwistnotifyProcess,
    folder: Path,
    reconfigure: Reconfigure,
    mode: str,
    plain: bool,
    encrypted: bool,
    with_certificate: bool,
) -> None:
    reconfigure(client_tls_sslmode=mode)
    cases = [
        ({"sslmode": "disable"}, plain),
        ({}, encrypted),
        (shown(folder, SCRAM.name), with_certificate),
    ]
    for keywords, may in cases:
        if may:
            assert connect(tls_server, **keywords).info.ssl_in_use == ("sslmode" not in keywords)
        else:
            reason = refusal(tls_server, **keywords)
            assert (REFUSED in reason) == ("sslmode" in keywords), reason


@pytest.mark.parametrize("name", ["stranger", "late"])
def test_a_certificate_that_is_no_good_is_refused_in_any_mode(
    tls_server: TwistnotifyProcess, folder: Path, reconfigure: Reconfigure, name: str
) -> None:
    for mode in ("allow", "verify-ca", "verify-full"):
        reconfigure(client_tls_sslmode=mode)
        assert "alert" in refusal(tls_server, **shown(folder, name))


def test_a_certificate_is_who_a_client_is_with_cert(
    tls_server: TwistnotifyProcess, folder: Path, reconfigure: Reconfigure
) -> None:
    reconfigure(client_tls_sslmode="verify-full", auth_type="cert")
    run(connect(tls_server, **shown(folder, SCRAM.name), password="not asked for"), "LISTEN certified")
    assert "certificate authentication failed" in refusal(tls_server, **shown(folder, SCRAM.name), user="tn_other")


def test_versions_of_tls_are_those_of_the_settings(tls_server: TwistnotifyProcess, reconfigure: Reconfigure) -> None:
    older = {"ssl_max_protocol_version": "TLSv1.2"}
    assert connect(tls_server, **older).info.ssl_attribute("protocol") == "TLSv1.2"
    reconfigure(client_tls_protocols="tlsv1.3")
    assert connect(tls_server).info.ssl_attribute("protocol") == "TLSv1.3"
    assert "alert protocol version" in refusal(tls_server, **older)
    reconfigure(client_tls_protocols="tlsv1.2")
    assert connect(tls_server).info.ssl_attribute("protocol") == "TLSv1.2"
    assert "SSL error" in refusal(tls_server, ssl_min_protocol_version="TLSv1.3")


def test_ciphers_are_those_of_the_settings(tls_server: TwistnotifyProcess, reconfigure: Reconfigure) -> None:
    old, new = "ECDHE-ECDSA-AES256-GCM-SHA384", "TLS_CHACHA20_POLY1305_SHA256"
    reconfigure(client_tls_ciphers=old, client_tls13_ciphers=new)
    assert connect(tls_server).info.ssl_attribute("cipher") == new
    assert connect(tls_server, ssl_max_protocol_version="TLSv1.2").info.ssl_attribute("cipher") == old
    reconfigure(client_tls_ciphers="ECDHE-RSA-AES128-GCM-SHA256")
    assert "SSL error" in refusal(tls_server, ssl_max_protocol_version="TLSv1.2")


def test_a_reload_brings_another_certificate_to_new_connections(
    tls_server: TwistnotifyProcess, folder: Path, reconfigure: Reconfigure
) -> None:
    before = connect(tls_server)
    listen(before, "renewed")
    assert serial_of_server(tls_server, folder) == serial_of(folder / "server.crt")
    reconfigure(**tls_settings(name="renewed"))
    assert serial_of_server(tls_server, folder) == serial_of(folder / "renewed.crt")
    after = connect(tls_server, sslmode="verify-full", sslrootcert=folder / "ca.crt", channel_binding="require")
    run(after, "NOTIFY renewed, 'x'")
    assert hear(before) == [("renewed", "x")]


def test_a_reload_reads_files_of_the_same_names_again(tls_server: TwistnotifyProcess, folder: Path) -> None:
    kept = {end: (folder / f"server.{end}").read_bytes() for end in ("crt", "key")}
    try:
        for end in kept:
            (folder / f"server.{end}").write_bytes((folder / f"renewed.{end}").read_bytes())
        assert serial_of_server(tls_server, folder) != serial_of(folder / "renewed.crt")
        tls_server.reload()
        assert serial_of_server(tls_server, folder) == serial_of(folder / "renewed.crt")
    finally:
        for end, content in kept.items():
            (folder / f"server.{end}").write_bytes(content)
        tls_server.reload()


def test_a_reload_with_a_key_that_does_not_fit_changes_nothing(
    postgres: PostgresServer, tls_server: TwistnotifyProcess, folder: Path
) -> None:
    wrong = {**BY_SCRAM, **tls_settings(), "client_tls_key_file": "renewed.key", "auth_type": "trust"}
    tls_server.reload(config_for(postgres, **wrong), says="the configuration was not reloaded")
    assert serial_of_server(tls_server, folder) == serial_of(folder / "server.crt")
    assert "password authentication failed" in refusal(tls_server, password="wrong")
    tls_server.reload(config_for(postgres, **{**BY_SCRAM, **tls_settings()}))


# Everything else is as without TLS


def test_a_listener_hears_everything_in_order(tls_server: TwistnotifyProcess) -> None:
    listener, sender = connect(tls_server), connect(tls_server)
    listen(listener, "many")

    def send() -> None:
        for start in range(0, MANY, BATCH):
            run(sender, ";".join(f"NOTIFY many, '{number}'" for number in range(start, start + BATCH)))
        run(sender, f"NOTIFY many, '{END}'")

    sending = threading.Thread(target=send)
    sending.start()
    got = [payload for _, payload in hear_until(listener)]
    sending.join()
    assert got == [str(number) for number in range(MANY)]


def by_psycopg3(server: TwistnotifyProcess) -> psycopg.Connection[Any]:
    return psycopg.connect(server.dsn(), user=SCRAM.name, password=SCRAM.password, sslmode="require", autocommit=True)


def test_results_and_copies_of_any_size_pass_both_ways(tls_server: TwistnotifyProcess) -> None:
    line = "x" * 1000
    with by_psycopg3(tls_server) as client:
        rows = client.execute("SELECT repeat('x', 1000) FROM generate_series(1, %s)", (LARGE,)).fetchall()
        assert rows == [(line,)] * LARGE
        client.execute("CREATE TEMPORARY TABLE copied (line text)")
        with client.cursor().copy("COPY copied FROM STDIN") as copy:
            for _ in range(LARGE):
                copy.write_row((line,))
        with client.cursor().copy("COPY copied TO STDOUT") as copy:
            assert sum(len(block) for block in copy) == LARGE * (len(line) + 1)
        assert client.execute("SELECT count(*), max(length(line)) FROM copied").fetchall() == [(LARGE, 1000)]


def sleeping(postgres: PostgresServer) -> list[tuple[Any, ...]]:
    return postgres.fetch("SELECT pid FROM pg_stat_activity WHERE wait_event = 'PgSleep'")


def test_a_cancel_request_may_come_over_tls(tls_server: TwistnotifyProcess, postgres: PostgresServer) -> None:
    with by_psycopg3(tls_server) as client:

        def cancel() -> None:
            eventually(lambda: sleeping(postgres))
            client.cancel_safe()

        canceling = threading.Thread(target=cancel)
        canceling.start()
        with pytest.raises(psycopg.errors.QueryCanceled):
            client.execute("SELECT pg_sleep(60)")
        canceling.join()
        assert client.execute("SELECT 1").fetchall() == [(1,)]


@pytest.mark.parametrize("encrypted", [True, False])
def test_a_long_key_of_protocol_3_2_cancels(
    tls_server: TwistnotifyProcess, postgres: PostgresServer, folder: Path, reconfigure: Reconfigure, encrypted: bool
) -> None:
    reconfigure(auth_type="trust")
    with RawClient(tls_server.port, database=None) as client:
        encrypt(client, trusting(folder))
        client.send(StartupMessage(PROTOCOL_3_2, {"user": "postgres", "database": "postgres"}).encode())
        (key,) = (message for message in client.until_ready() if isinstance(message, BackendKeyData))
        assert len(key.secret) == 32
        client.send(Query(b"SELECT pg_sleep(60)"))
        eventually(lambda: sleeping(postgres))
        for secret in (key.secret[:-1] + bytes([key.secret[-1] ^ 1]), key.secret[:4]):
            request_cancel(tls_server.port, key.pid, secret)
        assert sleeping(postgres)
        if encrypted:
            with RawClient(tls_server.port, database=None) as canceler:
                encrypt(canceler, trusting(folder))
                canceler.send(CancelRequest(key.pid, key.secret).encode())
                assert canceler.until_end() == []
        else:
            request_cancel(tls_server.port, key.pid, key.secret)
        assert error_of(client.until_ready()).sqlstate == "57014"
        assert names(client.query("LISTEN afterwards")) == ["LISTEN", "ready I"]


def test_tls_ends_without_a_word_where_the_client_just_closes(tls_server: TwistnotifyProcess, folder: Path) -> None:
    before = tls_server.log()
    with RawClient(tls_server.port, database=None) as client:
        encrypt(client, trusting(folder))
        log_in_by_scram(client, SCRAM.name, SCRAM.password)
        client.reset()
    with closing(connect(tls_server)) as good:
        run(good, "LISTEN after")
    assert tls_server.log() == before


def test_a_second_request_for_tls_is_refused(tls_server: TwistnotifyProcess, folder: Path) -> None:
    with RawClient(tls_server.port, database=None) as client:
        encrypt(client, trusting(folder))
        client.send(SSLRequest().encode())
        assert error_of(client.until_end()).sqlstate == "0A000"
