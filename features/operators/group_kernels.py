"""Compiled kernels of groups of assets: their numbering, their sums, and what is made of those.

They take sessions of panels and write panels or tables as those of `row_kernels` do.
"""

from __future__ import annotations

import numpy as np

from features.operators.compiled import compiled
from features.operators.row_kernels import Member
from features.panel import Float64Array

# Spreads the bits of a code over the upper bits of the product.
_SPREAD = np.uint64(0x9E3779B97F4A7C15)


@compiled
def number(group: Float64Array, member: Member) -> int:
    """Number each session's groups in the order of their first members; the largest count of a session, at least 1.

    group   codes, of any value; where one is not finite the cell has no part
    member  0 for the cells to number, -1 for others; numbers on return
    """
    size, shift = 16, 60
    while size < 2 * group.shape[1]:
        size, shift = 2 * size, shift - 1
    codes, numbers, seen = np.empty(size), np.empty(size, np.int32), np.full(size, -1)
    most = 1
    for t in range(group.shape[0]):
        found = 0
        bits = group[t].view(np.uint64)
        for j in range(group.shape[1]):
            code = group[t, j]
            if member[t, j] < 0 or not abs(code) < np.inf:
                member[t, j] = -1
                continue
            slot = 0 if code == 0.0 else np.int64((bits[j] * _SPREAD) >> np.uint64(shift))
            while seen[slot] == t and codes[slot] != code:
                slot = (slot + 1) & (size - 1)
            if seen[slot] != t:
                seen[slot], codes[slot], numbers[slot] = t, code, found
                found += 1
            member[t, j] = numbers[slot]
        most = max(most, found)
    return most


@compiled
def moments(x: Float64Array, member: Member, groups: int, tables: Float64Array) -> None:
    """Number of valid cells, sum, mean and standard deviation (ddof 1) of each group, (4, S, groups).

    All but the number are NaN without a cell. What the sum loses is summed beside it (Neumaier 1974), so that equal
    groups have one mean, in whatever order their cells come; a group without spread has a deviation of exactly 0.
    """
    # The slot behind the groups takes the cells without a part, so that no branch has to be guessed.
    count, total, first = np.empty(groups + 1), np.empty(groups + 1), np.empty(groups + 1)
    mean, off, square = np.empty(groups + 1), np.empty(groups + 1), np.empty(groups + 1)
    lost = np.empty(groups + 1)
    for t in range(x.shape[0]):
        for g in range(groups + 1):
            count[g], total[g], first[g], mean[g], off[g], square[g] = 0.0, 0.0, np.nan, np.nan, 0.0, 0.0
            lost[g] = 0.0
        for j in range(x.shape[1]):
            v = x[t, j]
            g = member[t, j] if (member[t, j] >= 0) & (abs(v) < np.inf) else groups
            first[g] = v if count[g] == 0.0 else first[g]
            count[g] += 1.0
            grown = total[g] + v
            lost[g] += (total[g] - grown) + v if abs(total[g]) >= abs(v) else (v - grown) + total[g]
            total[g] = grown
            off[g] += v - first[g]
        for g in range(groups):
            mean[g] = first[g] + off[g] / count[g]
            off[g] = 0.0
        for j in range(x.shape[1]):
            v = x[t, j]
            g = member[t, j] if (member[t, j] >= 0) & (abs(v) < np.inf) else groups
            d = v - mean[g]
            off[g] += d
            square[g] += d * d
        for g in range(groups):
            n = count[g]
            rest = max(square[g] - off[g] * off[g] / n, 0.0)
            tables[0, t, g] = n
            tables[1, t, g] = total[g] + lost[g] if n > 0.0 else np.nan
            tables[2, t, g] = (total[g] + lost[g]) / n if rest > 0.0 else first[g]
            tables[3, t, g] = np.sqrt(rest / (n - 1.0)) if n > 1.0 else np.nan


@compiled
def extremes(x: Float64Array, member: Member, groups: int, tables: Float64Array) -> None:
    """Largest and smallest cell and the sum of absolute values of each group, (3, S, groups); NaN without a cell."""
    for t in range(x.shape[0]):
        high, low, size = tables[0, t], tables[1, t], tables[2, t]
        for g in range(groups):
            high[g], low[g], size[g] = -np.inf, np.inf, 0.0
        for j in range(x.shape[1]):
            g, v = member[t, j], x[t, j]
            if g >= 0 and abs(v) < np.inf:
                high[g], low[g] = max(high[g], v), min(low[g], v)
                size[g] += abs(v)
        for g in range(groups):
            if high[g] < low[g]:
                high[g], low[g], size[g] = np.nan, np.nan, np.nan


@compiled
def spread(member: Member, table: Float64Array, out: Float64Array) -> None:
    """Give every member its group's number, whether it has a value itself or not."""
    for t in range(out.shape[0]):
        for j in range(out.shape[1]):
            g = member[t, j]
            out[t, j] = table[t, g] if g >= 0 else np.nan


@compiled
def standing(
    x: Float64Array, member: Member, centre: Float64Array, size: Float64Array, limit: float, out: Float64Array
) -> None:
    """(x - centre) / size of its group, clipped to ± limit; NaN where the size is not above 0."""
    for t in range(out.shape[0]):
        for j in range(out.shape[1]):
            g, v = member[t, j], x[t, j]
            out[t, j] = np.nan
            if g >= 0 and abs(v) < np.inf and size[t, g] > 0.0:
                out[t, j] = min(max((v - centre[t, g]) / size[t, g], -limit), limit)
