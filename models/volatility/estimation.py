"""How a GARCH-type model is estimated: data in units of their spread, bounds, starts, the search, and back again."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Final, Literal

import numpy as np

from features.panel import Float64Array
from models.base import FitError
from models.volatility.base import Returns
from models.volatility.innovations import SHAPES
from models.volatility.likelihood import LAWS, SAMPLE, to_natural, to_search
from models.volatility.means import LAGS, MEAN_PARAMETERS, Mean, MeanKind, design
from models.volatility.recursions import CODES, VARIANCE_PARAMETERS
from models.volatility.search import FOUND, KNOWN, search

VarianceKind = Literal["garch", "gjr", "egarch", "aparch", "figarch"]
LawKind = Literal["normal", "t", "skewt"]

_DECAY: Final = 0.94  # of arch's backcast, over so many residuals
_BACKCAST: Final = 75
_START_NU: Final = 8.0
_LOG_OMEGA: Final = (np.log(1e-8), np.log(10.0))  # about the mean squared residual, as arch bounds it
_INVERSE_NU: Final = (1 / 500, 1 / 2.05)
_STEPS: Final = 200
_STEPS_ON_KINKS: Final = 20
CORNER: Final = 0.02**2


@dataclass(frozen=True)
class Shape:
    """Which parameters there are: of the mean, the variance, the regressors, the innovations."""

    variance: VarianceKind
    mean: MeanKind
    law: LawKind
    regressors: tuple[str, ...]

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The natural parameters, in order."""
        pushes = tuple(f"d_{name}" for name in self.regressors)
        return (*MEAN_PARAMETERS[self.mean], *VARIANCE_PARAMETERS[self.variance], *pushes, *SHAPES[self.law])

    @cached_property
    def codes(self) -> tuple[int, int]:
        """Of the variance and of the law, as the kernels know them."""
        return CODES[self.variance], LAWS[self.law]

    @cached_property
    def counts(self) -> tuple[int, int]:
        """Parameters of the mean and of the regressors."""
        return len(MEAN_PARAMETERS[self.mean]), len(self.regressors)

    @cached_property
    def equation(self) -> slice:
        """Where the variance parameters stand among the natural ones."""
        start = len(MEAN_PARAMETERS[self.mean])
        return slice(start, start + len(VARIANCE_PARAMETERS[self.variance]))

    @cached_property
    def pushes(self) -> slice:
        """Where the regressors' stand."""
        return slice(self.equation.stop, self.equation.stop + len(self.regressors))

    def rescaled(self, theta: Float64Array, by: float) -> Float64Array:
        """Natural parameters of returns that are so many times as large."""
        out = theta.copy()
        if self.counts[0]:
            out[0] *= by
        v = out[self.equation]
        if self.variance == "egarch":
            v[0] += 2 * (1 - v[3]) * np.log(by)
        else:
            power = by ** (v[4] if self.variance == "aparch" else 2.0)
            v[0] *= power
            out[self.pushes] *= power
        return out


@dataclass(frozen=True)
class Problem:
    """The rows of a likelihood, in the units of the returns' spread.

    y (n,), what the mean explains; design (n, means); lagged (n + 1, m), regressors of the session before in units of
    their own spread; presample variance or SAMPLE; spread of the returns; units of the regressors, 1 where one does
    not vary: `varies` tells
    """

    shape: Shape
    y: Float64Array = field(repr=False)
    design: Float64Array = field(repr=False)
    lagged: Float64Array = field(repr=False)
    presample: float
    spread: float
    units: Float64Array
    varies: tuple[bool, ...]
    first: Float64Array = field(repr=False)  # least squares of the mean


@dataclass(frozen=True)
class Estimate:
    """Natural parameters in the units of the returns, where the variance began, how well they fit."""

    theta: Float64Array
    presample: float
    loglik: float
    nobs: int
    converged: bool


