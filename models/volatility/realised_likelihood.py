"""The joint likelihood of returns and range variances by a log-linear realised GARCH, and its maximum."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Self

import numpy as np
from scipy.optimize import minimize

from features.panel import Float64Array
from models.volatility.realised_kernels import gradient, measured

LEAST_SIGMA_U: Final = 0.05
# μ, level, β, γ of standardised data: the spec's start, then a slower and a quicker one.
STARTS: Final = ((0.0, 0.0, 0.6, 0.35), (0.0, 0.0, 0.8, 0.15), (0.0, 0.0, 0.35, 0.55))
BOUNDS: Final = ((-3.0, 3.0), (-10.0, 10.0), (0.0, 0.9995), (1e-4, 3.0))
_ABSURD: Final = 1e60  # of a squared residual: the search has left all sense, and sums of squares would overflow
_REFUSED: Final = 1e10  # the loss there
_TOLERANCE: Final = 1e-10  # of the likelihood that a Newton step would still win


@dataclass(frozen=True)
class Estimate:
    """A maximum in standardised units.

    at        (4,) μ, level, β, γ
    measure   (4,) ξ, φ, τ₁, τ₂ of ln x about its mean
    """

    at: Float64Array
    measure: Float64Array
    sigma_u: float
    joint_loglik: float
    converged: bool


@dataclass(frozen=True)
class Standardised:
    """Returns over their standard deviation, and ln x about its mean once x is over their variance."""

    r: Float64Array = field(repr=False)
    log_x: Float64Array = field(repr=False)
    unit: float
    centre: float

    @classmethod
    def of(cls, value: Float64Array, x: Float64Array, variance: float) -> Self:
        """From returns (T,), positive range variances (T,) and the variance that stands for 1."""
        log_x = np.log(x / variance)
        centre = float(np.mean(log_x))
        unit = float(np.sqrt(variance))
        return cls(value / unit, log_x - centre, unit, centre)

    def outward(self, found: Estimate) -> dict[str, float]:
        """The equation in the units of the returns, by its symbols."""
        (mu, level, beta, gamma), (xi, phi, tau_1, tau_2) = found.at.tolist(), found.measure.tolist()
        log_unit = 2.0 * float(np.log(self.unit))
        omega = (log_unit + level) * (1.0 - beta) - gamma * (log_unit + self.centre)
        told = {"mu": mu * self.unit, "omega": omega, "beta": beta, "gamma": gamma}
        told |= {"xi": xi + self.centre + log_unit * (1.0 - phi), "phi": phi, "tau_1": tau_1, "tau_2": tau_2}
        return told | {"sigma_u": found.sigma_u}

    def inward(self, equation: Mapping[str, float]) -> Float64Array:
        """Where a search begins that an earlier estimate gives, (4,)."""
        log_unit = 2.0 * float(np.log(self.unit))
        beta, gamma = equation["beta"], equation["gamma"]
        level = (equation["omega"] + gamma * (log_unit + self.centre)) / (1.0 - beta) - log_unit
        low, high = np.array(BOUNDS).T
        return np.clip([equation["mu"] / self.unit, level, beta, gamma], low, high)

    def value_and_gradient(self, at: Float64Array) -> tuple[float, Float64Array, Float64Array, float]:
        """Minus the joint log-likelihood per return, its gradient (4,), the measurement (4,) and σ_u."""
        log_h, terms = measured(self.r, self.log_x, at, 0.0)
        if not np.abs(terms).max() < _ABSURD:
            return _REFUSED, np.zeros(4), np.zeros(4), 1.0
        try:
            measure = np.linalg.solve(terms.T @ terms, terms.T @ self.log_x)
        except np.linalg.LinAlgError:
            return _REFUSED, np.zeros(4), np.zeros(4), 1.0
        u = self.log_x - terms @ measure
        variance_u = max(float(np.mean(u * u)), LEAST_SIGMA_U**2)
        z = terms[:, 2]
        loss = 0.5 * float(np.mean(log_h + z * z + u * u / variance_u)) + 0.5 * np.log(variance_u) + np.log(2 * np.pi)
        slope = -gradient(self.log_x, log_h, terms, u, at, measure, variance_u) / len(u)
        return float(loss), slope, measure, float(np.sqrt(variance_u))

    def noise(self, found: Estimate) -> Float64Array:
        """What shocks add to ln x, τ₁ z + τ₂ (z² - 1) + u, (T,)."""
        log_h, _ = measured(self.r, self.log_x, found.at, 0.0)
        return self.log_x - found.measure[0] - found.measure[1] * log_h


def maximise(data: Standardised, begin: Float64Array | None, with_mean: bool) -> Estimate:
    """The maximum that a search from `begin` finds, or from the first of STARTS that leads to one."""
    if begin is not None:
        return _search(data, begin, with_mean)
    found = []
    for start in STARTS:
        found.append(_search(data, np.array(start), with_mean))
        if found[-1].converged:
            break
    return max(found, key=lambda one: (one.converged, one.joint_loglik))


def _search(data: Standardised, start: Float64Array, with_mean: bool) -> Estimate:
    free = np.arange(0 if with_mean else 1, 4)
    held = start.copy()
    if not with_mean:
        held[0] = 0.0

    def whole(part: Float64Array) -> Float64Array:
        at = held.copy()
        at[free] = part
        return at

    def loss(part: Float64Array) -> tuple[float, Float64Array]:
        value, slope, *_ = data.value_and_gradient(whole(part))
        return value, slope[free]

    bounds = [BOUNDS[i] for i in free]
    found = minimize(loss, held[free], jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 200})
    part, converged = _newton(loss, found.x, np.array(bounds), len(data.r))
    at = whole(part)
    value, _, measure, sigma_u = data.value_and_gradient(at)
    return Estimate(at, measure, sigma_u, -value * len(data.r), converged)


def _newton(
    loss: Callable[[Float64Array], tuple[float, Float64Array]], part: Float64Array, bounds: Float64Array, nobs: int
) -> tuple[Float64Array, bool]:
    """Newton steps to an interior minimum of the loss per return; the point as it came, and False, where none is."""
    at = part
    for _ in range(12):
        value, slope = loss(at)
        hessian = _hessian(loss, at, bounds)
        if not np.isfinite(hessian).all() or np.linalg.eigvalsh(hessian)[0] <= 0:
            return part, False
        step = np.linalg.solve(hessian, slope)
        to = at - step
        if (to <= bounds[:, 0]).any() or (to >= bounds[:, 1]).any():
            return part, False
        at = to
        if nobs * float(slope @ step) < _TOLERANCE and loss(at)[0] <= value + 1e-13:
            return at, True
    return part, False


def _hessian(
    loss: Callable[[Float64Array], tuple[float, Float64Array]], at: Float64Array, bounds: Float64Array
) -> Float64Array:
    """Central differences of the gradient."""
    k = len(at)
    out = np.empty((k, k))
    for i in range(k):
        step = np.zeros(k)
        step[i] = min(1e-5, (at[i] - bounds[i, 0]) / 2, (bounds[i, 1] - at[i]) / 2)
        if step[i] <= 0:
            return np.full((k, k), np.nan)
        out[i] = (loss(at + step)[1] - loss(at - step)[1]) / (2 * step[i])
    return (out + out.T) / 2
