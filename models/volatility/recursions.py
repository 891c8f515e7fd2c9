"""Variance recursions of the GARCH family and their adjoints: the hot loops, alone.

A path runs forward and fills the variance h (T + 1,) of T residuals e and of the one after them. An adjoint runs
backward over it: given what the log-likelihood changes with each h_t, it gives what it changes with each parameter, at
the cost of one more pass whatever their number. All in one unit; arch's presample: e²₋₁ = h₋₁ = presample, half of it
from a fall.

EGARCH and APARCH have |e|, so that their likelihood has a kink in the mean wherever a residual is 0; with `corner` > 0
they have the root of e² + corner instead (EGARCH: of z² + corner), on which a search can begin.
push (T + 1,) is what the regressors add to each session, in the units of the equation that they stand in.
In an adjoint `slope` (T,) holds d loglik / dh_t on entry and the total derivative by push_t on return; `by_residual`
(T,) is added to; `gradient` is filled; what is returned is the derivative by the presample variance.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from features.operators.compiled import compiled, fused
from features.panel import Float64Array

GARCH, GJR, EGARCH, APARCH, FIGARCH = range(5)
VARIANCE_PARAMETERS: Final[dict[str, tuple[str, ...]]] = {
    "garch": ("omega", "alpha", "beta"),
    "gjr": ("omega", "alpha", "gamma", "beta"),
    "egarch": ("omega", "alpha", "gamma", "beta"),
    "aparch": ("omega", "alpha", "gamma", "beta", "delta"),
    "figarch": ("omega", "phi", "d", "beta"),
}
CODES: Final = {name: code for code, name in enumerate(VARIANCE_PARAMETERS)}
TRUNCATION: Final = 1000  # lags of FIGARCH, as in arch
MEAN_ABS_NORMAL: Final = float(np.sqrt(2 / np.pi))  # what arch takes off |z| in EGARCH, whatever the innovations
_LOG_LIMIT: Final = 700.0  # beyond it exp overflows


@fused
def garch_path(theta: Float64Array, e: Float64Array, push: Float64Array, presample: float, h: Float64Array) -> None:
    """GJR, and GARCH where gamma is 0; theta = omega, alpha, gamma, beta."""
    omega, alpha, gamma, beta = theta[0], theta[1], theta[2], theta[3]
    h[0] = omega + (alpha + 0.5 * gamma + beta) * presample + push[0]
    for t in range(len(e)):
        shock = alpha + gamma if e[t] < 0 else alpha
        # The bracket waits for nothing: only a product and a sum lie between one variance and the next.
        h[t + 1] = beta * h[t] + (omega + push[t + 1] + shock * e[t] * e[t])


@fused
def garch_adjoint(
    theta: Float64Array,
    e: Float64Array,
    presample: float,
    h: Float64Array,
    slope: Float64Array,
    by_residual: Float64Array,
    gradient: Float64Array,
) -> float:
    """The gradient is by omega, alpha, gamma, beta."""
    alpha, gamma, beta = theta[1], theta[2], theta[3]
    by_omega, by_alpha, by_gamma, by_beta, total = 0.0, 0.0, 0.0, 0.0, 0.0
    for t in range(len(e) - 1, 0, -1):
        total = slope[t] + beta * total
        slope[t] = total
        before = e[t - 1]
        square = before * before * total
        by_omega += total
        by_beta += total * h[t - 1]
        by_alpha += square
        fell = 1.0 if before < 0 else 0.0
        by_gamma += fell * square
        by_residual[t - 1] += 2 * total * (alpha + gamma * fell) * before
    total = slope[0] + beta * total
    slope[0] = total
    gradient[0] = by_omega + total
    gradient[1] = by_alpha + total * presample
    gradient[2] = by_gamma + 0.5 * total * presample
    gradient[3] = by_beta + total * presample
    return total * (alpha + 0.5 * gamma + beta)


@fused
def egarch_path(
    theta: Float64Array, e: Float64Array, push: Float64Array, presample: float, corner: float, h: Float64Array
) -> None:
    """theta = omega, alpha, gamma, beta of ln h; no shock before the first residual."""
    omega, alpha, gamma, beta = theta[0], theta[1], theta[2], theta[3]
    log = omega + beta * np.log(presample) + push[0]
    for t in range(len(e) + 1):
        log = min(max(log, -_LOG_LIMIT), _LOG_LIMIT)
        h[t] = np.exp(log)
        if t < len(e):
            z = e[t] / np.sqrt(h[t])
            size = np.sqrt(z * z + corner)
            log = omega + alpha * (size - MEAN_ABS_NORMAL) + gamma * z + beta * log + push[t + 1]


@fused
def egarch_adjoint(
    theta: Float64Array,
    e: Float64Array,
    presample: float,
    corner: float,
    h: Float64Array,
    slope: Float64Array,
    by_residual: Float64Array,
    gradient: Float64Array,
) -> float:
    """The gradient is by omega, alpha, gamma, beta."""
    alpha, gamma, beta = theta[1], theta[2], theta[3]
    by_omega, by_alpha, by_gamma, by_beta, total = 0.0, 0.0, 0.0, 0.0, 0.0
    for t in range(len(e) - 1, -1, -1):
        root = np.sqrt(h[t])
        z = e[t] / root
        size = np.sqrt(z * z + corner)
        way = z / size if size > 0 else 0.0
        # What the session after this one makes of the residual, and of the variance through the residual.
        by_alpha += total * (size - MEAN_ABS_NORMAL)
        by_gamma += total * z
        by_beta += total * np.log(h[t])
        by_residual[t] += total * (alpha * way + gamma) / root
        total = slope[t] * h[t] + total * (beta - 0.5 * (alpha * way + gamma) * z)
        slope[t] = total
        by_omega += total
    gradient[0], gradient[1], gradient[2] = by_omega, by_alpha, by_gamma
    gradient[3] = by_beta + total * np.log(presample)
    return total * beta / presample


@fused
def aparch_path(
    theta: Float64Array, e: Float64Array, push: Float64Array, presample: float, corner: float, h: Float64Array
) -> None:
    """theta = omega, alpha, gamma, beta, delta of the power h^(delta/2)."""
    omega, alpha, gamma, beta, delta = theta[0], theta[1], theta[2], theta[3], theta[4]
    power = omega + (alpha + beta) * presample ** (0.5 * delta) + push[0]
    h[0] = power ** (2 / delta)
    for t in range(len(e)):
        shock = (np.sqrt(e[t] * e[t] + corner) - gamma * e[t]) ** delta
        power = omega + alpha * shock + beta * power + push[t + 1]
        h[t + 1] = power ** (2 / delta)


@fused
def aparch_adjoint(
    theta: Float64Array,
    e: Float64Array,
    presample: float,
    corner: float,
    h: Float64Array,
    slope: Float64Array,
    by_residual: Float64Array,
    gradient: Float64Array,
) -> float:
    """The gradient is by omega, alpha, gamma, beta, delta."""
    alpha, gamma, beta, delta = theta[1], theta[2], theta[3], theta[4]
    by_omega, by_alpha, by_gamma, by_beta, by_delta, total = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for t in range(len(e) - 1, -1, -1):
        log = np.log(h[t])
        power = np.exp(0.5 * delta * log)
        far = np.sqrt(e[t] * e[t] + corner)
        size = far - gamma * e[t]
        by_beta += total * power
        if size > 0:
            log_size = np.log(size)
            shock = np.exp(delta * log_size)
            by_alpha += total * shock
            by_delta += total * alpha * shock * log_size
            rate = total * alpha * delta * shock / size
            by_gamma -= rate * e[t]
            by_residual[t] += rate * (e[t] / far - gamma)
        by_delta -= slope[t] * h[t] * log / delta
        total = slope[t] * (2 / delta) * h[t] / power + beta * total
        slope[t] = total
        by_omega += total
    first = presample ** (0.5 * delta)
    gradient[0], gradient[2] = by_omega, by_gamma
    gradient[1], gradient[3] = by_alpha + total * first, by_beta + total * first
    gradient[4] = by_delta + total * (alpha + beta) * first * 0.5 * np.log(presample)
    return total * (alpha + beta) * 0.5 * delta * first / presample


@compiled
def figarch_weights(theta: Float64Array, lags: int) -> Float64Array:
    """What e² of each lag weighs, (lags,); theta = omega, phi, d, beta."""
    phi, d, beta = theta[1], theta[2], theta[3]
    weight = np.empty(lags)
    difference = d
    weight[0] = phi - beta + d
    for i in range(1, lags):
        after = (i - d) / (i + 1) * difference
        weight[i] = beta * weight[i - 1] + after - phi * difference
        difference = after
    return weight


@fused
def figarch_path(theta: Float64Array, e: Float64Array, push: Float64Array, presample: float, h: Float64Array) -> None:
    """theta = omega, phi, d, beta; squares before the first one are the presample variance."""
    weight = figarch_weights(theta, TRUNCATION)
    level = theta[0] / (1 - theta[3])
    n = len(e)
    newest_first = (e * e)[::-1].copy()
    beyond = np.sum(weight)
    for t in range(n + 1):
        lags = min(t, TRUNCATION)
        seen = np.dot(weight[:lags], newest_first[n - t : n - t + lags])
        h[t] = level + seen + beyond * presample + push[t]
        if t < TRUNCATION:
            beyond -= weight[t]


@fused
def figarch_adjoint(
    theta: Float64Array,
    e: Float64Array,
    presample: float,
    h: Float64Array,
    slope: Float64Array,
    by_residual: Float64Array,
    gradient: Float64Array,
) -> float:
    """The gradient is by omega, phi, d, beta."""
    phi, d, beta = theta[1], theta[2], theta[3]
    n = len(e)
    weight = figarch_weights(theta, TRUNCATION)
    square = e * e
    by_weight = np.empty(TRUNCATION)
    so_far, by_presample = 0.0, 0.0
    for i in range(TRUNCATION):
        if i < n:
            so_far += slope[i]
        seen = np.dot(slope[i + 1 : n], square[: n - 1 - i]) if i + 1 < n else 0.0
        by_weight[i] = seen + so_far * presample
        by_presample += weight[i] * so_far
    for t in range(n - 1):
        lags = min(n - 1 - t, TRUNCATION)
        by_residual[t] += 2 * e[t] * np.dot(weight[:lags], slope[t + 1 : t + 1 + lags])
    difference = np.empty(TRUNCATION)
    difference[0] = d
    for i in range(1, TRUNCATION):
        difference[i] = (i - d) / (i + 1) * difference[i - 1]
    by_phi, by_d, by_beta, total, by_difference = 0.0, 0.0, 0.0, 0.0, 0.0
    for i in range(TRUNCATION - 1, 0, -1):
        after, total = total, by_weight[i] + beta * total
        by_beta += total * weight[i - 1]
        by_phi -= total * difference[i - 1]
        # The i-th difference enters its own weight and, times -phi, the next one's.
        by_difference = total - phi * after + by_difference * (i + 1 - d) / (i + 2)
        by_d -= by_difference * difference[i - 1] / (i + 1)
    after, total = total, by_weight[0] + beta * total
    by_difference = total - phi * after + by_difference * (1 - d) / 2
    whole = np.sum(slope[:n])
    gradient[0] = whole / (1 - beta)
    gradient[1] = by_phi + total
    gradient[2] = by_d + by_difference
    gradient[3] = by_beta - total + whole * theta[0] / (1 - beta) ** 2
    return by_presample
