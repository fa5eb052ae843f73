"""Lifetime value against what others have published for the same data, and on data that has no answer."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from itertools import islice
from pathlib import Path
from random import Random

import numpy as np
import pytest

from kanta import lifetime
from kanta.lifetime.amounts import GammaGamma
from kanta.lifetime.purchases import BgNbd, Histories, ParetoNbd, bounds
from tests.rfm.conftest import Rehearsal, Row, sale

SHARED = Path(__file__).parents[2] / ".." / "shared"
CDNOW = SHARED / "data" / "cdnow"
needs_cdnow = pytest.mark.skipif(not CDNOW.is_dir(), reason="the CDNOW files are not beside the repository")
FIXTURES = SHARED / "cases" / "rfm" / "pymc_lifetimes.json"
CALIBRATION, END = date(1997, 9, 30), date(1998, 6, 30)


def customer(x: float, t_x: float, t: float) -> Histories:
    return Histories(*(np.array([float(value)]) for value in (x, t_x, t, 1)))


@pytest.fixture(scope="module")
def summary() -> list[Row]:
    with (CDNOW / "cdnow_customers_summary_with_transactions.csv").open() as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


@pytest.fixture(scope="module")
def histories(summary: list[Row]) -> Histories:
    x, t_x, t = (np.array([row[name] for row in summary]) for name in ("x", "t_x", "T"))
    return Histories(x, t_x, t, np.ones_like(x))


@pytest.fixture(scope="module")
def bg_nbd(histories: Histories) -> BgNbd:
    return BgNbd.fitted(histories)


@needs_cdnow
def test_bg_nbd_finds_the_published_parameters_of_cdnow(bg_nbd: BgNbd) -> None:
    assert bg_nbd.fit.problem == ""
    assert bg_nbd.fit.values == pytest.approx((0.2426, 4.4136, 0.7929, 2.4259), rel=3e-4)
    assert bg_nbd.fit.log_likelihood == pytest.approx(-9582.43, abs=0.01)


@needs_cdnow
def test_bg_nbd_foretells_what_is_published(bg_nbd: BgNbd) -> None:
    new = customer(0, 0, 0)
    published = {0.1429: 0.0078, 1: 0.0532, 3: 0.1506, 31.8571: 1.0405, 32: 1.0437, 78: 1.8576}
    found = {t: float(bg_nbd.expected(new, t)[0]) for t in published}
    assert found == pytest.approx(published, abs=5e-4)
    assert float(bg_nbd.expected(customer(2, 30.43, 38.86), 39)[0]) == pytest.approx(1.226, abs=5e-4)


@needs_cdnow
def test_pareto_nbd_finds_the_published_parameters_of_cdnow(histories: Histories) -> None:
    fit = ParetoNbd.fitted(histories).fit
    assert fit.problem == ""
    assert fit.values == pytest.approx((0.553, 10.578, 0.606, 11.669), rel=2e-3)
    assert fit.log_likelihood == pytest.approx(-9594.98, abs=0.02)


@needs_cdnow
def test_gamma_gamma_finds_the_published_parameters_of_cdnow(summary: list[Row]) -> None:
    again = [row for row in summary if row["x"] > 0]
    x, average = (np.array([row[name] for row in again]) for name in ("x", "zbar"))
    fit = GammaGamma.fitted(x, average, np.ones_like(x)).fit
    assert fit.values == pytest.approx((6.25, 3.74, 15.45), rel=2e-3)


@needs_cdnow
def test_weights_stand_for_customers(histories: Histories, bg_nbd: BgNbd) -> None:
    together = np.stack([histories.x, histories.t_x, histories.t])
    distinct, counts = np.unique(together, axis=1, return_counts=True)
    assert distinct.shape[1] < together.shape[1]
    fit = BgNbd.fitted(Histories(*distinct, counts.astype(float))).fit
    assert fit.values == pytest.approx(bg_nbd.fit.values, rel=1e-4)


@pytest.mark.parametrize("model", ["bg", "pareto"])
@pytest.mark.parametrize("history", [(0, 0, 5), (2, 30.43, 38.86), (40, 37, 38.86), (3, 1, 38)])
def test_probabilities_add_up_to_one_and_to_what_is_expected(model: str, history: tuple[float, ...]) -> None:
    fit = lifetime.Fit(("r", "alpha", "a", "b"), (0.6, 5.0, 0.8, 2.5), (0.0,) * 4, 0.0, 0)
    fitted = BgNbd(fit) if model == "bg" else ParetoNbd(fit)
    of = customer(*history)
    masses = np.array([float(mass[0]) for mass in islice(fitted.masses(of, 20.0), 600)])
    assert masses.min() >= 0
    assert masses.sum() == pytest.approx(1, abs=1e-6)
    assert masses @ np.arange(600) == pytest.approx(float(fitted.expected(of, 20.0)[0]), rel=1e-5)
    low, high = (int(bound[0]) for bound in bounds(fitted, of, 20.0))
    assert masses[:low].sum() < 0.05 <= masses[: low + 1].sum(), (low, masses[:5])
    assert masses[:high].sum() < 0.95 <= masses[: high + 1].sum(), (high, masses[:5])


@pytest.mark.parametrize(("a", "b"), [(1.0, 2.0), (60.0, 900.0), (160_000.0, 20_000.0), (1e-5, 160_000.0)])
def test_where_all_leave_alike_or_nobody_leaves_there_is_still_a_number(a: float, b: float) -> None:
    fitted = BgNbd(lifetime.Fit(("r", "alpha", "a", "b"), (0.6, 5.0, a, b), (0.0,) * 4, 0.0, 0))
    for history in [(0, 0, 5), (2, 30.43, 38.86), (300, 37, 38.86)]:
        of = customer(*history)
        masses = np.array([float(mass[0]) for mass in islice(fitted.masses(of, 20.0), 600)])
        expected = float(fitted.expected(of, 20.0)[0])
        assert expected == pytest.approx(float(masses @ np.arange(600)), rel=1e-4, abs=1e-9), (a, b, history)


def test_p_alive_of_pareto_nbd_is_as_written_with_the_hypergeometric_function() -> None:
    from scipy.special import hyp2f1

    r, alpha, s, beta = 0.553, 10.578, 0.606, 11.669
    fit = lifetime.Fit(("r", "alpha", "s", "beta"), (r, alpha, s, beta), (0.0,) * 4, 0.0, 0)
    for x, t_x, t in [(2, 30.43, 38.86), (0, 0, 38.86), (26, 30.86, 31.0), (5, 5, 38)]:
        total = r + s + x
        inside = [
            hyp2f1(total, r + x, total + 1, (beta - alpha) / (beta + at)) / (beta + at) ** total for at in (t_x, t)
        ]
        written = 1 / (1 + s / total * (alpha + t) ** (r + x) * (beta + t) ** s * (inside[0] - inside[1]))
        assert float(ParetoNbd(fit).p_alive(customer(x, t_x, t))[0]) == pytest.approx(written, rel=1e-6), (x, t_x, t)


def cdnow_sales(until: date) -> list[Row]:
    import duckdb

    with duckdb.connect() as con:
        rows = con.execute(
            "select sample_id, cast(date as date), cast(dollar_value as decimal(18, 2))"
            f" from '{CDNOW / 'cdnow_sample.parquet'}' where date <= '{until}'"
        ).fetchall()
    return [sale(who, day, str(amount)) for who, day, amount in rows]


LOOKING: Row = {"period": {"start": "1997-01-01"}, "schedule": "monthly"}


@needs_cdnow
def test_histories_and_models_come_out_of_the_facts(night: Rehearsal, summary: list[Row]) -> None:
    night.facts(cdnow_sales(CALIBRATION))
    night.score([{**LOOKING, "lifetime": {"holdout_days": 60}}], CALIBRATION)
    rows = night.rows("rfm.lifetime_value", "customer_id")
    assert len(rows) == 2357
    found = sorted(
        (int(r["x"]), float(r["t_x"]), float(r["t"]), float(r["average_repeat_purchase"] or 0)) for r in rows
    )
    expected = sorted((int(r["x"]), r["t_x"], r["T"], r["zbar"]) for r in summary)
    off = [
        (a, b)
        for a, b in zip(found, expected, strict=True)
        if any(abs(p - q) > 0.0101 for p, q in zip(a, b, strict=True))
    ]
    assert off == []
    models = {row["model"]: row for row in night.rows("rfm.lifetime_models")}
    assert json.loads(models["bg_nbd"]["parameters"]) == pytest.approx(
        {"r": 0.2426, "alpha": 4.4136, "a": 0.7929, "b": 2.4259}, rel=3e-4
    )
    assert json.loads(models["gamma_gamma"]["parameters"]) == pytest.approx(
        {"p": 6.25, "q": 3.74, "v": 15.45}, rel=3e-3
    )
    for row in models.values():
        assert (row["published"], row["reason"], row["unit"]) == (True, None, "week")
    assert all(row["purchases_90d_low"] <= row["purchases_90d_high"] for row in rows)
    assert all(0 <= row["p_alive"] <= 1 for row in rows)
    # repeat purchases that all cost nothing say nothing of what the next will cost
    for row in rows:
        assert (row["expected_value_30d"] is None) == (row["x"] > 0 and not row["average_repeat_purchase"]), row
    holdout = json.loads(models["bg_nbd"]["diagnostics"])["holdout"]
    assert sum(decile["customers"] for decile in holdout["deciles"]) == holdout["customers"]
    assert sum(decile["bought"] for decile in holdout["deciles"]) == holdout["bought"]
    assert holdout["deciles"][9]["bought"] > 5 * holdout["deciles"][0]["bought"]


@needs_cdnow
def test_the_holdout_of_cdnow_is_foretold(night: Rehearsal) -> None:
    night.facts(cdnow_sales(END))
    night.score([{**LOOKING, "lifetime": {"holdout_days": 273, "tolerance": Decimal("0.15")}}], END)
    (row,) = night.rows("rfm.lifetime_models", where="model = 'bg_nbd'")
    holdout = json.loads(row["diagnostics"])["holdout"]
    assert row["published"], row["reason"]
    assert holdout["customers"] == 2357
    assert holdout["coverage_90"] > 0.9
    assert holdout["expected"] == pytest.approx(holdout["bought"], rel=0.15)
    # those who are expected least bought twice as often: said, and nothing beyond the holdout is foretold
    assert "tenth 1 of 10" in row["reason"]
    assert json.loads(row["diagnostics"])["horizons"] == [30, 90]
    values = night.rows("rfm.lifetime_value")
    assert {value["expected_purchases_365d"] for value in values} == {None}
    assert all(value["expected_purchases_90d"] is not None for value in values)


def test_the_histories_of_the_published_fixtures_come_out(night: Rehearsal) -> None:
    if not FIXTURES.is_file():
        pytest.skip("the fixtures are not beside the repository")
    fixture = json.loads(FIXTURES.read_text())
    as_of = date(2015, 2, 7)
    night.facts(
        [sale(str(who), date.fromisoformat(day), f"{amount}.00") for who, day, amount in fixture["transactions"]]
    )
    definition = {"period": {"start": "2015-01-01", "end": str(as_of)}, "lifetime": {"unit": "day"}}
    night.score([definition], date(2015, 2, 28))
    rows = night.rows("rfm._lifetime_customers", "customer_id", "sample = 'all'")
    found = [
        [int(r["customer_id"]), r["x"], int(r["t_x"]), int(r["t"]), float(r["average_repeat_purchase"] or 0)]
        for r in rows
    ]
    assert found == fixture["clv_daily_asof_2015_02_07"]["rows"]


def reasons(night: Rehearsal) -> dict[str, str]:
    assert not any(row["published"] and row["model"] != "gamma_gamma" for row in night.rows("rfm.lifetime_models"))
    assert night.rows("rfm.lifetime_value") == []
    return {row["model"]: row["reason"] for row in night.rows("rfm.lifetime_models")}


END_OF_MARCH = date(2026, 3, 31)


def test_without_customers_it_says_so(night: Rehearsal) -> None:
    night.facts([])
    night.score([{"lifetime": {}}], END_OF_MARCH)
    assert "0 customers have bought on a second day" in reasons(night)["bg_nbd"]


def test_without_repeat_buyers_it_says_so(night: Rehearsal) -> None:
    night.facts([sale(f"K{n}", date(2026, 1, 1 + n), "10.00") for n in range(20)])
    night.score([{"lifetime": {"model": "pareto_nbd"}}], END_OF_MARCH)
    found = reasons(night)
    assert "0 customers have bought on a second day" in found["pareto_nbd"]
    assert "fewer than two customers" in found["gamma_gamma"]


@pytest.mark.parametrize("model", ["bg_nbd", "pareto_nbd"])
def test_one_customer_has_no_distribution(night: Rehearsal, model: str) -> None:
    night.facts([sale("K1", date(2026, 1, day), "10.00") for day in (1, 9, 17)])
    night.score([{"lifetime": {"model": model}}], END_OF_MARCH)
    assert "1 customer has bought on a second day" in reasons(night)[model]


def leavers(customers: int = 300, *, first: date = date(2025, 1, 1), within: int = 200) -> Iterator[Row]:
    """Customers who buy every few weeks, and of whom after each purchase one in nine leaves."""
    chance = Random(3)  # noqa: S311
    for number in range(customers):
        every, leave, spends = 2 + chance.gammavariate(2, 10), chance.betavariate(1, 8), chance.gammavariate(3, 12)
        day = first + timedelta(days=chance.randrange(within))
        while day <= END_OF_MARCH:
            yield sale(f"K{number}", day, f"{spends * chance.uniform(0.3, 1.7):.2f}")
            if chance.random() < leave:
                break
            day += timedelta(days=1 + int(chance.expovariate(1 / every)))


def buyers() -> Iterator[Row]:
    """Fifty customers who buy every few days, one seldomer than the other, and never leave."""
    chance = Random(5)  # noqa: S311
    for number in range(50):
        day = date(2025, 1, 1) + timedelta(days=chance.randrange(30))
        while day <= END_OF_MARCH:
            yield sale(f"K{number}", day, f"{chance.randint(5, 60)}.00")
            day += timedelta(days=1 + int(chance.expovariate(1 / (3 + number / 4))))


def test_a_badly_calibrated_model_is_refused(night: Rehearsal) -> None:
    # From one day on every other one stays away: what came before cannot foretell that.
    rows = list(leavers())
    night.facts([row for row in rows if row["business_date"] < date(2026, 1, 5) or int(row["customer_id"][1:]) % 2])
    night.score([{"lifetime": {}}], END_OF_MARCH)
    assert "badly calibrated" in reasons(night)["bg_nbd"]


def test_returns_above_purchases_give_no_amount_and_no_nan(night: Rehearsal) -> None:
    night.facts([
        *leavers(), sale("K3", END_OF_MARCH - timedelta(days=1), "-99999.00"), sale("K3", END_OF_MARCH, "1.00"),
    ])  # fmt: skip
    night.score([{"lifetime": {"tolerance": 1}}], END_OF_MARCH)
    rows = {row["customer_id"]: row for row in night.rows("rfm.lifetime_value")}
    assert len(rows) == 300
    assert rows["K3"]["average_repeat_purchase"] < 0
    assert rows["K3"]["expected_average_purchase"] is None
    assert rows["K3"]["expected_value_90d"] is None
    assert rows["K3"]["expected_purchases_90d"] > 0
    assert rows["K1"]["expected_value_90d"] > 0


@pytest.mark.parametrize("model", ["bg_nbd", "pareto_nbd"])
def test_a_fit_at_its_bound_is_not_published(night: Rehearsal, model: str) -> None:
    """Nobody ever left, so the fit would call customers alive for ever: also the one who stays away from now on."""
    night.facts([row for row in buyers() if row["customer_id"] != "K9" or row["business_date"] < date(2025, 12, 1)])
    night.score([{"lifetime": {"model": model}}], END_OF_MARCH)
    reason = reasons(night)[model]
    assert "the fit stands at the bound of" in reason
    assert "nobody ever leaves" in reason


def test_amounts_at_their_bound_are_no_fit_either() -> None:
    """All spend the same on average: nothing says how far averages lie apart."""
    x = np.tile(np.arange(1.0, 11.0), 10)
    fit = GammaGamma.fitted(x, 20 + np.arange(100.0) / 1e6, np.ones(100)).fit
    assert "the fit stands at the bound of" in fit.problem


def tenths(*off: tuple[float, int]) -> lifetime.Holdout:
    """A holdout of 90 days of which the first tenths are off, the rest foretold to the point."""
    deciles = [(40, expected, bought) for expected, bought in [*off, *[(100.0, 100)] * (10 - len(off))]]
    bought = sum(bought for _, _, bought in deciles)
    return lifetime.Holdout(90, 400, sum(expected for _, expected, _ in deciles), bought, 0.95, tuple(deciles))


@pytest.mark.parametrize(
    ("seen", "horizons"), [(7.0, []), (8.0, [30]), (80.0, [30, 90]), (91.0, [30, 90]), (92.0, [30, 90, 365])]
)
def test_a_horizon_of_more_than_four_times_what_was_seen_is_left_out(seen: float, horizons: list[int]) -> None:
    held, reasons = lifetime._holding(seen, tenths(), 0.25)
    assert held == horizons
    assert bool(reasons) == (horizons != [30, 90, 365])
    assert not reasons or f"no horizon over 4 times the {seen:.0f} days" in reasons[0]


def test_what_is_left_out_is_empty() -> None:
    fitted = BgNbd(lifetime.Fit(("r", "alpha", "a", "b"), (0.6, 5.0, 0.8, 2.5), (0.0,) * 4, 0.0, 0))
    (row,) = lifetime._expectations(1, fitted, customer(2, 30.43, 38.86), 7.0, [30, 90]).to_pylist()
    of = ("expected_purchases_365d", "purchases_365d_low", "purchases_365d_high")
    assert [row[name] for name in of] == [None] * 3
    assert row["expected_purchases_90d"] > row["expected_purchases_30d"] > 0


@pytest.mark.parametrize(
    ("off", "said", "horizons"),
    [
        ([(100.0, 140), (140.0, 100)], "tenth 1 of 10 (100.0 foretold, 140 made), tenth 2 of 10 (140.0", [30, 90]),
        ([(100.0, 110)], "", [30, 90, 365]),  # within a tolerance of 25 %
        ([(10.0, 18)], "", [30, 90, 365]),  # beyond it, but not beyond chance: 2.5 standard deviations
        ([(0.1, 0)], "", [30, 90, 365]),
    ],
)
def test_a_tenth_of_the_customers_that_is_off_is_a_warning_and_ends_what_is_foretold(
    off: list[tuple[float, int]], said: str, horizons: list[int]
) -> None:
    holdout = tenths(*off)
    assert holdout.problem(0.25) == "", "all in all it is right"
    held, reasons = lifetime._holding(400.0, holdout, 0.25)
    assert held == horizons
    assert said in "; ".join(reasons)
    assert bool(reasons) == bool(said)


def test_nothing_is_worked_out_within_a_month(night: Rehearsal) -> None:
    night.facts(list(buyers()))
    night.score([{"lifetime": {}}], date(2026, 3, 30))
    assert not {"rfm.lifetime_models", "rfm.lifetime_value"} & set(night.puts)
