"""Compiled kernels of the stock library: residuals on the market, means of the top sessions, slopes of running sums.

They are laid out as those of `sum_kernels`: whole panels, the columns start:stop, settings, the panel that is written.
"""

from __future__ import annotations

import numpy as np

from features.operators.compiled import compiled, part
from features.panel import Float64Array

# Rebuild when a centred sum of squares falls below this share of the largest it has been: cubes lose digits sooner.
_CANCELLED = 3e-2
# Rebuild after so many steps, or the window if that is longer.
_STEPS = 64
# Cubes of residuals whose variance is below this share of the variance are summed one by one.
_EXPLAINED = 1e-2
# A residual variance below this share of the variance is rounding.
_EXACT_FIT = 1e-24

SKEW, COSKEW = 0, 1


@part
def _shape(n: float, e2: float, third: float, vx: float, what: int) -> float:
    """Skewness (bias-corrected) or coskewness from the sums of e^2, of e^3 or e dx^2, and of dx^2."""
    if what == COSKEW:
        return third / n / (np.sqrt(e2 / n) * (vx / n))
    return np.sqrt(n * (n - 1.0)) / (n - 2.0) * (third / n) / (e2 / n * np.sqrt(e2 / n))


@part
def _summed(
    y: Float64Array, x: Float64Array, j: int, start: int, stop: int, held: Float64Array, least: int, what: int
) -> float:
    """The statistic of y[start:stop, j] on x, residual by residual; the sums about both means are left in held."""
    n, cx, cy = 0.0, 0.0, 0.0
    for i in range(start, stop):
        if np.isfinite(x[i, j]) and np.isfinite(y[i, j]):
            n += 1.0
            # A running mean: large levels cost no digits.
            cx += (x[i, j] - cx) / n
            cy += (y[i, j] - cy) / n
    held[:] = 0.0
    held[0], held[1], held[2] = n, cx, cy
    for i in range(start, stop):
        if np.isfinite(x[i, j]) and np.isfinite(y[i, j]):
            dx, dy = x[i, j] - cx, y[i, j] - cy
            held[3] += dx
            held[4] += dy
            held[5] += dx * dx
            held[6] += dx * dy
            held[7] += dy * dy
            held[8] += dx * dx * dx
            held[9] += dx * dx * dy
            held[10] += dx * dy * dy
            held[11] += dy * dy * dy
    vx = held[5] - held[3] * held[3] / n if n > 0.0 else 0.0
    if n < least or vx <= 0.0:
        return np.nan
    mx, my = held[3] / n, held[4] / n
    beta = (held[6] - n * mx * my) / vx
    e2, third = 0.0, 0.0
    for i in range(start, stop):
        if np.isfinite(x[i, j]) and np.isfinite(y[i, j]):
            dx = x[i, j] - cx - mx
            e = (y[i, j] - cy - my) - beta * dx
            e2 += e * e
            third += e * dx * dx if what == COSKEW else e * e * e
    return _shape(n, e2, third, vx, what) if e2 > _EXACT_FIT * held[7] else np.nan


@compiled
def residual_shape(
    y: Float64Array, x: Float64Array, start: int, stop: int, window: int, least: int, what: int, out: Float64Array
) -> None:
    """Skewness of the residuals of y on x with a constant, or their coskewness with x."""
    b = stop - start
    # A row each: count, shifts of x and y, sums of dx, dy, dx2, dxdy, dy2, dx3, dx2dy, dxdy2, dy3 about them.
    held, peak, one = np.zeros((12, b)), np.zeros((2, b)), np.zeros(12)
    n, cx, cy, sx, sy, sxx, sxy, syy = held[0], held[1], held[2], held[3], held[4], held[5], held[6], held[7]
    sxxx, sxxy, sxyy, syyy, px, py = held[8], held[9], held[10], held[11], peak[0], peak[1]
    stale = np.empty(b, np.bool_)
    nothing = np.full(b, np.nan)
    least = max(least, 3)
    for t in range(x.shape[0]):
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
            px[j] = max(px[j], sxx[j] + dx * dx)
            py[j] = max(py[j], syy[j] + dy * dy)
            sxx[j] += dx * dx - ex * ex
            sxy[j] += dx * dy - ex * ey
            syy[j] += dy * dy - ey * ey
            sxxx[j] += dx * dx * dx - ex * ex * ex
            sxxy[j] += dx * dx * dy - ex * ex * ey
            sxyy[j] += dx * dy * dy - ex * ey * ey
            syyy[j] += dy * dy * dy - ey * ey * ey
            mx, my = sx[j] / n[j], sy[j] / n[j]
            vx, cov, vy = sxx[j] - mx * sx[j], sxy[j] - mx * sy[j], syy[j] - my * sy[j]
            beta = cov / vx
            e2 = vy - beta * cov
            x3 = sxxx[j] - 3.0 * mx * sxx[j] + 2.0 * mx * mx * sx[j]
            x2y = sxxy[j] - my * sxx[j] - 2.0 * mx * sxy[j] + 2.0 * mx * mx * sy[j]
            xy2 = sxyy[j] - mx * syy[j] - 2.0 * my * sxy[j] + 2.0 * my * my * sx[j]
            y3 = syyy[j] - 3.0 * my * syy[j] + 2.0 * my * my * sy[j]
            third = x2y - beta * x3 if what == COSKEW else y3 - beta * (3.0 * xy2 - beta * (3.0 * x2y - beta * x3))
            sound = vx > _CANCELLED * px[j] and vy > _CANCELLED * py[j] and e2 > _EXPLAINED * vy
            stale[j] = renew or (n[j] > 0.0 and not sound)
            any_stale |= stale[j]
            to[j] = _shape(n[j], e2, third, vx, what) if n[j] >= least else np.nan
        if any_stale:
            first = max(t - window + 1, 0)
            for j in range(b):
                if stale[j]:
                    to[j] = _summed(y, x, start + j, first, t + 1, one, least, what)
                    held[:, j] = one
                    px[j], py[j] = one[5], one[7]


