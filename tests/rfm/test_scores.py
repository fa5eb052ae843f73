"""What counts, for whom, in which currency and since when; and what the tables beside the scores say."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from tests.rfm.conftest import Rehearsal, Row, sale

AS_OF = date(2026, 1, 31)
D = Decimal


def january(day: int) -> date:
    return date(2026, 1, day)


def test_nothing_due_does_nothing(night: Rehearsal) -> None:
    night.facts([sale("K1", january(3), "10.00")])
    night.score([{"schedule": "monthly"}], january(30))
    night.score([{"active": False}], AS_OF)
    assert night.puts == []


def test_a_monthly_definition_runs_on_the_last_day_of_each_month_of_the_range(night: Rehearsal) -> None:
    night.facts([sale("K1", january(3), "10.00")])
    night.score([{"schedule": "monthly"}], january(30), AS_OF, date(2026, 2, 1), date(2026, 2, 28))
    assert night.scores("as_of", "recency") == [(AS_OF, 28), (date(2026, 2, 28), 56)]


def test_without_customers_every_segment_is_empty_and_nothing_else_is_said(night: Rehearsal) -> None:
    night.facts([sale(None, january(3), "10.00"), sale("K1", january(4), "-5.00")])
    night.score([{"binning": "quantile"}], AS_OF)
    assert night.puts == ["rfm.scores", "rfm.thresholds", "rfm.segments", "rfm.migrations", "rfm.cohorts"]
    assert night.rows("rfm.scores") == []
    assert night.rows("rfm.thresholds") == []
    assert night.engine.rows("select count(*), sum(customers), count(share) from rfm.segments") == [(11, 0, 0)]


@pytest.mark.parametrize(("binning", "scores"), [("midrank", (3, 3, 3)), ("even", (1, 1, 1)), ("quantile", (1, 5, 5))])
def test_one_customer_alone_is_scored(night: Rehearsal, binning: str, scores: tuple[int, ...]) -> None:
    # quantile: every cut is the value itself, and reached; more days are worse, so recency is 1.
    night.facts([sale("K1", january(3), "10.00")])
    night.score([{"binning": binning}], AS_OF)
    assert night.scores("r", "f", "m") == [scores]


def test_all_equal_share_the_middle_by_midrank_and_are_cut_apart_by_even(night: Rehearsal) -> None:
    night.facts(sale(f"K{number:03}", january(3), "10.00") for number in range(100))
    night.score([{"id": "even", "binning": "even"}, {"id": "midrank"}], AS_OF)
    counted = "select r, f, m, count(*) from rfm.scores where definition = '{}' group by all order by all"
    assert night.engine.rows(counted.format("midrank")) == [(3, 3, 3, 100)]
    assert night.engine.rows(counted.format("even")) == [(score, score, score, 20) for score in range(1, 6)]
    assert night.scores("customer_id", where="definition = 'even' and r = 1") == [(f"K{n:03}",) for n in range(20)]


def test_fewer_customers_than_divisions_leave_the_best_even_scores_empty(night: Rehearsal) -> None:
    night.facts([sale("K1", january(3), "10.00"), sale("K2", january(3), "20.00")])
    night.score([{"binning": "even"}], AS_OF)
    assert night.scores("m") == [(1,), (2,)]


def test_a_collapsed_score_is_listed_without_customers(night: Rehearsal) -> None:
    night.facts(sale(f"K{number}", january(number), f"{number}.00") for number in range(1, 6))
    night.score([{"binning": "quantile"}], AS_OF)
    found = night.engine.rows(
        "select score, at_least, below, lowest, highest, customers from rfm.thresholds"
        " where measure = 'frequency' order by score"
    )
    assert found == [
        (1, None, D(1), None, None, 0),
        (2, D(1), D(1), None, None, 0),
        (3, D(1), D(1), None, None, 0),
        (4, D(1), D(1), None, None, 0),
        (5, D(1), None, D(1), D(1), 5),
    ]


def test_thirds_of_a_cent_decide_exactly(night: Rehearsal) -> None:
    # Cuts of three at (n - 1) k / 3 = 1/3 and 2/3 of the way from 10.00 to 10.01: 10.003333 and 10.006667.
    night.facts([sale("K1", january(3), "10.00"), sale("K2", january(3), "10.01")])
    night.score([{"binning": "quantile", "divisions": {"monetary": 3}}], AS_OF)
    assert night.scores("m") == [(1,), (3,)]
    found = night.engine.rows("select at_least from rfm.thresholds where measure = 'monetary' order by score")
    assert found == [(None,), (D("10.003333"),), (D("10.006667"),)]


def test_groups_of_higher_priority_have_their_own_thresholds(night: Rehearsal) -> None:
    night.facts(
        [
            sale("A", january(30), "1.00"),
            sale("B", january(30), "2.00"),
            sale("C", january(2), "3.00"),
            sale("D", january(2), "4.00"),
        ]
    )
    two = {"recency": 2, "frequency": 2, "monetary": 2}
    night.score([{"divisions": two, "priority": {"recency": "high", "monetary": "medium"}}], AS_OF)
    assert night.scores("customer_id", "r", "f", "m") == [
        ("A", 2, 2, 1),
        ("B", 2, 2, 2),
        ("C", 1, 2, 1),
        ("D", 1, 2, 2),
    ]
    found = night.engine.rows(
        "select measure, within, score, lowest, customers from rfm.thresholds where customers > 0 order by all"
    )
    assert found == [
        ("frequency", "R1 M1", 2, D(1), 1),
        ("frequency", "R1 M2", 2, D(1), 1),
        ("frequency", "R2 M1", 2, D(1), 1),
        ("frequency", "R2 M2", 2, D(1), 1),
        ("monetary", "R1", 1, D(3), 1),
        ("monetary", "R1", 2, D(4), 1),
        ("monetary", "R2", 1, D(1), 1),
        ("monetary", "R2", 2, D(2), 1),
        ("recency", "", 1, D(29), 2),
        ("recency", "", 2, D(1), 2),
    ]


def test_returns_above_purchases_give_a_negative_total_and_the_lowest_score(night: Rehearsal) -> None:
    night.facts([sale("K1", january(3), "10.00"), sale("K1", january(9), "-25.01"), sale("K2", january(3), "0.00")])
    night.score([{}], AS_OF)
    assert night.scores("customer_id", "last_purchase_on", "frequency", "monetary_total", "monetary_average", "m") == [
        ("K1", january(3), 1, D("-15.01"), D("-15.01"), 2),
        ("K2", january(3), 1, D("0.00"), D("0.00"), 4),
    ]


def test_an_average_is_rounded_half_up_away_from_nothing(night: Rehearsal) -> None:
    night.facts(
        [
            sale("K1", january(3), "0.01"),
            sale("K1", january(4), "0.02"),
            sale("K2", january(3), "0.00"),
            sale("K2", january(3), "0.00"),
            sale("K2", january(9), "-0.03"),
        ]
    )
    night.score([{}], AS_OF)
    assert night.scores("customer_id", "monetary_average") == [("K1", D("0.02")), ("K2", D("-0.02"))]


def test_exchanges_and_orders_are_purchases(night: Rehearsal) -> None:
    night.facts(
        [
            sale("K1", january(3), "-2.00", type="exchange"),
            sale("K1", january(4), "9.00", channel_id="CC1", channel_kind="call_center"),
        ]
    )
    night.score([{}], AS_OF)
    assert night.scores("frequency", "last_purchase_on", "monetary_total") == [(2, january(4), D("7.00"))]


def test_charges_and_tax_are_in_the_gross_amount(night: Rehearsal) -> None:
    night.facts([sale("K1", january(3), "10.00", tax_amount=D("1.00"), charges_amount=D("0.50"))])
    night.score([{"id": "gross", "amount": "gross"}, {"id": "net"}], AS_OF)
    assert night.scores("definition", "monetary_total") == [("gross", D("11.50")), ("net", D("10.00"))]


def test_both_ends_of_the_period_are_in_and_recency_counts_to_the_run(night: Rehearsal) -> None:
    night.facts(
        [
            sale("K1", january(5), "1.00"),
            sale("K2", january(10), "1.00"),
            sale("K3", january(4), "1.00"),
            sale("K4", january(11), "1.00"),
        ]
    )
    night.score([{"period": {"start": "2026-01-05", "end": "2026-01-10"}}], AS_OF)
    assert night.scores("customer_id", "recency") == [("K1", 26), ("K2", 21)]


def test_a_fact_that_came_after_the_date_does_not_count_on_it(night: Rehearsal) -> None:
    night.facts([sale("K1", january(3), "1.00"), sale("K2", january(3), "1.00", posted_date=january(6))])
    night.score([{}], january(5), january(6))
    assert night.scores("as_of", "customer_id") == [
        (january(5), "K1"),
        (january(6), "K1"),
        (january(6), "K2"),
    ]


def test_a_purchase_of_a_clock_in_the_future_counts_from_its_day(night: Rehearsal) -> None:
    ahead, seen = date(2026, 2, 20), {"posted_date": january(3)}
    both = [sale("K1", ahead, "99.00", **seen), sale("K2", ahead, "5.00", **seen)]
    night.facts([sale("K1", january(3), "10.00"), *both])
    night.score([{}], AS_OF, date(2026, 2, 28))
    assert night.scores("as_of", "customer_id", "recency", "frequency", "monetary_total") == [
        (AS_OF, "K1", 28, 1, D("10.00")),
        (date(2026, 2, 28), "K1", 8, 2, D("109.00")),
        (date(2026, 2, 28), "K2", 8, 1, D("5.00")),
    ]


def test_a_range_in_one_pass_gives_what_night_after_night_gives(night: Rehearsal) -> None:
    rows = [
        sale(f"K{n % 7}", january(n), f"{n * n % 23}.00", posted_date=january(min(n + n % 3, 31))) for n in range(1, 29)
    ]
    definitions: list[Row] = [
        {"id": "a"},
        {"id": "b", "schedule": "monthly", "binning": "quantile"},
        {"id": "c", "channels": ["S2"]},
    ]
    days = [january(day) for day in range(27, 32)]
    tables = ("rfm.scores", "rfm.thresholds", "rfm.segments")
    night.facts(rows)
    for day in days:
        night.score(definitions, day)
    one_by_one = [night.rows(table) for table in tables]
    night.score(definitions, *days)
    assert [night.rows(table) for table in tables] == one_by_one
    assert {row["definition"] for row in one_by_one[0]} == {"a", "b"}


def test_the_customer_of_a_card_is_its_customer_on_that_day(night: Rehearsal) -> None:
    night.facts(
        [
            sale(None, january(3), "1.00", loyalty_card_id="C1"),
            sale(None, january(8), "2.00", loyalty_card_id="C1"),
            sale("K3", january(8), "4.00", loyalty_card_id="C1"),
            sale(None, january(8), "8.00", loyalty_card_id="C2"),
        ],
        cards=[
            {"card_id": "C1", "customer_id": "K1", "program_id": "club", "valid_to": january(5)},
            {"card_id": "C1", "customer_id": "K2", "program_id": "club", "valid_from": january(6)},
            {"card_id": "C1", "customer_id": "K2", "program_id": "coffee", "valid_from": january(6)},
            {"card_id": "C2", "customer_id": None, "program_id": "club"},
        ],
    )
    night.score([{}], AS_OF)
    assert night.scores("customer_id", "monetary_total") == [("K1", D(1)), ("K2", D(2)), ("K3", D(4))]


@pytest.mark.parametrize(
    ("channels", "customers"),
    [
        (["all"], ["IN_CC1", "IN_S1", "IN_S2", "IN_S9"]),
        (["S2"], ["IN_S2"]),
        (["S9"], []),
        (["/EU/FI"], ["IN_CC1", "IN_S1"]),
        (["/EU/F"], []),
        (["/EU", "S1", "/EU/FI"], ["IN_CC1", "IN_S1", "IN_S2"]),
    ],
)
def test_channels_are_all_or_ids_or_org_paths_and_no_purchase_counts_twice(
    night: Rehearsal, channels: list[str], customers: list[str]
) -> None:
    night.facts(sale(f"IN_{channel}", january(3), "1.00", channel_id=channel) for channel in ("S1", "S2", "S9", "CC1"))
    night.score([{"channels": channels}], AS_OF)
    assert night.scores("customer_id", "frequency") == [(customer, 1) for customer in customers]


def test_each_amount_is_converted_at_the_newest_rate_of_its_day_and_rounded_on_its_own(night: Rehearsal) -> None:
    def rate(day: date, text: str, **other: Any) -> dict[str, Any]:
        return {"from_currency": "EUR", "to_currency": "USD", "date": day, "rate": D(text), **other}

    night.facts(
        [
            sale("K1", january(7), "0.10", currency="EUR"),
            sale("K1", january(8), "0.10", currency="EUR"),
            sale("K2", january(12), "1.00", currency="EUR"),
            sale("K3", january(12), "-1.00", currency="USD"),
            sale("K3", january(12), "1.00", type="exchange", currency="USD"),
        ],
        rates=[
            rate(january(1), "9.00000000"),
            rate(january(7), "1.15000000"),  # 0.115 twice: 0.12 + 0.12, not 0.23
            rate(january(10), "3.00000000", valid_to=january(11)),
            rate(january(10), "1.25000000", valid_from=january(12)),  # a correction, seen from the 12th on
            rate(january(13), "9.00000000"),
            {"from_currency": "USD", "to_currency": "EUR", "date": january(1), "rate": D("9")},
        ],
    )
    night.score([{}], AS_OF)
    assert night.scores("customer_id", "monetary_total") == [("K1", D("0.24")), ("K2", D("1.25")), ("K3", D("0.00"))]


def test_an_amount_without_a_rate_is_left_out_and_counted_but_its_purchase_counts(night: Rehearsal) -> None:
    night.facts(
        [
            sale("K1", january(3), "10.00"),
            sale("K1", january(9), "500.00", currency="SEK"),
            sale("K1", january(10), "-100.00", currency="SEK"),
            sale("K2", january(3), "5.00", currency="SEK"),
        ]
    )
    night.score([{}], AS_OF)
    assert night.scores("customer_id", "last_purchase_on", "frequency", "monetary_total", "monetary_average") == [
        ("K1", january(9), 2, D("10.00"), D("10.00")),
        ("K2", january(3), 1, D("0.00"), D("0.00")),
    ]
    assert night.engine.rows("select sum(without_rate) from rfm.segments") == [(3,)]


def test_segments_count_and_sum_their_customers_with_exact_medians(night: Rehearsal) -> None:
    everyone = [{"segment": "Known"}]
    night.facts(
        [
            sale("K1", january(1), "1.00"),
            sale("K1", january(2), "1.00"),
            sale("K2", january(5), "2.01"),
            sale("K3", january(20), "4.00"),
            sale("K4", january(21), "8.00"),
            sale("K4", january(21), "1.00"),
        ]
    )
    night.score([{"segments": everyone, "frequency_counts": "days"}], AS_OF)
    (found,) = night.rows("rfm.segments")
    assert found == {
        "definition": "r",
        "as_of": AS_OF,
        "segment": "Known",
        "customers": 4,
        "share": D(1),
        "purchases": 6,
        "revenue": D("17.01"),
        "median_recency": D("18.50"),
        "median_frequency": D("1.00"),
        "median_monetary": D("3.01"),  # halfway from 2.01 to 4.00 is 3.005
        "previous_as_of": None,
        "customers_change": None,
        "without_rate": 0,
    }


def test_the_change_is_against_the_date_before_of_the_same_definition_also_of_an_earlier_run(night: Rehearsal) -> None:
    best = {"recency": 2, "frequency": 2, "monetary": 2}
    definitions: list[Row] = [
        {
            "id": "daily",
            "divisions": best,
            "segments": [{"segment": "Lately", "recency": [5, 5]}, {"segment": "Before"}],
        },
        {"id": "monthly", "schedule": "monthly", "segments": [{"segment": "All"}]},
    ]
    night.facts([sale("K1", january(2), "1.00"), sale("K2", january(29), "1.00"), sale("K3", january(31), "1.00")])
    night.score(definitions, january(29))
    night.score(definitions, january(30), january(31))
    assert night.engine.rows(
        "select definition, as_of, segment, customers, previous_as_of, customers_change from rfm.segments order by all"
    ) == [
        ("daily", january(29), "Before", 1, None, None),
        ("daily", january(29), "Lately", 1, None, None),
        ("daily", january(30), "Before", 1, january(29), 0),
        ("daily", january(30), "Lately", 1, january(29), 0),
        ("daily", january(31), "Before", 1, january(30), 0),
        ("daily", january(31), "Lately", 2, january(30), 1),
        ("monthly", january(31), "All", 3, None, None),
    ]


def test_each_date_is_scored_by_the_programme_in_force_on_it(night: Rehearsal) -> None:
    night.facts([sale("K1", january(3), "1.00"), sale("K1", january(4), "1.00", channel_id="S2")])
    before = {"channels": ["S1"], "segments": [{"segment": "Old"}]}
    night.score([before], january(30), AS_OF, changed=(AS_OF, [{"composite": "sum", "segments": [{"segment": "New"}]}]))
    assert night.scores("as_of", "frequency", "composite", "segment") == [
        (january(30), 1, 333, "Old"),
        (AS_OF, 2, 9, "New"),
    ]
    assert night.engine.rows("select as_of, segment from rfm.segments order by all") == [
        (january(30), "Old"),
        (AS_OF, "New"),
    ]


def test_scores_of_5_3_5_are_535_or_13_and_18_where_recency_counts_twice(night: Rehearsal) -> None:
    steps = {"recency": [10, 20, 30, 40], "frequency": [2, 3, 4, 5], "monetary": [10, 20, 30, 40]}
    fixed = {"binning": "fixed", "cuts": steps}
    doubled = {"recency": 2, "frequency": 1, "monetary": 1}
    night.facts(sale("K1", january(29), "40.00") for _ in range(3))
    night.score(
        [
            {"id": "digits", **fixed},
            {"id": "sum", "composite": "sum", **fixed},
            {"id": "twice", "composite": "sum", "multiplier": doubled, **fixed},
        ],
        AS_OF,
    )
    assert night.scores("definition", "r", "f", "m", "composite") == [
        ("digits", 5, 3, 5, 535),
        ("sum", 5, 3, 5, 13),
        ("twice", 5, 3, 5, 18),
    ]
