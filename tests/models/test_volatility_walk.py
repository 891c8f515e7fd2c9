"""Walking a series forward: which returns a fit sees, what an origin may know, and what happens where fits fail."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from features.panel import Float64Array, IntArray
from models.base import FitError
from models.volatility.base import Forecasts, Path, Returns
from models.volatility.failure import fit_or_fall_back
from models.volatility.walk import Plan, Track, fit_window, too_short, walk

PLAN = Plan(window=80, min_window=50, refit=20, winsor=None, horizons=(1, 5), levels=(0.95, 0.99))


@dataclass(frozen=True)
class Sample:
    """A model that knows the sample's variance, and fails where it is told to."""

    fails: frozenset[int] = frozenset()
    warm_fails: bool = False
    explodes: bool = False
    then: Sample | None = None
    seen: list[Returns] = field(default_factory=list, compare=False)
    kind: str = "sample"
    least: int = 2
    needs: tuple[str, ...] = ()

    def fit(self, returns: Returns, start: FittedSample | None = None) -> FittedSample:
        self.seen.append(returns)
        if len(self.seen) in self.fails or np.ptp(returns.value) == 0:
            raise FitError("sample", "the returns must vary", "none that do")
        return FittedSample(float(np.var(returns.value)), self, not (start and self.warm_fails), self.explodes)

    def simpler(self) -> Sample | None:
        return self.then


@dataclass(frozen=True)
class FittedSample:
    v: float
    spec: Sample
    converged: bool = True
    explodes: bool = False
    kind: str = "sample"

    @property
    def params(self) -> Mapping[str, float]:
        return {"v": self.v}

    @property
    def persistence(self) -> float:
        return 1.0 if self.explodes else float("nan")

    def filter(self, returns: Returns) -> Path:
        t = len(returns) + 1
        return Path(np.zeros(t), np.full(t, self.v))

    def forecast(self, returns: Returns, origins: IntArray, horizons: Sequence[int]) -> Forecasts:
        # Hangs on the last return that an origin has seen, so that a look ahead would show.
        seen = returns.value[origins][:, None] ** 2 + self.v
        return Forecasts(np.zeros((len(origins), len(horizons))), seen * np.asarray(horizons))

    def quantile(self, share: Sequence[float]) -> Float64Array:
        return np.array([-2.0] * len(share))

    def tail_mean(self, share: Sequence[float]) -> Float64Array:
        return np.array([-3.0] * len(share))

    def describe(self) -> dict[str, Any]:
        return {"kind": "sample", "v": self.v}


@pytest.fixture
def returns() -> Returns:
    return Returns(np.random.default_rng(3).normal(0, 0.01, 137))


def arrays(track: Track) -> list[Float64Array]:
    return [track.mean, track.variance, track.var, track.es]


def test_fits_lie_on_a_grid_and_see_the_last_window_up_to_their_origin(returns: Returns) -> None:
    spec = Sample()
    track = walk(spec, returns, PLAN)
    assert [fit.origin for fit in track.fits] == [49, 69, 89, 109, 129]
    assert [len(one) for one in spec.seen] == [50, 70, 80, 80, 80]
    assert np.array_equal(spec.seen[3].value, returns.value[30:110])
    assert track.first == 49
    assert len(track) == 137 - 49
    assert list(track.origins[[0, -1]]) == [49, 136]


def test_a_forecast_is_of_the_last_fit_at_or_before_its_origin(returns: Returns) -> None:
    track = walk(Sample(), returns, PLAN)
    for origin in (49, 68, 69, 100, 136):
        grid = max(g for g in range(49, 137, 20) if g <= origin)
        v = float(np.var(returns.value[max(0, grid + 1 - 80) : grid + 1]))
        row = origin - 49
        assert track.variance[row, 0] == pytest.approx(returns.value[origin] ** 2 + v, rel=1e-12)
        assert track.variance[row, 1] == pytest.approx(5 * track.variance[row, 0], rel=1e-12)
        assert track.var[row, 1] == pytest.approx(2 * np.sqrt(track.variance[row, 0]), rel=1e-12)
        assert track.es[row, 1] == pytest.approx(3 * np.sqrt(track.variance[row, 0]), rel=1e-12)
        assert track.fit_at(origin).origin == grid  # type: ignore[union-attr]


