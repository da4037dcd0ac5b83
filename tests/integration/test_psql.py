"""psql, the system's or the wheel's."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from support.postgres import bin_folder
from support.process import TwistnotifyProcess

DEADLINE = 60.0


@pytest.fixture
def psql(postgres_of_session: object) -> Path:
    """The program psql of the same version as the server."""
    folder = bin_folder(postgres_of_session.version)  # type: ignore[attr-defined]
    assert folder is not None
    return folder / "psql"


def run(psql: Path, server: TwistnotifyProcess, script: str) -> subprocess.CompletedProcess[str]:
    """Run a script; psqlrc and the caller's environment stay out of it."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    return subprocess.run(
        [psql, "-X", "-q", "-A", "-t", server.dsn()],
        input=script,
        text=True,
        capture_output=True,
        timeout=DEADLINE,
        env=environment,
    )


def test_notifications_are_shown(psql: Path, server: TwistnotifyProcess) -> None:
    script = r"""
        LISTEN news;
        NOTIFY news, 'it''s; fine';
        \set what 'O''Reilly "quoted" \\ back'
        SELECT pg_notify('news', :'what');
        BEGIN;
        NOTIFY news, 'rolled back';
        ROLLBACK;
        UNLISTEN *;
        NOTIFY news, 'unheard';
        """
    done = run(psql, server, script)
    assert (done.returncode, done.stderr) == (0, "")
    shown = [line.partition(" received from")[0] for line in done.stdout.splitlines() if line]
    assert shown == [
        'Asynchronous notification "news" with payload "it\'s; fine"',
        'Asynchronous notification "news" with payload "O\'Reilly "quoted" \\ back"',
    ]


def test_errors_name_their_place(psql: Path, server: TwistnotifyProcess) -> None:
    done = run(psql, server, "NOTIFY news, nonsense;\nSELECT 1;\n")
    assert 'ERROR:  syntax error at or near "nonsense"' in done.stderr
    assert "LINE 1: NOTIFY news, nonsense;" in done.stderr
    assert done.stdout.split() == ["1"]


def test_other_sql_is_relayed(psql: Path, server: TwistnotifyProcess) -> None:
    done = run(
        psql, server, "CREATE TEMP TABLE t (id int);\nINSERT INTO t VALUES (1), (2);\nSELECT sum(id) FROM t;\n\\d t\n"
    )
    assert done.stdout.splitlines()[0] == "3"
    assert "id|integer" in done.stdout
    assert done.stderr == ""
