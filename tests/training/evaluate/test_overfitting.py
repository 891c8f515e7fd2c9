from __future__ import annotations

import math
from itertools import combinations, pairwise

import numpy as np
import pytest
from scipy.stats import kurtosis, rankdata, skew

from features.panel import DataError
from training.evaluate.overfitting import (
    deflated_sharpe,
    expected_max_sharpe,
    pbo,
    probabilistic_sharpe,
    sharpe_moments,
)


def noise(seed, n=480, trials=20):
    return np.random.default_rng(seed).normal(size=(n, trials))


def halvings(values, blocks, performance):
    """Winner, inside, outside and rank of every halving, one after the other."""
    edges = [k * len(values) // blocks for k in range(blocks + 1)]
    parts = [values[a:b] for a, b in pairwise(edges)]
    for chosen in combinations(range(blocks), blocks // 2):
        inside = performance(np.concatenate([parts[k] for k in chosen]))
        outside = performance(np.concatenate([parts[k] for k in range(blocks) if k not in chosen]))
        best = int(np.argmax(inside))
        yield best, inside[best], outside[best], rankdata(outside)[best]


PERFORMANCE = {"mean": lambda x: x.mean(axis=0), "sharpe": lambda x: x.mean(axis=0) / x.std(axis=0, ddof=1)}


@pytest.mark.parametrize("measure", PERFORMANCE)
@pytest.mark.parametrize(("n", "trials"), [(240, 7), (251, 8)])
def test_it_agrees_with_a_plain_loop(measure, n, trials):
    values = 3.0 + noise(1, n, trials) * np.linspace(0.5, 2, trials)
    found = pbo(values, blocks=6, measure=measure)
    best, inside, outside, rank = (np.array(c) for c in zip(*halvings(values, 6, PERFORMANCE[measure]), strict=True))
    assert np.array_equal(found.best, best)
    assert found.in_sample == pytest.approx(inside, rel=1e-12)
    assert found.out_of_sample == pytest.approx(outside, rel=1e-12)
    share = rank / (trials + 1)
    assert found.logits == pytest.approx(np.log(share / (1 - share)), abs=1e-12)
    assert found.value == pytest.approx(np.mean((share < 0.5) + 0.5 * (share == 0.5)))
    assert found.loss == np.mean(outside < 0)
    slope = np.cov(inside, outside)[0, 1] / np.var(inside, ddof=1)
    assert found.slope == pytest.approx(slope)
    assert found.intercept == pytest.approx(outside.mean() - slope * inside.mean())
    assert found.degradation == pytest.approx(inside.mean() - outside.mean())
    assert (found.trials, found.n, found.dropped) == (trials, n, 0)


def test_sixteen_blocks_give_all_12870_halvings():
    assert pbo(noise(2)).logits.shape == (math.comb(16, 8),)


def test_among_trials_without_skill_the_winner_ends_above_or_below_the_median_alike():
    # One world's halvings share their data and lean one way together: only many worlds are even.
    found = [pbo(noise(seed, 320, 15), blocks=8) for seed in range(150)]
    value = np.array([f.value for f in found])
    assert value.mean() == pytest.approx(0.5, abs=3 * value.std() / math.sqrt(150))
    assert value.std() < 0.3
    logits = np.concatenate([f.logits for f in found])
    assert abs(logits.mean()) < 0.2
    assert np.mean([f.slope for f in found]) < -0.2


def test_what_gains_in_one_half_and_loses_in_the_other_is_overfitted_for_certain():
    """Every trial has a mean of nought over all sessions: what it wins in sample it must lose elsewhere."""
    values = noise(3, 480, 20)
    found = pbo(values - values.mean(axis=0), measure="mean")
    assert found.value > 0.99
    assert found.loss == 1.0
    assert found.slope == pytest.approx(-1.0)


def test_one_trial_that_is_truly_better_is_not_overfitted():
    values = noise(4)
    values[:, 13] += 0.3
    found = pbo(values)
    assert found.value < 0.01
    assert (found.best == 13).mean() > 0.99
    assert found.loss < 0.01


def test_copies_of_a_trial_tie_and_change_nothing_but_the_ranks():
    values = noise(5, 480, 6)
    copied = np.repeat(values, [3] * 6, axis=1)
    alone, many = pbo(values), pbo(copied)
    # the mid-rank of three copies at rank r is 3r - 1, and of 18 + 1 that is the same distance from the middle
    share = 1 / (1 + np.exp(-alone.logits))
    assert 1 / (1 + np.exp(-many.logits)) == pytest.approx((3 * share * 7 - 1) / 19)
    assert many.value == pytest.approx(alone.value)


def test_the_same_trial_at_other_leverage_ties_in_sharpe_ratio():
    values = noise(5, 480, 6)
    alone, many = pbo(np.repeat(values, 3, axis=1)), pbo(np.repeat(values, 3, axis=1) * np.tile([1.0, 3.0, 0.7], 6))
    assert many.logits == pytest.approx(alone.logits)


def test_a_large_mean_costs_no_digits():
    values = 1e6 + noise(6, 240, 5)
    found = pbo(values, blocks=6)
    inside = [row[1] for row in halvings(values, 6, PERFORMANCE["sharpe"])]
    assert found.in_sample == pytest.approx(np.array(inside), rel=1e-9)


def test_identical_trials_end_at_the_median():
    found = pbo(np.repeat(noise(6, 64, 1), 5, axis=1), blocks=8)
    assert found.value == 0.5
    assert np.abs(found.logits).max() == pytest.approx(0.0)


def test_the_order_of_trials_and_the_unit_do_not_matter():
    values = noise(7)
    found = pbo(values)
    assert pbo(values[:, ::-1]).value == found.value
    assert pbo(1e-4 * values).value == found.value


def test_a_trial_that_holds_cash_for_half_of_the_time_performs_at_nought_there():
    values = noise(8, 64, 3) - 5.0
    values[:32, 1], values[32:, 1] = 0.0, 5.0 + noise(9, 32, 1)[:, 0]
    found = pbo(values, blocks=2)
    assert found.best.tolist() == [1, 1]
    assert (found.in_sample[0], found.out_of_sample[1]) == (0.0, 0.0)
    assert found.out_of_sample[0] == found.in_sample[1] > 3


def test_missing_sessions_are_refused_or_dropped_and_counted():
    values = noise(9)
    holed = np.insert(values, 100, np.nan, axis=0)
    holed[100, 1:] = 5.0
    with pytest.raises(DataError, match=r"1 of 481.*row 100"):
        pbo(holed)
    found = pbo(holed, missing="drop")
    assert found.dropped == 1
    assert np.array_equal(found.logits, pbo(values).logits)


@pytest.mark.parametrize(
    ("values", "options", "said"),
    [
        (noise(1, 480, 1), {}, "2 trials"),
        (noise(1, 31), {}, "32 sessions"),
        (noise(1), {"blocks": 7}, "even"),
        (noise(1), {"measure": "median"}, "median"),
        (noise(1), {"missing": "fill"}, "fill"),
        (np.c_[noise(1), np.zeros(480)], {}, "trial 20"),
        (noise(1)[:, 0], {}, "trials"),
    ],
)
def test_what_cannot_be_judged_is_refused(values, options, said):
    with pytest.raises(DataError, match=said):
        pbo(values, **options)


def test_moments_are_those_of_scipy_and_pass_over_what_is_missing():
    x = np.random.default_rng(10).gamma(2, size=300) - 1.5
    found = sharpe_moments(np.insert(x, 5, np.nan))
    assert found == pytest.approx((x.mean() / x.std(ddof=1), skew(x), kurtosis(x) + 3, 300))
    sr, _, kurt, n = sharpe_moments(np.random.default_rng(11).normal(size=100_000))
    assert (sr, kurt, n) == (pytest.approx(0, abs=0.01), pytest.approx(3, abs=0.06), 100_000)


@pytest.mark.parametrize("returns", [[], [0.1], [0.1] * 9])
def test_returns_that_do_not_vary_have_no_moments(returns):
    found = sharpe_moments(np.array(returns))
    assert math.isnan(found.sr)
    assert found.n == len(returns)
    assert math.isnan(probabilistic_sharpe(*[found.sr, found.n, found.skew, found.kurtosis]))


def test_one_trial_is_not_deflated():
    assert expected_max_sharpe(0.5, 1) == 0.0
    assert deflated_sharpe(0.1, 250, 0.0, 3.0, 1, 0.5) == probabilistic_sharpe(0.1, 250, 0.0, 3.0)


def test_the_expected_maximum_is_that_of_simulated_trials():
    rng = np.random.default_rng(12)
    for trials in (5, 60, 400):
        best = 0.2 * rng.normal(size=(4000, trials)).max(axis=1)
        assert expected_max_sharpe(0.04, trials) == pytest.approx(best.mean(), rel=0.03)


def test_more_trials_deflate_more_and_fat_left_tails_count_against():
    ratios = [deflated_sharpe(0.1, 500, 0.0, 3.0, n, 0.002) for n in (1, 2, 10, 100)]
    assert ratios == sorted(ratios, reverse=True)
    assert probabilistic_sharpe(0.1, 500, -2.0, 12.0) < probabilistic_sharpe(0.1, 500, 0.0, 3.0)


def test_the_probability_is_uniform_where_the_true_ratio_is_the_benchmark():
    rng = np.random.default_rng(13)
    returns = rng.gamma(4, size=(1500, 250)) / 2 - 1.8  # skewed, with a true ratio of .2
    found = np.array([probabilistic_sharpe(*_arguments(r), benchmark=0.2) for r in returns])
    for share in (0.05, 0.5, 0.95):
        assert (found < share).mean() == pytest.approx(share, abs=0.03)


def _arguments(returns):
    found = sharpe_moments(returns)
    return found.sr, found.n, found.skew, found.kurtosis


def test_the_winner_of_trials_without_skill_is_rarely_believed():
    rng = np.random.default_rng(14)
    believed = naive = 0
    for _ in range(200):
        trials = rng.normal(size=(250, 25))
        ratios = trials.mean(axis=0) / trials.std(axis=0, ddof=1)
        best = sharpe_moments(trials[:, ratios.argmax()])
        believed += deflated_sharpe(best.sr, best.n, best.skew, best.kurtosis, 25, ratios.var(ddof=1)) > 0.95
        naive += probabilistic_sharpe(best.sr, best.n, best.skew, best.kurtosis) > 0.95
    assert believed / 200 <= 0.05
    assert naive / 200 > 0.6


def test_moments_that_no_distribution_has_and_counts_without_sense_are_refused():
    with pytest.raises(DataError, match="kurtosis"):
        probabilistic_sharpe(1.0, 100, 2.0, 1.0)
    with pytest.raises(DataError, match="trials"):
        expected_max_sharpe(0.1, 0)
    with pytest.raises(DataError, match="variance"):
        expected_max_sharpe(math.nan, 5)
