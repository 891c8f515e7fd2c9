"""Compiled recursions of EWMA and realised GARCH, and the paths that they and HAR draw.

A path starts where the filter ended; at each session the standardised residual at a drawn position strikes, with what
the range of that session said beside it. P paths, H sessions.
"""

from __future__ import annotations

import numpy as np

from features.operators.compiled import compiled
from features.panel import Float64Array, IntArray


@compiled
def decayed(e: Float64Array, decay: float, first: float) -> Float64Array:
    """h₀ = first, hₜ₊₁ = decay hₜ + (1 - decay) eₜ², (T,) -> (T + 1,)."""
    h = np.empty(len(e) + 1)
    h[0] = first
    for t in range(len(e)):
        h[t + 1] = decay * h[t] + (1.0 - decay) * e[t] * e[t]
    return h


@compiled
def decay_score(e: Float64Array, decay: float, first: float) -> float:
    """Slope of Σ (ln h + e²/h) in the decay, the first variance held."""
    h, slope, out = first, 0.0, 0.0
    for t in range(len(e)):
        square = e[t] * e[t]
        out += slope * (1.0 - square / h) / h
        slope = h - square + decay * slope
        h = decay * h + (1.0 - decay) * square
    return out


@compiled
def log_linear(log_x: Float64Array, omega: float, beta: float, gamma: float, first: float) -> Float64Array:
    """ln h₀ = first, ln hₜ₊₁ = ω + β ln hₜ + γ ln xₜ, (T,) -> (T + 1,)."""
    h = np.empty(len(log_x) + 1)
    h[0] = first
    for t in range(len(log_x)):
        h[t + 1] = omega + beta * h[t] + gamma * log_x[t]
    return h


@compiled
def ewma_paths(shocks: IntArray, z: Float64Array, mean: float, decay: float, h: float) -> Float64Array:
    """Returns (P, H) of an EWMA whose next variance is h."""
    out = np.empty(shocks.shape)
    for p in range(shocks.shape[0]):
        now = h
        for k in range(shocks.shape[1]):
            e = np.sqrt(now) * z[shocks[p, k]]
            out[p, k] = mean + e
            now = decay * now + (1.0 - decay) * e * e
    return out


@compiled
def realised_paths(
    shocks: IntArray,
    z: Float64Array,
    w: Float64Array,
    mean: float,
    step: tuple[float, float, float],
    log_h: float,
) -> Float64Array:
    """Returns (P, H) of a realised GARCH whose next log variance is log_h.

    step  c, π, γ of ln h₊ = c + π ln h + γ w, the measurement put into the variance equation
    """
    c, persistence, gamma = step
    out = np.empty(shocks.shape)
    for p in range(shocks.shape[0]):
        now = log_h
        for k in range(shocks.shape[1]):
            i = shocks[p, k]
            out[p, k] = mean + np.exp(0.5 * now) * z[i]
            now = c + persistence * now + gamma * w[i]
    return out


@compiled
def har_paths(
    shocks: IntArray,
    z: Float64Array,
    u: Float64Array,
    mean: float,
    beta: Float64Array,
    spread: float,
    past: Float64Array,
    last_fell: bool,
) -> Float64Array:
    """Returns (P, H) in units of their standard deviation of a HAR that is carried on session by session.

    beta    constant, day, week, month, day where the return fell
    spread  what is added to the forecast of the log for its mean, half the variance of the residuals
    past    (22,) range variances over their mean, the newest last
    mean    of the returns, in the same units
    """
    month, week = len(past), 5
    out = np.empty(shocks.shape)
    ring = np.empty(month)
    for p in range(shocks.shape[0]):
        ring[:] = past
        of_week, of_month, fell = past[month - week :].sum(), past.sum(), last_fell
        for k in range(shocks.shape[1]):
            at = k % month
            day = np.log(ring[(at - 1) % month])
            y = beta[0] + beta[1] * day + beta[2] * np.log(of_week / week) + beta[3] * np.log(of_month / month)
            if fell:
                y += beta[4] * day
            i = shocks[p, k]
            r = mean + np.exp(0.5 * (y + spread)) * z[i]
            x = np.exp(y + u[i])
            of_week += x - ring[(at - week) % month]
            of_month += x - ring[at]
            ring[at] = x
            fell = r < 0.0
            out[p, k] = r
    return out
