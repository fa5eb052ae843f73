"""What the tests of points share."""

from __future__ import annotations

import pytest

from kanta import verify
from kanta.lake import Lake


@pytest.fixture(autouse=True)
def _only_the_ledger(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nights are published without being told to Iceberg, which other tests see to: a third of a small night."""
    monkeypatch.setattr(Lake, "_to_iceberg", lambda *_: 0)
    monkeypatch.setattr(verify, "_iceberg", lambda *_: verify.Checked("iceberg", "not told", 0))
