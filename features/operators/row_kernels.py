"""Compiled kernels of ranks and medians across assets, a session at a time.

A kernel takes some sessions of a panel x, (S, N), and `member`, (S, N): the number of the group, 0 .. groups - 1, that
a cell belongs to, or -1 for one that has no part. Cells of x that are not finite have no part either. It writes panels
(S, N), or tables (S, groups) of a number per group.

Sorting is nearly all the work. Floats are ordered by their bits; three passes of a radix sort over the 33 leading bits
of what the session's cells differ in put thousands of cells in order but for a few, which are then moved by comparison.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from features.operators.compiled import compiled, inner
from features.panel import Float64Array, IntArray

Member = NDArray[np.int32]
_Keys = NDArray[np.uint64]

# Of a sort key, the lower 31 bits tell the cell and the others its place; a pass sorts by 11 of them.
_PLACE, _DIGIT, _BUCKETS = np.uint64(31), np.uint64(11), 1 << 11
_CELL, _LAST = np.uint64((1 << 31) - 1), np.uint64(_BUCKETS - 1)
_TOO_FAR = np.uint64(1 << 33)
_ONE, _NOUGHT, _TOP = np.uint64(1), np.uint64(0), np.uint64(1 << 63)
_BACKWARDS = np.int64((1 << 63) - 1)
# Beyond so many cells of one leading part, it pays to move them over large steps first.
_LONG = 32
_STEPS = (1750, 701, 301, 132, 57, 23, 10, 4, 1)


@inner
def _bits_in_order(x: Float64Array, member: Member, keys: _Keys, cells: _Keys) -> int:
    """Write the valid cells and integers that are ordered as their values; how many there are."""
    n = 0
    bits = x.view(np.int64)
    for j in range(len(x)):
        # Without a branch: which cells have a part is hard to guess. One that has none is written over by the next.
        # The bits of negative numbers run backwards; -0.0 is 0.0.
        b = bits[j] if x[j] != 0.0 else 0
        keys[n] = np.uint64(b ^ ((b >> 63) & _BACKWARDS)) ^ _TOP
        cells[n] = np.uint64(j)
        n += 1 if (member[j] >= 0) & (abs(x[j]) < np.inf) else 0
    return n


@inner
def _distribute(come: _Keys, n: int, shift: np.uint64, places: IntArray, go: _Keys) -> None:
    """One pass of a radix sort; `places` counts the cells of each digit."""
    before = 0
    for b in range(_BUCKETS):
        here = places[b]
        places[b] = before
        before += here
    for i in range(n):
        b = (come[i] >> shift) & _LAST
        go[places[b]] = come[i]
        places[b] += 1


@inner
def _insert(keys: _Keys, start: int, stop: int, x: Float64Array, step: int) -> None:
    """Put every step-th cell of start:stop in order by insertion."""
    for i in range(start + step, stop):
        key = keys[i]
        value = x[key & _CELL]
        j = i
        while j >= start + step and x[keys[j - step] & _CELL] > value:
            keys[j] = keys[j - step]
            j -= step
        keys[j] = key


@inner
def _settle(keys: _Keys, n: int, x: Float64Array) -> None:
    """Put in order the cells that have one leading part."""
    start = 0
    for i in range(1, n + 1):
        if i == n or keys[i] >> _PLACE != keys[i - 1] >> _PLACE:
            wrong = False
            for j in range(start + 1, i):
                wrong |= x[keys[j] & _CELL] < x[keys[j - 1] & _CELL]
            if wrong:
                for step in _STEPS:
                    if step == 1 or i - start > _LONG:
                        _insert(keys, start, i, x, step)
            start = i


@inner
def _sorted(x: Float64Array, member: Member, spare: _Keys, places: IntArray) -> tuple[int, _Keys]:
    """How many cells of a session are valid, and keys whose lower bits tell them in the order of their values.

    spare  (3, N); places  (3, 2048)
    """
    keys, cells, others = spare[0], spare[1], spare[2]
    n = _bits_in_order(x, member, keys, cells)
    low, high = ~_NOUGHT, _NOUGHT
    for i in range(n):
        low = keys[i] if keys[i] < low else low
        high = keys[i] if keys[i] > high else high
    if n == 0:
        return 0, cells
    shift = _NOUGHT
    while (high - low) >> shift >= _TOO_FAR:
        shift += _ONE
    first, second, third = _PLACE, _PLACE + _DIGIT, _PLACE + _DIGIT + _DIGIT
    for b in range(_BUCKETS):
        places[0, b], places[1, b], places[2, b] = 0, 0, 0
    for i in range(n):
        key = ((keys[i] - low) >> shift) << _PLACE | cells[i]
        cells[i] = key
        places[0, (key >> first) & _LAST] += 1
        places[1, (key >> second) & _LAST] += 1
        places[2, key >> third] += 1
    for digit in range(3):
        _distribute(cells, n, first + np.uint64(digit) * _DIGIT, places[digit], others)
        cells, others = others, cells
    if shift > _NOUGHT:
        _settle(cells, n, x)
    return n, cells


@compiled
def ordered(x: Float64Array, member: Member, groups: int, order: Member, ends: IntArray) -> None:
    """Write the cells of each session group by group, each in the order of its values.

    order  (S, N) assets; the cells without a part have no place, and what stands behind the last means nothing
    ends   (S, groups) place behind the last of each group
    """
    assets = x.shape[1]
    spare, places = np.empty((3, assets), np.uint64), np.empty((3, _BUCKETS), np.int64)
    for t in range(x.shape[0]):
        n, keys = _sorted(x[t], member[t], spare, places)
        end = ends[t]
        for g in range(groups):
            end[g] = 0
        if groups == 1:
            end[0] = n
            for i in range(n):
                order[t, i] = np.int32(keys[i] & _CELL)
            continue
        for i in range(n):
            g = member[t, keys[i] & _CELL]
            if g + 1 < groups:
                end[g + 1] += 1
        for g in range(1, groups):
            end[g] += end[g - 1]
        for i in range(n):
            j = np.int64(keys[i] & _CELL)
            order[t, end[member[t, j]]] = j
            end[member[t, j]] += 1


@compiled
def ranked(x: Float64Array, order: Member, ends: IntArray, buckets: int, out: Float64Array) -> None:
    """(rank - 1/2) / N within the group, ties sharing the mean of their ranks; or in which of so many buckets it is.

    order, ends  as `ordered` writes them
    buckets      0 for the rank itself
    """
    for t in range(x.shape[0]):
        row, cells, ranks = x[t], order[t], out[t]
        for j in range(x.shape[1]):
            ranks[j] = np.nan
        first = 0
        for g in range(ends.shape[1]):
            last = ends[t, g]
            start = first
            while start < last:
                value = row[cells[start]]
                stop = start + 1
                while stop < last and row[cells[stop]] == value:
                    stop += 1
                twice = start + stop - 2 * first
                rank = 0.5 * twice / (last - first) if buckets == 0 else float(twice * buckets // (2 * (last - first)))
                for k in range(start, stop):
                    ranks[cells[k]] = rank
                start = stop
            first = last


@inner
def _middle_distance(values: Float64Array, n: int, centre: float) -> float:
    """Median of |v - centre| over n sorted values; those nearest to the centre stand side by side."""
    k = n // 2 + 1
    low, high = 0, n - k
    while low < high:
        middle = (low + high) // 2
        if values[middle + k] - centre < centre - values[middle]:
            low = middle + 1
        else:
            high = middle
    left, right = centre - values[low], values[low + k - 1] - centre
    if n % 2:
        return max(left, right)
    # Without the farthest of these k, the other middle cell is the farthest.
    other = max(centre - values[low + 1], right) if left > right else max(left, values[low + k - 2] - centre)
    return 0.5 * (max(left, right) + other)


@compiled
def middles(x: Float64Array, order: Member, ends: IntArray, median: Float64Array, mad: Float64Array) -> None:
    """Median of each group and the median distance from it, (S, groups); NaN for a group without a cell."""
    values = np.empty(x.shape[1])
    for t in range(x.shape[0]):
        first = 0
        for g in range(ends.shape[1]):
            n = ends[t, g] - first
            for i in range(n):
                values[i] = x[t, order[t, first + i]]
            median[t, g], mad[t, g] = np.nan, np.nan
            if n > 0:
                centre = values[n // 2] if n % 2 else 0.5 * (values[n // 2 - 1] + values[n // 2])
                median[t, g], mad[t, g] = centre, _middle_distance(values, n, centre)
            first += n
