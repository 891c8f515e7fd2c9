"""Paths of residuals that a GARCH-type model draws from its own past, compiled."""

from __future__ import annotations

import numpy as np

from features.operators.compiled import compiled
from features.panel import Float64Array, IntArray
from models.volatility.recursions import (
    APARCH,
    EGARCH,
    FIGARCH,
    GARCH,
    GJR,
    MEAN_ABS_NORMAL,
    TRUNCATION,
    figarch_weights,
)


@compiled
def residual_paths(
    kind: int,
    v: Float64Array,
    push: float,
    e: Float64Array,
    after: float,
    presample: float,
    z: Float64Array,
    shocks: IntArray,
) -> Float64Array:
    """Residuals (P, H) after the last one, as shocks (P, H), positions in z, strike a variance that starts at `after`.

    v  parameters of the variance equation; push: what regressors add to it, held; e (T,): the past
    """
    paths, steps = shocks.shape
    out = np.empty((paths, steps))
    if kind == FIGARCH:
        weight = figarch_weights(v, TRUNCATION)
        known = _known_part(v, weight, push, e, after, presample, steps)
    gamma = v[2] if kind in (GJR, EGARCH, APARCH) else 0.0
    beta = v[2] if kind == GARCH else v[3]
    for i in range(paths):
        h = after
        state = np.log(h) if kind == EGARCH else h ** (0.5 * v[4]) if kind == APARCH else h
        for k in range(steps):
            shock = z[shocks[i, k]]
            out[i, k] = np.sqrt(h) * shock
            if k == steps - 1:
                break
            if kind == EGARCH:
                state = v[0] + push + v[1] * (abs(shock) - MEAN_ABS_NORMAL) + gamma * shock + beta * state
                h = np.exp(state)
            elif kind == APARCH:
                state = v[0] + push + state * (v[1] * (abs(shock) - gamma * shock) ** v[4] + beta)
                h = state ** (2 / v[4])
            elif kind == FIGARCH:
                h = known[k + 1]
                for j in range(min(k + 1, TRUNCATION)):
                    h += weight[j] * out[i, k - j] * out[i, k - j]
            else:
                square = out[i, k] * out[i, k]
                h = v[0] + push + (v[1] + gamma if shock < 0 else v[1]) * square + beta * h
    return out


@compiled
def _known_part(
    v: Float64Array, weight: Float64Array, push: float, e: Float64Array, after: float, presample: float, steps: int
) -> Float64Array:
    """What the past adds to the variance of each session ahead, (steps,), FIGARCH."""
    n = len(e)
    known = np.empty(steps)
    known[0] = after
    for k in range(1, steps):
        total = v[0] / (1 - v[3]) + push
        for j in range(k, TRUNCATION):
            t = n - 1 + k - j
            total += weight[j] * (e[t] * e[t] if t >= 0 else presample)
        known[k] = total
    return known