@compiled
def mean_of_top(
    x: Float64Array, by: Float64Array, start: int, stop: int, window: int, least: int, share: float, out: Float64Array
) -> None:
    """Mean of x over the share of the window's valid cells where `by` is largest; of equal ones the newest count first.

    Each slot of the window holds how many cells stand before its own: what comes and what goes changes it by one.
    """
    b = stop - start
    window = min(window, x.shape[0])
    value, key = np.zeros((window, b)), np.full((window, b), np.nan)
    before, n = np.zeros((window, b)), np.zeros(b)
    for t in range(x.shape[0]):
        cells, keys, to = x[t, start:stop], by[t, start:stop], out[t, start:stop]
        at = t % window
        own_value, own_key, own_before = value[at], key[at], before[at]
        for i in range(window):
            if i != at:
                there, behind = key[i], before[i]
                for j in range(b):
                    valid = abs(cells[j]) < np.inf and abs(keys[j]) < np.inf
                    behind[j] += 1.0 if valid and keys[j] >= there[j] else 0.0
                    behind[j] -= 1.0 if own_key[j] > there[j] else 0.0
        for j in range(b):
            valid = abs(cells[j]) < np.inf and abs(keys[j]) < np.inf
            n[j] += (1.0 if valid else 0.0) - (0.0 if np.isnan(own_key[j]) else 1.0)
            own_value[j] = cells[j] if valid else 0.0
            own_key[j] = keys[j] if valid else np.nan
            own_before[j] = 0.0 if valid else np.inf
            to[j] = 0.0
        for i in range(window):
            there = key[i]
            for j in range(b):
                own_before[j] += 1.0 if there[j] > own_key[j] else 0.0
        for i in range(window):
            cell, behind = value[i], before[i]
            for j in range(b):
                to[j] += cell[j] if behind[j] < max(np.floor(share * n[j] + 0.5), 1.0) else 0.0
        for j in range(b):
            enough = n[j] >= least and n[j] > 0.0
            to[j] = to[j] / max(np.floor(share * n[j] + 0.5), 1.0) if enough else np.nan


@compiled
def slope_of_sum(x: Float64Array, start: int, stop: int, window: int, least: int, out: Float64Array) -> None:
    """Slope on time, by least squares, of the running sum of x through the window; a missing cell adds nothing.

    The sum through session j of n stands for every session from there on: of the slope, x_j makes up
    (j - 1)(n + 1 - j) / 2 over n(n^2 - 1) / 12.
    """
    n = np.zeros(stop - start)
    nothing = np.full(stop - start, np.nan)
    scale = 6.0 / (float(window) * (float(window) * float(window) - 1.0))
    for t in range(x.shape[0]):
        comes, to = x[t, start:stop], out[t, start:stop]
        goes = x[t - window, start:stop] if t >= window else nothing
        for j in range(stop - start):
            n[j] += (1.0 if abs(comes[j]) < np.inf else 0.0) - (1.0 if abs(goes[j]) < np.inf else 0.0)
            to[j] = 0.0
        for back in range(min(window - 1, t + 1)):
            cells = x[t - back, start:stop]
            weight = scale * (window - 1.0 - back) * (back + 1.0)
            for j in range(stop - start):
                to[j] += weight * cells[j] if abs(cells[j]) < np.inf else 0.0
        for j in range(stop - start):
            to[j] = to[j] if n[j] >= least and n[j] > 0.0 and window > 1 else np.nan
