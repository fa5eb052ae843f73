"""Customer lifetime value: models fitted, held against a holdout, and published only if they foretell it.

What each customer did is SQL (``transforms/rfm/_lifetime_*.sql``); the models see how many customers share a history
(x, t_x, t), so a million customers are a few ten thousand rows. Imported only at a month's end, for definitions with
``lifetime``: scipy takes half a second.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from kanta.lifetime.amounts import GammaGamma
from kanta.lifetime.fitting import Fit
from kanta.lifetime.purchases import MODELS, BgNbd, Histories, PurchaseModel, bounds

if TYPE_CHECKING:
    from kanta.night import Night

CUSTOMERS = ("rfm._lifetime_customers", "rfm._lifetime_counts", "rfm._lifetime_averages")

HORIZONS = (30, 90, 365)

#: No horizon is foretold that is longer than so many times the time in which customers were seen.
MOST_AHEAD = 4

#: A tenth of the holdout's customers may be off by chance: by so many standard deviations of a count. Of right models
#: one in thirty-seven has a tenth beyond it.
CHANCE = 3.0

#: Of the holdout's customers so many must have bought within the 90 % bounds; below it, the bounds are no bounds.
LEAST_COVERAGE = 0.80

#: Gamma-Gamma supposes that amounts have nothing to do with how often one buys; beyond this they plainly do.
MOST_CORRELATION = 0.5

#: Four parameters want more customers than this who have come back.
LEAST_REPEATERS = 20

_DAYS = {"day": 1.0, "week": 7.0}


@dataclass(frozen=True)
class Holdout:
    """The last days, foretold from what came before. ``deciles``: customers by expected purchases, fewest first."""

    days: int
    customers: int
    expected: float
    bought: int
    coverage: float
    deciles: tuple[tuple[int, float, int], ...]  # customers, expected, bought

    def as_dict(self) -> dict[str, Any]:
        return {
            "days": self.days, "customers": self.customers, "expected": _round(self.expected), "bought": self.bought,
            "coverage_90": _round(self.coverage),
            "deciles": [{"customers": n, "expected": _round(e), "bought": b} for n, e, b in self.deciles],
        }  # fmt: skip

    def problem(self, tolerance: float) -> str:
        """In words, why the model must not be believed; empty when it may."""
        if not self.customers:
            return "no customer is older than the holdout, so nothing could be compared"
        if not self.bought:
            return f"nobody bought in the holdout of {self.days} days, so nothing could be compared"
        off = self.expected / self.bought - 1
        if abs(off) > tolerance:
            return (
                f"badly calibrated: {self.expected:.1f} purchases foretold for the holdout of {self.days} days,"
                f" {self.bought} made ({off:+.1%}; tolerance {tolerance:.0%})"
            )
        if self.coverage < LEAST_COVERAGE:
            return f"badly calibrated: {self.coverage:.1%} of customers bought within the 90 % bounds of the holdout"
        return ""

    def tenths_off(self, tolerance: float) -> str:
        """In words, which tenths of the customers were foretold badly, beyond tolerance and chance; empty when none."""
        off = [
            f"tenth {number} of 10 ({expected:.1f} foretold, {bought} made)"
            for number, (_, expected, bought) in enumerate(self.deciles, start=1)
            if abs(expected - bought) > max(tolerance * bought, CHANCE * max(expected, 1.0) ** 0.5)
        ]
        return (
            f"customers by expected purchases are off in the holdout of {self.days} days: {', '.join(off)}"
            if off
            else ""
        )


def foretell(night: Night) -> bool:
    """Fits the models of each run that is due and defines what rfm.lifetime_models and rfm.lifetime_value read.

    False when no lifetime is due. Needs ``rfm._runs`` and ``rfm._purchases``.
    """
    due = night.engine.rows(
        "select run, definition, as_of, lifetime_model, lifetime_unit, lifetime_holdout_days, lifetime_tolerance"
        " from rfm._runs where lifetime_model is not null order by run"
    )
    if not due:
        return False
    night.define(*CUSTOMERS)
    models: list[dict[str, Any]] = []
    expectations: list[pa.Table] = []
    amounts: list[dict[str, Any]] = []
    for run, definition, as_of, model, unit, days, tolerance in due:
        key = {"definition": definition, "as_of": as_of, "unit": unit}
        histories, _ = _histories(night, run, "all")
        fitted, row = _purchases(night, run, histories, model, _DAYS[unit], days, float(tolerance))
        models.append(key | row)
        gamma, row = _amounts(night, run)
        models.append(key | row)
        if fitted:
            horizons = models[-2]["diagnostics"]["horizons"]
            expectations.append(_expectations(run, fitted, histories, _DAYS[unit], horizons))
            amounts.append({"run": run, **(gamma.fit.parameters if gamma else dict.fromkeys("pqv"))})
    _register(night, models, expectations, amounts)
    return True


def _purchases(
    night: Night, run: int, histories: Histories, name: str, unit: float, days: int, tolerance: float
) -> tuple[PurchaseModel | None, dict[str, Any]]:
    """The fitted model if it may be published, and its row of rfm.lifetime_models."""
    repeaters = _repeaters(histories)
    row: dict[str, Any] = {"model": name, "customers": int(histories.customers.sum()), "repeat_customers": repeaters}
    if repeaters < LEAST_REPEATERS:
        return None, row | _refused(_too_few(repeaters))
    fit_model = MODELS[name]
    fitted = fit_model(histories)
    row |= _of(fitted.fit)
    if fitted.fit.problem:
        return None, row | _refused(fitted.fit.problem)
    before, bought = _histories(night, run, "calibration")
    holdout = None
    problem = f"before the holdout {_too_few(_repeaters(before))}"
    if _repeaters(before) >= LEAST_REPEATERS:
        earlier = fit_model(before)
        problem = earlier.fit.problem and f"before the holdout, {earlier.fit.problem}"
        if not problem:
            holdout = held_out(earlier, before, bought, days, unit)
            problem = holdout.problem(tolerance)
    row["diagnostics"] |= {"holdout": holdout.as_dict() if holdout else None}
    if problem or holdout is None:
        return None, row | _refused(problem)
    horizons, reasons = _holding(float(histories.t.max()) * unit, holdout, tolerance)
    row["diagnostics"] |= {"horizons": horizons, "status": "warning" if reasons else "published"}
    if not horizons:
        return None, row | _refused("; ".join(reasons))
    return fitted, row | {"reason": "; ".join(reasons) or None}


def _holding(seen: float, holdout: Holdout, tolerance: float) -> tuple[list[int], list[str]]:
    """The horizons that may be published, and what is to be said of the others. ``seen``: days of the oldest customer.

    Where a tenth of the customers was foretold badly, nothing is believed beyond what the holdout could show.
    """
    held = [days for days in HORIZONS if days <= MOST_AHEAD * seen]
    reasons = []
    if len(held) < len(HORIZONS):
        reasons.append(
            f"no horizon over {MOST_AHEAD} times the {seen:.0f} days in which customers were seen is foretold"
            f" ({_listed(HORIZONS, held)})"
        )
    if off := holdout.tenths_off(tolerance):
        within = [days for days in held if days <= holdout.days]
        left_out = f"; nothing is foretold beyond the holdout ({_listed(held, within)})" if within != held else ""
        reasons.append(off + left_out)
        held = within
    return held, reasons


def _listed(horizons: Sequence[int], held: Sequence[int]) -> str:
    return "left out: " + ", ".join(f"{days} days" for days in horizons if days not in held)


def held_out(model: PurchaseModel, before: Histories, bought: np.ndarray[Any, Any], days: int, unit: float) -> Holdout:
    """Compares what a model fitted on the days before foretells with what was ``bought`` in the holdout."""
    horizon = days / unit
    expected = model.expected(before, horizon)
    low, high = bounds(model, before, horizon)
    weights = before.customers
    within = (bought >= low) & (bought <= high)
    line = np.lexsort((before.t_x, before.t, before.x, expected))
    middles = np.cumsum(weights[line]) - weights[line] / 2
    tenth = np.minimum((middles * 10 / weights.sum()).astype(int), 9)
    deciles = []
    for number in range(10):
        some = line[tenth == number]
        share = weights[some]
        deciles.append((int(share.sum()), float(share @ expected[some]), int(share @ bought[some])))
    return Holdout(
        days=days,
        customers=int(weights.sum()),
        expected=float(weights @ expected),
        bought=int(weights @ bought),
        coverage=float(weights @ within / weights.sum()),
        deciles=tuple(deciles),
    )


def _amounts(night: Night, run: int) -> tuple[GammaGamma | None, dict[str, Any]]:
    table = night.engine.arrow(
        f"select x, average, customers from rfm._lifetime_averages where run = {run} order by x, average"
    )
    x, average, customers = (_floats(table, name) for name in ("x", "average", "customers"))
    buyers = int(customers.sum())
    row: dict[str, Any] = {"model": GammaGamma.name, "customers": buyers, "repeat_customers": buyers}
    if len(np.unique(average)) < 2:
        return None, row | _refused("fewer than two customers differ in their average repeat purchase")
    fitted = GammaGamma.fitted(x, average, customers)
    row |= _of(fitted.fit)
    row["diagnostics"] |= {"correlation_with_x": _round(fitted.correlation)}
    problem = fitted.fit.problem
    if not problem and fitted.fit.parameters["q"] <= 1:
        problem = f"q is {fitted.fit.parameters['q']:.3f}: amounts vary so much that they have no mean"
    if not problem and abs(fitted.correlation) > MOST_CORRELATION:
        problem = (
            f"amounts go with how often customers buy (correlation {fitted.correlation:.2f}); the model supposes not"
        )
    return (None, row | _refused(problem)) if problem else (fitted, row)


def _expectations(
    run: int, model: PurchaseModel, of: Histories, unit: float, horizons: Sequence[int] = HORIZONS
) -> pa.Table:
    """One row for each history: p_alive, and for each horizon expected purchases and their bounds; else empty."""
    columns: dict[str, Any] = {"run": np.full(len(of.x), run), "x": of.x.astype(np.int64), "t_x": of.t_x, "t": of.t}
    columns["p_alive"] = np.round(model.p_alive(of), 6)
    for days in HORIZONS:
        if days not in horizons:
            columns[f"expected_purchases_{days}d"] = pa.nulls(len(of.x), pa.float64())
            columns[f"purchases_{days}d_low"] = pa.nulls(len(of.x), pa.int64())
            columns[f"purchases_{days}d_high"] = pa.nulls(len(of.x), pa.int64())
            continue
        low, high = bounds(model, of, days / unit)
        columns[f"expected_purchases_{days}d"] = np.round(model.expected(of, days / unit), 4)
        columns[f"purchases_{days}d_low"], columns[f"purchases_{days}d_high"] = low, high
    return pa.table(columns)


def _register(
    night: Night, models: list[dict[str, Any]], expectations: list[pa.Table], amounts: list[dict[str, Any]]
) -> None:
    nothing: dict[str, Any] = {"published": True, "reason": None, "parameters": None, "log_likelihood": None}
    texts = [
        nothing
        | row
        | {name: json.dumps(row[name]) if row.get(name) else None for name in ("parameters", "diagnostics")}
        for row in models
    ]
    night.engine.register("rfm._lifetime_fits", pa.Table.from_pylist(texts))
    empty = _expectations(0, BgNbd(_NO_FIT), Histories(*(np.zeros(0) for _ in range(4))), 1.0)
    night.engine.register("rfm._lifetime_fitted", pa.concat_tables(expectations or [empty]))
    exact = "cast({0} as decimal(9, 2)) as {0}"
    purchases = ", ".join(
        f"cast(expected_purchases_{days}d as decimal(18, 4)) as expected_purchases_{days}d,"
        f" purchases_{days}d_low, purchases_{days}d_high"
        for days in HORIZONS
    )
    night.engine.define(
        "rfm._lifetime_expectations",
        f"select run, x, {exact.format('t_x')}, {exact.format('t')},"
        f" cast(p_alive as decimal(9, 6)) as p_alive, {purchases} from rfm._lifetime_fitted",
    )
    schema = pa.schema([("run", pa.int64()), *((name, pa.float64()) for name in "pqv")])
    night.engine.register("rfm._lifetime_amounts", pa.Table.from_pylist(amounts, schema))


_NO_FIT = Fit(("r", "alpha", "a", "b"), (1.0, 1.0, 2.0, 1.0), (0.0,) * 4, 0.0, 0)


def _histories(night: Night, run: int, sample: str) -> tuple[Histories, np.ndarray[Any, Any]]:
    """The histories of a sample, and beside each what was bought in the holdout."""
    table = night.engine.arrow(
        "select x, t_x, t, holdout_x, sum(customers) as customers from ("
        " select x, t_x, t, customers,"
        f" case when sample = 'calibration' then holdout_x else 0 end as holdout_x from rfm._lifetime_counts"
        f" where run = {run} and sample = '{sample}') group by all order by all"
    )
    x, t_x, t, customers, bought = (_floats(table, name) for name in ("x", "t_x", "t", "customers", "holdout_x"))
    return Histories(x, t_x, t, customers), bought


def _floats(table: pa.Table, name: str) -> np.ndarray[Any, Any]:
    return np.asarray(table[name].cast(pa.float64()).to_numpy(), np.float64)


def _repeaters(of: Histories) -> int:
    return int(of.customers[of.x > 0].sum())


def _of(fit: Fit) -> dict[str, Any]:
    errors = {name: _round(error) for name, error in zip(fit.names, fit.errors, strict=True)}
    return {
        "parameters": {name: _round(value) for name, value in fit.parameters.items()},
        "log_likelihood": _round(fit.log_likelihood, 9),
        "diagnostics": {
            "converged": not fit.problem, "steps": fit.steps, "at_bound": list(fit.at_bound), "standard_errors": errors
        },
    }  # fmt: skip


def _too_few(repeaters: int) -> str:
    counted = "1 customer has" if repeaters == 1 else f"{repeaters} customers have"
    return f"{counted} bought on a second day; how often they do needs at least {LEAST_REPEATERS}"


def _refused(reason: str) -> dict[str, Any]:
    return {"published": False, "reason": reason}


def _round(value: float, digits: int = 6) -> float | None:
    """So many significant digits; what is not finite is empty, as JSON knows no infinity."""
    return float(f"{value:.{digits}g}") if np.isfinite(value) else None
