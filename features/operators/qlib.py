"""qlib's operators with qlib's meaning, by qlib's names: what `Mean($close, 20)` says is computed here.

A window of n holds n sessions, or as many as there are since the asset's first one; 0: all of them. One valid cell is
enough; missing ones are skipped. A comparison with a missing value is false: 0, not NaN. A series begins with the first
session on which anything that its expression reads is valid, and is NaN before.

Shape   (T, N) -> (T, N)
NaN     as pandas' rolling windows leave it with min_periods 1. Where qlib lets an infinity through (a division by
        0, the logarithm of 0), a window here skips it
Source  the formulas that qlib's documentation and its operators' docstrings give, as of pyqlib 0.9.7
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from features.graph import EVER, Node, leaves, operator
from features.operators import qlib_kernels, state_kernels
from features.operators.blocks import over_assets
from features.operators.logic import both, either, if_else, negate
from features.operators.order import ts_mad, ts_quantile, ts_rank
from features.operators.time_series import ts_corr, ts_count, ts_max, ts_mean, ts_median, ts_min, ts_std, ts_sum
from features.operators.trends import (
    ts_cov,
    ts_ema_alpha,
    ts_kurt,
    ts_resi,
    ts_rsquare,
    ts_skew,
    ts_slope,
    ts_var,
)
from features.panel import BoolArray, Float64Array

# An asset without a row for longer than this is taken to begin anew: so that a value needs no more history than that.
_ABSENT = 250
# qlib takes a standard deviation of at most this for none.
_STEADY = 2e-5


@operator("time", lookback=lambda within: within)
def age(within: int, *panels: Float64Array) -> Float64Array:
    """Sessions since the first of the last `within` ones on which a panel was valid, t included; 0 if none was."""
    valid = np.zeros((1, 1), dtype=np.bool_)
    for panel in panels:
        valid = valid | np.isfinite(panel)
    return over_assets(qlib_kernels.age, [valid.astype(np.float64)], within)


@operator("cell")
def on_rows(x: Float64Array | BoolArray, since: Float64Array) -> Float64Array:
    """x from the series' first session on, NaN before."""
    return np.where(np.greater(since, 0), x, np.nan)


@operator("time", lookback=lambda n: n)
def place_of_extreme(x: Float64Array, since: Float64Array, n: int, sign: float) -> Float64Array:
    """Place of the first largest cell (sign 1) or smallest (sign -1), from 1 at the window's oldest session.

    A missing cell stands above all others, as numpy's argmax has it: the place is then that of the oldest one.
    """
    return over_assets(state_kernels.extreme_at, [x, since], n, 1, sign, state_kernels.POSITION)


@operator("time", lookback=lambda n: n)
def linear_mean(x: Float64Array, since: Float64Array, n: int) -> Float64Array:
    """Mean over the valid cells of weight times cell, the weights 1, 2, ... adding up to 1 over the window."""
    return over_assets(qlib_kernels.weighted, [x, since], n)


@operator("time", lookback=lambda: EVER)
def expanding_decay(x: Float64Array, since: Float64Array) -> Float64Array:
    """Exponentially weighted sum over all sessions, with the span of their number."""
    return over_assets(qlib_kernels.expanding_decay, [x, since])


@operator("time", lookback=lambda: EVER)
def first_row(x: Float64Array, since: Float64Array) -> Float64Array:
    """The value of the series' first session."""
    return over_assets(qlib_kernels.first_row, [x, since])


@operator("time", lookback=lambda n: n + 1)
def shifted(x: Float64Array, n: int) -> Float64Array:
    """The value n sessions ago; with n below 0 that of a session to come."""
    out = np.full(x.shape, np.nan)
    if n >= 0:
        out[n:] = x[: max(len(x) - n, 0)]
    else:
        out[:n] = x[-n:]
    return out


def _since(*panels: Any, within: int = _ABSENT) -> Any:  # noqa: ANN401
    """The age of the series that these panels are: of all that their expressions read."""
    nodes = [p for p in panels if isinstance(p, Node)]
    rows = [Node.leaf(name) for name in leaves(nodes)] if nodes else [p for p in panels if not np.isscalar(p)]
    return age(within, *rows)


def _window(n: float) -> int:
    if n < 0 or n != int(n):
        raise ValueError(f"a window must be a whole number of sessions, or 0 for all of them; found {n:g}")
    return int(n) or EVER


