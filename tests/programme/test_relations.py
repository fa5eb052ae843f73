"""The programme as SQL models see it: right types, right dates, right numbers."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import duckdb
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from kanta.programme import Version, dates
from kanta.programme.model import Programme, Unit
from kanta.programme.relations import RELATIONS, relations
from kanta.programme.segments import OTHERS, TRIPLES, segment_map
from tests.call_center.conftest import RULES
from tests.programme.conftest import VALID, Json, changed

D = date.fromisoformat


def version(programme: Json, effective_from: str = "2026-01-01") -> Version:
    return Version.of(Programme.model_validate(programme), D(effective_from))


def rows(name: str, programme: Json, *days: str) -> list[Json]:
    """A relation of one version, as dictionaries."""
    tables = relations([version(programme)], [D(day) for day in days])
    found: list[Json] = tables[f"programme.{name}"].to_pylist()
    return found


@pytest.fixture
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        yield connection


FULL = deepcopy(VALID)
FULL["programs"][0] |= {"price_groups": ["CLUB"]}
FULL["programs"][0]["tiers"][0] |= {"price_groups": ["GOLD"]}
FULL["schemes"][0] |= {"excluded_affiliations": ["staff"]}
FULL["card_numbers"] = [{"from": "500", "to": "599"}]
FULL["placeholder_customers"] = ["TILL-7"]
FULL["store_checks"] = {"refuse": ["tenders"]}
FULL["call_center"] = RULES
FULL["rfm"][0] |= {
    "schedule": "daily",
    "binning": "fixed",
    "cuts": {"recency": [7, 30, 90, "180.5"], "frequency": [2, 3, 4, 5], "monetary": ["10.25", 20, 30, 40]},
}


@pytest.mark.parametrize("days", [[], [D("2026-02-28")]], ids=["empty", "full"])
def test_every_relation_has_the_columns_and_types_it_is_said_to_have(
    con: duckdb.DuckDBPyConnection, days: list[date]
) -> None:
    tables = relations([version(FULL)] if days else [], days)
    assert list(tables) == list(RELATIONS)
    for name, table in tables.items():
        con.register("relation", table)
        found = dict(con.execute("select column_name, column_type from (describe relation)").fetchall())
        assert found == RELATIONS[name], name
        assert bool(table.num_rows) == bool(days), name


def test_a_day_is_judged_by_the_version_in_force_on_it() -> None:
    later = changed("schemes.0.earning.0.points", 2)
    seen = [version(VALID), version(later, "2026-03-01"), version(VALID, "2026-05-01"), version(later, "2026-05-01")]
    tables = relations(seen, [D("2026-02-28"), D("2026-03-01"), D("2026-05-02"), D("2000-01-01"), D("2026-02-28")])
    assert [tuple(row.values()) for row in tables["programme.calendar"].to_pylist()] == [
        (D("2000-01-01"), 1),
        (D("2026-02-28"), 1),
        (D("2026-03-01"), 2),
        (D("2026-05-02"), 4),
    ]
    assert [
        (row["version"], row["in_force_from"], row["in_force_to"]) for row in tables["programme.versions"].to_pylist()
    ] == [
        (1, None, D("2026-02-28")),
        (2, D("2026-03-01"), D("2026-04-30")),
        (4, D("2026-05-01"), None),
    ]
    assert [(row["version"], row["points_h"]) for row in tables["programme.earning_rules"].to_pylist()] == [
        (1, 100),
        (2, 200),
        (4, 200),
    ]


@pytest.mark.parametrize(
    ("point", "unit_h", "maximum_h"),
    [
        ({"type": "quantity", "maximum": 500}, 100, 50000),
        ({"type": "amount", "currency": "USD", "maximum": "0.01"}, 1, 1),
        ({"type": "amount", "currency": "JPY", "maximum": 0}, 100, None),
    ],
)
def test_points_have_the_unit_of_their_type_and_currency(point: Json, unit_h: int, maximum_h: int | None) -> None:
    added = rows("reward_points", changed("reward_points.+", {"id": "x", **point}))[-1]
    assert (added["reward_point_id"], added["unit_h"], added["maximum_h"]) == ("x", unit_h, maximum_h)


@pytest.mark.parametrize(
    ("day", "vesting", "expiration", "usable_from", "expires_on"),
    [
        ("2026-01-31", {"value": 14, "unit": "day"}, {"value": 0}, "2026-02-14", None),
        ("2026-01-31", {"value": 0}, {"value": 1, "unit": "month"}, "2026-01-31", "2026-02-28"),
        ("2024-01-31", {"value": 0}, {"value": 1, "unit": "month"}, "2024-01-31", "2024-02-29"),
        ("2024-02-29", {"value": 1, "unit": "week"}, {"value": 1, "unit": "year"}, "2024-03-07", "2025-02-28"),
        ("2026-11-30", {"value": 0}, {"value": 1, "unit": "quarter"}, "2026-11-30", "2027-02-28"),
    ],
)
def test_points_are_usable_and_expire_counted_from_the_earning(
    day: str, vesting: Json, expiration: Json, usable_from: str, expires_on: str | None
) -> None:
    point = {"id": "points", "type": "quantity", "vesting": vesting, "expiration": expiration}
    programme = changed("reward_points.0", point)
    row = rows("point_dates", programme, day)[0]
    assert (row["usable_from"], row["expires_on"]) == (D(usable_from), D(expires_on) if expires_on else None)


@settings(max_examples=200, deadline=None)
@given(
    day=st.dates(date(1950, 1, 1), date(2150, 12, 31)),
    count=st.integers(-400, 400),
    unit=st.sampled_from(["day", "week", "month", "quarter", "year"]),
)
def test_adding_to_a_date_is_what_the_engine_calls_adding(day: date, count: int, unit: Unit) -> None:
    interval = {"quarter": f"{3 * count} month"}.get(unit, f"{count} {unit}")
    (expected,) = duckdb.execute(f"select cast(date '{day}' + interval '{interval}' as date)").fetchone() or (None,)
    assert dates.add(day, count, unit) == expected


@given(st.dates(date(1950, 1, 1), date(2150, 12, 31)), st.sampled_from(["month", "quarter", "year"]))
def test_a_period_holds_its_day_and_ends_the_day_before_the_next(day: date, period: Any) -> None:
    first, last = dates.period_start(day, period), dates.period_end(day, period)
    assert first <= day <= last
    assert dates.period_start(last + timedelta(days=1), period) == last + timedelta(days=1)
    assert dates.period_start(last, period) == first


TIERS = changed(
    "programs.0.tiers",
    yaml.safe_load("""
