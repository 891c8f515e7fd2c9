"""What every volatility model keeps to: units, memory, time, and hard days."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from models.base import FitError
from models.volatility import VOLATILITY_MODELS, restore, volatility_model
from models.volatility.base import Returns, VolatilitySpec
from models.volatility.ewma import Ewma
from models.volatility.failure import fit_or_fall_back
from models.volatility.garch import Garch
from models.volatility.har import Har
from models.volatility.realised import RealisedGarch
from models.volatility.walk import Plan, walk

T = 900
HORIZONS = (1, 5, 20, 60)
SPECS = {
    "ewma": Ewma(),
    "ewma_ml": Ewma(decay=None),
    "garch_n": Garch(),
    "garch_zero": Garch(mean="zero", presample="sample"),
    "gjr_t": Garch(variance="gjr", innovation="t"),
    "gjr_x": Garch(variance="gjr", innovation="t", regressors=("oi_change", "roll")),
    "egarch_t": Garch(variance="egarch", innovation="t"),
    "egarch_x": Garch(variance="egarch", regressors=("oi_change",)),
    "aparch_skewt": Garch(variance="aparch", innovation="skewt"),
    "figarch_t": Garch(variance="figarch", innovation="t"),
    "ar2": Garch(mean="ar2", innovation="t"),
    "arma": Garch(mean="arma"),
    "har": Har(),
    "realised": RealisedGarch(),
}
EACH = pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS.keys())


def simulated(seed: int = 7, t: int = T) -> Returns:
    """GJR-t returns in decimals, with the range of a session as noisy as ranges are, and two regressors."""
    rng = np.random.default_rng(seed)
    z = rng.standard_t(6, t) / math.sqrt(1.5)
    h, e = np.full(t, 1.0), np.empty(t)
    for s in range(t):
        if s:
            h[s] = 0.04 + (0.04 + 0.06 * (e[s - 1] < 0)) * e[s - 1] ** 2 + 0.89 * h[s - 1]
        e[s] = math.sqrt(h[s]) * z[s]
    x = h * 1e-4 * np.exp(rng.normal(-0.1, 0.4, t))
    beside = {"oi_change": np.abs(rng.normal(0, 0.02, t)), "roll": (np.arange(t) % 20 == 19) * 1.0}
    return Returns(0.01 * e + 2e-4, x, beside)


@pytest.fixture(scope="module")
def returns() -> Returns:
    return simulated()


def scaled(returns: Returns, by: float) -> Returns:
    x = None if returns.range_variance is None else returns.range_variance * by**2
    return Returns(returns.value * by, x, returns.regressors)


def test_every_kind_is_tried_here() -> None:
    assert {spec.kind for spec in SPECS.values()} == set(VOLATILITY_MODELS)
    for spec in SPECS.values():
        assert volatility_model(spec.kind) is type(spec)


@EACH
def test_the_same_returns_give_the_same_model_twice(spec: VolatilitySpec, returns: Returns) -> None:
    assert spec.fit(returns).describe() == spec.fit(returns).describe()


@EACH
def test_what_a_model_tells_of_itself_is_plain_and_all_it_knows(spec: VolatilitySpec, returns: Returns) -> None:
    fitted = spec.fit(returns)
    back = restore(json.loads(json.dumps(fitted.describe(), allow_nan=False)))
    assert back.describe() == fitted.describe()
    origins = np.array([400, 700, T - 1])
    one, other = fitted.forecast(returns, origins, HORIZONS), back.forecast(returns, origins, HORIZONS)
    assert np.array_equal(one.variance, other.variance)
    assert np.array_equal(fitted.quantile([0.01, 0.5]), back.quantile([0.01, 0.5]))
    shocks = np.random.default_rng(0).integers(100, T, (50, 10))
    assert np.array_equal(fitted.draw(returns, shocks), back.draw(returns, shocks))


@EACH
@pytest.mark.parametrize("by", [0.01, 100.0, 10_000.0])
def test_volatility_is_in_the_units_of_the_returns(spec: VolatilitySpec, returns: Returns, by: float) -> None:
    origins = np.array([T - 1])
    here = spec.fit(returns).forecast(returns, origins, HORIZONS).variance
    there = spec.fit(scaled(returns, by)).forecast(scaled(returns, by), origins, HORIZONS).variance
    assert np.allclose(np.sqrt(there), by * np.sqrt(here), rtol=1e-6)


@EACH
def test_a_filter_knows_nothing_of_later_returns(spec: VolatilitySpec, returns: Returns) -> None:
    fitted = spec.fit(returns)
    whole, part = fitted.filter(returns), fitted.filter(returns.part(0, 600))
    # A product of a matrix and a vector may round its rows by how many there are.
    assert np.allclose(whole.variance[:601], part.variance, rtol=1e-12, atol=0, equal_nan=True)
    assert np.allclose(whole.mean[:601], part.mean, rtol=1e-9, atol=1e-15, equal_nan=True)
    late = fitted.forecast(returns, np.array([300, 599, 800]), HORIZONS)
    early = fitted.forecast(returns.part(0, 600), np.array([300, 599]), HORIZONS)
    assert np.allclose(late.variance[:2], early.variance, rtol=1e-12)


@EACH
def test_the_variance_of_the_next_session_is_the_filter_s_last(spec: VolatilitySpec, returns: Returns) -> None:
    fitted = spec.fit(returns)
    one = fitted.forecast(returns, np.array([500, T - 1]), (1,))
    path = fitted.filter(returns)
    assert np.allclose(one.variance[:, 0], path.variance[[501, T]], rtol=1e-9)
    assert np.allclose(one.mean[:, 0], path.mean[[501, T]], atol=1e-12)


@EACH
def test_forecasts_have_the_level_of_what_came(spec: VolatilitySpec, returns: Returns) -> None:
    found = spec.fit(returns).forecast(returns, np.arange(100, T - 60), HORIZONS)
    assert (found.variance > 0).all()
    assert (np.diff(found.variance, axis=1) > 0).all()
    for k, h in enumerate(HORIZONS):
        came = np.array([returns.value[t + 1 : t + 1 + h].sum() ** 2 for t in range(100, T - 60)])
        assert 0.55 < came.mean() / found.variance[:, k].mean() < 1.6


@EACH
def test_drawn_returns_have_the_variance_that_is_forecast(spec: VolatilitySpec, returns: Returns) -> None:
    fitted = spec.fit(returns)
    known = np.flatnonzero(np.isfinite(fitted.filter(returns).residuals(returns)))
    shocks = known[np.random.default_rng(3).integers(len(known), size=(20_000, 5))]
    drawn = fitted.draw(returns, shocks).sum(axis=1)
    told = fitted.forecast(returns, np.array([T - 1]), (5,)).variance[0, 0]
    # Residuals of a fit do not have a variance of one exactly, and HAR draws session by session.
    assert drawn.var() == pytest.approx(told, rel=0.2)


@EACH
def test_tails_are_ordered_and_beyond_their_quantiles(spec: VolatilitySpec, returns: Returns) -> None:
    fitted = spec.fit(returns)
    share = [0.01, 0.025, 0.05]
    quantile, tail = fitted.quantile(share), fitted.tail_mean(share)
    assert (np.diff(quantile) > 0).all()
    assert (tail < quantile).all()
    assert (quantile < 0).all()


@EACH
@pytest.mark.parametrize("level", [0.0, 3.2e-4])
def test_returns_that_never_vary_are_refused(spec: VolatilitySpec, level: float) -> None:
    beside = {name: np.zeros(T) for name in ("oi_change", "roll")}
    with pytest.raises(FitError, match="vary"):
        spec.fit(Returns(np.full(T, level), np.full(T, 1e-9), beside))


@EACH
def test_thirty_returns_are_too_few_or_enough_and_never_an_accident(spec: VolatilitySpec, returns: Returns) -> None:
    few = returns.part(0, 30)
    if spec.least > 30:
        with pytest.raises(FitError, match="returns"):
            spec.fit(few)
    else:
        assert np.isfinite(spec.fit(few).forecast(few, np.array([29]), HORIZONS).variance).all()


@EACH
def test_a_week_at_the_limit_and_a_month_that_is_missing_are_lived_through(
    spec: VolatilitySpec, returns: Returns
) -> None:
    value, x = returns.value.copy(), returns.range_variance.copy()  # type: ignore[union-attr]
    value[500:505] = -0.07  # locked at the limit from open to close: the range is the jump alone
    x[500:505] = 0.07**2
    value[505:508], x[505:508] = 0.0, 0.0  # nothing trades at another price
    keep = np.r_[0:600, 622:T]
    beside = {name: one[keep] for name, one in returns.regressors.items()}
    hard = Returns(value[keep], x[keep], beside)
    plan = Plan(window=500, min_window=450, refit=150, horizons=HORIZONS)
    track = walk(spec, hard, plan)
    assert np.isfinite(track.variance).all()
    annual = np.sqrt(track.variance[:, 0] * 242)
    assert (annual > 0.01).all()
    assert (annual < 5.0).all()
    assert all(fit.status.split(":")[0].split(" to ")[0] in ("ok", "restarted", "fell back") for fit in track.fits)


@EACH
def test_something_simpler_stands_in_where_a_model_fails(spec: VolatilitySpec, returns: Returns) -> None:
    seen, current = [], spec
    while current is not None:
        seen.append(current)
        current = current.simpler()  # type: ignore[assignment]
    assert isinstance(seen[-1], Ewma)
    assert len(seen) <= 5
    assert fit_or_fall_back(spec, returns).fitted.kind in VOLATILITY_MODELS


class First:
    """A trial that takes the first choice, or the lower bound."""

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        return low

    def suggest_float(self, name: str, low: float, high: float, *, step: object = None, log: bool = False) -> float:
        return low

    def suggest_categorical(self, name: str, choices: list[object]) -> object:
        return choices[0]


@EACH
def test_a_space_draws_a_spec_of_its_own_kind(spec: VolatilitySpec) -> None:
    drawn = spec.space(First())
    assert type(drawn) is type(spec)
    assert drawn.needs == spec.needs
