"""What stores and head offices should not send: each to its exact points, or an exception with its reason.

Unknown and blocked cards, returns before their sale and adjustments of points that still vest are worked cases
(card-refused, return-before-original, adjust-usable-only); programmes that give points away are in test_loopholes.py.
"""

from __future__ import annotations

from typing import Any

import pytest

from kanta import explain
from kanta.home import Home
from tests.cases import Case
from tests.loyalty.test_cases import breaches, problems, work

Rows = dict[str, list[dict[str, Any]]]

OTHER = {"id": "elsewhere", "program": "other", "valid_from": "2017-01-01", "valid_to": None, "channels": ["/EU/SE"]}


def receipt(number: str, card: str, net: str, at: str = "12:00", **more: Any) -> Rows:
    """One receipt of one line; ``of``: the receipt it returns, ``pays``: by so many points."""
    day, of, pays = more.pop("day", "05"), more.pop("of", ""), more.pop("pays", "")
    own, kind = {"transaction_id": number}, "return" if of else "sale"
    line = own | {"kind": kind, "quantity": more.pop("quantity", "-1" if of else "1"), "net_amount": net}
    if of:
        line |= {"original_transaction_id": of, "original_line_no": 1}
    tender = own | {"amount": net, "currency": more.get("currency", "USD")}
    if pays:
        tender |= {"type": "loyalty", "loyalty_card_id": card, "reward_point_id": "points", "points": pays}
    head = own | {"type": kind, "loyalty_card_id": card, "net_amount": net, "ended_at": f"2026-01-{day}T{at}:00+00:00"}
    return {"transactions": [head | more], "lines": [line], "tenders": [tender]}


def together(*parts: Rows) -> Rows:
    found: Rows = {}
    for part in parts:
        for name, items in part.items():
            found.setdefault(name, []).extend(items)
    return found


def transfer(number: str, giver: str, taker: str, points: str = "") -> dict[str, str]:
    return {"transfer_id": number, "from_card_id": giver, "to_card_id": taker, "points": points}


def given(card: str, points: str) -> dict[str, str]:
    return {"adjustment_id": f"J{card}", "card_id": card, "points": points}


CARDS = ["offline", "twice", "many", "abroad", "self", "blocked", "A", "B", "C", "giver", "fined", "early"]

CASE: Case = {
    "base": "club",
    "programme": {
        "programs": [{"id": "other", "pool_related_cards": False, "tiers": []}],
        "schemes": [
            OTHER
            | {"excluded_affiliations": [], "redemption": []}
            | {
                "earning": [
                    {"id": "there", "activity": "purchase_quantity", "per": 1, "reward_point": "points", "points": 9}
                ]
            }
        ],
    },
    "landing": {
        "hq/2026-01-01/hq": {
            "loyalty_cards": [
                {"card_id": card, "card_type": "blocked" if card == "blocked" else "as_card_tender"} for card in CARDS
            ]
            + [{"card_id": "foreign", "program_id": "other"}]
        },
        "hq/2026-01-05/hq": {
            "loyalty_adjustments": [given(card, "20") for card in ("offline", "self", "A", "giver", "early")]
            + [given("foreign", "20") | {"program_id": "other"}]
        },
        "hq/2026-01-06/hq": {
            # Each takes what the one before gave, in the order of their ids.
            "loyalty_transfers": [
                transfer("X1", "A", "B"),
                transfer("X2", "B", "C", "15"),
                transfer("X3", "C", "A", "15"),
                transfer("X4", "self", "self"),
                transfer("X5", "giver", "blocked"),
                transfer("X6", "giver", "nobody"),
            ],
            "loyalty_adjustments": [given("fined", "-50")],
        },
        "pos/2026-01-05/S1": together(
            receipt("T1", "twice", "30.00"), receipt("T2", "many", "30.00"), receipt("T3", "abroad", "30.00")
        ),
        "pos/2026-01-06/S1": together(
            receipt("T4", "offline", "20.00", day="06", pays="20", offline="true"),
            receipt("R1", "twice", "-30.00", day="06", of="T1"),
            receipt("R2", "many", "-90.00", day="06", of="T2", quantity="-3"),
            receipt("T6", "foreign", "20.00", day="06", pays="20"),
            # The clock of the till runs back: what was bought first seems to come last.
            receipt("T7", "early", "30.00", "12:00", day="06", transaction_no="7"),
            receipt("T8", "early", "40.00", "09:00", day="06", transaction_no="8", pays="40"),
        ),
        "pos/2026-01-06/S2": together(
            receipt("T5", "offline", "20.00", day="06", pays="20", offline="true"),
            receipt("R3", "abroad", "-27.00", day="06", of="T3", currency="EUR"),
        ),
        "pos/2026-01-07/S2": together(
            receipt("R4", "twice", "30.00", day="07", of="R1", quantity="-1"),
            receipt("R5", "twice", "-30.00", day="07", of="T1"),
        ),
    },
    "through": "2026-01-08",
    "expect": {
        "balances": [
            {"program_id": "club", "reward_point_id": "points"} | row
            for row in [
                {"card_id": "offline", "available": "-20.00", "deficit": "20.00", "used": "40.00"},  # the store gave it
                {"card_id": "twice", "available": "0.00", "issued": "0.00"},  # never more than was earned
                {"card_id": "many", "available": "0.00", "issued": "0.00"},
                {"card_id": "abroad", "available": "0.00", "issued": "0.00"},  # in points, whatever was paid back
                {"card_id": "A", "available": "15.00", "issued": "35.00", "used": "20.00"},
                {"card_id": "B", "available": "5.00", "issued": "20.00", "used": "15.00"},
                {"card_id": "C", "available": "0.00", "issued": "15.00", "used": "15.00"},
                {"card_id": "self", "available": "20.00", "issued": "20.00", "used": "0.00"},
                {"card_id": "giver", "available": "20.00", "used": "0.00"},
                {"card_id": "fined", "available": "-50.00", "deficit": "50.00"},
                {"card_id": "foreign", "program_id": "other", "available": "20.00", "used": "0.00"},
                {"card_id": "early", "available": "10.00", "deficit": "0.00"},
            ]
        ],
        "exceptions": [
            {"transaction_id": "T5", "card_id": "offline", "reason": "overdrawn"},
            {"transaction_id": "T6", "card_id": "foreign", "reason": "no_rule"},
            {"transaction_id": "T8", "card_id": "early", "reason": "overdrawn"},
            {"transaction_id": "X5", "card_id": "blocked", "reason": "blocked_card"},
            {"transaction_id": "X6", "card_id": "nobody", "reason": "unknown_card"},
        ],
    },
}


@pytest.mark.slow
def test_what_should_not_be_sent_has_its_exact_points_or_a_reason_and_breaks_no_invariant(home: Home) -> None:
    work(CASE, home, each_night=False)
    assert problems(home, CASE["expect"]) == []
    assert breaches(home) == []
    (rule,) = [row for row in explain.explain(home, "transaction", "R1")["rules"] if row["rule_id"] == "base"]
    assert rule["why"] == "by no rule: what is brought back takes back what it earned"
