"""Time-series operators: panels (T, N) in, a panel (T, N) out, data up to and including t only.

NaN is missing, and so is ±inf. A window of n counts sessions, t included; missing sessions use it up, so every
lookback is bounded. A value needs `least` valid cells, by default 60 % of the window (rounded up).
Source  spec 00 §2.1
"""

from __future__ import annotations

import math

import numpy as np

from features.graph import EVER, operator
from features.operators import order_kernels, pair_kernels, state_kernels, sum_kernels
from features.operators.blocks import over_assets
from features.panel import Float64Array


def _window(n: int) -> int:
    if n < 1:
        raise ValueError(f"a window must hold at least one session; found {n}")
    return n


def _least(n: int, least: int | None) -> int:
    usual = math.ceil(0.6 * _window(n))
    return usual if least is None else least


@operator("time", lookback=lambda n: n + 1)
def lag(x: Float64Array, n: int = 1) -> Float64Array:
    """The value n sessions ago; n must not be negative, since that would be the future."""
    if n < 0:
        raise ValueError(f"lag looks back, so n must be 0 or more; found {n}")
    out = np.full(x.shape, np.nan)
    if n < len(x):
        out[n:] = x[: len(x) - n]
        out[np.isinf(out)] = np.nan
    return out


def delta(x: Float64Array, n: int = 1) -> Float64Array:
    """Change over n sessions."""
    past = lag(x, n)
    return np.where(np.isfinite(x), x, np.nan) - past


# Room for the panels of a kernel that gives several, where one alone is asked for.
_NO_MORE = np.empty((0, 0, 0))


def _moment(x: Float64Array, n: int, least: int | None, what: int) -> Float64Array:
    return over_assets(sum_kernels.moments, [x], n, _least(n, least), what, _NO_MORE)


@operator("time", lookback=lambda n: n)
def ts_mean(x: Float64Array, n: int, least: int | None = None) -> Float64Array:
    """Mean over the window."""
    return _moment(x, n, least, sum_kernels.MEAN)


def lagmean(x: Float64Array, n: int, least: int | None = None) -> Float64Array:
    """Mean over t-n .. t-1, without t."""
    return lag(ts_mean(x, n, least), 1)


@operator("time", lookback=lambda n: n)
def ts_sum(x: Float64Array, n: int, least: int | None = None) -> Float64Array:
    """Sum over the valid cells of the window."""
    return _moment(x, n, least, sum_kernels.SUM)


@operator("time", lookback=lambda n: n)
def ts_count(condition: Float64Array | np.ndarray, n: int) -> Float64Array:
    """Number of cells of the window where the condition holds; NaN does not hold."""
    return over_assets(state_kernels.count, [np.asarray(condition, dtype=np.float64)], _window(n))


@operator("time", lookback=lambda n: n)
def ts_std(x: Float64Array, n: int, least: int | None = None) -> Float64Array:
    """Standard deviation (ddof 1) over the window; exactly 0 where it is constant, NaN with one valid cell."""
    return _moment(x, n, least, sum_kernels.STD)


@operator("time", lookback=lambda n: n)
def ts_max(x: Float64Array, n: int, least: int | None = None) -> Float64Array:
    """Largest value of the window."""
    return over_assets(state_kernels.maximum, [x], n, _least(n, least), 1.0)


@operator("time", lookback=lambda n: n)
def ts_min(x: Float64Array, n: int, least: int | None = None) -> Float64Array:
    """Smallest value of the window."""
    return over_assets(state_kernels.maximum, [x], n, _least(n, least), -1.0)


@operator("time", lookback=lambda n: n)
def ts_beta(y: Float64Array, x: Float64Array, n: int, least: int | None = None) -> Float64Array:
    """Slope of y on x with a constant, over the cells where both are valid (three at least)."""
    return over_assets(pair_kernels.regression, [y, x], n, _least(n, least), pair_kernels.BETA)


@operator("time", lookback=lambda n: n)
def ts_corr(y: Float64Array, x: Float64Array, n: int, least: int | None = None) -> Float64Array:
    """Correlation over the cells where both are valid; NaN where one is constant.

    It needs three pairs, or `least` if that is given: of two pairs it is 1 or -1.
    """
    needed = max(_least(n, None), 3) if least is None else least
    return over_assets(pair_kernels.regression, [y, x], _window(n), needed, pair_kernels.CORR)


