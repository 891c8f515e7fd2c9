"""Who has a part in a session, the cells of the universe by the group that they belong to; and how they stand in it.

What is here is done alike for a whole session, which is one group, and within groups.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.operators import group_kernels, row_kernels
from features.operators.blocks import over_sessions
from features.operators.order_kernels import MAD_TO_STD
from features.operators.row_kernels import Member
from features.panel import BoolArray, Float64Array, IntArray

Panel = Float64Array | BoolArray
# Robust z-scores are clipped to so many deviations on either side.
LIMIT = 5.0
# What `moments_of` and `extremes_of` tell, in this order.
COUNT, SUM, MEAN, STD = 0, 1, 2, 3
MAX, MIN, SIZE = 0, 1, 2


def over_members(
    write: Callable[[Float64Array, Member, int, slice, Float64Array], None],
    x: Float64Array,
    group: Panel | None,
    universe: Panel,
    *others: Float64Array,
    narrow: bool = False,
) -> Float64Array:
    """The panel, or the market-wide series if narrow, that `write` writes for blocks of sessions.

    write   called with x (S, N), the number of each cell's group (S, N), how many groups there are at most, the
            sessions these are, and where to write, (S, N) or (S, 1)
    group   codes, equal for members of a group; None: everybody is of one group
    others  panels beside x and the universe that the result's shape must do justice to
    """
    given = (x, universe, *others) if group is None else (x, universe, group, *others)
    shape = np.broadcast_shapes(*(np.shape(panel) for panel in given))

    def block(whole: Float64Array, start: int, stop: int, out: Float64Array) -> None:
        sessions = slice(start, stop)
        member, groups = _members(group, universe, sessions, (stop - start, shape[1]))
        write(whole[sessions], member, groups, sessions, out[sessions])

    return over_sessions(block, np.broadcast_to(x, shape), 1 if narrow else shape[1])


def rows(panel: Panel, sessions: slice, shape: tuple[int, int]) -> NDArray[Any]:
    """Some sessions of a panel (T, N), (T, 1) or (1, N), without a copy."""
    return np.broadcast_to(panel[sessions] if len(panel) > 1 else panel, shape)


def _members(group: Panel | None, universe: Panel, sessions: slice, shape: tuple[int, int]) -> tuple[Member, int]:
    """Numbers of the groups of some sessions, -1 for cells without a part; and how many groups there are at most."""
    inside = np.greater(rows(universe, sessions, shape), 0)
    member: Member = np.subtract(inside, 1, dtype=np.int32, order="C")
    if group is None:
        return member, 1
    codes = np.ascontiguousarray(rows(group, sessions, shape), dtype=np.float64).view()
    codes.flags.writeable = False
    return member, group_kernels.number(codes, member)


def moments_of(x: Float64Array, member: Member, groups: int) -> Float64Array:
    """Number of valid cells, sum, mean and standard deviation of each group, (4, S, groups)."""
    tables = np.empty((4, len(x), groups))
    group_kernels.moments(x, member, groups, tables)
    return tables


def extremes_of(x: Float64Array, member: Member, groups: int) -> Float64Array:
    """Largest and smallest value and the sum of absolute values of each group, (3, S, groups)."""
    tables = np.empty((3, len(x), groups))
    group_kernels.extremes(x, member, groups, tables)
    return tables


def _ordered(x: Float64Array, member: Member, groups: int) -> tuple[Member, IntArray]:
    """The cells group by group, in the order of their values, and where each group ends."""
    order, ends = np.empty(x.shape, np.int32), np.empty((len(x), groups), np.int64)
    row_kernels.ordered(x, member, groups, order, ends)
    return order, ends


def ranks_of(x: Float64Array, member: Member, groups: int, buckets: int, out: Float64Array) -> None:
    """Write mid-ranks within the group, or in which of so many buckets of them they are."""
    row_kernels.ranked(x, *_ordered(x, member, groups), buckets, out)


def middles_of(x: Float64Array, member: Member, groups: int) -> tuple[Float64Array, Float64Array]:
    """Median of each group, and the median distance from it, (S, groups)."""
    median, mad = np.empty((len(x), groups)), np.empty((len(x), groups))
    row_kernels.middles(x, *_ordered(x, member, groups), median, mad)
    return median, mad


def ranked(x: Float64Array, group: Panel | None, universe: Panel, buckets: int = 0) -> Float64Array:
    """Mid-rank within the group, or in which of so many buckets of them it is."""

    def write(x: Float64Array, member: Member, groups: int, _: slice, out: Float64Array) -> None:
        ranks_of(x, member, groups, buckets, out)

    return over_members(write, x, group, universe)


def robust(x: Float64Array, group: Panel | None, universe: Panel) -> Float64Array:
    """Robust z-score within the group."""

    def write(x: Float64Array, member: Member, groups: int, _: slice, out: Float64Array) -> None:
        median, mad = middles_of(x, member, groups)
        group_kernels.standing(x, member, median, MAD_TO_STD * mad, LIMIT, out)

    return over_members(write, x, group, universe)


def centred(x: Float64Array, group: Panel | None, universe: Panel) -> Float64Array:
    """Distance from the group's mean."""

    def write(x: Float64Array, member: Member, groups: int, _: slice, out: Float64Array) -> None:
        mean = moments_of(x, member, groups)[MEAN]
        group_kernels.standing(x, member, mean, np.ones(mean.shape), np.inf, out)

    return over_members(write, x, group, universe)


def standardised(x: Float64Array, group: Panel | None, universe: Panel) -> Float64Array:
    """Distance from the group's mean in standard deviations."""

    def write(x: Float64Array, member: Member, groups: int, _: slice, out: Float64Array) -> None:
        tables = moments_of(x, member, groups)
        group_kernels.standing(x, member, tables[MEAN], tables[STD], np.inf, out)

    return over_members(write, x, group, universe)


def scaled(x: Float64Array, group: Panel | None, universe: Panel, a: float) -> Float64Array:
    """x over the group's sum of absolute values, times a."""
    if not a > 0:
        raise ValueError(f"what the absolute values are to sum to must be above 0, got {a}")

    def write(x: Float64Array, member: Member, groups: int, _: slice, out: Float64Array) -> None:
        size = extremes_of(x, member, groups)[SIZE]
        group_kernels.standing(x, member, np.zeros(size.shape), size / a, np.inf, out)

    return over_members(write, x, group, universe)


def checked_buckets(k: int) -> int:
    """How many buckets, if there is one."""
    if k < 1:
        raise ValueError(f"there must be at least one bucket, got {k}")
    return int(k)
