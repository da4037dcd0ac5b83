"""The diagram in the documentation is the table in the code."""

from __future__ import annotations

import runpy
from pathlib import Path

from twistnotify.session.states import TRANSACTION, Event, Status

DOCS = Path(__file__).parents[2] / "docs"
DIAGRAM = runpy.run_path(str(DOCS / "diagram.py"))


def test_architecture_shows_the_transaction_machine_as_it_is() -> None:
    page = (DOCS / "architecture.md").read_text(encoding="utf-8")
    assert DIAGRAM["START"] in page
    assert page == DIAGRAM["replaced"](page), "run: python docs/diagram.py --update"


def test_every_row_of_the_table_is_drawn() -> None:
    arrows = [line.partition(": ") for line in DIAGRAM["render"]().splitlines() if "-->" in line and ": " in line]
    drawn = {
        (Status[states.split()[0]], Event[event.replace(" ", "_")])
        for states, _, label in arrows
        for event in label.partition(" (")[0].split(", ")
    }
    assert drawn == set(TRANSACTION)
