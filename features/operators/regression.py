"""Rolling least squares of one market-wide series on others: panels (T, 1), a fit for each session."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from features.panel import Float64Array

# Residuals below this share of the series' own size are rounding, not residuals.
_EXACT_FIT = 1e-10


@dataclass(frozen=True)
class RollingFit:
    """Fits of the windows that end at each session; the constant stands first.

    coefficients  (T, K + 1)
    t_values      (T, K + 1), by heteroskedasticity- and autocorrelation-consistent errors
    residual      (T, 1), of the window's last session
    scale         (T, 1), standard deviation of the window's residuals, ddof K + 1
    """

    coefficients: Float64Array
    t_values: Float64Array
    residual: Float64Array
    scale: Float64Array


def rolling_ols(y: Float64Array, regressors: Sequence[Float64Array], n: int, least: int | None = None) -> RollingFit:
    """Least squares of y on a constant and the regressors over the last n sessions, all (T, 1).

    NaN     fewer than `least` valid sessions (60 % of n by default), or regressors that the window makes collinear;
            the residual also where the last session is not valid
    Source  Newey and West (1987), Bartlett weights, lag floor(4 (m / 100)^(2/9)) over the m valid sessions
    """
    x = np.column_stack([np.ones(len(y)), *(r[:, 0] for r in regressors)])
    target, k = y[:, 0], x.shape[1]
    valid = np.isfinite(target) & np.isfinite(x).all(axis=1)
    least = max(math.ceil(0.6 * n) if least is None else least, k + 1)
    coefficients, t_values = np.full(x.shape, np.nan), np.full(x.shape, np.nan)
    residual, scale = np.full(y.shape, np.nan), np.full(y.shape, np.nan)
    for t in range(len(y)):
        rows = np.flatnonzero(valid[max(t - n + 1, 0) : t + 1]) + max(t - n + 1, 0)
        if len(rows) < least:
            continue
        size = np.sqrt((x[rows] ** 2).sum(axis=0))
        if not (size > 0).all():
            continue
        beta, _, rank, _ = np.linalg.lstsq(x[rows] / size, target[rows])
        if rank < k:
            continue
        coefficients[t] = beta / size
        errors = target[rows] - x[rows] @ coefficients[t]
        sigma = np.sqrt(errors @ errors / (len(rows) - k))
        if sigma > _EXACT_FIT * np.abs(target[rows]).max():
            scale[t] = sigma
            t_values[t] = beta / np.sqrt(np.diag(_long_run(x[rows] / size, errors)))
            residual[t] = errors[-1] if rows[-1] == t else np.nan
    return RollingFit(coefficients, t_values, residual, scale)


def _long_run(x: Float64Array, errors: Float64Array) -> Float64Array:
    """Newey-West covariance of the coefficients, (K, K), without a small-sample factor."""
    score = x * errors[:, None]
    lags = math.floor(4 * (len(x) / 100) ** (2 / 9))
    middle = score.T @ score
    for j in range(1, lags + 1):
        gamma = score[j:].T @ score[:-j]
        middle += (1 - j / (lags + 1)) * (gamma + gamma.T)
    bread = np.linalg.inv(x.T @ x)
    return np.asarray(bread @ middle @ bread)
