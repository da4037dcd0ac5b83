"""The matrix as data: who logs in where and how, and what comes of it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from drivers.login_setups import NOBODY, SET_UPS, USERS

OK = "ok"
"""Stands for `ok USER yes`, or `ok USER no` without TLS."""
WRONG_PASSWORD = "28P01"
NOT_ALLOWED = "28000"
SAME = "same"
NOT_TRIED = "not tried"

Exceptions = Mapping[str, tuple[str, str]]
"""Drivers whose answer is another one, and why."""


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """An attempt to log in, and the expected answer; `driver: PATTERN` is a refusal by the driver itself.

    `options` are libpq's, with paths as names in the folder of certificates. `direct` is PostgreSQL's own answer where
    it is not the same; `since` is the first version of PostgreSQL that has what the case is about.
    """

    name: str
    set_up: str
    user: str
    expected: str
    options: Mapping[str, str]
    exceptions: Exceptions = field(default_factory=dict)
    password: str = ""
    host: str = "127.0.0.1"
    direct: str = SAME
    since: int = 0

    @property
    def typed(self) -> str:
        """The password that the client gives: the user's own, if the case names no other."""
        return self.password or USERS[self.user].password

    def answer(self, driver: str, direct: bool) -> str:
        """Return what a driver that has the options is expected to say."""
        expected = self.direct if direct and self.direct != SAME else self.expected
        expected, _ = self.exceptions.get(driver, (expected, ""))
        encrypted = SET_UPS[self.set_up].has_tls and self.options["sslmode"] != "disable"
        return f"ok {self.user} {'yes' if encrypted else 'no'}" if expected == OK else expected


OTHER_PASSWORD = "open peas"
TLS = {"sslmode": "require"}
NO_TLS = {"sslmode": "disable"}
PREFER = {"sslmode": "prefer"}
VERIFY = {"sslmode": "verify-full", "sslrootcert": "root.crt"}
BOTH = (("TLS", TLS), ("no TLS", NO_TLS))

UNBOUND = r"driver: .*channel.?binding"
UNTRUSTED = r"driver: .*(certificate|PKIX)"
UNNAMED = r"driver: .*(host ?name|match|not valid for|IP SANs)"
OTHER_METHOD = r"driver: .*authentication method"
NO_SERVER_TLS = r"driver: .*(SSL|TLS)"
# There is no handshake, which some drivers have no words for.
CUT_OFF = r"driver: "


def _with_passwords(set_up: str, *users: str, modes: tuple[tuple[str, dict[str, str]], ...] = BOTH) -> Iterator[Case]:
    """What is the same for every method that asks for a password."""
    for (tls, options), user in itertools.product(modes, users):
        name = f"{set_up}, {tls}, {user}"
        yield Case(name, set_up, user, OK, options)
        yield Case(f"{name}, wrong password", set_up, user, WRONG_PASSWORD, options, password=OTHER_PASSWORD)
    for tls, options in modes:
        name = f"{set_up}, {tls}"
        yield Case(f"{name}, unknown user", set_up, NOBODY, WRONG_PASSWORD, options, password=OTHER_PASSWORD)
        yield Case(f"{name}, expired user", set_up, "late", WRONG_PASSWORD, options)


def _certificate_of(user: str) -> dict[str, str]:
    return {"sslcert": f"{user}.crt", "sslkey": f"{user}.key"}


