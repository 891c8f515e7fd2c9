"""The search for the maximum of a likelihood under bounds: projected quasi-Newton, compiled.

scipy's optimisers spend more on a step than a likelihood costs here, tens of times over; so the search is compiled with
it. The curvature is that of differenced gradients at the start, made positive, then BFGS with Powell's damping. A point
counts as the maximum only when a Newton step by its own differenced curvature would gain next to nothing.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from features.operators.compiled import compiled, inner
from features.panel import BoolArray, Float64Array
from models.volatility.likelihood import pull_back, to_natural, value_and_gradient

FOUND, STUCK, LIMIT = range(3)
_GAIN: Final = 1e-10  # of the log-likelihood, that a last step may still promise
_STEPS: Final = 200
_LONGEST: Final = 1.0  # of a step, in any coordinate of the search
_DIFFERENCE: Final = 1e-5


@inner
def loss(
    kind: int,
    law: int,
    x: Float64Array,
    y: Float64Array,
    design: Float64Array,
    lagged: Float64Array,
    presample: float,
    gradient: Float64Array,
) -> float:  # pragma: no cover - compiled
    """Mean negative log-likelihood at a point of the search, and its gradient there; inf where it has no value."""
    means, regressors = design.shape[1], lagged.shape[1]
    theta = to_natural(kind, law, means, regressors, x)
    value = value_and_gradient(kind, law, theta, y, design, lagged, presample, gradient)
    if len(gradient):
        pull_back(kind, law, means, regressors, x, gradient)
        for j in range(len(gradient)):
            gradient[j] /= -len(y)
            if not np.isfinite(gradient[j]):
                return np.inf
    return -value / len(y) if np.isfinite(value) else np.inf


@inner
def curvature(
    kind: int,
    law: int,
    x: Float64Array,
    low: Float64Array,
    high: Float64Array,
    y: Float64Array,
    design: Float64Array,
    lagged: Float64Array,
    presample: float,
    gradient: Float64Array,
) -> Float64Array:  # pragma: no cover - compiled
    """Second derivatives (k, k) at a point whose gradient is known, by steps into the bounds."""
    k = len(x)
    second, there, shifted = np.empty((k, k)), np.empty(k), x.copy()
    for j in range(k):
        step = _DIFFERENCE if x[j] + _DIFFERENCE <= high[j] else -_DIFFERENCE
        shifted[j] = x[j] + step
        step = shifted[j] - x[j]
        loss(kind, law, shifted, y, design, lagged, presample, there)
        second[:, j] = (there - gradient) / step
        shifted[j] = x[j]
    return 0.5 * (second + second.T)


@inner
def free_step(
    second: Float64Array, gradient: Float64Array, free: BoolArray
) -> tuple[Float64Array, bool]:  # pragma: no cover - compiled
    """Newton step in the free coordinates, and whether the curvature there is positive; negative ones are turned."""
    k = len(gradient)
    step = np.zeros(k)
    index = np.nonzero(free)[0]
    if len(index) == 0:
        return step, True
    part, g = np.empty((len(index), len(index))), np.empty(len(index))
    scale = np.empty(len(index))
    for i in range(len(index)):
        scale[i] = np.sqrt(max(abs(second[index[i], index[i]]), 1e-12))
    for i in range(len(index)):
        g[i] = gradient[index[i]] / scale[i]
        for j in range(len(index)):
            part[i, j] = second[index[i], index[j]] / (scale[i] * scale[j])
    if not np.isfinite(part).all():
        for i in range(len(index)):
            step[index[i]] = -gradient[index[i]]
        return step, False
    value, vector = np.linalg.eigh(part)
    positive = value[0] > 1e-10
    for q in range(len(index)):
        along = 0.0
        for i in range(len(index)):
            along += vector[i, q] * g[i]
        along /= max(abs(value[q]), 1e-8)
        for i in range(len(index)):
            step[index[i]] -= vector[i, q] * along / scale[i]
    return step, positive


@inner
def free_of_bounds(
    x: Float64Array, low: Float64Array, high: Float64Array, gradient: Float64Array
) -> BoolArray:  # pragma: no cover - compiled
    """Coordinates that no bound holds; one whose bounds meet is always held."""
    free = np.ones(len(x), dtype=np.bool_)
    for j in range(len(x)):
        held = (x[j] <= low[j] and gradient[j] > 0) or (x[j] >= high[j] and gradient[j] < 0)
        if held or low[j] == high[j]:
            free[j] = False
    return free


@inner
def bend(second: Float64Array, moved: Float64Array, turned: Float64Array) -> bool:  # pragma: no cover - compiled
    """BFGS in place, damped where the gradient turned too little; False where the curvature is not positive."""
    image = second @ moved
    before = np.dot(moved, image)
    now = np.dot(moved, turned)
    if before <= 0:
        return False
    if now < 0.2 * before:
        share = 0.8 * before / (before - now)
        turned = share * turned + (1 - share) * image
        now = np.dot(moved, turned)
    second += np.outer(turned, turned) / now - np.outer(image, image) / before
    return True


@compiled
def search(
    kind: int,
    law: int,
    start: Float64Array,
    low: Float64Array,
    high: Float64Array,
    y: Float64Array,
    design: Float64Array,
    lagged: Float64Array,
    presample: float,
) -> tuple[Float64Array, float, int, bool, int]:
    """Where the log-likelihood is largest within bounds, from a start; all in the coordinates of the search.

    Gives the point, the log-likelihood, FOUND, STUCK (no step gains) or LIMIT, whether the curvature in the coordinates
    that no bound holds is positive, and how often the likelihood was asked.
    """
    k, n = len(start), len(y)
    x = np.minimum(np.maximum(start, low), high)
    gradient, tried = np.empty(k), np.empty(k)
    value = loss(kind, law, x, y, design, lagged, presample, gradient)
    calls = 1
    if not np.isfinite(value):
        return x, -np.inf, STUCK, False, calls
    second = curvature(kind, law, x, low, high, y, design, lagged, presample, gradient)
    calls += k
    fresh = True
    for _ in range(_STEPS):
        free = free_of_bounds(x, low, high, gradient)
        step, positive = free_step(second, gradient, free)
        promised = -np.dot(gradient, step)
        if n * promised < 2 * _GAIN:
            if fresh:
                return x, -n * value, FOUND, positive, calls
            second = curvature(kind, law, x, low, high, y, design, lagged, presample, gradient)
            calls += k
            fresh = True
            continue
        step *= min(1.0, _LONGEST / np.max(np.abs(step)))
        share, taken = 1.0, False
        while share > 1e-10:
            there = np.minimum(np.maximum(x + share * step, low), high)
            moved = there - x
            expected = np.dot(gradient, moved)
            found = loss(kind, law, there, y, design, lagged, presample, tried)
            calls += 1
            # Near the top the value moves by less than its rounding.
            if found <= value + 1e-4 * expected + 1e-15 * abs(value):
                taken = True
                break
            share *= 0.5 if np.isfinite(found) and share > 0.1 else 0.1
        if not taken or np.max(np.abs(moved)) == 0.0:
            if fresh:
                near = n * promised < 1e-6
                return x, -n * value, FOUND if near else STUCK, positive and near, calls
            second = curvature(kind, law, x, low, high, y, design, lagged, presample, gradient)
            calls += k
            fresh = True
            continue
        turned = tried - gradient
        x, value = there, found
        gradient[:] = tried
        fresh = False
        if not bend(second, moved, turned):
            second = curvature(kind, law, x, low, high, y, design, lagged, presample, gradient)
            calls += k
            fresh = True
    return x, -n * value, LIMIT, False, calls


@compiled
def best_start(
    kind: int,
    law: int,
    starts: Float64Array,
    y: Float64Array,
    design: Float64Array,
    lagged: Float64Array,
    presample: float,
) -> Float64Array:
    """Mean log-likelihood at each of the starts (G, k)."""
    found = np.empty(len(starts))
    for i in range(len(starts)):
        found[i] = -loss(kind, law, starts[i], y, design, lagged, presample, np.empty(0))
    return found
