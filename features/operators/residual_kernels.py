"""Compiled kernel of a least squares per session: what panels and groups do not explain of another panel.

It takes sessions of panels as the kernels of `row_kernels` do. The columns are made orthogonal one after another by the
modified method of Gram and Schmidt, each twice, which leaves none of what it takes out; a column that says nothing
beside those before it is left out, which changes no residual.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from features.operators.compiled import compiled, inner
from features.operators.row_kernels import Member
from features.panel import Float64Array, IntArray

# A column that varies by less than this share of its level is a constant with rounding on it, and one of which less
# than this share is left beside the others is made of them.
_NOTHING = 1e-12
# Rounding of a column's cells, as a share of its level.
_ROUNDING = 8 * 2.0**-52

# Sums in any order, so that several cells are added in one instruction.
_summing = njit(
    nogil=True,
    cache=True,
    error_model="numpy",
    fastmath={"reassoc", "nsz"},
    no_cpython_wrapper=True,
    no_cfunc_wrapper=True,
)


@_summing
def _product(u: Float64Array, v: Float64Array, n: int) -> float:
    total = 0.0
    for i in range(n):
        total += u[i] * v[i]
    return total


@_summing
def _total(v: Float64Array, n: int) -> float:
    total = 0.0
    for i in range(n):
        total += v[i]
    return total


@inner
def _centre(v: Float64Array, n: int, group: IntArray, count: Float64Array, total: Float64Array) -> None:
    """Take the mean of its group from every cell."""
    if count[group[0]] == n:
        mean = _total(v, n) / n
        for i in range(n):
            v[i] -= mean
        return
    for g in range(len(count)):
        total[g] = 0.0
    for i in range(n):
        total[group[i]] += v[i]
    for i in range(n):
        v[i] -= total[group[i]] / count[group[i]]


@inner
def _take_out(
    v: Float64Array,
    n: int,
    columns: Float64Array,
    kept: int,
    group: IntArray,
    count: Float64Array,
    total: Float64Array,
) -> None:
    """Make v orthogonal to the groups and the first columns, which are so to one another, and of length 1."""
    # What rounding leaves the first time counts for much if little else is left of v.
    for _ in range(2):
        _centre(v, n, group, count, total)
        for k in range(kept):
            column = columns[k]
            share = _product(column, v, n)
            for i in range(n):
                v[i] -= share * column[i]


@inner
def _divide(v: Float64Array, n: int, unit: float) -> None:
    for i in range(n):
        v[i] /= unit


@inner
def _read(x: Float64Array, cells: IntArray, n: int, v: Float64Array) -> float:
    """Copy some cells of a session; the largest absolute value."""
    level = 0.0
    for i in range(n):
        v[i] = x[cells[i]]
        level = max(level, abs(v[i]))
    return level


@inner
def _adds(
    v: Float64Array,
    n: int,
    level: float,
    columns: Float64Array,
    kept: int,
    group: IntArray,
    count: Float64Array,
    total: Float64Array,
) -> bool:
    """Make of a regressor what it adds to groups and columns, of length 1; whether it adds anything."""
    _divide(v, n, level)
    _centre(v, n, group, count, total)
    size = np.sqrt(_product(v, v, n))
    if size <= _NOTHING:
        return False
    _divide(v, n, size)
    _take_out(v, n, columns, kept, group, count, total)
    rest = np.sqrt(_product(v, v, n))
    _divide(v, n, rest)
    return rest > max(_NOTHING, _ROUNDING * np.sqrt(n) / size)


@inner
def _complete(
    t: int, y: Float64Array, regressors: Float64Array, member: Member, cells: IntArray, group: IntArray
) -> int:
    """How many cells of a session have every value; and which, and their groups."""
    n = 0
    for j in range(y.shape[1]):
        held = member[t, j] >= 0 and abs(y[t, j]) < np.inf
        for k in range(regressors.shape[0]):
            held = held and abs(regressors[k, t, j]) < np.inf
        if held:
            cells[n], group[n] = j, member[t, j]
            n += 1
    return n


@compiled
def residuals(y: Float64Array, regressors: Float64Array, member: Member, groups: int, out: Float64Array) -> None:
    """Residual of each session's least squares of y on a constant per group and the regressors, (P, S, N)."""
    p, assets = regressors.shape[0], y.shape[1]
    columns, cells, group = np.empty((p + 1, assets)), np.empty(assets, np.int64), np.empty(assets, np.int64)
    count, total = np.empty(groups), np.empty(groups)
    for t in range(y.shape[0]):
        for j in range(assets):
            out[t, j] = np.nan
        n, present = _complete(t, y, regressors, member, cells, group), 0
        for g in range(groups):
            count[g] = 0.0
        for i in range(n):
            present += 1 if count[group[i]] == 0.0 else 0
            count[group[i]] += 1.0
        if n - present < 2 * p + 1:
            continue
        kept = 0
        for k in range(p):
            v = columns[kept]
            level = _read(regressors[k, t], cells, n, v)
            if level > 0.0 and _adds(v, n, level, columns, kept, group, count, total):
                kept += 1
        v = columns[kept]
        _read(y[t], cells, n, v)
        _take_out(v, n, columns, kept, group, count, total)
        for i in range(n):
            out[t, cells[i]] = v[i]
