"""Compiled Kalman filter of the two-factor curve of Schwartz and Smith: a scalar update a contract, no matrix inverse.

Rows are ragged: a session has `count` contracts, by maturity, in the first columns. Parameters are (7,): kappa,
sigma_chi, lambda_chi, mu_xi, sigma_xi, rho, mu_xi_star. The likelihood is made of +, -, *, /, exp and log alone, so
that it may be asked for at complex parameters too: the imaginary part at a tiny imaginary step is its exact slope.
"""

from __future__ import annotations

import numpy as np

from features.operators.compiled import compiled, part
from features.panel import Float64Array, IntArray
from models.spread.term_curve import Numbers

_LOG_TWO_PI = np.log(2.0 * np.pi)


@part
def _convexity(theta: Numbers, years: float, decay: complex) -> complex:
    """What the variances add to the log price of a maturity; decay: exp(-kappa years)."""
    kappa, sigma_chi, sigma_xi, rho = theta[0], theta[1], theta[4], theta[5]
    chi = (1.0 - decay * decay) * sigma_chi * sigma_chi / (2.0 * kappa)
    both = 2.0 * (1.0 - decay) * rho * sigma_chi * sigma_xi / kappa
    return 0.5 * (chi + sigma_xi * sigma_xi * years + both)


@part
def _noise_of_step(theta: Numbers, step: float, decay: complex) -> tuple[complex, complex, complex]:
    """Covariance of the two states' changes over a step: chi chi, chi xi, xi xi."""
    kappa, sigma_chi, sigma_xi, rho = theta[0], theta[1], theta[4], theta[5]
    w00 = (1.0 - decay * decay) * sigma_chi * sigma_chi / (2.0 * kappa)
    w01 = (1.0 - decay) * rho * sigma_chi * sigma_xi / kappa
    return w00, w01, sigma_xi * sigma_xi * step


@compiled
def log_likelihood(
    theta: Numbers,
    noise: Numbers,
    begin: Numbers,
    step: Float64Array,
    count: IntArray,
    years: Float64Array,
    log_price: Float64Array,
) -> complex:
    """Log-likelihood of all log prices; every array of numbers is real, or complex.

    noise   (M,) variance of the measurement of each column
    begin   (5,) state before the first session: chi, xi, variances chi chi, chi xi, xi xi
    step    (T,) years since the session before; years, log_price (T, M)
    """
    kappa, lambda_chi, mu_xi, mu_star = theta[0], theta[2], theta[3], theta[6]
    chi, xi, p00, p01, p11 = begin[0], begin[1], begin[2], begin[3], begin[4]
    total, n = 0.0 * theta[0], 0
    known, decay = -1.0, 1.0 + 0.0 * theta[0]
    w00, w01, w11 = 0.0 * theta[0], 0.0 * theta[0], 0.0 * theta[0]
    for t in range(len(step)):
        if step[t] > 0.0:
            if step[t] != known:
                known, decay = step[t], np.exp(-kappa * step[t])
                w00, w01, w11 = _noise_of_step(theta, known, decay)
            chi, xi = decay * chi, xi + mu_xi * step[t]
            p00, p01, p11 = decay * decay * p00 + w00, decay * p01 + w01, p11 + w11
        for j in range(count[t]):
            h = np.exp(-kappa * years[t, j])
            level = mu_star * years[t, j] - (1.0 - h) * lambda_chi / kappa + _convexity(theta, years[t, j], h)
            a, b = h * p00 + p01, h * p01 + p11
            s = h * a + b + noise[j]
            v = log_price[t, j] - h * chi - xi - level
            total -= 0.5 * (np.log(s) + v * v / s)
            n += 1
            a_s, b_s = a / s, b / s
            chi, xi = chi + a_s * v, xi + b_s * v
            p00, p01, p11 = p00 - a_s * a, p01 - a_s * b, p11 - b_s * b
    return total - 0.5 * n * _LOG_TWO_PI