# fmt: off
CASES: tuple[Case, ...] = (
    *_with_passwords("scram", "listed", "stored", "asked"),
    Case("scram, a password beyond ASCII", "scram", "accented", OK, TLS),
    Case("scram, a password for SASLprep", "scram", "folded", OK, TLS,
        exceptions={"pgx": (WRONG_PASSWORD, "it prepares passwords in another way (PRECIS, RFC 8265)")}),

    *_with_passwords("md5", "listed", "stored", "stored_md5", "asked", "asked_md5"),

    *_with_passwords("plain", "listed", "stored", "stored_md5", "asked", "asked_md5", modes=BOTH[:1]),
    Case("plain, no TLS", "plain", "listed", NOT_ALLOWED, NO_TLS),

    Case("cert", "cert", "listed", OK, TLS | _certificate_of("listed")),
    Case("cert, no password for the relay", "cert", "stored", "then 28P01", TLS | _certificate_of("stored"), direct=OK),
    Case("cert, another user's", "cert", "listed", NOT_ALLOWED, TLS | _certificate_of("stored")),
    # pgx and pgjdbc do not show it, and are refused by PostgreSQL as those who have none.
    Case("cert, another authority's", "cert", "listed", CUT_OFF,
        TLS | _certificate_of("stranger"), direct=NOT_TRIED),
    Case("cert, none", "cert", "listed", CUT_OFF, TLS, direct=NOT_ALLOWED),
    Case("cert, no TLS", "cert", "listed", NOT_ALLOWED, NO_TLS),

    Case("trust, TLS", "trust", "listed", OK, TLS),
    Case("trust, no TLS", "trust", "listed", OK, NO_TLS),
    Case("trust, wrong password", "trust", "listed", OK, NO_TLS, password=OTHER_PASSWORD),
    Case("trust, no password for the relay", "trust", "stored", "then 28P01", NO_TLS, direct=OK),
    Case("trust, unknown user", "trust", NOBODY, "then 28P01", NO_TLS, password=OTHER_PASSWORD, direct=NOT_ALLOWED),

    Case("hba, hostssl scram-sha-256", "hba", "listed", OK, TLS),
    Case("hba, hostnossl reject", "hba", "listed", NOT_ALLOWED, NO_TLS),
    Case("hba, host md5", "hba", "stored_md5", OK, NO_TLS),
    Case("hba, hostssl password", "hba", "asked", OK, TLS),
    Case("hba, no line", "hba", "asked", NOT_ALLOWED, NO_TLS),

    Case("tls_required, TLS", "tls_required", "stored", OK, TLS),
    Case("tls_required, sslmode=prefer", "tls_required", "stored", OK, PREFER),
    Case("tls_required, no TLS", "tls_required", "stored", NOT_ALLOWED, NO_TLS),
    Case("no_tls, TLS", "no_tls", "stored", NO_SERVER_TLS, TLS, direct=NOT_TRIED),
    Case("no_tls, sslmode=prefer", "no_tls", "stored", OK, PREFER, direct=NOT_TRIED),
    Case("sslmode=prefer", "scram", "stored", OK, PREFER),

    Case("verify-full", "scram", "stored", OK, VERIFY, host="localhost"),
    Case("verify-full, another name", "scram", "stored", UNNAMED, VERIFY),
    Case("verify-full, another authority", "scram", "stored", UNTRUSTED,
        VERIFY | {"sslrootcert": "other.crt"}, host="localhost"),

    Case("channel_binding=require", "scram", "stored", OK, TLS | {"channel_binding": "require"}),
    Case("channel_binding=require, RSA", "tls_required", "stored", OK, TLS | {"channel_binding": "require"}),
    Case("channel_binding=require, no TLS", "scram", "stored", UNBOUND, NO_TLS | {"channel_binding": "require"}),
    Case("channel_binding=require, md5", "md5", "stored_md5", UNBOUND, TLS | {"channel_binding": "require"}),
    Case("channel_binding=require, trust", "trust", "stored", UNBOUND, TLS | {"channel_binding": "require"}),
    Case("channel_binding=prefer", "scram", "stored", OK, TLS | {"channel_binding": "prefer"}),
    Case("channel_binding=prefer, no TLS", "scram", "stored", OK, NO_TLS | {"channel_binding": "prefer"}),
    Case("channel_binding=disable", "scram", "stored", OK, TLS | {"channel_binding": "disable"}),
    # PostgreSQL offers the binding, and then has no digest for it (XX000).
    Case("channel_binding=prefer, Ed25519", "ed25519", "stored", OK,
        TLS | {"channel_binding": "prefer"}, direct=NOT_TRIED),
    Case("channel_binding=require, Ed25519", "ed25519", "stored", UNBOUND,
        TLS | {"channel_binding": "require"}, direct=NOT_TRIED),
    Case("Ed25519", "ed25519", "stored", OK, TLS, direct=NOT_TRIED),

    Case("require_auth=scram-sha-256", "scram", "stored", OK, TLS | {"require_auth": "scram-sha-256"}),
    Case("require_auth=scram-sha-256, md5", "md5", "stored_md5", OTHER_METHOD,
        TLS | {"require_auth": "scram-sha-256"}),
    Case("require_auth=md5", "md5", "stored_md5", OK, NO_TLS | {"require_auth": "md5"}),
    Case("require_auth=md5, scram", "scram", "stored", OTHER_METHOD, NO_TLS | {"require_auth": "md5"}),
    Case("require_auth=password", "plain", "stored", OK, TLS | {"require_auth": "password"}),
    Case("require_auth=none", "trust", "listed", OK, NO_TLS | {"require_auth": "none"}),
    Case("require_auth=none, scram", "scram", "stored", OTHER_METHOD, NO_TLS | {"require_auth": "none"}),

    Case("sslnegotiation=direct", "scram", "stored", OK, TLS | {"sslnegotiation": "direct"}, since=17),
    Case("sslnegotiation=direct, verify-full", "scram", "stored", OK,
        VERIFY | {"sslnegotiation": "direct"}, host="localhost", since=17),
    Case("sslnegotiation=direct, channel_binding=require", "scram", "stored", OK,
        TLS | {"sslnegotiation": "direct", "channel_binding": "require"}, since=17),
    Case("sslnegotiation=direct, wrong password", "scram", "stored", WRONG_PASSWORD,
        TLS | {"sslnegotiation": "direct"}, password=OTHER_PASSWORD, since=17),
    Case("sslnegotiation=direct, no_tls", "no_tls", "stored", CUT_OFF,
        TLS | {"sslnegotiation": "direct"}, direct=NOT_TRIED),
)
# fmt: on
