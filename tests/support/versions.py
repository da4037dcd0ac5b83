"""Which PostgreSQL versions a test runs on."""

from __future__ import annotations

import pytest

VERSIONS = (18, 15)

one_version = pytest.mark.parametrize("postgres_of_session", VERSIONS[:1], indirect=True, ids=["pg18"])
"""For tests that take seconds and whose subject is the same with every PostgreSQL."""
