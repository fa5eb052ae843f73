"""How often customers will yet buy: BG/NBD and Pareto/NBD, from (x, t_x, t) alone.

Both say that a customer buys at its own steady rate (gamma over customers) until it silently leaves. BG/NBD (Fader,
Hardie and Lee 2005): it may leave after each purchase, with its own probability (beta). Pareto/NBD (Schmittlein,
Morrison and Colombo 1987): at any time, at its own rate (gamma). ``x`` repeat purchases, ``t_x`` time to the last,
``t`` time observed, in one unit; all functions take arrays of histories and answer for each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count, islice
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import digamma, gammaln, hyp2f1

from kanta.lifetime.fitting import Fit, maximize

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

#: Bounds hold with 90 % probability: the 5 % and the 95 % quantile.
LOW, HIGH = 0.05, 0.95

#: A quantile is looked for no further than this many purchases.
MOST_PURCHASES = 20_000

#: How many histories are worked out together.
_TOGETHER = 20_000

#: Nodes of the Gauss-Legendre rule on [0, 1]; the integrands are smooth, 32 nodes leave an error below 1e-9.
_NODES, _WEIGHTS = (array / 2 for array in np.polynomial.legendre.leggauss(32))
_NODES = _NODES + 0.5


@dataclass(frozen=True)
class Histories:
    """Distinct purchase histories and how many customers share each; ``customers`` weighs the likelihood."""

    x: Floats
    t_x: Floats
    t: Floats
    customers: Floats

    def only(self, which: NDArray[Any]) -> Histories:
        """Some of them."""
        return Histories(self.x[which], self.t_x[which], self.t[which], self.customers[which])


class PurchaseModel(Protocol):
    """A fitted model."""

    @property
    def fit(self) -> Fit:
        """Its parameters."""

    def p_alive(self, of: Histories) -> Floats:
        """Probability that a customer has not left by the end of what was observed."""

    def expected(self, of: Histories, horizon: float) -> Floats:
        """Expected purchases in the next ``horizon``, over leaving too."""

    def masses(self, of: Histories, horizon: float) -> Iterator[Floats]:
        """The probabilities of 0, 1, 2 … purchases in the next ``horizon``, without end."""


def _by_value(x: Floats) -> Callable[[Callable[[Floats], Floats]], Floats]:
    """Works special functions of x out once for each value that occurs."""
    values, place = np.unique(x, return_inverse=True)
    return lambda function: function(values)[place]


@dataclass(frozen=True)
class BgNbd:
    """BG/NBD with parameters r, alpha (rate) and a, b (leaving)."""

    fit: Fit
    name: ClassVar[str] = "bg_nbd"

    @classmethod
    def fitted(cls, of: Histories) -> BgNbd:
        """By maximum likelihood. Raises nothing: whether it converged is in ``fit``."""
        scale = max(float(np.average(of.t, weights=of.customers)), 1e-9)
        t_x, t = of.t_x / scale, of.t / scale
        again = of.x > 0
        of_x = _by_value(of.x)

        def likelihood(r: float, alpha: float, a: float, b: float) -> tuple[Floats, list[Floats]]:
            log_t, log_t_x = np.log(alpha + t), np.log(alpha + t_x)
            stayed = -(r + of.x) * log_t
            left = np.full_like(stayed, -np.inf)
            left[again] = (np.log(a) - np.log(b + of.x[again] - 1)) - (r + of.x[again]) * log_t_x[again]
            either = np.logaddexp(stayed, left)
            w_left = np.exp(left - either)
            constant = of_x(
                lambda x: (
                    gammaln(r + x) - gammaln(r) + gammaln(a + b) + gammaln(b + x) - gammaln(b) - gammaln(a + b + x)
                )
            )
            both = of_x(lambda x: digamma(a + b) - digamma(a + b + x))
            return constant + r * np.log(alpha) + either, [
                of_x(lambda x: digamma(r + x) - digamma(r)) + np.log(alpha) - (1 - w_left) * log_t - w_left * log_t_x,
                r / alpha - (r + of.x) * ((1 - w_left) / (alpha + t) + w_left / (alpha + t_x)),
                both + w_left / a,
                both
                + of_x(lambda x: digamma(b + x) - digamma(b))
                - np.where(again, w_left / np.where(again, b + of.x - 1, 1.0), 0.0),
            ]

        starts = [(0.5, 0.5, 1.0, 3.0), (1.0, 1.0, 1.0, 1.0), (0.2, 0.1, 0.5, 5.0)]
        found = maximize(("r", "alpha", "a", "b"), likelihood, of.customers, starts)
        # a change of unit: the density of t_x, t scales with each purchase
        return cls(found.rescaled("alpha", scale, -float(np.dot(of.customers, of.x)) * np.log(scale)))

    def p_alive(self, of: Histories) -> Floats:
        r, alpha, a, b = self.fit.values
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            odds = a / (b + of.x - 1) * ((alpha + of.t) / (alpha + of.t_x)) ** (r + of.x)
        found: Floats = np.where(of.x > 0, 1 / (1 + odds), 1.0)
        return found

    def expected(self, of: Histories, horizon: float) -> Floats:
        r, alpha, a, b = self.fit.values
        a = a if abs(a - 1) > 1e-7 else 1 + 1e-7  # the closed form has a removable pole there
        z = horizon / (alpha + of.t + horizon)
        # Euler's transformation: small first parameters, so that many purchases neither overflow nor cancel
        with np.errstate(all="ignore"):
            series = hyp2f1(a + b - 1 - r, a - 1, a + b + of.x - 1, z)
            alive: Floats = (a + b + of.x - 1) / (a - 1) * (1 - (1 - z) ** (a - 1) * series)
        found: Floats = np.maximum(alive, 0.0) * self.p_alive(of)
        # where a is large, as when all leave alike, the series has no number
        lost = ~np.isfinite(found) | (np.abs(series) > 1e280)
        if lost.any():
            found[lost] = _mean(self.masses(of.only(lost), horizon), int(lost.sum()))
        return found

    def masses(self, of: Histories, horizon: float) -> Iterator[Floats]:
        r, alpha, a, b = self.fit.values
        rate, after = r + of.x, b + of.x
        step = horizon / (alpha + of.t + horizon)
        alive = self.p_alive(of)
        bought = np.exp(rate * np.log1p(-step))  # of a customer who cannot leave: exactly y purchases
        yield 1 - alive + alive * bought
        more = 1 - bought  # y or more
        leaves, stays = a / (a + after), after / (a + after)  # with the y-th purchase; with none of y
        for y in count(1):
            bought = bought * (rate + y - 1) / y * step
            yield alive * (stays * bought + leaves * np.maximum(more, 0.0))
            more = more - bought
            leaves, stays = leaves * (after + y - 1) / (a + after + y), stays * (after + y) / (a + after + y)


@dataclass(frozen=True)
class ParetoNbd:
    """Pareto/NBD with parameters r, alpha (rate) and s, beta (leaving)."""

    fit: Fit
    name: ClassVar[str] = "pareto_nbd"

    @classmethod
    def fitted(cls, of: Histories) -> ParetoNbd:
        """By maximum likelihood; the integral over the time of leaving by quadrature."""
        scale = max(float(np.average(of.t, weights=of.customers)), 1e-9)
        scaled = Histories(of.x, of.t_x / scale, of.t / scale, of.customers)
        of_x = _by_value(of.x)

        def likelihood(r: float, alpha: float, s: float, beta: float) -> tuple[Floats, list[Floats]]:
            x, t = scaled.x, scaled.t
            stayed = -(r + x) * np.log(alpha + t) - s * np.log(beta + t)
            log_left, moments = _left(scaled, r, alpha, s, beta)
            either = np.logaddexp(stayed, log_left)
            w = np.exp(log_left - either)
            u = 1 - w
            constant = of_x(lambda x: gammaln(r + x) - gammaln(r)) + r * np.log(alpha) + s * np.log(beta)
            return constant + either, [
                of_x(lambda x: digamma(r + x) - digamma(r))
                + np.log(alpha) - u * np.log(alpha + t) - w * moments[0],
                r / alpha - (r + x) * (u / (alpha + t) + w * moments[1]),
                np.log(beta) - u * np.log(beta + t) + w * (1 / s - moments[2]),
                s / beta - u * s / (beta + t) - w * (s + 1) * moments[3],
            ]  # fmt: skip

        starts = [(0.5, 0.3, 0.6, 0.4), (1.0, 1.0, 1.0, 1.0)]
        found = maximize(("r", "alpha", "s", "beta"), likelihood, of.customers, starts)
        shift = -float(np.dot(of.customers, of.x)) * np.log(scale)
        return cls(found.rescaled("alpha", scale, shift).rescaled("beta", scale, 0.0))

    def p_alive(self, of: Histories) -> Floats:
        r, alpha, s, beta = self.fit.values
        stayed = -(r + of.x) * np.log(alpha + of.t) - s * np.log(beta + of.t)
        log_left, _ = _left(of, r, alpha, s, beta)
        return np.asarray(np.exp(stayed - np.logaddexp(stayed, log_left)))

    def expected(self, of: Histories, horizon: float) -> Floats:
        r, alpha, s, beta = self.fit.values
        ratio = np.log1p(horizon / (beta + of.t))
        less = s - 1
        lived = ratio if abs(less) < 1e-9 else -np.expm1(-less * ratio) / less
        return np.asarray((r + of.x) / (alpha + of.t) * (beta + of.t) * lived * self.p_alive(of))

    def masses(self, of: Histories, horizon: float) -> Iterator[Floats]:
        r, alpha, s, beta = self.fit.values
        rate, alive = (r + of.x)[:, None], self.p_alive(of)
        until = beta + of.t[:, None]
        lived = np.append(_NODES, 1.0) * horizon  # the last: stays all the time
        leaving = _WEIGHTS * horizon * s / until * (1 + lived[:-1] / until) ** -(s + 1)
        share = np.hstack([leaving, (1 + horizon / until) ** -s])
        share = share / share.sum(axis=1, keepdims=True)
        step = lived / (alpha + of.t[:, None] + lived)
        bought = np.exp(rate * np.log1p(-step))
        yield 1 - alive + alive * (share * bought).sum(axis=1)
        for y in count(1):
            bought = bought * (rate + y - 1) / y * step
            yield alive * (share * bought).sum(axis=1)


def _left(of: Histories, r: float, alpha: float, s: float, beta: float) -> tuple[Floats, list[Floats]]:
    """Log of s times the integral over y from t_x to t of (alpha + y)^-(r + x) (beta + y)^-(s + 1).

    With it the means, under that integrand, of log(alpha + y), 1 / (alpha + y), log(beta + y) and 1 / (beta + y): its
    derivatives. In log(alpha + y) the integrand falls at rate r + x - 1, so what lies 40 of these away counts nothing.
    """
    first, width = np.log(alpha + of.t_x), np.log((alpha + of.t) / (alpha + of.t_x))
    fall = r + of.x - 1
    width = np.minimum(width, 40 / np.maximum(fall, 1e-12))
    log_beta = np.log(beta + of.t_x)
    total = np.zeros_like(width)
    sums = [np.zeros_like(width) for _ in range(4)]
    for node, weight in zip(_NODES, _WEIGHTS, strict=True):
        further = node * width
        log_a = first + further
        at_b = beta - alpha + np.exp(log_a)
        log_b = np.log(at_b)
        height = weight * np.exp(-fall * further - (s + 1) * (log_b - log_beta))
        total += height
        for part, value in zip(sums, (log_a, np.exp(-log_a), log_b, 1 / at_b), strict=True):
            part += height * value
    with np.errstate(divide="ignore"):
        log_integral = np.log(s) - fall * first - (s + 1) * log_beta + np.log(total * width)
    return log_integral, [part / total for part in sums]


def _mean(masses: Iterator[Floats], histories: int) -> Floats:
    """The mean number of purchases: the sum of the probabilities of more than 0, 1, 2 …"""
    mean, more = np.zeros(histories), np.ones(histories)
    for mass in islice(masses, MOST_PURCHASES):
        more = np.maximum(more - mass, 0.0)
        mean += more
        if more.max() < 1e-9:
            break
    return mean


def bounds(model: PurchaseModel, of: Histories, horizon: float) -> tuple[Counts, Counts]:
    """The 5 % and 95 % quantiles of the number of purchases in the next ``horizon``."""
    low, high = np.zeros(len(of.x), np.int64), np.zeros(len(of.x), np.int64)
    # those who buy as much are worked out together, so that few wait for many
    line = np.argsort(model.expected(of, horizon), kind="stable")
    for first in range(0, len(line), _TOGETHER):
        some = line[first : first + _TOGETHER]
        part = of.only(some)
        summed = np.zeros(len(some))
        for mass in islice(model.masses(part, horizon), MOST_PURCHASES):
            summed += mass
            low[some] += summed < LOW
            high[some] += summed < HIGH - 1e-9
            if (summed >= HIGH - 1e-9).all():
                break
    return low, high


#: How each model is fitted, by its name in a programme.
MODELS: dict[str, Callable[[Histories], PurchaseModel]] = {
    "bg_nbd": BgNbd.fitted,
    "pareto_nbd": ParetoNbd.fitted,
}
