"""The two-factor curve by the truth behind it, by slopes, by dates that come later, and by what it refuses."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import kstest

from features.futures import read_chain
from features.sources.simulator import NULL, simulate
from models.base import FitError
from models.spread.schwartz_smith import FittedSchwartzSmith, SchwartzSmith
from models.spread.term_curve import Curve, TermState, rows
from models.spread.term_kernels import log_likelihood
from models.spread.term_search import Problem, Search
from tests.market_curves import by_session
from tests.models.term_world import NOISE, TRUTH, drawn_curve, log_level
from tests.simulated_market import stored


@pytest.fixture(scope="module")
def curve() -> Curve:
    return drawn_curve(300, 1, step=5 / 242)[0]


@pytest.fixture(scope="module")
def fitted(curve) -> FittedSchwartzSmith:
    return SchwartzSmith().fit(curve)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_parameters_of_the_specification_are_found_again(seed):
    """Source  spec 04 §7.1: T 1000, five contracts, noise .3 %; lambda_chi and mu_xi are weakly identified."""
    curve, states = drawn_curve(1000, seed)
    found = SchwartzSmith().fit(curve)
    assert found.converged
    assert found.params["kappa"] == pytest.approx(TRUTH["kappa"], rel=0.05)
    for name in ("sigma_chi", "sigma_xi"):
        assert found.params[name] == pytest.approx(TRUTH[name], rel=0.07)
    assert found.params["rho"] == pytest.approx(TRUTH["rho"], abs=0.12)
    assert found.params["noise"] == pytest.approx(NOISE, rel=0.05)
    seen = found.filter(curve)
    assert np.corrcoef(seen.chi, states[:, 0])[0, 1] > 0.99
    assert np.std(seen.xi - states[:, 1]) < 0.03


def test_the_states_of_simulated_oil_are_found_through_the_store(tmp_path: Path):
    """Source  spec 11 §9 a"""
    market = simulate("demo", replace(NULL, stocks=12, sessions=700), 3)
    curve = by_session(read_chain(stored(tmp_path, market), "SC"))
    found = SchwartzSmith().fit(curve)
    assert found.converged
    assert found.params["kappa"] == pytest.approx(1.5, rel=0.05)
    assert found.params["sigma_chi"] == pytest.approx(0.28, rel=0.07)
    assert found.params["sigma_xi"] == pytest.approx(0.15, rel=0.07)
    assert found.params["rho"] == pytest.approx(0.3, abs=0.12)
    assert found.params["noise"] == pytest.approx(0.003, rel=0.03)


def test_standard_errors_are_how_far_the_estimates_spread():
    """The mean standard error against the spread of 16 estimates, whose own error is 18 %."""
    found = [SchwartzSmith().fit(drawn_curve(150, seed, step=5 / 242)[0]) for seed in range(16)]
    for name in ("kappa", "sigma_chi", "sigma_xi", "noise", "lambda_chi", "mu_xi_star"):
        spread = np.std([one.params[name] for one in found], ddof=1)
        assert np.mean([one.errors[name] for one in found]) == pytest.approx(spread, rel=0.5), name


@pytest.mark.parametrize(("noise", "ranks"), [("common", 1), ("rank", 5)])
@pytest.mark.parametrize("factors", [2, 1])
def test_the_slope_of_the_search_is_exact(curve, noise, ranks, factors):
    posed = Problem(rows(curve, 5, 2.0, 0.0), factors, ranks, True)
    search, rng = Search(posed), np.random.default_rng(5)
    start = posed.start((1.2, 0.3, 0.2, 0.004))
    for _ in range(3):
        x = start + 0.2 * rng.standard_normal(len(start))
        _, slope = search.value_and_slope(x)
        for i in range(len(x)):
            step = np.zeros(len(x))
            step[i] = 1e-5
            told = (search.value(x + step) - search.value(x - step)) / 2e-5
            assert slope[i] == pytest.approx(told, rel=1e-6, abs=1e-4)


def test_no_search_over_all_eight_parameters_climbs_higher(curve, fitted):
    """The premia and the drift are least squares in every step of ours; here they are searched like the others."""
    search = Search(Problem(rows(curve, 8, 2.0, 0.0), 2, 1, True))
    best = np.concatenate([fitted.coordinates, np.array(fitted.theta)[[2, 3, 6]]])

    def loss(z: np.ndarray) -> float:
        return -float(log_likelihood(*search.posed.natural(z[:-3], z[-3:]), *search._given))

    found = minimize(loss, best + 0.01, method="BFGS", options={"maxiter": 60})
    assert -found.fun <= fitted.loglik + 1e-6
    assert -loss(best) == pytest.approx(fitted.loglik, abs=1e-8)


def test_every_start_ends_on_one_top(fitted):
    assert [kappa for kappa, _ in fitted.starts] == [0.7, 2.5]
    reached = [loglik for _, loglik in fitted.starts]
    assert max(reached) - min(reached) < 1e-7


def test_innovations_and_residuals_are_standard_normal_at_the_truth(curve, fitted):
    theta = tuple(
        TRUTH[name] for name in ("kappa", "sigma_chi", "lambda_chi", "mu_xi", "sigma_xi", "rho", "mu_xi_star")
    )
    seen = replace(fitted, theta=theta, noise=(NOISE,)).filter(curve)
    z = seen.innovation[np.isfinite(seen.innovation)]
    assert len(z) == 300 * 5
    assert kstest(z[5:], "norm").pvalue > 0.01
    assert abs(np.corrcoef(z[1:], z[:-1])[0, 1]) < 3 / np.sqrt(len(z))
    assert np.nanstd(seen.z) == pytest.approx(1.0, abs=0.06)


def test_a_contract_that_is_dear_has_a_residual_that_says_so(curve, fitted):
    price = curve.price.copy()
    column = int(np.flatnonzero(np.isfinite(price[200]))[2])
    price[200, column] *= 1.03
    seen = fitted.filter(Curve(curve.time, price, curve.years))
    assert seen.z[200, column] > 5
    assert seen.residual[200, column] == pytest.approx(0.03, abs=0.012)


def test_nothing_that_comes_later_changes_what_a_date_says(curve, fitted):
    cut = 180
    whole, short = fitted.filter(curve), fitted.filter(curve.part(0, cut))
    later = curve.price.copy()
    later[cut:] *= np.random.default_rng(1).uniform(0.5, 2, later[cut:].shape)
    other = fitted.filter(Curve(curve.time, later, curve.years))
    for one in (short, other):
        for name in ("chi", "xi", "covariance", "innovation", "residual", "z", "loglik"):
            np.testing.assert_array_equal(getattr(one, name)[:cut], getattr(whole, name)[:cut])


def test_dates_of_an_evening_go_on_from_the_state(curve, fitted):
    whole = fitted.filter(curve)
    first = fitted.filter(curve.part(0, 250))
    rest = fitted.filter(curve.part(250, 300), first.state)
    for name in ("chi", "xi", "covariance", "innovation", "residual", "z", "loglik"):
        np.testing.assert_array_equal(getattr(rest, name), getattr(whole, name)[250:])
    assert rest.state == whole.state == fitted.state
    with pytest.raises(FitError, match="must begin after the state"):
        fitted.filter(curve.part(200, 300), first.state)


def test_dates_without_a_price_are_predicted_and_those_before_the_first_are_unknown(curve, fitted):
    price = curve.price.copy()
    price[:3] = np.nan
    price[100:104] = np.nan
    seen = fitted.filter(Curve(curve.time, price, curve.years))
    assert np.isnan(seen.chi[:3]).all()
    assert np.isnan(seen.loglik[:3]).all()
    decay = np.exp(-fitted.theta[0] * np.diff(curve.time)[99:103])
    np.testing.assert_allclose(seen.chi[100:104], seen.chi[99] * np.cumprod(decay), rtol=1e-12)
    assert (np.diff(seen.covariance[99:104, 2]) > 0).all()
    assert fitted.filter(Curve(curve.time[:3], price[:3], curve.years[:3])).state is None


def test_columns_may_stand_in_any_order(curve, fitted):
    turned = np.random.default_rng(2).permutation(curve.price.shape[1])
    other = Curve(curve.time, curve.price[:, turned], curve.years[:, turned])
    assert SchwartzSmith().fit(other).loglik == fitted.loglik
    np.testing.assert_array_equal(fitted.filter(other).z, fitted.filter(curve).z[:, turned])


def test_prices_in_another_currency_move_the_level_alone(curve, fitted):
    scaled = Curve(curve.time, 7.1 * curve.price, curve.years)
    other = SchwartzSmith().fit(scaled)
    assert dict(other.params) == pytest.approx(dict(fitted.params), rel=1e-5, abs=1e-6)
    np.testing.assert_allclose(other.filter(scaled).xi - fitted.filter(curve).xi, np.log(7.1), atol=1e-5)


def test_far_contracts_and_those_beyond_the_eighth_do_not_count():
    curve, _ = drawn_curve(60, 6, contracts=14)
    fitted = SchwartzSmith(contracts=8, years=1.0, least_years=0.1).fit(curve)
    far = np.nan_to_num(curve.years) > 1.0
    nearest = np.isfinite(curve.price) & ~far
    assert fitted.nobs == nearest.sum()
    assert fitted.left_out == (np.isfinite(curve.price) & far).sum()
    assert np.isnan(fitted.filter(curve).z[far]).all()


@pytest.mark.parametrize(
    ("curve", "why"),
    [
        (drawn_curve(300, 1)[0], "1.24 years of prices"),
        (drawn_curve(120, 1, contracts=2, step=5 / 242)[0], "2 contracts on the median date"),
        (drawn_curve(120, 1, contracts=3, step=5 / 242)[0], "4.0 months between the nearest and the farthest"),
    ],
)
def test_thin_data_are_given_one_factor_and_told_why(curve, why):
    fitted = SchwartzSmith().fit(curve)
    assert fitted.factors == 1
    assert any(why in note for note in fitted.notes)
    assert list(fitted.params) == ["kappa", "sigma_chi", "lambda_chi", "noise"]
    assert np.ptp(fitted.filter(curve).xi) < 1.0
    assert SchwartzSmith().simpler() == SchwartzSmith(factors=1)


def test_one_factor_finds_its_own_truth_again():
    """A curve whose level stays: kappa 1.5, sigma_chi .28."""
    rng, truth = np.random.default_rng(8), {**TRUTH, "sigma_xi": 0.0, "rho": 0.0, "mu_xi_star": 0.0}
    t = np.arange(800) / 242
    chi = np.empty(len(t))
    decay = np.exp(-1.5 / 242)
    now = 0.0
    for i in range(len(t)):
        now = decay * now + 0.28 * np.sqrt((1 - decay**2) / 3.0) * rng.standard_normal()
        chi[i] = now
    years = np.tile([0.1, 0.2, 0.3, 0.4], (len(t), 1))
    log_price = np.exp(-1.5 * years) * chi[:, None] + 6.0 + log_level(years, truth)
    price = np.exp(log_price + 0.003 * rng.standard_normal(years.shape))
    fitted = SchwartzSmith().fit(Curve(t, price, years))
    assert fitted.factors == 1
    assert fitted.converged
    assert fitted.params["kappa"] == pytest.approx(1.5, rel=0.05)
    assert fitted.params["sigma_chi"] == pytest.approx(0.28, rel=0.07)


def test_a_price_without_a_log_is_refused_with_what_to_use_instead(curve):
    """Crude oil of May 2020 settled at -37.63 on 2020-04-20."""
    price = curve.price.copy()
    price[123, int(np.flatnonzero(np.isfinite(price[123]))[0])] = -37.63
    fallen = Curve(curve.time, price, curve.years)
    with pytest.raises(FitError, match=r"every price must be positive.*down to -37\.63.*row 123") as refused:
        SchwartzSmith().fit(fallen)
    assert "Bachelier" in str(refused.value)
    assert "shifted log: set params.shift well above 37.63" in str(refused.value)
    zero = Curve(curve.time, np.where(price == -37.63, 0.0, price), curve.years)
    with pytest.raises(FitError, match="every price must be positive"):
        SchwartzSmith().fit(zero)
    with pytest.raises(FitError, match="once 20 is added"):
        SchwartzSmith(shift=20.0).fit(fallen)
    shifted = SchwartzSmith(shift=60.0).fit(fallen)
    years = np.array([0.2, 0.8])
    assert shifted.price(np.array(0.0), np.array(6.2), years) == pytest.approx(
        np.exp(shifted.log_curve(np.array(0.0), np.array(6.2), years)) - 60.0
    )


def test_what_is_no_curve_is_refused(curve):
    with pytest.raises(FitError, match="time must be finite and rise"):
        Curve(curve.time[::-1], curve.price, curve.years)
    with pytest.raises(FitError, match="a row a date"):
        Curve(curve.time[1:], curve.price, curve.years)
    with pytest.raises(FitError, match="time to maturity of 0 or more"):
        Curve(curve.time, curve.price, np.where(np.isfinite(curve.years), -1.0, np.nan))
    with pytest.raises(FitError, match="it needs 30 dates"):
        SchwartzSmith().fit(curve.part(0, 29))
    still = Curve(curve.time, np.where(np.isfinite(curve.price), 100.0, np.nan), curve.years)
    with pytest.raises(FitError, match="must vary"):
        SchwartzSmith().fit(still)
    with pytest.raises(FitError, match="it needs 30 dates"):
        SchwartzSmith().fit(Curve(curve.time, np.full_like(curve.price, np.nan), curve.years))


@pytest.mark.parametrize("noise", ["common", "rank"])
def test_it_survives_json_and_is_the_same_twice(curve, noise):
    spec = SchwartzSmith(noise=noise)
    fitted = spec.fit(curve)
    again = spec.fit(curve)
    told = json.dumps(fitted.describe(), allow_nan=False)
    assert json.dumps(again.describe()) == told
    read = FittedSchwartzSmith.restore(json.loads(told))
    assert json.dumps(read.describe()) == told
    np.testing.assert_array_equal(read.filter(curve).z, fitted.filter(curve).z)
    assert list(fitted.params) == list(fitted.errors)


def test_a_fit_may_begin_where_an_earlier_one_ended(curve, fitted):
    longer = SchwartzSmith().fit(curve, fitted)
    assert longer.loglik == pytest.approx(fitted.loglik, abs=1e-7)
    assert len(longer.starts) == 3


def test_a_spread_is_forecast_as_its_states_and_its_residual_say(fitted):
    """Against draws of the state and of the measurement."""
    rng, n, ahead = np.random.default_rng(3), 200_000, 20 / 242
    state = TermState(0.0, 0.12, 6.0, (1e-4, 0.0, 1e-4))
    near, far = np.array([0.3]), np.array([0.9])
    mean, sd = fitted.forecast_spread(state, near, far, np.array([-0.05]), ahead)
    kappa, sigma = fitted.theta[:2]
    chi = state.chi + 1e-2 * rng.standard_normal(n)
    step = sigma * np.sqrt((1 - np.exp(-2 * kappa * ahead)) / (2 * kappa))
    chi = np.exp(-kappa * ahead) * chi + step * rng.standard_normal(n)
    both = [fitted.log_curve(chi, np.array(6.0), y - ahead) for y in (near, far)]
    later = both[1] - both[0] + fitted.noise[0] * np.sqrt(2.0) * rng.standard_normal(n)
    assert mean[0] == pytest.approx(later.mean() + 0.05, abs=4 * later.std() / np.sqrt(n))
    assert sd[0] == pytest.approx(later.std(), rel=0.01)
    with pytest.raises(FitError, match="must outlive"):
        fitted.forecast_spread(state, np.array([0.01]), far, np.array([0.0]), ahead)


def test_three_hundred_weeks_of_five_contracts_are_fitted_in_three_seconds(curve, fitted):
    """After compilation, of processor time; benchmarks/bench_schwartz_smith.py has the ratios."""
    started = time.process_time()
    SchwartzSmith().fit(curve)
    assert time.process_time() - started < 3.0
