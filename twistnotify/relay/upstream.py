"""How a client's private upstream session is opened.

    connecting --TLS?--> log-in --replays--> open

All of it has to happen within `server_connect_timeout`. Each place that is left gets an equal share of the time that is
left, so that a dead machine in front of the list does not use up all of it.
"""

from __future__ import annotations

import base64
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, fail
from twisted.logger import Logger
from twisted.python.failure import Failure

from twistnotify.auth.scram_keys import salted_password
from twistnotify.auth.secrets import Credentials, PlainSecret
from twistnotify.config.model import Settings
from twistnotify.relay.connection import (
    PREFIX,
    Consumer,
    HandshakeFailed,
    Upstream,
    UpstreamRefused,
    failed,
)
from twistnotify.relay.demands import TLS_MODES, Authentication, check_attributes, with_sslmode
from twistnotify.relay.login import Derivation, LoginRefused, log_in
from twistnotify.relay.places import Place, Unreachable, connect, look_up, places
from twistnotify.relay.tls import ClientTls, TlsFault
from twistnotify.session.actions import Replay
from twistnotify.session.encodings import server_codec
from twistnotify.wire.errors import ErrorFields, ErrorResponse
from twistnotify.wire.session_status import ParameterStatus
from twistnotify.wire.violations import ProtocolViolation

__all__ = ["Conninfo", "Consumer", "Relay", "Upstream", "UpstreamRefused"]

NONCE_BYTES = 18
LONGEST_REASON = 500
"""Characters of a reason that are logged."""
TOO_MANY = "53300"
CANNOT_CONNECT_NOW = "57P03"
"""What a server says that starts up, shuts down or recovers: another place may do."""

Conninfo = Callable[[], Deferred[dict[str, str]]]
Startup = Sequence[tuple[str, str]]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Wish:
    """What a client asks for; `startup` is all it said when it logged in, `own` what it has shown of itself."""

    user: str
    startup: Startup
    replays: Sequence[Replay]
    own: Credentials | None = field(default=None, repr=False)

    def parameters(self, conninfo: Mapping[str, str]) -> dict[str, str]:
        """Return the start-up parameters: who and where is for the line to say, all else for the client."""
        asked = {"user": conninfo.get("user", self.user)}
        if "dbname" in conninfo:
            asked["database"] = conninfo["dbname"]
        return asked | {name: value for name, value in self.startup if _is_setting(name)}

    def credentials(self, conninfo: Mapping[str, str]) -> Credentials | None:
        """Return what to log in by: the line's password, or the client's own where it is the user."""
        if "password" in conninfo:
            return PlainSecret(conninfo["password"])
        return None if "user" in conninfo else self.own


def _is_setting(name: str) -> bool:
    return name not in ("user", "database", "replication") and not name.startswith("_pq_.")


