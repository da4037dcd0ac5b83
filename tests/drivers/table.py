"""The table of what the drivers did."""

from __future__ import annotations

from collections.abc import Sequence

from drivers.outcome import Outcome

HEADINGS = ("driver", "version", "toolchain", "passed", "failed", "absent", "backends", "seconds")


def table(outcomes: Sequence[Outcome], markdown: bool) -> str:
    """Return a row for each driver, in columns or in Markdown, and a line for each step that failed."""
    rows = [HEADINGS, *(_row(outcome) for outcome in outcomes)]
    lines = as_markdown(rows) if markdown else as_columns(rows)
    for outcome in outcomes:
        lines += [f"FAILED {outcome.driver.name}, {step}: {reason}" for step, reason in outcome.failed.items()]
    return "\n".join([*lines, ""])


def _row(outcome: Outcome) -> tuple[str, ...]:
    who = (outcome.driver.name, outcome.version, outcome.toolchain)
    if outcome.not_run is not None:
        return (*who, f"not run: {outcome.not_run}", "-", "-", "-", "-")
    passed = f"{len(outcome.passed)} of {len(outcome.driver.steps)}"
    return (
        *who,
        passed,
        _names(outcome.failed),
        _names(outcome.absent),
        str(outcome.backends),
        f"{outcome.seconds:.0f}",
    )


def _names(steps: dict[str, str]) -> str:
    return ", ".join(steps) or "-"


def as_columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return a line for each row."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def as_markdown(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return a line for each row, the first of which is the heading."""
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return [lines[0], "|---" * len(rows[0]) + "|", *lines[1:]]
