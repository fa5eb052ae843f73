"""What is owed for points: the roll-forward by cohort, what will be redeemed, and the split of a sale's price."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from kanta import models, verify
from kanta.engine import Engine
from kanta.home import Home
from kanta.programme import Programme, Version
from kanta.programme.relations import relations
from kanta.reading import open_lake
from tests.cases import cases
from tests.loyalty.test_cases import work
from tests.loyalty.test_outlook import give

Row = dict[str, Any]
NIGHT = date(2026, 4, 30)
POINT = {"program_id": "club", "reward_point_id": "points"}


def asked(engine: Engine, name: str, day: date = NIGHT) -> list[Row]:
    rows: list[Row] = engine.arrow(models.models()[name].sql, {"business_date": day}).to_pylist()
    return rows


def worth(engine: Engine, value: str, day: date = NIGHT) -> None:
    """A programme whose points are worth so much."""
    point = {"id": "points", "type": "quantity", "redeemable": True, "value": value}
    programme = Programme.model_validate({"accounting_currency": "USD", "reward_points": [point]})
    for name, rows in relations([Version.of(programme, date(1, 1, 1))], [day]).items():
        engine.register(name, rows)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with Engine(tmp_path) as found:
        worth(found, "1")
        yield found


# ── the roll-forward ─────────────────────────────────────────────────────────────────────────────────────────────


def test_a_posting_stands_in_the_cohorts_of_its_lots_and_what_is_owed_in_a_line_of_its_own(engine: Engine) -> None:
    def entry(number: int, kind: str, points: str, day: date, **more: Any) -> Row:
        made = {"entry_id": f"E{number}", "entry_type": kind, "points": Decimal(points), "seq": day.month}
        return {**POINT, **made, "card_id": "A", "posted_date": day, "entry_date": day, "side": "issued", **more}

    january, february, march = date(2026, 1, 10), date(2026, 2, 10), date(2026, 3, 10)
    give(engine, "loyalty.entries", [
        entry(1, "earn", "100", january), entry(2, "earn", "50", february), entry(3, "redeem", "-170", march),
        entry(4, "correction", "-10", march, corrected_entry_id="E2", corrected_type="earn"),
    ])  # fmt: skip
    lot = {**POINT, "card_id": "A", "usable_from": january}
    give(engine, "loyalty.lot_postings", [
        {**lot, "lot_id": "L1", "entry_id": "E1", "earned_on": january, "posted_date": january, "seq": 1,
         "points": Decimal(100)},
        {**lot, "lot_id": "L2", "entry_id": "E2", "earned_on": february, "posted_date": february, "seq": 2,
         "points": Decimal(50)},
        {**lot, "lot_id": "L2", "entry_id": "E2", "earned_on": february, "posted_date": march, "seq": 3,
         "points": Decimal(-10)},
    ])  # fmt: skip
    taken = {"debit_entry_id": "E3", "card_id": "A", "allocated_on": march, "posted_date": march, "seq": 3}
    give(engine, "loyalty.allocations", [
        {**taken, "lot_id": "L1", "points": Decimal(100)}, {**taken, "lot_id": "L2", "points": Decimal(40)},
    ])  # fmt: skip
    worth(engine, "0.005", march)
    found = {
        (str(row["cohort"] or "owed")[:7], row["month"].month): row for row in asked(engine, "loyalty.liability", march)
    }
    figures = ("opening", "earned", "redeemed", "corrected", "closing", "closing_value")
    assert {key: [str(row[name]) for name in figures] for key, row in found.items()} == {
        ("2026-01", 1): ["0.00", "100.00", "0.00", "0.00", "100.00", "0.50"],
        ("2026-01", 2): ["100.00", "0.00", "0.00", "0.00", "100.00", "0.50"],
        ("2026-01", 3): ["100.00", "0.00", "-100.00", "0.00", "0.00", "0.00"],
        ("2026-02", 2): ["0.00", "50.00", "0.00", "0.00", "50.00", "0.25"],
        ("2026-02", 3): ["50.00", "0.00", "-40.00", "-10.00", "0.00", "0.00"],
        ("owed", 3): ["0.00", "0.00", "-30.00", "0.00", "-30.00", "-0.15"],
    }


# ── what will be redeemed ────────────────────────────────────────────────────────────────────────────────────────


def rolled(cohort: int, month: int, earned: int = 0, redeemed: int = 0, expired: int = 0) -> Row:
    moved = {"earned": Decimal(earned), "redeemed": Decimal(-redeemed), "expired": Decimal(-expired)}
    others = ("adjusted", "returned", "transferred", "refunded", "written_off", "corrected")
    return {
        **POINT, "cohort": date(2026, cohort, 1), "month": date(2026, month, 1), "value_per_point": Decimal("0.01"),
        **dict.fromkeys(others, Decimal(0)), **moved,
    }  # fmt: skip


#: Cumulative: 100, 200, 240 and 240 of 1000; 50, 120, 138; 80, 160; nothing yet.
TRIANGLE = [
    rolled(1, 1, 1000, 100), rolled(1, 2, 0, 100), rolled(1, 3, 0, 40), rolled(1, 4),
    rolled(2, 2, 600, 50), rolled(2, 3, 0, 70), rolled(2, 4, 0, 18),
    rolled(3, 3, 500, 80), rolled(3, 4, 0, 80),
    rolled(4, 4, 400),
]  # fmt: skip


def test_a_cohort_goes_on_as_those_before_it_did(engine: Engine) -> None:
    give(engine, "loyalty.liability", TRIANGLE)
    curves = {(r["cohort"].month, r["age"]): r for r in asked(engine, "loyalty.redemption_curves")}
    assert [str(curves[1, age]["factor"]) for age in (0, 1, 2)] == ["2.086956", "1.181250", "1.000000"]
    # 480 / 230 = (200 + 120 + 160) / (100 + 50 + 80); 378 / 320 = (240 + 138) / (200 + 120)
    assert [(curves[3, age]["observed"], str(curves[3, age]["redeemed"])) for age in range(4)] == [
        (True, "80.00"), (True, "160.00"), (False, "189.00"), (False, "189.00"),
    ]  # fmt: skip
    assert not [key for key in curves if key[0] == 4 and key[1] > 0 and curves[key]["redeemed"]]


def test_what_is_not_redeemed_in_the_end_is_breakage_and_the_rest_is_worth_its_value(engine: Engine) -> None:
    give(engine, "loyalty.liability", TRIANGLE)
    engine.define(
        "loyalty.redemption_curves", models.models()["loyalty.redemption_curves"].sql, {"business_date": NIGHT}
    )
    found = {row["cohort"].month: row for row in asked(engine, "loyalty.breakage")}
    figures = ("method", "ultimate", "breakage", "redemption_rate", "expected_value")
    assert {month: [str(row[name]) for name in figures] for month, row in found.items()} == {
        1: ["chain_ladder", "240.00", "760.00", "0.240000", "0.00"],
        2: ["chain_ladder", "138.00", "462.00", "0.230000", "0.00"],
        3: ["chain_ladder", "189.00", "311.00", "0.378000", "0.29"],
        # 567 of 2100 by the others
        4: ["share_of_others", "108.00", "292.00", "0.270000", "1.08"],
    }


def test_what_is_expired_can_no_longer_be_redeemed(engine: Engine) -> None:
    give(engine, "loyalty.liability", [*TRIANGLE, rolled(3, 4, expired=330)])
    engine.define(
        "loyalty.redemption_curves", models.models()["loyalty.redemption_curves"].sql, {"business_date": NIGHT}
    )
    third = next(row for row in asked(engine, "loyalty.breakage") if row["cohort"].month == 3)
    assert (third["outstanding"], third["ultimate"]) == (10, 170)


def test_a_cohort_whose_next_month_nobody_can_tell_takes_the_share_of_the_others(engine: Engine) -> None:
    """March redeemed at once, February only in its second month: from nothing there is no factor to that."""
    given = [rolled(2, 2, earned=1000), rolled(2, 3, redeemed=300), rolled(3, 3, earned=500, redeemed=50)]
    give(engine, "loyalty.liability", given)
    model = models.models()["loyalty.redemption_curves"]
    engine.define("loyalty.redemption_curves", model.sql, {"business_date": date(2026, 3, 31)})
    found = {row["cohort"].month: row for row in asked(engine, "loyalty.breakage", date(2026, 3, 31))}
    assert {month: (row["method"], row["ultimate"]) for month, row in found.items()} == {
        2: ("chain_ladder", 300),
        3: ("share_of_others", 150),  # not 50, as if nobody redeemed later than at once
    }


def test_a_month_that_is_not_over_teaches_nothing(engine: Engine) -> None:
    give(engine, "loyalty.liability", TRIANGLE)
    rows = asked(engine, "loyalty.redemption_curves", date(2026, 4, 29))
    assert max(row["age"] for row in rows if row["observed"]) == 2
    assert not [row for row in rows if row["cohort"].month == 4]


# ── the split of a sale ──────────────────────────────────────────────────────────────────────────────────────────


def split(
    engine: Engine, price: str, points: str, redeemed: str, ultimate: str, earned: str
) -> tuple[Decimal, Decimal]:
    """Deferred of the price, and recognised of that when so much of what will be is redeemed."""
    sale = {"transaction_id": "T1", "business_date": NIGHT, "currency": "USD", "net_amount": Decimal(price)}
    give(engine, "sales.transactions", [sale])
    entry = {**POINT, "entry_id": "E1", "transaction_id": "T1", "entry_type": "earn", "side": "issued"}
    give(engine, "loyalty.entries", [entry | {"points": Decimal(points)}])
    rate = (Decimal(ultimate) / Decimal(earned)).quantize(Decimal("0.000001"))
    cohort = {
        **POINT, "cohort": date(2026, 4, 1), "redeemed": Decimal(redeemed), "ultimate": Decimal(ultimate),
        "outstanding": Decimal(earned) - Decimal(redeemed), "redemption_rate": rate,
    }  # fmt: skip
    give(engine, "loyalty.breakage", [cohort])
    engine.define("loyalty.revenue_split", models.models()["loyalty.revenue_split"].sql, {"business_date": NIGHT})
    (row,) = asked(engine, "loyalty.deferred_revenue")
    return row["deferred"], row["recognised"]


def test_the_price_is_shared_as_ifrs_15_example_52_shares_it(engine: Engine) -> None:
    deferred, first = split(engine, "100000", "10000", "4500", "9500", "10000")
    assert (round(deferred), round(first)) == (8676, 4110)


def test_a_changed_estimate_is_caught_up_in_proportion_to_what_is_redeemed(engine: Engine) -> None:
    """Example 52's second year, and KPMG's 10A and 10B on a deferral of 9 000: the split stands, the estimate moved."""

    def recognised(deferred: str, redeemed: str, ultimate: str) -> int:
        give(engine, "loyalty.revenue_split", [{**POINT, "cohort": date(2026, 4, 1), "deferred": Decimal(deferred)}])
        amounts = {"redeemed": Decimal(redeemed), "ultimate": Decimal(ultimate), "outstanding": Decimal(10)}
        give(engine, "loyalty.breakage", [{**POINT, "cohort": date(2026, 4, 1), **amounts}])
        return round(asked(engine, "loyalty.deferred_revenue")[0]["recognised"])

    assert recognised("8676", "8500", "9700") - recognised("8676", "4500", "9500") == 3493
    assert 8676 - recognised("8676", "8500", "9700") == 1073
    assert recognised("9000", "4500", "9700") == 4175
    assert recognised("9000", "8500", "9900") - 4175 == 3552
    assert recognised("9000", "8500", "9200") - 4175 == 4140


def test_the_deferral_is_to_the_cent(engine: Engine) -> None:
    assert split(engine, "100000", "10000", "0", "9700", "10000")[0] == Decimal("8842.30")
    assert split(engine, "2000", "170", "0", "170", "170")[0] == Decimal("156.68")


def test_a_return_gives_back_its_part_and_corrections_count(engine: Engine) -> None:
    sales = [("T1", "2000"), ("T2", "-2000"), ("T3", "0")]
    sale = {"business_date": NIGHT, "currency": "USD"}
    give(engine, "sales.transactions", [sale | {"transaction_id": t, "net_amount": Decimal(p)} for t, p in sales])
    entries = [
        ("T1", "earn", "100"), ("T1", "correction", "70"), ("T2", "return_earned", "-170"), ("T3", "earn", "5"),
    ]  # fmt: skip
    give(engine, "loyalty.entries", [
        {**POINT, "entry_id": f"E{n}", "transaction_id": t, "entry_type": kind, "side": "issued", "points": Decimal(p),
         "corrected_type": "earn" if kind == "correction" else None}
        for n, (t, kind, p) in enumerate(entries)
    ])  # fmt: skip
    give(engine, "loyalty.breakage", [])
    rows = {row["transaction_id"]: str(row["deferred"]) for row in asked(engine, "loyalty.revenue_split")}
    assert rows == {"T1": "156.68", "T2": "-156.68"}, "a sale for nothing has no price to share"


# ── what a point is worth ────────────────────────────────────────────────────────────────────────────────────────


def test_a_point_is_worth_what_the_programme_says_else_what_paying_with_it_gives() -> None:
    pay = {
        "id": "pay",
        "type": "payment_by_amount",
        "reward_point": "points",
        "points": 300,
        "per": "1.00",
        "currency": "USD",
    }
    content = {
        "accounting_currency": "USD",
        "reward_points": [
            {"id": "points", "type": "quantity", "redeemable": True},
            {"id": "set", "type": "quantity", "redeemable": True, "value": "0.004"},
            {"id": "cash", "type": "amount", "currency": "USD"},
            {"id": "status", "type": "quantity"},
        ],
        "programs": [{"id": "club"}],
        "schemes": [{"id": "all", "program": "club", "channels": ["all"], "redemption": [pay]}],
    }
    version = Version.of(Programme.model_validate(content), NIGHT)
    table = relations([version], [NIGHT])["programme.reward_points"].to_pylist()
    assert {row["reward_point_id"]: row["value"] and str(row["value"]) for row in table} == {
        "points": "0.003333", "set": "0.004000", "cash": "1.000000", "status": None,
    }  # fmt: skip


def test_the_views_answer_over_a_published_lake(home: Home) -> None:
    work(cases("loyalty")["deficit-carry"], home, each_night=False)
    names = (
        "liability",
        "redemption_curves",
        "breakage",
        "revenue_split",
        "deferred_revenue",
        "expiring_soon",
        "tier_outlook",
    )
    engine, _ = open_lake(home, [f"loyalty.{name}" for name in names])
    with engine:
        rows = {name: engine.value(f"select count(*) from loyalty.{name}") for name in names}
    assert rows["liability"], rows
    assert [found.examples for found in verify.verify(home) if found.breaches] == []
