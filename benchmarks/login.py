"""One log-in as a client sees it, by trust or by SCRAM-SHA-256, with TLS around it or without.

Bytes come in and go out; it must not know sockets.
"""

from __future__ import annotations

import ssl
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Protocol

from benchmarks.dialects import MAX_MESSAGE, Refused
from twistnotify.auth.password import prepared
from twistnotify.auth.scram_client import ClientFinal, ClientFirst
from twistnotify.auth.scram_keys import MECHANISM, client_key, salted_password, server_key
from twistnotify.wire.authentication import (
    AUTHENTICATION_REQUEST,
    AuthenticationOk,
    AuthenticationSASL,
    AuthenticationSASLContinue,
    AuthenticationSASLFinal,
    SASLInitialResponse,
    SASLResponse,
    authentication_request,
)
from twistnotify.wire.errors import ErrorFields, ErrorResponse
from twistnotify.wire.framing import FrameBuffer
from twistnotify.wire.session_status import ReadyForQuery, Terminate
from twistnotify.wire.startup import PROTOCOL_3_0, SSLRequest, StartupMessage

# The same for every log-in: the server's part of the nonce makes each exchange another one, and costs us nothing.
_FIRST = ClientFirst("benchmarkbenchmarkbenchm")
_INITIAL = SASLInitialResponse(MECHANISM.encode(), _FIRST.message).encode()
_FAREWELL = Terminate().encode()
_SSL_REQUEST = SSLRequest().encode()
_ACCEPTED = b"S"
_READ_SIZE = 65536


@dataclass(frozen=True, slots=True)
class Account:
    """Say who logs in where; `proves` tells whether the server has to ask for SCRAM, or for nothing."""

    user: str
    password: str = field(repr=False)
    database: str
    proves: bool


class Exchange(Protocol):
    """What a connection says and hears, until it is `done`."""

    @property
    def done(self) -> bool:
        """Tell whether the session is ready."""
        ...

    @property
    def greeting(self) -> bytes:
        """Return what to say first."""
        ...

    def hear(self, data: bytes) -> bytes:
        """Return the answer; raises Refused."""
        ...

    def farewell(self) -> bytes:
        """Return what to say at the end."""
        ...


class Login:
    """Log in; raises Refused where the server asks for another proof than it should."""

    def __init__(self, account: Account) -> None:
        self.done = False
        self.greeting = _startup(account.user, account.database)
        self._account = account
        self._frames = FrameBuffer(MAX_MESSAGE)
        self._final: ClientFinal | None = None

    def hear(self, data: bytes) -> bytes:
        """Return the answer; raises Refused, ScramFault."""
        self._frames.feed(data)
        said = b""
        while (found := self._frames.next_frame()) is not None:
            said += self._answer(*found)
        return said

    def farewell(self) -> bytes:
        """Return a Terminate."""
        return _FAREWELL

    def _answer(self, kind: int, body: bytes) -> bytes:
        if kind == AUTHENTICATION_REQUEST:
            return self._prove(body)
        if kind == ErrorResponse.type:
            fields = ErrorFields.decode(body)
            raise Refused(f"{fields.severity} {fields.sqlstate}: {fields.message}")
        if kind == ReadyForQuery.type:
            self.done = True
        return b""

    def _prove(self, body: bytes) -> bytes:
        request = authentication_request(body).decode(body)
        if isinstance(request, AuthenticationSASL) and self._account.proves:
            return _INITIAL
        if isinstance(request, AuthenticationSASLContinue):
            self._final = self._answer_challenge(request.data)
            return SASLResponse(self._final.message).encode()
        if isinstance(request, AuthenticationSASLFinal) and self._final is not None:
            self._final.verify(request.data)
        elif not isinstance(request, AuthenticationOk) or self._account.proves != (self._final is not None):
            raise Refused(f"the server asks for another proof than it should: {request!r}")
        return b""

    def _answer_challenge(self, data: bytes) -> ClientFinal:
        challenge = _FIRST.read(data)
        return _FIRST.answer(challenge, *_keys(self._account.password, challenge.salt, challenge.iterations))


class SecuredLogin:
    """Ask for TLS, and log in through it."""

    greeting = _SSL_REQUEST

    def __init__(self, login: Login, context: ssl.SSLContext) -> None:
        self._login = login
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing)
        # Functions, not methods: a reference to itself would keep it from being freed at once.
        self._step = SecuredLogin._hear_verdict

    @property
    def done(self) -> bool:
        """Tell whether the session is ready."""
        return self._login.done

    def hear(self, data: bytes) -> bytes:
        """Return the answer; raises Refused, ScramFault, ssl.SSLError."""
        # Whatever else is to come has to come first.
        with suppress(ssl.SSLWantReadError):
            self._step(self, data)
        return self._outgoing.read()

    def farewell(self) -> bytes:
        """Return a Terminate."""
        self._tls.write(self._login.farewell())
        return self._outgoing.read()

    def _hear_verdict(self, data: bytes) -> None:
        if data != _ACCEPTED:
            raise Refused(f"the server has no TLS: {data[:200]!r}")
        self._step = SecuredLogin._hear_handshake
        self._tls.do_handshake()

    def _hear_handshake(self, data: bytes) -> None:
        self._incoming.write(data)
        self._tls.do_handshake()
        self._step = SecuredLogin._hear_login
        self._tls.write(self._login.greeting)
        self._hear_login(b"")

    def _hear_login(self, data: bytes) -> None:
        self._incoming.write(data)
        while plain := self._tls.read(_READ_SIZE):
            if answer := self._login.hear(plain):
                self._tls.write(answer)


@lru_cache
def _startup(user: str, database: str) -> bytes:
    return StartupMessage(PROTOCOL_3_0, {"user": user, "database": database}).encode()


@lru_cache
def _keys(password: str, salt: bytes, iterations: int) -> tuple[bytes, bytes]:
    """Return the keys of client and server: derived once, since the salt of a stored secret stays."""
    salted = salted_password(prepared(password), salt, iterations)
    return client_key(salted), server_key(salted)
