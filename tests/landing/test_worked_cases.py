"""What is right must land: the worked cases' drops whole, and a big file whole whichever way it is read."""

from __future__ import annotations

from datetime import date

import pytest

from kanta.home import Home
from kanta.landing import spool
from kanta.landing.drops import feeds
from tests.cases import cases, drops_of
from tests.feed import rows, write_drop
from tests.landing.conftest import DAY, Takes, landed, refusals


@pytest.mark.parametrize("kind", ["loyalty", "rfm"])
def test_no_row_of_a_worked_case_is_refused(kind: str, home: Home, takes: Takes) -> None:
    delivered = 0
    for case_id, case in cases(kind).items():
        for drop, content in drops_of(case).items():
            feed, day, source = drop.split("/")
            write_drop(home, feed, date.fromisoformat(day), f"{source}-{case_id}", content)
            delivered += sum(len(items) for items in content.values())
    accepted = 0
    for feed in feeds():
        intake = takes(feed, date(2099, 1, 1))
        assert refusals(intake) == []
        accepted += intake.accepted_rows + intake.repeated_rows
    assert accepted == delivered > 100


@pytest.mark.parametrize("quote", ["", '"'])
def test_a_file_of_many_blocks_lands_whole(
    quote: str, home: Home, takes: Takes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool, "BLOCK", 1 << 16)
    products = [
        row | {"product_id": f"P{n}", "name": f"Coffee {n} {quote if n == 7000 else ''}"}
        for n, row in enumerate(rows("products", *[{}] * 20_000))
    ]
    write_drop(home, "hq", DAY, "hq", {"products": products}, "csv.zst")
    intake = takes("hq")
    assert refusals(intake) == []
    found = [(row["product_id"], row["line"]) for row in landed(intake, "products")]
    assert found == [(f"P{n}", n + 2) for n in range(20_000)]
