"""Realised GARCH by a plain loop, by slopes, by Monte Carlo, and by the truth behind what it is given."""

from __future__ import annotations

import math

import numpy as np
import pytest
from range_world import REALISED, realised_returns
from scipy.optimize import minimize

from models.volatility.base import Returns
from models.volatility.realised import RealisedGarch
from models.volatility.realised_likelihood import Standardised


@pytest.fixture(scope="module")
def world() -> Returns:
    return realised_returns(700, 21)[0]


def joint_loglik(returns: Returns, p: dict[str, float], first: float) -> float:
    """Of returns and log ranges, as the model is written down."""
    log_h, total = math.log(first), 0.0
    for r, x in zip(returns.value, returns.range_variance, strict=True):
        z = (r - p["mu"]) / math.exp(log_h / 2)
        u = math.log(x) - p["xi"] - p["phi"] * log_h - p["tau_1"] * z - p["tau_2"] * (z * z - 1)
        total -= 0.5 * (math.log(2 * math.pi) + log_h + z * z)
        total -= 0.5 * (math.log(2 * math.pi) + 2 * math.log(p["sigma_u"]) + (u / p["sigma_u"]) ** 2)
        log_h = p["omega"] + p["beta"] * log_h + p["gamma"] * math.log(x)
    return total


@pytest.mark.parametrize("scale", [1.0, 0.01])
def test_the_likelihood_is_that_of_a_plain_loop_at_the_estimates(scale):
    returns, _ = realised_returns(700, 22, scale)
    fitted = RealisedGarch().fit(returns)
    first = float(np.var(returns.value))
    assert fitted.joint_loglik == pytest.approx(joint_loglik(returns, dict(fitted.params), first), rel=1e-11)


@pytest.mark.parametrize("seed", [23, 24])
def test_no_search_over_all_nine_parameters_climbs_higher(seed):
    returns, _ = realised_returns(400, seed)
    fitted = RealisedGarch().fit(returns)
    names, best = list(fitted.params), np.array(list(fitted.params.values()))
    first = float(np.var(returns.value))

    def loss(p: np.ndarray) -> float:
        return -joint_loglik(returns, dict(zip(names, p, strict=True)), first)

    assert fitted.converged
    for i, name in enumerate(names):
        step = np.zeros(len(best))
        step[i] = 1e-4
        slope = (loss(best + step) - loss(best - step)) / 2e-4
        curvature = (loss(best + step) - 2 * loss(best) + loss(best - step)) / 1e-8
        assert curvature > 0, name
        assert abs(slope / curvature) < 1e-6, name
    found = minimize(loss, best, method="BFGS", options={"maxiter": 15})
    assert -found.fun <= fitted.joint_loglik + 1e-6


def test_the_gradient_is_the_slope_of_the_likelihood(world):
    data = Standardised.of(world.value, world.range_variance, float(np.var(world.value)))
    rng = np.random.default_rng(1)
    for _ in range(5):
        at = np.array([0.0, 0.0, 0.6, 0.3]) + rng.uniform(-0.2, 0.2, 4)
        _, slope, *_ = data.value_and_gradient(at)
        for i in range(4):
            step = np.zeros(4)
            step[i] = 1e-5
            up, down = data.value_and_gradient(at + step)[0], data.value_and_gradient(at - step)[0]
            assert slope[i] == pytest.approx((up - down) / 2e-5, rel=1e-6, abs=1e-8)


def test_the_parameters_of_the_specification_are_found_again():
    """Source  spec 04 §5: T 1500, medians of μ-free estimates."""
    told = {"omega": 0.038, "beta": 0.613, "gamma": 0.360, "xi": -0.105, "phi": 0.97}
    told |= {"tau_1": -0.052, "tau_2": 0.081, "sigma_u": 0.351}
    tolerance = {"omega": 0.012, "beta": 0.02, "gamma": 0.025, "xi": 0.02, "phi": 0.04, "tau_1": 0.005, "tau_2": 0.005}
    tolerance["sigma_u"] = 0.004
    fits = [RealisedGarch().fit(realised_returns(1500, seed)[0]) for seed in range(40)]
    assert all(fit.converged for fit in fits)
    for name in REALISED:
        median = np.median([fit.params[name] for fit in fits])
        assert median == pytest.approx(told[name], abs=tolerance[name]), name
        assert median == pytest.approx(REALISED[name], abs=tolerance[name]), name
    assert np.median([fit.persistence for fit in fits]) == pytest.approx(0.96, abs=0.015)


def test_the_variances_behind_the_returns_are_found_again():
    found = []
    for seed in range(6):
        returns, h = realised_returns(1500, seed)
        ahead = RealisedGarch().fit(returns).filter(returns).variance[:-1]
        found.append(np.corrcoef(np.log(ahead[20:]), np.log(h[20:]))[0, 1])
    assert np.median(found) > 0.99


