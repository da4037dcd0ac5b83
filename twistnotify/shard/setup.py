"""What is said on a new shard connection before it serves, as SQL."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

from twistnotify.shard.commands import MAX_LISTENS, SEQUENCE_SETTING
from twistnotify.sql.quoting import quote_identifier

SETTINGS = (
    # (server version from which it exists, setting, value). None of them needs a privilege.
    (0, "standard_conforming_strings", "on"),
    (0, SEQUENCE_SETTING, "0"),
    (0, "statement_timeout", "0"),
    (0, "lock_timeout", "0"),
    (0, "idle_in_transaction_session_timeout", "0"),
    # So that PostgreSQL drops a connection whose other end is gone: a listener that does not read pins the
    # cluster's NOTIFY queue.
    (0, "tcp_keepalives_idle", "60"),
    (0, "tcp_keepalives_interval", "15"),
    (0, "tcp_keepalives_count", "4"),
    (120000, "tcp_user_timeout", "30000"),
    (140000, "idle_session_timeout", "0"),
    (170000, "transaction_timeout", "0"),
)

SOCKET_OPTIONS = {
    "keepalives_idle": "60",
    "keepalives_interval": "15",
    "keepalives_count": "4",
    "tcp_user_timeout": "30000",
}
"""The same at our end of the connection: libpq's keywords."""

REPORTED_PARAMETERS = (
    "server_version",
    "server_encoding",
    "client_encoding",
    "application_name",
    "default_transaction_read_only",
    "in_hot_standby",
    "is_superuser",
    "session_authorization",
    "DateStyle",
    "IntervalStyle",
    "TimeZone",
    "integer_datetimes",
    "standard_conforming_strings",
    "scram_iterations",
    "search_path",
)
"""What a PostgreSQL server may report of its settings (manual, "Asynchronous Operations")."""

PROBE = "SELECT count(*), pg_notification_queue_usage() FROM pg_listening_channels()"
"""What a connection is asked to see whether it lives. The second column is not looked at: a queue of notifications that
was full can stay so after its readers have caught up, until somebody asks for its usage."""


def setup_sql(server_version: int) -> str:
    """Return the query string that prepares a connection; its last result is one row, the backend's PID."""
    settings = (f"SET {name}={value}" for since, name, value in SETTINGS if server_version >= since)
    return ";".join([*settings, "SELECT pg_backend_pid()"])


def listen_batches(channels: Iterable[str]) -> Iterator[str]:
    """Yield query strings of LISTENs, up to `MAX_LISTENS` in each."""
    remaining = iter(channels)
    while batch := list(islice(remaining, MAX_LISTENS)):
        yield ";".join(f"LISTEN {quote_identifier(channel)}" for channel in batch)
