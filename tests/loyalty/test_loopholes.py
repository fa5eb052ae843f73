"""What ``kanta programme check`` warns of does happen: each basket, worked through a night (2-loyalty, 4 to 6)."""

from __future__ import annotations

from typing import Any

import pytest

from kanta.home import Home
from kanta.programme import Programme
from kanta.programme.loopholes import loopholes
from tests.cases import Case, programme_of
from tests.loyalty.test_cases import problems, work

Rows = dict[str, list[dict[str, Any]]]

CARD = {"hq/2026-01-01/hq": {"loyalty_cards": [{"card_id": "A"}]}}


def receipt(number: str, net: str, *, of: str = "", tender: dict[str, str] | None = None) -> Rows:
    """One receipt of one line on card A; ``of``: the receipt that is returned."""
    kind = "return" if of else "sale"
    link = {"original_transaction_id": of, "original_line_no": 1} if of else {}
    own = {"transaction_id": number}
    return {
        "transactions": [own | {"type": kind, "loyalty_card_id": "A", "net_amount": net}],
        "lines": [own | {"kind": kind, "quantity": "-1" if of else "1", "net_amount": net} | link],
        "tenders": [own | {"amount": net} | (tender or {})],
    }


def scheme(*rules: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"id": "everywhere", "earning": list(rules)}]


BALANCE = {"card_id": "A", "program_id": "club", "reward_point_id": "points"}
POINTS = {"type": "loyalty", "loyalty_card_id": "A", "reward_point_id": "points", "points": "1"}
VISIT = {"id": "visit", "activity": "transaction_count", "per": "1", "reward_point": "points", "points": 50}
TENS = VISIT | {"id": "tens", "activity": "purchase_amount", "per": "10.00", "currency": "USD", "points": 5}
STATUS = {"activity": "purchase_amount", "per": "1.00", "currency": "USD", "reward_point": "status"}
GOLD = {
    "id": "gold", "level": 1, "validity": "coming_year",
    "rules": [{"reward_point": "status", "minimum": 1000, "window": "past_year"}],
}  # fmt: skip

BASKETS: dict[str, tuple[str, Case]] = {
    "paid with, then returned": (
        "parameters.negative_balance: write_off gives points away, basket: buy 1.00 USD (base: 1 points), pay 1.00 USD"
        " with 1 of them (pay) once they are usable, return the first purchase; what was paid with is written off",
        {
            "programme": {"parameters": {"negative_balance": "write_off"}},
            "landing": CARD
            | {"pos/2026-01-05/S1": receipt("T1", "1.00")}
            | {"pos/2026-01-06/S1": receipt("T2", "1.00", tender=POINTS)}
            | {"pos/2026-01-07/S1": receipt("R1", "-1.00", of="T1")},
            "through": "2026-01-07",
            "expect": {"balances": [BALANCE | {"available": "0.00", "written_off": "1.00"}], "exceptions": []},
        },
    ),
    "counted, then returned": (
        "parameters.post_per_sales_line: false leaves points of what was returned, basket: buy anything and return"
        " it; 50 points stay (visit), for a return never takes back a counted purchase",
        {
            "programme": {"parameters": {"post_per_sales_line": False}, "schemes": scheme(VISIT)},
            "landing": CARD
            | {"pos/2026-01-05/S1": receipt("T1", "7.00")}
            | {"pos/2026-01-06/S1": receipt("R1", "-7.00", of="T1")},
            "through": "2026-01-06",
            "expect": {"balances": [BALANCE | {"available": "50.00"}]},
        },
    ),
    "bought at once, returned in parts": (
        "parameters.post_per_sales_line: false leaves points of what was returned, basket: buy 10.00 USD and return"
        " it in parts of 5.00 USD or less; 5 points stay (tens), for each part is below what the rule needs",
        {
            "programme": {"parameters": {"post_per_sales_line": False}, "schemes": scheme(TENS)},
            "landing": CARD
            | {"pos/2026-01-05/S1": receipt("T1", "10.00")}
            | {"pos/2026-01-06/S1": receipt("R1", "-5.00", of="T1")}
            | {"pos/2026-01-07/S1": receipt("R2", "-5.00", of="T1")},
            "through": "2026-01-07",
            "expect": {"balances": [BALANCE | {"available": "5.00"}]},
        },
    ),
    "a tier kept by one purchase a year": (
        "programs[club].tiers[gold]: keeps itself for ever, basket: in gold, one purchase of 1.00 USD within each"
        " window; golden gives 1000 status for it, and 1000 are enough",
        {
            "programme": {
                "programs": [{"id": "club", "tiers": [GOLD]}],
                "schemes": scheme(
                    STATUS | {"id": "status", "points": 1}, STATUS | {"id": "golden", "points": 1000, "tier": "gold"}
                ),
            },
            "landing": CARD
            | {"pos/2026-01-05/S1": receipt("T1", "1000.00")}
            | {"pos/2026-12-01/S1": receipt("T2", "1.00")}
            | {"pos/2027-11-01/S1": receipt("T3", "1.00")},
            "through": "2027-11-01",
            "expect": {"card_tiers": [{"tier_id": "gold", "valid_from": "2026-01-06", "valid_to": "2028-11-01"}]},
        },
    ),
}


@pytest.mark.parametrize("name", BASKETS)
def test_a_basket_that_gets_something_for_nothing_is_named(name: str) -> None:
    warning, case = BASKETS[name]
    assert list(loopholes(Programme.model_validate(programme_of(case | {"base": "club"})))) == [warning]


@pytest.mark.slow
@pytest.mark.parametrize("name", BASKETS)
def test_the_basket_does_get_it(name: str, home: Home) -> None:
    case = BASKETS[name][1] | {"base": "club"}
    work(case, home, each_night=False)
    assert problems(home, case["expect"]) == []


def test_a_programme_whose_returns_take_back_what_was_earned_is_not_warned_of() -> None:
    assert list(loopholes(Programme.model_validate(programme_of({"base": "club"})))) == []
