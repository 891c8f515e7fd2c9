"""Operators within groups of assets, an industry or a bucket: each session and group by itself.

A group is the assets of the universe with the same code: whole numbers as a rule, (T, N), or (1, N) if they never
change. Cells outside the universe, or without a code, are NaN. What tells of the group as a whole (its mean, its
median) stands at every member, also at one whose own value is missing; what tells of the value within the group is NaN
there.
"""

from __future__ import annotations

from features.graph import operator
from features.operators import group_kernels, members
from features.operators.cross_section import residual
from features.operators.members import Panel, over_members
from features.operators.row_kernels import Member
from features.panel import BoolArray, Float64Array


def _moment(x: Float64Array, group: Panel, universe: Panel, table: int) -> Float64Array:
    """One of the moments of the group, at every member."""

    def write(x: Float64Array, member: Member, groups: int, _: slice, out: Float64Array) -> None:
        group_kernels.spread(member, members.moments_of(x, member, groups)[table], out)

    return over_members(write, x, group, universe)


def _extreme(x: Float64Array, group: Panel, universe: Panel, table: int) -> Float64Array:
    """One of the extremes of the group, at every member."""

    def write(x: Float64Array, member: Member, groups: int, _: slice, out: Float64Array) -> None:
        group_kernels.spread(member, members.extremes_of(x, member, groups)[table], out)

    return over_members(write, x, group, universe)


@operator("session")
def group_count(x: Float64Array, group: Float64Array, universe: Float64Array | BoolArray) -> Float64Array:
    """Number of the group's valid cells."""
    return _moment(x, group, universe, members.COUNT)


@operator("session")
def group_sum(x: Float64Array, group: Float64Array, universe: Float64Array | BoolArray) -> Float64Array:
    """Sum of the group; NaN without a valid cell."""
    return _moment(x, group, universe, members.SUM)


@operator("session")
def group_mean(x: Float64Array, group: Float64Array, universe: Float64Array | BoolArray) -> Float64Array:
    """Mean of the group; NaN without a valid cell."""
    return _moment(x, group, universe, members.MEAN)


@operator("session")
def group_std(x: Float64Array, group: Float64Array, universe: Float64Array | BoolArray) -> Float64Array:
    """Standard deviation (ddof 1) of the group; NaN for fewer than two valid cells."""
    return _moment(x, group, universe, members.STD)


@operator("session")
def group_max(x: Float64Array, group: Float64Array, universe: Float64Array | BoolArray) -> Float64Array:
    """Largest value of the group."""
    return _extreme(x, group, universe, members.MAX)


@operator("session")
def group_min(x: Float64Array, group: Float64Array, universe: Float64Array | BoolArray) -> Float64Array:
    """Smallest value of the group."""
    return _extreme(x, group, universe, members.MIN)


@operator("session")
def group_median(x: Float64Array, group: Float64Array, universe: Float64Array | BoolArray) -> Float64Array:
    """Median of the group."""

    def write(x: Float64Array, member: Member, groups: int, _: slice, out: Float64Array) -> None:
        group_kernels.spread(member, members.middles_of(x, member, groups)[0], out)

    return over_members(write, x, group, universe)


@operator("session")
def group_rank(x: Float64Array, group: Float64Array, universe: Float64Array | BoolArray) -> Float64Array:
    """Mid-rank (rank - 1/2) / N within the group, in (0, 1); 1/2 for one alone."""
    return members.ranked(x, group, universe)


@operator("session")
def group_bucket(x: Float64Array, group: Float64Array, universe: Float64Array | BoolArray, k: int = 10) -> Float64Array:
    """In which of k buckets of its group x is, 0 for the smallest, k - 1 for the largest.

    Equal values share a bucket: it is floor(k times the mid-rank).
    """
    return members.ranked(x, group, universe, members.checked_buckets(k))


@operator("session")
def group_zscore(x: Float64Array, group: Float64Array, universe: Float64Array | BoolArray) -> Float64Array:
    """(x - median) / (1.4826 MAD) within the group, clipped to ±5; NaN for a group whose MAD is 0."""
    return members.robust(x, group, universe)


@operator("session")
def group_standard(x: Float64Array, group: Float64Array, universe: Float64Array | BoolArray) -> Float64Array:
    """(x - mean) / standard deviation (ddof 1) within the group; NaN for a group without spread."""
    return members.standardised(x, group, universe)


@operator("session")
def group_demean(x: Float64Array, group: Float64Array, universe: Float64Array | BoolArray) -> Float64Array:
    """x - mean of the group."""
    return members.centred(x, group, universe)


@operator("session")
def group_scale(
    x: Float64Array, group: Float64Array, universe: Float64Array | BoolArray, a: float = 1.0
) -> Float64Array:
    """x times what makes the absolute values of the group sum to a; NaN where all are 0."""
    return members.scaled(x, group, universe, a)


def group_residual(
    y: Float64Array, group: Float64Array, *regressors: Float64Array, universe: Float64Array | BoolArray
) -> Float64Array:
    """Residual of each session's least squares of y on a constant for each group and the regressors.

    So y is made neutral to groups and panels at once; regressors that the session's rows make collinear take no part.
    NaN where y, the group or a regressor is, and for sessions whose rows, less one per group, are not more than twice
    the regressors. One alone in its group is 0.
    """
    return residual(y, group, regressors, universe)
