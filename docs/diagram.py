"""Draw the transaction machine of `twistnotify.session.states` as mermaid: python docs/diagram.py [--update].

Prints the text; with --update, puts it into docs/architecture.md, between its two markers.
"""

from __future__ import annotations

import sys
from pathlib import Path

from twistnotify.session.states import TRANSACTION, Event, Fate, Status, Transition

PAGE = Path(__file__).with_name("architecture.md")
START = "<!-- transaction machine: made by docs/diagram.py -->\n"
END = "<!-- end of transaction machine -->\n"

Edge = tuple[Status, Status, str]


def render() -> str:
    """Return a mermaid stateDiagram: one arrow for all events that do the same in a state."""
    edges: dict[Edge, list[str]] = {}
    for (status, event), transition in TRANSACTION.items():
        edges.setdefault(_edge(status, transition), []).append(_name(event))
    lines = [
        f"    {before.name} --> {after.name}: {', '.join(events)}{consequence}"
        for (before, after, consequence), events in edges.items()
    ]
    return "\n".join(["```mermaid", "stateDiagram-v2", "    [*] --> IDLE", *lines, "```", ""])


def replaced(page: str) -> str:
    """Return the page with the diagram as it is now."""
    before, _, rest = page.partition(START)
    _, _, after = rest.partition(END)
    return before + START + render() + END + after


def _edge(status: Status, transition: Transition) -> Edge:
    """Return where a row leads to, and what it does on the way there, as the end of a label."""
    told = transition.told
    if told is not None and told.severity == "ERROR":
        failed = TRANSACTION[transition.status, Event.ERROR]
        return status, failed.status, f" ({_effects(failed.fate)}refused, {told.sqlstate})"
    remarks = _effects(transition.fate) + (f"{told.severity} {told.sqlstate}" if told is not None else "")
    return status, transition.status, f" ({remarks.removesuffix(', ')})" if remarks else ""


def _effects(fate: Fate) -> str:
    return {Fate.KEEP: "", Fate.COMMIT: "effects commit, ", Fate.DISCARD: "effects discarded, "}[fate]


def _name(event: Event) -> str:
    return event.name.replace("_", " ")


if __name__ == "__main__":
    if "--update" in sys.argv[1:]:
        PAGE.write_text(replaced(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    else:
        sys.stdout.write(render())
