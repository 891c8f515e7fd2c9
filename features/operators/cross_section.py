"""Cross-sectional operators: each session by itself, over the assets of the universe with a valid value.

Cells outside the universe, or without a value, are NaN. The universe is a (T, N) panel, true above 0.
Source  spec 00 §2.1
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import ndtri

from features.operators import row_kernels
from features.panel import BoolArray, Float64Array

_MAD_TO_STD = 1.4826


def within(x: Float64Array, universe: Float64Array | BoolArray) -> Float64Array:
    """x where the universe is true, NaN elsewhere."""
    return np.where(np.asarray(universe, dtype=np.float64) > 0, x, np.nan)


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
    return row_kernels.median_and_mad(np.ascontiguousarray(within(x, universe)))[0][:, None]


def cs_rank(x: Float64Array, universe: Float64Array | BoolArray) -> Float64Array:
    """Mid-rank (rank - 1/2) / N, in (0, 1)."""
    return row_kernels.mid_rank(np.ascontiguousarray(within(x, universe)))


def cs_normal(x: Float64Array, universe: Float64Array | BoolArray) -> Float64Array:
    """Standard normal quantile of the mid-rank."""
    return np.asarray(ndtri(cs_rank(x, universe)))


def cs_zscore(x: Float64Array, universe: Float64Array | BoolArray) -> Float64Array:
    """(x - median) / (1.4826 MAD), clipped to ±5; NaN for a session whose MAD is 0."""
    valid = within(x, universe)
    median, mad = row_kernels.median_and_mad(np.ascontiguousarray(valid))
    scale = np.where(mad > 0, _MAD_TO_STD * mad, np.nan)
    return np.clip((valid - median[:, None]) / scale[:, None], -5.0, 5.0)


def cs_winsor(x: Float64Array, universe: Float64Array | BoolArray, k: float = 5.0) -> Float64Array:
    """x clipped to median ± k 1.4826 MAD."""
    valid = within(x, universe)
    median, mad = row_kernels.median_and_mad(np.ascontiguousarray(valid))
    reach = (k * _MAD_TO_STD * mad)[:, None]
    return np.clip(valid, median[:, None] - reach, median[:, None] + reach)


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
        x = np.column_stack([np.ones(valid.shape[1]), *(r[t] for r in stacked)])
        rows = ~np.isnan(valid[t]) & ~np.isnan(x).any(axis=1)
        if rows.sum() >= 2 * x.shape[1]:
            out[t, rows] = valid[t, rows] - x[rows] @ np.linalg.lstsq(x[rows], valid[t, rows])[0]
    return out
