"""The tables of what takes turns: the relay's, and the parts that others are made of."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass

from benchmarks.ways import DIRECT, OURS, POOLER, Way

LABEL_WIDTH = 48
COLUMN_WIDTH = 15
MICROSECONDS_A_MILLISECOND = 1000
FIGURE, BETWEEN, BEHIND, BUSY = "figure", "between", "behind", "busy"
LIMIT = 0.9
"""Share of a core from which on the load may have been what was measured."""
MARK = ">"


@dataclass(frozen=True, slots=True)
class Sample:
    """Hold one turn: the task's figure, and the microseconds of computing for each of its operations.

    They are those of the process in between and of PostgreSQL, None where there is none or it is out of sight. `busy`
    is the share of a core that the load took, None where that is not known.
    """

    figure: float
    between: float | None
    behind: float | None
    operations: float
    busy: float | None = None

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
    """Return the relay's table and how to read it."""
    columns = [(way.name, way.version) for way in ways]
    notes = _notes(samples, [way.name for way in ways])
    return table(samples, columns, MORE_IS_BETTER, LESS_IS_BETTER, notes)


def table(
    samples: Samples,
    columns: Sequence[tuple[str, str]],
    more: Iterable[Row],
    less: Iterable[Row],
    notes: Sequence[str],
    ours: str = OURS,
) -> str:
    """Return a table: a column for each name and version, and one for the ratio of `ours` to each other."""
    names = [name for name, _ in columns]
    others = [name for name in names if name != ours]
    lines = [
        _line("", [*names, *(f"/ {name}" for name in others)]),
        *_versions(columns),
        "more is better",
        *(_row(row, samples, names, others, ours) for row in more),
        "less is better",
        *(_row(row, samples, names, others, ours) for row in less),
        "",
        *notes,
    ]
    if any(MARK in line for line in lines[: -len(notes)]):
        lines.append(f"{MARK} The generator was the limit, the server can do more.")
    return "\n".join(line.rstrip() for line in lines) + "\n"


def median(samples: Samples, task: str, way: str, column: str = FIGURE) -> float | None:
    """Return the median of a figure, None where there is none."""
    values = [value for sample in samples.get((task, way), ()) if (value := getattr(sample, column)) is not None]
    return statistics.median(values) if values else None


def ratio(samples: Samples, row: Row, other: str, ours: str = OURS) -> float | None:
    """Return our share of another's figure, or None: the median of the rounds, each compared by itself."""
    if (row.task, other) not in samples:
        return None
    pairs = zip(samples[row.task, ours], samples[row.task, other], strict=True)
    found = [_quotient(getattr(one, row.column), getattr(theirs, row.column)) for one, theirs in pairs]
    known = [each for each in found if each is not None]
    return statistics.median(known) if known else None


def as_json(samples: Samples) -> dict[str, dict[str, list[dict[str, float | None]]]]:
    """Return all of them by way and task."""
    described: dict[str, dict[str, list[dict[str, float | None]]]] = {}
    for (task, way), taken in samples.items():
        described.setdefault(way, {})[task] = [sample.as_json() for sample in taken]
    return described


def _quotient(ours: float | None, theirs: float | None) -> float | None:
    return None if ours is None or not theirs else ours / theirs


def _versions(columns: Sequence[tuple[str, str]]) -> list[str]:
    versions = [version for _, version in columns]
    return [_line("", versions)] if any(versions) else []


def _line(label: str, cells: Iterable[str]) -> str:
    return f"{label:<{LABEL_WIDTH}}" + "".join(f"{cell:>{COLUMN_WIDTH}}" for cell in cells)


def _row(row: Row, samples: Samples, names: Sequence[str], others: Sequence[str], ours: str) -> str:
    figures = [_marked(row, samples, name) for name in names]
    ratios = [_cell(ratio(samples, row, name, ours), 2) for name in others]
    return _line(f"  {row.label}", [*figures, *ratios])


def _marked(row: Row, samples: Samples, name: str) -> str:
    cell = _cell(median(samples, row.task, name, row.column), row.digits)
    is_limited = row.column == FIGURE and (median(samples, row.task, name, BUSY) or 0) >= LIMIT
    return f"{MARK}{cell}" if is_limited else cell


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
