"""The machine that is measured on."""

from __future__ import annotations

import os
import platform
import resource

AT_WORK = 0.5
"""Load of the machine, per core, from which on the figures are not to be trusted."""


def about(workers: int) -> str:
    """Say what the figures of so many generator processes are from; to be called before the machine is at work."""
    cores = os.cpu_count() or 1
    text = (
        f"{cores} cores, Python {platform.python_version()}, {workers} generator process{'es' if workers > 1 else ''},"
        " one process for each server (PostgreSQL: one for each connection), all on 127.0.0.1"
    )
    load = os.getloadavg()[0]
    if load > cores * AT_WORK:
        text += f"\nWARNING: the machine was not at rest (load {load:.1f}): do not trust these figures"
    return text


def default_workers() -> int:
    """Leave a core to the server, and one to the PostgreSQL behind it."""
    return max(1, min(4, (os.cpu_count() or 1) - 2))


def raise_file_limit() -> None:
    """Have as many files open as we may."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
