"""How much each label counts: every session alike, overlapping labels for what they alone tell, old ones for less.

Source  09 §1; López de Prado 2018, ch. 4
"""

from __future__ import annotations

import numpy as np
from numba import njit

from features.panel import Float64Array, IntArray


def label_weights(exit: IntArray, half_life: float | None = None) -> Float64Array:
    """1/N_t times average uniqueness, times 1/2 for every `half_life` sessions before the newest label.

    Shape   exit (T, N) row of each label's realised exit, -1 where there is none -> (T, N), 0 where there is none
    """
    there = exit >= 0
    weight = average_uniqueness(exit) / np.maximum(there.sum(axis=1, keepdims=True), 1)
    if half_life is None or not there.any():
        return np.asarray(weight)
    age = int(np.flatnonzero(there.any(axis=1))[-1]) - np.arange(len(exit))
    # Sessions after the newest label have none to weigh; their age would be negative.
    return np.asarray(weight * 0.5 ** (np.maximum(age, 0) / half_life)[:, None])


@njit(cache=True, nogil=True)
def average_uniqueness(exit: IntArray) -> Float64Array:
    """Mean over a label's life of one over the number of labels of the same asset that are alive, (T, N)."""
    t_count, n_count = exit.shape
    out = np.zeros((t_count, n_count))
    alive = np.zeros(t_count + 1)
    shares = np.zeros(t_count + 1)
    for n in range(n_count):
        alive[:] = 0.0
        for t in range(t_count):
            if exit[t, n] >= 0:
                alive[t + 2] += 1
                alive[exit[t, n] + 1] -= 1
        running = 0.0
        for t in range(t_count):
            running += alive[t]
            shares[t + 1] = shares[t] + (1 / running if running > 0 else 0.0)
        for t in range(t_count):
            last = exit[t, n]
            if last >= 0:
                out[t, n] = (shares[last + 1] - shares[t + 2]) / (last - t - 1)
    return out
