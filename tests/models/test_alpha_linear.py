from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import ElasticNet

from models.alpha.linear import Linear
from models.base import FitError, Sample


@pytest.fixture
def sample() -> Sample:
    rng = np.random.default_rng(3)
    X = rng.normal([0.5, -1.0, 0.0, 2.0], 1.0, (3000, 4)).astype(np.float32)
    y = 0.3 * X[:, 0] - 0.2 * X[:, 1] + 0.4 + rng.standard_normal(3000)
    return Sample(X, y, np.repeat(np.arange(60), 50), rng.uniform(0.5, 2.0, 3000), ("a", "b", "c", "d"), 2)


def test_ridge_solves_its_weighted_normal_equations(sample):
    fitted = Linear(alpha=250.0).fit(sample, seed=0)
    design = np.column_stack([sample.X.astype(np.float64), np.ones(3000)])
    w = sample.weight / sample.weight.mean()
    penalty = np.diag([250.0] * 4 + [0.0])  # the intercept goes free
    wanted = np.linalg.solve(design.T @ (w[:, None] * design) + penalty, design.T @ (w * sample.y))
    assert np.allclose(fitted.coefficients, wanted[:4], rtol=1e-9, atol=1e-12)
    assert fitted.intercept == pytest.approx(wanted[4])


@pytest.mark.parametrize("l1_ratio", [0.1, 0.5, 1.0])
def test_elastic_net_agrees_with_one_on_all_rows(sample, l1_ratio):
    fitted = Linear(alpha=90.0, l1_ratio=l1_ratio).fit(sample, seed=0)
    whole = ElasticNet(alpha=90.0 / 3000, l1_ratio=l1_ratio, tol=1e-10, max_iter=100_000)
    whole.fit(sample.X.astype(np.float64), sample.y, sample_weight=sample.weight)
    assert np.allclose(fitted.coefficients, whole.coef_, atol=2e-5)
    assert fitted.intercept == pytest.approx(whole.intercept_, abs=1e-4)


def test_of_many_alphas_the_one_that_ranks_later_sessions_best_is_refitted_on_all_rows(sample):
    alphas = (1.0, 1e3, 1e6)
    fitted = Linear(alpha=alphas).fit(sample, seed=0)
    chosen = fitted.effective["alpha"]
    by_alpha = {float(a): ic for a, ic in fitted.effective["rank_ic_by_alpha"].items()}
    assert set(by_alpha) == set(alphas)
    assert by_alpha[chosen] == max(by_alpha.values())
    assert np.array_equal(fitted.coefficients, Linear(alpha=chosen).fit(sample, seed=0).coefficients)


def test_a_column_that_is_there_twice_shares_its_weight(sample):
    X = np.column_stack([sample.X, sample.X[:, 0]])
    twice = Linear(alpha=10.0).fit(replace(sample, X=X, columns=("a", "b", "c", "d", "e")), seed=0)
    assert twice.coefficients[0] == pytest.approx(twice.coefficients[4], rel=1e-6)


def test_a_penalty_that_leaves_nothing_is_refused(sample):
    with pytest.raises(FitError, match="constant predictions"):
        Linear(alpha=1e7, l1_ratio=0.5).fit(sample, seed=0)


def test_a_search_that_does_not_converge_is_refused(sample):
    with pytest.raises(FitError, match="converge in 1 steps"):
        Linear(alpha=1.0, l1_ratio=0.1, max_iter=1).fit(sample, seed=0)


@pytest.mark.parametrize("wrong", [{"alpha": 0.0}, {"alpha": ()}, {"l1_ratio": 1.5}, {"valid_share": 1.0}])
def test_settings_outside_their_range_are_refused(wrong):
    with pytest.raises(FitError, match="alpha must be positive"):
        Linear(**wrong)


def test_a_list_of_alphas_is_a_sequence_like_any_other():
    assert Linear(alpha=[1.0, 10.0]) == Linear(alpha=(1.0, 10.0))
