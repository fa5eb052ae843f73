"""Maximum likelihood of positive parameters: L-BFGS in their logarithms, from several starts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

Floats = NDArray[np.float64]
Likelihood = Callable[..., tuple[Floats, list[Floats]]]

#: Logarithms of parameters stay within these.
_BOUND = 12.0

#: A parameter whose logarithm is not known better than this (a factor of fifty either way) is not held by the data.
_LOOSE = 4.0


@dataclass(frozen=True)
class Fit:
    """A maximum: parameters by name, with their standard errors, and the log-likelihood of all customers there.

    ``problem`` says in words why it is none, or none to be believed; empty when it is one. ``at_bound`` names
    parameters that would go on for ever, or that nothing in the data holds: where nobody ever leaves, say, and every
    customer that is lost would be called alive.
    """

    names: tuple[str, ...]
    values: tuple[float, ...]
    errors: tuple[float, ...]
    log_likelihood: float
    steps: int
    problem: str = ""
    at_bound: tuple[str, ...] = ()

    @property
    def parameters(self) -> dict[str, float]:
        return dict(zip(self.names, self.values, strict=True))

    def rescaled(self, name: str, factor: float, shift: float) -> Fit:
        """The same maximum with one parameter in another unit; ``shift`` is what that adds to the log-likelihood."""
        position = self.names.index(name)

        def scaled(values: tuple[float, ...]) -> tuple[float, ...]:
            return tuple(value * factor if at == position else value for at, value in enumerate(values))

        return replace(
            self,
            values=scaled(self.values),
            errors=scaled(self.errors),
            log_likelihood=self.log_likelihood + shift,
        )


def maximize(
    names: tuple[str, ...], likelihood: Likelihood, weights: Floats, starts: Sequence[tuple[float, ...]]
) -> Fit:
    """The parameters (all above nothing) where the weighted sum of log-likelihoods is highest.

    ``likelihood(*parameters)`` gives each row's log-likelihood and its derivative by each parameter. Of the starts,
    the best end counts. Never raises for what the data are like: ``Fit.problem`` says what is wrong.
    """
    total = float(weights.sum())

    def against(logs: Floats) -> tuple[float, Floats]:
        parameters = np.exp(logs)
        with np.errstate(all="ignore"):
            rows, slopes = likelihood(*parameters)
            value = -float(weights @ rows) / total
            slope = -np.array([float(weights @ part) for part in slopes]) * parameters / total
        if not np.isfinite(value) or not np.isfinite(slope).all():
            return 1e10, np.zeros_like(logs)
        return value, slope

    ends = [
        minimize(
            against, np.log(start), jac=True, method="L-BFGS-B", bounds=[(-_BOUND, _BOUND)] * len(names),
            options={"maxiter": 500, "ftol": 1e-13, "gtol": 1e-7},
        )
        for start in starts
    ]  # fmt: skip
    best = min(ends, key=lambda end: float(end.fun))
    logs = np.asarray(best.x)
    steep = float(np.abs(against(logs)[1]).max())
    errors = _errors(against, logs, total)
    at_bound = tuple(
        name
        for name, log, error in zip(names, logs, errors, strict=True)
        if abs(log) > _BOUND - 0.1 or not error <= _LOOSE
    )
    problem = ""
    if float(best.fun) >= 1e9:
        problem = "the likelihood cannot be worked out for this data"
    elif at_bound:
        problem = (
            f"the fit stands at the bound of {' and '.join(at_bound)}: the data do not tell it, as where nobody ever"
            " leaves or all do alike"
        )
    elif steep > 1e-4:
        problem = "the search did not converge"
    values = np.exp(logs)
    return Fit(
        names=names,
        values=tuple(float(value) for value in values),
        errors=tuple(float(value) for value in values * errors),
        log_likelihood=-float(best.fun) * total,
        steps=int(sum(end.nit for end in ends)),
        problem=problem,
        at_bound=at_bound,
    )


def _errors(against: Callable[[Floats], tuple[float, Floats]], logs: Floats, total: float) -> Floats:
    """Standard errors of the logarithms, from the curvature at the maximum; infinite where there is none."""
    step = 1e-4
    rows = []
    for at in range(len(logs)):
        aside = np.zeros_like(logs)
        aside[at] = step
        rows.append((against(logs + aside)[1] - against(logs - aside)[1]) / (2 * step))
    curvature = (np.array(rows) + np.array(rows).T) / 2 * total
    try:
        variances = np.diag(np.linalg.inv(curvature))
    except np.linalg.LinAlgError:
        variances = np.full(len(logs), np.inf)
    with np.errstate(invalid="ignore"):
        return np.where(variances > 0, np.sqrt(np.abs(variances)), np.inf)
