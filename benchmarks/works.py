"""What is measured: each work is a number of listeners, publishers and messages, the same for every server."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Work:
    """Describe a load.

    Listener i listens to channel i modulo `channels`; the publishers send `messages` each, to one channel after the
    other, with up to `window` unanswered. With a `rate`, they send that many a second together, stamped, so that
    latencies are known. A slow server gets `fewer` times fewer messages.
    """

    name: str
    listeners: int
    channels: int = 1
    publishers: int = 0
    messages: int = 0
    window: int = 1
    rate: int = 0
    fewer: int = 1

    def __post_init__(self) -> None:
        """Check that all channels have as many listeners, so that all messages get the same answer."""
        if self.publishers and self.listeners % self.channels:
            raise ValueError(f"{self.listeners} listeners do not spread over {self.channels} channels")

    def channel(self, index: int) -> str:
        """Return a channel's name; all are equally long."""
        return f"{self.name}_{index:03}"

    def channel_of(self, publisher: int, message: int) -> int:
        """Return which channel a publisher's message (from 0) goes to."""
        return (publisher + message) % self.channels

    def listeners_of(self, channel: int) -> int:
        """Return how many listen to a channel."""
        return len(range(channel, self.listeners, self.channels))

    def messages_of(self, channel: int) -> int:
        """Return how many messages a channel will carry."""
        return sum(
            len(range((channel - publisher) % self.channels, self.messages, self.channels))
            for publisher in range(self.publishers)
        )

    @property
    def published(self) -> int:
        """Return how many messages are sent."""
        return self.publishers * self.messages

    @property
    def deliveries(self) -> int:
        """Return how many messages have to arrive."""
        return sum(self.listeners_of(index) * self.messages_of(index) for index in range(self.channels))

    def bearable(self, max_listeners: int, is_slow: bool) -> Work:
        """Return the same work for a server that may not have so many listeners, or is slow."""
        messages = self.messages // self.fewer if is_slow else self.messages
        return replace(self, listeners=min(self.listeners, max_listeners), messages=messages)

    def on(self, server: str) -> Work:
        """Return the same work with channels of a server's own: on what stands behind it, they must not meet."""
        return replace(self, name=f"{self.name}_{server}")


SETUP = "setup"
BURST = "burst"
CHANNELS = "channels"
PIPELINED = "pipelined"
WAITING = "waiting"
AT_REST = "at_rest"
ONE_TO_ALL = "one_to_all"

FULL = (
    Work(SETUP, listeners=5000, channels=10),
    Work(BURST, listeners=1000, publishers=1, messages=10_000, window=64, fewer=20),
    Work(CHANNELS, listeners=1000, channels=10, publishers=4, messages=5000, window=64, fewer=10),
    Work(PIPELINED, listeners=1, publishers=8, messages=10_000, window=64, fewer=4),
    Work(WAITING, listeners=1, publishers=8, messages=4000, fewer=2),
    Work(AT_REST, listeners=10, publishers=1, messages=500, rate=200),
    Work(ONE_TO_ALL, listeners=1000, publishers=1, messages=100, rate=20),
)

QUICK = (
    Work(SETUP, listeners=100, channels=10),
    Work(BURST, listeners=50, publishers=1, messages=200, window=64),
    Work(CHANNELS, listeners=50, channels=10, publishers=4, messages=200, window=64, fewer=4),
    Work(PIPELINED, listeners=1, publishers=8, messages=200, window=64),
    Work(WAITING, listeners=1, publishers=8, messages=50),
    Work(AT_REST, listeners=10, publishers=1, messages=40, rate=200),
    Work(ONE_TO_ALL, listeners=50, publishers=1, messages=10, rate=50),
)