def _least_window(n: int, least: int) -> int:
    if 0 < n < least:
        raise ValueError(f"its window must hold at least {least} sessions; found {n}")
    return _window(n)


def _of_equals(x: Any, n: int, least: int, value: float, else_: Any) -> Any:  # noqa: ANN401
    """`value` where the window's valid cells, `least` or more, are equal."""
    enough = ts_count(np.isfinite(x), _window(n)) >= least
    return np.where(enough & (Std(x, n) == 0.0), value, else_)


def Ref(x: Float64Array, n: int) -> Float64Array:
    """The value n sessions ago; 0: of the first session; below 0: of a session to come."""
    if n == 0:
        return first_row(x, _since(x, within=EVER))
    return shifted(x, n) if n > 0 else on_rows(shifted(x, n), _since(x))


def Delta(x: Float64Array, n: int) -> Float64Array:
    """Change over n sessions; 0: since the first."""
    return x - Ref(x, n)


def Mean(x: Float64Array, n: float) -> Float64Array:
    """Mean; with n below 1 exponentially weighted, n being the weight of the newest."""
    return ts_ema_alpha(x, n, 1) if 0 < n < 1 else ts_mean(x, _window(n), 1)


def Sum(x: Float64Array, n: int) -> Float64Array:
    """Sum."""
    return ts_sum(x, _window(n), 1)


def Std(x: Float64Array, n: int) -> Float64Array:
    """Standard deviation (ddof 1)."""
    return ts_std(x, _window(n), 1)


def Var(x: Float64Array, n: int) -> Float64Array:
    """Variance (ddof 1)."""
    return ts_var(x, _window(n), 1)


def Skew(x: Float64Array, n: int) -> Float64Array:
    """Skewness, corrected for bias; needs three valid cells, and is 0 if they are equal."""
    return _of_equals(x, n, 3, 0.0, ts_skew(x, _least_window(n, 3), 1))


def Kurt(x: Float64Array, n: int) -> Float64Array:
    """Excess kurtosis, corrected for bias; needs four valid cells, and is -3 if they are equal."""
    return _of_equals(x, n, 4, -3.0, ts_kurt(x, _least_window(n, 4), 1))


def Max(x: Float64Array, n: int) -> Float64Array:
    """Largest value."""
    return ts_max(x, _window(n), 1)


def Min(x: Float64Array, n: int) -> Float64Array:
    """Smallest value."""
    return ts_min(x, _window(n), 1)


def IdxMax(x: Float64Array, n: int) -> Float64Array:
    """Place of the first largest value, from 1 at the window's oldest session; of the first missing one if any is."""
    return place_of_extreme(x, _since(x, within=min(_window(n) + _ABSENT, EVER)), _window(n), 1.0)


def IdxMin(x: Float64Array, n: int) -> Float64Array:
    """Place of the first smallest value, from 1 at the window's oldest session; of the first missing one if any is."""
    return place_of_extreme(x, _since(x, within=min(_window(n) + _ABSENT, EVER)), _window(n), -1.0)


def Med(x: Float64Array, n: int) -> Float64Array:
    """Median."""
    return ts_median(x, _window(n), 1)


def Quantile(x: Float64Array, n: int, qscore: float) -> Float64Array:
    """Quantile, interpolated between neighbours."""
    if not 0 <= qscore <= 1:
        raise ValueError(f"a quantile must lie between 0 and 1; found {qscore:g}")
    return ts_quantile(x, _window(n), qscore, 1)


def Mad(x: Float64Array, n: int) -> Float64Array:
    """Mean absolute deviation from the mean."""
    return ts_mad(x, _window(n), 1)


def Rank(x: Float64Array, n: int) -> Float64Array:
    """Rank of the newest value within the window over their number, ties averaged."""
    return ts_rank(x, _window(n), 1)


def Count(x: Float64Array, n: int) -> Float64Array:
    """Number of values that are not missing."""
    return on_rows(ts_count(~np.isnan(x), _window(n)), _since(x))


def Slope(x: Float64Array, n: int) -> Float64Array:
    """Slope on the number of the session."""
    return ts_slope(x, _window(n), 1)


def Rsquare(x: Float64Array, n: int) -> Float64Array:
    """Share of the variance that the slope explains; missing where the standard deviation is at most 2e-5."""
    share = ts_rsquare(x, _window(n), 1)
    return share if n == 0 else np.where(Std(x, n) <= _STEADY, np.nan, share)


def Resi(x: Float64Array, n: int) -> Float64Array:
    """Residual of the newest session about the slope."""
    return ts_resi(x, _window(n), 1)


