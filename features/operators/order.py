"""Time-series operators of order: quantiles, ranks, where the extremes are, and the mean absolute deviation.

Windows, missing cells and `least` are as in `time_series`.
"""

from __future__ import annotations

import numpy as np

from features.graph import operator
from features.operators import order_kernels, state_kernels
from features.operators.blocks import over_assets
from features.operators.time_series import _least
from features.panel import Float64Array


@operator("time", lookback=lambda n: n, outputs=("low", "high"))
def ts_quantiles(x: Float64Array, n: int, q: float, least: int | None = None) -> tuple[Float64Array, Float64Array]:
    """Quantiles q and 1 - q of the window, interpolated linearly between neighbours, from one sorted window.

    Errors  ValueError where q is not between 0 and 1
    """
    if not 0.0 <= q <= 1.0:
        raise ValueError(f"a quantile must lie between 0 and 1; found {q:g}")
    low = np.empty(np.shape(x))
    high = over_assets(order_kernels.quantiles, [x], n, _least(n, least), float(q), low)
    return low, high


def ts_quantile(x: Float64Array, n: int, q: float, least: int | None = None) -> Float64Array:
    """Quantile q of the window, interpolated linearly between neighbours at q (m - 1) of m valid cells."""
    # The other tail comes with it: asked for both, the graph sorts once. 1 - 0.8 must be the 0.2 that others ask for.
    return ts_quantiles(x, n, q, least)[0] if q <= 0.5 else ts_quantiles(x, n, round(1.0 - q, 12), least)[1]


@operator("time", lookback=lambda n: n)
def ts_rank(x: Float64Array, n: int, least: int | None = None) -> Float64Array:
    """Rank of x_t among the window over its valid cells, ties averaged, in (0, 1]; NaN where x_t is missing."""
    return over_assets(order_kernels.standing, [x], n, _least(n, least), 1.0)


@operator("time", lookback=lambda n: n)
def ts_argmax(x: Float64Array, n: int, least: int | None = None) -> Float64Array:
    """Sessions since the largest value of the window, 0 if it is of today; the newest of equal ones."""
    return over_assets(state_kernels.extreme_at, [x, x], n, _least(n, least), 1.0, state_kernels.SINCE)


@operator("time", lookback=lambda n: n)
def ts_argmin(x: Float64Array, n: int, least: int | None = None) -> Float64Array:
    """Sessions since the smallest value of the window, 0 if it is of today; the newest of equal ones."""
    return over_assets(state_kernels.extreme_at, [x, x], n, _least(n, least), -1.0, state_kernels.SINCE)


@operator("time", lookback=lambda n: n)
def ts_mad(x: Float64Array, n: int, least: int | None = None) -> Float64Array:
    """Mean absolute deviation from the mean over the window; 0 with one valid cell."""
    return over_assets(order_kernels.mean_distance, [x], n, _least(n, least))
