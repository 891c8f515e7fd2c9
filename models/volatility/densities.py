"""Log densities of the innovations and their slopes by residual, variance and shape; compiled.

Laws as arch defines them: normal, Student's t of unit variance, Hansen's skewed t (1994).
The logarithms of a row of factors are taken of their product: eight numbers that lie within e^±80 together stay within
a double. A product that leaves it makes the value infinite or NaN, which the search takes as no value.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from features.operators.compiled import compiled, fused, summed
from features.panel import Float64Array

_ROW: Final = 8
_LN_2PI: Final = math.log(2 * math.pi)


@fused
def digamma(x: float) -> float:
    """Derivative of ln Γ at a positive number: its series at 10 and beyond, carried down."""
    down = 0.0
    while x < 10:
        down -= 1 / x
        x += 1
    y = 1 / (x * x)
    series = y * (1 / 12 - y * (1 / 120 - y * (1 / 252 - y * (1 / 240 - y * (1 / 132 - y * 691 / 32760)))))
    return down + math.log(x) - 0.5 / x - series


@fused
def log_scale(nu: float) -> tuple[float, float]:
    """Log density of a t of unit variance at 0, and its derivative by nu."""
    value = math.lgamma(0.5 * (nu + 1)) - math.lgamma(0.5 * nu) - 0.5 * math.log(math.pi * (nu - 2))
    return value, 0.5 * (digamma(0.5 * (nu + 1)) - digamma(0.5 * nu) - 1 / (nu - 2))


@summed
def sum_of_logs(x: Float64Array) -> float:
    """Σ ln x of positive numbers."""
    logs, rows = 0.0, len(x) // _ROW
    for i in range(rows):
        product = 1.0
        for j in range(_ROW):
            product *= x[i * _ROW + j]
        logs += math.log(product)
    for t in range(rows * _ROW, len(x)):
        logs += math.log(x[t])
    return logs


@summed
def normal_slopes(e: Float64Array, h: Float64Array, slope: Float64Array, by_residual: Float64Array) -> float:
    """Log-likelihood; fills what it changes with each h and each e."""
    squares, n = 0.0, len(e)
    for t in range(n):
        inverse = 1 / h[t]
        ratio = e[t] * inverse
        square = e[t] * ratio
        squares += square
        by_residual[t] = -ratio
        slope[t] = 0.5 * inverse * (square - 1)
    return -0.5 * (n * _LN_2PI + sum_of_logs(h[:n]) + squares)


@summed
def t_slopes(
    nu: float,
    e: Float64Array,
    h: Float64Array,
    slope: Float64Array,
    by_residual: Float64Array,
    by_shape: Float64Array,
) -> float:
    """The same of a t, and by nu."""
    excess, power, weighted, n = nu - 2, nu + 1, 0.0, len(e)
    tail, share = np.empty(n), 1 / (nu - 2)
    for t in range(n):
        square = e[t] * e[t]
        inverse = 1 / h[t]
        tail[t] = 1 + square * inverse * share
        weight = power * share * inverse / tail[t]
        by_residual[t] = -weight * e[t]
        pull = weight * square
        slope[t] = 0.5 * inverse * (pull - 1)
        weighted += pull
    tails = sum_of_logs(tail)
    level, by_level = log_scale(nu)
    # The derivative of the tail's term: (ν + 1) / 2 · q / ((ν - 2)(ν - 2 + q)), of which the weight holds most.
    by_shape[0] = n * by_level - 0.5 * tails + 0.5 * weighted / excess
    return n * level - 0.5 * sum_of_logs(h[:n]) - 0.5 * power * tails


@compiled
def dof_score(nu: float, z: Float64Array) -> float:
    """What nu changes of the log-likelihood of standardised residuals."""
    n = len(z)
    by_shape = np.empty(1)
    t_slopes(nu, z, np.ones(n), np.empty(n), np.empty(n), by_shape)
    return by_shape[0]


@summed
def skewt_slopes(
    nu: float,
    skew: float,
    e: Float64Array,
    h: Float64Array,
    slope: Float64Array,
    by_residual: Float64Array,
    by_shape: Float64Array,
) -> float:
    """The same of Hansen's law, by nu and by the skew."""
    level, by_level = log_scale(nu)
    a_by_skew = 4 * math.exp(level) * (nu - 2) / (nu - 1)
    a = a_by_skew * skew
    b = math.sqrt(1 + 3 * skew * skew - a * a)
    a_by_nu = a * (by_level + 1 / (nu - 2) - 1 / (nu - 1))
    b_by_nu = -a * a_by_nu / b
    b_by_skew = (3 * skew - a * a_by_skew) / b
    excess, power, by_nu, by_skew, n = nu - 2, nu + 1, 0.0, 0.0, len(e)
    tail = np.empty(n)
    for t in range(n):
        inverse = 1 / math.sqrt(h[t])
        z = e[t] * inverse
        line = b * z + a
        sign = 1.0 if line > 0 else -1.0
        side = 1 / (1 + sign * skew)
        u = line * side
        tail[t] = 1 + u * u / excess
        pull = power * u / (excess * tail[t])
        by_z = -pull * b * side
        by_residual[t] = by_z * inverse
        slope[t] = -0.5 * inverse * inverse * (1 + z * by_z)
        by_nu += pull * (0.5 * u / excess - side * (b_by_nu * z + a_by_nu))
        by_skew -= pull * side * (b_by_skew * z + a_by_skew - u * sign)
    tails = sum_of_logs(tail)
    by_shape[0] = n * (b_by_nu / b + by_level) - 0.5 * tails + by_nu
    by_shape[1] = n * b_by_skew / b + by_skew
    return n * (math.log(b) + level) - 0.5 * sum_of_logs(h[:n]) - 0.5 * power * tails
