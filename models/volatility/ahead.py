"""What variances are expected after the next session: exactly where there is a formula, else by quadrature.

The shocks of EGARCH and APARCH enter through one number per session: g(z) = alpha (|z| - √(2/π)) + gamma z added to
the logarithm, or A(z) = alpha (|z| - gamma z)^delta + beta multiplied to the power of the variance. Their law is the
empirical one of the fit's standardised residuals: under t innovations E exp(g(z)) does not exist, and the law of what
was seen has every moment. A Gauss rule of that law stands for it; it has the law's first 2 n - 1 moments.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from features.operators.compiled import compiled
from features.panel import Float64Array
from models.volatility.recursions import MEAN_ABS_NORMAL, TRUNCATION, figarch_weights

_NODES: Final = 24  # of a Gauss rule
_GRID: Final = 64  # Chebyshev points on which APARCH's expectation is carried


def gauss_rule(value: Float64Array, nodes: int = _NODES) -> tuple[Float64Array, Float64Array]:
    """Nodes and weights of the Gauss rule of an empirical law: Lanczos with full orthogonalisation."""
    basis = np.full((1, len(value)), 1 / np.sqrt(len(value)))
    middle, beside = [], []
    width = float(np.ptp(value)) or 1.0
    while True:
        image = value * basis[-1]
        middle.append(float(image @ basis[-1]))
        for _ in range(2):
            image = image - (basis @ image) @ basis
        size = float(np.linalg.norm(image))
        if len(middle) == min(nodes, len(value)) or size < 1e-12 * width:
            break
        beside.append(size)
        basis = np.vstack([basis, image / size])
    found, vectors = np.linalg.eigh(np.diag(middle) + np.diag(beside, 1) + np.diag(beside, -1))
    return found, vectors[0] ** 2


def shock_of(kind: str, v: Float64Array, z: Float64Array) -> Float64Array:
    """The number through which a standardised residual enters: g of EGARCH, A of APARCH."""
    if kind == "egarch":
        return v[1] * (np.abs(z) - MEAN_ABS_NORMAL) + v[2] * z
    return v[1] * (np.abs(z) - v[2] * z) ** v[4] + v[3]


def geometric(omega: float, persistence: float, after: Float64Array, steps: int) -> Float64Array:
    """Expected variances (n, steps) of GARCH and GJR, from the next session's (n,)."""
    out = np.empty((len(after), steps))
    out[:, 0] = after
    for k in range(1, steps):
        out[:, k] = omega + persistence * out[:, k - 1]
    return out


def exponential(
    omega: float, beta: float, rule: tuple[Float64Array, Float64Array], after: Float64Array, steps: int
) -> Float64Array:
    """Expected variances of EGARCH: ln h after k sessions is affine in ln h of the next, with independent shocks."""
    shock, weight = rule
    out = np.empty((len(after), steps))
    out[:, 0] = after
    logs, decay, level = np.log(after), 1.0, 0.0
    for k in range(1, steps):
        level += omega * decay + float(np.log(weight @ np.exp(decay * shock)))
        decay *= beta
        out[:, k] = np.exp(decay * logs + level)
    return out


def powered(
    omega: float, delta: float, rule: tuple[Float64Array, Float64Array], after: Float64Array, steps: int
) -> Float64Array:
    """Expected variances of APARCH: y = h^(δ/2) becomes ω + A y, and E h is carried back over the sessions.

    With u = 1 / y the ratio E[h after k] / h is smooth in u down to 0; it is carried at Chebyshev points of u.
    """
    factor, weight = rule
    inverse = after ** (-delta / 2)
    lowest = omega / max(1 - float(factor.min()), 1e-12)
    top = max(1 / lowest, float(inverse.max()))
    at = np.cos(np.pi * (np.arange(_GRID) + 0.5) / _GRID)
    u = 0.5 * top * (1 + at)
    growth = omega * u[:, None] + factor  # of y over a session, (grid, nodes)
    back = _chebyshev(2 * (u[:, None] / growth).ravel() / top - 1).reshape(_GRID, len(factor), _GRID)
    carry = np.einsum("gq,gqc->gc", weight * growth ** (2 / delta), back)
    ratio, read = np.ones(_GRID), _chebyshev(2 * inverse / top - 1)
    out = np.empty((len(after), steps))
    for k in range(steps):
        out[:, k] = after * (read @ ratio)
        ratio = carry @ ratio
    return out


def _chebyshev(at: Float64Array) -> Float64Array:
    """Weights (n, grid) that read a function off its values at the Chebyshev points."""
    points = np.cos(np.pi * (np.arange(_GRID) + 0.5) / _GRID)
    order = np.arange(_GRID)
    values = np.cos(order * np.arccos(np.clip(at, -1, 1))[:, None])
    to_coefficients = np.cos(order[:, None] * np.arccos(points)) * (2 / _GRID)
    to_coefficients[0] /= 2
    return np.asarray(values @ to_coefficients, dtype=np.float64)


@compiled
def long_memory(
    theta: Float64Array, push: float, square: Float64Array, origins: Float64Array, after: Float64Array, presample: float
) -> Float64Array:
    """Expected variances of FIGARCH (n, steps); after (n, steps) holds the next session's in its first column.

    square  (T,) squared residuals; those that are still to come are replaced by their expectations
    """
    weight = figarch_weights(theta, TRUNCATION)
    beyond = np.append(np.cumsum(weight[::-1])[::-1], 0.0)
    level = theta[0] / (1 - theta[3]) + push
    n, steps = after.shape
    newest_first = square[::-1].copy()
    for i in range(n):
        seen = int(origins[i]) + 1
        for k in range(1, steps):
            total = level
            for j in range(min(k, TRUNCATION)):
                total += weight[j] * after[i, k - 1 - j]
            known = max(min(seen, TRUNCATION - k), 0)
            total += np.dot(weight[k : k + known], newest_first[len(square) - seen : len(square) - seen + known])
            total += presample * beyond[min(seen + k, TRUNCATION)]
            after[i, k] = total
    return after
