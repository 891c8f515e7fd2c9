"""Cross-sectional operators: each session by itself, over the assets of the universe with a valid value.

Cells outside the universe, or without a value, are NaN. The universe is a (T, N) panel, true above 0.
Source  spec 00 §2.1
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import ndtri

from features.graph import operator
from features.operators import members, residual_kernels
from features.operators.members import Panel, over_members
from features.operators.order_kernels import MAD_TO_STD
from features.operators.row_kernels import Member
from features.panel import BoolArray, Float64Array


def _series(x: Float64Array, universe: Panel, table: int) -> Float64Array:
    """One of the moments, (T, 1)."""

    def write(x: Float64Array, member: Member, groups: int, _: slice, out: Float64Array) -> None:
        out[:] = members.moments_of(x, member, groups)[table]

    return over_members(write, x, None, universe, narrow=True)


@operator("cell")
def within(x: Float64Array, universe: Float64Array | BoolArray) -> Float64Array:
    """x where the universe is true and x is finite, NaN elsewhere."""
    return np.where(np.greater(universe, 0) & np.isfinite(x), x, np.nan)


@operator("session", narrow=True)
def cs_count(x: Float64Array, universe: Float64Array | BoolArray) -> Float64Array:
    """Number of valid cells, (T, 1)."""
    return _series(x, universe, members.COUNT)


@operator("session", narrow=True)
def cs_sum(x: Float64Array, universe: Float64Array | BoolArray) -> Float64Array:
    """Sum, (T, 1); NaN for an empty session."""
    return _series(x, universe, members.SUM)


@operator("session", narrow=True)
def cs_mean(x: Float64Array, universe: Float64Array | BoolArray) -> Float64Array:
    """Mean, (T, 1); NaN for an empty session."""
    return _series(x, universe, members.MEAN)


@operator("session", narrow=True)
def cs_std(x: Float64Array, universe: Float64Array | BoolArray) -> Float64Array:
    """Standard deviation (ddof 1), (T, 1); NaN for a session of fewer than two cells."""
    return _series(x, universe, members.STD)


@operator("session", narrow=True)
def cs_median(x: Float64Array, universe: Float64Array | BoolArray) -> Float64Array:
    """Median, (T, 1); NaN for an empty session."""

    def write(x: Float64Array, member: Member, groups: int, _: slice, out: Float64Array) -> None:
        out[:] = members.middles_of(x, member, groups)[0]

    return over_members(write, x, None, universe, narrow=True)


@operator("session")
def cs_rank(x: Float64Array, universe: Float64Array | BoolArray) -> Float64Array:
    """Mid-rank (rank - 1/2) / N, in (0, 1)."""
    return members.ranked(x, None, universe)


@operator("session")
def cs_bucket(x: Float64Array, universe: Float64Array | BoolArray, k: int = 10) -> Float64Array:
    """In which of k buckets of about equal size x is, 0 for the smallest, k - 1 for the largest.

    Equal values share a bucket: it is floor(k times the mid-rank).
    """
    return members.ranked(x, None, universe, members.checked_buckets(k))


@operator("session")
def cs_normal(x: Float64Array, universe: Float64Array | BoolArray) -> Float64Array:
    """Standard normal quantile of the mid-rank."""

    def write(x: Float64Array, member: Member, groups: int, _: slice, out: Float64Array) -> None:
        members.ranks_of(x, member, groups, 0, out)
        ndtri(out, out=out)

    return over_members(write, x, None, universe)


@operator("session")
def cs_zscore(x: Float64Array, universe: Float64Array | BoolArray) -> Float64Array:
    """(x - median) / (1.4826 MAD), clipped to ±5; NaN for a session whose MAD is 0."""
    return members.robust(x, None, universe)


@operator("session")
def cs_standard(x: Float64Array, universe: Float64Array | BoolArray) -> Float64Array:
    """(x - mean) / standard deviation (ddof 1); NaN for a session without spread."""
    return members.standardised(x, None, universe)


@operator("session")
def cs_demean(x: Float64Array, universe: Float64Array | BoolArray) -> Float64Array:
    """x - mean."""
    return members.centred(x, None, universe)


@operator("session")
def cs_scale(x: Float64Array, universe: Float64Array | BoolArray, a: float = 1.0) -> Float64Array:
    """x times what makes the absolute values of the session sum to a; NaN where all are 0."""
    return members.scaled(x, None, universe, a)


@operator("session")
def cs_winsor(x: Float64Array, universe: Float64Array | BoolArray, k: float = 5.0) -> Float64Array:
    """x clipped to median ± k 1.4826 MAD."""

    def write(x: Float64Array, member: Member, groups: int, _: slice, out: Float64Array) -> None:
        median, mad = members.middles_of(x, member, groups)
        reach = k * MAD_TO_STD * mad
        out[:] = np.where((member >= 0) & np.isfinite(x), x, np.nan)
        np.clip(out, median - reach, median + reach, out=out)

    return over_members(write, x, None, universe)


@operator("session")
def residual(
    y: Float64Array,
    group: Float64Array | None,
    regressors: Sequence[Float64Array],
    universe: Float64Array | BoolArray,
) -> Float64Array:
    """Residual of each session's least squares of y on a constant for each group and the regressors."""

    def write(y: Float64Array, member: Member, groups: int, sessions: slice, out: Float64Array) -> None:
        columns = np.empty((len(regressors), *y.shape))
        for column, regressor in zip(columns, regressors, strict=True):
            column[:] = members.rows(regressor, sessions, y.shape)
        residual_kernels.residuals(y, columns, member, groups, out)

    return over_members(write, y, group, universe, *regressors)


def cs_residual(y: Float64Array, *regressors: Float64Array, universe: Float64Array | BoolArray) -> Float64Array:
    """Residual of each session's least squares of y on a constant and the regressors.

    Regressors that a session's rows make collinear (a board without a member) take no part: the residual is that of
    the fit of least norm.
    NaN where y or a regressor is, and for sessions with fewer rows than twice the coefficients.
    """
    return residual(y, None, regressors, universe)
