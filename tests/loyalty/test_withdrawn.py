"""A head-office drop that comes again: whom it names no longer, or otherwise, is worked out again, and nobody else."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from kanta import slices
from kanta.home import Home
from tests.cases import Case, drops_of
from tests.feed import write_drop
from tests.loyalty.test_cases import table, work, work_night
from tests.loyalty.test_decisions import EARN, case, nothing_differs, sale

RECORDS = "hq/2026-01-02/records"

#: One card for each kind of record (of cards: K joins a customer, L pays with its points, N is new), M of none.
EXPECTED = {
    # card: (with the records, without)
    "A": (5, 0), "B": (0, 3), "C": (3, 0), "D": (50, 0), "E": (20, 10), "F": (20, 10), "G": (20, 10), "H": (10, 0),
    "K": (2, 10), "L": (0, -8), "M": (10, 10), "N": (10, 0),
}  # fmt: skip


def given() -> Case:
    tea = EARN | {"id": "tea", "points": 1, "category": "DRINKS"}
    review = {"id": "review", "activity": "other_activity", "activity_type": "review", "reward_point": "points"}
    golden = EARN | {"id": "golden", "points": 1, "tier": "gold"}
    tier = {"id": "gold", "level": 2, "validity": "coming_year"}
    rule = {"reward_point": "status", "minimum": 1000, "window": "past_year"}
    north = {"id": "north", "program": "club", "valid_from": "2017-01-01", "channels": ["/EU/NO"], "redemption": []}
    programme = {
        "programs": [{"id": "club", "tiers": [tier | {"rules": [rule]}]}],
        "schemes": [
            {"id": "everywhere", "earning": [EARN | {"points": 1}, tea, golden, review | {"per": "1", "points": 50}]},
            north | {"excluded_affiliations": [], "earning": [EARN | {"id": "there", "points": 1}]},
        ],
    }
    cards = [{"card_id": card} for card in EXPECTED if card not in "LN"]
    contact = {"card_id": "L", "card_type": "as_contact_tender", "customer_id": "K1"}
    records = {
        "loyalty_cards": [{"card_id": "K", "customer_id": "K1"}, {"card_id": "N"}],
        "loyalty_adjustments": [{"adjustment_id": "J1", "card_id": "A", "points": "5.00"}],
        "loyalty_transfers": [{"transfer_id": "X1", "from_card_id": "B", "to_card_id": "C", "points": "3.00"}],
        "other_activities": [{"activity_id": "V1", "card_id": "D", "activity_type": "review"}],
        "card_tier_overrides": [{"card_id": "E", "tier_id": "gold"}],
        "products": [{"product_id": "SENCHA", "category_id": "TEA"}],
        "categories": [{"category_id": "TEA", "parent_id": "DRINKS"}],
        "channels": [{"channel_id": "S7", "org_path": "/EU/NO"}],
        "exchange_rates": [{"from_currency": "SEK", "rate": "0.10"}],
    }
    pays = sale("T9", "8.00", loyalty_card_id="L")
    pays["tenders"][0] |= {"type": "loyalty", "loyalty_card_id": "L", "reward_point_id": "points", "points": "8"}
    landing: dict[str, Any] = {
        "hq/2026-01-01/cards": {
            "loyalty_cards": [*cards, contact],
            "loyalty_adjustments": [{"adjustment_id": "J0", "card_id": "B", "points": "3.00"}],
        },
        RECORDS: records,
        "pos/2026-01-05/S1": {name: [] for name in pays},
        "pos/2026-01-05/S7": sale("TG", "10.00", loyalty_card_id="G"),
        "pos/2026-01-06/S1": pays,
    }
    special = {"F": {"product_id": "SENCHA"}, "H": {"currency": "SEK"}}
    for card in "EFHKMN":
        more = special.get(card, {})
        one = sale(f"T{card}", "100.00" if card == "H" else "10.00", loyalty_card_id=card, **more)
        for name, rows in one.items():
            landing["pos/2026-01-05/S1"][name] += rows
    return case(programme, landing, "2026-01-06")


def held(home: Home) -> dict[str, Decimal]:
    found = {row["card_id"]: row["available"] for row in table(home, "loyalty.balances")}
    return {card: found.get(card, Decimal(0)) for card in EXPECTED}


@pytest.mark.slow
def test_a_resent_head_office_drop_works_out_again_only_whom_it_names_otherwise(home: Home) -> None:
    it = given()
    work(it, home, each_night=False)
    assert held(home) == {card: with_them for card, (with_them, _) in EXPECTED.items()}

    def resent(revision: int, night: date, content: dict[str, list[dict[str, str]]]) -> dict[str, Any]:
        write_drop(home, "hq", date(2026, 1, 2), "records", content, revision=revision)
        return work_night(home, night, {"hq"})

    records = drops_of(it)[RECORDS]
    log = resent(2, date(2026, 1, 7), records)
    assert (log["accounts"], log["documents"]) == (0, 0), "the same rows again concern nobody"

    changed = [row | {"points": "6.00"} for row in records["loyalty_adjustments"]]
    log = resent(3, date(2026, 1, 8), records | {"loyalty_adjustments": changed})
    assert (log["accounts"], log["accounts_again"]) == (1, 1), "one row of many says something else"
    assert held(home)["A"] == 6

    log = resent(4, date(2026, 1, 9), {name: [] for name in records})
    assert held(home) == {card: without for card, (_, without) in EXPECTED.items()}
    assert log["accounts"] == log["accounts_again"] == len(EXPECTED) - 1, "all but M's"
    reasons = {(row["transaction_id"], row["card_id"], row["reason"]) for row in table(home, "loyalty.exceptions")}
    assert reasons == {("T9", "L", "overdrawn"), ("TH", "H", "missing_rate"), ("TN", "N", "unknown_card")}
    assert nothing_differs(home) == []


def test_exceptions_of_other_slices_stay_when_a_drop_comes_again(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    pays = sale("T1", "8.00", loyalty_card_id="B")
    pays["tenders"][0] |= {"type": "loyalty", "loyalty_card_id": "B", "reward_point_id": "points", "points": "3"}
    given = {"loyalty_adjustments": [{"adjustment_id": "J1", "card_id": "A", "points": "5.00"}]}
    sold = [pays, sale("T2", "10.00", loyalty_card_id="A"), sale("T3", "10.00", loyalty_card_id="A")]
    landing: dict[str, Any] = {
        "hq/2026-01-01/cards": {"loyalty_cards": [{"card_id": "A"}, {"card_id": "B"}]},
        RECORDS: given,
        "pos/2026-01-05/S1": {name: [row for one in sold for row in one[name]] for name in pays},
    }
    work(case({}, landing, "2026-01-05"), home, each_night=False)
    waiting = [(row["transaction_id"], row["reason"]) for row in table(home, "loyalty.exceptions")]
    assert waiting == [("T1", "no_rule")]
    monkeypatch.setattr(slices, "DOCUMENTS", 1)
    feed, day, source = RECORDS.split("/")
    write_drop(home, feed, date.fromisoformat(day), source, {"loyalty_adjustments": []}, revision=2)
    log = work_night(home, date(2026, 1, 6))
    assert (log["slices"], log["accounts_again"]) == (2, 1)
    assert [(row["transaction_id"], row["reason"]) for row in table(home, "loyalty.exceptions")] == waiting
