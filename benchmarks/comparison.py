"""The table of the relay."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass

from benchmarks.ways import DIRECT, OURS, POOLER, Way

LABEL_WIDTH = 48
COLUMN_WIDTH = 15
MICROSECONDS_A_MILLISECOND = 1000
FIGURE, BETWEEN, BEHIND = "figure", "between", "behind"


@dataclass(frozen=True, slots=True)
class Sample:
    """Hold one turn: the task's figure, and the microseconds of computing for each of its operations.

    They are those of the process in between and of PostgreSQL, None where there is none or it is out of sight.
    """

    figure: float
    between: float | None
    behind: float | None
    operations: float

    def as_json(self) -> dict[str, float | None]:
        """Return what can be compared with another run's."""
        return asdict(self)


Samples = Mapping[tuple[str, str], Sequence[Sample]]
"""By task and by way."""


@dataclass(frozen=True, slots=True)
class Row:
    """Describe a line: which task, and which of a sample's figures."""

    task: str
    label: str
    column: str = FIGURE
    digits: int = 0


MORE_IS_BETTER = (
    Row("simple", "pgbench -S, 20 clients, transactions/s"),
    Row("prepared", "pgbench -S -M prepared, 20 clients, ../s"),
    Row("long_rows", "200 MB in rows of 1 kB, MB/s"),
    Row("short_rows", "2 million rows of a number, MB/s"),
)
LESS_IS_BETTER = (
    Row("single", "a query of a single client, p50, us"),
    Row("listening", "a query of a client that listens, p50, us"),
    Row("simple", "CPU a transaction, us", BETWEEN, 1),
    Row("prepared", "CPU a prepared transaction, us", BETWEEN, 1),
    Row("long_rows", "CPU a MB in rows of 1 kB, us", BETWEEN),
    Row("short_rows", "CPU a MB in rows of a number, us", BETWEEN),
    Row("simple", "PostgreSQL's CPU a transaction, us", BEHIND, 1),
    Row("prepared", "PostgreSQL's CPU a prepared transaction, us", BEHIND, 1),
)


def compare(samples: Samples, ways: Sequence[Way]) -> str:
    """Return the table and how to read it."""
    names = [way.name for way in ways]
    others = [name for name in names if name != OURS]
    lines = [
        _line("", [*names, *(f"/ {name}" for name in others)]),
        _line("", [way.version for way in ways]),
        "more is better",
        *(_row(row, samples, names, others) for row in MORE_IS_BETTER),
        "less is better",
        *(_row(row, samples, names, others) for row in LESS_IS_BETTER),
        "",
        *_notes(samples, names),
    ]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def median(samples: Samples, task: str, way: str, column: str = FIGURE) -> float | None:
    """Return the median of a figure, None where there is none."""
    values = [value for sample in samples[task, way] if (value := getattr(sample, column)) is not None]
    return statistics.median(values) if values else None


def ratio(samples: Samples, row: Row, other: str) -> float | None:
    """Return twistnotify's share of another's figure: the median of the rounds, each of which is compared by itself."""
    pairs = zip(samples[row.task, OURS], samples[row.task, other], strict=True)
    found = [_quotient(getattr(ours, row.column), getattr(theirs, row.column)) for ours, theirs in pairs]
    known = [each for each in found if each is not None]
    return statistics.median(known) if known else None


def _quotient(ours: float | None, theirs: float | None) -> float | None:
    return None if ours is None or not theirs else ours / theirs


def _line(label: str, cells: Iterable[str]) -> str:
    return f"{label:<{LABEL_WIDTH}}" + "".join(f"{cell:>{COLUMN_WIDTH}}" for cell in cells)


def _row(row: Row, samples: Samples, names: Sequence[str], others: Sequence[str]) -> str:
    figures = [_cell(median(samples, row.task, name, row.column), row.digits) for name in names]
    ratios = [_cell(ratio(samples, row, name), 2) for name in others]
    return _line(f"  {row.label}", [*figures, *ratios])


def _cell(figure: float | None, digits: int) -> str:
    return "-" if figure is None else f"{figure:,.{digits}f}"


def _notes(samples: Samples, names: Sequence[str]) -> list[str]:
    notes = [
        f"Medians of {len(samples['simple', OURS])} rounds, in which all took turns. The last columns are twistnotify /"
        " the other, each round compared by itself.",
        "CPU is user and system time of the process in between.",
    ]
    notes += [_added(samples, name) for name in names if name != DIRECT]
    notes.append(_fence(samples))
    if POOLER not in names:
        notes.append("PgBouncer is not installed.")
    return notes


def _added(samples: Samples, name: str) -> str:
    straight, through = median(samples, "single", DIRECT) or 0, median(samples, "single", name) or 0
    return f"{name} adds {(through - straight) / MICROSECONDS_A_MILLISECOND:.3f} ms to a query of a single client."


def _fence(samples: Samples) -> str:
    alone, listening = median(samples, "single", OURS) or 0, median(samples, "listening", OURS) or 0
    return f"To listen adds {(listening - alone) / MICROSECONDS_A_MILLISECOND:.3f} ms to a query there: the fence."
