"""Compiled kernel of rolling sums that know how old a cell is: regression on time, and the mean that decays in a line.

It is laid out as those of `sum_kernels`, with the same care for sums that cancel. A cell's age counts from the newest
session, which is 0, back to -(n-1); sums of ages are whole numbers, and exact.
"""

from __future__ import annotations

import numpy as np

from features.operators.compiled import compiled, part
from features.operators.pair_kernels import EXPLAINED
from features.operators.sum_kernels import CANCELLED, LANES, period, tile_of
from features.panel import Float64Array

REGRESSION, DECAY = 0, 1

# A residual variance below this share of the variance is rounding: the line is perfect.
_PERFECT = 1e-26

# Rows of the state: count, sum and sum of squares of the ages; shift, sum and sum of squares of x, sum of age times x;
# the largest that the squares have been; sum of squared residuals, if it has been summed from them (else below 0).
_N, _SP, _SPP, _C, _SX = 0, LANES, 2 * LANES, 3 * LANES, 4 * LANES
_SXX, _SPX, _PEAK, _SSR = 5 * LANES, 6 * LANES, 7 * LANES, 8 * LANES
_ROWS = 9


@part
def _rebuild(x: Float64Array, first: int, last: int, a: int, b: int, s: Float64Array) -> None:
    """All sums of the rows first..last."""
    for row in range(_ROWS):
        s[row * LANES : row * LANES + b] = 0.0
    for i in range(first, last + 1):
        row_i = x[i, a:]
        for j in range(b):
            v, n, c = row_i[j], s[_N + j], s[_C + j]
            valid = abs(v) < np.inf
            c = v if valid & (n == 0.0) else c
            s[_C + j] = c
            s[_SX + j] += v - c if valid else 0.0
            s[_N + j] = n + (1.0 if valid else 0.0)
    for j in range(b):
        s[_C + j] += s[_SX + j] / max(s[_N + j], 1.0)
        s[_SX + j] = 0.0
    for i in range(first, last + 1):
        row_i, age = x[i, a:], float(i - last)
        for j in range(b):
            v = row_i[j]
            valid = abs(v) < np.inf
            d, p = v - s[_C + j] if valid else 0.0, age if valid else 0.0
            s[_SP + j] += p
            s[_SPP + j] += p * p
            s[_SX + j] += d
            s[_SXX + j] += d * d
            s[_SPX + j] += p * d
    for j in range(b):
        s[_PEAK + j], s[_SSR + j] = s[_SXX + j], -1.0


@part
def _centred(j: int, s: Float64Array) -> tuple[float, float, float]:
    """Count times the centred sums of squares of age and of x, and of products."""
    n = s[_N + j]
    vp = n * s[_SPP + j] - s[_SP + j] * s[_SP + j]
    vx = n * s[_SXX + j] - s[_SX + j] * s[_SX + j]
    return vp, vx, n * s[_SPX + j] - s[_SP + j] * s[_SX + j]


@part
def _unexplained(x: Float64Array, first: int, last: int, a: int, b: int, s: Float64Array) -> None:
    """Sum of squared residuals of the line, from the residuals, where little is left beside it."""
    for j in range(b):
        if _explained(j, s):
            vp, _, cov = _centred(j, s)
            n, slope, s1, s2 = s[_N + j], cov / vp, 0.0, 0.0
            middle = s[_SP + j] / n
            for i in range(first, last + 1):
                if np.isfinite(x[i, a + j]):
                    e = (x[i, a + j] - s[_C + j]) - slope * (i - last - middle)
                    s1 += e
                    s2 += e * e
            s[_SSR + j] = max(s2 - s1 * s1 / n, 0.0)


@part
def _explained(j: int, s: Float64Array) -> bool:
    """Whether so little is left beside the line that it must be summed, not taken as a difference."""
    vp, vx, cov = _centred(j, s)
    return (s[_N + j] > 2.0) & (vx > 0.0) & (vp * vx - cov * cov <= EXPLAINED * (vp * vx))


@part
def _sound(j: int, what: int, s: Float64Array) -> bool:
    """Whether enough is left of what has gone through, as in `sum_kernels`."""
    n = s[_N + j]
    vx = n * s[_SXX + j] - s[_SX + j] * s[_SX + j]
    kept = (vx > CANCELLED * (n * s[_PEAK + j])) | (s[_PEAK + j] == 0.0)
    return (n == 0.0) | (kept & ((what != REGRESSION) | (not _explained(j, s))))


