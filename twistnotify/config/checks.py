"""Whether the settings of [twistnotify] fit each other and the databases, where each is right by itself."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Collection
from dataclasses import dataclass

from .connections import Lines
from .lines import Section
from .model import Settings
from .options import default_of
from .problems import Findings, quoted, suggestion
from .relay import has_relay

_WITH_SECRET = ("scram-sha-256", "md5", "plain")
_VERIFY = ("verify-ca", "verify-full")


@dataclass(frozen=True, slots=True)
class Check:
    """Describe how settings can contradict each other; the last of `about` that the file says is blamed."""

    about: tuple[str, ...]
    is_wrong: Callable[[Settings], bool]
    complaint: str


def _needs(method: str, needed: tuple[str, ...], is_met: Callable[[Settings], bool], complaint: str) -> Check:
    """Describe what a method of authentication needs."""
    return Check((*needed, "auth_type"), lambda s: s.auth_type == method and not is_met(s), f"{method} {complaint}")


def _needs_user(name: str) -> Check:
    """Describe what only auth_user gives a meaning; written out as it is by default it does no harm."""
    return Check(
        ("auth_user", name),
        lambda s: not s.auth_user and getattr(s, name) != default_of(name),
        f"{name} has no effect without auth_user",
    )


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"


CHECKS: tuple[Check, ...] = (
    Check(
        ("server_login_retry", "server_login_retry_max"),
        lambda s: s.server_login_retry > s.server_login_retry_max,
        "server_login_retry_max is below server_login_retry",
    ),
    _needs(
        "trust",
        ("listen_addr", "auth_trust_ack"),
        lambda s: s.auth_trust_ack or _is_loopback(s.listen_addr),
        "believes everyone who reaches listen_addr, which is not loopback; if this is meant, write auth_trust_ack = 1",
    ),
    *(
        _needs(
            method,
            ("auth_file", "auth_user"),
            lambda s: bool(s.auth_file or s.auth_user),
            "needs auth_file or auth_user, or nobody could log in; to let everyone in, write auth_type = trust",
        )
        for method in _WITH_SECRET
    ),
    _needs(
        "plain",
        ("client_tls_sslmode",),
        lambda s: s.client_tls_sslmode != "disable",
        "needs client_tls_sslmode other than disable: it takes passwords under TLS only",
    ),
    _needs(
        "cert",
        ("client_tls_sslmode",),
        lambda s: s.client_tls_sslmode in _VERIFY,
        "needs client_tls_sslmode verify-ca or verify-full",
    ),
    _needs("peer", ("unix_socket_dir",), lambda s: bool(s.unix_socket_dir), "needs unix_socket_dir"),
    _needs("hba", ("auth_hba_file",), lambda s: bool(s.auth_hba_file), "needs auth_hba_file"),
    _needs_user("auth_query"),
    _needs_user("auth_dbname"),
    Check(
        ("proxy_protocol_from", "proxy_protocol"),
        lambda s: s.proxy_protocol and not s.proxy_protocol_from,
        "proxy_protocol needs proxy_protocol_from",
    ),
    Check(
        ("client_tls_key_file", "client_tls_cert_file", "client_tls_sslmode"),
        lambda s: s.client_tls_sslmode != "disable" and not (s.client_tls_key_file and s.client_tls_cert_file),
        "TLS needs client_tls_key_file and client_tls_cert_file",
    ),
    Check(
        ("client_tls_ca_file", "client_tls_sslmode"),
        lambda s: s.client_tls_sslmode in _VERIFY and not s.client_tls_ca_file,
        "verify-ca and verify-full need client_tls_ca_file",
    ),
    Check(
        ("server_tls_sslmode", "server_tls_ca_file"),
        lambda s: s.server_tls_ca_file == "system" and s.server_tls_sslmode != "verify-full",
        "system needs server_tls_sslmode = verify-full",
    ),
)


def check_settings(section: Section, settings: Settings, right: Collection[str], findings: Findings) -> None:
    """Find what contradicts; `right` are the settings of the file that are right by themselves."""
    for check in CHECKS:
        written = [section.entries[name] for name in check.about if name in section.entries]
        # One that is wrong is at its default now, which says nothing.
        if all(entry.key in right for entry in written) and check.is_wrong(settings):
            line, key = (written[-1].line, written[-1].key) if written else (section.line, check.about[-1])
            findings.add(line, section.name, key, check.complaint)


def check_lookup(section: Section, settings: Settings, databases: Lines, findings: Findings) -> None:
    """Find out whether there is a database that can be asked for users, where one is to be asked."""
    if not settings.auth_user or not all(line.complete for line in databases.values()):
        return
    key, complaint = "auth_user", None
    if settings.auth_dbname:
        key, complaint = "auth_dbname", _cannot_be_asked(settings.auth_dbname, databases)
    elif not any(map(has_relay, databases.values())):
        complaint = "there is no database with a place to relay to that could be asked for users"
    if complaint:
        findings.add(section.entries[key].line, section.name, key, complaint)


def _cannot_be_asked(name: str, databases: Lines) -> str | None:
    if name not in databases:
        return f"{quoted(name)} is not in [databases]{suggestion(name, databases)}"
    return None if has_relay(databases[name]) else f"{quoted(name)} has no place to relay to"
