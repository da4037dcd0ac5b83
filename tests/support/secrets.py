"""What tests use as passwords, and no log may ever show: each server's is looked through when it ends."""

from __future__ import annotations

PASSWORDS = (
    "open sesame",
    "open barley, please",
    "open rye",
    "open millet",
    "open oats",
    "who goes there",
)
STORED = ("SCRAM-SHA-256$",)
"""What secrets begin with as they are kept."""


def shown_in(log: str) -> list[str]:
    """Return what of these a log shows."""
    return [secret for secret in PASSWORDS + STORED if secret in log]
