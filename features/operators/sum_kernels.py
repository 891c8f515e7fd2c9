"""Compiled kernels of rolling sums: mean, standard deviation, regression.

A kernel takes panels (T, N), the columns start:stop that it is to do, its settings, and the panel that it writes.
Sessions are the outer loop and assets the inner one, so that the compiler does several assets in one instruction: inner
loops choose values rather than branch. A window at t holds the sessions t-n+1 .. t; cells that are not finite are
skipped; fewer than `least` valid ones give NaN.

Sums run with the window and are kept about a shift, a value of the window. They are rebuilt from the window every so
many steps, and at once when little is left of what has gone through (a spike has left, the window has become constant):
so the error stays that of the windowed definition, however long the series.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from features.panel import Float64Array

# Rebuild when the centred sum of squares falls below this share of the largest it has been: three digits of sixteen are
# gone then.
_CANCELLED = 1e-3
# Rebuild after so many steps, or the window if that is longer.
_STEPS = 64
# A residual variance below this share of the variance is summed from the residuals, not taken as a difference.
_EXPLAINED = 1e-4

MEAN, STD, SUM = 0, 1, 2
BETA, CORR, RESID = 0, 1, 2

_compiled = njit(nogil=True, cache=True, error_model="numpy")


@_compiled
def _centred(x: Float64Array, j: int, start: int, stop: int) -> tuple[float, float, float, float]:
    """Count, shift, sum and sum of squares about it of x[start:stop, j]; if constant, sums of exactly nought."""
    n, shift, s1, s2 = 0.0, 0.0, 0.0, 0.0
    for i in range(start, stop):
        if np.isfinite(x[i, j]):
            if n == 0.0:
                shift = x[i, j]
            n += 1.0
            s1 += x[i, j] - shift
    if n == 0.0:
        return 0.0, 0.0, 0.0, 0.0
    shift += s1 / n
    s1 = 0.0
    for i in range(start, stop):
        if np.isfinite(x[i, j]):
            d = x[i, j] - shift
            s1 += d
            s2 += d * d
    return n, shift, s1, s2


@_compiled
def _moment(n: float, shift: float, s1: float, s2: float, what: int) -> float:
    """Mean, standard deviation (ddof 1) or sum from sums about a shift."""
    if what == STD:
        return np.sqrt(max(s2 - s1 * s1 / n, 0.0) / (n - 1.0))
    return shift + s1 / n if what == MEAN else shift * n + s1


@_compiled
def moments(x: Float64Array, start: int, stop: int, window: int, least: int, what: int, out: Float64Array) -> None:
    """Mean, standard deviation (ddof 1) or sum of the window."""
    b = stop - start
    n, shift, s1, s2, peak = np.zeros(b), np.zeros(b), np.zeros(b), np.zeros(b), np.zeros(b)
    stale = np.empty(b, np.bool_)
    nothing = np.full(b, np.nan)
    for t in range(x.shape[0]):
        comes, to = x[t, start:stop], out[t, start:stop]
        goes = x[t - window, start:stop] if t >= window else nothing
        renew = t % max(window, _STEPS) == 0
        any_stale = False
        for j in range(b):
            d = comes[j] - shift[j] if abs(comes[j]) < np.inf else 0.0
            e = goes[j] - shift[j] if abs(goes[j]) < np.inf else 0.0
            n[j] += (1.0 if abs(comes[j]) < np.inf else 0.0) - (1.0 if abs(goes[j]) < np.inf else 0.0)
            s1[j] += d - e
            s2[j] += d * d
            peak[j] = max(peak[j], s2[j])
            s2[j] -= e * e
            left = s2[j] - s1[j] * s1[j] / n[j]
            # Written so that a NaN, which an overflow leaves, is stale; a peak of 0 is a constant window, and exact.
            stale[j] = renew or (n[j] > 0.0 and not (left > _CANCELLED * peak[j] or peak[j] == 0.0))
            any_stale |= stale[j]
            to[j] = _moment(n[j], shift[j], s1[j], s2[j], what) if n[j] >= least else np.nan
        if any_stale:
            for j in range(b):
                if stale[j]:
                    n[j], shift[j], s1[j], s2[j] = _centred(x, start + j, max(t - window + 1, 0), t + 1)
                    peak[j] = s2[j]
                    to[j] = _moment(n[j], shift[j], s1[j], s2[j], what) if n[j] >= least else np.nan


@_compiled
def _centred_pair(
    y: Float64Array, x: Float64Array, j: int, start: int, stop: int
) -> tuple[float, float, float, float, float, float, float, float]:
    """Count, shifts of x and y, sums, sums of squares and of products of the cells where both are valid."""
    n, cx, cy, sx, sy = 0.0, 0.0, 0.0, 0.0, 0.0
    for i in range(start, stop):
        if np.isfinite(x[i, j]) and np.isfinite(y[i, j]):
            if n == 0.0:
                cx, cy = x[i, j], y[i, j]
            n += 1.0
            sx += x[i, j] - cx
            sy += y[i, j] - cy
    sxx, syy, sxy = 0.0, 0.0, 0.0
    if n > 0.0:
        cx += sx / n
        cy += sy / n
        sx, sy = 0.0, 0.0
        for i in range(start, stop):
            if np.isfinite(x[i, j]) and np.isfinite(y[i, j]):
                dx, dy = x[i, j] - cx, y[i, j] - cy
                sx += dx
                sy += dy
                sxx += dx * dx
                syy += dy * dy
                sxy += dx * dy
    return n, cx, cy, sx, sy, sxx, syy, sxy


@_compiled
def _unexplained(
    y: Float64Array, x: Float64Array, j: int, start: int, stop: int, cy: float, cx: float, beta: float
) -> float:
    """Sum of squared residuals of y - cy on x - cx, about their mean."""
    n, s1, s2 = 0.0, 0.0, 0.0
    for i in range(start, stop):
        if np.isfinite(x[i, j]) and np.isfinite(y[i, j]):
            e = (y[i, j] - cy) - beta * (x[i, j] - cx)
            n += 1.0
            s1 += e
            s2 += e * e
    return s2 - s1 * s1 / n


@_compiled
def _fitted(vx: float, vy: float, cov: float, n: float, what: int) -> float:
    """Slope, correlation or residual standard deviation from centred sums; NaN where x (or y) is constant."""
    if what == BETA:
        return cov / vx if vx > 0.0 else np.nan
    if what == CORR:
        return min(max(cov / np.sqrt(vx * vy), -1.0), 1.0) if vx > 0.0 and vy > 0.0 else np.nan
    return np.sqrt(max(vy - cov * cov / vx, 0.0) / (n - 2.0)) if vx > 0.0 else np.nan


@_compiled
def regression(
    y: Float64Array, x: Float64Array, start: int, stop: int, window: int, least: int, what: int, out: Float64Array
) -> None:
    """OLS of y on x with a constant: slope, correlation, or standard deviation of the residuals (ddof 2)."""
    b = stop - start
    n, cx, cy, sx, sy = np.zeros(b), np.zeros(b), np.zeros(b), np.zeros(b), np.zeros(b)
    sxx, syy, sxy, px, py = np.zeros(b), np.zeros(b), np.zeros(b), np.zeros(b), np.zeros(b)
    stale = np.empty(b, np.bool_)
    nothing = np.full(b, np.nan)
    least = max(least, 3)
    for t in range(x.shape[0]):
        first = max(t - window + 1, 0)
        comes_x, comes_y, to = x[t, start:stop], y[t, start:stop], out[t, start:stop]
        goes_x = x[t - window, start:stop] if t >= window else nothing
        goes_y = y[t - window, start:stop] if t >= window else nothing
        renew = t % max(window, _STEPS) == 0
        any_stale = False
        for j in range(b):
            comes = abs(comes_x[j]) < np.inf and abs(comes_y[j]) < np.inf
            goes = abs(goes_x[j]) < np.inf and abs(goes_y[j]) < np.inf
            dx, dy = comes_x[j] - cx[j] if comes else 0.0, comes_y[j] - cy[j] if comes else 0.0
            ex, ey = goes_x[j] - cx[j] if goes else 0.0, goes_y[j] - cy[j] if goes else 0.0
            n[j] += (1.0 if comes else 0.0) - (1.0 if goes else 0.0)
            sx[j] += dx - ex
            sy[j] += dy - ey
            sxx[j] += dx * dx
            syy[j] += dy * dy
            px[j] = max(px[j], sxx[j])
            py[j] = max(py[j], syy[j])
            sxx[j] -= ex * ex
            syy[j] -= ey * ey
            sxy[j] += dx * dy - ex * ey
            vx = sxx[j] - sx[j] * sx[j] / n[j]
            vy = syy[j] - sy[j] * sy[j] / n[j]
            cov = sxy[j] - sx[j] * sy[j] / n[j]
            sound = (vx > _CANCELLED * px[j] or px[j] == 0.0) and (vy > _CANCELLED * py[j] or py[j] == 0.0)
            if what == RESID:
                sound = sound and vx * vy - cov * cov > _EXPLAINED * vx * vy
            stale[j] = renew or (n[j] > 0.0 and not sound)
            any_stale |= stale[j]
            to[j] = _fitted(vx, vy, cov, n[j], what) if n[j] >= least else np.nan
        if not any_stale:
            continue
        for j in range(b):
            if stale[j]:
                i = start + j
                n[j], cx[j], cy[j], sx[j], sy[j], sxx[j], syy[j], sxy[j] = _centred_pair(y, x, i, first, t + 1)
                px[j], py[j] = sxx[j], syy[j]
                vx = max(sxx[j] - sx[j] * sx[j] / n[j], 0.0)
                vy = max(syy[j] - sy[j] * sy[j] / n[j], 0.0)
                cov = sxy[j] - sx[j] * sy[j] / n[j]
                to[j] = _fitted(vx, vy, cov, n[j], what) if n[j] >= least else np.nan
                if what == RESID and n[j] >= least and vx > 0.0:
                    left = _unexplained(y, x, i, first, t + 1, cy[j], cx[j], cov / vx)
                    to[j] = np.sqrt(max(left, 0.0) / (n[j] - 2.0))
