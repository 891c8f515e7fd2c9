"""Futures curves by two factors whose law is known."""

from __future__ import annotations

import numpy as np

from models.spread.term_curve import Curve

TRUTH = {
    "kappa": 1.5,
    "sigma_chi": 0.28,
    "lambda_chi": 0.10,
    "mu_xi": 0.03,
    "sigma_xi": 0.15,
    "rho": 0.3,
    "mu_xi_star": 0.01,
}
NOISE = 0.003


def log_level(years: np.ndarray, truth: dict[str, float] = TRUTH) -> np.ndarray:
    """A(T) as spec 04 §7.1 writes it."""
    k, sc, sx, rho = truth["kappa"], truth["sigma_chi"], truth["sigma_xi"], truth["rho"]
    gone = 1 - np.exp(-k * years)
    variance = (1 - np.exp(-2 * k * years)) * sc**2 / (2 * k) + sx**2 * years + 2 * gone * rho * sc * sx / k
    return truth["mu_xi_star"] * years - gone * truth["lambda_chi"] / k + variance / 2


def transition(step: float, truth: dict[str, float] = TRUTH) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Matrix, drift and covariance of the two states over a step of time."""
    k, sc, sx, rho = truth["kappa"], truth["sigma_chi"], truth["sigma_xi"], truth["rho"]
    decay = np.exp(-k * step)
    both = (1 - decay) * rho * sc * sx / k
    covariance = np.array([[(1 - decay**2) * sc**2 / (2 * k), both], [both, sx**2 * step]])
    return np.diag([decay, 1.0]), np.array([0.0, truth["mu_xi"] * step]), covariance


def drawn_curve(
    dates: int, seed: int, contracts: int = 5, step: float = 1 / 242, missing: float = 0.0, uneven: bool = False
) -> tuple[Curve, np.ndarray]:
    """Prices of contracts two months apart that roll as they expire, and the states behind them, (T, 2)."""
    rng = np.random.default_rng(seed)
    steps = step * (rng.choice([1.0, 3.0, 0.5], dates) if uneven else np.ones(dates))
    steps[0] = 0.0
    time = np.cumsum(steps)
    state = np.array([TRUTH["sigma_chi"] / np.sqrt(2 * TRUTH["kappa"]) * rng.standard_normal(), np.log(450.0)])
    states = np.empty((dates, 2))
    for t in range(dates):
        if t:
            turn, drift, covariance = transition(float(steps[t]))
            state = turn @ state + drift + np.linalg.cholesky(covariance) @ rng.standard_normal(2)
        states[t] = state
    apart = 2 / 12
    ends = (np.arange(contracts + int(time[-1] / apart) + 1) + 1) * apart  # a column a contract
    years = ends[None, :] - time[:, None]
    listed = (years > 0) & (years <= contracts * apart)
    listed &= rng.uniform(size=listed.shape) >= missing
    log_price = np.exp(-TRUTH["kappa"] * years) * states[:, :1] + states[:, 1:] + log_level(years)
    log_price += NOISE * rng.standard_normal(years.shape)
    return Curve(time, np.where(listed, np.exp(log_price), np.nan), np.where(listed, years, np.nan)), states