@part
def _roll(comes: Float64Array, goes: Float64Array, window: int, b: int, what: int, s: Float64Array) -> bool:
    """Let every cell grow older by a session, a row in and another out; whether a lane is to be rebuilt."""
    stale, age = 0, -float(window)
    for j in range(b):
        entered, left = abs(comes[j]) < np.inf, abs(goes[j]) < np.inf
        n, sp, spp, sx, spx = s[_N + j], s[_SP + j], s[_SPP + j], s[_SX + j], s[_SPX + j]
        d = comes[j] - s[_C + j] if entered else 0.0
        e = goes[j] - s[_C + j] if left else 0.0
        sxx = s[_SXX + j] + d * d
        s[_PEAK + j] = max(s[_PEAK + j], sxx)
        s[_SXX + j] = sxx - e * e
        s[_SPP + j] = spp - 2.0 * sp + n - (age * age if left else 0.0)
        s[_SPX + j] = spx - sx - age * e
        s[_SP + j] = sp - n - (age if left else 0.0)
        s[_SX + j] = sx + (d - e)
        s[_N + j] = n + (1.0 if entered else 0.0) - (1.0 if left else 0.0)
        s[_SSR + j] = -1.0
        stale += 0 if _sound(j, what, s) else 1
    return stale > 0


@part
def _write_decay(s: Float64Array, b: int, window: int, least: int, to: Float64Array) -> None:
    """Mean with the weights 1..n, those of missing cells left out."""
    for j in range(b):
        weighted, weights = s[_SPX + j] + window * s[_SX + j], s[_SP + j] + window * s[_N + j]
        to[j] = s[_C + j] + weighted / weights if s[_N + j] >= least else np.nan


@part
def _write(
    s: Float64Array, b: int, least: int, newest: Float64Array, to: tuple[Float64Array, Float64Array, Float64Array]
) -> None:
    """Slope, share explained, residual of the newest cell."""
    slopes, shares, residuals = to
    for j in range(b):
        vp, _, cov = _centred(j, s)
        slopes[j] = cov / vp if s[_N + j] >= least else np.nan
    for j in range(b):
        vp, vx, cov = _centred(j, s)
        known = (s[_N + j] >= least) & (vx > 0.0)
        shares[j] = min(cov * cov / (vp * vx), 1.0) if known else np.nan
    for j in range(b):
        # The line at age 0, about the shift.
        line = (s[_SX + j] - slopes[j] * s[_SP + j]) / s[_N + j]
        residuals[j] = (newest[j] - s[_C + j]) - line if abs(newest[j]) < np.inf else np.nan


@part
def _write_t(s: Float64Array, b: int, least: int, to: Float64Array) -> None:
    """Slope over its standard error; NaN where the line is perfect."""
    for j in range(b):
        n = s[_N + j]
        vp, vx, cov = _centred(j, s)
        left = n * vp * s[_SSR + j] if s[_SSR + j] >= 0.0 else vp * vx - cov * cov
        known = (n >= max(least, 3)) & (left > _PERFECT * (vp * vx))
        to[j] = cov * np.sqrt((n - 2.0) / left) if known else np.nan


@compiled
def trend(
    x: Float64Array,
    start: int,
    stop: int,
    window: int,
    least: int,
    what: int,
    more: Float64Array,
    out: Float64Array,
) -> None:
    """OLS on the session: slope, and in `more` the share explained, newest residual and t; or the DECAY mean.

    more  (3, T, N) for the regression, else nothing need be in it
    """
    least = max(least, 2 if what == REGRESSION else 1)
    s, nothing = np.zeros(_ROWS * LANES), np.full(LANES, np.nan)
    done, every = start, period(window)
    while done < stop:
        a, b = tile_of(start, stop, done)
        for t in range(x.shape[0]):
            first = max(t - window + 1, 0)
            renew = t % every == 0
            if renew or _roll(x[t, a:], x[t - window, a:] if t >= window else nothing, window, b, what, s):
                for j in range(0, b, b if renew else 1):
                    if renew or not _sound(j, what, s):
                        _rebuild(x, first, t, a + j, b if renew else 1, s[j:])
                        if what == REGRESSION:
                            _unexplained(x, first, t, a + j, b if renew else 1, s[j:])
            if what == DECAY:
                _write_decay(s, b, window, least, out[t, a:])
            else:
                _write(s, b, least, x[t, a:], (out[t, a:], more[0, t, a:], more[1, t, a:]))
                _write_t(s, b, least, more[2, t, a:])
        done = a + b
