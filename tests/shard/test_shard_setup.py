from __future__ import annotations

import pytest
from pglast import ast, parse_sql

from twistnotify.shard.commands import MAX_LISTENS
from twistnotify.shard.setup import PROBE, SETTINGS, listen_batches, setup_sql


@pytest.mark.parametrize(("version", "newest"), [(110000, None), (120000, 1), (140000, 2), (170000, 3), (180000, 3)])
def test_only_settings_that_the_server_knows_are_set(version: int, newest: int | None) -> None:
    *settings, last = [raw.stmt for raw in parse_sql(setup_sql(version))]

    names = {each.name for each in settings}
    assert names == {name for since, name, _ in SETTINGS if since <= version}
    assert ("tcp_user_timeout" in names) == (version >= 120000)
    assert ("idle_session_timeout" in names) == (version >= 140000)
    assert ("transaction_timeout" in names) == (version >= 170000)
    assert isinstance(last, ast.SelectStmt)


def test_the_number_of_the_last_transaction_starts_at_zero() -> None:
    assert "SET twistnotify.seq=0;" in setup_sql(150000)


def test_channels_are_listened_to_in_batches_and_quoted() -> None:
    channels = [f'ch"{number}' for number in range(MAX_LISTENS + 1)]

    first, second = listen_batches(channels)

    listened = [raw.stmt.conditionname for sql in (first, second) for raw in parse_sql(sql)]
    assert listened == channels
    assert len(parse_sql(second)) == 1


def test_no_channels_need_no_batch() -> None:
    assert list(listen_batches([])) == []


def test_the_probe_is_one_statement() -> None:
    assert len(parse_sql(PROBE)) == 1
