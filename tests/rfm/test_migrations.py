"""Where a move between segments comes from: against the four causes let in one by one, in every order."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import permutations
from math import floor
from random import Random
from typing import Any

import pytest

from kanta.programme.segments import segment_map
from tests.rfm.conftest import Rehearsal, Row, sale

BEFORE, NOW = date(2026, 2, 28), date(2026, 3, 31)
MEASURES = ("recency", "frequency", "monetary")
COLUMN = {"recency": "recency", "frequency": "frequency", "monetary": "monetary_total"}
CAUSES = (*MEASURES, "thresholds")
LEVELS = {"high": 0, "medium": 1, "low": 2}

DEFINITIONS: dict[str, Row] = {
    "midrank": {},
    "nested": {"priority": {"recency": "high", "frequency": "medium"}},
    "nested even": {"binning": "even", "priority": {"monetary": "high"}, "divisions": {"recency": 3, "frequency": 4}},
    "even": {"binning": "even"},
    "quantile": {"binning": "quantile", "cut_offset": 0},
    "nested quantile": {"binning": "quantile", "cut_offset": 1, "priority": {"recency": "high"}},
    "fixed": {
        "binning": "fixed",
        "divisions": {"recency": 3, "frequency": 3, "monetary": 3},
        "cuts": {"recency": [20, 45], "frequency": [2, 4], "monetary": [50, 150]},
    },
}


def purchases(seed: int) -> list[Row]:
    chance = Random(seed)  # noqa: S311
    return [
        sale(f"K{chance.randint(1, 15):02d}", date(2026, 1, 1) + timedelta(days=chance.randrange(90)), f"{amount}.00")
        for amount in (chance.choice((5, 10, 40, 90)) for _ in range(55))
    ]


@pytest.fixture
def scored(night: Rehearsal, request: pytest.FixtureRequest) -> tuple[Rehearsal, Row]:
    definition = {**DEFINITIONS[request.param], "period": {"rolling": 2, "unit": "month"}}
    night.facts(purchases(len(request.param)))
    night.score([definition], BEFORE, NOW)
    return night, definition


def score(definition: Row, measure: str, others: list[Any], place: int, value: Any, cuts: list[Any]) -> int:
    """The score of a value among others; ``place``: how many of those with the same value come first."""
    d, n = definition.get("divisions", {}).get(measure, 5), len(others) + 1
    sign = -1 if measure == "recency" else 1
    worse = sum(sign * other < sign * value for other in others)
    if definition.get("binning", "midrank") == "midrank":
        equal = 1 + sum(other == value for other in others)
        return min(d, 1 + floor(Fraction(d * (2 * worse + equal), 2 * n)))
    if definition["binning"] == "even":
        lengths = [n // d + (k < n % d) for k in range(d)]
        return next(k for k in range(1, d + 1) if worse + place < sum(lengths[:k]))
    reached = sum(cut <= value for cut in cuts)
    return d - reached if measure == "recency" else 1 + reached


class Side:
    """One of the two dates, as published."""

    def __init__(self, night: Rehearsal, definition: Row, day: date) -> None:
        self.definition = definition
        self.customers = {row["customer_id"]: row for row in night.rows("rfm.scores", where=f"as_of = date '{day}'")}
        self.cuts: Mapping[tuple[str, str], list[Decimal]] = defaultdict(list)
        for row in night.rows("rfm.thresholds", where=f"as_of = date '{day}' and at_least is not null"):
            self.cuts[row["measure"], row["within"]].append(row["at_least"])
        priority = definition.get("priority", {})
        self.level = {measure: LEVELS[priority.get(measure, "low")] for measure in MEASURES}

    def group(self, measure: str, scores: Mapping[str, int]) -> str:
        higher = [other for other in MEASURES if self.level[other] < self.level[measure]]
        return " ".join(f"{other[0].upper()}{scores[other]}" for other in higher)

    def segment(self, customer: str, values: Mapping[str, Any]) -> str:
        """The segment of a customer with these values among the others of this date."""
        scores: dict[str, int] = {}
        for measure in sorted(MEASURES, key=lambda measure: self.level[measure]):
            group = self.group(measure, scores)
            others = {
                other: row[COLUMN[measure]]
                for other, row in self.customers.items()
                if other != customer and self.group(measure, {m: row[m[0]] for m in MEASURES}) == group
            }
            value = values[measure]
            place = sum(other < customer and others[other] == value for other in others)
            cuts: list[Any] = self.cuts[measure, group]
            if self.definition.get("binning") == "fixed":
                cuts = self.definition["cuts"][measure]
            elif not others and not cuts:
                d = self.definition.get("divisions", {}).get(measure, 5)
                cuts = [value + self.definition.get("cut_offset", 0)] * (d - 1)
            scores[measure] = score(self.definition, measure, [*others.values()], place, value, cuts)
        on_five = {}
        for measure, found in scores.items():
            d = self.definition.get("divisions", {}).get(measure, 5)
            on_five[measure] = floor(1 + Fraction((found - 1) * 4, d - 1) + Fraction(1, 2))
        return segment_map("champions_125")[on_five["recency"], on_five["frequency"], on_five["monetary"]]


@pytest.mark.slow
@pytest.mark.parametrize("scored", DEFINITIONS, indirect=True)
def test_each_cause_gets_what_it_adds_on_average_over_all_orders(scored: tuple[Rehearsal, Row]) -> None:
    night, definition = scored
    sides = {"old": Side(night, definition, BEFORE), "new": Side(night, definition, NOW)}
    parts: dict[tuple[str, str], dict[str, Fraction]] = defaultdict(lambda: dict.fromkeys(CAUSES, Fraction(0)))
    for customer, now in sides["new"].customers.items():
        before = sides["old"].customers.get(customer)
        if not before or before["segment"] == now["segment"]:
            continue
        arrived = {}
        for order in permutations(CAUSES):
            for size in range(5):
                come = frozenset(order[:size])
                if come not in arrived:
                    values = {m: (now if m in come else before)[COLUMN[m]] for m in MEASURES}
                    segment = sides["new" if "thresholds" in come else "old"].segment(customer, values)
                    arrived[come] = segment == now["segment"]
                if size:
                    step = arrived[come] - arrived[frozenset(order[: size - 1])]
                    parts[before["segment"], now["segment"]][order[size - 1]] += Fraction(step, 24)
        assert (arrived[frozenset()], arrived[frozenset(CAUSES)]) == (False, True), customer

    columns = ("own_recency", "own_frequency", "own_money", "moving_thresholds")
    found = {
        (row["from_segment"], row["to_segment"]): row
        for row in night.rows("rfm.migrations")
        if row["own_recency"] is not None
    }
    assert len(found) > 3, "nothing moved"
    assert found.keys() == parts.keys()
    for move, row in found.items():
        assert sum(row[column] for column in columns) == row["customers"], row
        for column, cause in zip(columns, CAUSES, strict=True):
            assert abs(Fraction(row[column]) - parts[move][cause]) < Fraction(2, 10_000), (
                move,
                column,
                row,
                parts[move],
            )


@pytest.mark.parametrize("scored", ["midrank"], indirect=True)
def test_flows_hold_every_customer_of_both_dates_once(scored: tuple[Rehearsal, Row]) -> None:
    night, _ = scored
    for day, segment, where in ((BEFORE, "from_segment", "old"), (NOW, "to_segment", "new")):
        counted = night.engine.rows(
            f"select segment, count(*) from rfm.scores where as_of = date '{day}' group by 1 order by 1"
        )
        flowed = night.engine.rows(
            f"select {segment}, sum(customers) from rfm.migrations where {segment} <> '' group by 1 order by 1"
        )
        assert flowed == counted, where
    assert night.engine.rows("select distinct as_of, previous_as_of from rfm.migrations") == [(NOW, BEFORE)]


def test_a_customer_who_did_nothing_is_moved_by_the_others(night: Rehearsal) -> None:
    # By money alone, two segments, fixed period, recency the same for all: K1 stands still, K2 and K3 pass it.
    lines = [
        {"segment": "low", "recency": [1, 5], "frequency": [1, 5], "monetary": [1, 1]},
        {"segment": "high", "recency": [1, 5], "frequency": [1, 5], "monetary": [2, 5]},
    ]
    night.facts(
        [
            *(sale(customer, BEFORE, net) for customer, net in (("K1", "30.00"), ("K2", "20.00"), ("K3", "10.00"))),
            *(sale(customer, NOW, "90.00") for customer in ("K2", "K3")),
        ]
    )
    night.score([{"divisions": {"recency": 2, "frequency": 2, "monetary": 2}, "segments": lines}], BEFORE, NOW)
    moves = {
        (row["from_segment"], row["to_segment"]): [
            row[column] for column in ("customers", "own_recency", "own_frequency", "own_money", "moving_thresholds")
        ]
        for row in night.rows("rfm.migrations", where="from_segment <> to_segment")
    }
    assert moves[("high", "low")] == [1, 0, 0, 0, 1], moves


def test_those_who_come_and_go_are_listed_without_a_cause(night: Rehearsal) -> None:
    night.facts([sale("K1", date(2026, 1, 5), "10.00"), sale("K2", NOW, "10.00")])
    night.score([{"period": {"rolling": 2, "unit": "month"}}], BEFORE, NOW)
    rows = [
        (row["from_segment"] == "", row["to_segment"] == "", row["customers"], row["revenue"], row["revenue_before"])
        for row in night.rows("rfm.migrations")
    ]
    assert sorted(rows) == [(False, True, 1, Decimal(0), Decimal(10)), (True, False, 1, Decimal(10), Decimal(0))]
    assert {row["moving_thresholds"] for row in night.rows("rfm.migrations")} == {None}


def test_the_first_date_has_no_moves(night: Rehearsal) -> None:
    night.facts([sale("K1", BEFORE, "10.00")])
    night.score([{}], BEFORE)
    assert night.rows("rfm.migrations") == []
