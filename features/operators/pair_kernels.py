"""Compiled kernel of rolling regressions of one panel on another: slope, correlation, covariance, residual scatter.

It is laid out as those of `sum_kernels`, with the same care for sums that cancel.
"""

from __future__ import annotations

import numpy as np

from features.operators.compiled import compiled, part
from features.operators.sum_kernels import CANCELLED, LANES, period, tile_of
from features.panel import Float64Array

# A residual variance below this share of the variance is summed from the residuals, not taken as a difference.
EXPLAINED = 1e-4

BETA, CORR, RESID, COV = 0, 1, 2, 3

# Rows of the state: count of pairs; shifts, sums and sums of squares of x and y, sum of products; the largest that the
# squares have been; sum of squared residuals, if it has been summed from them (else below 0).
_N, _CX, _CY, _SX, _SY = 0, LANES, 2 * LANES, 3 * LANES, 4 * LANES
_SXX, _SYY, _SXY, _PX, _PY, _SSR = 5 * LANES, 6 * LANES, 7 * LANES, 8 * LANES, 9 * LANES, 10 * LANES
_ROWS = 11


@part
def _rebuild(y: Float64Array, x: Float64Array, first: int, last: int, a: int, b: int, s: Float64Array) -> None:
    """Count, shifts, sums, sums of squares and of products of the rows first..last where both are valid."""
    for row in range(_SXY // LANES + 1):
        s[row * LANES : row * LANES + b] = 0.0
    for i in range(first, last + 1):
        xs, ys = x[i, a:], y[i, a:]
        for j in range(b):
            v, w, n = xs[j], ys[j], s[_N + j]
            cx, cy = s[_CX + j], s[_CY + j]
            valid = (abs(v) < np.inf) & (abs(w) < np.inf)
            cx, cy = v if valid & (n == 0.0) else cx, w if valid & (n == 0.0) else cy
            s[_CX + j], s[_CY + j] = cx, cy
            s[_SX + j] += v - cx if valid else 0.0
            s[_SY + j] += w - cy if valid else 0.0
            s[_N + j] = n + (1.0 if valid else 0.0)
    for j in range(b):
        s[_CX + j] += s[_SX + j] / max(s[_N + j], 1.0)
        s[_CY + j] += s[_SY + j] / max(s[_N + j], 1.0)
        s[_SX + j], s[_SY + j] = 0.0, 0.0
    for i in range(first, last + 1):
        xs, ys = x[i, a:], y[i, a:]
        for j in range(b):
            v, w = xs[j], ys[j]
            valid = (abs(v) < np.inf) & (abs(w) < np.inf)
            dx, dy = v - s[_CX + j] if valid else 0.0, w - s[_CY + j] if valid else 0.0
            s[_SX + j] += dx
            s[_SY + j] += dy
            s[_SXX + j] += dx * dx
            s[_SYY + j] += dy * dy
            s[_SXY + j] += dx * dy
    for j in range(b):
        s[_PX + j], s[_PY + j] = s[_SXX + j], s[_SYY + j]


@part
def _unexplained(y: Float64Array, x: Float64Array, first: int, last: int, a: int, b: int, s: Float64Array) -> None:
    """Sum of squared residuals of y on x, from the residuals."""
    for j in range(b):
        n, s1, s2 = s[_N + j], 0.0, 0.0
        vx = n * s[_SXX + j] - s[_SX + j] * s[_SX + j]
        beta = (n * s[_SXY + j] - s[_SX + j] * s[_SY + j]) / vx
        for i in range(first, last + 1):
            if np.isfinite(x[i, a + j]) and np.isfinite(y[i, a + j]):
                e = (y[i, a + j] - s[_CY + j]) - beta * (x[i, a + j] - s[_CX + j])
                s1 += e
                s2 += e * e
        s[_SSR + j] = max(s2 - s1 * s1 / n, 0.0)


@part
def _sound(j: int, all_kept: bool, s: Float64Array) -> bool:
    """Whether enough is left of what has gone through, as in `sum_kernels`, and of the residuals if need be."""
    n = s[_N + j]
    vx = n * s[_SXX + j] - s[_SX + j] * s[_SX + j]
    vy = n * s[_SYY + j] - s[_SY + j] * s[_SY + j]
    cov = n * s[_SXY + j] - s[_SX + j] * s[_SY + j]
    kept_x = (vx > CANCELLED * (n * s[_PX + j])) | (s[_PX + j] == 0.0)
    kept_y = (vy > CANCELLED * (n * s[_PY + j])) | (s[_PY + j] == 0.0)
    return (n == 0.0) | (kept_x & kept_y & (all_kept | (vx * vy - cov * cov > EXPLAINED * (vx * vy))))


@part
def _roll(
    comes: tuple[Float64Array, Float64Array],
    goes: tuple[Float64Array, Float64Array],
    b: int,
    all_kept: bool,
    s: Float64Array,
) -> bool:
    """Let a row of pairs in and another out; whether a lane is to be rebuilt."""
    stale = 0
    if not all_kept:
        s[_SSR : _SSR + b] = -1.0
    (y_in, x_in), (y_out, x_out) = comes, goes
    for j in range(b):
        v, w, cx, cy = x_in[j], y_in[j], s[_CX + j], s[_CY + j]
        entered = (abs(v) < np.inf) & (abs(w) < np.inf)
        dx, dy = v - cx if entered else 0.0, w - cy if entered else 0.0
        v, w = x_out[j], y_out[j]
        left = (abs(v) < np.inf) & (abs(w) < np.inf)
        ex, ey = v - cx if left else 0.0, w - cy if left else 0.0
        n = s[_N + j] + (1.0 if entered else 0.0) - (1.0 if left else 0.0)
        sx, sy = s[_SX + j] + (dx - ex), s[_SY + j] + (dy - ey)
        sxx, syy = s[_SXX + j] + dx * dx, s[_SYY + j] + dy * dy
        px, py = max(s[_PX + j], sxx), max(s[_PY + j], syy)
        s[_N + j], s[_SX + j], s[_SY + j], s[_PX + j], s[_PY + j] = n, sx, sy, px, py
        s[_SXX + j], s[_SYY + j] = sxx - ex * ex, syy - ey * ey
        s[_SXY + j] += dx * dy - ex * ey
        stale += 0 if _sound(j, all_kept, s) else 1
    return stale > 0


@part
def _centred(j: int, s: Float64Array) -> tuple[float, float, float]:
    """Count times the centred sums of squares of x and y, not below 0, and of products."""
    n = s[_N + j]
    vx = n * s[_SXX + j] - s[_SX + j] * s[_SX + j]
    vy = n * s[_SYY + j] - s[_SY + j] * s[_SY + j]
    return max(vx, 0.0), max(vy, 0.0), n * s[_SXY + j] - s[_SX + j] * s[_SY + j]


@part
def _write(s: Float64Array, b: int, least: int, what: int, to: Float64Array) -> None:
    """Slope, correlation, covariance or residual scatter, NaN where x (or y) is constant; each has its own loop."""
    if what == BETA:
        for j in range(b):
            vx, _, cov = _centred(j, s)
            to[j] = cov / vx if (s[_N + j] >= least) & (vx > 0.0) else np.nan
    elif what == CORR:
        for j in range(b):
            vx, vy, cov = _centred(j, s)
            known = (s[_N + j] >= least) & (vx > 0.0) & (vy > 0.0)
            to[j] = min(max(cov / np.sqrt(vx * vy), -1.0), 1.0) if known else np.nan
    elif what == COV:
        for j in range(b):
            n, (_, _, cov) = s[_N + j], _centred(j, s)
            to[j] = cov / (n * (n - 1.0)) if n >= least else np.nan
    else:
        for j in range(b):
            n, (vx, vy, cov) = s[_N + j], _centred(j, s)
            left = s[_SSR + j] if s[_SSR + j] >= 0.0 else max(vy - cov * cov / vx, 0.0) / n
            to[j] = np.sqrt(left / (n - 2.0)) if (n >= least) & (vx > 0.0) else np.nan


@compiled
def regression(
    y: Float64Array, x: Float64Array, start: int, stop: int, window: int, least: int, what: int, out: Float64Array
) -> None:
    """OLS of y on x with a constant: slope, correlation, scatter of the residuals (ddof 2), or covariance."""
    least = max(least, 2 if what in (COV, CORR) else 3)
    s, nothing = np.zeros(_ROWS * LANES), np.full(LANES, np.nan)
    done, every = start, period(window)
    while done < stop:
        a, b = tile_of(start, stop, done)
        for t in range(x.shape[0]):
            first = max(t - window + 1, 0)
            gone = (y[t - window, a:], x[t - window, a:]) if t >= window else (nothing, nothing)
            renew = t % every == 0
            if renew or _roll((y[t, a:], x[t, a:]), gone, b, what != RESID, s):
                for j in range(0, b, b if renew else 1):
                    if renew or not _sound(j, what != RESID, s):
                        _rebuild(y, x, first, t, a + j, b if renew else 1, s[j:])
                        if what == RESID:
                            _unexplained(y, x, first, t, a + j, b if renew else 1, s[j:])
            _write(s, b, least, what, out[t, a:])
        done = a + b
