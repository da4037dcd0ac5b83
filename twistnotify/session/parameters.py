"""What a client is told of the server's settings when it logs in, and what it may ask for there.

A start-up parameter that a client sends is a setting of its session. Those that PostgreSQL reports back are reported
in the form PostgreSQL gives them; all others are remembered.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from itertools import chain

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


USUAL_PARAMETERS = 512
"""Characters of the start-up parameters for which anything is remembered; drivers send 50 to 250."""


def are_usual(startup: Parameters) -> bool:
    """Tell whether start-up parameters may be remembered: strangers can make them large, and always others."""
    return sum(map(len, chain.from_iterable(startup))) <= USUAL_PARAMETERS


def status_frames(server: Parameters, startup: Parameters, encoding: Encoding, superuser: str) -> bytes:
    """Return all ParameterStatus frames of a log-in; remembered, because most clients log in alike."""
    frames = _remembered if are_usual(startup) else _frames
    return frames(server, startup, encoding, superuser)


def _frames(server: Parameters, startup: Parameters, encoding: Encoding, superuser: str) -> bytes:
    told = reported(dict(server), dict(startup), encoding.name, superuser)
    return b"".join(ParameterStatus(name, value).encode(encoding.codec) for name, value in told.items())


_remembered = lru_cache(1024)(_frames)
