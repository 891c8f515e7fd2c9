"""Returns that a known GARCH-type model drew, and arch's and a plain loop's versions of daybar's models."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from arch import arch_model
from arch.univariate.base import ARCHModel

from models.volatility.base import Returns

VARIANCES = {
    "garch": (0.03, 0.05, 0.9),
    "gjr": (0.03, 0.05, 0.04, 0.9),
    "egarch": (-0.01, 0.1, -0.05, 0.95),
    "aparch": (0.03, 0.05, 0.3, 0.9, 1.4),
    "figarch": (0.05, 0.2, 0.4, 0.4),
}
LAWS = {"normal": (), "t": (6.0,), "skewt": (6.0, -0.1)}
MEANS = {"zero": (), "constant": (0.03,), "ar1": (0.03, 0.1), "ar2": (0.03, 0.1, -0.05)}
ORDERS: dict[str, dict[str, Any]] = {
    "garch": {"vol": "GARCH", "p": 1, "o": 0, "q": 1},
    "gjr": {"vol": "GARCH", "p": 1, "o": 1, "q": 1},
    "egarch": {"vol": "EGARCH", "p": 1, "o": 1, "q": 1},
    "aparch": {"vol": "APARCH", "p": 1, "o": 1, "q": 1},
    "figarch": {"vol": "FIGARCH", "p": 1, "q": 1},
}
ARCH_MEANS = {
    "zero": {"mean": "Zero"},
    "constant": {"mean": "Constant"},
    "ar1": {"mean": "AR", "lags": 1},
    "ar2": {"mean": "AR", "lags": 2},
}


def gjr_t(
    sessions: int, seed: int, *, omega: float = 0.02, alpha: float = 0.05, gamma: float = 0.06, beta: float = 0.9
) -> tuple[np.ndarray, np.ndarray]:
    """Returns with 6 degrees of freedom around 0, in percent, and their variances."""
    rng = np.random.default_rng(seed)
    z = rng.standard_t(6, sessions + 500) / np.sqrt(1.5)
    y, h = np.zeros_like(z), np.full_like(z, omega / (1 - alpha - gamma / 2 - beta))
    for t in range(len(z)):
        if t:
            h[t] = omega + (alpha + gamma * (y[t - 1] < 0)) * y[t - 1] ** 2 + beta * h[t - 1]
        y[t] = np.sqrt(h[t]) * z[t]
    return y[500:], h[500:]


def percent(sessions: int = 1000, seed: int = 0) -> Returns:
    """Returns of `gjr_t` with a mean, in percent."""
    return Returns(gjr_t(sessions, seed)[0] + 0.05)


def by_arch(value: np.ndarray, variance: str, mean: str, law: str) -> ARCHModel:
    """arch's model of returns in percent."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return arch_model(value, dist=law, rescale=False, **ARCH_MEANS[mean], **ORDERS[variance])


def by_loop(variance: str, theta: tuple[float, ...], e: np.ndarray, push: np.ndarray, presample: float) -> np.ndarray:
    """Variances (T + 1,) by the equations as they are written."""
    n, h = len(e), np.empty(len(e) + 1)
    omega = theta[0]
    if variance in ("garch", "gjr"):
        alpha, beta, gamma = theta[1], theta[-1], theta[2] if variance == "gjr" else 0.0
        h[0] = omega + (alpha + gamma / 2 + beta) * presample + push[0]
        for t in range(1, n + 1):
            h[t] = omega + alpha * e[t - 1] ** 2 + gamma * e[t - 1] ** 2 * (e[t - 1] < 0) + beta * h[t - 1] + push[t]
    elif variance == "egarch":
        _, alpha, gamma, beta = theta
        log = omega + beta * np.log(presample) + push[0]
        for t in range(n + 1):
            h[t] = np.exp(log)
            if t < n:
                z = e[t] / np.sqrt(h[t])
                log = omega + alpha * (abs(z) - np.sqrt(2 / np.pi)) + gamma * z + beta * log + push[t + 1]
    elif variance == "aparch":
        _, alpha, gamma, beta, delta = theta
        power = omega + (alpha + beta) * presample ** (delta / 2) + push[0]
        for t in range(n + 1):
            h[t] = power ** (2 / delta)
            if t < n:
                power = omega + alpha * (abs(e[t]) - gamma * e[t]) ** delta + beta * power + push[t + 1]
    else:
        _, phi, d, beta = theta
        # (1 - βL) h = ω + (1 - βL - (1 - φL)(1 - L)^d) e²: the weights, cut at 1,000 lags.
        difference = [-1.0]
        for i in range(1, 1001):
            difference.append(difference[-1] * (i - 1 - d) / i)
        weight = [phi - beta + difference[1]]
        for i in range(2, 1001):
            weight.append(beta * weight[-1] + difference[i] - phi * difference[i - 1])
        for t in range(n + 1):
            square = [e[t - 1 - i] ** 2 if t - 1 - i >= 0 else presample for i in range(1000)]
            h[t] = omega / (1 - beta) + np.dot(weight, square) + push[t]
    return h
