"""Regressions of all pairs walked forward: what is planted is found, what is not is not, and nothing is known early."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from features.panel import Float64Array, IntArray
from models.base import FitError
from models.spread.regression import SpreadRegression
from tests.features.synthetic_futures import WEEKDAYS
from training.spread_panel import PooledPanel
from training.spread_pool import Pool, PoolPlan, PoolWalk, origins, period, walk_pool
from training.spread_walk import FAILED, KEPT, OK

NET, TREES = SpreadRegression(), SpreadRegression(model="xgboost", rounds=60, min_child_weight=20)
COLUMNS = ("a", "b", "c", "d", "e")
PAIRS = ("P0", "P1", "P2", "P3")
PLAN = PoolPlan(1500, 500, "quarter", 7)
EACH = pytest.mark.parametrize("spec", [NET, TREES], ids=["net", "trees"])


def panel(
    seed: int,
    sessions: int = 1500,
    r2: float = 0.02,
    horizons: tuple[int, ...] = (1, 5),
    sizes: Float64Array | None = None,
) -> PooledPanel:
    """Four pairs, two of five columns of which move the returns of the h sessions to come; one pair begins late."""
    rng = np.random.default_rng(seed)
    days = WEEKDAYS.between("2012-01-04", "2031-01-01")[:sessions]
    session, pair = (one.ravel() for one in np.meshgrid(np.arange(sessions), np.arange(len(PAIRS)), indexing="ij"))
    began = np.array([0, 0, 0, 300])[pair] <= session
    session, pair = session[began].astype(np.int64), pair[began].astype(np.int64)
    X = rng.normal(size=(len(session), len(COLUMNS)))
    deviation = (np.array([0.001, 0.003, 0.01, 0.02]) if sizes is None else sizes)[pair]
    noise = rng.normal(size=(len(session), len(horizons)))
    signal = 0.8 * X[:, 0] - 0.6 * X[:, 3]
    scale = deviation[:, None] * np.sqrt(np.array(horizons))
    label = scale * (np.sqrt(r2) * signal[:, None] + np.sqrt(1 - r2) * noise)
    for k, h in enumerate(horizons):
        label[session + h >= sessions, k] = np.nan
    row = session - np.array([0, 0, 0, 300])[pair]
    return PooledPanel(days, PAIRS, session, pair, row, COLUMNS, X, label, deviation, horizons)


def until(whole: PooledPanel, stop: int) -> PooledPanel:
    """The panel as it was known at the close of the session before `stop`."""
    rows = whole.session < stop
    label = whole.label[rows].copy()
    for k, h in enumerate(whole.horizons):
        label[whole.session[rows] + h >= stop, k] = np.nan
    part = {name: getattr(whole, name)[rows] for name in ("session", "pair", "row", "X", "deviation")}
    return replace(whole, sessions=whole.sessions[:stop], label=label, **part)


def fitted_on(given: PooledPanel, plan: PoolPlan = PLAN) -> list[int]:
    """Positions of the sessions on which the longest horizon is fitted."""
    found = walk_pool(SpreadRegression(strengths=(0.1,), folds=1), given, plan)
    return [int(given.sessions.searchsorted(fit.origin)) for fit in found.fits if fit.horizon == given.horizons[-1]]


def ic(found: PoolWalk, given: PooledPanel, k: int) -> float:
    """Correlation of what was foretold with what came, in deviations."""
    known = np.isfinite(found.yhat[:, k]) & np.isfinite(given.label[:, k])
    y, f = (one[known, k] / given.deviation[known] for one in (given.label, found.yhat))
    return float(np.corrcoef(f, y)[0, 1]) if np.std(f) > 0 else 0.0


def test_a_planted_signal_of_two_per_cent_is_mostly_found() -> None:
    # 04 §6.2: IC at least 60 % of truth
    found = [ic(walk_pool(NET, one, PLAN), one, 1) for one in (panel(seed) for seed in range(4))]
    assert np.mean(found) >= 0.6 * np.sqrt(0.02)


@EACH
def test_what_is_strong_is_foretold_for_small_and_large_pairs_alike(spec: SpreadRegression) -> None:
    one = panel(1, r2=0.4)
    found = walk_pool(spec, one, PLAN)
    for pair in range(len(PAIRS)):
        at = one.of(PAIRS[pair])
        y, f, error = one.label[at, 0], found.yhat[at, 0], found.error[at, 0]
        known = np.isfinite(y) & np.isfinite(f)
        assert known.sum() > 700
        assert 1 - np.sum((y - f)[known] ** 2) / np.sum(y[known] ** 2) > 0.3
        assert np.sqrt(np.mean(((y - f)[known] / error[known]) ** 2)) == pytest.approx(1, abs=0.1)


def test_without_a_signal_nothing_is_foretold() -> None:
    r2 = []
    for seed in range(4):
        one = panel(seed, r2=0.0)
        found = walk_pool(NET, one, PLAN)
        known = np.isfinite(found.yhat[:, 1]) & np.isfinite(one.label[:, 1])
        y, f = (x[known, 1] / one.deviation[known] for x in (one.label, found.yhat))
        r2.append(1 - np.sum((y - f) ** 2) / np.sum(y**2))
    assert max(r2) < 0.003
    assert np.mean(r2) > -0.01


@EACH
@pytest.mark.parametrize("stop", [900, 1201])
def test_forecasts_are_those_of_a_day_that_knows_nothing_later(spec: SpreadRegression, stop: int) -> None:
    whole = panel(2, r2=0.3)
    early = until(whole, stop)
    then, now = walk_pool(spec, early, PLAN), walk_pool(spec, whole, PLAN)
    assert np.isfinite(then.yhat).any()
    np.testing.assert_array_equal(then.yhat, now.yhat[: len(early)])
    np.testing.assert_array_equal(then.error, now.error[: len(early)])


@pytest.mark.parametrize("horizon", [0, 1])
def test_a_fit_sees_outcomes_that_were_known_a_session_before(horizon: int) -> None:
    whole = panel(3, r2=0.3)
    grid = fitted_on(whole)
    last = grid[2] - whole.horizons[horizon] - 1
    for row_session, changes in ((last, True), (last + 1, False)):
        label = whole.label.copy()
        rows = whole.session == row_session
        label[rows, horizon] += 50 * whole.deviation[rows]
        found = walk_pool(NET, replace(whole, label=label), PLAN)
        before = walk_pool(NET, whole, PLAN)
        spoken = (whole.session >= grid[2]) & (whole.session < grid[3])
        same = np.array_equal(found.yhat[spoken, horizon], before.yhat[spoken, horizon])
        assert same != changes


def test_fits_are_made_on_first_sessions_of_quarters_with_enough_behind_them() -> None:
    one = panel(4)
    shares: dict[Literal["month", "quarter"], int] = {"quarter": 3, "month": 1}
    for every, share in shares.items():
        grid = fitted_on(one, replace(PLAN, every=every))
        assert set(grid) <= set(origins(one, every))
        months = one.sessions.astype("datetime64[M]").astype(int)
        assert all(months[at] // share != months[at - 1] // share for at in grid)
        assert period(one.sessions, every)[grid].tolist() == list(range(*_span(period(one.sessions, every)[grid])))
        # the longest horizon has 500 sessions whose outcome is known at the first fit, and not one quarter before
        assert 500 <= grid[0] - 5 - 1 + 1 < 500 + 23 * share
    found = walk_pool(NET, one, PLAN)
    assert np.isnan(found.yhat[one.session < fitted_on(one)[0], 1]).all()
    assert np.isfinite(found.yhat[one.session >= fitted_on(one)[0]]).all()
    assert {fit.sessions for fit in found.fits if fit.horizon == 5}.pop() >= 500
    short = walk_pool(NET, one, replace(PLAN, train=600))
    assert max(fit.sessions for fit in short.fits) <= 600


@EACH
def test_carried_on_after_a_folder_is_what_was_at_once(spec: SpreadRegression, tmp_path: Path) -> None:
    whole = panel(5, r2=0.2)
    then = walk_pool(spec, until(whole, 1000), PLAN)
    Pool(COLUMNS, {"b": "1"}, {"m": then.fits}).save(tmp_path)
    back = Pool.load(tmp_path)
    assert (back.columns, back.factors) == (COLUMNS, {"b": "1"})
    assert [fit.describe() for fit in back.fits["m"]] == [fit.describe() for fit in then.fits]
    carried, once = walk_pool(spec, whole, PLAN, back.fits["m"]), walk_pool(spec, whole, PLAN)
    np.testing.assert_array_equal(carried.yhat, once.yhat)
    np.testing.assert_array_equal(carried.error, once.error)
    assert carried.fits[0] is back.fits["m"][0]


def _span(rising: IntArray) -> tuple[int, int]:
    return int(rising[0]), int(rising[-1]) + 1


def test_a_horizon_that_seldom_ends_within_a_pair_waits_alone() -> None:
    one = panel(9, r2=0.3)
    label = one.label.copy()
    label[one.session % 4 > 0, 1] = np.nan
    found = walk_pool(NET, replace(one, label=label), PLAN)
    assert not [fit for fit in found.fits if fit.horizon == 5]
    assert np.isnan(found.yhat[:, 1]).all()
    np.testing.assert_array_equal(found.yhat[:, 0], walk_pool(NET, one, PLAN).yhat[:, 0])


def test_a_panel_that_is_too_short_has_no_fit() -> None:
    one = panel(9, sessions=300)
    found = walk_pool(NET, one, PLAN)
    assert found.fits == ()
    assert np.isnan(found.yhat).all()


def test_a_horizon_whose_outcomes_run_dry_keeps_its_fit() -> None:
    one = panel(9, r2=0.3, horizons=(1,))
    label = np.where(one.session[:, None] > 700, np.nan, one.label)
    found = walk_pool(NET, replace(one, label=label), replace(PLAN, train=600))
    assert found.fits[0].status == OK
    assert found.fits[-1].status.startswith(f"{KEPT}: it needs 500 sessions with an outcome; found ")
    assert np.isfinite(found.yhat[-1]).all()


class Failing:
    """A regression that can be fitted so many times and then no more."""

    def __init__(self, fits: int) -> None:
        self.left = fits

    def fit(self, *given: object) -> object:
        self.left -= 1
        if self.left < 0:
            raise FitError("model", "it must be fitted", "nothing")
        return NET.fit(*given)  # type: ignore[arg-type]


def test_where_a_fit_fails_the_one_before_stands_and_that_is_kept(tmp_path: Path) -> None:
    one = panel(6, sessions=900, horizons=(1,))
    found = walk_pool(Failing(1), one, PLAN)  # type: ignore[arg-type]
    statuses = [fit.status for fit in found.fits]
    assert statuses[0] == OK
    assert all(status == f"{KEPT}: it must be fitted; found nothing" for status in statuses[1:])
    assert len(statuses) > 3
    assert np.isfinite(found.yhat[one.session >= fitted_on(one)[0]]).all()
    Pool(COLUMNS, {}, {"m": found.fits}).save(tmp_path)
    back = walk_pool(Failing(0), one, PLAN, Pool.load(tmp_path).fits["m"])  # type: ignore[arg-type]
    np.testing.assert_array_equal(back.yhat, found.yhat)


def test_where_no_fit_was_ever_made_nothing_is_said() -> None:
    one = panel(6, sessions=900, horizons=(1,))
    found = walk_pool(Failing(0), one, PLAN)  # type: ignore[arg-type]
    assert np.isnan(found.yhat).all()
    assert all(fit.status.startswith(FAILED) for fit in found.fits)
    pool = Pool(COLUMNS, {}, {"m": found.fits})
    assert pool.latest("m") == {}
    assert pool.importance("m") == {1: {}}


def test_the_columns_that_matter_are_named() -> None:
    one = panel(7, r2=0.3)
    pool = Pool(COLUMNS, {}, {"m": walk_pool(NET, one, PLAN).fits})
    shares = pool.importance("m")[5]
    assert sorted(shares, key=lambda name: -shares[name])[:2] == ["a", "d"]
    assert set(pool.latest("m")) == {1, 5}


def test_how_far_a_pair_moves_does_not_weigh_it() -> None:
    calm = panel(8, r2=0.3, sizes=np.full(4, 0.01))
    wild = panel(8, r2=0.3, sizes=np.array([0.01, 0.01, 0.01, 1.0]))
    one, other = walk_pool(NET, calm, PLAN), walk_pool(NET, wild, PLAN)
    scaled = other.yhat * (calm.deviation / wild.deviation)[:, None]
    np.testing.assert_allclose(scaled, one.yhat, rtol=1e-6, atol=1e-12)