def problem(shape: Shape, returns: Returns, sample: bool) -> tuple[Problem, Mean | None]:
    """The problem that returns pose, and the mean where that is estimated before it.

    Errors  FitError where the returns do not vary
    """
    value = returns.value
    spread = float(np.std(value))
    # Twice the rounding of the largest return: what a constant series leaves.
    if spread <= 4 * np.finfo(float).eps * float(np.max(np.abs(value))):
        raise FitError("garch", "the returns must vary", "they do not vary")
    mean = _arma(value) if shape.mean == "arma" else None
    y = value if mean is None else mean.residuals(value)
    lags = LAGS[shape.mean]
    columns = design(shape.mean, y / spread)
    y = y[lags:] / spread
    first = _least_squares(columns, y)
    pushes = [returns.regressors[name] for name in shape.regressors]
    spreads = [float(np.std(x)) for x in pushes]
    varies = tuple(bool(one > 1e-12 * np.max(np.abs(x))) for one, x in zip(spreads, pushes, strict=True))
    units = np.array([one if moves else 1.0 for one, moves in zip(spreads, varies, strict=True)])
    lagged = lag(shape, returns, [float(np.mean(x)) for x in pushes]) / units
    presample = SAMPLE if sample else backcast(y - columns @ first)
    return Problem(shape, y, columns, lagged, presample, spread, units, varies, first), mean


def _least_squares(columns: Float64Array, y: Float64Array) -> Float64Array:
    """Weights of the mean's columns to begin with; the mean itself where they are a constant."""
    if columns.shape[1] <= 1:
        return np.full(columns.shape[1], y.mean())
    return np.asarray(np.linalg.lstsq(columns, y, rcond=None)[0], dtype=np.float64)


def _arma(value: Float64Array) -> Mean:
    from models.volatility.arma import fit_arma  # statsmodels takes half a second, which other means are spared

    return fit_arma(value)


def lag(shape: Shape, returns: Returns, before: list[float]) -> Float64Array:
    """Regressors of the session before each row and before the next one, (n + 1, m); their means before the first."""
    lags = LAGS[shape.mean]
    out = np.empty((len(returns) + 1 - lags, len(shape.regressors)))
    for j, name in enumerate(shape.regressors):
        out[:, j] = np.concatenate([[before[j]], returns.regressors[name]])[lags:]
    return out


def backcast(e: Float64Array) -> float:
    """Variance before the first residual: arch's exponentially weighted mean of the first squares."""
    weight = _DECAY ** np.arange(min(_BACKCAST, len(e)))
    return float(weight @ e[: len(weight)] ** 2 / weight.sum())


def estimate(posed: Problem, start: Float64Array | None) -> Estimate:
    """The highest of the tops that are found from given parameters and from a few fixed starts.

    Likelihoods of returns with a few shocks beyond the others have several tops, and a warm start climbs its own: so
    the fixed starts are tried whether or not one is given, each until it reaches the slope of a top that is known.
    start  natural parameters in the units of the returns
    """
    low, high = bounds(posed)
    begins = starts(posed)
    if start is not None:
        begins.insert(0, _in_units(posed, start))
    tops: list[_Top] = []
    for theta in begins:
        x = to_search(*posed.shape.codes, *posed.shape.counts, theta)
        top = _climb(posed, np.clip(x, low, high), low, high, tops)
        if top is not None:
            tops.append(top)
    best = max(tops, key=lambda one: (one.found, one.loglik))
    if not np.isfinite(best.loglik):
        raise FitError("garch", "the likelihood must have a value somewhere", "none at any start")
    return _estimate(posed, best)


@dataclass(frozen=True)
class _Top:
    """Where a search ended."""

    x: Float64Array
    loglik: float
    found: bool
    positive: bool


def _climb(posed: Problem, begin: Float64Array, low: Float64Array, high: Float64Array, tops: list[_Top]) -> _Top | None:
    """Where the search from a start ends; None on the slope of a known top."""
    codes = posed.shape.codes
    given = (low, high, posed.y, posed.design, posed.lagged, posed.presample)
    known = np.array([one.x for one in tops]).reshape(len(tops), len(low)), np.array([one.loglik for one in tops])
    kinks = posed.shape.variance in ("egarch", "aparch") and posed.shape.counts[0] > 0
    # |e| gives the likelihood a kink in the mean at every residual: the maximum of a rounded one is looked for first,
    # and the exact one climbed from there; where it ends on a kink its gradient says nothing.
    x, loglik, status, positive, _ = search(*codes, begin, *given, CORNER if kinks else 0.0, _STEPS, *known)
    if status == KNOWN:
        return None
    if kinks:
        x, loglik, _, _, _ = search(*codes, x, *given, 0.0, _STEPS_ON_KINKS, known[0][:0], known[1][:0])
    return _Top(x, loglik, status == FOUND, positive)


