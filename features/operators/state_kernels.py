"""Compiled kernels that carry a state from session to session: extremes, decayed means, runs, the newest value.

They are laid out as those of `sum_kernels`: whole panels, the columns start:stop, settings, the panel that is written.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from features.panel import Float64Array

_compiled = njit(nogil=True, cache=True, error_model="numpy")


@_compiled
def maximum(x: Float64Array, start: int, stop: int, window: int, least: int, sign: float, out: Float64Array) -> None:
    """Largest valid cell of the window (of sign * x, times sign: the smallest if sign is -1).

    A window is the end of one chunk of `window` sessions and the beginning of the next: the largest so far of this
    chunk, and the largest from there on of the chunk before (van Herk 1992).
    """
    b = stop - start
    n, so_far = np.zeros(b), np.full(b, -np.inf)
    onwards = np.full((min(window, x.shape[0]) + 1, b), -np.inf)
    nothing = np.full(b, np.nan)
    for t in range(x.shape[0]):
        comes, to = x[t, start:stop], out[t, start:stop]
        goes = x[t - window, start:stop] if t >= window else nothing
        at = t % window
        if at == 0 and t > 0:
            so_far[:] = -np.inf
            for i in range(window - 1, -1, -1):
                cells, here, behind = x[t - window + i, start:stop], onwards[i], onwards[i + 1]
                for j in range(b):
                    v = sign * cells[j] if abs(cells[j]) < np.inf else -np.inf
                    here[j] = max(v, behind[j])
        before = onwards[min(at + 1, len(onwards) - 1)]
        for j in range(b):
            v = sign * comes[j] if abs(comes[j]) < np.inf else -np.inf
            n[j] += (1.0 if abs(comes[j]) < np.inf else 0.0) - (1.0 if abs(goes[j]) < np.inf else 0.0)
            so_far[j] = max(so_far[j], v)
            value = max(so_far[j], before[j])
            to[j] = sign * value if n[j] >= least and n[j] > 0.0 else np.nan


@_compiled
def count(condition: Float64Array, start: int, stop: int, window: int, out: Float64Array) -> None:
    """Number of true cells (above 0) of the window."""
    n = np.zeros(stop - start)
    nothing = np.full(stop - start, np.nan)
    for t in range(condition.shape[0]):
        comes, to = condition[t, start:stop], out[t, start:stop]
        goes = condition[t - window, start:stop] if t >= window else nothing
        for j in range(stop - start):
            n[j] += (1.0 if 0.0 < comes[j] < np.inf else 0.0) - (1.0 if 0.0 < goes[j] < np.inf else 0.0)
            to[j] = n[j]


@_compiled
def decayed(
    x: Float64Array, start: int, stop: int, state: Float64Array, decay: float, warm: int, out: Float64Array
) -> None:
    """Exponentially weighted mean, begun at the mean of the first `warm` valid cells; state (2, N) is carried on.

    state[0] counts valid cells up to `warm`; state[1] is their sum until then, the weighted mean from then on.
    """
    n, level = state[0, start:stop], state[1, start:stop]
    for t in range(x.shape[0]):
        cells, to = x[t, start:stop], out[t, start:stop]
        for j in range(stop - start):
            valid = abs(cells[j]) < np.inf
            rolled = decay * level[j] + (1.0 - decay) * cells[j]
            summed = level[j] + cells[j]
            begun = summed / warm if n[j] + 1.0 == warm else summed
            level[j] = (rolled if n[j] >= warm else begun) if valid else level[j]
            n[j] = min(n[j] + 1.0, warm) if valid else n[j]
            to[j] = level[j] if valid and n[j] >= warm else np.nan


@_compiled
def run_length(condition: Float64Array, start: int, stop: int, span: int, out: Float64Array) -> None:
    """Length of the run of true cells (above 0) that ends at t within the last span sessions; NaN cells are skipped."""
    b = stop - start
    # Cells that held up to t, up to the newest that did not, and up to each of the last span sessions.
    held, broken, past = np.zeros(b), np.zeros(b), np.zeros((span, b))
    for t in range(condition.shape[0]):
        cells, to, before = condition[t, start:stop], out[t, start:stop], past[t % span]
        for j in range(b):
            valid = abs(cells[j]) < np.inf
            held[j] += 1.0 if valid and cells[j] > 0.0 else 0.0
            broken[j] = held[j] if valid and cells[j] <= 0.0 else broken[j]
            to[j] = held[j] - max(broken[j], before[j]) if valid else np.nan
            before[j] = held[j]


@_compiled
def previous_valid(x: Float64Array, start: int, stop: int, out: Float64Array) -> None:
    """The newest valid cell before t."""
    last = np.full(stop - start, np.nan)
    for t in range(x.shape[0]):
        cells, to = x[t, start:stop], out[t, start:stop]
        for j in range(stop - start):
            to[j] = last[j]
            last[j] = cells[j] if abs(cells[j]) < np.inf else last[j]


@_compiled
def since_gap(valid: Float64Array, start: int, stop: int, gap: int, out: Float64Array) -> None:
    """Sessions since the newest return from a gap of more than `gap` sessions without a valid cell, counting from 1.

    0 where no such return lies in the array; a gap that begins before the array counts from the array's first session.
    """
    missing, since = np.zeros(stop - start), np.zeros(stop - start)
    for t in range(valid.shape[0]):
        cells, to = valid[t, start:stop], out[t, start:stop]
        for j in range(stop - start):
            here = 0.0 < cells[j] < np.inf
            later = since[j] + 1.0 if since[j] > 0.0 else 0.0
            since[j] = 1.0 if here and missing[j] > gap else later
            missing[j] = 0.0 if here else missing[j] + 1.0
            to[j] = since[j]
