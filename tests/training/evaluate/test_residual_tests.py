from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.signal import lfilter
from scipy.stats import cramervonmises, kstest, norm
from scipy.stats import t as student
from statsmodels.regression.linear_model import OLS
from statsmodels.stats.diagnostic import breaks_hansen

from features.panel import DataError
from training.evaluate.residual_tests import (
    cramer_von_mises_tail,
    ljung_box,
    nyblom,
    residual_tests,
    sign_bias,
    uniformity,
)


def normal_scores(n, seed, drift=0.0):
    """Scores of mean and variance of a normal sample whose mean drifts, at the estimates."""
    x = np.random.default_rng(seed).standard_normal(n) + drift * np.linspace(-1, 1, n)
    away = x - x.mean()
    return np.column_stack([away, away**2 - away.var()])


def test_ljung_box_by_the_plain_formula():
    x = np.random.default_rng(1).standard_normal(200)
    c = x - x.mean()
    rho = [(c[k:] @ c[:-k]) / (c @ c) for k in range(1, 11)]
    expected = 200 * 202 * sum(r**2 / (200 - k) for k, r in enumerate(rho, 1))
    assert ljung_box(x).statistic == pytest.approx(expected, rel=1e-10)


def test_residuals_with_nothing_left_in_them_pass_in_nineteen_of_twenty_cases():
    rng = np.random.default_rng(1)
    found = [residual_tests(rng.standard_normal(800), cdf=norm.cdf) for _ in range(600)]
    for part in ("level", "square", "uniform"):
        assert np.mean([getattr(one, part).p < 0.05 for one in found]) == pytest.approx(0.05, abs=0.027), part
    assert np.mean([one.sign.joint.p < 0.05 for one in found]) == pytest.approx(0.05, abs=0.027)


def test_what_is_left_in_residuals_is_found():
    rng = np.random.default_rng(2)
    e = rng.standard_normal(1000)
    assert ljung_box(lfilter([1], [1, -0.2], e)).rejects()
    clustered = e * np.exp(0.4 * np.sin(np.arange(1000) / 30))
    assert residual_tests(clustered).square.rejects(0.001)
    assert not residual_tests(clustered).level.rejects(0.001)
    heavy = student.rvs(3, size=2000, random_state=rng) / math.sqrt(3)
    assert residual_tests(heavy, cdf=norm.cdf).uniform.rejects(0.001)
    assert residual_tests(heavy).uniform is None


def test_a_variance_blind_to_the_sign_of_shocks_leaves_sign_bias():
    rng = np.random.default_rng(3)
    z = np.empty(3000)
    z[0] = 0.0
    for t in range(1, 3000):
        z[t] = rng.standard_normal() * math.sqrt(0.8 + 0.5 * z[t - 1] ** 2 * (z[t - 1] < 0))
    found = sign_bias(z)
    assert found.joint.rejects(0.001)
    assert found.negative.statistic < -3  # the farther below nought, the larger what follows
    assert abs(found.positive.statistic) < 3


def test_sign_bias_by_a_plain_regression():
    z = np.random.default_rng(4).standard_normal(300)
    rows = [[1.0, float(a < 0), a if a < 0 else 0.0, a if a >= 0 else 0.0] for a in z[:-1]]
    X, y = np.array(rows), z[1:] ** 2
    b = np.linalg.solve(X.T @ X, X.T @ y)
    left = y - X @ b
    found = sign_bias(z)
    cov = left @ left / (299 - 4) * np.linalg.inv(X.T @ X)
    assert found.negative.statistic == pytest.approx(b[2] / math.sqrt(cov[2, 2]), rel=1e-9)
    assert found.joint.statistic == pytest.approx(299 * (1 - left @ left / ((y - y.mean()) @ (y - y.mean()))), rel=1e-9)


def test_uniformity_is_that_of_scipy_and_refuses_what_is_no_probability():
    u = np.random.default_rng(5).random(200) ** 1.2
    assert uniformity(u).statistic == kstest(u, "uniform").statistic
    with pytest.raises(DataError, match="in \\[0, 1\\]"):
        uniformity(np.append(u, 1.2))


def test_short_and_constant_residuals_have_a_reason():
    short = residual_tests(np.random.default_rng(6).standard_normal(29), cdf=norm.cdf)
    for one in (short.level, short.square, short.sign.joint, short.uniform):
        assert math.isnan(one.p)
        assert "fewer than" in one.reason
    flat = residual_tests(np.ones(100))
    assert flat.level.reason == "the values never vary"
    assert "one side" in flat.sign.joint.reason


