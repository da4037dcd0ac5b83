"""What the settings `server_tls_*` add to the lines of [databases] and [shards]."""

from __future__ import annotations

from .model import Settings

Conninfo = tuple[tuple[str, str], ...]

# What belongs together is taken from one place: a key is no use without its certificate.
_TOGETHER = (
    ("sslmode",),
    ("sslrootcert",),
    ("sslcert", "sslkey"),
    ("ssl_min_protocol_version", "ssl_max_protocol_version"),
)
# The sslrootcert that is the roots of the system; libpq takes it with verify-full only, which is its default then.
_SYSTEM = "system"
_DEFAULTS = Settings()
# In libpq's spelling.
_VERSIONS = {"tlsv1.0": "TLSv1", "tlsv1.1": "TLSv1.1", "tlsv1.2": "TLSv1.2", "tlsv1.3": "TLSv1.3"}


def with_tls(conninfo: Conninfo, settings: Settings) -> Conninfo:
    """Add what the settings say of TLS and the line does not; nothing where they are at their defaults."""
    own, offered = dict(conninfo), _keywords(settings)
    if own.get("sslrootcert") == _SYSTEM:
        del offered["sslmode"]
    elif offered["sslrootcert"] == _SYSTEM and own.get("sslmode", "verify-full") != "verify-full":
        del offered["sslrootcert"]
    for words in _TOGETHER:
        if not any(word in own for word in words):
            own |= {word: offered[word] for word in words if offered.get(word)}
    return tuple(own.items())


def _keywords(settings: Settings) -> dict[str, str]:
    """Return libpq's keywords; empty is what it does by itself."""
    versions = settings.server_tls_protocols if settings.server_tls_protocols != _DEFAULTS.server_tls_protocols else ()
    mode = settings.server_tls_sslmode if settings.server_tls_sslmode != _DEFAULTS.server_tls_sslmode else ""
    return {
        "sslmode": mode,
        "sslrootcert": settings.server_tls_ca_file,
        "sslcert": settings.server_tls_cert_file,
        "sslkey": settings.server_tls_key_file,
        "ssl_min_protocol_version": _VERSIONS[versions[0]] if versions else "",
        "ssl_max_protocol_version": _VERSIONS[versions[-1]] if versions else "",
    }
