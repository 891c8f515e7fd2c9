from __future__ import annotations

from dataclasses import replace

import lightgbm as lgb
import numpy as np
import pytest
from factor_world import make_world, scored

from models.alpha.lightgbm import LightGBM
from models.alpha.validation import latest_sessions
from models.base import FitError

SPEC = LightGBM(min_child_samples=20, learning_rate=0.1, seeds=3, threads=1)


@pytest.fixture(scope="module")
def sample():
    return make_world(seed=2, assets=40, sessions=130, train=120, ic=0.3).train


@pytest.fixture(scope="module")
def fitted(sample):
    return SPEC.fit(sample, seed=1)


def test_the_score_is_the_mean_over_boosters_that_differ(fitted, sample):
    each = [b.predict(sample.X) for b in fitted.boosters]
    assert len(each) == 3
    assert np.allclose(np.mean(each, axis=0), scored(fitted, sample), rtol=0, atol=1e-12)
    assert not np.array_equal(each[0], each[1])
    assert not np.array_equal(each[1], each[2])


def test_each_booster_ends_at_its_best_round_and_scores_with_no_later_tree(fitted, sample):
    earlier, later = latest_sessions(sample, SPEC.valid_share)
    one = replace(SPEC, seeds=1)
    fitted = one.fit(sample, seed=1)
    [best], [error] = fitted.effective["best_iteration"], fitted.effective["best_score"]
    assert 0 < best < SPEC.rounds - 1
    assert fitted.boosters[0].num_trees() == best + 1
    short = replace(one, rounds=best + 1, early_stopping=0).fit(earlier, seed=1)
    assert np.allclose(scored(fitted, sample), scored(short, sample), rtol=0, atol=1e-12)
    assert np.sqrt(np.mean((later.y - scored(fitted, later)) ** 2)) == pytest.approx(error, rel=1e-6)


def test_any_reader_of_its_files_predicts_the_same(fitted, sample, tmp_path):
    fitted.save(tmp_path)
    files = sorted(tmp_path.glob("*.txt"))
    assert len(files) == 3
    plain = np.mean([lgb.Booster(model_file=f).predict(sample.X) for f in files], axis=0)
    assert np.allclose(plain, scored(fitted, sample), rtol=0, atol=1e-12)


def test_the_settings_reach_lightgbm(fitted):
    written = fitted.boosters[0].model_to_string()
    for line in (
        "num_leaves: 31",
        "min_data_in_leaf: 20",
        "bagging_fraction: 0.7",
        "lambda_l2: 10",
        "deterministic: 1",
    ):
        assert f"[{line}]" in written


@pytest.mark.parametrize("name", ["n_estimatorz", "subsample_for_bins"])
def test_a_parameter_that_lightgbm_would_ignore_is_an_error(sample, name):
    with pytest.raises(FitError, match=name):
        replace(SPEC, extra={name: 3}).fit(sample, seed=1)


def test_a_parameter_that_lightgbm_knows_changes_the_model(fitted, sample):
    other = replace(SPEC, extra={"max_depth": 2}).fit(sample, seed=1)
    assert other.effective["max_depth"] == 2
    assert not np.array_equal(scored(other, sample), scored(fitted, sample))


@pytest.mark.parametrize("name", ["num_leaves", "bagging_seed"])
def test_extra_may_not_repeat_a_setting(sample, name):
    with pytest.raises(FitError, match=name):
        replace(SPEC, extra={name: 5}).fit(sample, seed=1)


def test_another_seed_draws_other_rows(fitted, sample):
    assert not np.array_equal(scored(SPEC.fit(sample, seed=2), sample), scored(fitted, sample))
