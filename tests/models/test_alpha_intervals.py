from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import xgboost as xgb
from scipy.stats import norm

from models.alpha.intervals import FittedBand, QuantileBand
from models.base import FitError, Sample

SPEC = QuantileBand(rounds=150, threads=1)
COLUMNS = tuple(f"x{i}" for i in range(8))


def world(seed, days, assets=100):
    """Outcomes whose spread follows x0 and whose mean follows x1; and the true ends of the band."""
    rng = np.random.default_rng(seed)
    X = rng.uniform(-0.5, 0.5, (days * assets, len(COLUMNS))).astype(np.float32)
    mean, spread = 0.4 * X[:, 1], np.exp(1.2 * X[:, 0])
    y = mean + spread * rng.normal(size=len(X))
    session = np.repeat(np.arange(days), assets)
    sample = Sample(X, y.astype(np.float64), session, np.full(len(X), 1 / assets), COLUMNS, 6)
    return sample, mean[:, None] + spread[:, None] * norm.ppf([0.05, 0.95])


@pytest.fixture(scope="module")
def sample():
    return world(0, 200)[0]


@pytest.fixture(scope="module")
def fitted(sample):
    return SPEC.fit(sample, seed=1)


def test_it_recovers_the_quantiles_of_new_rows(fitted):
    later, truth = world(1, 100)
    band = fitted.predict(later.X)
    assert (band.shape, band.dtype) == ((10_000, 2), np.float64)
    for end, share in ((0, 0.05), (1, 0.95)):
        assert (later.y < band[:, end]).mean() == pytest.approx(share, abs=0.015)
        assert np.corrcoef(band[:, end], truth[:, end])[0, 1] > 0.93
        slope = np.polyfit(truth[:, end], band[:, end], 1)[0]
        assert slope == pytest.approx(1, abs=0.15)
    inside = (later.y >= band[:, 0]) & (later.y <= band[:, 1])
    for wild in (later.X[:, 0] > 0.25, later.X[:, 0] < -0.25):
        assert inside[wild].mean() == pytest.approx(0.9, abs=0.03)


def test_other_quantiles_can_be_asked_for(sample):
    later, _ = world(2, 50)
    band = replace(SPEC, lower=0.25, upper=0.5).fit(sample, seed=1).predict(later.X)
    assert (later.y < band[:, 0]).mean() == pytest.approx(0.25, abs=0.03)
    assert (later.y < band[:, 1]).mean() == pytest.approx(0.5, abs=0.03)


def test_the_lower_end_is_never_above_the_upper(sample):
    # quantiles that lie close together, with deep trees on few rows, do cross before they are put in order
    spec = replace(SPEC, lower=0.49, upper=0.51, max_depth=6, min_child_weight=5.0, rounds=60)
    fitted = spec.fit(sample.rows(slice(0, 3000)), seed=1)
    raw = fitted.booster.inplace_predict(sample.X)
    assert (raw[:, 0] > raw[:, 1]).any()
    band = fitted.predict(sample.X)
    assert (band[:, 0] <= band[:, 1]).all()
    assert np.array_equal(band, np.sort(raw.astype(np.float64), axis=1))


def test_it_is_the_same_twice_to_the_last_bit(fitted, sample):
    assert np.array_equal(SPEC.fit(sample, seed=1).predict(sample.X), fitted.predict(sample.X))
    assert not np.array_equal(SPEC.fit(sample, seed=2).predict(sample.X), fitted.predict(sample.X))


def test_rows_alone_and_in_blocks_are_those_of_the_whole(fitted, sample, monkeypatch):
    whole = fitted.predict(sample.X)
    assert np.array_equal(fitted.predict(sample.X[:1]), whole[:1])
    assert fitted.predict(sample.X[:0]).shape == (0, 2)
    monkeypatch.setattr("models.alpha.intervals._BLOCK", 777)
    assert np.array_equal(fitted.predict(sample.X), whole)


def test_a_matrix_on_disk_gives_the_same(fitted, sample, tmp_path):
    stored = np.memmap(tmp_path / "x.bin", np.float32, "w+", shape=sample.X.shape)
    stored[:] = sample.X
    stored.flush()
    there = np.memmap(tmp_path / "x.bin", np.float32, "r", shape=sample.X.shape)
    again = SPEC.fit(replace(sample, X=there), seed=1)
    assert np.allclose(again.predict(there), fitted.predict(sample.X), rtol=0, atol=0.02)


def test_weights_are_not_ignored_and_only_their_ratios_count(fitted, sample):
    wild = sample.X[:, 0] > 0
    tilted = replace(sample, weight=sample.weight * np.where(np.abs(sample.y) > 1, 5, 1))
    assert np.ptp(SPEC.fit(tilted, seed=1).predict(sample.X[wild]), axis=1).mean() > (
        1.1 * np.ptp(fitted.predict(sample.X[wild]), axis=1).mean()
    )
    scaled = SPEC.fit(replace(sample, weight=sample.weight * 1024), seed=1)
    assert np.allclose(scaled.predict(sample.X), fitted.predict(sample.X), rtol=0, atol=1e-6)


def test_it_survives_saving_and_loading_in_native_or_json_form(fitted, sample, tmp_path):
    fitted.save(tmp_path / "band")
    loaded = FittedBand.load(tmp_path / "band")
    assert np.array_equal(loaded.predict(sample.X), fitted.predict(sample.X))
    assert (loaded.spec, loaded.columns) == (fitted.spec, fitted.columns)
    assert dict(loaded.effective) == json.loads(json.dumps(dict(fitted.effective)))
    assert {p.name for p in (tmp_path / "band").iterdir()} == {"band.json", "band.ubj"}
    plain = xgb.Booster(model_file=tmp_path / "band" / "band.ubj").predict(xgb.DMatrix(sample.X))
    assert np.array_equal(np.sort(plain, axis=1).astype(np.float64), fitted.predict(sample.X))
    with pytest.raises(FitError, match=r"band\.json"):
        FittedBand.load(tmp_path)


def test_the_settings_reach_xgboost_which_warns_of_none(fitted, recwarn, sample):
    SPEC.fit(sample.rows(slice(0, 2000)), seed=1)
    assert not recwarn.list
    told = json.loads(fitted.booster.save_config())["learner"]
    tree = told["gradient_booster"]["tree_train_param"]
    assert told["objective"]["name"] == "reg:quantileerror"
    assert json.loads(told["objective"]["quantile_loss_param"]["quantile_alpha"]) == pytest.approx([0.05, 0.95])
    assert int(tree["max_depth"]) == SPEC.max_depth
    for name in ("learning_rate", "min_child_weight", "subsample", "colsample_bytree"):
        assert float(tree[name]) == pytest.approx(getattr(SPEC, name))
    assert fitted.booster.num_boosted_rounds() == SPEC.rounds == fitted.effective["rounds"]


@pytest.mark.parametrize("wrong", [{"lower": 0.5, "upper": 0.5}, {"lower": 0.0}, {"upper": 1.0}, {"rounds": 0}])
def test_settings_without_sense_are_refused(wrong):
    with pytest.raises(FitError, match="band"):
        QuantileBand(**wrong)


def test_it_refuses_other_columns_and_missing_values(fitted, sample):
    with pytest.raises(FitError, match="8 columns of the fit"):
        fitted.predict(sample.X[:, :7])
    X = sample.X[:5].copy()
    X[2, 4] = np.nan
    with pytest.raises(FitError, match="row 2, column x4"):
        fitted.predict(X)
