"""Taking drops in tests: one call, and what came out of it in a form a failure shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from kanta.home import Home
from kanta.landing import Intake, Known, take

DAY = date(2026, 1, 5)


@dataclass
class Takes:
    """Takes drops of a home one night after the other, remembering them as ``ops.drops`` does."""

    home: Home
    known: dict[str, Known] = field(default_factory=dict)
    seq: int = 0

    def __call__(self, feed: str = "pos", through: date = DAY, known: Mapping[str, Known] | None = None) -> Intake:
        self.seq += 1
        out = self.home.root / f"out{self.seq}"
        intake = take(self.home, feed, through, self.known if known is None else known, seq=self.seq, out=out)
        for drop in intake.drops.to_pylist():
            before = self.known.get(drop["drop_id"])
            accepted = drop["revision"] if drop["status"] == "accepted" else before.accepted_revision if before else 0
            self.known[drop["drop_id"]] = Known(
                drop["drop_id"], drop["revision"], drop["stamp"], drop["control_sha256"], drop["status"], accepted
            )
        assert intake.in_rows == intake.accepted_rows + intake.repeated_rows + intake.refused_rows
        assert intake.accepted_rows == sum(len(landed(intake, dataset)) for dataset in intake.rows)
        assert {path.name for path in out.iterdir()} == set(intake.rows), "nothing but accepted rows is left in out"
        return intake


@pytest.fixture
def takes(home: Home) -> Takes:
    """Takes drops of an empty home."""
    return Takes(home)


def landed(intake: Intake, dataset: str) -> list[dict[str, Any]]:
    """The accepted rows of a dataset, with provenance, in the order of the files."""
    return [row for path in intake.rows.get(dataset, []) for row in read(path)]


def read(path: Path) -> list[dict[str, Any]]:
    """The rows of one Parquet file, without what its path says."""
    rows: list[dict[str, Any]] = pq.ParquetFile(path).read().to_pylist()
    return rows


def refusals(intake: Intake) -> list[tuple[str, str, int | None, str, str, str]]:
    """What is in quarantine: source, file, line, record key, level, rule; companions left out."""
    return [
        (row["source"], row["file"], row["line"], row["record_key"], row["level"], row["rule"])
        for row in intake.quarantine.to_pylist()
        if row["rule"] != "companion"
    ]
