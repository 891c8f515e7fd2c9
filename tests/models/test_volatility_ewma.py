"""EWMA by a plain loop, by scipy, and by the truth behind what it is given."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.stats import norm

from models.base import FitError
from models.volatility.base import Returns
from models.volatility.ewma import Ewma


def integrated(sessions: int, decay: float, seed: int) -> Returns:
    """Returns whose variance is an EWMA of their squares; it dies out slowly, which is no matter over so few."""
    rng = np.random.default_rng(seed)
    r, h = np.empty(sessions), 1.0
    for t in range(sessions):
        r[t] = np.sqrt(h) * rng.standard_normal()
        h = decay * h + (1 - decay) * r[t] ** 2
    return Returns(r)


def by_loop(r: np.ndarray, decay: float) -> np.ndarray:
    mean = sum(r) / len(r)
    h = [sum((one - mean) ** 2 for one in r) / len(r)]
    for one in r:
        h.append(decay * h[-1] + (1 - decay) * (one - mean) ** 2)
    return np.array(h)


def test_the_variances_are_those_of_a_plain_loop():
    returns = integrated(300, 0.94, 1)
    fitted = Ewma().fit(returns)
    np.testing.assert_allclose(fitted.filter(returns).variance, by_loop(returns.value, 0.94), rtol=1e-12)
    assert fitted.params["mu"] == pytest.approx(returns.value.mean(), rel=1e-12)


def test_rows_that_come_after_the_fit_start_from_its_variance_and_not_from_their_own():
    returns = integrated(400, 0.94, 2)
    fitted = Ewma().fit(returns.part(0, 300))
    np.testing.assert_array_equal(fitted.filter(returns).variance[:301], fitted.filter(returns.part(0, 300)).variance)


def test_the_term_structure_is_flat():
    returns = integrated(300, 0.94, 3)
    fitted = Ewma().fit(returns)
    ahead = fitted.forecast(returns, np.array([120, 299]), (1, 7, 60))
    np.testing.assert_allclose(ahead.variance / np.array([1, 7, 60]), ahead.variance[:, [0]] * np.ones(3), rtol=1e-14)
    np.testing.assert_allclose(ahead.mean[0], returns.value.mean() * np.array([1, 7, 60]), rtol=1e-12)


@pytest.mark.parametrize("seed", range(4))
def test_the_decay_by_maximum_likelihood_is_the_best_of_a_fine_grid(seed):
    returns = integrated(900, 0.9, seed)
    e = returns.value - returns.value.mean()

    def loss(decay: float) -> float:
        h = by_loop(returns.value, decay)[:-1]
        return -float(norm.logpdf(e, scale=np.sqrt(h)).sum())

    fitted = Ewma(decay=None, innovation="normal").fit(returns)
    grid = 0.5 ** (1 / np.geomspace(1, 5000, 60))
    best = grid[np.argmin([loss(decay) for decay in grid])]
    by_scipy = minimize_scalar(loss, bounds=(best - 0.02, min(best + 0.02, 0.99986)), method="bounded")
    assert -fitted.loglik <= by_scipy.fun + 1e-7
    assert fitted.decay == pytest.approx(by_scipy.x, abs=1e-4)
    assert fitted.loglik == pytest.approx(-loss(fitted.decay), rel=1e-12)


def test_the_decay_is_found_again():
    found = [Ewma(decay=None).fit(integrated(1500, 0.92, seed)).decay for seed in range(8)]
    assert np.median(found) == pytest.approx(0.92, abs=0.012)


def test_of_returns_that_do_not_cluster_the_variance_is_that_of_the_sample():
    returns = Returns(np.random.default_rng(4).standard_normal(2000))
    fitted = Ewma(decay=None).fit(returns)
    assert fitted.converged
    np.testing.assert_allclose(fitted.filter(returns).variance, np.var(returns.value), rtol=0.25)


@pytest.mark.parametrize("decay", [0.0, 1.0, -0.5])
def test_a_decay_outside_is_refused(decay):
    with pytest.raises(FitError):
        Ewma(decay=decay)


def test_drawn_returns_are_those_of_a_plain_loop():
    returns = integrated(200, 0.94, 5)
    fitted = Ewma().fit(returns)
    path = fitted.filter(returns)
    z = path.residuals(returns)
    shocks = np.array([[3, 199, 7, 7], [0, 1, 2, 3]])
    for row, drawn in zip(shocks, fitted.draw(returns, shocks), strict=True):
        h = path.variance[-1]
        for at, found in zip(row, drawn, strict=True):
            e = np.sqrt(h) * z[at]
            assert found == pytest.approx(fitted.mean + e, rel=1e-12)
            h = 0.94 * h + 0.06 * e**2
