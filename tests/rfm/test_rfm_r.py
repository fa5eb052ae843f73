"""The complete result of another implementation over real orders (995 customers): every row, every column."""

from __future__ import annotations

import csv
from collections import Counter
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from tests.rfm.conftest import Rehearsal

DATA = Path(__file__).parents[3] / "shared" / "data" / "rfm_r"
AS_OF = date(2006, 12, 31)
DEFINITION = {
    "period": {"start": "2000-01-01"},
    "binning": "quantile",
    "cut_offset": 1,
    "segments": "r_rfm",
    "schedule": "monthly",
}


def read(name: str) -> list[dict[str, str]]:
    path = DATA / name
    assert path.is_file(), f"{path} is needed for this test and is not there"
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def scored(night: Rehearsal) -> Rehearsal:
    orders = read("orders.csv")
    assert len(orders) == 4906
    night.facts(
        {
            "customer_id": order["customer_id"],
            "business_date": date.fromisoformat(order["order_date"]),
            "net_amount": Decimal(order["revenue"]),
        }
        for order in orders
    )
    night.score([DEFINITION], AS_OF)
    return night


def test_all_995_customers_come_out_on_every_column(scored: Rehearsal) -> None:
    expected = {
        row["customer_id"]: (
            row["segment"],
            *(int(row[name]) for name in ("rfm_score", "transaction_count", "recency_days")),
            Decimal(row["amount"]),
            *(int(row[name]) for name in ("recency_score", "frequency_score", "monetary_score")),
        )
        for row in read("expected_995.csv")
    }
    assert len(expected) == 995
    found = scored.scores(
        "customer_id", "segment", "composite", "frequency", "recency", "monetary_total", "r", "f", "m"
    )
    differing = [(row, expected.get(row[0])) for row in found if expected.get(row[0]) != row[1:]]
    assert differing == []
    assert len(found) == 995


def test_the_cuts_are_the_published_ones(scored: Rehearsal) -> None:
    found = scored.engine.rows(
        "select measure, at_least from rfm.thresholds where at_least is not null order by measure, at_least"
    )
    published = {
        "frequency": ["4", "5", "6", "8"],
        "monetary": ["255.8", "382", "506.4", "666"],
        "recency": ["115", "181", "297.4", "482"],
    }
    assert found == [(measure, Decimal(cut)) for measure, cuts in published.items() for cut in cuts]


def test_each_segment_has_its_published_customers(scored: Rehearsal) -> None:
    published = dict(
        zip(
            [
                "Champions",
                "Potential Loyalist",
                "Loyal Customers",
                "Promising",
                "New Customers",
                "Can't Lose Them",
                "At Risk",
                "Need Attention",
                "About To Sleep",
                "Lost",
            ],
            [35, 342, 170, 9, 104, 47, 28, 10, 102, 148],
            strict=True,
        )
    )
    listed = dict(scored.engine.rows("select segment, customers from rfm.segments"))
    assert listed == {**published, "Others": 0}
    assert Counter(segment for (segment,) in scored.scores("segment")) == Counter(published)
