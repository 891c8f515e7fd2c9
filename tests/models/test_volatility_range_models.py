"""EWMA, HAR and realised GARCH: what holds for each of them, whatever it is."""

from __future__ import annotations

import json

import numpy as np
import pytest
from range_world import realised_returns

from models.base import FitError
from models.volatility import restore
from models.volatility.base import Returns
from models.volatility.ewma import Ewma
from models.volatility.har import Har
from models.volatility.realised import RealisedGarch

SPECS = {
    "ewma": Ewma(),
    "ewma_ml_normal": Ewma(decay=None, innovation="normal"),
    "har": Har(),
    "har_plain": Har(leverage=False, innovation="normal", longest=20),
    "realised": RealisedGarch(),
    "realised_zero_mean": RealisedGarch(mean=False, innovation="normal"),
}
HORIZONS = (1, 5, 20)
every = pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)


@pytest.fixture(scope="module")
def world() -> Returns:
    return realised_returns(700, 3, 0.01)[0]


@every
def test_the_same_twice_and_its_inputs_left_alone(spec, world):
    value, x = world.value.copy(), world.range_variance.copy()
    assert json.dumps(spec.fit(world).describe()) == json.dumps(spec.fit(world).describe())
    np.testing.assert_array_equal(world.value, value)
    np.testing.assert_array_equal(world.range_variance, x)


@every
def test_what_describe_tells_is_json_and_restores_the_model(spec, world):
    fitted = spec.fit(world)
    again = restore(json.loads(json.dumps(fitted.describe(), allow_nan=False)))
    assert type(again) is type(fitted)
    assert again.spec == spec
    assert (dict(again.params), again.dof, again.loglik) == (dict(fitted.params), fitted.dof, fitted.loglik)
    origins = np.array([400, 699])
    shocks = np.random.default_rng(0).integers(30, 700, (20, 15))
    for one, other in (
        (fitted.filter(world).variance, again.filter(world).variance),
        (fitted.forecast(world, origins, HORIZONS).variance, again.forecast(world, origins, HORIZONS).variance),
        (fitted.draw(world, shocks), again.draw(world, shocks)),
        (fitted.quantile([0.01]), again.quantile([0.01])),
    ):
        np.testing.assert_array_equal(one, other)


@every
@pytest.mark.parametrize("scale", [100.0, 1e4, 1e-3])
def test_returns_times_a_number_have_volatilities_times_it(spec, world, scale):
    larger = Returns(world.value * scale, world.range_variance * scale**2)
    one, other = spec.fit(world), spec.fit(larger)
    np.testing.assert_allclose(
        np.sqrt(other.filter(larger).variance), scale * np.sqrt(one.filter(world).variance), rtol=1e-9
    )
    at = np.array([500, 699])
    found, expected = other.forecast(larger, at, HORIZONS), one.forecast(world, at, HORIZONS)
    np.testing.assert_allclose(np.sqrt(found.variance), scale * np.sqrt(expected.variance), rtol=1e-9)
    np.testing.assert_allclose(found.mean, scale * expected.mean, rtol=1e-9, atol=1e-15 * scale)
    shocks = np.random.default_rng(0).integers(30, 700, (20, 15))
    np.testing.assert_allclose(
        other.draw(larger, shocks), scale * one.draw(world, shocks), rtol=1e-8, atol=1e-10 * scale
    )
    assert other.loglik == pytest.approx(one.loglik - one.nobs * np.log(scale), rel=1e-8)


@every
def test_a_forecast_does_not_change_where_the_future_does(spec, world):
    fitted = spec.fit(world.part(0, 500))
    noise = np.random.default_rng(1)
    value, x = world.value.copy(), world.range_variance.copy()
    value[600:], x[600:] = noise.normal(size=100), noise.random(100)
    origins = np.arange(480, 600)
    one = fitted.forecast(world, origins, HORIZONS)
    other = fitted.forecast(Returns(value, x), origins, HORIZONS)
    alone = fitted.forecast(world.part(0, 600), origins, HORIZONS)
    np.testing.assert_array_equal(one.variance, other.variance)
    np.testing.assert_array_equal(one.variance, alone.variance)


