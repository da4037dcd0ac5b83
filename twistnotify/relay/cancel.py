"""Asking a server to cancel what a session runs (Protocol, section 'Canceling Requests in Progress').

The request goes over a connection of its own, to the very server that has the session. It is secured as the session's
is, with the same checks, as libpq does since version 17: otherwise whoever listens would learn the key.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred, TimeoutError
from twisted.python.failure import Failure

from twistnotify.relay.connection import Upstream, UpstreamRefused
from twistnotify.relay.places import Place, Unreachable, connect
from twistnotify.relay.tls import ClientTls
from twistnotify.wire.startup import CancelRequest


def send_cancel(
    reactor: Any, place: Place, pid: int, secret: bytes, timeout: float, tls: ClientTls | None = None
) -> Deferred[None]:
    """Send a request to cancel, and wait until the server has closed, at most `timeout` seconds.

    `tls` is what the session was secured by; if it is not None, nothing is sent without TLS. The server tells nobody
    what came of it, and neither does the Deferred, which does not fail.
    """
    sending = Deferred.fromCoroutine(_send(reactor, place, CancelRequest(pid, secret), tls))
    return sending.addTimeout(timeout, reactor).addErrback(_give_up)


async def _send(reactor: Any, place: Place, request: CancelRequest, tls: ClientTls | None) -> None:
    connection = Upstream(reactor, place)
    await connect(reactor, place, connection)
    try:
        if tls is None or await connection.secure(lambda: tls):
            await _deliver(connection, request)
    finally:
        connection.abort()


async def _deliver(connection: Upstream, request: CancelRequest) -> None:
    closed: Deferred[None] = Deferred()
    connection.when_ended(lambda: closed.callback(None))
    # Nobody reads what a server may say.
    connection.resume()
    connection.write(request.encode())
    await closed


def _give_up(failure: Failure) -> None:
    failure.trap(Unreachable, UpstreamRefused, CancelledError, TimeoutError)
