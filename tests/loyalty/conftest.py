"""What the tests of points share."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _only_the_ledger(without_iceberg: None) -> None:
    """Points do not depend on what Iceberg is told."""
