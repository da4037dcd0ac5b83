"""What a connection line demands of a server, beyond being there (manual, "Parameter Key Words").

A demand that cannot be met here is refused: to ignore it would be less safe than the line says.
"""

from __future__ import annotations

from collections.abc import Mapping

from twistnotify.relay.connection import failed

Conninfo = Mapping[str, str]

TLS_MODES = ("require", "verify-ca", "verify-full")
"""The values of sslmode that exclude a plain connection. `allow` is treated as `prefer`."""
NOT_SUPPORTED = (("channel_binding", "require"), ("gssencmode", "require"))
METHODS = {0: "none", 3: "password", 5: "md5", 7: "gss", 9: "sspi", 10: "scram-sha-256"}
"""The requests of a server that require_auth is about, by their codes (Protocol, section 'Message Formats')."""
READ_ONLY = "session is read-only"
UNSUITABLE = {
    "primary": (("in_hot_standby", "server is in hot standby mode"),),
    "read-write": (("in_hot_standby", READ_ONLY), ("default_transaction_read_only", READ_ONLY)),
}
"""By target_session_attrs: the settings that must not be on, and what libpq says if one is.

PostgreSQL reports them since version 14; what is not reported is taken for off.
"""
_AUTHENTICATION = ord("R")


def with_sslmode(conninfo: Conninfo) -> dict[str, str]:
    """Return the keywords with libpq's default of sslmode; raises `UpstreamRefused` for what is not supported."""
    for keyword, value in NOT_SUPPORTED:
        if conninfo.get(keyword) == value:
            raise failed(f"{keyword}={value} is not supported for other SQL")
    return {"sslmode": "verify-full" if conninfo.get("sslrootcert") == "system" else "prefer", **conninfo}


def check_attributes(parameters: Mapping[str, str], conninfo: Conninfo) -> None:
    """Raise `UpstreamRefused` for a server that is not the one that target_session_attrs is about."""
    for name, complaint in UNSUITABLE.get(conninfo.get("target_session_attrs", "any"), ()):
        if parameters.get(name) == "on":
            raise failed(complaint, elsewhere=True)


class Authentication:
    """Watch what a server asks for, since require_auth is to keep the password from the wrong one."""

    def __init__(self, conninfo: Conninfo) -> None:
        required = conninfo.get("require_auth")
        self._listed = [method.strip() for method in required.split(",")] if required else []
        self._asked = False

    def check(self, type_: int, body: bytes) -> None:
        """Raise `UpstreamRefused` for a request that is not allowed, before anybody answers it."""
        code = int.from_bytes(body[:4], "big")
        if type_ != _AUTHENTICATION or code not in METHODS or (code == 0 and self._asked):
            return
        self._asked = True
        if self._listed and not self._allows(METHODS[code]):
            raise failed("server does not ask for an authentication that require_auth allows")

    def _allows(self, method: str) -> bool:
        if self._listed[0].startswith("!"):
            return f"!{method}" not in self._listed
        return method in self._listed
