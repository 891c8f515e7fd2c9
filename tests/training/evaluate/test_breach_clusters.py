from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import chi2

from training.evaluate.breach_clusters import christoffersen, dynamic_quantile, rearranged, transitions


def wandering(n, seed):
    """A value at risk that follows a variance up and down."""
    rng = np.random.default_rng(seed)
    return 0.02 * np.exp(0.4 * np.sin(np.arange(n) / 40 + rng.random()) + 0.1 * rng.standard_normal(n))


# Christoffersen


def test_transitions_by_a_plain_loop():
    hit = np.random.default_rng(1).random(200) < 0.3
    expected = {(a, b): 0 for a in (False, True) for b in (False, True)}
    for t in range(1, 200):
        expected[bool(hit[t - 1]), bool(hit[t])] += 1
    assert transitions(hit) == tuple(expected.values())


def test_christoffersen_by_the_plain_formula():
    n00, n01, n10, n11 = 200, 20, 18, 11
    p01, p11, p = n01 / (n00 + n01), n11 / (n10 + n11), (n01 + n11) / (n00 + n01 + n10 + n11)
    free = n00 * math.log(1 - p01) + n01 * math.log(p01) + n10 * math.log(1 - p11) + n11 * math.log(p11)
    bound = (n00 + n10) * math.log(1 - p) + (n01 + n11) * math.log(p)
    assert christoffersen(n00, n01, n10, n11).statistic == pytest.approx(2 * (free - bound), rel=1e-10)


def test_breaches_that_never_follow_one_another_have_a_statistic():
    found = christoffersen(240, 5, 5, 0)
    assert 0 < found.statistic < 1
    assert found.p > 0.3


def test_no_breach_and_nothing_but_breaches_have_a_reason():
    assert christoffersen(249, 0, 0, 0).reason == "no session breaches"
    assert christoffersen(0, 0, 0, 249).reason == "every session breaches"
    assert math.isnan(christoffersen(249, 0, 0, 0).p)


# Engle and Manganelli


def test_the_dynamic_test_by_a_plain_regression():
    rng = np.random.default_rng(3)
    n, p = 400, 0.05
    hit, var = rng.random(n) < 0.07, 0.02 * np.exp(0.3 * rng.standard_normal(n))
    y = hit[4:] - p
    X = np.array([[1.0, *(float(hit[t - k]) - p for k in (1, 2, 3, 4)), var[t]] for t in range(4, n)])
    expected = y @ X @ np.linalg.solve(X.T @ X, X.T @ y) / (p * (1 - p))
    found = dynamic_quantile(hit, var, p)
    assert found.statistic == pytest.approx(expected, rel=1e-9)
    assert found.p == pytest.approx(chi2.sf(expected, 6), rel=1e-9)
    assert found.n == 396


def test_a_var_that_never_varies_costs_a_degree_of_freedom():
    hit = np.random.default_rng(4).random(300) < 0.05
    found = dynamic_quantile(hit, np.full(300, 0.02), 0.05)
    assert found.p == pytest.approx(chi2.sf(found.statistic, 5), rel=1e-9)


def test_the_dynamic_test_does_not_know_the_unit_of_the_var():
    hit = np.random.default_rng(5).random(300) < 0.05
    var = 0.02 + 0.01 * np.random.default_rng(6).random(300)
    assert dynamic_quantile(hit, var, 0.05).statistic == pytest.approx(dynamic_quantile(hit, 1e4 * var, 0.05).statistic)


def test_the_dynamic_test_of_no_breach_has_a_reason():
    assert dynamic_quantile(np.zeros(250, bool), np.ones(250), 0.01).reason == "no session breaches"
    assert dynamic_quantile(np.ones(250, bool), np.ones(250), 0.01).reason == "every session breaches"


def test_many_samples_at_once_are_those_one_by_one():
    """Breaches near both ends, where the lags reach out of the sample."""
    for seed in range(20):
        rng = np.random.default_rng(seed)
        n = 40
        hit = np.zeros(n, bool)
        hit[rng.choice(np.r_[0:6, 34:40, 20], 6, replace=False)] = True
        var = wandering(n, seed)
        y = hit[4:] - 0.1
        X = np.column_stack([np.ones(36), *(hit[4 - k : n - k] - 0.1 for k in (1, 2, 3, 4)), var[4:]])
        fit = X @ np.linalg.lstsq(X, y, rcond=None)[0]
        found = dynamic_quantile(hit, var, 0.1)
        assert found.statistic == pytest.approx(fit @ fit / 0.09, rel=1e-7)
        assert found.p == pytest.approx(chi2.sf(found.statistic, np.linalg.matrix_rank(X)), rel=1e-9)


# Rearrangement


def test_rearranged_p_values_are_those_of_a_plain_loop():
    rng = np.random.default_rng(7)
    n, p = 120, 0.05
    hit, var = rng.random(n) < 0.08, wandering(n, 7)
    first, second = christoffersen(*transitions(hit)), dynamic_quantile(hit, var, p)
    found = rearranged(hit, var, p, first, second, 500, 3)
    above = [0, 0]
    for row in np.random.default_rng(3).permuted(np.broadcast_to(hit, (500, n)), axis=1):
        above[0] += christoffersen(*transitions(row)).statistic >= first.statistic - 1e-9
        above[1] += dynamic_quantile(row, var, p).statistic >= second.statistic - 1e-9
    assert [one.exact for one in found] == [(1 + count) / 501 for count in above]
    assert (found[0].statistic, found[1].p) == (first.statistic, second.p)


def test_rearrangement_keeps_the_size_where_the_limit_law_does_not():
    exact = []
    for seed in range(200):
        hit, var = np.random.default_rng(seed).random(500) < 0.01, wandering(500, seed)
        if hit.any():
            tests = christoffersen(*transitions(hit)), dynamic_quantile(hit, var, 0.01)
            exact.append([one.exact < 0.05 for one in rearranged(hit, var, 0.01, *tests, 99, seed)])
    # 200 draws of a share of .05 lie within .047 of it but for three cases in a thousand.
    assert (np.mean(exact, axis=0) < 0.097).all()
    assert np.mean(exact, axis=0)[1] > 0.01


def test_the_limit_law_of_the_dynamic_test_rejects_too_often_at_99_percent():
    """Why the verdict goes by rearrangement."""
    limit = []
    for seed in range(600):
        rng = np.random.default_rng(seed)
        limit.append(dynamic_quantile(rng.random(1000) < 0.01, wandering(1000, seed), 0.01).p)
    assert np.mean(np.array(limit) < 0.05) > 0.075