@operator("time", lookback=lambda n: n)
def ts_resid_std(y: Float64Array, x: Float64Array, n: int, least: int | None = None) -> Float64Array:
    """Standard deviation (ddof 2) of the residuals of y on x with a constant."""
    return over_assets(pair_kernels.regression, [y, x], n, _least(n, least), pair_kernels.RESID)


def _order_least(w: int, least: int | None) -> int:
    usual = max(60, math.ceil(_window(w) / 2))
    needed = usual if least is None else least
    if needed > w:
        raise ValueError(f"a window of {w} sessions never holds the {needed} valid ones asked for; give `least`")
    return needed


@operator("time", lookback=lambda n: n)
def ts_median(x: Float64Array, n: int, least: int | None = None) -> Float64Array:
    """Median over the window."""
    return over_assets(order_kernels.quantiles, [x], n, _least(n, least), 0.5, np.empty(np.shape(x)))


@operator("time", lookback=lambda w: w)
def ts_percentile(x: Float64Array, w: int = 250, least: int | None = None) -> Float64Array:
    """Mid-rank of x_t among the window, in (0, 1); needs max(60, w/2) valid cells."""
    return over_assets(order_kernels.standing, [x], w, _order_least(w, least), 0.0)


@operator("time", lookback=lambda w: w)
def ts_robust_z(x: Float64Array, w: int = 250, least: int | None = None) -> Float64Array:
    """(x_t - median) / (1.4826 MAD) over the window, clipped to ±5; NaN where the MAD is 0."""
    z = over_assets(order_kernels.robust_z, [x], w, _order_least(w, least))
    return np.clip(z, -5.0, 5.0, out=z)


@operator("time", lookback=lambda span: span)
def run_length(condition: Float64Array, span: int = 120) -> Float64Array:
    """How many valid sessions in a row, t included, the condition has held; NaN sessions are skipped.

    A run is counted within the last `span` sessions, so that the lookback is bounded. A session that was traded but
    whose condition is not known must be given as 0 to break the run: a NaN stands for a suspension.
    """
    return over_assets(state_kernels.run_length, [condition], _window(span), 0)


@operator("time", lookback=lambda n: 2 * n + 20)
def consecutive(condition: Float64Array, n: int) -> Float64Array:
    """1 where the condition has held on each of the last n valid sessions within the last 2n + 20, else 0."""
    return over_assets(state_kernels.run_length, [condition], 2 * _window(n) + 20, n)


@operator("time", lookback=lambda: EVER)
def previous_valid(x: Float64Array) -> Float64Array:
    """The newest valid value before t, across suspensions."""
    return over_assets(state_kernels.previous_valid, [x])


@operator("time", lookback=lambda: EVER)
def adjustment(close: Float64Array, prev_close: Float64Array) -> Float64Array:
    """Cumulative factor that makes prices of different days comparable: the product of last close / prev_close.

    It begins at 1 with each asset's first row of the array: its level means nothing, its ratios do.
    Source  spec 00 §3
    """
    return over_assets(state_kernels.adjusted, [close, prev_close])


def ewma(
    x: Float64Array, decay: float, start: int, state: Float64Array | None = None
) -> tuple[Float64Array, Float64Array]:
    """Exponentially weighted mean, begun at the mean of the first `start` valid values, and the state to carry on.

    state  (2, N): the count of valid values up to `start`, and the level; None at the beginning
    """
    carried = np.zeros((2, x.shape[1])) if state is None else np.array(state, dtype=np.float64, order="C")
    return over_assets(state_kernels.decayed, [x], carried, decay, start), carried


@operator("time", lookback=lambda: EVER)
def sessions_since_gap(valid: Float64Array | np.ndarray, gap: int = 20) -> Float64Array:
    """Sessions since an asset came back after more than `gap` sessions away, counting from 1; 0 if it did not."""
    return over_assets(state_kernels.since_gap, [np.asarray(valid, dtype=np.float64)], gap)
