"""What a day's open, high, low and close tell of its variance and of the spread: estimators on panels (T, N).

Prices enter as ratios within a day or to the day's ex-right reference price, so raw prices serve: no adjustment.
Source  03 §2; Parkinson (1980), Garman and Klass (1980), Rogers and Satchell (1991), Yang and Zhang (2000),
        Corwin and Schultz (2012)
"""

from __future__ import annotations

import numpy as np

from features.operators.time_series import lag, ts_mean, ts_std
from features.panel import Float64Array

_TWO_ROOTS = 3.0 - 2.0 * np.sqrt(2.0)


def parkinson(high: Float64Array, low: Float64Array) -> Float64Array:
    """Variance of the day from its range, without the night."""
    return np.log(high / low) ** 2 / (4.0 * np.log(2.0))


def garman_klass(open_: Float64Array, high: Float64Array, low: Float64Array, close: Float64Array) -> Float64Array:
    """Variance of the day from its range and body, without the night; may be below 0 on a gapless trend day."""
    return 0.5 * np.log(high / low) ** 2 - (2.0 * np.log(2.0) - 1.0) * np.log(close / open_) ** 2


def rogers_satchell(open_: Float64Array, high: Float64Array, low: Float64Array, close: Float64Array) -> Float64Array:
    """Variance of the day whatever its drift, without the night."""
    return np.log(high / close) * np.log(high / open_) + np.log(low / close) * np.log(low / open_)


def yang_zhang(
    open_: Float64Array,
    high: Float64Array,
    low: Float64Array,
    close: Float64Array,
    prev_close: Float64Array,
    n: int,
) -> Float64Array:
    """Daily variance over n sessions, night and drift allowed for; the night is that to the ex-right reference price.

    NaN  fewer than 60 % of the sessions valid
    """
    k = 0.34 / (1.34 + (n + 1) / (n - 1))
    night = ts_std(np.log(open_ / prev_close), n) ** 2
    day = ts_std(np.log(close / open_), n) ** 2
    return night + k * day + (1.0 - k) * ts_mean(rogers_satchell(open_, high, low, close), n)


def corwin_schultz(
    high: Float64Array, low: Float64Array, close: Float64Array, prev_close: Float64Array
) -> Float64Array:
    """Relative bid-ask spread from the ranges of two days, the night between them taken out; below 0 becomes 0.

    NaN  either day missing, or of a single price: a range of nought tells nothing of the spread
    """
    scale = prev_close / lag(close)
    high_1, low_1 = lag(high) * scale, lag(low) * scale
    shift = np.where(low > prev_close, prev_close - low, np.where(high < prev_close, prev_close - high, 0.0))
    high_2, low_2 = high + shift, low + shift
    beta = np.log(high_1 / low_1) ** 2 + np.log(high_2 / low_2) ** 2
    gamma = np.log(np.maximum(high_1, high_2) / np.minimum(low_1, low_2)) ** 2
    alpha = (np.sqrt(2.0 * beta) - np.sqrt(beta)) / _TWO_ROOTS - np.sqrt(gamma / _TWO_ROOTS)
    spread = np.maximum(2.0 * np.expm1(alpha) / (1.0 + np.exp(alpha)), 0.0)
    return np.where((high > low) & (lag(high) > lag(low)), spread, np.nan)
