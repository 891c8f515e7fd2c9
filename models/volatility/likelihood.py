"""Log-likelihood of a mean, a variance equation and innovations together, with its gradient; compiled.

Two coordinates of one point: the natural parameters, in the order mean, variance, regressors, innovations, as arch's;
and those of the search, in which every constraint of the family is a bound on one coordinate.

    omega                   its logarithm (EGARCH: itself)
    alpha, beta             persistence and the shock's share of it
    alpha, gamma of GJR     the shock, alpha + gamma / 2, and half the share of it that rises have
    phi, beta of FIGARCH    shares of the most that d leaves: phi <= (1 - d) / 2, beta <= d + phi
    nu                      1 / nu
"""

from __future__ import annotations

from typing import Final

import numpy as np

from features.operators.compiled import compiled, inner
from features.panel import Float64Array
from models.volatility.densities import normal_slopes, skewt_slopes, t_slopes
from models.volatility.recursions import (
    APARCH,
    EGARCH,
    FIGARCH,
    GARCH,
    GJR,
    aparch_adjoint,
    aparch_path,
    egarch_adjoint,
    egarch_path,
    figarch_adjoint,
    figarch_path,
    garch_adjoint,
    garch_path,
)

NORMAL, T, SKEWT = range(3)
LAWS: Final = {"normal": NORMAL, "t": T, "skewt": SKEWT}
SAMPLE: Final = -1.0  # a presample variance of the mean squared residual at the current mean


@inner
def widths(kind: int, law: int, means: int, regressors: int) -> tuple[int, int, int]:
    """Where the variance parameters begin, where the regressors', where the innovations'."""
    variance = 3 if kind == GARCH else 5 if kind == APARCH else 4
    return means, means + variance, means + variance + regressors


@compiled
def to_natural(kind: int, law: int, means: int, regressors: int, x: Float64Array) -> Float64Array:
    """Natural parameters at a point of the search."""
    start, pushes, shape = widths(kind, law, means, regressors)
    theta = x.copy()
    v, x = theta[start:pushes], x[start:pushes]
    if kind != EGARCH:
        v[0] = np.exp(x[0])
    if kind == GARCH:
        v[1], v[2] = x[1] * x[2], x[1] * (1 - x[2])
    elif kind == GJR:
        shock = x[1] * x[2]
        v[1], v[2], v[3] = 2 * shock * x[3], 2 * shock * (1 - 2 * x[3]), x[1] * (1 - x[2])
    elif kind == APARCH:
        v[1], v[2], v[3], v[4] = x[1] * x[2], x[3], x[1] * (1 - x[2]), x[4]
    elif kind == FIGARCH:
        v[1], v[2] = 0.5 * (1 - x[2]) * x[1], x[2]
        v[3] = (v[1] + v[2]) * x[3]
    if law != NORMAL:
        theta[shape] = 1 / theta[shape]
    return theta


@compiled
def to_search(kind: int, law: int, means: int, regressors: int, theta: Float64Array) -> Float64Array:
    """The point of the search that natural parameters are."""
    start, pushes, shape = widths(kind, law, means, regressors)
    x = theta.copy()
    v, s = theta[start:pushes], x[start:pushes]
    if kind != EGARCH:
        s[0] = np.log(v[0])
    if kind == GARCH:
        s[1] = v[1] + v[2]
        s[2] = v[1] / s[1] if s[1] > 0 else 0.5
    elif kind == GJR:
        shock = v[1] + 0.5 * v[2]
        s[1] = shock + v[3]
        s[2] = shock / s[1] if s[1] > 0 else 0.5
        s[3] = 0.5 * v[1] / shock if shock > 0 else 0.5
    elif kind == APARCH:
        s[1] = v[1] + v[3]
        s[2] = v[1] / s[1] if s[1] > 0 else 0.5
        s[3], s[4] = v[2], v[4]
    elif kind == FIGARCH:
        s[1] = v[1] / (0.5 * (1 - v[2]))
        s[2] = v[2]
        s[3] = v[3] / (v[1] + v[2]) if v[1] + v[2] > 0 else 0.5
    if law != NORMAL:
        x[shape] = 1 / x[shape]
    return x


@inner
def pull_back(kind: int, law: int, means: int, regressors: int, x: Float64Array, g: Float64Array) -> None:
    """Turn a gradient by natural parameters into one by the search's, in place."""
    start, pushes, shape = widths(kind, law, means, regressors)
    v, g_v = x[start:pushes], g[start:pushes]
    if kind != EGARCH:
        g_v[0] *= np.exp(v[0])
    if kind == GARCH:
        by_alpha, by_beta = g_v[1], g_v[2]
        g_v[1] = by_alpha * v[2] + by_beta * (1 - v[2])
        g_v[2] = v[1] * (by_alpha - by_beta)
    elif kind == GJR:
        by_shock = 2 * g_v[1] * v[3] + 2 * g_v[2] * (1 - 2 * v[3])
        by_share = 2 * v[1] * v[2] * (g_v[1] - 2 * g_v[2])
        by_beta = g_v[3]
        g_v[1] = by_shock * v[2] + by_beta * (1 - v[2])
        g_v[2] = v[1] * (by_shock - by_beta)
        g_v[3] = by_share
    elif kind == APARCH:
        by_alpha, by_gamma, by_beta = g_v[1], g_v[2], g_v[3]
        g_v[1] = by_alpha * v[2] + by_beta * (1 - v[2])
        g_v[2] = v[1] * (by_alpha - by_beta)
        g_v[3] = by_gamma
    elif kind == FIGARCH:
        phi = 0.5 * (1 - v[2]) * v[1]
        by_phi, by_beta = g_v[1] + g_v[3] * v[3], g_v[3]
        g_v[1] = by_phi * 0.5 * (1 - v[2])
        g_v[2] = g_v[2] + by_beta * v[3] - by_phi * 0.5 * v[1]
        g_v[3] = by_beta * (phi + v[2])
    if law != NORMAL:
        g[shape] *= -1 / (x[shape] * x[shape])


