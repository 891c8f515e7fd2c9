from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from factor_world import make_world, scored
from scipy.stats import kendalltau, spearmanr

from models.alpha.ensemble import Ensemble
from models.alpha.importance import contributions, importance_stability, permutation_importance
from models.alpha.lightgbm import LightGBM
from models.alpha.linear import Linear
from models.alpha.xgboost import XGBoost
from models.base import FitError

SPECS = {
    "linear": Linear(alpha=50.0),
    "xgboost": XGBoost(min_child_weight=20.0, learning_rate=0.1, seeds=2, threads=1),
    "ndcg": XGBoost(objective="ndcg", min_child_weight=20.0, learning_rate=0.1, threads=1),
    "lightgbm": LightGBM(min_child_samples=20, learning_rate=0.1, seeds=2, threads=1),
}


@pytest.fixture(scope="module")
def world():
    return make_world(seed=4, assets=40, sessions=210, train=120, ic=0.3)


@pytest.fixture(scope="module", params=SPECS)
def fitted(request, world):
    return SPECS[request.param].fit(world.train, 5)


def test_columns_that_matter_cost_skill_when_permuted_and_others_do_not(fitted, world):
    found = permutation_importance(fitted, world.test, seed=0)
    assert tuple(found) == world.test.columns
    assert min(found["x0"], found["x1"]) > 0.05
    assert max(abs(v) for c, v in found.items() if c not in ("x0", "x1")) < 0.03


def test_one_block_of_all_sessions_is_a_plain_permutation(world):
    line = SPECS["linear"].fit(world.train, 5)
    sample = world.test
    found = permutation_importance(line, sample, block=10_000, seed=8, columns=["x1"])["x1"]

    def daily(X: np.ndarray) -> float:
        score = line.predict(X, sample.session)
        return np.mean([spearmanr(score[sample.session == s], sample.y[sample.session == s])[0] for s in days])

    days = np.unique(sample.session)
    X = sample.X.copy()
    X[:, 1] = np.random.default_rng([8, 1]).permutation(X[:, 1])
    assert found == pytest.approx(daily(sample.X) - daily(X), abs=1e-12)


def test_values_stay_within_their_block_of_sessions():
    sample = make_world(seed=4, assets=10, sessions=120, train=50, ic=0.3).train
    seen = []

    def predict(X: np.ndarray, session: np.ndarray) -> np.ndarray:
        seen.append((int(session[0]), int(session[-1]), np.sort(X[:, 0])))
        return X[:, 0].astype(np.float64)

    recorder = SimpleNamespace(columns=sample.columns, predict=predict)
    permutation_importance(recorder, sample, block=20, seed=0, columns=["x0"])
    assert [(a, b) for a, b, _ in seen] == [(0, 19), (20, 39), (40, 49)] * 2
    for before, after in zip(seen[:3], seen[3:], strict=True):
        assert np.array_equal(before[2], after[2])


def test_a_column_has_one_number_whichever_others_are_asked_for(world):
    line = SPECS["linear"].fit(world.train, 5)
    whole = permutation_importance(line, world.test, seed=3)
    assert permutation_importance(line, world.test, seed=3, columns=["x7", "x1"]) == {c: whole[c] for c in ("x7", "x1")}
    assert permutation_importance(line, world.test, seed=4, columns=["x1"])["x1"] != whole["x1"]


@pytest.mark.parametrize("wrong", [{"columns": ["x0", "nowhere"]}, {"block": 0}])
def test_columns_and_blocks_that_are_not_there_are_refused(world, wrong):
    line = SPECS["linear"].fit(world.train, 5)
    with pytest.raises(FitError, match="columns must be the model's and block positive"):
        permutation_importance(line, world.test, seed=0, **wrong)


def test_contributions_add_up_to_the_score_but_for_a_constant(fitted, world):
    rows = world.test.rows(slice(0, 400))
    parts = fitted.contributions(rows.X)
    assert parts.shape == rows.X.shape
    assert np.ptp(scored(fitted, rows) - parts.sum(axis=1)) < 1e-5


def test_mean_contributions_are_largest_where_the_signal_is(fitted, world):
    X = world.test.X[:800]
    found = contributions(fitted, X)
    mean = np.abs(fitted.contributions(X)).mean(axis=0)
    assert found == pytest.approx(dict(zip(fitted.columns, mean, strict=True)))
    assert set(sorted(found, key=found.get)[-2:]) == {"x0", "x1"}


def test_an_ensemble_contributes_by_the_shares_of_its_members(world):
    spec = Ensemble(({"kind": "linear"}, {"kind": "xgboost", "params": {"min_child_weight": 20.0, "threads": 1}}))
    fitted = replace(spec.fit(world.train, 5), weights=np.array([0.2, 0.8]))
    found = contributions(fitted, world.test.X)
    one, other = (contributions(m, world.test.X) for m in fitted.members)
    wanted = {c: 0.2 * one[c] / sum(one.values()) + 0.8 * other[c] / sum(other.values()) for c in fitted.columns}
    assert found == pytest.approx(wanted)
    with pytest.raises(FitError, match="sums over columns"):
        fitted.contributions(world.test.X)


def test_stability_is_the_mean_tau_of_all_pairs_of_folds_over_the_columns_they_share():
    folds = [
        {"a": 0.5, "b": 0.3, "c": 0.2, "d": 0.0},
        {"a": 0.4, "b": 0.1, "c": 0.3, "d": 0.2},
        {"b": 0.6, "a": 0.2, "c": 0.2},
    ]
    taus = [
        kendalltau([0.5, 0.3, 0.2, 0.0], [0.4, 0.1, 0.3, 0.2]).statistic,  # 4 of 6 pairs agree: 1/3
        kendalltau([0.5, 0.3, 0.2], [0.2, 0.6, 0.2]).statistic,
        kendalltau([0.4, 0.1, 0.3], [0.2, 0.6, 0.2]).statistic,
    ]
    assert taus[0] == pytest.approx(1 / 3)
    assert importance_stability(folds) == pytest.approx(np.mean(taus))
    assert importance_stability([folds[0], folds[0]]) == pytest.approx(1.0)


@pytest.mark.parametrize("folds", [[], [{"a": 1.0}], [{"a": 1.0, "b": 2.0}, {"c": 1.0}]])
def test_of_too_little_there_is_no_stability(folds):
    assert math.isnan(importance_stability(folds))
