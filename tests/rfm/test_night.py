"""The stage as a night runs it: on the lake, by partitions, and again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from kanta import contracts, rfm
from kanta.engine import Engine
from kanta.home import Home
from kanta.lake import Lake
from kanta.night import Night
from tests.rfm.conftest import relations, sale, transactions

TABLES = tuple(name for name in contracts.lake() if name.startswith("rfm."))
DAYS = [date(2026, 1, 30), date(2026, 1, 31)]


@pytest.fixture
def night(tmp_path: Path) -> Iterator[Night]:
    home = Home(tmp_path)
    lake = Lake(home)
    with Engine(tmp_path / "engine") as engine:
        night = Night(home, lake, engine, "rfm", lake.head(), DAYS[-1])
        rows = [
            {"discount_amount": Decimal(0), "loyalty_tender_amount": Decimal(0), "drop_id": "d", **row}
            for row in [sale("K1", date(2026, 1, 3), "5.00"), sale("K2", DAYS[-1], "7.00")]
        ]
        engine.register("facts.transactions", transactions(rows))
        night.put("sales.transactions", "select * from facts.transactions", [date(2026, 1, 3), DAYS[-1]])
        yield night


def score(night: Night, *days: date) -> Night:
    """The night after that of ``night``, as the stage leaves it."""
    after = Night(night.home, night.lake, night.engine, "rfm", replace(night.state, seq=night.seq), DAYS[-1])
    for name, table in relations([{}], days).items():
        after.engine.register(name, table)
    rfm.score(after)
    return after


def stored(night: Night) -> dict[str, list[tuple[object, ...]]]:
    night.attach(*TABLES)
    return {table: night.engine.rows(f"select * from {table} order by all") for table in TABLES}


def test_scoring_a_date_again_replaces_its_partitions_and_changes_nothing(night: Night) -> None:
    first = score(night, *DAYS)
    once = stored(first)
    assert [row[1:3] for row in once["rfm.scores"]] == [(DAYS[0], "K1"), (DAYS[1], "K1"), (DAYS[1], "K2")]
    second = score(first, DAYS[1])
    assert stored(second) == once
    assert stored(score(second, *DAYS)) == once


def test_a_night_with_nothing_due_commits_nothing(night: Night) -> None:
    assert score(night).state.tables == night.state.tables
