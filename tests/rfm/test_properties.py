"""Any definition over any purchases, against the page's sentences written again in plain Python fractions."""

from __future__ import annotations

from calendar import monthrange
from collections import defaultdict
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from itertools import pairwise
from math import floor
from random import Random
from statistics import median
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from kanta import contracts
from kanta.engine import Engine
from tests.rfm.conftest import BASE, TABLES, Rehearsal, Row, sale

AS_OF = date(2026, 3, 31)
MEASURES = ("recency", "frequency", "monetary")
CENT = Decimal("0.01")

#: A failing example is shown as found: making it smaller runs the whole analysis again hundreds of times.
few = settings(
    max_examples=15,
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)


def months_after(day: date, count: int) -> date:
    year, month = divmod(day.year * 12 + day.month - 1 + count, 12)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def recency(last: date, unit: str) -> int:
    days = (AS_OF - last).days
    if unit == "month":
        return next(n for n in range(100) if months_after(last, n + 1) > AS_OF)
    return days // 7 if unit == "week" else days


def rounded(value: Fraction) -> Decimal:
    return (Decimal(value.numerator) / Decimal(value.denominator)).quantize(CENT, ROUND_HALF_UP)


def measured(definition: Row, rows: list[Row]) -> dict[str, Row]:
    first = months_after(AS_OF, -definition["period"]["rolling"])
    of: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if first <= row["business_date"] <= AS_OF and row["posted_date"] <= AS_OF:
            of[row["customer_id"]].append(row)
    found = {}
    for customer, its in of.items():
        bought = [row for row in its if row["type"] != "return"]
        if not bought:
            continue
        counted = its if definition["subtract_returns"] else bought
        gross = definition["amount"] == "gross"
        total = sum((row["net_amount"] + (row["tax_amount"] if gross else 0) for row in counted), Decimal(0))
        average = rounded(Fraction(total) / len(bought))
        days = {row["business_date"] for row in bought}
        found[customer] = {
            "recency": recency(max(days), definition["recency_unit"]),
            "frequency": len(days) if definition["frequency_counts"] == "days" else len(bought),
            "monetary": average if definition["monetary"] == "average" else total,
            "total": total,
            "average": average,
        }
    return found


def binned(definition: Row, measure: str, values: dict[str, Fraction]) -> Iterator[tuple[str, int]]:
    """The scores of one group; values are turned so that more is better, but for the cuts."""
    d, n = definition["divisions"][measure], len(values)
    sign = -1 if measure == "recency" else 1
    if definition["binning"] == "midrank":
        for customer, value in values.items():
            worse = sum(sign * other < sign * value for other in values.values())
            equal = sum(other == value for other in values.values())
            yield customer, min(d, 1 + floor(d * (worse + Fraction(equal, 2)) / n))
    elif definition["binning"] == "even":
        line = sorted(values, key=lambda customer: (sign * values[customer], customer))
        for score in range(1, d + 1):
            length = n // d + (score <= n % d)
            yield from ((customer, score) for customer in line[:length])
            del line[:length]
    else:
        cuts = [Fraction(cut) for cut in definition.get("cuts", {}).get(measure, [])]
        if definition["binning"] == "quantile":
            ordered = sorted(values.values())
            for k in range(1, d):
                place = Fraction((n - 1) * k, d)
                low, high = ordered[floor(place)], ordered[min(floor(place) + 1, n - 1)]
                cuts.append(low + (place - floor(place)) * (high - low) + Fraction(definition["cut_offset"]))
        for customer, value in values.items():
            reached = sum(cut <= value for cut in cuts)
            yield customer, d - reached if measure == "recency" else 1 + reached


