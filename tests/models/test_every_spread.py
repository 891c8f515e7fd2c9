"""What every model of spreads keeps to: units, memory, time, and hard days."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from spread_world import chain_of_pairs, ou_pair, sessions

from models.base import FitError
from models.spread import SPREAD_MODELS, restore, spread_model
from models.spread.base import Legs, SpreadSpec
from models.spread.ecm import Ecm
from models.spread.kalman_hedge import KalmanHedge
from models.spread.ou import Ou

T = 1000
HORIZONS = (1, 5, 10, 20)
SPECS: dict[str, SpreadSpec] = {
    "ou": Ou(),
    "ou_bic": Ou(order=None),
    "ou_month": Ou(season="month"),
    "ou_fourier": Ou(order=2, season="fourier"),
    "ou_hedge": Ou(hedge=None),
    "ecm": Ecm(),
    "ecm_known": Ecm(beta=1.0, lags=0),
    "ecm_bic": Ecm(lags=None),
    "kalman": KalmanHedge(),
    "kalman_fixed": KalmanHedge(alpha="fixed"),
}
EACH = pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS.keys())


@pytest.fixture(scope="module")
def legs() -> Legs:
    return ou_pair(4, count=T)


def test_every_kind_is_tried_here() -> None:
    assert {spec.kind for spec in SPECS.values()} == set(SPREAD_MODELS)
    for spec in SPECS.values():
        assert spread_model(spec.kind) is type(spec)


@EACH
def test_the_same_legs_give_the_same_model_twice(spec: SpreadSpec, legs: Legs) -> None:
    assert spec.fit(legs).describe() == spec.fit(legs).describe()


@EACH
def test_what_a_model_tells_of_itself_is_plain_and_all_it_knows(spec: SpreadSpec, legs: Legs) -> None:
    fitted = spec.fit(legs)
    back = restore(json.loads(json.dumps(fitted.describe(), allow_nan=False)))
    assert back.describe() == fitted.describe()
    origins = np.array([300, 500, T - 1])
    one, other = fitted.forecast(legs, origins, HORIZONS), back.forecast(legs, origins, HORIZONS)
    assert np.array_equal(one.change, other.change)
    assert np.array_equal(one.sd, other.sd)
    assert np.array_equal(fitted.filter(legs).z, back.filter(legs).z, equal_nan=True)
    assert fitted.half_life == back.half_life
    assert fitted.params == back.params


@EACH
def test_a_state_and_a_forecast_know_nothing_of_later_prices(spec: SpreadSpec, legs: Legs) -> None:
    fitted = spec.fit(legs.part(0, 800))
    noise = np.random.default_rng(1).normal(0, 1, T)
    late = np.arange(T) >= 850
    other = replace(legs, y=np.where(late, legs.y + noise, legs.y), x=np.where(late, noise, legs.x))
    whole, changed, cut = fitted.filter(legs), fitted.filter(other), fitted.filter(legs.part(0, 850))
    for name in ("value", "centre", "sd", "hedge"):
        assert np.array_equal(getattr(whole, name)[:850], getattr(changed, name)[:850], equal_nan=True)
        assert np.array_equal(getattr(whole, name)[:850], getattr(cut, name), equal_nan=True)
    origins = np.array([250, 400, 849])
    one = fitted.forecast(legs, origins, HORIZONS)
    for seen in (other, legs.part(0, 850)):
        found = fitted.forecast(seen, origins, HORIZONS)
        assert np.allclose(one.change, found.change, rtol=1e-12, atol=0)
        assert np.allclose(one.sd, found.sd, rtol=1e-12, atol=0)


@EACH
def test_a_price_in_another_currency_changes_nothing(spec: SpreadSpec, legs: Legs) -> None:
    fitted = spec.fit(legs)
    other = replace(legs, y=legs.y + np.log(7.2), x=legs.x - np.log(100))
    there = spec.fit(other)
    assert there.half_life == pytest.approx(fitted.half_life, rel=1e-3)
    assert np.allclose(there.filter(other).z, fitted.filter(legs).z, rtol=1e-3, atol=1e-3, equal_nan=True)


@EACH
def test_smaller_moves_of_both_legs_give_as_much_smaller_forecasts(spec: SpreadSpec, legs: Legs) -> None:
    other = replace(legs, y=legs.y * 1e-3, x=legs.x * 1e-3)
    origins = np.arange(300, T)
    here = spec.fit(legs).forecast(legs, origins, HORIZONS)
    there = spec.fit(other).forecast(other, origins, HORIZONS)
    assert np.allclose(there.sd, here.sd * 1e-3, rtol=1e-3)
    assert np.allclose(there.change, here.change * 1e-3, rtol=2e-3, atol=1e-3 * float(np.std(here.change)) * 1e-3)


# The fixed constant supposes a noise without memory, which that of these pairs is not: see test_spread_kalman_hedge.
@pytest.mark.parametrize("name", [name for name in SPECS if name != "kalman_fixed"])
def test_intervals_hold_what_came_as_often_as_they_say(name: str) -> None:
    spec, held = SPECS[name], []
    for seed in range(3):
        legs = ou_pair(seed + 40, count=1500)
        fitted = spec.fit(legs.part(0, 1000))
        origins = np.arange(1000, 1480)
        hedge = fitted.filter(legs).hedge[origins]
        told = fitted.forecast(legs, origins, HORIZONS)
        lo, hi = told.interval(0.9)
        for k, h in enumerate(HORIZONS):
            came = legs.y[origins + h] - legs.y[origins] - hedge * (legs.x[origins + h] - legs.x[origins])
            held.append(np.mean((lo[:, k] <= came) & (came <= hi[:, k])))
    assert np.mean(held) == pytest.approx(0.9, abs=0.06)


@EACH
def test_far_from_the_centre_the_way_back_is_expected(spec: SpreadSpec, legs: Legs) -> None:
    fitted = spec.fit(legs)
    origins = np.arange(200, T)
    state, told = fitted.filter(legs), fitted.forecast(legs, origins, HORIZONS)
    # Of a lagged change something is expected wherever the spread stands, and of a season most at once: its turn of
    # the month is as large as what a distance loses in a few sessions.
    seasonal = isinstance(spec, Ou) and spec.season != "none"
    for k in range(3 if seasonal else 1, len(HORIZONS)):
        assert np.corrcoef(state.z[origins], told.change[:, k])[0, 1] < (-0.7 if seasonal else -0.8)
    assert (told.sd > 0).all()


@EACH
def test_sessions_without_a_price_have_no_state_and_break_nothing(spec: SpreadSpec, legs: Legs) -> None:
    holes = np.random.default_rng(9).random(T) < 0.05
    y = np.where(holes, np.nan, legs.y)
    gone = np.where(np.roll(holes, 3), np.nan, legs.x)
    thin = replace(legs, y=y, x=gone)
    fitted = spec.fit(thin)
    state = fitted.filter(thin)
    assert np.isnan(state.z[~thin.both]).all()
    assert np.isfinite(state.z[400:][thin.both[400:]]).all()
    told = fitted.forecast(thin, np.flatnonzero(~thin.both)[-5:], (5,))
    assert np.isnan(told.change).all()
    assert np.isnan(told.sd).all()
    full = fitted.forecast(thin, np.arange(300, T), (5,))
    assert np.array_equal(np.isnan(full.change), np.isnan(full.sd))
    assert np.isfinite(full.change).mean() > 0.75


@EACH
def test_a_spread_that_never_varies_is_refused(spec: SpreadSpec, legs: Legs) -> None:
    with pytest.raises(FitError):
        spec.fit(replace(legs, y=legs.x + 0.01))
    with pytest.raises(FitError):
        spec.fit(replace(legs, y=np.full(T, 8.0), x=np.full(T, 7.0)))


@EACH
def test_twenty_sessions_are_too_few(spec: SpreadSpec, legs: Legs) -> None:
    with pytest.raises(FitError, match="sessions"):
        spec.fit(legs.part(0, 20))


@EACH
def test_something_simpler_stands_in(spec: SpreadSpec) -> None:
    seen, current = [], spec
    while current is not None:
        seen.append(current)
        current = current.simpler()  # type: ignore[assignment]
    assert isinstance(seen[-1], Ou)
    assert len(seen) <= 4


@EACH
def test_horizons_are_a_session_or_more(spec: SpreadSpec, legs: Legs) -> None:
    with pytest.raises(FitError, match="horizons"):
        spec.fit(legs).forecast(legs, np.array([T - 1]), (0, 5))


@pytest.mark.parametrize("spec", [Ou(), Ou(annualised=True), Ecm(beta=1.0)], ids=["ou", "per_year", "ecm"])
def test_a_roll_between_pairs_is_no_change_of_the_spread(spec: SpreadSpec) -> None:
    legs = chain_of_pairs(2)
    fitted = spec.fit(legs)
    begun = np.flatnonzero(legs.fresh)[:3]
    assert fitted.nobs <= len(legs) - 25
    assert np.isfinite(fitted.filter(legs).z).all()
    assert np.isfinite(fitted.forecast(legs, begun + 2, (5,)).change).all()


@pytest.mark.parametrize("spec", [Ecm(), KalmanHedge()], ids=["ecm", "kalman"])
def test_a_chain_of_pairs_has_no_hedge_to_estimate(spec: SpreadSpec) -> None:
    with pytest.raises(FitError, match="roll"):
        spec.fit(chain_of_pairs(2))


class First:
    """A trial that takes the first choice, or the lower bound."""

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        return low

    def suggest_float(self, name: str, low: float, high: float, *, step: object = None, log: bool = False) -> float:
        return low

    def suggest_categorical(self, name: str, choices: list[object]) -> object:
        return choices[0]


@EACH
def test_a_space_draws_a_spec_of_its_own_kind(spec: SpreadSpec) -> None:
    assert type(spec.space(First())) is type(spec)


def test_legs_refuse_what_is_no_pair_of_log_prices() -> None:
    day = sessions(3)
    good = np.array([1.0, 1.1, 1.2])
    with pytest.raises(FitError, match="above nought"):
        Legs(np.array([1.0, -np.inf, 1.0]), good, day)
    with pytest.raises(FitError, match="rise"):
        Legs(good, good, day[[0, 2, 1]])
    with pytest.raises(FitError, match="value per row"):
        Legs(good, good[:2], day)
    with pytest.raises(FitError, match="gap"):
        Legs(good, good, day, gap=np.array([0.1, 0.0, 0.1]))


def test_a_row_is_linked_to_those_before_it_in_one_pair_with_all_prices() -> None:
    fresh = np.array([False, False, False, True, False, False, False])
    y = np.array([1.0, 1, 1, 1, 1, np.nan, 1])
    legs = Legs(y, np.ones(7), sessions(7), fresh)
    assert legs.linked(0).tolist() == [True, True, True, True, True, False, True]
    assert legs.linked(1).tolist() == [False, True, True, False, True, False, False]
    assert legs.linked(2).tolist() == [False, False, True, False, False, False, False]
