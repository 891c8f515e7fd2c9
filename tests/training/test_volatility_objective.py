"""What a trial of volatility models is judged by: by hand, blind to the holdout, at the same origins for all."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest

from features.panel import BoolArray, DataError
from models.base import FitError, Trial
from models.volatility.base import FittedVolatility, Returns
from models.volatility.ewma import Ewma
from models.volatility.walk import Plan, walk
from tests.training.small_volatility import N, world
from training.volatility_objective import LEAST, Development, monthly_gain, objective, seen

HOLDOUT = 0.2
PLAN = Plan(window=150, min_window=100, refit=20, winsor=8.0, horizons=(1,), levels=(0.99,))


def developed(plan: Plan = PLAN, **changed: object) -> Development:
    days, returns, proxy = world(**changed)
    return Development.of("P", days, returns, proxy, plan, HOLDOUT)


@dataclass(frozen=True)
class Broken:
    """A model that cannot be estimated, nor anything simpler."""

    kind: ClassVar[str] = "broken"
    least: ClassVar[int] = 1
    needs: ClassVar[tuple[str, ...]] = ()

    def fit(self, returns: Returns, start: FittedVolatility | None = None) -> FittedVolatility:
        raise FitError("broken", "it must work", "it does not")

    def simpler(self) -> None:
        return None

    def space(self, trial: Trial) -> Broken:
        return self


def test_the_holdout_is_the_last_share_of_the_origins() -> None:
    # 301 origins, of which the last 61 (60.2, rounded up) are held out: returns 339 and later are not seen
    assert seen(400, PLAN, 0.2) == 339
    assert [seen(n, PLAN, 0.2) for n in (99, 100, 101, 105)] == [0, 99, 100, 103]


@pytest.mark.parametrize("horizon", [1, 5])
def test_the_loss_is_qlike_over_that_of_ewma_origin_by_origin(horizon: int) -> None:
    plan, spec = replace(PLAN, horizons=(horizon,)), Ewma(decay=0.8)
    days, returns, proxy = world()
    found = developed(plan).judge(spec, plan)
    whole = {name: walk(one, returns, plan) for name, one in {"base": Ewma(), "trial": spec}.items()}
    loss: dict[str, list[float]] = {"base": [], "trial": []}
    for t in range(99, 339 - horizon):
        p = float(sum(proxy[t + 1 : t + 1 + horizon]))
        for name, track in whole.items():
            f = float(track.variance[t - 99, 0])
            loss[name].append(p / f - math.log(p / f) - 1)
    trial, base = np.mean(loss["trial"]), np.mean(loss["base"])
    assert (found.sessions, found.stood_in) == (240 - horizon, 0)
    assert found.loss == pytest.approx(trial, rel=1e-12)
    assert found.base == pytest.approx(base, rel=1e-12)
    assert found.log_ratio == pytest.approx(math.log(trial / base), rel=1e-9)
    assert found.gain == pytest.approx((np.array(loss["base"]) - loss["trial"]) / base, rel=1e-9)
    assert list(found.origins) == list(days[99 : 339 - horizon])
    assert (found.fits, found.sound) == (12, 12)


def test_nothing_after_the_development_is_seen() -> None:
    days, returns, proxy = world()
    known = Development.of("P", days, returns, proxy, PLAN, HOLDOUT)
    stop = seen(N, PLAN, HOLDOUT)
    noise = np.random.default_rng(9).normal(0, 0.2, N - stop)
    other = returns.with_value(np.append(returns.value[:stop], noise))
    again = Development.of("P", days, other, np.append(proxy[:stop], noise**2), PLAN, HOLDOUT)
    assert again.fingerprint() == known.fingerprint()
    spec = Ewma(decay=0.8)
    assert again.judge(spec, PLAN).log_ratio == known.judge(spec, PLAN).log_ratio
    assert len(known.sessions) == len(known.returns) == stop
    assert known.origins[-1] < known.sessions[-1], "the last outcome lies in the development"


@pytest.mark.parametrize("what", ["value", "proxy", "range", "regressor", "session"])
def test_all_that_trials_see_is_in_the_fingerprint(what: str) -> None:
    days, returns, proxy = world()
    full = Returns(returns.value, np.full(N, 1e-4), {"roll": np.zeros(N)})
    known = Development.of("P", days, full, proxy, PLAN, HOLDOUT).fingerprint()
    if what == "session":
        days = np.concatenate([days[:200], days[200:] + np.timedelta64(1, "D")])
    elif what == "proxy":
        proxy = np.where(np.arange(N) == 200, proxy * 1.01, proxy)
    else:
        parts = {"value": full.value, "range": full.range_variance, "regressor": full.regressors["roll"]}
        moved = {name: np.array(one) for name, one in parts.items() if one is not None}
        moved[what][200] += 1e-4
        full = Returns(moved["value"], moved["range"], {"roll": moved["regressor"]})
    assert Development.of("P", days, full, proxy, PLAN, HOLDOUT).fingerprint() != known


def test_ewma_is_as_good_as_itself() -> None:
    found = developed().judge(Ewma(), PLAN)
    assert found.log_ratio == 0.0
    assert np.abs(found.gain).max() == 0.0


def test_settings_near_the_truth_lose_less_than_ewma_and_far_ones_more() -> None:
    near, far = ([developed(seed=s).judge(Ewma(decay=d), PLAN) for s in range(5)] for d in (0.85, 0.995))
    assert objective(near) < 0 < objective(far)
    assert objective(near) == pytest.approx(np.mean([one.log_ratio for one in near]))


def test_every_window_is_judged_at_the_same_origins() -> None:
    development = developed()
    short, long = (development.judge(Ewma(decay=0.9), replace(PLAN, window=w)) for w in (100, 300))
    assert short.sessions == long.sessions
    assert np.array_equal(short.origins, long.origins)
    assert short.loss != long.loss, "the mean of the window enters"


def test_an_origin_without_a_forecast_counts_as_ewma() -> None:
    found = developed().judge(Broken(), PLAN)
    assert (found.log_ratio, found.stood_in, found.sound) == (0.0, len(found.gain), 0)
    assert found.fits == 12


def test_sessions_without_a_move_are_left_out_for_all() -> None:
    days, returns, proxy = world()
    still: BoolArray = np.arange(N) % 7 == 0
    found = Development.of("P", days, returns, np.where(still, 0.0, proxy), PLAN, HOLDOUT).judge(Ewma(decay=0.8), PLAN)
    outcomes = still[100:339]
    assert found.sessions == int((~outcomes).sum())
    assert np.array_equal(np.isnan(found.gain), outcomes)


def test_months_are_means_over_the_sessions_of_all_products() -> None:
    judged = [developed(seed=s).judge(Ewma(decay=0.8), PLAN) for s in (1, 2)]
    judged[1] = replace(judged[1], gain=np.where(np.arange(len(judged[1].gain)) < 30, np.nan, judged[1].gain))
    months, gain = monthly_gain(judged)
    long = pd.concat(pd.Series(one.gain, pd.DatetimeIndex(one.origins)) for one in judged).dropna()
    expected = long.groupby(long.index.to_period("M")).mean()
    assert gain == pytest.approx(expected.to_numpy(), rel=1e-12)
    assert [str(month) for month in months] == [str(month) for month in expected.index]


@pytest.mark.parametrize("n", [0, 50, 100, 170])
def test_a_series_with_too_few_forecasts_is_refused(n: int) -> None:
    days, returns, proxy = world()
    with pytest.raises(DataError, match=f"product P: {LEAST} forecasts before the holdout must be over; found") as told:
        Development.of("P", days[:n], returns.part(0, n), proxy[:n], PLAN, HOLDOUT)
    assert f"of {n} returns" in str(told.value)


def test_a_series_that_never_moves_is_refused() -> None:
    days, _, _ = world()
    with pytest.raises(DataError, match="forecasts before the holdout must be over; found 0"):
        Development.of("P", days, Returns(np.zeros(N)), np.zeros(N), PLAN, HOLDOUT)
