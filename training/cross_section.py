"""The compiled half of `preprocess`: ranks, robust z-scores and neutralising regressions, one session after another."""

from __future__ import annotations

from typing import Final

import numba
import numpy as np

from features.panel import Float32Array, Float64Array, IntArray

_DIGIT: Final = 11  # bits of a radix pass; three passes order a float32
_BUCKETS: Final = 1 << _DIGIT


@numba.njit(nogil=True, cache=True)
def standardise_sessions(
    values: Float32Array,
    starts: IntArray,
    first: int,
    stop: int,
    target: IntArray,
    kept: IntArray,
    indicators: IntArray,
    neutral: IntArray,
    ranked: bool,
    winsor: float,
    group: IntArray,
    weight: Float64Array,
    out: Float32Array,
    infinite: IntArray,
) -> None:
    """Write the standardised rows of the sessions first .. stop - 1 into `out`.

    starts      (S + 1,) first row of each session
    target      (M,) row of `out`, -1 for a row that counts but is not wanted
    kept, neutral   raw columns: those to give, those to neutralise by; indicators are positions in `kept`
    infinite    (S,) gets the number of infinite cells of each session
    """
    widest = 0
    for s in range(first, stop):
        widest = max(widest, starts[s + 1] - starts[s])
    cell = np.empty(widest, np.float32)
    held = np.empty(widest, np.bool_)
    x = np.empty(widest, np.float64)
    order, order2 = np.empty(widest, np.int32), np.empty(widest, np.int32)
    key, key2 = np.empty(widest, np.uint32), np.empty(widest, np.uint32)
    counts = np.empty(_BUCKETS, np.int64)
    member = np.empty(widest, np.int64)
    p = len(neutral)
    regressors = np.empty((p, widest), np.float64)
    for s in range(first, stop):
        a, n = starts[s], starts[s + 1] - starts[s]
        if p > 0:
            _number_groups(group, a, n, member)
        for j in range(p):
            infinite[s] += _read(values, a, n, neutral[j], cell, held)
            _standardise(cell, held, n, False, winsor, regressors[j], order, order2, key, key2, counts)
            for i in range(n):
                if np.isnan(regressors[j, i]):
                    regressors[j, i] = 0.0
        for c in range(len(kept)):
            infinite[s] += _read(values, a, n, kept[c], cell, held)
            _standardise(cell, held, n, ranked, winsor, x, order, order2, key, key2, counts)
            if p > 0:
                _neutralise(x, n, regressors, member, weight[a : a + n])
            for i in range(n):
                if target[a + i] >= 0:
                    out[target[a + i], c] = 0.0 if np.isnan(x[i]) else x[i]
            for d in range(len(indicators)):
                if indicators[d] == c:
                    for i in range(n):
                        if target[a + i] >= 0:
                            out[target[a + i], len(kept) + d] = 0.0 if held[i] else 1.0


@numba.njit(nogil=True, cache=True)
def _read(values: Float32Array, a: int, n: int, column: int, cell: Float32Array, held: np.ndarray) -> int:
    """Copy a column of a session and mark the cells that have a value; gives the number of infinite ones."""
    infinite = 0
    for i in range(n):
        v = values[a + i, column]
        cell[i] = v
        held[i] = np.isfinite(v)
        if np.isinf(v):
            infinite += 1
    return infinite


@numba.njit(nogil=True, cache=True)
def _standardise(
    cell: Float32Array,
    held: np.ndarray,
    n: int,
    ranked: bool,
    winsor: float,
    out: Float64Array,
    order: np.ndarray,
    order2: np.ndarray,
    key: np.ndarray,
    key2: np.ndarray,
    counts: IntArray,
) -> None:
    """Rank or z-score of the cells that are held, NaN for the others."""
    found = 0
    bits = cell.view(np.uint32)
    for i in range(n):
        out[i] = np.nan
        if held[i]:
            order[found] = i
            # -0.0 is 0.0; then the bits of a float are in order once negative ones are turned round.
            b = np.uint32(0) if cell[i] == 0 else bits[i]
            key[found] = ~b if b >> np.uint32(31) else b | np.uint32(0x80000000)
            found += 1
    if found == 0:
        return
    order, key = _sort(order, order2, key, key2, found, counts)
    if ranked:
        _ranks(order, key, found, out)
    else:
        _robust_z(cell, order, found, winsor, out)


@numba.njit(nogil=True, cache=True)
def _sort(
    order: np.ndarray, order2: np.ndarray, key: np.ndarray, key2: np.ndarray, n: int, counts: IntArray
) -> tuple[np.ndarray, np.ndarray]:
    """Order the first n positions by their keys; a radix sort, since a session has thousands of names per column."""
    for digit in range(3):
        shift = np.uint32(digit * _DIGIT)
        counts[:] = 0
        for i in range(n):
            counts[(key[i] >> shift) & np.uint32(_BUCKETS - 1)] += 1
        before = 0
        for b in range(_BUCKETS):
            here = counts[b]
            counts[b] = before
            before += here
        for i in range(n):
            b = (key[i] >> shift) & np.uint32(_BUCKETS - 1)
            key2[counts[b]], order2[counts[b]] = key[i], order[i]
            counts[b] += 1
        key, key2 = key2, key
        order, order2 = order2, order
    return order, key


