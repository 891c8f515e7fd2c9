"""Drift in numbers: the PSI against a loop and a worked table, decay against what was planted."""

from __future__ import annotations

import math

import numpy as np
import pytest

from features.panel import DataError
from serving.drift import bin_counts, decay, decile_edges, psi


def by_loop(expected: list[int], actual: list[int]) -> float:
    e = [max(count, 0.5) for count in expected]
    a = [max(count, 0.5) for count in actual]
    return sum((y / sum(a) - x / sum(e)) * math.log((y / sum(a)) / (x / sum(e))) for x, y in zip(e, a, strict=True))


def test_equal_shares_have_no_drift() -> None:
    counts = np.array([5, 10, 15, 70])
    assert psi(counts, counts) == 0
    assert psi(counts, 3 * counts) == pytest.approx(0, abs=1e-15)


def test_a_worked_example() -> None:
    # Shares .2 .3 .5 become .3 .3 .4: .1 ln 1.5 + 0 + (-.1) ln .8
    found = psi(np.array([20, 30, 50]), np.array([30, 30, 40]))
    assert found == pytest.approx(0.1 * math.log(1.5) - 0.1 * math.log(0.8))
    assert found == pytest.approx(0.0628609, abs=1e-7)


def test_the_index_is_that_of_a_plain_loop_also_with_empty_bins() -> None:
    draw = np.random.default_rng(0)
    for _ in range(50):
        expected, actual = draw.poisson(3, 10), draw.poisson(draw.uniform(0.2, 5, 10))
        assert psi(expected, actual) == pytest.approx(by_loop(expected.tolist(), actual.tolist()), abs=1e-12)


def test_a_normal_that_moves_by_a_standard_deviation_has_about_the_integral() -> None:
    """For N(0, 1) and N(d, 1) the index tends to d² as bins get finer; ten bins lose a little of it."""
    draw = np.random.default_rng(1)
    then, now = draw.normal(size=200_000), draw.normal(0.5, size=200_000)
    edges = decile_edges(then)
    assert len(edges) == 9
    assert 0.2 < psi(bin_counts(then, edges), bin_counts(now, edges)) < 0.25
    same = draw.normal(size=200_000)
    assert psi(bin_counts(then, edges), bin_counts(same, edges)) < 0.001


def test_deciles_hold_a_tenth_each_and_missing_values_nothing() -> None:
    values = np.append(np.arange(1000, dtype=np.float32), np.float32(np.nan))
    counts = bin_counts(values, decile_edges(values))
    assert counts.tolist() == [100] * 10


def test_a_flag_has_two_bins_and_a_constant_one_edge() -> None:
    flag = np.array([0.0] * 50 + [1.0] * 50)
    assert bin_counts(flag, decile_edges(flag)).tolist()[-1] == 50
    assert psi(bin_counts(flag, decile_edges(flag)), bin_counts(flag[:60], decile_edges(flag))) > 0.1
    constant = np.ones(30)
    assert bin_counts(constant, decile_edges(constant)).sum() == 30


def test_what_was_never_there_has_no_index() -> None:
    assert len(decile_edges(np.array([np.nan, np.nan]))) == 0
    assert math.isnan(psi(np.array([0, 0]), np.array([1, 2])))
    assert math.isnan(psi(np.array([1, 2]), np.array([0, 0])))
    with pytest.raises(DataError, match="both histograms must have the same bins"):
        psi(np.array([1, 2]), np.array([1, 2, 3]))


# ---- decay ----------------------------------------------------------------------------------------------------------

WALKED = {"mean": 0.05, "std": 0.1, "t": 5.0}


def test_the_band_is_two_standard_errors_of_the_difference() -> None:
    ic = np.full(100, 0.04)
    ic[::10] = np.nan
    found = decay(ic, 60, 5, **WALKED)
    assert (found.n, found.mean) == (60, pytest.approx(0.04))
    error = math.sqrt(0.1**2 * 5 / 60 + (0.05 / 5) ** 2)
    assert (found.lo, found.hi) == pytest.approx((0.05 - 2 * error, 0.05 + 2 * error))
    assert found.told
    assert not decay(ic[:15], 60, 5, **WALKED).told


def test_the_rolling_mean_is_that_of_the_last_values() -> None:
    draw = np.random.default_rng(2)
    ic = np.where(draw.uniform(size=80) < 0.2, np.nan, draw.normal(size=80))
    found = decay(ic, 20, 5, **WALKED).rolling
    for t in range(80):
        if np.isnan(ic[t]):
            assert np.isnan(found[t])
        else:
            known = ic[: t + 1][np.isfinite(ic[: t + 1])]
            assert found[t] == pytest.approx(known[-20:].mean(), abs=1e-12)


def test_a_model_that_keeps_its_word_raises_no_alarm_and_a_dead_one_does() -> None:
    draw = np.random.default_rng(3)
    alive = dead = 0
    for _ in range(100):
        noise = draw.normal(0, 0.1, 120)
        kept, lost = decay(0.05 + noise, 60, 1, **WALKED), decay(-0.05 + noise, 60, 1, **WALKED)
        alive += kept.mean < kept.lo or kept.alarm >= 0
        dead += lost.mean < lost.lo and lost.alarm >= 0
    assert alive <= 25, "one alarm in 930 sessions each, and a two-sided band of 5 %"
    assert dead >= 95


def test_the_alarm_names_its_session() -> None:
    ic = np.concatenate([np.full(10, 0.05), [np.nan], np.full(20, -0.15)])
    found = decay(ic, 60, 1, **WALKED)
    # Each session after the gap lies two deviations below: 1.5 more a session, past 5 with the fourth.
    assert found.alarm == 14
    assert found.cusum == pytest.approx(1.5 * 20)


def test_without_labels_nothing_is_told() -> None:
    found = decay(np.full(5, np.nan), 60, 5, **WALKED)
    assert (found.n, found.told, found.alarm) == (0, False, -1)
    assert math.isnan(found.mean)
