"""Text from the network as a part of one line of a log, where it can pass for nothing else."""

from __future__ import annotations

LONGEST = 128
"""Characters: twice the longest name (63 bytes), and still a line."""


def printable(text: str, longest: int = LONGEST) -> str:
    r"""Return a text without harmful characters: they are written \xNN, \uNNNN or \UNNNNNNNN.

    Harmful is what Unicode has no picture for: control characters, what ends a line, what turns its direction or is not
    seen, lone surrogates (\udcNN is a byte that was not UTF-8), and every space but the one. A backslash stays. What
    has more than `longest` characters by then ends there, with "...".
    """
    # No more than may be kept is looked at, however long the text is.
    shown = "".join(c if c.isprintable() else _escaped(ord(c)) for c in text[: longest + 1])
    return shown if len(shown) <= longest else shown[:longest] + "..."


def _escaped(code: int) -> str:
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