class Relay:
    """Open upstream sessions of one database; `sessions` are open, or being opened.

    `conninfo` gives libpq's keywords, `random_bytes(n)` the nonces.
    """

    log = Logger()

    def __init__(
        self,
        reactor: Any,
        database: str,
        conninfo: Conninfo,
        settings: Settings,
        random_bytes: Callable[[int], bytes],
    ) -> None:
        self._reactor = reactor
        self._database = database
        self._conninfo = conninfo
        self._timeout = settings.server_connect_timeout
        self._max_sessions = settings.max_db_connections
        self.sessions = 0
        self._random_bytes = random_bytes

    def open(
        self, user: str, startup: Startup, replays: Sequence[Replay], credentials: Credentials | None = None
    ) -> Deferred[Upstream]:
        """Open a session for a client and bring it to where the client is; what comes next is `Upstream.use`.

        `user` and `startup` are as the client sent them, `credentials` what it has shown of itself. Fails with
        `UpstreamRefused`. Cancelling the Deferred ends whatever there is by then.
        """
        if 0 < self._max_sessions <= self.sessions:
            return fail(self._too_many())
        return Deferred.fromCoroutine(self._counted(_Wish(user, startup, replays, credentials)))

    def _too_many(self) -> UpstreamRefused:
        message = f'sorry, too many upstream sessions for database "{self._database}"'
        return UpstreamRefused(ErrorFields("ERROR", TOO_MANY, message, hint="See max_db_connections."))

    async def _counted(self, wish: _Wish) -> Upstream:
        """Open a session that counts until its connection has ended."""
        self.sessions += 1
        try:
            upstream = await self._open(wish)
        except BaseException:
            self._forget()
            raise
        upstream.when_ended(self._forget)
        return upstream

    def _forget(self) -> None:
        self.sessions -= 1

    async def _open(self, wish: _Wish) -> Upstream:
        attempts: list[str] = []
        try:
            return await self._first(wish, attempts)
        except UpstreamRefused as refusal:
            reason = _printable("; ".join(attempts) or refusal.fields.message)
            self.log.warn("database {database}: no upstream session: {reason}", database=self._database, reason=reason)
            raise

    async def _first(self, wish: _Wish, attempts: list[str]) -> Upstream:
        """Return a session at the first place that has one; what was in vain is noted in `attempts`."""
        deadline = self._reactor.seconds() + self._timeout
        conninfo = await self._keywords()
        waiting = deque(_places(conninfo))
        while True:
            place = waiting.popleft()
            share = (deadline - self._reactor.seconds()) / (len(waiting) + 1)
            try:
                if not place.is_name:
                    return await self._in_time(share, Deferred.fromCoroutine(self._at(place, conninfo, wish)))
                addresses: list[Place] = await self._in_time(share, look_up(self._reactor, place))
                waiting.extendleft(reversed(addresses))
            except (UpstreamRefused, Unreachable) as error:
                refusal = error if isinstance(error, UpstreamRefused) else failed(str(error), elsewhere=True)
                attempts.append(f"{place}: {refusal.fields.message.removeprefix(PREFIX)}")
                if not refusal.elsewhere or not waiting:
                    raise refusal from None

    async def _keywords(self) -> dict[str, str]:
        try:
            conninfo: dict[str, str] = await self._in_time(self._timeout, self._conninfo())
        except OSError as error:
            raise failed(" ".join(str(error).split())) from None
        return with_sslmode(conninfo)

    def _in_time(self, seconds: float, waiting: Deferred[T]) -> Deferred[T]:
        return waiting.addTimeout(max(0.0, seconds), self._reactor, _expired)

    async def _at(self, place: Place, conninfo: Mapping[str, str], wish: _Wish) -> Upstream:
        """Return a session at one place."""
        upstream = await self._connected(place, conninfo)
        try:
            await self._log_in(upstream, conninfo, wish)
            check_attributes(upstream.parameters, conninfo)
            for each in wish.replays:
                await _replay(upstream, each)
        except ProtocolViolation as violation:
            upstream.abort()
            raise failed(violation.message) from None
        except BaseException:
            upstream.abort()
            raise
        upstream.pause()
        return upstream

    async def _connected(self, place: Place, conninfo: Mapping[str, str]) -> Upstream:
        """Return a connection, over TLS if that is wanted and possible."""
        mode = conninfo["sslmode"]
        upstream = await self._dial(place)
        if place.path is not None or mode == "disable":
            return upstream
        try:
            if not await upstream.secure(lambda: _client_tls(conninfo, place.host)) and mode in TLS_MODES:
                raise failed("server does not support SSL, but SSL was required")
        except BaseException as error:
            upstream.abort()
            if isinstance(error, HandshakeFailed) and mode not in TLS_MODES:
                return await self._dial(place)
            raise
        return upstream

    async def _dial(self, place: Place) -> Upstream:
        upstream = Upstream(self._reactor, place)
        await connect(self._reactor, place, upstream)
        return upstream

    async def _log_in(self, upstream: Upstream, conninfo: Mapping[str, str], wish: _Wish) -> None:
        nonce = base64.b64encode(self._random_bytes(NONCE_BYTES)).decode()
        script = log_in(wish.parameters(conninfo), wish.credentials(conninfo), nonce)
        authentication = Authentication(conninfo)
        try:
            step = next(script)
            while True:
                if isinstance(step, Derivation):
                    step = script.send(await self._derived(step))
                    continue
                upstream.write(step)
                frame = await upstream.frame()
                authentication.check(*frame)
                step = script.send(frame)
        except StopIteration as end:
            session = end.value
            upstream.parameters, upstream.pid, upstream.secret = session.parameters, session.pid, session.secret
        except LoginRefused as refusal:
            raise _refused(refusal.fields) from None

    def _derived(self, wanted: Derivation) -> Deferred[bytes]:
        """Return the salted password, which is worked out in a thread: everybody would wait for it otherwise."""
        # Only here, so that nobody else pays for it.
        from twisted.internet.threads import deferToThreadPool

        work = (wanted.password, wanted.salt, wanted.iterations)
        return deferToThreadPool(self._reactor, self._reactor.getThreadPool(), salted_password, *work)


def _printable(reason: str) -> str:
    """Return a reason as one line: a server's may repeat what its client has said."""
    line = "".join(character if character.isprintable() else " " for character in reason)
    return " ".join(line.split())[:LONGEST_REASON]


def _expired(_: object, __: float) -> Failure:
    return Failure(failed("timeout expired", elsewhere=True))


def _places(conninfo: Mapping[str, str]) -> list[Place]:
    try:
        return places(conninfo)
    except Unreachable as error:
        raise failed(str(error)) from None


def _client_tls(conninfo: Mapping[str, str], host: str) -> ClientTls:
    try:
        return ClientTls(conninfo, host)
    except TlsFault as fault:
        raise failed(str(fault)) from None


def _refused(fields: ErrorFields) -> UpstreamRefused:
    """Return the exception for an error of the server's: the client's session goes on, so it is no FATAL one."""
    return UpstreamRefused(replace(fields, severity="ERROR", position=None), fields.sqlstate == CANNOT_CONNECT_NOW)


async def _replay(upstream: Upstream, replay: Replay) -> None:
    """Take one step towards where the client is."""
    upstream.write(replay.frames)
    for types in replay.ends:
        while (frame := await upstream.frame())[0] not in types:
            _note(upstream, replay, *frame)


def _note(upstream: Upstream, replay: Replay, type_: int, body: bytes) -> None:
    """Look at a message that ends no answer."""
    if type_ == ErrorResponse.type and not replay.fails:
        codec = server_codec(upstream.parameters.get("client_encoding", ""))
        raise _refused(ErrorResponse.decode(body, codec).fields)
    if type_ == ParameterStatus.type:
        status = ParameterStatus.decode(body)
        upstream.parameters[status.name] = status.value