- {id: basic, level: 1, validity: coming_year, rules: [{reward_point: status, minimum: 0, window: past_year}]}
- id: gold
  level: 2
  validity: to_year_end
  rules:
    - {reward_point: status, minimum: 1000, window: past_year}
    - {reward_point: cash, minimum: "300.50", window: this_year}
- {id: founder, level: 3, validity: founding, rules: [{reward_point: status, minimum: 1, window: past_year}]}
"""),
)
TIERS["date_intervals"] += yaml.safe_load("""
- {id: this_year, start: {from: period_start, period: year}, end: {from: evaluation_date}}
- {id: to_year_end, start: {from: evaluation_date}, end: {from: period_end, period: year, offset: 1, unit: year}}
- {id: founding, start: {from: evaluation_date}, end: {from: fixed, date: 2026-03-10}}
""")


def test_tier_rules_are_seen_from_the_evaluation_date() -> None:
    names = ("tier_id", "rule_no", "reward_point_id", "minimum_h", "window_start", "window_end", "valid_until")
    found = [tuple(row[name] for name in names) for row in rows("tier_rules", TIERS, "2026-03-09")]
    assert found == [
        ("basic", 1, "status", 0, D("2025-03-09"), D("2026-03-09"), None),
        ("gold", 1, "status", 100000, D("2025-03-09"), D("2026-03-09"), D("2027-12-31")),
        ("gold", 2, "cash", 30050, D("2026-01-01"), D("2026-03-09"), D("2027-12-31")),
        ("founder", 1, "status", 100, D("2025-03-09"), D("2026-03-09"), D("2026-03-10")),
    ]


def test_a_validity_that_is_over_gives_no_rule_and_everyone_is_told_by_version() -> None:
    assert "founder" not in {row["tier_id"] for row in rows("tier_rules", TIERS, "2026-03-10")}
    assert [(row["tier_id"], row["everyone"]) for row in rows("tiers", TIERS)] == [
        ("basic", True),
        ("gold", False),
        ("founder", False),
    ]


def test_a_window_never_holds_what_is_ahead_of_the_evaluation_date() -> None:
    programme = changed("date_intervals.0.start", {"from": "fixed", "date": "2025-01-01"})
    programme["date_intervals"][0]["end"] = {"from": "fixed", "date": "2025-12-31"}
    (early,) = rows("tier_rules", programme, "2025-06-01")
    (late,) = rows("tier_rules", programme, "2026-06-01")
    assert (early["window_end"], late["window_end"]) == (D("2025-06-01"), D("2025-12-31"))


def test_a_rule_is_valid_when_it_and_its_scheme_are() -> None:
    programme = changed("schemes.0.valid_from", "2026-02-01")
    programme["schemes"][0]["valid_to"] = "2026-06-30"
    programme["schemes"][0]["earning"][0] |= {"valid_from": "2026-01-01", "per": "12.345", "points": "0.10"}
    programme["schemes"][0]["earning"][0] |= {"activity": "purchase_quantity", "currency": None, "category": "TEA"}
    programme["schemes"][0]["redemption"][0] |= {"valid_to": "2026-03-31"}
    (earning,), (redemption,) = rows("earning_rules", programme), rows("redemption_rules", programme)
    assert (earning["valid_from"], earning["valid_to"]) == (D("2026-02-01"), D("2026-06-30"))
    assert (earning["per_milli"], earning["points_h"], earning["currency"]) == (12345, 10, None)
    assert (earning["program_id"], earning["category_id"], earning["tier_id"]) == ("club", "TEA", None)
    assert (redemption["valid_from"], redemption["valid_to"]) == (D("2026-02-01"), D("2026-03-31"))
    assert (redemption["type"], redemption["points_h"], redemption["per_milli"]) == ("payment_by_amount", 10000, 1000)


@pytest.mark.parametrize(
    ("definition", "expected"),
    [
        ({"schedule": "monthly"}, [("2026-02-28", "2024-02-28", "2026-02-28")]),
        ({"schedule": "daily", "active": False}, []),
        (
            {"schedule": "daily", "period": {"rolling": 1, "unit": "month"}},
            [("2026-02-28", "2026-01-28", "2026-02-28"), ("2026-03-30", "2026-02-28", "2026-03-30")],
        ),
        (
            {"schedule": "daily", "period": {"start": "2026-03-01", "end": None}},
            [("2026-03-30", "2026-03-01", "2026-03-30")],
        ),
        (
            {"schedule": "daily", "period": {"start": "2026-01-01", "end": "2026-03-15"}},
            [("2026-02-28", "2026-01-01", "2026-02-28"), ("2026-03-30", "2026-01-01", "2026-03-15")],
        ),
    ],
)
def test_rfm_runs_are_due_by_their_schedule_over_their_period(definition: Json, expected: list[Any]) -> None:
    programme = changed("rfm.0", VALID["rfm"][0] | definition)
    found = rows("rfm_due", programme, "2026-02-28", "2026-03-30")
    assert [tuple(str(row[name]) for name in ("as_of", "period_start", "period_end")) for row in found] == expected


def test_rfm_cuts_are_exact_and_in_order() -> None:
    found = [(row["measure"], row["cut_no"], row["cut"]) for row in rows("rfm_cuts", FULL)]
    assert found[:4] == [("recency", n, Decimal(cut)) for n, cut in enumerate(["7", "30", "90", "180.5"], 1)]
    assert found[8] == ("monetary", 1, Decimal("10.25"))
    assert len(found) == 12


@pytest.mark.parametrize("segments", ["champions_125", "r_rfm", [{"segment": "Best", "recency": [5, 5]}]])
def test_every_triple_of_scores_has_one_segment(segments: Any) -> None:
    found = rows("rfm_segments", changed("rfm.0.segments", segments))
    assert [(row["r"], row["f"], row["m"]) for row in found] == list(TRIPLES)
    assert all(row["segment"] for row in found)


@pytest.mark.parametrize(
    ("triple", "segment"),
    [
        ((5, 5, 5), "Champions"),
        ((5, 5, 4), "Potential Loyalist"),
        ((2, 4, 4), "Loyal Customers"),
        ((1, 2, 5), "At Risk"),
        ((1, 1, 1), "Lost"),
        ((5, 4, 1), OTHERS),
    ],
)
def test_r_rfm_takes_the_first_range_that_matches(triple: Any, segment: str) -> None:
    assert segment_map("r_rfm")[triple] == segment


def test_r_rfm_leaves_the_ten_triples_to_others_that_its_ranges_do_not_cover() -> None:
    others = ["".join(map(str, triple)) for triple, name in segment_map("r_rfm").items() if name == OTHERS]
    assert others == ["215", "241", "251", "252", "341", "351", "441", "451", "541", "551"]
