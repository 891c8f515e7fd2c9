"""Time-series operators of the stock library: residuals on the market, means of the top sessions, running sums, spread.

Panels, missing values and windows are as in `time_series`.
"""

from __future__ import annotations

import math

import numpy as np

from features.graph import operator
from features.operators import market_kernels
from features.operators.blocks import over_assets
from features.operators.time_series import _least, lag, ts_beta
from features.panel import Float64Array


@operator("time", lookback=lambda n: n)
def ts_idio_skew(y: Float64Array, x: Float64Array, n: int, least: int | None = None) -> Float64Array:
    """Skewness (bias-corrected) of the residuals of y on x with a constant.

    NaN  fewer than `least` cells where both are valid (three at least); a constant x; a perfect fit
    """
    return over_assets(market_kernels.residual_shape, [y, x], n, _least(n, least), market_kernels.SKEW)


@operator("time", lookback=lambda n: n)
def ts_coskew(y: Float64Array, x: Float64Array, n: int, least: int | None = None) -> Float64Array:
    """Coskewness E[e dx^2] / (s_e s_x^2) of the residuals e of y on x with a constant; dx is x less its mean.

    NaN  fewer than `least` cells where both are valid (three at least); a constant x; a perfect fit
    """
    return over_assets(market_kernels.residual_shape, [y, x], n, _least(n, least), market_kernels.COSKEW)


def ts_beta_down(y: Float64Array, x: Float64Array, n: int, least: int | None = None) -> Float64Array:
    """Slope of y on x with a constant, over those sessions of the window where x is below 0.

    NaN  fewer than `least` such cells where both are valid: 30 % of the window by default (three at least)
    """
    needed = math.ceil(0.3 * n) if least is None else least
    return ts_beta(y, np.where(x < 0, x, np.nan), n, needed)


@operator("time", lookback=lambda n: n)
def ts_mean_of_top(x: Float64Array, by: Float64Array, n: int, share: float, least: int | None = None) -> Float64Array:
    """Mean of x over those sessions of the window where `by` is largest: a share of its valid ones, rounded, or one.

    Of sessions where `by` is equal the newest count first.
    """
    if not 0.0 < share <= 1.0:
        raise ValueError(f"a share must lie in (0, 1]; found {share}")
    return over_assets(market_kernels.mean_of_top, [x, by], n, _least(n, least), share)


@operator("time", lookback=lambda n: n)
def ts_slope_of_sum(x: Float64Array, n: int, least: int | None = None) -> Float64Array:
    """Slope per session of the running sum of x through the window; a missing cell adds nothing to the sum.

    The oldest session is where the sum begins: its own x does not count. NaN for a window of one session.
    """
    return over_assets(market_kernels.slope_of_sum, [x], n, _least(n, least))


def abdi_ranaldo(high: Float64Array, low: Float64Array, close: Float64Array, prev_close: Float64Array) -> Float64Array:
    """Relative bid-ask spread from yesterday's close and the middles of its range and today's; below 0 becomes 0.

    Prices enter as ratios to the close of their own day or to the ex-right reference price, so raw prices serve.
    NaN     either day missing, or of a single price: a range of nought tells nothing of the spread
    Source  Abdi and Ranaldo (2017), two-day corrected
    """
    above_own = np.log(close) - (np.log(high) + np.log(low)) / 2
    above_next = np.log(prev_close) - (np.log(high) + np.log(low)) / 2
    spread = np.sqrt(np.maximum(4.0 * lag(above_own) * above_next, 0.0))
    return np.where((high > low) & (lag(high) > lag(low)), spread, np.nan)
