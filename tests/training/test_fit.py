from __future__ import annotations

import json

import numpy as np
import pytest

import models.blocks
import training.fit
from features.panel import DataError
from features.scratch import Scratch
from models.alpha.linear import Linear
from models.alpha.xgboost import XGBoost
from models.base import FitError, Sample
from tests.models.test_blocks import mapped
from training.fit import Scorer, fit_scorer
from training.preprocess import Preprocess

COLUMNS = ("a", "b", "c", "d")
SPECS = {
    "xgboost": (XGBoost(min_child_weight=10.0, rounds=60, threads=1), Preprocess()),
    "linear": (Linear(alpha=10.0), Preprocess(kind="zscore", neutralise=("d",))),
}


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    session = np.repeat(np.arange(60), 40)
    values = rng.standard_normal((len(session), 4)).astype(np.float32)
    y = np.nan_to_num(values[:, 0] - 0.5 * values[:, 1]) + rng.standard_normal(len(session))
    values[rng.random(values.shape) < 0.08] = np.nan
    y[session >= 55] = np.nan  # the label of the latest sessions is not there yet
    y[values[:, 0] > 1.0] = np.nan  # and some names, the best ones, could not be bought
    return values, session, y, np.full(len(session), 1 / 40)


@pytest.fixture(scope="module", params=SPECS)
def scorer(request, rows) -> Scorer:
    spec, preprocess = SPECS[request.param]
    return fit_scorer(spec, preprocess, *rows, COLUMNS, gap=2, seed=1)


def test_a_row_without_a_label_counts_in_the_ranks_of_its_session(rows):
    values, session, y, weight = rows
    seen = {}

    class Recorded(Linear):
        def fit(self, sample, seed):
            seen["sample"] = sample
            return super().fit(sample, seed)

    scorer = fit_scorer(Recorded(alpha=1.0), Preprocess(), values, session, y, weight, COLUMNS, gap=2, seed=1)
    served = scorer.preprocess.transform(values, session)  # as serving does it, where nobody has a label
    labelled = np.isfinite(y)
    assert np.array_equal(seen["sample"].X, served[labelled])
    assert np.array_equal(seen["sample"].session, session[labelled])
    # and ranking the labelled rows alone would have been another thing
    assert not np.allclose(seen["sample"].X, scorer.preprocess.transform(values[labelled], session[labelled]))


def test_what_is_dropped_is_decided_on_all_rows_of_the_fold(rows):
    values, session, y, weight = rows
    values = values.copy()
    values[np.isfinite(y), 2] = np.nan  # there only where there is no label
    scorer = fit_scorer(Linear(alpha=1.0), Preprocess(min_coverage=0.05), values, session, y, weight, COLUMNS, 2, 1)
    assert "c" in scorer.preprocess.kept


def test_a_score_needs_no_label_and_a_session_alone_scores_as_within_the_whole(scorer, rows):
    values, session, *_ = rows
    whole = scorer.score(values, session)
    assert whole.shape == session.shape
    assert np.isfinite(whole).all()
    for day in (0, 31, 59):
        assert np.array_equal(scorer.score(values[session == day], session[session == day]), whole[session == day])


def test_the_score_finds_the_signal(scorer, rows):
    values, session, *_ = rows
    truth = np.nan_to_num(values[:, 0] - 0.5 * values[:, 1])
    assert np.corrcoef(scorer.score(values, session), truth)[0, 1] > 0.7


def test_a_scorer_survives_saving_and_loading(scorer, rows, tmp_path):
    values, session, *_ = rows
    scorer.save(tmp_path / "scorer")
    loaded = Scorer.load(tmp_path / "scorer")
    assert loaded.columns == COLUMNS
    assert np.array_equal(loaded.score(values, session), scorer.score(values, session))


def test_its_manifest_can_be_read_and_nothing_is_a_pickle(scorer, tmp_path):
    scorer.save(tmp_path)
    told = json.loads((tmp_path / "scorer.json").read_text(encoding="utf-8"))
    assert told["columns"] == list(COLUMNS)
    assert told["kind"] == scorer.model.kind
    assert {p.suffix for p in tmp_path.rglob("*") if p.is_file()} <= {".json", ".ubj", ".txt", ".npz"}


def test_fitting_is_the_same_twice(rows):
    for spec, preprocess in SPECS.values():
        one, two = (fit_scorer(spec, preprocess, *rows, COLUMNS, gap=2, seed=1) for _ in range(2))
        assert np.array_equal(one.score(*rows[:2]), two.score(*rows[:2]))


def test_values_that_do_not_fit_the_columns_are_refused(scorer, rows):
    values, session, *_ = rows
    with pytest.raises(DataError, match="4 columns"):
        scorer.score(values[:, :3], session)


def test_a_folder_without_a_scorer_or_of_another_format_is_refused(scorer, tmp_path):
    with pytest.raises(DataError, match=r"must hold scorer\.json"):
        Scorer.load(tmp_path)
    scorer.save(tmp_path)
    told = json.loads((tmp_path / "scorer.json").read_text(encoding="utf-8"))
    (tmp_path / "scorer.json").write_text(json.dumps({**told, "format": 99}), encoding="utf-8")
    with pytest.raises(DataError, match="format must be 1; found 99"):
        Scorer.load(tmp_path)


