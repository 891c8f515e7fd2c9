"""Compiled kernels of rolling third and fourth moments, and of rolling products.

They are laid out as those of `sum_kernels`, with the same care for sums that cancel.
"""

from __future__ import annotations

import numpy as np

from features.operators.compiled import compiled, part
from features.operators.sum_kernels import CANCELLED, LANES, period, tile_of
from features.panel import Float64Array

SKEW, KURT = 0, 1

# Rows of the state: count, shift, sums of the first four powers about it, the largest that the second and fourth were.
_N, _SHIFT, _S1, _S2 = 0, LANES, 2 * LANES, 3 * LANES
_S3, _S4, _PEAK2, _PEAK4 = 4 * LANES, 5 * LANES, 6 * LANES, 7 * LANES
_ROWS = 8


@part
def _rebuild(x: Float64Array, first: int, last: int, a: int, b: int, s: Float64Array) -> None:
    """Count, shift and sums of powers about it of the rows first..last; if constant, sums of exactly nought."""
    for row in range(_ROWS):
        s[row * LANES : row * LANES + b] = 0.0
    for i in range(first, last + 1):
        row_i = x[i, a:]
        for j in range(b):
            v, n, c = row_i[j], s[_N + j], s[_SHIFT + j]
            valid = abs(v) < np.inf
            c = v if valid & (n == 0.0) else c
            s[_SHIFT + j] = c
            s[_S1 + j] += v - c if valid else 0.0
            s[_N + j] = n + (1.0 if valid else 0.0)
    for j in range(b):
        s[_SHIFT + j] += s[_S1 + j] / max(s[_N + j], 1.0)
        s[_S1 + j] = 0.0
    for i in range(first, last + 1):
        row_i = x[i, a:]
        for j in range(b):
            v = row_i[j]
            d = v - s[_SHIFT + j] if abs(v) < np.inf else 0.0
            s[_S1 + j] += d
            s[_S2 + j] += d * d
            s[_S3 + j] += d * d * d
            s[_S4 + j] += d * d * (d * d)
    for j in range(b):
        s[_PEAK2 + j], s[_PEAK4 + j] = s[_S2 + j], s[_S4 + j]


@part
def _central(j: int, s: Float64Array) -> tuple[float, float, float]:
    """Mean powers of the deviations from the mean: the second, third and fourth."""
    share = 1.0 / max(s[_N + j], 1.0)
    m, m2, m3, m4 = s[_S1 + j] * share, s[_S2 + j] * share, s[_S3 + j] * share, s[_S4 + j] * share
    return m2 - m * m, m3 - m * (3.0 * m2 - 2.0 * m * m), m4 - m * (4.0 * m3 - m * (6.0 * m2 - 3.0 * m * m))


@part
def _sound(j: int, s: Float64Array) -> bool:
    """Whether enough is left of what has gone through, as in `sum_kernels`."""
    n = s[_N + j]
    m2, _, m4 = _central(j, s)
    kept = (n * m2 > CANCELLED * s[_PEAK2 + j]) & (n * m4 > CANCELLED * s[_PEAK4 + j])
    return (n == 0.0) | (s[_PEAK2 + j] == 0.0) | kept


@part
def _roll(comes: Float64Array, goes: Float64Array, b: int, s: Float64Array) -> bool:
    """Let a row in and another out; whether a lane is to be rebuilt."""
    stale = 0
    for j in range(b):
        entered, left = abs(comes[j]) < np.inf, abs(goes[j]) < np.inf
        d = comes[j] - s[_SHIFT + j] if entered else 0.0
        e = goes[j] - s[_SHIFT + j] if left else 0.0
        dd, ee = d * d, e * e
        s2, s4 = s[_S2 + j] + dd, s[_S4 + j] + dd * dd
        s[_PEAK2 + j], s[_PEAK4 + j] = max(s[_PEAK2 + j], s2), max(s[_PEAK4 + j], s4)
        s[_N + j] += (1.0 if entered else 0.0) - (1.0 if left else 0.0)
        s[_S1 + j] += d - e
        s[_S2 + j] = s2 - ee
        s[_S3 + j] += dd * d - ee * e
        s[_S4 + j] = s4 - ee * ee
        stale += 0 if _sound(j, s) else 1
    return stale > 0


@part
def _write(s: Float64Array, b: int, least: int, what: int, to: Float64Array) -> None:
    """Skewness or excess kurtosis, corrected for bias; NaN where the window is constant."""
    if what == SKEW:
        for j in range(b):
            n, (m2, m3, _) = s[_N + j], _central(j, s)
            known = (n >= least) & (m2 > 0.0) & (s[_PEAK2 + j] > 0.0)
            to[j] = np.sqrt(n * (n - 1.0) / m2) * m3 / ((n - 2.0) * m2) if known else np.nan
    else:
        for j in range(b):
            n, (m2, _, m4) = s[_N + j], _central(j, s)
            known = (n >= least) & (m2 > 0.0) & (s[_PEAK2 + j] > 0.0)
            excess = (n + 1.0) * m4 / (m2 * m2) - 3.0 * (n - 1.0)
            to[j] = (n - 1.0) / ((n - 2.0) * (n - 3.0)) * excess if known else np.nan


@compiled
def shape(x: Float64Array, start: int, stop: int, window: int, least: int, what: int, out: Float64Array) -> None:
    """Skewness or excess kurtosis of the window, corrected for bias, of three or four cells at least."""
    least = max(least, 3 if what == SKEW else 4)
    s, nothing = np.zeros(_ROWS * LANES), np.full(LANES, np.nan)
    done, every = start, period(window)
    while done < stop:
        a, b = tile_of(start, stop, done)
        for t in range(x.shape[0]):
            first = max(t - window + 1, 0)
            renew = t % every == 0
            if renew or _roll(x[t, a:], x[t - window, a:] if t >= window else nothing, b, s):
                for j in range(0, b, b if renew else 1):
                    if renew or not _sound(j, s):
                        _rebuild(x, first, t, a + j, b if renew else 1, s[j:])
            _write(s, b, least, what, out[t, a:])
        done = a + b


@compiled
def product(x: Float64Array, start: int, stop: int, window: int, least: int, out: Float64Array) -> None:
    """Product of the valid cells of the window.

    A window is the end of one chunk of `window` sessions and the beginning of the next: the product so far of this
    chunk, times that from there on of the chunk before (van Herk 1992). Nothing is divided by, so zeros do no harm.
    """
    b = stop - start
    least = max(least, 1)
    n, so_far = np.zeros(b), np.ones(b)
    onwards = np.ones((min(window, x.shape[0]) + 1, b))
    nothing = np.full(b, np.nan)
    for t in range(x.shape[0]):
        comes, to = x[t, start:stop], out[t, start:stop]
        goes = x[t - window, start:stop] if t >= window else nothing
        at = t % window
        if at == 0 and t > 0:
            so_far[:] = 1.0
            for i in range(window - 1, 0, -1):
                cells, here, behind = x[t - window + i, start:stop], onwards[i], onwards[i + 1]
                for j in range(b):
                    here[j] = behind[j] * (cells[j] if abs(cells[j]) < np.inf else 1.0)
        before = onwards[min(at + 1, len(onwards) - 1)]
        for j in range(b):
            valid, left = abs(comes[j]) < np.inf, abs(goes[j]) < np.inf
            n[j] += (1.0 if valid else 0.0) - (1.0 if left else 0.0)
            so_far[j] *= comes[j] if valid else 1.0
            to[j] = so_far[j] * before[j] if n[j] >= least else np.nan