@numba.njit(nogil=True, cache=True)
def _ranks(order: np.ndarray, key: np.ndarray, n: int, out: Float64Array) -> None:
    """(mid-rank - ½)/n - ½, in (-½, ½); equal values share the mean of their ranks."""
    i = 0
    while i < n:
        j = i + 1
        while j < n and key[j] == key[i]:
            j += 1
        rank = (0.5 * (i + j)) / n - 0.5  # the mean of the ranks i + 1 .. j, less a half
        for k in range(i, j):
            out[order[k]] = rank
        i = j


@numba.njit(nogil=True, cache=True)
def _robust_z(cell: Float32Array, order: np.ndarray, n: int, winsor: float, out: Float64Array) -> None:
    """(x - median)/(1.4826·MAD) clipped to ± winsor, NaN where the MAD is 0.

    Clipping x to the median ± k·1.4826·MAD first, as 09 §2 writes it, moves neither the median nor the MAD: it is the
    same as clipping z to ± k.
    """
    lower, upper = np.float64(cell[order[(n - 1) // 2]]), np.float64(cell[order[n // 2]])
    median = 0.5 * (lower + upper)
    # Deviations grow outwards from the median on both sides: walk in towards the middle one from the two ends.
    left, right = 0, n - 1
    deviation = above = 0.0
    for _ in range(n - 1, (n - 1) // 2 - 1, -1):
        low, high = median - cell[order[left]], cell[order[right]] - median
        above = deviation
        if low >= high:
            deviation = low
            left += 1
        else:
            deviation = high
            right -= 1
    mad = deviation if n % 2 == 1 else 0.5 * (deviation + above)
    if mad == 0.0:
        return
    for k in range(n):
        z = (np.float64(cell[order[k]]) - median) / (1.4826 * mad)
        out[order[k]] = min(max(z, -winsor), winsor)


@numba.njit(nogil=True, cache=True)
def _number_groups(group: IntArray, a: int, n: int, member: IntArray) -> None:
    """Number the groups of a session 0, 1, ... in order of their codes; codes below 0 are one group."""
    codes = np.unique(np.maximum(group[a : a + n], -1))
    for i in range(n):
        member[i] = np.searchsorted(codes, max(group[a + i], -1))


@numba.njit(nogil=True, cache=True)
def _neutralise(x: Float64Array, n: int, regressors: Float64Array, member: IntArray, weight: Float64Array) -> None:
    """Replace x by its residual on the regressors and a constant per group: weighted least squares over its own rows.

    Group means are taken out first (Frisch, Waugh, Lovell), which leaves a small system. A regressor that says nothing
    beside the others and the groups is left out; so is a group without weight, whose rows become NaN.
    """
    p = regressors.shape[0]
    groups = 0
    for i in range(n):
        groups = max(groups, member[i] + 1)
    total, means = np.zeros(groups), np.zeros((p + 1, groups))
    for i in range(n):
        if not np.isnan(x[i]):
            total[member[i]] += weight[i]
            means[p, member[i]] += weight[i] * x[i]
            for j in range(p):
                means[j, member[i]] += weight[i] * regressors[j, i]
    means /= total  # 0/0 is NaN: no weight, no mean, no residual
    gram = np.zeros((p, p + 1))
    size = np.zeros(p)
    for i in range(n):
        if not np.isnan(x[i]) and weight[i] > 0.0:
            g = member[i]
            for j in range(p):
                left = weight[i] * (regressors[j, i] - means[j, g])
                size[j] += weight[i] * regressors[j, i] * regressors[j, i]
                for k in range(j, p):
                    gram[j, k] += left * (regressors[k, i] - means[k, g])
                gram[j, p] += left * (x[i] - means[p, g])
    beta = _solve(gram, size)
    for i in range(n):
        if not np.isnan(x[i]):
            g = member[i]
            x[i] -= means[p, g]
            for j in range(p):
                x[i] -= beta[j] * (regressors[j, i] - means[j, g])


@numba.njit(nogil=True, cache=True)
def _solve(gram: Float64Array, size: Float64Array) -> Float64Array:
    """Coefficients of a system given as its upper triangle and right side (P, P + 1), 0 for what is collinear.

    size  (P,) sums of squares before means were taken out: what rounding is measured against
    """
    p = len(size)
    for j in range(p):
        if gram[j, j] <= 1e-10 * size[j]:
            gram[j, :] = 0.0
            continue
        for k in range(j + 1, p):
            factor = gram[j, k] / gram[j, j]
            for m in range(k, p + 1):
                gram[k, m] -= factor * gram[j, m]
    beta = np.zeros(p)
    for j in range(p - 1, -1, -1):
        if gram[j, j] > 0.0:
            rest = gram[j, p]
            for k in range(j + 1, p):
                rest -= gram[j, k] * beta[k]
            beta[j] = rest / gram[j, j]
    return beta