@compiled
def crossed(
    theta: Float64Array,
    noise: Float64Array,
    begin: Float64Array,
    step: Float64Array,
    count: IntArray,
    years: Float64Array,
    log_price: Float64Array,
) -> Float64Array:
    """Products (4, 4) of the innovations with lambda_chi, mu_xi and mu_xi_star at 0 and of their slopes in the three.

    Each is divided by its variance. The innovations are linear in the three, so that the products say which values of
    them make the likelihood largest where all others are given.
    """
    kappa = theta[0]
    m = np.zeros((2, 4))
    m[0, 0], m[1, 0] = begin[0], begin[1]
    p00, p01, p11 = begin[2], begin[3], begin[4]
    v = np.empty(4)
    out = np.zeros((4, 4))
    for t in range(len(step)):
        if step[t] > 0.0:
            decay = np.exp(-kappa * step[t])
            w00, w01, w11 = _noise_of_step(theta, step[t], decay)
            for i in range(4):
                m[0, i] *= decay
            m[1, 2] += step[t]
            p00, p01, p11 = decay * decay * p00 + w00, decay * p01 + w01, p11 + w11
        for j in range(count[t]):
            h = np.exp(-kappa * years[t, j])
            a, b = h * p00 + p01, h * p01 + p11
            s = h * a + b + noise[j]
            for i in range(4):
                v[i] = -h * m[0, i] - m[1, i]
            v[0] += log_price[t, j] - _convexity(theta, years[t, j], h)
            v[1] += (1.0 - h) / kappa
            v[3] -= years[t, j]
            for i in range(4):
                m[0, i] += a / s * v[i]
                m[1, i] += b / s * v[i]
                for k in range(4):
                    out[i, k] += v[i] * v[k] / s
            p00, p01, p11 = p00 - a * a / s, p01 - a * b / s, p11 - b * b / s
    return out


@compiled
def filtered(
    theta: Float64Array,
    noise: Float64Array,
    begin: Float64Array,
    step: Float64Array,
    count: IntArray,
    years: Float64Array,
    log_price: Float64Array,
) -> tuple[Float64Array, Float64Array, Float64Array, Float64Array, Float64Array]:
    """What each session says, by parameters that are given.

    Returns  states (T, 5) after the session, as `begin`; log-likelihood (T,) of the session; and (T, M), NaN where no
             contract is: innovations over their standard deviation, each given the contracts before it; residuals to
             the curve of the session's own states; these over their standard deviation
    """
    kappa, lambda_chi, mu_xi, mu_star = theta[0], theta[2], theta[3], theta[6]
    chi, xi, p00, p01, p11 = begin[0], begin[1], begin[2], begin[3], begin[4]
    sessions, width = log_price.shape
    states, density = np.empty((sessions, 5)), np.zeros(sessions)
    surprise = np.full((sessions, width), np.nan)
    residual, standard = surprise.copy(), surprise.copy()
    h, level = np.empty(width), np.empty(width)
    for t in range(sessions):
        if step[t] > 0.0:
            decay = np.exp(-kappa * step[t])
            w00, w01, w11 = _noise_of_step(theta, step[t], decay)
            chi, xi = decay * chi, xi + mu_xi * step[t]
            p00, p01, p11 = decay * decay * p00 + w00, decay * p01 + w01, p11 + w11
        for j in range(count[t]):
            h[j] = np.exp(-kappa * years[t, j])
            level[j] = mu_star * years[t, j] - (1.0 - h[j]) * lambda_chi / kappa
            level[j] += _convexity(theta, years[t, j], h[j])
            a, b = h[j] * p00 + p01, h[j] * p01 + p11
            s = h[j] * a + b + noise[j]
            v = log_price[t, j] - h[j] * chi - xi - level[j]
            surprise[t, j] = v / np.sqrt(s)
            density[t] -= 0.5 * (_LOG_TWO_PI + np.log(s) + v * v / s)
            chi, xi = chi + a / s * v, xi + b / s * v
            p00, p01, p11 = p00 - a * a / s, p01 - a * b / s, p11 - b * b / s
        for j in range(count[t]):
            residual[t, j] = log_price[t, j] - h[j] * chi - xi - level[j]
            # What is left of the measurement's variance after the states were fitted to it.
            left = noise[j] - (h[j] * h[j] * p00 + 2.0 * h[j] * p01 + p11)
            if left > 1e-6 * noise[j]:
                standard[t, j] = residual[t, j] / np.sqrt(left)
        states[t, 0], states[t, 1], states[t, 2], states[t, 3], states[t, 4] = chi, xi, p00, p01, p11
    return states, density, surprise, residual, standard
