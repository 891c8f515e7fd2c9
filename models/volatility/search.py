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

FOUND, STUCK, LIMIT, KNOWN = range(4)
_GAIN: Final = 1e-10  # of the log-likelihood, that a last step may still promise
_NEARLY_NOTHING: Final = 1e-6  # what a step may promise that rounding keeps from being taken
_LONGEST: Final = 1.0  # of a step, in any coordinate of the search
_DIFFERENCE: Final = 1e-5
_SAME_PLACE: Final = 0.1  # from a known top in any coordinate, and in the log-likelihood: the same slope
_SAME_HEIGHT: Final = 0.05


@inner
def loss(
    kind: int,
    law: int,
    x: Float64Array,
    y: Float64Array,
    design: Float64Array,
    lagged: Float64Array,
    presample: float,
    corner: float,
    gradient: Float64Array,
) -> float:
    """Mean negative log-likelihood at a point of the search, and its gradient there; inf where it has no value."""
    means, regressors = design.shape[1], lagged.shape[1]
    theta = to_natural(kind, law, means, regressors, x)
    value = value_and_gradient(kind, law, theta, y, design, lagged, presample, gradient, corner)
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
    corner: float,
    gradient: Float64Array,
) -> Float64Array:
    """Second derivatives (k, k) at a point whose gradient is known, by steps into the bounds."""
    k = len(x)
    second, there, shifted = np.empty((k, k)), np.empty(k), x.copy()
    for j in range(k):
        step = _DIFFERENCE if x[j] + _DIFFERENCE <= high[j] else -_DIFFERENCE
        shifted[j] = x[j] + step
        step = shifted[j] - x[j]
        loss(kind, law, shifted, y, design, lagged, presample, corner, there)
        for i in range(k):
            second[i, j] = (there[i] - gradient[i]) / step
        shifted[j] = x[j]
    for i in range(k):
        for j in range(i):
            second[i, j] = second[j, i] = 0.5 * (second[i, j] + second[j, i])
    return second


@inner
def free_step(second: Float64Array, gradient: Float64Array, free: BoolArray) -> tuple[Float64Array, bool]:
    """Newton step in the free coordinates, and whether the curvature there is positive; negative ones are turned."""
    k = len(gradient)
    step, index, count = np.zeros(k), np.empty(k, dtype=np.int64), 0
    for i in range(k):
        if free[i]:
            index[count] = i
            count += 1
    if count == 0:
        return step, True
    part, g, scale, finite = np.empty((count, count)), np.empty(count), np.empty(count), True
    for i in range(count):
        scale[i] = np.sqrt(max(abs(second[index[i], index[i]]), 1e-12))
        g[i] = gradient[index[i]] / scale[i]
        for j in range(i + 1):
            part[i, j] = part[j, i] = second[index[i], index[j]] / (scale[i] * scale[j])
            finite = finite and np.isfinite(part[i, j])
    if not finite:
        for i in range(count):
            step[index[i]] = -gradient[index[i]]
        return step, False
    value, vector = np.linalg.eigh(part)
    positive = value[0] > 1e-10
    for q in range(count):
        along = 0.0
        for i in range(count):
            along += vector[i, q] * g[i]
        along /= max(abs(value[q]), 1e-8)
        for i in range(count):
            step[index[i]] -= vector[i, q] * along / scale[i]
    return step, positive


@inner
def free_of_bounds(x: Float64Array, low: Float64Array, high: Float64Array, gradient: Float64Array) -> BoolArray:
    """Coordinates that no bound holds; one whose bounds meet is always held."""
    free = np.ones(len(x), dtype=np.bool_)
    for j in range(len(x)):
        held = (x[j] <= low[j] and gradient[j] > 0) or (x[j] >= high[j] and gradient[j] < 0)
        if held or low[j] == high[j]:
            free[j] = False
    return free


@inner
def bend(second: Float64Array, moved: Float64Array, turned: Float64Array) -> bool:
    """BFGS in place, damped where the gradient turned too little; False where the curvature is not positive."""
    k = len(moved)
    image, to = np.zeros(k), turned.copy()
    before, now = 0.0, 0.0
    for i in range(k):
        for j in range(k):
            image[i] += second[i, j] * moved[j]
        before += moved[i] * image[i]
        now += moved[i] * turned[i]
    if before <= 0:
        return False
    if now < 0.2 * before:
        share = 0.8 * before / (before - now)
        now = 0.2 * before
        for i in range(k):
            to[i] = share * turned[i] + (1 - share) * image[i]
    for i in range(k):
        for j in range(k):
            second[i, j] += to[i] * to[j] / now - image[i] * image[j] / before
    return True