def _estimate(posed: Problem, top: _Top) -> Estimate:
    """Natural parameters, in the units of the returns."""
    shape, n = posed.shape, len(posed.y)
    theta = to_natural(*shape.codes, *shape.counts, top.x)
    ends = top.found and top.positive and not _integrated(shape, theta)
    presample = posed.presample
    if presample == SAMPLE:
        presample = float(np.mean((posed.y - posed.design @ theta[: shape.counts[0]]) ** 2))
    natural = shape.rescaled(theta, posed.spread)
    natural[shape.pushes] /= posed.units
    return Estimate(natural, presample * posed.spread**2, top.loglik - n * float(np.log(posed.spread)), n, ends)


def _integrated(shape: Shape, theta: Float64Array) -> bool:
    """Whether the bound on the persistence holds: a limit of the family, not a maximum inside it."""
    v = theta[shape.equation]
    if shape.variance == "egarch":
        return bool(abs(v[3]) >= 1)
    if shape.variance == "figarch":
        return False
    beta = v[2] if shape.variance == "garch" else v[3]
    shock = v[1] + 0.5 * v[2] if shape.variance == "gjr" else v[1]
    return bool(shock + beta >= 1 - 1e-9)


def _in_units(posed: Problem, theta: Float64Array) -> Float64Array:
    """Natural parameters of the problem's units from those of the returns'."""
    shape = posed.shape
    theta = shape.rescaled(theta, 1 / posed.spread)
    theta[shape.pushes] *= posed.units
    return theta


def bounds(posed: Problem) -> tuple[Float64Array, Float64Array]:
    """Least and largest value of each coordinate of the search."""
    shape = posed.shape
    square = float(np.mean((posed.y - posed.design @ posed.first) ** 2))
    omega = (np.log(square) + _LOG_OMEGA[0], np.log(square) + _LOG_OMEGA[1])
    unit, wide = (0.0, 1.0), (-10.0, 10.0)
    variance = {
        "garch": [omega, unit, unit],
        "gjr": [omega, unit, unit, unit],
        "egarch": [wide, wide, wide, (-1.0, 1.0)],
        "aparch": [omega, unit, unit, (-0.9997, 0.9997), (0.5, 3.0)],
        "figarch": [omega, unit, (0.0, 1 - 1e-8), unit],
    }[shape.variance]
    push = (-100.0, 100.0) if shape.variance == "egarch" else (0.0, 100.0)
    pushes = [push if varies else (0.0, 0.0) for varies in posed.varies]
    law = {"normal": [], "t": [_INVERSE_NU], "skewt": [_INVERSE_NU, (-0.999, 0.999)]}[shape.law]
    pairs = [*[wide] * shape.counts[0], *variance, *pushes, *law]
    low, high = np.array(pairs, dtype=np.float64).T
    return np.ascontiguousarray(low), np.ascontiguousarray(high)


def starts(posed: Problem) -> list[Float64Array]:
    """Natural parameters to begin with, in the problem's units; the variance in the long run is the sample's.

    A usual one, one that hardly forgets and, of normal innovations, one that forgets at once: on series with a shock
    beyond all others the likelihood can be highest in each of the places. To a t no shock is beyond all others.
    """
    shape = posed.shape
    square = float(np.mean((posed.y - posed.design @ posed.first) ** 2))
    law = {"normal": [], "t": [_START_NU], "skewt": [_START_NU, 0.0]}[shape.law]
    tail = [*[0.0] * len(shape.regressors), *law]
    count = 2 if law and shape.variance in ("garch", "gjr") else 3
    return [np.array([*posed.first, *equation, *tail]) for equation in _equations(shape.variance, square)[:count]]


def _equations(variance: VarianceKind, square: float) -> list[list[float]]:
    """Variance parameters whose long-run variance is given."""
    pairs = ((0.05, 0.9), (0.002, 0.997), (0.15, 0.45))  # alpha, beta
    if variance == "garch":
        return [[square * (1 - a - b), a, b] for a, b in pairs]
    if variance == "gjr":
        return [[square * (1 - a - b), 0.7 * a, 0.6 * a, b] for a, b in pairs]
    if variance == "egarch":
        return [[(1 - b) * np.log(square), a, -0.2 * a, b] for a, b in ((0.12, 0.95), (0.01, 0.998), (0.3, 0.5))]
    if variance == "aparch":
        return [[square**0.75 * (1 - a - b), a, 0.2, b, 1.5] for a, b in pairs]
    found = []
    for d, share, part in ((0.4, 0.5, 0.7), (0.2, 0.2, 0.5), (0.7, 0.5, 0.9)):
        phi = (1 - d) / 2 * share
        # The weights sum to some nine tenths: what the truncation leaves out is close to the rest.
        found.append([0.1 * square * (1 - (d + phi) * part), phi, d, (d + phi) * part])
    return found