@every
def test_the_forecast_of_a_session_is_what_the_filter_says_of_it(spec, world):
    fitted = spec.fit(world)
    origins = np.arange(30, 700)
    path, ahead = fitted.filter(world), fitted.forecast(world, origins, (1,))
    np.testing.assert_allclose(ahead.variance[:, 0], path.variance[origins + 1], rtol=1e-13)
    np.testing.assert_allclose(ahead.mean[:, 0], path.mean[origins + 1], rtol=1e-13)


@every
def test_horizons_may_come_alone(spec, world):
    fitted, at = spec.fit(world), np.array([650])
    whole = fitted.forecast(world, at, HORIZONS).variance
    for column, horizon in enumerate(HORIZONS):
        np.testing.assert_allclose(fitted.forecast(world, at, (horizon,)).variance[:, 0], whole[:, column], rtol=1e-13)


@every
def test_drawn_returns_have_about_the_variance_that_is_forecast(spec, world):
    fitted = spec.fit(world)
    shocks = np.random.default_rng(2).integers(30, 700, (20_000, 20))
    drawn = np.cumsum(fitted.draw(world, shocks), axis=1)[:, np.array(HORIZONS) - 1]
    forecast = fitted.forecast(world, np.array([699]), HORIZONS)
    # Residuals of the sample are not quite of variance 1, and those of an EWMA carry that on.
    np.testing.assert_allclose(drawn.var(axis=0) / forecast.variance[0], 1.0, atol=0.15)


@every
def test_standardised_residuals_have_about_the_variance_one(spec, world):
    z = spec.fit(world).filter(world).residuals(world)
    assert np.nanvar(z) == pytest.approx(1.0, abs=0.1)


@every
def test_returns_that_are_too_few_or_do_not_vary_are_refused(spec, world):
    short = world.part(0, spec.least - 1)
    with pytest.raises(FitError, match="it needs"):
        spec.fit(short)
    for constant in (0.0, 0.1):
        still = Returns(np.full(300, constant), np.full(300, 1e-4))
        with pytest.raises(FitError, match="must vary"):
            spec.fit(still)


@every
@pytest.mark.parametrize(("fall", "floored"), [(0.0, 5), (-0.05, 0)], ids=["untraded", "limit"])
def test_a_week_locked_at_one_price_is_lived_through(spec, world, fall, floored):
    """Untraded: no return, no range. Limit: a gap of 5 % each session, which is all the range that there is."""
    value, x = world.value.copy(), world.range_variance.copy()
    value[300:305], x[300:305] = fall, fall**2
    locked = Returns(value, x)
    fitted = spec.fit(locked)
    variance = fitted.filter(locked).variance
    assert fitted.converged
    assert np.nanmin(variance) > 1e-7
    assert np.nanmax(variance) < 0.1
    if "range_variance" in spec.needs:
        assert fitted.floored == fitted.describe()["floored"] == floored


@pytest.mark.parametrize("spec", [Har(), RealisedGarch()])
def test_ranges_are_needed_and_must_mostly_be_there(spec, world):
    with pytest.raises(FitError, match="range variance"):
        spec.fit(Returns(world.value))
    x = world.range_variance.copy()
    x[::2], x[1] = 0.0, 0.0
    with pytest.raises(FitError, match=r"must be positive; found 349 of 700"):
        spec.fit(Returns(world.value, x))


@pytest.mark.parametrize("spec", [Har(longest=20), RealisedGarch(longest=20)])
def test_a_horizon_beyond_the_longest_is_refused(spec, world):
    fitted = spec.fit(world)
    fitted.forecast(world, np.array([600]), (1, 20))
    with pytest.raises(FitError, match=r"1 to 20"):
        fitted.forecast(world, np.array([600]), (1, 21))


@every
def test_every_chain_of_simpler_models_ends(spec):
    names = []
    current = spec
    while current is not None:
        names.append(current.kind)
        current = current.simpler()
    assert names[-1] == "ewma"
    assert len(names) < 6


class FirstChoice:
    """A trial that takes the low end of everything."""

    def suggest_float(self, name, low, high, *, step=None, log=False):
        return low

    def suggest_int(self, name, low, high, *, step=1, log=False):
        return low

    def suggest_categorical(self, name, choices):
        return choices[-1]


@every
def test_a_spec_is_drawn_from_its_space(spec, world):
    drawn = spec.space(FirstChoice())
    assert type(drawn) is type(spec)
    assert drawn.fit(world).converged
