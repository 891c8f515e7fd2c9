from __future__ import annotations

from dataclasses import replace

import lightgbm as lgb
import numpy as np
import pytest
from factor_world import make_world, scored

from models.alpha.lightgbm import LightGBM
from models.alpha.validation import DailyRankIC, latest_sessions
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


@pytest.mark.parametrize("objective", ["lambdarank", "xendcg"])
def test_ranks_learn_from_the_order_of_labels_within_a_session_alone(sample, objective):
    spec = replace(SPEC, objective=objective, rounds=30)
    moved = replace(sample, y=np.exp(sample.y) + sample.session)
    assert np.array_equal(scored(spec.fit(moved, seed=1), sample), scored(spec.fit(sample, seed=1), sample))


@pytest.mark.parametrize("objective", ["lambdarank", "xendcg"])
def test_ranks_weigh_a_session_by_the_sum_of_its_rows(sample, objective):
    spec = replace(SPEC, objective=objective, rounds=30)
    rng = np.random.default_rng(0)
    flat = np.where(sample.session % 3 == 0, 0.25, 1.0)
    uneven = flat * np.tile(rng.permutation(np.repeat([0.5, 1.5], 20)), sample.sessions)
    as_flat, as_uneven = (scored(spec.fit(replace(sample, weight=w), seed=1), sample) for w in (flat, uneven))
    assert np.array_equal(as_flat, as_uneven)
    assert not np.array_equal(as_flat, scored(spec.fit(sample, seed=1), sample))


@pytest.mark.parametrize("objective", ["lambdarank", "xendcg"])
def test_ranks_stop_at_the_best_daily_rank_ic(sample, objective):
    spec = replace(SPEC, objective=objective, seeds=1)
    fitted = spec.fit(sample, seed=1)
    [best], [told] = fitted.effective["best_iteration"], fitted.effective["best_score"]
    earlier, later = latest_sessions(sample, spec.valid_share)
    rank_ic = DailyRankIC(later)
    assert fitted.effective["stopped_by"] == "rank_ic"
    assert rank_ic(scored(fitted, later)) == pytest.approx(told, abs=1e-6)
    for rounds in {1, best, best + 2, best + 20} - {0}:
        other = replace(spec, rounds=rounds, early_stopping=0).fit(earlier, seed=1)
        assert rank_ic(scored(other, later)) <= told + 1e-6


@pytest.mark.parametrize("wrong", [{"objective": "pairwise"}, {"bins": 1}, {"pairs": 0}, {"seeds": 0}])
def test_settings_outside_their_range_are_refused(wrong):
    with pytest.raises(FitError, match="must be"):
        replace(SPEC, **wrong)


def test_the_settings_of_ranks_reach_lightgbm(sample):
    written = replace(SPEC, objective="lambdarank", bins=5, pairs=7, rounds=5).fit(sample, seed=1).boosters[0]
    for line in ("objective: lambdarank", "label_gain: 0,1,2,3,4", "lambdarank_truncation_level: 7"):
        assert f"[{line}]" in written.model_to_string()


def test_a_value_that_lightgbm_refuses_is_an_error(sample):
    with pytest.raises(FitError, match="must accept settings and rows; found Check failed"):
        replace(SPEC, num_leaves=1).fit(sample, seed=1)


def test_trees_that_change_later_cannot_be_stopped_early():
    with pytest.raises(FitError, match="early_stopping must be 0 with dart"):
        replace(SPEC, extra={"boosting": "dart"})


def test_later_sessions_of_a_mapped_file_are_judged_by_their_weights(sample, tmp_path):
    # Weights of the earlier sessions differ, those of the later ones are all the same, which LightGBM takes for none.
    weight = np.where(sample.session < 50, 0.5, 1.0)
    np.save(tmp_path / "X.npy", sample.X)
    mapped = replace(sample, X=np.load(tmp_path / "X.npy", mmap_mode="r"), weight=weight)
    inside, outside = (SPEC.fit(one, seed=1) for one in (replace(sample, weight=weight), mapped))
    assert np.isfinite(outside.effective["best_score"]).all()
    assert inside.effective == outside.effective
