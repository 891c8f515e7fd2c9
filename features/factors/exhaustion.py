"""Stocks: liquidity exhaustion, as the seed has it and bounded to [0, 1]."""

from __future__ import annotations

import numpy as np

from features.factor import factor
from features.panel import Float64Array


@factor("CS", zh="流动性枯竭指数(原式)", unit="ratio", sets=("literal",))
def cs_liquidity_exhaustion(
    limit_up: Float64Array, limit_down: Float64Array, close: Float64Array, high: Float64Array, low: Float64Array
) -> Float64Array:
    """Distance to both limits over the day's range: the close cancels, so it is the width of the limits in ranges.

    Shape   (T, N) -> (T, N), at least 1
    Sign    high: narrow range
    NaN     a single price (high = low); no limits; no trade
    Source  CS-02 literal, 01 §1
    """
    spread = np.where(high > low, high - low, np.nan)
    held = np.where((limit_up > 0) & (limit_down > 0), 1.0, np.nan)
    return held * ((limit_up - close) / spread + (close - limit_down) / spread)


@factor("CS", zh="涨停接近度", unit="share", stored=False)
def limit_proximity_up(
    close: Float64Array, prev_close: Float64Array, limit_up: Float64Array, no_limit: Float64Array
) -> Float64Array:
    """How much of the way from the reference price to the upper limit the close went, in [0, 1].

    Shape   (T, N) -> (T, N)
    Sign    high: close to the upper limit
    NaN     no limits; no trade
    Source  P_up of CS-02 corrected, 01 §1
    """
    part = np.clip((close - prev_close) / (limit_up - prev_close), 0.0, 1.0)
    return np.where(no_limit == 0, part, np.nan)


@factor("CS", zh="跌停接近度", unit="share", stored=False)
def limit_proximity_dn(
    close: Float64Array, prev_close: Float64Array, limit_down: Float64Array, no_limit: Float64Array
) -> Float64Array:
    """How much of the way from the reference price to the lower limit the close went, in [0, 1].

    Shape   (T, N) -> (T, N)
    Sign    high: close to the lower limit
    NaN     no limits; no trade
    Source  P_dn of CS-02 corrected, 01 §1
    """
    part = np.clip((prev_close - close) / (prev_close - limit_down), 0.0, 1.0)
    return np.where(no_limit == 0, part, np.nan)


@factor("CS", zh="流动性枯竭指数", unit="share", sets=("stock_core", "library"))
def cs_liquidity_exhaustion_adj(
    limit_proximity_up: Float64Array,
    limit_proximity_dn: Float64Array,
    illiq_percentile: Float64Array,
    no_limit: Float64Array,
    locked_up: Float64Array,
    locked_dn: Float64Array,
) -> Float64Array:
    """Half closeness to a limit, half illiquidity against the stock's own year; 1 where locked at a limit.

    Shape   (T, N) -> (T, N), in [0, 1]
    Sign    high: exhausted
    NaN     no trade; fewer than 125 sessions of illiquidity, unless locked. Without limits illiquidity alone.
    Source  CS-02 corrected, 01 §1
    """
    nearest = np.maximum(limit_proximity_up, limit_proximity_dn)
    return _exhaustion(nearest, illiq_percentile, no_limit, (locked_up > 0) | (locked_dn > 0))


@factor("CS", zh="流动性枯竭指数(涨停侧)", unit="share", sets=("stock_core", "library"))
def cs_liquidity_exhaustion_up(
    limit_proximity_up: Float64Array, illiq_percentile: Float64Array, no_limit: Float64Array, locked_up: Float64Array
) -> Float64Array:
    """Half closeness to the upper limit, half illiquidity; 1 where locked at the upper limit: the buyers' side.

    Shape   (T, N) -> (T, N), in [0, 1]
    Sign    high: hard to buy
    NaN     no trade; fewer than 125 sessions of illiquidity, unless locked. Without limits illiquidity alone.
    Source  LE_up of CS-02 corrected, 01 §1
    """
    return _exhaustion(limit_proximity_up, illiq_percentile, no_limit, locked_up > 0)


@factor("CS", zh="流动性枯竭指数(跌停侧)", unit="share", sets=("stock_core", "library"))
def cs_liquidity_exhaustion_dn(
    limit_proximity_dn: Float64Array, illiq_percentile: Float64Array, no_limit: Float64Array, locked_dn: Float64Array
) -> Float64Array:
    """Half closeness to the lower limit, half illiquidity; 1 where locked at the lower limit: the sellers' side.

    Shape   (T, N) -> (T, N), in [0, 1]
    Sign    high: hard to sell
    NaN     no trade; fewer than 125 sessions of illiquidity, unless locked. Without limits illiquidity alone.
    Source  LE_dn of CS-02 corrected, 01 §1
    """
    return _exhaustion(limit_proximity_dn, illiq_percentile, no_limit, locked_dn > 0)


def _exhaustion(
    proximity: Float64Array, illiquidity: Float64Array, no_limit: Float64Array, locked: np.ndarray
) -> Float64Array:
    free = np.where(no_limit > 0, illiquidity, 0.5 * proximity + 0.5 * illiquidity)
    return np.where(locked, 1.0, free)