def test_forecasts_are_the_mean_over_all_pairs_of_shocks(world):
    """Three sessions ahead, every path of residuals, and drawn ones at twenty."""
    part = world.part(0, 120)
    fitted = RealisedGarch().fit(part)
    p = fitted.params
    log_h = np.log(fitted.filter(part).variance)
    noise = np.log(part.range_variance) - p["xi"] - p["phi"] * log_h[:-1]
    first = log_h[-1]
    second = p["omega"] + p["beta"] * first + p["gamma"] * (p["xi"] + p["phi"] * first + noise)
    third = p["omega"] + p["beta"] * second + p["gamma"] * (p["xi"] + p["phi"] * second + noise[:, None])
    expected = np.cumsum([np.exp(first), np.exp(second).mean(), np.exp(third).mean()])
    found = fitted.forecast(part, np.array([119]), (1, 2, 3)).variance[0]
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_forecasts_are_the_mean_of_the_true_process():
    returns, _ = realised_returns(3000, 31)
    fitted = RealisedGarch().fit(returns)
    forecast = fitted.forecast(returns, np.array([2999]), (20,)).variance[0, 0]
    p, rng = fitted.params, np.random.default_rng(2)
    log_h = np.full(200_000, np.log(fitted.filter(returns).variance[-1]))
    total = np.zeros(len(log_h))
    for _ in range(20):
        z, u = rng.standard_normal(len(log_h)), p["sigma_u"] * rng.standard_normal(len(log_h))
        total += np.exp(log_h)
        log_x = p["xi"] + p["phi"] * log_h + p["tau_1"] * z + p["tau_2"] * (z**2 - 1) + u
        log_h = p["omega"] + p["beta"] * log_h + p["gamma"] * log_x
    assert forecast == pytest.approx(total.mean(), rel=0.02)


def test_drawn_returns_are_those_of_a_plain_loop(world):
    fitted = RealisedGarch().fit(world)
    p, path = fitted.params, fitted.filter(world)
    z = path.residuals(world)
    u = np.log(world.range_variance) - p["xi"] - p["phi"] * np.log(path.variance[:-1])
    u = u - p["tau_1"] * z - p["tau_2"] * (z**2 - 1)
    shocks = np.random.default_rng(3).integers(0, 700, (4, 25))
    for row, drawn in zip(shocks, fitted.draw(world, shocks), strict=True):
        log_h = math.log(path.variance[-1])
        for at, found in zip(row, drawn, strict=True):
            assert found == pytest.approx(p["mu"] + math.exp(log_h / 2) * z[at], rel=1e-9)
            log_x = p["xi"] + p["phi"] * log_h + p["tau_1"] * z[at] + p["tau_2"] * (z[at] ** 2 - 1) + u[at]
            log_h = p["omega"] + p["beta"] * log_h + p["gamma"] * log_x


def test_a_warm_start_ends_where_a_cold_one_does(world):
    earlier = RealisedGarch().fit(world.part(0, 600))
    later = world.part(20, 700)
    warm, cold = RealisedGarch().fit(later, earlier), RealisedGarch().fit(later)
    for name, value in cold.params.items():
        assert warm.params[name] == pytest.approx(value, rel=1e-5, abs=1e-7)
    assert warm.joint_loglik == pytest.approx(cold.joint_loglik, rel=1e-11)


def test_ranges_that_follow_the_variance_exactly_keep_their_least_noise():
    rng = np.random.default_rng(8)
    log_h, r, x = 0.0, np.empty(800), np.empty(800)
    for t in range(800):
        z = rng.standard_normal()
        r[t] = math.exp(log_h / 2) * z
        x[t] = math.exp(log_h - 0.05 * z + 0.3 * (z * z - 1))
        log_h = 0.6 * log_h + 0.35 * math.log(x[t])
    fitted = RealisedGarch().fit(Returns(r, x))
    assert fitted.params["sigma_u"] >= 0.05
    assert fitted.params["gamma"] == pytest.approx(0.35, abs=0.02)


def test_a_variance_that_runs_away_has_not_converged():
    """The log variance grows ever faster, so that β + φγ is estimated above 1."""
    rng = np.random.default_rng(9)
    for _ in range(3):
        log_h = 0.02 * np.cumsum(rng.standard_normal(600)) + 10 * (np.arange(600) / 600) ** 6
        x = np.exp(log_h + 0.2 * rng.standard_normal(600))
        fitted = RealisedGarch().fit(Returns(np.exp(log_h / 2) * rng.standard_normal(600), x))
        assert fitted.persistence >= 1
        assert not fitted.converged
