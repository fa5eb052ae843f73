"""Numbers as large as a contract takes and rates as large as there are stop no night: counted exactly, or told."""

from __future__ import annotations

from datetime import date
from itertools import product

import pytest

from kanta import night, quarantine, verify
from kanta.home import Home
from kanta.lake import Lake
from tests.cases import bases, write_programme
from tests.conftest import NoJudge
from tests.feed import joined, rows, write_drop
from tests.loyalty.test_cases import table
from tests.night.history import bought, programme

pytestmark = pytest.mark.slow  # whole nights

DAY = date(2026, 1, 5)
MOST = "999999999999.99"


def deliver(home: Home, *receipts: dict[str, list[dict[str, str]]], rates: dict[tuple[str, str], str]) -> None:
    """Receipts of S1, and what else a night needs: the card A of K1, and rates."""
    dated = [
        {"from_currency": one, "to_currency": other, "date": "2026-01-01", "rate": rate}
        for (one, other), rate in rates.items()
    ]
    card = {"card_id": "A", "customer_id": "K1", "enrolled_from": "2026-01-01"}
    channel = bases()["rows"]["channels"] | {"channel_id": "S1", "name": "Store"}
    hq = {"loyalty_cards": rows("loyalty_cards", card), "products": rows("products", {}), "channels": [channel]}
    write_drop(home, "hq", DAY, "hq", hq | {"exchange_rates": dated})
    write_drop(home, "pos", DAY, "S1", joined(*receipts))


def paid(
    identifier: str, currency: str, net: str, tender: str, amount: str, points: str
) -> dict[str, list[dict[str, str]]]:
    """A receipt of card A, of which so much was paid with points, in the tender's currency."""
    receipt = bought(identifier, "A", net, customer_id="K1", currency=currency)
    by_points = {"type": "loyalty", "loyalty_card_id": "A", "currency": tender, "amount": amount, "points": points}
    return receipt | {
        "tenders": [row | by_points | {"reward_point_id": "points" if points else ""} for row in receipt["tenders"]]
    }


def rules(currency: str, per: str) -> dict[str, object]:
    """All figures in a currency; one point for so much, on what points did not pay."""
    found = programme()
    found["accounting_currency"] = currency
    found["parameters"]["loyalty_tender"] = "earn_on_rest"
    found["schemes"][0]["earning"] = [
        {
            "id": "base",
            "activity": "purchase_amount",
            "per": per,
            "currency": currency,
            "reward_point": "points",
            "points": 1,
        }
    ]
    found["schemes"][0]["redemption"] = [
        {
            "id": "pay",
            "type": "payment_by_amount",
            "reward_point": "points",
            "points": 1,
            "per": per,
            "currency": currency,
        }
    ]
    return found


def test_receipts_are_counted_exactly_in_a_currency_of_which_a_thousand_are_little(
    home: Home, no_judge: NoJudge
) -> None:
    write_programme(rules("VND", "1000.00"), home.programme)
    deliver(
        home,
        bought("T1", "A", "50000.00", customer_id="K1", currency="EUR"),
        paid("T2", "EUR", "1000000.00", "VND", "27000000.00", "27000.00"),
        rates={("EUR", "VND"): "27000", ("VND", "EUR"): "0.00003704"},
    )
    night.run(home, DAY, DAY, judge=no_judge)
    earned = {r["transaction_id"]: r["points"] for r in table(home, "loyalty.entries") if r["entry_type"] == "earn"}
    # 27,000,000 VND are 1,000.08 EUR; 998,999.92 of the million are left, at 27 points.
    assert earned == {"T1": 1_350_000, "T2": 26_972_997}
    assert {row["monetary_total"] for row in table(home, "rfm.scores")} == {1_350_000_000 + 27_000_000_000}
    (paid_by_points,) = (
        r["loyalty_tender_amount"] for r in table(home, "sales.transactions") if r["transaction_id"] == "T2"
    )
    assert str(paid_by_points) == "1000.08"


def test_numbers_beyond_all_bounds_are_told_and_stop_nothing(home: Home, no_judge: NoJudge) -> None:
    write_programme(rules("USD", "1.00"), home.programme)
    currencies = ("USD", "EUR", "SEK")
    large = [
        paid(f"L{n}", currency, MOST, tender, MOST, points)
        for n, (currency, tender, points) in enumerate(product(currencies, currencies, ("", "1.00", MOST)))
    ]
    pairs = [(one, other) for one, other in product(currencies, currencies) if one != other]
    rates = dict(
        zip(
            pairs,
            ("0.00000001", "3.3", "9999999999.99999999", "9999.00000001", "1.12345678", "7777777.7777"),
            strict=True,
        )
    )
    deliver(
        home,
        bought("T1", "A", "10.00", customer_id="K1"),
        bought("T2", "A", MOST, customer_id="K1", currency="EUR"),
        *large,
        rates=rates,
    )
    night.run(home, DAY, DAY, judge=no_judge)
    assert {
        r["transaction_id"]: r["points"] for r in table(home, "loyalty.entries") if r["transaction_id"] == "T1"
    } == {"T1": 10}
    reasons = {row["transaction_id"]: row["reason"] for row in table(home, "loyalty.exceptions")}
    assert reasons["T2"] == "too_large"
    assert set(reasons.values()) <= {"too_large", "no_rule", "overdrawn", "second_tender"}, reasons
    assert [result.about for result in verify.verify(home) if result.breaches] == []


def test_a_moment_beyond_the_calendar_and_an_order_that_is_not_its_lines_are_set_aside(home: Home) -> None:
    """Of the last second of 9999 there is no date east of Greenwich: it stopped the call center's night."""
    write_programme(rules("USD", "1.00"), home.programme)
    invoiced = {"status": "invoiced", "invoiced_date": DAY.isoformat()}
    orders = [{"order_id": "O1"}, {"order_id": "O2"} | invoiced, {"order_id": "O3"} | invoiced]
    held = {"order_id": "O1", "hold_code": "X", "event": "hold", "at": "9999-12-31T23:59:59Z", "user": "u"}
    content = {
        "orders": rows("orders", *orders),
        "order_lines": rows("order_lines", {"order_id": "O1"}, {"order_id": "O3", "net_amount": "7.00"}),
        "hold_events": [held],
    }
    write_drop(home, "call_center", DAY, "CC1", content)
    night.run_stage(home, "ingest_call_center", DAY)
    Lake(home).publish(DAY)
    refused = {(row["record_key"].split("|")[0], row["rule"]) for row in quarantine.listed(home)}
    assert {row for row in refused if row[1] != "companion"} == {
        ("O1", "range:at"), ("O2", "net_is_its_lines"), ("O3", "net_is_its_lines"),
    }  # fmt: skip
