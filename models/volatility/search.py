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
def into_bounds(x: Float64Array, low: Float64Array, high: Float64Array, out: Float64Array) -> None:
    """The nearest point within the bounds."""
    for j in range(len(x)):
        out[j] = min(max(x[j], low[j]), high[j])


@inner
def is_near(x: Float64Array, top: Float64Array) -> bool:
    """Whether no coordinate is far from that of a top."""
    far = 0.0
    for j in range(len(x)):
        far = max(far, abs(x[j] - top[j]))
    return far < _SAME_PLACE


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
    into_bounds(start, low, high, x)
    gradient, tried = np.empty(k), np.empty(k)
    value = loss(kind, law, x, y, design, lagged, presample, corner, gradient)
    calls = 1
    if not np.isfinite(value):
        return x, -np.inf, STUCK, False, calls
    second = curvature(kind, law, x, low, high, y, design, lagged, presample, corner, gradient)
    calls += k
    fresh = True
    for _ in range(steps):
        free = free_of_bounds(x, low, high, gradient)
        step, positive = free_step(second, gradient, free)
        promised = 0.0
        for j in range(k):
            promised -= gradient[j] * step[j]
        if n * promised < 2 * _GAIN:
            if fresh:
                return x, -n * value, FOUND, positive, calls
            second = curvature(kind, law, x, low, high, y, design, lagged, presample, corner, gradient)
            calls += k
            fresh = True
            continue
        longest = 0.0
        for j in range(k):
            longest = max(longest, abs(step[j]))
        share, taken, reach = min(1.0, _LONGEST / longest), False, 0.0
        while share > 1e-10 * min(1.0, _LONGEST / longest):
            for j in range(k):
                there[j] = x[j] + share * step[j]
            into_bounds(there, low, high, there)
            expected, reach = 0.0, 0.0
            for j in range(k):
                moved[j] = there[j] - x[j]
                expected += gradient[j] * moved[j]
                reach = max(reach, abs(moved[j]))
            found = loss(kind, law, there, y, design, lagged, presample, corner, tried)
            calls += 1
            # Near the top the value moves by less than its rounding.
            if found <= value + 1e-4 * expected + 1e-15 * abs(value):
                taken = True
                break
            share *= 0.5 if np.isfinite(found) and share > 0.1 else 0.1
        if not taken or reach == 0.0:
            if fresh:
                near = n * promised < 1e-6
                return x, -n * value, FOUND if near else STUCK, positive and near, calls
            second = curvature(kind, law, x, low, high, y, design, lagged, presample, corner, gradient)
            calls += k
            fresh = True
            continue
        for j in range(k):
            turned[j] = tried[j] - gradient[j]
            x[j], gradient[j] = there[j], tried[j]
        value = found
        for i in range(len(tops)):
            if is_near(x, tops[i]) and abs(-n * value - heights[i]) < _SAME_HEIGHT:
                return x, -n * value, KNOWN, False, calls
        fresh = False
        if not bend(second, moved, turned):
            second = curvature(kind, law, x, low, high, y, design, lagged, presample, corner, gradient)
            calls += k
            fresh = True
    return x, -n * value, LIMIT, False, calls
