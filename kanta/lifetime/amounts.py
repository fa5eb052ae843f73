"""How much a purchase is worth: Gamma-Gamma (Fader and Hardie 2013), from each customer's average repeat purchase.

Amounts vary around a customer's own average, averages vary between customers, and neither has to do with how often one
buys. That last is a supposition: the correlation says how far it holds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import digamma, gammaln

from kanta.lifetime.fitting import Fit, maximize

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class GammaGamma:
    """Gamma-Gamma with parameters p, q and v; v is in money."""

    fit: Fit
    correlation: float
    name: ClassVar[str] = "gamma_gamma"

    @classmethod
    def fitted(cls, x: Floats, average: Floats, customers: Floats) -> GammaGamma:
        """By maximum likelihood on (x, average) of customers with x > 0 and average > 0."""
        scale = float(np.average(average, weights=customers))
        z, log_x = average / scale, np.log(x)
        log_z = np.log(z)
        values, place = np.unique(x, return_inverse=True)

        def likelihood(p: float, q: float, v: float) -> tuple[Floats, list[Floats]]:
            mass, log_sum = p * x + q, np.log(v + x * z)
            gammas = (gammaln(p * values + q) - gammaln(p * values))[place]
            slope = digamma(p * values + q)
            rows = gammas - gammaln(q) + q * np.log(v) + (p * x - 1) * log_z + p * x * log_x - mass * log_sum
            return rows, [
                x * ((slope - digamma(p * values))[place] + log_z + log_x - log_sum),
                slope[place] - digamma(q) + np.log(v) - log_sum,
                q / v - mass / (v + x * z),
            ]

        found = maximize(("p", "q", "v"), likelihood, customers, [(3.0, 3.0, 1.0), (1.0, 1.0, 1.0), (10.0, 5.0, 0.5)])
        shift = -float(customers.sum()) * float(np.log(scale))
        return cls(found.rescaled("v", scale, shift), _correlation(x, average, customers))


def _correlation(x: Floats, average: Floats, customers: Floats) -> float:
    """Pearson's, weighted; 0 where one of the two does not vary."""
    by_x, by_average = (values - np.average(values, weights=customers) for values in (x, average))
    spread = np.sqrt(np.average(by_x**2, weights=customers) * np.average(by_average**2, weights=customers))
    together = float(np.average(by_x * by_average, weights=customers))
    return together / float(spread) if spread > 0 else 0.0
