"""ARMA means, estimated before the variance: the first of two steps."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Final

import numpy as np
from scipy.optimize import least_squares
from statsmodels.tsa.statespace.sarimax import SARIMAX
from statsmodels.tsa.statespace.tools import constrain_stationary_univariate

from features.panel import Float64Array
from models.base import FitError
from models.volatility.means import Mean

_HIGHEST: Final = 2  # order


def fit_arma(value: Float64Array) -> Mean:
    """The ARMA with a constant of orders up to 2 whose BIC is least, by maximum likelihood (statsmodels' SARIMAX).

    Orders are ranked by conditional least squares, a thousandth of the work; the best is then estimated exactly.
    Errors  FitError where no order can be estimated
    """
    spread, n = float(np.std(value)), len(value)
    level = float(np.mean(value)) / spread
    found: list[tuple[float, tuple[int, int], Float64Array]] = []
    for p in range(_HIGHEST + 1):
        for q in range(_HIGHEST + 1):
            told = least_squares(_conditional, np.r_[level, np.zeros(p + q)], args=(value / spread, p))
            criterion = n * np.log(2 * told.cost / n) + (1 + p + q) * np.log(n)
            found.append((float(criterion), (p, q), np.asarray(told.x, dtype=np.float64)))
    for _, (p, q), at in sorted(found, key=lambda one: one[0]):
        mean = _exact(value / spread, p, q, at)
        if mean is not None and mean.stationary:
            return Mean(mean.const * spread, mean.ar, mean.ma)
    raise FitError("arma", "some order up to (2, 2) must be estimable", "none that is stationary")


def _conditional(at: Float64Array, value: Float64Array, p: int) -> Float64Array:
    """Residuals given that those before the first return are 0; every point is stationary and invertible."""
    return _mean_of(at, p).residuals(value)


def _mean_of(at: Float64Array, p: int) -> Mean:
    """The mean that a point of the search is: its level, then partial autocorrelations in a range without bounds."""
    ar = _floats(constrain_stationary_univariate(at[1 : 1 + p])) if p else ()
    ma = _floats(-constrain_stationary_univariate(at[1 + p :])) if len(at) > 1 + p else ()
    return Mean(float(at[0] * (1 - sum(ar))), ar, ma)


def _exact(value: Float64Array, p: int, q: int, at: Float64Array) -> Mean | None:
    """Maximum likelihood from a start; None where it cannot be had."""
    start = _mean_of(at, p)
    variance = float(np.mean(start.residuals(value) ** 2))
    with warnings.catch_warnings():
        # An order near a root that two sides share tells so in a dozen ways.
        warnings.simplefilter("ignore")
        try:
            told = SARIMAX(value, order=(p, 0, q), trend="c").fit(
                start_params=np.r_[start.const, start.ar, start.ma, variance], disp=0, maxiter=100
            )
        except np.linalg.LinAlgError:
            return None
    told = np.asarray(told.params, dtype=np.float64)
    mean = Mean(float(told[0]), _floats(told[1 : 1 + p]), _floats(told[1 + p : 1 + p + q]))
    return mean if np.isfinite(told).all() else None


def _floats(values: Sequence[float] | Float64Array) -> tuple[float, ...]:
    return tuple(float(one) for one in values)
