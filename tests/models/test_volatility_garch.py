"""The GARCH family: what it recovers, forecasts, draws, refuses; the scale of returns is no matter."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from models.base import FitError
from models.volatility.ahead import exponential, gauss_rule, geometric, powered, shock_of
from models.volatility.base import Returns
from models.volatility.errors import standard_errors
from models.volatility.estimation import bounds, problem, starts
from models.volatility.ewma import Ewma
from models.volatility.garch import FittedGarch, Garch
from models.volatility.likelihood import to_natural, to_search
from models.volatility.search import search
from tests.models.garch_world import VARIANCES, gjr_t, percent


@pytest.fixture(scope="module")
def returns() -> Returns:
    return percent(1200, seed=7)


def test_the_spec_example_of_a_term_structure():
    """Source  04 §5: omega 2e-6, alpha .08, beta .90, h 1.5e-4; A = 242."""
    ahead = geometric(2e-6, 0.98, np.array([1.5e-4]), 5)[0]
    assert ahead[4] == pytest.approx(1.46118408e-4, rel=1e-12)
    assert ahead.sum() == pytest.approx(7.40198008e-4, rel=1e-9)
    assert np.sqrt(242 * ahead.sum() / 5) == pytest.approx(0.1892764739, abs=5e-11)


def test_gjr_with_t_innovations_recovers_what_drew_the_returns():
    """Source  04 §5: omega .02, alpha .05, gamma .06, beta .90, nu 6; T = 2500; medians of 20."""
    found, near = [], []
    for seed in range(20):
        y, h = gjr_t(2500, seed)
        fitted = Garch("gjr", innovation="t").fit(Returns(y))
        found.append([fitted.params[name] for name in ("alpha", "gamma", "beta", "nu")])
        near.append(np.corrcoef(fitted.filter(Returns(y)).variance[:-1], h)[0, 1])
        assert fitted.converged
    alpha, gamma, beta, nu = np.median(found, axis=0)
    assert alpha == pytest.approx(0.05, abs=0.015)
    assert gamma == pytest.approx(0.06, abs=0.02)
    assert beta == pytest.approx(0.90, abs=0.02)
    assert nu == pytest.approx(6, abs=1)
    assert min(near) >= 0.97


@pytest.mark.parametrize("presample", ["backcast", "sample"])
@pytest.mark.parametrize("variance", VARIANCES)
def test_the_scale_of_the_returns_is_no_matter(variance, presample):
    spec = Garch(variance, "ar1", "t", presample=presample)
    base = gjr_t(600, 11)[0] + 0.05
    told = []
    for scale in (1e-4, 1e-2, 1.0):
        here = Returns(base * scale)
        fitted = spec.fit(here)
        assert fitted.converged
        told.append(fitted.forecast(here, np.array([500, 599]), (1, 20)).variance / scale**2)
    assert told[0] == pytest.approx(told[2], rel=1e-8)
    assert told[1] == pytest.approx(told[2], rel=1e-8)


@pytest.mark.parametrize("variance", VARIANCES)
def test_a_warm_start_ends_where_a_cold_one_does(variance):
    value = percent(1020, seed=3).value
    spec = Garch(variance, innovation="t")
    before, later = spec.fit(Returns(value[:1000])), Returns(value[20:])
    assert spec.fit(later, before).loglik == pytest.approx(spec.fit(later).loglik, abs=1e-5)


@pytest.mark.parametrize(("variance", "mean"), [*product(VARIANCES, ["zero", "constant", "ar2"]), ("gjr", "arma")])
def test_a_fitted_model_survives_being_told(variance, mean, returns):
    short = returns.part(0, 500)
    fitted = Garch(variance, mean, "skewt").fit(short)
    again = FittedGarch.restore(json.loads(json.dumps(fitted.describe())))
    assert again == fitted
    origins = np.array([300, 499])
    ours, theirs = fitted.forecast(short, origins, (1, 60)), again.forecast(short, origins, (1, 60))
    assert np.array_equal(ours.variance, theirs.variance)
    assert np.array_equal(ours.mean, theirs.mean)


@pytest.mark.parametrize("mean", ["zero", "constant", "ar2", "arma"])
def test_a_forecast_of_the_next_session_is_the_last_of_the_filter(mean, returns):
    fitted = Garch("gjr", mean, "t").fit(returns.part(0, 1000))
    path = fitted.filter(returns.part(0, 1011))
    found = fitted.forecast(returns.part(0, 1200), np.array([1010]), (1,))
    assert found.variance[0, 0] == pytest.approx(path.variance[-1], rel=1e-14)
    assert found.mean[0, 0] == pytest.approx(path.mean[-1], rel=1e-12)


def test_what_comes_after_an_origin_does_not_move_its_forecast(returns):
    for variance in VARIANCES:
        fitted = Garch(variance, "ar1", "t").fit(returns.part(0, 1000))
        whole = fitted.forecast(returns, np.array([1005, 1100]), (1, 5, 60))
        cut = fitted.forecast(returns.part(0, 1006), np.array([1005]), (1, 5, 60))
        assert whole.variance[0] == pytest.approx(cut.variance[0], rel=1e-13)
        assert whole.mean[0] == pytest.approx(cut.mean[0], rel=1e-13)


@pytest.mark.parametrize("variance", ["egarch", "aparch"])
def test_expected_variances_are_those_of_every_pair_of_past_shocks(variance):
    """Two sessions ahead of the next: all pairs of residuals that could strike, one by one."""
    z = np.random.default_rng(2).standard_t(4, 300) / np.sqrt(2)
    theta = np.array([-0.01, 0.2, -0.1, 0.95] if variance == "egarch" else [0.03, 0.1, 0.4, 0.85, 1.3])
    h = np.array([0.4, 1.0, 6.0])
    rule = gauss_rule(shock_of(variance, theta, z))
    if variance == "egarch":
        found = exponential(theta[0], theta[3], rule, h, 3)
        g = theta[1] * (np.abs(z) - np.sqrt(2 / np.pi)) + theta[2] * z
        one = theta[0] + theta[3] * np.log(h)[:, None] + g
        two = theta[0] + theta[3] * one[:, :, None] + g
        each = np.exp(one), np.exp(two)
    else:
        found = powered(theta[0], theta[4], rule, h, 3)
        a = theta[1] * (np.abs(z) - theta[2] * z) ** theta[4] + theta[3]
        one = theta[0] + a * h[:, None] ** (theta[4] / 2)
        two = theta[0] + a * one[:, :, None]
        each = one ** (2 / theta[4]), two ** (2 / theta[4])
    assert found[:, 0] == pytest.approx(h, rel=1e-10)
    assert found[:, 1] == pytest.approx(each[0].mean(axis=1), rel=1e-8)
    assert found[:, 2] == pytest.approx(each[1].mean(axis=(1, 2)), rel=1e-8)


def test_an_aparch_of_power_two_without_asymmetry_forecasts_as_a_garch():
    z = np.random.default_rng(2).standard_normal(500)
    rule = gauss_rule(shock_of("aparch", np.array([0.03, 0.05, 0.0, 0.9, 2.0]), z))
    h, persistence = np.array([0.3, 0.8, 5.0]), 0.05 * np.mean(z**2) + 0.9
    assert powered(0.03, 2.0, rule, h, 60) == pytest.approx(geometric(0.03, persistence, h, 60), rel=1e-9)


def test_a_gauss_rule_has_the_moments_of_its_law():
    value = np.random.default_rng(4).standard_t(3, 800)
    node, weight = gauss_rule(value, 8)
    for power in range(16):
        assert weight @ (node / 10) ** power == pytest.approx(np.mean((value / 10) ** power), rel=1e-9), power


def test_a_gauss_rule_of_few_values_is_those_values():
    node, weight = gauss_rule(np.array([1.0, 1.0, 2.0, 1.0]))
    assert node == pytest.approx([1.0, 2.0])
    assert weight == pytest.approx([0.75, 0.25])


@pytest.mark.parametrize("variance", VARIANCES)
def test_paths_spread_as_the_forecast_says(variance, returns):
    fitted = Garch(variance, "constant", "t").fit(returns)
    z = fitted.filter(returns).residuals(returns)
    shocks = np.random.default_rng(1).integers(0, 1200, (40_000, 20))
    drawn = np.cumsum(fitted.draw(returns, shocks), axis=1)
    found = fitted.forecast(returns, np.array([1199]), (1, 20)).variance[0]
    assert drawn[:, 0].var() == pytest.approx(found[0] * z.var(), rel=0.03)
    # The residuals' mean square, which is not quite the 1 of the law, counts in their own session and in those after.
    assert drawn[:, 19].var() == pytest.approx(found[1] * np.mean(z**2) ** 2, rel=0.04)


@pytest.mark.parametrize("variance", VARIANCES)
def test_a_path_is_the_filter_of_its_own_returns(variance, returns):
    """A path that is drawn, appended to the past and filtered has the residuals that were drawn."""
    fitted = Garch(variance, "ar1", "t").fit(returns)
    z = fitted.filter(returns).residuals(returns)
    shocks = np.array([[5, 900, 17, 1100, 44, 3]])
    drawn = fitted.draw(returns, shocks)[0]
    longer = Returns(np.r_[returns.value, drawn])
    assert fitted.filter(longer).residuals(longer)[1200:] == pytest.approx(z[shocks[0]], rel=1e-9)


def test_a_regressor_that_moved_the_variance_is_found_and_counts_once():
    rng = np.random.default_rng(9)
    x, n = (rng.random(4000) < 0.1) * 1.0, 4000
    y, h = np.empty(n), 1.0
    for t in range(n):
        y[t] = np.sqrt(h) * rng.standard_normal()
        h = 0.05 + 0.05 * y[t] ** 2 + 0.85 * h + 0.4 * x[t]
    idle = rng.random(n)
    given = Returns(y / 100, None, {"roll": x, "idle": idle, "still": np.zeros(n)})
    fitted = Garch("garch", regressors=("roll", "idle", "still")).fit(given)
    assert fitted.converged
    assert fitted.params["d_roll"] * 1e4 == pytest.approx(0.4, abs=4 * standard_errors(fitted, given)["d_roll"] * 1e4)
    assert fitted.params["d_still"] == 0.0
    assert fitted.loglik > Garch("garch").fit(given).loglik + 20
    # Known for the next session, held at its mean beyond.
    at = int(np.flatnonzero(x)[-1])
    e = y[at] / 100 - fitted.params["mu"]
    p, path = fitted.params, fitted.filter(given.part(0, at + 1))
    known = p["omega"] + p["alpha"] * e**2 + p["beta"] * path.variance[at] + p["d_roll"] + p["d_idle"] * idle[at]
    told = fitted.forecast(given.part(0, at + 1), np.array([at]), (1, 2)).variance[0]
    assert told[0] == pytest.approx(known, rel=1e-12)
    held = p["d_roll"] * x.mean() + p["d_idle"] * idle.mean()
    assert told[1] - told[0] == pytest.approx(p["omega"] + held + (p["alpha"] + p["beta"]) * told[0], rel=1e-12)


def test_a_regressor_of_another_unit_gives_the_same_variances():
    value, x = percent(800, seed=2).value, np.random.default_rng(0).random(800)
    for variance in VARIANCES:
        spec = Garch(variance, innovation="t", regressors=("volume",))
        told = []
        for unit in (1.0, 1e6):
            given = Returns(value, None, {"volume": x * unit})
            told.append(spec.fit(given).filter(given).variance)
        assert told[0] == pytest.approx(told[1], rel=1e-7)


def test_an_arma_is_found_and_its_residuals_are_those_of_the_variance():
    e = gjr_t(3000, 5)[0]
    y = np.zeros(3000)
    for t in range(1, 3000):
        y[t] = 0.02 + 0.6 * y[t - 1] + e[t] + 0.3 * e[t - 1]
    fitted = Garch("gjr", "arma", "t").fit(Returns(y))
    assert (len(fitted.equation.ar), len(fitted.equation.ma)) == (1, 1)
    assert fitted.params["ar1"] == pytest.approx(0.6, abs=0.06)
    assert fitted.params["ma1"] == pytest.approx(0.3, abs=0.06)
    path, c = fitted.filter(Returns(y)), fitted.equation
    own = np.zeros(3000)
    own[0] = y[0] - c.level
    for t in range(1, 3000):
        own[t] = y[t] - c.const - c.ar[0] * y[t - 1] - c.ma[0] * own[t - 1]
    assert y - path.mean[:-1] == pytest.approx(own, abs=1e-10)
    assert np.corrcoef(own, e)[0, 1] > 0.995
    assert path.mean[-1] == pytest.approx(c.const + c.ar[0] * y[-1] + c.ma[0] * own[-1], rel=1e-12)


def test_the_presample_of_the_sample_is_the_mean_squared_residual(returns):
    fitted = Garch(presample="sample").fit(returns)
    assert fitted.presample == pytest.approx(np.mean((returns.value - fitted.params["mu"]) ** 2), rel=1e-12)
    p = fitted.params
    first = p["omega"] + (p["alpha"] + p["beta"]) * fitted.presample
    assert fitted.filter(returns).variance[0] == pytest.approx(first, rel=1e-12)
    assert fitted.loglik != pytest.approx(Garch().fit(returns).loglik, abs=1e-6)


def test_an_integrated_series_is_not_called_converged():
    rng, h = np.random.default_rng(3), 1.0
    y = np.empty(1500)
    for t in range(1500):
        y[t] = np.sqrt(h) * rng.standard_normal()
        h = max(0.12 * y[t] ** 2 + 0.91 * h, 1e-6)
    fitted = Garch().fit(Returns(y))
    assert not fitted.converged
    assert fitted.persistence == pytest.approx(1.0, abs=1e-9)


def test_standard_errors_by_three_roads_agree_where_the_law_is_right():
    rng, h, y = np.random.default_rng(6), 1.0, np.empty(20_000)
    for t in range(len(y)):
        y[t] = np.sqrt(h) * rng.standard_normal()
        h = 0.05 + 0.08 * y[t] ** 2 + 0.87 * h
    given = Returns(y)
    fitted = Garch().fit(given)
    told = [np.array([*standard_errors(fitted, given, kind).values()]) for kind in ("hessian", "opg", "sandwich")]
    assert told[1] == pytest.approx(told[0], rel=0.06)
    assert told[2] == pytest.approx(told[0], rel=0.06)
    truth = np.array([0.0, 0.05, 0.08, 0.87])
    assert (np.abs(np.array(fitted.theta) - truth) < 4 * told[0]).all()


def test_an_estimate_on_a_bound_has_no_standard_error():
    y = np.random.default_rng(0).standard_normal(1000)
    fitted = Garch(innovation="t").fit(Returns(y))
    told = standard_errors(replace(fitted, theta=(*fitted.theta[:-1], 500.0)), Returns(y), "opg")
    assert np.isnan(told["nu"])


def test_what_cannot_be_fitted_is_refused():
    with pytest.raises(FitError, match="do not vary"):
        Garch().fit(Returns(np.zeros(500)))
    with pytest.raises(FitError, match="do not vary"):
        Garch().fit(Returns(np.full(500, 0.1)))
    with pytest.raises(FitError, match="100 returns"):
        Garch().fit(Returns(np.ones(30)))
    with pytest.raises(FitError, match="no roll"):
        Garch(regressors=("roll",)).fit(percent(300))
    with pytest.raises(FitError, match="named once"):
        Garch(regressors=("roll", "roll"))
    fitted = Garch(mean="ar2").fit(percent(300))
    with pytest.raises(FitError, match="from 2 on"):
        fitted.draw(percent(300), np.array([[1]]))
    with pytest.raises(FitError, match="seen 3 returns"):
        fitted.forecast(percent(300), np.array([1]), (1,))


def test_every_variance_falls_back_to_a_simpler_one_and_at_last_to_ewma():
    spec, told = Garch("egarch", "ar1", "skewt", ("roll",)), []
    while isinstance(spec, Garch):
        told.append(spec.variance)
        assert (spec.mean, spec.innovation, spec.regressors) == ("ar1", "skewt", ("roll",))
        spec = spec.simpler()
    assert told == ["egarch", "gjr", "garch"]
    assert isinstance(spec, Ewma)
    assert {Garch(one).simpler().variance for one in ("aparch", "figarch")} == {"gjr"}


def test_a_warm_start_on_a_lower_top_does_not_keep_the_fit_there():
    """A shock beyond all others makes two tops: of a variance that forgets it at once, and of one that never quite."""
    several = 0
    for seed in range(40):
        y = gjr_t(600, seed)[0]
        y[300] = 15.0
        here, spec = Returns(y), Garch()
        posed, _ = problem(spec.shape, here, False)
        low, high = bounds(posed)
        begins = [to_search(*spec.shape.codes, *spec.shape.counts, theta) for theta in starts(posed)]
        none = np.empty((0, 4)), np.empty(0)
        given = (low, high, posed.y, posed.design, posed.lagged, posed.presample, 0.0, 200, *none)
        tops = [search(*spec.shape.codes, np.clip(x, low, high), *given) for x in begins]
        heights = [one[1] - 600 * np.log(posed.spread) for one in tops]
        several += np.ptp(heights) > 1e-3
        lowest = to_natural(*spec.shape.codes, *spec.shape.counts, tops[int(np.argmin(heights))][0])
        warm = replace(spec.fit(here), theta=tuple(spec.shape.rescaled(lowest, posed.spread).tolist()))
        assert spec.fit(here, warm).loglik == pytest.approx(max(heights), abs=1e-8)
    assert several > 3
