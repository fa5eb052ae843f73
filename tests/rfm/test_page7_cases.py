"""The worked cases of ../shared/cases/page7/rfm: each through landing, sales and scores, as nights run them."""

from __future__ import annotations

from datetime import date

import pytest

from kanta import night
from kanta.home import Home
from kanta.lake import Lake
from tests.cases import Case, cases, drops_of, write_programmes
from tests.loyalty.test_cases import deliver, same, table

ALL = cases("page7/rfm")

#: The sections of spec 7-seeds-whole that are built; the other cases wait for theirs.
WORKED = ("nobody",)


def work(case: Case, home: Home, *, each_night: bool) -> None:
    """Delivers a case and runs it to its last day: in one night, or in one for each day that has a drop."""
    write_programmes(case, home.programme)
    drops = sorted(drops_of(case))
    days = sorted({drop.split("/")[1] for drop in drops} | {case["through"]})
    for day in days if each_night else [case["through"]]:
        deliver(case, home, [drop for drop in drops if not each_night or drop.split("/")[1] == day])
        for stage in night.STAGES:
            night.run_stage(home, stage, date.fromisoformat(day))
        Lake(home).publish(date.fromisoformat(day))


@pytest.mark.parametrize("each_night", [False, True], ids=["one night", "night by night"])
@pytest.mark.parametrize("name", WORKED)
def test_a_case_gives_the_scores_it_expects_and_no_other(name: str, each_night: bool, home: Home) -> None:
    work(ALL[name], home, each_night=each_night)
    rows = [row for row in table(home, "rfm.scores") if str(row["as_of"]) == ALL[name]["through"]]
    expected = ALL[name]["expect"]["scores"]
    scored = {row["customer_id"]: row for row in rows}
    assert sorted(scored) == sorted(row["customer_id"] for row in expected), ALL[name]["about"]
    found = [{column: str(scored[row["customer_id"]][column]) for column in row} for row in expected]
    assert all(same(scored[row["customer_id"]][c], v) for row in expected for c, v in row.items()), found
