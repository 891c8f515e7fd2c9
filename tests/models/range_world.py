"""Returns and range variances by laws that are known: a realised GARCH, a GJR with t innovations."""

from __future__ import annotations

import numpy as np

from models.volatility.base import Returns

REALISED = {
    "omega": 0.036,
    "beta": 0.62,
    "gamma": 0.34,
    "xi": -0.1,
    "phi": 1.0,
    "tau_1": -0.05,
    "tau_2": 0.08,
    "sigma_u": 0.35,
}
GJR = {"omega": 0.02, "alpha": 0.05, "gamma": 0.06, "beta": 0.90, "nu": 6.0}


def realised_returns(sessions: int, seed: int, scale: float = 1.0, burn: int = 300) -> tuple[Returns, np.ndarray]:
    """Of the realised GARCH of spec 04 §5 in percent times scale, with the variances behind it (T,)."""
    rng = np.random.default_rng(seed)
    law, n = REALISED, sessions + burn
    z, u = rng.standard_normal(n), law["sigma_u"] * rng.standard_normal(n)
    log_h, log_x = np.empty(n), np.empty(n)
    now = (law["omega"] + law["gamma"] * law["xi"]) / (1 - law["beta"] - law["phi"] * law["gamma"])
    for t in range(n):
        log_h[t] = now
        log_x[t] = law["xi"] + law["phi"] * now + law["tau_1"] * z[t] + law["tau_2"] * (z[t] ** 2 - 1) + u[t]
        now = law["omega"] + law["beta"] * now + law["gamma"] * log_x[t]
    h = np.exp(log_h[burn:]) * scale**2
    return Returns(np.sqrt(h) * z[burn:], np.exp(log_x[burn:]) * scale**2), h


def gjr_returns(sessions: int, seed: int, burn: int = 500) -> tuple[np.ndarray, np.ndarray]:
    """Of the GJR-t of spec 04 §5 in percent, (T,), with the variances behind them (T,)."""
    rng = np.random.default_rng(seed)
    law, n = GJR, sessions + burn
    z = rng.standard_t(law["nu"], n) * np.sqrt((law["nu"] - 2) / law["nu"])
    r, h = np.empty(n), np.empty(n)
    now = law["omega"] / (1 - law["alpha"] - law["gamma"] / 2 - law["beta"])
    for t in range(n):
        h[t], r[t] = now, np.sqrt(now) * z[t]
        now = law["omega"] + (law["alpha"] + law["gamma"] * (r[t] < 0)) * r[t] ** 2 + law["beta"] * now
    return r[burn:], h[burn:]
