"""A log-in of the generator, against a server that is played by the test."""

from __future__ import annotations

import ssl
from contextlib import suppress
from pathlib import Path

import pytest

from benchmarks.certificate import client_context, make_certificate
from benchmarks.dialects import Refused
from benchmarks.login import Account, Login, SecuredLogin
from twistnotify.auth.scram import ServerStart
from twistnotify.auth.scram_keys import MECHANISM, ScramFault
from twistnotify.auth.secrets import scram_secret
from twistnotify.wire.authentication import (
    AuthenticationCleartextPassword,
    AuthenticationOk,
    AuthenticationSASL,
    AuthenticationSASLContinue,
    AuthenticationSASLFinal,
    SASLInitialResponse,
    SASLResponse,
)
from twistnotify.wire.errors import ErrorFields, ErrorResponse
from twistnotify.wire.session_status import ParameterStatus, ReadyForQuery, Terminate
from twistnotify.wire.startup import SSLRequest

HEADER = 5
"""Bytes of a frame before its body."""
PASSWORD = "open sesame"
TRUSTED = Account("alice", PASSWORD, "db", proves=False)
PROVES = Account("alice", PASSWORD, "db", proves=True)
START = ServerStart(scram_secret(PASSWORD, b"salt" * 4, 4), False, "bm9uY2Vub25jZW5vbmNlbm9u")
WELCOME = AuthenticationOk().encode() + ParameterStatus("client_encoding", "UTF8").encode()
READY = ReadyForQuery("I").encode()
TOO_MANY = ErrorResponse(ErrorFields("FATAL", "53300", "sorry, too many clients already")).encode()


def in_pieces(login: Login, data: bytes, size: int) -> bytes:
    """Return what is said to something that is heard a few bytes at a time."""
    return b"".join(login.hear(data[start : start + size]) for start in range(0, len(data), size))


def verdict_on(login: Login, size: int = 1024) -> bytes:
    """Play a server's part of SCRAM; return its last message of it."""
    said = in_pieces(login, AuthenticationSASL((MECHANISM,)).encode(), size)
    chosen = SASLInitialResponse.decode(said[HEADER:])
    assert chosen.data is not None
    challenge = START.challenge(chosen.mechanism.decode(), chosen.data)
    said = in_pieces(login, AuthenticationSASLContinue(challenge.message).encode(), size)
    final = challenge.verify(SASLResponse.decode(said[HEADER:]).data)
    assert final is not None
    return final.message


@pytest.mark.parametrize("size", [1, 7, 1024])
def test_a_trusted_client_is_logged_in_when_the_server_is_ready(size: int) -> None:
    login = Login(TRUSTED)
    assert b"user\0alice\0database\0db\0" in login.greeting
    assert in_pieces(login, WELCOME, size) == b""
    assert not login.done
    assert in_pieces(login, READY, size) == b""
    assert login.done
    assert login.farewell() == Terminate().encode()


@pytest.mark.parametrize("size", [1, 7, 1024])
def test_a_client_proves_its_password(size: int) -> None:
    login = Login(PROVES)
    verdict = AuthenticationSASLFinal(verdict_on(login, size)).encode()
    assert in_pieces(login, verdict + WELCOME + READY, size) == b""
    assert login.done


def test_a_server_that_does_not_know_the_password_is_not_believed() -> None:
    login = Login(PROVES)
    verdict_on(login)
    with pytest.raises(ScramFault, match="signature of the server is wrong"):
        login.hear(AuthenticationSASLFinal(b"v=" + b"A" * 43 + b"=").encode())


@pytest.mark.parametrize(
    ("account", "request_"),
    [
        (PROVES, AuthenticationOk()),
        (TRUSTED, AuthenticationSASL((MECHANISM,))),
        (PROVES, AuthenticationCleartextPassword()),
        (PROVES, AuthenticationSASLFinal(b"v=AAAA")),
    ],
)
def test_a_server_that_asks_for_less_or_more_than_is_measured_is_a_failure(
    account: Account, request_: AuthenticationOk
) -> None:
    with pytest.raises(Refused, match="another proof than it should"):
        Login(account).hear(request_.encode())


def test_an_error_is_shown_as_the_server_has_put_it() -> None:
    with pytest.raises(Refused, match="FATAL 53300: sorry, too many clients already"):
        Login(TRUSTED).hear(TOO_MANY)


class TlsServer:
    """The other end of a connection with TLS, in memory."""

    def __init__(self, folder: Path) -> None:
        certificate, key = make_certificate().write(folder)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)

    def shake_hands(self, data: bytes) -> bytes:
        """Return the server's part of a handshake."""
        self._incoming.write(data)
        with suppress(ssl.SSLWantReadError):
            self.tls.do_handshake()
        return self._outgoing.read()

    def hear(self, data: bytes) -> bytes:
        """Return what was said."""
        self._incoming.write(data)
        return self.tls.read(1024)

    def say(self, data: bytes) -> bytes:
        """Return what to say, encrypted."""
        self.tls.write(data)
        return self._outgoing.read()


@pytest.fixture
def secured() -> SecuredLogin:
    """A log-in that asks for TLS."""
    return SecuredLogin(Login(TRUSTED), client_context())


@pytest.fixture
def server(tmp_path: Path) -> TlsServer:
    """What it talks to."""
    return TlsServer(tmp_path)


@pytest.mark.parametrize("size", [1, 100, 10_000])
def test_a_client_logs_in_through_tls(secured: SecuredLogin, server: TlsServer, size: int) -> None:
    def hear(data: bytes) -> bytes:
        return b"".join(secured.hear(data[start : start + size]) for start in range(0, len(data), size))

    assert secured.greeting == SSLRequest().encode()
    finished = hear(server.shake_hands(hear(b"S")))
    # TLS 1.3: the client's last word of the handshake and its first one of the log-in are said in one breath.
    tickets = server.shake_hands(finished)
    assert server.tls.version() == "TLSv1.3"
    assert server.hear(b"") == Login(TRUSTED).greeting
    assert not secured.done
    assert hear(tickets + server.say(WELCOME + READY)) == b""
    assert secured.done
    assert server.hear(secured.farewell()) == Terminate().encode()


def test_a_server_without_tls_is_a_failure(secured: SecuredLogin) -> None:
    with pytest.raises(Refused, match="has no TLS: b'N'"):
        secured.hear(b"N")


def test_the_key_is_for_its_owner_alone(tmp_path: Path) -> None:
    certificate, key = make_certificate().write(tmp_path)
    assert key.stat().st_mode & 0o077 == 0
    assert b"PRIVATE" not in certificate.read_bytes()
