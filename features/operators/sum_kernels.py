"""Compiled kernels of rolling sums: mean, standard deviation, variance, sum; and how such kernels are laid out.

A kernel takes panels (T, N), the columns start:stop that it is to do, its settings, and the panel that it writes. It
goes through the columns in tiles of up to LANES assets (`tile_of`). In a tile sessions are the outer loop and assets
the inner one, and inner loops choose values rather than branch, so that the compiler does eight assets in one
instruction. What is carried from session to session lies in one array of rows of LANES, a quantity a row: at such fixed
distances the compiler sees by itself that they do not overlap, and the rows stay in a core's first cache.

A window at t holds the sessions t-n+1 .. t; cells that are not finite are skipped; fewer than `least` valid ones give
NaN.

Sums run with the window and are kept about a shift, a value of the window. They are rebuilt from the window every so
many steps, and at once when little is left of what has gone through (a spike has left, the window has become constant):
so the error stays that of the windowed definition, however long the series.
"""

from __future__ import annotations

import numpy as np

from features.operators.compiled import compiled, part
from features.panel import Float64Array

# Assets a tile: eight registers' worth a row.
LANES = 64
# Rebuild when the centred sum of squares falls below this share of the largest it has been: three digits of sixteen are
# gone then.
CANCELLED = 1e-3
# Rebuild after so many steps, fewer in a short window, whose mean soon is far from the shift; or after a whole window.
_STEPS, _WINDOWS = 64, 4

MEAN, STD, SUM, VAR, ALL = 0, 1, 2, 3, 4

# Rows of the state: count, shift, sum and sum of squares about it, the largest that sum has been.
_N, _SHIFT, _S1, _S2, _PEAK = 0, LANES, 2 * LANES, 3 * LANES, 4 * LANES


@part
def tile_of(start: int, stop: int, done: int) -> tuple[int, int]:
    """First asset and width of the tile that does column `done` of start:stop, a multiple of 8 wide where it can be.

    It may begin before `done`, and do again what has been done: to the same result, and faster than one by one.
    """
    width = min((min(stop - done, LANES) + 7) // 8 * 8, stop - start)
    return min(done, stop - width), width


@part
def period(window: int) -> int:
    """Steps from one rebuilding of every asset's sums to the next."""
    return max(window, min(_WINDOWS * window, _STEPS))


@part
def _rebuild(x: Float64Array, first: int, last: int, a: int, b: int, s: Float64Array) -> None:
    """Count, shift, sum and sum of squares about it of the rows first..last; if constant, sums of exactly nought."""
    for j in range(b):
        s[_N + j], s[_SHIFT + j], s[_S1 + j], s[_S2 + j] = 0.0, 0.0, 0.0, 0.0
    for i in range(first, last + 1):
        row = x[i, a:]
        for j in range(b):
            valid = abs(row[j]) < np.inf
            s[_SHIFT + j] = row[j] if valid and s[_N + j] == 0.0 else s[_SHIFT + j]
            s[_S1 + j] += row[j] - s[_SHIFT + j] if valid else 0.0
            s[_N + j] += 1.0 if valid else 0.0
    for j in range(b):
        s[_SHIFT + j] += s[_S1 + j] / max(s[_N + j], 1.0)
        s[_S1 + j] = 0.0
    for i in range(first, last + 1):
        row = x[i, a:]
        for j in range(b):
            d = row[j] - s[_SHIFT + j] if abs(row[j]) < np.inf else 0.0
            s[_S1 + j] += d
            s[_S2 + j] += d * d
    for j in range(b):
        s[_PEAK + j] = s[_S2 + j]


@part
def _sound(n: float, s1: float, s2: float, peak: float) -> bool:
    """Whether enough is left of what has gone through; a NaN, which an overflow leaves, is not sound.

    A peak of 0 is a constant window, and exact.
    """
    return (n * s2 - s1 * s1 > CANCELLED * (n * peak)) | (peak == 0.0) | (n == 0.0)


@part
def _roll(comes: Float64Array, goes: Float64Array, b: int, s: Float64Array) -> bool:
    """Let a row in and another out; whether a lane is to be rebuilt."""
    stale = 0
    for j in range(b):
        entered, left = abs(comes[j]) < np.inf, abs(goes[j]) < np.inf
        d = comes[j] - s[_SHIFT + j] if entered else 0.0
        e = goes[j] - s[_SHIFT + j] if left else 0.0
        n = s[_N + j] + (1.0 if entered else 0.0) - (1.0 if left else 0.0)
        s1 = s[_S1 + j] + (d - e)
        s2 = s[_S2 + j] + d * d
        peak = max(s[_PEAK + j], s2)
        s2 -= e * e
        stale += 0 if _sound(n, s1, s2, peak) else 1
        s[_N + j], s[_S1 + j], s[_S2 + j], s[_PEAK + j] = n, s1, s2, peak
    return stale > 0


@part
def _write(s: Float64Array, b: int, least: int, what: int, to: Float64Array) -> None:
    """One of the moments of the window."""
    if what == MEAN:
        for j in range(b):
            to[j] = s[_SHIFT + j] + s[_S1 + j] / s[_N + j] if s[_N + j] >= least else np.nan
    elif what == SUM:
        for j in range(b):
            to[j] = s[_SHIFT + j] * s[_N + j] + s[_S1 + j] if s[_N + j] >= least else np.nan
    else:
        for j in range(b):
            n = s[_N + j]
            # With one cell 0 / 0, and so NaN.
            to[j] = max(n * s[_S2 + j] - s[_S1 + j] * s[_S1 + j], 0.0) / (n * (n - 1.0)) if n >= least else np.nan
        if what == STD:
            for j in range(b):
                to[j] = np.sqrt(to[j])


@compiled
def moments(
    x: Float64Array,
    start: int,
    stop: int,
    window: int,
    least: int,
    what: int,
    more: Float64Array,
    out: Float64Array,
) -> None:
    """Mean, standard deviation or variance (ddof 1) or sum of the window; of ALL, deviation and sum go to `more`.

    more  (2, T, N) if all is asked for, else nothing need be in it
    """
    least = max(least, 1)
    s, nothing = np.zeros(5 * LANES), np.full(LANES, np.nan)
    done, every = start, period(window)
    while done < stop:
        a, b = tile_of(start, stop, done)
        for t in range(x.shape[0]):
            first = max(t - window + 1, 0)
            renew = t % every == 0
            if renew or _roll(x[t, a:], x[t - window, a:] if t >= window else nothing, b, s):
                for j in range(0, b, b if renew else 1):
                    if renew or not _sound(s[_N + j], s[_S1 + j], s[_S2 + j], s[_PEAK + j]):
                        _rebuild(x, first, t, a + j, b if renew else 1, s[j:])
            for kind in range(0 if what == ALL else what, 3 if what == ALL else what + 1):
                _write(s, b, least, kind, more[kind - 1, t, a:] if what == ALL and kind > 0 else out[t, a:])
        done = a + b
