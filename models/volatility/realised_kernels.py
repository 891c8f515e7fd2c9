"""Compiled likelihood of the log-linear realised GARCH, with its gradient.

Given mean and variance equation, the variances are known, and what is left is a regression of ln x on 1, ln h, z and
z² - 1: its coefficients are least squares, whatever σ_u is. So four parameters are searched: μ, the level that ln h
returns to where ln x is at its mean, β and γ. By the envelope theorem the gradient is that with the others held.
"""

from __future__ import annotations

import numpy as np

from features.operators.compiled import compiled
from features.panel import Float64Array


@compiled
def measured(r: Float64Array, log_x: Float64Array, at: Float64Array, first: float) -> tuple[Float64Array, Float64Array]:
    """ln h (T,) and the terms 1, ln h, z, z² - 1 of the measurement (T, 4).

    at     μ, level, β, γ; log_x has mean 0
    first  ln h₀
    """
    mu, level, beta, gamma = at
    log_h, terms = np.empty(len(r)), np.empty((len(r), 4))
    now = first
    for t in range(len(r)):
        z = (r[t] - mu) * np.exp(-0.5 * now)
        log_h[t] = now
        terms[t, 0], terms[t, 1], terms[t, 2], terms[t, 3] = 1.0, now, z, z * z - 1.0
        now = level + beta * (now - level) + gamma * log_x[t]
    return log_h, terms


@compiled
def gradient(
    log_x: Float64Array,
    log_h: Float64Array,
    terms: Float64Array,
    u: Float64Array,
    at: Float64Array,
    measure: Float64Array,
    variance_u: float,
) -> Float64Array:
    """Gradient (4,) of the joint log-likelihood in μ, level, β and γ, backwards through the recursion.

    measure  ξ, φ, τ₁, τ₂ of the regression, u (T,) its residuals
    """
    _, level, beta, _ = at
    _, phi, tau_1, tau_2 = measure
    out = np.zeros(4)
    # What a change of ln h at t + 1 does to the likelihood of all that follows.
    later = 0.0
    for t in range(len(u) - 1, -1, -1):
        z, pull = terms[t, 2], u[t] / variance_u
        slope = tau_1 + 2.0 * tau_2 * z
        out[0] += (z - pull * slope) * np.exp(-0.5 * log_h[t])
        out[1] += later * (1.0 - beta)
        out[2] += later * (log_h[t] - level)
        out[3] += later * log_x[t]
        here = 0.5 * (z * z - 1.0) + pull * (phi - 0.5 * z * slope)
        later = here + beta * later
    return out