@pytest.mark.parametrize("cut", [50, 69, 70, 110, 136])
def test_the_future_changes_nothing(returns: Returns, cut: int) -> None:
    whole, part = walk(Sample(), returns, PLAN), walk(Sample(), returns.part(0, cut), PLAN)
    for one, other in zip(arrays(whole), arrays(part), strict=True):
        assert np.array_equal(one[: cut - 49], other)


@pytest.mark.parametrize("cut", [50, 69, 70, 110, 136, 137])
def test_a_walk_carried_on_is_the_walk_that_went_through_at_once(returns: Returns, cut: int) -> None:
    spec = Sample()
    begun = walk(spec, returns.part(0, cut), PLAN)
    fitted_before = len(spec.seen)
    whole, carried = walk(Sample(), returns, PLAN), walk(spec, returns, PLAN, carry_on=begun)
    for one, other in zip(arrays(whole), arrays(carried), strict=True):
        assert np.array_equal(one, other)
    assert [fit.origin for fit in carried.fits] == [fit.origin for fit in whole.fits]
    assert len(spec.seen) - fitted_before == len(whole.fits) - len(begun.fits)


def test_a_window_is_clipped_in_the_fit_and_nowhere_else() -> None:
    value = np.random.default_rng(1).normal(0, 0.01, 100)
    value[20] = 0.9
    returns = Returns(value)
    sample, clipped = fit_window(returns, Plan(window=80, min_window=50, winsor=8.0), 60)
    reach = 8 * 1.4826 * np.median(np.abs(value[:61] - np.median(value[:61])))
    assert clipped == 1
    assert sample.value[20] == pytest.approx(np.median(value[:61]) + reach)
    assert np.array_equal(np.delete(sample.value, 20), np.delete(value[:61], 20))
    assert returns.value[20] == 0.9


def test_a_series_that_is_too_short_says_so() -> None:
    assert too_short(Returns(np.ones(30)), PLAN) == "too short: 30 returns of 50"
    assert len(walk(Sample(), Returns(np.arange(49) / 100), PLAN)) == 0


def test_returns_that_never_vary_have_no_forecast_and_a_reason() -> None:
    track = walk(Sample(), Returns(np.zeros(80)), PLAN)
    assert np.isnan(track.variance).all()
    assert len(track) == 31
    assert {fit.status for fit in track.fits} == {"failed: the returns must vary; found none that do"}


def test_the_fit_before_stands_where_nothing_can_be_estimated_anew(returns: Returns) -> None:
    track = walk(Sample(fails=frozenset({2, 3, 4})), returns, PLAN)
    assert track.fits[1].status == "kept: the returns must vary; found none that do"
    assert track.fits[1].fitted is track.fits[0].fitted
    assert np.isfinite(track.variance).all()


def test_a_warm_start_that_fails_is_followed_by_a_cold_one(returns: Returns) -> None:
    spec = Sample(warm_fails=True)
    first = spec.fit(returns)
    attempt = fit_or_fall_back(spec, returns, first)
    assert attempt.status == "restarted"
    assert attempt.fitted.converged


def test_a_model_that_fails_is_followed_by_a_simpler_one(returns: Returns) -> None:
    last = Sample()
    spec = Sample(explodes=True, then=Sample(fails=frozenset({1}), then=last))
    attempt = fit_or_fall_back(spec, returns)
    assert attempt.status == "fell back to sample"
    assert attempt.fitted.spec is last  # type: ignore[attr-defined]


def test_a_chain_of_which_nothing_can_be_estimated_is_refused(returns: Returns) -> None:
    with pytest.raises(FitError, match="must vary"):
        fit_or_fall_back(Sample(), Returns(np.zeros(60)))
    with pytest.raises(FitError, match="none that converges"):
        fit_or_fall_back(Sample(explodes=True), returns)
