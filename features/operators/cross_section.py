"""Cross-sectional operators: each session by itself, over the assets of the universe with a valid value.

Cells outside the universe, or without a value, are NaN. The universe is a (T, N) panel, true above 0.
Source  spec 00 §2.1
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import ndtri

from features.operators import row_kernels
from features.operators.blocks import over_sessions
from features.operators.order_kernels import MAD_TO_STD
from features.panel import BoolArray, Float64Array

# A regressor that varies by less than this share of its level is a constant with rounding on it.
_CONSTANT = 1e-12


def within(x: Float64Array, universe: Float64Array | BoolArray) -> Float64Array:
    """x where the universe is true and x is finite, NaN elsewhere."""
    return np.where(np.greater(universe, 0) & np.isfinite(x), x, np.nan)


def _median_and_mad(valid: Float64Array) -> tuple[Float64Array, Float64Array]:
    both = over_sessions(row_kernels.median_and_mad, valid, 2)
    return both[:, :1], both[:, 1:]


def cs_count(x: Float64Array, universe: Float64Array | BoolArray) -> Float64Array:
    """Number of valid cells, (T, 1)."""
    return np.sum(~np.isnan(within(x, universe)), axis=1, keepdims=True).astype(np.float64)


def cs_mean(x: Float64Array, universe: Float64Array | BoolArray) -> Float64Array:
    """Mean, (T, 1); NaN for an empty session."""
    valid = within(x, universe)
    n = np.sum(~np.isnan(valid), axis=1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.nansum(valid, axis=1, keepdims=True) / n


def cs_median(x: Float64Array, universe: Float64Array | BoolArray) -> Float64Array:
    """Median, (T, 1); NaN for an empty session."""
    return _median_and_mad(within(x, universe))[0]


def cs_rank(x: Float64Array, universe: Float64Array | BoolArray) -> Float64Array:
    """Mid-rank (rank - 1/2) / N, in (0, 1)."""
    valid = within(x, universe)
    return over_sessions(row_kernels.mid_rank, valid, valid.shape[1])


def cs_normal(x: Float64Array, universe: Float64Array | BoolArray) -> Float64Array:
    """Standard normal quantile of the mid-rank."""
    return np.asarray(ndtri(cs_rank(x, universe)))


def cs_zscore(x: Float64Array, universe: Float64Array | BoolArray) -> Float64Array:
    """(x - median) / (1.4826 MAD), clipped to ±5; NaN for a session whose MAD is 0."""
    valid = within(x, universe)
    median, mad = _median_and_mad(valid)
    valid -= median
    valid /= np.where(mad > 0, MAD_TO_STD * mad, np.nan)
    return np.clip(valid, -5.0, 5.0, out=valid)


def cs_winsor(x: Float64Array, universe: Float64Array | BoolArray, k: float = 5.0) -> Float64Array:
    """x clipped to median ± k 1.4826 MAD."""
    valid = within(x, universe)
    median, mad = _median_and_mad(valid)
    reach = k * MAD_TO_STD * mad
    return np.clip(valid, median - reach, median + reach, out=valid)


def cs_residual(
    y: Float64Array, regressors: Sequence[Float64Array], universe: Float64Array | BoolArray
) -> Float64Array:
    """Residual of each session's least squares of y on a constant and the regressors.

    Regressors that a session's rows make collinear (a board without a member) take no part: the fit has least norm.
    NaN where y or a regressor is, and for sessions with fewer rows than twice the regressors.
    """
    valid = within(y, universe)
    stacked = [np.broadcast_to(r, valid.shape) for r in regressors]
    out = np.full(valid.shape, np.nan)
    for t in range(len(valid)):
        rows = np.isfinite(valid[t])
        for r in stacked:
            rows &= np.isfinite(r[t])
        if rows.sum() >= max(2 * (len(stacked) + 1), 1):
            centred = valid[t, rows] - valid[t, rows].mean()
            x = np.column_stack([r[t, rows] for r in stacked]) if stacked else np.empty((len(centred), 0))
            out[t, rows] = centred - _projected(x, centred)
    return out


def _projected(x: Float64Array, y: Float64Array) -> Float64Array:
    """The part of y, of mean 0, that the columns of x and a constant explain; columns of any unit count alike."""
    level = np.abs(x).max(axis=0, initial=0.0)
    x = x - x.mean(axis=0)
    size = np.sqrt((x * x).sum(axis=0))
    varied = size > _CONSTANT * level
    x = x[:, varied] / size[varied]
    return np.asarray(x @ np.linalg.lstsq(x, y)[0])
