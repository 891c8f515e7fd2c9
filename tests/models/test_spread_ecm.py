"""Error correction: what it recovers, and statsmodels' VECM."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from spread_world import chain_of_pairs, ou_pair, priced_pair
from statsmodels.tsa.vector_ar.vecm import VECM

from models.base import FitError
from models.spread.ecm import Ecm


@pytest.mark.parametrize(("speed", "low", "high"), [(0.6, 0.54, 0.67), (0.4, 0.35, 0.46), (0.2, 0.17, 0.24)])
def test_the_speed_of_error_correction_is_found(speed, low, high):
    # 02 §3.2: the median of 20 within 10 %, each within .15; |β₂ / β₁ + 1| within .005 is for the median
    free = [Ecm().fit(priced_pair(seed, speed)) for seed in range(60)]
    known = [Ecm(beta=1.0).fit(priced_pair(seed, speed)) for seed in range(60)]
    for fits in (free, known):
        found = np.array([fit.speed for fit in fits])
        assert abs(float(np.median(found[:20])) / speed - 1) < 0.1
        assert np.abs(found[:20] - speed).max() < 0.15
        assert low - 0.03 < np.quantile(found, 0.05) < speed < np.quantile(found, 0.95) < high + 0.03
        assert np.median([fit.half_life for fit in fits]) == pytest.approx(math.log(0.5) / math.log(1 - speed), rel=0.1)
    assert np.median([abs(fit.beta - 1) for fit in free]) < 0.02
    if speed >= 0.4:
        assert np.median([fit.shares[0] for fit in known[:20]]) == pytest.approx(1, abs=0.35)


def test_it_is_the_vecm_of_statsmodels():
    legs = ou_pair(2, half_life=4, beta=0.8)
    fitted = Ecm(lags=2).fit(legs)
    other = VECM(np.column_stack([legs.y, legs.x]), k_ar_diff=2, coint_rank=1, deterministic="ci").fit()
    assert fitted.beta == pytest.approx(-other.beta[1, 0], rel=1e-8)
    assert fitted.mu == pytest.approx(-float(other.const_coint.ravel()[0]), rel=1e-7)
    assert np.allclose(fitted.loading, other.alpha.ravel(), rtol=1e-7)
    assert np.allclose(fitted.short_run, other.gamma, rtol=1e-6, atol=1e-9)
    assert np.allclose(fitted.covariance, other.sigma_u, rtol=1e-8)
    assert fitted.loglik == pytest.approx(float(other.llf), rel=1e-9)
    assert np.allclose(fitted.loading_error, other.stderr_alpha.ravel(), rtol=0.25)
    assert fitted.shares[0] + fitted.shares[1] == pytest.approx(1)


def test_the_forecast_is_that_of_statsmodels_before_the_correction():
    legs = ou_pair(2, half_life=4, beta=0.8)
    fitted = Ecm(lags=2).fit(legs)
    other = VECM(np.column_stack([legs.y, legs.x]), k_ar_diff=2, coint_rank=1, deterministic="ci").fit()
    horizons = (1, 2, 5, 20)
    told = replace(fitted, corrected=1 - fitted.speed).forecast(legs, np.array([len(legs) - 1]), horizons)
    for k, h in enumerate(horizons):
        ahead = other.predict(h)[-1] @ [1, -fitted.beta]
        assert told.change[0, k] == pytest.approx(ahead - (legs.y[-1] - fitted.beta * legs.x[-1]), rel=1e-6, abs=1e-12)
    slower = fitted.forecast(legs, np.array([len(legs) - 1]), horizons)
    assert fitted.corrected > 1 - fitted.speed
    assert abs(slower.change[0, -2]) < abs(told.change[0, -2])


def test_the_spread_of_a_forecast_is_that_of_drawn_futures():
    legs = ou_pair(2, half_life=4, beta=0.8)
    fitted = Ecm(lags=1).fit(legs)
    told = fitted.forecast(legs, np.array([700]), (1, 3, 8)).sd[0]
    rng, turn, draws = np.random.default_rng(0), fitted._transition(), 100_000
    root, state, apart = np.linalg.cholesky(fitted.covariance), np.zeros((draws, len(turn))), []
    for _ in range(8):
        shock = rng.normal(size=(draws, 2)) @ root.T
        state = state @ turn.T
        state[:, 0] += shock @ [1, -fitted.beta]
        state[:, 1:3] += shock
        apart.append(state[:, 0].std())
    assert np.allclose(told, np.array(apart)[[0, 2, 7]], rtol=0.01)


def test_one_leg_that_does_all_the_adjusting_has_all_of_the_share():
    fits = [Ecm(beta=1.0).fit(ou_pair(seed, half_life=3, sd=0.02)) for seed in range(20)]
    assert np.median([fit.shares[0] for fit in fits]) == pytest.approx(1, abs=0.1)
    assert np.median([fit.errors["speed"] for fit in fits]) < 0.04


def test_legs_that_walk_apart_are_not_told_to_return():
    rng = np.random.default_rng(5)
    legs = ou_pair(1, count=400)
    fitted = Ecm(beta=1.0).fit(replace(legs, y=legs.y + np.cumsum(np.full(400, 0.01)) + rng.normal(0, 1e-3, 400)))
    assert fitted.half_life == math.inf
    assert "no error correction" in fitted.notes[0]
    assert (fitted.filter(legs).z == 0).all()


def test_a_relation_is_not_estimated_across_rolls():
    with pytest.raises(FitError, match=r"params\.beta"):
        Ecm().fit(chain_of_pairs(1))
    assert Ecm(beta=1.0).fit(chain_of_pairs(1)).nobs < 1000


def test_lags_are_found_by_bic():
    assert [Ecm(beta=1.0, lags=None).fit(ou_pair(s, half_life=4)).spec.lags for s in range(5)] == [0] * 5
