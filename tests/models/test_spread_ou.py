"""Mean reversion: what it recovers, what least squares of other packages say, and seasons."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from spread_world import autoregression, chain_of_pairs, ou_pair, sessions
from statsmodels.tsa.ar_model import AutoReg

from models.base import FitError
from models.spread.base import Legs
from models.spread.ou import Ou
from models.spread.reversion import least_squares_bias, stationary_variance


def legs_of(spread: np.ndarray) -> Legs:
    return Legs(spread, np.zeros(len(spread)), sessions(len(spread)))


def test_a_half_life_of_13_5_sessions_is_found_in_three_years():
    # 04 §6.2: corrected median 13.9, 5 to 95 % [9.0, 21.5]; the median of 20 within 25 %
    found = np.array([Ou().fit(ou_pair(seed)).half_life for seed in range(400)])
    low, middle, high = np.quantile(found, [0.05, 0.5, 0.95])
    assert middle == pytest.approx(13.9, rel=0.05)
    assert 8.4 < low < 9.9
    assert 19.0 < high < 23.5
    assert abs(float(np.median(found[:20])) / 13.5 - 1) < 0.25


@pytest.mark.parametrize(
    ("phi", "spec"),
    [
        ((0.95,), Ou()),
        ((0.95,), Ou(season="fourier")),
        ((0.9,), Ou(season="month")),
        ((0.95,), Ou(hedge=None)),
        ((1.1, -0.2), Ou(order=2)),
        ((0.5, 0.2, 0.2), Ou(order=3)),
    ],
    ids=["constant", "fourier", "month", "hedge", "ar2", "ar3"],
)
def test_the_correction_takes_the_bias_of_least_squares_away(phi, spec):
    fits = []
    for seed in range(300):
        rng = np.random.default_rng(seed)
        u = autoregression(rng, 600, phi, 0.01)
        x = 8 + np.cumsum(rng.normal(0, 0.012, 600))
        fits.append(spec.fit(Legs(x + u, x, sessions(600))))
    raw = np.array([fit.raw_phi.sum() for fit in fits])
    corrected = np.array([fit.phi.sum() for fit in fits])
    error = corrected.std() / math.sqrt(len(fits))
    assert raw.mean() < sum(phi) - 4 * error
    # Of the first order, at the estimate: of twelve months in two and a half years a third is left.
    left = 0.35 if spec.season == "month" else 0.1
    assert abs(corrected.mean() - sum(phi)) < 3 * error + left * (sum(phi) - raw.mean())


def test_the_bias_of_two_lags_is_that_of_shaman_and_stine():
    bias = least_squares_bias(np.array([0.5, 0.3]), np.ones((400, 1)))
    assert np.allclose(-400 * bias, [1 + 0.5 + 0.3, 2 + 4 * 0.3], rtol=1e-9)


def test_least_squares_is_that_of_statsmodels_but_for_the_line():
    legs = ou_pair(3)
    fitted, other = Ou().fit(legs), AutoReg(legs.y - legs.x, 1).fit()
    # Its intercept is of the rows of the regression, ours the mean of the levels.
    assert fitted.raw_phi[0] == pytest.approx(float(other.params[1]), abs=1e-3)
    assert fitted.errors["phi_1"] == pytest.approx(float(other.bse[1]), rel=0.15)
    assert fitted.params["sigma_e"] == pytest.approx(math.sqrt(float(other.sigma2)), rel=5e-3)


def test_errors_are_as_wide_as_estimates_are_spread():
    fits = [Ou().fit(ou_pair(seed)) for seed in range(200)]
    for name, value in (("phi_1", 0.15), ("mu", 0.15)):
        spread = np.std([fit.params[name] for fit in fits])
        assert np.median([fit.errors[name] for fit in fits]) == pytest.approx(spread, rel=value)
    inside = [fit.half_life_interval[0] <= 13.5 <= fit.half_life_interval[1] for fit in fits]
    assert np.mean(inside) > 0.9


def test_the_forecast_is_that_of_a_plain_loop():
    legs = legs_of(0.02 + autoregression(np.random.default_rng(1), 500, (0.7, 0.2), 0.01))
    fitted = Ou(order=2).fit(legs)
    told = fitted.forecast(legs, np.array([100, 499]), (1, 3, 12))
    s, (one, two), mu = legs.y - legs.x, fitted.phi, fitted.params["mu"]
    for row, origin in enumerate((100, 499)):
        path = [s[origin - 1] - mu, s[origin] - mu]
        for _ in range(12):
            path.append(one * path[-1] + two * path[-2])
        for k, h in enumerate((1, 3, 12)):
            assert told.change[row, k] == pytest.approx(path[1 + h] - path[1], rel=1e-9)


def test_the_spread_of_a_forecast_is_that_of_the_innovations_left_and_of_the_mean():
    legs = legs_of(autoregression(np.random.default_rng(1), 4000, (0.9,), 0.01))
    fitted = Ou().fit(legs)
    phi, sigma = fitted.phi[0], fitted.innovation
    told = fitted.forecast(legs, np.array([3999]), (1, 5, 400)).sd[0]
    for sd, h in zip(told, (1, 5, 400), strict=True):
        drawn = sigma**2 * (1 - phi ** (2 * h)) / (1 - phi**2)
        assert sd**2 == pytest.approx(drawn + (1 - phi**h) ** 2 * fitted.errors["mu"] ** 2, rel=1e-9)
    assert fitted.sigma == pytest.approx(sigma / math.sqrt(1 - phi**2))
    assert stationary_variance(np.array([1.0])) == math.inf


def test_z_is_the_distance_in_standard_deviations():
    legs = ou_pair(5, count=3000)
    z = Ou().fit(legs).filter(legs).z
    assert z.mean() == pytest.approx(0, abs=1e-9)
    assert z.std() == pytest.approx(1, abs=0.1)
    assert np.argmax(z) == np.argmax(legs.y - legs.x)


@pytest.mark.parametrize("season", ["month", "fourier"])
def test_a_season_is_found_and_foreseen(season):
    day = sessions(2000)
    phase = 2 * np.pi * (day - day.astype("datetime64[Y]").astype("datetime64[D]")).astype(float) / 365.25
    truth = 0.03 * np.sin(phase) + 0.01 * np.cos(2 * phase)
    spread = truth + autoregression(np.random.default_rng(2), 2000, (0.8,), 0.003)
    legs = Legs(spread, np.zeros(2000), day)
    fitted = Ou(season=season).fit(legs)
    assert np.corrcoef(fitted.filter(legs).centre, truth)[0, 1] > 0.97
    assert fitted.half_life == pytest.approx(3.106, rel=0.3)
    origins = np.arange(200, 1900)
    came = spread[origins + 20] - spread[origins]
    seasonal = fitted.forecast(legs, origins, (20,)).change[:, 0]
    plain = Ou().fit(legs).forecast(legs, origins, (20,)).change[:, 0]
    assert np.mean((came - seasonal) ** 2) < 0.6 * np.mean((came - plain) ** 2)


def test_a_season_of_one_year_is_refused():
    with pytest.raises(FitError, match="two years"):
        Ou(season="fourier").fit(ou_pair(1, count=300))


def test_a_walk_has_no_half_life_and_no_signal():
    legs = legs_of(np.cumsum(np.r_[0.0, np.full(300, 0.001)]) + np.random.default_rng(0).normal(0, 1e-5, 301))
    fitted = Ou().fit(legs)
    assert fitted.half_life == math.inf
    assert "no mean reversion" in fitted.notes[0]
    assert (fitted.filter(legs).z == 0).all()
    told = fitted.forecast(legs, np.array([300]), (1, 4))
    assert told.change.tolist() == [[0.0, 0.0]]
    assert told.sd[0, 1] == pytest.approx(2 * told.sd[0, 0])


def test_pairs_of_other_maturities_have_one_mean_a_year():
    legs = chain_of_pairs(3, count=4000)
    fitted = Ou(annualised=True).fit(legs)
    assert fitted.params["mu"] == pytest.approx(0.06, abs=0.006)
    assert fitted.params["phi_1"] == pytest.approx(0.93, abs=0.02)
    state = fitted.filter(legs)
    assert np.allclose(state.centre / legs.gap, fitted.params["mu"])
    told = fitted.forecast(legs, np.array([2000]), (5,))
    carry = (legs.y - legs.x)[2000] / legs.gap[2000] - fitted.params["mu"]
    assert told.change[0, 0] == pytest.approx((fitted.phi[0] ** 5 - 1) * carry * legs.gap[2000])
    with pytest.raises(FitError, match="gap"):
        Ou(annualised=True).fit(replace(legs, gap=None))


def test_the_order_is_found_by_bic():
    orders = [
        len(Ou(order=None).fit(legs_of(autoregression(np.random.default_rng(s), 800, (0.6, 0.3), 0.01))).phi)
        for s in range(20)
    ]
    assert np.median(orders) == 2


def test_a_hedge_is_found_by_least_squares():
    fitted = Ou(hedge=None).fit(ou_pair(1, count=2000, beta=0.9, half_life=8))
    assert fitted.params["beta"] == pytest.approx(0.9, abs=0.03)
    assert fitted.errors["beta"] < 0.03
