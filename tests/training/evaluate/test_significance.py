from __future__ import annotations

import math

import numpy as np
import pytest

from features.panel import DataError
from training.evaluate.significance import automatic_lag, fixed_b_critical, newey_west, overlap_lag


def test_without_lags_the_error_is_that_of_independent_values():
    x = np.random.default_rng(0).normal(size=50)
    assert newey_west(x, 0).se == pytest.approx(x.std() / math.sqrt(50))


def test_overlapping_sums_of_noise_are_significant_about_as_often_as_they_should_be():
    rng = np.random.default_rng(1)
    horizon, n, trials = 5, 250, 400
    naive = hits = 0
    for _ in range(trials):
        x = np.convolve(rng.normal(size=n + horizon - 1), np.ones(horizon), "valid")
        hits += newey_west(x, overlap_lag(horizon, n)).is_significant
        naive += abs(newey_west(x, 0).t) > 1.96
    assert 0.02 < hits / trials < 0.11
    assert naive / trials > 0.25


def test_gaps_are_left_out():
    x = np.array([0.1, np.nan, 0.2, 0.15, np.nan])
    assert newey_west(x, 1) == newey_west(np.array([0.1, 0.2, 0.15]), 1)


@pytest.mark.parametrize(("values", "n"), [([], 0), ([0.3], 1), ([np.nan, 0.3], 1)])
def test_too_few_values_have_no_error(values, n):
    found = newey_west(np.array(values), 2)
    assert math.isnan(found.t)
    assert found.n == n
    assert not found.is_significant


def test_a_constant_has_no_t():
    found = newey_west(np.full(20, 0.5), 3)
    assert (found.mean, found.se) == (0.5, 0.0)
    assert math.isnan(found.t)


@pytest.mark.parametrize(("n", "lag"), [(100, 4), (250, 4), (1250, 7), (50, 3)])
def test_the_automatic_lag_grows_slowly(n, lag):
    assert automatic_lag(n) == lag


def test_overlapping_outcomes_take_three_horizons_as_far_as_there_is_data():
    assert overlap_lag(5, 250) == 15
    assert overlap_lag(1, 250) == automatic_lag(250)
    assert overlap_lag(20, 30) == 29


@pytest.mark.parametrize(("lag", "n"), [(10, 10), (-1, 10), (0, 0)])
def test_a_lag_beyond_the_data_is_refused(lag, n):
    with pytest.raises(DataError, match="lag"):
        fixed_b_critical(lag, n)
