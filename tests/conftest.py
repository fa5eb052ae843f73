"""What all tests share: a home to work in, and nights without the data-quality worker's seconds."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kanta import quality, verify
from kanta.home import Home
from kanta.lake import Lake

# All tests run where no clock shows UTC: what asks the machine for its time zone shows itself.
os.environ["TZ"] = "Asia/Kathmandu"
time.tzset()


class NoJudge(quality.Judge):
    """Judges nothing: for tests that are not about data quality (those are in tests/quality)."""

    def __enter__(self) -> NoJudge:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def begin(self, *_: object) -> None:
        pass

    def ask(self, *_: object, **__: object) -> list[quality.Result]:
        return []


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """An empty home."""
    return Home(tmp_path / "home")


@pytest.fixture
def no_judge() -> Iterator[NoJudge]:
    """A stand-in for the data-quality worker."""
    with NoJudge() as judge:
        yield judge


@pytest.fixture
def without_iceberg(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nights are published without being told to Iceberg, a third of a small night; tests/night sees to that."""
    monkeypatch.setattr(Lake, "_to_iceberg", lambda *_: 0)
    monkeypatch.setattr(verify, "_iceberg", lambda *_: verify.Checked("iceberg", "not told", 0))
