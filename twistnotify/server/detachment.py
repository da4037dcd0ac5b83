"""An idle client's way back from its upstream: it is asked whether anything there would be missed, and given back.

While the question is on its way, about a millisecond, the client is not read from: what it sends waits, and is worked
off behind the answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twistnotify.session.detaching import INQUIRY, Inquiry, detach
from twistnotify.shard.timer import Timer
from twistnotify.wire.framing import FrameBuffer
from twistnotify.wire.violations import ProtocolViolation

if TYPE_CHECKING:
    from twistnotify.server.attachment import Attachment
    from twistnotify.server.protocol import ClientProtocol

MAX_MESSAGE = 65_536
"""Bytes of the longest message of an answer."""


class Detachment:
    """Give an attached client's upstream back after `idle_timeout` seconds, if nothing there would be missed."""

    def __init__(self, attachment: Attachment, client: ClientProtocol, idle_timeout: float) -> None:
        self._attachment = attachment
        self._client = client
        self._idle_timeout = idle_timeout
        self._frames = FrameBuffer(MAX_MESSAGE)
        self._inquiry: Inquiry | None = None
        self._limit = Timer(client.factory.clock, self._expired)
        attachment.attached.watch()

    def note(self) -> None:
        """Begin to count an idle time, or count no more."""
        watch = self._client.factory.idle_watch
        if self._attachment.may_detach:
            watch.rest(self, self._idle_timeout)
        else:
            watch.wake(self)

    def stop(self) -> None:
        """Leave what is under way."""
        self.give_up()
        self._client.factory.idle_watch.wake(self)

    def rested(self) -> None:
        """Ask the upstream."""
        if not self._attachment.may_detach:
            return
        self._inquiry = Inquiry(self._client.session.encoding)
        self._frames = FrameBuffer(MAX_MESSAGE)
        self._limit.start(self._client.factory.settings.server_connect_timeout)
        self._attachment.asking = self
        self._client.stall_for_upstream(True)
        self._attachment.upstream.write(INQUIRY)

    def received(self, data: bytes) -> None:
        """Take what the upstream has sent."""
        self._frames.feed(data)
        try:
            self._read()
        except ProtocolViolation:
            self._expired()

    def _read(self) -> None:
        inquiry = self._inquiry
        while inquiry is not None and (frame := self._frames.next_frame()) is not None:
            if inquiry.read(*frame):
                self._conclude(inquiry)
                return

    def _conclude(self, inquiry: Inquiry) -> None:
        attachment = self._attachment
        attachment.take_up(self.give_up() + self._frames.take())
        if inquiry.clears and attachment.may_detach and detach(self._client.session, inquiry):
            attachment.end()
            self._client.detached()
        else:
            # Not again before it has done something.
            self._client.factory.idle_watch.wake(self)

    def give_up(self) -> bytes:
        """Ask no more; return what has come for the client."""
        inquiry, self._inquiry = self._inquiry, None
        self._attachment.asking = None
        self._limit.stop()
        return b"" if inquiry is None else b"".join(inquiry.asides)

    def _expired(self) -> None:
        """Have the upstream lost: what it will send is the rest of an answer, if anything."""
        self._attachment.upstream.abort()
