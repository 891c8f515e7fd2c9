from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from arch.bootstrap import StationaryBootstrap, optimal_block_length
from scipy.signal import lfilter
from scipy.stats import false_discovery_control

from features.panel import DataError
from training.evaluate.significance import (
    automatic_lag,
    benjamini_hochberg,
    block_bootstrap,
    block_length,
    fixed_b_critical,
    newey_west,
    overlap_lag,
    p_value,
    patton_timmermann,
    stationary_rows,
)


def ar1(rng, shape, phi):
    """AR(1) with unit shocks along the last axis, from its stationary law."""
    shocks = rng.normal(size=shape)
    shocks[..., 0] /= math.sqrt(1 - phi**2)
    return lfilter([1.0], [1.0, -phi], shocks, axis=-1)


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


def test_the_interval_leaves_out_nought_exactly_where_the_t_is_significant():
    rng = np.random.default_rng(2)
    seen = set()
    for drift in np.linspace(-0.3, 0.3, 41):
        found = newey_west(rng.normal(drift, 1, 200), 6)
        assert (found.lo > 0 or found.hi < 0) == found.is_significant == (p_value(found) < 0.05)
        assert found.hi - found.mean == pytest.approx(found.critical * found.se)
        seen.add(found.is_significant)
    assert seen == {True, False}


def test_without_lags_the_p_value_is_that_of_a_gaussian():
    found = newey_west(np.random.default_rng(3).normal(0.1, 1, 400), 0)
    assert p_value(found) == pytest.approx(math.erfc(abs(found.t) / math.sqrt(2)), rel=1e-3)


def test_no_t_has_no_p_value():
    assert math.isnan(p_value(newey_west(np.full(20, 0.5), 3)))
    assert math.isnan(p_value(newey_west(np.array([0.3]), 1)))


@pytest.mark.parametrize("b", [0.01, 0.03, 0.06, 0.1])
@pytest.mark.parametrize(
    ("p", "cubic"), [(0.1, (1.6449, 2.1859, 0.3142, -0.3427)), (0.02, (2.3263, 4.1618, 0.5368, -0.9060))]
)
def test_p_values_agree_with_the_other_quantiles_of_kiefer_and_vogelsang(b, p, cubic):
    critical = float(np.polyval(cubic[::-1], b))
    found = newey_west(np.random.default_rng(4).normal(size=1000), round(1000 * b))
    assert p_value(replace(found, t=1.03 * critical)) < p
    assert p_value(replace(found, t=0.97 * critical)) > p


def test_p_values_of_noise_are_uniform_as_far_as_the_limit_law_is():
    rng = np.random.default_rng(5)
    p = np.array([p_value(newey_west(row, 15)) for row in rng.normal(size=(1500, 250))])
    for size, error in ((0.01, 0.006), (0.05, 0.015), (0.2, 0.03), (0.5, 0.04)):
        assert (p < size).mean() == pytest.approx(size, abs=error)


def test_q_values_agree_with_scipy_and_pass_over_what_is_missing():
    p = np.random.default_rng(6).uniform(size=40) ** 2
    holed = np.insert(p, [0, 17, 40], np.nan)
    q = benjamini_hochberg(holed)
    assert np.array_equal(np.isnan(q), np.isnan(holed))
    assert q[~np.isnan(q)] == pytest.approx(false_discovery_control(p))
    assert np.isnan(benjamini_hochberg(np.full(3, np.nan))).all()
    assert benjamini_hochberg(np.empty(0)).shape == (0,)
    with pytest.raises(DataError, match=r"\[0, 1\]"):
        benjamini_hochberg(np.array([0.2, 1.2]))


def test_of_factors_without_skill_few_are_discovered_and_those_with_skill_are():
    rng = np.random.default_rng(7)
    ic = rng.normal(0, 0.1, (60, 500))
    ic[:10] += 0.03
    q = benjamini_hochberg(np.array([p_value(newey_west(row, 15)) for row in ic]))
    assert (q[:10] < 0.1).sum() >= 9
    assert (q[10:] < 0.1).sum() <= 2


def test_resampled_rows_are_blocks_of_the_length_asked_for():
    n, block = 400, 8.0
    rows = np.concatenate(list(stationary_rows(n, block, 500, np.random.default_rng(8))))
    assert rows.shape == (500, n)
    follows = (np.diff(rows, axis=1) % n == 1).mean()
    assert follows == pytest.approx(1 - 1 / block + 1 / block / n, abs=0.003)
    assert np.bincount(rows.ravel(), minlength=n).std() < 0.1 * 500  # every row as often as another


@pytest.mark.parametrize("statistic", ["mean", "sharpe"])
def test_its_draws_are_those_of_arch(statistic):
    x = ar1(np.random.default_rng(9), 300, 0.4) + 0.2
    told = {"mean": np.mean, "sharpe": lambda v: np.mean(v) / np.std(v, ddof=1)}[statistic]
    block = float(optimal_block_length(x)["stationary"].iloc[0])
    theirs = StationaryBootstrap(block, x, seed=1).conf_int(told, 4000, method="percentile").ravel()
    ours = block_bootstrap(x, statistic, seed=1, reps=4000)
    assert ours.block == pytest.approx(block)
    assert ours.estimate == pytest.approx(told(x))
    assert (ours.lo, ours.hi) == pytest.approx(tuple(theirs), abs=0.06 * (theirs[1] - theirs[0]))


