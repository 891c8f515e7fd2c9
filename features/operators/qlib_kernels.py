"""Compiled kernels of what only qlib counts: rows of a series that begins with an asset's first one.

They are laid out as those of `sum_kernels`. `age` is the count of sessions since the series began, t included; a
window holds at most so many.
"""

from __future__ import annotations

import numpy as np

from features.operators.compiled import compiled
from features.panel import Float64Array


@compiled
def age(valid: Float64Array, start: int, stop: int, window: int, out: Float64Array) -> None:
    """Sessions since the oldest true cell of the window, t included; 0 where there is none."""
    oldest = np.full(stop - start, -1)
    for t in range(valid.shape[0]):
        for j in range(stop - start):
            if oldest[j] < 0:
                oldest[j] = t if valid[t, start + j] > 0.0 else -1
            elif oldest[j] <= t - window:
                i = oldest[j] + 1
                while i <= t and not valid[i, start + j] > 0.0:
                    i += 1
                oldest[j] = i if i <= t else -1
            out[t, start + j] = t - oldest[j] + 1 if oldest[j] >= 0 else 0.0


@compiled
def weighted(x: Float64Array, age: Float64Array, start: int, stop: int, window: int, out: Float64Array) -> None:
    """Mean over the valid cells of the window of weight times cell, weights 1, 2, ... over their sum."""
    b = stop - start
    length, total, n = np.empty(b), np.empty(b), np.empty(b)
    for t in range(x.shape[0]):
        ages, to = age[t, start:stop], out[t, start:stop]
        for j in range(b):
            length[j] = min(float(window), ages[j])
            total[j], n[j] = 0.0, 0.0
        for i in range(min(window, t + 1)):
            cells = x[t - i, start:stop]
            for j in range(b):
                weight = length[j] - i
                counts = (weight > 0.0) & (abs(cells[j]) < np.inf)
                total[j] += weight * cells[j] if counts else 0.0
                n[j] += 1.0 if counts else 0.0
        for j in range(b):
            to[j] = total[j] / (0.5 * length[j] * (length[j] + 1.0)) / n[j] if n[j] > 0.0 else np.nan


@compiled
def expanding_decay(x: Float64Array, age: Float64Array, start: int, stop: int, out: Float64Array) -> None:
    """Sum over all valid cells of weights 1, a, a^2, ... (newest first), a = 1 - 2 / (1 + length), over all weights."""
    for j in range(start, stop):
        for t in range(x.shape[0]):
            length = int(age[t, j])
            a, weight, weights, total, n = 1.0 - 2.0 / (1.0 + length), 1.0, 0.0, 0.0, 0
            for i in range(length):
                cell = x[t - i, j]
                if abs(cell) < np.inf:
                    total += weight * cell
                    n += 1
                weights += weight
                weight *= a
            out[t, j] = total / weights if n > 0 else np.nan


@compiled
def first_row(x: Float64Array, age: Float64Array, start: int, stop: int, out: Float64Array) -> None:
    """The cell of the series' first session."""
    for t in range(x.shape[0]):
        for j in range(start, stop):
            out[t, j] = x[t - int(age[t, j]) + 1, j] if age[t, j] > 0.0 else np.nan
