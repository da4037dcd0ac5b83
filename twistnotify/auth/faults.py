"""What is wrong with a line of a file about users."""

from __future__ import annotations

from typing import NamedTuple


class Fault(NamedTuple):
    """Say what is wrong, and in which line (from 1). The message never shows a secret."""

    line: int
    message: str