def WMA(x: Float64Array, n: int) -> Float64Array:
    """Weights 1, 2, ... times values, the newest heaviest: qlib takes the mean of the products, not their sum."""
    return linear_mean(x, _since(x, within=min(_window(n) + _ABSENT, EVER)), _window(n))


def EMA(x: Float64Array, n: float) -> Float64Array:
    """Exponentially weighted mean of span n, or with the weight n of the newest if n is below 1."""
    if n < 0:
        raise ValueError(f"a span must be above 0, or 0 for all sessions; found {n:g}")
    if n == 0:
        return expanding_decay(x, _since(x, within=EVER))
    return ts_ema_alpha(x, n if n < 1 else 2.0 / (n + 1.0), 1)


def Cov(x: Float64Array, y: Float64Array, n: int) -> Float64Array:
    """Covariance (ddof 1) over the sessions on which both are valid."""
    return ts_cov(x, y, _window(n), 1)


def Corr(x: Float64Array, y: Float64Array, n: int) -> Float64Array:
    """Correlation over the sessions on which both are valid; missing where a standard deviation is at most 2e-5."""
    steady = (Std(x, n) <= _STEADY) | (Std(y, n) <= _STEADY)
    return np.where(steady, np.nan, ts_corr(x, y, _window(n), 2))


def Abs(x: Float64Array) -> Float64Array:
    """Absolute value."""
    return np.abs(x)


def Sign(x: Float64Array) -> Float64Array:
    """1, 0 or -1."""
    return np.sign(x)


def Log(x: Float64Array) -> Float64Array:
    """Natural logarithm."""
    return np.log(x)


def Power(x: Float64Array, y: Float64Array) -> Float64Array:
    """x to the power of y."""
    return np.power(x, y)


def Add(x: Float64Array, y: Float64Array) -> Float64Array:
    """Sum of two."""
    return np.add(x, y)


def Sub(x: Float64Array, y: Float64Array) -> Float64Array:
    """Difference of two."""
    return np.subtract(x, y)


def Mul(x: Float64Array, y: Float64Array) -> Float64Array:
    """Product of two."""
    return np.multiply(x, y)


def Div(x: Float64Array, y: Float64Array) -> Float64Array:
    """Ratio of two."""
    return np.true_divide(x, y)


def Greater(x: Float64Array, y: Float64Array) -> Float64Array:
    """The larger of two; missing where either is."""
    return np.maximum(x, y)


def Less(x: Float64Array, y: Float64Array) -> Float64Array:
    """The smaller of two; missing where either is."""
    return np.minimum(x, y)


def Gt(x: Float64Array, y: Float64Array) -> Float64Array:
    """1 where x is above y, else 0."""
    return on_rows(np.greater(x, y), _since(x, y))


def Ge(x: Float64Array, y: Float64Array) -> Float64Array:
    """1 where x is at least y, else 0."""
    return on_rows(np.greater_equal(x, y), _since(x, y))


def Lt(x: Float64Array, y: Float64Array) -> Float64Array:
    """1 where x is below y, else 0."""
    return on_rows(np.less(x, y), _since(x, y))


def Le(x: Float64Array, y: Float64Array) -> Float64Array:
    """1 where x is at most y, else 0."""
    return on_rows(np.less_equal(x, y), _since(x, y))


def Eq(x: Float64Array, y: Float64Array) -> Float64Array:
    """1 where both are the same, else 0."""
    return on_rows(np.equal(x, y), _since(x, y))


def Ne(x: Float64Array, y: Float64Array) -> Float64Array:
    """1 where they differ, or either is missing, else 0."""
    return on_rows(np.not_equal(x, y), _since(x, y))


And, Or, Not, If = both, either, negate, if_else

_FUNCTIONS: tuple[Callable[..., Any], ...] = (
    *(Ref, Delta, Mean, Sum, Std, Var, Skew, Kurt, Max, Min, IdxMax, IdxMin, Med, Quantile, Mad, Rank, Count),
    *(Slope, Rsquare, Resi, WMA, EMA, Cov, Corr, Abs, Sign, Log, Power, Add, Sub, Mul, Div, Greater, Less),
    *(Gt, Ge, Lt, Le, Eq, Ne),
)
QLIB: Mapping[str, Callable[..., Any]] = {
    **{function.__name__: function for function in _FUNCTIONS},
    **{"And": And, "Or": Or, "Not": Not, "If": If},
}
