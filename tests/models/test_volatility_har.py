"""HAR by statsmodels, by plain loops, and by the truth behind what it is given."""

from __future__ import annotations

import math

import numpy as np
import pytest
import statsmodels.api as sm
from range_world import realised_returns

from models.base import FitError
from models.volatility.base import Returns
from models.volatility.har import MONTH, TERMS, Har


@pytest.fixture(scope="module")
def world() -> Returns:
    return realised_returns(500, 11, 0.01)[0]


def regression(returns: Returns, horizon: int, leverage: bool) -> tuple[np.ndarray, np.ndarray, float]:
    """Terms and target row by row, in units of the mean range variance; and the variance that it stands for."""
    floor = 0.01 * float(np.median(returns.range_variance))
    rv = [max(x, floor) for x in returns.range_variance]
    mean = sum(rv) / len(rv)
    rv = [x / mean for x in rv]
    X, y = [], []
    for t in range(21, len(rv)):
        day = math.log(rv[t])
        row = [1.0, day, math.log(sum(rv[t - 4 : t + 1]) / 5), math.log(sum(rv[t - 21 : t + 1]) / 22)]
        X.append([*row, day if returns.value[t] < 0 else 0.0] if leverage else row)
        ahead = rv[t + 1 : t + 1 + horizon]
        y.append(math.log(sum(ahead) / horizon) if len(ahead) == horizon else math.nan)
    return np.array(X), np.array(y), float(np.var(returns.value))


@pytest.mark.parametrize("leverage", [True, False])
@pytest.mark.parametrize("horizon", [1, 5, 20])
def test_coefficients_errors_and_forecasts_are_those_of_statsmodels(world, horizon, leverage):
    X, y, variance = regression(world, horizon, leverage)
    seen = np.isfinite(y)
    ols = sm.OLS(y[seen], X[seen]).fit(cov_type="HAC", cov_kwds={"maxlags": horizon})
    fitted = Har(leverage=leverage).fit(world)
    np.testing.assert_allclose(fitted.beta[horizon - 1, : X.shape[1]], ols.params, rtol=1e-8, atol=1e-10)
    assert fitted.residual_variance[horizon - 1] == pytest.approx(ols.mse_resid, rel=1e-9)
    errors = fitted.standard_errors(world, horizon)
    assert list(errors) == list(TERMS[: X.shape[1]])
    np.testing.assert_allclose(list(errors.values()), ols.bse, rtol=1e-8)
    level = variance * np.exp(X @ ols.params + ols.mse_resid / 2)
    found = fitted.forecast(world, np.arange(21, 500), (horizon,)).variance[:, 0]
    np.testing.assert_allclose(found, level * horizon, rtol=1e-8)


def test_before_there_is_a_month_there_is_no_variance(world):
    variance = Har().fit(world).filter(world).variance
    assert np.isnan(variance[:MONTH]).all()
    assert np.isfinite(variance[MONTH:]).all()


def test_range_variances_times_a_number_give_the_same_variances_of_returns(world):
    """A range that sees a part of the session alone is scaled to what the returns say."""
    half = Returns(world.value, world.range_variance * 0.5)
    at = np.array([300, 499])
    one, other = (Har().fit(of).forecast(of, at, (1, 20)).variance for of in (world, half))
    np.testing.assert_allclose(one, other, rtol=1e-12)


def test_the_forecasts_follow_the_variances_behind_the_returns():
    found = []
    for seed in range(6):
        returns, h = realised_returns(1500, seed)
        ahead = Har().fit(returns).filter(returns).variance
        found.append(np.corrcoef(np.log(ahead[MONTH:-1]), np.log(h[MONTH:]))[0, 1])
    assert np.median(found) > 0.97


def test_the_mean_forecast_over_a_horizon_is_unbiased():
    """The level of the log forecast: without half the residual variance it would be 7 % too low at one session."""
    ratios = []
    for seed in range(10):
        returns, h = realised_returns(1500, seed)
        fitted = Har().fit(returns)
        ahead = fitted.forecast(returns, np.arange(30, 1440), (1, 20)).variance
        later = np.cumsum(np.concatenate([[0.0], h]))
        rows = np.arange(30, 1440)
        truth = np.stack([later[rows + 1 + k] - later[rows + 1] for k in (1, 20)], axis=1)
        ratios.append(ahead.mean(axis=0) / truth.mean(axis=0))
    np.testing.assert_allclose(np.median(ratios, axis=0), 1.0, atol=0.04)


def test_drawn_returns_are_those_of_a_plain_loop(world):
    fitted = Har().fit(world)
    floor, mean = fitted.floor, fitted.rv_mean
    z = fitted.filter(world).residuals(world)
    X, y, _ = regression(world, 1, True)
    u = np.full(500, np.nan)
    u[22:] = (y - X @ fitted.beta[0])[:-1]
    shocks = np.random.default_rng(1).integers(22, 500, (3, 40))
    for row, drawn in zip(shocks, fitted.draw(world, shocks), strict=True):
        past = [max(x, floor) / mean for x in world.range_variance]
        fell = world.value[-1] < 0
        for at, found in zip(row, drawn, strict=True):
            day = math.log(past[-1])
            terms = [1.0, day, math.log(sum(past[-5:]) / 5), math.log(sum(past[-22:]) / 22), day if fell else 0.0]
            forecast = float(np.dot(terms, fitted.beta[0]))
            h = fitted.variance * math.exp(forecast + fitted.residual_variance[0] / 2)
            r = fitted.mean + math.sqrt(h) * z[at]
            assert found == pytest.approx(r, rel=1e-9)
            past.append(math.exp(forecast + u[at]))
            fell = r < 0


def test_ranges_that_are_all_the_same_but_for_a_few_cannot_be_regressed_on(world):
    x = np.full(500, 1e-4)
    x[0] = 2e-4
    with pytest.raises(FitError):
        Har().fit(Returns(world.value, x))
