from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import xgboost as xgb
from factor_world import make_world, scored

from models.alpha.ranking import relevance
from models.alpha.validation import DailyRankIC, latest_sessions
from models.alpha.xgboost import XGBoost
from models.base import FitError

SPEC = XGBoost(min_child_weight=20.0, learning_rate=0.1, threads=1)

PARAMS = (
    *("objective", "max_depth", "learning_rate", "min_child_weight", "subsample", "colsample_bytree", "reg_lambda"),
    *("nthread", "lambdarank_pair_method", "lambdarank_num_pair_per_sample", "ndcg_exp_gain", "tree_method"),
)


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
    with pytest.raises(FitError, match="the device cuda must be there"):
        replace(SPEC, device="cuda").fit(sample, seed=1)


@pytest.mark.parametrize("objective", ["pairwise", "ndcg"])
def test_ranks_learn_from_the_order_of_labels_within_a_session_alone(sample, objective):
    spec = replace(SPEC, objective=objective, rounds=30)
    moved = replace(sample, y=np.exp(sample.y) + sample.session)
    assert np.array_equal(scored(spec.fit(moved, seed=1), sample), scored(spec.fit(sample, seed=1), sample))


@pytest.mark.parametrize("objective", ["pairwise", "ndcg"])
def test_ranks_weigh_a_session_by_the_sum_of_its_rows(sample, objective):
    spec = replace(SPEC, objective=objective, rounds=30)
    rng = np.random.default_rng(0)
    flat = np.where(sample.session % 3 == 0, 0.25, 1.0)
    uneven = flat * np.tile(rng.permutation(np.repeat([0.5, 1.5], 20)), sample.sessions)
    as_flat, as_uneven = (scored(spec.fit(replace(sample, weight=w), seed=1), sample) for w in (flat, uneven))
    assert np.array_equal(as_flat, as_uneven)
    assert not np.array_equal(as_flat, scored(spec.fit(sample, seed=1), sample))


@pytest.mark.parametrize("objective", ["pairwise", "ndcg"])
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


@pytest.mark.parametrize("wrong", [{"objective": "map"}, {"bins": 1}, {"pairs": 0}, {"seeds": 0}])
def test_settings_outside_their_range_are_refused(wrong):
    with pytest.raises(FitError, match="must be"):
        replace(SPEC, **wrong)


def test_the_settings_of_ranks_reach_xgboost(sample):
    told = replace(SPEC, objective="ndcg", pairs=7, rounds=5).fit(sample, seed=1).boosters[0].save_config()
    param = json.loads(told)["learner"]["objective"]["lambdarank_param"]
    assert (param["lambdarank_pair_method"], param["lambdarank_num_pair_per_sample"]) == ("topk", "7")
    assert param["ndcg_exp_gain"] == "0"


def test_the_score_is_the_mean_over_boosters_that_differ(fitted, sample):
    three = replace(SPEC, seeds=3).fit(sample, seed=1)
    each = [b.predict(xgb.DMatrix(sample.X)) for b in three.boosters]
    assert np.allclose(np.mean(each, axis=0), scored(three, sample), rtol=0, atol=1e-7)
    assert np.array_equal(each[0], scored(fitted, sample))  # the first is the one of a single seed
    assert not np.array_equal(each[1], each[2])
    assert three.effective["seed"][0] == 1
    assert len(set(three.effective["seed"])) == 3


def test_the_search_of_ranks_is_on_their_scale():
    class High:
        def suggest_float(self, name, low, high, *, step=None, log=False):
            return high

        suggest_int = suggest_float

    assert SPEC.space(High()).min_child_weight == 1000.0
    assert replace(SPEC, objective="ndcg").space(High()).min_child_weight == 100.0


def test_a_value_that_xgboost_refuses_is_an_error(sample):
    with pytest.raises(FitError, match=r"must accept every setting.*'x'"):
        replace(SPEC, extra={"grow_policy": "x"}).fit(sample, seed=1)


def test_sessions_of_any_size_that_weigh_the_same_are_ranked_as_xgboost_does_without_weights(sample):
    kept = (sample.session % 2 == 0) | (np.arange(len(sample.y)) % 4 == 0)  # 40 and 10 rows in turn
    some = sample.rows(kept)
    some = replace(some, weight=1 / np.bincount(some.session)[some.session])
    fitted = replace(SPEC, objective="ndcg", early_stopping=0, rounds=20).fit(some, seed=1)
    told = {k: v for k, v in fitted.effective.items() if k in PARAMS}
    rows = xgb.QuantileDMatrix(some.X, relevance(some.y, some.session, 10), qid=some.session, nthread=1)
    plain = xgb.train({**told, "seed": 1}, rows, 20).predict(xgb.DMatrix(some.X))
    assert np.allclose(scored(fitted, some), plain, rtol=0, atol=1e-6)
