"""Rules that no worked case and no history of the oracle comes to, each on a card of its own: worked out by hand."""

from __future__ import annotations

from typing import Any

import pytest

from kanta.home import Home
from tests.cases import Case
from tests.loyalty.test_bad_input import Rows, receipt, together
from tests.loyalty.test_cases import breaches, problems, work

UNIT = {"activity": "purchase_quantity", "per": "1", "reward_point": "points"}
PAY = {"type": "payment_by_amount", "reward_point": "points", "per": "1.00", "currency": "USD"}
ALWAYS = {
    "program": "club",
    "valid_from": "2017-01-01",
    "valid_to": None,
    "excluded_affiliations": [],
    "redemption": [],
}
CHECKIN = {"id": "checkin", "activity": "other_activity", "activity_type": "checkin", "per": "1", "points": 3}


def of(number: str, card: str, product: str = "P", variant: str = "", **more: Any) -> Rows:
    """A receipt of one line of 10.00, of a product."""
    found = receipt(number, card, "10.00", **more)
    found["lines"][0] |= {"product_id": product, "variant_id": variant}
    return found


def points(card: str, available: str, program: str = "club", **more: str) -> dict[str, str]:
    return {"card_id": card, "program_id": program, "reward_point_id": "points", "available": available} | more


CASE: Case = {
    "base": "club",
    "programme": {
        "programs": [{"id": "other", "pool_related_cards": False, "tiers": []}],
        "schemes": [
            ALWAYS
            | {"id": "everywhere", "channels": ["all"]}
            | {
                "earning": [
                    {"id": "base", "activity": "purchase_amount", "per": "1.00", "currency": "USD"}
                    | {"reward_point": "points", "points": 1},
                    UNIT | {"id": "red", "points": 100, "product": "TEE", "variant": "RED"},
                    UNIT | {"id": "ghost", "points": 1000, "product": "UNHEARD"},
                ],
                "redemption": [
                    PAY | {"id": rule, "points": asked}
                    for rule, asked in (("a_far", 10), ("near_b", "9.9"), ("near_a", "9.9"))
                ],
            },
            ALWAYS
            | {"id": "sale_days", "channels": ["all"], "valid_from": "2026-01-05", "valid_to": "2026-01-06"}
            | {"earning": [UNIT | {"id": "days", "points": 7}]},
            ALWAYS
            | {"id": "finland", "channels": ["/EU/FI"]}
            | {"earning": [UNIT | {"id": "there", "points": 50}, CHECKIN | {"reward_point": "status"}]},
            ALWAYS | {"id": "others", "program": "other", "channels": ["S1"], "earning": []},
        ],
    },
    "landing": {
        "hq/2026-01-01/hq": {
            "loyalty_cards": [
                *({"card_id": card} for card in ("variant", "days", "path", "active", "pays", "both", "taker")),
                *({"card_id": card, "program_id": "other"} for card in ("both", "taker")),
            ],
            "channels": [
                {"channel_id": "S8", "org_path": "/EU/FINLAND"},
                {"channel_id": "S9", "org_path": "/EU/FI", "time_zone": "Pacific/Auckland"},
            ],
            "products": [{"product_id": "TEE", "variant_id": variant} for variant in ("RED", "BLUE")],
        },
        "hq/2026-01-07/hq": {
            # 8 o'clock of the 7th in Auckland. Without a channel only schemes of all channels count: not Finland's.
            "other_activities": [
                {"activity_id": number, "card_id": "active", "activity_type": "checkin", "channel_id": channel}
                | {"occurred_at": "2026-01-06T19:00:00+00:00"}
                for number, channel in (("V1", "S9"), ("V2", ""))
            ],
            # Of both programs, the oldest lot first, as none expires.
            "loyalty_adjustments": [
                {"adjustment_id": "J1", "card_id": "both", "points": "40"},
                {"adjustment_id": "J2", "card_id": "both", "points": "20", "program_id": "other"},
                {"adjustment_id": "J3", "card_id": "pays", "points": "200"},
            ],
            "loyalty_transfers": [
                {
                    "transfer_id": "X1",
                    "from_card_id": "both",
                    "to_card_id": "taker",
                    "date": "2026-01-07",
                    "points": "45",
                }
            ],
        },
        "pos/2026-01-04/S8": of("T0", "days", day="04"),
        "pos/2026-01-06/S8": together(
            of("T1", "days", day="06"),
            of("T2", "variant", "TEE", "RED", day="06"),
            of("T3", "variant", "TEE", "BLUE", day="06"),
            of("T4", "variant", "UNHEARD", day="06"),
        ),
        "pos/2026-01-07/S8": of("T5", "path", day="07"),
        "pos/2026-01-07/S9": of("T6", "path", day="07"),
        "pos/2026-01-07/S77": of("T7", "path", day="07"),
        # 99 for 10.00: 1 less than a_far asks, just what near_a and near_b ask.
        "pos/2026-01-08/S1": receipt("T8", "pays", "10.00", day="08", pays="99"),
    },
    "through": "2026-01-08",
    "expect": {
        "balances": [
            points("days", "27"),  # 10, and 10 + 7 within the days of the scheme
            points("variant", "151"),  # three times 10 and 7, and 100 for the red one
            points("path", "80"),  # three times 10, and 50 in Finland alone
            points("pays", "101"),
            points("both", "0"),
            points("both", "15", "other"),
            points("taker", "40"),
            points("taker", "5", "other"),
        ],
        "entries": [
            {"card_id": "active", "reward_point_id": "status", "entry_date": "2026-01-07", "points": "3"},
            {"card_id": "active", "points": "3"},
            {"transaction_id": "T8", "rule_id": "near_a", "entry_type": "redeem", "points": "-99"},
            {"transaction_id": "X1", "card_id": "taker", "program_id": "other", "points": "5"},
        ],
        "exceptions": [],
    },
}


@pytest.mark.slow
def test_what_else_the_rules_say(home: Home) -> None:
    work(CASE, home, each_night=False)
    assert problems(home, CASE["expect"]) == []
    assert breaches(home) == []
