"""Users, and servers that they log in to, as data.

Every set-up is a server of its own, and a database of its name. All have the same users. PostgreSQL itself asks all of
them for their passwords, so that an answer to other SQL shows that the relay has logged in as the client's own user,
with what the client's log-in has taught.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class User:
    """A role: `secret` is how PostgreSQL keeps the password, `listed` what auth_file has of it, "" if nothing."""

    password: str
    secret: str = "scram-sha-256"
    listed: str = ""
    attributes: str = ""


ASKER = "asker"
USERS: Mapping[str, User] = {
    "listed": User("open sesame", listed="password"),
    "stored": User("open barley", listed="secret"),
    "stored_md5": User("open rye", secret="md5", listed="secret"),
    "asked": User("open oats"),
    "asked_md5": User("open wheat", secret="md5"),
    "late": User("open millet", attributes="VALID UNTIL '2001-01-01'"),
    "accented": User("S\u00e9same, ouvre-toi", listed="password"),
    # SASLprep makes "IX figs 12" of it.
    "folded": User("\u2168 \ufb01gs\u00a01\u00b2", listed="password"),
    ASKER: User("who goes there", listed="password", attributes="SUPERUSER"),
}
"""Those that are not in auth_file are found by auth_query, as `ASKER`."""
NOBODY = "nobody"
"""Who does not exist."""


@dataclass(frozen=True, slots=True)
class SetUp:
    """A server: twistnotify's settings, and the same as lines of pg_hba.conf (type, user, method).

    `key` is the kind of the certificate's key; what no line of `rules` is about is refused.
    """

    name: str
    settings: Mapping[str, str]
    rules: tuple[tuple[str, str, str], ...]
    key: str = "ec"

    @property
    def has_tls(self) -> bool:
        """Tell whether clients can have TLS."""
        return self.settings["client_tls_sslmode"] != "disable"


def _settings(auth_type: str, sslmode: str = "allow") -> Mapping[str, str]:
    return {"auth_type": auth_type, "client_tls_sslmode": sslmode}


_SCRAM = ("host", "all", "scram-sha-256")
HBA = (
    ("hostssl", "listed", "scram-sha-256"),
    ("hostnossl", "listed", "reject"),
    ("host", "stored_md5", "md5"),
    ("hostssl", "asked", "password"),
    ("host", "stored", "trust"),
)
"""The lines of auth_hba_file, and PostgreSQL's."""
SET_UPS: Mapping[str, SetUp] = {
    each.name: each
    for each in (
        SetUp("scram", _settings("scram-sha-256"), (_SCRAM,)),
        SetUp("md5", _settings("md5"), (("host", "all", "md5"),)),
        SetUp("plain", _settings("plain"), (("hostssl", "all", "password"),)),
        SetUp("cert", _settings("cert", "verify-full"), (("hostssl", "all", "cert"),)),
        SetUp("trust", _settings("trust"), (("host", "all", "trust"),)),
        SetUp("hba", _settings("hba"), HBA),
        SetUp("tls_required", _settings("scram-sha-256", "require"), (("hostssl", "all", "scram-sha-256"),), "rsa"),
        SetUp("ed25519", _settings("scram-sha-256"), (_SCRAM,), "ed25519"),
        SetUp("no_tls", _settings("scram-sha-256", "disable"), (_SCRAM,)),
    )
}
