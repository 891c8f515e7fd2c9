"""Rows of a mapped file: XGBoost and LightGBM grow the trees from them that they grow from memory."""

from __future__ import annotations

from pathlib import Path

import lightgbm as lgb
import numpy as np
import pytest
import xgboost as xgb

import models.blocks
from models.alpha.lightgbm import LightGBM
from models.alpha.linear import Linear
from models.alpha.quantile_matrix import quantile_matrix
from models.alpha.row_sequence import RowSequence, row_sequence
from models.alpha.xgboost import XGBoost
from models.base import FitError, Sample, require_finite
from tests.models.test_blocks import mapped, resident_of_files

M, K, SESSIONS, HELD = 12_000, 6, 40, 9_000
PARAMS = {"max_depth": 4, "max_bin": 64, "nthread": 1, "subsample": 0.7, "seed": 3, "verbosity": 0}
OBJECTIVES = {
    "squared": {"objective": "reg:squarederror"},
    "ndcg": {"objective": "rank:ndcg", "ndcg_exp_gain": False},
}


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch):
    monkeypatch.setattr(models.blocks, "BLOCK_BYTES", 1 << 15)


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((M, K)).astype(np.float32)
    X[:, 1] = X[:, 1].round(1)
    X[:, 2] *= rng.random(M) < 0.3  # mostly nought
    session = np.repeat(np.arange(SESSIONS), M // SESSIONS)
    grade = np.clip(np.round(X[:, 0] + rng.standard_normal(M) + 4), 0, 9)
    return X, grade, rng.random(M) + 0.5, session


def grown(objective, X, y, weight, session) -> tuple[list[float], bytes]:
    qid = session if objective == "ndcg" else None
    first, later = slice(0, HELD), slice(HELD, None)

    def binned(part, ref=None):
        group = None if qid is None else qid[part]
        return quantile_matrix(X[part], y[part], weight[part], max_bin=64, threads=1, ref=ref, qid=group)

    train = binned(first)
    judged: dict = {}
    booster = xgb.train(
        {**PARAMS, **OBJECTIVES[objective]},
        train,
        12,
        evals=[(binned(later, train), "later")],
        evals_result=judged,
        verbose_eval=False,
    )
    return next(iter(judged["later"].values())), bytes(booster.save_raw("ubj"))


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_xgboost_grows_the_same_trees_from_a_file(objective, rows):
    X, *rest = rows
    assert len(list(models.blocks.blocks(X))) > 5
    assert grown(objective, X, *rest) == grown(objective, mapped(X), *rest)


def test_the_bins_are_those_that_xgboost_makes_of_the_whole(rows):
    X, y, weight, _ = rows
    ours = quantile_matrix(mapped(X), y, weight, max_bin=64, threads=1)
    theirs = xgb.QuantileDMatrix(X, y, weight=weight, max_bin=64, nthread=1)
    for one, other in zip(ours.get_quantile_cut(), theirs.get_quantile_cut(), strict=True):
        assert np.array_equal(one, other)
    assert np.array_equal(ours.get_label(), theirs.get_label())
    assert np.array_equal(ours.get_weight(), theirs.get_weight())


def test_a_group_weighs_the_mean_of_its_rows(rows):
    X, y, weight, session = rows
    found = quantile_matrix(X, y, weight, max_bin=64, threads=1, qid=session)
    assert found.get_weight() == pytest.approx([weight[session == s].mean() for s in range(SESSIONS)], rel=1e-6)
    assert np.array_equal(found.get_uint_info("group_ptr"), np.arange(SESSIONS + 1) * (M // SESSIONS))


def test_lightgbm_grows_the_same_trees_from_a_file(rows):
    X, y, weight, _ = rows
    params = {"num_threads": 1, "deterministic": True, "force_row_wise": True, "verbosity": -1}

    def text(X) -> str:
        train = lgb.Dataset(row_sequence(X[:HELD]), y[:HELD], weight=weight[:HELD], params=params)
        later = lgb.Dataset(row_sequence(X[HELD:]), y[HELD:], weight=weight[HELD:], reference=train, params=params)
        return lgb.train(params, train, 12, valid_sets=[later]).model_to_string()

    assert row_sequence(X) is X
    assert isinstance(row_sequence(mapped(X)), RowSequence)
    assert text(X) == text(mapped(X))


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads what Linux tells of a process")
def test_rows_that_lightgbm_draws_do_not_fill_memory_with_their_neighbours():
    file = mapped(np.zeros((1_000_000, 16), dtype=np.float32))
    before, sequence = resident_of_files(), row_sequence(file)
    held = 0
    for i in range(0, len(file), 100):
        sequence[i]
        held = max(held, resident_of_files() - before) if i % 50_000 == 0 else held
    assert held < 32 << 20  # of 64


@pytest.mark.parametrize(
    "spec",
    [
        XGBoost(rounds=20, min_child_weight=10.0, threads=1),
        LightGBM(rounds=10, seeds=2, min_child_samples=20, threads=1),
        Linear(),
        Linear(alpha=0.1, l1_ratio=0.5),
    ],
    ids=lambda s: f"{s.kind}",
)
def test_every_model_learns_from_a_file_what_it_learns_from_memory(spec, rows):
    X, y, weight, session = rows
    names = tuple("abcdef")
    inside = spec.fit(Sample(X, y, session, weight, names, 2), seed=1)
    outside = spec.fit(Sample(mapped(X), y, session, weight, names, 2), seed=1)
    assert np.array_equal(inside.predict(X, session), outside.predict(X, session))
    assert np.array_equal(inside.predict(X, session), inside.predict(mapped(X), session))


def test_the_first_bad_cell_of_all_blocks_is_named_and_all_are_counted(rows):
    X = rows[0].copy()
    X[11_000, 2], X[11_001, 0], X[7_777, 5] = np.nan, np.inf, -np.inf
    with pytest.raises(FitError, match="3 of 72000 cells that are not, first at row 7777, column f"):
        require_finite("sample", mapped(X), tuple("abcdef"))


def test_a_model_that_tells_rows_apart_in_its_last_session_alone_is_taken(rows):
    X, y, weight, session = rows
    X = np.zeros_like(X)
    X[session == SESSIONS - 1, 0] = np.random.default_rng(1).standard_normal(M // SESSIONS)
    y = X[:, 0] + 0.01 * y
    Linear(alpha=1.0).fit(Sample(X, y, session, weight, tuple("abcdef"), 2), seed=1)