def test_a_model_of_other_columns_than_its_preprocessing_gives_is_refused(rows):
    one = fit_scorer(Linear(alpha=1.0), Preprocess(), *rows, COLUMNS, gap=2, seed=1)
    other = fit_scorer(Linear(alpha=1.0), Preprocess(), *rows, ("a", "b", "c", "e"), gap=2, seed=1)
    with pytest.raises(DataError, match="its model must have been fitted on what its preprocessing gives"):
        Scorer(one.preprocess, other.model)


def test_no_label_at_all_is_refused(rows):
    values, session, y, weight = rows
    with pytest.raises(FitError, match="at least 2 sessions; found 0"):
        fit_scorer(Linear(alpha=1.0), Preprocess(), values, session, np.full_like(y, np.nan), weight, COLUMNS, 2, 1)


@pytest.mark.parametrize("kind", SPECS)
def test_a_scorer_fitted_on_a_file_by_blocks_scores_as_one_fitted_in_memory(kind, rows, tmp_path, monkeypatch):
    values, session, y, weight = rows
    spec, preprocess = SPECS[kind]
    inside = fit_scorer(spec, preprocess, *rows, COLUMNS, gap=2, seed=1)
    monkeypatch.setattr(models.blocks, "BLOCK_BYTES", 16 * 40 * 3)  # three sessions
    seen = []
    monkeypatch.setattr(training.fit, "Sample", lambda X, *rest: seen.append(X) or Sample(X, *rest))
    file, scratch = mapped(values), Scratch(memory=0, folder=tmp_path)
    outside = fit_scorer(spec, preprocess, file, session, y, weight, COLUMNS, gap=2, seed=1, scratch=scratch)
    assert isinstance(seen[0], np.memmap)
    assert outside.preprocess == inside.preprocess
    assert np.array_equal(outside.score(values, session), inside.score(values, session))
    assert np.array_equal(outside.score(file, session), inside.score(values, session))
    assert list(tmp_path.iterdir()) == []


def test_the_rows_of_a_fold_are_named_by_a_mask_and_need_not_follow_one_another(rows, monkeypatch):
    values, session, y, weight = rows
    rng = np.random.default_rng(1)
    group, regression = rng.integers(0, 3, len(y)), rng.random(len(y))
    fold = (session < 20) | ((session >= 30) & (session < 50))
    settings = Linear(alpha=1.0), Preprocess(kind="zscore", neutralise=("d",), min_coverage=0.0)
    cut = [a[fold] for a in (values, session, y, weight, group, regression)]
    alone = fit_scorer(*settings, *cut[:4], COLUMNS, 2, 1, group=cut[4], regression_weight=cut[5])
    wanted = alone.score(values, session, group, regression)
    monkeypatch.setattr(models.blocks, "BLOCK_BYTES", 16 * 40 * 3)
    told = {"group": group, "regression_weight": regression, "rows": fold}
    named = fit_scorer(*settings, values, session, y, weight, COLUMNS, 2, 1, **told)
    assert named.preprocess == alone.preprocess
    assert named.score(values, session, group, regression) == pytest.approx(wanted, rel=1e-9, abs=1e-12)
    scored = named.score(values, session, group, regression, rows=fold)
    assert scored[fold] == pytest.approx(wanted[fold], rel=1e-9, abs=1e-12)
    assert np.isnan(scored[~fold]).all()


def test_what_is_dropped_is_decided_on_the_rows_of_the_mask(rows):
    values, session, y, weight = rows
    values, fold = values.copy(), session < 40
    values[~fold, 1] = np.nan
    values[fold & (np.arange(len(session)) % 2 == 0), 2] = np.nan
    scorer = fit_scorer(Linear(alpha=1.0), Preprocess(), values, session, y, weight, COLUMNS, 2, 1, rows=fold)
    assert set(scorer.preprocess.dropped) == {"c"}
    assert scorer.preprocess.dropped["c"] == pytest.approx(np.isfinite(values[fold, 2]).mean())


def test_a_mask_that_cuts_a_session_is_refused(scorer, rows):
    values, session, y, weight = rows
    fold = np.arange(len(session)) < 20 * 40 + 3
    with pytest.raises(DataError, match="rows must name whole sessions; found a part of session 20"):
        fit_scorer(Linear(alpha=1.0), Preprocess(), values, session, y, weight, COLUMNS, 2, 1, rows=fold)
    with pytest.raises(DataError, match="a part of session 20"):
        scorer.score(values, session, rows=fold)


def test_rows_and_sessions_of_other_lengths_or_unsorted_are_refused_though_each_block_would_do(
    scorer, rows, monkeypatch
):
    values, session, *_ = rows
    monkeypatch.setattr(models.blocks, "BLOCK_BYTES", 16 * 40)
    with pytest.raises(DataError, match="a session per row"):
        scorer.score(values, np.append(session, 60))
    with pytest.raises(DataError, match="sorted"):
        scorer.score(values, session[::-1].copy())


def test_nothing_is_left_of_a_fit_that_fails(rows, tmp_path):
    values, session, y, weight = rows
    values = values.copy()
    values[-1, 0] = np.inf
    with pytest.raises(DataError, match="1 infinite cells, first at session 59"):
        fit_scorer(Linear(), Preprocess(), values, session, y, weight, COLUMNS, 2, 1, scratch=Scratch(0, tmp_path))
    assert list(tmp_path.iterdir()) == []
