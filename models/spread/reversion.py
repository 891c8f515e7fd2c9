"""How fast an autoregression forgets: its weights, its half-life, and the bias of least squares."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from scipy.linalg import solve
from scipy.signal import lfilter
from statsmodels.tsa.arima_process import arma_acovf

from features.panel import Float64Array

ANN_DAYS: Final = 242  # sessions of a year
_LONGEST: Final = 20_000  # weights of the slowest autoregression


def slowest_root(phi: Float64Array) -> float:
    """Modulus of the slowest root of an autoregression (p,): φ itself where p is 1; 1 or more: it does not return."""
    companion = np.eye(len(phi), k=-1)
    companion[0] = phi
    return float(np.max(np.abs(np.linalg.eigvals(companion))))


def half_life_of(root: float) -> float:
    """Sessions in which half of a distance is gone, ln 2 / -ln φ; inf for a root of 1 or more.

    Source  spec 04 §6.2 (φ .8: 3.1062837)
    """
    if root >= 1:
        return math.inf
    return math.log(2) / -math.log(root) if root > 0 else 0.0


def speed_of(half_life: float) -> float:
    """Mean reversion per year κ = -A ln φ = A ln 2 / half-life (φ .8: 54.00074)."""
    return ANN_DAYS * math.log(2) / half_life if half_life > 0 else math.inf


def weights(phi: Float64Array, count: int) -> Float64Array:
    """What is left of an innovation after 0, 1, ... sessions, (count,)."""
    impulse = np.zeros(count)
    impulse[0] = 1.0
    return np.asarray(lfilter([1.0], np.r_[1.0, -phi], impulse))


def stationary_variance(phi: Float64Array) -> float:
    """Variance of an autoregression over that of its innovations; inf where it does not return."""
    if slowest_root(phi) >= 1:
        return math.inf
    return float(arma_acovf(np.r_[1.0, -phi], [1.0], len(phi) + 1)[0])


def least_squares_bias(phi: Float64Array, design: Float64Array) -> Float64Array:
    """First-order bias of least squares of an AR(p) about a line through regressors, (p,).

    Where the one regressor is a constant and p is 1 it is -(1 + 3 φ) / T. Each regressor that moves as slowly as the
    series does adds to it: months, a season, or the price of the other leg.
    phi     (p,) the estimate, whose root lies below 1
    design  (T, k) regressors of the rows, the first a constant, or all dummies that sum to one
    Source  spec 02 §3.2; Kendall 1954, Marriott and Pope 1954 (p = 1), Shaman and Stine 1988; regressors: the trace of
            their projection with the weights, since the numerator loses E ε'P s₋ₖ
    """
    p, n = len(phi), len(design)
    ar = np.r_[1.0, -phi]
    count = min(_LONGEST, 50 + 2 * p + math.ceil(40 / (1 - slowest_root(phi))))
    psi = weights(phi, count)
    gamma = np.asarray(arma_acovf(ar, [1.0], count + 2 * p + 2))
    each = np.arange(count)
    lost = np.zeros(p)
    variance = gamma[np.abs(np.subtract.outer(np.arange(p), np.arange(p)))]
    inverse = np.linalg.inv(variance)
    for j in range(p):
        for k in range(p):
            one = np.array([psi @ gamma[np.abs(k + each + lag - j + 1)] for lag in range(p)])
            other = np.array([psi @ gamma[np.abs(j + each + lag - k + 1)] for lag in range(p)])
            # Σ over k, l of Γ⁻¹[., j] Γ⁻¹[k, l] cov(A[j, k], b[l]), the product of the moments' errors
            lost += inverse[:, j] * float(inverse[k] @ (one + other))
    constant, basis = np.full((n, 1), n**-0.5), np.linalg.qr(design)[0]
    mean = np.full(p, psi.sum()) + _projected(basis, ar, p) - _projected(constant, ar, p)
    return np.asarray(-(lost + solve(variance, mean, assume_a="pos")) / n)


def _projected(basis: Float64Array, ar: Float64Array, p: int) -> Float64Array:
    """E ε'P s₋ₖ over the innovations' variance for the lags 1 to p: the trace of the projection with the weights."""
    out = np.empty(p)
    for k in range(1, p + 1):
        lagged = lfilter(np.r_[np.zeros(k), 1.0], ar, basis, axis=0)
        out[k - 1] = float(np.sum(basis * lagged))
    return out
