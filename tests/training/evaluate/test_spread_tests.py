"""Tests of spread forecasts are right in size, find what is there, and equal a second way of computing them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import stats

from features.panel import DataError
from training.evaluate.spread_tests import direction, half_life_stability, out_of_sample, time_ic


def planted(seed, n=800, horizon=5, r2=0.05):
    """Outcomes over `horizon` sessions ahead, and a forecast that explains a share of them."""
    rng = np.random.default_rng(seed)
    signal = np.zeros(n + horizon)
    for t in range(1, n + horizon):
        signal[t] = 0.9 * signal[t - 1] + rng.normal()
    signal = signal[:n] / signal.std()
    shocks = rng.normal(size=n + horizon)
    noise = np.array([shocks[t + 1 : t + 1 + horizon].sum() for t in range(n)]) / math.sqrt(horizon)
    return math.sqrt(r2) * signal + math.sqrt(1 - r2) * noise, math.sqrt(r2) * signal


def test_r2_is_that_of_its_formula_and_gaps_are_left_out():
    y, f = planted(0)
    y[-5:] = np.nan
    base = 0.3 * f + 0.01
    found = out_of_sample(y, f, base, 5, nested=False)
    assert found.n == 795
    assert found.r2 == pytest.approx(1 - ((y - f)[:-5] ** 2).sum() / ((y - base)[:-5] ** 2).sum())
    worse = out_of_sample(y, base, f, 5, nested=False)
    assert worse.r2 < 0 < found.r2
    assert found.p + worse.p == pytest.approx(1)


def test_clark_west_is_the_regression_of_the_adjusted_difference_on_a_constant():
    y, f = planted(1)
    found = out_of_sample(y, f, None, 5, nested=True)
    adjusted = y**2 - ((y - f) ** 2 - f**2)
    by_ols = sm.OLS(adjusted, np.ones(len(y))).fit(cov_type="HAC", cov_kwds={"maxlags": 15})
    assert found.t == pytest.approx(by_ols.tvalues[0], rel=1e-10)
    assert found.is_better


@pytest.mark.parametrize("horizon", [1, 5])
def test_a_useless_regression_beats_nought_as_often_as_the_size_says(horizon):
    rejected = 0
    for seed in range(400):
        rng = np.random.default_rng(seed)
        shocks, n = rng.normal(size=700), 600
        x = np.convolve(rng.normal(size=n + 20), np.ones(5), "same")[:n]
        y = np.array([shocks[t + 1 : t + 1 + horizon].sum() for t in range(n)])
        f = np.full(n, np.nan)
        for t in range(200, n, 20):
            past = slice(0, t - horizon)
            slope = x[past] @ y[past] / (x[past] @ x[past])
            f[t : t + 20] = slope * x[t : t + 20]
        rejected += out_of_sample(y, f, None, horizon, nested=True).is_better
    assert 0.01 <= rejected / 400 <= 0.09


def test_direction_is_close_to_the_independence_test_of_its_two_by_two_table():
    y, f = planted(2, horizon=1, r2=0.04)
    y, f = y - 0.3, f + 0.1
    found = direction(y, f, 1)
    table = np.array([[((y > 0) == a) & ((f > 0) == b) for b in (True, False)] for a in (True, False)]).sum(axis=2)
    chi2 = stats.chi2_contingency(table, correction=False).statistic
    assert found.classic.statistic**2 == pytest.approx(chi2, rel=0.02)
    assert found.accuracy == ((y > 0) == (f > 0)).mean()
    up, said = (y > 0).mean(), (f > 0).mean()
    assert found.expected == pytest.approx(up * said + (1 - up) * (1 - said))
    slope = sm.OLS((y > 0) * 1.0, sm.add_constant((f > 0) * 1.0)).fit(cov_type="HAC", cov_kwds={"maxlags": 6})
    assert found.robust.statistic == pytest.approx(slope.tvalues[1], rel=1e-8)


def test_overlapping_outcomes_fool_the_classic_test_of_direction_and_not_the_robust_one():
    classic = robust = 0
    for seed in range(300):
        rng = np.random.default_rng(seed)
        shocks, n = rng.normal(size=620), 600
        f = np.zeros(n)
        for t in range(1, n):
            f[t] = 0.95 * f[t - 1] + rng.normal()
        y = np.array([shocks[t + 1 : t + 11].sum() for t in range(n)])
        found = direction(y, f, 10)
        classic += found.classic.rejects()
        robust += found.robust.rejects()
    assert classic / 300 > 0.15
    assert robust / 300 < 0.10


def test_a_direction_that_never_changes_is_not_tested():
    y, f = planted(3)
    found = direction(y, np.abs(f) + 1, 5)
    assert found.accuracy == (y > 0).mean()
    assert np.isnan(found.robust.p)
    assert found.robust.reason == "every forecast has the same sign"
    assert direction(y, y, 5).robust.reason == "every sign is right"


def test_ic_is_the_correlation_and_its_error_that_of_the_slope_where_there_is_none():
    y, f = planted(4)
    pearson = time_ic(y, f, 5, method="pearson")
    assert pearson.ic == pytest.approx(np.corrcoef(y, f)[0, 1], rel=1e-12)
    assert pearson.mean.mean == pytest.approx(pearson.ic)
    rank = time_ic(y, f, 5)
    assert rank.ic == pytest.approx(stats.spearmanr(y, f).statistic, rel=1e-12)
    assert rank.mean.lo < rank.ic < rank.mean.hi
    assert rank.p < 0.05


def test_the_interval_of_the_ic_holds_the_truth_as_often_as_it_says():
    truth = math.sqrt(0.1)
    held = 0
    for seed in range(300):
        y, f = planted(seed, n=1500, horizon=5, r2=0.1)
        found = time_ic(y, f, 5, method="pearson").mean
        held += found.lo <= truth <= found.hi
    assert 0.88 <= held / 300 <= 0.99


def test_the_error_of_a_high_correlation_is_that_of_two_normals():
    rng = np.random.default_rng(0)
    y = rng.normal(size=20_000)
    f = 0.7 * y + math.sqrt(1 - 0.49) * rng.normal(size=20_000)
    assert time_ic(y, f, 1, method="pearson").mean.se == pytest.approx((1 - 0.49) / math.sqrt(20_000), rel=0.1)


def test_too_few_rows_have_numbers_but_no_test():
    y, f = planted(5, n=20)
    found = out_of_sample(y, f, None, 5, nested=True)
    assert math.isfinite(found.r2)
    assert math.isnan(found.p)
    assert "fewer than 30" in found.reason
    assert not found.is_better
    assert math.isnan(time_ic(y, f, 5).ic)


def test_half_lives_that_stay_the_same_are_told_from_those_that_do_not():
    rng = np.random.default_rng(0)
    phi, error = np.full(30, 0.9), np.full(30, 0.02)
    steady = half_life_stability(np.log(2) / -np.log(phi), phi=phi + error * rng.normal(size=30), error=error)
    assert steady.homogeneous.p > 0.05
    drifting = phi + np.linspace(-0.1, 0.08, 30)
    half_life = np.log(2) / -np.log(drifting)
    half_life[-3:] = np.inf
    moved = half_life_stability(half_life, phi=drifting, error=error, stride=3)
    assert moved.homogeneous.n == 10
    assert moved.homogeneous.p < 1e-6
    assert moved.reverting == 0.9
    assert moved.low < moved.median < moved.high < 60
    assert moved.inside == ((half_life >= 2) & (half_life <= 60)).mean()


def test_cochrans_q_is_its_sum():
    phi, error = np.array([0.8, 0.9, 0.95]), np.array([0.05, 0.02, 0.04])
    weight = 1 / error**2
    mean = (weight * phi).sum() / weight.sum()
    found = half_life_stability(np.array([3.1, 6.6, 13.5]), phi=phi, error=error).homogeneous
    assert found.statistic == pytest.approx((weight * (phi - mean) ** 2).sum())
    assert found.p == pytest.approx(stats.chi2.sf(found.statistic, 2))


def test_without_errors_or_refits_nothing_is_tested():
    assert half_life_stability(np.array([5.0, 6.0])).homogeneous.reason == "no standard errors"
    nothing = half_life_stability(np.array([]))
    assert nothing.n == 0
    assert math.isnan(nothing.median)


def test_arrays_that_do_not_match_are_refused():
    with pytest.raises(DataError, match="alike"):
        out_of_sample(np.zeros(40), np.zeros(41), None, 1, nested=True)
    with pytest.raises(DataError, match="stride"):
        half_life_stability(np.zeros(3), stride=0)
