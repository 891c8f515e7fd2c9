"""The Kalman filter of a line whose constant and slope walk: the hot loop, alone."""

from __future__ import annotations

import numpy as np

from features.operators.compiled import compiled, inner
from features.panel import Float64Array

LOG_2_PI = float(np.log(2 * np.pi))


@inner
def step(
    y: float, x: float, state: Float64Array, q_alpha: float, q_beta: float, noise: float, huber: float
) -> tuple[float, float, float]:
    """One session, in place; gives the innovation, its expected variance, and the variance that it was taken with.

    state   constant, slope, and their covariance: (5,) a, b, p_aa, p_ab, p_bb
    huber   an innovation of more than so many standard deviations has its noise times (its size over that many)²
    NaN     a row without y or x moves the covariances only; the innovation is NaN
    """
    state[2] += q_alpha
    state[4] += q_beta
    if not (np.isfinite(y) and np.isfinite(x)):
        return np.nan, np.nan, np.nan
    with_a = state[2] + x * state[3]
    with_b = state[3] + x * state[4]
    signal = with_a + x * with_b
    expected = signal + noise
    v = y - state[0] - x * state[1]
    taken = expected
    far = huber * huber * expected
    if v * v > far:
        taken = signal + noise * (v * v / far)
    gain_a, gain_b = with_a / taken, with_b / taken
    state[0] += gain_a * v
    state[1] += gain_b * v
    # Joseph's form keeps the covariance positive where the noise is small.
    p_aa, p_ab, p_bb = state[2], state[3], state[4]
    r = taken - signal
    one_a, one_b = 1.0 - gain_a, 1.0 - gain_b * x
    across_a, across_b = -gain_a * x, -gain_b
    state[2] = one_a * one_a * p_aa + 2 * one_a * across_a * p_ab + across_a * across_a * p_bb + gain_a * gain_a * r
    state[3] = (
        one_a * across_b * p_aa
        + (one_a * one_b + across_a * across_b) * p_ab
        + across_a * one_b * p_bb
        + gain_a * gain_b * r
    )
    state[4] = across_b * across_b * p_aa + 2 * across_b * one_b * p_ab + one_b * one_b * p_bb + gain_b * gain_b * r
    return v, expected, taken


@compiled
def log_likelihood(
    y: Float64Array,
    x: Float64Array,
    start: Float64Array,
    q_alpha: float,
    q_beta: float,
    noise: float,
    huber: float,
    burn: int,
) -> float:
    """Sum of the log densities of the innovations after the first `burn` rows; start (5,) is the state before row 0."""
    state, total = start.copy(), 0.0
    for t in range(len(y)):
        v, _expected, taken = step(y[t], x[t], state, q_alpha, q_beta, noise, huber)
        if t >= burn and np.isfinite(v):
            total -= 0.5 * (LOG_2_PI + np.log(taken) + v * v / taken)
    return total


@compiled
def filtered(
    y: Float64Array, x: Float64Array, start: Float64Array, q_alpha: float, q_beta: float, noise: float, huber: float
) -> tuple[Float64Array, Float64Array, Float64Array, Float64Array]:
    """Innovations (T,), their variances (T,), states expected (T, 5) and states filtered (T, 5)."""
    n, state = len(y), start.copy()
    innovation, variance = np.empty(n), np.empty(n)
    before, after = np.empty((n, 5)), np.empty((n, 5))
    for t in range(n):
        before[t] = state
        before[t, 2] += q_alpha
        before[t, 4] += q_beta
        innovation[t], variance[t], _taken = step(y[t], x[t], state, q_alpha, q_beta, noise, huber)
        after[t] = state
    return innovation, variance, before, after