@inner
def advance(
    kind: int,
    law: int,
    x: Float64Array,
    step: Float64Array,
    low: Float64Array,
    high: Float64Array,
    y: Float64Array,
    design: Float64Array,
    lagged: Float64Array,
    presample: float,
    corner: float,
    value: float,
    gradient: Float64Array,
    there: Float64Array,
    moved: Float64Array,
    tried: Float64Array,
) -> tuple[float, bool, int]:
    """Go along a step, bent into the bounds, as far as the loss falls enough (Armijo).

    Fills the point there, the way to it and the gradient at it.
    Gives the loss there, whether it is another point, and how often the likelihood was asked.
    """
    longest = 0.0
    for j in range(len(x)):
        longest = max(longest, abs(step[j]))
    whole = min(1.0, _LONGEST / longest)
    share, calls = whole, 0
    while share > 1e-10 * whole:
        expected, reach = 0.0, 0.0
        for j in range(len(x)):
            there[j] = min(max(x[j] + share * step[j], low[j]), high[j])
            moved[j] = there[j] - x[j]
            expected += gradient[j] * moved[j]
            reach = max(reach, abs(moved[j]))
        found = loss(kind, law, there, y, design, lagged, presample, corner, tried)
        calls += 1
        # Near the top the value moves by less than its rounding.
        if found <= value + 1e-4 * expected + 1e-15 * abs(value):
            return found, reach > 0.0, calls
        share *= 0.5 if np.isfinite(found) and share > 0.1 else 0.1
    return value, False, calls


@inner
def on_known_slope(x: Float64Array, loglik: float, tops: Float64Array, heights: Float64Array) -> bool:
    """Whether a point lies next to a known top, and next to as high."""
    for i in range(len(tops)):
        far = 0.0
        for j in range(len(x)):
            far = max(far, abs(x[j] - tops[i, j]))
        if far < _SAME_PLACE and abs(loglik - heights[i]) < _SAME_HEIGHT:
            return True
    return False


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
    corner: float,
    steps: int,
    tops: Float64Array,
    heights: Float64Array,
) -> tuple[Float64Array, float, int, bool, int]:
    """Where the log-likelihood is largest within bounds, from a start; all in the coordinates of the search.

    tops, heights  points (m, k) that are known to be tops, and their log-likelihoods (m,): the search ends on their
                   slopes
    Gives the point, the log-likelihood, FOUND, STUCK (no step gains), LIMIT or KNOWN (a known top's slope), whether the
    curvature in the coordinates that no bound holds is positive, and how often the likelihood was asked.
    """
    k, n = len(start), len(y)
    x, there, moved, turned = start.copy(), start.copy(), start.copy(), start.copy()
    for j in range(k):
        x[j] = min(max(start[j], low[j]), high[j])
    gradient, tried, second = np.empty(k), np.empty(k), np.empty((k, k))
    value = loss(kind, law, x, y, design, lagged, presample, corner, gradient)
    if not np.isfinite(value):
        return x, -np.inf, STUCK, False, 1
    calls, fresh = 1, True
    for _ in range(steps):
        if fresh:
            second = curvature(kind, law, x, low, high, y, design, lagged, presample, corner, gradient)
            calls += k
        step, positive = free_step(second, gradient, free_of_bounds(x, low, high, gradient))
        promised = 0.0
        for j in range(k):
            promised -= n * gradient[j] * step[j]
        found, goes, asked = value, False, 0
        if promised >= 2 * _GAIN:
            found, goes, asked = advance(
                kind,
                law,
                x,
                step,
                low,
                high,
                y,
                design,
                lagged,
                presample,
                corner,
                value,
                gradient,
                there,
                moved,
                tried,
            )
            calls += asked
        if not goes:
            # By a curvature that has grown old it says little that nothing is gained.
            if fresh:
                ends = promised < _NEARLY_NOTHING
                return x, -n * value, FOUND if ends else STUCK, positive and ends, calls
            fresh = True
            continue
        value = found
        for j in range(k):
            turned[j] = tried[j] - gradient[j]
            x[j], gradient[j] = there[j], tried[j]
        if on_known_slope(x, -n * value, tops, heights):
            return x, -n * value, KNOWN, False, calls
        fresh = not bend(second, moved, turned)
    return x, -n * value, LIMIT, False, calls