def test_a_function_may_stand_for_a_name():
    x = np.random.default_rng(10).normal(size=100)
    assert block_bootstrap(x, lambda v: v.mean(axis=1), seed=3) == block_bootstrap(x, "mean", seed=3)
    with pytest.raises(DataError, match="mean, sharpe or a function"):
        block_bootstrap(x, "median", seed=3)


def test_an_interval_is_the_same_twice_and_narrower_at_a_lower_level():
    x = ar1(np.random.default_rng(11), 200, 0.3)
    wide, again = block_bootstrap(x, "sharpe", seed=5), block_bootstrap(x, "sharpe", seed=5)
    narrow = block_bootstrap(x, "sharpe", seed=5, level=0.5)
    assert wide == again
    assert wide.lo < narrow.lo < wide.estimate < narrow.hi < wide.hi
    assert block_bootstrap(np.insert(x, 3, np.nan), "sharpe", seed=5) == wide


def test_bootstrap_intervals_hold_the_mean_of_a_series_that_remembers_nearly_as_often_as_they_say():
    rng = np.random.default_rng(12)
    series = ar1(rng, (200, 500), 0.5)
    held = naive = 0
    for i, x in enumerate(series):
        found = block_bootstrap(x, "mean", seed=i, reps=500)
        held += found.lo < 0 < found.hi
        naive += abs(x.mean()) < 1.96 * x.std() / math.sqrt(500)
    assert 0.88 < held / 200 < 0.985
    assert naive / 200 < 0.84


def test_blocks_are_no_shorter_than_the_overlap():
    x = np.random.default_rng(13).normal(size=250)
    assert block_length(x) < 5
    assert block_bootstrap(x, "mean", seed=1, overlap=20).block == 20
    assert block_length(np.full(30, 2.0), 4) == 4
    assert block_length(np.r_[1.0, -1.0, np.zeros(30)]) >= 1  # no autocorrelation can be told from such a tail


@pytest.mark.parametrize(("n", "estimate"), [(0, math.nan), (1, 1.0), (11, 6.0)])
def test_too_few_values_have_no_bootstrap_interval(n, estimate):
    found = block_bootstrap(np.arange(1.0, n + 1), "mean", seed=1)
    assert found.estimate == pytest.approx(estimate, nan_ok=True)
    assert math.isnan(found.lo)
    assert math.isnan(found.hi)
    assert found.n == n


def test_a_constant_has_a_mean_but_no_sharpe_ratio():
    x = np.full(50, 0.25)
    found = block_bootstrap(x, "mean", seed=1)
    assert (found.lo, found.hi) == (0.25, 0.25)
    assert math.isnan(block_bootstrap(x, "sharpe", seed=1).estimate)


@pytest.mark.parametrize("wrong", [{"level": 1.0}, {"reps": 0}, {"overlap": 0}])
def test_a_bootstrap_without_sense_is_refused(wrong):
    with pytest.raises(DataError, match="bootstrap"):
        block_bootstrap(np.arange(20.0), "mean", seed=1, **wrong)


def groups(rng, steps, n=500):
    """Returns of groups that share a market, with means that rise by `steps`."""
    means = np.concatenate([[0.0], np.cumsum(steps)])
    return means + rng.normal(size=(n, 1)) + 0.5 * rng.normal(size=(n, len(means)))


def test_a_rise_through_all_groups_is_told_and_one_step_back_is_not():
    rng = np.random.default_rng(14)
    rising = groups(rng, np.full(4, 0.12))
    assert patton_timmermann(rising, seed=1) < 0.02
    assert patton_timmermann(rising[:, ::-1], seed=1) > 0.9
    broken = groups(rng, np.array([0.3, 0.3, -0.15, 0.3]))
    assert patton_timmermann(broken, seed=1) > 0.9


def test_the_monotonicity_test_has_its_size_without_steps_and_power_with_them():
    rng = np.random.default_rng(15)
    none = [patton_timmermann(groups(rng, np.zeros(4), 200), seed=i, reps=300, block=2.0) for i in range(300)]
    some = [patton_timmermann(groups(rng, np.full(4, 0.15), 200), seed=i, reps=300, block=2.0) for i in range(100)]
    assert 0.02 < np.mean(np.array(none) < 0.05) < 0.09
    assert np.mean(np.array(some) < 0.05) > 0.7


def test_the_monotonicity_test_agrees_with_a_plain_loop():
    rng = np.random.default_rng(16)
    returns = groups(rng, np.array([0.05, 0.02, 0.04]), 120)
    rise = np.diff(returns, axis=1)
    draws = []
    for rows in stationary_rows(120, 4.0, 400, np.random.default_rng(2)):
        draws += [rise[picked].mean(axis=0) - rise.mean(axis=0) for picked in rows]
    error = np.std(draws, axis=0)
    least = min(rise.mean(axis=0) / error)
    expected = (1 + sum(min(d / error) >= least for d in draws)) / 401
    assert patton_timmermann(returns, seed=2, reps=400, block=4.0) == pytest.approx(expected)


def test_sessions_that_lack_a_group_are_left_out_of_the_monotonicity_test():
    returns = groups(np.random.default_rng(17), np.full(3, 0.05), 100)
    holed = np.insert(returns, 40, [1.0, np.nan, 0.0, 9.0], axis=0)
    assert patton_timmermann(holed, seed=1) == patton_timmermann(returns, seed=1)
    assert math.isnan(patton_timmermann(returns[:11], seed=1))
    assert math.isnan(patton_timmermann(np.repeat(returns[:, :1], 3, axis=1), seed=1))
    with pytest.raises(DataError, match="2 groups"):
        patton_timmermann(returns[:, :1], seed=1)
