"""Maximum likelihood of the curve of Schwartz and Smith: what is searched, from where, how sharp the top is.

The log prices are linear in the two risk premia and the drift (lambda_chi, mu_xi_star, mu_xi), which are weakly
identified: for any values of the others their best ones are least squares of the filter's innovations, so the search
is over the others alone. By the envelope theorem its slope is that with the three held.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from features.panel import BoolArray, Float64Array
from models.base import FitError
from models.spread.term_curve import LINEAR, Rows
from models.spread.term_kernels import crossed, log_likelihood

N = TypeVar("N", np.float64, np.complex128)

STARTS: Final = ((0.7, 0.3, 0.2, 0.01), (2.5, 0.3, 0.2, 0.01))  # kappa, sigma_chi, sigma_xi, noise
KAPPA: Final = (0.05, 20.0)
SIGMA: Final = (1e-3, 5.0)
NOISE: Final = (1e-5, 1.0)
_ATANH_RHO: Final = 4.0
LEVEL_VARIANCE: Final = 0.1  # of xi before the first date; its mean is the nearest contract's log price
_IMAGINARY: Final = 1e-30
_GAIN: Final = 1e-5  # of the log-likelihood that a Newton step from the end may still promise
_STEP: Final = 1e-4
_POLISH: Final = 150  # steps of Nelder-Mead a parameter


@dataclass(frozen=True)
class Problem:
    """A likelihood to be made largest.

    factors   2, or 1: the level is a constant then
    ranks     standard deviations of the measurement: 1, common to all, or one a rank by maturity
    premium   whether lambda_chi can be told; 0 else
    """

    rows: Rows = field(repr=False)
    factors: int
    ranks: int
    premium: bool

    @property
    def origin(self) -> float:
        """Log price of the nearest contract on the first date: the state is measured from there."""
        first = int(np.argmax(self.rows.count > 0))
        return float(self.rows.log_price[first, 0])

    @property
    def bounds(self) -> tuple[Float64Array, Float64Array]:
        """Least and largest value of each coordinate of the search: ln kappa, ln sigma_chi, ..."""
        pairs = [np.log(KAPPA), np.log(SIGMA)]
        if self.factors == 2:
            pairs += [np.log(SIGMA), np.array([-_ATANH_RHO, _ATANH_RHO])]
        low, high = np.array([*pairs, *[np.log(NOISE)] * self.ranks]).T
        return low, high

    @property
    def free(self) -> tuple[int, ...]:
        """Which of lambda_chi, mu_xi, mu_xi_star are estimated, as positions among the three."""
        if self.factors == 2:
            return (0, 1, 2) if self.premium else (1, 2)
        return (0,) if self.premium else ()

    def start(self, told: tuple[float, float, float, float]) -> Float64Array:
        """A start of the specification in coordinates of the search; rho is 0."""
        kappa, sigma_chi, sigma_xi, noise = told
        level = [np.log(sigma_xi), 0.0] if self.factors == 2 else []
        return np.array([np.log(kappa), np.log(sigma_chi), *level, *[np.log(noise)] * self.ranks])

    def natural(self, x: NDArray[N], linear: NDArray[N]) -> tuple[NDArray[N], NDArray[N], NDArray[N]]:
        """What the kernels take: parameters (7,), variances of the measurement (M,), the state to begin with (5,)."""
        theta = np.zeros(7, dtype=x.dtype)
        theta[0], theta[1] = np.exp(x[0]), np.exp(x[1])
        if self.factors == 2:
            theta[4], theta[5] = np.exp(x[2]), np.tanh(x[3])
        theta[list(LINEAR)] = linear
        noise = np.exp(2.0 * x[-self.ranks :])
        begin = np.zeros(5, dtype=x.dtype)
        begin[2], begin[4] = theta[1] * theta[1] / (2.0 * theta[0]), LEVEL_VARIANCE
        return theta, noise if self.ranks > 1 else np.repeat(noise, self.rows.log_price.shape[1]), begin


@dataclass(frozen=True)
class End:
    """Where the search from one start ended."""

    start: tuple[float, float, float, float]
    x: Float64Array = field(repr=False)
    loglik: float


@dataclass(frozen=True)
class Estimate:
    """The highest end.

    theta    (7,) parameters; noise (ranks,) standard deviations; errors of both, (7 + ranks,), NaN on a bound
    ends     of every start
    settled  whether the slope is flat and the curvature that of a maximum, away from the bounds of kappa
    """

    theta: Float64Array
    noise: Float64Array
    errors: Float64Array
    loglik: float
    ends: tuple[End, ...]
    settled: bool
    held: tuple[str, ...]


class Search:
    """A problem with what its kernels read, so that a value costs no more than they do."""

    def __init__(self, posed: Problem) -> None:
        self.posed = posed
        rows = posed.rows
        used = np.arange(rows.log_price.shape[1]) < rows.count[:, None]
        centred = np.where(used, rows.log_price - posed.origin, 0.0)
        self._given = (rows.steps(), rows.count, rows.years, centred)

    def linear(self, x: Float64Array) -> Float64Array:
        """The best lambda_chi, mu_xi, mu_xi_star, (3,), where the others are given."""
        out = np.zeros(3)
        free = list(self.posed.free)
        if free:
            products = crossed(*self.posed.natural(x, out), *self._given)
            at = [1 + i for i in free]
            size = np.sqrt(np.diag(products)[at])
            scaled = products[np.ix_(at, at)] / np.outer(size, size)
            out[free] = np.linalg.lstsq(scaled, -products[at, 0] / size, rcond=1e-13)[0] / size
        return out

    def value(self, x: Float64Array) -> float:
        """Log-likelihood with the best of the three."""
        return float(log_likelihood(*self.posed.natural(x, self.linear(x)), *self._given))

    def value_and_slope(self, x: Float64Array) -> tuple[float, Float64Array]:
        """Log-likelihood with the best of the three, and its exact slope."""
        return self._sloped(x, self.linear(x), len(x))

    def whole_slope(self, z: Float64Array) -> Float64Array:
        """Slope in the coordinates of the search and in the three."""
        return self._sloped(z[:-3], z[-3:], len(z))[1]

    def _sloped(self, x: Float64Array, linear: Float64Array, size: int) -> tuple[float, Float64Array]:
        out, value = np.empty(size), 0.0
        z = np.concatenate([x, linear])
        for i in range(size):
            moved = z.astype(np.complex128)
            moved[i] += 1j * _IMAGINARY
            found = log_likelihood(*self.posed.natural(moved[:-3], moved[-3:]), *self._given)
            out[i], value = found.imag / _IMAGINARY, found.real
        return value, out


def estimate(posed: Problem, begin: Float64Array | None = None) -> Estimate:
    """The highest top that is found from the starts of the specification.

    begin   coordinates of an earlier end, tried before them
    Errors  FitError where the likelihood has a value nowhere
    """
    search = Search(posed)
    low, high = posed.bounds
    ends = []
    if begin is not None and begin.shape == low.shape:
        ends.append(_climb(search, np.clip(begin, low, high), _told(posed, begin)))
    ends += [_climb(search, np.clip(posed.start(told), low, high), told) for told in STARTS]
    best = max(ends, key=lambda end: end.loglik)
    if not np.isfinite(best.loglik):
        raise FitError("model schwartz_smith", "the likelihood must have a value somewhere", "none at any start")
    return _estimate(search, best, tuple(ends))


def _told(posed: Problem, x: Float64Array) -> tuple[float, float, float, float]:
    theta, noise, _ = posed.natural(x, np.zeros(3))
    return float(theta[0]), float(theta[1]), float(theta[4]), float(np.sqrt(noise[0]))


def _climb(search: Search, begin: Float64Array, start: tuple[float, float, float, float]) -> End:
    """L-BFGS, Nelder-Mead from where it ends, L-BFGS again where that went higher."""
    low, high = search.posed.bounds
    box = list(zip(low, high, strict=True))
    size = 1.0 / search.posed.rows.observations

    def loss(x: Float64Array) -> tuple[float, Float64Array]:
        value, slope = search.value_and_slope(x)
        return (-value * size, -slope * size) if np.isfinite(value) else (1e10, np.zeros(len(x)))

    def smooth(x: Float64Array) -> Float64Array:
        limits = {"maxiter": 500, "ftol": 1e-15, "gtol": 1e-9}
        return np.asarray(minimize(loss, x, jac=True, method="L-BFGS-B", bounds=box, options=limits).x)

    x = smooth(begin)
    sides = 0.02 * np.eye(len(x)) * np.where(x + 0.02 > high, -1.0, 1.0)
    limits = {
        "maxiter": _POLISH * len(x),
        "xatol": 1e-7,
        "fatol": 1e-12,
        "initial_simplex": np.vstack([x, x + sides]),
    }
    polished = minimize(lambda x: -search.value(x) * size, x, method="Nelder-Mead", bounds=box, options=limits)
    if polished.fun < loss(x)[0]:
        again = smooth(np.asarray(polished.x))
        x = again if search.value(again) >= -polished.fun / size else np.asarray(polished.x)
    return End(start, x, search.value(x))


def _estimate(search: Search, best: End, ends: tuple[End, ...]) -> Estimate:
    posed, x = search.posed, best.x
    linear = search.linear(x)
    low, high = posed.bounds
    held = (x <= low + 1e-9) | (x >= high - 1e-9)
    free = np.concatenate([~held, np.isin(np.arange(3), posed.free)])
    z = np.concatenate([x, linear])
    covariance, gain = _sharpness(search, z, free)
    theta = posed.natural(x, linear)[0]
    sd = np.sqrt(np.exp(2.0 * x[-posed.ranks :]))
    errors = np.full(7 + posed.ranks, np.nan)
    if covariance is not None:
        at, by = _derivatives(posed, x)
        some = np.full(len(z), np.nan)
        some[free] = np.sqrt(np.diag(covariance))
        errors[at] = some * by
    names = _names(posed)
    return Estimate(
        np.asarray(theta, dtype=np.float64),
        sd,
        errors,
        best.loglik,
        ends,
        bool(gain < _GAIN and not held[0]),
        tuple(name for name, one in zip(names, held, strict=True) if one),
    )


def _names(posed: Problem) -> tuple[str, ...]:
    states = ("kappa", "sigma_chi") + (("sigma_xi", "rho") if posed.factors == 2 else ())
    return states + (("noise",) if posed.ranks == 1 else tuple(f"noise_{i + 1}" for i in range(posed.ranks)))


def _derivatives(posed: Problem, x: Float64Array) -> tuple[list[int], Float64Array]:
    """Where each coordinate of the search, then the three, stands among parameters and noise; what a step of it is."""
    theta = posed.natural(x, np.zeros(3))[0]
    states, by = [0, 1], [theta[0], theta[1]]
    if posed.factors == 2:
        states, by = [*states, 4, 5], [*by, theta[4], 1.0 - theta[5] ** 2]
    at = [*states, *range(7, 7 + posed.ranks), *LINEAR]
    return at, np.array([*by, *np.exp(x[-posed.ranks :]), 1.0, 1.0, 1.0])


def _sharpness(search: Search, z: Float64Array, free: BoolArray) -> tuple[Float64Array | None, float]:
    """Covariance of the free coordinates by the curvature of the likelihood; what a Newton step would still gain."""
    at = np.flatnonzero(free)
    second = np.empty((len(at), len(at)))
    for j, i in enumerate(at):
        # The three are not in logs, and some of them are known to a tenth at best.
        step = _STEP if i < len(z) - 3 else _STEP * max(1.0, abs(z[i]))
        up, down = z.copy(), z.copy()
        up[i] += step
        down[i] -= step
        second[:, j] = (search.whole_slope(up) - search.whole_slope(down))[at] / (2.0 * step)
    information = -0.5 * (second + second.T)
    size = np.sqrt(np.abs(np.diag(information)))
    if not (np.isfinite(information).all() and (size > 0).all()):
        return None, np.inf
    value, vector = np.linalg.eigh(information / np.outer(size, size))
    if value[0] <= 1e-10:
        return None, np.inf
    covariance = (vector / value) @ vector.T / np.outer(size, size)
    slope = search.whole_slope(z)[at]
    return np.asarray(covariance), float(0.5 * slope @ covariance @ slope)