def scored(definition: Row, customers: dict[str, Row]) -> dict[str, dict[str, int]]:
    scores: dict[str, dict[str, int]] = {customer: {} for customer in customers}
    for level in ("high", "medium", "low"):
        groups: dict[Any, list[str]] = defaultdict(list)
        for customer, made in scores.items():
            groups[tuple(sorted(made.items()))].append(customer)
        for measure in MEASURES:
            if definition["priority"][measure] == level:
                for group in groups.values():
                    values = {customer: Fraction(customers[customer][measure]) for customer in group}
                    for customer, score in binned(definition, measure, values):
                        scores[customer][measure] = score
    return scores


def expected(definition: Row, rows: list[Row]) -> dict[str, tuple[Any, ...]]:
    customers = measured(definition, rows)
    return {
        customer: (
            *(customers[customer][name] for name in ("recency", "frequency", "total", "average")),
            *(made[measure] for measure in MEASURES),
        )
        for customer, made in scored(definition, customers).items()
    }


@st.composite
def definitions(draw: st.DrawFn) -> Row:
    divisions = {measure: draw(st.integers(2, 9)) for measure in MEASURES}
    cuts = {
        measure: sorted(draw(st.lists(st.integers(1, 60), min_size=d - 1, max_size=d - 1, unique=True)))
        for measure, d in divisions.items()
    }
    binning = draw(st.sampled_from(["midrank", "even", "quantile", "fixed"]))
    return {
        **BASE,
        "period": {"rolling": draw(st.integers(1, 3)), "unit": "month"},
        "divisions": divisions,
        "binning": binning,
        **({"cuts": cuts} if binning == "fixed" else {}),
        "cut_offset": draw(st.sampled_from(["0", "1", "0.0333", "-0.5"])) if binning == "quantile" else "0",
        "priority": {measure: draw(st.sampled_from(["high", "medium", "low"])) for measure in MEASURES},
        "recency_unit": draw(st.sampled_from(["day", "week", "month"])),
        "monetary": draw(st.sampled_from(["total", "average"])),
        "amount": draw(st.sampled_from(["net", "gross"])),
        "subtract_returns": draw(st.booleans()),
        "frequency_counts": draw(st.sampled_from(["transactions", "days"])),
    }


@st.composite
def purchases(draw: st.DrawFn) -> list[Row]:
    # From a seed: hundreds of rows drawn one by one would take longer than all else here.
    chance = Random(draw(st.integers(0, 10**6)))  # noqa: S311
    customers, spread = draw(st.integers(1, 40)), draw(st.sampled_from([2, 100, 10_000]))
    rows = []
    for _ in range(draw(st.integers(1, 120))):
        kind = chance.choice(["sale", "sale", "sale", "exchange", "return"])
        cents = chance.randint(0, spread) * (-1 if kind == "return" else 1)
        day = AS_OF - timedelta(days=chance.randint(0, 100))
        rows.append(
            sale(
                f"K{chance.randint(1, customers)}",
                day,
                str(Decimal(cents) * CENT),
                type=kind,
                tax_amount=Decimal(chance.randint(0, 3)) * CENT,
                posted_date=day + timedelta(days=chance.choice([0, 0, 0, 5])),
            )
        )
    return rows


@pytest.fixture(scope="module")
def rehearsal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rehearsal]:
    with Engine(tmp_path_factory.mktemp("engine")) as engine:
        for name in TABLES:
            engine.attach(contracts.lake()[name], [])
        yield Rehearsal(engine)


several = st.lists(definitions(), min_size=2, max_size=6).map(
    lambda drawn: [{**definition, "id": f"d{number}"} for number, definition in enumerate(drawn)]
)


@few
@given(definitions=several, rows=purchases(), shuffle=st.randoms())
def test_every_option_scores_as_the_page_says_in_whatever_order_the_rows_come_and_all_tables_agree(
    definitions: list[Row], rows: list[Row], shuffle: Random, rehearsal: Rehearsal
) -> None:
    columns = ("customer_id", "recency", "frequency", "monetary_total", "monetary_average", "r", "f", "m")
    numbered = [{**row, "transaction_id": f"T{number}"} for number, row in enumerate(rows)]
    shuffle.shuffle(numbered)
    rehearsal.facts(numbered)
    rehearsal.score(definitions, AS_OF)
    for definition in definitions:
        found = rehearsal.scores(*columns, where=f"definition = '{definition['id']}'")
        assert {row[0]: row[1:] for row in found} == expected(definition, rows), definition
    the_thresholds_explain_every_score(definitions, rows, rehearsal)
    equal_values_of_a_group_score_equally_and_better_ones_never_less(definitions, rehearsal)
    each_segment_is_the_sum_and_the_medians_of_its_customers(rehearsal)


