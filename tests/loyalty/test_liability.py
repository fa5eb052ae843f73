"""What is owed for points: the roll-forward by cohort, what will be redeemed, and the split of a sale's price."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from kanta import models, verify
from kanta.engine import Engine
from kanta.home import Home
from kanta.programme import Programme, Version
from kanta.programme.relations import relations
from kanta.reading import open_lake
from tests.cases import cases
from tests.loyalty.test_cases import table, work
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


def month(number: int) -> date:
    """The first day of a month, counted from January 2025."""
    return date(2025 + (number - 1) // 12, (number - 1) % 12 + 1, 1)


def rolled(cohort: int, at: int, earned: str = "0", redeemed: str = "0", expired: str = "0", **more: Any) -> Row:
    moved = {"earned": Decimal(earned), "redeemed": -Decimal(redeemed), "expired": -Decimal(expired)}
    others = ("adjusted", "returned", "transferred", "refunded", "written_off", "corrected")
    return {
        **POINT, "cohort": month(cohort), "month": month(at), "value_per_point": Decimal("0.01"),
        **dict.fromkeys(others, Decimal(0)), **moved, **more,
    }  # fmt: skip


def lived(rows: list[Row], months: int | None) -> list[Row]:
    """A lot for each cohort and kind of point, from its first day on, that expires so many months later."""
    return [
        {
            "lot_id": f"{point} {cohort}", "seq": 1, "program_id": "club", "reward_point_id": point,
            "earned_on": cohort, "usable_from": cohort, "points": Decimal(1),
            "expires_on": None if months is None else month((cohort.year - 2025) * 12 + cohort.month + months),
        }
        for point, cohort in sorted({(row["reward_point_id"], row["cohort"]) for row in rows})
    ]  # fmt: skip


def foretold(
    engine: Engine, rows: list[Row], day: date, months: int | None = 12, name: str = "loyalty.breakage"
) -> dict[date, Row]:
    """What is estimated of each cohort, when the month of ``day`` is over."""
    give(engine, "loyalty.liability", rows)
    give(engine, "loyalty.lot_postings", lived(rows, months))
    last = date(day.year + day.month // 12, day.month % 12 + 1, 1) - timedelta(days=1)
    for step in ("loyalty._cohort_lives", "loyalty.redemption_curves", "loyalty._redemption_estimates"):
        engine.define(step, models.models()[step].sql, {"business_date": last})
    return {row["cohort"]: row for row in asked(engine, name, last)}


def programme(engine: Engine, prior: str | None = None, redeemable: bool = True) -> None:
    points = [{"id": "points", "type": "quantity", "redeemable": redeemable, "value": "0.01"}]
    content = {"accounting_currency": "USD", "reward_points": points}
    if prior:
        content["liability"] = {"ultimate_redemption": prior}
    days = [month(number) - timedelta(days=1) for number in range(2, 60)]
    for name, rows in relations([Version.of(Programme.model_validate(content), date(1, 1, 1))], days).items():
        engine.register(name, rows)


#: Three cohorts that ended at 62, 58 and 60 % after twelve months, of which one redeemed late.
OLDER = [
    rolled(1, 1, "1000", "100"), rolled(1, 12, "0", "520"), rolled(1, 14, expired="380"),
    rolled(2, 2, "1000", "0"), rolled(2, 3, "0", "580"), rolled(2, 15, expired="420"),
    rolled(3, 3, "1000", "600"), rolled(3, 16, expired="400"),
]  # fmt: skip
YOUNG = [rolled(16, 16, "1000", "100"), rolled(16, 17, redeemed="150"), rolled(16, 18, redeemed="50")]


def figures(row: Row, *names: str) -> list[Any]:
    return [str(row[name]) if isinstance(row[name], Decimal) else row[name] for name in names]


def test_without_older_cohorts_all_that_is_held_will_be_redeemed(engine: Engine) -> None:
    """2 of 12 months seen, 30 % redeemed: 700 are expected, however little came in the last month."""
    programme(engine)
    row = foretold(engine, YOUNG, month(18))[month(16)]
    assert figures(
        row, "method", "older_cohorts", "months_seen", "months_of_life", "ultimate", "ultimate_low", "ultimate_high",
        "breakage", "redemption_rate", "expected_value",
    ) == ["no_evidence", 0, 2, 12, "1000.00", "300.00", "1000.00", "0.00", "1.000000", "7.00"]  # fmt: skip


def test_older_cohorts_that_have_ended_say_what_will_be_redeemed(engine: Engine) -> None:
    """62, 58 and 60 % make 60 % of the points; of that 30 % is redeemed already."""
    programme(engine)
    row = foretold(engine, [*OLDER, *YOUNG], month(18))[month(16)]
    assert figures(row, "method", "older_cohorts", "ultimate", "breakage", "redemption_rate", "expected_value") == [
        "share_of_older", 3, "600.00", "400.00", "0.600000", "3.00",
    ]  # fmt: skip
    # 300 and nothing more, as the second and third went on from their second month; 300 + 700 x 520 / 900 as the first
    assert figures(row, "ultimate_low", "ultimate_high") == ["300.00", "704.44"]


def test_the_share_counts_points_not_cohorts_and_is_rounded_half_up(engine: Engine) -> None:
    programme(engine)
    older = [rolled(1, 1, "3000", "1000"), rolled(1, 14, expired="2000"), rolled(2, 2, "1", "1")]
    row = foretold(engine, [*older, rolled(16, 16, "100.01", "0")], month(18))[month(16)]
    assert str(row["ultimate"]) == "33.36"  # 100.01 x 1001 / 3001 = 33.3589…, not 66.67


@pytest.mark.parametrize("months", [12, None])
def test_where_older_cohorts_have_not_lived_through_it_the_rest_counts_in_full(
    engine: Engine, months: int | None
) -> None:
    """Six of twelve months seen of the oldest, and for ever of those that never expire: no breakage."""
    programme(engine)
    rows = [rolled(1, 1, "1000", "100"), rolled(1, 3, expired="50"), rolled(4, 4, "500", "50")]
    found = foretold(engine, rows, month(7), months)
    assert {row["method"] for row in found.values()} == {"no_evidence"}
    assert [str(found[month(cohort)]["ultimate"]) for cohort in (1, 4)] == ["950.00", "500.00"]


def test_points_that_live_longer_than_the_older_ones_did_have_no_evidence(engine: Engine) -> None:
    programme(engine)
    rows = [*OLDER, *YOUNG]
    foretold(engine, rows, month(18))
    lots = lived(OLDER, 12) + lived(YOUNG, 24)
    give(engine, "loyalty.lot_postings", lots)
    day = month(19) - timedelta(days=1)
    for step in ("loyalty._cohort_lives", "loyalty._redemption_estimates"):
        engine.define(step, models.models()[step].sql, {"business_date": day})
    row = next(row for row in asked(engine, "loyalty.breakage", day) if row["cohort"] == month(16))
    assert figures(row, "method", "months_of_life", "ultimate") == ["no_evidence", 24, "1000.00"]


def test_a_cohort_is_taught_by_older_ones_only(engine: Engine) -> None:
    """The older of two is not told by the younger, though that is over: it lived a month, the older will a year."""
    programme(engine)
    foretold(engine, [rolled(1, 1, "1000", "10"), rolled(2, 2, "1000", "900"), rolled(2, 4, expired="100")], month(5))
    lots = lived([rolled(1, 1)], 12) + lived([rolled(2, 2)], 1)
    give(engine, "loyalty.lot_postings", lots)
    day = month(6) - timedelta(days=1)
    for step in ("loyalty._cohort_lives", "loyalty._redemption_estimates"):
        engine.define(step, models.models()[step].sql, {"business_date": day})
    found = {row["cohort"]: figures(row, "method", "ultimate") for row in asked(engine, "loyalty.breakage", day)}
    assert found == {month(1): ["no_evidence", "1000.00"], month(2): ["ended", "900.00"]}


def test_what_has_expired_or_been_redeemed_in_whole_is_known_and_not_estimated(engine: Engine) -> None:
    programme(engine)
    found = foretold(engine, [*OLDER, *YOUNG, rolled(17, 17, "40", "40")], month(18))
    ended = {cohort: figures(row, "method", "ultimate", "expected_value") for cohort, row in found.items()}
    assert ended == {
        month(1): ["ended", "620.00", "0.00"], month(2): ["ended", "580.00", "0.00"],
        month(3): ["ended", "600.00", "0.00"], month(16): ["share_of_older", "600.00", "3.00"],
        month(17): ["ended", "40.00", "0.00"],
    }  # fmt: skip


def test_a_cohort_that_has_redeemed_more_than_older_ones_ever_did_still_goes_on(engine: Engine) -> None:
    """65 % after two months where the others ended at 60: as they did, 520 of the 2400 they had left then come."""
    programme(engine)
    row = foretold(engine, [*OLDER, rolled(16, 16, "1000", "650")], month(18))[month(16)]
    # left after two months: 900, 420 and 400; of these 1720 came 520: 350 x 520 / 1720 = 105.81
    assert figures(row, "method", "ultimate", "expected_value") == ["pace_of_older", "755.81", "1.06"]


def test_the_programme_may_say_what_to_expect_where_there_is_no_evidence(engine: Engine) -> None:
    programme(engine, prior="0.85")
    found = foretold(engine, [*YOUNG, rolled(17, 17, "99.99", "90")], month(18))
    assert figures(found[month(16)], "method", "ultimate", "ultimate_low", "ultimate_high", "expected_value") == [
        "prior", "850.00", "300.00", "1000.00", "5.50",
    ]  # fmt: skip
    assert str(found[month(17)]["ultimate"]) == "90.00"  # never less than is redeemed: 84.99
    assert foretold(engine, [*OLDER, *YOUNG], month(18))[month(16)]["method"] == "share_of_older", "evidence goes first"
    assert str(foretold(engine, YOUNG, month(18), None)[month(16)]["ultimate"]) == "850.00", "also where none expire"


def test_an_estimate_is_never_more_than_is_held_nor_less_than_is_redeemed(engine: Engine) -> None:
    programme(engine)
    gone = [*OLDER, *YOUNG, rolled(16, 18, expired="650")]
    row = foretold(engine, gone, month(18))[month(16)]
    assert figures(row, "method", "outstanding", "ultimate", "ultimate_high") == [
        "share_of_older", "50.00", "350.00", "350.00",
    ]  # fmt: skip


def test_a_month_that_is_not_over_teaches_nothing(engine: Engine) -> None:
    programme(engine)
    foretold(engine, OLDER, month(13))
    late = month(14) - timedelta(days=2)
    ages = [row["age"] for row in asked(engine, "loyalty.redemption_curves", late) if row["cohort"] == month(1)]
    assert max(ages) == 11
    rows = [*OLDER[:2], *OLDER[3:5], rolled(13, 13, "1000", "0")]
    found = foretold(engine, rows, month(13))
    assert found[month(13)]["method"] == "share_of_older"  # the first has lived through its year on the last day
    assert found[month(13)]["older_cohorts"] == 1


def test_points_that_cannot_be_redeemed_have_no_estimate_and_no_worth(engine: Engine) -> None:
    programme(engine, prior="0.85", redeemable=False)
    row = foretold(engine, YOUNG, month(18))[month(16)]
    empty = ("method", "older_cohorts", "ultimate", "ultimate_low", "ultimate_high", "breakage", "redemption_rate")
    assert figures(row, *empty) == [None] * len(empty)
    assert figures(row, "earned", "redeemed", "outstanding", "expected_value") == ["1000.00", "300.00", "700.00", None]


def test_last_years_estimate_stands_beside_what_came(engine: Engine) -> None:
    """At the end of month 18 the 16th was expected at 60 %; two years later it is known to have ended at 71 %."""
    programme(engine)
    later = [rolled(16, 20, redeemed="410"), rolled(16, 29, expired="290"), rolled(20, 20, "100", "10")]
    found = foretold(engine, [*OLDER, *YOUNG, *later], month(30), name="loyalty.breakage_backtest")
    assert list(found) == [month(16)], "the older had ended, the 20th was not there"
    assert figures(
        found[month(16)], "estimated_on", "method", "months_seen", "held_then", "expected_then", "redeemed_since",
        "held_now", "difference",
    ) == [
        month(19) - timedelta(days=1), "share_of_older", 2, "700.00", "300.00", "410.00", "0.00", "110.00",
    ]  # fmt: skip
    assert foretold(engine, YOUNG, month(18), name="loyalty.breakage_backtest") == {}, "a year ago there was nothing"


def test_the_share_is_read_from_the_programme() -> None:
    for wrong in ("0", "1.01", "-0.5", "0.1234567"):
        with pytest.raises(ValidationError):
            Programme.model_validate({"accounting_currency": "USD", "liability": {"ultimate_redemption": wrong}})


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
        "breakage_backtest",
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


@pytest.mark.slow
def test_what_was_taken_of_a_lot_that_became_another_kind_is_of_the_kind_it_was_taken_in(home: Home) -> None:
    """Head office corrects the reward point of two adjustments, and debits take from the lots as they are now."""

    def adjusted(identifier: str, card: str, points: str, day: str, kind: str) -> dict[str, str]:
        row = {"adjustment_id": identifier, "card_id": card, "points": points, "date": day}
        return row | {"reward_point_id": kind}

    first = [adjusted("J1", "E", "10.00", "2026-01-04", "points"), adjusted("J3", "F", "10.00", "2026-01-04", "status")]
    then = [
        adjusted("J1", "E", "10.00", "2026-01-04", "status"), adjusted("J3", "F", "10.00", "2026-01-04", "points"),
        adjusted("J2", "E", "-4.00", "2026-01-05", "status"), adjusted("J4", "F", "-4.00", "2026-01-05", "points"),
    ]  # fmt: skip
    landing = {
        "hq/2026-01-05/hq": {"loyalty_cards": [{"card_id": "E"}, {"card_id": "F"}], "loyalty_adjustments": first},
        "hq/2026-01-06/hq": {"loyalty_adjustments": then},
    }
    worked = {"base": "club", "programme": {}, "landing": landing, "through": "2026-01-06"}
    work(worked, home, each_night=True)
    assert [
        (result.about[:30], result.examples) for result in verify.verify(home, everything=True) if result.breaches
    ] == []
    left = {(row["reward_point_id"], row["cohort"]): row["closing"] for row in table(home, "loyalty.liability")}
    assert {key: closing for key, closing in left.items() if closing} == {
        ("points", date(2026, 1, 1)): 6, ("status", date(2026, 1, 1)): 6,
    }  # fmt: skip
