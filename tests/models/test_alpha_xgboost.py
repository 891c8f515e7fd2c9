from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import xgboost as xgb
from factor_world import make_world, scored

from models.alpha.validation import latest_sessions
from models.alpha.xgboost import XGBoost
from models.base import FitError

SPEC = XGBoost(min_child_weight=20.0, learning_rate=0.1, threads=1)


@pytest.fixture(scope="module")
def sample():
    return make_world(seed=2, assets=40, sessions=130, train=120, ic=0.3).train


@pytest.fixture(scope="module")
def fitted(sample):
    return SPEC.fit(sample, seed=1)


def test_it_ends_at_its_best_round_and_scores_with_no_later_tree(fitted, sample):
    [best], [error] = fitted.effective["best_iteration"], fitted.effective["best_score"]
    assert 0 < best < SPEC.rounds - 1
    assert fitted.boosters[0].num_boosted_rounds() == best + 1
    earlier, later = latest_sessions(sample, SPEC.valid_share)
    short = replace(SPEC, rounds=best + 1, early_stopping=0).fit(earlier, seed=1)
    assert np.array_equal(scored(fitted, sample), scored(short, sample))
    assert np.sqrt(np.mean((later.y - scored(fitted, later)) ** 2)) == pytest.approx(error, rel=1e-6)


def test_any_reader_of_its_file_predicts_the_same(fitted, sample, tmp_path):
    fitted.save(tmp_path)
    plain = xgb.Booster(model_file=tmp_path / "model_0.ubj").predict(xgb.DMatrix(sample.X))
    assert np.array_equal(plain.astype(np.float64), scored(fitted, sample))


def test_without_early_stopping_all_rows_are_used(sample):
    told = replace(SPEC, rounds=7, early_stopping=0).fit(sample, seed=1).effective
    assert (told["rows"], told["best_iteration"], told["best_score"]) == (len(sample.y), [6], [None])


def test_the_settings_reach_xgboost(fitted):
    told = json.loads(fitted.boosters[0].save_config())["learner"]["gradient_booster"]["tree_train_param"]
    assert int(told["max_depth"]) == SPEC.max_depth
    for ours, theirs in (("learning_rate", "learning_rate"), ("reg_lambda", "lambda"), ("subsample", "subsample")):
        assert float(told[theirs]) == pytest.approx(getattr(SPEC, ours))


@pytest.mark.parametrize("name", ["n_estimators", "max_dept"])
def test_a_parameter_that_xgboost_would_ignore_is_an_error(sample, name):
    with pytest.raises(FitError, match=f"{name}.*are not used"):
        replace(SPEC, extra={name: 3}).fit(sample, seed=1)


def test_a_parameter_that_xgboost_knows_changes_the_model(fitted, sample):
    other = replace(SPEC, extra={"max_leaves": 3, "grow_policy": "lossguide"}).fit(sample, seed=1)
    assert other.effective["max_leaves"] == 3
    assert not np.array_equal(scored(other, sample), scored(fitted, sample))


@pytest.mark.parametrize("alias", ["eta", "max_depth", "n_jobs"])
def test_extra_may_not_repeat_a_setting_even_by_an_alias(alias):
    with pytest.raises(FitError, match=alias):
        XGBoost(extra={alias: 1})


def test_a_column_told_to_rise_never_falls(sample):
    # x0 raises the label: told the contrary, the model may not use it upwards
    fitted = replace(SPEC, monotone={"x0": -1, "x1": 1}).fit(sample, seed=1)
    X = np.repeat(sample.X[:50], 21, axis=0)
    for column, sign in ((0, -1), (1, 1)):
        swept = X.copy()
        swept[:, column] = np.tile(np.linspace(-0.5, 0.5, 21, dtype=np.float32), 50)
        score = fitted.predict(swept, np.zeros(len(swept), np.int64)).reshape(50, 21)
        assert (sign * np.diff(score, axis=1)).min() >= -1e-6
    with pytest.raises(FitError, match="nowhere"):
        replace(SPEC, monotone={"nowhere": 1}).fit(sample, seed=1)


@pytest.mark.skipif(shutil.which("nvidia-smi") is not None, reason="this machine may have a GPU")
def test_a_gpu_that_is_not_there_is_an_error_and_not_a_slow_fit(sample):
    with pytest.raises(FitError):
        replace(SPEC, device="cuda").fit(sample, seed=1)