def the_thresholds_explain_every_score(definitions: list[Row], rows: list[Row], rehearsal: Rehearsal) -> None:
    unexplained = rehearsal.engine.rows(
        """
        select scored.*, thresholds.*
        from (
            select
                scores.definition, scores.as_of, options.measure,
                case options.measure when 'recency' then scores.recency when 'frequency' then scores.frequency
                    else case runs.monetary when 'average' then scores.monetary_average else scores.monetary_total end
                end as value,
                case options.measure when 'recency' then scores.r when 'frequency' then scores.f else scores.m end
                    as score,
                trim(
                    case when levels.recency < options.level then 'R' || scores.r else '' end
                    || case when levels.frequency < options.level then ' F' || scores.f else '' end
                    || case when levels.monetary < options.level then ' M' || scores.m else '' end
                ) as within
            from rfm.scores as scores
            inner join rfm._runs as runs using (definition, as_of)
            inner join rfm._options as options using (run)
            inner join rfm._levels as levels using (run)
        ) as scored
        left join rfm.thresholds as thresholds
            on scored.definition = thresholds.definition
            and scored.as_of = thresholds.as_of
            and scored.measure = thresholds.measure
            and scored.within = thresholds.within
            and scored.score = thresholds.score
        where
            scored.value not between thresholds.lowest and thresholds.highest
            or scored.value < thresholds.at_least
            or scored.value >= thresholds.below
            or thresholds.customers is null
        """
    )
    assert unexplained == []
    listed = rehearsal.engine.rows(
        "select definition, measure, sum(customers) from rfm.thresholds group by all order by all"
    )
    customers = {definition["id"]: len(expected(definition, rows)) for definition in definitions}
    assert listed == [(name, measure, n) for name, n in customers.items() for measure in sorted(MEASURES) if n]


def equal_values_of_a_group_score_equally_and_better_ones_never_less(
    definitions: list[Row], rehearsal: Rehearsal
) -> None:
    binning = {definition["id"]: definition["binning"] for definition in definitions}
    groups = defaultdict(list)
    for definition, measure, within, _, lowest, highest in rehearsal.engine.rows(
        "select definition, measure, within, score, lowest, highest from rfm.thresholds where customers > 0"
        " order by all"
    ):
        groups[definition, measure, within].append((-highest, -lowest) if measure == "recency" else (lowest, highest))
    for (definition, *group), ranges in groups.items():
        for (_, worst), (best, _) in pairwise(ranges):
            assert worst < best or (worst == best and binning[definition] == "even"), (group, ranges)


def each_segment_is_the_sum_and_the_medians_of_its_customers(rehearsal: Rehearsal) -> None:
    of: dict[tuple[str, str], list[tuple[Decimal, ...]]] = defaultdict(list)
    for definition, segment, *values in rehearsal.scores(
        "definition", "segment", "recency", "frequency", "monetary_total"
    ):
        of[definition, segment].append(tuple(Decimal(value) for value in values))
    found = rehearsal.engine.rows(
        "select definition, segment, customers, revenue, median_recency, median_frequency, median_monetary"
        " from rfm.segments where customers > 0"
    )
    assert {row[:2]: row[2:] for row in found} == {
        key: (
            len(values),
            sum(money for *_, money in values),
            *(median(column).quantize(CENT, ROUND_HALF_UP) for column in zip(*values, strict=True)),
        )
        for key, values in of.items()
    }