def test_gaps_are_left_out():
    z = np.random.default_rng(7).standard_normal(200)
    assert residual_tests(np.insert(z, 50, np.nan)) == residual_tests(z)


# Nyblom


def test_the_joint_statistic_is_that_of_statsmodels():
    rng = np.random.default_rng(8)
    X = np.column_stack([np.ones(200), rng.standard_normal(200)])
    fitted = OLS(X @ [1.0, 0.5] + rng.standard_normal(200), X).fit()
    left = fitted.resid
    scores = np.column_stack([X * left[:, None], left**2 - (left**2).mean()])
    assert nyblom(scores).joint.statistic == pytest.approx(breaks_hansen(fitted)[0], rel=1e-9)


def test_each_statistic_by_a_plain_loop():
    scores = normal_scores(150, 9)
    for j, one in enumerate(nyblom(scores).each):
        total, squares = 0.0, 0.0
        for s in scores[:, j]:
            total += s
            squares += total**2
        assert one.statistic == pytest.approx(squares / (150 * (scores[:, j] ** 2).sum()), rel=1e-10)


def test_stable_estimates_are_seldom_called_unstable_and_a_drift_is_found():
    still = [nyblom(normal_scores(400, seed)) for seed in range(200)]
    assert np.mean([one.joint.p < 0.05 for one in still]) == pytest.approx(0.05, abs=0.047)
    assert np.mean([one.each[0].p < 0.05 for one in still]) == pytest.approx(0.05, abs=0.047)
    drifting = [nyblom(normal_scores(400, seed, drift=0.5)) for seed in range(40)]
    assert np.mean([one.joint.p < 0.05 for one in drifting]) > 0.9
    assert np.mean([one.each[0].p < 0.05 for one in drifting]) > 0.9
    assert np.mean([one.each[1].p < 0.05 for one in drifting]) < 0.25


def test_nyblom_does_not_know_the_unit_of_the_scores():
    scores = normal_scores(200, 10)
    one, other = nyblom(scores), nyblom(scores * [1e6, 1e-6])
    assert other.joint.statistic == pytest.approx(one.joint.statistic, rel=1e-9)


def test_scores_that_are_no_optimum_or_move_as_one_have_a_reason():
    scores = normal_scores(200, 11)
    off = nyblom(scores + np.array([0.5, 0.0]))
    assert "no interior optimum" in off.joint.reason
    assert "no interior optimum" in off.each[0].reason
    assert off.each[1].reason == ""
    twice = nyblom(np.column_stack([scores, scores[:, 0]]))
    assert "move as one" in twice.joint.reason
    assert math.isfinite(twice.each[2].p)
    assert "fewer than 30" in nyblom(scores[:29]).joint.reason
    assert math.isnan(nyblom(np.zeros((50, 1))).joint.p)


def test_scores_that_are_not_finite_are_refused():
    with pytest.raises(DataError, match="finite"):
        nyblom(np.full((50, 2), np.nan))


@pytest.mark.parametrize("k", [1, 3, 8, 20])
def test_the_tail_is_that_of_simulated_bridges(k):
    rng = np.random.default_rng(k)
    # A Cramér-von Mises variable is a sum of χ² over (π j)²; what is cut off has the mean that is added.
    j = np.arange(1, 201)
    drawn = rng.chisquare(k, (20_000, 200)) @ (1 / (np.pi * j) ** 2) + k * (1 / 6 - (1 / (np.pi * j) ** 2).sum())
    for x in np.quantile(drawn, [0.3, 0.9, 0.95, 0.99]):
        assert cramer_von_mises_tail(x, k) == pytest.approx((drawn > x).mean(), abs=0.01)


def test_the_tail_of_one_is_that_of_scipy():
    u = np.random.default_rng(12).random(20_000) ** 1.005
    found = cramervonmises(u, "uniform")
    assert cramer_von_mises_tail(float(found.statistic), 1) == pytest.approx(found.pvalue, abs=1e-3)


def test_the_ends_of_the_tail():
    assert cramer_von_mises_tail(0.0, 2) == 1.0
    assert cramer_von_mises_tail(1e-3, 1) == pytest.approx(1.0, abs=1e-9)
    assert cramer_von_mises_tail(20.0, 1) == pytest.approx(0.0, abs=1e-7)
