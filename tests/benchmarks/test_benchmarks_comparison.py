"""The relay's table says what was measured, and nothing where nothing was."""

from __future__ import annotations

from itertools import product

import pytest

from benchmarks.comparison import BEHIND, BETWEEN, LESS_IS_BETTER, MORE_IS_BETTER, Row, Sample, compare, median, ratio
from benchmarks.ways import DIRECT, OURS, POOLER, Way

ROWS = (*MORE_IS_BETTER, *LESS_IS_BETTER)
SINGLE = Row("single", "a query")


def ways(*names: str) -> list[Way]:
    """Return ways of these names."""
    return [Way(name, "1.0", ("127.0.0.1", 1), "d", "u", None, None) for name in names]


def samples(*names: str, **figures: float) -> dict[tuple[str, str], list[Sample]]:
    """Return one sample for each task and way; `figures` are those of ways, the same for all tasks."""
    tasks = {row.task for row in ROWS}
    return {
        (task, name): [Sample(figures.get(name, 1.0), None if name == DIRECT else 10.0, 5.0, 100)]
        for task, name in product(tasks, names)
    }


def cells(table: str, label: str) -> list[str]:
    """Return what a line of the table says behind its label."""
    (line,) = (line for line in table.splitlines() if line.strip().startswith(label))
    return line.strip().removeprefix(label).split()


def test_each_way_has_a_column_and_each_other_one_a_ratio() -> None:
    names = (DIRECT, POOLER, OURS)
    table = compare(samples(*names, PostgreSQL=4000, PgBouncer=2000, twistnotify=1000), ways(*names))
    assert table.splitlines()[0].split() == [DIRECT, POOLER, OURS, "/", DIRECT, "/", POOLER]
    for row in ROWS:
        if row.column not in (BETWEEN, BEHIND):
            assert cells(table, row.label) == ["4,000", "2,000", "1,000", "0.25", "0.50"]
    assert not any(line.endswith(" ") for line in table.splitlines())


def test_what_is_out_of_sight_has_no_figure() -> None:
    names = (DIRECT, POOLER, OURS)
    table = compare(samples(*names), ways(*names))
    assert cells(table, "CPU a transaction, us") == ["-", "10.0", "10.0", "-", "1.00"]
    assert cells(table, "PostgreSQL's CPU a transaction, us") == ["5.0", "5.0", "5.0", "1.00", "1.00"]


def test_a_pooler_that_is_not_installed_is_left_out_and_that_is_said() -> None:
    table = compare(samples(DIRECT, OURS), ways(DIRECT, OURS))
    assert table.endswith("PgBouncer is not installed.\n")
    assert POOLER not in table.splitlines()[0]


def test_the_notes_say_what_is_added_to_a_single_query() -> None:
    names = (DIRECT, POOLER, OURS)
    taken = samples(*names, PostgreSQL=50, PgBouncer=70, twistnotify=250)
    taken["listening", OURS] = [Sample(650, 1, 1, 1)]
    table = compare(taken, ways(*names))
    assert "PgBouncer adds 0.020 ms to a query" in table
    assert "twistnotify adds 0.200 ms to a query" in table
    assert "To listen adds 0.400 ms" in table
    assert "PostgreSQL adds" not in table


def test_figures_are_medians_of_the_rounds() -> None:
    taken = {("single", OURS): [Sample(figure, None, None, 1) for figure in (1, 100, 3)]}
    assert median(taken, "single", OURS) == 3
    assert median(taken, "single", OURS, BETWEEN) is None


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [
        ([10, 40, 90], [100, 200, 300], 0.2),
        ([10], [0], None),
    ],
)
def test_rounds_are_compared_one_by_one(ours: list[float], theirs: list[float], expected: float | None) -> None:
    taken = {
        ("single", OURS): [Sample(figure, None, None, 1) for figure in ours],
        ("single", DIRECT): [Sample(figure, None, None, 1) for figure in theirs],
    }
    assert ratio(taken, SINGLE, DIRECT) == expected


def test_a_sample_can_be_written_to_a_file() -> None:
    assert Sample(1.5, None, 2.0, 3, 0.5).as_json() == {
        "figure": 1.5,
        "between": None,
        "behind": 2.0,
        "operations": 3,
        "busy": 0.5,
    }
