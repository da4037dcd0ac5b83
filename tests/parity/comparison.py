"""Two transcripts of one dialogue held against each other.

Everything counts but the detail, the hint and the place of an error where twistnotify has none, and where they came
from in PostgreSQL's source. What differs must be a row of `parity.differences`, exactly; a row that no longer applies
is a problem too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from parity.transcript import Line


@dataclass(frozen=True, slots=True)
class Difference:
    """An accepted difference: in place of the lines `theirs` of PostgreSQL, twistnotify has `ours`.

    It applies to the named dialogues, on those versions of PostgreSQL; none named means all.
    """

    reason: str
    dialogues: tuple[str, ...]
    theirs: tuple[str, ...]
    ours: tuple[str, ...]
    versions: tuple[int, ...] = ()

    def applies(self, dialogue: str, version: int) -> bool:
        """Tell whether it is expected in a dialogue with this major version."""
        return dialogue in self.dialogues and version in (self.versions or (version,))


def problems(theirs: Sequence[Line], ours: Sequence[Line], accepted: Sequence[Difference]) -> list[str]:
    """Return what differs and is not accepted, and what is accepted and does not differ, each as text to read."""
    hunks = _hunks(theirs, ours)
    unused = list(accepted)
    found = []
    for their_texts, our_texts in hunks:
        rows = [row for row in unused if (row.theirs, row.ours) == (their_texts, our_texts)]
        if rows:
            unused.remove(rows[0])
        elif not any((row.theirs, row.ours) == (their_texts, our_texts) for row in accepted):
            found.append("\n".join((*(f"- {text}" for text in their_texts), *(f"+ {text}" for text in our_texts))))
    found += [f"an accepted difference does not show: {row.reason}" for row in unused]
    return found


def _hunks(theirs: Sequence[Line], ours: Sequence[Line]) -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
    matcher = SequenceMatcher(None, [line.text for line in theirs], [line.text for line in ours], autojunk=False)
    hunks = []
    for kind, start, end, our_start, our_end in matcher.get_opcodes():
        if kind == "equal":
            pairs = zip(theirs[start:end], ours[our_start:our_end], strict=True)
            hunks += [hunk for pair in pairs for hunk in _details(*pair)]
        else:
            hunks.append((_texts(theirs[start:end]), _texts(ours[our_start:our_end])))
    return hunks


def _texts(lines: Iterable[Line]) -> tuple[str, ...]:
    return tuple(line.text for line in lines)


def _details(theirs: Line, ours: Line) -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
    """Compare what an error says beyond its message, as far as twistnotify says it."""
    pairs = (
        ("detail", theirs.detail, ours.detail),
        ("hint", theirs.hint, ours.hint),
        ("place", theirs.place, ours.place),
    )
    return [
        ((f"{kind}: {their_text}",), (f"{kind}: {our_text}",))
        for kind, their_text, our_text in pairs
        if our_text is not None and our_text != their_text
    ]
