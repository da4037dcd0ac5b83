"""The same dialogue with PostgreSQL and with twistnotify: they must say the same, message by message."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from parity.comparison import problems
from parity.dialogue import DEADLINE, Dialogue, play
from parity.dialogues import DIALOGUES
from parity.differences import DIFFERENCES
from support.postgres import PostgresServer
from support.process import TwistnotifyProcess

pytestmark = pytest.mark.integration

APART = "parity"
"""The database behind twistnotify: notifications of one database are not heard in the other."""


@pytest.fixture(scope="module")
def server(
    postgres_of_session: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TwistnotifyProcess]:
    """A twistnotify whose database `postgres` is another one of the same PostgreSQL."""
    postgres_of_session.create_database(APART)
    settings = "[twistnotify]\nlisten_port = 0\nauth_type = trust\n"
    config = f"{settings}[databases]\npostgres = {postgres_of_session.dsn(APART)}\n"
    process = TwistnotifyProcess(config, tmp_path_factory.mktemp("server"))
    process.start()
    process.wait_until_up()
    yield process
    process.stop()


@pytest.mark.parametrize("dialogue", DIALOGUES, ids=lambda dialogue: dialogue.name)
def test_twistnotify_says_what_postgresql_says(
    dialogue: Dialogue, postgres: PostgresServer, server: TwistnotifyProcess
) -> None:
    theirs = play(dialogue, postgres.port)
    assert not theirs[-1].stalled, f"not even PostgreSQL answers within {DEADLINE:g} s: {theirs[-1].text}"
    ours = play(dialogue, server.port)
    accepted = [row for row in DIFFERENCES if row.applies(dialogue.name, postgres.version)]
    found = problems(theirs, ours, accepted)
    assert not found, "\n\n".join(("- PostgreSQL, + twistnotify", *found))


def test_every_accepted_difference_is_of_a_dialogue_that_exists() -> None:
    names = {dialogue.name for dialogue in DIALOGUES}
    assert len(names) == len(DIALOGUES)
    assert {name for row in DIFFERENCES for name in row.dialogues} <= names
