"""Numbers whose sign says the opposite of their line: the whole receipt or order waits, in whatever file it came."""

from __future__ import annotations

from typing import Any

import pytest

from kanta.home import Home
from tests.feed import rows, sale, write_drop
from tests.landing.conftest import DAY, Takes, landed, refusals
from tests.landing.test_poslog import deliver, document, item, tender

BACK = {"kind": "return", "quantity": "-1", "net_amount": "-10.00"}
NEGATIVE = {"net_amount": "-10.00", "total_amount": "-10.00"}


def receipt(line: dict[str, str], **header: str) -> dict[str, list[dict[str, str]]]:
    found = sale("T1", **header)
    found["lines"][0] |= line
    return found


@pytest.mark.parametrize("form", ["csv", "ndjson", "parquet", "csv.gz"])
@pytest.mark.parametrize(
    ("rule", "line", "header"),
    [
        ("return_sign", {"kind": "return"}, {"type": "return"}),
        ("return_sign", BACK | {"quantity": "1"}, NEGATIVE | {"type": "return"}),
        ("return_sign", BACK | {"net_amount": "10.00"}, {"type": "exchange"}),
        ("gift_card_return", BACK | {"kind": "gift_card"}, NEGATIVE),
        ("total", {}, {"total_amount": "10.01"}),
        ("total", {}, {"total_amount": "-10.00"}),
    ],
)
def test_a_receipt_of_the_wrong_sign_or_total_waits(
    rule: str, line: dict[str, str], header: dict[str, str], form: str, home: Home, takes: Takes
) -> None:
    write_drop(home, "pos", DAY, "S1", receipt(line, **header), form)
    intake = takes()
    assert [(row[3], row[-1]) for row in refusals(intake)] == [("T1", rule)]
    assert intake.accepted_rows == 0


@pytest.mark.parametrize(
    ("line", "header"),
    [
        (BACK, NEGATIVE | {"type": "return"}),
        (BACK | {"quantity": "0", "net_amount": "0.00"}, {"net_amount": "0.00", "total_amount": "0.00"}),
        ({"quantity": "-1", "net_amount": "-10.00"}, NEGATIVE),  # a sale may be negative: bad debt
        ({"kind": "return", "voided": "true"}, {"net_amount": "0.00", "total_amount": "0.00"}),
        ({"kind": "return"}, {"status": "suspended"}),
        ({"kind": "return"}, {"voids_transaction_id": "T0"}),
        ({}, {"total_amount": "11.00", "type": "control"}),
    ],
)
def test_what_has_its_sign_or_sells_nothing_lands(
    line: dict[str, str], header: dict[str, str], home: Home, takes: Takes
) -> None:
    write_drop(home, "pos", DAY, "S1", receipt(line, **header))
    intake = takes()
    assert refusals(intake) == []
    assert [row["transaction_id"] for row in landed(intake, "transactions")] == ["T1"]


def test_an_order_is_held_to_it_too_until_it_is_cancelled(home: Home, takes: Takes) -> None:
    content: dict[str, list[dict[str, str]]] = {"orders": [], "order_lines": []}
    for identifier, status in (("O1", "submitted"), ("O2", "invoiced"), ("O3", "cancelled")):
        own = {"order_id": identifier}
        content["orders"] += rows("orders", own | {"status": status, "invoiced_date": DAY.isoformat()})
        content["order_lines"] += rows("order_lines", own | {"kind": "return"})
    write_drop(home, "call_center", DAY, "CC1", content)
    intake = takes("call_center")
    assert [(row[3], row[-1]) for row in refusals(intake)] == [("O1", "return_sign"), ("O2", "return_sign")]


@pytest.mark.parametrize(("amount", "quantity"), [("10.00", "1"), ("-10.00", "-1"), ("-10.00", "1"), ("10.00", "-1")])
def test_in_poslog_return_says_the_sign_and_not_the_number(
    amount: str, quantity: str, home: Home, takes: Takes
) -> None:
    data: Any = document(item(1, amount, "Return", quantity=quantity), tender(2, amount, code="Refund"))
    deliver(home, "S1", data)
    intake = takes()
    assert refusals(intake) == []
    assert [(str(row["quantity"]), str(row["net_amount"])) for row in landed(intake, "lines")] == [("-1.000", "-10.00")]
