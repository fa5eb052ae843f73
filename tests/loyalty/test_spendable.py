"""Points that buy nothing are no money, no breakage and nothing to spend; unlike kinds are never added up."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from kanta import audience, report, simulate
from kanta.analysts import data
from kanta.home import Home
from tests.loyalty.test_cases import table, work
from tests.loyalty.test_decisions import EARN, case, sale

#: A purchase of 50.00 earns 50 points (a cent each), 100 treats (ten cents each) and 500 status; treats go on the day
#: of the night. Status could be money, were it redeemable.
PROGRAMME: dict[str, Any] = {
    "reward_points": [
        {"id": "points", "redeemable": True, "value": "0.01", "expiration": {"value": 12, "unit": "month"}},
        {"id": "treats", "type": "quantity", "redeemable": True, "redeem_ranking": 7, "value": "0.10",
         "expiration": {"value": 2, "unit": "day"}},
        {"id": "status", "type": "quantity", "redeemable": False, "value": "1.00"},
    ],
    "schemes": [{"id": "everywhere", "earning": [
        EARN | {"points": 1}, EARN | {"id": "treat", "reward_point": "treats", "points": 2},
        EARN | {"id": "stand", "reward_point": "status", "points": 10},
    ]}],
    "liability": {"ultimate_redemption": "0.5"},
}  # fmt: skip
LANDING = {
    "hq/2026-01-01/hq": {"loyalty_cards": [{"card_id": "A", "customer_id": "K"}, {"card_id": "B", "customer_id": "K"}]},
    "pos/2026-01-05/S1": sale("T1", "50.00"),
    "pos/2026-01-06/S1": sale("T2", "8.00", loyalty_card_id="B"),
}


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    with pytest.MonkeyPatch.context() as patch:
        from kanta.lake import Lake

        patch.setattr(Lake, "_to_iceberg", lambda *_: 0)
        home = Home(tmp_path_factory.mktemp("spendable") / "home")
        work(case(PROGRAMME, LANDING, "2026-01-07"), home, each_night=False)
        yield home


def test_points_that_cannot_be_redeemed_have_no_breakage_and_no_money(lived: Home) -> None:
    rows = {row["reward_point_id"]: row for row in table(lived, "loyalty.breakage")}
    status = rows["status"]
    assert {name for name, value in status.items() if value is None} >= {
        "method", "ultimate", "ultimate_low", "ultimate_high", "breakage", "redemption_rate", "value_per_point",
        "expected_value",
    }, status  # fmt: skip
    assert (status["outstanding"], rows["points"]["method"], rows["points"]["expected_value"]) == (
        580, "prior", Decimal("0.29"),
    )  # fmt: skip
    worth = {row["reward_point_id"]: row["closing_value"] for row in table(lived, "loyalty.liability")}
    assert worth == {"points": Decimal("0.58"), "treats": Decimal("11.60"), "status": None}


def test_the_report_says_what_can_be_spent_of_each_kind(lived: Home) -> None:
    found = report.of_night(lived)
    by_kind = {item.reward_point_id: item for item in found.points}
    assert [(name, item.redeemable, item.worth) for name, item in sorted(by_kind.items())] == [
        ("points", True, Decimal("0.58")), ("status", False, None), ("treats", True, Decimal("11.60")),
    ]  # fmt: skip
    # the 100 treats of the 5th are gone by morning: only the 16 of the 6th are still about to expire
    assert by_kind["treats"].held.expiring == 16
    assert [owed.reward_point_id for owed in found.ahead.owed] == ["points", "treats"]
    page = report.html(found)
    assert "580</b> held; they cannot be redeemed" in page
    assert "No breakage without evidence (IFRS 15 B46)" in page
    assert "for points in club of 1 month of earning 1 by the programme&#39;s share" in page
    assert "A year&#39;s check" in page or "A year's check" in page


def test_the_page_shows_what_is_expected_of_what_can_be_redeemed(lived: Home) -> None:
    rows = data.published(lived).breakage().to_pylist()
    assert {row["reward_point_id"]: (row["method"], row["expected"]) for row in rows} == {
        "points": ("prior", 29), "treats": ("prior", 58),
    }  # fmt: skip


def test_a_what_if_gives_no_money_to_what_buys_nothing_and_adds_no_unlike_kinds(lived: Home) -> None:
    found = simulate.simulate(lived, lived.programme)
    money = {(r["reward_point_id"], r["figure"]): r["published"] for r in found["totals"] if r["figure"] == "owed"}
    assert money == {
        ("points", "owed"): Decimal("0.58"), ("treats", "owed"): Decimal("11.60"), ("status", "owed"): None,
    }  # fmt: skip
    (segment,) = found["segments"]
    assert not [name for name in segment if name.startswith("issued")]
    assert segment["worth_published"] == Decimal("12.18")  # 0.58 and 11.60
    assert simulate.html(found)


def test_an_audience_asks_for_what_can_be_spent_tomorrow(lived: Home) -> None:
    """Of two cards: 58 points, worth 0.58; of the treats 16 are left by morning, worth 1.60; 580 status buy nothing."""

    def matching(text: str) -> int:
        return audience.of(lived, text, "email").counts()["matching"]

    assert matching("customer_id = 'K'") == 1
    assert matching("points_available = 58") == 1
    assert matching("points_value = 2.18") == 1
    assert matching("points_available > 58") == 0


def test_an_audience_says_why_a_foretold_column_is_empty(lived: Home) -> None:
    warnings = audience.of(lived, "p_alive > 0.5", "email").warnings
    assert "p_alive: no lifetime value was worked out" in warnings[0]
    assert audience.of(lived, "tier = 'gold'", "email").warnings == ()
