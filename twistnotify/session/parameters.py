"""What a client is told of the server's settings when it logs in, and what it may ask for there.

A start-up parameter that a client sends is a setting of its session. Those that PostgreSQL reports back are reported
in the form PostgreSQL gives them; all others are remembered.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from twistnotify.session.encodings import Encoding
from twistnotify.session.settings import judge
from twistnotify.wire.session_status import ParameterStatus

Parameters = tuple[tuple[str, str], ...]

REPORTED = {
    name.lower(): name for name in ("application_name", "client_encoding", "DateStyle", "IntervalStyle", "TimeZone")
}
_POSTGRESQLS = {"DateStyle": "ISO, MDY"}
"""PostgreSQL's own default of what is completed."""


def reported(server: Mapping[str, str], startup: Mapping[str, str], encoding: str, superuser: str) -> dict[str, str]:
    """Return name and value of every ParameterStatus of a log-in.

    `server` holds what the shard's server reports to `superuser`, the user of the shard's connection; `startup` what
    the client sent; `encoding` is the client's encoding in PostgreSQL's spelling.
    """
    told = {
        **server,
        "application_name": "",
        "session_authorization": startup["user"],
        "client_encoding": encoding,
    }
    if startup["user"] != superuser:
        told["is_superuser"] = "off"
    for name, value in startup.items():
        known = REPORTED.get(name.lower())
        if known is not None and known != "client_encoding":
            before = server.get(known, _POSTGRESQLS.get(known, ""))
            judged = judge(name.lower(), value, before, server.get("server_encoding", "UTF8"))
            told[known] = value if judged is None else judged
    return told


@lru_cache(1024)
def status_frames(server: Parameters, startup: Parameters, encoding: Encoding, superuser: str) -> bytes:
    """Return all ParameterStatus frames of a log-in; remembered, because most clients log in alike."""
    told = reported(dict(server), dict(startup), encoding.name, superuser)
    return b"".join(ParameterStatus(name, value).encode(encoding.codec) for name, value in told.items())
