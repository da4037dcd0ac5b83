"""What all tests share."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.fixtures import (  # noqa: F401 - fixtures are found by their names here
    postgres,
    postgres_of_session,
    server,
    server_of_module,
    sharded_server,
    sharded_server_of_module,
    start_server,
)

INTEGRATION = Path(__file__).parent / "integration"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark everything that needs a real PostgreSQL."""
    for item in items:
        if item.path.is_relative_to(INTEGRATION):
            item.add_marker(pytest.mark.integration)
