"""Tell twistd that ``twistd twistnotify`` exists."""

from twisted.application.service import ServiceMaker

twistnotify = ServiceMaker(
    "twistnotify",
    "twistnotify.tap",
    "PostgreSQL LISTEN/NOTIFY for tens of thousands of clients over one connection a shard",
    "twistnotify",
)
