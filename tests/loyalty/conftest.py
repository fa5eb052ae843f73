"""What the tests of points share."""

from __future__ import annotations

import pytest

from kanta import verify


@pytest.fixture(autouse=True)
def _only_the_ledger(without_iceberg: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Points do not depend on what Iceberg is told, and no store is sent any here."""
    monkeypatch.setattr(verify, "_stores", lambda _: verify.Checked("stores", "none is sent anything", 0))
