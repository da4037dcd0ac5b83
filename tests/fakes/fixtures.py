"""A server of fakes for every test that asks for one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fakes.world import World

MakeWorld = Callable[..., World]


@pytest.fixture
def make_world(monkeypatch: pytest.MonkeyPatch) -> Iterator[MakeWorld]:
    """Make servers with settings of one's own; at the end they must stop without leaving anything behind."""
    made: list[World] = []

    def make(**settings: Any) -> World:
        made.append(World(monkeypatch, **settings))
        return made[-1]

    yield make
    for world in made:
        world.stop()


@pytest.fixture
def world(make_world: MakeWorld) -> World:
    """A server with one shard, which is up."""
    return make_world().start()
