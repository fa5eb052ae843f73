"""rfm.history and rfm.cohorts: orders as they were counted, and who came back."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from tests.rfm.conftest import Rehearsal, Row, sale

JANUARY, FEBRUARY, MARCH, APRIL = date(2026, 1, 31), date(2026, 2, 28), date(2026, 3, 31), date(2026, 4, 30)
MONTHLY: Row = {"schedule": "monthly"}


def kept(night: Rehearsal) -> list[tuple[object, ...]]:
    return night.engine.rows("select definition, as_of, transaction_id, counted_amount from rfm.history order by all")


def orders() -> list[Row]:
    return [
        sale("K1", date(2026, 1, 5), "10.00"),
        sale("K1", date(2026, 2, 5), "20.00", tax_amount=Decimal("2.00")),
        sale("K2", date(2026, 1, 7), "5.00", posted_date=date(2026, 2, 2)),  # came late
        sale(None, date(2026, 2, 6), "9.00"),  # nobody's
        sale("K2", date(2026, 3, 9), "-3.00"),
    ]


def test_each_order_stands_under_the_date_that_first_took_it_in(night: Rehearsal) -> None:
    night.facts(orders())
    night.score([{**MONTHLY, "history_months": 12, "amount": "gross"}], JANUARY, FEBRUARY, MARCH)
    whole = kept(night)
    assert whole == [
        ("r", JANUARY, "T1", Decimal("10.00")),
        ("r", FEBRUARY, "T2", Decimal("22.00")),
        ("r", FEBRUARY, "T3", Decimal("5.00")),
        ("r", MARCH, "T5", Decimal("-3.00")),
    ]
    night.score([{**MONTHLY, "history_months": 12, "amount": "gross"}], FEBRUARY)
    assert kept(night) == whole, "again changes nothing"


def test_nights_one_by_one_keep_what_one_run_keeps(night: Rehearsal) -> None:
    night.facts(orders())
    definitions = [{**MONTHLY, "history_months": 1}, {**MONTHLY, "id": "long", "history_months": 24}]
    night.score(definitions, JANUARY, FEBRUARY, MARCH)
    at_once = kept(night)
    night.score([{**row, "history_months": 0} for row in definitions], MARCH)
    assert kept(night) == [], "0 months: nothing is kept"
    for day in (JANUARY, FEBRUARY, MARCH):
        night.score(definitions, day)
    assert kept(night) == at_once
    # a month back from 31 March is 28 February, which still counts
    assert {row[1] for row in at_once if row[0] == "r"} == {FEBRUARY, MARCH}
    assert {row[1] for row in at_once if row[0] == "long"} == {JANUARY, FEBRUARY, MARCH}


def test_without_the_option_nothing_is_kept(night: Rehearsal) -> None:
    night.facts(orders())
    night.score([MONTHLY], JANUARY)
    assert "rfm.history" not in night.puts


def cohorts(night: Rehearsal, where: str = "true") -> list[tuple[object, ...]]:
    return night.engine.rows(
        "select cohort_month, month_no, cohort_customers, customers, purchases, revenue from rfm.cohorts"
        f" where {where} order by as_of, cohort_month, month_no"
    )


def test_cohorts_are_by_first_purchase_and_count_who_came_back(night: Rehearsal) -> None:
    night.facts(
        [
            sale("K1", date(2026, 1, 5), "10.00"), sale("K1", date(2026, 1, 9), "10.00"),
            sale("K2", date(2026, 1, 6), "7.00"), sale("K1", date(2026, 3, 1), "4.00"),
            sale("K3", date(2026, 3, 2), "8.00"), sale("K2", date(2026, 3, 3), "-2.00"),
        ]
    )  # fmt: skip
    first, third = date(2026, 1, 1), date(2026, 3, 1)
    night.score([{**MONTHLY, "period": {"rolling": 1, "unit": "month"}}], JANUARY, FEBRUARY, MARCH)
    assert cohorts(night, "as_of = date '2026-03-31'") == [
        (first, 0, 2, 2, 3, Decimal("27.00")),
        (first, 1, 2, 0, 0, Decimal("0.00")),  # nobody came back
        (first, 2, 2, 1, 1, Decimal("2.00")),  # K1 bought for 4, K2 gave 2 back and bought nothing
        (third, 0, 1, 1, 1, Decimal("8.00")),
    ]
    shares = night.engine.rows("select distinct retention from rfm.cohorts where as_of = date '2026-03-31' order by 1")
    assert shares == [
        (Decimal("0.000000"),), (Decimal("0.500000"),), (Decimal("1.000000"),)
    ]  # fmt: skip
    at_once = cohorts(night)
    night.score([{**MONTHLY, "period": {"rolling": 1, "unit": "month"}}], MARCH)
    assert cohorts(night) == at_once


def test_a_cohort_is_followed_beyond_the_sixty_months_that_one_number_holds(night: Rehearsal) -> None:
    bought = [date(2015, 12, 31), date(2021, 1, 31), date(2021, 2, 1), date(2026, 1, 5)]
    night.facts([sale("K1", date(2015, 11, 30), "-5.00"), *(sale("K1", day, "1.00") for day in bought)])
    night.score([MONTHLY], JANUARY)
    assert cohorts(night, "customers > 0 or purchases > 0 or revenue <> 0") == [
        (date(2015, 12, 1), month_no, 1, 1, 1, Decimal("1.00")) for month_no in (0, 61, 62, 121)
    ]
    assert night.engine.value("select count(*) from rfm.cohorts") == 122


@pytest.mark.parametrize("day", [date(2026, 3, 30), date(2026, 3, 1)])
def test_cohorts_are_kept_at_month_ends_only(night: Rehearsal, day: date) -> None:
    night.facts([sale("K1", date(2026, 1, 5), "10.00")])
    night.score([{}], day)
    assert "rfm.cohorts" not in night.puts
