"""The worked RFM cases, each straight on the SQL: purchases in, every row of rfm.scores out."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from tests.rfm.conftest import Rehearsal

CASES = sorted((Path(__file__).parent / "cases").glob("*.json"))


def test_all_worked_cases_are_here() -> None:
    assert len(CASES) == 18


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_the_worked_case_comes_out_on_every_named_column(path: Path, night: Rehearsal) -> None:
    case = json.loads(path.read_text(encoding="utf-8"))
    (definition,) = case["programme"].get("rfm", [{"id": "r"}])
    (drop,) = case.get("landing", {"": {}}).values()
    night.facts(
        (
            {
                "customer_id": purchase.get("customer"),
                "loyalty_card_id": purchase.get("card"),
                "channel_id": purchase.get("store", "S1"),
                "business_date": date.fromisoformat(purchase["date"]),
                "net_amount": Decimal(purchase["net"]),
                "tax_amount": Decimal(purchase.get("tax", "0.00")),
            }
            for purchase in case["purchases"]
        ),
        cards=drop.get("loyalty_cards", []),
    )
    night.score([definition], date.fromisoformat(case["through"]))

    scored = {row["customer_id"]: row for row in night.rows("rfm.scores")}
    expected = {row["customer_id"]: row for row in case["expect"]["scores"]}
    found = {
        customer: {name: str(scored[customer][name]) for name in row}
        for customer, row in expected.items()
        if customer in scored
    }
    assert found == expected, case["about"]
    assert scored.keys() == expected.keys(), case["about"]
