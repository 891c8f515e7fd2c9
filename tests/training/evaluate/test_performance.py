from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from features.panel import DataError
from training.evaluate.performance import deepest_drawdown, monthly_returns, relative

DAYS = pd.bdate_range("2021-11-15", periods=320).to_numpy().astype("datetime64[D]")


def returns(seed=0):
    out = np.random.default_rng(seed).normal(0.0005, 0.02, len(DAYS))
    out[:30] = np.nan
    return out


def test_a_drawdown_runs_from_its_high_over_its_low_to_its_recovery():
    value = np.array([1.0, 1.2, 1.1, 0.9, 1.0, 1.2, 1.3, 1.25])
    days = DAYS[: len(value)]
    found = deepest_drawdown(np.append(np.nan, value[1:] / value[:-1] - 1), days)
    assert found.depth == pytest.approx(0.9 / 1.2 - 1)
    assert (found.peak, found.trough, found.recovered, found.length) == (days[1], days[3], days[5], 4)


def test_a_drawdown_that_is_not_over_has_no_recovery():
    found = deepest_drawdown(np.array([0.1, -0.2, 0.1]), DAYS[:3])
    assert (found.peak, found.trough, found.recovered, found.length) == (DAYS[0], DAYS[1], None, 2)


def test_a_value_that_only_falls_is_measured_from_its_start():
    found = deepest_drawdown(np.array([-0.1, -0.1]), DAYS[:2])
    assert found.depth == pytest.approx(-0.19)
    assert found.peak == DAYS[0]


@pytest.mark.parametrize("seed", range(5))
def test_the_deepest_drawdown_is_that_of_a_loop_over_all_pairs(seed):
    r = returns(seed)
    alive = np.isfinite(r)
    value, days = np.append(1.0, np.cumprod(1 + r[alive])), DAYS[alive]
    depth, high, low = min((value[j] / value[i] - 1, i, j) for i in range(len(value)) for j in range(i, len(value)))
    found = deepest_drawdown(r, DAYS)
    assert found.depth == pytest.approx(depth)
    assert found.trough == days[low - 1]
    assert found.peak == days[max(high - 1, 0)]


def test_nothing_to_fall_is_refused():
    with pytest.raises(DataError):
        deepest_drawdown(np.full(3, np.nan), DAYS[:3])


def test_months_compound_as_pandas_has_them():
    r = returns()
    series = pd.Series(r, pd.DatetimeIndex(DAYS)).dropna()
    months = (1 + series).resample("ME").prod() - 1
    found = monthly_returns(r, DAYS)
    assert found.year.tolist() == sorted(set(series.index.year))
    for day, value in months.items():
        assert found.month[day.year - found.year[0], day.month - 1] == pytest.approx(value)
    assert np.isfinite(found.month).sum() == len(months)
    whole = (1 + series).groupby(series.index.year).prod() - 1
    assert found.whole == pytest.approx(whole.to_numpy())
    assert found.worst == pytest.approx(months.min())
    assert found.positive == pytest.approx((months > 0).mean())


def test_a_year_between_two_others_without_sessions_is_left_out():
    days = np.array(["2019-05-06", "2021-05-06"], "datetime64[D]")
    assert monthly_returns(np.array([0.1, 0.2]), days).year.tolist() == [2019, 2021]


def test_relative_returns_compound_to_relative_wealth():
    a, b = returns(1)[30:], returns(2)[30:]
    assert np.prod(1 + relative(a, b)) == pytest.approx(np.prod(1 + a) / np.prod(1 + b))
