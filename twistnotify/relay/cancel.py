"""Asking a server to cancel what a session runs (Protocol, section 'Canceling Requests in Progress').

The request goes over a connection of its own, to the very server that has the session. It is sent without TLS, as
libpq did up to version 16: the server looks at it before it asks who is there.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred, TimeoutError
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from typing_extensions import override

from twistnotify.relay.places import Dialled, Place, Unreachable, connect
from twistnotify.wire.startup import CancelRequest


def send_cancel(reactor: Any, place: Place, pid: int, secret: bytes, timeout: float) -> Deferred[None]:
    """Send a request to cancel, and wait until the server has closed, at most `timeout` seconds.

    The server tells nobody what came of it, and neither does the Deferred, which does not fail.
    """
    sending = Deferred.fromCoroutine(_send(reactor, place, CancelRequest(pid, secret)))
    return sending.addTimeout(timeout, reactor).addErrback(_give_up)


async def _send(reactor: Any, place: Place, request: CancelRequest) -> None:
    connection = _CancelConnection()
    await connect(reactor, place, connection)
    try:
        connection.transport.write(request.encode())
        await connection.closed
    finally:
        connection.transport.abortConnection()


def _give_up(failure: Failure) -> None:
    failure.trap(Unreachable, CancelledError, TimeoutError)


class _CancelConnection(Dialled):
    """A connection that is over when the server has seen the request."""

    transport: Any

    def __init__(self) -> None:
        self.closed: Deferred[None] = Deferred()

    @override
    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Tell that the request is done with."""
        if not self.closed.called:
            self.closed.callback(None)
