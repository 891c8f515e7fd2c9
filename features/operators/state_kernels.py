"""Compiled kernels that carry a state from session to session: extremes, decayed means, runs, the newest value.

They are laid out as those of `sum_kernels`: whole panels, the columns start:stop, settings, the panel that is written.
"""

from __future__ import annotations

import numpy as np

from features.operators.compiled import compiled
from features.panel import Float64Array

SINCE, POSITION = 0, 1


@compiled
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


@compiled
def _oldest_extreme(x: Float64Array, j: int, begin: int, end: int, sign: float) -> float:
    """The session of the oldest missing cell of x[begin:end, j], else of its oldest largest."""
    at = begin
    for i in range(begin, end):
        if not abs(x[i, j]) < np.inf:
            return float(i)
        at = i if sign * x[i, j] > sign * x[at, j] else at
    return float(at)


@compiled
def extreme_at(
    x: Float64Array,
    age: Float64Array,
    start: int,
    stop: int,
    window: int,
    least: int,
    sign: float,
    how: int,
    out: Float64Array,
) -> None:
    """Where the largest valid cell of the window is (of sign * x: the smallest if sign is -1).

    SINCE     sessions since the newest of equals; age says nothing
    POSITION  position, from 1, of the oldest of equals in the window, which holds no more sessions than `age` says;
              a missing cell counts as the largest
    Walked in chunks as in `maximum`, with the session of each extreme beside it.
    """
    b, oldest, newest = stop - start, how == POSITION, how == SINCE
    n, so_far, so_at, begin = np.zeros(b), np.full(b, -np.inf), np.zeros(b), np.zeros(b)
    onwards = np.full((min(window, x.shape[0]) + 1, b), -np.inf)
    onwards_at = np.zeros(onwards.shape)
    nothing = np.full(b, np.nan)
    missing = np.inf if oldest else -np.inf
    for t in range(x.shape[0]):
        comes, to, ages, s = x[t, start:stop], out[t, start:stop], age[t, start:stop], float(t)
        goes = x[t - window, start:stop] if t >= window else nothing
        at = t % window
        if at == 0 and t > 0:
            so_far[:] = -np.inf
            for i in range(window - 1, -1, -1):
                then, cells, ages_then = float(t - window + i), x[t - window + i, start:stop], age[t - window + i]
                here, here_at, behind, behind_at = onwards[i], onwards_at[i], onwards[i + 1], onwards_at[i + 1]
                for j in range(b):
                    v = missing if ages_then[start + j] > 0.0 else -np.inf
                    v = sign * cells[j] if abs(cells[j]) < np.inf else v
                    wins = (v > behind[j]) | ((v == behind[j]) & oldest)
                    here[j] = v if wins else behind[j]
                    here_at[j] = then if wins else behind_at[j]
        for j in range(b):
            v = missing if ages[j] > 0.0 else -np.inf
            v = sign * comes[j] if abs(comes[j]) < np.inf else v
            wins = (v > so_far[j]) | ((v == so_far[j]) & newest)
            so_far[j] = v if wins else so_far[j]
            so_at[j] = s if wins else so_at[j]
            begin[j] = s + 1.0 - min(float(window), ages[j])
        older = min(at + 1, len(onwards) - 1)
        before, before_at = onwards[older], onwards_at[older]
        outside = False
        for j in range(b):
            n[j] += (1.0 if abs(comes[j]) < np.inf else 0.0) - (1.0 if abs(goes[j]) < np.inf else 0.0)
            earlier = (before[j] > so_far[j]) | ((before[j] == so_far[j]) & oldest)
            where = before_at[j] if earlier else so_at[j]
            enough = (n[j] >= least) & (n[j] > 0.0) & (newest | (ages[j] > 0.0))
            outside |= enough & oldest & (where < begin[j])
            value = where - begin[j] + 1.0 if oldest else s - where
            to[j] = value if enough else np.nan
        if outside:
            # The asset began anew within the window: what was missing before does not count.
            for j in range(b):
                if to[j] < 1.0:
                    to[j] = _oldest_extreme(x, start + j, int(begin[j]), t + 1, sign) - begin[j] + 1.0


@compiled
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


@compiled
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


@compiled
def run_length(condition: Float64Array, start: int, stop: int, span: int, needed: int, out: Float64Array) -> None:
    """Length of the run of true cells (above 0) that ends at t within the last span sessions; NaN cells are skipped.

    With `needed` above 0, whether it is as long as that.
    """
    b, span = stop - start, min(span, condition.shape[0])
    # Cells that held up to t, up to the newest that did not, and up to each of the last span sessions.
    held, broken, past = np.zeros(b), np.zeros(b), np.zeros((span, b))
    for t in range(condition.shape[0]):
        cells, to, before = condition[t, start:stop], out[t, start:stop], past[t % span]
        for j in range(b):
            valid = abs(cells[j]) < np.inf
            held[j] += 1.0 if valid and cells[j] > 0.0 else 0.0
            broken[j] = held[j] if valid and cells[j] <= 0.0 else broken[j]
            run = held[j] - max(broken[j], before[j])
            run = run if needed == 0 else (1.0 if run >= needed else 0.0)
            to[j] = run if valid else np.nan
            before[j] = held[j]


@compiled
def previous_valid(x: Float64Array, start: int, stop: int, out: Float64Array) -> None:
    """The newest valid cell before t."""
    last = np.full(stop - start, np.nan)
    for t in range(x.shape[0]):
        cells, to = x[t, start:stop], out[t, start:stop]
        for j in range(stop - start):
            to[j] = last[j]
            last[j] = cells[j] if abs(cells[j]) < np.inf else last[j]


@compiled
def adjusted(close: Float64Array, prev_close: Float64Array, start: int, stop: int, out: Float64Array) -> None:
    """Product of last close / prev_close up to t; a step that is no number moves nothing.

    Nor does a row without a close: the next close is compared with the last one, and would count its step again.
    """
    last, level = np.full(stop - start, np.nan), np.ones(stop - start)
    for t in range(close.shape[0]):
        cells, reference, to = close[t, start:stop], prev_close[t, start:stop], out[t, start:stop]
        for j in range(stop - start):
            valid = abs(cells[j]) < np.inf
            step = last[j] / reference[j]
            level[j] *= step if valid & (step > 0.0) & (step < np.inf) else 1.0
            last[j] = cells[j] if valid else last[j]
            to[j] = level[j]


@compiled
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