@inner
def recur(
    kind: int, v: Float64Array, e: Float64Array, push: Float64Array, presample: float, corner: float, h: Float64Array
) -> None:
    """The variance path of any kind."""
    if kind == GARCH:
        garch_path(np.array([v[0], v[1], 0.0, v[2]]), e, push, presample, h)
    elif kind == GJR:
        garch_path(v, e, push, presample, h)
    elif kind == EGARCH:
        egarch_path(v, e, push, presample, corner, h)
    elif kind == APARCH:
        aparch_path(v, e, push, presample, corner, h)
    else:
        figarch_path(v, e, push, presample, h)


@compiled
def residuals(theta: Float64Array, means: int, y: Float64Array, design: Float64Array) -> Float64Array:
    """What the mean leaves of y (T,); design (T, means)."""
    e = y.copy()
    for j in range(means):
        e -= theta[j] * design[:, j]
    return e


@compiled
def variances(
    kind: int,
    law: int,
    means: int,
    theta: Float64Array,
    e: Float64Array,
    lagged: Float64Array,
    presample: float,
    corner: float = 0.0,
) -> Float64Array:
    """Variances (T + 1,) of residuals and of the one after them, at natural parameters; lagged (T + 1, m)."""
    start, pushes, _shape = widths(kind, law, means, lagged.shape[1])
    push = np.zeros(len(e) + 1)
    for j in range(lagged.shape[1]):
        push += theta[pushes + j] * lagged[:, j]
    if presample < 0:
        presample = np.sum(e * e) / len(e)
    h = np.empty(len(e) + 1)
    recur(kind, theta[start:pushes], e, push, presample, corner, h)
    return h


@compiled
def value_and_gradient(
    kind: int,
    law: int,
    theta: Float64Array,
    y: Float64Array,
    design: Float64Array,
    lagged: Float64Array,
    presample: float,
    gradient: Float64Array,
    corner: float = 0.0,
) -> float:
    """Log-likelihood at natural parameters, and its gradient where one is wanted (not of length 0).

    y        (T,) what the mean explains; design (T, means); lagged (T + 1, m) regressors of the session before
    presample  variance before the first row; SAMPLE: that of the residuals at these parameters
    corner     rounds the kink of |e|; 0: as it is
    """
    means, regressors = design.shape[1], lagged.shape[1]
    start, pushes, shape = widths(kind, law, means, regressors)
    n = len(y)
    e = residuals(theta, means, y, design)
    sample = presample < 0
    if sample:
        presample = np.sum(e * e) / n
    h = variances(kind, law, means, theta, e, lagged, presample, corner)
    slope, by_residual, by_shape = np.empty(n), np.empty(n), np.zeros(2)
    if law == NORMAL:
        value = normal_slopes(e, h, slope, by_residual)
    elif law == T:
        value = t_slopes(theta[shape], e, h, slope, by_residual, by_shape)
    else:
        value = skewt_slopes(theta[shape], theta[shape + 1], e, h, slope, by_residual, by_shape)
    if len(gradient) == 0:
        return value
    v, g_v = theta[start:pushes], gradient[start:pushes]
    if kind == GARCH:
        four = np.empty(4)
        by_presample = garch_adjoint(np.array([v[0], v[1], 0.0, v[2]]), e, presample, h, slope, by_residual, four)
        g_v[0], g_v[1], g_v[2] = four[0], four[1], four[3]
    elif kind == GJR:
        by_presample = garch_adjoint(v, e, presample, h, slope, by_residual, g_v)
    elif kind == EGARCH:
        by_presample = egarch_adjoint(v, e, presample, corner, h, slope, by_residual, g_v)
    elif kind == APARCH:
        by_presample = aparch_adjoint(v, e, presample, corner, h, slope, by_residual, g_v)
    else:
        by_presample = figarch_adjoint(v, e, presample, h, slope, by_residual, g_v)
    if sample:
        by_residual += by_presample * 2 / n * e
    for j in range(means):
        gradient[j] = -np.sum(by_residual * design[:, j])
    for j in range(regressors):
        gradient[pushes + j] = np.sum(slope * lagged[:n, j])
    for j in range(len(theta) - shape):
        gradient[shape + j] = by_shape[j]
    return value
