"""Time-series operators of what lies behind the mean: moments, products, the line through a window, decaying means.

Panels (T, N) in, a panel (T, N) out, data up to and including t only. NaN is missing, and so is ±inf. A window of n
counts sessions, t included; a value needs `least` valid cells, by default 60 % of the window (rounded up).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from features.graph import operator
from features.operators import pair_kernels, power_kernels, sum_kernels, trend_kernels, weight_kernels
from features.operators.blocks import over_assets
from features.operators.time_series import _NO_MORE, _least, _moment
from features.panel import Float64Array

# A quarter of the sessions that an exponential mean looks back on has at least this weight left (in all: 1e-16).
_QUARTER = 1e-4
# The fewest sessions in that quarter.
_FEWEST = 20


@operator("time", lookback=lambda n: n, outputs=("mean", "std", "sum"))
def ts_moments(x: Float64Array, n: int, least: int | None = None) -> tuple[Float64Array, Float64Array, Float64Array]:
    """Mean, standard deviation (ddof 1) and sum over the window, in one pass: for callers that want two of them."""
    more = np.empty((2, *x.shape))
    mean = over_assets(sum_kernels.moments, [x], n, _least(n, least), sum_kernels.ALL, more)
    return mean, more[0], more[1]


@operator("time", lookback=lambda n: n)
def ts_var(x: Float64Array, n: int, least: int | None = None) -> Float64Array:
    """Variance (ddof 1) over the window; exactly 0 where it is constant, NaN with one valid cell."""
    return _moment(x, n, least, sum_kernels.VAR)


@operator("time", lookback=lambda n: n)
def ts_skew(x: Float64Array, n: int, least: int | None = None) -> Float64Array:
    """Skewness over the window, corrected for bias; NaN where it is constant, and with fewer than three valid cells."""
    return over_assets(power_kernels.shape, [x], n, _least(n, least), power_kernels.SKEW)


@operator("time", lookback=lambda n: n)
def ts_kurt(x: Float64Array, n: int, least: int | None = None) -> Float64Array:
    """Excess kurtosis over the window, corrected for bias; NaN where it is constant, and with fewer than four cells."""
    return over_assets(power_kernels.shape, [x], n, _least(n, least), power_kernels.KURT)


@operator("time", lookback=lambda n: n)
def ts_cov(y: Float64Array, x: Float64Array, n: int, least: int | None = None) -> Float64Array:
    """Covariance (ddof 1) over the cells where both are valid, two at least."""
    return over_assets(pair_kernels.regression, [y, x], n, _least(n, least), pair_kernels.COV)


@operator("time", lookback=lambda n: n)
def ts_prod(x: Float64Array, n: int, least: int | None = None) -> Float64Array:
    """Product of the valid cells of the window."""
    return over_assets(power_kernels.product, [x], n, _least(n, least))


@operator("time", lookback=lambda n: n, outputs=("slope", "rsquare", "residual", "t_value"))
def time_regression(
    x: Float64Array, n: int, least: int | None = None
) -> tuple[Float64Array, Float64Array, Float64Array, Float64Array]:
    """OLS of the window's valid cells, two at least, on the number of their session, with a constant.

    A missing session is skipped, and the others keep their places.

    Shape   (T, N) -> four panels (T, N): slope per session, share of the variance explained, residual of the newest
            session, slope over its standard error
    NaN     residual: the newest cell is missing; rsquare: the window is constant; t: two cells, or a perfect line
    """
    more = np.empty((3, *x.shape))
    slope = over_assets(trend_kernels.trend, [x], n, _least(n, least), trend_kernels.REGRESSION, more)
    return slope, more[0], more[1], more[2]


def ts_slope(x: Float64Array, n: int, least: int | None = None) -> Any:  # noqa: ANN401
    """Slope of the line through the window, per session."""
    return time_regression(x, n, least)[0]


def ts_rsquare(x: Float64Array, n: int, least: int | None = None) -> Any:  # noqa: ANN401
    """Share of the window's variance that the line through it explains; NaN where it is constant."""
    return time_regression(x, n, least)[1]


def ts_resi(x: Float64Array, n: int, least: int | None = None) -> Any:  # noqa: ANN401
    """How far the newest cell lies above the line through the window; NaN where it is missing."""
    return time_regression(x, n, least)[2]


def ts_trend_t(x: Float64Array, n: int, least: int | None = None) -> Any:  # noqa: ANN401
    """Slope of the line through the window over its standard error, of three cells at least."""
    return time_regression(x, n, least)[3]


@operator("time", lookback=lambda n: n)
def decay_linear(x: Float64Array, n: int, least: int | None = None) -> Float64Array:
    """Mean with the weights 1 .. n, the newest session's the largest, over the sum of those of the valid cells."""
    return over_assets(trend_kernels.trend, [x], n, _least(n, least), trend_kernels.DECAY, _NO_MORE)


def _quarter(alpha: float) -> int:
    """A quarter of the sessions that an exponential mean looks back on."""
    return max(math.ceil(math.log(_QUARTER) / math.log1p(-alpha)), _FEWEST) if alpha < 1.0 else _FEWEST


@operator("time", lookback=lambda alpha: 4 * _quarter(alpha))
def ts_ema_alpha(x: Float64Array, alpha: float, least: int | None = None) -> Float64Array:
    """Mean with the weight (1 - alpha)**age, age in sessions, over the sum of the weights of the valid cells.

    A missing session ages the cells before it and leaves their mean as it is: pandas' ewm(alpha, adjust=True,
    ignore_na=False). It looks back until a weight is below 1e-16.

    NaN     fewer than `least` (by default one) valid cells in the newest quarter of these sessions
    """
    if not 0.0 < alpha <= 1.0:
        raise ValueError(f"the newest session's weight alpha must be above 0 and at most 1; found {alpha:g}")
    needed = 1 if least is None else least
    return over_assets(weight_kernels.decaying, [x], 1.0 - alpha, _quarter(alpha), needed)


def ts_ema(x: Float64Array, n: int, least: int | None = None) -> Any:  # noqa: ANN401
    """Exponentially weighted mean with span n, that is alpha 2 / (n + 1); needs `least` cells, by default 60 % of n."""
    needed = _least(n, least)
    return ts_ema_alpha(x, 2.0 / (n + 1.0), needed)
